"""Chapter 17. Sampling: the model gives 27 probabilities, so which letter do we write?

The last chapters trained models, and all that a model ever says is a list: 27 numbers,
one for each token that could come next. To write a name we need a letter, and then the
next. How do we get from the list to a letter?

There are two obvious ways. We could *sample*: roll loaded dice, so that a letter with
probability 0.01 is written once in 100 times (chapter 1 did that). Or we could always
take the likeliest letter, which is called *greedy decoding*. And there is much between
the two: the dice can be loaded towards the likely letters, which is called a lower
*temperature*, or the unlikely ones can be taken off the dice (*top-k*, *top-p*). For
all of this no weight of the model changes. The same answers are used in another way,
and yet what is written changes more than by many minutes of training.

Each of these ways takes a few lines of code, and we write them here. The package has
them in microgpt/sampling.py, as `token_probabilities` and `generate`, and each of ours
is compared with its.

The chapter's questions are asked by `python examples/learn.py 17`; otherwise write down
your guess before you run this:
- Begin a name with each letter of the alphabet, and add the likeliest letter until the
  name ends. How different from each other are the 26 names?
- Load the dice towards the likely letters: will more of the names be real, or fewer?
- Of 100 real names that it writes, how many are among the 300 that it has seen?

Papers: Holtzman et al., "The curious case of neural text degeneration", 2020 (top-p);
Fan, Lewis and Dauphin, "Hierarchical neural story generation", 2018 (top-k).
"""

# %%
from __future__ import annotations

import math
import os
import random
import string
import sys

from common import ROOT, TRAIN_NAMES, save_picture

from microgpt import (
    TrainConfig,
    as_floats,
    empty_cache,
    generate,
    gpt,
    likeliest,
    read_documents,
    start,
    token_probabilities,
)
from microgpt.tools.draw import Line, bars, line_chart
from microgpt.tools.terminal import Progress
from microgpt.training import train

# %%
# The model is the default GPT, trained on 300 names, one a step. That is little, and
# enough for this chapter: it has an opinion about every letter. Writing needs no
# gradients, so its weights are turned into plain floats.
documents = read_documents(os.path.join(ROOT, "input.txt"))
run, _, _ = start(documents, TrainConfig(steps=300))
progress = Progress("trained on names", total=300, every=100, stream=sys.stderr)
for _ in train(run, TRAIN_NAMES):
    progress.show(run.step)
progress.finish()
params, config, tokenizer = as_floats(run.params), run.config, run.tokenizer


def logits_after(text):
    """Return the 27 logits for what comes after text."""
    keys, values = empty_cache(config)
    for pos_id, token_id in enumerate([tokenizer.bos, *tokenizer.encode(text)]):
        logits = gpt(params, config, token_id, pos_id, keys, values)
    return logits


def name_of(token_id):
    """Return the letter of a token, or "(end)" for the one that ends a name."""
    return "(end)" if token_id == tokenizer.bos else tokenizer.decode([token_id])


# %%
# One answer.
#
# What does the model say after "m"? Its logits become probabilities by softmax
# (chapter 10): exp makes each of them positive, and dividing by their sum makes them
# sum to 1. We subtract the largest logit first, so that exp cannot overflow. Here are
# the seven likeliest tokens, and the other twenty together.
def softmax(logits):
    """Return the probability of each token."""
    maximum = max(logits)
    exps = [math.exp(logit - maximum) for logit in logits]
    exps_sum = sum(exps)
    return [e / exps_sum for e in exps]


def assert_equal(ours, theirs):
    """Assert that two lists of probabilities are equal, but for rounding."""
    assert len(ours) == len(theirs)
    for p, q in zip(ours, theirs):
        assert abs(p - q) < 1e-12


probs = softmax(logits_after("m"))
assert_equal(probs, token_probabilities(logits_after("m")))
best_seven = likeliest(probs, n=7)
rows = [(name_of(token_id), p) for token_id, p in best_seven]
tail = 1 - sum([p for _, p in best_seven])
print("1. What comes after 'm'?")
print()
print(bars([*rows, ("the other 20", tail)], top=0.5))
in_six_letters = 1 - (1 - tail) ** 6
print()
print(f"one of the other 20 at this place:      {tail:.1%}")
print(f"at least once in six such places:      {in_six_letters:.1%}")
print()
eighth = likeliest(probs, n=8)[-1]
assert eighth[1] < 0.012


# %%
# The twenty are the *tail*. Each of them is unlikely, but there are so many that
# together they cannot be neglected. If six letters were sampled like this one, then
# with the second probability at least one of them would come from the tail. And the
# model cannot take it back. It goes on from the odd letter as if it had been meant, and
# often the whole name is spoilt. So plain sampling has a problem with its tail.
#
# And how is a whole name written? Ask for the probabilities, roll the dice, add the
# letter, and ask again, until the dice say that the name ends or the model can see no
# further. `rng.choices` rolls loaded dice. The package's `generate` does the same, and
# with the same random numbers it writes the same names.
def write_name(rng):
    """Write a name by plain sampling, letter by letter."""
    text = ""
    while len(text) < config.block_size:
        probs_here = softmax(logits_after(text))
        [token_id] = rng.choices(range(config.vocab_size), weights=probs_here)
        if token_id == tokenizer.bos:
            break
        text += tokenizer.decode([token_id])
    return text


our_rng, package_rng = random.Random(17), random.Random(17)
our_names = [write_name(our_rng) for _ in range(5)]
package_names = []
for _ in range(5):
    package_names.append(generate(params, config, tokenizer, package_rng))
assert our_names == package_names
print("five names, by plain sampling:", ", ".join(our_names))
print()

# %%
# Greedy.
#
# Then why not always take the likeliest letter? In `generate`, top_k=1 leaves only one
# token to sample from, so the dice decide nothing. Here is the greedy name for each
# first letter.
letters = string.ascii_lowercase
greedy_names = []
for letter in letters:
    name = generate(params, config, tokenizer, random.Random(0), letter, top_k=1)
    greedy_names.append(name)
print("2. Greedy: the likeliest letter each time, after each first letter")
print()
for first in range(0, 26, 9):
    print("  " + " ".join([f"{name:<8}" for name in greedy_names[first : first + 9]]))
print()
endings_by_kind = {"a vowel": set(), "a consonant": set()}
for name in greedy_names:
    kind = "a vowel" if name[0] in "aeiou" else "a consonant"
    endings_by_kind[kind].add(name[1:])
for kind, endings in endings_by_kind.items():
    print(f"after {kind}: {', '.join(sorted(endings))}")
all_endings = set().union(*endings_by_kind.values())
n_endings = len(all_endings)
print(f"26 first letters, {n_endings} different ways to go on")
print()
assert n_endings < 8

# %%
# Nearly all the names are the same name. Nothing is wrong with the model: at each place
# it does give other letters a good chance, and greedy throws exactly that away. What
# makes names differ from each other is what is *not* the likeliest. So greedy decoding
# has a problem with everything but the top.


# %%
# Temperature.
#
# Between the two lies a dial. Divide all logits by a number T before
# softmax. Since exp(x / T) is exp(x) to the power 1 / T, this raises every probability
# to that power, and then scales them to sum to 1 again. With T = 0.5 the power is 2:
# 0.4 and 0.1 become 0.16 and 0.01, so a letter that was 4 times as likely is now 16
# times as likely. Below 1 the likely letters gain, above 1 the unlikely ones. The name
# comes from physics, where hot things move about more wildly.
def at_temperature(logits, temperature):
    """Return the probabilities at this temperature."""
    return softmax([logit / temperature for logit in logits])


print("3. Temperature: probabilities after 'm'")
print()
print("temperature       a       i       o       q")
for temperature in [0.1, 0.3, 0.6, 1.0, 1.5, 100.0]:
    heated = at_temperature(logits_after("m"), temperature)
    assert_equal(heated, token_probabilities(logits_after("m"), temperature))
    powers = [p ** (1 / temperature) for p in probs]
    assert_equal(heated, [power / sum(powers) for power in powers])  # as said above
    cells = [f"{heated[token_id]:8.3f}" for token_id in tokenizer.encode("aioq")]
    print(f"{temperature:>11}" + "".join(cells))
print()

# %%
# At 0.1 it is nearly greedy. At 100 all tokens are about equally likely, which is 1/27
# = 0.037, whatever the model has learnt.


# %%
# Cutting off the tail.
#
# Another way leaves the likely letters as they are and takes the tail off the dice.
# *top-k* keeps the k likeliest tokens. *top-p* keeps the likeliest tokens that together
# reach the share p, few or many. What is kept is scaled to sum to 1.
def scaled_to_one(probs, kept):
    """Return probs with 0 for every token that is not kept, scaled to sum to 1."""
    kept_sum = sum([probs[i] for i in kept])
    return [p / kept_sum if i in kept else 0.0 for i, p in enumerate(probs)]


def likeliest_first(probs):
    """Return the token ids, the likeliest token first."""
    return sorted(range(len(probs)), key=lambda token_id: -probs[token_id])


def cut_top_k(probs, k):
    """Keep the k likeliest tokens."""
    return scaled_to_one(probs, likeliest_first(probs)[:k])


def cut_top_p(probs, share):
    """Keep the likeliest tokens, until together they reach the share."""
    kept, kept_sum = [], 0.0
    for token_id in likeliest_first(probs):
        kept.append(token_id)
        kept_sum += probs[token_id]
        if kept_sum >= share:
            break
    return scaled_to_one(probs, kept)


# The two can be combined. Then top-k cuts first, what it has left is scaled to sum to
# 1, and top-p keeps its share of *that*, not of all tokens. And the temperature comes
# before both, because it changes how likely the likely tokens are.
together = cut_top_p(cut_top_k(probs, k=5), share=0.8)
assert_equal(together, token_probabilities(logits_after("m"), top_k=5, top_p=0.8))

# top-k and top-p sound alike, until they are asked at two different places.
n_kept = {}
print("4. Cutting off: how many tokens are kept, and which share had they?")
print()
print("place        top_k=5       top_p=0.8")
for text in ["m", "ma"]:
    before = softmax(logits_after(text))
    by_number = cut_top_k(before, k=5)
    by_share = cut_top_p(before, share=0.8)
    assert_equal(by_number, token_probabilities(logits_after(text), top_k=5))
    assert_equal(by_share, token_probabilities(logits_after(text), top_p=0.8))
    cells = []
    for how, after in [("top_k", by_number), ("top_p", by_share)]:
        kept = [p for p, p_after in zip(before, after) if p_after > 0]
        n_kept[how, text] = len(kept)
        cells.append(f"{len(kept):>2} with {sum(kept):3.0%}")
    print(f"after {text!r:<6} {cells[0]:<13} {cells[1]}")
print()

# %%
# After "m" come vowels, and four or five tokens are nearly everything. After "ma" very
# many letters make sense, and a fixed number of five throws half of them away. A fixed
# share keeps few tokens where the model is sure and many where it is not. That is the
# argument for top-p. Whether it makes better names is another question, and the next
# section asks it.

# %%
# Which names are good?
#
# So far we have looked at single letters. Now we write 100 names in each way, and
# count:
#
# - different: how many different names there are among the 100
# - real: how many of the 100 stand in the file of 41,833 names, of which the model has
#   seen only 300
# - both: how many different real names there are, so that one cannot score by writing
#   "jara" 100 times
all_names, seen_names = set(documents), set(TRAIN_NAMES[:300])


def write_names(n_names, **settings):
    """Return so many names, each written with these settings."""
    rng = random.Random(1)
    names = []
    for _ in range(n_names):
        names.append(generate(params, config, tokenizer, rng, **settings))
    return names


def count_names(names):
    """Return (different, real, both): see above."""
    n_real = sum([name in all_names for name in names])
    return len(set(names)), n_real, len(set(names) & all_names)


WAYS = {
    "temperature 0.1": {"temperature": 0.1},
    "temperature 0.3": {"temperature": 0.3},
    "temperature 0.6": {"temperature": 0.6},
    "temperature 1.0": {"temperature": 1.0},
    "temperature 1.5": {"temperature": 1.5},
    "top_k=5": {"top_k": 5},
    "top_p=0.8": {"top_p": 0.8},
    "top_p=0.6": {"top_p": 0.6},
}
counts = {}
print("5. 100 names, written in eight ways")
print()
print("way               different  real  both   the first three")
for way, settings in WAYS.items():
    names = write_names(100, **settings)
    counts[way] = count_names(names)
    different, real, both = counts[way]
    row = f"{different:>9} {real:>5} {both:>5}"
    print(f"{way:<17} {row}   {', '.join(names[:3])}")
print()

# %%
# (A count is itself a sample. With other dice, a count near 50 may be off by 10, and
# one near 6 by 5. Chapter 19 says why.)
#
# Read the column "real" from top to bottom, and then "different". The colder, the more
# real, and the more of the same. Warm names are all different and hardly one is real.
# "Both" puts the two together, and it is best in between, at 0.3. Cutting off the tail
# at temperature 1 helps as well: there are two to four times as many real names as
# without, and nearly all of them are different from each other.
#
# But did top-p not have the better argument? With top_k=5 there are more real names
# than with top_p=0.8. That is no fair comparison, since the two numbers have nothing to
# do with each other: a share of 0.8 cuts off much less. With top_p=0.6 there are about
# as many real names as with top_k=5. To see a difference then, 100 names are too few,
# so we had 2,000 written in each way (not here). top_k=5 gave 22.5 % real names, 1,588
# different ones in all, and 255 different real ones. top_p=0.6 gave 21.6 % real names,
# 1,736 different ones, and 311 different real ones. And top_k=8 against top_p=0.7, with
# 14 % real names each, were 233 against 255. So at equal strength a fixed share is a
# little better than a fixed number. What matters much more is how strongly one cuts.
real_counts = [counts[f"temperature {t}"][1] for t in (0.1, 0.3, 0.6, 1.0, 1.5)]
assert real_counts == sorted(real_counts, reverse=True)
most_of_both = max(counts, key=lambda way: counts[way][2])
assert counts["top_k=5"][2] > counts["temperature 1.0"][2]

# %%
# Does it copy?
#
# Are the real names that it writes those that it has learnt from? Of 100 names too few
# are real to tell, so now it writes 800 in each of three ways. Names that it writes
# again and again should not count again and again, so we count *different* real names,
# and how many of them are among the 300 that the model has seen. The 300 are 0.7 % of
# the file. If the model had no memory of them, about 0.7 % of the real names should be
# among them by chance.
written_in_all = set()
print("6. Does it copy? 800 names, written in three ways")
print()
print("way               different real   of them seen   by chance")
for way in ["temperature 0.3", "top_k=5", "top_p=0.6"]:
    written = set(write_names(800, **WAYS[way]))
    n_real, n_copied = len(written & all_names), len(written & seen_names)
    written_in_all |= written
    by_chance = n_real * len(seen_names) / len(all_names)
    print(f"{way:<17} {n_real:>14} {n_copied:>14} {by_chance:>11.1f}")
# A name that was written in two ways counts once here too.
n_real_in_all = len(written_in_all & all_names)
n_copied_in_all = len(written_in_all & seen_names)
by_chance = n_real_in_all * len(seen_names) / len(all_names)
print(f"{'together':<17} {n_real_in_all:>14} {n_copied_in_all:>14} {by_chance:>11.1f}")
print()

# %%
# It hardly copies. Of 100 real names that it writes, 98 it has never seen. There may be
# a trace of memory: the copies are two to three times as many as by chance. (In 2,000
# names written in each of five ways, not here, they were 14, where chance would make 8.
# The numbers are small, but both times on the same side.) It saw each name once, and
# one step changes the weights a little. What it mostly keeps is what the 300 names have
# in common.
assert n_copied_in_all < 0.03 * n_real_in_all

# %%
temperatures = [0.1, 0.3, 0.6, 1.0, 1.5]
lines = []
for column, label, style in [
    (0, "different from each other", "bold"),
    (1, "real", "bold"),
    (2, "both: different real names", "dashed"),  # from 0.6 on it lies upon "real"
]:
    points = [(t, counts[f"temperature {t}"][column]) for t in temperatures]
    lines.append(Line(label, points, style))
title = "100 names at each temperature"
save_picture("ch17_sampling.svg", line_chart(lines, title, "temperature", "names"))

# %%
# What production does: both at once, such as a temperature of 0.7 and a top_p of 0.9,
# and the user may turn the dials. GPT-2's published samples took the 40 likeliest of
# 50,257 tokens. Where the answer should not vary, as in arithmetic, it is greedy, which
# the interfaces call "temperature 0".
#
# What is still missing: for every letter that it writes, the model looks back at all
# letters before it. Must it do their arithmetic again each time? That is chapter 18.
#
# Exercises (solutions and hints in ch17_solution.py):
# 1. At which temperature is the *loss* on held-out names smallest? Predict, and measure
#    it for 0.3, 0.6, 0.8, 1.0, 1.2 and 1.5.
# 2. Greedy takes the likeliest letter each time. Is the name that it writes the
#    likeliest of all names? Search for that one: keep a heap (heapq) of beginnings with
#    their probabilities, and again and again extend the likeliest of them.
# 3. What does it take to make the model copy? Train a new one on 3 names, 40 times
#    each.
