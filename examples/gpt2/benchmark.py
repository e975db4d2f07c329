"""How fast is each way to run GPT-2, and what does it take in memory?

    python examples/gpt2/benchmark.py      about a minute, 0.5 GB of disk, 1.6 of memory
    python examples/gpt2/benchmark.py --position 500       some minutes

The weights are random numbers in the shapes of the smallest GPT-2, since speed does not
depend on what they are. They are written to a temporary folder. Each way has a process
of its own there, which loads the model, reads a text up to a position, takes the token
there several times, and says what it has used.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from array import array
from collections.abc import Sequence
from contextlib import ExitStack
from statistics import median
from typing import Any

from bigmatrix import ctrl_c_held_back
from complete import MILLION, peak_memory
from fast import FastGPT2
from load import load_gpt2, read_config
from model import gpt2, param_shapes, read_token

from microgpt.tools.terminal import OneLineParser, Progress, run_command

CONFIG: dict[str, Any] = {
    "model_type": "gpt2",
    "vocab_size": 50257,
    "n_positions": 1024,
    "n_embd": 768,
    "n_layer": 12,
    "n_head": 12,
}
PACKED_COUNTS = sorted({1, 2, os.cpu_count() or 1})


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
    progress = Progress("wrote", end // MILLION, every=100, stream=sys.stderr)
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


def measure(pipe: Any, folder: str, processes: int, position: int, n: int) -> None:
    """Send (what is done, how much, of how much) now and then, and None; then figures.

    These are the seconds to load, the seconds a token (the median) and the memory. With
    processes = 0 it is the plain, exact way.
    """

    def packed(done: int, total: int) -> None:
        if total >= MILLION:
            pipe.send(("packed million weights", done // MILLION, total // MILLION))

    clock = time.perf_counter
    started = clock()
    with (
        FastGPT2(folder, processes, packed) if processes else load_gpt2(folder) as model
    ):
        load_seconds = clock() - started
        for pos_id in range(position):
            read_token(model, pos_id, pos_id)
            pipe.send(("read", pos_id + 1, position))
        seconds = []
        for done in range(1, n + 1):
            started = clock()
            # Each time the one before is forgotten: all are at the same position.
            gpt2(model, done, position)
            seconds.append(clock() - started)
            pipe.send(("token", done, n))
    pipe.send(None)
    pipe.send((load_seconds, median(seconds), peak_memory()))


def run(way: str, *arguments: Any) -> tuple[float, float, str]:
    """Return the figures of one way, from a process of its own that shows progress."""
    context = multiprocessing.get_context("spawn")
    pipe, its_pipe = context.Pipe()
    process = context.Process(target=measure, args=(its_pipe, *arguments))
    with ExitStack() as at_the_end:
        with ctrl_c_held_back():
            process.start()
            its_pipe.close()
            # After Ctrl-C it would go on. (Its own workers end when it does.)
            at_the_end.callback(process.join)
            at_the_end.callback(process.kill)
        try:
            progress = None
            while message := pipe.recv():
                what, done, total = message
                if progress is None or progress.what != f"{way}: {what}":
                    progress = Progress(
                        f"{way}: {what}", total, every=total // 5, stream=sys.stderr
                    )
                progress.show(done)
                if done == total:
                    progress.finish()
            figures: tuple[float, float, str] = pipe.recv()
        except EOFError:
            raise ValueError(f"{way}: its process ended (out of memory?)") from None
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
    text = "how many tokens come before those that are timed (default: 10)"
    parser.add_argument("--position", metavar="N", type=int, default=10, help=text)
    args = parser.parse_args(argv)
    if args.tokens < 1:
        raise ValueError(f"--tokens is {args.tokens}: make it 1 or more")
    if not 0 <= args.position < CONFIG["n_positions"]:
        raise ValueError(
            f"--position is {args.position}: make it 0 to {CONFIG['n_positions'] - 1}"
        )
    ways = {"exact": 0}
    for n in PACKED_COUNTS:
        ways[f"packed, {n} process" + ("es" if n > 1 else "")] = n
    rows = []
    # If the command is ended by `kill` or at a logout, half a gigabyte should not stay.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        with tempfile.TemporaryDirectory() as folder:
            write_model(folder, CONFIG)
            for way, processes in ways.items():
                figures = run(way, folder, processes, args.position, args.tokens)
                rows.append((way, *figures))
    finally:
        signal.signal(signal.SIGTERM, before)
    print(f"At position {args.position}, on Python {sys.version.split()[0]}:\n")
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
