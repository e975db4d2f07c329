"""Solutions to chapter 16, which runs first and prints its own lines before these."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import random
from statistics import mean, stdev

import ch16_held_out as chapter

from microgpt.checkpoint import TrainConfig
from microgpt.train import shuffle_and_split


# 1. It is. From one set of 100 names the formula says how far the 200 losses scatter.
#    Without a formula the bootstrap says so too: from the set draw another of its size,
#    some names twice and some never, many times over. The set stands in for all names.
def exercise_1(names):
    """Compare the standard error, the spread of 200 sets, and the bootstrap."""
    per_name = chapter.table_nats(names[:500], 1, names[500:20500])
    losses = []
    for i in range(0, 20000, 100):
        losses.append(chapter.loss_and_error(per_name[i : i + 100])[0])
    print(f"first set: {chapter.cell(per_name[:100])}, 200 sets: {stdev(losses):.3f}")
    # expect: first set:  2.581 ± 0.041, 200 sets: 0.041
    rng = random.Random(1)
    drawn = []
    for _ in range(500):
        sample = rng.choices(per_name[:100], k=100)
        drawn.append(chapter.loss_and_error(sample)[0])
    print(f"bootstrap: {stdev(drawn):.3f}")
    # expect: bootstrap: 0.040
    _, error = chapter.loss_and_error(per_name[:100])
    assert abs(stdev(losses) / error - 1) < 0.1
    assert abs(stdev(drawn) / error - 1) < 0.1


# 2. The loss soars, for the last tenth of the file has names that begin with letters
#    hardly any name before does. Held-out names must be drawn as the names are on which
#    the model will be used. (If those are truly of another kind, as tomorrow's are, the
#    unshuffled split is the honest one.)
def exercise_2():
    """Count the first nine tenths of the sorted file."""
    documents = sorted(chapter.DOCUMENTS)
    cut = len(documents) * 9 // 10
    print(f"from {documents[cut]} on")
    # expect: from timoteo on
    rng = random.Random(1)
    counted, others = documents[:cut], rng.sample(documents[cut:], 500)
    per_name = chapter.table_nats(counted, 1, others)
    print("the last tenth of the sorted file:", chapter.cell(per_name))
    # expect: the last tenth of the sorted file:  3.799 ± 0.030
    shuffled = rng.sample(documents, len(documents))
    per_name = chapter.table_nats(shuffled[:cut], 1, shuffled[cut : cut + 500])
    print("a tenth drawn by chance:", chapter.cell(per_name))
    # expect: a tenth drawn by chance:  2.537 ± 0.014


# 3. No: it looks better than it is. With many to choose from, the best on 20 names is
#    partly the one that these names happen to suit, and that luck is gone on others.
#    The more one tries, the more. So three sets are kept apart: one to train on, one to
#    choose by ("validation"), and one to measure on, once, at the very end ("test").
def exercise_3(names, held_out):
    """Choose among 12 tables on 20 names, 200 times over, and measure on 1,000."""
    # Tables of equal kind, each counted on 500 names of its own.
    tables = [
        chapter.table_nats(names[i * 500 : (i + 1) * 500], 1, held_out[:1000])
        for i in range(12)
    ]
    rng = random.Random(3)
    chosen_by, truth = [], []
    for _ in range(200):
        picked = rng.sample(range(1000), 20)
        losses = []
        for table in tables:
            losses.append(chapter.loss_and_error([table[i] for i in picked])[0])
        best = losses.index(min(losses))
        chosen_by.append(min(losses))
        truth.append(chapter.loss_and_error(tables[best])[0])
    average = mean(chapter.loss_and_error(table)[0] for table in tables)
    print(f"the winner on its 20 names: {mean(chosen_by):.3f}")
    print(f"on 1,000: {mean(truth):.3f}, the average table: {average:.3f}")
    # expect: the winner on its 20 names: 2.567
    # expect: on 1,000: 2.615, the average table: 2.616
    assert mean(chosen_by) < mean(truth) < average


if __name__ == "__main__":
    chapter.main()
    _, train_names, val_names = shuffle_and_split(chapter.DOCUMENTS, TrainConfig())
    exercise_1(train_names)
    exercise_2()
    exercise_3(train_names, val_names)
