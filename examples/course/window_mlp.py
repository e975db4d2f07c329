"""The MLP of chapter 9 in a module of its own, for the chapters that compare with it.

It reads a window of the last few tokens, looks up an embedding for each, puts these
side by side, and sends them through one hidden layer:

    window (n_back) -> embeddings (n_back * 8) -> hidden (32) -> logits (27)

It is trained as in chapter 9: one name a step, each name once, by plain descent with a
rate that falls from 1 almost to 0.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Sequence

from common import TRAIN_NAMES, NatsOf, pairs

from microgpt import Value, as_floats, cross_entropy, flatten, linear, total
from microgpt.model import Matrix, Params, Vector
from microgpt.tools.terminal import Progress
from microgpt.training import collector_paused

N_EMBD = 8
N_HIDDEN = 32


def random_matrix(rng: random.Random, n_rows: int, n_columns: int) -> Matrix:
    """Return a matrix of Values around 0, mostly between -0.4 and 0.4."""
    matrix = []
    for _ in range(n_rows):
        matrix.append([Value(rng.gauss(0, 0.2)) for _ in range(n_columns)])
    return matrix


def new_window_mlp(
    n_back: int, vocab_size: int = 27, n_hidden: int = N_HIDDEN
) -> Params:
    """Return the parameters of an MLP that reads n_back tokens."""
    rng = random.Random(1)
    return {
        "wte": random_matrix(rng, vocab_size, N_EMBD),
        "hidden": random_matrix(rng, n_hidden, N_EMBD * n_back),
        "output": random_matrix(rng, vocab_size, n_hidden),
    }


def window_mlp(params: Params, context: Sequence[int]) -> Vector:
    """Return the logits of the next token; BOS, 0, fills a window that is not full."""
    n_back = len(params["hidden"][0]) // N_EMBD
    padded = [0] * n_back + list(context)
    x = []
    for token_id in padded[-n_back:]:
        x += params["wte"][token_id]
    activations = []
    for number in linear(x, params["hidden"]):
        is_value = isinstance(number, Value)
        activations.append(number.tanh() if is_value else math.tanh(number))
    return linear(activations, params["output"])


def train_window_mlp(
    n_back: int, names: Sequence[str] = TRAIN_NAMES, n_hidden: int = N_HIDDEN
) -> Params:
    """Return the parameters after one pass over the names, as plain floats."""
    params = new_window_mlp(n_back, n_hidden=n_hidden)
    parameters = flatten(params)
    progress = Progress(
        f"MLP, {n_back} letters: name",
        total=len(names),
        every=len(names) // 2,
        stream=sys.stderr,
    )
    for step, name in enumerate(names):
        learning_rate = 1 - step / len(names)
        with collector_paused():
            losses = []
            for context, target in pairs(name):
                losses.append(cross_entropy(window_mlp(params, context), target))
            loss = total(losses) / len(losses)
            loss.backward()
            del losses, loss
        for parameter in parameters:
            parameter.data -= learning_rate * parameter.grad
            parameter.grad = 0.0
        progress.show(step + 1)
    progress.finish()
    return as_floats(params)


def window_mlp_nats(params: Params) -> NatsOf:
    """Return the function name -> surprises that `course_loss` asks for."""

    def nats_of(name: str) -> list[float]:
        surprises = []
        for context, target in pairs(name):
            surprises.append(cross_entropy(window_mlp(params, context), target))
        return surprises

    return nats_of
