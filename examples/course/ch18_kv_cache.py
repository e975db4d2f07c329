"""Chapter 18. The KV cache: must each letter cost more than the one before it?

Chapter 17 wrote names, letter by letter. For each new letter the model looks back at
all letters before it. The plain way to do that is to run the whole text through the
model again, with the new letter at its end. For the 64th letter that means running all
64, although 63 of them were run a moment ago, with the same result.

With the same result? That is *causality* (chapter 10): an earlier token cannot see a
later one, so nothing that was computed for it changes when the text grows. Then there
is no need to compute it again. What does the new token need of the earlier ones? Look
into `attention`: its query meets their keys, and their values are mixed. Nothing else
of them is used; their own queries have done their work. So it is enough to keep, for
every layer and every token so far, one key and one value. This is the *KV cache* (K for
key, V for value).

`gpt` has always worked like this: its arguments `keys` and `values` are the cache. In
this chapter we do *without* it, to see what it saves, and we count exactly.

The chapter's questions are asked by `python examples/learn.py 18`; otherwise write down
your guess before you run this: are the logits equal with and without the cache, to the
last digit? And how many times the multiplications does a text of 64 letters take
without it?

Paper: Shazeer, "Fast transformer decoding: one write-head is all you need", 2019.
"""

# %%
from __future__ import annotations

import random
import sys
import time

from common import save_picture

from microgpt import (
    GPTConfig,
    Value,
    as_floats,
    empty_cache,
    flatten,
    gpt,
    init_params,
    param_shapes,
    topological_order,
    total,
)
from microgpt.tools.draw import Line, line_chart
from microgpt.tools.terminal import Progress


# %%
# The model is the default one, except that it can see 64 tokens, and its weights are
# random. How much work a model does has nothing to do with how good it is, so we need
# not train it. But one thing matters: in a new model attn_wo is 0, so attention adds
# nothing, and a wrong cache would not show. Hence larger random numbers everywhere.
def random_model(n_layer):
    """Return (params, config) of a model that sees 64 tokens, with random weights."""
    config = GPTConfig(vocab_size=27, block_size=64, n_layer=n_layer)
    rng = random.Random(18)
    params = init_params(config, rng)
    for weight in flatten(params):
        weight.data = rng.gauss(0, 0.2)
    return params, config


rng = random.Random(1)
text = [rng.randrange(27) for _ in range(64)]  # 64 random tokens

# %%
# The same logits?
#
# Two ways to get the logits after each token of the text. With the cache: run only the
# new token. Without: run the whole text so far, from an empty cache. Both on plain
# floats, as for writing, and with two layers: the keys of the second layer hold what
# the first one gathered, and that must not change either.
params, config = random_model(n_layer=2)
floats = as_floats(params)


def logits_from_scratch(tokens):
    """Run all tokens, from an empty cache; return the logits after the last."""
    keys, values = empty_cache(config)
    for pos_id, token_id in enumerate(tokens):
        logits = gpt(floats, config, token_id, pos_id, keys, values)
    return logits


keys, values = empty_cache(config)
seconds_with, seconds_without = 0.0, 0.0
n_equal = 0
progress = Progress("tokens", total=64, every=32, stream=sys.stderr)
for pos_id, token_id in enumerate(text):
    started = time.perf_counter()
    logits_with = gpt(floats, config, token_id, pos_id, keys, values)
    seconds_with += time.perf_counter() - started

    started = time.perf_counter()
    logits_without = logits_from_scratch(text[: pos_id + 1])
    seconds_without += time.perf_counter() - started

    n_equal += logits_with == logits_without  # every number, to the last bit
    progress.show(pos_id + 1)
progress.finish()
print("1. The same logits? A text of 64 tokens, two layers")
print()
print(f"places where all 27 logits are equal to the last bit: {n_equal} of 64")
print(f"~ with the cache    {seconds_with:6.3f} seconds")
print(f"~ without           {seconds_without:6.3f} seconds")
print(f"~ times as long     {seconds_without / seconds_with:6.1f}")
print()
assert n_equal == 64

# %%
# The logits are not nearly equal, but equal: the same numbers were added in the same
# order. So the cache is not an approximation. And without it the text took many times
# as long. How many, exactly? The time of a single run says it badly: whatever else the
# computer was doing meanwhile is in it, and the run with the cache is so short that a
# small disturbance changes the quotient a great deal. On a busy computer we saw
# anything from 18 to 33. (Repeated eight times, with the shortest time of each token,
# it came to 28.) So let us count multiplications instead, which come out the same every
# time. In section 3 we compare the count with these times.
#
# Where the extra work comes from is no secret: without the cache, every new token has
# all earlier ones run again. A text of 4 tokens takes 1 + 2 + 3 + 4 = 10 runs of the
# model (first token 1; then 1 and 2; then 1, 2 and 3; then all four), and with the
# cache only 4.

# %%
# What one token costs.
#
# Nearly all multiplications are in dot products. A matrix of m rows and n columns takes
# m * n of them for each token. Attention takes some more: at the t-th token, each head
# multiplies its query with t keys (head_dim multiplications for a score), and mixes t
# values (again head_dim for each). Over all heads that is 2 * n_embd for each of the t
# tokens in view. Only this part grows with t.
params, config = random_model(n_layer=1)
n_embd = config.n_embd
n_matrices = 0
print("2. Multiplications for one token, one layer, from the sizes of the model")
print()
for name, (n_rows, n_columns) in param_shapes(config).items():
    if name in ("wte", "wpe"):
        continue  # rows are looked up there, and nothing is multiplied
    n_matrices += n_rows * n_columns
    print(f"{name:<18} {n_rows:>3} x {n_columns:<3} = {n_rows * n_columns:>6,}")
n_norms = 3 * n_embd  # the mean of the squares of x, three times
fixed = n_matrices + n_norms
for_each_token_in_view = 2 * n_embd
print(f"{'rmsnorm':<18} {3:>3} x {n_embd:<3} = {n_norms:>6,}")
print(f"{'always':<28} {fixed:>6,}")
print(f"{'for each token in view':<28} {for_each_token_in_view:>6,}")
print()


# %%
# Counted.
#
# Formulas can be wrong, so here is a count that does not use them. If the model runs on
# Values, each dot product is a node in the graph, with its inputs: n numbers and n
# numbers, so n multiplications. We walk through the graph of the logits and add up. (To
# count only what the *new* token costs, the keys and values of earlier tokens are
# replaced by leaves without a graph. The other multiplications, such as those by the
# norm's scale, are few, and neither the formula nor the count has them.)
def count_multiplications(logits):
    """Return how many multiplications were done in dot products below these logits."""
    n_multiplied = 0
    for node in topological_order(total(logits)):
        if node.label == "dot":
            n_multiplied += len(node.inputs) // 2
    return n_multiplied


def cost_of_next_token(token_id, keys, values):
    """Run one token after those in the cache; return its multiplications."""
    pos_id = len(keys[0])
    logits = gpt(params, config, token_id, pos_id, keys, values)
    cost = count_multiplications(logits)
    for layer in range(config.n_layer):
        for cache in (keys[layer], values[layer]):
            cache[-1] = [Value(number.data) for number in cache[-1]]
    return cost


keys, values = empty_cache(config)
cost_of_token = []  # with the cache: what the first, second, third … token costs
for token_id in text:
    cost_of_token.append(cost_of_next_token(token_id, keys, values))
for t, cost in enumerate(cost_of_token, start=1):
    assert cost == fixed + for_each_token_in_view * t  # the formula is right
n_in_cache = sum([len(row) for layer in (*keys, *values) for row in layer])

# Without the cache, the n-th token costs what the first n cost together.
cost_without = []
for n in range(1, 65):
    cost_without.append(sum(cost_of_token[:n]))

work = {}
print("3. Multiplications for a whole text, counted in the graph")
print()
print("tokens   with the cache   without it   times as many")
for n in [4, 8, 16, 32, 64]:
    with_cache = sum(cost_of_token[:n])
    without_cache = sum(cost_without[:n])
    work[n] = (with_cache, without_cache)
    times = without_cache / with_cache
    print(f"{n:>6} {with_cache:>16,} {without_cache:>12,} {times:>15.1f}")
print()
times_64 = work[64][1] / work[64][0]
growth_with = work[64][0] / work[32][0]
growth_without = work[64][1] / work[32][1]
print("64 tokens in place of 32, which is twice the text:")
print(
    f"with the cache {growth_with:.1f} times the work, without it {growth_without:.1f}"
)
print()

# %%
# Without the cache, n tokens take 1 + 2 + ... + n = n * (n + 1) / 2 runs of the model;
# with it, n runs. If all runs cost the same, "times as many" would be (n + 1) / 2,
# which is 32.5 for 64 tokens. It is a little less, 30.1, because the runs do not cost
# the same. An early token has few others to look at, so its run is cheap, and it is the
# early tokens that are run again most often: the first one 64 times, the last one once.
# What is saved is mostly cheap runs.
#
# In the same way, twice the text would take 65 / 33 * 2 = 3.9 times the work without
# the cache, if all runs cost the same: 64 * 65 / 2 = 2,080 runs in place of
# 32 * 33 / 2 = 528. It takes 4.3 times, because the runs of the longer text also look
# at more tokens. And with the cache twice the text is not twice the work but 2.3 times,
# for the same reason. This growing part is attention itself.
#
# Does the count agree with the times of section 1? That model has two layers, so it has
# to be counted once more: each layer has its own matrices and its own attention, and
# the head and the first norm are there once. The count is 30.0, and the careful timing
# above gave 28. They need not agree better, because the clock also counts what is not a
# multiplication, such as calling functions and building lists.
once = config.vocab_size * n_embd + n_embd
fixed_of_two = 2 * fixed - once
two_layer_costs = [fixed_of_two + 2 * for_each_token_in_view * t for t in range(1, 65)]
two_layers_without = sum([sum(two_layer_costs[:n]) for n in range(1, 65)])
times_two_layers = two_layers_without / sum(two_layer_costs)
print(f"two layers, 64 tokens: by count {times_two_layers:.1f} times as many")
print(f"~ by the clock, in section 1: {seconds_without / seconds_with:.1f} times")
lines = []
for label, costs in [("with", cost_of_token), ("without", cost_without)]:
    points = [(n, sum(costs[:n]) / 1e6) for n in range(1, 65)]
    lines.append(Line(f"{label} the cache", points))
title = "What a text costs in all"
y_label = "millions of multiplications"
picture = line_chart(lines, title, "tokens in the text", y_label)
save_picture("ch18_kv_cache.svg", picture)
print()

# %%
# The price.
#
# Nothing is free: the cache takes memory. For each layer and each token there are
# n_embd numbers for the key and as many for the value. For our model that is nothing.
# For GPT-3, with 96 layers, n_embd 12,288 and a text of 2,048 tokens, it is much.
gpt3_numbers = 2 * 96 * 12288 * 2048
print("4. Numbers in the cache after a whole text")
print()
print(f"this model, 64 tokens       {n_in_cache:>13,}")
print(f"GPT-3, 2,048 tokens         {gpt3_numbers:>13,}")
print(f"  at 2 bytes a number       {gpt3_numbers * 2 / 1e9:>13.1f} GB, for one text")
assert n_in_cache == 2 * 64 * n_embd

# %%
# What production does: it runs all tokens of the prompt side by side, which fills the
# cache, and then goes on token by token. There, reading so large a cache from memory
# takes longer than the multiplications. So several heads share one key and value
# (grouped-query attention; in the paper above, all heads do), and the numbers are
# stored with fewer bits.
#
# What is still missing: we have compared many losses by now, some of which differ in
# the third digit only. Which of these differences are real? On to chapter 19.
#
# Exercises (solutions and hints in ch18_solution.py):
# 1. From which token on does attention cost more than all the rest? And in GPT-2, with
#    12 layers, n_embd 768, a vocabulary of 50,257 and 12 * n_embd ** 2 multiplications
#    in the matrices of a layer? (Its block is 1,024 tokens.)
# 2. For counting, we put numbers without a graph into the cache. Somebody does the same
#    while training, "to save memory". What becomes of the loss, and what of the
#    gradients?
# 3. A text outgrows the block, so drop the oldest token from the cache and go on. Are
#    the logits the same as those of a run with the 64 newest tokens from an empty one?
