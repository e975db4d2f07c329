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

To try a line of your own, add a Change to the list, with a piece of the file's text
that is found there exactly once.
"""

from __future__ import annotations

import argparse
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


def copy_package(folder: str, change: Change | None) -> None:
    """Write the package into folder, with the change made in it (None: as it is)."""
    package = os.path.join(folder, "microgpt")
    no_caches = shutil.ignore_patterns("__pycache__")
    shutil.copytree(os.path.join(ROOT, "microgpt"), package, ignore=no_caches)
    if change is not None:
        path = os.path.join(package, change.file)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(replace_once(text, change.before, change.after))


def train_and_measure(
    steps: int, seed: int, learning_rate: float, n_names: int
) -> list[list[float]]:
    """Return the surprise at each character of each held-out name, after training.

    This runs in a process of its own, in which `microgpt` is the changed copy: that is
    why it is imported here and not above. A training that ends in numbers too large to
    calculate with returns an empty list.
    """
    from microgpt import TrainConfig, as_floats, read_documents, start, token_losses
    from microgpt.training import train

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
    """Call train_and_measure in a new process, with the change made to the package."""
    with tempfile.TemporaryDirectory() as folder:
        copy_package(folder, change)
        settings = json.dumps([steps, seed, learning_rate, n_names])
        command = [sys.executable, os.path.abspath(__file__), "--child", settings]
        environment = {**os.environ, "PYTHONPATH": folder}
        done = subprocess.run(
            command, env=environment, cwd=folder, stdout=subprocess.PIPE, check=True
        )
    surprises: list[list[float]] = json.loads(done.stdout)
    return surprises


def mean(surprises: Sequence[Sequence[float]]) -> float:
    """Return the mean over all characters of all names: the held-out loss."""
    if not surprises:
        return math.inf
    n_characters = sum([len(name) for name in surprises])
    return sum([sum(name) for name in surprises]) / n_characters


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
    path = os.path.join(ROOT, "microgpt", change.file)
    with open(path, encoding="utf-8") as file:
        lines = file.read().split("\n")
    (found,) = [i for i, line in enumerate(lines, start=1) if change.before in line]
    return found


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Change one line of the book, train, and see what it was worth."
    )
    add = parser.add_argument
    add("--steps", type=int, default=500, help="steps of training (default: 500)")
    add("--seed", type=int, default=42, help="another seed, other numbers (default 42)")
    add("--names", type=int, default=500, help="names to measure on (default: 500)")
    add("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.steps < 1 or args.seed < 0 or args.names < 2:
        parser.error("give 1 step or more, a seed of 0 or more, and 2 names or more")
    return args


def main() -> None:
    """Train the unchanged model and each changed one, and print the table."""
    args = parse_arguments()
    if args.child:
        print(json.dumps(train_and_measure(*json.loads(args.child))))
        return

    n_runs = 1 + sum([len(change.learning_rates) for change in CHANGES])
    n_done = 0

    def measured(change: Change | None, learning_rate: float) -> list[list[float]]:
        nonlocal n_done
        n_done += 1
        name = change.name if change else "the model as it is"
        print(f"[{n_done}/{n_runs}] {name}, lr {learning_rate}", file=sys.stderr)
        return measure(change, args.steps, args.seed, learning_rate, args.names)

    print(f"{args.steps} steps, {args.names} held-out names, seed {args.seed}")
    print(f"{'':50}{'loss':>6}{'perplexity':>12}{'difference':>18}")
    unchanged = measured(None, learning_rate=0.01)
    loss = mean(unchanged)
    print(f"{'the model as it is':50}{loss:6.3f}{math.exp(loss):12.1f}", flush=True)
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
        print(
            f"\n{change.name:50}{loss:6.3f}{math.exp(loss):12.1f}{difference:>18}\n"
            f"    microgpt/{change.file}, line {line_number(change)}\n"
            f"    - {change.before}\n"
            f"    + {change.after}",
            flush=True,
        )
        if len(losses) > 1:
            results = [f"{rate:g}: {loss:.3f}" for rate, loss in losses.items()]
            print(f"    loss by learning rate: {', '.join(results)}", flush=True)


if __name__ == "__main__":
    main()
