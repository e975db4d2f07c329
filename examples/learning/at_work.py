"""Put the reader's package to work, in a process of its own.

    python at_work.py moons FOLDER PIECE …    train on two moons with these
    python at_work.py blind FOLDER PIECE …    the loss of an untrained model
    python at_work.py train FOLDER PIECE …    the default run, and 20 names

The pieces named are the reader's, all others are ours. Each result is one line of JSON
on stdout; what the reader's code prints goes nowhere.
"""

from __future__ import annotations

import json
import linecache
import math
import os
import random
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from learning.course_map import ROOT, short  # noqa: E402
from learning.inside import OURS, Printed, ReadersPackage  # noqa: E402
from learning.trial import said  # noqa: E402

Tell = Callable[[dict[str, Any]], None]
N_HIDDEN = 8


def two_moons(n_points: int, seed: int) -> list[tuple[float, float, int]]:
    """Return points (x, y, kind) on two half moons that reach into each other."""
    rng = random.Random(seed)
    points = []
    for number in range(n_points):
        kind = number % 2
        angle = rng.uniform(0, math.pi)
        x, y = math.cos(angle), math.sin(angle)
        if kind == 1:
            x, y = 1 - x, 0.5 - y
        points.append((x + rng.gauss(0, 0.1), y + rng.gauss(0, 0.1), kind))
    return points


def score_of(weights: Sequence[Any], x: float, y: float) -> Any:
    """Return how much a network with these weights is for kind 1 at a place.

    Eight hidden neurons with tanh, each with three weights, and then their sum, each
    times one more weight. The weights are Values or floats.
    """
    score = weights[-1]
    for k in range(N_HIDDEN):
        a, b, c, out = weights[4 * k : 4 * k + 4]
        hidden = a * x + b * y + c
        score = score + out * (
            math.tanh(hidden) if isinstance(hidden, float) else hidden.tanh()
        )
    return score


def moons(tell: Tell) -> None:
    """Train the network on two moons, with nothing but Value and backward."""
    from microgpt.value import Value

    points = two_moons(60, seed=3)
    rng = random.Random(5)
    weights = [Value(rng.gauss(0, 2)) for _ in range(4 * N_HIDDEN + 1)]
    velocities = [0.0 for _ in weights]
    for step in range(1, 61):
        nats = Value(0.0)
        for x, y, kind in points:
            sign = 1 - 2 * kind
            nats = nats + (1 + (sign * score_of(weights, x, y)).exp()).log()
        loss = nats / len(points)
        for weight in weights:
            weight.grad = 0.0
        loss.backward()
        for i, weight in enumerate(weights):
            velocities[i] = 0.9 * velocities[i] - 1.0 * weight.grad
            weight.data += velocities[i]
        tell({"step": step, "loss": loss.data})
    tell({"weights": [float(weight.data) for weight in weights]})


def blind(tell: Tell) -> None:
    """Ask a model of random numbers for the letters of a name."""
    from microgpt.model import GPTConfig, init_params, token_losses

    config = GPTConfig(vocab_size=27)
    params = init_params(config, random.Random(42))
    losses = token_losses(params, config, [0, 5, 13, 13, 1, 0])  # emma
    tell({"loss": sum([loss.data for loss in losses]) / len(losses)})


def train(tell: Tell) -> None:
    """Take the 500 steps of the default run, and write 20 names."""
    from microgpt.data import read_documents
    from microgpt.model import as_floats
    from microgpt.sampling import generate
    from microgpt.training import start, train

    documents = read_documents(os.path.join(ROOT, "input.txt"))
    run, train_documents, _ = start(documents)
    turns = train(run, train_documents)
    while run.step < run.training.steps:
        began = time.perf_counter()
        loss = next(turns)
        seconds = time.perf_counter() - began
        tell({"step": run.step, "loss": float(loss), "seconds": seconds})
    params = as_floats(run.params)
    for _ in range(20):
        how = (params, run.config, run.tokenizer, run.rng)
        tell({"name": generate(*how, temperature=0.6)})


def main(what: str, folder: str, *theirs: str) -> None:
    """Do one of the three, and tell what comes of it."""
    stdout = sys.stdout

    def tell(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=stdout, flush=True)

    sys.stdout = sys.stderr = Printed()
    sys.meta_path.insert(0, ReadersPackage(folder, theirs))
    try:
        {"moons": moons, "blind": blind, "train": train}[what](tell)
    except KeyboardInterrupt:
        os._exit(130)
    except BaseException as error:
        message: dict[str, Any] = {"error": said(error)}
        package = os.path.join(folder, "microgpt", "")
        for frame in traceback.extract_tb(error.__traceback__):
            number = frame.lineno or 0
            if frame.filename.startswith(package) and 0 < number < OURS:
                text = linecache.getline(frame.filename, number).strip()
                message["where"] = f"line {number} of {short(frame.filename)}:  {text}"
        tell(message)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
