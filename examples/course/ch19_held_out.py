"""Chapter 19. Held out: which of all these numbers can be trusted?

Chapter after chapter ended with a loss on held-out names, and many of these losses
differ only in the second or third digit. The table of them, in examples/README.md,
looks as if it ranked the models. Does it?

Each loss was measured on one set of 500 names. Another set would have given another
number. Is a difference of 0.02 real, then, or luck? The tool for this question is the
*standard error*: how far a measured mean typically lies from what endless data would
give. It comes out of the measurement itself, from how much the names differ.

Three other things can spoil a comparison, and no standard error shows them. Held-out
names may have been trained on after all, which is called a *leak*. Two models may have
learnt from different amounts of data. And what was chosen on the held-out names is no
longer measured honestly by them. In the end we turn all of this on the course's own
table.

The chapter's questions are asked by `python examples/learn.py 19`; otherwise write down
your guess before you run this: with 500 held-out names, which digit of 2.632 can you
trust? And what helps a small GPT most: twice the names, twice the width, or twice the
layers?

Papers: Kaufman, Rosset and Perlich, "Leakage in data mining", 2011; Miller, "Adding
error bars to evals", 2024.
"""

# %%
from __future__ import annotations

import math
import os
import random
import sys
from collections import Counter
from statistics import mean, stdev

from common import (
    ALL_HELD_OUT_NAMES,
    ALL_TRAIN_NAMES,
    HELD_OUT_NAMES,
    ROOT,
    LetterTable,
    difference_and_error,
    loss_and_error,
    pairs,
    save_picture,
)
from path import printed_losses

from microgpt import (
    TrainConfig,
    as_floats,
    perplexity,
    read_documents,
    split_documents,
    start,
    token_losses,
)
from microgpt.tools.draw import Line, line_chart
from microgpt.tools.terminal import Progress
from microgpt.training import train


# %%
# The models of the first half are tables as in chapter 1: how often did this letter
# follow these? They look back over one, two or three letters, and add 0.1 to each count
# (chapter 1 added 1). They are made in no time, so that we can make many.
def table(counted_names, n_back):
    """Count; return a function name -> the table's surprise at each character."""
    pair_counts, context_counts = Counter(), Counter()
    for name in counted_names:
        for context, target in pairs(name):
            last = last_letters(context, n_back)
            pair_counts[last, target] += 1
            context_counts[last] += 1

    def nats_of(name):
        nats = []
        for context, target in pairs(name):
            last = last_letters(context, n_back)
            seen = pair_counts[last, target] + 0.1
            nats.append(-math.log(seen / (context_counts[last] + 27 * 0.1)))
        return nats

    return nats_of


def last_letters(context, n_back):
    """Return the last n_back tokens; before the name begins there is only BOS (0)."""
    padded = [0] * n_back + context
    return tuple(padded[len(context) :])


def with_error(loss_with_error):
    """Return "loss ± error" as text."""
    loss, error = loss_with_error
    return f"{loss:6.3f} ± {error:.3f}"


# %%
# The standard error.
#
# Here is the table of letter pairs, counted on 500 names, asked for held-out names. How
# surprised is it at single names? The mean over a few names depends on which names they
# are. The more there are, the more their differences cancel out, and these differences
# can be seen within one set. Suppose first that all names had equally many characters.
# Then the formula, for n names with the mean surprises m[0], m[1], …, is
#
#     loss = mean of the m[i]
#     variance = sum of the (m[i] - loss) ** 2 / (n - 1)
#     standard error = sqrt(variance) / sqrt(n)
#
# The root of the *variance* is the standard deviation of chapter 16. Why is it divided
# by sqrt(n)? Take two names, and let a and b be how far their surprises lie from the
# true mean, the one that endless names would give. Square what their sum is off by:
#
#     (a + b) ** 2 = a ** 2 + b ** 2 + 2 * a * b
#
# The names are *independent*: whatever a is, b is positive or negative as before, and 0
# in the mean. So the mixed product cancels out over many such pairs. What is left says
# that the variance of the sum, the mean square of its distance from the truth, is the
# sum of the two variances. (It is so for the difference a - b as well: there the mixed
# product is subtracted, and it is 0 in the mean all the same.)
# With n names, the sum has n times the variance of one name, and so sqrt(n) times its
# standard deviation. The mean is that sum divided by n, and sqrt(n) / n is 1 / sqrt(n).
#
# Names differ in length, though, and our loss is a mean over all characters, so that a
# long name has more weight in it than a short one. Let name i have k[i] characters, on
# which the model spends s[i] nats in all, and let `truth` be the loss on endless names.
# How far is our loss from it? Put both over the same sum of the k[i]:
#
#     loss = sum of the s[i] / sum of the k[i]
#     loss - truth = sum of the (s[i] - truth * k[i]) / sum of the k[i]
#
# Above the line there is again a sum of n independent numbers, one for each name: by
# how much it was dearer than so many average characters. On endless names their mean is
# 0, so the variance of one of them is the mean of its square, and that of the sum is n
# times as much. (Below the line stands the sum of n lengths, which we take as fixed.
# With another set of 100 names it would typically change by 1.5 %, as section 2 shows,
# and that changes the distance to the truth by 1.5 % of itself only.) The truth is not
# known, so we put the loss in its place, and call the number the name's *pull*:
#
#     pull[i] = s[i] - loss * k[i]
#     variance of one pull = sum of the pull[i] ** 2 / (n - 1)
#     standard error = sqrt(n * variance of one pull) / sum of the k[i]
#
# (Again n - 1 and not n: the loss was computed from the same names, and so lies a
# little nearer to them than the truth does.) With equally long names all k[i] are one
# number k. Then pull[i] is k * (m[i] - loss), and the sum of the k[i] is n * k. The k
# cancels, sqrt(n) / n leaves 1 / sqrt(n), and we are back at the first formula.
# `loss_and_error` in common.py uses the second one; here it is in full, and it must
# give the same.
def loss_with_its_error(nats_of, names):
    """Return (the loss, its standard error), by the formula above."""
    sums, lengths = [], []
    for name in names:
        nats = nats_of(name)
        sums.append(sum(nats))
        lengths.append(len(nats))
    loss = sum(sums) / sum(lengths)
    squares = []
    for nats_of_name, length in zip(sums, lengths):
        pull = nats_of_name - loss * length
        squares.append(pull**2)
    n = len(names)
    variance_of_one = sum(squares) / (n - 1)
    return loss, math.sqrt(n * variance_of_one) / sum(lengths)


letter_pairs = table(ALL_TRAIN_NAMES[:500], n_back=1)
print("1. One table, asked for more and more held-out names")
print()
for name in HELD_OUT_NAMES[:4]:
    nats = letter_pairs(name)
    print(f"the name {name!r:<12} mean of {len(nats)}: {sum(nats) / len(nats):.3f}")
print()
print("names      loss ± standard error")
errors = {}
for n_names in [10, 100, 500, 2000]:
    names = ALL_HELD_OUT_NAMES[:n_names]
    measured = loss_with_its_error(letter_pairs, names)
    for ours, theirs in zip(measured, loss_and_error(letter_pairs, names)):
        assert abs(ours - theirs) < 1e-12
    errors[n_names] = measured[1]
    print(f"{n_names:>5}    {with_error(measured)}")
print()
assert 3 < errors[100] / errors[2000] < 6  # four times smaller: 20 times the names

# %%
# Four times the names halve the error. With 500 names it is about 0.02. Is it right?
# We can try: measure the same table on 100 other sets of 100 names each, and look how
# far the 100 losses are scattered (their standard deviation). Then count how many of
# them lie within one standard error, and within two, of the loss on all these names.
#
# How many should it be? The mean of many independent numbers, whatever they are, nearly
# follows the *normal distribution*, also called the bell curve after its shape: most
# often it lies near the middle, and the farther away, the more seldom, the same on both
# sides. Of that curve, 68 % lie within one standard deviation of the middle and 95 %
# within two. (We take this from the textbooks and do not derive it.)
other_names = ALL_TRAIN_NAMES[500:10500]
losses, numbers_of_characters = [], []
for first in range(0, 10000, 100):
    names = other_names[first : first + 100]
    loss, error = loss_and_error(letter_pairs, names)
    losses.append(loss)
    numbers_of_characters.append(sum([len(pairs(name)) for name in names]))
truth, _ = loss_and_error(letter_pairs, other_names)
scatter = stdev(losses)
within_one = sum([abs(loss - truth) < errors[100] for loss in losses])
within_two = sum([abs(loss - truth) < 2 * errors[100] for loss in losses])
print("2. Is it right? The same table on 100 sets of 100 names")
print()
print(f"standard error, from one set alone         {errors[100]:.3f}")
print(f"how far the 100 losses are scattered       {scatter:.3f}")
print(f"within one standard error of the truth     {within_one} of 100")
print(f"within two                                 {within_two} of 100")
share = stdev(numbers_of_characters) / mean(numbers_of_characters)
print(f"scatter of the 100 sums of the k[i]        {100 * share:.1f} %")
print()
assert share < 0.02
assert abs(scatter / errors[100] - 1) < 0.2

# %%
# So "2.632 ± 0.019" means: with endless names of the same kind, expect about 2.59 to
# 2.67, which is two errors to each side. Even the first digit behind the point is a 5
# at one end and a 6 at the other: "about 2.6" is all that may be said. The second digit
# is shaky, and the third says nothing.
#
# (Two remarks. The error is computed from whole names, because the letters of one name
# depend on each other: 500 names are 500 independent facts, not 3,500. And counts have
# a standard error, too. Let a written name be real with probability p, as in chapter
# 17, and count it as 1 if it is and as 0 if it is not. Its distance from the mean p is
# 1 - p with probability p, and p with probability 1 - p, so its variance is
#
#     p * (1 - p) ** 2 + (1 - p) * p ** 2 = p * (1 - p)
#
# n names have n times that, and so the error of the count is sqrt(n * p * (1 - p)). For
# 50 of 100 that is 5, for 6 of 100 it is 2.4; twice that is the "off by 10" and "off by
# 5" of chapter 17.)

# %%
# Comparing two models.
#
# Two losses of ± 0.02 each could be 0.05 apart by chance. For if they were measured on
# different names, the variances would add up, as they do in a difference: its error
# would be sqrt(error_1 ** 2 + error_2 ** 2), which is what math.hypot computes. Here it
# is 0.028, and up to two errors, 0.057, are nothing unusual.
#
# But when both models are asked for the *same* names, they share their luck: a strange
# name surprises both. Now a and b are not independent. They are mostly above their
# means together, or below together, so a * b is mostly positive, and in (a - b) ** 2 =
# a ** 2 + b ** 2 - 2 * a * b it is subtracted. The variance of the difference is
# smaller. To measure it we need no new formula: take the difference name by name, and
# the standard error of *that*.
two_back = table(ALL_TRAIN_NAMES[:500], n_back=2)
alone_1 = loss_and_error(letter_pairs)
alone_2 = loss_and_error(two_back)
as_strangers = math.hypot(alone_1[1], alone_2[1])
difference, paired_error = difference_and_error(two_back, letter_pairs)
print("3. One letter back or two? Both tables counted on 500 names")
print()
print(f"one letter back                            {with_error(alone_1)}")
print(f"two letters back                           {with_error(alone_2)}")
print(
    f"difference, as if on different names       {difference:6.3f} ± {as_strangers:.3f}"
)
print(
    f"difference, name by name                   {difference:6.3f} ± {paired_error:.3f}"
)
print()
assert paired_error < as_strangers

# %%
# Equal data.
#
# Two letters back are worse than one, then. With 500 names, that is! A table that looks
# further back has more entries to fill, and needs more names for it.
sizes = [500, 2000, 8000, len(ALL_TRAIN_NAMES)]
table_losses = {}
print("4. Tables, and the names they were counted on: loss on 500 held-out names")
print()
print("names counted    " + "".join([f"{size:>15,}" for size in sizes]))
for n_back in [1, 2, 3]:
    cells = []
    for size in sizes:
        nats_of = table(ALL_TRAIN_NAMES[:size], n_back)
        measured = loss_and_error(nats_of)
        table_losses[n_back, size] = measured[0]
        cells.append(f"{with_error(measured):>15}")
    print(f"looking back {n_back}   " + "".join(cells))
print()
best_at = {}
for size in sizes:
    best_at[size] = min([1, 2, 3], key=lambda n_back: table_losses[n_back, size])
    print(f"best with {size:>6,} names: looking back {best_at[size]}")
print()
assert best_at[500] == 1 and best_at[sizes[-1]] == 3

# %%
# Which model is best depends on how much data there is. A comparison of two models that
# learnt from different amounts tells you which amount was larger. Every comparison has
# to say its data, and a fair one has equal data, or says what it compares instead.

# %%
# A leak.
#
# A list of 10,000 people. They share 4,000 first names, of which a few are popular. The
# last 1,000 people are held out. But popular names are on both sides: most of the 1,000
# have a name that was counted already. `split_documents` drops such names, since we ask
# how well a model guesses names that it does *not* know. Compare what the two measures
# say of four tables. (The column "counted" is a third: the loss on the names that the
# table was counted on.)
popularity = [1 / rank for rank in range(1, 4001)]
rng = random.Random(16)
people = rng.choices(ALL_TRAIN_NAMES[:4000], popularity, k=10000)
counted_people, honest_people = split_documents(people)
measured_people = {
    "counted": counted_people,
    "leaky": people[9000:],
    "honest": honest_people,
}
leak_losses = {kind: [] for kind in measured_people}
print("5. A leak: loss of tables counted on 9,000 people")
print()
header = [
    f"{f'{kind} ({len(group):,})':>16}" for kind, group in measured_people.items()
]
print("measured on     " + "".join(header))
for n_back in [0, 1, 2, 3]:
    nats_of = table(counted_people, n_back)
    cells = []
    for kind, group in measured_people.items():
        measured = loss_and_error(nats_of, group)
        leak_losses[kind].append((n_back, *measured))
        cells.append(f"{with_error(measured):>16}")
    print(f"looking back {n_back}  " + "".join(cells))
print()
best_table = {}
for kind, points in leak_losses.items():
    best_table[kind] = min(points, key=lambda point: point[1])[0]
    print(f"{kind:<8} says: the best table is the one looking back {best_table[kind]}")
print()
print("on the new names, compared name by name:")
one_back = table(counted_people, 1)
further_back = {}
for n_back in (2, 3):
    nats_of = table(counted_people, n_back)
    further_back[n_back] = difference_and_error(nats_of, one_back, honest_people)
    compared = with_error(further_back[n_back])
    print(f"looking back {n_back}, less looking back 1   {compared}")
assert further_back[3][0] > 2 * further_back[3][1]
assert best_table == {"counted": 3, "leaky": 3, "honest": 1}
lines = []
for kind, label in [
    ("counted", "the 9,000 people counted"),
    ("leaky", "the last 1,000, leaky"),
    ("honest", "those of them with new names"),
]:
    points = [(n_back, loss) for n_back, loss, _ in leak_losses[kind]]
    lines.append(Line(label, points))
highest = [(n_back, loss + 2 * error) for n_back, loss, error in leak_losses["honest"]]
lowest = [(n_back, loss - 2 * error) for n_back, loss, error in leak_losses["honest"]]
around = [*highest, *reversed(lowest)]  # along the top, and back along the bottom
lines.append(Line("two standard errors around the new names", around, "dashed"))
title = "The same tables, measured on three groups"
picture = line_chart(lines, title, "letters back", "loss, nats a character")
save_picture("ch19_leak.svg", picture)
print()

# %%
# The leak does not only flatter. It recommends the wrong model: three letters back,
# which is the table that knows names by heart. For names that are new it is worse than
# one letter back, by more than two standard errors. The leaky measure's own errors do
# not warn of that: they are the smaller ones.
#
# Is one letter back the best, then? Two letters are within two standard errors of it,
# so this list alone cannot say: the new names are few. We made 30 other lists in the
# same way (not here). The leaky measure recommended three letters in all 30, and the
# honest one recommended one letter in all 30, although in 7 of them two letters, and in
# 3 of them three, were within two standard errors. So one list shows that the leaky
# measure is wrong, and it takes many to be sure of what is right.

# %%
# Small GPTs.
#
# Now GPTs, with all of this in hand. What helps a small one most? One thing is doubled
# at a time. All are asked for the same 200 held-out names, and the last column is the
# difference from the first row, name by name.
documents = read_documents(os.path.join(ROOT, "input.txt"))
MEASURED_ON = HELD_OUT_NAMES[:200]
progress = Progress("names", total=900, every=300, stream=sys.stderr)
n_names_seen = 0


def small_gpt(n_names, n_epochs=1, n_embd=8, n_layer=1):
    """Train a small GPT on the first n_names; return a function name -> its nats."""
    global n_names_seen
    training = TrainConfig(steps=n_names * n_epochs)
    run, _, _ = start(documents, training, n_embd=n_embd, n_layer=n_layer)
    for _ in train(run, ALL_TRAIN_NAMES[:n_names]):
        n_names_seen += 1
        progress.show(n_names_seen)
    floats = as_floats(run.params)
    remembered = {}  # each name is asked for in several comparisons

    def nats_of(name):
        if name not in remembered:
            tokens = run.tokenizer.encode_document(name)
            remembered[name] = token_losses(floats, run.config, tokens)
        return remembered[name]

    return nats_of


gpts = {
    "150 names, 8 wide, 1 layer": small_gpt(n_names=150),
    "twice the names: 300": small_gpt(n_names=300),
    "twice the width: 16": small_gpt(n_names=150, n_embd=16),
    "twice the layers: 2": small_gpt(n_names=150, n_layer=2),
    "15 names, ten times each": small_gpt(n_names=15, n_epochs=10),
}
progress.finish()
fifteen_names = ALL_TRAIN_NAMES[:15]
first_gpt = gpts["150 names, 8 wide, 1 layer"]
gains = {}
print("6. Small GPTs on 200 held-out names")
print()
print("                                   loss     more than the first")
for label, nats_of in gpts.items():
    measured = loss_and_error(nats_of, MEASURED_ON)
    compared = difference_and_error(nats_of, first_gpt, MEASURED_ON)
    gains[label] = -compared[0]
    print(f"{label:<28} {with_error(measured)}    {with_error(compared)}")
own_loss = loss_and_error(gpts["15 names, ten times each"], fifteen_names)
print(f"{'  asked for its own 15 names':<28} {with_error(own_loss)}")
table_300 = table(ALL_TRAIN_NAMES[:300], n_back=1)
compared = difference_and_error(gpts["twice the names: 300"], table_300, MEASURED_ON)
measured = loss_and_error(table_300, MEASURED_ON)
print(f"{'letter pairs, 300 names':<28} {with_error(measured)}")
print(f"{'GPT less letter pairs, both with 300 names':<45}{with_error(compared)}")
print()
most_helpful = max(gains, key=gains.get)

# %%
# At this size, more names (and so more steps) help most, width next, and a second layer
# hardly at all: there are too few names to need it. The errors are about the held-out
# names only. What of the other kind of chance, the seed (chapter 16)? We trained the
# first four rows with five seeds each (that takes too long to do here). The means are
# 2.693, 2.592 (names), 2.623 (width) and 2.691 (layers), and single runs are scattered
# by 0.011 to 0.014. So the order of names, width and layers is not luck. But the second
# layer's -0.004 may well be luck, although its ± 0.001 makes it look sure: that ±
# covers the held-out names only. Five seeds make it -0.002, far less than their
# scatter.
#
# Fifteen names ten times each are the same number of steps as the first row, and far
# worse than it. The model has not learnt them by heart: on these names its loss is
# 1.65, as unsure as among 5 letters. But what it has learnt is peculiar to them, and
# misleads it everywhere else.
#
# And against the table of letter pairs at equal data the GPT is ahead, by a little more
# than two standard errors. But that is one seed. With the five it was ahead by 0.03 to
# 0.06, each ± 0.02: it probably is better, and these 200 names cannot make it sure.

# %%
# The course's own table.
#
# Now look at the table that the course itself has been filling. The numbers are read
# from what the chapters print (their .txt files). Only the losses are there, not the
# single names, so two rows can only be compared as if they were measured on different
# names, with the error sqrt(error_1 ** 2 + error_2 ** 2) of section 3. That is too
# cautious, because in truth the names are the same.
#
# In another way it is not cautious enough: most of these models began with random
# numbers, and another seed would have given another loss. In chapter 16 such losses
# were scattered by about 0.02, and here by half of that. We take 0.02 for every model
# that began with random numbers. The table that was counted and the two that were
# learnt from zeros (chapters 2 and 7) have no seed. The two kinds of chance are
# independent of each other, so their squares add up as well.
#
# (The last row is from the appendix: chapter 13's run once more, computed in another
# way. That it has the same loss is no luck, and no second piece of evidence.)
#
# A difference of more than two such errors is then called better or worse. That is not
# a proof. In 5 of 100 comparisons of two equally good models, chance alone makes a
# difference as large, and whoever makes many comparisons will meet some of these.
SEED_SCATTER = 0.02
WITHOUT_SEED = ["ch01_counting", "ch02_nudge", "ch07_descent"]
MODELS = {
    "ch01_counting": "letter pairs, counted",
    "ch02_nudge": "only the first letter is learnt",
    "ch07_descent": "letter pairs, learnt by descent",
    "ch09_mlp": "MLP, three letters back",
    "ch10_attention": "attention alone",
    "ch12_residual_and_norm": "attention, residual and norm",
    "ch13_gpt": "the default GPT",
    "ch14_payoff": "the default GPT, 6,000 names",
    "ch15_adam": "GPT half as wide, 200 names",
    "chA2_lists": "the default GPT, by hand",
}


def compare(chapter_a, chapter_b):
    """Return (the loss of a minus that of b, its error, a verdict on a)."""
    loss_a, error_a = own_table[chapter_a]
    loss_b, error_b = own_table[chapter_b]
    variance = error_a**2 + error_b**2
    for chapter in (chapter_a, chapter_b):
        if chapter not in WITHOUT_SEED:
            variance += SEED_SCATTER**2
    difference, error = loss_a - loss_b, math.sqrt(variance)
    if abs(difference) <= 2 * error:
        return difference, error, "cannot be told apart"
    return difference, error, "better" if difference < 0 else "worse"


print("7. The course's own table, turned on itself")
print()
print("chapter  model                              loss ± error  as unsure as among")
losses = printed_losses()
own_table = {chapter: losses[chapter] for chapter in MODELS if chapter in losses}
for chapter, (loss, error) in own_table.items():
    model = MODELS[chapter]
    cell = with_error((loss, error)) if error else f"{loss:6.3f}        "
    print(f"{chapter[:4]:<8} {model:<32} {cell}   {perplexity(loss):5.1f} letters")
print()
print("Which rows differ by more than two standard errors from letter pairs?")
print()
with_errors = [chapter for chapter, row in own_table.items() if row[1] is not None]
verdicts = {}
for chapter in with_errors:
    if chapter == "ch01_counting":
        continue
    difference, error, verdicts[chapter] = compare(chapter, "ch01_counting")
    model = MODELS[chapter]
    cell = f"{difference:+.3f} ± {error:.3f}"
    print(f"{chapter[:4]:<8} {model:<32} {cell}   {verdicts[chapter]}")
print()
by_loss = sorted(with_errors, key=lambda chapter: own_table[chapter][0])
n_apart = 0
print(
    "All rows in order of their loss, and whether each is worse than the one above it:"
)
print()
print(f"{by_loss[0][:4]:<8} {MODELS[by_loss[0]]:<32}")
for better, chapter in zip(by_loss, by_loss[1:]):
    difference, error, verdict = compare(chapter, better)
    n_apart += verdict == "worse"
    model = MODELS[chapter]
    cell = f"{difference:+.3f} ± {error:.3f}"
    print(f"{chapter[:4]:<8} {model:<32} {cell}   {verdict}")
print()
print(f"{n_apart} of {len(by_loss) - 1} pairs of neighbours can be told apart.")
print()
once_more = LetterTable(ALL_TRAIN_NAMES[:500], n_back=1, extra=1.0)
smoothings = {"0.1 times (this chapter)": letter_pairs, "once (ch01)": once_more.nats}
print("Letter pairs twice: each possibility counts as seen so many times more")
print()
dearest_nats = {}
for label, nats_of in smoothings.items():
    dearest_nats[label] = max([max(nats_of(name)) for name in HELD_OUT_NAMES])
    cell = with_error(loss_and_error(nats_of))
    dearest = f"dearest character {dearest_nats[label]:.1f} nats"
    print(f"{label:<26} {cell}   {dearest}")

# %%
# So the table does not rank the models one after the other. It sorts them into a few
# groups, and within a group the order may be luck. (Neighbours that cannot be told
# apart do not make the first and the last of a group equal: small steps add up.) Nor is
# the data equal everywhere. Where a row says 200 or 6,000 names, its difference from
# the others is partly, or mostly, a difference of data. Where a chapter claims that one
# of two models is better, it has compared them name by name, on equal data, and says
# so. That is surer: a row that cannot be told from letter pairs here may well have been
# told from them there.
#
# Why has chapter 1's loss an error of 0.015, where the same letter pairs on the same
# names had 0.019 in section 1? They are not quite the same table. Chapter 1 counts each
# possibility as seen once more than it was, and this chapter only 0.1 times more. So
# a pair that never occurred is much dearer here, as the last lines show, and the few
# names that have one stand far out from the others. That their two losses agree in all
# three digits is chance.
#
# One more doubt remains, about the course itself. Its settings (the learning rate, the
# width, how many names) were chosen by looking at held-out losses, some of them on
# these very names. What was chosen by a measure looks better by it than it is. That is
# why careful work has three sets: one to train on, one to choose by (*validation*), and
# one that is measured a single time, at the very end (*test*).
#
# What production does: it searches the training text for the questions of the test, and
# still finds leaks later. Standard errors are often left out of published tables; ask
# for them.
#
# What is still missing: you now know one GPT completely, and you can measure whether a
# change to it is worth anything. What do GPT-2 and the models of today do differently?
# Part VI asks that, one idea at a time, and begins where a text begins, with the
# tokens: they need not be letters. (Sometimes a number is wrong because the code is.
# The bug hunt, in examples/bughunt, is about finding out where.)
#
# Exercises (solutions and hints in ch19_solution.py):
# 1. Without any formula: the *bootstrap*. From one set of 100 names pick 100 with
#    repetition (rng.choices), measure, and do so 300 times. How far are these losses
#    scattered? Compare with the standard error.
# 2. The file is sorted by the alphabet. Do not shuffle it, and hold out its last tenth.
#    What is the loss of letter pairs there, and why?
# 3. Twelve tables are counted on 500 names each (other names for each). Choose the best
#    of the twelve on 20 names. Is its loss on 1,000 other names as good?
