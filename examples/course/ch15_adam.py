"""Chapter 15. Adam: the gradient says which way, but how far should each weight go?

In the last chapters `Adam` trained the GPT, and we never looked inside. Its task is
easily said. After `backward()` every parameter has a gradient: which way is uphill, and
how steeply. Going the other way makes the loss smaller. But the gradient is a slope
*here*; it does not know how far away the bottom is, and so it cannot say how far to go.

Chapter 7 answered with *gradient descent*: step by learning rate times gradient, with
one learning rate for all parameters. That answer has two weaknesses. This chapter shows
the first on a landscape so small that it can be drawn, names the second, then has the
cure for each of them, and then *Adam* (for "adaptive moment estimation"), which is both
cures together and a small correction. In the end all four train the same GPT on the
same names. Such a method of stepping is called an *optimiser*.

The chapter's questions are asked by `python examples/learn.py 15`; otherwise write down
your guess before you run this: which optimiser will be ahead after 200 names, and how
far is Adam's first step if the gradient is 3,000?

Paper: Kingma and Ba, "Adam: a method for stochastic optimization", 2015, sections 2 and
3. Momentum goes back to Polyak (1964), RMSProp to Tieleman and Hinton (2012).
"""

# %%
from __future__ import annotations

import math
import random
import sys

from common import (
    HELD_OUT_NAMES,
    TOKENIZER,
    TRAIN_NAMES,
    difference_and_error,
    loss_and_error,
    save_picture,
)
from looks import with_zeros, without_heads

from microgpt import (
    Adam,
    GPTConfig,
    Value,
    as_floats,
    document_loss,
    flatten,
    init_params,
    smooth,
    token_losses,
)
from microgpt.tools.draw import Group, Line, line_chart, scatter, side_by_side
from microgpt.tools.terminal import Progress
from microgpt.training import collector_paused


# %%
# A valley. Two parameters, a and b, and a loss that is the height of the ground above
# them. Across the valley, along a, the walls are steep; along b its floor falls gently.
# The lowest point is at a = 0, b = 0. Real models have thousands of parameters, but
# this much they have in common with the valley: the loss is far more sensitive to some
# parameters than to others.
def valley(a, b):
    """Return the height at (a, b): 50 times as curved along a as along b."""
    return 25 * a**2 + 0.5 * b**2


class Descent:
    """Plain gradient descent, the optimiser of chapter 7."""

    def __init__(self, parameters):
        self.parameters = parameters

    def step(self, lr):
        """Move each parameter by lr times its gradient, downhill."""
        for weight in self.parameters:
            weight.data -= lr * weight.grad
            weight.grad = 0.0


def walk(make_optimizer, lr, n_steps):
    """Start at a = 1, b = 2; return the places passed and the loss at each of them."""
    a, b = Value(1.0), Value(2.0)
    optimizer = make_optimizer([a, b])
    places, losses = [], []
    for _ in range(n_steps):
        loss = valley(a, b)
        places.append((a.data, b.data))
        losses.append(loss.data)
        loss.backward()
        optimizer.step(lr)
    return places, losses


print("1. Plain descent in the valley: the loss, at four learning rates")
print()
print("rate      0 steps    1 step   2 steps   3 steps    30 steps")
for lr in [0.001, 0.02, 0.036, 0.05]:
    _, losses = walk(Descent, lr, n_steps=31)
    row = [losses[n_steps] for n_steps in (0, 1, 2, 3, 30)]
    cells = [f"{loss:9.2f}" for loss in row[:4]]
    print(f"{lr:<7}", *cells, f"{row[4]:11.4g}")
print()

# %%
# The steep direction decides how large the learning rate may be. Along a the gradient
# is 50 * a, so a step leads from a to a - lr * 50 * a = (1 - 50 * lr) * a. With a rate
# of 0.02 that is exactly 0: one step, and we are at the bottom of the steep side. With
# 0.036 it is -0.8 * a: we jump across to the other wall, but a little lower. With 0.05
# it is -1.5 * a: every jump lands higher than the last, and the loss grows without
# limit. That is what people mean when they say that training *diverges*.
#
# Along b, however, the same rate of 0.02 takes only a fiftieth of the distance in each
# step. b would be happy with a rate of 1. This is the first weakness: one rate for all
# is too large for some parameters long before it is large enough for others.
#
# The second weakness does not show in a landscape drawn on paper: with one name a step,
# the gradients jump. One name says "up", the next one "down", and descent follows each.


# %%
# The cure for jumping is *momentum*. Step along a running mean of the gradients: keep
# 0.9 of the old mean, and take in 0.1 of the new gradient. A gradient that is 10 steps
# old still counts 0.9 ** 10 = 0.35 times as much as the newest, so this is roughly the
# mean of the last ten. Where the gradients of single names jump up and down at random,
# they cancel out in the mean; where they agree, they stay. This has a price: a mean of
# the last ten steps is late. If the ground rises again, it still points the old way for
# a few steps. This price will show in the valley below. (The gain will not: nothing is
# random there.)
#
# The cure for one rate for all is *RMSProp*. Keep a running mean v of the gradient's
# *square*. Its root, the "root mean square" that gives the method its name, is the
# usual size of this parameter's gradients, whatever their signs. Divide the gradient by
# it: what is left is about 1 or -1 in size, and every parameter moves about lr, the one
# with gradients of 50 as far as the one with gradients of 1. (Only at the start it
# moves further: v begins at 0 and is too small at first. Adam will correct that.)
class Momentum:
    """Gradient descent along a running mean of the gradients."""

    def __init__(self, parameters):
        self.parameters = parameters
        self.m = [0.0] * len(parameters)  # the mean gradient of each parameter

    def step(self, lr):
        """Update each mean, and step along it."""
        for i, weight in enumerate(self.parameters):
            self.m[i] = 0.9 * self.m[i] + 0.1 * weight.grad
            weight.data -= lr * self.m[i]
            weight.grad = 0.0


class RMSProp:
    """Gradient descent with each gradient divided by its usual size."""

    def __init__(self, parameters):
        self.parameters = parameters
        self.v = [0.0] * len(parameters)  # the mean squared gradient of each

    def step(self, lr):
        """Update each mean square, and step by the gradient divided by its root."""
        for i, weight in enumerate(self.parameters):
            self.v[i] = 0.95 * self.v[i] + 0.05 * weight.grad**2
            usual_size = math.sqrt(self.v[i]) + 1e-8  # + a little: never divide by 0
            weight.data -= lr * weight.grad / usual_size
            weight.grad = 0.0


# %%
# Adam is both: it steps by lr * m / sqrt(v). One thing is left to put right. Both means
# start at 0, although no gradient was ever 0, and at first that 0 pulls them down. If
# the first gradient is 3, m becomes 0.9 * 0 + 0.1 * 3 = 0.3, a tenth of what it ought
# to say. Adam knows exactly how much is missing. After t steps, the starting 0 still
# has a share of 0.9 ** t in the mean, and the gradients together have the rest,
# 1 - 0.9 ** t. Dividing m by this rest gives a true mean of the gradients alone, called
# m_hat. The same is done to v, with 0.95. This is the *bias correction*.
#
# Here are two steps for one weight, by hand. It starts at 1, the learning rate is 0.1,
# and its gradient is 3 in the first step and 1 in the second. The package's Adam stands
# beside it and must agree.
beta1, beta2, lr = 0.9, 0.95, 0.1
m, v = 0.0, 0.0
by_hand = 1.0
weight = Value(1.0)
adam = Adam([weight])
print("2. Adam by hand: a weight of 1.0, learning rate 0.1, gradients 3 and then 1")
for t, grad in [(1, 3.0), (2, 1.0)]:
    m_before, v_before, by_hand_before = m, v, by_hand
    m = beta1 * m + (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad**2
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    step = lr * m_hat / math.sqrt(v_hat)
    by_hand = by_hand - step

    weight.grad = grad
    adam.step(lr)
    assert abs(weight.data - by_hand) < 1e-8

    print(f"step {t}, gradient {grad:g}")
    print(f"  m      = 0.9  * {m_before:.4f} + 0.1  * {grad:g}     = {m:.4f}")
    print(f"  v      = 0.95 * {v_before:.4f} + 0.05 * {grad:g} * {grad:g} = {v:.4f}")
    print(f"  m_hat  = {m:.4f} / (1 - 0.9 ** {t})     = {m_hat:.4f}")
    print(f"  v_hat  = {v:.4f} / (1 - 0.95 ** {t})    = {v_hat:.4f}")
    print(f"  step   = 0.1 * {m_hat:.4f} / sqrt({v_hat:.4f}) = {step:.4f}")
    print(f"  weight = {by_hand_before:.4f} - {step:.4f}         = {by_hand:.4f}")
print("microgpt's Adam agrees with both steps.")
print()

# %%
# In the first step m_hat is the gradient and v_hat its square, so the step is
# lr * grad / sqrt(grad ** 2): the learning rate itself, up or down, for any gradient.
# In the second step the gradient was smaller than what v remembers, and the step is a
# little shorter. So with Adam, and with RMSProp, the learning rate has become a
# *distance*: about how far a weight moves in one step.
first_steps = {}
print("3. The first step at a learning rate of 0.1")
print()
print("gradient   descent      Adam")
for grad in [0.003, 3.0, 3000.0]:
    moved = []
    for make_optimizer in (Descent, Adam):
        weight = Value(0.0)
        weight.grad = grad
        make_optimizer([weight]).step(lr=0.1)
        moved.append(-weight.data)
    first_steps[grad] = moved[1]
    print(f"{grad:>8g} {moved[0]:>9g} {moved[1]:>9.4f}")
print()

# %%
# Now all four walk down the valley. To be fair, each gets the best of six learning
# rates: a rate means something else to each of them. The picture has a chart for each,
# with its path, and behind it, in pale colours, lines of equal height, as on a map. One
# unit is as long across the page as it is up the page, so you see the valley's true
# shape: about seven times as long as it is wide, since the root of 50 is 7.1.
OPTIMISERS = {
    "descent": Descent,
    "momentum": Momentum,
    "RMSProp": RMSProp,
    "Adam": Adam,
}
VALLEY_RATES = [0.003, 0.01, 0.03, 0.1, 0.3, 1.0]


def mean(numbers):
    """Return the sum of the numbers divided by how many they are."""
    return sum(numbers) / len(numbers)


def contour(height):
    """Return points (b, a) around the valley at this height, for b from -2 to 3.

    A line that leads further out is cut off there: it runs along the picture's edge.
    """
    longest = math.sqrt(height / 0.5)  # where the line meets the floor, a = 0
    first, last = max(-2, -longest), min(3, longest)
    upper_wall, lower_wall = [], []
    for i in range(101):
        b = first + (last - first) * i / 100
        a = math.sqrt(max(0, height - 0.5 * b**2) / 25)
        upper_wall.append((b, a))
        lower_wall.append((b, -a))
    lower_wall.reverse()
    return [*upper_wall, *lower_wall]


def path_across(places):
    """Return (how often the path crosses the floor, how far it goes along a)."""
    crossings = 0
    distance = 0.0
    for (a, _), (next_a, _) in zip(places, places[1:]):
        if a * next_a < 0:
            crossings += 1
        distance += abs(next_a - a)
    return crossings, distance


print("4. Down the valley in 60 steps, each optimiser at the best of six rates")
print()
valley_pictures = []
across = {}
print("                    loss after                       along a, across the valley")
print("              rate   0 steps        20        60     crossings  distance")
for name, make_optimizer in OPTIMISERS.items():
    last_losses = {}
    for lr in VALLEY_RATES:
        _, losses = walk(make_optimizer, lr, n_steps=61)
        last_losses[lr] = mean(losses[-20:])
    best_rate = min(last_losses, key=last_losses.get)
    places, losses = walk(make_optimizer, best_rate, n_steps=61)
    row = [f"{losses[n_steps]:9.4f}" for n_steps in (0, 20, 60)]
    across[name] = path_across(places)
    crossings, distance = across[name]
    print(f"{name:<12} {best_rate:>5g} ", *row, f"{crossings:10} {distance:11.1f}")
    path = [(b, a) for a, b in places]
    chart = scatter(
        [Group("the start, at height 27", [path[0]])],
        f"The path of {name}",
        "b (gentle)",
        "a (steep)",
        width=360,
        lines=[
            Line(f"60 steps, learning rate {best_rate:g}", path),
            Line("height 27, cut off left and right", contour(27), "pale"),
            Line("height 5", contour(5), "pale"),
            Line("height 1", contour(1), "pale"),
        ],
    )
    valley_pictures.append(chart)
_, losses = walk(Descent, lr=0.1, n_steps=21)
print(f"(descent at momentum's rate, 0.1, after 20 steps: a loss of {losses[20]:.0e})")
assert losses[20] > 1e20
assert across["momentum"][1] > 2 * across["descent"][1]
print()
title = "Four ways down the same valley, 60 steps each"
save_picture("ch15_valley.svg", side_by_side(valley_pictures, columns=2, title=title))
print()


# %%
# Take them one by one.
#
# *Descent* lands on the opposite wall with every step, each time half as far from the
# middle as before. It crosses the middle 60 times, but after the first few times you
# can no longer see it, and from then on it creeps along the floor. Its problem is that
# of section 1: of these six rates, 0.03 is the largest that the walls allow.
#
# *Momentum* gets along with a rate of 0.1, at which descent diverges. That is what the
# mean buys: a single step on a steep wall counts only a tenth of what it did, so the
# rate may be larger, and the floor is walked faster. But the mean is late. When the
# path reaches the floor of the valley, m still points across, and carries it up the
# other wall; it takes several steps until the mean has turned round. So momentum does
# not zigzag from step to step, it swings, slowly and widely: it crosses the floor only
# 14 times, and yet travels three times as far along a as descent. The price comes first
# and the gain later: after 20 steps momentum is behind descent, after 60 it is ahead.
# (What momentum is really for is something else, gradients that jump at random, and
# here nothing is random.)
#
# *Adam* has a late mean as well, and swings for the same reason. But its steps across
# the valley are no longer than those along it, so it is never thrown as far up the
# wall.
#
# *RMSProp* walks straight down both directions and wins by far, but this valley was
# made for it: exact gradients, and walls along the axes. (Exercise 3 turns the valley.)
# RMSProp's 20 crossings in the table all come after step 40, when a is smaller than
# 1e-20, and mean nothing: they are rounding.
#
# So a landscape explains what each does, and proves nothing about which is best. For
# that we need a model and names.
#
# The model is the GPT of the last chapters at half its width, to be quick. The loop
# stands here in full, so that nothing is hidden: one name a step, and a learning rate
# that stays the same from first to last. (The package's `train` lowers it step by step,
# which is called a *learning-rate schedule*. What that brings is the first question of
# chapter 16. Here only the optimiser shall differ.)
def small_gpt():
    """Return (the parameters at the start, their config): the same for everyone."""
    config = GPTConfig(TOKENIZER.vocab_size, n_head=2, n_embd=8)
    return init_params(config, random.Random(42)), config


def train_with(make_optimizer, lr, n_steps, params=None):
    """Train a small GPT: return its parameters, its losses, and its gradients' sizes.

    The losses are those before each step; it stops if one of them is not finite. The
    size of a matrix's gradients is the root of the mean square, over all its weights
    and all steps.
    """
    new_params, config = small_gpt()
    if params is None:
        params = new_params
    optimizer = make_optimizer(flatten(params))
    losses = []
    squares = dict.fromkeys(params, 0.0)  # all squared gradients, added up
    with collector_paused():
        for name in TRAIN_NAMES[:n_steps]:
            tokens = TOKENIZER.encode_document(name)
            loss = document_loss(params, config, tokens)
            if not math.isfinite(loss.data):  # it has diverged: nothing can be learnt
                losses.append(math.inf)
                break
            losses.append(loss.data)
            loss.backward()
            for matrix, rows in params.items():
                for row in rows:
                    squares[matrix] += sum(
                        [weight.grad * weight.grad for weight in row]
                    )
            optimizer.step(lr)
    sizes = {}
    for matrix, rows in params.items():
        n_weights = len(rows) * len(rows[0])
        sizes[matrix] = math.sqrt(squares[matrix] / (n_weights * len(losses)))
    return params, losses, sizes


# %%
# First a rate for each. Each is tried for 60 steps at four rates, about a factor of
# three apart, and the best must be one of the two in the middle: if it were the first
# or the last, a better one might lie outside. No name comes twice, and the loss of a
# name is taken before the step on it, so all these losses are on names that the model
# has not seen.
RATES = {
    "descent": [0.1, 0.3, 1.0, 3.0],
    "momentum": [0.1, 0.3, 1.0, 3.0],
    "RMSProp": [0.003, 0.01, 0.03, 0.1],
    "Adam": [0.003, 0.01, 0.03, 0.1],
}
N_STEPS = 200
progress = Progress("trained", total=21, every=5, stream=sys.stderr)
n_trained = 0
best_rates = {}
print("5. Which learning rate? Mean loss at steps 21 to 60, nats a character")
print()
for name, rates in RATES.items():
    means = {}
    for lr in rates:
        _, losses, _ = train_with(OPTIMISERS[name], lr, n_steps=60)
        diverged = losses[-1] == math.inf
        means[lr] = math.inf if diverged else mean(losses[20:])
        n_trained += 1
        progress.show(n_trained)
    best_rates[name] = min(means, key=means.get)
    assert best_rates[name] in rates[1:3]
    cells = [f"{lr:>6g}: {loss:.3f}" for lr, loss in means.items()]
    print(f"{name:<9}", *cells, f"  best: {best_rates[name]:g}")
print("(inf: it diverged.)")
print()

# %%
trained, curves, gradient_sizes = {}, {}, {}
for name, make_optimizer in OPTIMISERS.items():
    lr = best_rates[name]
    trained[name], losses, gradient_sizes[name] = train_with(
        make_optimizer, lr, N_STEPS
    )
    curves[name] = smooth(losses)  # the mean of the last 50
    n_trained += 1
    progress.show(n_trained)

print("6. Four optimisers, the same 200 names: mean loss of the last 50 steps")
print()
print("after            50 steps  100 steps  200 steps")
final_losses = {}
for name, curve in curves.items():
    row = [f"{curve[n_steps - 1]:.3f}" for n_steps in (50, 100, 200)]
    print(f"{name:<15} {row[0]:>9} {row[1]:>10} {row[2]:>10}")
    final_losses[name] = curve[-1]
print()
names_pictures = []
for bold_name in ["descent", "Adam"]:
    lines = []
    for name, curve in curves.items():
        style = "bold" if name == bold_name else "pale"
        lines.append(Line(name, list(enumerate(curve, start=1)), style))
    chart = line_chart(
        lines, f"{bold_name}, and the others", "step", "loss (nats)", width=300
    )
    names_pictures.append(chart)
title = "Loss on the names, mean of the last 50 steps"
save_picture("ch15_names.svg", side_by_side(names_pictures, columns=2, title=title))
print()

# %%
# They are close together from first to last. RMSProp is a little ahead, and Adam is not
# even second at every step. Is all of this for nothing, then? Look at which weights
# were moved. For each matrix: how far from its start is a weight, typically (the root
# of the mean square)?
#
# The last column is for later. It is descent once more, but from another start: there
# all weights begin at random, ten times as large as usual, and none of them at 0.
at_start, config = small_gpt()
large_start, _ = small_gpt()
rng = random.Random(7)
for weight in flatten(large_start):
    weight.data = rng.gauss(0, 0.2)
large_start_floats = as_floats(large_start)
trained_from_large, _, _ = train_with(
    Descent, best_rates["descent"], N_STEPS, large_start
)
progress.show(n_trained + 1)
progress.finish()


def distance_moved(before, after):
    """Return how far a weight of a matrix is from its start: the root mean square."""
    squares = []
    for row_before, row_after in zip(before, after):
        for a, b in zip(row_before, row_after):
            squares.append((a - b) ** 2)
    return math.sqrt(mean(squares))


starts = as_floats(at_start)
moved = {}
print("7. How far a weight is from its start, matrix by matrix")
print()
print(" " * 55, "descent,")
heads = "".join([f"{name:>10}" for name in OPTIMISERS])
print("matrix          " + heads + "  large start")
for matrix in at_start:
    for name in OPTIMISERS:
        after = as_floats(trained[name])[matrix]
        moved[name, matrix] = distance_moved(starts[matrix], after)
    after = as_floats(trained_from_large)[matrix]
    from_large = distance_moved(large_start_floats[matrix], after)
    moved["large start", matrix] = from_large
    cells = [f"{moved[name, matrix]:>10.4f}" for name in OPTIMISERS]
    print(f"{matrix:<16}" + "".join(cells) + f"{from_large:>13.4f}")
print()
least_moved = min(at_start, key=lambda matrix: moved["descent", matrix])
most_moved = max(at_start, key=lambda matrix: moved["descent", matrix])
descent_ratio = moved["descent", most_moved] / moved["descent", least_moved]
adam_moves = [moved["Adam", matrix] for matrix in at_start]
adam_ratio = max(adam_moves) / min(adam_moves)
print("The matrix that moved farthest, compared with the one that moved least:")
print(
    f"with descent {descent_ratio:,.0f} times as far, with Adam {adam_ratio:.1f} times"
)
assert descent_ratio > 300 and adam_ratio < 10

# %%
# Descent, with or without momentum, has left the queries and keys almost exactly where
# chance put them, and mlp_fc1 too. The reason is in their gradients.
print()
print("8. How large a weight's gradient is, typically, during these 200 steps")
print()
print("matrix             descent       Adam")
for matrix in at_start:
    sizes = [gradient_sizes[name][matrix] for name in ("descent", "Adam")]
    print(f"{matrix:<16} {sizes[0]:>9.2g} {sizes[1]:>10.2g}")
gradient_ratio = {}
for name in ("descent", "Adam"):
    sizes = gradient_sizes[name]
    gradient_ratio[name] = sizes["wpe"] / sizes["layer0.attn_wq"]
print()
print("Those of the positions, wpe, compared with those of the queries, attn_wq:")
print(
    f"with descent {gradient_ratio['descent']:,.0f} times as large, "
    f"with Adam {gradient_ratio['Adam']:.0f} times"
)
print()
assert gradient_ratio["descent"] > 5000 and gradient_ratio["Adam"] < 50

# %%
# Why are they so small in descent? Follow the chain rule back from the loss to a query.
# It leads through attn_wo, and so it multiplies by the weights of attn_wo. These start
# at exactly 0 (see `init_params`), so at the first step the gradient of the queries is
# exactly 0. After that, attn_wo has moved a little. Then the path leads through the
# scores, q times k, where the slope with respect to q is k; and the keys are small as
# well, for all weights start near 0.02. Small times small times small. In the same way
# the path to mlp_fc1 leads through mlp_fc2, which starts at 0.
#
# This is a vicious circle: where the weights are small, the gradients of the others are
# small, and where gradients are small, descent leaves the weights small. A larger rate
# does not break it, since one rate serves all: a rate ten times as large made the loss
# inf in section 5. Adam breaks it, because it does not ask how large a gradient is. It
# moves attn_wo by about lr a step, like everything else. After a few steps attn_wo is
# no longer small, and then the gradients of the queries are not small either. So the
# ratio of the gradients is itself a result of the optimiser: five digits on descent's
# path, two on Adam's.
#
# The other way out is not to be caught in the circle at the start. In the last column
# of section 7, descent began with larger weights and no zeros, and there it has moved
# the queries too, though far less than the rest. (In chapters 10 and 12 plain descent
# trained attention, and it could: the weights there start larger.)
assert moved["large start", "layer0.attn_wq"] > 100 * moved["descent", "layer0.attn_wq"]

# %%
# Moving a weight is not yet making it useful. So, as in chapter 14, we switch parts off
# in the trained models, and see what is lost. (100 held-out names.)
FEW_NAMES = HELD_OUT_NAMES[:100]


def nats_of_model(params):
    """Return the function name -> surprises that the common measure asks for."""

    def nats_of(name):
        return token_losses(params, config, TOKENIZER.encode_document(name))

    return nats_of


print("9. What is lost if a part is switched off (nats a character, 100 names)")
print()
print("model of    its loss   without attention    without the MLP")
lost_without, nats_with = {}, {}
for name in ("descent", "Adam"):
    params = as_floats(trained[name])
    whole = nats_of_model(params)
    nats_with[name] = whole
    loss, _ = loss_and_error(whole, FEW_NAMES)
    changed = {
        "attention": without_heads(params, config, heads=[0, 1]),
        "MLP": with_zeros(params, "layer0.mlp_fc2"),
    }
    cells = []
    for part, changed_params in changed.items():
        lost, lost_error = difference_and_error(
            nats_of_model(changed_params), whole, FEW_NAMES
        )
        lost_without[name, part] = lost
        cells.append(f"{lost:+.4f} ± {lost_error:.4f}")
    print(f"{name:<11} {loss:8.3f}   {cells[0]}     {cells[1]}")
difference, difference_error = difference_and_error(
    nats_with["Adam"], nats_with["descent"], FEW_NAMES
)
print(f"The loss of Adam's model less descent's: {difference:+.3f} ± ", end="")
print(f"{difference_error:.3f}")
print()
assert abs(lost_without["descent", "attention"]) < 0.0002
assert abs(lost_without["descent", "MLP"]) < 0.0002

# %%
# In the model that descent trained, you can switch off attention, or the MLP, and
# nothing happens. In effect it is a model without either: an embedding, a position, and
# the output layer. In Adam's model both parts do something. But look at what it is
# worth. Its attention helps a little. What its MLP does may be chance, and if it is
# not, it hurts. And as a whole Adam's model is not better than descent's. With three
# other random starts (measured once, by this code, with the seeds 1, 2 and 3 in place
# of 42) attention was worth +0.002, -0.070 and -0.018, and the MLP -0.008, -0.116 and
# -0.008. So after 200 names, at a rate that is never lowered, moving everything has not
# paid yet.
#
# What have we shown, then? That with Adam every part of the model moves at a similar
# pace, whatever its gradients' scale, and that with plain descent, from this start, six
# of the nine matrices hardly move at all. We have not shown here that moving is good
# for anything. That takes more than 200 names: in chapter 14, after 6,000 names with
# Adam, attention was worth 0.193 and the MLP 0.036. Nor have we shown that descent
# could not get there from a better start. But it is a good reason why Adam is the usual
# choice for transformers: nobody has to find that better start, or a rate for each
# matrix, by hand.
nats_of = nats_of_model(as_floats(trained["Adam"]))
loss, error = loss_and_error(nats_of, HELD_OUT_NAMES)
print("10. Adam's model: half as wide as the default, after 200 names instead of 500")
print(f"loss per character: {loss:.3f} ± {error:.3f}")

# %%
# What production does: large language models are trained with AdamW, which is Adam with
# weight decay (see adam.py), or with a close relative. Adam's price is memory: m and v
# are two more numbers for every parameter.
#
# What is still missing: we picked the rate by trying, held it still, and took one name
# a step. Each of these is a choice. Chapter 16 measures what such choices are worth.
#
# Exercises (solutions and hints in ch15_solution.py):
# 1. Multiply all gradients by 1,000 (that is what happens if somebody sums a loss where
#    you took a mean). What becomes of descent, and what of Adam? Predict, then measure.
# 2. How long is Adam's first step, in learning rates, without the bias correction? And
#    if beta2 is 0.999, as in the paper? Two lines of arithmetic are enough.
# 3. Turn the valley by 45 degrees: loss = valley((a + b) * r, (a - b) * r), where r is
#    the square root of 0.5. Which optimiser suffers most from it, and why?
