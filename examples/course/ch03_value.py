"""Chapter 3. Value: can a number remember how it was computed?

Chapter 2 ended with a price. Nudging finds one slope at a time, and each costs a run of
the whole model. On paper we did better: one derivation gave the slope for any place. A
person cannot do that for a model of thousands of parameters. But the steps that a model
computes are all of a simple kind, a sum here, a product there, and the slopes of such a
step are school calculus. So a program can do it, if only each number remembers the step
that made it.

In this chapter you watch such a number grow. It is a class called `Value`, with 45
lines of code when it is done, and two small functions beside it. Each piece is tried
out as soon as it is there: a number that remembers, then sums and products, then the
slopes of a single step (the *local gradients*), then a walk backward by hand, then the
same walk as code, and at last a few more operations. Such a class is called an
*autograd engine*, for automatic gradients, and the walk is *backpropagation*. At the
end we lay our class beside the package's own, in microgpt/value.py, which you can read
from then on.

Before you run it: `python examples/learn.py 3` asks you for a few guesses first. If you
go without it, write down what you expect for c = a * b and d = c + a, at a = 2 and
b = -3: if a grows by a tiny bit, does d grow or shrink, and how many times as much?

Sources: Wengert, "A simple automatic derivative evaluation program", 1964, for numbers
that carry their slopes along; Andrej Karpathy's micrograd, 2020, for teaching it so.
"""

# %%
import math

import common
from common import save_picture

import microgpt
from microgpt.tools.draw import graph_svg
from microgpt.value import topological_order

# Our example for the whole chapter, in plain numbers. Python computes it and forgets at
# once how it did: nothing in the number -4.0 says that it came from a and b.
a = 2.0
b = -3.0
c = a * b
d = c + a
print("In plain numbers")
print(f"  c = a * b = {c}")
print(f"  d = c + a = {d}")

# %%
# Piece 1: a number that remembers. It keeps the number itself as `data`, the Values
# that it was computed from as `inputs`, and what was done with them as `label`. A
# number that we wrote down ourselves was computed from nothing: it has no inputs.


class Value:
    def __init__(self, data, inputs=(), label=""):
        self.data = data
        self.inputs = inputs
        self.label = label

    def __repr__(self):
        return f"Value({self.data}, {self.label!r})"


a = Value(2.0, label="a")
print("\nPiece 1: a number that remembers")
print(f"  a is {a}, made from {a.inputs}")

# %%
# Piece 2: sums and products. When Python meets `a * b`, it calls `a.__mul__(b)`. There
# we compute the product and put it into a new Value, whose inputs are a and b.
#
# What if one side is a plain number, as in `a * 3`? We make a Value of it first. A
# constant is then a node like any other, and no operation needs a second version. (And
# in `3 * a` the 3 comes first and does not know what a Value is. Python then calls
# `a.__rmul__(3)`, and as a product is the same both ways, we let __mul__ do it.)
#
# The class is growing, so here it is again with the new lines. (as_value is written
# only once: Python looks up the name Value each time that as_value is called, and so
# finds the newest class of that name.)


def as_value(x):
    """Return x itself if it is a Value already, and otherwise a Value of it."""
    return x if isinstance(x, Value) else Value(x)


class Value:
    def __init__(self, data, inputs=(), label=""):
        self.data = data
        self.inputs = inputs
        self.label = label

    def __repr__(self):
        return f"Value({self.data}, {self.label!r})"

    def __add__(self, other):
        other = as_value(other)
        return Value(self.data + other.data, (self, other), "+")

    def __mul__(self, other):
        other = as_value(other)
        return Value(self.data * other.data, (self, other), "*")

    __radd__ = __add__
    __rmul__ = __mul__


a = Value(2.0, label="a")
b = Value(-3.0, label="b")
c = a * b
d = c + a
print("\nPiece 2: sums and products")
print(f"  d is {d}, made from {d.inputs}")
print(f"  the first of these is {d.inputs[0]}, made from {d.inputs[0].inputs}")
constant = (3 * a).inputs[1]
print(f"  and in 3 * a, the 3 became {constant}")

# So d knows its whole history: from d we can walk back to c and a, and from c to a and
# b. These Values, each pointing to its inputs, are called a *graph*, and each of them
# is a *node* of it. a and b, where it ends, are its *leaves*, and d is its *root*.

# %%
# Piece 3: the slopes of a single step. How does c = a * b depend on a? Make a larger by
# a tiny h, and c becomes (a + h) * b = a * b + h * b: larger by h * b. So the slope of
# c with respect to a is b. In the same way its slope with respect to b is a. And for a
# sum c + a, either part makes it larger by as much as it grows itself: both slopes are
# 1.
#
# These are called *local gradients*: they are about one step, and do not care what
# comes before or after. We know them as soon as the step is made, so we store them
# right there, one for each input. Only __init__ and the two operations change.


class Value:
    def __init__(self, data, inputs=(), local_grads=(), label=""):
        self.data = data
        self.inputs = inputs
        self.local_grads = local_grads  # new: d(this)/d(input), one for each input
        self.label = label

    def __repr__(self):
        return f"Value({self.data}, {self.label!r})"

    def __add__(self, other):
        other = as_value(other)
        return Value(self.data + other.data, (self, other), (1.0, 1.0), "+")

    def __mul__(self, other):
        other = as_value(other)
        slopes = (other.data, self.data)  # new: with respect to self, and to other
        return Value(self.data * other.data, (self, other), slopes, "*")

    __radd__ = __add__
    __rmul__ = __mul__


a = Value(2.0, label="a")
b = Value(-3.0, label="b")
c = a * b
d = c + a
print("\nPiece 3: local gradients")
print(f"  of c = a * b: {c.local_grads}, with respect to a and to b")
print(f"  of d = c + a: {d.local_grads}, with respect to c and to a")

# %%
# Piece 4: backward, by hand. What we really want is the slope of the result, d, with
# respect to each node. We call it the node's *gradient*, or grad for short. We start at
# d and work our way back, and at each node ask: if this one grows by a tiny h, by how
# much does d grow?
#
#   d   grows by h itself, of course. So the grad of d is 1.
#   c   d = c + a grows as fast as c does: the grad of c is 1.
#   a   is used twice. In d = c + a directly: that brings 1. And in c = a * b: there c
#       grows -3 times as much as a, and d as much as c, which brings -3 * 1. Both
#       happen at once, so they add up: the grad of a is 1 + (-3) = -2.
#   b   is used in c, which grows 2 times as much as b, and d as much as c: 2 * 1.
#
# Each time it was the same rule. A node gets, from every node that uses it, the local
# gradient of that use times the user's own grad, and what it gets is added up. In code:
d_grad = 1.0
c_grad = d.local_grads[0] * d_grad
a_grad = d.local_grads[1] * d_grad + c.local_grads[0] * c_grad
b_grad = c.local_grads[1] * c_grad
print("\nPiece 4: backward by hand")
print(f"  grad of d {d_grad}, c {c_grad}, a {a_grad}, b {b_grad}")


# Is it true? Chapter 2 taught us how to check: nudge, and look.
def d_of(a, b):
    """Return d, computed from plain numbers."""
    return a * b + a


h = 1e-5
a_nudged = (d_of(2 + h, -3) - d_of(2 - h, -3)) / (2 * h)
b_nudged = (d_of(2, -3 + h) - d_of(2, -3 - h)) / (2 * h)
print(f"  by nudging: a {a_nudged:.4f}, b {b_nudged:.4f}")
assert abs(a_nudged - a_grad) < 1e-8
assert abs(b_nudged - b_grad) < 1e-8

# So if a grows, d shrinks, twice as fast, although d = c + a seems to grow with a. The
# way through c is the stronger one.

# %%
# Piece 5: backward, as code. By hand we visited d first, then c, then a and b. A node's
# turn came only when all nodes that use it had had theirs, because before that its grad
# is not complete, and passing on half a grad gives a wrong result. How do we find such
# an order for any graph? We list the nodes so that each stands after its inputs, and
# then go through the list backwards. To list a node: first list its inputs (and before
# each of them, its own inputs, and so on), then append the node itself. A node that is
# already in the list is not listed again. (`node in order` asks for this very node, not
# for one with an equal number: our class does not define ==, and Python then compares
# objects by what they are.)


def list_inputs_first(node, order):
    """Append node to order, and before it all that it was computed from."""
    if node in order:
        return
    for input in node.inputs:
        list_inputs_first(input, order)
    order.append(node)


order = []
list_inputs_first(d, order)
print("\nPiece 5: an order for the walk")
print(f"  inputs first: {order}")
print(f"  backwards:    {order[::-1]}")

# (Chapter 5 uses this function again, so common.py has the same.)
same_order = []
common.list_inputs_first(d, same_order)
assert same_order == order


# Then the walk itself is the rule from above and nothing else. All grads begin at 0,
# the root gets 1, and each node in turn gives every input its share. Note the +=: what
# arrives is added to what is there. With = in its place, a would keep only what arrived
# last.
def backward(root):
    """Fill in grad, the slope of root with respect to it, of all nodes of the graph."""
    order = []
    list_inputs_first(root, order)
    for node in order:
        node.grad = 0.0
    root.grad = 1.0
    for node in reversed(order):
        for input, local_grad in zip(node.inputs, node.local_grads):
            share = local_grad * node.grad
            input.grad += share


backward(d)
print(f"  grad of d {d.grad}, c {c.grad}, a {a.grad}, b {b.grad}")
assert [d.grad, c.grad, a.grad, b.grad] == [d_grad, c_grad, a_grad, b_grad]

# The same numbers as by hand. And note what `backward` does not contain: nothing about
# sums, nothing about products. It knows no calculus at all, only multiplying and
# adding. All the calculus is in the local gradients.

# %%
# Piece 6: more operations. Each needs two things: how to compute it, and its slope.
# This is the whole class, in one piece. Read an operation aloud: "the exponential of
# self was computed from self, and its slope is the result again."
#
# A few lines besides the operations are new or changed, and marked. Every number is
# made a float, so that 3 and 3.0 print alike. Each node has a grad from the start, so
# that it can be printed before anyone has called backward(); until now, `backward`
# created it. And `backward` has moved into the class, as a method.


class Value:
    def __init__(self, data, inputs=(), local_grads=(), label=""):
        self.data = float(data)  # new: float()
        self.inputs = inputs
        self.local_grads = local_grads
        self.label = label
        self.grad = 0.0  # new

    def __repr__(self):  # new: shows grad
        return f"Value({self.data}, grad={self.grad}, {self.label!r})"

    def __add__(self, other):
        other = as_value(other)
        return Value(self.data + other.data, (self, other), (1.0, 1.0), "+")

    def __mul__(self, other):
        other = as_value(other)
        slopes = (other.data, self.data)
        return Value(self.data * other.data, (self, other), slopes, "*")

    # From here to __truediv__, all is new.

    def __pow__(self, n):  # n is a plain number
        slope = n * self.data ** (n - 1)
        return Value(self.data**n, (self,), (slope,), f"**{n}")

    def exp(self):
        result = math.exp(self.data)
        return Value(result, (self,), (result,), "exp")

    def log(self):
        return Value(math.log(self.data), (self,), (1 / self.data,), "log")

    def relu(self):  # self where it is positive, and 0 where it is not
        slope = 1.0 if self.data > 0 else 0.0
        result = self.data if self.data > 0 else 0.0
        return Value(result, (self,), (slope,), "relu")

    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + -as_value(other)

    def __truediv__(self, other):
        return self * as_value(other) ** -1

    __radd__ = __add__
    __rmul__ = __mul__

    def backward(self):  # as above, with self in place of root
        order = []
        list_inputs_first(self, order)
        for node in order:
            node.grad = 0.0
        self.grad = 1.0
        for node in reversed(order):
            for input, local_grad in zip(node.inputs, node.local_grads):
                input.grad += local_grad * node.grad


# Subtraction and division bring no new calculus: a - b is a plus -1 times b, and a / b
# is a times b ** -1. Why relu, which seems a strange thing to want? It is the simplest
# function that is not a straight line, and chapter 8 shows why a network needs one.
# What is its slope exactly at 0, where it bends? Calculus says there is none: on the
# left it is 0, on the right 1. A program has to choose, and ours says 0, as PyTorch
# does too. That hardly matters, since what goes into a relu is almost never exactly 0.
# (With a plain 1 on the left, 1 / x would need one more method, __rtruediv__. The table
# below makes a Value of the 1 instead.)
print("\nPiece 6: each operation at x = 2, its slope by backward and by nudging")
operations = {
    "x + 5": lambda x: x + 5,
    "x * x": lambda x: x * x,
    "x ** 3": lambda x: x**3,
    "x - 5": lambda x: x - 5,
    "6 * x / 4": lambda x: 6 * x / 4,
    "1 / x": lambda x: as_value(1) / x,
    "exp(x)": lambda x: x.exp(),
    "log(x)": lambda x: x.log(),
    "relu(x)": lambda x: x.relu(),
    "relu(x - 5)": lambda x: (x - 5).relu(),
}
print(f"  {'operation':12} {'result':>8} {'backward':>10} {'nudging':>10}")
for name, operation in operations.items():
    x = Value(2.0)
    y = operation(x)
    y.backward()
    above = operation(Value(2.0 + h)).data
    below = operation(Value(2.0 - h)).data
    nudged = (above - below) / (2 * h)
    print(f"  {name:12} {y.data:8.3f} {x.grad:10.3f} {nudged:10.3f}")
    assert abs(nudged - x.grad) < 1e-8

# %%
# Here is our graph as a picture, with the grads filled in. It is to be read from the
# top: first the leaves, then what was computed from them, and the result is the lowest
# box. Each use of a node has a line of its own, and on the line stands the local
# gradient of that use. Two lines leave a, because it is used twice: one ends in c, with
# -3 on it, and the other in d, with 1.
#
# backward() goes the other way, from the lowest box up. Check a's grad with a finger:
# along each line that leaves a, take the number on the line times the grad in the box
# where it ends, and add the two: -3 * 1 + 1 * 1 = -2.
a = Value(2.0, label="a")
b = Value(-3.0, label="b")
c = a * b
d = c + a
c.label = "c = a * b"
d.label = "d = c + a"
d.backward()
save_picture("ch03_value.svg", graph_svg(d))

# %%
# Now open microgpt/value.py and lay its class beside ours. Read the class `Value` only,
# from `__init__` to the end of `backward()`: you will recognise data, grad, inputs,
# local_grads, label, the operations and the walk. Three things in it may be new to you
# as Python:
# - `other: Value | float` and `-> Value` are type hints. They say what goes in and what
#   comes out, and do nothing else.
# - `leaf(other)` does the work of our as_value, and returns None for what is no number.
#   `return NotImplemented` then tells Python that this operation cannot be done here.
# - `try` and `except` replace some of Python's error messages by clearer ones.
# The rest can wait: topological_order() for chapter 5, dot for chapter 6, and all that
# has to do with `@overload` for ever, unless you use a type checker.
#
# Do the two classes agree? We compute something longer with both.


def something_long(a, b):
    """Use every operation at least once, and most numbers several times."""
    c = (a * b + 3) * a
    d = (c * c + 1).log() - (b / a).exp()
    e = d.relu() + (-d).relu() * 2
    return e**2 / 5 + a - 0.5 * b


print("\nOurs beside microgpt/value.py")
print(f"  {'':14} {'ours':>12} {'the package':>12}")
ours_a, ours_b = Value(2.0), Value(-3.0)
ours = something_long(ours_a, ours_b)
ours.backward()
theirs_a, theirs_b = microgpt.Value(2.0), microgpt.Value(-3.0)
theirs = something_long(theirs_a, theirs_b)
theirs.backward()
for name, mine, package in [
    ("result", ours.data, theirs.data),
    ("gradient of a", ours_a.grad, theirs_a.grad),
    ("gradient of b", ours_b.grad, theirs_b.grad),
]:
    print(f"  {name:14} {mine:12.6f} {package:12.6f}")
    assert abs(mine - package) < 1e-9


# The same numbers. But the graph is not quite the same, and neither is the list that
# backward() goes through. We can print both.
def names(order):
    """Return the labels of the nodes in a list, or the number where there is none."""
    return ", ".join([node.label or f"{node.data:g}" for node in order])


def example(a, b):
    """Return a - b / 4, from Values of either class."""
    return a - b / 4


our_order = []
list_inputs_first(example(Value(2.0, label="a"), Value(-3.0, label="b")), our_order)
theirs = example(microgpt.Value(2.0, label="a"), microgpt.Value(-3.0, label="b"))
their_order = topological_order(theirs)
print("\nThe nodes that backward() goes through for a - b / 4, inputs first")
print(f"  ours:        {names(our_order)}")
print(f"  the package: {names(their_order)}")
assert [node.label for node in their_order] == ["/", "-"]

# Ours has eight nodes: a, b, the 4, its power -1, the product of b with that, a leaf
# -1, another product, and a sum. The package's list has two. Four differences are worth
# knowing now:
# - Its `-` and `/` are operations of their own, one node each, with slopes of their
#   own. So is the minus sign in -x. Ours are made of + and * and **.
# - A plain number may stand on the left of every operation, so `1 / x` works as it is.
# - Its topological_order() leaves out the leaves, since they have nothing to pass on.
# - As backward() sets to 0 only the grads of the nodes that are listed, leaves keep
#   theirs, and add up what they get from several calls. Chapter 5 says what for.
#
# The rest makes it quicker, safer or more convenient. From here on, the
# course uses the package's Value.

# %%
# What production does. PyTorch and JAX work in the same way: a graph of operations,
# each with its slopes, and a walk backward. The difference is that a node of theirs
# holds millions of numbers instead of one, so the cost of the graph itself hardly
# matters.
#
# What is still missing. We checked that backward() is right, but why is it? A number
# may reach the result on many paths, more than anyone could count. The walk visits each
# node once. How can it have followed all the paths? That is the next chapter.
#
# Exercises. Hints and solutions are in ch03_solution.py.
# 1. Add sin() to the class: math.sin computes it. Check its slope by nudging.
# 2. Add the maximum of two Values, a.max(b), as one node. Which slopes does it have?
# 3. Close this file and write the class from memory with only +, * and backward(). Then
#    let it find the slope of x * x * x + x at x = 2, and check it on paper.
