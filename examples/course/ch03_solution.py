"""Solutions to chapter 3. Read the hint first, try again, and then look at the code."""

# %%
import math

import common  # noqa: F401  (so that microgpt is found)

from microgpt.value import Value


def slope_by_nudging(function, x, h=1e-5):
    """Return the slope of function at x, found as in chapter 2.

    function takes a Value and returns a Value. It is computed a little above x and a
    little below, and the difference is divided by the distance between the two.
    """
    above = function(Value(x + h)).data
    below = function(Value(x - h)).data
    return (above - below) / (2 * h)


# %%
# Exercise 1. The sine.
#
# Hint 1: an operation needs its result, its inputs, its slope and a label.
# Hint 2: the slope of sin(x) is cos(x).
#
# In your class it is a method like exp and log, with four things in one new Value: the
# result, the single input, the slope of this one step, and the label.
#
#     def sin(self):
#         return Value(math.sin(self.data), (self,), (math.cos(self.data),), "sin")
#
# Below it is a function instead, with x in place of self. That saves us from writing
# the class out once more: a function can be added to the package's Value from outside.
#
# Does backward() have to learn about the sine as well? No. It multiplies and adds the
# local gradients that are stored in the nodes, and never asks which operation stored
# them. So a new operation is finished as soon as it stores the right slope.
#
# We try it on sin(x * x) rather than on sin(x), so that the sine stands in the middle
# of a graph and has to pass its gradient on. On paper, at x = 0.5: the slope of the
# sine is cos(x * x) = cos(0.25), and that of x * x is 2 * x = 1. Their product is what
# backward() should find.


def sin(x):
    """Return the sine of a Value, as a new node."""
    return Value(math.sin(x.data), (x,), (math.cos(x.data),), "sin")


def sin_of_square(x):
    return sin(x * x)


x = Value(0.5)
y = sin_of_square(x)
y.backward()
on_paper = math.cos(0.5 * 0.5) * (2 * 0.5)
nudged = slope_by_nudging(sin_of_square, 0.5)
print("Exercise 1: the slope of sin(x * x) at x = 0.5")
print(f"  by backward {x.grad:.6f}, by nudging {nudged:.6f}, on paper {on_paper:.6f}")
assert abs(x.grad - nudged) < 1e-8
assert abs(x.grad - on_paper) < 1e-12

# %%
# Exercise 2. The maximum of two Values.
#
# Hint 1: if a is the larger one, and grows a little, what happens to the maximum?
# Hint 2: and if b, the smaller one, grows a little?
#
# The maximum is the larger of the two. If that one grows by a tiny h, so does the
# maximum: the slope is 1. If the smaller one grows by a tiny h, it is still the smaller
# one, and the maximum stays as it is: the slope is 0. So all of the gradient goes to
# the larger number, and the other receives nothing. (As in exercise 1 this is a
# function; as a method, a.max(b), it has self and other in place of a and b.)
#
# We try it on the maximum of 4 * a and b * b, at a = 2 and b = -3. Those are 8 and 9,
# so the maximum is b * b. Its slope with respect to b is 2 * b = -6, and a, which only
# the smaller number depends on, should get 0.


def maximum(a, b):
    """Return the larger of two Values, as a new node."""
    result = max(a.data, b.data)
    slopes = (1.0, 0.0) if a.data >= b.data else (0.0, 1.0)
    return Value(result, (a, b), slopes, "max")


def larger_of_both(a, b):
    return maximum(4 * a, b * b)


a, b = Value(2.0), Value(-3.0)
largest = larger_of_both(a, b)
largest.backward()
a_nudged = slope_by_nudging(lambda number: larger_of_both(number, b), 2.0)
b_nudged = slope_by_nudging(lambda number: larger_of_both(a, number), -3.0)
print("\nExercise 2: the maximum of 4 * a = 8 and b * b = 9")
print(f"  the maximum: {largest.data}")
print(f"  slope for a: by backward {a.grad:4.1f}, by nudging {a_nudged:4.1f}")
print(f"  slope for b: by backward {b.grad:4.1f}, by nudging {b_nudged:4.1f}")
assert (largest.data, a.grad, b.grad) == (9.0, 0.0, -6.0)
assert abs(a_nudged - a.grad) < 1e-8 and abs(b_nudged - b.grad) < 1e-8

# What if both are equal, say both 3? Then there is no single slope: if a grows, the
# maximum grows with it, and if a shrinks, b keeps the maximum where it is. A program
# has to choose. Ours has >=, which gives the 1 to the first of the two. (Another good
# choice is half for each, which torch.amax in PyTorch makes.)
#
# ReLU is such a maximum, that of x and 0. At x = 0 both are equal, and the chapter's
# relu has the slope 0 there. In maximum(0, x) the first of the two is the constant, so
# it gets the 1, and x gets the 0: the same choice. In maximum(x, 0), x would get the 1.
print("  x     slope of relu(x)   of maximum(0, x)")
for number in (-1.0, 0.0, 1.0):
    x_in_relu, x_in_maximum = Value(number), Value(number)
    x_in_relu.relu().backward()
    maximum(Value(0.0), x_in_maximum).backward()
    print(f"  {number:4.1f} {x_in_relu.grad:13.1f} {x_in_maximum.grad:18.1f}")
    assert x_in_relu.grad == x_in_maximum.grad

# %%
# Exercise 3. The class from memory.
#
# Hint 1: __init__ keeps data, inputs and local_grads, and sets grad to 0.
# Hint 2: for the order, list a node's inputs before the node, and go through the list
# backwards.
#
# Yours need not look like ours. Two things are left out here on purpose. There is no
# label, since backward() does not use it. And backward() does not set the grads to 0
# before it begins: they are 0 from __init__, and we call it only once. (A second call
# would add to what the first one left. The chapter's version can be called again.)


def list_inputs_first(node, order):
    """Append node to order, and before it all that it was computed from."""
    if node in order:
        return
    for input in node.inputs:
        list_inputs_first(input, order)
    order.append(node)


class Small:
    def __init__(self, data, inputs=(), local_grads=()):
        self.data = data
        self.inputs = inputs
        self.local_grads = local_grads
        self.grad = 0.0

    def __add__(self, other):
        return Small(self.data + other.data, (self, other), (1.0, 1.0))

    def __mul__(self, other):
        slopes = (other.data, self.data)
        return Small(self.data * other.data, (self, other), slopes)

    def backward(self):
        order = []
        list_inputs_first(self, order)
        self.grad = 1.0
        for node in reversed(order):
            for input, local_grad in zip(node.inputs, node.local_grads):
                share = local_grad * node.grad
                input.grad += share


# On paper: x * x * x + x is x ** 3 + x, and its slope is 3 * x ** 2 + 1. At x = 2 that
# is 13. The walk finds it in another way. x is used four times: once in the sum, once
# as the last factor of the product, and twice in x * x. Each use sends its share, and
# x.grad is the sum of the four. We collect them, in the order in which they arrive.
x = Small(2.0)
square = x * x
cube = square * x
y = cube + x
y.backward()
shares = []
for node in (y, cube, square):
    for input, local_grad in zip(node.inputs, node.local_grads):
        if input is x:
            shares.append(local_grad * node.grad)
print("\nExercise 3: the slope of x * x * x + x at x = 2")
print(f"  the shares of the four uses of x: {shares}")
print(f"  their sum, which is x.grad: {x.grad}")
print(f"  on paper: {3 * 2**2 + 1}")
assert shares == [1.0, 4.0, 4.0, 4.0]
assert x.grad == sum(shares) == 3 * 2**2 + 1

# The sum brings 1, and each of the three factors of the product brings 4, which is what
# the other two make when they are multiplied, 2 * 2. Did your class say 4 instead of
# 13? Then it has = where += belongs, and only the share that arrived last is left.
