"""The same GPT on three engines, so that their costs can be compared.

An engine here is a kind of number that knows its slopes, together with the two sums
that are worth a node of their own. The model below is written once, with the engine
handed in; nothing is looked up elsewhere, so all engines can be used side by side:

    closures   every + * ** exp log relu makes a node, with a set of its inputs and a
               function (a closure) that passes the gradient on. The style of micrograd.
    stored     the same nodes, but each is a `Value`, which stores its slopes as numbers
    microgpt   `document_loss` of the package: a whole dot product is one node

    python examples/course/benchmark.py     times them, beside floats without any graph

Papers and sources: Karpathy, micrograd, 2020; Griewank and Walther, "Evaluating
derivatives", 2nd edition, 2008.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from common import ROOT as ROOT  # which also makes the package be found

from microgpt.model import GPTConfig, Params, document_loss
from microgpt.value import Value


class Closure:
    """One number, the set of its inputs, and a function that passes its gradient on.

    The function knows the node and the node knows the function: a circle. So a graph of
    these is not freed when the last variable lets go of it, but only when Python's
    garbage collector finds it.
    """

    def __init__(self, data: float, inputs: tuple[Closure, ...] = ()) -> None:
        self.data = data
        self.grad = 0.0
        self.inputs = set(inputs)
        self._backward: Callable[[], None] = lambda: None

    def __add__(self, other: Closure | float) -> Closure:
        right = other if isinstance(other, Closure) else Closure(other)
        out = Closure(self.data + right.data, (self, right))

        def _backward() -> None:
            self.grad += out.grad
            right.grad += out.grad

        out._backward = _backward
        return out

    def __mul__(self, other: Closure | float) -> Closure:
        right = other if isinstance(other, Closure) else Closure(other)
        out = Closure(self.data * right.data, (self, right))

        def _backward() -> None:
            self.grad += right.data * out.grad
            right.grad += self.data * out.grad

        out._backward = _backward
        return out

    def __pow__(self, exponent: float) -> Closure:
        out = Closure(self.data**exponent, (self,))

        def _backward() -> None:
            self.grad += exponent * self.data ** (exponent - 1) * out.grad

        out._backward = _backward
        return out

    def exp(self) -> Closure:
        """Return e ** self."""
        out = Closure(math.exp(self.data), (self,))

        def _backward() -> None:
            self.grad += out.data * out.grad

        out._backward = _backward
        return out

    def log(self) -> Closure:
        """Return the natural logarithm."""
        out = Closure(math.log(self.data), (self,))

        def _backward() -> None:
            self.grad += 1 / self.data * out.grad

        out._backward = _backward
        return out

    def relu(self) -> Closure:
        """Return self where it is positive, and 0 where it is not."""
        out = Closure(max(0.0, self.data), (self,))

        def _backward() -> None:
            self.grad += (out.data > 0) * out.grad

        out._backward = _backward
        return out

    def backward(self) -> None:
        """Fill in the gradient of every node below this one."""
        order: list[Closure] = []
        seen: set[Closure] = set()
        # A node is met twice: first its inputs are put above it, and once they are done
        # it takes its place in the order.
        stack = [(self, False)]
        while stack:
            node, inputs_are_done = stack.pop()
            if inputs_are_done:
                order.append(node)
            elif node not in seen:
                seen.add(node)
                stack.append((node, True))
                stack += [(node_input, False) for node_input in node.inputs]
        self.grad = 1.0
        for node in reversed(order):
            node._backward()


class Engine(NamedTuple):
    """A kind of number, and whether the model is built of single operations of it."""

    name: str
    number: Callable[[float], Any]
    is_fused: bool  # whether it is the package's own model, with a node a dot product


CLOSURES = Engine("closures and sets", Closure, is_fused=False)
STORED = Engine("stored slopes", Value, is_fused=False)
MICROGPT = Engine("microgpt (fused nodes)", Value, is_fused=True)
ENGINES = (CLOSURES, STORED, MICROGPT)


def params_for(engine: Engine, params: Params) -> Params:
    """Return new parameters with the same data, made of the engine's own numbers."""
    return {
        name: [[engine.number(float(weight.data)) for weight in row] for row in matrix]
        for name, matrix in params.items()
    }


def loss_on(
    engine: Engine, params: Params, config: GPTConfig, tokens: Sequence[int]
) -> Any:
    """Return the mean loss of a document: the engine's number, on top of its graph."""
    if engine.is_fused:
        return document_loss(params, config, tokens)
    n = min(config.block_size, len(tokens) - 1)
    zero = engine.number(0.0)
    xs = []
    for t in range(n):
        x = _add(params["wte"][tokens[t]], params["wpe"][t])
        xs.append(_rmsnorm(x, zero))
    for layer in range(config.n_layer):
        matrices = {
            name.split(".")[1]: matrix
            for name, matrix in params.items()
            if name.startswith(f"layer{layer}.")
        }
        xs = _layer(xs, matrices, config.n_head, zero)
    losses = []
    for x, target_id in zip(xs, tokens[1:]):
        probs = _softmax(_linear(x, params["lm_head"], zero), zero)
        losses.append(probs[target_id].log() * -1)
    return _total(losses, zero) * (1 / n)


def count_nodes(root: Any) -> int:
    """Return how many nodes were computed from others, root among them."""
    seen, stack, n = {root}, [root], 0
    while stack:
        inputs = set(stack.pop().inputs)
        n += bool(inputs)
        stack += inputs - seen
        seen |= inputs
    return n


# The model of microgpt/model.py again, two numbers at a time. `zero` is where a sum
# begins; it also says which engine the numbers belong to. Unlike the package's, it goes
# through a document layer by layer, so that there are two ways to the same loss.


def _total(xs: Sequence[Any], zero: Any) -> Any:
    return sum(xs, zero)


def _dot(xs: Sequence[Any], ys: Sequence[Any], zero: Any) -> Any:
    return _total([x * y for x, y in zip(xs, ys)], zero)


def _add(xs: Sequence[Any], ys: Sequence[Any]) -> list[Any]:
    return [x + y for x, y in zip(xs, ys)]


def _linear(x: Sequence[Any], w: Sequence[Any], zero: Any) -> list[Any]:
    return [_dot(row, x, zero) for row in w]


def _softmax(logits: Sequence[Any], zero: Any) -> list[Any]:
    exps = [logit.exp() for logit in logits]
    exps_sum = _total(exps, zero)
    return [e * exps_sum**-1 for e in exps]


def _rmsnorm(x: Sequence[Any], zero: Any) -> list[Any]:
    mean_square = _dot(x, x, zero) * (1 / len(x))
    scale = (mean_square + 1e-5) ** -0.5
    return [xi * scale for xi in x]


def _layer(xs: list[Any], w: dict[str, Any], n_head: int, zero: Any) -> list[Any]:
    normed = [_rmsnorm(x, zero) for x in xs]
    queries = [_linear(x, w["attn_wq"], zero) for x in normed]
    keys = [_linear(x, w["attn_wk"], zero) for x in normed]
    values = [_linear(x, w["attn_wv"], zero) for x in normed]
    head_dim = len(xs[0]) // n_head
    after = []
    for t, x in enumerate(xs):
        gathered: list[Any] = []
        for h in range(n_head):
            head = slice(h * head_dim, (h + 1) * head_dim)
            scores = []
            for key in keys[: t + 1]:
                scores.append(_dot(queries[t][head], key[head], zero) * head_dim**-0.5)
            weights = _softmax(scores, zero)
            columns = zip(*[value[head] for value in values[: t + 1]])
            gathered += [_dot(weights, column, zero) for column in columns]
        x = _add(x, _linear(gathered, w["attn_wo"], zero))
        hidden = _linear(_rmsnorm(x, zero), w["mlp_fc1"], zero)
        activations = [h.relu() ** 2 for h in hidden]
        after.append(_add(x, _linear(activations, w["mlp_fc2"], zero)))
    return after
