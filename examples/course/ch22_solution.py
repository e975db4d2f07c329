"""Solutions to chapter 22. Each begins with hints: read them one at a time."""

# %%
from __future__ import annotations

import math
import random

import common  # noqa: F401  (it lets Python find microgpt)

from microgpt import (
    GPTConfig,
    as_floats,
    dot,
    empty_cache,
    flatten,
    gpt,
    init_params,
    linear,
    mlp,
    rmsnorm,
    softmax,
)
from microgpt.model import add

config = GPTConfig(vocab_size=27, block_size=16, n_layer=2)
rng = random.Random(22)
weights_to_be = init_params(config, rng)
for weight in flatten(weights_to_be):
    weight.data = rng.gauss(0, 0.3)
params = as_floats(weights_to_be)


# The chapter's gpt_all, with two things handed in: the position of each token, and a
# function that says whether the token at place i may look at the token at place j.
def gpt_all(tokens, positions, may_look):
    """Return the logits after each of the tokens."""
    places = range(len(tokens))
    xs = []
    for token_id, pos_id in zip(tokens, positions):
        xs.append(rmsnorm(add(params["wte"][token_id], params["wpe"][pos_id])))
    for layer in range(config.n_layer):
        normed = [rmsnorm(x) for x in xs]
        queries = [linear(x, params[f"layer{layer}.attn_wq"]) for x in normed]
        keys = [linear(x, params[f"layer{layer}.attn_wk"]) for x in normed]
        values = [linear(x, params[f"layer{layer}.attn_wv"]) for x in normed]
        new_xs = []
        for i in places:
            gathered = []
            for h in range(config.n_head):
                head = slice(h * config.head_dim, (h + 1) * config.head_dim)
                scores = []
                for j in places:
                    score = dot(queries[i][head], keys[j][head])
                    score *= config.head_dim**-0.5
                    scores.append(score if may_look(i, j) else -math.inf)
                shares = softmax(scores)
                columns = zip(*[v[head] for v in values])
                gathered += [dot(shares, column) for column in columns]
            change = linear(gathered, params[f"layer{layer}.attn_wo"])
            x = add(xs[i], change)
            new_xs.append(add(x, mlp(rmsnorm(x), params, layer)))
        xs = new_xs
    return [linear(x, params["lm_head"]) for x in xs]


def logits_alone(tokens):
    """Return the logits after each token, by the package's gpt and its cache."""
    keys, values = empty_cache(config)
    logits = []
    for pos_id, token_id in enumerate(tokens):
        logits.append(gpt(params, config, token_id, pos_id, keys, values))
    return logits


def largest_difference(rows, other_rows):
    """Return the largest difference between two tables of the same shape."""
    assert len(rows) == len(other_rows)
    differences = []
    for row, other_row in zip(rows, other_rows):
        differences += [abs(a - b) for a, b in zip(row, other_row)]
    return max(differences)


# %%
# Exercise 1. Padding on the left.
#
# Hint 1: a real token now has padding before it, and the causal mask does not hide what
#         comes before.
# Hint 2: at which position does the first real token stand?
# Hint 3: a padded place may look at nothing then. What is softmax of -inf alone?
#
# Three things change. The mask must hide the padding too. The positions must be counted
# from the first real token. And a padded place needs something to look at, or its row
# is nan: we let it look at itself. (A nan would not stay in its place. A weight of 0
# times a nan is nan again, so in the second layer it would reach the real tokens.)
texts = [[0, 1, 14, 14], [0, 2, 15], [0, 13, 1, 18, 9, 5]]
length = max([len(tokens) for tokens in texts])
print("Exercise 1: three texts, padded on the left")
for tokens in texts:
    n_padding = length - len(tokens)
    padded_tokens = [0] * n_padding + tokens
    positions = [max(0, i - n_padding) for i in range(length)]

    def hides_padding(i, j, n_padding=n_padding):
        return i == j or n_padding <= j <= i

    def only_causal(i, j):
        return j <= i

    right = [gpt_all(padded_tokens, positions, hides_padding)[-1]]
    wrong = [gpt_all(padded_tokens, positions, only_causal)[-1]]
    alone = [logits_alone(tokens)[-1]]
    gap, wrong_gap = largest_difference(right, alone), largest_difference(wrong, alone)
    print(
        f"  {n_padding} padded: last logits as alone: {gap < 1e-12}; "
        f"with the padding visible they are off by {wrong_gap:.2f}"
    )
    assert gap < 1e-12
    assert (wrong_gap > 0.001) == (n_padding > 0)

# %%
# Exercise 2. Two texts in one window.
#
# Hint 1: token i may look at token j if j is not later, and both are in the same text.
# Hint 2: the second text has to begin at position 0 again.
#
# All logits are those of the texts alone. It is how production models train on short
# texts without any padding. If only the causal mask is there, the first text is still
# right, and the second one reads the first as if it were its own beginning.
first, second = texts[0], texts[2]
text_of = [0] * len(first) + [1] * len(second)
positions = [*range(len(first)), *range(len(second))]


def same_text(i, j):
    """Return whether the token at place i may look at the token at place j."""
    return j <= i and text_of[i] == text_of[j]


together = gpt_all(first + second, positions, same_text)
alone = logits_alone(first) + logits_alone(second)
gap = largest_difference(together, alone)
print("Exercise 2: two texts in one window")
print(f"  all {len(together)} rows of logits as alone: {gap < 1e-12}")
assert gap < 1e-12
only_causal_rows = gpt_all(first + second, positions, lambda i, j: j <= i)
n_first = len(first)
gap_first = largest_difference(only_causal_rows[:n_first], alone[:n_first])
gap_second = largest_difference(only_causal_rows[n_first:], alone[n_first:])
print(
    f"  with the causal mask alone: the first as alone: {gap_first < 1e-12}, ", end=""
)
print(f"the second off by {gap_second:.2f}")
assert gap_first < 1e-12 < 0.01 < gap_second

# %%
# Exercise 3. Adding -10,000.
#
# Hint 1: what is added does not change which of two hidden scores is the larger.
# Hint 2: let the score with the next token be 12,000, and all others 0.
#
# With 12,000 - 10,000 = 2,000 the next token has the largest score in its row, and so
# all of the attention. Such scores need no more than positions: the query of place i is
# 12,000 at number i + 1, and the key of place j is 1 at number j. Written in its place,
# -10,000 would have hidden this one; it leaks evenly, as in the chapter, and only if
# the visible scores are very low. Added, it leaks to a place of the model's choice.
print("Exercise 3: -10,000 is added to the scores of later tokens")
n_tokens = 4
for i in range(n_tokens):
    scores = [12_000.0 if j == i + 1 else 0.0 for j in range(n_tokens)]
    added = [scores[j] - (10_000.0 if j > i else 0.0) for j in range(n_tokens)]
    replaced = [scores[j] if j <= i else -10_000.0 for j in range(n_tokens)]
    shares = softmax(added)
    print(f"  token {i} looks at {[round(share, 2) for share in shares]}")
    if i + 1 < n_tokens:
        assert shares[i + 1] == 1.0
    assert sum(softmax(replaced)[i + 1 :]) == 0.0
