"""Solutions to chapter 5. Read the hint first, try again, and then look at the code."""

# %%
import common  # noqa: F401  (so that microgpt is found)

from microgpt.value import Value, topological_order


def larger_graph():
    """Return the leaves and the root of the chapter's larger graph."""
    p, q = Value(1.0, label="p"), Value(2.0, label="q")
    r = p * q
    s = r + p
    t = s**2
    u = t * q
    v = q - p
    w = v**3
    y = u + w
    r.label, s.label, t.label, u.label = "r", "s", "t", "u"
    v.label, w.label, y.label = "v", "w", "y"
    return p, q, y


def is_in_order(order):
    """Say whether every node in the list stands after all of its computed inputs."""
    listed = set()
    for node in order:
        for input in node.inputs:
            if input.inputs and input not in listed:
                return False
        listed.add(node)
    return True


# %%
# Exercise 1. Backward without an order made first, as in Kahn, "Topological sorting of
# large networks", 1962.
#
# Hint 1: first go through the graph once and count the uses of each node.
# Hint 2: when a node passes on, each of its inputs has one use fewer to wait for.
# Hint 3: keep a list of the nodes that have nothing to wait for. At first, that is the
# root alone.
#
# No order is made beforehand. A node is ready when the last of its users has passed on,
# and that is exactly when its grad is complete.


def kahn_backward(root):
    """Fill in the grads of root's graph, which must be 0 before."""
    uses_left = {root: 0}
    found = [root]
    for node in found:  # the list grows while we go through it
        for input in node.inputs:
            if input not in uses_left:
                uses_left[input] = 0
                found.append(input)
            uses_left[input] += 1

    root.grad = 1.0
    ready = [root]
    while ready:
        node = ready.pop()
        for input, local_grad in zip(node.inputs, node.local_grads):
            input.grad += local_grad * node.grad
            uses_left[input] -= 1
            if uses_left[input] == 0:
                ready.append(input)


a = Value(1.0)
b = a**2
c = b**3
d = b + c
kahn_backward(d)
print("Exercise 1")
print(f"  the four nodes: a.grad {a.grad:g}")
assert a.grad == 8.0

p, q, root = larger_graph()
kahn_backward(root)
by_kahn = (p.grad, q.grad)
p, q, root = larger_graph()
root.backward()
print(f"  the larger graph: p {by_kahn[0]:.4f}, q {by_kahn[1]:.4f}")
print(f"  by the package:   p {p.grad:.4f}, q {q.grad:.4f}")
assert abs(by_kahn[0] - p.grad) < 1e-12
assert abs(by_kahn[1] - q.grad) < 1e-12

# %%
# Exercise 2. Another order.
#
# Hint 1: w, which is (q - p) ** 3, and u, which is (p * q + p) ** 2 * q, have nothing
# to do with each other, so either may be listed first. Hint 2: visit each node's inputs
# from the last to the first.
#
# The gradients are the same (but perhaps for the last digit, where rounding depends on
# the order of a sum), since in every topological order each grad is complete before it
# is passed on.


def last_input_first(node, order):
    """List inputs before nodes, as in the chapter, but the last input first."""
    if node in order:
        return
    for input in reversed(node.inputs):
        last_input_first(input, order)
    order.append(node)


p, q, root = larger_graph()
order = []
last_input_first(root, order)
other = [node for node in order if node.inputs]  # without the leaves
assert is_in_order(topological_order(root))
assert is_in_order(other)
assert other != topological_order(root)
print("\nExercise 2: two orders of one graph")
print(f"  the package's: {' '.join([node.label for node in topological_order(root)])}")
print(f"  another:       {' '.join([node.label for node in other])}")
root.grad = 1.0
for node in reversed(other):
    for input, local_grad in zip(node.inputs, node.local_grads):
        input.grad += local_grad * node.grad
print(f"  gradients in the other order: p {p.grad:.4f}, q {q.grad:.4f}")
assert abs(p.grad - by_kahn[0]) < 1e-12

# %%
# Exercise 3. Three losses, each divided by 3.
#
# Hint 1: the slope of a sum is the sum of the slopes.
# Hint 2: what is l1 / 3 + l2 / 3 + l3 / 3 called?
#
# It is the gradient of the mean of the three losses. This is how the package's train()
# learns from a batch of documents, one document at a time.
w = Value(3.0)
for loss in [w * 2, w**2, w**3]:
    (loss / 3).backward()
v = Value(3.0)
mean = (v * 2 + v**2 + v**3) / 3
mean.backward()
print("\nExercise 3")
print(f"  collected {w.grad:.4f}, from the mean {v.grad:.4f}")
assert abs(w.grad - v.grad) < 1e-12
