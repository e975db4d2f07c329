"""Solutions to chapter 7. Read the hint first, try again, and then look at the code."""

# %%
import math

from common import TRAIN_NAMES, course_loss, pairs

from microgpt import cross_entropy
from microgpt.value import Value, dot, logsumexp, total


def count_pairs(names):
    counts = [[0] * 27 for _ in range(27)]
    for name in names:
        for context, target in pairs(name):
            counts[context[-1]][target] += 1
    return counts


def table_loss(table, counts):
    surprises = []
    for row, row_counts in zip(table, counts):
        surprises.append(logsumexp(row) * sum(row_counts) - dot(row_counts, row))
    return total(surprises) / sum([sum(row_counts) for row_counts in counts])


def descend(counts, steps, learning_rate, keep=1.0):
    """Return the table after so many steps; each keeps `keep` of every logit."""
    table = [[Value(0.0) for _ in range(27)] for _ in range(27)]
    for _ in range(steps):
        table_loss(table, counts).backward()
        for row in table:
            for parameter in row:
                parameter.data -= learning_rate * parameter.grad
                parameter.data *= keep
                parameter.grad = 0.0
    return table


def held_out(table):
    rows = [[logit.data for logit in row] for row in table]

    def nats_of(name):
        return [cross_entropy(rows[seen[-1]], target) for seen, target in pairs(name)]

    return course_loss(nats_of)


# %%
# Exercise 1. A learning rate of 600.
#
# Hint 1: print the loss after each step. Does it grow without end?
# Hint 2: a slope is probability minus share, so how large can it be at most?
#
# It ends far above the start. But a slope is a probability minus a share, weighted with
# the row's part of the questions: it can never be larger than 1, however badly things
# stand. So a step can throw a logit only so far, and from there the slope pulls it
# back. The loss jumps about, and neither settles nor runs away.
counts = count_pairs(TRAIN_NAMES)
losses = {}
for steps in [0, 10, 30, 50]:
    table = descend(counts, steps, learning_rate=600)
    losses[steps] = table_loss(table, counts).data
print("Exercise 1: rate 600")
for steps, loss in losses.items():
    print(f"~ after {steps:2} steps: {loss:.1f} nats")
assert all(losses[steps] > 2 * losses[0] for steps in (10, 30, 50))
assert max(losses.values()) < 30

# %%
# Exercise 2. Stop early, or count and add 1?
#
# Hint 1: the probabilities of chapter 1 are (count + 1) / (row total + 27).
# Hint 2: as logits, that is log(count + 1): softmax divides by the sum by itself.
#
# To stop early is a little better than adding 1. But is 1 the right number? 50 names
# have about 350 questions, or 13 for each row, and 27 made-up counts a row are more
# than twice that. With 0.3 in place of 1, counting is as good. (To be fair, both 8 and
# 0.3 were found by looking at the held-out names.)
few_counts = count_pairs(TRAIN_NAMES[:50])
stopped = held_out(descend(few_counts, 8, learning_rate=60))
smoothed = {}
for extra in [1, 0.3]:
    logits = [[Value(math.log(count + extra)) for count in row] for row in few_counts]
    smoothed[extra] = held_out(logits)
print("\nExercise 2: 50 names, held-out loss")
print(f"  stopped at step 8:     {stopped:.3f}")
print(f"  counted and added 1:   {smoothed[1]:.3f}")
print(f"  counted and added 0.3: {smoothed[0.3]:.3f}")
assert smoothed[0.3] < stopped < smoothed[1]

# %%
# Exercise 3. Pull every logit towards 0.
#
# Hint 1: after parameter.data -= …, add parameter.data *= 0.99.
# Hint 2: which logits does the data push on hardest, and which not at all?
#
# The loss on the 50 names gets worse, and the held-out loss much better. A logit that
# many names push up stays up; one that rests on a single accident is pulled back.
free = descend(few_counts, 300, learning_rate=60)
pulled = descend(few_counts, 300, learning_rate=60, keep=0.99)
print("\nExercise 3: 50 names, 300 steps      own loss   held-out loss")
for name, table in [("free", free), ("pulled towards 0", pulled)]:
    own_loss = table_loss(table, few_counts).data
    print(f"  {name:32} {own_loss:10.3f} {held_out(table):15.3f}")
assert held_out(pulled) < held_out(free) - 0.2
assert table_loss(pulled, few_counts).data > table_loss(free, few_counts).data
