"""Solutions to chapter 2. Read the hint first, try again, and then look at the code."""

# %%
import math

from common import TOKENIZER, TRAIN_NAMES


def softmax(logits):
    exps = [math.exp(logit) for logit in logits]
    exps_sum = sum(exps)
    return [e / exps_sum for e in exps]


def mean_surprise(logits, shares):
    """Return the loss if token k comes in shares[k] of the cases."""
    nats = 0.0
    for share, p in zip(shares, softmax(logits)):
        nats += share * -math.log(p)
    return nats


def gradient_by_nudging(logits, shares, h=1e-5):
    gradient = []
    for k in range(len(logits)):
        above, below = list(logits), list(logits)
        above[k] += h
        below[k] -= h
        difference = mean_surprise(above, shares) - mean_surprise(below, shares)
        gradient.append(difference / (2 * h))
    return gradient


def one_step(logits, shares, learning_rate):
    gradient = gradient_by_nudging(logits, shares)
    return [x - learning_rate * slope for x, slope in zip(logits, gradient)]


first_letters = [TOKENIZER.encode(name)[0] for name in TRAIN_NAMES]
first_shares = [first_letters.count(k) / len(TRAIN_NAMES) for k in range(27)]

# %%
# Exercise 1. Add up all 27 slopes.
#
# Hint 1: what happens to the probabilities if you add the same number to all 27 logits?
# Hint 2: so how much does the loss change if all logits move together by h?
#
# Nothing changes: exp(x + h) is exp(x) * exp(h), and the factor exp(h) stands above and
# below the fraction line of softmax. So moving all 27 together has the slope 0. And the
# slope of moving them all together is the sum of their slopes. On paper: the
# probabilities add up to 1, the shares add up to 1, and the difference is 0.
logits = [0.1 * k for k in range(27)]  # anywhere will do
sum_of_slopes = sum(gradient_by_nudging(logits, first_shares))
print("Exercise 1")
print(f"  the sum of the slopes is 0, but for rounding: {abs(sum_of_slopes) < 1e-8}")
before = mean_surprise(logits, first_shares)
after = mean_surprise([x + 5 for x in logits], first_shares)
print(f"  the loss: {before:.3f}, and with 5 added to every logit: {after:.3f}")
assert abs(sum_of_slopes) < 1e-8
assert abs(before - after) < 1e-12

# %%
# Exercise 2. Which letter does a name end with?
#
# Hint 1: the last letter of a name is TOKENIZER.encode(name)[-1].
# Hint 2: nothing else in the descent has to change. Try rates of 1, 3, 10 and 100.
# Hint 3: the loss alone can deceive. Compare the probability of "a" with its share.
#
# Here a rate of 10 is already too high: the probability of "a" jumps back and forth
# around its share, and never settles. Why, when it was fine for first letters? One
# letter, "a", ends more than a quarter of all names, while no letter begins much more
# than a tenth. When the logit of a common letter moves by 1, its probability moves by
# more, and so its slope changes faster: this valley is narrower. A rate of 3 works.
last_letters = [TOKENIZER.encode(name)[-1] for name in TRAIN_NAMES]
last_shares = [last_letters.count(k) / len(TRAIN_NAMES) for k in range(27)]
gaps = {}
print("\nExercise 2")
print(f'  "a" ends {last_shares[1]:.3f} of the names')
for learning_rate in [1, 3, 10, 100]:
    logits = [0.0] * 27
    for _ in range(40):
        logits = one_step(logits, last_shares, learning_rate)
    p_of_a = softmax(logits)[1]
    gaps[learning_rate] = abs(p_of_a - last_shares[1])
    print(f"  learning rate {learning_rate:3}: probability of a {p_of_a:.3f}")
assert gaps[3] < 0.01 < 0.1 < gaps[10]

# %%
# Exercise 3. Start with the logit of "j" at 20, or at -20.
#
# Hint 1: a slope is probability minus share, and both lie between 0 and 1.
# Hint 2: print the slope at both starting points, and see which is steeper.
#
# So a slope lies between -1 and 1. At 20, the model is certain that every name begins
# with "j", and nearly all of that is wrong: the slope is 1 - 0.108 = 0.892. At -20 the
# model gives "j" nothing, which is wrong for only 0.108 of the names: that is the
# slope, and it hardly changes on the long way up, since the probability stays near 0.
j = TOKENIZER.encode("j")[0]
steps_needed = {}
print("\nExercise 3")
for start in [20.0, -20.0]:
    logits = [0.0] * 27
    logits[j] = start
    slope = gradient_by_nudging(logits, first_shares)[j]
    steps = 0
    while abs(softmax(logits)[j] - first_shares[j]) > 0.02:
        logits = one_step(logits, first_shares, learning_rate=10)
        steps += 1
    steps_needed[start] = steps
    print(f"  from {start:5}: first slope {slope:6.3f}, there after {steps} steps")
assert steps_needed[-20.0] > steps_needed[20.0]
