"""Solutions to chapter 2, which runs first and prints its own lines before these."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import ch02_nudge as chapter

logits, counts, loss_at = chapter.logits, chapter.counts, chapter.loss_at


def slopes_of_row(i):
    """Return the loss's slope towards each logit of row i, by central differences."""
    slopes = []
    for k, x in enumerate(logits[i]):
        above, below = loss_at(i, k, x + 1e-5), loss_at(i, k, x - 1e-5)
        slopes.append((above - below) / 2e-5)
    return slopes


# 1. exp(x + 5) = exp(x) * exp(5), and in softmax the factor exp(5) divides out: nothing
#    changes. Moving all 27 together has slope 0; it is what their slopes add up to.
before = loss_at(0, 0, logits[0][0])
logits[0] = [x + 5 for x in logits[0]]
after = loss_at(0, 0, logits[0][0])
print(f"loss {before:.3f}, and with 5 added to a whole row {after:.3f}")
# expect: loss 3.255, and with 5 added to a whole row 3.255
assert abs(after - before) < 1e-12
assert abs(sum(slopes_of_row(0))) < 1e-8

# 2. The surprise at k is -log(exp(x[k]) / sum of exps) = log(sum of exps) - x[k]. Its
#    slope towards any x[j] is exp(x[j]) / sum of exps = p[j], and 1 less where j is k.
#    Summed over a row's answers it is (row total) * p[j] - counts[j]. The mean loss has
#        slope = (row total) / (all) * (p[j] - counts[j] / (row total)).
#    It is 0 where every probability is the counted share: the table of chapter 1,
#    without the extra 1. (An answer never seen should have p = 0; its logit falls for
#    ever.)
i = 13  # "m"
logits[i] = [0.1 * k for k in range(27)]  # anywhere will do
row_total = sum(counts[i])
on_paper = [
    row_total / chapter.n_all * (p - count / row_total)
    for p, count in zip(chapter.softmax(logits[i]), counts[i])
]
for nudged, exact in zip(slopes_of_row(i), on_paper):
    assert abs(nudged - exact) < 1e-8
print(f"the slope from m to i: {on_paper[9]:.4f}")
# expect: the slope from m to i: -0.0071

# 3. Five steps with all 729 run the model 7,290 times, and are not there yet: where a
#    letter is rare, so that few answers depend on its row, the slopes are small.
for row in range(27):
    logits[row] = [0.0] * 27
for _ in range(5):
    gradient = [slopes_of_row(row) for row in range(27)]
    for row in range(27):
        moved = [x - 100 * slope for x, slope in zip(logits[row], gradient[row])]
        logits[row] = moved
loss = chapter.held_out_loss(chapter.surprise_by(logits))
print(f"the loss {5 * 2 * 729:,} times: held-out loss {loss:.3f}")
# expect: the loss 7,290 times: held-out loss 2.725
a, q = chapter.TOKENIZER.encode("aq")
print(f"largest logit after a: {max(logits[a]):.1f}, after q: {max(logits[q]):.1f}")
# expect: largest logit after a: 3.2, after q: 0.3
