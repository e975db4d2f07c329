"""Solutions to chapter 21. Each begins with hints: read them one at a time."""

# %%
from __future__ import annotations

import math
from collections import Counter

from common import mean_and_error
from manual import manual_text

# %%
# Exercise 1. By hand.
#
# Hint 1: the surprise at a probability of 1/8 is 3 bits, since 8 is 2 * 2 * 2.
# Hint 2: perplexity = 2 ** bits.
#
# The surprises are 1, 2, 3 and 3 bits, 9 together, so the loss is 2.25 bits, or 2.25 *
# 0.693 = 1.56 nats, and the perplexity 2 ** 2.25 = 4.76. The plain mean of 2, 4, 8 and
# 8 is 5.5. It is not the perplexity, because probabilities are multiplied: the text has
# the probability 1/512, and 512 is 4.76 multiplied by itself four times. So it is the
# geometric mean that counts.
probabilities = [1 / 2, 1 / 4, 1 / 8, 1 / 8]
bits = sum([-math.log2(p) for p in probabilities]) / 4
nats = bits * math.log(2)
print("Exercise 1: probabilities 1/2, 1/4, 1/8, 1/8")
print(f"  {bits:.2f} bits, {nats:.2f} nats, a perplexity of {2**bits:.2f}")
print(f"  multiplied by itself four times: {(2**bits) ** 4:.0f}")
assert bits == 2.25
assert abs(math.exp(nats) - 2**bits) < 1e-12
assert abs((2**bits) ** 4 - 512) < 1e-9

# %%
# Exercise 2. Windows that overlap.
#
# Hint 1: windows begin at 0, 8, 16, …; of each, count places 8 to 15. Then every
#         character (but the first 8) is counted once, and has at least 8 before it.
# Hint 2: at the first places of a window, the table has to do with what there is: it
#         looks back no further than the window reaches.
#
# It costs twice as many windows, so twice the work. The loss falls, because nobody is
# asked any more without having seen something. This is no trick: the text is the same,
# and the model too. But two papers that cut their windows differently report different
# numbers for the same model. So a loss on running text should say how the windows lie.
text = manual_text().lower()
n_characters = len(set(text))
first_held_out = len(text) * 4 // 5
counted, asked = text[:first_held_out], text[first_held_out:]
counts, totals = Counter(), Counter()
for n_back in range(4):
    for i in range(n_back, len(counted)):
        counts[counted[i - n_back : i + 1]] += 1
        totals[counted[i - n_back : i]] += 1


def nats_at(window, i):
    """Return the surprise at window[i], with up to three characters before it."""
    before = window[max(0, i - 3) : i]
    seen = counts[before + window[i]] + 0.1
    return -math.log(seen / (totals[before] + 0.1 * n_characters))


apart, overlapping = [], []
for first in range(8, len(asked) - 16, 16):
    window = asked[first : first + 16]
    apart.append([nats_at(window, i) for i in range(16)])
    nats_of_16 = []
    for half in (first - 8, first):  # two windows, of which the second halves count
        window = asked[half : half + 16]
        nats_of_16 += [nats_at(window, i) for i in range(8, 16)]
    overlapping.append(nats_of_16)
differences = []
for group, other_group in zip(overlapping, apart):
    differences.append([a - b for a, b in zip(group, other_group)])
loss_apart, error_apart = mean_and_error(apart)
loss_overlapping, error_overlapping = mean_and_error(overlapping)
difference, error = mean_and_error(differences)
print("Exercise 2: a table that looks back three, on windows of 16")
print(f"  side by side        {loss_apart:.3f} ± {error_apart:.3f}")
print(f"  overlapping         {loss_overlapping:.3f} ± {error_overlapping:.3f}")
print(f"  the difference     {difference:+.3f} ± {error:.3f}")
assert difference < -2 * error

# %%
# Exercise 3. What a hop costs.
#
# Hint 1: how many runs does a hop take, and how many characters follow before the next?
# Hint 2: with `kept` characters, BOS and these are run; then 15 - kept more fit.
#
# From one hop to the next there are 1 + kept runs at once and 15 - kept one by one, 16
# together. They serve 16 - kept characters: the one at the hop itself, and the others.
# So a character costs 16 / (16 - kept) runs. With 15 kept, this is to slide.
BLOCK_SIZE = 16


def count_runs(n_text, kept):
    """Return how many runs of the model the text takes, by counting."""
    n_runs = 1  # BOS
    in_cache = 1
    for _ in range(n_text - 1):
        if in_cache == BLOCK_SIZE:
            in_cache = 1 + kept
            n_runs += 1 + kept
        else:
            in_cache += 1
            n_runs += 1
    return n_runs


print("Exercise 3: runs a character, for a text of 100,000")
print("  kept   counted   16 / (16 - kept)")
for kept in [1, 4, 8, 12, 15]:
    counted_runs = count_runs(100_000, kept) / 100_000
    by_formula = BLOCK_SIZE / (BLOCK_SIZE - kept)
    print(f"  {kept:>4} {counted_runs:9.3f} {by_formula:18.3f}")
    assert abs(counted_runs - by_formula) < 0.01
