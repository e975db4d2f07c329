"""What does each engine cost? A training step on each of them, side by side.

    python examples/course/benchmark.py            about a minute
    python examples/course/benchmark.py --rounds 3

A *step* is what training does for one name: the loss, all gradients, and Adam. Each
engine in turn takes a step on the same name, round after round, and the median of the
rounds is given: so whatever else the computer does slows all of them down alike. All
engines compute the same loss and the same gradients, and that is checked first.

Closures are timed as they would be trained with: Python's garbage collector is on,
since nothing else frees their graphs, and a variable `loss` keeps the last graph until
the next one is there, as in every training loop. The others are timed with the
collector off, as `train()` in microgpt/training.py runs. How much of the time of
closures is the collector's? A second series of rounds, after the first, times them with
the collector off, and lets it sweep up between the steps, outside of the time.
"""

from __future__ import annotations

import gc
import multiprocessing
import random
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from typing import Any, NamedTuple

import by_hand
from engines import (
    CLOSURES,
    ENGINES,
    MICROGPT,
    ROOT,
    STORED,
    count_nodes,
    loss_on,
    params_for,
)

from microgpt import CharTokenizer, read_documents
from microgpt.adam import Adam
from microgpt.model import GPTConfig, Params, as_floats, flatten, init_params
from microgpt.tools.terminal import OneLineParser, Progress, run_command
from microgpt.training import collector_paused

BY_HAND, PROCESSES = "lists by hand", "two processes"
RUNGS = [*[engine.name for engine in ENGINES], BY_HAND, PROCESSES]
BATCH = 8  # names that are dealt out to the two processes: one name cannot be
NAME = "mariana"  # of seven letters, the usual length


class Stepper:
    """One engine with a model and an optimizer of its own."""

    def __init__(self, engine: Any, params: Params, config: GPTConfig) -> None:
        self.engine, self.config = engine, config
        self.params = params_for(engine, params)
        self.optimizer = Adam(flatten(self.params))
        self.loss: Any = None  # of the last step, as a training loop has it

    def loss_and_gradients(self, tokens: Sequence[int]) -> tuple[float, list[float]]:
        """Return the loss and the gradient of each parameter, and clear those."""
        loss = loss_on(self.engine, self.params, self.config, tokens)
        loss.backward()
        grads = [parameter.grad for parameter in self.optimizer.parameters]
        for parameter in self.optimizer.parameters:
            parameter.grad = 0.0
        return loss.data, grads

    def step(self, tokens: Sequence[int]) -> None:
        """Take a training step; the loss, and with it the graph, is kept."""
        loss = loss_on(self.engine, self.params, self.config, tokens)
        loss.backward()
        self.optimizer.step(lr=1e-3)
        self.loss = loss


class ByHand:
    """The model of by_hand.py, with an Adam that moves floats in place."""

    def __init__(self, params: Params, config: GPTConfig) -> None:
        self.floats, self.config = as_floats(params), config
        self.m = [0.0] * len(flatten(self.floats))
        self.v = [0.0] * len(self.m)
        self.t = 0

    def loss_and_gradients(self, tokens: Sequence[int]) -> tuple[float, list[float]]:
        """Return the loss and the gradient of each parameter."""
        n_head = self.config.n_head
        loss, slopes, _ = by_hand.loss_and_gradients(self.floats, n_head, list(tokens))
        gradients = [
            slope for name in self.floats for row in slopes[name] for slope in row
        ]
        return loss, gradients

    def step(self, tokens: Sequence[int]) -> None:
        """Take a training step."""
        _, grads = self.loss_and_gradients(tokens)
        self.t += 1
        m_scale, v_scale = 1 / (1 - 0.9**self.t), 1 / (1 - 0.95**self.t)
        i = 0
        for matrix in self.floats.values():
            for row in matrix:
                for j in range(len(row)):
                    m = self.m[i] = 0.9 * self.m[i] + 0.1 * grads[i]
                    v = self.v[i] = 0.95 * self.v[i] + 0.05 * grads[i] * grads[i]
                    row[j] -= 1e-3 * m * m_scale / ((v * v_scale) ** 0.5 + 1e-8)
                    i += 1


# Two processes: each has a model of its own, is sent the weights and its share of the
# names, and sends back its part of the loss and of the gradients.
Task = tuple[list[float], list[list[int]], int]  # weights, documents, size of the batch
_worker: list[Stepper] = []


def start_worker(params: Params, config: GPTConfig) -> None:
    """Give this process a model."""
    _worker.append(Stepper(MICROGPT, params, config))
    gc.disable()  # graphs of Values are freed without it


def work(task: Task) -> tuple[float, list[float]]:
    """Return what these documents add to the batch's mean loss and its gradients."""
    weights, documents, batch_size = task
    [stepper] = _worker
    for parameter, weight in zip(stepper.optimizer.parameters, weights):
        parameter.data = weight
    loss_part, grads_part = 0.0, [0.0] * len(weights)
    for tokens in documents:
        loss, grads = stepper.loss_and_gradients(tokens)
        loss_part += loss / batch_size
        grads_part = [g + grad / batch_size for g, grad in zip(grads_part, grads)]
    return loss_part, grads_part


class Team:
    """A pool of two processes that share the names of a batch."""

    def __init__(self, pool: Any, params: Params) -> None:
        self.pool = pool
        self.optimizer = Adam(flatten(params_for(MICROGPT, params)))

    def loss_and_gradients(
        self, documents: list[list[int]]
    ) -> tuple[float, list[float]]:
        """Return the mean loss of the documents, and its gradients."""
        weights = [parameter.data for parameter in self.optimizer.parameters]
        n = len(documents)
        tasks = [(weights, documents[rank::2], n) for rank in range(2)]
        losses, grads = zip(*self.pool.map(work, tasks, chunksize=1))
        return sum(losses), [sum(parts) for parts in zip(*grads)]

    def step(self, documents: list[list[int]]) -> None:
        """Take a training step on a batch."""
        _, grads = self.loss_and_gradients(documents)
        for parameter, grad in zip(self.optimizer.parameters, grads):
            parameter.grad = grad
        self.optimizer.step(lr=1e-3)


def seconds_of(action: Callable[[], None]) -> float:
    """Return how long action takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def check_equal(results: dict[str, tuple[float, list[float]]]) -> float:
    """Return the loss that all have in common. Another one: ArithmeticError."""
    first_loss, first_grads = results[CLOSURES.name]
    for rung, (loss, grads) in results.items():
        gaps = [abs(a - b) for a, b in zip(grads, first_grads)]
        gap = max(abs(loss - first_loss), *gaps)
        if not gap < 1e-12 or len(grads) != len(first_grads):
            raise ArithmeticError(f"{rung} is off from {CLOSURES.name} by {gap:.2g}")
    return first_loss


class Measured(NamedTuple):
    """What was found: medians over the rounds, and what all engines agree on."""

    seconds: dict[str, float]  # of a step
    nodes: dict[str, int]  # of the graph of a step
    loss: float
    without_collector: float  # steps of microgpt in the time of one on closures then


def measure(rounds: int) -> Measured:
    """Time a training step on every engine, and check that all agree."""
    tokenizer = CharTokenizer.from_documents(read_documents(f"{ROOT}/input.txt"))
    config = GPTConfig(tokenizer.vocab_size)
    rng = random.Random(15)
    params = init_params(config, rng)
    for weight in flatten(params):
        weight.data = rng.gauss(0, 0.2)  # some would begin at 0, and hide mistakes
    tokens = tokenizer.encode_document(NAME)

    steppers = {engine.name: Stepper(engine, params, config) for engine in ENGINES}
    hand = ByHand(params, config)
    context = multiprocessing.get_context("spawn")
    times: dict[str, list[float]] = {rung: [] for rung in RUNGS}
    nodes = dict.fromkeys(RUNGS, 0)
    progress = Progress("round", rounds, every=1, stream=sys.stderr)
    with context.Pool(2, initializer=start_worker, initargs=(params, config)) as pool:
        team = Team(pool, params)
        results = {
            BY_HAND: hand.loss_and_gradients(tokens),
            PROCESSES: team.loss_and_gradients([tokens] * BATCH),
        }
        for name, stepper in steppers.items():
            results[name] = stepper.loss_and_gradients(tokens)
            loss = loss_on(stepper.engine, stepper.params, config, tokens)
            nodes[name] = count_nodes(loss)
            del loss
        common_loss = check_equal(results)
        nodes[PROCESSES] = nodes[MICROGPT.name]

        closures = steppers[CLOSURES.name]
        closures.step(tokens)  # so that there is a last graph from the first round on
        for done in range(1, rounds + 1):
            times[CLOSURES.name].append(seconds_of(lambda: closures.step(tokens)))
            with collector_paused():
                for engine in (STORED, MICROGPT):
                    stepper = steppers[engine.name]
                    step = partial(stepper.step, tokens)
                    times[engine.name].append(seconds_of(step))
                    stepper.loss = None
                times[BY_HAND].append(seconds_of(lambda: hand.step(tokens)))
                # The same name as often as each process gets its fair share.
                batch_seconds = seconds_of(lambda: team.step([tokens] * BATCH))
                times[PROCESSES].append(batch_seconds / BATCH)
            progress.show(done)
    progress.finish()
    ratios = []
    with collector_paused():
        for _ in range(rounds):
            gc.collect()
            seconds = seconds_of(lambda: closures.step(tokens))
            own = seconds_of(lambda: steppers[MICROGPT.name].step(tokens))
            ratios.append(seconds / own)
    medians = {rung: median(times[rung]) for rung in RUNGS}
    return Measured(medians, nodes, common_loss, median(ratios))


def table(measured: Measured) -> str:
    """Return the engines as a table in Markdown, a row for each."""
    own = measured.seconds[MICROGPT.name]
    lines = [
        "| engine | ms a step | times as long as microgpt | nodes |",
        "|---|---:|---:|---:|",
    ]
    for rung in RUNGS:
        seconds, nodes = measured.seconds[rung], measured.nodes[rung]
        ms, ratio = 1000 * seconds, seconds / own
        lines.append(f"| {rung} | {ms:.1f} | {ratio:.2f} | {nodes:,} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `python examples/course/benchmark.py`; return its exit code."""
    return run_command(lambda: _command(argv))


def _command(argv: Sequence[str] | None) -> int:
    parser = OneLineParser(
        prog="python examples/course/benchmark.py",
        description="Time a training step on each engine, side by side.",
        allow_abbrev=False,
    )
    text = "how often each engine is timed (default: 11)"
    parser.add_argument("--rounds", metavar="N", type=int, default=11, help=text)
    args = parser.parse_args(argv)
    if args.rounds < 1:
        raise ValueError(f"--rounds is {args.rounds}: make it 1 or more")
    measured = measure(args.rounds)
    print(
        f"On {NAME!r}, all engines have the loss {measured.loss:.6f}, and equal "
        "gradients to 1e-12.\n"
    )
    print(table(measured))
    print()
    for rung in (CLOSURES.name, STORED.name):
        ratio = measured.seconds[rung] / measured.seconds[MICROGPT.name]
        print(
            f"A training step on {rung} takes {ratio:.3g} times as long as microgpt's."
        )
    print(
        f"With Python's collector off, closures take {measured.without_collector:.3g} "
        "times as long."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
