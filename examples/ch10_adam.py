"""Chapter 10. Adam: how far should each parameter step?

Chapter 9 let Adam train the GPT, and did not look inside. A gradient says which way is
down, not how far. Gradient descent steps by learning rate times gradient, one rate for
all. But gradients jump from name to name, and in some matrices they are far smaller
than in others. There is a cure for each, and Adam is both:
- momentum: step along a running mean of the gradients, in which the jumps cancel;
- RMSProp: divide a gradient by its usual size, the root of a running mean of its square
  (root mean square), so that all parameters go about equally far.

Write down what you expect, before you run this:
- Learning rate 0.1: how long is Adam's first step if the gradient is 3? If it is 3,000?
- Four optimisers train a GPT, each at the best of three rates. How far ahead is Adam?
- Which matrices does gradient descent hardly move?

Source: Kingma and Ba, "Adam: a method for stochastic optimization", 2015, sections 2
and 3. Momentum is due to Polyak (1964), RMSProp to Tieleman and Hinton (2012).
"""

import math
import random
from functools import partial

from course import HELD_OUT_NAMES, TOKENIZER, TRAIN_NAMES, save_picture

from microgpt.adam import Adam
from microgpt.checkpoint import Run, TrainConfig
from microgpt.draw import Line, line_chart
from microgpt.gpt import GPTConfig, flatten, init_params
from microgpt.train import held_out_loss, smooth, train
from microgpt.value import Value


class Descent:
    """Gradient descent with one of the cures or none; used as the package's Adam is."""

    def __init__(self, parameters, steady=False, scaled=False):
        self.parameters, self.steady, self.scaled = parameters, steady, scaled
        self.m, self.v = [0.0] * len(parameters), [0.0] * len(parameters)

    def step(self, lr):
        m, v = self.m, self.v
        for i, weight in enumerate(self.parameters):
            along = grad = weight.grad
            # A tenth of m is new at every step: it is a mean of about the last ten
            # gradients, and v of twenty squares. (0.9 is beta1 in adam.py, 0.95 beta2.)
            m[i] = 0.9 * m[i] + 0.1 * grad
            v[i] = 0.95 * v[i] + 0.05 * grad * grad
            if self.steady:  # momentum
                along = m[i]
            if self.scaled:  # RMSProp; 1e-8 in case that all gradients were 0 so far
                along /= math.sqrt(v[i]) + 1e-8
            weight.data -= lr * along
            weight.grad = 0.0


# Adam is both, and one thing more. m starts at 0, which pulls it down: after one step
# it is 0.9 of that 0 and 0.1 of a gradient; after t steps 0.9 ** t is still the 0's.
# Dividing by the rest puts it right, and v likewise: bias correction. By hand, for one
# weight whose gradient is 3 in the first step and 1 in the second:
m, v, lr = 0.0, 0.0, 0.1
weight = Value(1.0)
adam = Adam([weight])
for t, grad in [(1, 3.0), (2, 1.0)]:
    m = 0.9 * m + 0.1 * grad
    v = 0.95 * v + 0.05 * grad * grad
    m_hat = m / (1 - 0.9**t)
    v_hat = v / (1 - 0.95**t)
    step = lr * m_hat / math.sqrt(v_hat)
    print(f"{t}: m {m:.3f} -> {m_hat:.3f}, v {v:.3f} -> {v_hat:.3f}, step {step:.4f}")
    before, weight.grad = weight.data, grad
    adam.step(lr)
    assert abs(before - weight.data - step) < 1e-9  # the package agrees
# expect: 1: m 0.300 -> 3.000, v 0.450 -> 9.000, step 0.1000
# expect: 2: m 0.370 -> 1.947, v 0.478 -> 4.897, step 0.0880

# The first step is lr * grad / sqrt(grad ** 2) = lr, also if grad is 3,000. So the
# learning rate has become a distance: about how far a parameter moves in a step.


def run_with(make, lr, n_steps):
    """Return a run of n_steps, a new name each: the GPT of chapter 9, half as wide."""
    config = GPTConfig(vocab_size=27, n_head=2, n_embd=8)
    rng = random.Random(42)
    params = init_params(config, rng)
    training = TrainConfig(steps=n_steps, learning_rate=lr)
    run = Run(config, training, TOKENIZER, params, make(flatten(params)), rng, "")
    try:
        list(train(run, TRAIN_NAMES))  # all the steps
    except ArithmeticError:  # the loss is not a number any more
        run.losses.append(math.inf)
    return run


# First, three rates for 30 steps. The best has to be the one in the middle, or we would
# have to look further; it then gets 200 steps. No name comes twice, and a loss is from
# before its step: all of these losses are on names not yet trained on.
CHOICES = {
    "SGD": (Descent, [0.3, 1.0, 3.0]),  # plain: stochastic gradient descent
    "momentum": (partial(Descent, steady=True), [0.3, 1.0, 3.0]),
    "RMSProp": (partial(Descent, scaled=True), [0.003, 0.01, 0.03]),
    "Adam": (Adam, [0.01, 0.03, 0.1]),
}
runs, curves = {}, {}
for name, (make, rates) in CHOICES.items():
    short = {lr: sum(run_with(make, lr, 30).losses[-20:]) / 20 for lr in rates}
    assert min(short, key=short.get) == rates[1]
    print(f"{name:<8}", *[f" {lr:g}: {loss:.3f}" for lr, loss in short.items()])
    runs[name] = run_with(make, rates[1], 200)
    curves[name] = smooth(runs[name].losses)  # the mean of the last 50
# expect: SGD       0.3: 3.003  1: 2.940  3: inf
# expect: Adam      0.01: 3.051  0.03: 2.952  0.1: 3.224
lines = [Line(name, list(enumerate(curve, 1))) for name, curve in curves.items()]
save_picture("ch10_adam.svg", line_chart(lines, "Loss (mean of 50)", "step", "nats"))

# With scaled steps the loss falls sooner, but in the end nobody is far ahead.
print(" " * 14, *[f"{name:>8}" for name in runs])
for step in (50, 200):
    print(f"loss, step {step:3}", *[f"{curves[name][step - 1]:8.3f}" for name in runs])
# expect: loss, step  50    3.012    2.985    2.915    2.924
# expect: loss, step 200    2.642    2.639    2.609    2.638

# But look how far each has moved the weights of each matrix, in the root mean square.
start, moved = init_params(runs["SGD"].config, random.Random(42)), {}
for matrix in start:
    before = [weight.data for row in start[matrix] for weight in row]
    for name, run in runs.items():
        after = [weight.data for row in run.params[matrix] for weight in row]
        moved[name, matrix] = math.dist(before, after) / math.sqrt(len(before))
    print(f"{matrix:<14}", *[f"{moved[name, matrix]:8.3f}" for name in runs])
# expect: wpe               0.498    0.561    0.117    0.291
# expect: layer0.attn_wq    0.001    0.001    0.093    0.220
assert moved["SGD", "wpe"] > 300 * moved["SGD", "layer0.attn_wq"]
assert moved["Adam", "wpe"] < 2 * moved["Adam", "layer0.attn_wq"]

# Gradient descent has left queries and keys almost as they were, and hardly moved the
# MLP; at three times the rate its loss was inf. This small model gets by without.
loss = held_out_loss(runs["Adam"], HELD_OUT_NAMES)
print(f"loss per character: {loss:.3f}")  # half as wide, and after 200 of 500 names
# expect: loss per character: 2.595

# What production does: large models do not get by without, and are trained with Adam,
# mostly. The rate rises from 0 first (warm-up), while v is a guess from few gradients.
#
# What is left unsolved: the model gives good probabilities. How to write with them?
#
# Exercises (solutions in solutions/ch10.py):
# 1. Multiply all gradients by 1,000. What becomes of 30 steps of SGD, and of Adam?
# 2. How long is Adam's first step without bias correction? If beta2 is 0.999 besides?
# 3. Descent with both cures is Adam without bias correction. Is it worse?
