"""A table of n-grams, letters in a row: how well does it do on unseen names?"""

import math
from collections import Counter

from common import pairs

from microgpt.data import split_documents


def all_pairs(names):
    """Return (the tokens so far, the next token) for each character of all names."""
    return [pair for name in names for pair in pairs(name)]


def losses(names, n_back):
    """Return (training loss, held-out loss) of a table that looks back n_back letters.

    The table counts the first half of the names. How surprised it is by these is the
    training loss, and by the other half the held-out loss.
    """
    train_names, held_out_names = split_documents(names, val_fraction=0.5)
    counts, totals = Counter(), Counter()
    # Mended: train_names for names: the table had counted what it was asked about.
    for context, target in all_pairs(train_names):
        seen = tuple(([0] * n_back + context)[len(context) :])
        counts[seen, target] += 1
        totals[seen] += 1

    def mean_surprise(some_names):
        """Return the mean of -log(share), each pair counted as seen once more."""
        surprises = []
        for context, target in all_pairs(some_names):
            seen = tuple(([0] * n_back + context)[len(context) :])
            share = (counts[seen, target] + 1) / (totals[seen] + 27)
            surprises.append(-math.log(share))
        return sum(surprises) / len(surprises)

    return mean_surprise(train_names), mean_surprise(held_out_names)
