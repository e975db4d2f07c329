"""A GPT predicts the next token from the tokens so far; this file is all of it.

Before this came `value.py`, and the model is nothing but Values; next comes `adam.py`,
which makes it better. Tokens come one at a time. Each becomes a list of `n_embd`
numbers, `x`, that flows through the layers. A layer adds to x twice: what attention
gathers from the tokens so far, and what a small network, the multi-layer perceptron or
MLP, makes of the sum. At the end x becomes one number, a logit, for every token that
might come next: the larger, the likelier.

    Vector   a list of Values                             x, q, logits
    Matrix   a list of rows, one row for each output      params["lm_head"], (27, 16)
    keys     keys[layer][t]: the Vector by which the token at position t can be found
    values   values[layer][t]: the Vector it hands over to those that find it

Signpost: GPT-2 has LayerNorm where this has RMSNorm, GELU where this has squared ReLU,
a bias on every linear, and for lm_head it uses wte again.

Papers: Vaswani et al., "Attention is all you need", 2017; Radford et al., "Language
models are unsupervised multitask learners" (GPT-2), 2019.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from microgpt.value import Value, dot, logsumexp, sumprod, total

Vector = list[Value]
Matrix = list[Vector]
Params = dict[str, Matrix]


@dataclass(frozen=True)
class GPTConfig:
    """The sizes of a model. Below 1, or n_head does not divide n_embd: ValueError.

    >>> GPTConfig(vocab_size=27).head_dim
    4
    """

    vocab_size: int  # how many different tokens there are
    block_size: int = 8  # how many tokens the model can see
    n_layer: int = 1
    n_head: int = 4  # heads of attention in a layer
    n_embd: int = 16  # numbers in x

    def __post_init__(self) -> None:
        for name, size in vars(self).items():
            if type(size) is not int or size < 1:
                raise ValueError(
                    f"{name} is {size!r}: make it a whole number, 1 or more"
                )
        if self.n_embd % self.n_head:
            raise ValueError(
                f"n_embd {self.n_embd} does not divide into n_head {self.n_head} equal "
                f"heads: make it a multiple, such as {self.n_head * 4}"
            )

    @property
    def head_dim(self) -> int:
        """How many of the n_embd numbers each head has to itself."""
        return self.n_embd // self.n_head


def param_shapes(config: GPTConfig) -> dict[str, tuple[int, int]]:
    """Return the name and (n_out, n_in) of every weight matrix, in the order drawn."""
    n_embd = config.n_embd
    shapes = {
        "wte": (config.vocab_size, n_embd),  # token embedding: a row for each token
        "wpe": (config.block_size, n_embd),  # position embedding: one for each position
        "lm_head": (config.vocab_size, n_embd),  # language-model head: x to logits
    }
    for layer in range(config.n_layer):
        shapes[f"layer{layer}.attn_wq"] = (n_embd, n_embd)
        shapes[f"layer{layer}.attn_wk"] = (n_embd, n_embd)
        shapes[f"layer{layer}.attn_wv"] = (n_embd, n_embd)
        shapes[f"layer{layer}.attn_wo"] = (n_embd, n_embd)
        shapes[f"layer{layer}.mlp_fc1"] = (4 * n_embd, n_embd)
        shapes[f"layer{layer}.mlp_fc2"] = (n_embd, 4 * n_embd)
    return shapes


def init_params(config: GPTConfig, rng: random.Random) -> Params:
    """Return new parameters: small random numbers, each labelled with its place.

    attn_wo and mlp_fc2, through which a layer adds to x, start at 0: at first it adds
    nothing, and learns what to add.
    """
    params = {}
    for name, (n_out, n_in) in param_shapes(config).items():
        std = 0.0 if name.endswith(("attn_wo", "mlp_fc2")) else 0.02
        params[name] = [
            [Value(rng.gauss(0, std), label=f"{name}[{i}][{j}]") for j in range(n_in)]
            for i in range(n_out)
        ]
    return params


def flatten(params: Params) -> Vector:
    """Return all parameters in one list: matrix by matrix, row by row."""
    return [weight for matrix in params.values() for row in matrix for weight in row]


def linear(x: Vector, w: Matrix) -> Vector:  # (n_in), (n_out, n_in) -> (n_out)
    """Return w times x: out[i] = dot(w[i], x).

    It is written out because every row meets the same x, whose floats are then read
    once for all of them: most of a model's work is in this loop.
    """
    x_data = tuple([xi.data for xi in x])
    out = []
    for row in w:
        if len(row) != len(x):
            raise ValueError(f"a row of {len(row)} weights, but x has {len(x)} numbers")
        row_data = tuple([weight.data for weight in row])
        data = sumprod(row_data, x_data)
        out.append(Value(data, (*row, *x), x_data + row_data, "dot"))
    return out


def softmax(logits: Vector) -> Vector:
    """Return positive numbers that sum to 1: probs[i] = exp(logits[i]) / sum of exps.

    >>> [round(p.data, 3) for p in softmax([Value(0.0), Value(1.0), Value(0.0)])]
    [0.212, 0.576, 0.212]
    """
    normaliser = logsumexp(logits)
    # exp(a) / sum is exp(a - log(sum)), which is never too large.
    return [(logit - normaliser).exp() for logit in logits]


def rmsnorm(x: Vector) -> Vector:
    """Return x scaled so that the mean of its squares is about 1.

    So a layer reads numbers of one size, however large x has grown on its way. 1e-5
    keeps x = 0 from dividing by 0. Paper: Zhang and Sennrich, "Root mean square
    layer normalization", 2019, here without its gain.
    """
    mean_square = dot(x, x) * (1 / len(x))
    scale = (mean_square + 1e-5) ** -0.5
    return [xi * scale for xi in x]


def cross_entropy(logits: Vector, target_id: int) -> Value:
    """Return -log(softmax(logits)[target_id]): how surprising the target was, in nats.

    (Nats, since log is the natural one.) As logsumexp(logits) - logits[target_id] it is
    finite however far apart the logits. A target that is no token: ValueError.

    >>> cross_entropy([Value(0.0), Value(0.0)], 1)      # one of two: log 2
    Value(0.6931471805599453, grad=0.0, '-')
    """
    if not 0 <= target_id < len(logits):
        raise ValueError(f"token {target_id}, but vocab_size is {len(logits)}")
    return logsumexp(logits) - logits[target_id]


def gpt(
    params: Params,
    config: GPTConfig,
    token_id: int,
    pos_id: int,
    keys: list[Matrix],
    values: list[Matrix],
) -> Vector:
    """Return the logits (vocab_size) of the token after token_id, at position pos_id.

    keys and values, a list for each layer, hold what earlier tokens left; this token's
    are appended. A token sees only what is in them, itself and the past: that is all
    there is to causality here. An id or position out of range: ValueError.
    """
    if not 0 <= token_id < config.vocab_size:
        raise ValueError(f"token {token_id}, but vocab_size is {config.vocab_size}")
    if not 0 <= pos_id < config.block_size:
        raise ValueError(
            f"position {pos_id} (from 0), but block_size is {config.block_size}: "
            "shorten the text or raise --block-size"
        )
    head_dim = config.head_dim
    token_embedding = params["wte"][token_id]  # (n_embd)
    pos_embedding = params["wpe"][pos_id]  # (n_embd)
    x = [t + p for t, p in zip(token_embedding, pos_embedding)]
    # Why normalise here, and again at once in the layer? A layer's norm leaves x itself
    # alone; this one scales the x that all is added to, at first as small as 0.03.
    x = rmsnorm(x)

    for layer in range(config.n_layer):
        # Attention, half a layer: gather from the tokens so far.
        x_residual = x
        x = rmsnorm(x)
        q = linear(x, params[f"layer{layer}.attn_wq"])  # what this token looks for
        k = linear(x, params[f"layer{layer}.attn_wk"])  # what it can be found by
        v = linear(x, params[f"layer{layer}.attn_wv"])  # what it has to say
        keys[layer].append(k)
        values[layer].append(v)
        head_out = []
        for h in range(config.n_head):
            # Each head works on a slice of its own, so it can look for its own thing.
            head = slice(h * head_dim, (h + 1) * head_dim)
            # A dot product of n numbers grows with sqrt(n); the factor takes that back,
            # or softmax would put all its weight on one token.
            scores = [dot(q[head], k_t[head]) * head_dim**-0.5 for k_t in keys[layer]]
            weights = softmax(scores)  # (tokens so far): how much of each to take
            # Each number of v, averaged over the tokens so far with these weights.
            v_columns = zip(*[v_t[head] for v_t in values[layer]])
            head_out += [dot(weights, v_column) for v_column in v_columns]
        x = linear(head_out, params[f"layer{layer}.attn_wo"])
        # Add what was gathered to what was there: the residual connection.
        x = [xi + residual for xi, residual in zip(x, x_residual)]

        # The MLP, the other half: work on each token alone, four times as wide.
        x_residual = x
        x = rmsnorm(x)
        x = linear(x, params[f"layer{layer}.mlp_fc1"])  # (4 * n_embd)
        # Without something not linear between them, fc1 and fc2 would be one matrix.
        x = [xi.relu() ** 2 for xi in x]
        x = linear(x, params[f"layer{layer}.mlp_fc2"])  # (n_embd)
        x = [xi + residual for xi, residual in zip(x, x_residual)]

    # Signpost: GPT-2 normalises once more here, before its head.
    logits = linear(x, params["lm_head"])  # (vocab_size)
    return logits


def empty_cache(config: GPTConfig) -> tuple[list[Matrix], list[Matrix]]:
    """Return keys and values for a text that has not begun: an empty list a layer."""
    keys: list[Matrix] = [[] for _ in range(config.n_layer)]
    values: list[Matrix] = [[] for _ in range(config.n_layer)]
    return keys, values


def document_loss(params: Params, config: GPTConfig, tokens: Sequence[int]) -> Value:
    """Return the mean cross-entropy of each token of a document given those before it.

    From BOS a b BOS the model is asked for a, b and BOS. Only the first block_size
    answers count, min(block_size, len(tokens) - 1). Fewer than 2 tokens: ValueError.
    """
    n = min(config.block_size, len(tokens) - 1)
    if n < 1:
        raise ValueError(f"{len(tokens)} tokens, but a prediction needs 2: give more")
    keys, values = empty_cache(config)
    losses = []
    for pos_id in range(n):
        token_id, target_id = tokens[pos_id], tokens[pos_id + 1]
        logits = gpt(params, config, token_id, pos_id, keys, values)
        losses.append(cross_entropy(logits, target_id))
    return total(losses) * (1 / n)
