"""Solutions to chapter 3, which runs first and prints its own lines before these."""

import math
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import ch03_chain_rule as chapter

from microgpt.value import Value


def describe(name, e, a):
    """Print the paths to a, and assert that their sum is what backward() finds."""
    e.backward()
    products = [math.prod(path) for path in chapter.paths(e, a)]
    assert sum(products) == a.grad
    print(f"{name}: {len(products)} paths, slope {a.grad}")


def a_and_d():
    """Return fresh nodes a and d = a * b + a, so that no grad is left from before."""
    a, b = Value(2.0), Value(-3.0)
    return a, a * b + a


# 1. d * d * d uses d three times, and d has two paths to a: six in all. d**3 is a step
#    with one slope, 3 * d * d. Either way it comes to 3 * 16 * (b + 1) = -96.
a, d = a_and_d()
describe("d * d * d", d * d * d, a)
a, d = a_and_d()
describe("d**3", d**3, a)
# expect: d * d * d: 6 paths, slope -96.0
# expect: d**3: 2 paths, slope -96.0

# 2. Nothing arrives. d is -4, so the relu's slope is 0, and no path through it counts.
#    On the other paths the product's slope towards d is the other factor, 0 as well.
a, d = a_and_d()
describe("d.relu() * d", d.relu() * d, a)
# expect: d.relu() * d: 4 paths, slope 0.0
assert a.grad == 0.0


# 3. A node needs its result, its inputs and the slopes. That is all there is to a new
#    operation: backward() does not have to know of it.
def sine(x):
    """Return sin(x) as one node; its slope is cos(x)."""
    return Value(math.sin(x.data), (x,), (math.cos(x.data),), "sin")


x = Value(0.5)
y = sine(x * x)
y.backward()
nudged = (math.sin(0.50001**2) - math.sin(0.49999**2)) / 2e-5
print(f"slope of sin(x * x) at 0.5: {x.grad:.4f}, nudged: {nudged:.4f}")
# expect: slope of sin(x * x) at 0.5: 0.9689, nudged: 0.9689
assert abs(x.grad - nudged) < 1e-9
