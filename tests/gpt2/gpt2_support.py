"""What the tests of GPT-2 share: where things are, and how a command is run."""

from __future__ import annotations

import time
from array import array
from pathlib import Path
from typing import NamedTuple

from bigmatrix import BLOCK, Part
from model import Matrix

ROOT = Path(__file__).resolve().parents[2]
GPT2 = ROOT / "examples" / "gpt2"
DATA = Path(__file__).resolve().parent / "data"


class Outcome(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


def call(capsys, main, *argv):
    """Run a command in this process."""
    capsys.readouterr()
    code = main([str(arg) for arg in argv])
    return Outcome(code, *capsys.readouterr())


def assert_one_line_error(outcome, *words):
    """Assert that bad input was named in one line, without a traceback."""
    assert outcome.code == 2
    assert "Traceback" not in outcome.out + outcome.err
    assert outcome.err.endswith("\n")
    assert outcome.err.count("\n") == 1, outcome.err
    for word in words:
        assert str(word) in outcome.err


def write_names(folder, names=("ann", "bob"), file="names.txt"):
    """Write a file of documents, one a line."""
    (Path(folder) / file).write_text("\n".join(names) + "\n", encoding="utf-8")


class SentMaker:
    """Makes a `Part` of these matrices, also in a worker, which gets copies of them."""

    def __init__(self, matrices, block=BLOCK):
        self.block = block
        # An array can be sent, and a memoryview cannot.
        self.flat = {
            name: (array(m.weights.format, m.weights), *m[1:])
            for name, m in matrices.items()
        }

    def __call__(self, part, n_parts):
        matrices = {
            name: Matrix(memoryview(weights), *rest)
            for name, (weights, *rest) in self.flat.items()
        }
        return Part(matrices, part, n_parts, self.block)


class FailingPart:
    """Makes a part that fails while it packs, in the parent or in each worker.

    With None for the error, packing there takes a minute.
    """

    def __init__(self, matrices, error, where):
        self.make = SentMaker(matrices)
        self.error, self.where = error, where

    def __call__(self, part, n_parts):
        own_part = self.make(part, n_parts)
        if (part == 0) == (self.where == "parent"):
            own_part.prepare = self.fail
        return own_part

    def fail(self, names, exact, show=None):
        if self.error is None:
            time.sleep(60)
        raise self.error("while packing")
