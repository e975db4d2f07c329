"""Solutions to chapter 8, which runs first and prints its own lines before these."""

import math
import os
import sys
from collections import Counter

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import ch08_residual_and_norm as chapter
from course import pairs

# 1. "letters differ": that was almost 0, so the model cannot tell which letter it has
#    just read. All it can learn is how often each letter occurs, whatever came before,
#    and it does no better than counting that (both on the last 20 of the 50 names).
_, loss = chapter.train(6, 50, *chapter.WAYS["norm"], wo_std=0.15)
targets = [target for _, target in pairs(chapter.TRAIN_NAMES[:50])]
counts = Counter(targets)
asked = [target for _, target in pairs(chapter.TRAIN_NAMES[30:50])]
nats = [-math.log(counts[target] / len(targets)) for target in asked]
print(f"6 layers, norm only: {loss:.3f}, letter counts: {sum(nats) / len(nats):.3f}")
# expect: 6 layers, norm only: 2.888, letter counts: 2.772
assert loss > sum(nats) / len(nats)

# 2. A sum of 16 products with random weights is sqrt(16) * std as large as what went
#    in, so 1 / sqrt(16) = 0.25 would keep its size. It takes a little more, because a
#    mix of different values is smaller than they are. But nobody can rely on that: two
#    matrices in each of ten layers raise a small difference to the 20th power, and
#    with the first steps of training the weights are other ones.
for std in (0.25, 0.28, 0.31):
    params = chapter.new_params(10, std, std)
    _, states = chapter.run(params, "jonathan", 10, *chapter.WAYS["neither"])
    for when, xs in (("before", states[0]), ("after", states[10])):
        size = chapter.size([xi.data for x in xs for xi in x])
        print(f"std {std}: the size of x {when} ten layers is {size:.2f}")
# expect: std 0.25: the size of x before ten layers is 0.41
# expect: std 0.25: the size of x after ten layers is 0.06
# expect: std 0.28: the size of x after ten layers is 0.62
# expect: std 0.31: the size of x after ten layers is 4.74
