"""Solutions to chapter 1. Read the hint first, try again, and then look at the code."""

# %%
import math

from common import (
    HELD_OUT_NAMES,
    TOKENIZER,
    TRAIN_NAMES,
    LetterTable,
    course_loss,
    pairs,
)

BOS = TOKENIZER.bos

# %%
# Exercise 1. Which letter begins the most names, and which ends the most?
#
# Hint 1: BOS stands before the first letter, and after the last.
# Hint 2: counts[BOS][k] is how often k begins a name. And how often does k end one?
# Hint 3: does `pairs` ask for the end of every name?
#
# The first letters are the row of BOS, the last letters its column. The row is
# complete. The column is too small, because `pairs` asks for 8 characters and no more:
# names of 8 letters or more are cut before their end, and 34 of them end in "a". To
# count them all we look at the names themselves.
counts = [[0] * 27 for _ in range(27)]
for name in TRAIN_NAMES:
    for context, target in pairs(name):
        counts[context[-1]][target] += 1

letters = range(1, 27)
first = max(letters, key=lambda letter: counts[BOS][letter])
last = max(letters, key=lambda letter: counts[letter][BOS])
n_first = len([name for name in TRAIN_NAMES if name.startswith("j")])
n_last = len([name for name in TRAIN_NAMES if name.endswith("a")])
print("Exercise 1                   in counts   in the names")
print(f"  names that begin with j {counts[BOS][first]:12} {n_first:14}")
print(f"  names that end with a   {counts[last][BOS]:12} {n_last:14}")
assert (TOKENIZER.decode([first]), TOKENIZER.decode([last])) == ("j", "a")
assert counts[BOS][first] == n_first
assert counts[last][BOS] == n_last - 34

# %%
# Exercise 2. Other sizes of `extra`.
#
# Hint 1: LetterTable(TRAIN_NAMES, n_back, extra) takes the size as its third argument.
# Hint 2: how many real counts does a window have, on average, in each of the tables?
#
# 0.3 is best for each of them, and no size makes two letters better than one. With a
# large extra the made-up counts drown the real ones. With a small one, whatever was
# never counted becomes a huge surprise. In between lies the best compromise. For
# bigrams it hardly matters which of 0.1, 0.3 and 1 you take: a window has about 130
# real counts, and few pairs are new. The tables that look back further care much more.
print("\nExercise 2: loss on held-out names")
print("  extra   1 letter back   2 letters   3 letters")
losses = {}
for extra in [10, 3, 1, 0.3, 0.1, 0.03, 0.01]:
    for n_back in [1, 2, 3]:
        table = LetterTable(TRAIN_NAMES, n_back, extra)
        losses[n_back, extra] = course_loss(table.nats)
    print(
        f"  {extra:5} {losses[1, extra]:15.3f} {losses[2, extra]:11.3f} "
        f"{losses[3, extra]:11.3f}"
    )
best = {}
for n_back in [1, 2, 3]:
    best[n_back] = min([loss for (n, _), loss in losses.items() if n == n_back])
    assert best[n_back] == losses[n_back, 0.3]
assert best[1] < best[2] < best[3]

# %%
# Exercise 3. Mix two tables.
#
# Hint 1: write a function nats_of(name) that returns the surprises of the mixture, and
# give it to course_loss.
# Hint 2: mix the probabilities first and take the logarithm afterwards. (Why not mix
# the surprises? Then a single table that says "impossible" would make the mixture say
# so.)
#
# The bigram table always has something to say, and the trigram table, where it has seen
# the triple, knows better. Together they beat both. This is called interpolation.
bigram = LetterTable(TRAIN_NAMES, n_back=1)
trigram = LetterTable(TRAIN_NAMES, n_back=2, extra=0.1)


def mixture_nats(name):
    """Return the surprise at each character of the name, by both tables together."""
    nats = []
    for context, target in pairs(name):
        p_bigram = bigram.probability(context, target)
        p_trigram = trigram.probability(context, target)
        nats.append(-math.log(0.7 * p_bigram + 0.3 * p_trigram))
    return nats


mixture_loss = course_loss(mixture_nats)
print("\nExercise 3")
print(f"  bigrams  {course_loss(bigram.nats):.3f} nats")
print(f"  trigrams {course_loss(trigram.nats):.3f}")
print(f"  mixture  {mixture_loss:.3f}, on {len(HELD_OUT_NAMES)} held-out names")
assert mixture_loss < min(course_loss(bigram.nats), course_loss(trigram.nats)) - 0.02
