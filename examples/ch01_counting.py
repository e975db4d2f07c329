"""Chapter 1. Counting: how well can a table of letter pairs guess the next letter?

A language model answers one question: given what came so far, how likely is each
thing that may come next? The simplest one just counts. In the 500 names we learn from,
how often does "a" follow "m"? That share is its answer for any name with an "m" in it,
also for names it has never seen.

Write down what you expect, before you run this:
- There are 26 letters and the end of a name, 27 things to choose from. Seeing one
  letter back, among how many will a table still hesitate?
- A table may look back two letters, or three. Does it guess better each time?

Source: Shannon, "A mathematical theory of communication", 1948, section 3.
"""

import math
import random
from collections import Counter

from course import HELD_OUT_NAMES, TOKENIZER, TRAIN_NAMES, held_out_loss, pairs

print(len(TRAIN_NAMES), "names to count,", len(HELD_OUT_NAMES), "held out to measure")
# expect: 500 names to count, 500 held out to measure

# A name is a list of tokens, numbers: BOS, 0, before and after it, 1 for "a" to 26 for
# "z". Each of the first 8 after BOS is one question, together with its right answer.
for context, target in pairs(["mia"]):
    print(context, "->", target)
# expect: [0] -> 13
# expect: [0, 13] -> 9
# expect: [0, 13, 9] -> 1
# expect: [0, 13, 9, 1] -> 0

# Counting: pair_counts[13, 9] is how often "i" comes after "m".
pair_counts = Counter((context[-1], target) for context, target in pairs(TRAIN_NAMES))
m, i = TOKENIZER.encode("mi")
times_m = sum(pair_counts[m, token] for token in range(27))
print(f"m is followed {times_m} times, by i {pair_counts[m, i]} times")
# expect: m is followed 112 times, by i 27 times

# The share is the probability: 27 / 112, about one in four. It is the answer a table
# gives. How good is it, when the letter really was "i"? The measure is surprise, or
# negative log-likelihood: -log(probability). Certain and right: -log(1) = 0. The less
# likely the answer was held to be, the larger. It is counted in nats (log to base e).
# Why the logarithm? The chances of two letters multiply, and so their surprises add up:
# a name's surprise is the sum of its letters'.
probability = pair_counts[m, i] / times_m
surprise_of_i = -math.log(probability)
print(f"p(i after m) = {probability:.3f}, surprise {surprise_of_i:.3f} nats")
# expect: p(i after m) = 0.241, surprise 1.423 nats


def table(n_back, extra=1):
    """Return a function: (context, target) -> surprise, counted with n_back letters."""
    counts, totals = Counter(), Counter()

    def last(context):
        # Before a name there is nothing but BOS, as often as needed.
        return tuple(([0] * n_back + context)[len(context) :])

    for context, target in pairs(TRAIN_NAMES):
        counts[last(context), target] += 1
        totals[last(context)] += 1

    def surprise(context, target):
        # What was never seen is not impossible, and -log(0) is infinite. So everything
        # counts as seen once more than it was ("add-one smoothing", after Laplace).
        seen = counts[last(context), target] + extra
        return -math.log(seen / (totals[last(context)] + 27 * extra))

    return surprise


# The loss of a model is its mean surprise, here on names that were NOT counted.
# exp(loss) says the same in words: as unsure as if choosing evenly among so many.
losses = {"uniform": held_out_loss(lambda context, target: math.log(27))}
for n_back, name in enumerate(["unigram", "bigram", "trigram", "4-gram"]):
    losses[name] = held_out_loss(table(n_back))
for name, loss in losses.items():
    print(f"{name:<8} {loss:.3f} nats a character, as if among {math.exp(loss):.1f}")
# expect: uniform  3.296 nats a character, as if among 27.0
# expect: unigram  2.927 nats a character, as if among 18.7
# expect: bigram   2.632 nats a character, as if among 13.9
# expect: trigram  2.807 nats a character, as if among 16.6
# expect: 4-gram   3.017 nats a character, as if among 20.4
print(f"loss per character: {losses['bigram']:.3f}")
# expect: loss per character: 2.632

# One letter of context helps; two and three make it worse. Most triples of letters
# never occur in 500 names, and about what a table has not seen, it knows nothing.
assert losses["bigram"] < losses["unigram"] < losses["uniform"]
assert losses["bigram"] < losses["trigram"] < losses["4-gram"]
seen_triples = {(*context[-2:], target) for context, target in pairs(TRAIN_NAMES)}
print(f"{len(seen_triples):,} of the {27**3:,} triples occur at all")
# expect: 1,487 of the 19,683 triples occur at all

# To write a name, roll dice: draw each letter by its probability after the last one.
rng = random.Random(1)
for _ in range(5):
    tokens = [TOKENIZER.bos]
    while len(tokens) == 1 or tokens[-1] != TOKENIZER.bos:
        weights = [pair_counts[tokens[-1], token] for token in range(27)]
        tokens.append(rng.choices(range(27), weights=weights)[0])
    print("a new name:", TOKENIZER.decode(tokens))
# expect: a new name: clmalhera
# expect: a new name: shi
# expect: a new name: joftt

# What production does: tables of up to five words, smoothed more cleverly, were the
# best language models until about 2010. More context needs ever more text.
#
# What is left unsolved: from "ma" a table can learn nothing about "na". That takes
# numbers that are shared and adjusted. How to adjust numbers is the next chapter.
#
# Exercises (solutions in solutions/ch01.py):
# 1. Which letter begins the most names, and which ends them? Read it off pair_counts.
# 2. Add 0.1 in place of 1 to every count (and 2.7 to every total). What does it do to
#    the bigram, and what to the 4-gram? Why does it help one more than the other?
# 3. Mix: 0.7 of the bigram's probability plus 0.3 of the trigram's, the latter with 0.1
#    added as in exercise 2. Is it better than both?
