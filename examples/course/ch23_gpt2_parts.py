"""Chapter 23. GPT-2's parts: what is each of them worth?

Chapter 22 read a text as GPT-2 does, all tokens at once. What else does GPT-2 do
differently? The model of this course has had its plan since chapter 13, but not all of
its parts. Wherever there was a choice, the package took the smaller one: RMSNorm
without a gain, squared ReLU, no biases. The comments that begin with "Signpost:" in
microgpt/model.py say what GPT-2 has in that place. In this chapter you meet these parts
one at a time. There are six in the model (*LayerNorm*, *GELU*, *biases*, a *tied head*,
a *final norm* and *dropout*) and three in its training (*weight decay* on the matrices
only, *gradient clipping*, and a *warm-up* followed by a *cosine*). And one thing is
left out: GPT-2 has no norm right after the embeddings. Each of these changes is
explained and run by itself, on a few numbers, together with what happens without it.

Then they are all measured in one table: each alone in the model that you know, and all
of them together, on held-out names. (That takes about twenty seconds.) Together they
are the "mini GPT" that so many tutorials build with PyTorch. You get it here on Values,
in a file of its own that you can read in a quarter of an hour, mini_gpt_values.py, and
a test compares its loss and each of its gradients with what PyTorch has computed. At
the end it writes, and we look at where it looks.

Before you run it: `python examples/learn.py 23` asks you for a few guesses first. If
you go without it, write down which part you expect to improve the loss most, and which,
if any, you expect to make it worse.

Sources: Ba, Kiros and Hinton, "Layer normalization", 2016; Hendrycks and Gimpel,
"Gaussian error linear units (GELUs)", 2016; Press and Wolf, "Using the output embedding
to improve language models", 2017, for the tied head; Srivastava et al., "Dropout: a
simple way to prevent neural networks from overfitting", 2014; Loshchilov and Hutter,
"SGDR: stochastic gradient descent with warm restarts", 2017, for the cosine, and
"Decoupled weight decay regularization", 2019; Radford et al., "Language models are
unsupervised multitask learners" (GPT-2), 2019.
"""

# %%
import math
import random
import sys
import time
from dataclasses import dataclass, replace
from functools import partial

from common import (
    HELD_OUT_NAMES,
    TOKENIZER,
    TRAIN_NAMES,
    difference_and_error,
    loss_and_error,
    save_picture,
)
from looks import with_zeros
from mini_gpt_values import (
    MiniAdamW,
    add_norm,
    dropout,
    gelu,
    init_mini_gpt,
    is_vector,
    keep_all,
    layernorm,
    learning_rate,
    linear_with_bias,
    looks_of,
    mini_gpt,
    mini_token_losses,
    norm,
    write,
)

from microgpt import (
    Adam,
    GPTConfig,
    Value,
    as_floats,
    attention,
    clip_grad_norm,
    cross_entropy,
    document_loss,
    dot,
    empty_cache,
    flatten,
    gpt,
    init_params,
    linear,
    mlp,
    relu,
    rmsnorm,
    softmax,
    topological_order,
    total,
)
from microgpt.model import add
from microgpt.tools.draw import Line, heat_map, line_chart, side_by_side
from microgpt.tools.terminal import Progress
from microgpt.training import collector_paused


def row_of(numbers, digits=2):
    """Return the numbers as text, in columns."""
    return "".join([f"{number:7.{digits}f}" for number in numbers])


def size_of(x):
    """Return the usual size of the numbers in x: the root of the mean square."""
    return math.sqrt(sum([xi * xi for xi in x]) / len(x))


# %%
# LayerNorm. RMSNorm, which you know from chapter 12, divides x by its usual size.
# LayerNorm subtracts the mean first, and then divides by the usual size of what is
# left. (This size is what statistics calls the standard deviation of the numbers.)


def layernorm_by_hand(x):  # (n) -> (n)
    """Return x with mean 0 and size 1."""
    mean = sum(x) / len(x)
    centred = [xi - mean for xi in x]
    variance = sum([c * c for c in centred]) / len(x)
    scale = 1 / math.sqrt(variance + 1e-5)  # so that nothing is divided by 0
    return [c * scale for c in centred]


print("1. LayerNorm beside RMSNorm")
print()
print("  x                    RMSNorm                     LayerNorm")
for common_part in [0, 10, 100]:
    x = [number + common_part for number in [1.0, 2.0, 3.0, 6.0]]
    x_text = " ".join([f"{number:3.0f}" for number in x])
    by_rms, by_layernorm = row_of(rmsnorm(x), 2), row_of(layernorm_by_hand(x), 2)
    print(f"  {x_text}  {by_rms} {by_layernorm}")
    for ours, theirs in zip(layernorm_by_hand(x), layernorm(x, [1.0] * 4, [0.0] * 4)):
        assert math.isclose(ours, theirs)
first_less_second = [1.0, -1.0, 0.0, 0.0]  # a row of weights that compares two places
after_rms = dot(first_less_second, rmsnorm(x))
after_layernorm = dot(first_less_second, layernorm_by_hand(x))
print("  What a row of weights (1, -1, 0, 0) makes of the last x:")
print(f"  after RMSNorm {after_rms:.3f}, after LayerNorm {after_layernorm:.3f}")
print()

# Look down the columns. The three x differ only by a number that is added to all four
# places. To LayerNorm they are the same x. RMSNorm keeps the common part, and if it is
# large, the differences between the places, which carry the meaning, become tiny beside
# it: in the last row all four numbers are nearly 1. That is what happens without the
# subtraction.
#
# Does a model need it? Whoever reads x can get rid of a common part without help. A row
# of weights that sums to 0, such as (1, -1, 0, 0), compares two places, and a common
# part cancels out. What is left after RMSNorm is small if the common part was large, as
# you see below the table: this row would need weights about 50 times larger to say the
# same. So a common part of that size would still be in the way, and a small one would
# not. Models of today mostly leave the subtraction out and use RMSNorm.
#
# Afterwards LayerNorm multiplies each number by a learnt *gain* of its own, and adds a
# learnt *bias*. The gains start at 1 and the biases at 0, so at first nothing changes.
normalised = layernorm_by_hand([1.0, 2.0, 3.0, 6.0])
gain, bias = [2.0, 1.0, 0.0, 1.0], [0.0, 0.0, 0.0, 5.0]
with_gain = [number * g for number, g in zip(normalised, gain)]
with_gain_and_bias = layernorm([1.0, 2.0, 3.0, 6.0], gain, bias)
print("A gain and a bias")
print(f"  normalised                   {row_of(normalised)}")
print(f"  times the gain (2, 1, 0, 1)  {row_of(with_gain)}")
print(f"  plus the bias (0, 0, 0, 5)   {row_of(with_gain_and_bias)}")

# One number of x now counts double, another is switched off, and a third is large
# whatever x was. Could the model do the same without them? Mostly. Whatever reads x
# next is a matrix. Multiply its columns by the gains, and it computes from the plain
# normalised x what it computed before; and what the biases contribute is a fixed number
# for each output. So a linear layer with a bias, coming after, can take over both:
matrix = [[0.5, -1.0, 2.0, 0.25], [1.0, 1.0, -3.0, -0.5]]
taken_over = []
for row in matrix:
    new_row = [w * g for w, g in zip(row, gain)]
    taken_over.append(dot(new_row, normalised) + dot(row, bias))
as_before = linear(with_gain_and_bias, matrix)
print(
    f"  a matrix of two rows reads this, and its outputs are      {row_of(as_before)}"
)
print(
    f"  a matrix and a bias that have taken over gain and bias    {row_of(taken_over)}"
)
print()
for ours, theirs in zip(taken_over, as_before):
    assert math.isclose(ours, theirs)

# What a gain offers is a shorter way. To make one place of x count double, a single
# number has to change, in place of a whole column of weights.

# %%
# GELU, the "Gaussian error linear unit". Think of ReLU as x times a gate. The gate is
# open (1) for positive x and shut (0) for negative. GELU is x times a gate that opens
# gradually. How far it is open is a share: that of all random numbers of a normal
# distribution, such as `rng.gauss(0, 1)` gives, which are smaller than x. At x = 0 that
# is one half, at x = 2 it is 98 %, and at x = -2 it is 2 %. Python's math.erf computes
# it, from -1 to 1 in place of 0 to 1 and in other units: hence the 0.5, the 1 and the
# square root of 2 below.
#
# We need it as an operation on Values, with its slope, as in chapter 3. By the product
# rule, the slope of x * gate is gate + x * (slope of the gate). The gate grows by the
# share of random numbers that lie just at x, so its slope is how densely they lie
# there: the height of the bell curve of the normal distribution.


def gelu_by_hand(x):
    """Return x times its gate, as a Value with one input."""
    gate = 0.5 * (1 + math.erf(x.data / math.sqrt(2)))
    bell_curve = math.exp(-0.5 * x.data**2) / math.sqrt(2 * math.pi)
    slope = gate + x.data * bell_curve
    return Value(x.data * gate, (x,), (slope,), "gelu")


def squared_relu(x):
    """Return the package's activation function of x."""
    return relu(x) ** 2


def value_and_slope(function, number):
    """Return what the function makes of a number, and its slope there."""
    x = Value(number)
    result = function(x)
    result.backward()
    return result.data, x.grad


print("2. Three activation functions and their slopes")
print()
print("                ReLU         squared ReLU         GELU")
print("      x     value  slope      value  slope      value  slope")
for number in [-3.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0]:
    line = f"   {number:4}"
    for function in [relu, squared_relu, gelu_by_hand]:
        value, slope = value_and_slope(function, number)
        # Adding 0.0 turns -0.0 into 0.0, so that no "-0.000" is printed.
        line += f"   {value + 0.0:7.3f} {slope + 0.0:6.2f}"
    print(line)
    h = 1e-5  # a nudge says that the slope is right
    nudged = (gelu(number + h) - gelu(number - h)) / (2 * h)
    assert abs(nudged - value_and_slope(gelu_by_hand, number)[1]) < 1e-9
    assert value_and_slope(gelu, number) == value_and_slope(gelu_by_hand, number)

places = [i / 20 for i in range(-60, 61)]
curves = []
for name, function, style in [
    ("squared ReLU", squared_relu, "bold"),
    ("GELU", gelu, "bold"),
    ("ReLU", relu, "dashed"),  # on top of squared ReLU, where both are 0
]:
    points = [(x, function(x)) for x in places if function(x) <= 3]
    curves.append(Line(name, points, style))
svg = line_chart(curves, "Three activation functions", "what goes in", "what comes out")
save_picture("ch23_activations.svg", svg)
print()

# GELU is close to ReLU, but it has no corner. And for negative x its slope is not 0.
# What is that good for? Think of the dead neurons of chapter 8: if a hidden number is
# negative for every text, then with ReLU no text ever sends a slope back through it,
# and its weights never change again. Here is one hidden number that should come out as
# 0.5 and starts out negative. Plain descent tries to move it there, in 200 steps.


def descend(activation, start):
    """Return where 200 steps of descent bring a number whose activation should be 0.5.

    The loss is the squared difference from 0.5, and the learning rate is 0.5.
    """
    hidden = Value(start)
    for _ in range(200):
        loss = (activation(hidden) - 0.5) ** 2
        loss.backward()
        hidden.data -= 0.5 * hidden.grad
        hidden.grad = 0.0
    return hidden.data, activation(hidden).data


print("A hidden number whose activation should become 0.5: after 200 steps of descent")
print("  activation      starts at   ends at   its activation")
ends = {}
for start in [-0.5, -1.0]:
    for name, function in [("squared ReLU", squared_relu), ("GELU", gelu)]:
        end, activation = descend(function, start)
        ends[name, start] = activation
        print(f"  {name:<14} {start:10} {end:9.2f} {activation + 0.0:16.3f}")
print()

# From -0.5 GELU gets there, and squared ReLU stays where it is for ever. But look at
# the last row! From -1 GELU goes the wrong way. Its curve has its lowest point at about
# -0.75, and left of that the slope is negative: downhill for the loss is further to the
# left. So GELU makes dead neurons rarer, and does not abolish them. (In a model things
# are less bleak than here, since the layers below change as well, and a neuron that is
# dead for one name may be alive for the next.)
assert ends["squared ReLU", -0.5] == 0 and abs(ends["GELU", -0.5] - 0.5) < 1e-6
assert ends["GELU", -1.0] < 0

# GPT-2's own program took a shortcut for the gate, a formula with tanh. How far is it
# from the exact one?


def gelu_with_tanh(x):
    """Return the shortcut that GPT-2's program computes."""
    inside = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    return 0.5 * x * (1 + math.tanh(inside))


largest_gap = max([abs(gelu_with_tanh(x) - gelu(x)) for x in places])
print(f"GELU by the formula with tanh is never off by more than {largest_gap:.4f}.")
print()
assert largest_gap < 0.0006

# %%
# Biases. You know them from chapter 8: a linear layer may add a learnt number to each
# output. Take a neuron with a single input x, which should be silent up to x = 2 and
# then speak. Without a bias that cannot be done: for x = 0 its output is 0, whatever
# the weight is, and the corner of ReLU is always at 0. A weight only makes it steeper
# or less steep. A bias moves the corner.
print("3. What a neuron says for some x")
print("       x                 0      1      2      3      4")
for what, weight, bias in [
    ("relu(x)", 1.0, 0.0),
    ("relu(0.5 * x)", 0.5, 0.0),
    ("relu(x - 2)", 1.0, -2.0),
]:
    outputs = [relu(weight * x + bias) for x in [0, 1, 2, 3, 4]]
    print(f"  {what:<15}{row_of(outputs, 1)}")
print()

# Chapter 9 did without them, and so does the package. In a GPT there is a substitute.
# If one number of x is about the same for all tokens, a weight on it does what a bias
# would do. GPT-2 has biases in all linear layers of attention and of the MLP, and none
# in the head.
#
# One of GPT-2's biases can do nothing at all, and it is worth knowing which. Attention
# compares the query with each key. Add the same bias to all keys, and each score grows
# by the same number, the dot product of the query with the bias. Softmax looks only at
# differences between scores.
q = [0.5, -1.0]
keys = [[1.0, 0.0], [0.0, 1.0], [2.0, 1.0]]
key_bias = [3.0, -2.0]
keys_with_bias = [add(k, key_bias) for k in keys]
shares_without_bias = softmax([dot(q, k) for k in keys])
shares_with_bias = softmax([dot(q, k) for k in keys_with_bias])
print("A bias on the keys: the scores of a query with three keys, and their shares")
for what, some_keys, some_shares in [
    ("without", keys, shares_without_bias),
    ("with", keys_with_bias, shares_with_bias),
]:
    scores = [dot(q, k) for k in some_keys]
    print(f"  {what:<8} scores {row_of(scores)}   shares {row_of(some_shares, 3)}")
print()
for share, share_without in zip(shares_with_bias, shares_without_bias):
    assert math.isclose(share, share_without)

# So the gradient of the loss with respect to a bias of the keys is 0, always, and it
# stays where it started. PyTorch's figures, with which our mini GPT is compared, say
# the same, up to a rounding error of 1e-16. (Adam does not mind the scale of a
# gradient. Does it then make a full step of a rounding error? No: it divides by the
# size of the gradients plus 1e-8, and beside 1e-8 such an error is nothing. Section 19
# looks at how far these biases have moved.) GPT-2 has them anyway.

# %%
# A tied head. The head compares x with a row of numbers for each token that could come
# next, and takes the best match. The embedding matrix wte has a row of numbers for each
# token as well. To *tie* them is to use wte for both. It saves a matrix. And all rows
# learn all the time. As an embedding, a row gets a gradient only when its token is
# read. As a row of the head, it gets one at every character, since softmax pushes the
# logit of the right token up and all others down.
config = GPTConfig(vocab_size=27)
n_default = len(flatten(init_params(config, random.Random(1))))
n_saved = config.vocab_size * config.n_embd
n_gpt2, n_gpt2_saved = 124_439_808, 50_257 * 768
n_llama, n_llama_saved = 1_235_814_400, 128_256 * 2048
print("4. What a tied head saves (numbers of parameters)")
print("                                     all        saved")
for name, n_all, n_tied in [
    ("the default model", n_default, n_saved),
    ("GPT-2, if untied", n_gpt2 + n_gpt2_saved, n_gpt2_saved),
    ("Llama 3.2 1B, if untied", n_llama + n_llama_saved, n_llama_saved),
]:
    print(f"  {name:<23} {n_all:14,} {n_tied:12,}   {n_tied / n_all:.0%} of all")
print()

print("How many of the 27 rows of wte get a gradient from one name, mariann")
for what, is_tied in [("a head of its own", False), ("a tied head", True)]:
    params = init_params(config, random.Random(1))
    if is_tied:
        params["lm_head"] = params["wte"]
    document_loss(params, config, TOKENIZER.encode_document("mariann")).backward()
    n_rows = 0
    for row in params["wte"]:
        if any(weight.grad != 0 for weight in row):
            n_rows += 1
    print(f"  {what:<20}{n_rows:17}")
print()

# It has a price, and you can see it before any training. x starts out as the embedding
# of the token that was just read, and the residual connections carry it to the top. A
# tied head asks which row of wte matches x best. And what matches the embedding of "a"
# best is mostly the embedding of "a" itself.
new_params = as_floats(init_params(config, random.Random(1)))
tied_params = {**new_params, "lm_head": new_params["wte"]}
print("How likely a new model thinks it that the letter just read comes once more")
print("                      mean probability   likeliest of all 27 after")
for name, params in [("a head of its own", new_params), ("a tied head", tied_params)]:
    probabilities = []
    n_likeliest = 0
    for token_id in range(1, 27):
        keys, values = empty_cache(config)
        gpt(params, config, TOKENIZER.bos, 0, keys, values)
        probs = softmax(gpt(params, config, token_id, 1, keys, values))
        probabilities.append(probs[token_id])
        if probs[token_id] == max(probs):
            n_likeliest += 1
    mean_probability = sum(probabilities) / len(probabilities)
    print(f"  {name:<20}{mean_probability:17.3f} {n_likeliest:15} of 26 letters")
print()

# The new model has no reason for any opinion, and 1/27 is 0.037. With a tied head it
# has an opinion all the same, and it is wrong: in names a letter is rarely followed by
# itself. That is where it starts. How much of this is left after training, and whether
# it is what costs a tied model most, you will see in section 13, after the tables.

# %%
# Where to normalise. The package normalises x once after the embeddings, and GPT-2 does
# not. GPT-2 normalises x once before the head, the *final norm*, and the package does
# not. What is a norm before the head good for? Each layer adds to x, so x grows from
# layer to layer. The logits grow with it, and a model with large logits is very sure of
# itself. Here are new models, with weights that are larger than usual, so that it shows
# with a few layers already.


def states_at_the_top(params, config, tokens):
    """Return x of each token after all layers, before the head."""
    keys, values = empty_cache(config)
    states = []
    for pos_id, token_id in enumerate(tokens):
        x = rmsnorm(add(params["wte"][token_id], params["wpe"][pos_id]))
        for layer in range(config.n_layer):
            x = add(x, attention(rmsnorm(x), params, config, layer, keys, values))
            x = add(x, mlp(rmsnorm(x), params, layer))
        states.append(x)
    return states


def mean(numbers):
    """Return the sum of the numbers divided by how many they are."""
    return sum(numbers) / len(numbers)


print("5. New models with weights of size 0.2, on 20 names (a blind guess: 3.30 nats)")
print("            size of x    loss without    loss with")
print("  layers    at the top   a final norm    a final norm")
losses_at_depth = {}
for n_layer in [1, 4, 16]:
    deep = GPTConfig(vocab_size=27, n_layer=n_layer)
    rng = random.Random(5)
    deep_params = as_floats(init_params(deep, rng))
    for matrix in deep_params.values():
        for row in matrix:
            row[:] = [rng.gauss(0, 0.2) for _ in row]
    head = deep_params["lm_head"]
    sizes, losses_without, losses_with = [], [], []
    for name in HELD_OUT_NAMES[:20]:
        tokens = TOKENIZER.encode_document(name)[: deep.block_size + 1]
        states = states_at_the_top(deep_params, deep, tokens[:-1])
        for x, target_id in zip(states, tokens[1:]):
            sizes.append(size_of(x))
            losses_without.append(cross_entropy(linear(x, head), target_id))
            losses_with.append(cross_entropy(linear(rmsnorm(x), head), target_id))
    losses_at_depth[n_layer] = mean(losses_without), mean(losses_with)
    print(
        f"  {n_layer:<8} {mean(sizes):11.1f} {mean(losses_without):14.2f}"
        f" {mean(losses_with):15.2f}"
    )
print()

# None of these models has learnt anything, so the best that each of them could do is a
# blind guess. But the more layers there are, the larger is x and the surer the model,
# and to be sure without a reason is dear. (Chapter 16 showed what it costs later: a
# model that starts like this spends its training on unlearning.) With the final norm x
# has the same size at any depth. (The last column goes up and down by chance: with
# three other seeds, tried once, it did so each time in another way.)
assert losses_at_depth[16][0] > losses_at_depth[1][0] > 4
assert losses_at_depth[16][1] < 3.7

# In the package it is the norm after the embeddings that brings x to size 1. In a new
# model of the package the layers add nothing yet, so x is still of this size at the
# top. Without either of the two norms, it would reach the head as small as new
# embeddings are:
embedded_sizes = []
for name in HELD_OUT_NAMES[:20]:
    for pos_id, token_id in enumerate(TOKENIZER.encode_document(name)[:-1][:8]):
        embedded = add(new_params["wte"][token_id], new_params["wpe"][pos_id])
        embedded_sizes.append(size_of(embedded))


def mean_size_at_the_top(params, config):
    """Return the mean size of x before the head, over the tokens of 20 names."""
    sizes = []
    for name in HELD_OUT_NAMES[:20]:
        tokens = TOKENIZER.encode_document(name)[:-1][:8]
        sizes += [size_of(x) for x in states_at_the_top(params, config, tokens)]
    return mean(sizes)


print("A new model of the package")
size_at_the_top = mean_size_at_the_top(new_params, config)
print(f"  size of the sum of the embeddings  {mean(embedded_sizes):.2f}")
print(f"  size of x at the top               {size_at_the_top:.2f}")
print()

# %%
# Dropout. While the model learns, each number has a chance of one in ten to be set to 0
# this time. Those that are left are divided by 0.9, so that their sum is about what it
# was. Next time it hits others. When the model is measured, or writes, nothing is
# dropped.
#
# What for? A model with many parameters may come to rely on one number that happens to
# be telling in the texts that it was shown, and such a model knows its texts by heart.
# If any number may be missing, nothing can hang on a single one.


def dropout_by_hand(xs, rate, rng):  # (n) -> (n)
    """Return xs with about a share `rate` of them set to 0, the others enlarged."""
    dropped = []
    for x in xs:
        is_dropped = rng.random() < rate
        dropped.append(0.0 if is_dropped else x / (1 - rate))
    return dropped


print("6. Dropout with a rate of 0.25 on eight numbers, four times")
rng = random.Random(6)
for _ in range(4):
    numbers = dropout_by_hand([1.0] * 8, 0.25, rng)
    print(f"  {row_of(numbers)}    sum {sum(numbers):5.2f}")
many_sums = [sum(dropout_by_hand([1.0] * 8, 0.25, rng)) for _ in range(2000)]
print(
    f"  the mean of 2,000 such sums: {sum(many_sums) / 2000:.2f}, and undropped: 8.00"
)
rng = random.Random(6)
not_enlarged = [0.75 * sum(dropout_by_hand([1.0] * 8, 0.25, rng)) for _ in range(2000)]
print(f"  if the others were not enlarged: {sum(not_enlarged) / 2000:.2f}")
print()

# The last line is what happens without the enlargement. The layer that reads these
# numbers would get used to sums that are a quarter too small, and in the measurement,
# where nothing is dropped, it would be given larger ones than it has ever seen.
#
# GPT-2 drops numbers in four places: in x after the embeddings, in the shares of
# attention, and in what attention and the MLP add to x. (The shares of one token then
# no longer sum to 1, only in the mean over many drops.) What does it cost to forget to
# switch it off when measuring? You will see that in section 17, with a trained model.

# %%
# Weight decay on matrices only. Weight decay (exercise 2 of chapter 16) pulls each
# parameter towards 0 at each step, by learning rate * weight decay * parameter. What
# the data does not keep pushing up again fades away. For a weight in a matrix 0 is a
# good place to fade to: it means that an input does not matter. But a gain of 0
# switches a number of x off, and the gain that changes nothing is 1. So a gain should
# not be pulled to 0, and the usual rule leaves out the biases as well.
#
# In code these are two optimizers, one for the matrices and one for the vectors, which
# differ in their weight decay. Here are a weight and a gain for which the gradient is
# always 0, so nothing but decay moves them, in 300 steps with a learning rate that
# falls from 0.01.
weight, spared_gain, pulled_gain = Value(1.0), Value(1.0), Value(1.0)
for_matrices = Adam([weight, pulled_gain], weight_decay=0.1)
for_vectors = Adam([spared_gain], weight_decay=0.0)
for step in range(300):
    lr = 0.01 * (1 - step / 300)
    for_matrices.step(lr)
    for_vectors.step(lr)
print("7. Weight decay of 0.1: after 300 steps in which the loss pushes nothing")
print(f"  a weight, starting at 1                {weight.data:.3f}")
print(f"  a gain among the matrices              {pulled_gain.data:.3f}")
print(f"  a gain among the vectors               {spared_gain.data:.3f}")
print()
assert pulled_gain.data == weight.data < 0.9 and spared_gain.data == 1.0

# %%
# Gradient clipping. If all gradients together, as one long vector, are longer than 1,
# they are all multiplied by the same factor, so that the length becomes 1. Their
# direction stays. (The length is the root of the sum of the squares, and it is called
# the *norm* of the gradients. This is another use of that word than in LayerNorm.)
#
# Adam's steps do not get longer with longer gradients, as chapter 15 showed, so what is
# there to limit? Adam remembers. Here is one weight whose gradient is 1 at each step,
# so it should go down by 0.01 each time. At step 31 there comes one odd text, with a
# gradient of -100.


def walk(odd_gradient, max_norm):
    """Return the weight after each of 150 steps; the 31st has the odd gradient."""
    weight = Value(0.0)
    optimizer = Adam([weight])
    places = [0.0]
    for step in range(1, 151):
        weight.grad = odd_gradient if step == 31 else 1.0
        if max_norm is not None:
            clip_grad_norm([weight], max_norm)
        optimizer.step(lr=0.01)
        places.append(weight.data)
    return places


walks = {
    "no odd text": walk(odd_gradient=1.0, max_norm=None),
    "clipped at 1": walk(odd_gradient=-100.0, max_norm=1.0),
    "not clipped": walk(odd_gradient=-100.0, max_norm=None),
}
print("8. Where a weight is, if at step 31 comes one gradient of -100 in place of 1")
print("  after step            30       40       60      100      150")
for name, places in walks.items():
    row = [places[step] for step in (30, 40, 60, 100, 150)]
    print(f"  {name:<13} " + "".join([f"{place:9.3f}" for place in row]))
places = walks["not clipped"]
steps_up = [step for step in range(1, 151) if places[step] > places[step - 1]]
print(f"  not clipped, it goes up from step {steps_up[0]} to step {steps_up[-1]}")
print()

# Without clipping, that one text turns the weight back for more than twenty steps: so
# long does the mean of the gradients (m) point where it pointed. Then come many short
# steps, since the mean of the squares (v) forgets still more slowly. With clipping it
# is a small setback.
setback = walks["clipped at 1"][150] - walks["no odd text"][150]
assert setback < 0.2 < walks["not clipped"][150] - walks["no odd text"][150]

# %%
# The schedule. Chapter 16 had warm-up, in which the rate rises over the first steps,
# and linear decay. GPT-2 and most models since have a *cosine* in place of the straight
# line. It follows half a wave from the highest rate down to a tenth of it: it stays
# high for longer, falls fastest in the middle, and ends gently. `learning_rate` in
# mini_gpt_values.py is six lines. (What happens without any decay, and without
# warm-up, chapter 16 has measured.)
N_NAMES = 300
HIGHEST_RATE = 0.01
N_WARM_UP = 20
cosine_points, line_points = [], []
for step in range(N_NAMES):
    rate = learning_rate(step, N_NAMES, HIGHEST_RATE, N_WARM_UP)
    cosine_points.append((step, rate))
    line_points.append((step, HIGHEST_RATE * (1 - step / N_NAMES)))
print("9. The schedule: the learning rate at some steps of 300")
print("  step                   0       19      100      160      220      299")
for name, points in [("cosine", cosine_points), ("linear decay", line_points)]:
    row = [points[step][1] for step in (0, 19, 100, 160, 220, 299)]
    print(f"  {name:<15}" + "".join([f"{rate:9.4f}" for rate in row]))
svg = line_chart(
    [
        Line("20 steps of warm-up, then a cosine", cosine_points),
        Line("linear decay, the package's schedule", line_points),
    ],
    "Two learning-rate schedules",
    "step",
    "learning rate",
)
save_picture("ch23_schedules.svg", svg)
print()

# %%
# The model with switches. Which parts a model has is written down in an object with
# a switch for each of them. All switches off is the package's own GPT.


@dataclass(frozen=True)
class Parts:
    """Which of GPT-2's parts a model has, and its training."""

    layer_norm: bool = False  # in place of RMSNorm, wherever a norm is
    gelu: bool = False  # in place of squared ReLU
    biases: bool = False  # in attention and in the MLP
    tied_head: bool = False
    final_norm: bool = False
    no_first_norm: bool = False  # the one right after the embeddings
    dropout: float = 0.0
    weight_decay: float = 0.0
    max_norm: float = 0.0  # clip the gradients; 0 is no limit
    warm_up_and_cosine: bool = False
    # Three more, which are no parts of GPT-2. Sections 13 and 14 experiment with them.
    shift_before_head: bool = False  # move the numbers of x by one place
    embedding_factor: float = 1.0  # the sum of the embeddings times this
    start_factor: float = 1.0  # only the embeddings of a new model times this


def is_needed(parts, name):
    """Say whether a model with these parts has parameters of this name."""
    if name.startswith("final_norm") and not parts.final_norm:
        return False
    if "norm" in name:  # the gain or the bias of a LayerNorm
        return parts.layer_norm
    if is_vector(name):  # the bias of a linear layer
        return parts.biases
    return True


def parameters_for(parts, config, rng):
    """Return new parameters: those of the mini GPT, less what the parts do not need."""
    params = init_mini_gpt(config, rng, tied_head=parts.tied_head)
    if not parts.no_first_norm:
        add_norm(params, "first_norm", config.n_embd)
    if parts.start_factor != 1.0:
        for weight in flatten({"wte": params["wte"], "wpe": params["wpe"]}):
            weight.data *= parts.start_factor
    return {name: m for name, m in params.items() if is_needed(parts, name)}


def norm_with(parts, x, params, name):  # (n) -> (n)
    """Return x normalised: by LayerNorm, or by RMSNorm."""
    if parts.layer_norm:
        return norm(x, params, name)  # layernorm, with the gain and bias of this name
    return rmsnorm(x)


def linear_with(parts, x, params, name):  # (n_in) -> (n_out)
    """Return the matrix of this name times x, with its bias if there are biases."""
    if parts.biases:
        return linear_with_bias(x, params, name)
    return linear(x, params[name])


# The next two differ from `mini_attention` and `mini_mlp` in mini_gpt_values.py only by
# the switches. If you have read those, skip these.


def attention_with(parts, x, params, config, layer, keys, values, drop):
    """Return what this token gathers: (n) -> (n). See `our_attention` in chapter 13."""
    head_dim = config.head_dim
    q = linear_with(parts, x, params, f"layer{layer}.attn_wq")
    keys[layer].append(linear_with(parts, x, params, f"layer{layer}.attn_wk"))
    values[layer].append(linear_with(parts, x, params, f"layer{layer}.attn_wv"))
    gathered = []
    for h in range(config.n_head):
        head = slice(h * head_dim, (h + 1) * head_dim)
        scores = [dot(q[head], k[head]) * head_dim**-0.5 for k in keys[layer]]
        weights = drop(softmax(scores))
        values_head = [v[head] for v in values[layer]]
        gathered += [dot(weights, column) for column in zip(*values_head)]
    return linear_with(parts, gathered, params, f"layer{layer}.attn_wo")


def mlp_with(parts, x, params, layer):  # (n) -> (n)
    """Return what this token makes of its own x."""
    hidden = linear_with(parts, x, params, f"layer{layer}.mlp_fc1")
    activation = gelu if parts.gelu else squared_relu
    activations = [activation(h) for h in hidden]
    return linear_with(parts, activations, params, f"layer{layer}.mlp_fc2")


def gpt_with(parts, params, config, token_id, pos_id, keys, values, drop):
    """Return the logits (vocab_size) of what follows; `drop` may set numbers to 0."""
    x = add(params["wte"][token_id], params["wpe"][pos_id])
    if parts.embedding_factor != 1.0:
        x = [xi * parts.embedding_factor for xi in x]
    if not parts.no_first_norm:
        x = norm_with(parts, x, params, "first_norm")
    x = drop(x)
    for layer in range(config.n_layer):
        normed = norm_with(parts, x, params, f"layer{layer}.norm1")
        found = attention_with(parts, normed, params, config, layer, keys, values, drop)
        x = add(x, drop(found))
        normed = norm_with(parts, x, params, f"layer{layer}.norm2")
        x = add(x, drop(mlp_with(parts, normed, params, layer)))
    if parts.final_norm:
        x = norm_with(parts, x, params, "final_norm")
    if parts.shift_before_head:
        x = x[1:] + x[:1]
    head = params["wte"] if parts.tied_head else params["lm_head"]
    return linear(x, head)


# `drop` is a function: `keep_all`, which returns the numbers as they are, or
# `dropout(rate, rng)`, which drops some of them. (Both are in mini_gpt_values.py.) So
# "is the model learning or being measured?" is decided in one place, where the model is
# called.
#
# Is it right at both ends? With all switches off it must be the package's `gpt`, and
# with all of them on it must be `mini_gpt` of mini_gpt_values.py, the file that you can
# read by itself. We compare all logits, with two layers and with no weight at 0, as in
# chapter 13. For the dropout both get the same random numbers.
NOTHING = Parts()
EVERYTHING = Parts(
    layer_norm=True,
    gelu=True,
    biases=True,
    tied_head=True,
    final_norm=True,
    no_first_norm=True,
    dropout=0.1,
    weight_decay=0.1,
    max_norm=1.0,
    warm_up_and_cosine=True,
)
two_layers = GPTConfig(vocab_size=27, n_layer=2)
tokens = TOKENIZER.encode_document("mariann")


def params_without_zeros(parts):
    """Return random parameters of two layers, as floats, none of them 0."""
    rng = random.Random(10)
    params = as_floats(parameters_for(parts, two_layers, rng))
    for matrix in params.values():
        for row in matrix:
            row[:] = [weight + rng.gauss(0, 0.3) for weight in row]
    return params


def logits_of_mariann(model):
    """Return what the model says after each token of mariann.

    model(token_id, pos_id, keys, values) returns the logits of what follows.
    """
    keys, values = empty_cache(two_layers)
    logits = []
    for pos_id, token_id in enumerate(tokens[:-1]):
        logits.append(model(token_id, pos_id, keys, values))
    return logits


# The three models take other arguments before these four. `partial`, from Python's
# functools, makes a function of them for which those arguments are given already.
print("10. The model with switches on mariann: are its logits equal to the bit …")
params = params_without_zeros(NOTHING)
switches_off = partial(gpt_with, NOTHING, params, two_layers, drop=keep_all)
package = partial(gpt, params, two_layers)
off_is_package = logits_of_mariann(switches_off) == logits_of_mariann(package)
print(f"  with all switches off, to those of the package's gpt?   {off_is_package}")
params = params_without_zeros(EVERYTHING)
drop = dropout(0.1, random.Random(1))
switches_on = partial(gpt_with, EVERYTHING, params, two_layers, drop=drop)
ours = logits_of_mariann(switches_on)
drop = dropout(0.1, random.Random(1))
theirs = logits_of_mariann(partial(mini_gpt, params, two_layers, drop=drop))
print(f"  with all switches on, to those of mini_gpt?             {ours == theirs}")
print()
assert off_is_package and ours == theirs

# %%
# Training. It is the loop of the last chapters, with three new lines: two
# optimizers, clipping, and the choice of the schedule. The model is half as wide as the
# default one, as in chapter 15: 8 numbers in x and two attention heads. It sees 300
# names, one a step, each once. All models start from the same random matrices.
SMALL = GPTConfig(vocab_size=27, n_head=2, n_embd=8)
MEASURED_ON = HELD_OUT_NAMES[:300]


def losses_of(parts, params, name, drop=keep_all):
    """Return the surprise at each of the first 8 characters of a name."""
    tokens = TOKENIZER.encode_document(name)[: SMALL.block_size + 1]
    keys, values = empty_cache(SMALL)
    losses = []
    for pos_id, token_id in enumerate(tokens[:-1]):
        logits = gpt_with(parts, params, SMALL, token_id, pos_id, keys, values, drop)
        losses.append(cross_entropy(logits, tokens[pos_id + 1]))
    return losses


def train_with(parts, names, n_epochs=1, seed=1):
    """Return (the trained parameters as floats, the norms of the gradients)."""
    params = parameters_for(parts, SMALL, random.Random(seed))
    matrices = {name: m for name, m in params.items() if not is_vector(name)}
    vectors = {name: m for name, m in params.items() if is_vector(name)}
    for_matrices = Adam(flatten(matrices), weight_decay=parts.weight_decay)
    for_vectors = Adam(flatten(vectors))
    drop = keep_all
    if parts.dropout:
        drop = dropout(parts.dropout, random.Random(seed))
    n_steps = len(names) * n_epochs
    norms = []
    for step in range(n_steps):
        name = names[step % len(names)]
        with collector_paused():
            losses = losses_of(parts, params, name, drop)
            loss = total(losses) / len(losses)
            loss.backward()
            del losses, loss
        if parts.max_norm:
            norms.append(clip_grad_norm(flatten(params), parts.max_norm))
        lr = HIGHEST_RATE * (1 - step / n_steps)
        if parts.warm_up_and_cosine:
            lr = learning_rate(step, n_steps, HIGHEST_RATE, N_WARM_UP)
        for_matrices.step(lr)
        for_vectors.step(lr)
    return as_floats(params), norms


def measured(parts, params, names=MEASURED_ON, drop=keep_all):
    """Return a function name -> its surprises, computed once for each name."""
    surprises = {name: losses_of(parts, params, name, drop) for name in names}

    def nats_of(name):
        return surprises[name]

    return nats_of


def graph_size(parts):
    """Return how many nodes the graph of the loss of "mariann" has."""
    params = parameters_for(parts, SMALL, random.Random(1))
    drop = keep_all
    if parts.dropout:
        drop = dropout(parts.dropout, random.Random(1))
    loss = total(losses_of(parts, params, "mariann", drop))
    return len(topological_order(loss))


ROWS = {
    "the package's GPT": NOTHING,
    "LayerNorm, gain and bias": Parts(layer_norm=True),
    "GELU": Parts(gelu=True),
    "biases": Parts(biases=True),
    "tied head": Parts(tied_head=True),
    "final norm": Parts(final_norm=True),
    "no norm after embeddings": Parts(no_first_norm=True),
    "dropout of 0.1": Parts(dropout=0.1),
    "weight decay of 0.1": Parts(weight_decay=0.1),
    "gradients clipped at 1": Parts(max_norm=1.0),
    "warm-up and cosine": Parts(warm_up_and_cosine=True),
    "all together": EVERYTHING,
    # replace returns a copy in which one switch is changed.
    "all but the tied head": replace(EVERYTHING, tied_head=False),
}
trained, norms_of, nats_of_rows, seconds_of = {}, {}, {}, {}
progress = Progress("trained", total=len(ROWS), every=4, stream=sys.stderr)
for row_number, (row_name, parts) in enumerate(ROWS.items(), start=1):
    started = time.process_time()
    trained[row_name], norms_of[row_name] = train_with(parts, TRAIN_NAMES[:N_NAMES])
    seconds_of[row_name] = time.process_time() - started
    nats_of_rows[row_name] = measured(parts, trained[row_name])
    progress.show(row_number)
progress.finish()

print(f"11. Each part alone, and all together: {N_NAMES} names, measured on 300 others")
print()
print("                                                               difference from")
print(
    "                          parameters   nodes   loss            the package's GPT"
)
differences = {}
for row_name, parts in ROWS.items():
    n_parameters = len(flatten(trained[row_name]))
    loss, error = loss_and_error(nats_of_rows[row_name], MEASURED_ON)
    line = f"{row_name:<26} {n_parameters:9,} {graph_size(parts):7,}"
    line += f"   {loss:.3f} ± {error:.3f}"
    if parts != NOTHING:
        difference, difference_error = difference_and_error(
            nats_of_rows[row_name], nats_of_rows["the package's GPT"], MEASURED_ON
        )
        differences[row_name] = difference
        line += f"   {difference:+.3f} ± {difference_error:.3f}"
        if abs(difference) < 2 * difference_error:
            line += "  none"
    print(line)
print()
print("Time of a step, compared with that of the package's GPT")
for row_name in ROWS:
    times = seconds_of[row_name] / seconds_of["the package's GPT"]
    print(f"~ {row_name:<26} {times:5.2f} times")
print()

# %%
# How to read it. "nodes" says how much there is to compute: it counts the nodes in the
# graph of the loss of one name, "mariann". The times under the table say about the
# same, but they differ each time, so do not look at their last digits. The last column
# compares name by name (chapter 19). "none" stands where a difference is smaller than
# two of its standard errors: then no difference is visible.
#
# But remember chapter 16: the ± covers the choice of names, and not the luck of the
# start. Differences of a hundredth of a nat may be luck of that kind. So we ran this
# table once with eight seeds. It takes minutes, and is quoted here. Each number is the
# mean of eight differences, and its ± is a standard error that covers the seeds.
QUOTED = {
    "LayerNorm, gain and bias": (-0.007, 0.002),
    "GELU": (+0.002, 0.002),
    "biases": (-0.001, 0.001),
    "tied head": (+0.130, 0.006),
    "final norm": (+0.010, 0.003),
    "no norm after embeddings": (+0.122, 0.010),
    "dropout of 0.1": (+0.007, 0.005),
    "weight decay of 0.1": (+0.003, 0.0003),
    "gradients clipped at 1": (+0.004, 0.001),
    "warm-up and cosine": (-0.007, 0.007),
    "all together": (+0.140, 0.014),
    "all but the tied head": (+0.016, 0.006),
}
print("12. The same with eight seeds (quoted, not computed here)")
print("                             difference from")
print("                             the package's GPT")
for row_name, (quoted, quoted_error) in QUOTED.items():
    none = "  none" if abs(quoted) < 2 * quoted_error else ""
    digits = 4 if quoted_error < 0.001 else 3
    print(f"{row_name:<26}   {quoted:+.3f} ± {quoted_error:.{digits}f}{none}")
print()

# %%
# Two rows stand out: the tied head, and the missing norm after the embeddings. Why do
# they cost so much? We make experiments, first with the tied head. Section 4 showed
# where it starts: it expects the letter just read once more. If that were all that is
# wrong with the trained model, a number taken off the logit of that one letter would
# mend it. We try four numbers and keep the best. (It is the best on the very names that
# we measure on, so if anything this shows too much of a repair.)
#
# For the second experiment we train once more, with the numbers of x moved by one place
# before they reach the head: the second comes first, the third second, and the first
# last. Nothing is added and nothing is lost. But what x has kept of the embedding of
# the letter just read stands no longer at the places where the head, which is wte,
# has the same numbers.
model = partial(gpt_with, ROWS["tied head"], trained["tied head"], SMALL)
answers = []  # of the tied model: (logits, the letter just read, what really came)
for name in MEASURED_ON:
    tokens = TOKENIZER.encode_document(name)[: SMALL.block_size + 1]
    keys, values = empty_cache(SMALL)
    for pos_id, token_id in enumerate(tokens[:-1]):
        logits = model(token_id, pos_id, keys, values, keep_all)
        answers.append((logits, token_id, tokens[pos_id + 1]))

repaired = {}
for number in [0.25, 0.5, 0.75, 1.0]:
    losses = []
    for logits, token_id, target_id in answers:
        lowered = list(logits)
        if token_id != TOKENIZER.bos:
            lowered[token_id] -= number
        losses.append(cross_entropy(lowered, target_id))
    repaired[number] = mean(losses)
best = min(repaired, key=repaired.get)


def loss_of_row(row_name):
    """Return the held-out loss of a row of table 11."""
    loss, _ = loss_and_error(nats_of_rows[row_name], MEASURED_ON)
    return loss


def loss_after_training(parts):
    """Return the held-out loss of one more model, trained as those of table 11."""
    params, _ = train_with(parts, TRAIN_NAMES[:N_NAMES])
    loss, _ = loss_and_error(measured(parts, params), MEASURED_ON)
    return loss


shifted = loss_after_training(Parts(tied_head=True, shift_before_head=True))
print("13. What costs so much about the tied head? Losses, with the seed of table 11")
for what, loss in [
    ("the package's GPT", loss_of_row("the package's GPT")),
    ("tied head", loss_of_row("tied head")),
    (f"  the logit of the letter just read less {best}", repaired[best]),
    ("  x moved by one place before the head", shifted),
]:
    print(f"  {what:<48} {loss:.3f}")
print()

# The letter just read is only a small part of what is wrong: 0.007 of 0.140. (When the
# number taken off its logit is learnt in training, it is as little, 0.007 to 0.010, for
# three seeds tried once.) Moving x by one place takes nearly all of the price away,
# though it adds nothing to the model, neither a parameter nor a step of computing.
# (Over the eight seeds of table 12, 0.013 ± 0.003 are left of 0.130.) So the trouble is
# that x holds a copy of the letter's row at the very places where the head compares.
# Why is that so dear? We do not know it for certain. To take some of the copy out of x
# after the training does not help (0.002 at best, tried once), so the price seems to be
# paid while the rows are learnt. We suspect that a row cannot serve two ends at once,
# as long as both compare it in the same places. Letters that are used alike, such as
# the vowels, would do well to have similar rows, but letters with similar rows then
# expect each other. After the shift they need not.
assert repaired[best] > loss_of_row("tied head") - 0.02
assert shifted < loss_of_row("tied head") - 0.1

# %%
# The missing norm. Without it a new x is only 0.03 in size. One might think that the
# gradients are then too small to learn from. But Adam does not mind the scale of the
# gradients. (We tried it once: with the loss times 30, and so all gradients, the model
# without that norm came out at 2.723, as it does without the 30.)
#
# So we make x larger, without a norm. In a first experiment the embeddings of the new
# model are 30 times as large as usual. In a second one they are as usual, and the sum
# of the two, which becomes x, is multiplied by 30, at the start and ever after.
times_30_at_the_start = loss_after_training(Parts(no_first_norm=True, start_factor=30))
times_30 = loss_after_training(Parts(no_first_norm=True, embedding_factor=30))
print("14. What costs so much about the missing norm? Losses, with the same seed")
for what, loss in [
    ("the package's GPT", loss_of_row("the package's GPT")),
    ("no norm after embeddings", loss_of_row("no norm after embeddings")),
    ("  embeddings that start 30 times as large", times_30_at_the_start),
    ("  the sum of the embeddings times 30", times_30),
]:
    print(f"  {what:<48} {loss:.3f}")
print()

# A larger start takes a part of the price away: here 0.033 of 0.125, and over eight
# seeds, tried once, 0.055 of 0.122. One reason is plain: x is of size 1 now, so
# a step in a weight of the head changes a logit by enough to matter.
#
# The factor takes all of it away. The models of the two experiments compute the same at
# the start, and differ only in how far a step moves x: Adam changes a number of an
# embedding by about 0.01, however large its gradient is, and times 30 that moves x by
# 0.3. The norm does this too, since it divides an x of size 0.03 by its size. (The
# factor is even a little better than the norm, by 0.028 ± 0.003 over the eight seeds;
# why, we do not know.)
assert times_30 < times_30_at_the_start < loss_of_row("no norm after embeddings")
assert times_30 < loss_of_row("the package's GPT")

# %%
# Before we go through the tables, two looks into the package's GPT after its 300 names.
# The first is for GELU: has it dead neurons, hidden numbers that are negative at every
# character of 100 names? The second is for the final norm: how large is x at the top?
params = trained["the package's GPT"]
n_hidden = 4 * SMALL.n_embd
is_alive = [False] * n_hidden
for name in HELD_OUT_NAMES[:100]:
    keys, values = empty_cache(SMALL)
    tokens = TOKENIZER.encode_document(name)[: SMALL.block_size]
    for pos_id, token_id in enumerate(tokens):
        x = rmsnorm(add(params["wte"][token_id], params["wpe"][pos_id]))
        x = add(x, attention(rmsnorm(x), params, SMALL, 0, keys, values))
        hidden = linear(rmsnorm(x), params["layer0.mlp_fc1"])
        for i, hidden_number in enumerate(hidden):
            if hidden_number > 0:
                is_alive[i] = True
n_dead = n_hidden - sum(is_alive)
print("15. Inside the package's GPT, trained")
print(f"  dead neurons among its {n_hidden}  {n_dead}")
trained_size = mean_size_at_the_top(params, SMALL)
print(f"  size of x at the top      {trained_size:.2f}")
print()

# What do we learn from the two tables? First of all: nothing here makes the model
# clearly better. That is disappointing only as long as you forget what these parts were
# made for. GPT-2 has 12 to 48 layers, a vocabulary of 50,257 and eight million pages
# from the web. Our model has one layer, and sees each of 300 names once. One part at a
# time:
#
# - LayerNorm: the one run shows no difference, and eight runs show a small one: it is
#   better by 0.007. That is real, as far as eight seeds can tell, and of no importance.
#   Whether the subtraction does it or the gain and the bias, we have not tried to find
#   out.
# - GELU and biases: none. In the first table each of them looks worse, by three of its
#   standard errors or more. Over eight seeds nothing of that is left. It was the luck
#   of the start, and you see how easily a single run fools you, even with a ± beside
#   it. Why none? Section 3 has named a substitute for biases. And GELU revives dead
#   neurons, where there are many; here it is one in 32.
# - The tied head is a real loss, with every seed: x holds a copy of what the head looks
#   for, as the experiment has shown. (Exercise 3 looks at how likely the trained model
#   thinks it that the same letter comes once more.)
# - Without the norm after the embeddings the model is about as much worse: a step in a
#   weight of the head then hardly changes a logit, and a step in an embedding hardly
#   moves x.
# - The final norm by itself does not help. x has a size of 1.5 without it, since there
#   is only one layer, so there is little for it to mend. It even makes the model worse,
#   by 0.01, and why, we do not know. But look at the last row. There the model has no
#   norm after the embeddings either, and yet it is not worse by 0.12. (With the final
#   norm in place of the first, and nothing else changed, 0.024 ± 0.004 are left of the
#   0.122: eight seeds, tried once.) Something has to bring x to size 1 on its way to
#   the head. In GPT-2 it is the norm at the end, in the package the norm at the
#   beginning, and in section 14 a mere factor did it.
# - Dropout: none. Each name is seen once, so there is nothing that could be known by
#   heart, and nothing to prevent. Section 18 makes a place where it pays.
# - Weight decay makes the model worse with each of the eight seeds, by 0.003. That is
#   certain, and at the same time of no importance: these are two different things. Here
#   too there is nothing to prevent. Clipping costs about as little, but it is at work
#   in each step, as the next section shows.
# - Warm-up and cosine: none. Some seeds gain 0.03 by it, and one loses as much. (In
#   chapter 16 warm-up helped with each of three seeds. There the highest rate was three
#   times as high, and a gentle rate may need it less.)
# - All together are about as much worse as the tied head alone, and without the tied
#   head hardly anything is left of that. So whoever builds the mini GPT for something
#   as small as this should give the head a matrix of its own.
#
# How much of this depends on the size? We ran the table once more with the default
# model, 16 numbers wide, and 1,000 names (one seed, quoted). The tied head then cost
# 0.056, the missing first norm 0.026, all together 0.115 and all but the tied head
# 0.055. LayerNorm, GELU and biases were at +0.001, -0.002 and -0.001, with errors of
# 0.002. So with more room and more names the two largest differences are smaller, and
# the small ones are still small. But the last row is worse than before, and we do not
# know why. What such a table says does not simply carry over to another size.
#
# None of these parts is good or bad by itself, then. Each was put in because some model
# had a problem, and it helps a model that has the same problem.
small_changes = [
    "LayerNorm, gain and bias",
    "GELU",
    "biases",
    "final norm",
    "dropout of 0.1",
    "weight decay of 0.1",
    "gradients clipped at 1",
    "warm-up and cosine",
]
for row_name in small_changes:
    assert abs(differences[row_name]) < 0.02
for row_name in ["tied head", "no norm after embeddings", "all together"]:
    assert differences[row_name] > 0.1
assert differences["all but the tied head"] < 0.05
assert n_dead == 1

# %%
# How long are the gradients, and what is clipped? While the row "gradients clipped at
# 1" was trained, the norm of each step was kept, as it was before clipping.
norms = sorted(norms_of["gradients clipped at 1"])
n_clipped = len([norm_of_step for norm_of_step in norms if norm_of_step > 1])
print("16. The norm of all gradients together, of one name a step")
print(f"  smallest {norms[0]:.2f}, median {norms[150]:.2f}, largest {norms[-1]:.2f}")
print(f"  larger than 1, and so clipped: {n_clipped} of {len(norms)}")


def as_values(params):
    """Return the same parameters as Values."""
    values = {}
    for name, matrix in params.items():
        values[name] = [[Value(number) for number in row] for row in matrix]
    return values


print("  and the norm of the mean gradient of a batch, in the trained package's GPT:")
batch_norms = {}
for batch_size in [1, 8, 64]:
    params = as_values(trained["the package's GPT"])
    for name in TRAIN_NAMES[N_NAMES : N_NAMES + batch_size]:
        losses = losses_of(NOTHING, params, name)
        loss = total(losses) / len(losses)
        (loss / batch_size).backward()
    batch_norms[batch_size] = math.hypot(*[weight.grad for weight in flatten(params)])
    print(f"    {batch_size:3} names: {batch_norms[batch_size]:.2f}")
print()

# Every single one was clipped! A limit of 1 is meant for batches. The gradients of
# single names point in many directions and partly cancel out in the mean, so the mean
# over 64 of them is short, and a limit of 1 only catches what is out of the ordinary.
# With one name a step it does something else: it gives all gradients the same length.
# Since Adam does not mind the scale of the gradients, that is nearly harmless. But it
# is not what the limit is for. If you copy a setting from somebody else's training, ask
# what it does in yours.
assert n_clipped == len(norms) and batch_norms[64] < 1

# %%
# Dropout that is left on. The function `measured` above has `keep_all` unless we say
# otherwise. In PyTorch the same is done by model.eval() before measuring, and
# model.train() before going on; to forget the first is a common mistake. Nothing
# complains. What does it do? We measure the model that was trained with dropout.
SOME_NAMES = HELD_OUT_NAMES[:200]
dropout_parts = ROWS["dropout of 0.1"]
dropout_params = trained["dropout of 0.1"]
with_dropout_off = nats_of_rows["dropout of 0.1"]  # 200 of the 300 of table 11
loss, _ = loss_and_error(with_dropout_off, SOME_NAMES)
print("17. The model that was trained with dropout, measured on 200 names")
print(f"  dropout off, as it should be   {loss:.3f}, every time")
left_on_costs = []
for seed in [1, 2, 3]:
    drop = dropout(0.1, random.Random(seed))
    left_on = measured(dropout_parts, dropout_params, SOME_NAMES, drop)
    loss, _ = loss_and_error(left_on, SOME_NAMES)
    cost, cost_error = difference_and_error(left_on, with_dropout_off, SOME_NAMES)
    left_on_costs.append(cost)
    print(
        f"  left on, random numbers {seed}      {loss:.3f}, "
        f"so {cost:+.3f} ± {cost_error:.3f}"
    )
print()

# Two things can give it away. The loss is another one each time, for the same model and
# the same names. And it is higher than it should be, clearly so with the second and the
# third random numbers. With the first the difference is within two errors, and by that
# alone you would not have noticed.
assert mean(left_on_costs) > 0.01 and len(set(left_on_costs)) == 3

# %%
# Where dropout pays. Chapter 16 showed 30 names over and over, until the model knew
# what was peculiar to them, and was worse on all others. This is what dropout was made
# against. The rate is 0.3 here, since so few names tempt a model so much.
print("18. The same 30 names in ten epochs: loss in nats a character")
print("  dropout   on the 30 names   on 200 held-out names")
few_names = TRAIN_NAMES[:30]
few_nats, few_losses = {}, {}
progress = Progress("trained on 30 names", total=2, every=1, stream=sys.stderr)
for rate in [0.0, 0.3]:
    parts = Parts(dropout=rate)
    params, _ = train_with(parts, few_names, n_epochs=10)
    seen, _ = loss_and_error(measured(parts, params, few_names), few_names)
    few_nats[rate] = measured(parts, params, SOME_NAMES)
    held_out, error = loss_and_error(few_nats[rate], SOME_NAMES)
    few_losses[rate] = seen, held_out
    print(f"  {rate:<9} {seen:15.3f}   {held_out:13.3f} ± {error:.3f}")
    progress.show(len(few_nats))
progress.finish()
gain_of_dropout, gain_error = difference_and_error(
    few_nats[0.3], few_nats[0.0], SOME_NAMES
)
print(f"  with dropout less without  {gain_of_dropout:18.3f} ± {gain_error:.3f}")
print()

# The model knows the 30 names less well, and all others much better. (Two other seeds,
# tried once, say the same: -0.32 and -0.28.) Without dropout it is at 3.24, hardly
# better than a blind guess at 3.30. But dropout does not make it good: models that have
# seen 300 names once, in the table above, are better still. More data is the better
# cure, and dropout is for those who have no more.
assert few_losses[0.3][0] > few_losses[0.0][0] and gain_of_dropout < -0.2

# %%
# The whole. Open mini_gpt_values.py beside this and read it, from `layernorm` to
# `mini_gpt`. There are no switches in it, so it is shorter than what you have just
# read, and each function is one that you know by now. In `mini_gpt` each half of a
# layer normalises, computes, drops and adds. This is the *pre-norm block* of the
# tutorials. And here is its training loop, on 40 names. `MiniAdamW` clips, and then
# takes a step of both optimizers.
mini_params = init_mini_gpt(SMALL, random.Random(1))
optimizer = MiniAdamW(mini_params, weight_decay=0.1, max_norm=1.0)
drop = dropout(0.1, random.Random(1))
names = TRAIN_NAMES[:40]
for step, name in enumerate(names):
    tokens = TOKENIZER.encode_document(name)
    losses = mini_token_losses(mini_params, SMALL, tokens, drop)
    loss = total(losses) / len(losses)
    loss.backward()
    optimizer.step(learning_rate(step, len(names), HIGHEST_RATE, N_WARM_UP))
with_switches, _ = train_with(EVERYTHING, names)
is_same = as_floats(mini_params) == with_switches
print("19. The mini GPT, trained by this loop on 40 names, and the model with switches")
print(f"  all {len(flatten(mini_params)):,} parameters equal to the bit: {is_same}")
[key_bias_of_layer] = mini_params["layer0.attn_wk_bias"]
key_biases_stayed = all(abs(bias.data) < 1e-10 for bias in key_bias_of_layer)
print(f"  the biases of the keys are all still below 1e-10: {key_biases_stayed}")
assert is_same and key_biases_stayed

# Is it the mini GPT of the tutorials, though? They use PyTorch, which has its own
# LayerNorm, GELU and AdamW, and computes all tokens at once with a mask. The test
# tests/reference/test_mini_gpt_figures.py has a mini GPT of PyTorch's own layers, with
# two layers, in 64-bit numbers. It compares the loss and every single gradient, with
# the same numbers dropped on both sides: they agree to 12 digits after the point. After
# three steps of AdamW with clipped gradients, the parameters agree to 6. (There are no
# more digits to have, since PyTorch divides by the norm plus 0.000001.)
print()

# %%
# It writes. We take the mini GPT whose head is not tied, the last row of the table,
# since it is the better one. It has seen 300 names. `write` asks for the next token and
# chooses by `token_probabilities`, with temperature and top-k, as in chapter 17.
mini = trained["all but the tied head"]
print("20. Names that the mini GPT writes after 300 names")
print("                           letters used, and six names")
for what, settings in [
    ("temperature 1", {"temperature": 1.0}),
    ("temperature 0.5", {"temperature": 0.5}),
    ("temperature 1, top_k 5", {"temperature": 1.0, "top_k": 5}),
    ("top_k 1 (greedy)", {"top_k": 1}),
]:
    rng = random.Random(23)
    written = [write(mini, SMALL, TOKENIZER, rng, **settings) for _ in range(6)]
    n_letters = len(set("".join(written)))
    print(f"  {what:<24}{n_letters:7}    {' '.join(written)}")
print()

# What chapter 17 found with many names shows in these few as well: a lower temperature
# and a smaller k leave fewer different letters, so the names get more alike, and greedy
# decoding has only one to offer. But a low temperature does not keep every odd name
# out. The first one at 0.5 is "vnnan". The random numbers are the same in each line,
# and the first of them is a large one, which chooses among the last letters of the
# alphabet: "w" in the first line, and "v" in the second, where the rare letters are
# rarer still.

# %%
# Where it looks. `mini_gpt` appends the shares of attention to a list, if it is given
# one, and `looks_of` collects them. First one name, as a heat map for each of the two
# heads. A row is a letter that looks, a column one that is looked at.
letters = ["BOS", *"mariann"]
tokens = [TOKENIZER.bos, *TOKENIZER.encode("mariann")]
looks_of_mariann = looks_of(mini, SMALL, tokens)
maps = []
for h in range(SMALL.n_head):
    rows = []
    for weights_of_layers in looks_of_mariann:
        weights = weights_of_layers[0][h]  # of layer 0, the only one
        rows.append([*weights, *[None] * (len(letters) - len(weights))])
    maps.append(
        heat_map(
            rows,
            row_labels=letters,
            column_labels=letters,
            title=f"head {h}",
            row_axis="looks from",
            column_axis="looks at",
            unit="attention weight",
            low=0.0,
            high=1.0,
        )
    )
title = "Where the mini GPT looks in mariann, after 300 names"
save_picture("ch23_looks.svg", side_by_side(maps, columns=1, title=title))

# Then 200 names, since one is an anecdote: what share of its attention a letter gives
# to itself, to the one before it and to BOS. Only letters from the second on count, for
# the first has BOS before it.
TARGETS = ["itself", "the one before", "BOS", "if all were equal"]
shares = {}
for h in range(SMALL.n_head):
    shares[h] = {target: [] for target in TARGETS}
for name in SOME_NAMES:
    tokens = [TOKENIZER.bos, *TOKENIZER.encode(name)][: SMALL.block_size]
    looks = looks_of(mini, SMALL, tokens)
    for t in range(2, len(tokens)):
        for h in range(SMALL.n_head):
            weights = looks[t][0][h]
            shares[h]["itself"].append(weights[t])
            shares[h]["the one before"].append(weights[t - 1])
            shares[h]["BOS"].append(weights[0])
            shares[h]["if all were equal"].append(1 / len(weights))
print("21. Where the letters of 200 names look: mean share of attention")
print("           " + "".join([f"{target:>18}" for target in TARGETS]))
for h in range(SMALL.n_head):
    row = [mean(shares[h][target]) for target in TARGETS]
    print(f"  head {h}   " + "".join([f"{share:18.2f}" for share in row]))

# And is it of any use? We set some parameters of the trained model to 0. Without
# attn_wo and its bias, attention adds nothing to x. Without attn_wo alone it still adds
# the bias, which is the same for every token and looks at nothing. Without queries all
# scores are 0, so all shares are equal.
print("  What is lost if attention is changed, on these 200 names")
lost = {}
for what, names_of_zeros in [
    ("attn_wo and its bias are 0", ["attn_wo", "attn_wo_bias"]),
    ("attn_wo is 0, its bias stays", ["attn_wo"]),
    ("queries are 0: equal shares", ["attn_wq", "attn_wq_bias"]),
]:
    changed = mini
    for name in names_of_zeros:
        changed = with_zeros(changed, f"layer0.{name}")
    lost[what], lost_error = difference_and_error(
        measured(ROWS["all but the tied head"], changed, SOME_NAMES),
        nats_of_rows["all but the tied head"],
        SOME_NAMES,
    )
    print(f"    {what:<30} {lost[what]:+.3f} ± {lost_error:.3f}")

# Head 0 has begun to choose. In "mariann" the "r" gives itself and the "m" most of its
# attention. The last three letters give their largest share to the "a" of "ann", and
# next to nothing to "m", "r" and "i"; and over all names a letter keeps more for itself
# than an equal share. Head 1 looks everywhere nearly alike. What is it worth? Of the
# 0.017 that the whole of attention is worth, more than half is the bias. What is
# gathered is worth 0.007, and that the shares are not all equal 0.004, little more than
# two standard errors. So it is not much yet, as in chapter 13 after 500 names.
# Attention needs more names than this chapter has time for (chapter 14).
weights = looks_of_mariann[3][0][0]  # of the "r": BOS m a r
assert weights[3] > weights[1] > 0.35 and weights[1] + weights[3] > 0.8
for t in [5, 6, 7]:  # the last three letters, with head 0 of layer 0
    weights = looks_of_mariann[t][0][0]
    assert weights[5] == max(weights)  # of BOS m a r i a n n
    assert max(weights[1], weights[3], weights[4]) < 0.05
assert mean(shares[0]["itself"]) > 1.3 * mean(shares[0]["if all were equal"])
of_all, of_matrix, of_choice = lost.values()
assert 0 < of_choice < of_matrix < 0.5 * of_all < 0.025

# What production does. GPT-2 has all six parts in the model, with a dropout of 0.1 and
# a tied head. The recipe for training (AdamW, gradients clipped at 1, a warm-up, and a
# cosine down to a tenth) is the one that the paper on GPT-3 gives. Since then many of
# the parts have been taken out again or replaced: RMSNorm with a gain for LayerNorm, an
# MLP with a gate for GELU, no biases, and no dropout where each text is read once. What
# has stayed is the final norm, the recipe, and the tied head in models that count as
# small today, of one or a few billion parameters: there the matrix that it saves is
# still a large share of all (section 4), and in the largest models it is not. The
# package has neither the final norm nor the tied head. But with RMSNorm, and without
# biases and dropout, it is closer to the models of today than GPT-2 is.
#
# What is still missing. Positions are looked up in a table with a row for each place,
# and beyond the last row the model cannot read. And "three letters back" has to be
# learnt for every place anew. Chapter 24 puts the distance itself into the score.
#
# Exercises. Hints and solutions are in ch23_solution.py.
# 1. On paper: what does LayerNorm make of (3, 5), and of (5, 3)? What does an x of two
#    numbers tell the next layer, after LayerNorm, and what after RMSNorm?
# 2. Where exactly is GELU's lowest point, and how deep is it? (Its slope is 0 there.
#    Halve an interval again and again.)
# 3. Does a tied head, after training, still expect the letter that it has just read?
#    Train a mini GPT with a tied head and one with a head of its own (dropout off, 300
#    names), and compare the probability they give to "the same letter once more" with
#    how often that happens.
