"""How sure is a mean over several seeds and several test examples?

Chapter 28 says why: chance comes in twice, with the seed that a model learns by and
with the examples that it is tested on. The two have nothing to do with each other, so
their variances (the squared standard errors) add up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import mean, variance

# What each seed made of each example, such as 100 for right and 0 for wrong, whose mean
# is a percentage.
Rows = Sequence[Sequence[float]]


def with_both_errors(rows: Rows) -> tuple[float, float]:
    """Return (the mean of rows[seed][example], its standard error)."""
    means_of_seeds = [mean(row) for row in rows]
    means_of_examples = [mean(column) for column in zip(*rows)]
    of_seeds = variance(means_of_seeds) / len(means_of_seeds)
    of_examples = variance(means_of_examples) / len(means_of_examples)
    return mean(means_of_seeds), math.sqrt(of_seeds + of_examples)


def difference(rows: Rows, other_rows: Rows) -> tuple[float, float]:
    """Return (the mean of rows less other_rows, its standard error).

    It is taken seed by seed and example by example, as both were asked the same.
    """
    differences = []
    for row, other_row in zip(rows, other_rows):
        differences.append([a - b for a, b in zip(row, other_row)])
    return with_both_errors(differences)


def verdict(found: tuple[float, float]) -> str:
    """Say whether a difference is more than two standard errors from 0."""
    mean_difference, error = found
    if abs(mean_difference) <= 2 * error:
        return "cannot be told apart"
    return "higher" if mean_difference > 0 else "lower"
