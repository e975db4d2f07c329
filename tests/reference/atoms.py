"""The slow, readable twin: the same GPT on an engine of + * ** log exp relu alone.

It imports nothing of microgpt. Every sum is made two numbers at a time, every node
keeps a function that passes its gradient on, and a document goes through the model
layer by layer, not token by token. Where the two agree, they are right, or wrong in the
same way. The engine is in the style of micrograd (Karpathy, 2020).
"""

from __future__ import annotations

import math


class Scalar:
    """One number, the numbers it was computed from, and how to pass its gradient on."""

    def __init__(self, data, children=()):
        self.data = data
        self.grad = 0.0
        self.children = set(children)
        self._backward = lambda: None

    def __add__(self, other):
        other = other if isinstance(other, Scalar) else Scalar(other)
        out = Scalar(self.data + other.data, (self, other))

        def _backward():
            self.grad += out.grad
            other.grad += out.grad

        out._backward = _backward
        return out

    def __mul__(self, other):
        other = other if isinstance(other, Scalar) else Scalar(other)
        out = Scalar(self.data * other.data, (self, other))

        def _backward():
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad

        out._backward = _backward
        return out

    def __pow__(self, exponent):
        out = Scalar(self.data**exponent, (self,))

        def _backward():
            self.grad += exponent * self.data ** (exponent - 1) * out.grad

        out._backward = _backward
        return out

    def log(self):
        out = Scalar(math.log(self.data), (self,))

        def _backward():
            self.grad += 1 / self.data * out.grad

        out._backward = _backward
        return out

    def exp(self):
        out = Scalar(math.exp(self.data), (self,))

        def _backward():
            self.grad += out.data * out.grad

        out._backward = _backward
        return out

    def relu(self):
        out = Scalar(max(0.0, self.data), (self,))

        def _backward():
            self.grad += (out.data > 0) * out.grad

        out._backward = _backward
        return out

    def backward(self):
        # A node is met twice: first its children go on the stack above it, and when
        # they are done it takes its place in the order.
        order, visited, stack = [], set(), [(self, False)]
        while stack:
            node, children_are_done = stack.pop()
            if children_are_done:
                order.append(node)
            elif node not in visited:
                visited.add(node)
                stack.append((node, True))
                stack += [(child, False) for child in node.children]
        self.grad = 1.0
        for node in reversed(order):
            node._backward()


def add(xs, ys):
    return [x + y for x, y in zip(xs, ys)]


def dot(xs, ys):
    return sum([x * y for x, y in zip(xs, ys)], Scalar(0.0))


def linear(x, w):  # (n_in), (n_out, n_in) -> (n_out)
    return [dot(row, x) for row in w]


def softmax(logits):
    exps = [logit.exp() for logit in logits]
    normaliser = sum(exps, Scalar(0.0))
    return [e * normaliser**-1 for e in exps]


def rmsnorm(x):
    mean_square = dot(x, x) * (1 / len(x))
    return [xi * (mean_square + 1e-5) ** -0.5 for xi in x]


def attention(
    q, keys, values
):  # (head_dim), (t, head_dim), (t, head_dim) -> (head_dim)
    scores = [dot(q, key) * len(q) ** -0.5 for key in keys]
    weights = softmax(scores)
    return [dot(weights, column) for column in zip(*values)]


def gpt(params, n_layer, n_head, tokens):  # -> (len(tokens), vocab_size)
    embeddings = zip([params["wte"][token] for token in tokens], params["wpe"])
    xs = [rmsnorm(add(of_token, of_place)) for of_token, of_place in embeddings]
    head_dim = len(xs[0]) // n_head
    for layer in range(n_layer):
        w = {name: params[f"layer{layer}.{name}"] for name in LAYER_MATRICES}
        queries = [linear(rmsnorm(x), w["attn_wq"]) for x in xs]
        keys = [linear(rmsnorm(x), w["attn_wk"]) for x in xs]
        values = [linear(rmsnorm(x), w["attn_wv"]) for x in xs]
        for t in range(len(xs)):
            gathered = []
            for start in range(0, n_head * head_dim, head_dim):
                head = slice(start, start + head_dim)
                past_keys = [key[head] for key in keys[: t + 1]]
                past_values = [value[head] for value in values[: t + 1]]
                gathered += attention(queries[t][head], past_keys, past_values)
            xs[t] = add(xs[t], linear(gathered, w["attn_wo"]))
            hidden = [x.relu() ** 2 for x in linear(rmsnorm(xs[t]), w["mlp_fc1"])]
            xs[t] = add(xs[t], linear(hidden, w["mlp_fc2"]))
    return [linear(x, params["lm_head"]) for x in xs]


LAYER_MATRICES = ("attn_wq", "attn_wk", "attn_wv", "attn_wo", "mlp_fc1", "mlp_fc2")


def loss_and_gradients(matrices, n_layer, n_head, tokens):
    """Return the mean loss of a document and a gradient for each number in matrices.

    matrices and the gradients are {name: rows of floats}.
    """
    params = {
        name: [[Scalar(number) for number in row] for row in matrix]
        for name, matrix in matrices.items()
    }
    n = min(len(params["wpe"]), len(tokens) - 1)
    losses = []
    for logits, target in zip(gpt(params, n_layer, n_head, tokens[:n]), tokens[1:]):
        losses.append(softmax(logits)[target].log() * -1)
    loss = sum(losses, Scalar(0.0)) * (1 / n)
    loss.backward()
    gradients = {
        name: [[weight.grad for weight in row] for row in matrix]
        for name, matrix in params.items()
    }
    return loss.data, gradients
