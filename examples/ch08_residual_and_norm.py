"""Chapter 8. Residuals and normalisation: how can layers be stacked?

A head passes on a mix of values. A second on top of it gets a mix of mixes, and so on,
of numbers, x, that every layer makes larger or smaller. Two remedies. The norm: a layer
is given a copy of x, scaled to size 1 (by its root mean square: RMSNorm). And the
residual: a layer does not replace x, it adds to it: x = x + layer(norm(x)).

Write down what you expect, before you run this:
- After ten layers of random weights, how large is x? And the slopes that come back?
- The norm alone keeps all sizes in order. What is still wrong without the residual?

Source: He et al., "Deep residual learning for image recognition", 2016.
"""

import gc
import random
from math import log10, sqrt

from course import HELD_OUT_NAMES, TOKENIZER, TRAIN_NAMES, held_out_loss, save_picture

from microgpt.draw import Line, line_chart, number
from microgpt.gpt import cross_entropy, flatten, linear, rmsnorm, softmax
from microgpt.value import Value, dot, total

gc.disable()  # it would look for reference cycles, and there are none (chapter 4)
N = 16  # numbers in x, in a query, a key, a value


def new_params(n_layer, std, wo_std):
    """Return random parameters for n_layer heads, one on top of the other."""
    shapes = {"wte": (27, 0.3), "wpe": (8, 0.3), "lm_head": (27, std)}
    for layer in range(n_layer):
        shapes.update({f"layer{layer}.attn_{w}": (N, std) for w in ("wq", "wk", "wv")})
        # New: the output projection, from what was gathered to what is added to x.
        shapes[f"layer{layer}.attn_wo"] = (N, wo_std)
    rng = random.Random(1)
    return {
        name: [[Value(rng.gauss(0, size)) for _ in range(N)] for _ in range(n_out)]
        for name, (n_out, size) in shapes.items()
    }


def head(xs, wq, wk, wv, wo):  # (t, n) -> (t, n)
    """Return what chapter 7's head, and then wo, make of the tokens' xs."""
    out = []
    keys, values = [linear(x, wk) for x in xs], [linear(x, wv) for x in xs]
    for t, x in enumerate(xs, start=1):
        q = linear(x, wq)
        weights = softmax([dot(q, k) * N**-0.5 for k in keys[:t]])
        head_out = [dot(weights, column) for column in zip(*values[:t])]
        out.append(linear(head_out, wo))
    return out


def run(params, name, n_layer, residual, norm):
    """Return (each character's surprise, the xs before the layers and after each)."""
    tokens = TOKENIZER.encode_document(name)[:9]
    embeddings = zip([params["wte"][token] for token in tokens[:-1]], params["wpe"])
    prepare = rmsnorm if norm else list
    states = [[prepare([t + p for t, p in zip(*pair)]) for pair in embeddings]]
    for layer in range(n_layer):
        w = [params[f"layer{layer}.attn_{w}"] for w in ("wq", "wk", "wv", "wo")]
        xs = head([prepare(x) for x in states[-1]], *w)
        if residual:
            xs = [[a + b for a, b in zip(*pair)] for pair in zip(xs, states[-1])]
        states.append(xs)
    logits = [linear(x, params["lm_head"]) for x in states[-1]]
    return [cross_entropy(*pair) for pair in zip(logits, tokens[1:])], states


def size(numbers):
    """Return the root of the mean of the squares: what a norm makes 1."""
    return sqrt(sum([number * number for number in numbers]) / len(numbers))


# Ten layers, of weights of a rather small size (std), or a rather large one. How large
# is x after them, and the slope d(loss)/d(x) from before to after them? How much does x
# still differ between the first letter and the last one, compared to its size?
WAYS = {"neither": (0, 0), "norm": (0, 1), "residual": (1, 0), "both": (1, 1)}
x_lines, slope_lines = [], []
for std, style in ((0.15, "dashed"), (0.35, "bold")):
    for way, switches in WAYS.items():
        losses, states = run(new_params(10, std, std), "jonathan", 10, *switches)
        (total(losses) / len(losses)).backward()
        xs = [size([xi.data for x in state for xi in x]) for state in states]
        slopes = [size([xi.grad for x in state for xi in x]) for state in states]
        pairs = zip(states[10][1], states[10][-1])
        differ = size([first.data - last.data for first, last in pairs]) / xs[10]
        sizes = f"x {xs[10]:.2g}, slope {slopes[0]:.2g} to {slopes[10]:.2g}"
        print(f"std {std}, {way}: {sizes}, letters differ {differ:.2f}")
        for lines, ys in ((x_lines, xs), (slope_lines, slopes)):
            points = [(layer, log10(y)) for layer, y in enumerate(ys)]
            lines.append(Line(f"{way}, std {std}", points, style))
# expect: std 0.15, neither: x 2.3e-06, slope 6.1e-07 to 0.022, letters differ 0.02
# expect: std 0.35, norm: x 1.5, slope 1.5 to 0.067, letters differ 0.00
# expect: std 0.35, residual: x 4.8e+02, slope 3.5e+02 to 0.067, letters differ 0.03
# expect: std 0.35, both: x 4.5, slope 0.95 to 0.064, letters differ 1.23
for what, lines in (("x", x_lines), ("slope", slope_lines)):
    svg = line_chart(lines, f"{what}: its size by layer", "after layer", "power of ten")
    save_picture(f"ch08_{what}.svg", svg)

# With the norm alone, ten mixes of mixes have made all letters the same: the sizes are
# right, and the text is gone. The residual keeps what was there; but alone, it lets
# large weights add ever larger numbers to it, and they drown it.
#
# A third remedy costs nothing: the output projections begin at 0. So each layer adds 0,
# x comes out as it went in, and the first step moves nothing in a layer but attn_wo.
params = new_params(10, std=0.35, wo_std=0.0)
losses, states = run(params, "jonathan", 10, residual=1, norm=1)
total(losses).backward()
same = [old.data == new.data for old, new in zip(states[0][-1], states[10][-1])]
slopes = {w: number(params[f"layer0.attn_{w}"][0][0].grad) for w in ("wq", "wv", "wo")}
print("x is the same:", all(same), "slopes:", slopes)
# expect: x is the same: True slopes: {'wq': '0', 'wv': '0', 'wo': '-0.3796'}


def train(n_layer, n_steps, residual, norm, wo_std):
    """Descend from half of chapter 6's rate; return (parameters, loss at the end)."""
    params = new_params(n_layer, 0.15, wo_std)
    losses_so_far = []
    for step, name in enumerate(TRAIN_NAMES[:n_steps]):
        losses, _ = run(params, name, n_layer, residual, norm)
        loss = total(losses) / len(losses)
        loss.backward()
        losses_so_far.append(loss.data)
        for weight in flatten(params):
            weight.data -= 0.5 * (1 - step / n_steps) * weight.grad
            weight.grad = 0.0
    return params, sum(losses_so_far[-20:]) / 20


# Fifty steps with six layers, then all 500 with one: chapter 7's head, and remedies.
print(f"6 layers, neither: {train(6, 50, 0, 0, wo_std=0.15)[1]:.3f}")
print(f"6 layers, all three: {train(6, 50, 1, 1, wo_std=0.0)[1]:.3f}")
params, _ = train(1, 500, 1, 1, wo_std=0.0)
nats = (loss.data for name in HELD_OUT_NAMES for loss in run(params, name, 1, 1, 1)[0])
print(f"loss per character: {held_out_loss(lambda context, target: next(nats)):.3f}")
# expect: 6 layers, neither: 3.296
# expect: 6 layers, all three: 2.753
# expect: loss per character: 2.525

# What production does: norms and residuals, in every layer. GPT-2 does not begin its
# projections at 0, but divides their random numbers by the root of how many there are.
#
# What is left unsolved: a head looks for one thing at a time, and nothing works on what
# it has found. The next chapter adds that, and then the model is a GPT.
#
# Exercises (solutions in solutions/ch08.py):
# 1. Train six layers with the norm only. Which number above foretold the result?
# 2. Which std keeps the size of x in ten layers with neither remedy? Why that one?
