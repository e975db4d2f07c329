"""Solutions to chapter 19. Each begins with hints: read them one at a time."""

# %%
from __future__ import annotations

import math
import os
import random
from statistics import mean, stdev

from common import (
    ALL_HELD_OUT_NAMES,
    ALL_TRAIN_NAMES,
    ROOT,
    LetterTable,
    loss_and_error,
)

from microgpt import read_documents


def letter_pairs(counted_names):
    """Count letter pairs as the chapter does; return a function name -> its nats.

    LetterTable, in common.py, does what the chapter's `table` does. With extra=0.1,
    each pair counts as seen 0.1 times more than it was.
    """
    return LetterTable(counted_names, n_back=1, extra=0.1).nats


# %%
# Exercise 1. The bootstrap.
#
# Hint 1: the set of 100 names stands in for all names. Choosing from it with repetition
#         gives sets of 100 in which some names are double and some are missing.
# Hint 2: loss_and_error(nats_of, rng.choices(names, k=100))[0], 300 times; then stdev.
#
# Why should this tell us anything? To see how far a loss is scattered, we would like to
# measure many other sets of 100 names, as section 2 did. Usually there are none: the
# names at hand are all there is. But they show which kinds of names there are, and how
# often. If 5 of the 100 are hard for the table, about 5 % of all names will be. So we
# pretend that the world consists of copies of these 100 names, each equally often, and
# choose sets from that world. This is what picking with repetition does. (Without
# repetition we would get the same 100 names each time, and no scatter at all.)
nats_of = letter_pairs(ALL_TRAIN_NAMES[:500])
names = ALL_HELD_OUT_NAMES[:100]
_, standard_error = loss_and_error(nats_of, names)
rng = random.Random(1)
picked_losses = []
for _ in range(300):
    picked = rng.choices(names, k=100)
    loss, _ = loss_and_error(nats_of, picked)
    picked_losses.append(loss)
bootstrap = stdev(picked_losses)
print("Exercise 1: the error of a loss on 100 names, in nats")
print(f"  standard error, by the formula         {standard_error:.3f}")
print(f"  scatter of 300 picked sets, bootstrap  {bootstrap:.3f}")
assert abs(bootstrap / standard_error - 1) < 0.15

# %%
# The two agree. And both agree with section 2 of the chapter, where the losses of 100
# truly different sets were scattered by 0.041. So picking from the same 100 names again
# and again does show how far the losses of other names would be scattered.
#
# What is the bootstrap good for, then, when there is a formula? It needs no theory. It
# works in the same lines of code for measures that have no simple formula, such as the
# median (the loss of the name in the middle, if all are sorted by their loss). You pay
# with computing time: 300 measurements in place of one. And it sees no more than the
# 100 names do. It knows nothing of seeds, and nothing of leaks.

# %%
# Exercise 2. The sorted file, not shuffled.
#
# Hint 1: count the first nine tenths of the documents, as they stand in the file;
#         measure 500 of the last tenth.
# Hint 2: with which letters do the names of the last tenth begin?
#
# For comparison we hold out a tenth by chance, too: shuffle, and then do the same. We
# also ask for the loss at the first letter of a name and at all characters after it
# separately, to see where the surprise comes from.
documents = read_documents(os.path.join(ROOT, "input.txt"))
assert documents == sorted(documents)
cut = len(documents) * 9 // 10
rng = random.Random(1)
sorted_names = rng.sample(documents[cut:], 500)
shuffled = list(documents)
rng.shuffle(shuffled)
fair_names = shuffled[cut : cut + 500]


def first_and_later(nats_of, names):
    """Return (the mean surprise at the first letters, and at all characters after)."""
    first, later = [], []
    for name in names:
        nats = nats_of(name)
        first.append(nats[0])
        later += nats[1:]
    return mean(first), mean(later)


held_out_losses, at_first_letter, at_later_ones = {}, {}, {}
print("\nExercise 2: letter pairs, counted on nine tenths of the file")
print("  the last tenth is        loss        at first letters   at later ones")
for how, counted, names in [
    ("the end of the file", documents[:cut], sorted_names),
    ("chosen by chance", shuffled[:cut], fair_names),
]:
    nats_of = letter_pairs(counted)
    loss, error = loss_and_error(nats_of, names)
    held_out_losses[how] = loss
    at_first_letter[how], at_later_ones[how] = first_and_later(nats_of, names)
    parts = f"{at_first_letter[how]:15.2f} {at_later_ones[how]:15.2f}"
    print(f"  {how:<20} {loss:.3f} ± {error:.3f} {parts}")
counted_initials = {name[0] for name in documents[:cut]}
unseen = [name for name in sorted_names if name[0] not in counted_initials]
dearest = -math.log(0.1 / (cut + 27 * 0.1))
print(f"  The first name of the last tenth is {documents[cut]!r}.")
print(f"  {len(unseen)} of the 500 begin with a letter that begins no counted name.")
print(f"  Such a letter costs {dearest:.1f} nats.")
assert held_out_losses["the end of the file"] > held_out_losses["chosen by chance"] + 1
assert at_first_letter["the end of the file"] > at_first_letter["chosen by chance"] + 7
assert at_later_ones["the end of the file"] < at_later_ones["chosen by chance"] + 0.2

# %%
# The loss is 3.80 where a fair measure says 2.53. That is worse than a blind guess,
# which costs 3.30. Why? The end of the file is the end of the alphabet. Most of its
# names begin with u, v, w, x, y or z, and not one name of the first nine tenths does.
# So the table has learnt that names never begin with these letters, and is surprised by
# more than 12 nats each time. After the first letter it is nearly as good as usual.
#
# So the 3.80 says how this table fares on names from the end of the alphabet, after it
# has seen only the others. Nobody will use it for that. Held-out names have to come
# from the same place as the names on which the model will be used. And the standard
# error gives no warning. It is 0.03, because it tells what other names *from the same
# end of the alphabet* would do.
#
# (Sometimes the model will be used in another place. Whoever wants to predict next
# year's names from those of the years before has to hold out the newest names, and a
# shuffled split would be the one that deceives.)
assert abs(held_out_losses["the end of the file"] - 3.80) < 0.005
assert abs(held_out_losses["chosen by chance"] - 2.53) < 0.005
assert dearest > 12 and {name[0] for name in unseen} == set("uvwxyz")
assert math.log(27) < 3.30 < held_out_losses["the end of the file"]

# %%
# Exercise 3. The best of twelve on 20 names.
#
# Hint 1: compute each table's nats on 1,000 names once, and keep them in a dictionary.
# Hint 2: one choice may be lucky. Do it 100 times with other 20 names, and average.
#
# We take 1,020 held-out names. Each of the 100 times, 20 of them are picked to choose
# by, and the other 1,000 are there to measure the winner honestly. To see what the
# number of candidates does, we let 1, 3 and 12 tables compete. (With 1 there is no
# choice, and nothing to be lucky with.)
names = ALL_HELD_OUT_NAMES[:1020]
tables = []  # for each table: a dictionary name -> its nats
for i in range(12):
    nats_of = letter_pairs(ALL_TRAIN_NAMES[i * 500 : (i + 1) * 500])
    tables.append({name: nats_of(name) for name in names})


def loss_of(table, names):
    """Return the table's mean surprise at a character of these names."""
    nats = []
    for name in names:
        nats += table[name]
    return sum(nats) / len(nats)


NUMBERS_OF_TABLES = [1, 3, 12]
on_its_20 = {n_tables: [] for n_tables in NUMBERS_OF_TABLES}
on_others = {n_tables: [] for n_tables in NUMBERS_OF_TABLES}
differences_on_20 = []
rng = random.Random(3)
for _ in range(100):
    picked = rng.sample(names, 20)
    others = [name for name in names if name not in picked]
    losses_on_20 = [loss_of(table, picked) for table in tables]
    differences_on_20.append(losses_on_20[0] - losses_on_20[1])
    for n_tables in NUMBERS_OF_TABLES:
        smallest = min(losses_on_20[:n_tables])
        winner = tables[losses_on_20.index(smallest)]
        on_its_20[n_tables].append(smallest)
        on_others[n_tables].append(loss_of(winner, others))
true_losses = [loss_of(table, names) for table in tables]
print("\nExercise 3: the best of some tables, chosen on 20 names, 100 times")
print("  tables   loss on its 20 names   on the 1,000 others")
for n_tables in NUMBERS_OF_TABLES:
    chosen_by, measured = mean(on_its_20[n_tables]), mean(on_others[n_tables])
    print(f"  {n_tables:>6} {chosen_by:22.3f} {measured:21.3f}")
print(f"  the average of the twelve on all names:       {mean(true_losses):.3f}")
print(f"  how far the twelve are scattered there:       {stdev(true_losses):.3f}")
print(f"  scatter of a difference of two on 20 names:   {stdev(differences_on_20):.3f}")
better_on_20 = mean(on_its_20[1]) - mean(on_its_20[12])
better_on_others = mean(on_others[1]) - mean(on_others[12])
n_needed = 20 * (2 * stdev(differences_on_20) / stdev(true_losses)) ** 2
assert mean(on_its_20[12]) < mean(on_its_20[3]) < mean(on_its_20[1])
assert better_on_20 > 10 * better_on_others
assert abs(mean(on_others[12]) - mean(true_losses)) < 0.005

# %%
# Is the winner's loss as good on other names? No. On the 20 names by which it was
# chosen the best of twelve has 2.566, and on 1,000 others 2.617, which is just what the
# average table has. (Without any choice the two are 2.634 and 2.620. They differ by
# 0.014 only because 100 sets of 20 names have luck of their own. That luck is in all
# three rows, since all are asked for the same sets.)
#
# Where does the winner's advantage come from? On all names the twelve tables hardly
# differ: their losses are scattered by 0.006. But on 20 names the difference between
# two of them is scattered by 0.055, nine times as much. So the winner is not the best
# table. It is the one that these 20 names happen to suit, and on other names that luck
# is gone.
#
# The more tables compete, the luckier is the luckiest: its loss on its 20 names falls
# from 2.634 to 2.594 and to 2.566. On the others next to nothing is gained. A better
# choice needs more names to choose by. To see a difference of 0.006, two standard
# errors must be smaller than that. The error falls with the root of the number of
# names, so it takes about 20 * (2 * 0.055 / 0.006) ** 2 names, or some 7,000, which is
# more than all the held-out names we have.
#
# And however many there are, the loss by which a model was chosen is never an honest
# measure of it. That is why there are three sets: one to train on, one to choose by
# (validation), and one that is measured a single time, at the end (test).
assert 8 < stdev(differences_on_20) / stdev(true_losses) < 10
assert len(ALL_HELD_OUT_NAMES) < 6500 < n_needed < 7500
