"""Solutions to chapter 19. Each begins with hints: read them one at a time."""

# %%
from __future__ import annotations

import math
import os
import random
from collections import Counter
from statistics import mean, stdev

from common import (
    ALL_HELD_OUT_NAMES,
    ALL_TRAIN_NAMES,
    ROOT,
    loss_and_error,
    pairs,
)

from microgpt import read_documents


def letter_pairs(counted_names):
    """Count letter pairs, each seen 0.1 times more; return name -> its nats."""
    pair_counts, first_counts = Counter(), Counter()
    for name in counted_names:
        for context, target in pairs(name):
            pair_counts[context[-1], target] += 1
            first_counts[context[-1]] += 1

    def nats_of(name):
        nats = []
        for context, target in pairs(name):
            seen = pair_counts[context[-1], target] + 0.1
            nats.append(-math.log(seen / (first_counts[context[-1]] + 27 * 0.1)))
        return nats

    return nats_of


# %%
# Exercise 1. The bootstrap.
#
# Hint 1: the set of 100 names stands in for all names. Choosing from it with repetition
#         gives sets of 100 in which some names are double and some are missing.
# Hint 2: loss_and_error(nats_of, rng.choices(names, k=100))[0], 300 times; then stdev.
#
# The losses are scattered as far as the standard error says. The bootstrap needs no
# formula and no theory, only patience, and it also works for measures that have no
# formula.
table = letter_pairs(ALL_TRAIN_NAMES[:500])
names = ALL_HELD_OUT_NAMES[:100]
_, standard_error = loss_and_error(table, names)
rng = random.Random(1)
losses = []
for _ in range(300):
    picked = rng.choices(names, k=100)
    losses.append(loss_and_error(table, picked)[0])
bootstrap = stdev(losses)
print("Exercise 1: the error of a loss on 100 names")
print(f"  standard error {standard_error:.3f}, bootstrap {bootstrap:.3f}")
assert abs(bootstrap / standard_error - 1) < 0.15

# %%
# Exercise 2. The sorted file, not shuffled.
#
# Hint 1: sorted(documents); count the first nine tenths, measure 500 of the last tenth.
# Hint 2: with which letters do the names of the last tenth begin?
#
# The loss is much higher, because hardly any of the names that were counted begins as
# these do. Held-out names have to come from the same place as the names on which the
# model will be used. (Sometimes that is
# truly another place: whoever wants to predict tomorrow's names from today's must hold
# out the newest, and a shuffled split would be the dishonest one.)
documents = sorted(read_documents(os.path.join(ROOT, "input.txt")))
cut = len(documents) * 9 // 10
rng = random.Random(1)
last_tenth = rng.sample(documents[cut:], 500)
sorted_loss, sorted_error = loss_and_error(letter_pairs(documents[:cut]), last_tenth)
shuffled = rng.sample(documents, len(documents))
fair_names = shuffled[cut : cut + 500]
fair_loss, fair_error = loss_and_error(letter_pairs(shuffled[:cut]), fair_names)
print(f"Exercise 2: the last tenth begins with {documents[cut]!r}")
print(f"  held out in the order of the file   {sorted_loss:.3f} ± {sorted_error:.3f}")
print(f"  held out by chance                  {fair_loss:.3f} ± {fair_error:.3f}")
assert sorted_loss > fair_loss + 0.5

# %%
# Exercise 3. The best of twelve on 20 names.
#
# Hint 1: compute each table's nats on 1,000 names once, and keep them in a dictionary.
# Hint 2: one choice may be lucky. Do it 100 times with other 20 names, and average.
#
# No, on other names it is not as good. On its 20 names the winner looks better than it
# is: it is partly the table that these names happen to suit, and that luck is gone on
# other names. There it is hardly better than the average table. The more one tries, the
# worse this gets. Hence three sets: to train on, to choose by, and to measure on once.
measured_on = ALL_HELD_OUT_NAMES[:1000]
tables = []
for i in range(12):
    nats_of = letter_pairs(ALL_TRAIN_NAMES[i * 500 : (i + 1) * 500])
    tables.append({name: nats_of(name) for name in measured_on})
true_losses = [loss_and_error(table.get, measured_on)[0] for table in tables]
rng = random.Random(3)
on_its_20, on_all = [], []
for _ in range(100):
    picked = rng.sample(measured_on, 20)
    losses = [loss_and_error(table.get, picked)[0] for table in tables]
    best = losses.index(min(losses))
    on_its_20.append(losses[best])
    on_all.append(true_losses[best])
print("Exercise 3: the best of twelve tables, chosen on 20 names, 100 times")
print(f"  the winner on its 20 names   {mean(on_its_20):.3f}")
print(f"  the winner on 1,000 names    {mean(on_all):.3f}")
print(f"  the average table on 1,000   {mean(true_losses):.3f}")
assert mean(on_its_20) < mean(on_all) < mean(true_losses)
