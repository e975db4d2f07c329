"""Chapter 12. The KV cache: must each letter cost more than the one before it?

Chapter 11 wrote names. For each letter the model must look at all letters before it,
and the plain way is to run it on all of them again. But causality (chapter 7) says that
a later letter changes nothing about an earlier one: the second run repeats the first.
What does the new letter need of the old ones? Only their keys and values, which its
query meets; their own queries are done with. Keep these, the KV cache, and an old
letter is never run again. `gpt` has always worked like this: its arguments `keys` and
`values` are the cache. To do without, start from an empty one for each letter.

Write down what you expect, before you run this:
- Will the logits be equal without the cache, or differ in their last digits?
- A text of 64 letters: how many times the multiplications, without the cache?
- Make the text twice as long: how many times the work, with the cache and without?

Source: Shazeer, "Fast transformer decoding: one write-head is all you need", 2019.
"""

import random
import time

from course import save_picture

from microgpt.draw import Line, line_chart
from microgpt.gpt import GPTConfig, empty_cache, flatten, gpt, init_params
from microgpt.value import Value, topological_order, total


def random_model(n_layer):
    """Return (params, config) of a model that sees 64 tokens, with random weights."""
    config = GPTConfig(vocab_size=27, block_size=64, n_layer=n_layer)
    rng = random.Random(12)
    params = init_params(config, rng)
    # Training changes no amount of work, so none is done. But attn_wo starts at 0, and
    # as long as attention adds nothing, a wrong cache would give the right logits.
    for weight in flatten(params):
        weight.data = rng.gauss(0, 0.2)
    return params, config


def read(model, tokens, keys, values):
    """Run tokens after those in the cache; return (last logits, multiplications)."""
    n_multiplied = 0
    for token_id in tokens:
        logits = gpt(*model, token_id, len(keys[0]), keys, values)
        # A dot of n and n numbers has 2n inputs and multiplies n times. The other
        # products, such as those by rmsnorm's scale, are few, and are left out.
        for node in topological_order(total(logits)):
            if node.label == "dot":
                n_multiplied += len(node.inputs) // 2
        # Bare numbers in place of the newest key and value. With their graphs, we would
        # count, and keep in memory, all that any earlier token was computed from.
        for cache in [*keys, *values]:
            cache[-1] = [Value(x.data) for x in cache[-1]]
    return [logit.data for logit in logits], n_multiplied


def compare(model, tokens):
    """Return costs of each token [with, without cache], seconds, numbers in cache."""
    costs, seconds = [], [0.0, 0.0]
    keys, values = empty_cache(model[1])
    for n in range(1, len(tokens) + 1):
        start = time.perf_counter()
        logits, cost = read(model, tokens[n - 1 : n], keys, values)  # the new one
        middle = time.perf_counter()
        all_again = read(model, tokens[:n], *empty_cache(model[1]))
        end = time.perf_counter()
        assert logits == all_again[0]  # not nearly: every bit is the same
        costs.append([cost, all_again[1]])
        seconds = [seconds[0] + middle - start, seconds[1] + end - middle]
    n_kept = sum(len(cache) * len(cache[0]) for cache in [*keys, *values])
    return costs, seconds, n_kept


# Also with two layers: the second's keys hold what the first gathered, but from earlier
# tokens only, so they do not change either.
rng = random.Random(1)
tokens = [rng.randrange(27) for _ in range(64)]
compare(random_model(2), tokens[:16])
costs, seconds, n_kept = compare(random_model(1), tokens)
print("the same logits, to the last bit, after each of 64 tokens")
# expect: the same logits, to the last bit, after each of 64 tokens

# What does a token cost? A matrix of m rows and n columns takes m * n multiplications.
# A head takes head_dim for each score, and as many to weigh each value: over all heads
# that is 2 * n_embd for each of the t tokens in view. Nothing else grows with t.
n_embd = 16
pieces = {
    "attn_wq, wk, wv, wo": 4 * n_embd**2,
    "mlp_fc1 and mlp_fc2": 2 * 4 * n_embd**2,
    "rmsnorm, three times": 3 * n_embd,
    "lm_head": 27 * n_embd,
}
for name, n in pieces.items():
    print(f"{name:<20} {n:>5,}")
fixed = sum(pieces.values())
print(f"multiplications for token t: {fixed:,} + {2 * n_embd} * t")
# expect: mlp_fc1 and mlp_fc2  2,048
# expect: multiplications for token t: 3,552 + 32 * t

# The first n tokens: what was counted is what the arithmetic says.
counted = {}
print("tokens  with cache    without  times")
for n in [4, 8, 16, 32, 64]:
    by_token = [fixed + 2 * n_embd * t for t in range(1, n + 1)]
    # Without the cache: the first alone, then the first two, then the first three, ...
    again = [sum(by_token[:m]) for m in range(1, n + 1)]
    counted[n] = [sum(column) for column in zip(*costs[:n])]
    assert counted[n] == [sum(by_token), sum(again)]
    with_cache, without = counted[n]
    print(f"{n:>6} {with_cache:>11,} {without:>10,} {without / with_cache:>6.1f}")
# expect: 4      14,528     36,160    2.5
# expect: 8      29,568    131,712    4.5
# expect: 16      61,184    509,184    8.3
# expect: 32     130,560  2,066,944   15.8
# expect: 64     293,888  8,852,480   30.1
# Without the cache n tokens take 1 + 2 + ... + n = n * (n + 1) / 2 runs of the model,
# with it n: "times" is nearly (n + 1) / 2, and twice the text about 4 times the work.
twice = [longer / shorter for longer, shorter in zip(counted[64], counted[32])]
print(f"64 for 32: {twice[0]:.1f} times the work with it, {twice[1]:.1f} without")
# expect: 64 for 32: 2.3 times the work with it, 4.3 without
print(f"seconds, counting included: {seconds[0]:.2f} with, {seconds[1]:.2f} without")

lines = []
for name, column in zip(["with the cache", "without"], zip(*costs)):
    sums = [sum(column[:n]) / 1e6 for n in range(1, 65)]
    lines.append(Line(name, list(zip(range(1, 65), sums))))
labels = ["The cost of writing a text", "tokens", "million multiplications in all"]
save_picture("ch12_kv_cache.svg", line_chart(lines, *labels))

# The price is memory: n_embd numbers for the key and as many for the value, for each
# layer and token. Little here; for GPT-3, with 96 layers, n_embd 12,288 and a text of
# 2,048 tokens, nearly 10 GB at two bytes a number, for each text being written.
print(f"cache: {n_kept:,} numbers, GPT-3: {2 * 96 * 12288 * 2048:,}")
# expect: cache: 2,048 numbers, GPT-3: 4,831,838,208

# What production does: it runs the given tokens side by side, then caches, token by
# token. There, reading so large a cache takes longer than multiplying, and so several
# heads share one key and value (the paper above: all heads do).
#
# What is left unsolved: a processor can multiply a billion times a second, and 293,888
# should take it less than a millisecond. Where does the time go?
#
# Exercises (solutions in solutions/ch12.py):
# 1. From which token on does attention cost more than all the rest? And in GPT-2, with
#    12 layers, n_embd 768, a vocabulary of 50,257 and a block of 1,024 tokens?
# 2. Train with bare numbers in the cache, as `read` leaves them: what does it do to the
#    loss, and what to the gradients?
# 3. A text outgrows the block. Drop the oldest token from the cache: does that give the
#    same logits as running the 64 newest tokens from an empty one?
