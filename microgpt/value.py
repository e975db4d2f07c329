"""A number that remembers how it was computed can say what each input did to it.

A *model*, in this package, is a calculation that turns some numbers (a text) into
others (a prediction of how the text goes on), and its *parameters* are the numbers in
it that can be adjusted so that the predictions get better. To adjust them we ask each
one: "if I made you a little larger, would the result get larger or smaller, and how
quickly?" The answer is a slope, or in the field's words the *gradient* of the result
with respect to that number. This file answers the question for any calculation made of
the operations below, however long. All the calculus in this package is here.

The idea: every operation makes a new `Value`, and stores beside the result how steeply
that one operation depends on each of its inputs. For `c = a * b` with a = 2 and b = -3,
making a larger by a tiny amount h makes c larger by -3 * h, so the slope is -3. Later,
`backward()` starts at the end of the calculation, multiplies the slopes along each path
that leads back to an input, and adds up the paths. This is the chain rule of calculus.
The method is called *reverse-mode automatic differentiation*, or *backpropagation*.

What a Value stores, with `c = a * b` (2 * -3) as the example:

    name          meaning                                             in c
    data          the number itself                                   -6.0
    grad          d(result)/d(this), which backward() fills in         0.0 until then
    inputs        the Values that it was computed from                (a, b)
    local_grads   d(this)/d(inputs[i]), known as soon as it is made   (-3.0, 2.0)
    label         the operation that made it, or a parameter's name   "*"

Some words that the whole package uses. The Values of a calculation, each pointing to
its inputs, form its *graph*, and a Value in it is a *node*. A *leaf* is a node that no
operation made: a number that went in, such as a model's parameter or the 3 in `3 * a`.
The *root* is the result, from which backward() starts.

No file comes before this one. Next comes `tokenizer.py`, which turns text into numbers.

Paper: Rumelhart, Hinton and Williams, "Learning representations by back-propagating
errors", Nature 323, 1986.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from operator import mul
from typing import Any, overload

if sys.version_info >= (3, 12):
    from math import sumprod
else:

    def sumprod(p: Sequence[Any], q: Sequence[Any], /) -> Any:
        """Return p[0] * q[0] + p[1] * q[1] + …, which Python 3.12 has in math."""
        return sum(map(mul, p, q))


class Value:
    """One number, together with the Values it was computed from and the slopes.

    You make the leaves yourself, and calculate with them as with floats. The slopes of
    each operation are there at once, before `backward()` has run:

    >>> a, b = Value(2.0), Value(-3.0)
    >>> c = a * b
    >>> c.local_grads          # d(c)/d(a) is b, and d(c)/d(b) is a
    (-3.0, 2.0)
    >>> y = c + a
    >>> y.backward()
    >>> y, c                   # c's grad is d(y)/d(c) = 1: y grows as fast as c does
    (Value(-4.0, grad=1.0, '+'), Value(-6.0, grad=1.0, '*'))
    >>> a.grad, b.grad         # a is used in c and again in y: -3 + 1
    (-2.0, 2.0)

    A Value points to its inputs, and they do not point back. No chain of pointers leads
    round in a circle, so as soon as the last variable that holds a result lets go of
    it, Python frees the whole graph at once. (Many engines store a function for each
    node that knows the node itself. That is a circle, and such a graph stays in memory
    until Python's garbage collector searches for it.)

    Two Values are equal only if they are the same object, whatever their numbers. That
    is Python's default, and it is what sets of Values rely on.
    """

    __slots__ = ("data", "grad", "inputs", "local_grads", "label")

    def __init__(
        self,
        data: float,
        inputs: tuple[Value, ...] = (),
        local_grads: tuple[float, ...] = (),
        label: str = "",
    ) -> None:
        if not inputs:  # a leaf: you may have given an int, or a text by mistake
            if isinstance(data, (str, bytes)):
                raise TypeError(f"a Value holds a number, not the text {data!r}")
            data = float(data)
        self.data = data
        self.grad = 0.0
        self.inputs = inputs
        self.local_grads = local_grads
        self.label = label

    def __repr__(self) -> str:
        if not hasattr(self, "label"):  # a debugger may ask in the middle of __init__
            return "Value(not built yet)"
        label = f", {self.label!r}" if self.label else ""
        return f"Value({self.data}, grad={self.grad}{label})"

    # The operations. Each one reads: the result, what it was computed from, and the
    # slope with respect to each input. Where one side is a plain number, such as the 3
    # in `3 - v`, it becomes a leaf of its own, so the graph shows everything that was
    # calculated. For an object of any other type we return NotImplemented. Python then
    # tries the other object's method, and raises a TypeError if that does not help.

    def __add__(self, other: Value | float) -> Value:
        other = other if isinstance(other, Value) else leaf(other)
        if other is None:
            return NotImplemented
        return Value(self.data + other.data, (self, other), (1.0, 1.0), "+")

    def __sub__(self, other: Value | float) -> Value:
        other = other if isinstance(other, Value) else leaf(other)
        if other is None:
            return NotImplemented
        return Value(self.data - other.data, (self, other), (1.0, -1.0), "-")

    def __mul__(self, other: Value | float) -> Value:
        other = other if isinstance(other, Value) else leaf(other)
        if other is None:
            return NotImplemented
        return Value(
            self.data * other.data, (self, other), (other.data, self.data), "*"
        )

    def __truediv__(self, other: Value | float) -> Value:
        other = other if isinstance(other, Value) else leaf(other)
        if other is None:
            return NotImplemented
        quotient = self.data / other.data
        # d(a / b)/d(a) = 1 / b, and d(a / b)/d(b) = -a / b**2 = -(a / b) / b.
        slopes = (1 / other.data, -quotient / other.data)
        return Value(quotient, (self, other), slopes, "/")

    def __pow__(self, exponent: Value | float) -> Value:
        """Return self ** exponent.

        A plain number as the exponent is treated as a part of the operation: "squared"
        is one operation, "to the power of -0.5" another. It stands in the label, as in
        "**2", and is not an input. (The slope with respect to an exponent needs the
        logarithm of the base, and there would be none for a negative base.) If you do
        want that slope, make the exponent a Value. A negative number to the power of
        0.5 is not a real number: ValueError.

        >>> x = Value(3.0)
        >>> (x ** 2).label, (x ** 2).local_grads, (x ** Value(2.0)).label
        ('**2', (6.0,), '**')
        """
        if isinstance(exponent, Value):
            return _power_of_values(self, exponent)
        if not isinstance(exponent, (int, float)):
            return NotImplemented
        base = self.data
        if base < 0 and exponent % 1:  # Python would return a complex number
            raise ValueError(f"{base} ** {exponent} is not a real number")
        try:
            power = base**exponent
            # The slope of x ** n is n * x ** (n - 1). That of x ** 0, which is always
            # 1, is 0: even at x = 0, where the formula has no value.
            slope = exponent * base ** (exponent - 1) if exponent else 0.0
        except ZeroDivisionError:
            raise ValueError(f"{base} ** {exponent} has no finite slope") from None
        except OverflowError:
            raise OverflowError(f"{base} ** {exponent} is too large") from None
        return Value(power, (self,), (slope,), f"**{exponent}")

    # Python calls these when a plain number stands on the left, as in `3 - v`.

    def __radd__(self, other: float) -> Value:
        left = leaf(other)
        return NotImplemented if left is None else left + self

    def __rsub__(self, other: float) -> Value:
        left = leaf(other)
        return NotImplemented if left is None else left - self

    def __rmul__(self, other: float) -> Value:
        left = leaf(other)
        return NotImplemented if left is None else left * self

    def __rtruediv__(self, other: float) -> Value:
        left = leaf(other)
        return NotImplemented if left is None else left / self

    def __rpow__(self, other: float) -> Value:
        left = leaf(other)
        return NotImplemented if left is None else left**self

    def __neg__(self) -> Value:
        return Value(-self.data, (self,), (-1.0,), "-")

    def exp(self) -> Value:
        """Return e ** self, whose slope is e ** self again."""
        try:
            result = math.exp(self.data)
        except OverflowError:
            raise OverflowError(f"exp({self.data}) is too large") from None
        return Value(result, (self,), (result,), "exp")

    def log(self) -> Value:
        """Return the natural logarithm; its slope is 1 / self.

        Of 0, and of negative numbers: ValueError.
        """
        if self.data <= 0:
            raise ValueError(f"log({self.data}) is not a real number")
        return Value(math.log(self.data), (self,), (1 / self.data,), "log")

    def relu(self) -> Value:
        """Return self where it is positive, and 0 where it is not.

        The slope is 1 or 0 likewise. ReLU is short for "rectified linear unit".
        """
        # nan ("not a number") comes of calculations such as inf - inf. Every comparison
        # with it is False, so here it gets past the `if` and stays nan, and the mistake
        # shows in the result. Had we asked `> 0`, it would become an innocent 0.
        if self.data <= 0:
            return Value(0.0, (self,), (0.0,), "relu")
        return Value(self.data, (self,), (1.0,), "relu")

    def tanh(self) -> Value:
        """Return the hyperbolic tangent, a number between -1 and 1.

        Its slope is 1 - tanh(self) ** 2.
        """
        result = math.tanh(self.data)
        return Value(result, (self,), (1 - result**2,), "tanh")

    def backward(self) -> None:
        """Fill in `grad`, the gradient d(self)/d(node), of every node below self.

        >>> x = Value(3.0)
        >>> y = x * x + x      # by school calculus the slope is 2 * x + 1
        >>> y.backward()
        >>> x.grad
        7.0

        First the computed nodes are listed in *topological order*: every node stands
        after its inputs. Then they are visited from the end of the list to its
        beginning, so each node's turn comes after that of everything that uses it. Why
        does that matter? A node passes `local_grad * node.grad` on to its inputs, so
        its own grad has to be complete before it does. Take b = a * 2, c = b * 3,
        y = b + c. There are two paths from y to b: one directly, with slope 1, and one
        through c, with slope 3. So b's grad is 1 + 3 = 4. If b passed its grad on
        before c had added the 3, then a would receive 2 * 1 = 2 in place of 2 * 4 = 8.

        Each node is visited once, even where there are many paths. Above, b adds up
        what arrives by both of them, and multiplies the sum by 2 a single time. Now let
        y be the b of a next such fork, and so on. After 100 forks there are 2**100
        paths, since each doubles them, and still only 200 nodes to visit, two for each
        fork.

        Why are the grads of computed nodes set to 0 first, and those of leaves not?
        What a computed node holds from an earlier call is of no use: it would be passed
        on again and counted twice. The leaves are a model's parameters, and there the
        sum over several calls is wanted: we may let the model read several texts, call
        backward() on each result, and only then change the parameters, by what all the
        texts together ask for. After the change, the leaves have to be cleared for the
        next texts. The optimizer in adam.py does that.
        """
        order = topological_order(self)
        for node in order:
            node.grad = 0.0
        # d(self)/d(self) is 1. (If self is a leaf, it was not cleared above: its grad
        # adds up over several calls, like that of any leaf.)
        self.grad += 1.0
        for node in reversed(order):
            node_grad = node.grad
            if node_grad == 0.0:  # nothing to pass on: half of all ReLUs, for example
                continue
            for input, local_grad in zip(node.inputs, node.local_grads):
                # += because an input that is used several times gets a part each time.
                input.grad += local_grad * node_grad


def leaf(x: Any) -> Any:
    """Return a new Value for a plain number, and None for anything else."""
    return Value(x) if isinstance(x, (int, float)) else None


def _power_of_values(base: Value, exponent: Value) -> Value:
    """Return base ** exponent, defined as exp(exponent * log(base)).

    The slope with respect to the base is n * b ** (n - 1), as before. With respect to
    the exponent it is log(b) * b ** n. A base of 0 or less has no log: ValueError.
    """
    if base.data <= 0:
        raise ValueError(
            f"{base.data} to the power of a Value: make the base larger than 0, "
            "or give the exponent as a plain number"
        )
    try:
        power = base.data**exponent.data
        slope_of_base = exponent.data * base.data ** (exponent.data - 1)
    except OverflowError:
        raise OverflowError(f"{base.data} ** {exponent.data} is too large") from None
    slope_of_exponent = math.log(base.data) * power
    return Value(power, (base, exponent), (slope_of_base, slope_of_exponent), "**")


def topological_order(root: Value) -> list[Value]:
    """Return the computed nodes below root, each after all of its inputs; root is last.

    Leaves are left out, since they have nothing to pass on: if the root itself is a
    leaf, the list is empty.

    >>> a = Value(1.0)
    >>> [node.label for node in topological_order((a + 2).exp() * a)]
    ['+', 'exp', '*']

    The method is depth-first search: before a node gets its place in the list, all of
    its inputs get theirs, and before those, the inputs of the inputs. The obvious way
    to write that is a function that calls itself. But Python allows calls only about
    1,000 deep, and a graph may be far deeper. So we keep the path from the root to the
    node we are at in a list of our own, `path`. Together with each node stands an
    iterator over those of its inputs that we have not looked at yet. (An iterator goes
    on where it stopped. When we come back to a node, we get the input that follows the
    one we descended into.) In the example, where a is a leaf:

        path                what happens
        *                   its first input is exp: descend into it
        *, exp              its input is +: descend
        *, exp, +           its inputs are leaves: + is placed in the order, go back up
        *, exp              no input is left: exp is placed, go back up
        *                   its second input, a, is a leaf; none is left: * is placed
    """
    order: list[Value] = []
    seen = {root}  # Values can be in a set: they are compared by identity
    path = [(root, iter(root.inputs))] if root.inputs else []
    while path:
        node, inputs_left = path[-1]
        for input in inputs_left:
            if input.inputs and input not in seen:
                seen.add(input)
                path.append((input, iter(input.inputs)))  # descend into this input
                break
        else:  # the loop ended without a break, so all inputs have their place by now
            order.append(node)
            path.pop()
    return order


# A model computes three kinds of sums thousands of times. Built from the operations
# above, each would make dozens of nodes. Here each is one node, with many inputs. They
# compute nothing that the operations above could not; they are what makes the package
# fast.
#
# They, and the functions exp and relu below, also take plain floats, and then return a
# plain float with the same digits. A model that learns needs gradients, and runs on
# Values. A model that only writes, or is measured, needs none: then the same lines of
# code run on floats, several times faster.
#
# The lines with @overload are for type checkers and editors only. They say that Values
# in give a Value out, and that floats in give a float out.


def _with_leaves(xs: Iterable[Any]) -> list[Value]:
    """Return xs with every plain number among the Values made a leaf."""
    return [x if isinstance(x, Value) else Value(x) for x in xs]


@overload
def dot(xs: Iterable[Value], ys: Iterable[Value]) -> Value: ...
@overload
def dot(xs: Iterable[float], ys: Iterable[float]) -> float: ...
def dot(xs: Iterable[Any], ys: Iterable[Any]) -> Any:
    """Return xs[0] * ys[0] + xs[1] * ys[1] + …, the dot product, as one node.

    Made of single `*` and `+`, it would be 2n - 1 nodes. The slope with respect to each
    x is the y that it was multiplied by, and the other way round. Lists of different
    lengths: ValueError.

    Values and plain numbers may be mixed. It is one node if xs begins with a Value. If
    xs begins with a plain number, and there is a Value later in xs or in ys, it becomes
    several nodes, since sumprod then uses the `*` and `+` of each pair. The result and
    its gradients are the same, up to rounding.

    >>> dot([Value(1), Value(2)], [Value(3), Value(4)])
    Value(11.0, grad=0.0, 'dot')
    >>> dot([1.0, 2.0], [3.0, 4.0])
    11.0
    """
    xs, ys = tuple(xs), tuple(ys)
    if len(xs) != len(ys):
        raise ValueError(f"dot of {len(xs)} and {len(ys)} numbers: give equally many")
    if not (xs and isinstance(xs[0], Value)):
        return sumprod(xs, ys)
    try:
        x_data = [x.data for x in xs]
        y_data = [y.data for y in ys]
        products_sum = sumprod(x_data, y_data)
    except (AttributeError, TypeError):
        # Not all of them are Values. (NumPy's numbers have a `data` too, but it is a
        # piece of memory.)
        return dot(_with_leaves(xs), _with_leaves(ys))
    return Value(products_sum, xs + ys, tuple(y_data + x_data), "dot")


@overload
def total(xs: Iterable[Value]) -> Value: ...
@overload
def total(xs: Iterable[float]) -> float: ...
def total(xs: Iterable[Any]) -> Any:
    """Return the sum of xs as one node; the slope with respect to each x is 1.

    Values and plain numbers may be mixed, as in `dot`.

    >>> total([Value(1), Value(2), Value(3)])
    Value(6.0, grad=0.0, 'total')
    """
    xs = tuple(xs)
    if not (xs and isinstance(xs[0], Value)):
        return sum(xs)
    xs = tuple(_with_leaves(xs))
    return Value(sum([x.data for x in xs]), xs, (1.0,) * len(xs), "total")


@overload
def logsumexp(xs: Iterable[Value]) -> Value: ...
@overload
def logsumexp(xs: Iterable[float]) -> float: ...
def logsumexp(xs: Iterable[Any]) -> Any:
    """Return log(exp(xs[0]) + exp(xs[1]) + …) as one node.

    The measure of a prediction needs it (see `cross_entropy` in model.py). The slope
    with respect to xs[i] is exp(xs[i]) divided by the sum of all the exps: the share
    that xs[i] has in the sum. No numbers at all: ValueError.

    Why subtract the maximum? exp(800) is too large for a float. exp(x - maximum) is at
    most 1, and the maximum is added back outside the log: the same number, in safety.

    >>> logsumexp([Value(800), Value(0)])
    Value(800.0, grad=0.0, 'logsumexp')
    """
    xs = tuple(xs)
    if not xs:
        raise ValueError("logsumexp of no numbers: give one or more")
    x_data = [as_float(x) for x in xs]
    maximum = max(x_data)
    exps = [math.exp(x - maximum) for x in x_data]
    exps_sum = sum(exps)
    result = maximum + math.log(exps_sum)
    are_values = [isinstance(x, Value) for x in xs]
    if not any(are_values):  # plain floats, all of them
        return result
    shares = tuple([e / exps_sum for e in exps])
    return Value(result, tuple(_with_leaves(xs)), shares, "logsumexp")


@overload
def exp(x: Value) -> Value: ...
@overload
def exp(x: float) -> float: ...
def exp(x: Any) -> Any:
    """Return e ** x, of a Value or of a float."""
    return x.exp() if isinstance(x, Value) else math.exp(x)


@overload
def relu(x: Value) -> Value: ...
@overload
def relu(x: float) -> float: ...
def relu(x: Any) -> Any:
    """Return x where it is positive and 0 where it is not, of a Value or of a float."""
    if isinstance(x, Value):
        return x.relu()
    return 0.0 if x <= 0 else x


def as_float(x: Value | float) -> float:
    """Return the plain number: the data of a Value, and a float as it is."""
    return x.data if isinstance(x, Value) else x
