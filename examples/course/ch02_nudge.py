"""Chapter 2. Nudging: can a table be adjusted instead of counted?

In chapter 1 we counted how often one letter follows another, and the shares were the
model. A count teaches us about a single pair of letters and helps no other. To share
what it learns, a model needs numbers that can be moved, each a little at a time, so
that the loss gets smaller. Such numbers are called *parameters*. The question is always
the same: which way should this one move, up or down, and how far?

The plainest answer is to try. Nudge the number a little, look at the loss, and see
whether it went up or down. In this chapter we do that for the first row of our table,
the letters that begin a name. There we know from counting what should come out, so we
can check. The word of the field for what we find is the *gradient*, and walking
downhill with it is *gradient descent*. At the end we work out what nudging would cost a
model with many parameters, and that price is the reason for the next three chapters.

Before you run it: `python examples/learn.py 2` asks you for a few guesses first. If you
go without it, write down how small a nudge should be (1, 0.01, 1e-5, 1e-12?), and what
steps that are ten times as long will do.

Source: Cauchy, "Méthode générale pour la résolution des systèmes d'équations
simultanées", 1847: the method of stepping downhill.
"""

# %%
import math

from common import TOKENIZER, TRAIN_NAMES, loss_and_error, pairs, save_picture

from microgpt.tools.draw import Line, line_chart

# The row that we want to learn: which letter begins a name? (Token 0 is BOS, 1 is a,
# and so on up to 26 for z, as in chapter 1. BOS itself never begins a name.)
first_counts = [0] * 27
for name in TRAIN_NAMES:
    context, target = pairs(name)[0]  # the first question: what follows BOS?
    first_counts[target] += 1
n_names = len(TRAIN_NAMES)
shares = [count / n_names for count in first_counts]

a, j, m = TOKENIZER.encode("ajm")
print("How often a letter begins a name, by counting")
print(f"  a {shares[a]:.3f}, j {shares[j]:.3f}, m {shares[m]:.3f}")

# %%
# We would like 27 parameters that can be moved freely, and 27 probabilities that follow
# from them. A probability itself cannot be moved freely: it must stay between 0 and 1,
# and all 27 must add up to 1. So we let the parameters be any numbers at all, and make
# probabilities out of them in two steps: exp makes every number positive, and dividing
# by the sum makes them add up to 1. Numbers that are used in this way are called
# *logits*, and the function is called *softmax*.


def softmax(logits):
    """Return a probability for each logit; they are positive and add up to 1."""
    exps = [math.exp(logit) for logit in logits]
    exps_sum = sum(exps)
    return [e / exps_sum for e in exps]


print("\nsoftmax, three examples")
for example in [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [6.0, 5.0, 5.0]]:
    probs = ", ".join([f"{p:.3f}" for p in softmax(example)])
    print(f"  logits {example}  ->  probabilities {probs}")

# Equal logits give equal probabilities. If the logit of one letter is larger by 1 than
# that of another, the one is e = 2.718 times as likely as the other: here 0.576 is
# 2.718 times 0.212. And only the differences between logits count: the last two
# rows are the same, because adding 5 to every logit multiplies every exp by the same
# number, and dividing by the sum takes it out again.
#
# Can logits say everything that counting can? Yes: take log(share) as the logit, and
# exp turns it back into the share.

# %%
# The loss, as a function of the 27 logits: the mean surprise at the first letters of
# the 500 names. Letter k begins first_counts[k] names, and each time the surprise is
# -log(probs[k]), so we need not go through the names one by one.


def first_letter_loss(logits):
    """Return the mean surprise at the first letter of the names, in nats."""
    probs = softmax(logits)
    nats = 0.0
    for count, p in zip(first_counts, probs):
        nats += count * -math.log(p)
    return nats / n_names


logits = [0.0] * 27  # we begin with no opinion: all letters equally likely
start_loss = first_letter_loss(logits)
print(f"\nAll 27 logits at 0: a loss of {start_loss:.3f}, which is log(27)")

# Now turn a single one of the 27, the logit of "j", and leave the others at 0.


def loss_with_j_at(x):
    """Return the loss if the logit of "j" were x."""
    nudged = list(logits)
    nudged[j] = x
    return first_letter_loss(nudged)


print("\nlogit of j   loss")
for x in [-2.0, 0.0, 1.0, 2.0, 4.0]:
    print(f"{x:10.1f}   {loss_with_j_at(x):.3f}")

# The loss falls, reaches a lowest point near 1, and rises again: a valley. Of course it
# does. "j" begins one name in nine, more than its fair share of one in 27, so making it
# likelier helps; but making it much too likely takes probability away from all the
# other letters.

# %%
# Which way is down, seen from 0? The *slope* says it: by how much the loss changes for
# each 1 that the logit changes. To measure it, nudge the logit by a small number h, see
# how far the loss moved, and divide by h:
h = 0.001
slope_by_nudging = (loss_with_j_at(h) - loss_with_j_at(0.0)) / h
print(f"\nnudged by {h}: the loss changes by {slope_by_nudging * h:.6f}")
print(f"  so its slope is about {slope_by_nudging:.4f}")

# The slope is negative, so the loss falls as the logit rises: this logit should go up.
#
# How far can we trust the number? Let us work it out with school calculus. Write S for
# the sum exp(x[0]) + exp(x[1]) + … over all 27 logits x. Then the surprise at letter k
# is
#
#     -log(probs[k]) = -log(exp(x[k]) / S) = log(S) - x[k]
#
# and the loss is the mean of this over the names. log(S) appears in every name, and
# x[k] in those that begin with letter k, in the fraction shares[k] of them:
#
#     loss = log(S) - shares[0] * x[0] - shares[1] * x[1] - …
#
# Now take the derivative with respect to x[j]. That of log(S) is 1/S times the
# derivative of S, and in S only exp(x[j]) depends on x[j]: so it is exp(x[j]) / S,
# which is just probs[j]. Of the other terms, only -shares[j] * x[j] depends on x[j].
# What remains is
#
#     slope with respect to x[j] = probs[j] - shares[j]
#
# This is worth reading twice. The slope is the difference between what the model says
# and what is true. If the model gives "j" too little, the slope is negative, and the
# logit should rise, the more, the larger the difference. At 0 all probabilities are
# 1/27.
exact_slope = softmax(logits)[j] - shares[j]
print(f"  on paper: 1/27 - {shares[j]} = {exact_slope:.4f}")

# %%
# How small should a nudge be? Two things go wrong. With a large h we do not measure the
# slope at 0, but that of a line across the valley. With a tiny h we subtract two losses
# that are almost equal: a float has about 16 digits, and what is left of the difference
# is mostly rounding error.
#
# There is a way to make the first problem much smaller: nudge to both sides, by h and
# by -h, and divide by 2 * h. This is called a *central difference*. The valley is
# curved, and the error that the curve makes on one side cancels against that on the
# other.
print("\nHow far the slope by nudging is off, for each size of nudge")
print("(A line that begins with ~ may have other digits on another computer.)")
print("nudge h      one side   both sides")
one_side = {}
both_sides = {}
for h in [1.0, 1e-2, 1e-5, 1e-8, 1e-12]:
    above = loss_with_j_at(h)
    here = loss_with_j_at(0.0)
    below = loss_with_j_at(-h)
    one_side[h] = abs((above - here) / h - exact_slope)
    both_sides[h] = abs((above - below) / (2 * h) - exact_slope)
    print(f"~{h:7.0e} {one_side[h]:12.0e} {both_sides[h]:12.0e}")
best_h = min(both_sides, key=both_sides.get)
assert best_h == 1e-5
assert both_sides[1e-2] < one_side[1e-2] / 100
print(f"the best of these: both sides, with h = {best_h:.0e}")

# %%
# A picture of the valley, and of the slope at the place where we stand.
curve = [(x / 10, loss_with_j_at(x / 10)) for x in range(-20, 41)]
tangent = [(x, start_loss + exact_slope * x) for x in (-2, 2)]
svg = line_chart(
    [
        Line("the loss", curve),
        Line(f"its slope where we stand, at 0: {exact_slope:.3f}", tangent, "dashed"),
        Line("where we stand", [(0, 3.0), (0, start_loss)]),
    ],
    title="Turning one parameter: the loss goes through a valley",
    x_label='the logit of "j" as a first letter',
    y_label="loss (nats)",
)
save_picture("ch02_nudge.svg", svg)

# %%
# All 27 slopes together are called the *gradient*. Gradient descent moves each
# parameter against its slope: up where the slope is negative, down where it is
# positive. How far? By the slope times a number that we choose, the *learning rate*.
# Then it measures the slopes again from the new place, and so on.


def gradient_by_nudging(logits, h=1e-5):
    """Return the slope with respect to each logit, by central differences."""
    gradient = []
    for k in range(len(logits)):
        above = list(logits)
        above[k] += h
        below = list(logits)
        below[k] -= h
        difference = first_letter_loss(above) - first_letter_loss(below)
        gradient.append(difference / (2 * h))
    return gradient


def descend(steps, learning_rate):
    """Return the logits after so many steps downhill, starting from zeros."""
    logits = [0.0] * 27
    for _ in range(steps):
        gradient = gradient_by_nudging(logits)
        logits = [x - learning_rate * slope for x, slope in zip(logits, gradient)]
    return logits


print("\nlearning rate   loss after 20 steps")
loss_after = {}
for learning_rate in [1, 10, 30, 100]:
    loss_after[learning_rate] = first_letter_loss(descend(20, learning_rate))
    print(f"{learning_rate:13}   {loss_after[learning_rate]:.3f}")
print(f"{'(the start)':>13}   {start_loss:.3f}")
assert loss_after[10] < loss_after[1] < start_loss < loss_after[100]
assert loss_after[10] < loss_after[30] < start_loss

# With 1, we are on the way, but slow. With 10, we are nearly there: the lowest loss
# that 27 logits can reach is 2.997 (we compute it below). With 30 we have come less far
# than with 10, although the steps are longer, and with 100 we end up far worse than
# where we began. What happens there? We watch the first steps, with the logit of "j"
# and the probability that the model gives to "j".
print("\nTwenty steps at a learning rate of 100, the first six in full")
print("           before the step                 after the step")
print("step     loss   slope of j    logit of j   probability of j")
logits = [0.0] * 27
losses_from_step_3 = []
for step in range(1, 21):
    loss_before = first_letter_loss(logits)
    if step >= 3:
        losses_from_step_3.append(loss_before)
    gradient = gradient_by_nudging(logits)
    logits = [x - 100 * slope for x, slope in zip(logits, gradient)]
    if step <= 6:
        print(
            f"{step:4} {loss_before:8.3f} {gradient[j]:12.3f} {logits[j]:13.1f} "
            f"{softmax(logits)[j]:18.3f}"
        )
lowest = min(losses_from_step_3)
highest = max(losses_from_step_3)
print(f"from step 3 on, the loss is between {lowest:.1f} and {highest:.1f}")
assert lowest > 3 * start_loss

# The first slope is small, -0.071, but times 100 it is a step of 7, right through the
# bottom of the valley, which for "j" is near 1. Now the model gives "j" a probability
# of 0.764, as if three names in four began with it. That is badly wrong, so here the
# slope is steep, and the second step throws the logit back, down to -58. There the
# probability of "j" is 0 to many digits. On that side the valley is a long straight
# ramp, and not a steep one: the slope is 0 - 0.108, however far down we are. So the
# logit crawls back up by 10.8 a step, until it overshoots again. All 27 logits do this
# at once, each at its own pace, and the loss wanders about, far above the start.
#
# So longer steps are faster only up to a point, and one finds that point by trying, as
# we did: of our four rates, 10 is the best. (With 1,000 Python gives up, with a
# ValueError from math.log: a probability gets so small that a float can only hold it as
# 0, and 0 has no logarithm.)

# %%
# The descent at rate 10 was never shown a share. All it was ever told is by how much
# the loss changes when a logit is nudged. Has it found the shares?
logits = descend(20, learning_rate=10)
probs = softmax(logits)
print("\nletter   counted   found by descent")
for letter in [a, j, m]:
    print(
        f"{TOKENIZER.decode([letter]):>6}   {shares[letter]:7.3f}   {probs[letter]:.3f}"
    )
largest_gap = max([abs(p - share) for p, share in zip(probs, shares)])
print(f"the largest difference among all 27: {largest_gap:.4f}")
assert largest_gap < 0.005

# The lowest loss of all is that of a model which says the shares themselves.
lowest_loss = 0.0
for share in shares:
    if share > 0:
        lowest_loss += share * -math.log(share)
print(
    f"loss {first_letter_loss(logits):.3f}, and {lowest_loss:.3f} with the exact shares"
)
assert lowest_loss < loss_after[10] < lowest_loss + 0.02

# It has: no probability is further than half a percentage point from its share. And our
# formula told us that it would: descent comes to rest where all slopes are 0, and
# probs[k] - shares[k] is 0 exactly where the probability is the share. (Tokens that
# never begin a name should have probability 0. For that their logits would have to fall
# for ever, so we never get there entirely.)


# %%
# The common measure of this course, on the held-out names. Only the first row is
# learnt: for every other character the model still guesses blindly among 27.
def nats_of(name):
    """Return the surprise at each character, the first by our row, the rest blind."""
    questions = pairs(name)
    _, first_target = questions[0]
    nats = [-math.log(probs[first_target])]
    for _ in questions[1:]:
        nats.append(math.log(27))
    return nats


loss, error = loss_and_error(nats_of)
print(
    f"\nloss per character: {loss:.3f} ± {error:.3f} (only the first letter is learnt)"
)
print(f"  a blind guess everywhere: {math.log(27):.3f}")

# %%
# Why stop at the first row? Because of the price. Each step needs the loss twice for
# every parameter. Here the loss was cheap. In a model whose parameters are shared, each
# nudge changes everything that comes after it, so each time the whole model has to be
# run again, on all the text.
print("\nparameters       how often the loss is needed, for one step")
for n_parameters, what in [
    (27, "this row"),
    (729, "the whole table of letter pairs"),
    (4_064, "the GPT of chapter 13"),
    (1_000_000_000, "a small model of today"),
]:
    print(f"{n_parameters:13,}   {2 * n_parameters:13,}   {what}")

# To run a model with a billion parameters takes at least a billion multiplications,
# even for a single character. A fast chip does about 1e14 multiplications a second.
seconds_a_loss = 1e9 / 1e14
hours_a_step = 2e9 * seconds_a_loss / 3600
print(f"for a billion: {hours_a_step:.1f} hours for a step on a single character")
print("  (and training takes many thousands of steps, each on many characters)")

# %%
# What production does. Nobody trains by nudging. But everybody tests by nudging: when a
# slope has been found in a cleverer way, a central difference shows whether it is
# right. This project's tests do it, and so does the next chapter.
#
# What is still missing. We worked out one slope on paper, and it cost us nothing to
# evaluate: probs[j] - shares[j]. If a program could do that with any calculation, all
# slopes together would cost no more than a few losses, however many slopes there are.
# It can. For that, a number has to remember where it came from. In the next chapter we
# build such a number.
#
# Exercises. Hints and solutions are in ch02_solution.py.
# 1. Add up all 27 slopes of a gradient. What do you get, and why must it be so?
# 2. Learn which letter a name ends with instead: collect the counts of the last letters
#    and run the same descent. Which learning rate works?
# 3. Between which two numbers must every slope of this loss lie? Start the descent with
#    the logit of "j" at 20, and then at -20. How many steps does each need until the
#    probability of "j" is within 0.02 of its share, and why do they differ so much?
