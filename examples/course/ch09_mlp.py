"""Chapter 9. An MLP: how can a model look back three letters without a table of them?

The table of letter pairs looks back a single letter. Chapter 1 showed why it could not
simply look back further: a table for three letters has 27 * 27 * 27 rows, and nearly
all of them stay empty. Chapter 8 showed a model of another kind, a hidden layer, which
gives an answer everywhere, because it answers much the same close by. But it needs
places to be close to, and letters have none.

So we give every letter a place! Not by hand, as in chapter 6: the coordinates are
parameters like all others, they begin at random, and descent moves each letter to where
it is most useful. Such a place is called an *embedding*. The embeddings of the last
three letters, one after the other, are the input of a hidden layer. Layers stacked in
this way are called a *multi-layer perceptron*, or MLP. It is the first model of names
here that could not be had by counting. And we train it in a new way, on one name at a
time.

Before you run it: `python examples/learn.py 9` asks you for a few guesses first. If you
go without it, write down which share of the windows of three letters in new names did
not occur in the 500 names, and which letters will end up as the neighbours of "a".

Sources: Bengio, Ducharme, Vincent and Jauvin, "A neural probabilistic language model",
2003, for the model; Robbins and Monro, "A stochastic approximation method", 1951, for
steps along slopes that are known only from examples.
"""

# %%
import math
import random
import sys

from common import (
    HELD_OUT_NAMES,
    TOKENIZER,
    TRAIN_NAMES,
    LetterTable,
    course_loss,
    difference_and_error,
    loss_and_error,
    pairs,
    save_picture,
)
from flat_map import two_coordinates
from window_mlp import new_window_mlp, window_mlp

from microgpt import as_floats, cross_entropy, dot, flatten, linear
from microgpt.tools.draw import Group, scatter
from microgpt.tools.terminal import Progress
from microgpt.value import Value, total

# The model reads a *window*: the last three tokens. Before a name there is nothing but
# BOS, so BOS fills the places that are still empty.
N_BACK = 3


def window(context):
    """Return the last three tokens, with BOS, 0, where the name is still short."""
    padded = [TOKENIZER.bos] * N_BACK + context
    return padded[-N_BACK:]


print('The windows of "mia", and what comes next')
for context, target in pairs("mia"):
    spelt = [TOKENIZER.decode([token]) or "BOS" for token in window(context)]
    print(f"  {' '.join(spelt):12} -> {TOKENIZER.decode([target]) or 'BOS'}")

# %%
# The parameters are three matrices.
#
#     wte     (27, 8)    "word token embedding": row i is the place of token i
#     hidden  (32, 24)   a linear layer, from three embeddings to 32 hidden neurons
#     output  (27, 32)   a linear layer, from the hidden neurons to 27 logits
#
# And this is how a window becomes logits, with the shapes:
#
#        m           i           a           three tokens
#        |           |           |           look up a row of wte for each
#     [8 numbers] [8 numbers] [8 numbers]    three embeddings
#     [            24 numbers           ]    laid side by side
#        |                                   hidden, (32, 24), then tanh
#     [            32 numbers                   ]
#        |                                   output, (27, 32)
#     [            27 logits              ]
#
# Why side by side, and not added up? Because in a sum "m i a" and "a i m" would be the
# same. Side by side, each place of the window has weights of its own.
#
# There are three differences from the network of chapter 8.
#
# The activation function is tanh, a smooth curve from -1 to 1, because that was usual
# when this model was published, in 2003. (ReLU does as well, as exercise 1 shows.)
#
# There are no biases. Chapter 8 needed them to move the dividing line away from the
# point (0, 0), for the places of the points were given. Here the places are learnt, and
# the letters can settle on whichever side of a line they are needed. We leave the
# biases out, as the package's GPT does; GPT-2 has them. (Exercise 3 has you add them:
# they bring about 0.01 nats.)
#
# And the random weights are small, mostly between -0.4 and 0.4, where chapter 8 had
# them near 1. Why? A hidden neuron has 24 inputs here instead of 3. With large weights
# the sums would be large from the start, and there tanh is flat, at -1 or 1: its slope
# is almost 0, and hardly any slope comes down to the letters. (Exercise 1 tries it.)


def tanh(x):
    """Return the hyperbolic tangent, of a Value or of a float."""
    return x.tanh() if isinstance(x, Value) else math.tanh(x)


def mlp(params, context):  # all tokens so far -> (27)
    """Return the logits of the next token."""
    x = []
    for token in window(context):
        x += params["wte"][token]  # 8 more numbers
    weighted_sums = linear(x, params["hidden"])
    activations = [tanh(weighted_sum) for weighted_sum in weighted_sums]
    return linear(activations, params["output"])


def new_params():
    """Return the three matrices, filled with small random Values."""
    rng = random.Random(1)
    params = {}
    for name, (n_rows, n_columns) in [
        ("wte", (27, 8)),
        ("hidden", (32, 8 * N_BACK)),
        ("output", (27, 32)),
    ]:
        matrix = []
        for _ in range(n_rows):
            matrix.append([Value(rng.gauss(0, 0.2)) for _ in range(n_columns)])
        params[name] = matrix
    return params


params = new_params()
n_parameters = len(flatten(params))
print("\nParameters")
for name, matrix in params.items():
    shape = f"({len(matrix)}, {len(matrix[0])})"
    print(f"  {name:7} {shape:9} {len(matrix) * len(matrix[0]):5}")
print(f"  together          {n_parameters:5,}")
print(f"  a table that looks back three letters has {27**3:,} rows of 27: {27**4:,}")

# %%
# How to train it? Chapter 7 asked all 500 names for each single step. That is thorough
# and slow. Instead, we could ask *one* name which way is down, and take a step right
# away. One name is a poor guide: "mia" would like every name to end in "a". But it
# costs a 500th of the work, so for the price of one thorough step we can take 500 rough
# ones.
#
# Does one name point the right way at all? Let us see, at the start. All slopes that a
# name gives, one for each parameter, make a vector; their mean over the 500 names is
# the thorough direction. To compare the directions of two vectors, we take their dot
# product and divide it by both lengths. What remains does not depend on the lengths any
# more: 1 says the same direction, 0 a right angle, and below 0 that the name would lead
# us uphill. It is called the *cosine* of the angle. (The length of a vector is the root
# of its dot product with itself, as in chapter 6.)


def name_loss(params, name):
    """Return the mean surprise at the characters of one name, a Value."""
    surprises = []
    for context, target in pairs(name):
        surprises.append(cross_entropy(mlp(params, context), target))
    return total(surprises) / len(surprises)


def nats_by(params):
    """Return the function that says how surprised these params are by a name."""

    def nats_of(name):
        surprises = []
        for context, target in pairs(name):
            surprises.append(cross_entropy(mlp(params, context), target))
        return surprises

    return nats_of


parameters = flatten(params)
slopes_of_names = []
progress = Progress("slopes: name", len(TRAIN_NAMES), every=250, stream=sys.stderr)
for number, name in enumerate(TRAIN_NAMES):
    name_loss(params, name).backward()
    slopes_of_names.append([parameter.grad for parameter in parameters])
    for parameter in parameters:
        parameter.grad = 0.0
    progress.show(number + 1)
progress.finish()
mean_slopes = [sum(slopes) / len(TRAIN_NAMES) for slopes in zip(*slopes_of_names)]
mean_length = math.sqrt(dot(mean_slopes, mean_slopes))
cosines = []
for slopes in slopes_of_names:
    length = math.sqrt(dot(slopes, slopes))
    cosines.append(dot(slopes, mean_slopes) / (length * mean_length))
cosines.sort()
middle_cosine = cosines[len(cosines) // 2]
n_uphill = sum([cosine < 0 for cosine in cosines])
print("\nThe direction of one name, compared with that of all 500 (cosine)")
print(f"  the middle name: {middle_cosine:.2f}")
print(f"  below 0, that is, uphill: {n_uphill} of {len(cosines)} names")
assert middle_cosine > 0.15
assert n_uphill < 50

# Each name points only very roughly the right way, but few of them point the wrong way.
# What the names agree on adds up over the steps. What is peculiar to each points this
# way once and that way the next time, and mostly cancels out. Training in this way is
# called *stochastic gradient descent*, or SGD; stochastic means that chance has a part
# in it. One pass over all names is called an *epoch*.
#
# For the cancelling it matters how long the steps are. At first they may be long: we
# are far from the goal, and nearly any name's direction will do. Later, a long step
# would undo what the names before it have taught. So the learning rate falls, evenly,
# from 1 to almost 0.


def train(what, kept_still=()):
    """Return params that have seen each of the 500 names once, one in each step.

    The matrices named in kept_still stay as they are. (We will need that in the end.)
    """
    params = new_params()
    progress = Progress(f"{what}: name", len(TRAIN_NAMES), every=250, stream=sys.stderr)
    for step, name in enumerate(TRAIN_NAMES):
        name_loss(params, name).backward()
        learning_rate = 1 - step / len(TRAIN_NAMES)
        for matrix_name, matrix in params.items():
            for row in matrix:
                for parameter in row:
                    if matrix_name not in kept_still:
                        parameter.data -= learning_rate * parameter.grad
                    parameter.grad = 0.0
        progress.show(step + 1)
    progress.finish()
    return as_floats(params)  # the same numbers without the engine, to be measured


trained = train("the MLP")
mlp_nats = nats_by(trained)
loss, error = loss_and_error(mlp_nats)
start_loss = course_loss(nats_by(as_floats(params)))

# The same price, one thorough step along the mean of all slopes, from the same start:
print("\nAll 500 names asked once              held-out loss")
print(f"before that {start_loss:38.3f}")
thorough_losses = []
for rate in [1, 3, 10, 30]:
    moved = new_params()
    for parameter, slope in zip(flatten(moved), mean_slopes):
        parameter.data -= rate * slope
    thorough_losses.append(course_loss(nats_by(as_floats(moved))))
    print(f"one thorough step, at a rate of {rate:2} {thorough_losses[-1]:15.3f}")
print(f"500 rough steps {loss:34.3f}")
assert min(thorough_losses) > loss + 0.5

print(f"\nloss per character: {loss:.3f} ± {error:.3f}")
print(f"  a perplexity of {math.exp(loss):.1f}")

# However long we make the one thorough step, it gets nowhere near. That is why no large
# model asks all of its documents before it takes a step.

# %%
# Beside it the tables of chapter 1, counted on the same 500 names: letter pairs,
# windows of three, and a mixture, as in exercise 3 of chapter 1. To each count, chapter
# 1 added 1. That is more than is good for them, above all in a large table, where most
# counts are 0. So here each table, also inside the mixture, gets the best of 1, 0.3 and
# 0.1, and chapter 1's pairs stand beside them to compare. (Best on the held-out names:
# it is a small advantage for the tables.) The last column says how far each is from the
# MLP, and how sure we are of it, as at the end of chapter 7.
bigrams = LetterTable(TRAIN_NAMES, n_back=1)
trigrams = LetterTable(TRAIN_NAMES, n_back=2, extra=0.1)
smoother_bigrams = LetterTable(TRAIN_NAMES, n_back=1, extra=0.3)
four_grams = LetterTable(TRAIN_NAMES, n_back=3, extra=0.3)


def mixture_nats(name):
    """Return the surprises of letter pairs and triples, mixed 0.7 to 0.3."""
    nats = []
    for context, target in pairs(name):
        p_pair = smoother_bigrams.probability(context, target)
        p_triple = trigrams.probability(context, target)
        nats.append(-math.log(0.7 * p_pair + 0.3 * p_triple))
    return nats


print("\nmodel                                   loss   minus the MLP's")
print(f"{'the MLP, three letters back':36} {loss:7.3f}")
minus_mlp = {}
for name, nats_of in [
    ("table, one letter back, 1 added", bigrams.nats),
    ("table, one letter back, 0.3 added", smoother_bigrams.nats),
    ("table, three letters back, 0.3 added", four_grams.nats),
    ("tables of one and two, mixed", mixture_nats),
]:
    table_loss, _ = loss_and_error(nats_of)
    difference, difference_error = difference_and_error(nats_of, mlp_nats)
    minus_mlp[name] = difference / difference_error
    print(f"{name:36} {table_loss:7.3f}   {difference:+.3f} ± {difference_error:.3f}")
assert minus_mlp["table, one letter back, 0.3 added"] > 3
assert minus_mlp["table, three letters back, 0.3 added"] > 10
assert abs(minus_mlp["tables of one and two, mixed"]) < 2

# So with the same window of three, on the same names, the MLP has learnt far more than
# the table of three, and more than the table of pairs. The mixture of tables keeps up
# with it. 500 names are few.

# %%
# How does it do in windows that it has never seen? A table of three letters can only
# guess blindly there. Does the MLP know better, because it has seen windows close by?
seen_windows = set()
for name in TRAIN_NAMES:
    for context, _ in pairs(name):
        seen_windows.add(tuple(window(context)))


def nats_by_window(nats_of):
    """Return the surprises on held-out names, sorted by whether the window was seen."""
    surprises = {"seen": [], "new": []}
    for name in HELD_OUT_NAMES:
        for (context, _), surprise in zip(pairs(name), nats_of(name)):
            known = "seen" if tuple(window(context)) in seen_windows else "new"
            surprises[known].append(surprise)
    return surprises


mlp_surprises = nats_by_window(mlp_nats)
pair_surprises = nats_by_window(bigrams.nats)
n_windows = len(mlp_surprises["seen"]) + len(mlp_surprises["new"])
share_new = len(mlp_surprises["new"]) / n_windows
print(f"\nOf {n_windows:,} windows in held-out names, {share_new:.0%} were never seen")
print("windows   how many   blind guess   letter pairs   the MLP   pairs minus MLP")
gain = {}
for known in ["seen", "new"]:
    n = len(mlp_surprises[known])
    of_mlp = sum(mlp_surprises[known]) / n
    of_pairs = sum(pair_surprises[known]) / n
    differences = [p - q for p, q in zip(pair_surprises[known], mlp_surprises[known])]
    mean = sum(differences) / n
    # The standard error of a mean of n numbers, here simply taken letter by letter.
    variance = sum([(difference - mean) ** 2 for difference in differences]) / (n - 1)
    gain[known] = mean
    print(
        f"{known:7} {n:10,} {math.log(27):13.3f} {of_pairs:14.3f} {of_mlp:9.3f}"
        f"   {mean:.3f} ± {math.sqrt(variance / n):.3f}"
    )
assert gain["seen"] > 0.05
assert abs(gain["new"]) < 0.03

# Compare the models within a row, not one row with the other: the windows that were
# seen are not easier. Among them are the 500 questions for the first letter of a name,
# and those are the hardest of all.
#
# In windows it has seen, it beats the letter pairs clearly: there it makes use of more
# than the last letter. In new windows it is as good as the letter pairs, and no better:
# the difference is smaller than its standard error. It has not been shown to know more
# about a new window than its last letter says. But where the table of three can only
# guess blindly, with a loss of 3.296, it knows that much: it gets to about 2.57 in both
# kinds of window. And nobody had to tell it when to trust three letters and when only
# one.

# %%
# And the embeddings? Do the places matter, or would any do? Train once more, in the
# same way, but leave the embeddings where chance has put them.
frozen = train("places left at random", kept_still=["wte"])
frozen_loss = course_loss(nats_by(frozen))
print("\nDo the places matter?")
print(f"  places learnt:         {loss:.3f}")
print(f"  places left at random: {frozen_loss:.3f}")
assert frozen_loss > loss + 0.15

# Very much: without them it does worse than the letter pairs. So where have the letters
# gone? Here are the nearest neighbours of a few.
places = {}
for letter in TOKENIZER.chars:
    [token] = TOKENIZER.encode(letter)
    places[letter] = trained["wte"][token]


def nearest(letter):
    """Return the other letters, the closest first."""
    others = [other for other in places if other != letter]
    return sorted(others, key=lambda other: math.dist(places[letter], places[other]))


print("\nThe nearest neighbours of some letters")
for letter in "aeious":
    print(f"  {letter}: {' '.join(nearest(letter)[:4])}")
nearest_to_a = nearest("a")[0]
assert all(nearest(vowel)[0] in "aeiouy" for vowel in "aeiou")

# Nobody told the model that there are vowels. But after each of them come much the same
# letters, so what it learns about one is useful for another, if they are close.

# %%
# A map would be nice, but a place has 8 coordinates, and paper has 2. So we look for
# the direction in which the letters differ most, and say how far along it each one is.
# That is the first coordinate of the map. For the second, we take out what the first
# has told already, and look again. This is called *principal component analysis*, PCA.
#
# `two_coordinates`, from flat_map.py beside this chapter, does it.
xs, ys, share_on_map = two_coordinates(list(places.values()))
map_of_letters = dict(zip(places, zip(xs, ys)))
vowels = "aeiou"
others = [letter for letter in places if letter not in vowels]
svg = scatter(
    [
        Group("vowels", [map_of_letters[x] for x in vowels], labels=list(vowels)),
        Group("other letters", [map_of_letters[x] for x in others], labels=others),
    ],
    title="Where the model has put the letters",
    x_label="along the widest direction of the embeddings",
    y_label="along the next",
)
save_picture("ch09_mlp.svg", svg)
print(
    f"\nOf the squared distances between the letters, the map shows {share_on_map:.0%}"
)
for_vowels = [map_of_letters[vowel][0] for vowel in vowels]
for_others = [map_of_letters[letter][0] for letter in others if letter != "y"]
print(f"  across: vowels {min(for_vowels):.2f} to {max(for_vowels):.2f}, ", end="")
print(f"y {map_of_letters['y'][0]:.2f}, ", end="")
print(f"the others {min(for_others):.2f} to {max(for_others):.2f}")
assert max(for_vowels) < map_of_letters["y"][0] < min(for_others)

# The five vowels are together on one side, and "y" stands at their edge, on the side of
# the others. Have you seen this before? In chapter 6 we made a map by hand, by counting
# vowels before and after each letter: there, too, the vowels were by themselves, and
# "y" in between. But there we had to say what a vowel is, and here nobody did.
#
# Two words of warning. Left and right mean nothing on this map: the mirror image would
# be as good. And it shows only part of the truth. Take the squared distance of each
# letter from the middle of all: 56 % of it, added up over the letters, lies in these
# two directions. In the other six, letters that look close here may still be apart.

# %%
# What production does. The same: the first thing in a GPT is a table of embeddings,
# also called wte. The smallest GPT-2 has 768 coordinates for each of 50,257 tokens. And
# the way of training is the same, with a few dozen or a few thousand documents in each
# step, a *batch*, which makes a better guide than one.
#
# What is still missing. The window is fixed: a fourth letter back does not exist. And
# each place in the window has weights of its own. What the model learns about an "a"
# one letter back, it has to learn again for an "a" two letters back. A wider window
# makes both worse. The next chapter lets a letter look back as far as it likes.
#
# Chapters 10, 11 and 14 compare with this model. For them it stands in window_mlp.py,
# and computes the same:
one_context = TOKENIZER.encode_document("mia")[:3]
same_logits = window_mlp(new_window_mlp(N_BACK), one_context)
for mine, theirs in zip(mlp(params, one_context), same_logits):
    assert mine.data == theirs.data

# Exercises. Hints and solutions are in ch09_solution.py.
# 1. Change one thing at a time, and guess first what it does to the held-out loss. Keep
#    the learning rate at 1 to the end. Or begin with weights five times as large. Or
#    take relu in place of tanh.
# 2. Let it look back five letters. What does that cost in parameters, and what does it
#    bring? How would a table of five letters have grown?
# 3. Give both linear layers a bias, as in chapter 8. How many parameters more is that,
#    and what do they bring?
