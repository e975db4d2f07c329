"""Solutions to chapter 17. Each begins with hints: read them one at a time."""

# %%
from __future__ import annotations

import heapq
import math
import os
import random
import sys

from common import HELD_OUT_NAMES, ROOT, TRAIN_NAMES, pairs

from microgpt import (
    TrainConfig,
    as_floats,
    empty_cache,
    generate,
    gpt,
    read_documents,
    start,
    token_probabilities,
)
from microgpt.tools.terminal import Progress
from microgpt.training import train

documents = read_documents(os.path.join(ROOT, "input.txt"))


def trained_model(names, n_steps):
    """Return (params, config, tokenizer) of the default model after n_steps."""
    run, _, _ = start(documents, TrainConfig(steps=n_steps))
    progress = Progress("trained", total=n_steps, every=100, stream=sys.stderr)
    for _ in train(run, names):
        progress.show(run.step)
    progress.finish()
    return as_floats(run.params), run.config, run.tokenizer


params, config, tokenizer = trained_model(TRAIN_NAMES, n_steps=300)

# %%
# Exercise 1. The temperature of the smallest loss.
#
# Hint 1: collect the logits once for all characters of 50 held-out names.
# Hint 2: token_probabilities(logits, temperature)[target] is the probability that the
#         model, at that temperature, gave to what really came.
#
# The loss is smallest at temperature 1, or very near to it. Training makes the loss
# small at temperature 1, since that is how it is computed there. If another temperature
# T had a clearly smaller loss, training could have had it: it only had to multiply all
# weights of lm_head by 1 / T. So the names look best at 0.3 and the loss is best at 1,
# because looking right and being surprised as little as possible are different goals.
answers = []
for name in HELD_OUT_NAMES[:50]:
    keys, values = empty_cache(config)
    for context, target in pairs(name):
        pos_id = len(context) - 1
        logits = gpt(params, config, context[-1], pos_id, keys, values)
        answers.append((logits, target))
losses = {}
print("Exercise 1: held-out loss at each temperature")
for temperature in [0.3, 0.6, 0.8, 1.0, 1.2, 1.5]:
    nats = []
    for logits, target in answers:
        nats.append(-math.log(token_probabilities(logits, temperature)[target]))
    losses[temperature] = sum(nats) / len(nats)
    print(f"  {temperature}: {losses[temperature]:.3f}")
assert min(losses, key=losses.get) == 1.0

# %%
# Exercise 2. The likeliest of all names.
#
# Hint 1: heapq gives back the smallest entry first, so store minus the probability.
# Hint 2: a longer beginning is never likelier than the shorter one it extends. So the
#         first *complete* name that comes off the heap is the likeliest of all.
# Hint 3: each beginning needs a copy of its own of the keys and values.
#
# Is the greedy name the likeliest of all? It is not. The likeliest name is no name at
# all: BOS, and at once BOS again. The probability of a name is a product with a factor
# for each letter, so every single long name is unlikely, while all long names together
# are nearly everything. (Systems that translate have the same flaw: Stahlberg and
# Byrne, "On NMT search errors and model errors", 2019.)
keys, values = empty_cache(config)
heap = [(-1.0, [tokenizer.bos], keys, values)]
found = []
print("Exercise 2: the three likeliest names, and the greedy one")
while len(found) < 3:
    minus_probability, tokens, keys, values = heapq.heappop(heap)
    is_complete = len(tokens) > 1 and tokens[-1] == tokenizer.bos
    if is_complete:
        found.append(tokenizer.decode(tokens))
        print(f"  {found[-1]!r}: {-minus_probability:.5f}")
    elif len(tokens) <= config.block_size:
        new_keys = [list(layer) for layer in keys]
        new_values = [list(layer) for layer in values]
        pos_id = len(tokens) - 1
        logits = gpt(params, config, tokens[-1], pos_id, new_keys, new_values)
        for token_id, p in enumerate(token_probabilities(logits)):
            longer = [*tokens, token_id]
            entry = (minus_probability * p, longer, new_keys, new_values)
            heapq.heappush(heap, entry)
greedy = generate(params, config, tokenizer, random.Random(0), top_k=1)
keys, values = empty_cache(config)
p_greedy = 1.0
for context, target in pairs(greedy):
    pos_id = len(context) - 1
    logits = gpt(params, config, context[-1], pos_id, keys, values)
    p_greedy *= token_probabilities(logits)[target]
print(f"  greedy {greedy!r}: {p_greedy:.5f}")
assert found[0] == "" and p_greedy < 0.001

# %%
# Exercise 3. Making it copy.
#
# Hint 1: TRAIN_NAMES[:3] and 120 steps; train() begins again at the front by itself.
# Hint 2: at most 8 letters fit, so a copy of a longer name is its first 8 letters.
#
# What makes a model copy is to see the same name often. This one has 4,064 weights,
# which is room enough for 3 names, and after seeing each 40 times it writes hardly
# anything else. From 300 names that it sees once each, it keeps only what they have in
# common.
few_names = TRAIN_NAMES[:3]
copier = trained_model(few_names, n_steps=120)
rng = random.Random(1)
written = [generate(*copier, rng) for _ in range(25)]
known = [name[: config.block_size] for name in few_names]
copied = [name for name in written if name in known]
others = [name for name in written if name not in known]
print(f"Exercise 3: {len(copied)} of 25 are copies of {', '.join(few_names)}")
print(f"  the others: {', '.join(others)}")
assert len(copied) > 20
