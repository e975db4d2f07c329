"""Solutions to chapter 15. Each begins with hints: read them one at a time."""

# %%
from __future__ import annotations

import math
import random

from common import TOKENIZER, TRAIN_NAMES

from microgpt import Adam, GPTConfig, Value, document_loss, flatten, init_params
from microgpt.training import collector_paused


class Descent:
    """Plain gradient descent, as in the chapter."""

    def __init__(self, parameters):
        self.parameters = parameters

    def step(self, lr):
        for weight in self.parameters:
            weight.data -= lr * weight.grad
            weight.grad = 0.0


class RMSProp:
    """Each gradient divided by its usual size, as in the chapter."""

    def __init__(self, parameters):
        self.parameters = parameters
        self.v = [0.0] * len(parameters)

    def step(self, lr):
        for i, weight in enumerate(self.parameters):
            self.v[i] = 0.95 * self.v[i] + 0.05 * weight.grad**2
            weight.data -= lr * weight.grad / (math.sqrt(self.v[i]) + 1e-8)
            weight.grad = 0.0


# %%
# Exercise 1. All gradients times 1,000.
#
# Hint 1: you need no new optimiser. Multiply `weight.grad` between backward and step.
# Hint 2: what becomes of m, of v, and of sqrt(v), if every gradient is 1,000 times as
#         large? And of m / sqrt(v)?
#
# Descent steps 1,000 times as far and is lost at once. Adam's m grows a thousandfold
# and so does the root of v; their quotient stays what it was, but for the tiny eps. So
# to Adam it does not matter whether a loss is a mean or a sum, in nats or in bits.


def train_loudly(make_optimizer, lr, factor, n_steps=30):
    """Return the losses of n_steps, in which all gradients are multiplied by factor."""
    config = GPTConfig(TOKENIZER.vocab_size, n_head=2, n_embd=8)
    parameters_of = init_params(config, random.Random(42))
    parameters = flatten(parameters_of)
    optimizer = make_optimizer(parameters)
    losses = []
    with collector_paused():
        for name in TRAIN_NAMES[:n_steps]:
            tokens = TOKENIZER.encode_document(name)
            loss = document_loss(parameters_of, config, tokens)
            losses.append(loss.data)
            if not math.isfinite(loss.data):
                break
            loss.backward()
            for weight in parameters:
                weight.grad *= factor
            optimizer.step(lr)
    return losses


print("Exercise 1: loss before step 30, or when it diverged")
last = {}
for name, make_optimizer, lr in [("descent", Descent, 0.3), ("Adam", Adam, 0.03)]:
    for factor in (1, 1000):
        losses = train_loudly(make_optimizer, lr, factor)
        last[name, factor] = losses[-1]
        print(f"  {name:<8} gradients x {factor:<5} {losses[-1]:.3f}")
assert math.isfinite(last["descent", 1]) and not math.isfinite(last["descent", 1000])
assert abs(last["Adam", 1] - last["Adam", 1000]) < 0.01

# %%
# Exercise 2. The first step without bias correction.
#
# Hint 1: m and v are 0 at first. Write down m and v after one step with gradient g.
# Hint 2: m = (1 - beta1) * g and v = (1 - beta2) * g ** 2. Now lr * m / sqrt(v).
#
# The step is lr * (1 - beta1) / sqrt(1 - beta2): g cancels out. With beta2 = 0.95 that
# is 0.45 learning rates: too short. With 0.999, which forgets so slowly that v is still
# nearly 0 after one step, it is 3.16: three times too long. The correction makes it 1
# in both cases.

print("Exercise 2: the first step without bias correction")
first_step = {}
for beta2 in (0.95, 0.999):
    first_step[beta2] = (1 - 0.9) / math.sqrt(1 - beta2)
    print(f"  beta2 {beta2}: {first_step[beta2]:.2f} learning rates")
weight = Value(0.0)
weight.grad = 5.0
RMSProp([weight]).step(lr=1.0)  # no m at all, and no correction
print(f"  RMSProp: {-weight.data:.2f} learning rates, 1 / sqrt(0.05)")
assert abs(first_step[0.95] - 0.447) < 0.001 and abs(first_step[0.999] - 3.162) < 0.001
assert abs(-weight.data - 1 / math.sqrt(0.05)) < 1e-6

# %%
# Exercise 3. The valley turned by 45 degrees.
#
# Hint 1: the chapter's `walk` needs two changes: the loss, and where it starts.
# Hint 2: after turning, how steep is the ground along a, and how steep along b?
#
# RMSProp suffers most. It divides a's gradient by a's usual size and b's by b's. In the
# straight valley that is a rate for the steep direction and another for the gentle one.
# In the turned valley both directions are mixed into a and b equally: both have about
# the same usual size, there is nothing to even out, and RMSProp can only stride across
# the valley with steps of length lr. Plain descent does not notice the turn: its path
# on the ground is the same to the last step. So much for "RMSProp won by far".


R = math.sqrt(0.5)


def valley(a, b):
    """Return the height at (a, b), as in the chapter."""
    return 25 * a**2 + 0.5 * b**2


def walk(make_optimizer, lr, turned):
    """Return the mean loss of the last 20 of 61 places, from the chapter's start."""
    if turned:  # (a + b) * R is 1 and (a - b) * R is 2: the same place on the ground
        a, b = Value(1.5 / R), Value(-0.5 / R)
    else:
        a, b = Value(1.0), Value(2.0)
    optimizer = make_optimizer([a, b])
    losses = []
    for _ in range(61):
        loss = valley((a + b) * R, (a - b) * R) if turned else valley(a, b)
        losses.append(loss.data)
        loss.backward()
        optimizer.step(lr)
    return sum(losses[-20:]) / 20


print("Exercise 3: mean loss of steps 41 to 60, each at the best of six rates")
best = {}
for name, make_optimizer in [
    ("descent", Descent),
    ("RMSProp", RMSProp),
    ("Adam", Adam),
]:
    for turned in (False, True):
        rates = [0.003, 0.01, 0.03, 0.1, 0.3, 1.0]
        best[name, turned] = min([walk(make_optimizer, lr, turned) for lr in rates])
    print(
        f"  {name:<8} straight {best[name, False]:.6f}  turned {best[name, True]:.6f}"
    )
assert best["RMSProp", True] > 1000 * best["RMSProp", False]
assert abs(best["descent", True] - best["descent", False]) < 1e-9
