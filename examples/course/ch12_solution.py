"""Solutions to chapter 12. Read the hint first, try again, then look at the code."""

# %%
import math
import random
import sys
from collections import Counter

from common import (
    BLOCK_SIZE,
    HELD_OUT_NAMES,
    TOKENIZER,
    TRAIN_NAMES,
    course_loss,
    difference_and_error,
    pairs,
)

from microgpt import (
    Value,
    as_float,
    as_floats,
    cross_entropy,
    dot,
    flatten,
    linear,
    rmsnorm,
    softmax,
    total,
)
from microgpt.model import add
from microgpt.tools.terminal import Progress
from microgpt.training import collector_paused


# %%
# Exercise 1. Layers that multiply by w = -0.5 and by w = -1.
#
# Hint 1: with a residual connection, each of the ten factors is 1 + w.
# Hint 2: what does a layer do that computes x + (-1) * x?
#
# With w = -0.5 each factor is 0.5, and the slope is 0.5 to the power of 10: it fades
# again. With w = -1 the layer takes away exactly what was there. The result is 0
# whatever x is, so the slope is 0. The 1 of the residual connection protects from small
# changes, not from a layer that cancels x. That takes one exact matrix; random and
# trained ones are far from it.
def slope_through(n_layers, w):
    """Return the slope of n_layers layers x + w * x."""
    x = Value(1.0)
    result = x
    for _ in range(n_layers):
        result = result + result * w
    result.backward()
    return x.grad


print("Exercise 1: ten layers x + w * x")
for w in [-0.5, -1.0]:
    print(f"  w = {w}: the slope is {slope_through(10, w):.5f}")
assert math.isclose(slope_through(10, -0.5), 0.5**10)
assert slope_through(10, -1.0) == 0

# %%
# The stack of the chapter, for the other exercises. `norm` says whether a layer reads a
# normalised copy of x, and `residual` whether its result is added to x.
N = 16


def new_params(n_layer, size_of_weights, seed=1, zero_start=False):
    """Return random parameters of n_layer attention layers."""
    sizes = {"wte": (27, 0.3), "wpe": (BLOCK_SIZE, 0.3)}
    sizes["lm_head"] = (27, size_of_weights)
    for layer in range(n_layer):
        for name in ["attn_wq", "attn_wk", "attn_wv", "attn_wo"]:
            is_zero = zero_start and name == "attn_wo"
            sizes[f"layer{layer}.{name}"] = (N, 0.0 if is_zero else size_of_weights)
    rng = random.Random(seed)
    params = {}
    for name, (n_rows, size) in sizes.items():
        params[name] = []
        for _ in range(n_rows):
            params[name].append([Value(rng.gauss(0, size)) for _ in range(N)])
    return params


def run_layers(params, tokens, n_layer, norm, residual=False):
    """Return (x of all tokens before the layers, x of all tokens after them)."""
    xs = []
    for pos_id, token_id in enumerate(tokens):
        x = add(params["wte"][token_id], params["wpe"][pos_id])
        xs.append(rmsnorm(x) if norm else x)
    before = xs
    for layer in range(n_layer):
        keys, values, new_xs = [], [], []
        for x in xs:
            x_read = rmsnorm(x) if norm else x
            q = linear(x_read, params[f"layer{layer}.attn_wq"])
            keys.append(linear(x_read, params[f"layer{layer}.attn_wk"]))
            values.append(linear(x_read, params[f"layer{layer}.attn_wv"]))
            weights = softmax([dot(q, k) * N**-0.5 for k in keys])
            mixture = [dot(weights, column) for column in zip(*values)]
            change = linear(mixture, params[f"layer{layer}.attn_wo"])
            new_xs.append(add(x, change) if residual else change)
        xs = new_xs
    return before, xs


def surprises(params, name, n_layer, norm, residual=False):
    """Return the surprise at each character of the name."""
    tokens = TOKENIZER.encode_document(name)[: BLOCK_SIZE + 1]
    _, xs = run_layers(params, tokens[:-1], n_layer, norm, residual)
    losses = []
    for x, target_id in zip(xs, tokens[1:]):
        losses.append(cross_entropy(linear(x, params["lm_head"]), target_id))
    return losses


def train(params, names, n_layer, norm, residual=False):
    """Move the parameters by one pass over the names, with a rate falling from 0.5."""
    for step, name in enumerate(names):
        with collector_paused():
            losses = surprises(params, name, n_layer, norm, residual)
            (total(losses) / len(losses)).backward()
            del losses
        for parameter in flatten(params):
            parameter.data -= 0.5 * (1 - step / len(names)) * parameter.grad
            parameter.grad = 0.0


# %%
# Exercise 2. The size of the weights that keeps x as it is through ten layers.
#
# Hint 1: a sum of 16 products with random weights of size s is about sqrt(16) * s times
# as large as what went in. For which s is that 1?
# Hint 2: try 0.25, and then a little more, since a mixture of different letters is
# smaller than they are.
#
# Two matrices in each of ten layers, attn_wv and attn_wo, multiply the size 20 times.
# So if each makes it larger by a tenth, all of them together make it 1.1 to the power
# of 20 = 6.7 times as large. From 0.25 to 0.31 is a quarter more, and it turns too
# little into too much. Nobody could keep that right while the weights learn.
print("\nExercise 2: ten layers with neither remedy")
print("  weights   size of x before   after")
tokens = TOKENIZER.encode_document("jonathan")[:BLOCK_SIZE]
sizes_after = {}
for size_of_weights in [0.25, 0.27, 0.29, 0.31]:
    params = new_params(10, size_of_weights)
    states = run_layers(params, tokens, 10, norm=False)
    sizes = []
    for xs in states:
        numbers = [as_float(xi) for x in xs for xi in x]
        sizes.append(math.sqrt(dot(numbers, numbers) / len(numbers)))
    sizes_after[size_of_weights] = sizes[1]
    print(f"  {size_of_weights:7} {sizes[0]:13.2f} {sizes[1]:12.2f}")
assert sizes_after[0.25] < 0.2 < 1 < sizes_after[0.31]


# %%
# Exercise 3. The zero start, from three seeds.
#
# Hint 1: new_params needs a seed, which becomes random.Random(seed), and zero_start.
# Hint 2: for each seed, difference_and_error of the model with the zero start and the
# one without.
#
# From the first seed the zero start makes the layer better by 0.005, four times its
# standard error. That looks certain. From the other two it is worth half of that and a
# quarter, and neither can be told from 0. So is the standard error wrong? No, but it
# answers another question: how much would the difference change if we measured these
# same two models on other names? That is known well. How much would it change if we
# trained two other models? Of that it knows nothing. Only training again tells, and
# when a change is small, one has to do so.
def nats_after_training(seed, zero_start):
    """Return name -> surprises of one layer, trained on 500 names."""
    params = new_params(1, 0.15, seed, zero_start)
    train(params, TRAIN_NAMES, 1, norm=True, residual=True)
    trained = as_floats(params)
    nats = {}
    for name in HELD_OUT_NAMES:
        nats[name] = surprises(trained, name, 1, norm=True, residual=True)

    def nats_of(name):
        return nats[name]

    return nats_of


print("\nExercise 3: what the zero start changes (nats a character)")
progress = Progress("training: seed", total=3, every=1, stream=sys.stderr)
changes = []
for seed in [1, 2, 3]:
    change, error = difference_and_error(
        nats_after_training(seed, zero_start=True),
        nats_after_training(seed, zero_start=False),
    )
    changes.append(change)
    print(f"  seed {seed}: {change:+.4f} ± {error:.4f}")
    progress.show(seed)
progress.finish()
assert changes[0] < -0.004 < -0.003 < min(changes[1:])

# %%
# Exercise 4. Six layers with the norm only.
#
# Hint 1: compare its loss with a model that knows how common each letter is, and
# nothing about what came before.
# Hint 2: if x is the same for all letters, what can lm_head still make of it?
#
# It is the column "letters differ". If x is the same for each letter of a name, the
# model cannot know which letter it has just read. All that it can learn is how common
# each letter is, whatever came before. And that is about what it reaches.
params = new_params(6, size_of_weights=0.15)
names = TRAIN_NAMES[:30]
train(params, names, 6, norm=True)

counts = Counter([target for name in names for _, target in pairs(name)])
n_counted = sum(counts.values())


def letter_nats(name):
    """Return the surprise of a table that knows only how common each letter is."""
    nats = []
    for _, target in pairs(name):
        nats.append(-math.log((counts[target] + 1) / (n_counted + 27)))
    return nats


def norm_only_nats(name):
    """Return the surprise of the six layers, as plain numbers."""
    return [as_float(loss) for loss in surprises(params, name, 6, norm=True)]


held_out = HELD_OUT_NAMES[:60]
norm_only_loss = course_loss(norm_only_nats, held_out)
letter_loss = course_loss(letter_nats, held_out)
print("\nExercise 4: six layers, 30 names, measured on 60")
print(f"  norm only:                      {norm_only_loss:.3f}")
print(f"  how common each letter is:      {letter_loss:.3f}")
assert norm_only_loss > letter_loss - 0.05
