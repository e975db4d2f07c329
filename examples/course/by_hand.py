"""The GPT once more, on lists of floats, with a backward pass that is written by hand.

There is no graph here and no Value. `forward` computes the loss of a document, line by
line, and keeps what each line gave. `backward` goes through the same lines from the
last to the first, and says for each of them: given the slope of the loss with respect
to what this line gave, what is it with respect to what the line was given? Appendix 2
of the course (course/chA2_lists.py) explains it, and checks all of it against Values;
benchmark.py times it.

The names are those of microgpt/model.py. A `d_` in front means "the slope of the loss
with respect to": d_x is a list like x, with a slope in the place of each number. Unlike
model.py, this goes through a document line by line for *all* tokens at once, so what
was a list for each token is here a list of lists: xs is (tokens, n_embd). It is for
models of one layer, such as the default one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from common import ROOT  # noqa: F401  (common.py makes the package be found)

from microgpt.value import sumprod

Vector = list[float]
Matrix = list[list[float]]
Weights = dict[str, Matrix]


# The pieces: each function of the forward pass, and below it its backward.


def linear(xs: Matrix, w: Matrix) -> Matrix:  # (t, n_in), (n_out, n_in) -> (t, n_out)
    """Return w times x for each x: out[i] = w[i][0] * x[0] + w[i][1] * x[1] + …."""
    return [[sumprod(row, x) for row in w] for x in xs]


def linear_backward(d_outs: Matrix, xs: Matrix, w: Matrix) -> tuple[Matrix, Matrix]:
    """Return (d_xs, d_w).

    x[j] went into every out[i], multiplied by w[i][j]. So d_x[j] is the sum over i of
    d_out[i] * w[i][j]: a dot product with *column* j, where forward it was with rows.
    And w[i][j] multiplied x[j] to give a part of out[i], for every token. So d_w[i][j]
    is the sum over all tokens of d_out[i] * x[j].
    """
    columns_of_w = list(zip(*w))
    d_xs = [[sumprod(d_out, column) for column in columns_of_w] for d_out in d_outs]
    x_over_tokens = list(zip(*xs))  # for each j: x[j] of the first token, the second, …
    d_out_over_tokens = list(zip(*d_outs))
    d_w = []
    for d_out_i in d_out_over_tokens:
        d_w.append([sumprod(d_out_i, x_j) for x_j in x_over_tokens])
    return d_xs, d_w


def rmsnorm(xs: Matrix) -> tuple[Matrix, Vector]:
    """Return (y = x * scale for each x, the scales)."""
    scales = [(sumprod(x, x) / len(x) + 1e-5) ** -0.5 for x in xs]
    ys = [[xi * scale for xi in x] for x, scale in zip(xs, scales)]
    return ys, scales


def rmsnorm_backward(d_ys: Matrix, ys: Matrix, scales: Vector) -> Matrix:
    """Return d_xs.

    If scale were a fixed number, d_x would be d_y * scale. But it depends on x: the
    slope of scale with respect to x[i] is -scale**3 * x[i] / n, where n is len(x). And
    scale multiplied every x[j]. So by the product rule d_x[i] is

        scale * d_y[i] - scale**3 * x[i] * (d_y · x) / n

    With y = x * scale, and along = (d_y · y) / n, this is

        scale * (d_y[i] - along * y[i])

    It takes out of d_y what would let all of y grow in proportion, which rmsnorm does
    not allow.
    """
    d_xs = []
    for d_y, y, scale in zip(d_ys, ys, scales):
        along = sumprod(d_y, y) / len(y)
        d_xs.append([scale * (d_yi - along * yi) for d_yi, yi in zip(d_y, y)])
    return d_xs


def softmax(scores: Sequence[float]) -> Vector:
    """Return the probabilities, as in model.py."""
    maximum = max(scores)
    exps = [math.exp(score - maximum) for score in scores]
    exps_sum = sum(exps)
    return [e / exps_sum for e in exps]


def softmax_backward(d_probs: Vector, probs: Vector) -> Vector:
    """Return d_scores.

    A larger score raises its own probability and lowers all others. So what counts is
    whether this d_prob is above the mean of them all, weighted by the probabilities. If
    all d_probs are equal, no score can change anything.
    """
    mean = sumprod(d_probs, probs)
    return [prob * (d_prob - mean) for d_prob, prob in zip(d_probs, probs)]


def relu_squared(hidden: Matrix) -> Matrix:
    """Return h * h where h is positive, and 0 elsewhere."""
    return [[max(0.0, h) ** 2 for h in row] for row in hidden]


def relu_squared_backward(d_activations: Matrix, hidden: Matrix) -> Matrix:
    """Return d_hidden: the slope of h * h is 2 * h, and that of 0 is 0."""
    d_hidden = []
    for d_row, row in zip(d_activations, hidden):
        d_hidden.append([d * 2 * max(0.0, h) for d, h in zip(d_row, row)])
    return d_hidden


def attention(
    q: Matrix, k: Matrix, v: Matrix, n_head: int
) -> tuple[Matrix, list[list[Vector]]]:
    """Return (what each token gathers, its weights for each attention head)."""
    gathered, all_weights = [], []
    for t in range(len(q)):
        of_token: Vector = []
        weights_of_token = []
        for head in head_slices(len(q[0]), n_head):
            scale = (head.stop - head.start) ** -0.5
            scores = [sumprod(q[t][head], k[s][head]) * scale for s in range(t + 1)]
            weights = softmax(scores)
            columns = zip(*[v[s][head] for s in range(t + 1)])
            of_token += [sumprod(weights, column) for column in columns]
            weights_of_token.append(weights)
        gathered.append(of_token)
        all_weights.append(weights_of_token)
    return gathered, all_weights


def attention_backward(
    d_gathered: Matrix,
    q: Matrix,
    k: Matrix,
    v: Matrix,
    all_weights: list[list[Vector]],
    n_head: int,
) -> tuple[Matrix, Matrix, Matrix]:
    """Return (d_q, d_k, d_v).

    Token t looked at every token s up to t. So what comes back at t goes to its own
    query, and to the key and value of every s: d_k[s] and d_v[s] collect from all later
    tokens. This is where the future teaches the past.
    """
    d_q, d_k, d_v = zeros_like(q), zeros_like(k), zeros_like(v)
    for t in range(len(q)):
        for h, head in enumerate(head_slices(len(q[0]), n_head)):
            weights = all_weights[t][h]
            d_out = d_gathered[t][head]
            scale = (head.stop - head.start) ** -0.5
            # out = weights[0] * v[0] + weights[1] * v[1] + …: a product passes to both.
            d_weights = [sumprod(d_out, v[s][head]) for s in range(t + 1)]
            d_scores = softmax_backward(d_weights, weights)
            for s in range(t + 1):
                d_dot = d_scores[s] * scale  # the slope of q[t] times k[s]
                for j in range(head.start, head.stop):
                    d_q[t][j] += d_dot * k[s][j]
                    d_k[s][j] += d_dot * q[t][j]
                    d_v[s][j] += weights[s] * d_gathered[t][j]
    return d_q, d_k, d_v


def head_slices(n_embd: int, n_head: int) -> list[slice]:
    """Return the part of a vector that belongs to each attention head."""
    head_dim = n_embd // n_head
    return [slice(h * head_dim, (h + 1) * head_dim) for h in range(n_head)]


def add(*matrices: Matrix) -> Matrix:  # each (t, n) -> (t, n)
    """Return the sum of matrices of one shape."""
    return [[sum(column) for column in zip(*rows)] for rows in zip(*matrices)]


def zeros_like(matrix: Matrix) -> Matrix:
    """Return a matrix of the same shape, all 0."""
    return [[0.0] * len(row) for row in matrix]


# The whole model, from the tokens to the loss and back.


@dataclass
class Forward:
    """What the lines of the forward pass gave, kept for the way back."""

    tokens: Sequence[int]
    n_head: int
    embedded: Matrix
    x0: Matrix  # the residual stream, normalised at the start
    scales0: Vector
    x0_norm: Matrix  # what attention reads
    scales1: Vector
    q: Matrix
    k: Matrix
    v: Matrix
    gathered: Matrix
    weights: list[list[Vector]]
    x1: Matrix  # the residual stream after attention
    x1_norm: Matrix  # what the MLP reads
    scales2: Vector
    hidden: Matrix
    activations: Matrix
    x2: Matrix  # the residual stream after the MLP
    probs: Matrix
    loss: float


def forward(w: Weights, n_head: int, tokens: Sequence[int]) -> Forward:
    """Return the mean loss of a document, and everything on the way to it."""
    tokens = tokens[: len(w["wpe"]) + 1]
    inputs, targets = tokens[:-1], tokens[1:]

    token_embeddings = [w["wte"][token] for token in inputs]
    pos_embeddings = w["wpe"][: len(inputs)]
    embedded = add(token_embeddings, pos_embeddings)
    x0, scales0 = rmsnorm(embedded)

    x0_norm, scales1 = rmsnorm(x0)
    q = linear(x0_norm, w["layer0.attn_wq"])
    k = linear(x0_norm, w["layer0.attn_wk"])
    v = linear(x0_norm, w["layer0.attn_wv"])
    gathered, weights = attention(q, k, v, n_head)
    x1 = add(x0, linear(gathered, w["layer0.attn_wo"]))

    x1_norm, scales2 = rmsnorm(x1)
    hidden = linear(x1_norm, w["layer0.mlp_fc1"])
    activations = relu_squared(hidden)
    x2 = add(x1, linear(activations, w["layer0.mlp_fc2"]))

    probs = [softmax(logits) for logits in linear(x2, w["lm_head"])]
    losses = [-math.log(p[target]) for p, target in zip(probs, targets)]
    loss = sum(losses) / len(losses)
    return Forward(
        tokens=tokens,
        n_head=n_head,
        embedded=embedded,
        x0=x0,
        scales0=scales0,
        x0_norm=x0_norm,
        scales1=scales1,
        q=q,
        k=k,
        v=v,
        gathered=gathered,
        weights=weights,
        x1=x1,
        x1_norm=x1_norm,
        scales2=scales2,
        hidden=hidden,
        activations=activations,
        x2=x2,
        probs=probs,
        loss=loss,
    )


def backward(w: Weights, f: Forward) -> tuple[dict[str, Matrix], Weights]:
    """Return (the slope of each number on the way, that of each weight), by name."""
    inputs, targets = f.tokens[:-1], f.tokens[1:]
    d: dict[str, Matrix] = {}
    d_w: Weights = {}

    # The loss is the mean of log(sum of exps) - logit of the target. The slope of the
    # first part with respect to a logit is its probability; of the second it is -1.
    d["logits"] = [[p / len(inputs) for p in row] for row in f.probs]
    for row, target in zip(d["logits"], targets):
        row[target] -= 1 / len(inputs)

    d["x2"], d_w["lm_head"] = linear_backward(d["logits"], f.x2, w["lm_head"])

    # x2 = x1 + fc2(…): a sum passes its slope on to both sides, unchanged. So d["x2"]
    # goes into the MLP here, and past it a few lines further down.
    d["activations"], d_w["layer0.mlp_fc2"] = linear_backward(
        d["x2"], f.activations, w["layer0.mlp_fc2"]
    )
    d["hidden"] = relu_squared_backward(d["activations"], f.hidden)
    d["x1_norm"], d_w["layer0.mlp_fc1"] = linear_backward(
        d["hidden"], f.x1_norm, w["layer0.mlp_fc1"]
    )
    through_mlp = rmsnorm_backward(d["x1_norm"], f.x1_norm, f.scales2)
    d["x1"] = add(d["x2"], through_mlp)

    # x1 = x0 + wo(…): the same again, through attention and past it.
    d["gathered"], d_w["layer0.attn_wo"] = linear_backward(
        d["x1"], f.gathered, w["layer0.attn_wo"]
    )
    d["q"], d["k"], d["v"] = attention_backward(
        d["gathered"], f.q, f.k, f.v, f.weights, f.n_head
    )
    from_q, d_w["layer0.attn_wq"] = linear_backward(
        d["q"], f.x0_norm, w["layer0.attn_wq"]
    )
    from_k, d_w["layer0.attn_wk"] = linear_backward(
        d["k"], f.x0_norm, w["layer0.attn_wk"]
    )
    from_v, d_w["layer0.attn_wv"] = linear_backward(
        d["v"], f.x0_norm, w["layer0.attn_wv"]
    )
    d["x0_norm"] = add(from_q, from_k, from_v)  # x0_norm was used three times
    through_attention = rmsnorm_backward(d["x0_norm"], f.x0_norm, f.scales1)
    d["x0"] = add(d["x1"], through_attention)
    d["embedded"] = rmsnorm_backward(d["x0"], f.x0, f.scales0)

    # Each token's slopes go to the two rows that were looked up for it. A letter that
    # comes twice adds to its row twice.
    d_w["wte"] = zeros_like(w["wte"])
    d_w["wpe"] = zeros_like(w["wpe"])
    for pos_id, token_id in enumerate(inputs):
        for j, slope in enumerate(d["embedded"][pos_id]):
            d_w["wte"][token_id][j] += slope
            d_w["wpe"][pos_id][j] += slope
    return d, d_w


def loss_and_gradients(
    w: Weights, n_head: int, tokens: Sequence[int]
) -> tuple[float, Weights, Matrix]:
    """Return (a document's loss, the slope of each weight, the probabilities)."""
    f = forward(w, n_head, tokens)
    _, d_w = backward(w, f)
    return f.loss, d_w, f.probs
