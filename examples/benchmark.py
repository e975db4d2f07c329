"""The ladder of chapters 13 to 15, side by side: what does each rung cost and save?

    python examples/benchmark.py              about a minute
    python examples/benchmark.py --rounds 1 --short

A name's loss and all its gradients, without Adam's step, by each engine in turn. All of
them compute the same numbers, and that is checked first. The times are medians. Those
of closures are as they would train, with Python's garbage collector, which they need:
a variable `loss` keeps the last graph until the next one is there. The tables and a
picture go to out/.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import random
import sys
import time
from collections.abc import Sequence
from statistics import median

import by_hand
import ch13_atoms
from course import TOKENIZER, TRAIN_NAMES, replace_file

from microgpt.gpt import GPTConfig, flatten, init_params
from microgpt.sample import OneLineParser, run_command
from microgpt.train import Progress, collector_paused

# A rung: its name, and which engine of chapter 13 it is, if it is one.
ENGINES = {
    "closures and sets": "closures and sets",
    "stored slopes": "stored slopes",
    "fused nodes (microgpt)": "microgpt",
}
BY_HAND, PROCESSES = "lists by hand", "two processes"
RUNGS = (*ENGINES, BY_HAND, PROCESSES)
NEED_COLLECTOR = ("closures and sets",)
BATCH = 8  # names dealt out to the two processes: one name cannot be
WIDTHS, LENGTHS = (8, 16, 32), (4, 8, 16, 32)


class Bench:
    """One model, in the numbers of every rung that runs in this process."""

    def __init__(self, n_embd: int = 16, block_size: int = 8) -> None:
        config = GPTConfig(TOKENIZER.vocab_size, block_size, n_embd=n_embd)
        rng = random.Random(15)
        params = init_params(config, rng)
        for weight in flatten(params):
            weight.data = rng.gauss(0, 0.2)  # some would be 0, and hide mistakes
        self.config = config
        self.weights = [weight.data for weight in flatten(params)]
        self.params = {
            rung: ch13_atoms.new_params(engine, params)
            for rung, engine in ENGINES.items()
        }
        self.loss = None  # of the last step, as a loop of steps keeps it
        self.floats = {
            name: [[weight.data for weight in row] for row in matrix]
            for name, matrix in params.items()
        }

    def build(self, rung: str, tokens: Sequence[int]):
        """Return the loss of tokens, on top of its graph."""
        engine, params = ENGINES[rung], self.params[rung]
        return ch13_atoms.build_loss(engine, params, self.config, list(tokens))

    def step(self, rung: str, tokens: Sequence[int]) -> float:
        """Compute the loss and all gradients; return the loss."""
        if rung == BY_HAND:
            n_head = self.config.n_head
            return by_hand.loss_and_gradients(self.floats, n_head, list(tokens))[0]
        loss = self.build(rung, tokens)
        loss.backward()
        if rung in NEED_COLLECTOR:
            self.loss = loss
        return loss.data

    def seconds(self, rung: str, tokens: Sequence[int]) -> float:
        """Return how long a step takes, with the collector only where it is needed."""
        if rung in NEED_COLLECTOR:
            started = time.perf_counter()
            self.step(rung, tokens)
            return time.perf_counter() - started
        with collector_paused():
            started = time.perf_counter()
            self.step(rung, tokens)
            return time.perf_counter() - started

    def nodes(self, rung: str, tokens: Sequence[int]) -> int:
        """Return how many nodes a step makes."""
        if rung == BY_HAND:
            return 0
        return ch13_atoms.count_nodes(self.build(rung, tokens))

    def peak_bytes(self, rung: str, tokens: Sequence[int]) -> int:
        """Return how many more bytes are in use at the fullest moment of a step."""
        import tracemalloc  # CPython only: elsewhere the command has stopped before

        gc.collect()
        tracemalloc.start()
        try:
            self.step(rung, tokens)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


# Two processes, as in chapter 15: each has a model of its own, is sent the weights and
# its share of the names, and sends back its part of the loss and of the gradients.
Task = tuple[list[float], list[list[int]], int]  # weights, documents, size of the batch
_worker: list[Bench] = []


def start_worker() -> None:
    """Give this process a model."""
    _worker.append(Bench())
    gc.disable()  # graphs of Values are freed without it


def work(task: Task) -> tuple[float, list[float]]:
    """Return what these documents add to the batch's mean loss and its gradients."""
    weights, documents, batch_size = task
    bench, rung = _worker[0], "fused nodes (microgpt)"
    parameters = flatten(bench.params[rung])
    for parameter, weight in zip(parameters, weights):
        parameter.data, parameter.grad = weight, 0.0
    loss = sum([bench.step(rung, tokens) for tokens in documents]) / batch_size
    return loss, [parameter.grad / batch_size for parameter in parameters]


def together(
    pool, weights: list[float], documents: list[list[int]]
) -> tuple[float, list[float]]:
    """Deal the documents out; return their mean loss and its gradients."""
    n = len(documents)
    shares = [(weights, documents[rank::2], n) for rank in range(2)]
    loss_parts, grads = zip(*pool.map(work, shares, chunksize=1))
    return sum(loss_parts), [sum(parts) for parts in zip(*grads)]


def check(bench: Bench, pool, documents: list[list[int]]) -> float:
    """Return the mean loss; a rung with another loss or gradient: ArithmeticError."""
    n = len(documents)
    found = {PROCESSES: together(pool, bench.weights, documents)}
    for rung in ENGINES:
        parameters = flatten(bench.params[rung])
        for parameter in parameters:
            parameter.grad = 0.0
        loss = sum([bench.step(rung, tokens) for tokens in documents]) / n
        found[rung] = loss, [parameter.grad / n for parameter in parameters]
    loss, grads = 0.0, [0.0] * len(bench.weights)
    for tokens in documents:
        n_head = bench.config.n_head
        part, slopes, _ = by_hand.loss_and_gradients(bench.floats, n_head, tokens)
        in_order = flatten({name: slopes[name] for name in bench.floats})
        loss += part / n
        grads = [grad + slope / n for grad, slope in zip(grads, in_order)]
    found[BY_HAND] = loss, grads

    first_loss, first_grads = found[RUNGS[0]]
    for rung, (loss, grads) in found.items():
        gaps = [abs(grad - first) for grad, first in zip(grads, first_grads)]
        gap = max(abs(loss - first_loss), *gaps)
        if not gap < 1e-12:
            raise ArithmeticError(f"{rung}: off from {RUNGS[0]} by up to {gap:.2g}")
    return first_loss


def ladder(rounds: int) -> list[tuple[str, float, int, int]]:
    """Return (rung, seconds a name, nodes a token, bytes a token) for each rung."""
    bench = Bench()
    names = TRAIN_NAMES[:BATCH]
    tokens = TOKENIZER.encode_document(next(n for n in TRAIN_NAMES if len(n) == 7))
    seconds: dict[str, list[float]] = {rung: [] for rung in RUNGS}
    progress = Progress("round", rounds, 1)
    context = multiprocessing.get_context("spawn")
    with context.Pool(2, initializer=start_worker) as pool:
        loss = check(bench, pool, [TOKENIZER.encode_document(name) for name in names])
        print(f"all {len(RUNGS)} rungs: loss {loss:.6f}, and its gradients, to 1e-12")
        for done in range(1, rounds + 1):
            for rung in RUNGS[:-1]:
                seconds[rung].append(bench.seconds(rung, tokens))
            # The same name as often as each process gets its fair share.
            started = time.perf_counter()
            together(pool, bench.weights, [tokens] * BATCH)
            seconds[PROCESSES].append((time.perf_counter() - started) / BATCH)
            progress.show(done)
    progress.finish()
    rows = []
    for rung in RUNGS:
        # A process of two has the same graph as one alone, and a model of its own.
        like = "fused nodes (microgpt)" if rung == PROCESSES else rung
        n_nodes, n_bytes = bench.nodes(like, tokens), bench.peak_bytes(like, tokens)
        n = len(tokens) - 1
        rows.append((rung, median(seconds[rung]), n_nodes // n, n_bytes // n))
    return rows


def growth() -> list[tuple[str, str, list[tuple[float, int, int]]]]:
    """Return (rung, what grows, [(seconds, nodes, bytes a token) at each size])."""
    sizes = {
        "n_embd": [(n_embd, 8) for n_embd in WIDTHS],
        "tokens": [(16, length) for length in LENGTHS],
    }
    rng = random.Random(1)
    rows = []
    total = len(RUNGS[:-1]) * sum(len(points) for points in sizes.values())
    progress = Progress("size", total, 4)
    for what, points in sizes.items():
        columns: dict[str, list[tuple[float, int, int]]] = {r: [] for r in RUNGS[:-1]}
        for n_embd, length in points:
            bench = Bench(n_embd, length)
            tokens = [rng.randrange(TOKENIZER.vocab_size) for _ in range(length + 1)]
            for rung, column in columns.items():
                bench.step(rung, tokens)  # the first has no graph before it
                gc.collect()  # what other rungs and sizes left
                times = [bench.seconds(rung, tokens)]
                while sum(times) < 0.2 and len(times) < 5:
                    times.append(bench.seconds(rung, tokens))
                n_nodes = bench.nodes(rung, tokens)
                n_bytes = bench.peak_bytes(rung, tokens)
                column.append((median(times), n_nodes // length, n_bytes // length))
                progress.show(progress.done + 1)
        rows += [(rung, what, column) for rung, column in columns.items()]
    progress.finish()
    return rows


def table(rows: Sequence[tuple[str, float, int, int]]) -> str:
    """Return the ladder as a table in Markdown, a row for each rung."""
    lines = [
        "| engine | ms a name | times as fast | nodes a token | bytes a token |",
        "|---|---:|---:|---:|---:|",
    ]
    for rung, seconds, n_nodes, n_bytes in rows:
        times = rows[0][1] / seconds
        lines.append(
            f"| {rung} | {1000 * seconds:.1f} | {times:.1f} "
            f"| {n_nodes:,} | {n_bytes:,} |"
        )
    return "\n".join(lines) + "\n"


def growth_table(rows, what: str) -> str:
    """Return, as a table in Markdown, ms, nodes and bytes at each size of `what`."""
    sizes = WIDTHS if what == "n_embd" else LENGTHS
    titles = [f"{what} {size}" for size in sizes]
    lines = ["| engine | | " + " | ".join(titles) + " |"]
    lines.append("|---|---|" + "---:|" * len(sizes))
    for rung, grows, column in rows:
        if grows != what:
            continue
        seconds, n_nodes, n_bytes = zip(*column)
        measured = {
            "ms": [f"{1000 * s:.1f}" for s in seconds],
            "nodes a token": [f"{n:,}" for n in n_nodes],
            "bytes a token": [f"{n:,}" for n in n_bytes],
        }
        for unit, texts in measured.items():
            lines.append(f"| {rung} | {unit} | " + " | ".join(texts) + " |")
    return "\n".join(lines) + "\n"


def bar_chart(rows: Sequence[tuple[str, float, int, int]]) -> str:
    """Return an SVG picture: a bar for each rung, as long as its milliseconds."""
    left, width, row_height = 190, 480, 38
    height = 70 + row_height * len(rows)
    longest = max(seconds for _, seconds, _, _ in rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 840 {height}" '
        f'width="840" height="{height}" font-family="sans-serif" font-size="14">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{left}" y="32" font-size="16" font-weight="bold">'
        "A name's loss and gradients, in milliseconds</text>",
    ]
    for i, (rung, seconds, _, _) in enumerate(rows):
        y = 55 + row_height * i
        bar = max(1.0, width * seconds / longest)
        text = f"{1000 * seconds:.1f} ms"
        if i:
            text += f", {rows[0][1] / seconds:.0f} times as fast"
        parts += [
            f'<text x="{left - 10}" y="{y + 17}" text-anchor="end">{rung}</text>',
            f'<rect x="{left}" y="{y}" width="{bar:.1f}" height="24" fill="#0072b2"/>',
            f'<text x="{left + bar + 8:.1f}" y="{y + 17}">{text}</text>',
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Run `python examples/benchmark.py`; return its exit code."""
    return run_command(lambda: _command(argv))


def _command(argv: Sequence[str] | None) -> int:
    parser = OneLineParser(
        prog="python examples/benchmark.py",
        description="Time the engines of chapters 13 to 15 side by side.",
        allow_abbrev=False,
    )
    text = "how often each engine is timed (default: 5)"
    parser.add_argument("--rounds", metavar="N", type=int, default=5, help=text)
    text = "leave out how the costs grow with the model and the text (default: do not)"
    parser.add_argument("--short", action="store_true", help=text)
    text = "folder for the tables and the picture (default: out)"
    parser.add_argument("--out", metavar="FOLDER", default="out", help=text)
    args = parser.parse_args(argv)
    if sys.implementation.name != "cpython":
        raise ValueError("the benchmark needs CPython, whose memory it measures")
    if args.rounds < 1:
        raise ValueError(f"--rounds is {args.rounds}: make it 1 or more")
    try:
        os.makedirs(args.out, exist_ok=True)
    except OSError as error:
        raise ValueError(f"cannot make {args.out!r}: {error.strerror}") from None

    rows = ladder(args.rounds)
    text = table(rows)
    if not args.short:
        grown = growth()
        for what in ("n_embd", "tokens"):
            text += "\n" + growth_table(grown, what)
    print(text)
    table_path = os.path.join(args.out, "benchmark.md")
    picture_path = os.path.join(args.out, "benchmark.svg")
    replace_file(table_path, text)
    replace_file(picture_path, bar_chart(rows))
    print(f"table: {table_path}, picture: {picture_path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
