"""Solutions to chapter 3. Read the hint first, try again, and then look at the code."""

# %%
import math

import common  # noqa: F401  (so that microgpt is found)

from microgpt.value import Value


def slope_by_nudging(function, x, h=1e-5):
    """Return the slope of a function from Value to Value, by a central difference."""
    return (function(Value(x + h)).data - function(Value(x - h)).data) / (2 * h)


# %%
# Exercise 1. The sine.
#
# Hint 1: an operation needs its result, its inputs, its slope and a label.
# Hint 2: the slope of sin(x) is cos(x).
#
# Here it is as a function, so that it works with the package's Value. In your own class
# it is a method with self in place of x. backward() need not know of it.


def sin(x):
    return Value(math.sin(x.data), (x,), (math.cos(x.data),), "sin")


def sin_of_square(x):
    return sin(x * x)


x = Value(0.5)
y = sin_of_square(x)
y.backward()
nudged = slope_by_nudging(sin_of_square, 0.5)
print("Exercise 1: the slope of sin(x * x) at 0.5")
print(f"  by backward {x.grad:.6f}, by nudging {nudged:.6f}")
assert abs(x.grad - nudged) < 1e-8

# %%
# Exercise 2. The maximum of two Values.
#
# Hint 1: if a is the larger one, and grows a little, what happens to the maximum?
# Hint 2: and if b, the smaller one, grows a little?
#
# The maximum is the larger one, so it moves with it: slope 1. It does not notice a
# small change in the smaller one: slope 0. (Where both are equal there is no single
# slope. We choose that of the first, as relu chooses 0 at 0.) ReLU is the maximum of x
# and 0.


def maximum(a, b):
    slopes = (1.0, 0.0) if a.data >= b.data else (0.0, 1.0)
    return Value(max(a.data, b.data), (a, b), slopes, "max")


a, b = Value(2.0), Value(-3.0)
largest = maximum(a * 4, b * b)
largest.backward()
print("\nExercise 2: the maximum of 4 * a = 8 and b * b = 9")
print(f"  {largest.data}, slopes: a {a.grad}, b {b.grad}")
assert (largest.data, a.grad, b.grad) == (9.0, 0.0, -6.0)

# %%
# Exercise 3. The class from memory.
#
# Hint 1: __init__ keeps data, inputs and local_grads, and sets grad to 0.
# Hint 2: for the order, list a node's inputs before the node, and go through the list
# backwards.
#
# On paper: the slope of x ** 3 + x is 3 * x ** 2 + 1, which is 13 at x = 2.


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

        def list_inputs_first(node):
            if node not in order:
                for input in node.inputs:
                    list_inputs_first(input)
                order.append(node)

        list_inputs_first(self)
        self.grad = 1.0
        for node in reversed(order):
            for input, local_grad in zip(node.inputs, node.local_grads):
                input.grad += local_grad * node.grad


x = Small(2.0)
y = x * x * x + x
y.backward()
print("\nExercise 3: the slope of x * x * x + x at 2")
print(f"  {x.grad}, on paper {3 * 2**2 + 1}")
assert x.grad == 13.0
