"""Solutions to chapter 1, which runs first and prints its own lines before these."""

import math
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import ch01_counting as chapter

# 1. The first letter follows BOS, 0, and the last is followed by it.
letters = range(1, 27)
first = max(letters, key=lambda token: chapter.pair_counts[0, token])
last = max(letters, key=lambda token: chapter.pair_counts[token, 0])
print("most begin with", chapter.TOKENIZER.decode([first]))
print("most end with", chapter.TOKENIZER.decode([last]))
# expect: most begin with j
# expect: most end with a

# 2. The less was seen, the more room the added counts take from what was seen. A row of
#    the 4-gram table holds only a few real counts, and 27 made-up ones drown them.
for n_back, name in [(1, "bigram"), (3, "4-gram")]:
    smaller = chapter.held_out_loss(chapter.table(n_back, extra=0.1))
    print(f"{name} with 0.1: {smaller:.3f}, with 1: {chapter.losses[name]:.3f}")
    assert smaller < chapter.losses[name]
# expect: bigram with 0.1: 2.632, with 1: 2.632
# expect: 4-gram with 0.1: 2.944, with 1: 3.017

# 3. The bigram table always has an answer, the trigram table at times a sharper one.
bigram, trigram = chapter.table(1), chapter.table(2, extra=0.1)


def mixed(context, target):
    """Return the surprise of a mixture of both tables."""
    p_bigram = math.exp(-bigram(context, target))
    p_trigram = math.exp(-trigram(context, target))
    return -math.log(0.7 * p_bigram + 0.3 * p_trigram)


loss = chapter.held_out_loss(mixed)
print(f"mixed: {loss:.3f}")
# expect: mixed: 2.584
assert loss < min(chapter.held_out_loss(bigram), chapter.held_out_loss(trigram))
