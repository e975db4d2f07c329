"""How the tests run the package: a small model, and the commands here or elsewhere.

A command runs in this process where it can, which is fast, and in a process of its own
where that is the point: signals, terminals, closed pipes, exit codes.

Every test imports what it needs from here: `from tests.helpers import small_run`.
"""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from microgpt.training import TrainConfig, start, train

PYPY = sys.implementation.name == "pypy"
ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "reference" / "data"

# Twenty different names. At the default of a tenth, 2 are held out and 18 trained on.
# fmt: off
NAMES = [
    "ada", "amy", "ann", "ava", "bea", "bob", "cal", "dan", "eli", "eva",
    "ida", "ivy", "jan", "kim", "lea", "leo", "mia", "sam", "tom", "zoe",
]
# fmt: on
SIZES = {"block_size": 4, "n_head": 2, "n_embd": 4}
TINY = ("--block-size", 4, "--n-head", 2, "--n-embd", 4)  # the same, as flags


class Outcome(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


def write_names(folder, names=NAMES, file="names.txt"):
    """Write a file of documents, and return its path as text."""
    path = Path(folder) / file
    path.write_text("\n".join(names) + "\n", encoding="utf-8")
    return str(path)


def small_run(names=NAMES, sizes=SIZES, *, take=0, **training):
    """Return (a run of a small model after `take` steps, its documents, held out)."""
    run, train_documents, val_documents = start(names, TrainConfig(**training), **sizes)
    take_steps(run, train_documents, take)
    return run, train_documents, val_documents


def take_steps(run, documents, n):
    """Go on with run for n steps, or as many as are left, and leave it there."""
    turns = train(run, documents)
    for _ in range(min(n, run.training.steps - run.step)):
        next(turns)
    turns.close()


def contents(run):
    """Return all that decides how run goes on, laid out as in a checkpoint.

    Compare two of them by their repr: it tells -0.0 from 0.0 and 1 from 1.0.
    """
    version, state, gauss_next = run.rng.getstate()
    assert run.optimizer.t == run.step
    return {
        "config": dataclasses.asdict(run.config),
        "training": dataclasses.asdict(run.training),
        "vocabulary": run.tokenizer.chars,
        "step": run.step,
        "losses": list(run.losses),
        "rng": [version, list(state), gauss_next],
        "params": {
            name: [[weight.data for weight in row] for row in matrix]
            for name, matrix in run.params.items()
        },
        "adam": {
            "beta1": run.optimizer.beta1,
            "beta2": run.optimizer.beta2,
            "eps": run.optimizer.eps,
            "weight_decay": run.optimizer.weight_decay,
            "m": list(run.optimizer.m),
            "v": list(run.optimizer.v),
        },
    }


def call(capsys, main, *argv):
    """Run a command in this process."""
    capsys.readouterr()
    code = main([str(arg) for arg in argv])
    return Outcome(code, *capsys.readouterr())


def command_line(module, *argv, python_flags=()):
    """Return the words that start a command in a process of its own."""
    return [sys.executable, *python_flags, "-m", module, *[str(arg) for arg in argv]]


# Set in many workplaces, not on a reader's machine, and they hide faults: output that
# is written at once cannot fail when Python shuts down.
LEFT_OUT = ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE")


def environment(**more):
    """Return an ordinary environment, in which Python finds the package."""
    ordinary = {name: text for name, text in os.environ.items() if name not in LEFT_OUT}
    return {**ordinary, "PYTHONPATH": str(ROOT), **more}


def call_elsewhere(folder, module, *argv, python_flags=(), **env):
    """Run a command in a process of its own, started in folder."""
    done = subprocess.run(
        command_line(module, *argv, python_flags=python_flags),
        cwd=folder,
        env=environment(**env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def assert_one_line_error(outcome, *words):
    """Assert that bad input was named in one line, without a traceback."""
    assert outcome.code == 2
    assert "Traceback" not in outcome.out + outcome.err
    assert outcome.err.startswith("error: ")
    assert outcome.err.endswith("\n")
    assert outcome.err.count("\n") == 1, outcome.err
    for word in words:
        assert str(word) in outcome.err


# What stands beside a sample; ", cut" may follow (see microgpt/tools/report.py).
MARKS = (
    "seen in training",
    "in the file, not trained on",
    "somewhere in the file",  # of running text
    "new",
)


def printed_samples(out):
    """Return the (text, mark) of each sample that python -m microgpt.train printed."""
    line = re.compile(rf"^ *(.*?) +((?:{'|'.join(MARKS)})(?:, cut)?)$")
    found = [line.match(text) for text in out.splitlines()]
    return [match.groups() for match in found if match]


def read_losses(folder):
    """Return the losses in losses.csv, whose steps must count from 1."""
    text = (Path(folder) / "losses.csv").read_text(encoding="utf-8")
    header, *rows = text.splitlines()
    assert header == "step,loss"
    pairs = [row.split(",") for row in rows]
    assert [step for step, _ in pairs] == [str(n) for n in range(1, len(rows) + 1)]
    return [float(loss) for _, loss in pairs]
