"""A number that remembers how it was computed can say what each input did to it.

Every operation makes a new `Value` and stores, beside the result, the slope of that
one operation towards each of its inputs. `backward()` multiplies the slopes along every
path from the result to a number that went in, and adds the paths up: the chain rule.
This is reverse-mode automatic differentiation; it is all the calculus there is here.
Nothing comes before this file. Next: `tokenizer.py`, which turns text into numbers.

    name          meaning                                            for a * b, 2 * -3
    data          the number                                         -6.0
    grad          d(result)/d(this), filled in by backward()          1.0
    inputs        the Values it was computed from                    (a, b)
    local_grads   d(this)/d(inputs[i]), known as soon as it is made  (-3.0, 2.0)
    label         the operation that made it, or a parameter's name  "*"

Paper: Rumelhart, Hinton and Williams, "Learning representations by back-propagating
errors", Nature 323, 1986.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from operator import mul

if sys.version_info >= (3, 12):
    from math import sumprod
else:

    def sumprod(p: Sequence[float], q: Sequence[float], /) -> float:
        """Return p[0] * q[0] + p[1] * q[1] + …, which Python 3.12 has in math."""
        return float(sum(map(mul, p, q)))


class Value:
    """One number, with what it was computed from and the slopes towards that.

    The slopes are stored as plain floats, not as functions to call later: they can be
    printed before `backward()` runs, and a graph, which then holds no reference cycle,
    is freed as soon as its result is.

    >>> a, b = Value(2.0), Value(-3.0)
    >>> c = a * b
    >>> c.backward()
    >>> c, a.grad, b.grad
    (Value(-6.0, grad=1.0, '*'), -3.0, 2.0)
    """

    __slots__ = ("data", "grad", "inputs", "local_grads", "label")

    def __init__(
        self,
        data: float,
        inputs: tuple[Value, ...] = (),
        local_grads: tuple[float, ...] = (),
        label: str = "",
    ) -> None:
        # A number that no operation made (a leaf) may be an int: make it a float.
        self.data = data if inputs else float(data)
        self.grad = 0.0
        self.inputs = inputs
        self.local_grads = local_grads
        self.label = label

    def __repr__(self) -> str:
        label = f", {self.label!r}" if self.label else ""
        return f"Value({self.data}, grad={self.grad}{label})"

    # Each operation reads: the result, what it came from, its slope towards each input.

    def __add__(self, other: Value | float) -> Value:
        if isinstance(other, Value):
            return Value(self.data + other.data, (self, other), (1.0, 1.0), "+")
        return Value(self.data + float(other), (self,), (1.0,), "+")

    def __sub__(self, other: Value | float) -> Value:
        if isinstance(other, Value):
            return Value(self.data - other.data, (self, other), (1.0, -1.0), "-")
        return Value(self.data - float(other), (self,), (1.0,), "-")

    def __mul__(self, other: Value | float) -> Value:
        if isinstance(other, Value):
            slopes = (other.data, self.data)
            return Value(self.data * other.data, (self, other), slopes, "*")
        return Value(self.data * float(other), (self,), (float(other),), "*")

    def __truediv__(self, other: Value | float) -> Value:
        divisor = other.data if isinstance(other, Value) else float(other)
        if divisor == 0:
            raise ValueError(f"{self.data} / {divisor} is not a number")
        quotient = self.data / divisor
        if isinstance(other, Value):
            slopes = (1 / divisor, -quotient / divisor)
            return Value(quotient, (self, other), slopes, "/")
        return Value(quotient, (self,), (1 / divisor,), "/")

    def __pow__(self, exponent: float) -> Value:
        base = self.data
        if base < 0 and exponent % 1:
            raise ValueError(f"{base} ** {exponent} is not a real number")
        try:
            power = base**exponent
            # The slope of x ** 0 is 0, even at x = 0 where 0 * x ** -1 has no value.
            slope = exponent * base ** (exponent - 1) if exponent else 0.0
        except ZeroDivisionError:
            raise ValueError(f"{base} ** {exponent} has no finite slope") from None
        except OverflowError:
            raise OverflowError(f"{base} ** {exponent} is too large") from None
        return Value(power, (self,), (slope,), "**")

    __radd__ = __add__
    __rmul__ = __mul__

    def __neg__(self) -> Value:
        return self * -1.0

    def __rsub__(self, other: float) -> Value:
        return -self + other

    def __rtruediv__(self, other: float) -> Value:
        return Value(other) / self

    def exp(self) -> Value:
        """Return e ** self; its slope is itself."""
        try:
            result = math.exp(self.data)
        except OverflowError:
            raise OverflowError(f"exp({self.data}) is too large") from None
        return Value(result, (self,), (result,), "exp")

    def log(self) -> Value:
        """Return the natural logarithm; slope 1 / self. 0 or less: ValueError."""
        if self.data <= 0:
            raise ValueError(f"log({self.data}) is not a real number")
        return Value(math.log(self.data), (self,), (1 / self.data,), "log")

    def relu(self) -> Value:
        """Return self if it is positive, else 0; the slope is 1 or 0 likewise."""
        # Asked this way round, nan (which is not <= 0) stays nan and is noticed.
        if self.data <= 0:
            return Value(0.0, (self,), (0.0,), "relu")
        return Value(self.data, (self,), (1.0,), "relu")

    def tanh(self) -> Value:
        """Return the hyperbolic tangent, from -1 to 1; its slope is 1 - tanh ** 2."""
        result = math.tanh(self.data)
        return Value(result, (self,), (1 - result * result,), "tanh")

    def backward(self) -> None:
        """Fill in `grad`, the gradient d(self)/d(node), of every node below self.

        Leaves (parameters) add up what successive calls give them, until an optimiser
        clears them; the nodes between are cleared at each call.

        >>> x = Value(3.0)
        >>> y = x * x + x       # two uses of x, and so two paths: slope 2 * x + 1
        >>> y.backward()
        >>> x.grad
        7.0
        """
        order = topological_order(self)
        for node in order:
            node.grad = 0.0
        self.grad = 1.0
        # In reverse, so that a node has all of its gradient before it passes any on.
        for node in reversed(order):
            grad = node.grad
            if grad:  # 0 is nothing to pass on: many a ReLU is off
                for input, local_grad in zip(node.inputs, node.local_grads):
                    input.grad += local_grad * grad


def topological_order(root: Value) -> list[Value]:
    """Return the computed nodes under root, each after all of its inputs; root is last.

    Leaves are left out: they have nothing to pass on. This is depth-first search with a
    stack of its own, of nodes and their inputs not yet looked at. A function that calls
    itself would meet Python's recursion limit in a deep graph.

    >>> a = Value(1.0)
    >>> [node.label for node in topological_order((a + 2).exp() * a)]
    ['+', 'exp', '*']
    """
    order = []
    visited = {root}
    stack = [(root, iter(root.inputs))]
    while stack:
        node, inputs = stack[-1]
        for input in inputs:
            if input.inputs and input not in visited:
                visited.add(input)
                stack.append((input, iter(input.inputs)))
                break
        else:
            # Every input has its place by now, so this node may take the next one.
            order.append(node)
            stack.pop()
    return order


# Three sums that a model computes thousands of times, each one node in place of many.
# They give nothing that + * exp log could not; they are what makes it fast.


def dot(xs: Sequence[Value], ys: Sequence[Value]) -> Value:
    """Return xs[0] * ys[0] + xs[1] * ys[1] + … as one node with 2n inputs.

    Made of single `*` and `+` it would be 2n - 1 nodes. The slope towards each x is the
    y it was multiplied by, and the other way round. Unequal lengths: ValueError.

    >>> dot([Value(1), Value(2)], [Value(3), Value(4)])
    Value(11.0, grad=0.0, 'dot')
    """
    if len(xs) != len(ys):
        raise ValueError(f"dot of {len(xs)} and {len(ys)} numbers: give equally many")
    x_data = tuple([x.data for x in xs])
    y_data = tuple([y.data for y in ys])
    return Value(sumprod(x_data, y_data), (*xs, *ys), y_data + x_data, "dot")


def total(xs: Sequence[Value]) -> Value:
    """Return the sum of xs as one node; each slope is 1.

    >>> total([Value(1), Value(2), Value(3)])
    Value(6.0, grad=0.0, 'total')
    """
    return Value(sum([x.data for x in xs]), tuple(xs), (1.0,) * len(xs), "total")


def logsumexp(xs: Sequence[Value]) -> Value:
    """Return log(exp(xs[0]) + exp(xs[1]) + …) as one node; the slopes are softmax(xs).

    Why subtract the maximum? exp(800) is too large for a float. exp(x - maximum) is at
    most 1, and the maximum is added back outside the log: the same number, in safety.

    >>> logsumexp([Value(800), Value(0)])
    Value(800.0, grad=0.0, 'logsumexp')
    """
    x_data = [x.data for x in xs]
    maximum = max(x_data)
    exps = [math.exp(x - maximum) for x in x_data]
    exps_sum = sum(exps)
    probs = tuple([e / exps_sum for e in exps])
    return Value(maximum + math.log(exps_sum), tuple(xs), probs, "logsumexp")
