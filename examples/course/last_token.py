"""The residual stream of the last token, for a whole batch of texts, without waste.

Chapter 28 reads only the last token of each text. `gpt` computes much for the earlier
ones that nobody asks for then: their queries, what they gather, their MLP, their
logits. In a model of one layer, the last token needs of each earlier one only its key
and its value. And these depend on nothing but the letter and its place, since no layer
comes before that could have mixed in other letters. So "a" at place 2 has the same key
in every text, and one for the whole batch is enough.
"""

from __future__ import annotations

from collections.abc import Sequence

import common  # noqa: F401  (so that microgpt is found without installing it)

from microgpt import GPTConfig, attention, linear, mlp, rmsnorm
from microgpt.model import Matrix, Params, Vector, add


def last_streams(
    params: Params, config: GPTConfig, batch: Sequence[Sequence[int]]
) -> Matrix:
    """Return x after the last layer, of the last token of each text: (texts, n_embd).

    Each text is a list of at most block_size tokens. The numbers are those that `gpt`
    hands to its head. More than one layer: ValueError.
    """
    if config.n_layer != 1:
        raise ValueError(f"the model has {config.n_layer} layers: this is for 1")
    known: dict[tuple[int, int], tuple[Vector, Vector]] = {}  # keys and values
    streams = []
    for tokens in batch:
        keys: Matrix = []
        values: Matrix = []
        for place, token_id in enumerate(tokens[:-1]):
            if (token_id, place) not in known:
                x = rmsnorm(_embedded(params, token_id, place))
                k = linear(x, params["layer0.attn_wk"])
                v = linear(x, params["layer0.attn_wv"])
                known[token_id, place] = (k, v)
            k, v = known[token_id, place]
            keys.append(k)
            values.append(v)
        # The last token goes through everything, as in `gpt`.
        x = _embedded(params, tokens[-1], len(tokens) - 1)
        x = add(x, attention(rmsnorm(x), params, config, 0, [keys], [values]))
        x = add(x, mlp(rmsnorm(x), params, 0))
        streams.append(x)
    return streams


def _embedded(params: Params, token_id: int, place: int) -> Vector:
    """Return x as it enters the layer: both embeddings added, and normalised."""
    return rmsnorm(add(params["wte"][token_id], params["wpe"][place]))
