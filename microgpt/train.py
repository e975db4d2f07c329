"""Training: show the model a document, ask for the slopes, take a step; again.

Before this came `sample.py`, and every piece is there now: this last file puts them
together, as functions and as the command `python -m microgpt.train`. In a notebook:

    run, train_documents, val_documents = start(read_documents("input.txt"))
    for timing in train(run, train_documents):
        print(run.step, run.losses[-1])
    print(held_out_loss(run, val_documents[:500]))
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import gc
import math
import os
import random
import shlex
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TextIO

from microgpt.adam import Adam, clip_grad_norm
from microgpt.checkpoint import (
    Run,
    TrainConfig,
    load_checkpoint,
    replace_file,
    save_checkpoint,
)
from microgpt.data import (
    default_data_path,
    documents_sha256,
    read_documents,
    split_documents,
)
from microgpt.draw import Line, line_chart
from microgpt.gpt import GPTConfig, document_loss, flatten, init_params
from microgpt.sample import OneLineParser, generate, run_command
from microgpt.tokenizer import CharTokenizer


def shuffle_and_split(
    documents: Sequence[str], training: TrainConfig
) -> tuple[random.Random, list[str], list[str]]:
    """Return (the generator after its first use, documents to train on, held out)."""
    rng = random.Random(training.seed)
    shuffled = list(documents)
    rng.shuffle(shuffled)
    train_documents, val_documents = split_documents(shuffled, training.val_fraction)
    return rng, train_documents, val_documents


def start(
    documents: Sequence[str], training: TrainConfig | None = None, **sizes: int
) -> tuple[Run, list[str], list[str]]:
    """Return (a new run, the documents it trains on, those held out).

    sizes are those of GPTConfig: block_size, n_layer, n_head, n_embd.
    """
    training = training or TrainConfig()
    rng, train_documents, val_documents = shuffle_and_split(documents, training)
    tokenizer = CharTokenizer.from_documents(documents)
    config = GPTConfig(tokenizer.vocab_size, **sizes)
    params = init_params(config, rng)
    optimizer = Adam(flatten(params), weight_decay=training.weight_decay)
    data_sha256 = documents_sha256(documents)
    run = Run(config, training, tokenizer, params, optimizer, rng, data_sha256)
    return run, train_documents, val_documents


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Keep Python from searching for reference cycles: a graph of Values has none.

    It is freed with its result, and the search would be in vain. PyPy, which counts no
    references, does need its collector, and keeps it.
    """
    pause = gc.isenabled() and sys.implementation.name == "cpython"
    if pause:
        gc.disable()
    try:
        yield
    finally:
        if pause:
            gc.enable()


def train(run: Run, documents: Sequence[str]) -> Iterator[tuple[float, float, float]]:
    """Take the steps that run has left, one at each turn of the caller's loop.

    Each turn yields the seconds that went into (forward, backward, Adam). Between turns
    run is whole: it can be saved, sampled from or left. A loss that is not finite:
    ArithmeticError, before the parameters are touched.
    """
    training, parameters = run.training, run.optimizer.parameters
    clock = time.perf_counter
    with collector_paused():
        for step in range(run.step, training.steps):
            step_loss = forward = backward = 0.0
            for i in range(training.batch_size):
                started = clock()
                document = documents[(step * training.batch_size + i) % len(documents)]
                tokens = run.tokenizer.encode_document(document)
                loss = document_loss(run.params, run.config, tokens)
                if not math.isfinite(loss.data):
                    raise FloatingPointError(f"the loss is {loss.data}")
                forward_done = clock()
                (loss / training.batch_size).backward()
                step_loss += loss.data / training.batch_size
                del loss  # its graph goes now, not after the next one has been built
                forward += forward_done - started
                backward += clock() - forward_done
            started = clock()
            if training.grad_clip:
                clip_grad_norm(parameters, training.grad_clip)
            lr = training.learning_rate * (1 - step / training.steps)
            run.optimizer.step(lr)
            run.losses.append(step_loss)
            yield forward, backward, clock() - started


def held_out_loss(
    run: Run, documents: Sequence[str], show: Callable[[int], None] | None = None
) -> float:
    """Return the mean loss of every character the model is asked for, in nats.

    Those are the first block_size of each document, its end among them if reached.
    Nothing is drawn. show, if given, is told the number of documents done so far.
    """
    nats, n_characters = 0.0, 0
    with collector_paused():
        for done, document in enumerate(documents, start=1):
            tokens = run.tokenizer.encode_document(document)
            n = min(run.config.block_size, len(tokens) - 1)
            nats += document_loss(run.params, run.config, tokens).data * n
            n_characters += n
            if show:
                show(done)
    return nats / n_characters


def bigram_loss(run: Run, counted: Sequence[str], documents: Sequence[str]) -> float:
    """Return what held_out_loss is for a table of which character follows which.

    A yardstick: the table is asked for the same characters, but looks back only one.
    Every pair counts as seen once more than it was, so that none is impossible.
    """
    vocab_size = run.config.vocab_size
    pair_counts: Counter[tuple[int, int]] = Counter()
    first_counts: Counter[int] = Counter()
    for document in counted:
        tokens = run.tokenizer.encode_document(document)
        pair_counts.update(zip(tokens, tokens[1:]))
        first_counts.update(tokens[:-1])
    losses = []
    for document in documents:
        tokens = run.tokenizer.encode_document(document)[: run.config.block_size + 1]
        for pair in zip(tokens, tokens[1:]):
            share = (pair_counts[pair] + 1) / (first_counts[pair[0]] + vocab_size)
            losses.append(-math.log(share))
    return sum(losses) / len(losses)


def smooth(losses: Sequence[float], window: int = 50) -> list[float]:
    """Return, for each step, the mean loss of the window that ends there.

    >>> smooth([4.0, 2.0, 6.0], window=2)
    [4.0, 3.0, 4.0]
    """
    means = []
    for end in range(1, len(losses) + 1):
        last = losses[max(0, end - window) : end]
        means.append(sum(last) / len(last))
    return means


# From here on: the command.

SIZES = ("block_size", "n_layer", "n_head", "n_embd")
# What each setting means; its default, and so its type, stands in its class.
SETTINGS = {
    "data": "text file, one document a line",
    "steps": "how many steps to train",
    "seed": "starts all that is random",
    "batch_size": "documents a step",
    "block_size": "how many tokens the model can see",
    "n_layer": "layers",
    "n_head": "heads of attention in a layer",
    "n_embd": "how many numbers stand for a token",
    "learning_rate": "at the first step; it falls to almost 0 at the last",
    "weight_decay": "how strongly weights are pulled to 0",
    "grad_clip": "longest gradient allowed; 0: any",
    "val_fraction": "share of the documents that is held out",
    "val_documents": "measure the loss on at most so many of these",
    "samples": "how many samples to draw at the end",
    "temperature": "of the samples; below 1: safer, above: wilder",
}
SAVE_SECONDS = 30.0  # the most that a kill without warning can lose


def main(argv: Sequence[str] | None = None) -> int:
    """Run `python -m microgpt.train`; return its exit code."""
    return run_command(lambda: _command(argv))


def _parse(argv: Sequence[str] | None) -> tuple[argparse.Namespace, dict[str, Any]]:
    """Return (all arguments, those of SETTINGS that were really given)."""
    parser = OneLineParser(
        prog="python -m microgpt.train",
        description="Train a GPT on a file of names, and draw new names from it.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    defaults = {**vars(TrainConfig), **vars(GPTConfig)}
    shown = {**defaults, "data": "input.txt here, else the names shipped with this"}
    for name, text in SETTINGS.items():
        flag, kind = "--" + name.replace("_", "-"), type(defaults[name])
        metavar = {int: "N", float: "X", str: "FILE"}[kind]
        text = f"{text} (default: {shown[name]})"
        add(flag, metavar=metavar, type=kind, default=argparse.SUPPRESS, help=text)
    text = "folder for what is saved (default: out)"
    add("--out", metavar="DIR", default="out", help=text)
    text = "go on with the run in --out, with its settings (default: train anew)"
    add("--resume", action="store_true", help=text)
    text = "say where the time of a step went (default: do not)"
    add("--profile", action="store_true", help=text)
    args = parser.parse_args(argv)
    return args, {name: vars(args)[name] for name in SETTINGS if name in vars(args)}


def _command(argv: Sequence[str] | None) -> int:
    args, given = _parse(argv)
    path = os.path.join(args.out, "checkpoint.json")
    if args.resume:
        run = _resume(path, given)
        data = run.training.data or default_data_path()
        documents = read_documents(data)
        if documents_sha256(documents) != run.data_sha256:
            raise ValueError(
                f"{data} is not, or no longer, what {path} was trained on: see --data"
            )
        _, train_documents, val_documents = shuffle_and_split(documents, run.training)
    else:
        documents = read_documents(given.get("data") or default_data_path())
        sizes = {name: given.pop(name) for name in SIZES if name in given}
        training = TrainConfig(**given)
        run, train_documents, val_documents = start(documents, training, **sizes)
    try:
        os.makedirs(args.out, exist_ok=True)
    except OSError as error:
        raise ValueError(f"cannot make {args.out!r}: {error.strerror}") from None

    _print_sizes(run, documents)
    seconds = _train_and_save(run, train_documents, path)
    _save_losses(run, args.out)
    if run.step < run.training.steps:
        flag = "" if args.out == "out" else f" --out {shlex.quote(args.out)}"
        print(f"stopped after step {run.step} of {run.training.steps}, saved in {path}")
        print(f"to go on: python -m microgpt.train --resume{flag}")
        return 130
    if args.profile and seconds:
        for part, spent in zip(("forward", "backward", "adam"), zip(*seconds)):
            print(f"{part:>8}: {1000 * sum(spent) / len(spent):6.2f} ms a step")
    # The table it is compared with may count only what the model has seen.
    trained_on = train_documents[: run.step * run.training.batch_size]
    val_loss = _measure(run, trained_on, val_documents)
    _save_losses(run, args.out, val_loss)
    _print_samples(run, documents, trained_on)
    print(f"saved in {args.out}: checkpoint.json, losses.csv, loss.svg (a picture)")
    return 0


def _resume(path: str, given: dict[str, Any]) -> Run:
    """Return the run saved at path, with the given settings if they can be changed."""
    run = load_checkpoint(path)
    saved = {**vars(run.config), **vars(run.training)}
    for name in (*SIZES, "seed", "val_fraction", "batch_size"):
        if name in given and given.pop(name) != saved[name]:
            flag = "--" + name.replace("_", "-")
            raise ValueError(
                f"{path} was trained with {flag} {saved[name]}, which cannot change: "
                f"leave {flag} out, or train anew without --resume"
            )
    run.training = dataclasses.replace(run.training, **given)
    run.optimizer.weight_decay = run.training.weight_decay
    if run.step > run.training.steps:
        raise ValueError(
            f"{path} is at step {run.step} already, past --steps {run.training.steps}"
        )
    return run


class Progress:
    """How far the work is: one line that updates on a terminal, plain lines elsewhere.

    Plain lines come after equal amounts of work and hold no times, so that the same run
    always prints the same text.
    """

    def __init__(
        self,
        what: str,
        total: int,
        every: int,
        start: int = 0,
        stream: TextIO | None = None,
    ) -> None:
        self.what, self.total, self.every = what, total, max(1, every)
        self.start = self.done = start
        self.stream = stream or sys.stdout
        self.terminal = self.stream.isatty()
        self.started, self.shown = time.perf_counter(), 0.0

    def show(self, done: int, text: str = "") -> None:
        """Say that `done` are done, of total."""
        line, now = f"{self.what} {done}/{self.total}{text}", time.perf_counter()
        if self.terminal and (now - self.shown > 0.1 or done == self.total):
            self.shown = now
            each = (now - self.started) / (done - self.start)
            bar = "#" * (20 * done // self.total)
            line = f"\r[{bar:-<20}] {line}, {each * 1000:.1f} ms each"
            left = f"{each * (self.total - done):.0f} s left"
            print(f"{line}, {left}\033[K", end="", file=self.stream, flush=True)
        is_due = done // self.every > self.done // self.every and done > 1
        if is_due and not self.terminal:
            print(line, file=self.stream, flush=True)
        self.done = done

    def finish(self) -> None:
        """Leave the line as it is, and go on below it."""
        if self.terminal and self.done > self.start:
            print(file=self.stream, flush=True)


def _steps_a_line(run: Run) -> int:
    # 50 steps of the default model, of a larger one about as much work.
    return 50 * 4064 // (len(run.optimizer.parameters) * run.training.batch_size)


def _print_sizes(run: Run, documents: Sequence[str]) -> None:
    vocab_size, block_size = run.config.vocab_size, run.config.block_size
    print(
        f"{len(documents):,} documents, vocabulary {vocab_size}, "
        f"{len(run.optimizer.parameters):,} parameters; a blind guess has loss "
        f"log({vocab_size}) = {math.log(vocab_size):.3f}",
        flush=True,
    )
    # The end of a document is asked for as well, so one of block_size is too long.
    n_long = sum([len(document) >= block_size for document in documents])
    if n_long:
        print(
            f"{n_long:,} are longer than --block-size {block_size} sees, and cut there"
        )


def _train_and_save(
    run: Run, documents: Sequence[str], path: str
) -> list[tuple[float, float, float]]:
    """Train with progress; save at the end, on Ctrl-C, and now and then between."""
    steps = run.training.steps
    if run.step:
        print(
            f"resuming after step {run.step}/{steps}, loss {smooth(run.losses)[-1]:.3f}"
        )
    interrupted = False

    def on_ctrl_c(signal_number: int, frame: object) -> None:
        nonlocal interrupted
        interrupted = True
        signal.signal(signal.SIGINT, before)  # a second Ctrl-C stops at once

    before = signal.signal(signal.SIGINT, on_ctrl_c)
    progress = Progress("step", steps, _steps_a_line(run), start=run.step)
    seconds, saved_step, saved_at = [], run.step, time.monotonic()
    try:
        for spent in train(run, documents):
            seconds.append(spent)
            if run.step == 1:
                first, guess = run.losses[0], math.log(run.config.vocab_size)
                print(f"step 1/{steps}, loss {first:.3f} (blind guess {guess:.3f})")
            recent = run.losses[-50:]
            progress.show(run.step, f", loss {sum(recent) / len(recent):.3f}")
            if interrupted:
                break
            if time.monotonic() - saved_at > SAVE_SECONDS:
                save_checkpoint(path, run)
                saved_step, saved_at = run.step, time.monotonic()
        save_checkpoint(path, run)
    except ArithmeticError as error:
        kept = (
            f"{path} holds step {saved_step}"
            if saved_step
            else "this run had saved nothing yet"
        )
        raise ValueError(
            f"stopped at step {run.step + 1}, {error}: lower --learning-rate ({kept})"
        ) from None
    finally:
        progress.finish()
        signal.signal(signal.SIGINT, before)
    return seconds


def _measure(
    run: Run, trained_on: Sequence[str], held_out: Sequence[str]
) -> float | None:
    """Print and return the held-out loss, with what it means; None if there is none."""
    measured = held_out[: run.training.val_documents]
    if not measured:
        print("held-out loss: none, since no documents were held out")
        return None
    progress = Progress("measured", len(measured), 20 * _steps_a_line(run))
    val_loss = held_out_loss(run, measured, progress.show)
    progress.finish()
    if not val_loss < 700:  # or exp(val_loss) is too large a number
        raise ValueError(f"the held-out loss is {val_loss:.4g}: lower --learning-rate")
    table_loss = bigram_loss(run, trained_on, measured)
    print(
        f"held-out loss: {val_loss:.3f} nats a character, as unsure as if choosing "
        f"among {math.exp(val_loss):.1f} letters evenly\n"
        f"  a table of letter pairs: {table_loss:.3f}, as if among "
        f"{math.exp(table_loss):.1f} (counted on the {len(trained_on):,} documents "
        f"trained on;\n  both measured on {len(measured):,} of {len(held_out):,} held "
        "out)"
    )
    return val_loss


def _save_losses(run: Run, folder: str, val_loss: float | None = None) -> None:
    """Write losses.csv and the picture of it, loss.svg."""
    rows = [f"{step},{loss!r}\n" for step, loss in enumerate(run.losses, start=1)]
    replace_file(os.path.join(folder, "losses.csv"), "step,loss\n" + "".join(rows))
    steps = range(1, run.step + 1)
    lines = [
        Line("each step", list(zip(steps, run.losses)), "pale"),
        Line("mean of the last 50", list(zip(steps, smooth(run.losses))), "bold"),
    ]
    if val_loss is not None:
        ends = [(1, val_loss), (run.step, val_loss)]
        lines.append(Line("held-out documents, at the end", ends, "dashed"))
    picture = line_chart(lines, "Loss", "step", "nats a character")
    replace_file(os.path.join(folder, "loss.svg"), picture)


def _print_samples(
    run: Run, documents: Sequence[str], trained_on: Sequence[str]
) -> None:
    """Draw samples, and say of each whether the model may just know it by heart."""
    n, temperature = run.training.samples, run.training.temperature
    learnt, in_file = set(trained_on), set(documents)
    if n:
        print(f"{n} sample{'s' if n > 1 else ''} at temperature {temperature}:")
    how = (run.params, run.config, run.tokenizer, run.rng)
    for _ in range(n):
        text = generate(*how, temperature=temperature)
        if text in learnt:
            origin = "seen in training"
        else:
            origin = "in the file, not trained on" if text in in_file else "new"
        print(f"  {text:<{run.config.block_size}}  {origin}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
