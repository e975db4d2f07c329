"""Solutions to chapter 9. Read the hint first, try again, and then look at the code.

It trains six models, which takes about ten seconds.
"""

# %%
import math
import random
import sys

from common import TRAIN_NAMES, course_loss, pairs
from window_mlp import train_window_mlp, window_mlp_nats

from microgpt import as_floats, cross_entropy, flatten, linear, relu
from microgpt.tools.terminal import Progress
from microgpt.value import Value, total

three_letters = train_window_mlp(n_back=3)
three_loss = course_loss(window_mlp_nats(three_letters))

# The model of the chapter once more, with all that the exercises change as an argument.


def tanh(x):
    return x.tanh() if isinstance(x, Value) else math.tanh(x)


def logits_of(params, context, activation, constant):
    """Return the logits; `constant` is [1.0] with biases, and [] without."""
    x = []
    for token in [0, 0, 0, *context][-3:]:
        x += params["wte"][token]
    hidden = linear(x + constant, params["hidden"])
    activations = [activation(weighted_sum) for weighted_sum in hidden]
    return linear(activations + constant, params["output"])


def train(what, falling=True, size=0.2, activation=tanh, biases=False):
    """Return (the number of parameters, the held-out loss after one epoch)."""
    constant = [1.0] if biases else []
    rng = random.Random(1)
    params = {}
    for matrix_name, n_rows, n_columns in [
        ("wte", 27, 8),
        ("hidden", 32, 24 + len(constant)),
        ("output", 27, 32 + len(constant)),
    ]:
        rows = []
        for _ in range(n_rows):
            rows.append([Value(rng.gauss(0, size)) for _ in range(n_columns)])
        params[matrix_name] = rows
    progress = Progress(f"{what}: name", 500, every=250, stream=sys.stderr)
    for step, name in enumerate(TRAIN_NAMES):
        losses = []
        for context, target in pairs(name):
            logits = logits_of(params, context, activation, constant)
            losses.append(cross_entropy(logits, target))
        (total(losses) / len(losses)).backward()
        learning_rate = 1 - step / len(TRAIN_NAMES) if falling else 1.0
        for parameter in flatten(params):
            parameter.data -= learning_rate * parameter.grad
            parameter.grad = 0.0
        progress.show(step + 1)
    progress.finish()
    trained = as_floats(params)

    def nats_of(name):
        surprises = []
        for context, target in pairs(name):
            logits = logits_of(trained, context, activation, constant)
            surprises.append(cross_entropy(logits, target))
        return surprises

    return len(flatten(params)), course_loss(nats_of)


# %%
# Exercise 1. Three changes, one at a time.
#
# Hint 1: what does the very last step do to what all others have taught?
# Hint 2: how steep is tanh at 0, and how steep at 3?
#
# With a constant rate it is worse than the table of letter pairs. Each long step undoes
# part of what earlier names have taught, to please the latest one, and the model ends
# up wherever the last few names have thrown it. Short steps at the end take a mean over
# many names.
#
# With large weights it is much worse. A sum of 24 products of size 1 is about 5, and at
# 5 tanh has a slope of 0.0002. So almost nothing comes down through the hidden layer.
#
# With ReLU it is as good, or a little better: with this start by 0.02, from others (try
# random.Random(2) and 3, for both functions) by about 0.01.
_, constant_loss = train("constant rate", falling=False)
_, large_loss = train("large weights", size=1.0)
_, relu_loss = train("ReLU", activation=relu)
print("Exercise 1")
print(f"  as in the chapter:           {three_loss:.3f}")
print(f"  the rate stays at 1:         {constant_loss:.3f}")
print(f"  weights five times as large: {large_loss:.3f}")
print(f"  relu in place of tanh:       {relu_loss:.3f}")
assert constant_loss > 2.63 > three_loss
assert large_loss > three_loss + 0.2
assert abs(relu_loss - three_loss) < 0.04

# %%
# Exercise 2. Five letters back.
#
# Hint 1: only the matrix `hidden` changes its shape. What is its new one?
# Hint 2: train_window_mlp(n_back=5) trains it.
#
# Two more letters are 2 * 8 more inputs for each of 32 hidden neurons: 512 parameters.
# A table would need 27 * 27 = 729 times as many rows. It brings 0.05 nats: names are
# short, and five letters are most of one, so the model can often see where it began.
five_letters = train_window_mlp(n_back=5)
five_loss = course_loss(window_mlp_nats(five_letters))
more_parameters = len(flatten(five_letters)) - len(flatten(three_letters))
print("\nExercise 2")
print(f"  three letters back: {three_loss:.3f}")
print(f"  five letters back:  {five_loss:.3f}, with {more_parameters} more parameters")
assert more_parameters == 2 * 8 * 32
assert five_loss < three_loss - 0.03

# %%
# Exercise 3. Biases.
#
# Hint 1: as in chapter 8, a constant input 1.0 makes the weight behind it a bias.
# Hint 2: so hidden becomes (32, 25), and output (27, 33).
#
# They are 32 + 27 = 59 parameters more, and the loss falls by about 0.01. That is
# little, and it is less than the standard error of 0.016 that the loss has: to be sure
# one would have to compare the two on the same names, and from several random starts.
n_with_biases, bias_loss = train("with biases", biases=True)
n_without = len(flatten(three_letters))
print("\nExercise 3")
print(f"  without biases: {three_loss:.3f}, {n_without:,} parameters")
print(f"  with biases:    {bias_loss:.3f}, {n_with_biases:,} parameters")
assert n_with_biases - n_without == 59
assert 0 < three_loss - bias_loss < 0.03
