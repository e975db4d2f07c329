"""The GPT of chapter 14: lists of floats, and a backward pass written by hand.

After each forward function stands its backward. It is told d_out, the slope of the
loss towards what the forward one returned, and returns the slope towards its inputs.
For one layer, as in the default model; microgpt.gpt is the same with a graph.
"""

from __future__ import annotations

import math

import course  # noqa: F401  (it sets the path on which microgpt is found)

from microgpt.value import sumprod


# out[i] = w[i][0] * x[0] + w[i][1] * x[1] + …: each x[j] reached every out[i] through
# w[i][j], so its slope is the sum of d_out[i] * w[i][j]: a dot with column j of w. And
# the slope of w[i][j] is the sum of d_out[i] * x[j] over all tokens that met it.
def linear(xs, w):  # (t, n_in), (n_out, n_in) -> (t, n_out)
    return [[sumprod(row, x) for row in w] for x in xs]


def linear_backward(d_out, xs, w):  # (t, n_out), … -> (t, n_in), (n_out, n_in)
    w_columns, x_columns = list(zip(*w)), list(zip(*xs))
    d_xs = [[sumprod(d, column) for column in w_columns] for d in d_out]
    d_w = [[sumprod(d, column) for column in x_columns] for d in zip(*d_out)]
    return d_xs, d_w


# y = x * scale: d_x = d_y * scale, if scale were a fixed number. But it shrinks when x
# grows, by -scale**3 * x[i] / n for each x[i], and that takes from every y.
def rmsnorm(xs):  # (t, n) -> (t, n), (t)
    scales = [(sumprod(x, x) / len(x) + 1e-5) ** -0.5 for x in xs]
    return [[xi * scale for xi in x] for x, scale in zip(xs, scales)], scales


def rmsnorm_backward(d_ys, ys, scales):
    d_xs = []
    for d_y, y, scale in zip(d_ys, ys, scales):
        shrink = sumprod(d_y, y) / len(y)
        d_xs.append([scale * (d - shrink * yi) for d, yi in zip(d_y, y)])
    return d_xs


# A larger score takes probability from all others. So its slope compares: is this
# d_prob larger than their mean, weighted by the probs? If all are equal, it is 0.
def softmax(scores):
    maximum = max(scores)
    exps = [math.exp(score - maximum) for score in scores]
    exps_sum = sum(exps)
    return [e / exps_sum for e in exps]


def softmax_backward(d_probs, probs):
    mean = sumprod(d_probs, probs)
    return [prob * (d - mean) for d, prob in zip(d_probs, probs)]


def attention(q, k, v, head):  # -> a slice of head_out (t, head_dim), weights (t, <= t)
    scale, out, weights = (head.stop - head.start) ** -0.5, [], []
    for t in range(len(q)):
        scores = [sumprod(q[t][head], k_s[head]) * scale for k_s in k[: t + 1]]
        weights.append(softmax(scores))
        columns = zip(*[v_s[head] for v_s in v[: t + 1]])
        out.append([sumprod(weights[t], column) for column in columns])
    return out, weights


# Query t met the keys and values of all s up to t. A product passes on to both sides.
def attention_backward(d_out, q, k, v, head, weights, d_q, d_k, d_v):
    scale = (head.stop - head.start) ** -0.5
    for t in range(len(q)):
        d_weights = [sumprod(d_out[t][head], v_s[head]) for v_s in v[: t + 1]]
        d_scores = softmax_backward(d_weights, weights[t])
        for s, d_score in enumerate(d_scores):
            for j in range(head.start, head.stop):
                d_q[t][j] += d_score * scale * k[s][j]
                d_k[s][j] += d_score * scale * q[t][j]
                d_v[s][j] += weights[t][s] * d_out[t][j]


def add(*lists):  # each (t, n) -> (t, n)
    return [[sum(column) for column in zip(*rows)] for rows in zip(*lists)]


def loss_and_gradients(w, n_head, tokens):
    """Return a document's loss, the slope of each weight, and the probabilities."""
    tokens = tokens[: len(w["wpe"]) + 1]
    n, n_embd = len(tokens) - 1, len(w["wpe"][0])
    wq, wk, wv, wo = [w[f"layer0.attn_w{name}"] for name in "qkvo"]
    fc1, fc2, lm_head = w["layer0.mlp_fc1"], w["layer0.mlp_fc2"], w["lm_head"]
    step = n_embd // n_head
    heads = [slice(h, h + step) for h in range(0, n_embd, step)]

    x0, scales0 = rmsnorm(add([w["wte"][token] for token in tokens[:n]], w["wpe"]))
    x1, scales1 = rmsnorm(x0)
    q, k, v = linear(x1, wq), linear(x1, wk), linear(x1, wv)
    outs, weights = zip(*[attention(q, k, v, head) for head in heads])
    head_out = [[number for part in parts for number in part] for parts in zip(*outs)]
    x2 = add(linear(head_out, wo), x0)
    x3, scales3 = rmsnorm(x2)
    hidden = [[max(0.0, h) for h in row] for row in linear(x3, fc1)]
    squares = [[h * h for h in row] for row in hidden]
    x4 = add(linear(squares, fc2), x2)
    probs = [softmax(logits) for logits in linear(x4, lm_head)]
    loss = -sum([math.log(p[target]) for p, target in zip(probs, tokens[1:])]) / n

    # And back, from the last line to the first. For the logits it is short: probs, less
    # 1 for the target. A residual passes d on twice: into its layer, and past it.
    d, d_w = [[p / n for p in row] for row in probs], {}
    for row, target in zip(d, tokens[1:]):
        row[target] -= 1 / n
    d_x4, d_w["lm_head"] = linear_backward(d, x4, lm_head)
    d, d_w["layer0.mlp_fc2"] = linear_backward(d_x4, squares, fc2)
    d = [[2 * h * dh for h, dh in zip(*rows)] for rows in zip(hidden, d)]
    d, d_w["layer0.mlp_fc1"] = linear_backward(d, x3, fc1)
    d_x2 = add(d_x4, rmsnorm_backward(d, x3, scales3))
    d, d_w["layer0.attn_wo"] = linear_backward(d_x2, head_out, wo)
    d_q, d_k, d_v = [[[0.0] * n_embd for _ in range(n)] for _ in "qkv"]
    for head, of_head in zip(heads, weights):
        attention_backward(d, q, k, v, head, of_head, d_q, d_k, d_v)
    d_q, d_w["layer0.attn_wq"] = linear_backward(d_q, x1, wq)
    d_k, d_w["layer0.attn_wk"] = linear_backward(d_k, x1, wk)
    d_v, d_w["layer0.attn_wv"] = linear_backward(d_v, x1, wv)
    d_x0 = add(d_x2, rmsnorm_backward(add(d_q, d_k, d_v), x1, scales1))
    d = rmsnorm_backward(d_x0, x0, scales0)
    for name in ("wte", "wpe"):
        d_w[name] = [[0.0] * n_embd for _ in w[name]]
    for t, token in enumerate(tokens[:n]):
        d_w["wpe"][t] = d[t]
        d_w["wte"][token] = add([d_w["wte"][token]], [d[t]])[0]  # it may come twice
    return loss, d_w, probs
