"""Solutions to chapter 8. Read the hint first, try again, and then look at the code.

It trains 32 small networks, which takes about twenty seconds.
"""

# %%
import math
import random
import sys

from common import save_picture

from microgpt import as_floats, cross_entropy, flatten, linear, relu
from microgpt.tools.draw import Group, scatter
from microgpt.tools.terminal import Progress
from microgpt.training import collector_paused
from microgpt.value import Value, total


def two_moons(n_points, seed):
    rng = random.Random(seed)
    places, kinds = [], []
    for number in range(n_points):
        kind = number % 2
        angle = rng.uniform(0, math.pi)
        x, y = math.cos(angle), math.sin(angle)
        if kind == 1:
            x, y = 1 - x, 0.5 - y
        places.append([x + rng.gauss(0, 0.12), y + rng.gauss(0, 0.12)])
        kinds.append(kind)
    return places, kinds


places, kinds = two_moons(100, seed=5)


def logits_of(params, place, activation):
    activations = [activation(s) for s in linear([*place, 1.0], params["hidden"])]
    return linear([*activations, 1.0], params["output"])


def train(n_hidden, seed, activation=relu, size=1.0, steps=200):
    """Return (the trained params, how many of the 100 points they get right)."""
    rng = random.Random(seed)
    params = {}
    for name, n_out, n_in in [("hidden", n_hidden, 3), ("output", 2, n_hidden + 1)]:
        rows = []
        for _ in range(n_out):
            rows.append([Value(rng.gauss(0, size)) for _ in range(n_in)])
        params[name] = rows
    progress = Progress(
        f"{n_hidden} neurons: step", steps, every=steps, stream=sys.stderr
    )
    for step in range(steps):
        # Python's garbage collector would look for cycles here again and again, and a
        # graph has none: training.py says more.
        with collector_paused():
            surprises = []
            for place, kind in zip(places, kinds):
                logits = logits_of(params, place, activation)
                surprises.append(cross_entropy(logits, kind))
            loss = total(surprises) / len(places)
            loss.backward()
            del surprises, logits, loss
        for parameter in flatten(params):
            parameter.data -= parameter.grad
            parameter.grad = 0.0
        progress.show(step + 1)
    progress.finish()
    trained = as_floats(params)
    n_right = 0
    for place, kind in zip(places, kinds):
        logit_0, logit_1 = logits_of(trained, place, activation)
        n_right += (logit_1 > logit_0) == kind
    return trained, n_right


# %%
# Exercise 1. How few neurons?
#
# Hint 1: try each number of neurons with several seeds before you judge.
# Hint 2: how many bends does a boundary need, to pass between the moons?
#
# The boundary has the shape of an S, so two or three neurons might do, if they set
# their bends well. But descent only finds what lies downhill from where it starts, and
# it gets stuck: with two neurons it never gets all points right, with four from half of
# the starts, and with eight from nearly all. More neurons than would be needed means
# more ways down. That is why people take more.
print("Exercise 1: points right of 100, from ten random starts")
right = {}
for n_hidden in [2, 4, 8]:
    right[n_hidden] = [train(n_hidden, seed)[1] for seed in range(1, 11)]
    print(f"  {n_hidden} hidden neurons: {right[n_hidden]}")
n_perfect = {n_hidden: right[n_hidden].count(100) for n_hidden in [2, 4, 8]}
assert n_perfect[2] == 0 < n_perfect[4] < n_perfect[8]

# %%
# Exercise 2. tanh.
#
# Hint 1: the network has to work with Values and with floats, so write a function that
# looks which of the two it got.
# Hint 2: tanh has no corner. What will the boundary have instead of corners?
#
# It gets all points right, too, and the boundary is a smooth curve.


def tanh(x):
    return x.tanh() if isinstance(x, Value) else math.tanh(x)


smooth, smooth_right = train(8, seed=1, activation=tanh)


def ask(x, y):
    logit_0, logit_1 = logits_of(smooth, [x, y], tanh)
    return 1 if logit_1 > logit_0 else 0


print("\nExercise 2")
print(f"  8 hidden neurons with tanh: {smooth_right} of 100 points right")
moons = []
for wanted in [0, 1]:
    points = [tuple(p) for p, kind in zip(places, kinds) if kind == wanted]
    moons.append(Group(f"kind {wanted}", points))
save_picture("ch08_tanh.svg", scatter(moons, "With tanh", "x", "y", ask))
assert smooth_right == 100

# %%
# Exercise 3. All weights at 0.
#
# Hint 1: what are the activations, if all hidden weights are 0?
# Hint 2: through which weights does the slope of a hidden weight have to pass?
#
# All hidden sums are 0, so all activations are 0. The slope of an output weight is a
# sum over the activations that it multiplies: 0. The slope of a hidden weight comes
# down through the output weights: 0 again. (The weights of the constant 1 do have
# slopes, one for each point, but there are as many points of one kind as of the other,
# and so they cancel.) Nothing can begin. To begin all weights at the same number other
# than 0 would not be much better: equal neurons get equal slopes, and stay one neuron
# for ever.
zero_params, zero_right = train(8, seed=1, size=0.0)
largest = max([abs(weight) for weight in flatten(zero_params)])
print("\nExercise 3")
print(f"  from zeros: {zero_right} of 100 points right", end="")
print(f", all weights still 0: {largest < 1e-9}")
assert largest < 1e-9
