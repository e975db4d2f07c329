"""Write the GPT yourself: three functions, and a check that compares them to the bit.

    python examples/course/my_gpt.py

Chapter 13 says when. Fill in the three functions below, best from memory, in this
order, and run the file as often as you like. It compares each of them with the
package's (microgpt/model.py), on random numbers, and says which of them agree.

You may use `add`, `linear`, `rmsnorm`, `softmax`, `dot` and `relu`, which are imported
below. The names of the matrices:

    params["wte"], params["wpe"], params["lm_head"]
    params["layer0.attn_wq"], the same with attn_wk, attn_wv, attn_wo   (layer 0)
    params["layer0.mlp_fc1"], params["layer0.mlp_fc2"]

If you are stuck, go through the plan in chapter 13 from top to bottom, and ask of each
box: what goes in, and what comes out? Solutions: `our_attention`, `our_mlp` and
`our_gpt` in ch13_gpt.py.
"""

import random

import common  # noqa: F401  (so that microgpt is found without installing it)

import microgpt
from microgpt import (  # noqa: F401  (they are for you)
    GPTConfig,
    dot,
    empty_cache,
    linear,
    relu,
    rmsnorm,
    softmax,
)
from microgpt.model import add, param_shapes  # noqa: F401


def my_attention(x, params, config, layer, keys, values):
    """Return what this token gathers from the tokens so far, through attn_wo.

    x is normalised already. Append this token's own key and value to keys[layer] and
    values[layer]. config.n_head is the number of heads, config.head_dim how many
    numbers each of them works on.
    """
    raise NotImplementedError


def my_mlp(x, params, layer):
    """Return what this token makes of its own x, which is normalised already."""
    raise NotImplementedError


def my_gpt(params, config, token_id, pos_id, keys, values):
    """Return the logits of the token that follows token_id, which stands at pos_id.

    Use my_attention and my_mlp, for each of the config.n_layer layers.
    """
    raise NotImplementedError


# From here on, the check. Three layers, so that it is noticed if the keys of different
# layers get mixed up. No weight is 0, since mistakes hide behind zeros.
CONFIG = GPTConfig(vocab_size=27, n_layer=3)
TOKENS = [0, 13, 1, 18, 9]  # BOS and "mari"


def random_params(rng):
    """Return random numbers for all matrices of the model."""
    params = {}
    for name, (n_rows, n_columns) in param_shapes(CONFIG).items():
        params[name] = []
        for _ in range(n_rows):
            params[name].append([rng.gauss(0, 0.3) for _ in range(n_columns)])
    return params


def attention_results(attention, params, xs):
    """Return what each x gathers in layer 1, all numbers in one list."""
    keys, values = empty_cache(CONFIG)
    numbers = []
    for x in xs:
        numbers += attention(x, params, CONFIG, 1, keys, values)
    return numbers


def mlp_results(mlp, params, xs):
    """Return what the MLP of layer 1 makes of each x, all numbers in one list."""
    numbers = []
    for x in xs:
        numbers += mlp(x, params, 1)
    return numbers


def gpt_results(gpt, params, xs):
    """Return the logits after each of the tokens, all in one list."""
    keys, values = empty_cache(CONFIG)
    numbers = []
    for pos_id, token_id in enumerate(TOKENS):
        numbers += gpt(params, CONFIG, token_id, pos_id, keys, values)
    return numbers


def verdict(results, mine, theirs):
    """Return in words how the reader's function compares with the package's."""
    rng = random.Random(13)
    params = random_params(rng)
    xs = [[rng.gauss(0, 1) for _ in range(CONFIG.n_embd)] for _ in TOKENS]
    expected = results(theirs, params, xs)
    try:
        found = results(mine, params, xs)
    except NotImplementedError:
        return "not written yet"
    if len(found) != len(expected):
        return f"it returns {len(found)} numbers in all instead of {len(expected)}"
    if found == expected:
        return f"all {len(expected)} numbers are equal to the package's, to the bit"
    largest = max([abs(a - b) for a, b in zip(found, expected)])
    if largest < 1e-9:
        return f"right, but for rounding (the largest difference is {largest:.0e})"
    first = [a == b for a, b in zip(found, expected)].index(False)
    return (
        f"different, first at number {first} of {len(expected)}: "
        f"{found[first]:.4f} instead of {expected[first]:.4f}"
    )


def main():
    """Print the three verdicts."""
    print("my_attention:", verdict(attention_results, my_attention, microgpt.attention))
    print("my_mlp:      ", verdict(mlp_results, my_mlp, microgpt.mlp))
    print("my_gpt:      ", verdict(gpt_results, my_gpt, microgpt.gpt))


if __name__ == "__main__":
    main()
