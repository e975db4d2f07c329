"""Sampling: choose the next letter by chance, more or less boldly."""

import math


def probabilities(logits, temperature):  # (n) -> (n), plain numbers
    """Return the chance of each token at a temperature.

    At 1 it is the model's own. Below 1 likely tokens become likelier yet; above 1 all
    come closer to one another.
    """
    maximum = max(logits)
    exps = [math.exp((logit - maximum) * temperature) for logit in logits]
    exps_sum = sum(exps)
    return [e / exps_sum for e in exps]


def write(logits_after, rng, temperature):
    """Return the tokens of one name: chosen one by one, until BOS (0) is chosen."""
    tokens = [0]
    while len(tokens) == 1 or tokens[-1] != 0:
        probs = probabilities(logits_after[tokens[-1]], temperature)
        tokens.append(rng.choices(range(len(probs)), weights=probs)[0])
    return tokens
