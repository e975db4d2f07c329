"""Chapter 12. Residuals and normalisation: how can layers be stacked?

In chapter 11 attention solved a task that no window can solve for all lengths. But in
chapter 10, on names, it was worse than none at all, and we found a reason. All that a
letter passes on is the mixture that it has gathered. Of its own x there is only as much
in it as it gives attention to itself, so a letter that looks elsewhere forgets what it
is. And a GPT is not one such layer. GPT-2 has twelve, each of which reads what the one
below has made. If each forgets a part, what is left at the top?

Three remedies, each of them a line of code:

    residual connection   x = x + layer(x): a layer adds to x, and never replaces it
    normalisation         x = x + layer(norm(x)): it reads a copy of x, scaled to size 1
    zero start            the layer's last matrix begins with zeros: at first it adds 0

We measure them first in a single layer on the names, beside a model that has no layer
at all, and then in stacks of ten and of six layers, where you see what happens without
them.

Before you run it: `python examples/learn.py 12` asks you for a few guesses first. If
you go without it, write down how much better one layer with a residual connection is
than no layer at all, and what the loss of six layers is, after training, if they have
none of the three.

Sources: He et al., "Deep residual learning for image recognition", 2016, for the
residual connection; Zhang and Sennrich, "Root mean square layer normalization", 2019.
"""

# %%
import math
import random
import sys

from common import (
    BLOCK_SIZE,
    HELD_OUT_NAMES,
    TOKENIZER,
    TRAIN_NAMES,
    difference_and_error,
    loss_and_error,
    save_picture,
)

from microgpt import (
    Value,
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
from microgpt.tools.draw import Line, line_chart, side_by_side
from microgpt.tools.terminal import Progress
from microgpt.training import collector_paused

# %%
# The smallest example. Let a "layer" multiply its input by a number w, and stack ten of
# them. The slope of the result with respect to the input is a product of ten factors,
# by the chain rule. Without a residual connection each factor is w. With one, x + w *
# x, each factor is 1 + w.


def slope_through(n_layers, w, residual):
    """Return d(result) / d(input) of n_layers layers that multiply by w."""
    x = Value(1.0)
    result = x
    for _ in range(n_layers):
        change = result * w
        result = result + change if residual else change
    result.backward()
    return x.grad


print("Ten layers that multiply by w: the slope from the top to the bottom")
print("     w    x = w * x    x = x + w * x")
for w in [0.1, 0.5, 2.0]:
    plain, with_residual = slope_through(10, w, False), slope_through(10, w, True)
    print(f"  {w:4} {plain:12.2g} {with_residual:16.2g}")
    assert math.isclose(plain, w**10) and math.isclose(with_residual, (1 + w) ** 10)

# With w = 0.1, hardly anything that the loss says reaches the bottom: the slope is
# 0.0000000001, and the parameters down there learn nothing. This is called the problem
# of *vanishing gradients*. With the residual connection the 1 is always there, so the
# slope comes through. (With w = 2 both grow; then one speaks of *exploding gradients*.
# The sum makes that worse. It is what the normalisation is for.)

# %%
# Normalisation. `rmsnorm` divides x by its usual size, the root of the mean of its
# squares (RMS). What is left is the direction of x: which numbers are large, compared
# with the others.


def rmsnorm_by_hand(x):
    """Return x divided by the root of the mean of its squares."""
    squares = [xi * xi for xi in x]
    mean_square = sum(squares) / len(squares)
    scale = 1 / math.sqrt(mean_square + 1e-5)  # so that nothing is divided by 0
    return [xi * scale for xi in x]


def row_of(numbers):
    """Return the numbers as text, with three digits after the point."""
    return ", ".join([f"{number:.3f}" for number in numbers])


print("\nRMSNorm: the mean of the squares of (3, 4) is 12.5, and its root is 3.536")
for x in [[3.0, 4.0], [300.0, 400.0], [0.3, 0.4]]:
    normalised = rmsnorm_by_hand(x)
    print(f"  ({row_of(x)}) becomes ({row_of(normalised)})")
    for ours, theirs in zip(normalised, rmsnorm(x)):
        assert math.isclose(ours, theirs)

# 3 / 3.536 = 0.849 and 4 / 3.536 = 1.131. However large or small x has become, the
# layer that reads it gets numbers of one size, and can learn weights that fit them. (In
# the last line you see the 0.00001 that keeps an x of nothing but zeros from dividing
# by 0.)

# %%
# The layer: chapter 10's attention with one head of 16 numbers, and a new matrix behind
# it, the *output projection* attn_wo. What was gathered goes through it before it is
# added to x. Why? With one head it brings nothing that attn_wv could not do, since two
# matrices in a row are only one. With four heads it does: each head has 4 numbers of
# its own, and attn_wo says in which of the 16 numbers of x they should arrive. And it
# is a good place for a start at zero, as you will see.
N = 16  # how many numbers x, a query, a key and a value have


def attention_layer(xs, params, layer):  # (t, n) -> (t, n)
    """Return what each token gathers from those up to itself, through attn_wo."""
    keys, values, gathered = [], [], []
    for x in xs:
        q = linear(x, params[f"layer{layer}.attn_wq"])
        keys.append(linear(x, params[f"layer{layer}.attn_wk"]))
        values.append(linear(x, params[f"layer{layer}.attn_wv"]))
        weights = softmax([dot(q, k) * N**-0.5 for k in keys])
        mixture = [dot(weights, column) for column in zip(*values)]
        gathered.append(linear(mixture, params[f"layer{layer}.attn_wo"]))
    return gathered


# And the model: embeddings, a number of such layers, and logits. The two remedies are
# two ifs. (As in the package, the embeddings are normalised once as well.) The number
# of layers may be 0. What is left then is the baseline of chapter 10, a model that
# knows the letter and its position, and looks at nothing else.
def run_layers(params, tokens, n_layer, residual, norm):
    """Return x of all tokens before the first layer, and after each: n_layer + 1."""
    xs = []
    for pos_id, token_id in enumerate(tokens):
        x = add(params["wte"][token_id], params["wpe"][pos_id])
        xs.append(rmsnorm(x) if norm else x)
    states = [xs]
    for layer in range(n_layer):
        layer_input = [rmsnorm(x) for x in xs] if norm else xs
        new_xs = attention_layer(layer_input, params, layer)
        if residual:
            new_xs = [add(x, change) for x, change in zip(xs, new_xs)]
        xs = new_xs
        states.append(xs)
    return states


def surprises_from(xs, params, tokens):
    """Return the surprise at each token after the first, given x of those before."""
    losses = []
    for x, target_id in zip(xs, tokens[1:]):
        losses.append(cross_entropy(linear(x, params["lm_head"]), target_id))
    return losses


def new_params(n_layer, size_of_weights, zero_start=False):
    """Return random parameters; with zero_start each attn_wo begins with zeros."""
    sizes = {"wte": (27, 0.3), "wpe": (BLOCK_SIZE, 0.3)}
    sizes["lm_head"] = (27, size_of_weights)
    for layer in range(n_layer):
        for name in ["attn_wq", "attn_wk", "attn_wv", "attn_wo"]:
            is_zero = zero_start and name == "attn_wo"
            sizes[f"layer{layer}.{name}"] = (N, 0.0 if is_zero else size_of_weights)
    rng = random.Random(1)
    params = {}
    for name, (n_rows, size) in sizes.items():
        params[name] = []
        for _ in range(n_rows):
            params[name].append([Value(rng.gauss(0, size)) for _ in range(N)])
    return params


# %%
# One layer. Each model is trained from the same random numbers, on the same 500 names,
# by the descent of chapter 9. Two settings are more cautious than in chapter 10: the
# learning rate begins at 0.5 instead of 1, and the weights start at about 0.15 in size
# instead of 0.3. One layer does not need that. But the same function will train six
# layers further down, and you will see what larger weights do there.


def train(what, n_layer, names, residual, norm, zero_start=False, size_of_weights=0.15):
    """Return the parameters after one pass over the names, as plain floats.

    A loss that is not finite any more: FloatingPointError.
    """
    params = new_params(n_layer, size_of_weights, zero_start)
    parameters = flatten(params)
    progress = Progress(
        f"{what}: name", len(names), every=len(names) // 2, stream=sys.stderr
    )
    for step, name in enumerate(names):
        tokens = TOKENIZER.encode_document(name)[: BLOCK_SIZE + 1]
        with collector_paused():
            states = run_layers(params, tokens[:-1], n_layer, residual, norm)
            losses = surprises_from(states[-1], params, tokens)
            loss = total(losses) / len(losses)
            if not math.isfinite(loss.data):
                progress.finish()
                raise FloatingPointError(f"{loss.data} at name {step + 1}")
            loss.backward()
            del states, losses, loss
        learning_rate = 0.5 * (1 - step / len(names))
        for parameter in parameters:
            parameter.data -= learning_rate * parameter.grad
            parameter.grad = 0.0
        progress.show(step + 1)
    progress.finish()
    return as_floats(params)


def measure(params, n_layer, names, residual, norm):
    """Return the model's surprises at every name, as a function name -> surprises."""
    surprises = {}
    for name in names:
        tokens = TOKENIZER.encode_document(name)[: BLOCK_SIZE + 1]
        states = run_layers(params, tokens[:-1], n_layer, residual, norm)
        surprises[name] = surprises_from(states[-1], params, tokens)

    def nats_of(name):
        return surprises[name]

    return nats_of


ONE_LAYER = {
    "no layer": {"n_layer": 0, "residual": False, "norm": False},
    "no layer, norm": {"n_layer": 0, "residual": False, "norm": True},
    "a layer, bare": {"n_layer": 1, "residual": False, "norm": False},
    "residual": {"n_layer": 1, "residual": True, "norm": False},
    "all three": {"n_layer": 1, "residual": True, "norm": True, "zero_start": True},
}
params_of_ways = {}
nats_of_ways = {}
for way, settings in ONE_LAYER.items():
    params = train(way, names=TRAIN_NAMES, **settings)
    params_of_ways[way] = params
    nats_of_ways[way] = measure(
        params,
        settings["n_layer"],
        HELD_OUT_NAMES,
        settings["residual"],
        settings["norm"],
    )

print("\nTrained on 500 names, measured on 500 others (nats a character)")
losses_of_ways = {}
for way, nats_of in nats_of_ways.items():
    loss, error = loss_and_error(nats_of)
    losses_of_ways[way] = loss
    print(f"  {way:<18} {loss:.3f} ± {error:.3f}")
print("  (no layer: no attention, letter and position only)")


def print_difference(what, nats_of_a, nats_of_b, names=HELD_OUT_NAMES):
    """Print a line with the loss of a less that of b, and return this difference."""
    difference, error = difference_and_error(nats_of_a, nats_of_b, names)
    print(f"  {what:<41} {difference:+.4f} ± {error:.4f}")
    return difference


print("\nWhat changes the loss, and by how much (compared name by name)")
changes = {}
for what, after, before in [
    ("a residual connection around the layer", "residual", "a layer, bare"),
    ("then norm and zero start", "all three", "residual"),
    ("no layer instead of the bare layer", "no layer", "a layer, bare"),
    ("norm where there is no layer", "no layer, norm", "no layer"),
    ("the layer (residual) instead of none", "residual", "no layer"),
    ("the layer (all three) instead of none", "all three", "no layer, norm"),
]:
    changes[what] = print_difference(what, nats_of_ways[after], nats_of_ways[before])

# The same trained models with all queries set to 0, as in chapters 10 and 11: all
# attention weights are then equal, and the layer cannot choose where to look. 200 names
# are enough here.
SOME_NAMES = HELD_OUT_NAMES[:200]
for way in ["residual", "all three"]:
    settings = ONE_LAYER[way]
    nothing_asked = [[0.0] * N for _ in range(N)]
    silenced = {**params_of_ways[way], "layer0.attn_wq": nothing_asked}
    silenced_nats = measure(
        silenced, 1, SOME_NAMES, settings["residual"], settings["norm"]
    )
    what = f"queries set to 0 ({way})"
    changes[what] = print_difference(what, silenced_nats, nats_of_ways[way], SOME_NAMES)

# The residual connection makes the layer better by a tenth of a nat, far more than the
# other two remedies together. A letter no longer forgets itself: whatever it gathers is
# added to what it is. This is the fault from chapter 10, mended.
#
# But take care what you conclude from that! One would like to say: now the letter can
# look elsewhere freely, and what it finds there is worth a tenth of a nat. Compare with
# the baseline. To take the bare layer out brings just as much as to put a residual
# connection around it. So nearly all of the gain is that x can get *past* attention.
# What attention itself adds to x is worth a few thousandths. And set all queries to 0,
# and the loss changes by about a thousandth, or by less: the layer has not learnt to
# choose where to look. It adds a plain mean, and that is nearly as good.
#
# So the residual connection has made attention harmless. It has not made it useful, and
# could not: it only sees to it that a layer which has not learnt anything yet does no
# damage, and gets the time that it needs. You have seen what comes of that when there
# is something to find, since the model of chapter 11 had residual connections. On
# names, with 500 of them, it has not come to that. Chapter 13 looks at a whole GPT in
# this light, and chapter 14 gives it more names.
#
# (The bare layer is even worse than the single head of chapter 10. What it has more is
# attn_wo, one more matrix in a row that has to be learnt. The smaller weights and the
# lower rate are not the reason: with those of chapter 10 it comes out almost the same.)
#
# Norm and zero start were switched on together here. Which of them is it that brings
# something? Look at the two rows without a layer: to normalise the embeddings brings as
# much by itself. The zero start brings next to nothing. From these random numbers it is
# worth 0.005, four of its standard errors (exercise 3 computes it), and looks certain.
# But a standard error only says how sure we can be about other *names*. From two other
# random starts it is worth so little that it cannot be told from 0, as exercise 3
# shows. Keep this in mind with every ± in this course: it does not cover the luck of
# the start.
#
# In one layer there is not much for these two to do. Their time comes in deep stacks,
# to which we turn now.
assert changes["a residual connection around the layer"] < -0.08
assert changes["no layer instead of the bare layer"] < -0.08
assert abs(changes["the layer (residual) instead of none"]) < 0.01
assert abs(changes["the layer (all three) instead of none"]) < 0.01
assert changes["queries set to 0 (residual)"] < 0.002
assert changes["queries set to 0 (all three)"] < 0.002

loss, error = loss_and_error(nats_of_ways["all three"])
print(f"\nloss per character: {loss:.3f} ± {error:.3f} (nats, one layer, all three)")
print(f"  a perplexity of {math.exp(loss):.1f}")

# %%
# Ten layers, before any training. We send one name through ten layers of random
# weights, and look at three things:
#
#     size of x        its root mean square after the tenth layer; it was about 0.4
#                      before the first one, or 1 with the norm
#     slopes           the size of d(loss) / d(x) before the first layer ("bottom") and
#                      after the tenth ("top"); equal if all layers hear the loss well
#     letters differ   the size of the difference between the x of the first letter and
#                      that of the last, divided by the size of x. 0 means that the two
#                      are the same. Two lists of random numbers that have nothing to do
#                      with each other have about 1.41, the root of 2
#
# Once with small weights (0.15) and once with larger ones (0.35), since nobody knows in
# advance which size is right, and training changes it anyway.
N_DEEP = 10
NAME = "jonathan"


def size(numbers):
    """Return the root of the mean of the squares."""
    squares = [number * number for number in numbers]
    return math.sqrt(sum(squares) / len(squares))


def all_numbers(xs, attribute):
    """Return the data, or the grad, of all numbers in the tokens' xs, as one list."""
    return [getattr(xi, attribute) for x in xs for xi in x]


def letters_differ(xs):
    """Return how much the first letter's x differs from the last's, for their size."""
    first_letter, last_letter = xs[1], xs[-1]  # xs[0] is BOS
    difference = [a.data - b.data for a, b in zip(first_letter, last_letter)]
    return size(difference) / size(all_numbers(xs, "data"))


STACKS = {
    "neither": {"residual": False, "norm": False},
    "norm": {"residual": False, "norm": True},
    "residual": {"residual": True, "norm": False},
    "both": {"residual": True, "norm": True},
}
tokens = TOKENIZER.encode_document(NAME)[: BLOCK_SIZE + 1]
found = {}
charts = []
print("\nTen layers of random weights       size     slope at   slope at   letters")
print("  weights   with                   of x     bottom     top        differ")
for norm in [False, True]:
    xs = run_layers(new_params(0, 0.15), tokens[:-1], 0, residual=False, norm=norm)[0]
    size_before, differ_before = size(all_numbers(xs, "data")), letters_differ(xs)
    what = "before any layer, " + ("with norm" if norm else "without norm")
    print(f"  {what:<30}{size_before:7.2g} {differ_before:32.2f}")
for size_of_weights, kind in [(0.15, "small"), (0.35, "larger")]:
    lines = []
    for way, remedies in STACKS.items():
        params = new_params(N_DEEP, size_of_weights)
        states = run_layers(params, tokens[:-1], N_DEEP, **remedies)
        losses = surprises_from(states[-1], params, tokens)
        (total(losses) / len(losses)).backward()
        slopes = [size(all_numbers(xs, "grad")) for xs in states]
        size_at_top = size(all_numbers(states[-1], "data"))
        differ = letters_differ(states[-1])
        found[kind, way] = (size_at_top, slopes[0], slopes[-1], differ)
        print(
            f"  {kind:<9} {way:<18} {size_at_top:9.2g} {slopes[0]:10.2g} "
            f"{slopes[-1]:9.2g} {differ:11.2f}"
        )
        points = [(layer, math.log10(slope)) for layer, slope in enumerate(slopes)]
        # "both" lies over "residual" where weights are small; dashes show both.
        lines.append(Line(way, points, "dashed" if way == "both" else "bold"))
    charts.append(
        line_chart(
            lines,
            title=f"{kind} weights ({size_of_weights})",
            x_label="after layer",
            y_label="slope, as a power of ten (-2: 0.01)",
            width=300,
            y_include=[-7, 3],
        )
    )
title = "How large are the slopes at each layer? (0 is the bottom)"
save_picture("ch12_slopes.svg", side_by_side(charts, columns=2, title=title))

# Read the rows. Before any layer, the two letters differ by 1.71, or 1.61 with the
# norm. That is a little more than 1.41, since by chance these two point in somewhat
# opposite directions. It is what the other rows have to be compared with.
#
# - "neither", small weights: x has shrunk to millionths, and so has the slope at the
#   bottom. The lower layers hear nothing of the loss. With larger weights it is the
#   other way round: x and the slopes have exploded. In between is a size at which
#   neither happens, but you would have to hit it exactly, and the first step of
#   training would leave it again. And look at the last column: all letters have become
#   the same. Each layer replaces x by a mixture of all letters so far, the next by a
#   mixture of these mixtures, and after ten of them every letter holds the same
#   average. The text is gone.
# - "norm" alone keeps x and the slopes in order. But it does nothing about the mixing.
#   The sizes are right, and what is in them is the same for every letter.
# - "residual" alone keeps the letters apart with small weights. With larger ones, each
#   layer adds more than there was, and x explodes until what was added drowns the rest.
# - "both": with either size of weights x stays small, the slope at the bottom is of
#   much the same size as at the top, or some fifteen times as large, and the letters
#   still differ nearly as much as before the first layer. That is why transformers have
#   both.
for kind in ["small", "larger"]:
    size_at_top, slope_at_bottom, slope_at_top, differ = found[kind, "both"]
    assert 0.5 < size_at_top < 10
    assert slope_at_bottom / slope_at_top < 20
    assert differ > 0.7 * differ_before  # of the last line printed, with the norm
assert found["small", "neither"][1] < 1e-6 < 100 < found["larger", "neither"][1]
for kind in ["small", "larger"]:
    assert max(found[kind, "neither"][3], found[kind, "norm"][3]) < 0.05

# %%
# The zero start. If every attn_wo begins with zeros, each layer adds 0, and x comes out
# of ten layers as it went in. The model begins as if it had no layers at all, and each
# one grows in as it becomes useful. But can something learn that begins at 0? Look at
# the slopes, and take two steps.
params = new_params(N_DEEP, size_of_weights=0.35, zero_start=True)
print("\nTen layers, zero start: the size of the slopes in the lowest layer")
print("            attn_wq    attn_wk    attn_wv    attn_wo")
zero_start_slopes = {}
for step in range(3):
    states = run_layers(params, tokens[:-1], N_DEEP, residual=True, norm=True)
    if step == 0:
        as_it_went_in = all_numbers(states[0], "data")
        as_it_came_out = all_numbers(states[-1], "data")
        assert as_it_came_out == as_it_went_in
    losses = surprises_from(states[-1], params, tokens)
    (total(losses) / len(losses)).backward()
    line = f"  step {step}  "
    for name in ["attn_wq", "attn_wk", "attn_wv", "attn_wo"]:
        slope = size(all_numbers(params[f"layer0.{name}"], "grad"))
        zero_start_slopes[step, name] = slope
        line += f" {slope:10.4f}"
    print(line)
    for parameter in flatten(params):
        parameter.data -= 0.05 * parameter.grad
        parameter.grad = 0.0

# At step 0 only attn_wo has slopes, since the other three are multiplied by its zeros.
# But its own slopes are not 0: what it would let through is there. After one step it is
# not 0 any more, and from then on all four learn.
assert zero_start_slopes[0, "attn_wq"] == 0 < zero_start_slopes[0, "attn_wo"]
assert zero_start_slopes[1, "attn_wq"] > 0 and zero_start_slopes[1, "attn_wv"] > 0

# %%
# Does it matter for training? Six layers, without any of the remedies and with all
# three, and beside them no layer at all. Only 20 names each, which is enough to see it;
# measured on 50 held-out names. The bare layers get a second chance, with larger
# weights.
SIX = {
    "six layers, bare": {"n_layer": 6, "residual": False, "norm": False},
    "the same, weights of 0.27": {
        "n_layer": 6,
        "residual": False,
        "norm": False,
        "size_of_weights": 0.27,
    },
    "six layers, all three": {
        "n_layer": 6,
        "residual": True,
        "norm": True,
        "zero_start": True,
    },
    "no layer, norm": {"n_layer": 0, "residual": False, "norm": True},
}
FEW_NAMES = HELD_OUT_NAMES[:50]
six_layer_losses = {}
print("\nSix layers, 20 names (nats a character)")
for way, settings in SIX.items():
    try:
        params = train(way, names=TRAIN_NAMES[:20], **settings)
    except FloatingPointError as problem:
        six_layer_losses[way] = math.inf
        print(f"  {way:<26} the loss has become {problem}")
        continue
    nats_of = measure(
        params, settings["n_layer"], FEW_NAMES, settings["residual"], settings["norm"]
    )
    loss, loss_error = loss_and_error(nats_of, FEW_NAMES)
    six_layer_losses[way] = loss
    print(f"  {way:<26} {loss:.3f} ± {loss_error:.3f}")
blind_loss = math.log(27)
print(f"  a blind guess              {blind_loss:.3f}")

# Without the remedies, and with small weights, six layers learn nothing at all. Not
# even how common each letter is, which would be the easiest lesson. Why not even that?
# The logits are made by lm_head from the x at the top. As we saw, that x is tiny, so
# all logits are as good as 0. And the slope of a logit with respect to a weight in
# lm_head is the number of x which that weight multiplies, so the slopes of lm_head are
# tiny as well. It hardly moves.
#
# With larger weights it is worse: the numbers explode until Python has no number for
# them any more (nan means "not a number"). And 0.27 was not chosen at random. It is
# close to the size at which bare layers keep x as it is (exercise 2), so everything is
# in order at first, and the first few steps of training are enough to leave that edge.
# With the remedies, six layers learn as well as none, or better. (What six layers are
# good for, 20 names cannot tell.)
assert abs(six_layer_losses["six layers, bare"] - blind_loss) < 0.001
assert six_layer_losses["the same, weights of 0.27"] == math.inf
assert six_layer_losses["six layers, all three"] < blind_loss - 0.3

# What production does. Residual connections and norms in every layer, in this very
# order, x + layer(norm(x)); it is called *pre-norm*. The first transformers of 2017
# normalised after the addition ("post-norm") and were harder to train when deep.
# GPT-2's norm, LayerNorm, also subtracts the mean; most newer models have RMSNorm.
# GPT-2 does not start its output projections at zero but at small random numbers, the
# smaller the more layers there are, which serves the same end.
#
# What is still missing. A head looks for one thing at a time, and nothing works on what
# has been found. With several heads, and an MLP behind them, the layer is complete.
# Then we look at it once more with the question of this chapter: what is it worth
# beside no layer at all?
#
# Exercises. Hints and solutions are in ch12_solution.py.
# 1. In `slope_through`, let the layers multiply by w = -0.5 and w = -1. What is the
#    slope with a residual connection, and what does it mean if it is 0?
# 2. Find a size of the weights at which ten layers with neither remedy keep x at about
#    0.4, the size that it has before them. How exactly do you have to hit it?
# 3. Is the zero start worth something in one layer? Train residual and norm with and
#    without it, from three different seeds, and compare. What does a ± not tell you?
# 4. Train six layers with the norm only (30 names). The table of ten layers foretells
#    what goes wrong: in which column?
