"""How fast is each way to run GPT-2, and what does it take in memory?

    python examples/gpt2/benchmark.py      about a minute, 0.5 GB of disk, 1.6 of memory

The weights are random numbers in the shapes of the smallest GPT-2, since speed does not
depend on what they are. They are written to a temporary folder. Each way has a process
of its own there, which loads the model, takes some tokens, and says what it has used.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from array import array
from collections.abc import Sequence
from statistics import median
from typing import Any

from complete import MILLION, peak_memory
from model import empty_cache, gpt2, load_gpt2, param_shapes, read_config

from microgpt.sample import OneLineParser, run_command
from microgpt.train import Progress

CONFIG = {
    "model_type": "gpt2",
    "vocab_size": 50257,
    "n_positions": 1024,
    "n_embd": 768,
    "n_layer": 12,
    "n_head": 12,
}
# (exact, processes). Where a process cannot fork, there can only be one.
COUNTS = (1, 2) if hasattr(os, "fork") else (1,)
WAYS = [(exact, processes) for exact in (True, False) for processes in COUNTS]


def write_model(folder: str, settings: dict[str, Any]) -> None:
    """Write a config.json and a model.safetensors of random weights to folder."""
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump(settings, file)
    shapes = dict(param_shapes(read_config(folder)))
    header, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    free = shutil.disk_usage(folder).free
    if free < end:
        raise ValueError(
            f"{folder} has room for {free // MILLION} MB, but the model takes "
            f"{end // MILLION}: set TMPDIR to a folder on a larger disk"
        )
    # Drawing each weight would take a minute. The same ones again and again, from
    # another place each time, are as good here.
    rng = random.Random(124)
    some = array("f", [rng.gauss(0, 0.02) for _ in range(2**18)])
    progress = Progress("wrote", end // MILLION, every=100)
    with open(os.path.join(folder, "model.safetensors"), "wb") as file:
        head = json.dumps(header).encode()
        file.write(len(head).to_bytes(8, "little") + head)
        for name, shape in shapes.items():
            left = math.prod(shape)
            if name.endswith(("ln_1.weight", "ln_2.weight", "ln_f.weight")):
                array("f", [1.0] * left).tofile(file)
                left = 0
            while left:
                first = rng.randrange(len(some))
                piece = some[first : first + left]
                piece.tofile(file)
                left -= len(piece)
            written = file.tell() // MILLION
            if written > progress.done:
                progress.show(written, " MB")
    progress.finish()


def measure(pipe: Any, folder: str, exact: bool, processes: int, n: int) -> None:
    """Send (what is done, how much, of how much) now and then, and None; then figures.

    These are the seconds to load, the seconds a token (the median) and the memory.
    """

    def packed(done: int, total: int) -> None:
        if total >= MILLION:
            pipe.send(("packed million weights", done // MILLION, total // MILLION))

    clock = time.perf_counter
    started = clock()
    with load_gpt2(folder, exact, processes, packed) as model:
        load_seconds = clock() - started
        keys, values = empty_cache(model.config)
        seconds = []
        for pos_id in range(n):
            started = clock()
            gpt2(model, pos_id, pos_id, keys, values)
            seconds.append(clock() - started)
            pipe.send(("token", pos_id + 1, n))
    pipe.send(None)
    pipe.send((load_seconds, median(seconds), peak_memory()))


def run(way: str, *arguments: Any) -> tuple[float, float, str]:
    """Return the figures of one way, from a process of its own that shows progress."""
    context = multiprocessing.get_context("spawn")
    pipe, its_pipe = context.Pipe()
    process = context.Process(target=measure, args=(its_pipe, *arguments))
    process.start()
    its_pipe.close()
    try:
        progress = None
        while message := pipe.recv():
            what, done, total = message
            if progress is None or progress.what != f"{way}: {what}":
                progress = Progress(f"{way}: {what}", total, every=total // 5)
            progress.show(done)
            if done == total:
                progress.finish()
        figures: tuple[float, float, str] = pipe.recv()
    except EOFError:
        raise ValueError(f"{way}: its process ended (out of memory?)") from None
    process.join()
    return figures


def main(argv: Sequence[str] | None = None) -> int:
    """Run `python examples/gpt2/benchmark.py`; return its exit code."""
    return run_command(lambda: _command(argv))


def _command(argv: Sequence[str] | None) -> int:
    parser = OneLineParser(
        prog="python examples/gpt2/benchmark.py",
        description="Time each way to run a model of the size of the smallest GPT-2.",
        allow_abbrev=False,
    )
    text = "how many tokens to take in each way (default: 5)"
    parser.add_argument("--tokens", metavar="N", type=int, default=5, help=text)
    args = parser.parse_args(argv)
    if not 1 <= args.tokens <= CONFIG["n_positions"]:
        raise ValueError(
            f"--tokens is {args.tokens}: make it 1 to {CONFIG['n_positions']}"
        )
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        write_model(folder, CONFIG)
        for exact, processes in WAYS:
            way = "exact" if exact else "packed"
            way += f", {processes} process" + ("es" if processes > 1 else "")
            rows.append((way, *run(way, folder, exact, processes, args.tokens)))
    print("| way | s to load | s a token | tokens a second | memory a process |")
    print("|---|---:|---:|---:|---:|")
    for way, load_seconds, seconds, memory in rows:
        print(
            f"| {way} | {load_seconds:.1f} | {seconds:.2f} | {1 / seconds:.2f} "
            f"| {memory} |"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
