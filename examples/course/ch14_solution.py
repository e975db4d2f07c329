"""Solutions to chapter 14. Read the hint first, try again, then look at the code."""

# %%
import math
import os
import sys

from common import (
    ALL_HELD_OUT_NAMES,
    ALL_TRAIN_NAMES,
    HELD_OUT_NAMES,
    ROOT,
    TOKENIZER,
    TRAIN_NAMES,
    course_loss,
    difference_and_error,
    pairs,
)

from microgpt import as_floats, read_documents, token_losses
from microgpt.tools.terminal import Progress
from microgpt.training import start, train

VALIDATION_NAMES = ALL_HELD_OUT_NAMES[1000:1500]


class BlendedTable:
    """The chapter's table: counts for windows of 0 to n_back letters, blended."""

    def __init__(self, names, n_back=5):
        self.n_back = n_back
        self.rows = {}
        self.totals = {}
        for name in names:
            for context, target in pairs(name):
                for window in self.windows(context):
                    row = self.rows.setdefault(window, {})
                    row[target] = row.get(target, 0) + 1
                    self.totals[window] = self.totals.get(window, 0) + 1

    def windows(self, context):
        longest = min(self.n_back, len(context))
        return [tuple(context[len(context) - n :]) for n in range(longest + 1)]

    def probability(self, context, target, strength):
        p = 1 / TOKENIZER.vocab_size
        for window in self.windows(context):
            if window not in self.rows:
                break
            seen = self.rows[window].get(target, 0)
            p = (seen + strength * p) / (self.totals[window] + strength)
        return p

    def nats_of(self, strength):
        def nats_of(name):
            surprises = []
            for context, target in pairs(name):
                p = self.probability(context, target, strength)
                surprises.append(-math.log(p))
            return surprises

        return nats_of


def best_strength(table, names, strengths):
    """Return the strength with the smallest loss on these names."""
    losses = {}
    for strength in strengths:
        losses[strength] = course_loss(table.nats_of(strength), names)
    return min(losses, key=losses.get)


# %%
# Exercise 1. The strength chosen on the names that were counted.
#
# Hint 1: give best_strength the training names (the first 500 of them are enough), and
# add 0.1 and 1 to the strengths.
# Hint 2: for a name that was counted, how much does the longest window know?
#
# It chooses the smallest strength there is. For a name that was counted, the window of
# five letters has always been seen, with the very letter that comes next, so it pays to
# believe the longest window blindly. On new names that is a bad idea: there the longest
# window has mostly been seen once or never. To choose by the training data is to choose
# whoever has learnt it by heart.
strengths = [0.1, 1, 10, 20, 40, 80]
table = BlendedTable(ALL_TRAIN_NAMES[:6000])
on_counted = best_strength(table, TRAIN_NAMES, strengths)
on_validation = best_strength(table, VALIDATION_NAMES, strengths)
print("Exercise 1: strength chosen on        chosen   loss on the 500 held-out names")
losses = {}
for where, strength in [("counted", on_counted), ("validation", on_validation)]:
    losses[where] = course_loss(table.nats_of(strength), HELD_OUT_NAMES)
    print(f"  {where + ' names':<34} {strength:7} {losses[where]:8.3f}")
assert on_counted == min(strengths)
assert losses["counted"] > losses["validation"] + 0.3

# %%
# Exercise 2. A mixture of the GPT and the tables.
#
# Hint 1: exp(-surprise) turns a surprise back into a probability.
# Hint 2: mix the two probabilities of each character, and take -log of the mixture.
#
# The mixture is clearly better than both. They make different mistakes. The tables know
# by heart what they have seen, and the GPT has an idea of what it has not seen. Where
# one of them is badly surprised, the other often is not. This is called an *ensemble*,
# and it is how many competitions are won.
documents = read_documents(os.path.join(ROOT, "input.txt"))
run, train_names, _ = start(documents)
progress = Progress("GPT, 500 names: name", 500, every=250, stream=sys.stderr)
for _ in train(run, train_names):
    progress.show(run.step)
progress.finish()
params = as_floats(run.params)
small_table = BlendedTable(TRAIN_NAMES)
table_nats = small_table.nats_of(best_strength(small_table, VALIDATION_NAMES, [20, 40]))


def gpt_nats(name):
    """Return the GPT's surprise at each character of the name."""
    return token_losses(params, run.config, TOKENIZER.encode_document(name))


def mixture_nats(name):
    """Return the surprise of half the one and half the other."""
    nats = []
    for gpt_surprise, table_surprise in zip(gpt_nats(name), table_nats(name)):
        p = 0.5 * math.exp(-gpt_surprise) + 0.5 * math.exp(-table_surprise)
        nats.append(-math.log(p))
    return nats


print("\nExercise 2: trained on 500 names")
print(f"  GPT      {course_loss(gpt_nats):.3f}")
print(f"  tables   {course_loss(table_nats):.3f}")
print(f"  mixture  {course_loss(mixture_nats):.3f}")
for other_nats in [gpt_nats, table_nats]:
    difference, error = difference_and_error(mixture_nats, other_nats)
    assert difference < -3 * error

# %%
# Exercise 3. How far back must the tables look?
#
# Hint 1: BlendedTable takes n_back.
# Hint 2: choose the strength anew for each n_back.
#
# With 500 names, three letters are as good as five: longer windows have hardly ever
# been seen, and the blend rightly ignores them. With all 37,650 each further letter
# still helps. Chapter 1's plain tables became *worse* when they looked further back;
# these never do by much. That is what the blending is for.
print("\nExercise 3: loss by how many letters the tables look back")
print("  names    " + "".join([f"{n_back:7}" for n_back in range(1, 6)]))
loss_at = {}
for n_names in [500, len(ALL_TRAIN_NAMES)]:
    line = f"  {n_names:6,}   "
    for n_back in range(1, 6):
        table = BlendedTable(ALL_TRAIN_NAMES[:n_names], n_back)
        strength = best_strength(table, VALIDATION_NAMES, [10, 20, 40, 80])
        loss_at[n_names, n_back] = course_loss(table.nats_of(strength), HELD_OUT_NAMES)
        line += f"{loss_at[n_names, n_back]:7.3f}"
    print(line)
assert abs(loss_at[500, 5] - loss_at[500, 3]) < 0.02
assert loss_at[len(ALL_TRAIN_NAMES), 5] < loss_at[len(ALL_TRAIN_NAMES), 3] - 0.05
