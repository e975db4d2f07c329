"""Chapter 2. Nudging: can a table be adjusted instead of counted?

Chapter 1 left this unsolved: a count for one pair helps no other. To share what it
learns, a model needs numbers that can be moved, a little at a time, towards a smaller
loss: its parameters. Here they fill the table of letter pairs, 27 rows of 27. Which way
should one move? Nudge it, and look at the loss.

Write down what you expect, before you run this:
- The slope of a curve is measured over a small distance h. Is 1e-12 better than 1e-5?
- With steps ten times as long, do you get down ten times as fast?
- Here 27 parameters are moved. What would it cost to move a billion?

Source: Cauchy, "Méthode générale pour la résolution des systèmes d'équations
simultanées", 1847: the method of stepping downhill.
"""

import math
from collections import Counter

from course import TOKENIZER, TRAIN_NAMES, held_out_loss, pairs, save_picture

from microgpt.draw import Line, line_chart

# counts[i][k] is how often token k comes after i, as in chapter 1. Row 0 holds what
# comes after BOS: the first letters of names.
pair_counts = Counter((context[-1], target) for context, target in pairs(TRAIN_NAMES))
counts = [[pair_counts[i, k] for k in range(27)] for i in range(27)]
n_first, n_all = sum(counts[0]), sum(pair_counts.values())
print(f"{n_all:,} letters and ends to guess, {n_first} of them first letters")
# expect: 3,532 letters and ends to guess, 500 of them first letters


# A number that moves freely cannot promise to be a probability. Call it a logit, and
# make it one: exp makes any number positive, and dividing by the sum makes the sum 1.
def softmax(logits):
    """Return a probability for each of the logits."""
    exps = [math.exp(logit) for logit in logits]
    exps_sum = sum(exps)
    return [e / exps_sum for e in exps]


def surprise_by(table):
    """Return a function: (context, target) -> surprise, for a table of logits."""
    probs = [softmax(row) for row in table]
    return lambda context, target: -math.log(probs[context[-1]][target])


# Nothing is lost by it: log(count + 1) as logits gives chapter 1's loss, to the digit.
as_counted = [[math.log(count + 1) for count in row] for row in counts]
print(f"counted: {held_out_loss(surprise_by(as_counted)):.3f}")
# expect: counted: 2.632

# But we want to get there by moving. Every parameter starts at 0: all equally likely.
logits = [[0.0] * 27 for _ in range(27)]


def loss_at(i, k, x):
    """Return the loss on the names we learn from, with x in place of logits[i][k]."""
    before, logits[i][k] = logits[i][k], x
    nats = 0.0
    for row_logits, row in zip(logits, counts):
        for p, count in zip(softmax(row_logits), row):
            nats -= count * math.log(p)
    logits[i][k] = before
    return nats / n_all


# The loss is a function of 729 numbers. Turn one of them: how likely is "j" to begin a
# name? As its logit grows, the loss falls to a lowest point, and rises again.
j = TOKENIZER.encode("j")[0]
curve = [(x / 10, loss_at(0, j, x / 10)) for x in range(-20, 41)]
for x, y in curve[::20]:
    print(f"logit {x:4.1f}  loss {y:.3f}")
# expect: logit -2.0  loss 3.322
# expect: logit  0.0  loss 3.296
# expect: logit  4.0  loss 3.390

# Which way is down? The slope says it: by how much the loss moves for each 1 that the
# logit moves. Nudge the logit by h and divide by h: a finite difference. Nudged to both
# sides, it is a central difference. For this table the slope can also be worked out on
# paper (exercise 2), so we see how far off the nudged ones are.
exact = n_first / n_all * (1 / 27 - counts[0][j] / n_first)
one_side, both_sides = {}, {}
for h in [1, 1e-2, 1e-5, 1e-8, 1e-12]:
    above, here, below = loss_at(0, j, h), loss_at(0, j, 0.0), loss_at(0, j, -h)
    one_side[h] = abs((above - here) / h - exact)
    both_sides[h] = abs((above - below) / (2 * h) - exact)
    print(f"h {h:.0e}  off by {one_side[h]:.0e}, to both sides {both_sides[h]:.0e}")
# expect: h 1e+00  off by 3e-03, to both sides 8e-04

# A large h feels the bend of the curve; to both sides, most of the bend cancels. A tiny
# h drowns: a float has 16 digits, and the difference of two almost equal losses keeps
# few of them. The best is in between: 1e-5, to both sides.
assert both_sides[1e-2] < one_side[1e-2] / 100
assert both_sides[1e-5] == min([*one_side.values(), *both_sides.values()])
tangent = [(x, loss_at(0, j, 0.0) + exact * x) for x in (-2, 2)]
lines = [Line("loss", curve), Line(f"the slope at 0: {exact:.2f}", tangent, "dashed")]
title = "One of 729 parameters, and what it does to the loss"
svg = line_chart(lines, title, "logit of j as first letter", "loss")
save_picture("ch02_nudge.svg", svg)

# All the slopes together are called the gradient. Gradient descent moves each parameter
# against its slope, by the slope times a number, the learning rate; again and again.
# Too low a rate is slow; too high, and a step goes beyond the bend and up the other
# side. (As slopes are about 0.01 here, even 10 is low.)
for lr in [10, 1000, 100]:
    logits[0] = [0.0] * 27
    for _ in range(20):
        gradient = []
        for k, x in enumerate(logits[0]):
            above, below = loss_at(0, k, x + 1e-5), loss_at(0, k, x - 1e-5)
            gradient.append((above - below) / 2e-5)
        logits[0] = [x - lr * slope for x, slope in zip(logits[0], gradient)]
    loss = loss_at(0, j, logits[0][j])  # as it is, with nothing replaced
    print(f"learning rate {lr}: loss {loss:.3f} after 20 steps")
# expect: learning rate 10: loss 3.264 after 20 steps
# expect: learning rate 1000: loss 7.775 after 20 steps
# expect: learning rate 100: loss 3.255 after 20 steps

# The last of these descents was never told a share, only the loss. It found them all.
for k, p in enumerate(softmax(logits[0])):
    share = counts[0][k] / n_first
    assert abs(p - share) < 0.003
    if k in TOKENIZER.encode("ajm"):
        print(f"{TOKENIZER.decode([k])}: {p:.3f}, counted {share:.3f}")
# expect: a: 0.080, counted 0.080
# expect: j: 0.108, counted 0.108
# expect: m: 0.092, counted 0.092
print(f"loss per character: {held_out_loss(surprise_by(logits)):.3f}")
# expect: loss per character: 3.265

# That was one row of 27. A step needs the loss twice for each parameter, each time from
# the whole model. (Here 26 rows could be skipped. Once parameters are shared, nothing.)
for n in [27, 729, 4_064, 10**9]:  # 4,064: the GPT of chapter 9
    print(f"{n:,} parameters: the loss {2 * n:,} times for one step")
# expect: 4,064 parameters: the loss 8,128 times for one step
# A billion parameters: at least a billion multiplications a loss. At 1e12 a second:
print(f"{2 * 10**9 * 10**9 / 10**12 / (24 * 60 * 60):.0f} days for one step")
# expect: 23 days for one step

# What production does: central differences only test that slopes found in a better way
# are right, in this project's tests too.
#
# What is left unsolved: all the slopes for about the price of one loss.
#
# Exercises (solutions in solutions/ch02.py):
# 1. Add 5 to all logits of a row. What does that do to the loss? So what must the 27
#    slopes of a row add up to?
# 2. Derive the slope `exact` on paper. For which probabilities is it 0?
# 3. Move all 729 parameters, 5 steps. What does it cost, and what is reached?
