"""Chapter 8. Neurons: how can a model answer where it has never been?

In chapter 7 descent found the table of letter pairs again. A table has a row for every
case that can occur. But what if every case is a new one? Take points in a plane, each
of one of two kinds, and a new point whose kind you are to guess. No two points are
equal, so a table would have a row for each point that it saw, and no row for the new
one. What we need is a rule that gives an answer *everywhere*, and that is shared by all
points.

Such a rule can be made of *neurons*. A neuron is a weighted sum, the dot product of
chapter 6, followed by a small function that is not a straight line, the *activation
function*. Several neurons with the same inputs are a *layer*; a layer whose outputs
only other neurons see is a *hidden layer*; and the whole is a *neural network*. In this
chapter we see what a network can do without the small function (very little), and with
it (whatever you like, if there are enough neurons), and we draw both.

Before you run it: `python examples/learn.py 8` asks you for a few guesses first. If you
go without it, draw two half moons on paper, one with its tips down and the other with
its tips up, so that each has a tip inside the other. Put 50 points on each, and write
down how many of the 100 points a straight line can get right.

Sources: Rumelhart, Hinton and Williams, "Learning representations by back-propagating
errors", 1986, where hidden layers learn by descent; Glorot, Bordes and Bengio, "Deep
sparse rectifier neural networks", 2011, for ReLU.
"""

# %%
import math
import random
import sys

from common import save_picture

from microgpt import as_floats, cross_entropy, flatten, linear, relu
from microgpt.tools.draw import Group, Line, line_chart, scatter, side_by_side
from microgpt.tools.terminal import Progress
from microgpt.value import Value, total

# The task: two half moons of points that reach into each other. Each point lies a
# little off its half circle, by chance. One hundred points are for learning, and
# another hundred, made in the same way, are held out.


def two_moons(n_points, seed):
    """Return (the places as [x, y], the kinds, 0 or 1), half of them of each kind."""
    rng = random.Random(seed)
    places = []
    kinds = []
    for number in range(n_points):
        kind = number % 2
        angle = rng.uniform(0, math.pi)
        x, y = math.cos(angle), math.sin(angle)  # on the upper half of a circle
        if kind == 1:
            x, y = 1 - x, 0.5 - y  # turned round, and moved into the first moon
        places.append([x + rng.gauss(0, 0.12), y + rng.gauss(0, 0.12)])
        kinds.append(kind)
    return places, kinds


def groups(places, kinds):
    """Return the points as two groups for a picture."""
    moon_0 = [tuple(place) for place, kind in zip(places, kinds) if kind == 0]
    moon_1 = [tuple(place) for place, kind in zip(places, kinds) if kind == 1]
    return [Group("kind 0", moon_0), Group("kind 1", moon_1)]


places, kinds = two_moons(100, seed=5)
new_places, new_kinds = two_moons(100, seed=6)
print("The points")
for place, kind in list(zip(places, kinds))[:3]:
    print(f"  at ({place[0]:5.2f}, {place[1]:5.2f}): kind {kind}")
svg = scatter(groups(places, kinds), "Two moons: which kind is a point?", "x", "y")
save_picture("ch08_moons.svg", svg)

# %%
# We begin with the simplest thing, a linear layer: two inputs, x and y, and two
# outputs, the logits of kind 0 and kind 1. From there everything is as with letters:
# softmax makes probabilities of the logits, cross-entropy is the surprise at the right
# kind.
#
# One detail. A weighted sum w[0] * x + w[1] * y is 0 at the point (0, 0), whatever the
# weights are. The model should be able to put its dividing line elsewhere. So we give
# it a third input that is always 1: its weight can then move the sum up or down. This
# weight is called the *bias*.


def line_logits(params, place):  # (2) -> (2)
    """Return two logits, straight from the place: one linear layer."""
    return linear([*place, 1.0], params["output"])


# And a network with a hidden layer. First 8 neurons, each with the inputs x, y and 1:
# their weighted sums are one linear layer. Then the activation function, on each sum.
# What comes out are the *activations*. They are the inputs of a second linear layer,
# which makes the two logits. Nobody says what the hidden neurons should answer. They
# are free to become whatever is useful to the layer behind them, and the slopes tell
# them.
#
# Which activation function? We take ReLU from chapter 3: it leaves a positive sum as it
# is, and makes a negative one 0.


def network_logits(params, place, activation):  # (2) -> (2)
    """Return two logits: a linear layer, the activation function, a linear layer."""
    weighted_sums = linear([*place, 1.0], params["hidden"])  # (3) -> (n_hidden)
    activations = [activation(weighted_sum) for weighted_sum in weighted_sums]
    return linear([*activations, 1.0], params["output"])  # (n_hidden + 1) -> (2)


def no_activation(weighted_sum):
    """Return the sum as it is: what happens without an activation function?"""
    return weighted_sum


def random_matrix(rng, n_out, n_in):
    """Return a matrix of random Values, usually between -2 and 2."""
    return [[Value(rng.gauss(0, 1)) for _ in range(n_in)] for _ in range(n_out)]


# %%
# Training: the loop of chapter 7, with the mean surprise at the 100 points as the loss.
# The weights begin at random. (Exercise 3 asks what goes wrong if they all begin at 0.)
def train(params, logits_of, what, steps=200, learning_rate=1.0):
    """Move the params downhill, so that logits_of(params, place) fits the kinds."""
    progress = Progress(what, steps, every=100, stream=sys.stderr)
    for step in range(steps):
        surprises = []
        for place, kind in zip(places, kinds):
            surprises.append(cross_entropy(logits_of(params, place), kind))
        loss = total(surprises) / len(surprises)
        loss.backward()
        for parameter in flatten(params):  # all numbers of all matrices, in one list
            parameter.data -= learning_rate * parameter.grad
            parameter.grad = 0.0
        progress.show(step + 1)
    progress.finish()
    return loss.data


def with_relu(params, place):
    """Return the logits of the network with ReLU as its activation function."""
    return network_logits(params, place, relu)


def without(params, place):
    """Return the logits of the network without an activation function."""
    return network_logits(params, place, no_activation)


def answer(params, logits_of, place):
    """Return the kind whose logit is larger."""
    logit_0, logit_1 = logits_of(params, place)
    return 1 if logit_1 > logit_0 else 0


def n_right(params, logits_of, places, kinds):
    """Return how many of the points the model answers rightly."""
    right = 0
    for place, kind in zip(places, kinds):
        if answer(params, logits_of, place) == kind:
            right += 1
    return right


def boundary_picture(title, params, logits_of, lines=()):
    """Return the points as a picture, on a ground coloured by the model's answers."""

    def answer_at(x, y):
        return answer(params, logits_of, [x, y])

    return scatter(groups(places, kinds), title, "x", "y", answer_at, lines=lines)


rng = random.Random(1)
n_hidden = 8
line = {"output": random_matrix(rng, 2, 3)}
layers = {
    "hidden": random_matrix(rng, n_hidden, 3),
    "output": random_matrix(rng, 2, n_hidden + 1),
}
network = {
    "hidden": random_matrix(rng, n_hidden, 3),
    "output": random_matrix(rng, 2, n_hidden + 1),
}
network_at_start = as_floats(network)  # a copy of its random numbers, for later
models = [
    ("one linear layer", line, line_logits),
    ("two linear layers", layers, without),
    ("two, with ReLU between", network, with_relu),
]
results = {}
pictures = []
print("\nmodel                    parameters   loss    points right   new points right")
for name, params, logits_of in models:
    loss = train(params, logits_of, f"{name}: step")
    trained = as_floats(params)  # the same numbers without the engine: faster to ask
    right = n_right(trained, logits_of, places, kinds)
    new_right = n_right(trained, logits_of, new_places, new_kinds)
    results[name] = right
    print(
        f"{name:24} {len(flatten(params)):10} {loss:8.3f} "
        f"{right:8} of 100 {new_right:11} of 100"
    )
    title = f"{name}: {right} of 100"
    pictures.append(boundary_picture(title, trained, logits_of))
save_picture("ch08_neurons.svg", side_by_side([pictures[0], pictures[2]], columns=1))
line_right = results["one linear layer"]
layers_right = results["two linear layers"]
network_right = results["two, with ReLU between"]
assert line_right == layers_right < 90 < network_right == 100

# Look at the picture, the line above and the network below. The ground is coloured by
# what the model answers there, and where the colours meet is its *decision boundary*.
# One linear layer draws a straight line: the two logits are equal where their
# difference, one weighted sum, is 0. No straight line can part the moons, and 87 is
# about the best there is.
#
# Two linear layers have 42 parameters instead of 6, and get exactly as far. Chapter 6
# told us why: two matrices, one after the other, are one matrix in disguise. Here each
# layer also gets a constant 1, which chapter 6 did not have. Does that help? Write b
# for the biases of the first layer and c for those of the second. Together they compute
#
#     V times (W times x + b) + c   =   (V times W) times x  +  (V times b + c)
#
# and V times b + c does not depend on x: it is one fixed number for each output. So the
# two are still one linear layer with one bias for each output.
#
# With ReLU between them, the same 42 parameters get everything right, and nearly all of
# the points that they have never seen.

# %%
# What does the little function do? Take a single input, x, and three neurons:
#
#     relu(x)             flat up to 0, and from there it rises
#     relu(x - 1)         flat up to 1, and from there it rises
#     relu(x - 2)         flat up to 2, and from there it rises
#
# Each is a straight line with a bend at a place of its own. Now add them up with the
# weights 1, -2 and 1. Up to 0 nothing happens, then the sum rises. At 1 the second
# neuron sets in, twice as steep and downwards: the sum falls. At 2 the third one sets
# in and stops the fall. The sum is a bump.


def bump(x):
    """Return the sum of three neurons, weighted by 1, -2 and 1."""
    return relu(x) - 2 * relu(x - 1) + relu(x - 2)


print("\nA bump out of three neurons")
print("     x   relu(x)   relu(x-1)   relu(x-2)   weighted sum")
for x in [-1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0]:
    print(
        f"{x:6.1f} {relu(x):9.1f} {relu(x - 1):11.1f} {relu(x - 2):11.1f} "
        f"{bump(x):14.1f}"
    )
assert [bump(x) for x in (-1.0, 1.0, 3.0)] == [0.0, 1.0, 0.0]

# What are bumps good for? You can build any curve out of them. Put one bump after the
# other, each as high as the curve is at that place, and add them up. Between the tops
# of two bumps, one falls while the next one rises, so the sum goes straight from top to
# top. Let us imitate a curve that we make up, between 0 and 6.


def curve(x):
    """Return the height of the curve that is to be imitated."""
    return math.sin(math.pi * x / 6) + 0.6 * math.sin(math.pi * x / 2)


def imitation(x, n_bumps):
    """Return the sum of n_bumps bumps between 0 and 6, each as high as the curve."""
    half_width = 6 / (n_bumps + 1)  # from the foot of a bump to its top
    height = 0.0
    for number in range(1, n_bumps + 1):
        foot = (number - 1) * half_width
        top = number * half_width
        height += curve(top) * bump((x - foot) / half_width)
    return height


xs = [k / 20 for k in range(121)]
largest_error = {}
print("\nbumps   largest error")
for n_bumps in [5, 11, 23]:
    errors = [abs(imitation(x, n_bumps) - curve(x)) for x in xs]
    largest_error[n_bumps] = max(errors)
    print(f"{n_bumps:5} {largest_error[n_bumps]:15.3f}")
svg = line_chart(
    [
        Line("the curve", [(x, curve(x)) for x in xs], "dashed"),
        Line("five bumps, added up", [(x, imitation(x, 5)) for x in xs]),
        Line("one of them", [(x, curve(1) * bump(x)) for x in xs], "pale"),
    ],
    title="Fifteen neurons, five bumps, imitate a curve",
    x_label="x",
    y_label="height",
)
save_picture("ch08_bump.svg", svg)
assert largest_error[23] < largest_error[11] / 3 < largest_error[5] / 9

# Half as wide, the bumps are three to four times as close. With enough of them, you can
# imitate any curve that does not jump as closely as you like. That is why a hidden
# layer with an activation function is worth so much: it can bend wherever that is
# useful.

# %%
# In the plane, each neuron has its bend along a whole line: the points where its
# weighted sum is 0. On one side of the line the neuron is 0, and it is said to be
# "off"; on the other side it is "on", and grows with the distance from the line. Which
# of our eight neurons are on at how many of the 100 points: at the random start, after
# the very first step, and in the end? And what is each neuron worth in the end? Take
# away a single one, by setting its two output weights to 0, and see how many points the
# others still get right.
trained = as_floats(network)
network_again = {}
for name, matrix in network_at_start.items():
    network_again[name] = [[Value(weight) for weight in row] for row in matrix]
train(network_again, with_relu, "a single step", steps=1)
after_one_step = as_floats(network_again)


def n_on(weights):
    """Return at how many of the points a neuron with these weights is on."""
    count = 0
    for place in places:
        [weighted_sum] = linear([*place, 1.0], [weights])
        if weighted_sum > 0:
            count += 1
    return count


def right_with(kept):
    """Return how many points are answered rightly with only these hidden neurons."""
    output = []
    for row in trained["output"]:
        weights = [row[k] if k in kept else 0.0 for k in range(n_hidden)]
        output.append([*weights, row[n_hidden]])  # the bias stays
    params = {"hidden": trained["hidden"], "output": output}
    return n_right(params, with_relu, places, kinds)


everyone = list(range(n_hidden))
on_at_start = [n_on(weights) for weights in network_at_start["hidden"]]
on_after_one_step = [n_on(weights) for weights in after_one_step["hidden"]]
on_in_the_end = [n_on(weights) for weights in trained["hidden"]]
right_without = []
print("\nThe hidden neurons: at how many of the 100 points are they on?")
print("neuron   at the start   after 1 step   in the end   points right without it")
for k in everyone:
    right_without.append(right_with([other for other in everyone if other != k]))
    print(
        f"{k:6} {on_at_start[k]:14} {on_after_one_step[k]:14} {on_in_the_end[k]:12} "
        f"{right_without[k]:25}"
    )
needed = [k for k in everyone if right_without[k] < 100]
print(f"only {needed}: {right_with(needed)} of 100")
print(f"only [1, 5]: {right_with([1, 5])} of 100")
assert needed == [1, 2, 4, 5]
assert right_with(needed) == 100 > right_with([1, 5])
assert on_at_start[0] > 0 and on_after_one_step[0] == 0
assert on_at_start[3] == 0

# Four of the neurons do all the work. They need each other: take away any one of the
# four, and at least 13 points are wrong; leave only two of them, such as 1 and 5, and
# 38 are. The other four neurons can all go at once, and nothing is lost.
#
# Here are the bends of these four. (The small steps come from the drawing, which
# colours little squares.) The boundary is made of straight pieces, and where it makes a
# corner, it crosses one of the lines. Between the bends it cannot turn: there each
# neuron is either 0 or a plain weighted sum, and so the logits are plain weighted sums
# of x, y and 1. (Neurons 6 and 7 have bends as well, but they are on at so few points,
# or count for so little, that their corners cannot be seen here.)


def bend(weights):
    """Return the line on which the weighted sum is 0, where it is in the picture."""
    w_x, w_y, bias = weights
    points = []
    for step in range(401):
        share = step / 400
        if abs(w_y) > abs(w_x):  # a rather flat line: go from left to right
            x = -2 + 5 * share
            y = -(w_x * x + bias) / w_y
        else:  # a rather steep one: go from below to above
            y = -1 + 2.5 * share
            x = -(w_y * y + bias) / w_x
        if -2 <= x <= 3 and -1 <= y <= 1.5:
            points.append((x, y))
    return points


bends = []
for k in needed:
    points = bend(trained["hidden"][k])
    bends.append(Line(f"the bend of neuron {k}", [points[0], points[-1]], "dashed"))
svg = boundary_picture("The bends of four neurons", trained, with_relu, bends)
save_picture("ch08_bends.svg", svg)

# Nobody told the neurons where to set their bends. The slopes did, step by step.
#
# And two neurons, 0 and 3, are on nowhere in the end. They are called *dead*. Where
# ReLU is at 0 its slope is 0 as well (chapter 4, exercise 2), so no slope comes down to
# their weights from any point, and they will never move again. When did it happen? The
# table says it. For neuron 3, chance had put the bend where no point lies on the side
# that is on: it was dead before the training began. Neuron 0 began well, on at 45
# points, and the very first step killed it: at a rate of 1, that step was long enough
# to push its bend away from all points. This is the price of so simple a function, and
# one more reason to take more neurons than would be needed.

# %%
# What production does. The same, wider: the MLP in a layer of the smallest GPT-2 has
# 3,072 hidden neurons for 768 inputs. GPT-2's activation function is GELU, which looks
# like ReLU with its corner rounded off. The package takes relu(x) ** 2: the slope of a
# square grows from 0 without a jump, so there is no corner either, and strong matches
# count for more. (`mlp` in microgpt/model.py says who tried it and what it brought.)
# Before ReLU became common, around 2011, tanh was usual: a curve that rises from -1 to
# 1.
#
# What is still missing. We now have a rule that answers everywhere, also at points that
# it never saw, because it answers much the same close by. Letters, however, are not
# points in a plane: "b" is not close to "c" in any useful sense. What would be a good
# place for a letter? In the next chapter the model finds the places itself.
#
# Exercises. Hints and solutions are in ch08_solution.py.
# 1. With how few hidden neurons can the moons still be told apart? Try 2, 4 and 8, each
#    from ten different random starts (seeds).
# 2. Try tanh in place of ReLU: value.tanh() for Values, math.tanh for floats. What
#    changes in the picture of the boundary?
# 3. Let all weights of the network begin at 0. Why does nothing happen? Work out the
#    slopes of one hidden weight and one output weight on paper.
