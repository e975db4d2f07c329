"""Solutions to chapter 29. Each begins with hints: read them one at a time.

It teaches 1,600 steps, which takes about a quarter of a minute.
"""

# %%
from __future__ import annotations

import random
import sys
from statistics import mean

from common import ALL_HELD_OUT_NAMES, TOKENIZER, TRAIN_NAMES, loss_and_error
from trained import trained_gpt
from wishes import (
    EOS,
    LONG,
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
    softmax,
    token_losses,
    token_probabilities,
    total,
)
from microgpt.tools.terminal import Progress
from microgpt.training import collector_paused

# What the exercises share, as in the chapter. Its five seeds are 0 to 4. Here each
# lesson is given with one of them, because five take more than a minute. The figures of
# all five stand at the end. Put 1, 2, 3 or 4 in place of 0, and you see that seed's.
SEED = 0
run = trained_gpt()
config = GPTConfig(TOKENIZER.vocab_size + len(WISHES), block_size=9)
columns = zip(*as_floats(run.params)["lm_head"])
mean_row = [mean(column) for column in columns]


def with_wishes(head_row):
    """Return the trained weights, copied, with rows for three wishes."""
    rng = random.Random(SEED)
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


def answer(params, prompt, rng):
    """Return the name that the model makes of a prompt, or None if it finds no end."""
    keys, values = empty_cache(config)
    tokens = list(prompt)
    for pos_id in range(config.block_size):
        logits = gpt(params, config, tokens[pos_id], pos_id, keys, values)
        if pos_id + 1 < len(tokens):
            continue  # still reading the prompt
        probs = token_probabilities(logits[: TOKENIZER.vocab_size], temperature=0.7)
        [token_id] = rng.choices(range(TOKENIZER.vocab_size), weights=probs)
        if token_id == EOS:
            return TOKENIZER.decode(tokens[1:])  # all but the wish
        tokens.append(token_id)
    return None


def percent_obeyed(params, wish):
    """Ask twice for each test beginning; return how many of 100 answers obey."""
    rng = random.Random(SEED)
    obeyed = []
    for two in [*TEST_BEGINNINGS, *TEST_BEGINNINGS]:
        name = answer(params, prompt_of(wish, two), rng)
        obeyed.append(name is not None and is_obeyed(wish, name))
    return 100 * mean(obeyed)


MEASURED_NAMES = ALL_HELD_OUT_NAMES[500:700]  # those of the chapter


def old_loss(params):
    """Return the loss on 200 plain held-out names."""

    def nats_of(name):
        return token_losses(params, config, TOKENIZER.encode_document(name)[:9])

    return loss_and_error(nats_of, MEASURED_NAMES)[0]


def show(what, params):
    """Print how many of 100 prompts are obeyed, and the old loss; return both."""
    shares = {wish: percent_obeyed(params, wish) for wish in WISHES}
    loss = old_loss(params)
    cells = "".join([f"{share:8.0f}" for share in shares.values()])
    print(f"  {what:<26}{cells}{loss:14.3f}")
    return shares, loss


loss_before = old_loss(as_floats(run.params))
print("Of 100 prompts, how many are obeyed? And what does a letter of a plain name")
print(f"cost (nats)? Before all lessons it cost {loss_before:.3f}.")
print()
print("                               short    long  ends in 'n'   old loss")
lesson = examples(200, SEED)
short_lesson = taught(with_wishes(mean_row), lesson)
shares_of_200, loss_of_200 = show("200 examples", short_lesson)

# %%
# Exercise 1. More examples.
#
# Hint 1: taught(…, examples(800, seed=0)): the learning rate falls over 800 steps.
# Hint 2: with one seed a difference may be luck. Section 5 of the chapter says how far
#         "long" scatters over five.
#
# With seed 0, "long" is obeyed 75 times of 100 in place of 66. Does that answer the
# question? By itself it does not. In the chapter five seeds, with 200 examples each,
# were obeyed between 55 and 76 times, so 75 could be no more than a lucky seed. We have
# therefore given this lesson with all five seeds (the table at the end). "Long" became
# better with each of them: from 66 to 82 on average, which is 16 ± 6 more. "Ends in
# 'n'" went from 78 to 93, 15 ± 6 more, and "short" from 97 to 100. So yes: "long" was
# not beyond the model. 200 steps on 200 examples were just too few for it. (Which of
# the two was missing, the steps or the examples? This cannot tell, since we gave it
# more of both.)
#
# The old loss was 2.89 on average with 200 examples and 3.04 with 800, so 0.15 ± 0.09
# higher. That is less than two standard errors: whether the longer lesson makes the
# model forget more cannot be told from this.
long_lesson = taught(with_wishes(mean_row), examples(800, SEED))
shares_of_800, _ = show("1. 800 examples", long_lesson)
assert shares_of_800[LONG] > shares_of_200[LONG]

# %%
# Exercise 2. Rehearsal.
#
# Hint 1: the pair ([BOS], letters and EOS) is a plain name, in the format of old. Put
#         one after each of the 200 examples: names from TRAIN_NAMES, for instance.
# Hint 2: BOS and EOS are the same token, number 0. So the prompt of a plain name is
#         [EOS].
#
# We take names of at most 8 letters, because the model cannot see the end of a longer
# one. To cut a long name off and put EOS after it would teach an end where none is.
#
# With seed 0 a letter of a plain name costs 2.576 in place of 2.896. Before all lessons
# it cost 2.397, so 0.18 nats are forgotten and not 0.50: a little more than a third.
# The five seeds agree: 0.19 in place of 0.49 on average, and the difference has an
# error of 0.03. Each plain name pulls the weights back to where they serve plain names,
# and so the lesson has to find a change that serves both.
#
# Is the model as obedient? With seed 0 it obeys "ends in 'n'" less often, 75 times and
# not 91, and "long" a little less often. But over five seeds and all three wishes it is
# 5.5 ± 3.1 of 100 less, and that cannot be told apart from nothing. So it may cost a
# little obedience. What it costs for certain is time: 400 steps in place of 200.
#
# This is called *rehearsal* or *replay*. Large models are given some of their old texts
# to read again, for the same reason.
short_names = [name for name in TRAIN_NAMES if len(name) <= 8]
mixed = []
for pair, name in zip(lesson, short_names):
    mixed.append(pair)
    mixed.append(([EOS], [*TOKENIZER.encode(name), EOS]))
rehearsed = taught(with_wishes(mean_row), mixed)
_, loss_rehearsed = show("2. with rehearsal", rehearsed)
assert loss_rehearsed - loss_before < (loss_of_200 - loss_before) / 2


# %%
# Exercise 3. Zeros after all.
#
# Hint 1: give with_wishes a row of 16 zeros for lm_head, in place of the mean row.
# Hint 2: measure the old loss before the lesson and after it.
#
# Nothing is left of the damage. With zeros the old loss is 4.116 before the lesson, and
# 2.893 after it. That is as good as the 2.896 that we had with the mean row. Why has
# the lesson repaired it, although nobody asked for that? In none of the 200 examples is
# a wish ever the right next token. Each step raises the logit of the right token and
# lowers those of all others, and lowers them the more, the more probability they take.
# So the three wishes, which took 58 % of the probability at first, take 1 % of it in
# the end.
#
# And does the model obey? It does, but "long" only 34 times of 100, and not 66. Over
# five seeds "long" is obeyed 50 times, 16 ± 8 less than with the mean row. That is
# just more than two standard errors. The other two wishes, and all three taken
# together, cannot be told apart. So zeros may have done some harm to "long". If so, a
# reason could be that some of the 200 steps went into the repair, but that is a guess.
# The mean row costs nothing, and with it there is nothing to repair.
def taken_by_wishes(params):
    """Return the share of the probability that the wishes take in 50 plain names."""
    shares = []
    for name in MEASURED_NAMES[:50]:
        keys, values = empty_cache(config)
        for pos_id, token_id in enumerate(TOKENIZER.encode_document(name)[:8]):
            logits = gpt(params, config, token_id, pos_id, keys, values)
            shares.append(sum(softmax(logits)[TOKENIZER.vocab_size :]))
    return mean(shares)


zeros = [0.0] * config.n_embd
with_zeros = with_wishes(zeros)
floats_before = as_floats(with_zeros)
loss_with_zeros = old_loss(floats_before)
repaired = taught(with_zeros, lesson)
progress.finish()
_, loss_repaired = show("3. zeros, 200 examples", repaired)
print()
print("3. zeros in lm_head         before the lesson   after it")
print(f"  old loss                  {loss_with_zeros:17.3f} {loss_repaired:10.3f}")
taken_before, taken_after = taken_by_wishes(floats_before), taken_by_wishes(repaired)
print(f"  what the wishes take      {taken_before:17.0%} {taken_after:10.0%}")
assert loss_repaired < loss_with_zeros - 0.5
assert taken_after < 0.05 < taken_before

# %%
# All five seeds, as this program has measured them, one after the other:
#
#     "long" by seed                   0    1    2    3    4     mean
#       200 examples                  66   61   71   76   55       66
#       1. 800 examples               75   94   75   85   80       82
#       2. with rehearsal             60   38   55   54   65       54
#       3. zeros, 200 examples        34   35   64   84   34       50
#
#     mean of the five seeds       short    long  ends in 'n'   old loss
#       200 examples                  97      66           78      2.889
#       1. 800 examples              100      82           93      3.040
#       2. with rehearsal             98      54           73      2.582
#       3. zeros, 200 examples        96      50           75      2.917
