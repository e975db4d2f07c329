"""Chapter 6. An MLP: how can a model look back three letters without a table of them?

A table of letter pairs looks back one letter. A table for three has 27 * 27 * 27 rows,
most of them never seen in training, and what it learns about "mia" says nothing about
"lia". But in chapter 5 a hidden layer could answer in places where no point had been,
because it answers much the same close by. So give every letter a place! Nobody says
where: the coordinates are parameters, and descent moves letters that act alike towards
each other. Such a place is called an embedding. Three of them, one after the other, are
the input of a hidden layer. Layers stacked so are a multi-layer perceptron, or MLP.

Write down what you expect, before you run this:
- Of the windows of three letters in unknown names, how many were not in the 500 names?
- How much worse will the model do after one of those?
- It sees each name once. Which letters will be the nearest neighbours of "a"?

Source: Bengio and others, "A neural probabilistic language model", 2003.
"""

import math
import random
from operator import mul

from course import TOKENIZER, TRAIN_NAMES, held_out_loss, pairs, save_picture

from microgpt.gpt import cross_entropy, flatten, linear
from microgpt.value import Value, total


def window(context, n_back):
    """Return the last n_back tokens; before a name there is nothing but BOS, 0."""
    return tuple([0] * n_back + context)[-n_back:]


def mlp(params, context):
    """Return the logits of the next token: all token ids so far -> (27)."""
    tokens = window(context, len(params["hidden"][0]) // 8)
    # One after the other, not added up: else "am" and "ma" would be the same.
    x = [number for token in tokens for number in params["wte"][token]]
    hidden = [weighted_sum.tanh() for weighted_sum in linear(x, params["hidden"])]
    return linear(hidden, params["output"])


# Chapter 5 asked all names for the slopes of one step. One name gives a rough guess of
# them for a 500th of the work, so we can take 500 steps for the price of that one. It
# is called stochastic gradient descent. What the guesses have in common adds up; what
# is peculiar to each mostly cancels out, and the better, the shorter the steps. So the
# first steps are long, to get somewhere, and the last ones short.
def train(n_back=3, falling=True):
    """Return parameters that have seen each name once, one name a step."""
    rng = random.Random(1)
    # A row for each output. "wte" holds the embeddings: 8 numbers for each token.
    sizes = {"wte": (27, 8), "hidden": (32, 8 * n_back), "output": (27, 32)}
    params = {
        name: [[Value(rng.gauss(0, 0.2)) for _ in range(n_in)] for _ in range(n_out)]
        for name, (n_out, n_in) in sizes.items()
    }
    for step, name in enumerate(TRAIN_NAMES):
        losses = [cross_entropy(mlp(params, seen), b) for seen, b in pairs([name])]
        (total(losses) / len(losses)).backward()
        learning_rate = 1 - step / len(TRAIN_NAMES) if falling else 1
        for parameter in flatten(params):
            parameter.data -= learning_rate * parameter.grad
            parameter.grad = 0.0
    return params


params = train()
counts = {name: len(matrix) * len(matrix[0]) for name, matrix in params.items()}
print(f"parameters: {counts}, {sum(counts.values()):,} in all")
print(f"a table that looks back three letters: {27**4:,}")
# expect: parameters: {'wte': 216, 'hidden': 768, 'output': 864}, 1,848 in all
# expect: a table that looks back three letters: 531,441

old_windows = {window(context, 3) for context, _ in pairs(TRAIN_NAMES)}
nats = {"old": [], "new": []}


def surprise(context, target):
    """Return the model's surprise, and note it: was the window in the 500 names?"""
    loss = cross_entropy(mlp(params, context), target).data
    nats["old" if window(context, 3) in old_windows else "new"].append(loss)
    return loss


loss = held_out_loss(surprise)
print(f"loss per character: {loss:.3f}")
# expect: loss per character: 2.574
assert loss < 2.630  # that of the table of letter pairs

# In a window it has never seen, a table for three letters can only guess blindly. The
# MLP does no worse there than elsewhere: it has seen windows that are close by.
for kind, losses in nats.items():
    print(f"{len(losses)} {kind} windows: {sum(losses) / len(losses):.3f}")
print(f"a blind guess: {math.log(27):.3f}")
# expect: 2689 old windows: 2.577
# expect: 832 new windows: 2.563
# expect: a blind guess: 3.296

# Where have the letters gone? Nobody told the model that there are vowels. But after
# each of them come much the same letters, and letters that act alike end up close.
rows = [[number.data for number in row] for row in params["wte"][1:]]  # without BOS
places = dict(zip(TOKENIZER.chars, rows))
for char in "aeious":
    at = places[char]
    near = sorted(places, key=lambda other, at=at: math.dist(at, places[other]))
    print(f"near {char}:", *near[1:5])
    assert char == "s" or near[1] in "aeiouy"
# expect: near a: o e u f
# expect: near s: t c k p


def widest(points):
    """Return the direction in which points differ most, and how far along each is."""
    direction = [1.0] * len(points[0])
    for _ in range(100):
        # Each point pulls by how far along it is, so the far ones turn the direction.
        along = [sum(map(mul, point, direction)) for point in points]
        direction = [sum(map(mul, along, column)) for column in zip(*points)]
        length = math.hypot(*direction)
        direction = [d / length for d in direction]
    return direction, along


# A place has 8 coordinates, paper has 2. The map shows how far along the letters are in
# the two directions in which they differ most (the first principal components).
# Vowels are orange.
means = [sum(column) / 26 for column in zip(*rows)]
rows = [[number - mean for number, mean in zip(row, means)] for row in rows]
direction, xs = widest(rows)
rest = [[r - x * d for r, d in zip(row, direction)] for row, x in zip(rows, xs)]
_, ys = widest(rest)
head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 560 440" font-size="22">'
parts = [head, '<rect width="100%" height="100%" fill="white"/>']
for char, x, y in zip(places, xs, ys):
    at = f'x="{300 + 220 * x:.0f}" y="{230 - 220 * y:.0f}" text-anchor="middle"'
    fill = "#d55e00" if char in "aeiou" else "#0072b2"
    parts.append(f'<text {at} fill="{fill}">{char}</text>')
save_picture("ch06_mlp.svg", "\n".join([*parts, "</svg>"]))

# What production does: the same. The smallest GPT-2 has 768 coordinates for each of
# 50,257 tokens. But a step is taken on many documents, which make a better guess.
#
# What is left unsolved: the window is fixed. A fourth letter back does not exist, and
# each place in the window has weights of its own: what the model learns about an "a"
# one letter back, it has to learn again for an "a" two letters back.
#
# Exercises (solutions in solutions/ch06.py):
# 1. Keep the learning rate at 1 to the end: train(falling=False). Why is it worse?
# 2. Look back five letters. What does it cost, in parameters, and what does it bring?
# 3. Looking up a row is a matrix product too, with a list of 26 zeros and a 1: show it.
