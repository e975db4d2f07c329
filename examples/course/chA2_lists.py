"""Appendix 2. Lists of floats: what is left of a GPT without a graph?

Appendix 1 made fewer nodes, but still made all of them anew for every name, only to ask
them for the way back, and then threw them away. Yet the way back is the same for every
name: it is the forward pass, read from its last line to its first. So we can write it
down, once and for all: for each line of the forward pass a line that goes back. That is
a backward pass *by hand*. It needs no Values and no graph, only lists of floats.

The file beside this chapter, by_hand.py, is such a GPT. This chapter goes
through its pieces one by one, checks each against Values, and in the end trains with
it. The engine was there so that nobody has to do this by hand; "everything else is just
efficiency", as microgpt.py by Andrej Karpathy says.

One notation: `d_x` is "the slope of the loss with respect to x". It is a list as long
as x. Each piece is told the slopes with respect to what it gave (d_out), and has to
return those with respect to what it was given (d_x). Whoever called it does the rest.

The chapter's questions are asked by `python examples/learn.py A2`; otherwise write down
your guess before you run this: how many times as fast as Values are lists of floats?
And in the backward pass of `linear`, what is multiplied with what?

Paper: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document
recognition", 1998, on pieces that pass slopes on.
"""

# %%
from __future__ import annotations

import math
import os
import sys
import time
from statistics import median

import by_hand
from common import (
    HELD_OUT_NAMES,
    ROOT,
    TOKENIZER,
    TRAIN_NAMES,
    loss_and_error,
    save_picture,
)

from microgpt import (
    Value,
    as_floats,
    document_loss,
    dot,
    flatten,
    linear,
    read_documents,
    rmsnorm,
    softmax,
    start,
)
from microgpt.tools.draw import side_by_side, words
from microgpt.tools.terminal import Progress
from microgpt.training import collector_paused, train


def backward_with(outputs, d_outputs):
    """Fill in the grads below outputs, if those of the outputs are d_outputs."""
    # The slope of dot(outputs, d_outputs) with respect to outputs[i] is d_outputs[i].
    dot(outputs, [Value(d) for d in d_outputs]).backward()


def rounded(numbers):
    """Return the numbers with four digits after the point, as text."""
    return (
        "[" + ", ".join([f"{round(number, 4) + 0.0:.4f}" for number in numbers]) + "]"
    )


def is_close(xs, ys):
    """Say whether two lists are equal to 12 digits after the point."""
    return all(abs(x - y) < 1e-12 for x, y in zip(xs, ys))


# %%
# linear.
#
# out[i] = w[i][0] * x[0] + w[i][1] * x[1]. Here x is [1, 2] and w is [[3, 4], [5, 6]],
# and we are told that the slopes with respect to out are [1, 2]. What about x[0]? It
# went into out[0], multiplied by 3, and into out[1], multiplied by 5. So its slope is
# 1 * 3 + 2 * 5 = 13: a dot product of d_out with the first *column* of w. Forward, it
# was rows. And the weight 5 = w[1][0] multiplied x[0] = 1 and went into out[1]: its
# slope is d_out[1] * x[0] = 2 * 1.
x = [Value(1.0), Value(2.0)]
w = [[Value(3.0), Value(4.0)], [Value(5.0), Value(6.0)]]
backward_with(linear(x, w), [1.0, 2.0])

d_xs, d_w = by_hand.linear_backward(
    d_outs=[[1.0, 2.0]],  # one token only
    xs=[[1.0, 2.0]],
    w=[[3.0, 4.0], [5.0, 6.0]],
)
d_xs_of_linear = d_xs[0]
print("1. linear: x = [1, 2], w = [[3, 4], [5, 6]], d_out = [1, 2]")
print()
print(f"d_x by hand    {rounded(d_xs[0])}")
print(f"d_x by Values  {rounded([xi.grad for xi in x])}")
print(f"d_w by hand    {rounded(d_w[0])} {rounded(d_w[1])}")
by_values = [[weight.grad for weight in row] for row in w]
print(f"d_w by Values  {rounded(by_values[0])} {rounded(by_values[1])}")
print()
assert d_xs[0] == [xi.grad for xi in x] and d_w == by_values

# %%
# With several tokens there is one more thing: all tokens meet the same w. So d_w adds
# up over the tokens, as any number does that is used several times (chapter 4).

# %%
# softmax.
#
# Three equal scores, each with probability 1/3, and slopes [1, 2, 3] with respect to
# the probabilities. To raise the first probability would raise the loss by 1 a unit,
# but what the first gains the others lose, and there the loss falls by more. What
# counts is whether a slope is above or below the *mean* of the slopes, which is 2,
# weighted by the probabilities.
#
# Here is how that follows. Write e[j] for exp(score[j]), and S for the sum of all e[j]:
# then p[j] is e[j] / S. The slope of e[i] with respect to score[i] is e[i] itself, and
# so is that of S. A larger S lowers every p[j], with the slope -e[j] / S ** 2, times
# e[i]; and p[i] gains e[i] / S besides, since its own e grows:
#
#     slope of p[j] with respect to score[i] = -p[j] * p[i], plus p[i] if j is i
#
# (For three equal scores: 1/3 - 1/9 = 2/9 for its own probability, and -1/9 for each of
# the others. The three add up to 0.) score[i] changes the loss through all p[j], so we
# multiply each of these slopes by d_p[j] and add them up. p[i] is in each of them:
#
#     d_score[i] = p[i] * (d_p[i] - mean), where mean = the sum of p[j] * d_p[j]
#
# For the first token that is 1/3 * (1 - 2) = -1/3.
scores = [Value(0.0), Value(0.0), Value(0.0)]
backward_with(softmax(scores), [1.0, 2.0, 3.0])
d_scores = by_hand.softmax_backward([1.0, 2.0, 3.0], probs=[1 / 3, 1 / 3, 1 / 3])
print("2. softmax: three equal scores, d_probs = [1, 2, 3]")
print()
print(f"d_scores by hand    {rounded(d_scores)}")
print(f"d_scores by Values  {rounded([score.grad for score in scores])}")
print()
assert is_close(d_scores, [score.grad for score in scores])

# %%
# rmsnorm.
#
# y = x * scale, with one scale for all n numbers of x: (x · x / n + 1e-5) ** -0.5. If
# scale were a fixed number, d_x would be d_y * scale. But x[i] is in scale, too, and
# scale multiplies every x[j]. The chain rule gives the slope of scale with respect to
# x[i], and the product rule adds the two ways in which x[i] reaches the loss:
#
#     slope of scale = -0.5 * (x · x / n + 1e-5) ** -1.5 * 2 * x[i] / n
#                    = -scale ** 3 * x[i] / n
#     d_x[i] = d_y[i] * scale + (d_y · x) * (-scale ** 3 * x[i] / n)
#
# Of the three scales in the last product, one turns d_y · x into d_y · y, one turns
# x[i] into y[i], and one is left, as in the first product. So it is shorter with y:
#
#     d_x[i] = scale * (d_y[i] - along * y[i]), where along = (d_y · y) / n
#
# What does it say? y always has the same size. Suppose the slopes d_y said: make all of
# y larger, each in proportion to what it is. rmsnorm cannot do that, whatever x is, so
# such slopes must vanish on the way back. `along` measures how much of this wish there
# is in d_y, that much is taken out, and the rest goes through. (For d_y = y a trace is
# left, too small to be seen below: the 1e-5 makes the mean square of y a little less
# than 1, so the size of y is not always quite the same.)
x = [Value(3.0), Value(4.0)]
backward_with(rmsnorm(x), [1.0, 2.0])
ys, scales = by_hand.rmsnorm([[3.0, 4.0]])
d_xs = by_hand.rmsnorm_backward([[1.0, 2.0]], ys, scales)
d_along = by_hand.rmsnorm_backward(ys, ys, scales)  # slopes in proportion to y
y, scale = ys[0], scales[0]
along = (1.0 * y[0] + 2.0 * y[1]) / 2
left_over = [1.0 - along * y[0], 2.0 - along * y[1]]
print("3. rmsnorm: x = [3, 4], so n = 2")
print()
print(f"x = [3, 4]:    scale          {scale:.4f}")
print(f"               y              {rounded(y)}")
print(f"d_y = [1, 2]:  along          {along:.4f}")
print(f"               d_y - along*y  {rounded(left_over)}")
print(f"               times scale    {rounded([scale * left for left in left_over])}")
print(f"               d_x by hand    {rounded(d_xs[0])}")
print(f"               d_x by Values  {rounded([xi.grad for xi in x])}")
print(f"d_y = y:       d_x by hand    {rounded(d_along[0])}")
print()
assert is_close(d_xs[0], [xi.grad for xi in x])
assert is_close(d_xs[0], [scale * left for left in left_over])
assert 0 < max([abs(d) for d in d_along[0]]) < 1e-5

# %%
# attention.
#
# Token t mixes the values of all tokens up to t. On the way back its slope therefore
# goes to all of *them*: to the value of each, and through its share of attention to its
# key, and to t's own query. For one attention head, these are the lines forward, and
# those back (scale is 1 / sqrt(head_dim), as in model.py):
#
#     score[s] = (q[t] · k[s]) * scale           d_q[t] += d_score[s] * scale * k[s]
#                                                d_k[s] += d_score[s] * scale * q[t]
#     share = softmax(score)                     d_score = the formula of section 2
#     gathered[t] = the sum of share[s] * v[s]   d_share[s] = d_gathered[t] · v[s]
#                                                d_v[s] += share[s] * d_gathered[t]
#
# (Read those on the right from the last to the first. Why `+=`? q[t] meets many keys,
# and k[s] and v[s] are met by many later tokens.) Here is a text of four tokens, and a
# slope at the third token only. Who learns?
q = [[0.5, -0.2], [0.1, 0.4], [-0.3, 0.8], [0.6, 0.1]]
k = [[0.2, 0.7], [-0.5, 0.3], [0.9, 0.0], [0.4, -0.6]]
v = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [-1.0, 0.5]]
_, weights = by_hand.attention(q, k, v, n_head=1)
d_gathered = [[0.0, 0.0], [0.0, 0.0], [1.0, 1.0], [0.0, 0.0]]
d_q, d_k, d_v = by_hand.attention_backward(d_gathered, q, k, v, weights, n_head=1)
print("4. attention: four tokens, and a slope of [1, 1] at the third one only")
print()
print("token  its share      d_q                 d_k                 d_v")
for t in range(4):
    share = f"{weights[2][0][t]:.4f}" if t < 3 else "unseen"
    cells = [f"{rounded(d[t]):<19}" for d in (d_q, d_k, d_v)]
    print(f"{t + 1:>5}  {share:<9} {' '.join(cells)}".rstrip())
print()
shares = weights[2][0]  # of the third token, which has the number 2 from 0 on
d_shares = [v[s][0] + v[s][1] for s in range(3)]  # [1, 1] · v[s]
d_scores = by_hand.softmax_backward(d_shares, shares)
print(f"of the third token:  d_share {rounded(d_shares)}")
print(f"                     d_score {rounded(d_scores)}")
print()
for s in range(3):
    assert is_close(d_k[s], [d_scores[s] * 2**-0.5 * number for number in q[2]])
    assert is_close(d_v[s], [shares[s], shares[s]])
d_q_by_lines = [0.0, 0.0]
for s in range(3):
    for j in range(2):
        d_q_by_lines[j] += d_scores[s] * 2**-0.5 * k[s][j]
assert is_close(d_q[2], d_q_by_lines)
assert d_k[3] == d_v[3] == [0.0, 0.0] and d_v[0] != [0.0, 0.0]

# %%
# Only the third token's query gets a slope, but the keys and values of all three that
# it looked at do. This is how the future teaches the past: the first letter of a name
# learns to offer what later letters need. The fourth token was not seen, and learns
# nothing.

# %%
# All of it.
#
# The rest is easy. relu(h) ** 2 has the slope 2 * h, or 0. A residual connection is a
# sum, and passes its slope on unchanged to both sides: into the layer, and past it. The
# logits' slopes are shortest of all: the probabilities, less 1 for the token that came
# (exercise 3). And so by_hand.py can go through all lines of the model and back.
#
# Here are the lines, with real numbers for one name. "Size" is the root of the mean
# square. Read both blocks downwards: the second begins at the loss.
documents = read_documents(os.path.join(ROOT, "input.txt"))
run, _, _ = start(documents)
with collector_paused():
    for _ in zip(range(100), train(run, TRAIN_NAMES)):
        pass  # 100 steps, so that no matrix is 0 any more
weights = as_floats(run.params)
NAME = "emma"
tokens = TOKENIZER.encode_document(NAME)
f = by_hand.forward(weights, run.config.n_head, tokens)
d, d_w = by_hand.backward(weights, f)

LINES = [
    # (the name of what the line gives, how it is made, how its slopes are made)
    ("embedded", "wte[token] + wpe[position]", "back through the norm"),
    ("x0", "rmsnorm(embedded)", "d_x1 + back through the norm"),
    ("x0_norm", "rmsnorm(x0)", "from d_q, d_k and d_v, added up"),
    ("q", "linear(x0_norm, wq)", "back through the scores"),
    ("k", "linear(x0_norm, wk)", "back through the scores"),
    ("v", "linear(x0_norm, wv)", "shares of attention times d_gathered"),
    ("gathered", "attention(q, k, v)", "d_x1 with the columns of wo"),
    ("x1", "x0 + linear(gathered, wo)", "d_x2 + back through the norm"),
    ("x1_norm", "rmsnorm(x1)", "d_hidden with the columns of fc1"),
    ("hidden", "linear(x1_norm, fc1)", "2 * hidden * d_activations, or 0"),
    ("activations", "relu(hidden) ** 2", "d_x2 with the columns of fc2"),
    ("x2", "x1 + linear(activations, fc2)", "d_logits with the columns of lm_head"),
    ("logits", "linear(x2, lm_head)", "(probs - 1 for the target) / tokens"),
]


def size(matrix):
    """Return the root of the mean square of all numbers in a list of lists."""
    numbers = [number for row in matrix for number in row]
    return math.sqrt(sum([number**2 for number in numbers]) / len(numbers))


forward_values = {name: getattr(f, name) for name, _, _ in LINES if name != "logits"}
forward_values["logits"] = by_hand.linear(f.x2, weights["lm_head"])
print(f"5. Line by line, for {NAME!r}, which is {len(tokens) - 1} tokens to predict")
print()
print("forward, from the tokens to the loss                   shape    size")
for name, how, _ in LINES:
    matrix = forward_values[name]
    shape = f"{len(matrix)} x {len(matrix[0])}"
    print(f"{name:<13} = {how:<36} {shape:>6} {size(matrix):>7.3f}")
print(f"{'loss':<13} = {'the mean of -log(prob of the target)':<36} {f.loss:>14.3f}")
print()
print("back, from the loss to the tokens                      shape    size")
for name, _, how_back in reversed(LINES):
    shape = f"{len(d[name])} x {len(d[name][0])}"
    print(f"d_{name:<11} = {how_back:<36} {shape:>6} {size(d[name]):>7.4f}")
print()

# %%
forward_lines, backward_lines = [], []
for number, (name, how, how_back) in enumerate(LINES, start=1):
    forward_lines.append(f"{number}. {name} = {how}")
    backward_lines.append(f"{number}. d_{name} = {how_back}")
backward_lines.reverse()
pictures = [
    words(forward_lines, title="Forward: what each line gives ↓"),
    words(backward_lines, title="Back: its slopes, from the last line on ↓"),
]
title = "Each line of the GPT, and the line that goes back"
save_picture("chA2_lines.svg", side_by_side(pictures, columns=1, title=title))
print()

# %%
# Look at d_x2, d_x1 and d_x0: the slopes come down the residual stream with nearly the
# same size, past the MLP and past attention. That is what residual connections are for
# (chapter 12), seen from the other end. Without them, all that reaches the embeddings
# would be what comes back *through* the layers, and look how small d_x0_norm is.


# %%
# Is it right, and how fast?
#
# The loss and all 4,064 slopes, beside those of the package, for 30 names. The weights
# are those after 100 steps: weights that are 0 would hide mistakes.
def in_one_list(slopes):
    """Return the slopes of all weights in the order of flatten(params)."""
    return [d for name in run.params for row in slopes[name] for d in row]


parameters = flatten(run.params)
largest_gap = 0.0
seconds_with_graph, seconds_by_hand = [], []
with collector_paused():
    for name in TRAIN_NAMES[:30]:
        tokens = TOKENIZER.encode_document(name)
        started = time.perf_counter()
        loss = document_loss(run.params, run.config, tokens)
        loss.backward()
        middle = time.perf_counter()
        loss_by_hand, d_w, _ = by_hand.loss_and_gradients(weights, 4, tokens)
        seconds_by_hand.append(time.perf_counter() - middle)
        seconds_with_graph.append(middle - started)
        gaps = [abs(loss.data - loss_by_hand)]
        for slope, parameter in zip(in_one_list(d_w), parameters):
            gaps.append(abs(slope - parameter.grad))
            parameter.grad = 0.0
        largest_gap = max(largest_gap, max(gaps))
        del loss
with_graph = 1000 * median(seconds_with_graph)
without_graph = 1000 * median(seconds_by_hand)
times_as_fast = with_graph / without_graph
print("6. Is it right, and how fast?")
print()
print(f"largest difference to Values is below 1e-12: {largest_gap < 1e-12}")
print(f"~ with a graph      {with_graph:6.1f} milliseconds a name")
print(f"~ by hand           {without_graph:6.1f} milliseconds a name")
print(f"~ times as fast     {times_as_fast:6.1f}")
print()
assert largest_gap < 1e-12

# %%
# About twice as fast is less than one might hope. What is left is the arithmetic, in a
# language that does one multiplication after another and makes an object for each
# result.

# %%
# Training.
#
# The default run of chapter 13, but the slopes come from lists. Each step turns the
# weights into floats, finds the slopes, puts them in the place where Adam looks, and
# lets Adam step. A twin that uses Values goes along for 20 steps.
run, _, _ = start(documents)
twin, _, _ = start(documents)
parameters = run.optimizer.parameters
n_steps = run.training.steps
progress = Progress("steps by hand", total=n_steps, every=100, stream=sys.stderr)
for step in range(n_steps):
    tokens = TOKENIZER.encode_document(TRAIN_NAMES[step])
    loss, d_w, _ = by_hand.loss_and_gradients(as_floats(run.params), 4, tokens)
    for parameter, slope in zip(parameters, in_one_list(d_w)):
        parameter.grad = slope
    run.optimizer.step(run.training.learning_rate * (1 - step / n_steps))
    run.losses.append(loss)
    progress.show(step + 1)
progress.finish()
for twin_loss in train(twin, TRAIN_NAMES):
    assert abs(twin_loss - run.losses[twin.step - 1]) < 1e-9
    if twin.step == 20:
        break

# %%
weights = as_floats(run.params)


def nats_of(name):
    """Return the surprise of the model trained by hand at each character."""
    tokens = TOKENIZER.encode_document(name)
    f = by_hand.forward(weights, 4, tokens)
    return [-math.log(p[target]) for p, target in zip(f.probs, tokens[1:])]


loss, error = loss_and_error(nats_of, HELD_OUT_NAMES)
print("7. Trained by hand on 500 names; the first 20 losses equal those of Values")
print()
print(f"loss per character: {loss:.3f} ± {error:.3f}")

# %%
# What production does: both. Each piece, such as a linear layer, has a backward that is
# written by hand, as here, for whole matrices on a graphics processor. An engine only
# puts the pieces in order. By hand all the way, every new model would need a new
# backward pass, and a mistake in it stops nothing: the loss may even fall (exercise 2).
# Hence the checks.
#
# What is still missing: all this arithmetic is done by one processor, one number after
# another. Most computers have several. On to many processes.
#
# Exercises (solutions and hints in chA2_solution.py):
# 1. Write tanh_backward(d_ys, ys). Does it need x, or is y = tanh(x) enough?
# 2. Leave out `along` in rmsnorm_backward, and train for 150 steps. Does anything tell
#    you that there is a mistake? What would have told you?
# 3. Derive the slope of the loss with respect to a logit: prob, less 1 for the target.
#    Check it against Values for the logits [2, 0, -1] and the target 1.
