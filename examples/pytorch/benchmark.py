"""What does a training step cost: our engine, lists by hand, and PyTorch, side by side.

    python examples/pytorch/benchmark.py                  about two minutes
    python examples/pytorch/benchmark.py --widths 16 64   quicker

A *step* is the loss of one name, all gradients, and Adam. Four ways to take it stand in
one table, for models of several widths (n_embd):

    our engine          microgpt: Values, with a node for each dot product
    lists by hand       examples/course/by_hand.py: plain floats, and a backward pass
                        that somebody has derived on paper
    PyTorch, eager      twin.py: each line calls compiled code
    PyTorch, compiled   twin.py after torch.compile: several lines become one call

All four work on the same name, with the same weights, in float64. That their losses are
equal is checked first. Then they take turns, round after round, so that whatever else
the computer does slows all of them down alike; the median of the rounds is given.

Why is PyTorch not always ahead? It makes the same few hundred calls at every width, and
each of them costs some microseconds, however small the matrix. A model of width 4 has
so few numbers that plain Python is done with them sooner. But the work of a step grows
with the square of the width. For our engine and the lists the time grows with it; for
PyTorch it hardly changes until the matrices are large.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import need_torch
import torch
from twin import TwinRun, batch_loss, from_run

sys.path.append(os.path.join(need_torch.ROOT, "examples", "course"))

import by_hand

from microgpt.adam import Adam
from microgpt.data import read_documents
from microgpt.model import GPTConfig, Params, as_floats, document_loss, flatten
from microgpt.tools.draw import Line, line_chart
from microgpt.tools.files import replace_file
from microgpt.tools.terminal import OneLineParser, Progress, run_command, say
from microgpt.training import Run, TrainConfig, collector_paused, start

OURS, BY_HAND = "our engine", "lists by hand"
EAGER, COMPILED = "PyTorch, eager", "PyTorch, compiled"
NAME = "mariana"  # of seven letters, the usual length
LR = 1e-3

Step = Callable[[], float]  # takes a step, and returns the loss before it


def new_run(width: int, seed: int = 1) -> Run:
    """Return a run of this width before its first step."""
    documents = read_documents(os.path.join(need_torch.ROOT, "input.txt"))
    run, _, _ = start(documents, TrainConfig(seed=seed), n_embd=width)
    return run


def our_step(run: Run, tokens: Sequence[int]) -> Step:
    """Return a step on Values."""

    def step() -> float:
        with collector_paused():  # as `train` does
            loss = document_loss(run.params, run.config, tokens)
            loss.backward()
        run.optimizer.step(LR)
        return loss.data

    return step


def step_by_hand(run: Run, tokens: Sequence[int]) -> Step:
    """Return a step on lists of floats, with an Adam of the same kind."""
    floats = as_floats(run.params)
    adam = ListAdam(floats)

    def step() -> float:
        loss, slopes, _ = by_hand.loss_and_gradients(
            floats, run.config.n_head, list(tokens)
        )
        adam.step(slopes)
        return loss

    return step


class ListAdam:
    """The book's Adam on a dict of matrices of floats, changed in place."""

    def __init__(self, params: Params) -> None:
        n = len(flatten(params))
        self.params = params
        self.settings = Adam([])  # its betas and eps
        self.m, self.v = [0.0] * n, [0.0] * n
        self.t = 0

    def step(self, slopes: Params) -> None:
        """Move every number by one step of about LR."""
        self.t += 1
        beta1, beta2, eps = self.settings.beta1, self.settings.beta2, self.settings.eps
        m_scale, v_scale = 1 / (1 - beta1**self.t), 1 / (1 - beta2**self.t)
        m, v = self.m, self.v
        i = 0
        for name, matrix in self.params.items():
            for row, row_slopes in zip(matrix, slopes[name]):
                for j, slope in enumerate(row_slopes):
                    m[i] = beta1 * m[i] + (1 - beta1) * slope
                    v[i] = beta2 * v[i] + (1 - beta2) * slope * slope
                    row[j] -= LR * m[i] * m_scale / ((v[i] * v_scale) ** 0.5 + eps)
                    i += 1


def torch_step(twin: TwinRun, tokens: Sequence[int], compiled: bool) -> Step:
    """Return a step on tensors."""
    model: Any = torch.compile(twin.model) if compiled else twin.model
    twin.optimizer.param_groups[0]["lr"] = LR

    def step() -> float:
        twin.optimizer.zero_grad()
        loss = batch_loss(model, [tokens])
        loss.backward()
        twin.optimizer.step()
        return loss.item()

    return step


def can_compile() -> bool:
    """Say whether torch.compile finds the C++ compiler that it needs on a CPU."""
    names = [os.environ.get("CXX", ""), "g++", "clang++", "cl"]
    return any(name and shutil.which(name) for name in names)


def steps_at(width: int) -> dict[str, Step]:
    """Return the ways to take a step, each with a model of its own, all equal."""
    run = new_run(width)
    tokens = run.tokenizer.encode_document(NAME)
    steps = {
        OURS: our_step(new_run(width), tokens),
        BY_HAND: step_by_hand(run, tokens),
        EAGER: torch_step(from_run(run), tokens, compiled=False),
    }
    if can_compile():
        steps[COMPILED] = torch_step(from_run(run), tokens, compiled=True)
    return steps


def measure(width: int, rounds: int, progress: Progress) -> dict[str, float]:
    """Return the median seconds of a step in each way. Unequal losses: ValueError."""
    steps = steps_at(width)
    # Three steps that are not timed. In them, PyTorch gets its memory and compiles.
    losses = {way: [step() for _ in range(3)] for way, step in steps.items()}
    for way, its_losses in losses.items():
        for ours, theirs in zip(losses[OURS], its_losses):
            if abs(ours - theirs) > 1e-9:
                raise ValueError(f"{way} has the loss {theirs}, our engine {ours}")
    seconds: dict[str, list[float]] = {way: [] for way in steps}
    for _ in range(rounds):
        for way, step in steps.items():
            started = time.perf_counter()
            step()
            seconds[way].append(time.perf_counter() - started)
        progress.show(progress.done + 1)
    return {way: median(numbers) for way, numbers in seconds.items()}


def table(measured: dict[int, dict[str, float]]) -> str:
    """Return the milliseconds of a step: rows for the ways, columns for widths."""
    widths = list(measured)
    lines = ["ms a step at width    " + "".join([f"{width:>11,}" for width in widths])]
    for way in (OURS, BY_HAND, EAGER, COMPILED):
        cells = []
        for width in widths:
            seconds = measured[width].get(way)
            cells.append("–" if seconds is None else f"{1000 * seconds:,.2f}")
        lines.append(f"{way:<22}" + "".join([f"{cell:>11}" for cell in cells]))
    return "\n".join(lines)


def ahead_from(measured: dict[int, dict[str, float]], way: str, other: str) -> str:
    """Say from which of the widths on `way` takes less time than `other`."""
    slower = [width for width, ms in measured.items() if ms[way] >= ms[other]]
    faster = [width for width in measured if width > max(slower, default=0)]
    if not faster:
        return f"{way} is not ahead of {other} at any of these widths"
    return f"{way} is ahead of {other} from width {min(faster):,} on"


def chart(measured: dict[int, dict[str, float]]) -> str:
    """Return an SVG chart; both axes count in powers, or the small would be a dot."""
    lines = []
    for way in (OURS, BY_HAND, EAGER, COMPILED):
        points = []
        for width, seconds in measured.items():
            if way in seconds:
                points.append((log(2, width), log(10, 1000 * seconds[way])))
        if points:
            lines.append(Line(way, points))
    return line_chart(
        lines,
        title="A training step on one name",
        x_label="width as a power of 2 (4 is 16, 8 is 256)",
        y_label="milliseconds as a power of 10 (0 is 1, 3 is 1,000)",
    )


def log(base: int, number: float) -> float:
    """Return the power to which base has to be raised to give number."""
    return math.log(number) / math.log(base)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `python examples/pytorch/benchmark.py`; return its exit code."""
    return run_command(lambda: _command(argv))


def _command(argv: Sequence[str] | None) -> int:
    args = _parsed(argv)
    widths = sorted(set(args.widths))
    for width in widths:
        GPTConfig(vocab_size=27, n_embd=width)  # says what is wrong with it, if it is
    total = len(widths) * args.rounds
    progress = Progress("rounds", total, every=args.rounds, stream=sys.stderr)
    measured = {}
    for width in widths:
        # The first steps, in which PyTorch compiles, take longest.
        progress.show(progress.done, f", getting ready for width {width}")
        measured[width] = measure(width, args.rounds, progress)
    progress.finish()
    threads = torch.get_num_threads()
    say(f"on {NAME!r}, all have equal losses; PyTorch has {threads} threads")
    say(table(measured))
    if not can_compile():
        say("torch.compile needs a C++ compiler such as g++, and finds none here")
    for way in (EAGER, COMPILED):
        if way in measured[widths[0]]:
            for other in (OURS, BY_HAND):
                say(ahead_from(measured, way, other))
    os.makedirs(args.out, exist_ok=True)
    path = os.path.join(args.out, "pytorch_benchmark.svg")
    replace_file(path, chart(measured))
    say(f"picture: {path}")
    return 0


def _parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = OneLineParser(
        prog="python examples/pytorch/benchmark.py",
        description="Time a training step: our engine, lists by hand, PyTorch.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    widths = [4, 16, 64, 256]
    text = "widths of the model (default: 4 16 64 256)"
    add("--widths", metavar="N", type=int, nargs="+", default=widths, help=text)
    text = "how often each is timed (default: 5)"
    add("--rounds", metavar="N", type=int, default=5, help=text)
    add("--out", metavar="DIR", default="out", help="for the picture (default: out)")
    args = parser.parse_args(argv)
    if args.rounds < 1:
        raise ValueError(f"--rounds is {args.rounds}: make it 1 or more")
    return args


if __name__ == "__main__":
    sys.exit(main())
