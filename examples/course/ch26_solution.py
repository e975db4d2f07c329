"""Solutions to chapter 26. Each begins with hints: read them one at a time."""

# %%
from __future__ import annotations

import math
import random

import common  # noqa: F401  (it lets Python find microgpt)

from microgpt import Value, as_float, cross_entropy, dot, logsumexp, softmax, total

N = 4
SCALE = N**-0.5
rng = random.Random(26)


def random_rows(n_rows):
    """Return a table of n_rows rows of N random numbers, about 1 in size."""
    return [[rng.gauss(0, 1) for _ in range(N)] for _ in range(n_rows)]


def attend_plain(q, keys, values):
    """Return the mixture of the values, with all scores there at the same time."""
    weights = softmax([dot(q, k) * SCALE for k in keys])
    return [dot(weights, column) for column in zip(*values)]


# %%
# Exercise 1. Without rescaling the mix.
#
# Hint 1: what is the factor if the maximum does not change?
# Hint 2: for two keys, write down what is in the mix at the end, and what should be.
#
# It is right if the largest score comes first: then the maximum never changes, and all
# factors are 1. (The first factor of all is 0, and multiplies a mix of zeros, so it is
# not missed.) In every other order the early values count for too much.
#
# Which test finds it? In section 4 of the chapter, the four rows of random keys do. The
# two edge cases, "800, 799, -800" and "-800, -801", do not: both are falling, so the
# broken version passes them. A test of edge cases needs a rising one as well, such as
# "-800, 799, 800".


def attend_without_rescaling_the_mix(q, keys, values):
    """Return the wrong mixture: the sum is rescaled, and the mix is not."""
    largest, exps_sum, mix = -math.inf, 0.0, [0.0] * len(values[0])
    for k, v in zip(keys, values):
        score = dot(q, k) * SCALE
        new_largest = max(largest, score)
        e = math.exp(score - new_largest)
        exps_sum = exps_sum * math.exp(largest - new_largest) + e
        mix = [mixed + e * vi for mixed, vi in zip(mix, v)]
        largest = new_largest
    return [mixed / exps_sum for mixed in mix]


print("Exercise 1: the mix is not rescaled")
q = [1.0, 0.0, 0.0, 0.0]
values = [[10.0], [20.0], [30.0], [40.0]]
wrong_by = {}
for what, scores in [
    ("falling", [4, 3, 2, 1]),
    ("rising", [1, 2, 3, 4]),
    ("800, 799, -800", [800, 799, -800]),
    ("-800, -801", [-800, -801]),
    ("-800, 799, 800", [-800, 799, 800]),
    ("random", [rng.gauss(0, 1) for _ in range(4)]),
]:
    keys = [[score / SCALE, 0.0, 0.0, 0.0] for score in scores]
    some_values = values[: len(keys)]
    [right] = attend_plain(q, keys, some_values)
    [wrong] = attend_without_rescaling_the_mix(q, keys, some_values)
    wrong_by[what] = abs(wrong - right)
    print(f"  scores {what:<15} plain {right:7.3f}   without {wrong:7.3f}")
for what in ["falling", "800, 799, -800", "-800, -801"]:
    assert wrong_by[what] < 1e-12
for what in ["rising", "-800, 799, 800", "random"]:
    assert wrong_by[what] > 0.1

# %%
# Exercise 2. The loss, online.
#
# Hint 1: logsumexp is largest + log(sum), and both are carried along in attend_online.
# Hint 2: the logit of the target has to be remembered when it comes by.
#
# Nothing else is needed: no mix, since no values are mixed. For a vocabulary of 50,000
# and a long text, the table of logits is another of the largest in a model, and newer
# programs compute the loss like this.


def cross_entropy_online(lm_head, x, target_id):
    """Return cross_entropy(linear(x, lm_head), target_id), one logit at a time."""
    largest, exps_sum, target_logit = -math.inf, 0.0, None
    for token_id, row in enumerate(lm_head):
        logit = dot(row, x)
        new_largest = max(largest, logit)
        exps_sum = exps_sum * math.exp(largest - new_largest)
        exps_sum += math.exp(logit - new_largest)
        largest = new_largest
        if token_id == target_id:
            target_logit = logit
    return largest + math.log(exps_sum) - target_logit


print("Exercise 2: the loss, one logit at a time")
[x] = random_rows(1)
lm_head = random_rows(50_000)
online = cross_entropy_online(lm_head, x, target_id=26)
plain = cross_entropy([dot(row, x) for row in lm_head], 26)
print(f"  50,000 logits: {online:.6f}, all at once {plain:.6f}")
assert abs(online - plain) < 1e-10

# %%
# Exercise 3. The slopes, without the weights.
#
# Hint 1: with L = logsumexp of the scores, a weight is p = e^(score - L).
# Hint 2: the mixture is the sum of p * v, so the slope with respect to v is p * g.
# Hint 3: score = (q·k) * scale, so the slope with respect to k is that of the score,
#         times q * scale; and q gets such a part from every key.
#
# Where does p * (g·v - g·o) come from? Raise one score a little. Its own weight p grows
# by p * (1 - p), and every other weight shrinks by p times itself. So the mixture
# changes by p * v, less p times the whole mixture o: by p * (v - o). How much that
# changes the result is told by g: p * (g·v - g·o). Of the forward pass only L and the
# mixture o are needed: one number, and the result itself.


def slopes_by_hand(q, keys, values, g):
    """Return the slopes with respect to q, all keys and all values."""
    logsum = logsumexp([dot(q, k) * SCALE for k in keys])  # kept from the forward pass
    mixture = attend_plain(q, keys, values)  # likewise
    g_mixture = dot(g, mixture)
    q_slopes = [0.0] * len(q)
    key_slopes, value_slopes = [], []
    for k, v in zip(keys, values):
        p = math.exp(dot(q, k) * SCALE - logsum)  # computed anew, used, forgotten
        score_slope = p * (dot(g, v) - g_mixture)
        q_slopes = [s + score_slope * SCALE * ki for s, ki in zip(q_slopes, k)]
        key_slopes.append([score_slope * SCALE * qi for qi in q])
        value_slopes.append([p * gi for gi in g])
    return [q_slopes, *key_slopes, *value_slopes]


[q], [g] = random_rows(1), random_rows(1)
keys, values = random_rows(20), random_rows(20)
by_hand = slopes_by_hand(q, keys, values, g)
q_leaves = [Value(number) for number in q]
key_leaves = [[Value(number) for number in k] for k in keys]
value_leaves = [[Value(number) for number in v] for v in values]
mixture = attend_plain(q_leaves, key_leaves, value_leaves)
total([mixed * gi for mixed, gi in zip(mixture, g)]).backward()
differences = []
for row, leaves in zip(by_hand, [q_leaves, *key_leaves, *value_leaves]):
    differences += [abs(slope - leaf.grad) for slope, leaf in zip(row, leaves)]
print("Exercise 3: the slopes by hand")
print(f"  {len(differences)} slopes as those of Values: {max(differences) < 1e-12}")
assert max(differences) < 1e-12
assert abs(as_float(mixture[0]) - attend_plain(q, keys, values)[0]) < 1e-12
