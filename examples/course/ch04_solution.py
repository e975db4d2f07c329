"""Solutions to chapter 4. Read the hint first, try again, and then look at the code."""

# %%
import math

import common  # noqa: F401  (so that microgpt is found)

from microgpt.value import Value, topological_order


def paths(node, leaf):
    """Return a list of paths from node to leaf, each a list of its local gradients."""
    if node is leaf:
        return [[]]
    found = []
    for input, local_grad in zip(node.inputs, node.local_grads):
        for rest in paths(input, leaf):
            found.append([local_grad, *rest])
    return found


def show(name, e, a):
    """Print the number of paths from e to a, and their sum, which is also a's grad."""
    e.backward()
    products = [math.prod(path) for path in paths(e, a)]
    assert sum(products) == a.grad
    print(f"  {name:12} {len(products)} paths, together {sum(products):g}")
    return len(products)


# %%
# Exercise 1. d * d * d, and d ** 3.
#
# Hint 1: how many paths lead from d to a? And how often is d used in d * d * d?
# Hint 2: d * d * d is (d * d) * d, two nodes. d ** 3 is one node with one input.
#
# From d, two paths lead to a. d * d * d uses d three times, which makes 3 * 2 = 6
# paths. d ** 3 is a single step with the slope 3 * d ** 2, so only 2 paths remain. The
# sum is the same: 3 * d ** 2 * (b + 1) = 3 * 16 * -2 = -96.
print("Exercise 1")
a, b = Value(2.0), Value(-3.0)
d = a * b + a
n_product = show("d * d * d", d * d * d, a)
assert a.grad == -96.0
a, b = Value(2.0), Value(-3.0)
d = a * b + a
n_power = show("d ** 3", d**3, a)
assert a.grad == -96.0
assert (n_product, n_power) == (6, 2)

# %%
# Exercise 2. e = d.relu() * d.
#
# Hint 1: d is -4. What is d.relu(), and what is its slope?
# Hint 2: the local gradients of a product are the other factor. Which factor is 0?
#
# Nothing arrives at a. Of the paths from e to d, one goes through relu, whose slope at
# -4 is 0. On the other, the slope of the product with respect to d is d.relu(), and
# that is 0 as well. A relu that is at 0 lets nothing through, in either direction.
print("\nExercise 2")
a, b = Value(2.0), Value(-3.0)
d = a * b + a
show("relu(d) * d", d.relu() * d, a)
assert a.grad == 0.0

# %%
# Exercise 3. Halve, and add the halves, thirty times.
#
# Hint 1: how many ways on does each round offer? What is the product on each?
# Hint 2: y = x * 0.5 + x * 0.5 is just x again. So what must the slope be?
#
# Each round offers two ways, so there are 2 ** 30 paths, about a billion. Each path's
# product is 0.5 ** 30. Together that is 1, as it must be, since y is equal to x.
print("\nExercise 3")
x = Value(3.0)
y = x
for _ in range(30):
    y = y * 0.5 + y * 0.5
y.backward()
n_visited = len(topological_order(y))
print(f"  {2**30:,} paths of 0.5 ** 30 each, slope {x.grad}, {n_visited} nodes visited")
assert x.grad == 2**30 * 0.5**30 == 1.0
