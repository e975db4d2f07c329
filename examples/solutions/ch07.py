"""Solutions to chapter 7, which runs first and prints its own lines before these."""

import os
import random
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import ch07_attention as chapter

from microgpt.gpt import cross_entropy, flatten, linear
from microgpt.value import Value, total

# 1. A dot product of 256 random numbers is about 16 in size, and e to the power of 16
#    leaves nothing for the others. The scale makes it about 1.
rng = random.Random(1)
for scale in (1.0, 256**-0.5):
    largest = []
    for _ in range(50):
        q, *keys = [[Value(rng.gauss(0, 1)) for _ in range(256)] for _ in range(9)]
        _, weights = chapter.attend(q, keys, keys, scale)
        largest.append(max(weight.data for weight in weights))
    print(f"scale {scale}: the largest of 8 weights is {sum(largest) / 50:.2f}")
# expect: scale 1.0: the largest of 8 weights is 0.92
# expect: scale 0.0625: the largest of 8 weights is 0.34


# 2. The only change: all keys and values are there before the first token looks.
def losses_when_all_see_all(params, name):
    """Return the surprise at each of the first 8 characters of a name."""
    tokens = chapter.TOKENIZER.encode_document(name)[:9]
    places = zip(tokens[:-1], params["wpe"])
    xs = [[t + p for t, p in zip(params["wte"][token], at)] for token, at in places]
    keys = [linear(x, params["attn_wk"]) for x in xs]
    values = [linear(x, params["attn_wv"]) for x in xs]
    losses = []
    for x, target in zip(xs, tokens[1:]):
        q = linear(x, params["attn_wq"])
        head_out, _ = chapter.attend(q, keys, values, chapter.N**-0.5)
        losses.append(cross_entropy(linear(head_out, params["lm_head"]), target))
    return losses


def mean_loss(losses_of, params):
    """Return the mean over the first 100 of the held-out names."""
    nats = []
    for name in chapter.HELD_OUT_NAMES[:100]:
        nats += [loss.data for loss in losses_of(params, name)]
    return sum(nats) / len(nats)


rng = random.Random(42)
params = {}
for name, n in {**chapter.ROWS, "wpe": 8}.items():
    rows = [[rng.gauss(0, 0.3) for _ in range(chapter.N)] for _ in range(n)]
    params[name] = [[Value(number) for number in row] for row in rows]
for name in chapter.TRAIN_NAMES[:200]:
    losses = losses_when_all_see_all(params, name)
    (total(losses) / len(losses)).backward()
    for weight in flatten(params):
        weight.data -= 0.3 * weight.grad
        weight.grad = 0.0

# It learns to look at the answer, which stands one place to the right. When it is to
# write, there is nothing to the right yet, and it is worse than a blind guess (3.296).
cheating = mean_loss(losses_when_all_see_all, params)
writing = mean_loss(chapter.losses_of, params)
print(f"all see all: {cheating:.2f}; the same without later letters: {writing:.2f}")
# expect: all see all: 0.83; the same without later letters: 4.78
assert cheating < chapter.loss and writing > 3.296

# 3. All scores are 0, so every letter so far has the same weight: the mean of all. The
#    model was trained to choose, and misses it; but much of its work is in the values.
still = [[weight * 0.0 for weight in row] for row in chapter.params["attn_wq"]]
params = {**chapter.params, "attn_wq": still}
equal, chosen = [mean_loss(chapter.losses_of, p) for p in (params, chapter.params)]
print(f"equal weights: {equal:.3f}, chosen weights: {chosen:.3f}")
# expect: equal weights: 2.654, chosen weights: 2.513
