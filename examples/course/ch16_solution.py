"""Solutions to chapter 16. Each begins with hints: read them one at a time."""

# %%
from __future__ import annotations

import math
import random
import sys

from common import (
    HELD_OUT_NAMES,
    TOKENIZER,
    TRAIN_NAMES,
    difference_and_error,
    loss_and_error,
)

from microgpt import (
    Adam,
    GPTConfig,
    as_floats,
    document_loss,
    flatten,
    init_params,
    token_losses,
)
from microgpt.tools.terminal import Progress
from microgpt.training import collector_paused

MEASURED_ON = HELD_OUT_NAMES[:100]


def decay(step, n_steps):
    """Return the factor of the learning rate: from 1 evenly down to 0."""
    return 1 - step / n_steps


def cosine(step, n_steps):
    """Return the factor of the learning rate: from 1 to 0 along half a wave."""
    return 0.5 * (1 + math.cos(math.pi * step / n_steps))


def run(names, n_epochs=1, schedule=decay, weight_decay=0.0, seed=1):
    """Train the chapter's small model; return a function name -> its nats."""
    config = GPTConfig(TOKENIZER.vocab_size, n_head=1, n_embd=4)
    params = init_params(config, random.Random(seed))
    optimizer = Adam(flatten(params), weight_decay=weight_decay)
    n_steps = len(names) * n_epochs
    with collector_paused():
        for step in range(n_steps):
            tokens = TOKENIZER.encode_document(names[step % len(names)])
            loss = document_loss(params, config, tokens)
            loss.backward()
            optimizer.step(0.03 * schedule(step, n_steps))
    floats = as_floats(params)

    def nats_of(name):
        return token_losses(floats, config, TOKENIZER.encode_document(name))

    return nats_of


progress = Progress("solved", total=3, every=1, stream=sys.stderr)

# %%
# Exercise 1. A cosine schedule.
#
# Hint 1: the chapter's schedule_factor needs two more lines.
# Hint 2: compare name by name, with difference_and_error, not two losses with each
#         other: names that are hard for one are hard for both.
#
# Over a whole run both have the same mean, 0.5. The cosine stays high for longer and
# low for longer. The difference is within two standard errors, and smaller than what
# another seed does: on this evidence the two are level.
with_decay = run(TRAIN_NAMES[:200], schedule=decay)
with_cosine = run(TRAIN_NAMES[:200], schedule=cosine)
difference, error = difference_and_error(with_cosine, with_decay, MEASURED_ON)
print("Exercise 1: cosine, less linear decay")
print(f"  {difference:+.4f} ± {error:.4f} nats a character")
assert abs(difference) < 2 * error
progress.show(1)

# %%
# Exercise 2. Weight decay against overfitting.
#
# Hint 1: measure three things: the loss on the 30 names, on held-out names, and both
#         again without weight decay.
# Hint 2: large weights are what a model needs to be sure of itself.
#
# It helps a great deal. The weights stay smaller, so the model is less sure of itself:
# it knows the 30 names less well and all others better. It is about as good as stopping
# early (the chapter's best epoch), and the gap between the two losses is still there.
# 300 different names do far better than either: weight decay is no substitute for data.
few_names = TRAIN_NAMES[:30]
print("Exercise 2: 30 names, 10 epochs")
losses = {}
for weight_decay in (0.0, 1.0):
    nats_of = run(few_names, n_epochs=10, weight_decay=weight_decay)
    seen, _ = loss_and_error(nats_of, few_names)
    unseen, _ = loss_and_error(nats_of, MEASURED_ON)
    losses[weight_decay] = (seen, unseen)
    print(f"  weight decay {weight_decay:g}: seen {seen:.3f}, held out {unseen:.3f}")
assert losses[1.0][0] > losses[0.0][0] and losses[1.0][1] < losses[0.0][1]
progress.show(2)

# %%
# Exercise 3. Batch sizes and steps: arithmetic.
#
# Hint 1: steps = names * epochs / batch size.
# Hint 2: a mean over half as many names has an error larger by sqrt(2).
#
# Half the batch, same number of epochs: twice the steps, each in a less sure direction.
# The learning rate should be lower (a common rule: with Adam, by sqrt(2)); a schedule
# that counts steps, such as "warm-up over 20 steps", now ends twice as early in the
# data. Twice the batch, same epochs: half the steps; the rate should be higher, and
# more epochs are needed if steps are what is lacking, as in the chapter's section 3.
n_names, n_epochs = 200, 3
steps = {size: n_names * n_epochs // size for size in (4, 2, 8)}
print("Exercise 3: steps with 200 names and 3 epochs")
for batch_size, n_steps in steps.items():
    print(f"  batches of {batch_size}: {n_steps} steps")
assert steps[2] == 2 * steps[4] and steps[8] == steps[4] / 2
progress.show(3)
progress.finish()
