"""Chapter 16. Held out: which of all these numbers can be trusted?

Chapter 15 let us train more, and left the question whether the model is better for it.
Its worth was one number, measured on one set of names. Another set gives another: is a
difference of 0.02 real, or luck? The tool is the standard error: how far a measured
mean typically is from what endless data would give. It is found from how much the names
differ among themselves, and falls with the square root of how many they are. It does
not see a leak: held-out names that were trained on.

Write down what you expect, before you run this:
- 500 held-out names: which digit of 2.632 can be trusted?
- What helps a small GPT most: twice the names, the width, or the layers?
- In a list of people, names repeat. A tenth of the people is held out. What happens?

Source: Kaufman, Rosset and Perlich, "Leakage in data mining", 2011.
"""

import math
import multiprocessing
import os
import random
from collections import Counter

from course import HELD_OUT_NAMES, ROOT, TOKENIZER, pairs, save_picture

from microgpt.checkpoint import TrainConfig
from microgpt.data import read_documents, split_documents
from microgpt.draw import Line, line_chart
from microgpt.gpt import document_loss
from microgpt.train import collector_paused, shuffle_and_split, start, train

DOCUMENTS = read_documents(os.path.join(ROOT, "input.txt"))


def table_nats(counted, n_back, names):
    """Return [(nats, characters)] for each name: chapter 1's table, adding 0.1."""
    counts, totals = Counter(), Counter()
    for context, target in pairs(counted):
        last = tuple(([0] * n_back + context)[len(context) :])
        counts[last, target] += 1
        totals[last] += 1
    per_name = []
    for questions in [pairs([name]) for name in names]:
        nats = 0.0
        for context, target in questions:
            last = tuple(([0] * n_back + context)[len(context) :])
            nats -= math.log((counts[last, target] + 0.1) / (totals[last] + 2.7))
        per_name.append((nats, len(questions)))
    return per_name


def loss_and_error(per_name):
    """Return (nats a character, its standard error) from [(nats, characters)]."""
    # By name: its letters are not independent. How far is each from the mean's guess?
    n_characters = sum(n for _, n in per_name)
    loss = sum(nats for nats, _ in per_name) / n_characters
    misses = [nats - loss * n for nats, n in per_name]
    return loss, math.hypot(*misses) / n_characters


def cell(per_name):
    """Return the loss and its standard error as text."""
    return "{:6.3f} ± {:.3f}".format(*loss_and_error(per_name))


def gpt_nats(setting):
    """Train a GPT; return [(nats, characters)] for names seen, and for names not."""
    n_names, passes, n_embd, n_layer = setting
    training = TrainConfig(steps=n_names * passes)
    run, names, held_out = start(DOCUMENTS, training, n_embd=n_embd, n_layer=n_layer)
    for _ in train(run, names[:n_names]):
        pass
    per_name = []
    with collector_paused():
        for name in names[:n_names][:50] + held_out[:200]:
            n = len(pairs([name]))
            tokens = TOKENIZER.encode_document(name)
            per_name.append((document_loss(run.params, run.config, tokens).data * n, n))
    return per_name[:-200], per_name[-200:]


def main():
    """Print what the losses of tables and GPTs are, and how far to trust them."""
    _, names, held_out = shuffle_and_split(DOCUMENTS, TrainConfig())
    # Tables, with standard errors. The more names are counted, the further back it pays
    # to look: a comparison is fair only at equal data.
    print("names counted     500            2,000            8,000           37,650")
    for n_back in [1, 2, 3]:
        sizes = [500, 2000, 8000, len(names)]
        row = [cell(table_nats(names[:n], n_back, HELD_OUT_NAMES)) for n in sizes]
        print(f"{n_back} back:", *row, sep="  ")
    # expect: 1 back:   2.632 ± 0.019   2.567 ± 0.016   2.547 ± 0.015   2.543 ± 0.014
    # expect: 3 back:   2.944 ± 0.021   2.708 ± 0.024   2.466 ± 0.025   2.275 ± 0.022

    # The leak: 2,000 people share 1,000 names, a few of them popular. Of the last 200,
    # most have a name that was trained on; `split_documents` drops them, since we ask
    # how well a model guesses names that it does not know.
    shares = [1 / rank for rank in range(1, 1001)]
    people = random.Random(16).choices(names[:1000], shares, k=2000)
    trained, honest = split_documents(people)
    measured = {"trained on": trained, "leaky": people[1800:], "honest": honest}
    print(" " * 6, *[f"{name}, {len(measured[name])}    " for name in measured])
    # expect: trained on, 1800     leaky, 200     honest, 32
    curves = {name: [] for name in measured}
    for n_back in [0, 1, 2, 3]:
        row = [table_nats(trained, n_back, people) for people in measured.values()]
        print(f"{n_back} back:", *map(cell, row), sep="  ")
        for curve, per_name in zip(curves.values(), row):
            curve.append((n_back, loss_and_error(per_name)[0]))
    # expect: 3 back:   0.991 ± 0.014   1.301 ± 0.068   3.048 ± 0.119
    # A leak does not just flatter, it chooses the wrong model: 3 back in place of 1.
    best = {name: min(curve, key=lambda p: p[1])[0] for name, curve in curves.items()}
    assert best == {"trained on": 3, "leaky": 3, "honest": 1}
    lines = [Line(name, curve) for name, curve in curves.items()]
    svg = line_chart(lines, "One table, three losses", "letters back", "nats a letter")
    save_picture("ch16_held_out.svg", svg)

    # GPTs, small and short so as to be quick: names, passes over them, n_embd, n_layer.
    # (Whole runs are the best thing to share out.) Hard names are hard for all of them:
    # the error of a difference, name by name, is far smaller than that of each loss.
    settings = [(150, 1, 8, 1), (300, 1, 8, 1), (150, 1, 16, 1), (150, 1, 8, 2)]
    settings += [(15, 10, 8, 1)]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        results = pool.map(gpt_nats, settings, chunksize=1)
    print("                  trained on        held out  less the first's")
    for setting, (seen, unseen) in zip(settings, results):
        gaps = [(a - b, n) for (a, n), (b, _) in zip(unseen, results[0][1])]
        print(f"{setting!s:<14}", *map(cell, [seen, unseen, gaps]), sep="  ")
    # expect: (300, 1, 8, 1)   2.497 ± 0.042   2.582 ± 0.028  -0.104 ± 0.010
    # expect: (150, 1, 8, 2)   2.584 ± 0.035   2.682 ± 0.022  -0.004 ± 0.001
    # expect: (15, 10, 8, 1)   1.655 ± 0.047   3.493 ± 0.070   0.807 ± 0.055
    # So soon, more names and steps help most, width next, layers hardly. 15 names, ten
    # times each, were learnt by heart ("overfitting"): the best loss, on those.
    table = table_nats(names[:300], 1, held_out[:200])
    gaps = [(a - b, n) for (a, n), (b, _) in zip(results[1][1], table)]
    print(f"table, 300 names: {cell(table)}, GPT less table: {cell(gaps)}")
    # expect: table, 300 names:  2.634 ± 0.029, GPT less table: -0.052 ± 0.021


if __name__ == "__main__":
    main()

# What production does: it searches the training text for the questions of the test, and
# still finds leaks later. Standard errors it often leaves out; ask for them.
#
# What is left unsolved: how to find out why a number is wrong. On to bughunt/.
# Exercises (solutions in solutions/ch16.py):
# 1. Is the standard error right? Measure a table on 200 sets of 100 names each.
# 2. The file is sorted. Do not shuffle, and hold out its last tenth. What happens?
# 3. Choose the best of 12 tables on 20 names. Is it as good on other names?
