"""Solutions to chapter 29. Each begins with hints: read them one at a time."""

# %%
from __future__ import annotations

import random
import sys
from statistics import mean

from common import ALL_HELD_OUT_NAMES, TOKENIZER, TRAIN_NAMES, loss_and_error
from trained import trained_gpt
from wishes import (
    EOS,
    TEST_BEGINNINGS,
    WISHES,
    examples,
    is_obeyed,
    prompt_of,
)

from microgpt import (
    Adam,
    GPTConfig,
    Value,
    as_floats,
    cross_entropy,
    empty_cache,
    flatten,
    gpt,
    token_losses,
    token_probabilities,
    total,
)
from microgpt.tools.terminal import Progress
from microgpt.training import collector_paused

# What the exercises share, as in the chapter.
run = trained_gpt()
config = GPTConfig(TOKENIZER.vocab_size + len(WISHES), block_size=9)
columns = zip(*as_floats(run.params)["lm_head"])
mean_row = [mean(column) for column in columns]


def with_wishes(seed, head_row=mean_row):
    """Return the trained weights, copied, with rows for three wishes."""
    rng = random.Random(seed)
    params = {}
    for name, matrix in run.params.items():
        params[name] = [[Value(weight.data) for weight in row] for row in matrix]
    params["wpe"].append([Value(rng.gauss(0, 0.02)) for _ in range(config.n_embd)])
    for _ in WISHES:
        params["wte"].append([Value(rng.gauss(0, 0.5)) for _ in range(config.n_embd)])
        params["lm_head"].append([Value(number) for number in head_row])
    return params


def loss_of(params, prompt, completion):
    """Return the mean surprise over the completion."""
    keys, values = empty_cache(config)
    tokens = [*prompt, *completion]
    losses = []
    for pos_id, token_id in enumerate(tokens[:-1]):
        logits = gpt(params, config, token_id, pos_id, keys, values)
        if pos_id + 1 >= len(prompt):
            losses.append(cross_entropy(logits, tokens[pos_id + 1]))
    return total(losses) / len(losses)


progress = Progress("steps", total=1600, every=400, stream=sys.stderr)
n_done = 0


def taught(params, pairs):
    """Teach the pairs (prompt, completion), one a step; return plain floats."""
    global n_done
    optimizer = Adam(flatten(params))
    for step, (prompt, completion) in enumerate(pairs):
        with collector_paused():
            loss = loss_of(params, prompt, completion)
            loss.backward()
            del loss
        optimizer.step(0.03 * (1 - step / len(pairs)))
        n_done += 1
        progress.show(n_done)
    return as_floats(params)


def n_obeyed(params, wish, beginnings=TEST_BEGINNINGS):
    """Return how many of 100 answers to a wish are what was wished for."""
    rng = random.Random(1)
    right = []
    for two in [*beginnings, *beginnings]:
        tokens = prompt_of(wish, two)
        keys, values = empty_cache(config)
        name = None
        for pos_id in range(config.block_size):
            logits = gpt(params, config, tokens[pos_id], pos_id, keys, values)
            if pos_id + 1 < len(tokens):
                continue
            letters = logits[: TOKENIZER.vocab_size]
            probs = token_probabilities(letters, temperature=0.7)
            [token_id] = rng.choices(range(len(letters)), weights=probs)
            if token_id == EOS:
                name = TOKENIZER.decode(tokens[1:])
                break
            tokens.append(token_id)
        right.append(name is not None and is_obeyed(wish, name))
    return 100 * mean(right)


def old_loss(params):
    """Return the loss on 200 plain held-out names."""

    def nats_of(name):
        return token_losses(params, config, TOKENIZER.encode_document(name)[:9])

    return loss_and_error(nats_of, ALL_HELD_OUT_NAMES[500:700])[0]


def show(what, params):
    """Print how many of 100 prompts are obeyed, and the old loss; return the first."""
    shares = [n_obeyed(params, wish) for wish in WISHES]
    cells = "   ".join([f"{share:3.0f}" for share in shares])
    print(f"  {what:<24} {cells}   {old_loss(params):.3f}")
    return shares


short_lesson = taught(with_wishes(0), examples(200, seed=0))
print("Of 100 prompts obeyed: short, long, ends in 'n'; and the old loss")
first_shares = show("200 examples", short_lesson)

# %%
# Exercise 1. More examples.
#
# Hint 1: taught(…, examples(800, seed=0)): the learning rate falls over 800 steps.
# Hint 2: one seed is one seed; the chapter's table says how far five of them scatter.
#
# "Long" was not beyond the model, it had just not had the time.
long_lesson = taught(with_wishes(0), examples(800, seed=0))
more_shares = show("1. 800 examples", long_lesson)
assert more_shares[1] > first_shares[1]


# %%
# Exercise 2. Rehearsal.
#
# Hint 1: the pair ([BOS], letters and EOS) is a plain name, in the format of old. Put
#         one after each of the 200 examples: names from TRAIN_NAMES, for instance.
# Hint 2: BOS and EOS are the same token.
#
# About a third as much is forgotten, for twice the steps. In this one seed the wishes
# are obeyed less often for it, "long" above all, but "long" differs as much between two
# seeds of the chapter. It is called *rehearsal* or *replay*, and large models get some
# of their old texts to read again for the same reason.
mixed = []
for pair, name in zip(examples(200, seed=0), TRAIN_NAMES):
    mixed.append(pair)
    mixed.append(([EOS], [*TOKENIZER.encode(name[:8]), EOS]))
rehearsed = taught(with_wishes(0), mixed)
show("2. with rehearsal", rehearsed)
assert old_loss(rehearsed) < old_loss(short_lesson)

# %%
# Exercise 3. Zeros after all.
#
# Hint 1: give with_wishes a row of 16 zeros for lm_head, in place of the mean row.
# Hint 2: measure the old loss before the lesson and after it.
#
# The old loss ends where it ended with the mean row: 200 examples repair the damage,
# since in all of them the new tokens are never right, and every step pushes their
# logits down. But in this one seed the model obeys less often. Some of the 200 steps
# had to be spent on the repair, and that may be the reason; one seed cannot show it.
zeros = [0.0] * config.n_embd
with_zeros = with_wishes(0, head_row=zeros)
loss_at_first = old_loss(as_floats(with_zeros))
print(f"3. zeros in lm_head: the old loss is {loss_at_first:.3f} before any training")
repaired = taught(with_zeros, examples(200, seed=0))
show("3. zeros, 200 examples", repaired)
assert old_loss(repaired) < loss_at_first - 0.5
progress.finish()
