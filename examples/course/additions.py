"""Small additions to a trained GPT whose own weights stay as they are.

Chapter 30 builds the pieces and uses them. The weights of the trained model are plain
floats here, so nothing can change them. What learns are additional matrices of Values,
kept in a dictionary like the model's own, under the name of what they belong to:

    LoRA       "layer0.attn_wq.lora_a" (rank, n_in) and "layer0.attn_wq.lora_b"
               (n_out, rank): two thin matrices beside a frozen one
    adapters   "layer0.attn.down" (rank, n_embd) and "layer0.attn.up" (n_embd, rank): a
               narrow MLP behind attention, and "layer0.mlp.down" and "layer0.mlp.up"
               behind the MLP

The functions from `attention_with` on are those of microgpt/model.py, with the places
for additions. Any weights may also be Values, and then they learn as usual.

Papers: Houlsby et al., "Parameter-efficient transfer learning for NLP", 2019
(adapters); Hu et al., "LoRA: low-rank adaptation of large language models", 2021.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import common  # noqa: F401  (so that microgpt is found without installing it)

from microgpt import (
    GPTConfig,
    Value,
    as_float,
    cross_entropy,
    dot,
    empty_cache,
    linear,
    relu,
    rmsnorm,
    softmax,
)
from microgpt.model import Matrix, Params, Vector, add
from microgpt.value import sumprod


def frozen_linear(x: Vector, w: Matrix) -> Vector:  # (n_in), (n_out, n_in) -> (n_out)
    """Return w times x, for weights that are plain floats and get no gradients.

    The slope of an output with respect to x[j] is the weight that x[j] is multiplied
    by. So a node of the graph has n_in inputs here, and not 2 * n_in: the weights are
    no inputs of it.
    """
    if not isinstance(x[0], Value):
        return linear(x, w)  # all of them are floats
    xs = tuple(x)
    x_data = [xi.data for xi in xs]
    outputs = []
    for row in w:
        outputs.append(Value(sumprod(row, x_data), xs, tuple(row), "frozen dot"))
    return outputs


def weights_times(x: Vector, w: Matrix) -> Vector:
    """Return w times x, whether the weights are frozen floats or learn as Values."""
    is_frozen = not isinstance(w[0][0], Value)
    return frozen_linear(x, w) if is_frozen else linear(x, w)


def lora(x: Vector, a: Matrix, b: Matrix, scale: float) -> Vector:
    """Return what LoRA adds: scale times (b times (a times x)).

    Shapes: x (n_in), a (rank, n_in), b (n_out, rank) -> (n_out).
    """
    narrow = [number * scale for number in linear(x, a)]  # (rank)
    return linear(narrow, b)


def new_lora(
    shapes: dict[str, tuple[int, int]], rank: int, rng: random.Random
) -> Params:
    """Return LoRA's two matrices for each of the named matrices, which add nothing yet.

    a is random, of a size that keeps a times x near the size of x, and b is 0.
    """
    additions = {}
    for name, (n_out, n_in) in shapes.items():
        a = [
            [Value(rng.gauss(0, n_in**-0.5)) for _ in range(n_in)] for _ in range(rank)
        ]
        b = [[Value(0.0) for _ in range(rank)] for _ in range(n_out)]
        additions[f"{name}.lora_a"] = a
        additions[f"{name}.lora_b"] = b
    return additions


def merged(params: Params, additions: Params, scale: float) -> Params:
    """Return the weights with LoRA's added into them, all of them plain floats.

    w[i][j] becomes w[i][j] + scale * (b[i][0] * a[0][j] + b[i][1] * a[1][j] + …). The
    weights that are given stay as they are.
    """
    result = {}
    for name, matrix in params.items():
        rows = [[as_float(weight) for weight in row] for row in matrix]
        if f"{name}.lora_a" in additions:
            columns_of_a = list(zip(*additions[f"{name}.lora_a"]))  # (n_in, rank)
            for row, row_of_b in zip(rows, additions[f"{name}.lora_b"]):
                for j, column in enumerate(columns_of_a):
                    row[j] += scale * as_float(dot(row_of_b, column))
        result[name] = rows
    return result


def adapter(y: Vector, down: Matrix, up: Matrix) -> Vector:
    """Return y and what a narrow MLP makes of it: y + up times relu(down times y).

    Shapes: y (n), down (rank, n), up (n, rank) -> (n).
    """
    narrow = [relu(number) for number in linear(y, down)]  # (rank)
    return add(y, linear(narrow, up))


def new_adapters(config: GPTConfig, rank: int, rng: random.Random) -> Params:
    """Return adapters for both halves of every layer. `up` is 0: they add nothing."""
    n = config.n_embd
    additions = {}
    for layer in range(config.n_layer):
        for half in ("attn", "mlp"):
            down = [
                [Value(rng.gauss(0, n**-0.5)) for _ in range(n)] for _ in range(rank)
            ]
            up = [[Value(0.0) for _ in range(rank)] for _ in range(n)]
            additions[f"layer{layer}.{half}.down"] = down
            additions[f"layer{layer}.{half}.up"] = up
    return additions


# The GPT of microgpt/model.py, with the places for additions.


def linear_with(
    x: Vector, name: str, params: Params, additions: Params, scale: float
) -> Vector:
    """Return the named matrix times x, and LoRA's addition if there is one."""
    y = weights_times(x, params[name])
    if f"{name}.lora_a" in additions:
        a, b = additions[f"{name}.lora_a"], additions[f"{name}.lora_b"]
        y = add(y, lora(x, a, b, scale))
    return y


def adapted(y: Vector, half: str, additions: Params) -> Vector:
    """Return what a half of a layer adds to x, sent through its adapter if any."""
    if f"{half}.down" not in additions:
        return y
    return adapter(y, additions[f"{half}.down"], additions[f"{half}.up"])


def attention_with(
    x: Vector,
    params: Params,
    config: GPTConfig,
    layer: int,
    keys: list[Matrix],
    values: list[Matrix],
    additions: Params,
    scale: float,
) -> Vector:
    """Return what `attention` returns, each of its four matrices with its addition."""

    def with_addition(x: Vector, matrix: str) -> Vector:
        return linear_with(x, f"layer{layer}.{matrix}", params, additions, scale)

    q = with_addition(x, "attn_wq")
    keys[layer].append(with_addition(x, "attn_wk"))
    values[layer].append(with_addition(x, "attn_wv"))
    gathered = []
    for h in range(config.n_head):
        head = slice(h * config.head_dim, (h + 1) * config.head_dim)
        scores = []
        for k_t in keys[layer]:
            scores.append(dot(q[head], k_t[head]) * config.head_dim**-0.5)
        weights = softmax(scores)
        columns = zip(*[v_t[head] for v_t in values[layer]])
        gathered += [dot(weights, column) for column in columns]
    return with_addition(gathered, "attn_wo")


def mlp_with(
    x: Vector, params: Params, layer: int, additions: Params, scale: float
) -> Vector:
    """Return what `mlp` returns, both of its matrices with their additions."""
    hidden = linear_with(x, f"layer{layer}.mlp_fc1", params, additions, scale)
    activations = [relu(hi) ** 2 for hi in hidden]
    return linear_with(activations, f"layer{layer}.mlp_fc2", params, additions, scale)


def gpt_with(
    params: Params,
    config: GPTConfig,
    token_id: int,
    pos_id: int,
    keys: list[Matrix],
    values: list[Matrix],
    additions: Params,
    scale: float = 1.0,
) -> Vector:
    """Return the logits that `gpt` returns, with the additions in their places."""
    x = rmsnorm(add(params["wte"][token_id], params["wpe"][pos_id]))
    for layer in range(config.n_layer):
        y = attention_with(
            rmsnorm(x), params, config, layer, keys, values, additions, scale
        )
        x = add(x, adapted(y, f"layer{layer}.attn", additions))
        y = mlp_with(rmsnorm(x), params, layer, additions, scale)
        x = add(x, adapted(y, f"layer{layer}.mlp", additions))
    return linear_with(x, "lm_head", params, additions, scale)


def token_losses_with(
    params: Params,
    config: GPTConfig,
    tokens: Sequence[int],
    additions: Params,
    scale: float = 1.0,
) -> Vector:
    """Return the cross-entropy of each token of a document, given those before it."""
    keys, values = empty_cache(config)
    losses = []
    for pos_id in range(min(config.block_size, len(tokens) - 1)):
        token_id = tokens[pos_id]
        logits = gpt_with(
            params, config, token_id, pos_id, keys, values, additions, scale
        )
        losses.append(cross_entropy(logits, tokens[pos_id + 1]))
    return losses
