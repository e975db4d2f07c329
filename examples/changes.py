"""I changed this line, and this happened: what six choices of the model are worth.

    python examples/changes.py

Each change below replaces one line of the book by another. The script makes a copy of
the package in a temporary folder, replaces the line there, and trains and measures the
changed model as `python -m microgpt.train` would: 500 steps of one name each, and then
the held-out loss on 500 names. Your own files stay as they are.

How to read the table. The loss is the mean surprise at a character of a held-out name,
in nats; lower is better. The perplexity is exp(loss): the model is as unsure as if it
had to choose evenly among so many letters. The difference is to the unchanged model,
with its *standard error*: how far it would typically be off if it were measured on 500
other names. A difference smaller than twice its standard error may well be chance. And
even a larger one holds for this model, this seed and 500 steps: try `--seed 1`.

One change needs a second one to be fair. Plain gradient descent moves a parameter by
lr * gradient, and needs a much larger learning rate than Adam, which moves it by about
lr. So it is trained with several, and the best of them stands in the table.

To try a line of your own, add a Change to the list CHANGES below: a name, the file, a
piece of its text that is found there exactly once, and what to write in its place.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import NamedTuple

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# The package need not be installed. But the process that trains a changed copy is told
# by PYTHONPATH where that is, and must not find the unchanged package before it.
if "--child" not in sys.argv:
    sys.path.insert(0, ROOT)

from microgpt import (  # noqa: E402
    TrainConfig,
    as_floats,
    read_documents,
    shuffle_and_split,
    start,
    token_losses,
)
from microgpt.tools.report import counted  # noqa: E402
from microgpt.tools.terminal import (  # noqa: E402
    OneLineParser,
    run_command,
    say,
    say_error,
    write,
)
from microgpt.training import train  # noqa: E402


class Change(NamedTuple):
    """A line of the book, what to write in its place, and learning rates to try."""

    name: str
    file: str
    before: str
    after: str
    learning_rates: tuple[float, ...] = (0.01,)  # Adam's, as in the book


CHANGES = [
    Change(
        "ReLU in place of squared ReLU",
        "model.py",
        "activations = [relu(hi) ** 2 for hi in hidden]",
        "activations = [relu(hi) for hi in hidden]",
    ),
    Change(
        "no residual connection around the MLP",
        "model.py",
        "x = add(x, mlp(rmsnorm(x), params, layer))",
        "x = mlp(rmsnorm(x), params, layer)",
    ),
    Change(
        "no 1/sqrt(head_dim) at the scores of attention",
        "model.py",
        "scores = [dot(q_head, k_t) * head_dim**-0.5 for k_t in keys_head]",
        "scores = [dot(q_head, k_t) for k_t in keys_head]",
    ),
    Change(
        "no position embeddings",
        "model.py",
        "x = add(token_embedding, pos_embedding)",
        "x = token_embedding",
    ),
    Change(
        "embeddings that are not normalised",
        "model.py",
        "x = rmsnorm(x)",
        "pass  # x stays as small as the embeddings are",
    ),
    Change(
        "plain gradient descent in place of Adam",
        "adam.py",
        "parameter.data -= lr * m_hat / (sqrt(v_hat) + eps)",
        "parameter.data -= lr * grad",
        learning_rates=(0.1, 0.3, 1.0, 3.0),
    ),
]


def replace_once(text: str, before: str, after: str) -> str:
    """Return text with `before` replaced by `after`.

    If `before` is not found, or is found more than once: ValueError.

    >>> replace_once("y = 2 * x", "2 * x", "3 * x")
    'y = 3 * x'
    """
    n_found = text.count(before)
    if n_found != 1:
        raise ValueError(f"{before!r} is found {n_found} times: give text found once")
    return text.replace(before, after)


def changed_text(change: Change) -> str:
    """Return the text of the file with the change made in it.

    A text that is not found there exactly once: ValueError.
    """
    with open(path_of(change), encoding="utf-8") as file:
        text = file.read()
    try:
        return replace_once(text, change.before, change.after)
    except ValueError as error:
        raise ValueError(
            f"the change {change.name!r}, in microgpt/{change.file}: {error}"
        ) from None


def path_of(change: Change) -> str:
    """Return the path of the file that the change is about."""
    return os.path.join(ROOT, "microgpt", change.file)


def copy_package(folder: str, change: Change | None) -> None:
    """Write the package into folder, with the change made in it (None: as it is)."""
    package = os.path.join(folder, "microgpt")
    no_caches = shutil.ignore_patterns("__pycache__")
    shutil.copytree(os.path.join(ROOT, "microgpt"), package, ignore=no_caches)
    if change is not None:
        path = os.path.join(package, change.file)
        with open(path, "w", encoding="utf-8") as file:
            file.write(changed_text(change))


def train_and_measure(
    steps: int, seed: int, learning_rate: float, n_names: int
) -> list[list[float]]:
    """Return the surprise at each character of each held-out name, after training.

    This runs in a process of its own, in which `microgpt` is the changed copy. A
    training that ends in numbers too large to calculate with returns an empty list.
    """
    documents = read_documents(os.path.join(ROOT, "input.txt"))
    training = TrainConfig(steps=steps, seed=seed, learning_rate=learning_rate)
    run, train_names, held_out_names = start(documents, training)
    try:
        for _ in train(run, train_names):
            pass
        params = as_floats(run.params)
        surprises = []
        for name in held_out_names[:n_names]:
            tokens = run.tokenizer.encode_document(name)
            surprises.append(token_losses(params, run.config, tokens))
    except (FloatingPointError, OverflowError):  # the learning rate was too high
        return []
    return surprises


def measure(
    change: Change | None, steps: int, seed: int, learning_rate: float, n_names: int
) -> list[list[float]]:
    """Call train_and_measure in a new process, with the change made to the package.

    If the changed package fails, its traceback is shown, and a ValueError names the
    change.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy_package(folder, change)
        settings = json.dumps([steps, seed, learning_rate, n_names])
        command = [sys.executable, os.path.abspath(__file__), "--child", settings]
        environment = {**os.environ, "PYTHONPATH": folder}
        done = subprocess.run(
            command,
            env=environment,
            cwd=folder,
            capture_output=True,
            encoding="utf-8",
            errors="backslashreplace",
        )
    write(done.stderr, stream=sys.stderr)
    if done.returncode != 0:
        name = change.name if change else UNCHANGED
        last_line = (done.stderr.splitlines() or [f"exit code {done.returncode}"])[-1]
        raise ValueError(f"{name!r} does not run: {last_line}")
    surprises: list[list[float]] = json.loads(done.stdout)
    return surprises


def run_child(settings: str) -> int:
    """Do in a process of its own what `measure` asks for, and print the surprises."""
    # What a changed line prints is for the reader, and no part of the answer.
    with contextlib.redirect_stdout(sys.stderr):
        surprises = train_and_measure(*json.loads(settings))
    print(json.dumps(surprises))
    return 0


def mean(surprises: Sequence[Sequence[float]]) -> float:
    """Return the mean over all characters of all names: the held-out loss."""
    if not surprises:
        return math.inf
    n_characters = sum([len(name) for name in surprises])
    return sum([sum(name) for name in surprises]) / n_characters


def perplexity(loss: float) -> float:
    """Return exp(loss), or infinity where that is too large for a float."""
    return math.exp(loss) if loss < 700 else math.inf


def standard_error(differences: Sequence[Sequence[float]]) -> float:
    """Return the standard error of the mean of differences, given name by name.

    The characters of a name depend on each other, so it is computed from how much each
    name as a whole pulls the mean to its side. No names (after a training that failed):
    infinity.
    """
    if not differences:
        return math.inf
    n_names = len(differences)
    n_characters = sum([len(name) for name in differences])
    middle = mean(differences)
    pulls = [sum(name) - middle * len(name) for name in differences]
    variance = sum([pull**2 for pull in pulls]) * n_names / (n_names - 1)
    return math.sqrt(variance) / n_characters


def line_number(change: Change) -> int:
    """Return the number of the line that the change is about."""
    with open(path_of(change), encoding="utf-8") as file:
        text_before, _, _ = file.read().partition(change.before)
    return text_before.count("\n") + 1


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = OneLineParser(
        prog="python examples/changes.py",
        description="Change one line of the book, train, and see what it was worth. To "
        "try a line of your own, add a Change to the list CHANGES in this file: a "
        "name, the file, a piece of its text that is found there exactly once, and "
        "what to write in its place.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    text = "steps of training (default: 500)"
    add("--steps", metavar="N", type=int, default=500, help=text)
    text = "another seed, other numbers (default: 42)"
    add("--seed", metavar="N", type=int, default=42, help=text)
    text = "measure on at most so many held-out names (default: 500)"
    add("--names", metavar="N", type=int, default=500, help=text)
    args = parser.parse_args(argv)
    for name, least in ("steps", 1), ("seed", 0), ("names", 2):
        number = vars(args)[name]
        if number < least:
            raise ValueError(f"--{name} is {number}: make it {least} or more")
    return args


UNCHANGED = "the model as it is"


def command(argv: Sequence[str] | None) -> int:
    """Train the unchanged model and each changed one, and print the table."""
    args = parse_arguments(argv)
    for change in CHANGES:
        changed_text(change)  # says what is wrong with it before anything is trained
    documents = read_documents(os.path.join(ROOT, "input.txt"))
    _, _, held_out_names = shuffle_and_split(documents, TrainConfig())
    n_names = min(args.names, len(held_out_names))

    n_runs = 1 + sum([len(change.learning_rates) for change in CHANGES])
    n_done = 0

    def measured(change: Change | None, learning_rate: float) -> list[list[float]]:
        nonlocal n_done
        n_done += 1
        name = change.name if change else UNCHANGED
        say_error(f"[{n_done}/{n_runs}] {name}, lr {learning_rate}")
        return measure(change, args.steps, args.seed, learning_rate, n_names)

    sizes = f"{counted(args.steps, 'step')}, {counted(n_names, 'held-out name')}"
    say(f"{sizes}, seed {args.seed}")
    say(f"{'':50}{'loss':>6}{'perplexity':>12}{'difference':>18}")
    unchanged = measured(None, learning_rate=0.01)
    loss = mean(unchanged)
    say(f"{UNCHANGED:50}{loss:6.3f}{perplexity(loss):12.1f}")
    for change in CHANGES:
        tried = {}
        for learning_rate in change.learning_rates:
            tried[learning_rate] = measured(change, learning_rate)
        losses = {rate: mean(surprises) for rate, surprises in tried.items()}
        best_rate = min(losses, key=lambda rate: losses[rate])
        loss = losses[best_rate]
        differences = []
        for name_now, name_before in zip(tried[best_rate], unchanged):
            differences.append([a - b for a, b in zip(name_now, name_before)])
        difference = f"{mean(differences):+.3f} ± {standard_error(differences):.3f}"
        say(
            f"\n{change.name:50}{loss:6.3f}{perplexity(loss):12.1f}{difference:>18}\n"
            f"    microgpt/{change.file}, line {line_number(change)}\n"
            f"    - {change.before}\n"
            f"    + {change.after}"
        )
        if len(losses) > 1:
            results = [f"{rate:g}: {loss:.3f}" for rate, loss in losses.items()]
            say(f"    loss by learning rate: {', '.join(results)}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run `python examples/changes.py`; return its exit code."""
    return run_command(lambda: command(argv))


if __name__ == "__main__":
    sys.exit(run_child(sys.argv[2]) if sys.argv[1:2] == ["--child"] else main())
