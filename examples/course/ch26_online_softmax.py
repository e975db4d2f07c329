"""Chapter 26. Online softmax: can attention do without the table of scores?

Chapter 22 computed all the scores of a text at once: a table of T * T numbers for each
attention head, if the text has T tokens. For a name that is nothing. For a long text it
is more than anything else in the model: 100,000 tokens make a table of ten thousand
million numbers. And nearly all of it is there only for a moment, since what is wanted
of it in the end is one mixture of values for each token.

Why is the table stored at all? Because of softmax. It divides by the sum of all exps,
so it seems that one must have seen all scores of a row before the first weight is
known. And to keep exp from overflowing it subtracts the largest score, which is known
only at the end as well.

*Online softmax* shows that both can be made up for. "Online" has nothing to do with
networks: it is the field's word for a method that takes its numbers one at a time and
is always ready with the result for those that it has seen. Three things are carried
along: the largest score so far, the sum of the exps, and the mixture. Whenever a larger
score comes, the other two are *rescaled*. *FlashAttention* does this block by block,
and it is the way in which nearly all large models compute attention today.

Before you run it: `python examples/learn.py 26` asks you for a few guesses first. If
you go without it, write down how often the largest score so far changes in a row of
1,024 random scores, and whether the results are equal to those of the table.

Papers: Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018; Rabe
and Staats, "Self-attention does not need O(n^2) memory", 2021; Dao et al.,
"FlashAttention: fast and memory-efficient exact attention", 2022.
"""

# %%
import gc
import math
import random
import sys
import time
import tracemalloc
from statistics import median

from common import HELD_OUT_NAMES, TOKENIZER, loss_and_error, save_picture
from trained import trained_gpt

from microgpt import (
    Value,
    as_float,
    as_floats,
    cross_entropy,
    dot,
    exp,
    linear,
    mlp,
    rmsnorm,
    softmax,
    token_losses,
    total,
)
from microgpt.model import add
from microgpt.tools.draw import Line, heat_map, line_chart
from microgpt.tools.terminal import Progress

TOLERANCE = 1e-12


# %%
# The plain form, with which everything will be compared: one query looks at t keys. All
# scores, then all weights, then the mixture. (The scores are divided by sqrt(n), as
# always, where n is how many numbers a key has.)
def attend_plain(q, keys, values):  # (n), (t, n), (t, m) -> (m)
    """Return the mixture of the values. All t scores are there at the same time."""
    scale = len(q) ** -0.5
    scores = [dot(q, k) * scale for k in keys]  # (t)
    weights = softmax(scores)  # (t)
    return [dot(weights, column) for column in zip(*values)]  # (m)


# Step 1: without keeping the scores. The mixture is a quotient. Above stands the sum of
# e^score * value over all keys, and below the sum of e^score. Both can be added up as
# the keys come, one after the other, and divided at the end.
def attend_in_one_pass(q, keys, values):  # (n), (t, n), (t, m) -> (m)
    """Return the same mixture, from two running sums. It can overflow."""
    scale = len(q) ** -0.5
    exps_sum = 0.0
    mix = [0.0] * len(values[0])
    for k, v in zip(keys, values):
        e = exp(dot(q, k) * scale)
        exps_sum = exps_sum + e
        mix = [mixed + e * vi for mixed, vi in zip(mix, v)]
    return [mixed / exps_sum for mixed in mix]


rng = random.Random(26)
N = 4  # how many numbers a query, a key and a value have here


def random_rows(n_rows, size=1.0):
    """Return a table of n_rows rows of N random numbers, about `size` in size."""
    return [[rng.gauss(0, size) for _ in range(N)] for _ in range(n_rows)]


def largest_difference(numbers, others):
    """Return the largest difference between two equally long lists."""
    assert len(numbers) == len(others)
    return max([abs(as_float(a) - as_float(b)) for a, b in zip(numbers, others)])


def text(numbers):
    """Return the numbers as text, with four digits after the point."""
    return "  ".join([f"{as_float(number):7.4f}" for number in numbers])


[q] = random_rows(1)
keys, values = random_rows(6), random_rows(6)
plain = attend_plain(q, keys, values)
one_pass = attend_in_one_pass(q, keys, values)
print("1. One query looks at six keys: the mixture")
print()
print(f"  all scores first   {text(plain)}")
print(f"  in one pass        {text(one_pass)}")
print()
assert largest_difference(plain, one_pass) < TOLERANCE

# %%
# What goes wrong with that? e^800 is too large for a float, and e^-800 is rounded to 0.
# The package's softmax has no trouble with such scores, because it subtracts the
# largest of them from all. That divides the sum above and the sum below by the same
# number, so the quotient stays as it is, and no exp is larger than 1. We do it without
# that, with keys that make scores of 800, and of -800.
print("2. Scores of 800 and of -800")
print()
ones = [1.0] * N  # its score with a key of four equal numbers c is 4 * c / 2 = 2 * c
large_keys = [[400.0] * N, [399.5] * N, [-400.0] * N]
low_keys = [[-400.0] * N, [-400.5] * N]
failures = []
for what, some_keys in [("800, 799, -800", large_keys), ("-800, -801", low_keys)]:
    some_values = values[: len(some_keys)]
    try:
        attend_in_one_pass(ones, some_keys, some_values)
    except (OverflowError, ZeroDivisionError) as problem:
        failures.append(type(problem).__name__)
        print(f"  scores {what:<15} in one pass: {failures[-1]}")
    mixture = attend_plain(ones, some_keys, some_values)
    print(f"  {'':<22} plain form:  {text(mixture)}")
print()

# (That the two mixtures are equal is no accident. Only the differences of the scores
# count: in both rows the first score is larger than the second by 1, and in the first
# row a third key, 1,600 below, gets no share at all.)
assert failures == ["OverflowError", "ZeroDivisionError"]


# %%
# Step 2: the running maximum.
#
# We would like to subtract the largest score, and do not know it yet. So subtract the
# largest *so far*. If a larger one turns up, everything that has been added up until
# then was made with the wrong maximum. But it is wrong by one factor, the same for all
# of it: e^(score - old) should have been e^(score - new), and that is e^(score - old)
# times e^(old - new). So we multiply the sum and the mix by e^(old - new), and all is
# as if the new maximum had been known from the beginning. This factor is the whole
# trick. It is at most 1, so nothing can overflow.
#
# At the start there is no score yet. The largest of none is minus infinity, and e to
# the power of minus infinity is 0, so that the first key multiplies the empty sums by
# 0. No special case is needed.
def attend_online(q, keys, values):  # (n), (t, n), (t, m) -> (m)
    """Return the mixture of the values; never more than one score is kept."""
    scale = len(q) ** -0.5
    largest = -math.inf  # the largest score so far
    exps_sum = 0.0  # the sum of e^(score - largest) so far
    mix = [0.0] * len(values[0])  # the sum of e^(score - largest) * value so far
    for k, v in zip(keys, values):
        score = dot(q, k) * scale
        new_largest = max(largest, as_float(score))
        rescale = math.exp(largest - new_largest)
        e = exp(score - new_largest)
        exps_sum = exps_sum * rescale + e
        mix = [mixed * rescale + e * vi for mixed, vi in zip(mix, v)]
        largest = new_largest
    return [mixed / exps_sum for mixed in mix]


# Let us watch it with four scores: 1, 3, 2 and 4, and values of one number each. (The
# query is (1, 0, 0, 0) and the scale 1/2, so a key of (2, 0, 0, 0) has a score of 1.)
watched_scores = [1.0, 3.0, 2.0, 4.0]
watched_keys = [[2 * score, 0.0, 0.0, 0.0] for score in watched_scores]
watched_values = [[10.0], [20.0], [30.0], [40.0]]
watched_query = [1.0, 0.0, 0.0, 0.0]
print("3. The three things that are carried along, key by key")
print()
print("  score   value   largest   rescale   e^(score - largest)     sum      mix")
largest, exps_sum, mix = -math.inf, 0.0, 0.0
for score, [value] in zip(watched_scores, watched_values):
    new_largest = max(largest, score)
    rescale = math.exp(largest - new_largest)
    e = math.exp(score - new_largest)
    exps_sum = exps_sum * rescale + e
    mix = mix * rescale + e * value
    largest = new_largest
    print(
        f"  {score:5.0f} {value:7.0f} {largest:9.0f} {rescale:9.3f} {e:21.3f} "
        f"{exps_sum:7.3f} {mix:8.3f}"
    )
watched = mix / exps_sum
print()
print(f"  mix / sum          {watched:.6f}")
[watched_plain] = attend_plain(watched_query, watched_keys, watched_values)
print(f"  plain form         {watched_plain:.6f}")
print()
[watched_online] = attend_online(watched_query, watched_keys, watched_values)
assert abs(watched - watched_plain) < TOLERANCE
assert watched == watched_online

# Check the second line by hand. The score 3 is larger than 1. What was there, a sum of
# 1 and a mix of 10, is multiplied by e^(1 - 3) = 0.135. Then come 1 and 20. That makes
# 1.135 and 21.353. In the third line nothing is rescaled, since 2 is less than 3: the
# factor is 1.


# %%
# Is it equal? We compare with the plain form: ordinary scores, a long row, scores of up
# to 800 in size, and the two rows of section 2, in which one pass failed.
def stretched(q, keys, largest_wanted):
    """Return q made longer, so that its scores are up to largest_wanted in size."""
    largest = max([abs(dot(q, k)) * N**-0.5 for k in keys])
    return [number * largest_wanted / largest for number in q]


[q] = random_rows(1)
some_keys, many_keys = random_rows(64), random_rows(1024)
cases = {
    "64 random keys": (q, some_keys),
    "1,024 random keys": (q, many_keys),
    "64 keys, stretched": (stretched(q, some_keys, 800), some_keys),
    "1,024 keys, stretched": (stretched(q, many_keys, 800), many_keys),
    "800, 799, -800": (ones, large_keys),
    "-800, -801": (ones, low_keys),
}
print("4. Online against the plain form")
print()
print("                          scores from       to   equal to 1e-12")
online_differs = {}
for what, (case_q, case_keys) in cases.items():
    case_values = random_rows(len(case_keys))
    scores = [dot(case_q, k) * N**-0.5 for k in case_keys]
    plain = attend_plain(case_q, case_keys, case_values)
    online = attend_online(case_q, case_keys, case_values)
    online_differs[what] = largest_difference(plain, online)
    is_equal = online_differs[what] < TOLERANCE
    print(f"  {what:<24} {min(scores):10.1f} {max(scores):8.1f}   {is_equal}")
print()
assert max(online_differs.values()) < TOLERANCE

# And the slopes? On Values, the maximum is a plain number, not a part of the graph.
# That is allowed because the result does not depend on which number is subtracted, so
# that its slope with respect to it is 0.


def slopes(attend, q, keys, values):
    """Return the slopes of a sum over the mixture, with respect to all the numbers."""
    q_values = [Value(number) for number in q]
    key_values = [[Value(number) for number in k] for k in keys]
    value_values = [[Value(number) for number in v] for v in values]
    mixture = attend(q_values, key_values, value_values)
    factors = range(1, len(mixture) + 1)  # so that each number counts differently
    total([mixed * factor for mixed, factor in zip(mixture, factors)]).backward()
    rows = [q_values, *key_values, *value_values]
    return [number.grad for row in rows for number in row]


[q] = random_rows(1)
keys, values = random_rows(64), random_rows(64)
plain_slopes = slopes(attend_plain, q, keys, values)
online_slopes = slopes(attend_online, q, keys, values)
slopes_differ = largest_difference(plain_slopes, online_slopes)
print(f"  {len(plain_slopes)} slopes, on Values, equal to {TOLERANCE}: ", end="")
print(slopes_differ < TOLERANCE)
print()
assert slopes_differ < TOLERANCE

# %%
# How often must something be rescaled? `attend_online` multiplies at every key, but by
# a factor that is 1 unless the score is a new largest, and a program may skip a factor
# of 1. Then what it costs depends on how often the largest score so far changes. In the
# worst case, where each score is larger than the one before, it changes at every key.
# But if the scores come in random order, the 100th is the largest so far only with a
# probability of 1/100. So the number of times is about 1 + 1/2 + 1/3 + ..., which grows
# very slowly. Counted in 200 random rows:


def n_new_largest(scores):
    """Return how often a score is larger than all before it, the first included."""
    largest, n_times = -math.inf, 0
    for score in scores:
        if score > largest:
            largest = score
            n_times += 1
    return n_times


print("5. How often does the largest score so far change?")
print()
print("  scores in the row   counted (mean of 200)   1 + 1/2 + 1/3 + ...")
changes = {}
for n_scores in [8, 64, 1024]:
    counts = []
    for _ in range(200):
        counts.append(n_new_largest([rng.gauss(0, 1) for _ in range(n_scores)]))
    changes[n_scores] = sum(counts) / len(counts)
    expected = sum([1 / i for i in range(1, n_scores + 1)])
    print(f"  {n_scores:17,} {changes[n_scores]:23.1f} {expected:21.1f}")
print()
assert abs(changes[1024] - 7.5) < 1


# %%
# Step 3: block by block.
#
# One key at a time is right, and slow on every real machine: those are quick only if
# they get many numbers at once. So take the keys in blocks. Within a block, compute as
# in the plain form: all its scores, its largest, its sum, its mix. Then join what the
# block has found to what was there. One of the two may have to be rescaled: the one
# with the smaller maximum. The factor of the other is e^0 = 1.
def found_in(scores, values):  # (t), (t, m) -> one, one, (m)
    """Return (largest score, sum of exps, mix) of one block of scores and values."""
    largest = max([as_float(score) for score in scores])
    exps = [exp(score - largest) for score in scores]
    mix = [dot(exps, column) for column in zip(*values)]
    return largest, total(exps), mix


def look_at_block(q, keys, values):  # (n), (t, n), (t, m) -> one, one, (m)
    """Return what a query finds in one block of keys: largest score, sum, mix."""
    scale = len(q) ** -0.5
    scores = [dot(q, k) * scale for k in keys]
    return found_in(scores, values)


def join(found_a, found_b):
    """Return what two blocks have found together, as if they had been one."""
    largest_a, sum_a, mix_a = found_a
    largest_b, sum_b, mix_b = found_b
    largest = max(largest_a, largest_b)
    rescale_a = math.exp(largest_a - largest)
    rescale_b = math.exp(largest_b - largest)
    exps_sum = sum_a * rescale_a + sum_b * rescale_b
    mix = [a * rescale_a + b * rescale_b for a, b in zip(mix_a, mix_b)]
    return largest, exps_sum, mix


def attend_in_blocks(q, keys, values, block_length):  # (n), (t, n), (t, m) -> (m)
    """Return the mixture of the values, with block_length scores at a time."""
    found = (-math.inf, 0.0, [0.0] * len(values[0]))  # nothing yet
    for first in range(0, len(keys), block_length):
        block = slice(first, first + block_length)
        found = join(found, look_at_block(q, keys[block], values[block]))
    _, exps_sum, mix = found
    return [mixed / exps_sum for mixed in mix]


# Here is one join, for the four scores of section 3 in two blocks of two. The first
# block has seen a largest score of 3, and the second of 4, so the first is rescaled, by
# e^(3 - 4) = 0.368, and the second is not. (Their sums are equal because in both blocks
# the two scores are 2 apart.) What is joined is the last row of section 3.
first_half = look_at_block(watched_query, watched_keys[:2], watched_values[:2])
second_half = look_at_block(watched_query, watched_keys[2:], watched_values[2:])
print("6. Block by block: one join")
print()
print("                        largest      sum      mix")
for what, (largest, exps_sum, [mixed]) in [
    ("scores 1 and 3", first_half),
    ("scores 2 and 4", second_half),
    ("joined", join(first_half, second_half)),
]:
    print(f"  {what:<20} {largest:8.0f} {exps_sum:8.3f} {mixed:8.3f}")
print()
assert abs(mixed / exps_sum - watched_plain) < TOLERANCE

# `attend_online` is the special case of blocks of one key, and the plain form that of a
# single block. And `join` does not care about order: blocks may be looked at backwards,
# or on different machines, and be joined in any way.
print("  64 keys, in blocks")
print()
plain = attend_plain(q, keys, values)
blocks_differ = []
for block_length in [1, 7, 16, 64]:
    in_blocks = attend_in_blocks(q, keys, values, block_length)
    blocks_differ.append(largest_difference(plain, in_blocks))
    print(
        f"  blocks of {block_length:2}: equal to 1e-12: {blocks_differ[-1] < TOLERANCE}"
    )
found_by_machine = []  # four machines, each with a quarter of the keys
for machine in range(4):
    quarter = slice(16 * machine, 16 * (machine + 1))
    found_by_machine.append(look_at_block(q, keys[quarter], values[quarter]))
machine_0, machine_1, machine_2, machine_3 = found_by_machine
_, exps_sum, mix = join(join(machine_3, machine_1), join(machine_0, machine_2))
joined = [mixed / exps_sum for mixed in mix]
blocks_differ.append(largest_difference(plain, joined))
print("  four machines, joined in another order: equal to 1e-12: ", end="")
print(blocks_differ[-1] < TOLERANCE)
print()
assert max(blocks_differ) < TOLERANCE


# %%
# Step 4: all queries, block by block, with the mask: FlashAttention.
#
# Now a whole text: T queries, and each looks at the keys up to its own. Queries are
# taken in blocks as well as keys. At any time only one *tile* of the table exists: the
# scores of one block of queries with one block of keys. Three kinds of tile occur:
#
#     below the diagonal    all keys come before all queries: nothing is masked
#     on the diagonal       some of its scores have to be hidden, by the mask
#     above the diagonal    all keys come after all queries: never computed at all
#
# The last line saves half of the work, which chapter 22 threw away. In a tile on the
# diagonal, the hidden scores get -inf, as in chapter 22, and so their exps are 0.
#
# We also want to know how much memory is needed, so `Counter` counts the numbers that
# are held at the same time: the table in `with_the_table`, and in `flash_attention` one
# tile and what each of its queries has found so far. The queries, keys, values and
# results are not counted, since either way of computing needs them. Nor are the small
# lists that come and go: a single row on its way through softmax or `found_in`, and the
# lists in which the same values stand once more, in another order.
class Counter:
    """How many numbers are held now, and how many were held at most."""

    def __init__(self):
        self.held = 0
        self.most = 0

    def hold(self, n_numbers):
        """Count n_numbers more as held."""
        self.held += n_numbers
        self.most = max(self.most, self.held)

    def let_go(self, n_numbers):
        """Count n_numbers as held no longer."""
        self.held -= n_numbers


def with_the_table(queries, keys, values, counter):  # (T, n), (T, n), (T, m) -> (T, m)
    """Return the mixture of each query, with the whole table, as in chapter 22."""
    scale = len(queries[0]) ** -0.5
    table = [[dot(q, k) * scale for k in keys] for q in queries]  # (T, T)
    counter.hold(len(queries) * len(keys))
    mixtures = []
    value_columns = list(zip(*values))  # (m, T)
    for i in range(len(queries)):
        masked = [s if j <= i else -math.inf for j, s in enumerate(table[i])]
        table[i] = softmax(masked)
    for weights in table:
        mixtures.append([dot(weights, column) for column in value_columns])
    counter.let_go(len(queries) * len(keys))
    return mixtures


# The scores of one tile, with the mask. `rows` and `columns` are the places in the text
# at which its queries and its keys stand, such as range(16, 32) and range(0, 16).
def tile_of_scores(queries, keys, rows, columns):
    """Return {place of the query: its scores with the keys of the tile}."""
    scale = len(queries[0]) ** -0.5
    tile = {}
    for i in rows:
        tile[i] = []
        for j in columns:
            score = dot(queries[i], keys[j]) * scale
            tile[i].append(score if j <= i else -math.inf)
    return tile


def flash_attention(queries, keys, values, block_length, counter):
    """Return the same mixtures; of the table, one tile exists at a time."""
    n_tokens, n_numbers = len(queries), len(values[0])
    mixtures = []
    for first_row in range(0, n_tokens, block_length):
        rows = range(first_row, min(first_row + block_length, n_tokens))
        # What each of these queries has found so far: largest, sum, mix.
        found = {i: (-math.inf, 0.0, [0.0] * n_numbers) for i in rows}
        counter.hold(len(rows) * (2 + n_numbers))
        for first_column in range(0, first_row + 1, block_length):
            # It ends with the tile on the diagonal: those above it are never computed.
            columns = range(first_column, min(first_column + block_length, n_tokens))
            tile = tile_of_scores(queries, keys, rows, columns)
            counter.hold(len(rows) * len(columns))
            tile_values = [values[j] for j in columns]
            for i in rows:
                found[i] = join(found[i], found_in(tile[i], tile_values))
            counter.let_go(len(rows) * len(columns))
        for i in rows:
            _, exps_sum, mix = found[i]
            mixtures.append([mixed / exps_sum for mixed in mix])
        counter.let_go(len(rows) * (2 + n_numbers))
    return mixtures


# There is one trap in it. If a row of a tile is masked from end to end, its largest
# score is -inf, and -inf less -inf is nan. With equal blocks of queries and keys that
# cannot happen: the tiles above the diagonal are left out, and in one on the diagonal
# every query sees at least itself. Where padding is masked as well (chapter 22), such
# rows exist, and programs need a special case for them.
assert math.isnan(-math.inf - -math.inf)

# The memory is also measured, by `tracemalloc`, a part of Python that knows how many
# bytes are in use at most. (A number in a Python list takes several times as many bytes
# as it does elsewhere. So look at how the columns grow, not at their size.)
BLOCK_LENGTH = 16


def rows_differ(rows, other_rows):
    """Return the largest difference between two tables of the same shape."""
    differences = []
    for row, other_row in zip(rows, other_rows):
        differences.append(largest_difference(row, other_row))
    return max(differences)


def measured(attend_all, *arguments):
    """Return (the result, the most bytes in use meanwhile beyond those before)."""
    gc.collect()
    tracemalloc.start()
    result = attend_all(*arguments)
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return result, most_bytes


print("7. A whole text: numbers held at the same time, beside q, k, v and the result")
print()
print(f"  tokens    the table   blocks of {BLOCK_LENGTH}   equal to 1e-12")
numbers_held, bytes_used = {}, {}
progress = Progress("texts", total=5, every=5, stream=sys.stderr)
for n_done, n_tokens in enumerate([32, 64, 128, 192, 256], start=1):
    queries, keys, values = [random_rows(n_tokens) for _ in range(3)]
    table_counter, flash_counter = Counter(), Counter()
    with_table, table_bytes = measured(
        with_the_table, queries, keys, values, table_counter
    )
    in_tiles, flash_bytes = measured(
        flash_attention, queries, keys, values, BLOCK_LENGTH, flash_counter
    )
    numbers_held[n_tokens] = (table_counter.most, flash_counter.most)
    bytes_used[n_tokens] = (table_bytes, flash_bytes)
    is_equal = rows_differ(with_table, in_tiles) < TOLERANCE
    print(
        f"  {n_tokens:6} {table_counter.most:12,} {flash_counter.most:14,}   {is_equal}"
    )
    assert is_equal
    assert table_counter.held == flash_counter.held == 0
    progress.show(n_done)
progress.finish()
print()
print("  measured by tracemalloc, the result included (thousands of bytes)")
for n_tokens, (table_bytes, flash_bytes) in bytes_used.items():
    print(f"~ {n_tokens:6} {table_bytes / 1000:12,.0f} {flash_bytes / 1000:14,.0f}")
    assert table_bytes > flash_bytes
print()
held_by_table = [numbers_held[n][0] for n in numbers_held]
held_by_flash = [numbers_held[n][1] for n in numbers_held]
assert held_by_table == [n * n for n in numbers_held]
assert held_by_flash == [BLOCK_LENGTH**2 + BLOCK_LENGTH * (2 + N)] * 5

long_text = 100_000
large_block, large_head = 128, 128  # as large models have them
held_in_large = large_block**2 + large_block * (2 + large_head)
print(f"  {long_text:,} tokens, for each head:")
print(f"    the table                              {long_text**2:14,} numbers")
print(
    f"    blocks of {BLOCK_LENGTH}, values of {N} numbers     {held_by_flash[-1]:14,}"
)
print(
    f"    blocks of {large_block}, values of {large_head} numbers  {held_in_large:14,}"
)
print(f"    (at 2 bytes a number, the table is {long_text**2 * 2 / 1e9:.0f} GB)")
print()

# Twice the text, four times the table, and the blocks need the same as before: one tile
# of 16 * 16 = 256 numbers, and for each of 16 queries a largest, a sum and a mix of 4
# numbers, which is 96 more. (What grows by `tracemalloc` in the last column is the
# result itself, T rows of 4 numbers.) In a large model blocks and heads are larger, as
# in the line with 128, and more is held; but that does not grow with the text either.
curve_table = [(n, table) for n, (table, _) in numbers_held.items()]
curve_flash = [(n, flash) for n, (_, flash) in numbers_held.items()]
svg = line_chart(
    [
        Line("the whole table", curve_table),
        Line(
            f"tiles of {BLOCK_LENGTH} by {BLOCK_LENGTH}: always {held_by_flash[-1]}",
            curve_flash,
        ),
    ],
    title="What attention has to hold, by the length of the text",
    x_label="tokens in the text",
    y_label="numbers held at the same time",
)
save_picture("ch26_memory.svg", svg)
print()

# Which scores are computed at all? The picture shows it for a text of 12 tokens in
# tiles of 4 by 4, with a gap between the tiles. Blue (1) is a score that is used,
# orange (-1) one that is computed and then masked, and the empty tiles are never
# computed.


def kind_of_place(i, j, block_length):
    """Return 1 for a score that is used, -1 for a masked one, None for none at all."""
    if j // block_length > i // block_length:
        return None
    return 1 if j <= i else -1


def kinds_of_places(n_tokens, block_length):
    """Return the table of kinds: a row for each query, a column for each key."""
    rows = []
    for i in range(n_tokens):
        rows.append([kind_of_place(i, j, block_length) for j in range(n_tokens)])
    return rows


def with_gaps(row, block_length, gap):
    """Return the row with a gap between blocks, for a picture."""
    spaced = []
    for i, cell in enumerate(row):
        if i > 0 and i % block_length == 0:
            spaced.append(gap)
        spaced.append(cell)
    return spaced


labels = with_gaps([str(i) for i in range(12)], 4, gap="")
tiles = [with_gaps(row, 4, gap=None) for row in kinds_of_places(12, block_length=4)]
svg = heat_map(
    with_gaps(tiles, 4, gap=[None] * len(labels)),
    row_labels=labels,
    column_labels=labels,
    title="Twelve tokens in tiles of 4 by 4 (empty: never computed)",
    row_axis="query",
    column_axis="key",
    unit="1: used, -1: masked",
    diverging=True,
    digits=0,
)
save_picture("ch26_tiles.svg", svg)
kinds = [kind for row in kinds_of_places(256, BLOCK_LENGTH) for kind in row]
share_computed = 1 - kinds.count(None) / len(kinds)
share_used = kinds.count(1) / len(kinds)
print(f"  256 tokens, tiles of {BLOCK_LENGTH} by {BLOCK_LENGTH}: ", end="")
print(f"{share_computed:.0%} of the table is computed, {share_used:.0%} is used")
print()

# And with large scores, up to 800 in size, tile by tile?
queries, keys, values = random_rows(40), random_rows(40), random_rows(40)
largest = max([abs(dot(q, k)) * N**-0.5 for q in queries for k in keys])
large_queries = [[number * 800 / largest for number in q] for q in queries]
counter = Counter()
large_table = with_the_table(large_queries, keys, values, counter)
large_tiles = flash_attention(large_queries, keys, values, BLOCK_LENGTH, counter)
large_differ = rows_differ(large_table, large_tiles)
print("  40 tokens, scores of up to 800 in size, tile by tile:")
print(f"  equal to the table to {TOLERANCE}: {large_differ < TOLERANCE}")
print()
assert large_differ < TOLERANCE


# %%
# The whole GPT, online.
#
# Here is `attention` of the package with one place changed: where it computed scores,
# weights and a mixture, it now calls attend_online. We give it the GPT that chapter 14
# trained on 6,000 names. The loss has to be what it was.
def attention_online(x, params, config, layer, keys, values):  # (n_embd) -> (n_embd)
    """Return what `microgpt.attention` returns, without ever holding two scores."""
    q = linear(x, params[f"layer{layer}.attn_wq"])
    keys[layer].append(linear(x, params[f"layer{layer}.attn_wk"]))
    values[layer].append(linear(x, params[f"layer{layer}.attn_wv"]))
    gathered = []
    for h in range(config.n_head):
        head = slice(h * config.head_dim, (h + 1) * config.head_dim)
        keys_head = [k[head] for k in keys[layer]]
        values_head = [v[head] for v in values[layer]]
        gathered += attend_online(q[head], keys_head, values_head)
    return linear(gathered, params[f"layer{layer}.attn_wo"])


def losses_online(params, config, tokens):
    """Return what `token_losses` returns, with attention_online for attention."""
    tokens = tokens[: config.block_size + 1]
    keys = [[] for _ in range(config.n_layer)]
    values = [[] for _ in range(config.n_layer)]
    losses = []
    for pos_id, token_id in enumerate(tokens[:-1]):
        x = rmsnorm(add(params["wte"][token_id], params["wpe"][pos_id]))
        for layer in range(config.n_layer):
            normed = rmsnorm(x)
            x = add(x, attention_online(normed, params, config, layer, keys, values))
            x = add(x, mlp(rmsnorm(x), params, layer))
        logits = linear(x, params["lm_head"])
        losses.append(cross_entropy(logits, tokens[pos_id + 1]))
    return losses


run = trained_gpt()
params = as_floats(run.params)
online_surprises = {}
names_differ = 0.0
seconds_online, seconds_plain = 0.0, 0.0
progress = Progress("names", len(HELD_OUT_NAMES), every=250, stream=sys.stderr)
for n_done, name in enumerate(HELD_OUT_NAMES, start=1):
    tokens = TOKENIZER.encode_document(name)
    started = time.perf_counter()
    online_surprises[name] = losses_online(params, run.config, tokens)
    between = time.perf_counter()
    plain_surprises = token_losses(params, run.config, tokens)
    seconds_online += between - started
    seconds_plain += time.perf_counter() - between
    difference = largest_difference(online_surprises[name], plain_surprises)
    names_differ = max(names_differ, difference)
    progress.show(n_done)
progress.finish()


def nats_online(name):
    """Return the surprises at a name, computed above."""
    return online_surprises[name]


loss, error = loss_and_error(nats_online)

print("8. The GPT of chapter 14 with online attention, on 500 held-out names")
print()
print(f"loss per character: {loss:.3f} ± {error:.3f} (nats, trained on 6,000 names)")
print(f"every surprise equal to {TOLERANCE}: {names_differ < TOLERANCE}")
print(f"~ seconds: {seconds_online:.1f} online, {seconds_plain:.1f} plain")
assert names_differ < TOLERANCE


def median_seconds(attend, q, keys, values):
    """Return the median time of 25 calls, in seconds of the processor."""
    seconds = []
    for _ in range(25):
        started = time.process_time()
        attend(q, keys, values)
        seconds.append(time.process_time() - started)
    return median(seconds)


print()
print(
    "  one query, t keys: the time of the online form, as a multiple of the plain one"
)
for n_keys in [4, 8, 64, 1024]:
    [q] = random_rows(1)
    keys, values = random_rows(n_keys), random_rows(n_keys)
    ratio = median_seconds(attend_online, q, keys, values)
    ratio /= median_seconds(attend_plain, q, keys, values)
    print(f"~   {n_keys:5,} keys  {ratio:4.1f}")

# On names the two take about as long, since a query has at most 8 keys there, and with
# so few the two functions themselves are nearly as fast as each other. On a long row
# the online form is slower: 1.6 to 1.8 times, whenever we measured it with 64 keys or
# more. It does all the multiplications of the plain form, and the rescaling on top, and
# in plain Python more operations take longer. Then why is FlashAttention *faster* than
# the plain form on a graphics processor, by several times? Because there arithmetic is
# cheap and moving numbers is dear. Such a processor has a small memory close to where
# it computes, and a large one further away. The table does not fit into the small one.
# So the plain form writes all the scores to the large memory, reads them back for
# softmax, writes the weights, and reads them once more to mix the values. A tile fits
# into the small memory, and no score ever leaves it.
#
# And training? Our Values remember every number that was computed, for backward(), so
# with them the memory is not saved. FlashAttention has a backward pass of its own,
# written by hand, that does not need the table either. It keeps one number for each
# query, largest + log(sum), which is the logsumexp of its scores, and computes each
# weight anew when it is wanted, as e^(score - that number). Exercise 3 does it.
#
# What production does. This, and refinements of it: blocks of 64 or 128, shared out so
# that no part of the processor waits; queries, keys, values and weights in 16 bits, but
# the largest score, the sum and the mix in 32. When a model writes, there is a single
# new query and a long cache; then the blocks of keys are given to different parts of
# the processor, and what they have found is joined, as by our four machines. For texts
# that are too long for one machine, the machines pass their blocks of keys round in a
# ring. In PyTorch, `scaled_dot_product_attention` chooses such a program by itself.
#
# What is still missing. Only to put together what this part has shown. Chapter 27
# builds a Llama.
#
# Exercises. Hints and solutions are in ch26_solution.py.
# 1. In `attend_online`, leave out the rescaling of the mix, but not that of the sum.
#    For which order of the scores is the result still right? Which test finds it?
# 2. The loss of a prediction is logsumexp(logits) - logits[target]. Compute logsumexp
#    online, so that the logits of a vocabulary of 50,000 need not be held either.
# 3. Compute the slopes of a mixture by hand, with one number kept for each query. With
#    p the weight of a key, g the slopes with respect to the mixture, and o the mixture:
#    the slope of the score is p * (g·v - g·o). Compare with Values.
