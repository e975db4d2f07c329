"""Chapter 16. Training practice: which choices decide whether a training run succeeds?

Chapter 15 opened the optimiser. A training run needs more decisions than that one. How
does the learning rate change while training goes on? How many names are in a step? With
which numbers does a model begin? How often does it see each name? And how large should
it be in the first place?

There is no theory that answers these questions for a new model and new data. People try
choices on small models, measure, and keep what worked. This chapter does the same: one
choice at a time, always compared with the same ordinary run, on a GPT so small that a
run takes half a second. The words for these choices: *learning-rate schedule*,
*warm-up*, *batch size*, *initialisation*, *epoch*, and for what goes wrong
*underfitting* and *overfitting*. A setting that is chosen, not learnt, is called a
*hyperparameter*.

The chapter's questions are asked by `python examples/learn.py 16`; otherwise write down
your guess before you run this: what does a model learn whose weights all start at 0,
and what becomes of the held-out loss if 30 names are shown over and over?

Papers: Smith, "A disciplined approach to neural network hyper-parameters", 2018, on how
to try such choices; He et al., "Delving deep into rectifiers", 2015, on initialisation.
"""

# %%
from __future__ import annotations

import math
import random
import sys
from statistics import mean, stdev

from common import (
    HELD_OUT_NAMES,
    TOKENIZER,
    TRAIN_NAMES,
    difference_and_error,
    loss_and_error,
    pairs,
    save_picture,
)

from microgpt import (
    Adam,
    GPTConfig,
    as_floats,
    document_loss,
    flatten,
    init_params,
    perplexity,
    token_losses,
)
from microgpt.tools.draw import Line, line_chart
from microgpt.tools.terminal import Progress
from microgpt.training import collector_paused

# %%
# The model that everything here is tried on: the GPT of the last chapters with 4
# numbers in place of 16, and one attention head. Its ordinary run sees 200 names, one a
# step, with Adam at a learning rate of 0.03 that falls evenly to 0. All runs are
# measured on the same 100 held-out names. (The course's measure takes 500. With 100 the
# chapter is quick, and the errors are about twice as large.)
N_NAMES = 200
MEASURED_ON = HELD_OUT_NAMES[:100]
WARM_UP_STEPS = 20
progress = Progress("trained", total=18, every=6, stream=sys.stderr)
n_trained = 0


def schedule_factor(schedule, step, n_steps):
    """Return what the learning rate is multiplied by at this step."""
    if schedule == "constant":
        return 1.0
    decay = 1 - step / n_steps  # from 1 evenly down, almost to 0
    if schedule == "decay":
        return decay
    assert schedule == "warm-up and decay"
    warm_up = min(1.0, (step + 1) / WARM_UP_STEPS)  # from 1/20 up to 1, and then 1
    return warm_up * decay


def set_weights(params, initialisation, seed):
    """Give every weight its first number, in one of four ways."""
    rng = random.Random(seed)
    for name, matrix in params.items():
        adds_to_x = name.endswith(("attn_wo", "mlp_fc2"))
        for row in matrix:
            for weight in row:
                if initialisation == "all zero":
                    weight.data = 0.0
                elif initialisation == "all equal":
                    weight.data = 0.02
                elif adds_to_x:  # as in model.py: at first a layer adds nothing to x
                    weight.data = 0.0
                elif initialisation == "large":
                    weight.data = rng.gauss(0, 1.0)
                else:
                    weight.data = rng.gauss(0, 0.02)


def run(
    names=TRAIN_NAMES[:N_NAMES],
    n_epochs=1,
    batch_size=1,
    learning_rate=0.03,
    schedule="decay",
    initialisation="small",
    n_embd=4,
    seed=1,
    after_epoch=None,
):
    """Train a new model; return (a function name -> its nats, the first loss)."""
    global n_trained
    config = GPTConfig(TOKENIZER.vocab_size, n_head=1, n_embd=n_embd)
    params = init_params(config, random.Random(seed))
    set_weights(params, initialisation, seed)
    optimizer = Adam(flatten(params))
    n_steps = len(names) * n_epochs // batch_size
    first_loss = None
    with collector_paused():
        for step in range(n_steps):
            batch_loss = 0.0
            for i in range(batch_size):
                name = names[(step * batch_size + i) % len(names)]
                tokens = TOKENIZER.encode_document(name)
                loss = document_loss(params, config, tokens) / batch_size
                loss.backward()  # the gradients of the batch add up
                batch_loss += loss.data
            if step == 0:
                first_loss = batch_loss
            factor = schedule_factor(schedule, step, n_steps)
            optimizer.step(learning_rate * factor)
            names_seen = (step + 1) * batch_size
            if after_epoch and names_seen % len(names) == 0:
                after_epoch(names_seen // len(names), nats_function(params, config))
    n_trained += 1
    progress.show(n_trained)
    return nats_function(params, config), first_loss


def nats_function(params, config):
    """Return a function that gives the model's surprise at each character of a name."""
    floats = as_floats(params)

    def nats_of(name):
        return token_losses(floats, config, TOKENIZER.encode_document(name))

    return nats_of


def held_out(nats_of):
    """Return the loss on the held-out names, as text."""
    loss, _ = loss_and_error(nats_of, MEASURED_ON)
    return f"{loss:.3f}"


def against_ordinary(nats_of):
    """Return how much more surprised this model is than the ordinary one, as text."""
    difference, error = difference_and_error(nats_of, ordinary, MEASURED_ON)
    return f"{difference:+.3f} ± {error:.3f}"


# %%
# How much does chance alone do? Two kinds of chance are at work. The "±" below is the
# standard error (chapter 19 explains it): how much a number would typically change if
# it were measured on other held-out names. It says nothing of the second kind: another
# *seed*, which is other random numbers to start with, gives another model, and that one
# may be truly better or worse. So the ordinary run is done three times, with three
# seeds. How far their losses are scattered is given as their *standard deviation*. That
# is the root of the mean square of their distances from their mean, where the "mean" of
# the n squares is their sum divided by n - 1. (Not by n, because the mean of the losses
# was computed from these same losses, and so lies nearer to them than the mean of
# endlessly many runs would.)
SEEDS = [1, 2, 3]
ordinary, ordinary_first_loss = run(seed=1)
ordinary_models = [ordinary]
for seed in SEEDS[1:]:
    nats_of, _ = run(seed=seed)
    ordinary_models.append(nats_of)
ordinary_losses = []
print(
    "1. Chance: the ordinary run, three times, with other random numbers at the start"
)
print()
for seed, nats_of in zip(SEEDS, ordinary_models):
    loss, error = loss_and_error(nats_of, MEASURED_ON)
    ordinary_losses.append(loss)
    print(f"seed {seed}: held-out loss {loss:.3f} ± {error:.3f}")
squares = [(loss - mean(ordinary_losses)) ** 2 for loss in ordinary_losses]
standard_deviation = math.sqrt(sum(squares) / (len(squares) - 1))
assert abs(standard_deviation - stdev(ordinary_losses)) < 1e-12  # Python has it too
print(f"mean of the three     {mean(ordinary_losses):.3f}")
print(f"standard deviation    {standard_deviation:.3f}")
print()

# %%
# So remember this last number while you read on. Between two seeds a few hundredths of
# a nat are nothing but luck. A difference of that size between two choices, with one
# run of each, does not show which choice is better. Where a difference is small, we
# have to train each choice with several seeds and compare the means, and the next
# section does so. Where it is large, one run of each is enough: the sections after the
# next compare with seed 1 alone. (Seed 1 had the unluckiest start of the three. Both
# runs of a comparison begin from it, but nobody can say whether it was equally unlucky
# for both.)
assert ordinary_losses[0] == max(ordinary_losses)

# %%
# The schedule. Early in training long steps make quick progress. Later they keep the
# weights jumping around the best place. A *learning-rate schedule* says how the rate
# changes from step to step; ours, called linear decay, lets it fall evenly to 0.
# *Warm-up* lets it rise first, here over 20 steps: at the very start Adam's means are
# made of one or two gradients, and long steps in such a direction may do harm.
#
# Do they help? Each of the three schedules gets a highest rate of 0.03, and three runs.
SCHEDULES = ["constant", "decay", "warm-up and decay"]
schedule_means = {}
print("2. Schedules: held-out loss, with a highest learning rate of 0.03")
print()
print("                       seed 1   seed 2   seed 3     mean")
for schedule in SCHEDULES:
    losses_of_row = []
    for seed, ordinary_model in zip(SEEDS, ordinary_models):
        if schedule == "decay":  # this is the ordinary run
            nats_of = ordinary_model
        else:
            nats_of, _ = run(schedule=schedule, seed=seed)
        loss, _ = loss_and_error(nats_of, MEASURED_ON)
        losses_of_row.append(loss)
    schedule_means[schedule] = mean(losses_of_row)
    cells = [f"{loss:>9.3f}" for loss in [*losses_of_row, schedule_means[schedule]]]
    print(f"{schedule:<20}" + "".join(cells))
print()
assert schedule_means["warm-up and decay"] < min(
    schedule_means["constant"], schedule_means["decay"]
)
high_rate_losses = {}
print("With a highest rate of 0.1, seed 1 alone:")
print()
for schedule in ("constant", "decay"):
    nats_of, _ = run(schedule=schedule, learning_rate=0.1)
    high_rate_losses[schedule], _ = loss_and_error(nats_of, MEASURED_ON)
    print(f"{schedule:<20}{high_rate_losses[schedule]:>9.3f}")
print()
assert high_rate_losses["constant"] > high_rate_losses["decay"] + 0.1
lines = []
for schedule in SCHEDULES:
    points = [(s, schedule_factor(schedule, s, N_NAMES)) for s in range(N_NAMES)]
    lines.append(Line(schedule, points))
title = "Three learning-rate schedules"
y_label = "learning rate, as a share of the highest"
save_picture("ch16_schedules.svg", line_chart(lines, title, "step", y_label))
print()

# %%
# Does decay help? In the mean, by a little, but not with every seed: seed 1 alone says
# the opposite. Does warm-up help? In the mean by more, and here with each of the seeds.
# Three seeds are few, so we ran the same with eight (it takes too long to do so here):
# the means are 2.626 (constant), 2.600 (decay) and 2.564 (warm-up and decay), where
# single runs are scattered by 0.02 and a mean of eight by less than 0.01. So both help,
# and of the two steps the one to warm-up is the larger.
#
# For this run, that is. With the first 150 names in place of 200, the means of eight
# seeds are 2.614, 2.649 and 2.630. There decay does harm, because the run is too short
# for small steps: the model still has far to go when they begin. Warm-up makes up for
# some of that. A schedule is fitted to a run, and does not carry over by itself.
#
# What a schedule mostly buys is the freedom to use a high rate: long steps while there
# is far to go, and short ones at the end. With a highest rate of 0.1 and a constant
# rate the loss is far worse than at 0.03, and with decay it is no worse. Here one seed
# is enough, because the difference is many times what a seed does. (The means of four
# seeds are 2.745 and 2.590.) Production runs use rates as high as they can bear, and so
# they all have a schedule.
#
# The means of eight and of four seeds, and those with 150 names, are the only figures
# here that the chapter does not compute. To check them, give `run` another
# learning_rate, seed or list of names.

# %%
# The batch. A step may follow one name's gradient, or the mean over several. The mean
# is surer of its direction: what is peculiar to single names partly cancels out, and
# with n names the error is sqrt(n) times smaller than with one (chapter 19 says why it
# is the root). But it is still only one step. Here every run sees the same 200 names
# once, so a batch of 20 leaves 10 steps.
print("3. Batches: the same 200 names in steps of 1 or 20 names (seed 1)")
print()
print("batch   steps   rate   held-out loss   more than the ordinary run")
batch_losses = {}
for batch_size, rate in [(1, 0.03), (20, 0.03), (20, 0.1)]:
    if batch_size == 1:
        nats_of = ordinary
    else:
        nats_of, _ = run(batch_size=batch_size, learning_rate=rate)
    batch_losses[batch_size, rate], _ = loss_and_error(nats_of, MEASURED_ON)
    cells = f"{held_out(nats_of):>15}   {against_ordinary(nats_of)}"
    print(f"{batch_size:>5} {N_NAMES // batch_size:>7} {rate:>6} {cells}")
assert batch_losses[20, 0.03] > batch_losses[20, 0.1] > batch_losses[1, 0.03]
print()

# %%
# With the same rate, few sure steps come less far than many unsure ones. A surer
# direction may be followed further, and a rate three times as high makes up for some of
# it. For learning from few names on one processor, a batch of one is hard to beat. Why
# then does everybody use large batches? Because the names of a batch can be computed
# side by side, on as many processors as there are (appendix, many processes), while
# steps can only be taken one after another.

# %%
# Initialisation. What the weights are before the first step decides what the first
# gradients are. A blind guess among 27 tokens costs log(27) = 3.296 nats, and a model
# that knows nothing should start near there: not surer of itself. (Small random weights
# start a little beside it. Their logits are not quite equal, so each letter is thought
# a little likelier or less likely than the others, without any reason, and at the first
# name that did more harm than good.)
print("4. Initialisation: the loss at the first name, and after 200 names (seed 1)")
print()
print("weights start               first loss   held-out loss")
start_losses = {}
for initialisation, meaning in [
    ("small", "small, random (model.py)"),
    ("large", "the same, 50 times larger"),
    ("all equal", "all 0.02"),
    ("all zero", "all 0 (20 names)"),
]:
    if initialisation == "small":
        nats_of, first_loss = ordinary, ordinary_first_loss
    else:
        names = TRAIN_NAMES[:N_NAMES]
        if initialisation == "all zero":
            names = names[:20]  # nothing moves, and 20 steps are enough to see it
        nats_of, first_loss = run(names=names, initialisation=initialisation)
    start_losses[initialisation], _ = loss_and_error(nats_of, MEASURED_ON)
    print(f"{meaning:<27} {first_loss:>10.3f}   {held_out(nats_of):>13}")
print()

# %%
# (In the row with larger weights only the random ones are larger. Those that start at
# 0 in the row above it start at 0 here too, so that one thing is changed, not two.)
# Large weights make large logits: the model is quite sure of its first guesses, and
# they are wrong. It spends the whole run on unlearning them. Equal weights start
# reasonably and go wrong later: numbers that are equal get equal gradients and stay
# equal, so the 4 numbers of x work as one. And with all weights at 0 nothing is learnt
# at all, for ever. x is 0, so the gradients of lm_head, which are x times something,
# are 0; and those of the embeddings are something times lm_head, which is 0 as well.
# Neither can move before the other does. That is why init_params uses small random
# numbers, with 0 only in places where something else is not 0.
assert abs(start_losses["all zero"] - 3.2958) < 0.0001

# %%
# Epochs, and fitting too much. One pass over all names is an *epoch*. If names are few,
# it is tempting to show them again and again. Here are 30 names, shown 10 times, with
# the loss on these 30 and on the held-out names after each epoch.
few_names = TRAIN_NAMES[:30]
seen_curve, held_out_curve = [], []


def note_losses(epoch, nats_of):
    """Write down the loss on the names trained on, and on those held out."""
    seen_curve.append((epoch, loss_and_error(nats_of, few_names)[0]))
    held_out_curve.append((epoch, loss_and_error(nats_of, MEASURED_ON)[0]))


run(names=few_names, n_epochs=10, after_epoch=note_losses)
print("5. Epochs: 30 names, again and again")
print()
print("epochs   loss on these 30   held-out loss")
for (epoch, seen_loss), (_, held_out_loss) in zip(seen_curve, held_out_curve):
    if epoch in (1, 2, 3, 4, 6, 8, 10):
        print(f"{epoch:>6} {seen_loss:>18.3f} {held_out_loss:>15.3f}")
print()
held_out_losses = [loss for _, loss in held_out_curve]
best_epoch = held_out_losses.index(min(held_out_losses)) + 1
print(f"The held-out loss was lowest after epoch {best_epoch}.")
lines = [
    Line("the 30 names it is trained on", seen_curve),
    Line("100 held-out names", held_out_curve),
]
title = "30 names, shown again and again"
picture = line_chart(lines, title, "epochs", "loss, nats a character")
save_picture("ch16_epochs.svg", picture)
assert seen_curve[-1][1] < seen_curve[0][1] and held_out_losses[-1] > 3
as_unsure_as = perplexity(seen_curve[-1][1])  # exp(loss), in letters
assert round(as_unsure_as) == 9
n_characters = sum([len(pairs(name)) for name in few_names])
by_heart = len(few_names) * math.log(len(few_names)) / n_characters
print()
print(
    f"On the 30 names it is in the end as unsure as among {as_unsure_as:.1f} letters."
)
print(f"If it knew them by heart, its loss on them would be {by_heart:.2f}.")
print()

# %%
# The loss on the 30 names falls and falls, while the held-out loss soon turns and
# climbs. The model stops learning what names are like and learns what is peculiar to
# these 30: which letters happen to follow each other in them. It does not learn them by
# heart. A loss of 2.16 nats is still as unsure as a choice among 9 letters, where a
# model that knew the 30 names by heart would be unsure of little but the first letters:
# to pick one name of 30 takes log(30) = 3.4 nats, about half a nat for each of its
# characters. It is far from that. And yet what it learns about these names is already
# of no use for others: it does harm there.
#
# This is *overfitting*, and the training loss does not show it. Stopping where the
# held-out loss is lowest is called *early stopping*. (Then a third set of names is
# needed for an honest measure, since the second one has been used for choosing.) The
# better cure is more data: here are the same 300 steps with 300 different names.
#
# The opposite failure is *underfitting*: a model too small for what there is to learn.
# One that is 1 number wide sees the same 300 names.
many_names = TRAIN_NAMES[:300]
print("6. Too much and too little: 300 steps each")
print()
print("names   epochs   width   weights   loss on them   held-out loss   gap")
fits = {}
for label, names, n_epochs, n_embd in [
    ("overfitting", few_names, 10, 4),
    ("fitting", many_names, 1, 4),
    ("underfitting", many_names, 1, 1),
]:
    if label == "overfitting":
        seen, unseen = seen_curve[-1][1], held_out_losses[-1]
    else:
        nats_of, _ = run(names=names, n_epochs=n_epochs, n_embd=n_embd)
        seen, _ = loss_and_error(nats_of, names[:100])
        unseen, _ = loss_and_error(nats_of, MEASURED_ON)
    fits[label] = (seen, unseen)
    config = GPTConfig(TOKENIZER.vocab_size, n_head=1, n_embd=n_embd)
    n_weights = len(flatten(init_params(config, random.Random(0))))
    sizes = f"{len(names):>5} {n_epochs:>8} {n_embd:>7} {n_weights:>9}"
    print(f"{sizes} {seen:>14.3f} {unseen:>15.3f}  {unseen - seen:>+5.2f}  {label}")
progress.finish()
print()

# %%
# The gap between the two losses tells the failures apart. Overfitting: a small loss on
# the names seen, a large one on others. Underfitting: hardly a gap, and both are high.
# Against the first help more data, fewer epochs, or a smaller model; against the second
# a larger model, more steps, or a higher rate.
assert fits["overfitting"][1] - fits["overfitting"][0] > 0.8
assert abs(fits["underfitting"][1] - fits["underfitting"][0]) < 0.1
assert fits["fitting"][1] < fits["underfitting"][1]

# %%
# What production does: the same, at a scale where a run costs millions. Choices are
# tried on models 100 times smaller and carried over. The usual recipe is AdamW with
# warm-up over about 1 % of the steps and decay along a cosine (a smooth curve from the
# top down); batches of millions of tokens; random weights whose size depends on the
# width; one epoch or a few, because text is plentiful and repetition is not worth much.
#
# What is still missing: we have trained models for many chapters, and hardly read what
# they write. On to sampling.
#
# Exercises (solutions and hints in ch16_solution.py):
# 1. Add a fourth schedule, "cosine", with the factor
#    0.5 * (1 + math.cos(math.pi * step / n_steps)). Is it better than linear decay? By
#    more than two standard errors? And with five seeds?
# 2. Weight decay pulls all weights towards 0 at each step (see adam.py). Does
#    Adam(..., weight_decay=1.0) prevent overfitting in the run of 30 names?
# 3. Somebody halves the batch size and keeps the learning rate. Somebody else doubles
#    the batch size and keeps the number of epochs. For each: how many steps are taken,
#    and what would you change besides?
