"""Where a trained model looks: the attention weights of its first layer, to be printed.

`attention` in microgpt/model.py mixes the values by these weights and then forgets
them. Here they are computed once more, from the same parameters, and given back.
"""

from __future__ import annotations

from collections.abc import Sequence

import common  # noqa: F401  (so that microgpt is found without installing it)

from microgpt import GPTConfig, dot, linear, rmsnorm, softmax
from microgpt.model import Matrix, Params, add


def first_layer_looks(
    params: Params, config: GPTConfig, tokens: Sequence[int]
) -> list[Matrix]:
    """Return, for each token and each head, the weights of the tokens so far.

    looks[t][h][s] is how much of its attention the token at position t gives to the
    token at position s, with attention head h of layer 0.
    """
    head_dim = config.head_dim
    keys: Matrix = []
    looks = []
    for pos_id, token_id in enumerate(tokens):
        x = rmsnorm(add(params["wte"][token_id], params["wpe"][pos_id]))
        x = rmsnorm(x)
        q = linear(x, params["layer0.attn_wq"])
        keys.append(linear(x, params["layer0.attn_wk"]))
        weights_of_heads = []
        for h in range(config.n_head):
            head = slice(h * head_dim, (h + 1) * head_dim)
            scores = [dot(q[head], k[head]) * head_dim**-0.5 for k in keys]
            weights_of_heads.append(softmax(scores))
        looks.append(weights_of_heads)
    return looks


def heat_map_rows(looks: Sequence[Matrix], head: int) -> list[list[float | None]]:
    """Return one head's weights as equally long rows: None where nothing was yet."""
    rows = []
    for weights_of_heads in looks:
        weights = weights_of_heads[head]
        rows.append([*weights, *[None] * (len(looks) - len(weights))])
    return rows


def without_heads(params: Params, config: GPTConfig, heads: Sequence[int]) -> Params:
    """Return the same model with these attention heads switched off, in all layers.

    What head h has gathered enters the residual stream through its own head_dim columns
    of attn_wo. With zeros there, it adds nothing. All else is as it was.
    """
    changed = dict(params)
    for layer in range(config.n_layer):
        rows = []
        for row in params[f"layer{layer}.attn_wo"]:
            new_row = []
            for column, weight in enumerate(row):
                is_off = column // config.head_dim in heads
                new_row.append(0.0 if is_off else weight)
            rows.append(new_row)
        changed[f"layer{layer}.attn_wo"] = rows
    return changed


def with_zeros(params: Params, name: str) -> Params:
    """Return the same model with every number of one matrix set to 0."""
    zeros = [[0.0] * len(row) for row in params[name]]
    return {**params, name: zeros}
