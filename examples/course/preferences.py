"""What chapter 31 trains by: how likely a name is, and the loss of DPO.

The chapter walks through both. They stand here so that the tests can compare DPO's
loss and gradients with those of PyTorch.

Paper: Rafailov et al., "Direct preference optimization: your language model is secretly
a reward model", 2023, equation 7.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import common  # noqa: F401  (so that microgpt is found without installing it)

from microgpt import GPTConfig, logsumexp, token_losses, total
from microgpt.model import Params


def log_probability(params: Params, config: GPTConfig, tokens: Sequence[int]) -> Any:
    """Return the log of the probability that the model writes this document.

    The probability of a text is the product of those of its tokens, so its log is the
    sum of their logs; and each of these is the surprise at the token, with a minus.
    """
    return total(token_losses(params, config, tokens)) * -1.0


def dpo_loss(
    better: Any,
    worse: Any,
    reference_better: float,
    reference_worse: float,
    beta: float,
) -> Any:
    """Return the loss of one pair: -log(sigmoid(beta * margin)).

    All four are log-probabilities: of the better sample and of the worse one, by the
    model that learns and by the reference model, which stays as it was at the start.
    margin = (better - reference_better) - (worse - reference_worse) says how much more
    the model has moved towards the better sample than towards the worse one.

    -log(sigmoid(z)) = log(1 + exp(-z)), computed as logsumexp([0, -z]), which stays
    finite for every z.
    """
    moved_better = better - reference_better
    moved_worse = worse - reference_worse
    margin = moved_better - moved_worse
    return logsumexp([0.0, margin * -beta])
