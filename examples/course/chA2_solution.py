"""Solutions to appendix 2. Each begins with hints: read them one at a time."""

# %%
from __future__ import annotations

import math
import os
import sys
import types

import by_hand
from common import ROOT, TOKENIZER, TRAIN_NAMES

from microgpt import Value, as_floats, document_loss, flatten, read_documents, start
from microgpt.tools.terminal import Progress

# %%
# Exercise 1. The backward of tanh.
#
# Hint 1: the slope of tanh(x) is 1 - tanh(x) ** 2; see value.py.
#
# The result y is enough to find the slope, which is 1 - y * y. So nothing but y has to
# be kept for the way back.


def tanh_backward(d_ys, ys):
    """Return the slopes with respect to x, given those with respect to y = tanh(x)."""
    return [d_y * (1 - y * y) for d_y, y in zip(d_ys, ys)]


x = Value(0.5)
(x.tanh() * 3).backward()
d_xs = tanh_backward([3.0], [math.tanh(0.5)])
print("Exercise 1: tanh at 0.5, with a slope of 3 behind it")
print(f"  by hand {d_xs[0]:.4f}, by Values {x.grad:.4f}")
assert abs(d_xs[0] - x.grad) < 1e-12


# %%
# Exercise 2. A mistake in rmsnorm_backward.
#
# Hint 1: change a copy of by_hand.py, and train once with each.
# Hint 2: a check compares slopes with those of Values (or with nudges, chapter 2).
#
# Nothing tells you that there is a mistake. The model trains, and its loss falls about
# as far as with the right slopes. The loss itself is right; only some of the slopes are
# not, and most of what those say is still true. That is what makes such mistakes
# dangerous. A check of the slopes themselves finds this one at once.
with open(by_hand.__file__, encoding="utf-8") as file:
    source = file.read()
assert source.count("(d_yi - along * yi)") == 1
careless = types.ModuleType("careless")  # a copy of by_hand.py, with the mistake in it
careless.__file__ = by_hand.__file__
sys.modules["careless"] = careless
exec(source.replace("(d_yi - along * yi)", "d_yi"), vars(careless))

documents = read_documents(os.path.join(ROOT, "input.txt"))
progress = Progress("steps", total=300, every=100, stream=sys.stderr)


def in_one_list(params, slopes):
    """Return the slopes of all weights in the order of flatten(params)."""
    return [d for name in params for row in slopes[name] for d in row]


def train_with(module, n_steps, steps_before):
    """Train with a module's slopes; return (mean of the last 50 losses, the run)."""
    run, _, _ = start(documents)
    losses = []
    for step in range(n_steps):
        tokens = TOKENIZER.encode_document(TRAIN_NAMES[step])
        loss, d_w, _ = module.loss_and_gradients(as_floats(run.params), 4, tokens)
        losses.append(loss)
        slopes = in_one_list(run.params, d_w)
        for parameter, slope in zip(run.optimizer.parameters, slopes):
            parameter.grad = slope
        run.optimizer.step(0.01 * (1 - step / n_steps))
        progress.show(steps_before + step + 1)
    return sum(losses[-50:]) / 50, run


right_loss, trained = train_with(by_hand, n_steps=150, steps_before=0)
wrong_loss, _ = train_with(careless, n_steps=150, steps_before=150)
progress.finish()

tokens = TOKENIZER.encode_document("emma")
weights = as_floats(trained.params)
document_loss(trained.params, trained.config, tokens).backward()
right_slopes = [parameter.grad for parameter in flatten(trained.params)]
print("Exercise 2: without `along` in rmsnorm_backward, 150 steps")
for module in (by_hand, careless):
    _, d_w, _ = module.loss_and_gradients(weights, 4, tokens)
    slopes = in_one_list(trained.params, d_w)
    gaps = [abs(slope - right) for slope, right in zip(slopes, right_slopes)]
    n_equal = sum([gap < 1e-12 for gap in gaps])
    print(f"  {module.__name__}: {n_equal:,} of {len(gaps):,} slopes are right")
    assert (n_equal == len(gaps)) == (module is by_hand)
print(f"  loss at the end: right {right_loss:.4f}, with the mistake {wrong_loss:.4f}")
assert right_loss != wrong_loss and abs(right_loss - wrong_loss) < 0.1

# %%
# Exercise 3. The slope with respect to a logit.
#
# Hint 1: loss = -log(prob of the target) = log(sum of all exps) - logit of the target.
# Hint 2: the slope of log(sum of exps) with respect to logit i is exp(logit i) / sum.
#
# The slope of the first part is the probability, for every logit. That of the second is
# -1, for the target alone. All of them add up to 0: what one token gains, others lose.
logits = [Value(2.0), Value(0.0), Value(-1.0)]
exps = [logit.exp() for logit in logits]
loss = (exps[0] + exps[1] + exps[2]).log() - logits[1]
loss.backward()
probs = by_hand.softmax([2.0, 0.0, -1.0])
by_formula = [probs[0], probs[1] - 1, probs[2]]
print("Exercise 3: slopes with respect to the logits [2, 0, -1], target 1")
print("  by the formula", [f"{slope:.4f}" for slope in by_formula])
print("  by Values     ", [f"{logit.grad:.4f}" for logit in logits])
for slope, logit in zip(by_formula, logits):
    assert abs(slope - logit.grad) < 1e-12
