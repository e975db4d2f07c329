"""Solutions to chapter 4, which runs first and prints its own lines before these."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import ch04_order as chapter

from microgpt.value import Value, topological_order

# 1. list_in_order calls itself once for every node below, and Python gives up at about
#    1,000 calls inside each other. topological_order keeps a list of the nodes it still
#    has to come back to, and a list can be as long as memory allows.
deep = Value(1.0)
for _ in range(10_000):
    deep = deep + 1
try:
    chapter.list_in_order(deep, [])
except RecursionError:
    print("list_in_order: too deep")
print(f"topological_order: {len(topological_order(deep)):,} nodes")
# expect: list_in_order: too deep
# expect: topological_order: 10,000 nodes


# 2. A node may pass its gradient on when every use of it has passed its own. So first
#    count the uses, and then walk from the result; no order is made beforehand.
def kahn_backward(root):
    """Fill in grad for all nodes under root, whose grads must be 0 before."""
    uses = {root: 0}
    found = [root]
    for node in found:  # it grows while it is read
        for input in node.inputs:
            if input not in uses:
                uses[input] = 0
                found.append(input)
            uses[input] += 1
    root.grad = 1.0
    ready = [root]
    while ready:
        node = ready.pop()
        for input, local_grad in zip(node.inputs, node.local_grads):
            input.grad += local_grad * node.grad
            uses[input] -= 1
            if uses[input] == 0:
                ready.append(input)


a = Value(1.0)
b = a + a
c = b + b
kahn_backward(c)
print(f"b = a + a, c = b + b: {a.grad}")
# expect: b = a + a, c = b + b: 4.0

x = Value(0.5)
y = ((x * 3 + x).exp() * x + x.tanh()) / x
kahn_backward(y)
by_kahn, x.grad = x.grad, 0.0
y.backward()
assert abs(by_kahn - x.grad) < 1e-12

# 3. The first call leaves b.grad at 2 and a.grad at 4. In the second, 2 more arrive at
#    b, which makes 4. It passes on 4 * 2 = 8, and a.grad is 4 + 8 = 12, not 2 * 4 = 8.
a = Value(1.0)
b = a + a
c = b + b
for _ in range(2):
    c.grad = 1.0
    for node in reversed(topological_order(c)):
        for input, local_grad in zip(node.inputs, node.local_grads):
            input.grad += local_grad * node.grad
print(f"b.grad not cleared: a.grad {a.grad}")
# expect: b.grad not cleared: a.grad 12.0
