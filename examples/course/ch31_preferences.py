"""Chapter 31. Preferences: can a model learn from "this one rather than that one"?

So far there was always a right answer: the next letter, the class, the completion.
Often there is none. Nobody can write down *the* right name. But of two names anybody
can say which one they like better, and of one name how much they like it. Such a
judgement on a whole text, as a number, is called its *reward*. How does a model learn
from that? The reward comes only after the last letter, and it is not a sum or a product
of anything in the model, so no slope leads from it back to the weights.

There are two ways. The first, *REINFORCE*, lets the model write names, and makes those
that earned a reward likelier and the others less likely. The second, *direct preference
optimization* (DPO), needs no reward and no writing during training: it takes pairs of
names, a better and a worse one, and pushes the two apart.

Is a higher reward a better model, then? That is the real subject of this chapter. So
beside the reward we measure all the time how far the model has moved from where it
started, and in the end we read what the models write.

Before you run it: `python examples/learn.py 31` asks you for a few guesses first. If
you go without it, write down what a model will write that is rewarded for every new
name which ends in a vowel, and for nothing else.

Papers: Williams, "Simple statistical gradient-following algorithms for connectionist
reinforcement learning", 1992 (REINFORCE); Ouyang et al., "Training language models to
follow instructions with human feedback", 2022; Rafailov et al., "Direct preference
optimization: your language model is secretly a reward model", 2023.
"""

# %%
import math
import random
import sys
from collections import Counter
from statistics import mean, stdev

from common import ALL_HELD_OUT_NAMES, ALL_TRAIN_NAMES, TOKENIZER, save_picture
from preferences import dpo_loss, log_probability
from trained import trained_gpt

from microgpt import Adam, Value, as_floats, dot, flatten, next_tokens, softmax
from microgpt.tools.draw import Line, line_chart, side_by_side
from microgpt.tools.terminal import Progress
from microgpt.training import collector_paused

run = trained_gpt()
config = run.config
START = as_floats(run.params)  # the model as it was; plain floats cannot change
KNOWN_NAMES = {*ALL_TRAIN_NAMES, *ALL_HELD_OUT_NAMES}


# %%
# The reward. We want new names that end in a vowel: 1 if a name does and does not
# stand in the file of names, and otherwise 0. A person who likes or dislikes names
# would do as well, and would take longer.
def reward(name):
    """Return 1.0 for a name that is new and ends in a vowel, and otherwise 0.0."""
    ends_in_vowel = name[-1:] in ("a", "e", "i", "o", "u")
    return 1.0 if ends_in_vowel and name not in KNOWN_NAMES else 0.0


# A model writes names by sampling. While it does, we add up the logs of the
# probabilities of the letters that it chose. The sum is the log of the probability of
# the whole name, which we shall need.
def write(params, rng):
    """Return (a name that the model writes, the log of the name's probability)."""
    tokens, log_p = [], 0.0
    for token_id, probs in next_tokens(params, config, TOKENIZER, rng):
        tokens.append(token_id)
        log_p += math.log(probs[token_id])
    return TOKENIZER.decode(tokens), log_p


# And how far has a model moved? Let it write a name, and compare how likely the name is
# to it and to the model as it was at the start: log p(name) - log p_start(name). The
# mean of this over the names that the model itself writes is the *KL divergence*
# (Kullback-Leibler), in nats a name. It is 0 if nothing has changed. If every name that
# the model writes is exp(3) = 20 times likelier now than at the start, it is 3. If some
# are 400 times likelier and as many just as likely as before, it is 3 as well, since
# log(400) = 6 and log(1) = 0 have the mean 3: the logs are averaged, and not the
# factors. This is our distance from the start. (Estimated from some names only, it can
# come out a little below 0.)
def log_p_start(name):
    """Return the log of the probability that the name had at the start."""
    return log_probability(START, config, TOKENIZER.encode_document(name))


def measure(params, seed, n_names=100):
    """Return (mean reward, distance, how many are different, names, their distances).

    The distance of a single name is log p(name) - log p_start(name).
    """
    rng = random.Random(f"measure {seed}")
    names, rewards, distances = [], [], []
    for _ in range(n_names):
        name, log_p = write(params, rng)
        names.append(name)
        rewards.append(reward(name))
        distances.append(log_p - log_p_start(name))
    return mean(rewards), mean(distances), len(set(names)), names, distances


start_reward, start_distance, start_different, names, _ = measure(START, seed="start")
print("The model as it is: 100 names that it writes")
print(f"  reward {start_reward:.2f}, distance from the start {start_distance:.2f} nats")
print(f"  {start_different} of the 100 are different from each other")
print(f"  {', '.join(names[:8])}")
assert abs(start_distance) < 1e-9

# %%
# REINFORCE, on something small enough to compute exactly. A model chooses one of three
# letters by three logits, and only the second letter earns a reward of 1. What we want
# to be large is the *expected reward*: the mean over endlessly many choices, which is
# the sum of probability times reward. Here we can compute it, and its slopes.
#
# If there are too many texts to sum over, we have to work with samples. The trick is a
# piece of school calculus: the slope of log p is the slope of p, divided by p. So
#
#     slope of (sum of p * reward) = sum of (slope of p) * reward
#                                  = sum of p * (slope of log p) * reward
#
# and a sum of p times something is the mean of that something over samples! Write a
# text, take the slope of its log p, multiply by its reward; the mean of this over many
# texts is the slope that we want. The reward is only a factor. No slope of it is
# needed.
#
# From every reward we may subtract the same number, the *baseline*. On average that
# changes nothing: the probabilities sum to 1 whatever the logits are, so the mean of
# the slope of log p is 0, and that times the baseline is 0 as well. But it makes the
# single samples less wild, above all if we subtract the mean reward. Then a text is
# pushed up if it did better than usual, and down if it did worse.
letter_logits = [Value(0.5), Value(0.0), Value(-0.5)]
letter_rewards = [0.0, 1.0, 0.0]
letter_probs = softmax(letter_logits)
expected_reward = dot(letter_probs, [Value(r) for r in letter_rewards])
expected_reward.backward()
exact_slope = letter_logits[1].grad
exact_reward = expected_reward.data
probs = [p.data for p in letter_probs]


# Chapter 2 found the slope of the surprise, -log p, with respect to a logit: the
# model's probability less the true share, which is 1 for the chosen letter and 0 for
# the others. The slope of log p is the same with the signs turned round.
def slope_of_log_p(chosen, i):
    """Return the slope of log(probs[chosen]) with respect to logit i."""
    return (1.0 if chosen == i else 0.0) - probs[i]


print("\nThree letters: the slope of the expected reward for the second logit")
print(f"  exact                      {exact_slope:.3f}")
sample_scatter = {}
for label, baseline in [("no baseline", 0.0), ("baseline: the mean", exact_reward)]:
    rng = random.Random(1)
    samples = []
    for chosen in rng.choices(range(3), weights=probs, k=4000):
        samples.append((letter_rewards[chosen] - baseline) * slope_of_log_p(chosen, 1))
    sample_scatter[label] = stdev(samples)
    error = stdev(samples) / math.sqrt(len(samples))
    print(
        f"  {label:<20} {mean(samples):11.3f} ± {error:.3f}   "
        f"one sample is off by {stdev(samples):.2f}"
    )
    assert abs(mean(samples) - exact_slope) < 3 * error
assert sample_scatter["baseline: the mean"] < sample_scatter["no baseline"]

# %%
# The same with names. At each step the model writes 8 names. The baseline of a name
# is the mean reward of the other seven. (With its own in it, the baseline would depend
# on the sample, and the slopes would no longer be right on average: each advantage
# would come out as 7/8 of what it should be.) The reward less the baseline is called
# the *advantage*. `backward()` computes slopes of a loss, which is to be small, so the
# loss is -advantage * log p.
#
# With `penalty` above 0, something is subtracted from each reward: the penalty times
# log p - log p_start, the name's part in the distance. A name that has become much
# likelier than it was at the start is then worth less. (The penalty is a plain number
# here, although log p in it depends on the weights. Nothing is lost by that: the slope
# that is left out is once more the mean of the slope of log p, which is 0.) The model
# that stays as it was, to compare with, is called the *reference model*.
#
# Look at one more thing before you read the code. If all 8 names have earned the reward
# (or none has), every advantage is 0: none did better than the others, and there is
# nothing to learn. What should the optimizer do at such a step? All gradients are 0
# then, so one would think that it does not matter. We count these *idle steps*, and
# keep both answers: with `waits` the optimizer is not called at an idle step, otherwise
# it is. (The learning rate does not fall during training here, as it did in the
# chapters before: each step has new names, and none of them is the last.)
N_WRITTEN = 8


def new_policy():
    """Return the weights of the start as Values, ready to learn."""
    params = {}
    for name, matrix in START.items():
        params[name] = [[Value(weight) for weight in row] for row in matrix]
    return params


def reinforce(seed, learning_rate, penalty, waits=False, n_steps=20, watch=None):
    """Return (the weights as floats after n_steps of 8 names each, n of idle steps)."""
    params = new_policy()
    optimizer = Adam(flatten(params))
    rng = random.Random(f"reinforce {seed}")
    n_idle = 0
    for step in range(n_steps):
        floats = as_floats(params)
        if watch and step % 5 == 0:
            watch(step, floats)
        names, scores = [], []
        for _ in range(N_WRITTEN):
            name, log_p = write(floats, rng)
            names.append(name)
            score = reward(name)
            if penalty:
                score -= penalty * (log_p - log_p_start(name))
            scores.append(score)
        is_idle = True
        for name, score in zip(names, scores):
            baseline = (sum(scores) - score) / (N_WRITTEN - 1)
            advantage = score - baseline
            if advantage == 0.0:
                continue  # no better and no worse than the others: nothing to learn
            is_idle = False
            tokens = TOKENIZER.encode_document(name)
            with collector_paused():
                loss = log_probability(params, config, tokens) * -advantage
                (loss / N_WRITTEN).backward()
                del loss
        if is_idle:
            n_idle += 1
        if not (is_idle and waits):
            optimizer.step(learning_rate)
    floats = as_floats(params)
    if watch:
        watch(n_steps, floats)
    return floats, n_idle


# (In the field, a model that acts is called a *policy*; hence the name `new_policy`.)

# %%
# DPO. Suppose that nobody gives rewards, but somebody has looked at pairs of names,
# both written by the model as it was, and has marked the better one. We could learn a
# reward from the pairs and then do REINFORCE, and for years that was done. DPO takes a
# short cut: it treats the model itself as the judge. How much better does the model
# find one name than another? By how much more it has raised it since the start:
#
#     margin = (log p(better) - log p_start(better))
#              - (log p(worse) - log p_start(worse))
#
# Why how far it has *raised* a name, and not simply log p? Because log p says above all
# how usual a name is: a short name of common letters is likely, whether anybody likes
# it or not. What is usual, the model knew at the start. What has been added since then
# is the preference. There is also an exact reason. Imagine REINFORCE with a penalty,
# carried on until nothing can be gained any more, with a model that can take on any
# probabilities. One can show that every probability is then p_start * exp(reward /
# penalty), divided by one number that makes all of them sum to 1. Take the log, and log
# p - log p_start is reward / penalty, less a number that is the same for all names and
# falls out of the margin. So for such a model the margin *is* the difference of the two
# rewards, divided by the penalty. DPO asks which rewards would explain what the judge
# has said, and finds the model that belongs to them. The penalty is called beta there.
#
# One step is missing, from a difference to a probability. Give each of the two names
# its beta times (log p - log p_start) as a logit, and take the softmax of the two, as
# the classifier of chapter 28 did. The better name gets exp(one) / (exp(one) +
# exp(other)), and divided above and below by exp(one), that is
#
#     sigmoid(z) = 1 / (1 + exp(-z)),   where z = one - other = beta * margin
#
# It is 1/2 at z = 0, where neither is preferred. The loss is the surprise at what the
# judge has said, -log of that probability, which is log(1 + exp(-z)). So DPO is a
# classifier of two classes, whose logits are beta times what the model has moved.
# `dpo_loss` in preferences.py computes it, and tests compare it and its slopes with
# PyTorch.
#
# The start is in the formula, so the distance is limited here too: beta says how soon a
# pair is good enough. With beta = 1, a margin of 3 leaves a surprise of 0.05 and almost
# no slope; with beta = 0.1 it takes ten times the margin.
print("\nDPO: the loss of one pair, and its slope for the margin")
print("  margin    loss (beta 1)   slope    loss (beta 0.1)   slope")
dpo_rows = {}
for margin in [-3.0, 0.0, 3.0, 30.0]:
    line = f"  {margin:6.0f}"
    for beta in [1.0, 0.1]:
        better = Value(margin)
        loss = dpo_loss(better, 0.0, 0.0, 0.0, beta)
        loss.backward()
        by_hand = math.log(1 + math.exp(-beta * margin))
        assert abs(loss.data - by_hand) < 1e-12
        dpo_rows[margin, beta] = (loss.data, better.grad)
        line += f"{loss.data:13.4f}{better.grad:11.4f}   "
    print(line.rstrip())


def written_pairs(seed, n_pairs):
    """Return pairs of (a better, a worse name), written by the model at the start."""
    rng = random.Random(f"pairs {seed}")
    better_names, worse_names = [], []
    while min(len(better_names), len(worse_names)) < n_pairs:
        name, _ = write(START, rng)
        (better_names if reward(name) else worse_names).append(name)
    return list(zip(better_names, worse_names))[:n_pairs]


def dpo(seed, learning_rate, beta, n_pairs=64):
    """Return the weights, as floats, after so many pairs, one a step."""
    params = new_policy()
    optimizer = Adam(flatten(params))
    for step, (better, worse) in enumerate(written_pairs(seed, n_pairs)):
        with collector_paused():
            loss = dpo_loss(
                log_probability(params, config, TOKENIZER.encode_document(better)),
                log_probability(params, config, TOKENIZER.encode_document(worse)),
                log_p_start(better),
                log_p_start(worse),
                beta,
            )
            loss.backward()
            del loss
        optimizer.step(learning_rate * (1 - step / n_pairs))
    return as_floats(params)


# %%
# The settings. What should they be chosen by? By the reward alone, one would think.
# Let us do that once, for REINFORCE without a penalty, and see what comes of it. For
# the other two the rule is: the largest reward among the settings that stay within 3
# nats of the start, and where two are equal, the larger learning rate. (So it happens
# that REINFORCE will have the same rate with and without the penalty, and the two can
# be compared.) All were tried with two seeds that serve for nothing else. That
# takes a minute, and was done beforehand: `python examples/course/ch31_preferences.py
# --choose` does it again. "Strength" is the penalty of REINFORCE, and the beta of DPO.
LARGEST_DISTANCE = 3.0
TRIED = {
    # way: {(learning rate, strength): (reward, distance)}
    "REINFORCE": {
        (0.003, 0.0): (0.77, 0.96),
        (0.01, 0.0): (0.97, 9.64),
        (0.02, 0.0): (1.00, 45.62),
    },
    "REINFORCE, penalty": {
        (0.01, 0.1): (0.88, 1.93),
        (0.02, 0.1): (0.88, 3.32),
        (0.01, 0.3): (0.80, 0.86),
        (0.02, 0.3): (0.88, 2.13),
    },
    "DPO": {
        (0.003, 0.1): (0.80, 1.01),
        (0.01, 0.1): (0.83, 4.41),
        (0.003, 1.0): (0.77, 0.65),
        (0.01, 1.0): (0.82, 1.75),
    },
}


def trained(way, seed, learning_rate, strength):
    """Return the weights after training in one of the three ways."""
    if way == "DPO":
        return dpo(seed, learning_rate, beta=strength)
    return reinforce(seed, learning_rate, penalty=strength)[0]


if "--choose" in sys.argv:
    for way, results in TRIED.items():
        for setting in results:
            measured = []
            for seed in ["validation 1", "validation 2"]:
                measured.append(measure(trained(way, seed, *setting), seed)[:2])
            means = [round(mean(column), 2) for column in zip(*measured)]
            print(way, setting, means, flush=True)
    sys.exit()

print("\nSettings tried, with two validation seeds (quoted)")
print("  way                  rate    strength   reward   distance")
chosen = {}
for way, results in TRIED.items():
    for setting, (found_reward, found_distance) in results.items():
        rate, strength = setting
        print(
            f"  {way:<20} {rate:<7} {strength:8} {found_reward:8.2f} "
            f"{found_distance:10.2f}"
        )
        if found_distance > LARGEST_DISTANCE:
            continue
        merit = (found_reward, rate)
        if way not in chosen or merit > (results[chosen[way]][0], chosen[way][0]):
            chosen[way] = setting
unpunished = TRIED["REINFORCE"]
wild_setting = max(unpunished, key=unpunished.get)  # the largest reward, whatever else
for way in ["REINFORCE, penalty", "DPO"]:
    rate, strength = chosen[way]
    print(f"chosen for {way}: rate {rate}, strength {strength}")
print(f"chosen for REINFORCE by the reward alone: rate {wild_setting[0]}")
assert chosen["REINFORCE, penalty"][0] == wild_setting[0]  # the same learning rate

# %%
# The comparison. Each way is trained with five seeds. Each of the trained models then
# writes 100 names with dice that were never used before, and that is the test. Beside
# the reward stands the distance from the start, and how many of the 100 names differ.
# REINFORCE without a penalty comes twice: once as it was tried, with a step of Adam
# after every 8 names, and once with an Adam that waits at idle steps.
SEEDS = [0, 1, 2, 3, 4]
WAYS = {
    "no penalty": ("REINFORCE", wild_setting),
    "no penalty, Adam waits": ("REINFORCE", wild_setting),
    "penalty": ("REINFORCE", chosen["REINFORCE, penalty"]),
    "DPO": ("DPO", chosen["DPO"]),
}
idle_steps = {way: [] for way in WAYS}
results_of = {way: [] for way in ["the start", *WAYS]}
models = {}
courses = {way: [] for way in WAYS}  # what seed 0 did on its way
progress = Progress("training: run", len(WAYS) * len(SEEDS), 4, stream=sys.stderr)
for seed in SEEDS:
    results_of["the start"].append(measure(START, f"test {seed}"))
    for way, (kind, (rate, strength)) in WAYS.items():
        if kind == "DPO":
            models[way, seed] = dpo(seed, rate, beta=strength)
        else:
            course = courses[way]

            def watch(step, params, course=course):
                """Keep (step, reward, distance) of 50 names."""
                course.append((step, *measure(params, f"watch {step}", 50)[:2]))

            models[way, seed], n_idle = reinforce(
                seed,
                rate,
                penalty=strength,
                waits="waits" in way,
                watch=watch if seed == 0 else None,
            )
            idle_steps[way].append(n_idle)
        results_of[way].append(measure(models[way, seed], f"test {seed}"))
        progress.show(len(models))
progress.finish()


def mean_and_error(numbers):
    """Return (the mean over the seeds, its standard error)."""
    return mean(numbers), stdev(numbers) / math.sqrt(len(numbers))


print("\nFive seeds, 100 names each (± standard error over the seeds)")
print("  way                      reward        distance (nats)   different of 100")
summary = {}
for way, results in results_of.items():
    cells = []
    for place in range(3):
        cells.append(mean_and_error([result[place] for result in results]))
    summary[way] = [cell[0] for cell in cells]
    (r, r_error), (d, d_error), (n, n_error) = cells
    print(
        f"  {way:<23} {r:.2f} ± {r_error:.2f}   {d:6.2f} ± {d_error:.2f}   "
        f"{n:14.1f} ± {n_error:.1f}"
    )
print("Compared seed by seed:")
compared = {}
for way, other_way in [
    ("penalty", "the start"),
    ("DPO", "the start"),
    ("penalty", "DPO"),
]:
    differences = []
    for result, other in zip(results_of[way], results_of[other_way]):
        differences.append(result[0] - other[0])
    difference, error = mean_and_error(differences)
    compared[way, other_way] = difference / error
    what = f"reward, {way} less {other_way}:"
    print(f"  {what:<36} {difference:+.2f} ± {error:.2f}")
gone = []
for result, other in zip(
    results_of["no penalty"], results_of["no penalty, Adam waits"]
):
    gone.append(result[1] - other[1])
difference, error = mean_and_error(gone)
compared["no penalty", "waits"] = difference / error
print(f"  distance, no penalty less waiting:   {difference:+.2f} ± {error:.2f}")
print("Idle steps of the 20, in the five seeds:")
for way in ["no penalty", "no penalty, Adam waits", "penalty"]:
    print(f"  {way:<23} {', '.join([str(n) for n in idle_steps[way]])}")

# %%
# What does the table say? (The model as it is writes names that earn a reward in about
# half of all cases, so 0.5 is what has to be beaten.)
#
# - With a penalty, REINFORCE gets to 0.88, and stays 2 nats from the start. Nearly all
#   of its names are different from each other. That is what we wanted.
# - DPO gets about as far, without ever having seen a reward. The difference between the
#   two is a little less than two standard errors, so these five seeds do not tell them
#   apart. (They had about as much to learn from: 160 names with a reward each, and 64
#   pairs, which are 128 names.)
# - REINFORCE without a penalty, with the setting that was chosen by the reward alone,
#   has the highest reward by far, and nearly all of its names earn it. Look at the
#   other columns before you congratulate it. At the same learning rate as with the
#   penalty it has moved 25 nats in place of 2, and of 100 names that it writes, only
#   some 60 are different. (At the rate 0.01 it is the same story, though less of it:
#   the table of the settings has 9.64 nats without a penalty and 1.93 with one.)
# - If Adam waits at idle steps, about half of this distance is gone. We come back to
#   that below.
wild_reward, wild_distance, wild_different = summary["no penalty"]
tame_reward, tame_distance, tame_different = summary["penalty"]
assert compared["penalty", "the start"] > 4
assert compared["DPO", "the start"] > 4
assert abs(compared["penalty", "DPO"]) < 2
assert compared["no penalty", "waits"] > 2
assert wild_reward > 0.95 and wild_distance > 4 * tame_distance
assert wild_different < 0.8 * tame_different

# %%
# What do they write? The first names of the models of seed 0; and for REINFORCE without
# a penalty also the names that the other four write most often.
print("\nWhat the models of seed 0 write")
for way, results in results_of.items():
    names = results[0][3]
    print(f"  {way + ':':<23} {', '.join(names[:7])}")
print("What the others without a penalty write most often, of 100 names")
for seed in SEEDS[1:]:
    names = results_of["no penalty"][seed][3]
    commonest = Counter(names).most_common(4)
    print(f"  seed {seed}: " + ", ".join([f"{name} ({n})" for name, n in commonest]))
waiting = results_of["no penalty, Adam waits"]
n_fewest = min([result[2] for result in waiting])
for result in waiting:
    if result[2] == n_fewest:
        name, n = Counter(result[3]).most_common(1)[0]
        print(f"And if Adam waits, in the seed with the fewest names: {name} ({n})")

# These are no names. Each run has found another kind of noise, made of a few letters
# over and over, with a vowel at the end. (Waiting makes it rarer, and not impossible:
# the last line is a model that has settled on a single letter.) And the reward is right
# about them! They do end in a vowel, and they are new, since nobody is called that. The
# model does what the reward says. What it does not do is what we meant: names. That a
# name should look like a name, the reward never said.
#
# This is called *reward hacking*, or gaming the reward. No malice is needed for it.
# Whatever raises the reward is made likelier, and the quickest way to raise it is not
# the one that we had in mind. You would have seen it at once by reading the names, and
# not at all by looking at the reward. In large models it takes other forms: answers
# that grow longer and longer because the judges prefer long ones, or that say what one
# would like to hear.
#
# What stops it? The penalty. It knows nothing of vowels either, but it holds the model
# near the start, and the start has learnt from 6,000 real names what a name looks like.
# A name that has become exp(10) times likelier than it was pays 10 times 0.3, which is
# three times what the whole reward is worth. So the model takes what is cheap: of the
# names that it would have written anyway, more of those that earn a reward.

# %%
# When does it happen? Here are the runs of seed 0 on their way, in a picture: on the
# left the reward, on the right the distance, all at the learning rate 0.02. One run is
# one seed, so take it as an example. (Each point is measured on 50 names.)
charts = []
for title, place, y_label in [
    ("the reward", 1, "mean reward"),
    ("the distance from the start", 2, "nats a name"),
]:
    lines = []
    for way, style in [
        ("no penalty", "bold"),
        ("no penalty, Adam waits", "pale"),
        ("penalty", "dashed"),
    ]:
        points = [(point[0], point[place]) for point in courses[way]]
        lines.append(Line(way, points, style))
    charts.append(line_chart(lines, title, "step", y_label, width=300, y_include=[0]))
svg = side_by_side(charts, columns=2, title="REINFORCE, seed 0")
save_picture("ch31_preferences.svg", svg)

# Without a penalty the reward is near 1 after five steps, and hardly anything is left
# to gain. Yet the model moves on: in the end it is more than three times as far away as
# it was then. What drives it? Look at the idle steps under the table above: in about
# half of the 20 steps all eight names had earned the reward, so there was nothing to
# learn, and every gradient was 0. But Adam does not move by the gradient of this step
# alone. It moves by a mean of the gradients so far (chapter 15), and a gradient of 0
# only makes that mean somewhat smaller. So the weights roll on in the direction in
# which they went last, with no reward behind it. An Adam that waits at idle steps ends
# at about half of the distance, with about the same reward. Neither the loss nor the
# reward would have told us, and it came with a line that looks harmless.
#
# And the other half? One could think that it is chance: with 8 names in a batch, some
# kinds of names have luck, the next batch has more of them, and so on. It was tried
# once with 32 names in a batch, where there is less chance, and with an Adam that
# waits: in three seeds the distance was 23, 18 and 41 nats. So that is not the reason.
# We do not know a better one, and say only what the table shows. The reward has nothing
# against the distance, and with a penalty, at the same learning rate, it stays near 2.
# Stopping early would also have helped, or a smaller learning rate: exercise 1 tries
# it.

# %%
# One more look at DPO. It was to raise the better names over the worse. Did it raise
# the better ones? We take 50 pairs that it has never seen, and look how far each model
# of the five seeds has moved the two.
print("\nDPO on 50 pairs that it has not seen: log p, less log p at the start")
test_pairs = written_pairs("test", 50)
moved = {"better": [], "worse": []}  # the mean of the five models, for each name
factors = []  # how many times likelier a better name has become, for each model
n_right = 0
for better, worse in test_pairs:
    moves = {}
    for kind, name in [("better", better), ("worse", worse)]:
        tokens = TOKENIZER.encode_document(name)
        before = log_p_start(name)
        moves[kind] = []
        for seed in SEEDS:
            now = log_probability(models["DPO", seed], config, tokens)
            moves[kind].append(now - before)
        moved[kind].append(mean(moves[kind]))
    factors += [math.exp(move) for move in moves["better"]]
    n_right += mean(moves["better"]) > mean(moves["worse"])
n_risen = {}
for kind in ("better", "worse"):
    difference, error = mean_and_error(moved[kind])
    label = f"the {kind} names"
    n_risen[kind] = len([move for move in moved[kind] if move > 0])
    print(
        f"  {label:<18} {difference:+.2f} ± {error:.2f} nats, "
        f"{n_risen[kind]} of {len(test_pairs)} have risen"
    )
print(f"  the better one has come out ahead in {n_right} of {len(test_pairs)} pairs")
print(f"  on average a better name is {mean(factors):.1f} times as likely as before")
own = []  # for each model: the mean over the rewarded ones of the names that it writes
for _, _, _, names, distances in results_of["DPO"]:
    own.append(mean([d for name, d in zip(names, distances) if reward(name)]))
own_move, error = mean_and_error(own)
print("And the names that the DPO models write themselves and that earn the reward:")
print(f"  {own_move:+.2f} ± {error:.2f} nats (± over the five models)")

# The worse names have become far less likely. But most of the better ones have not
# become likelier! The mean of their logs has even fallen. DPO's loss asks only for the
# difference of the two, and lowering the worse name serves as well as raising the
# better one. How can the models then earn so much more reward than before? The last
# lines say it. Most of the better names have become several times less likely, and a
# few have become dozens of times likelier: so the mean of the logs falls, while the
# mean of the factors is above 1. And it is the names that gained which the models now
# write. What they write and is rewarded has become clearly likelier than it was. (Some
# of that is so by definition: whatever a model writes often is what it has raised.) The
# same fall of the better texts has been seen in large models. It does no harm here. But
# a reader of the loss alone would never have guessed it.
assert mean(moved["worse"]) < -2 < mean(moved["better"]) < 0.5
assert mean(factors) > 1.0 and own_move > 1.0
assert n_right > 0.7 * len(test_pairs)

# What production does. The chat models that you know have gone through this chapter.
# People compare answers; from their judgements a second network, the *reward model*,
# learns to predict which one they would prefer; and the language model is trained
# against it, with an offspring of REINFORCE (PPO, or GRPO, which compares several
# answers to the same question as we did) and with a penalty for the distance from the
# start. The whole is called *RLHF*, reinforcement learning from human feedback. Many
# use DPO in its place, since it is so much simpler. Where an answer can be checked, as
# in arithmetic or in programs that have to pass tests, the check is the reward.
#
# What is still missing. Nothing, for our purpose: you have built a language model, have
# trained it, have taken it apart, have brought it up to date, and have made it do what
# you want. The appendix asks how all this is computed, and how fast.
#
# Exercises. Hints and solutions are in ch31_solution.py.
# 1. REINFORCE without a penalty, but with the learning rate 0.003. The table of the
#    settings has it after 20 steps. What has become of it after 100?
# 2. Invent a reward that sounds harmless and will be gamed, such as 1/8 for each vowel.
#    Guess what the model will write, and run it without a penalty.
# 3. Give DPO the beta 0.02, and then 5. What becomes of the distance, and why?
