"""Ctrl-C at any line of a whole training command, once and twice.

A trace function, which Python calls at each line, presses it at a line of our choice.
"""

from __future__ import annotations

import gc
import os
import random
import signal
import sys
from pathlib import Path

import pytest

import microgpt
from microgpt.tools import train_command
from microgpt.tools.train_command import main
from tests.helpers import call, contents, small_run, write_names

PACKAGE = os.path.dirname(microgpt.__file__)
# The calculation itself, tens of thousands of lines that are like each other.
LEFT_OUT = {
    os.path.join(PACKAGE, f"{name}.py") for name in ("value", "model", "tokenizer")
}
FLAGS = ("--steps", 3, "--samples", 1, "--block-size", 2, "--n-embd", 2, "--n-head", 1)


@pytest.fixture
def default_ctrl_c():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def trained(capsys, folder, names, presses):
    """Train in folder with Ctrl-C at these lines; return (outcome, number of lines)."""
    n_lines = 0

    def trace(frame, event, argument):
        nonlocal n_lines
        path = frame.f_code.co_filename
        if not path.startswith(PACKAGE) or path in LEFT_OUT:
            return None
        if event == "line":
            n_lines += 1
            if n_lines in presses:
                signal.raise_signal(signal.SIGINT)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        outcome = call(capsys, main, "--data", names, "--out", folder, *FLAGS)
    finally:
        sys.settrace(before)
    return outcome, n_lines


@pytest.mark.slow
@pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="elsewhere a signal may come later"
)
def test_at_no_line_do_one_or_two_presses_cost_anything(
    tmp_path, capsys, monkeypatch, default_ctrl_c
):
    names = write_names(tmp_path)
    monkeypatch.setattr(train_command, "SAVE_SECONDS", -1.0)  # after every step
    unraisable = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    whole, n_lines = trained(capsys, tmp_path / "whole", names, presses=())
    assert whole.code == 0
    assert n_lines > 1000
    sizes = {"block_size": 2, "n_embd": 2, "n_head": 1}
    steps = [
        repr(contents(small_run(sizes=sizes, take=n, steps=3)[0])) for n in range(4)
    ]

    rng = random.Random(int(os.environ.get("SEED", "5")))
    n_tries = int(os.environ.get("TRIES", "60"))
    for number in range(n_tries):
        # main's first lines are before Ctrl-C is its own.
        first = rng.randrange(4, n_lines - 12)
        presses = {first}
        if number % 2:
            presses.add(first + rng.choice([1, 2, 3, 10, 40, 200, 1000]))
        folder = tmp_path / str(number)
        outcome, _ = trained(capsys, folder, names, presses)
        assert outcome.code == 130, presses
        path = folder / "checkpoint.json"
        at_the_end = f"\nstopped; the run itself is saved in {path}\n"
        assert outcome.err in ("", "\nstopped\n", at_the_end), presses
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert gc.isenabled(), presses
        assert unraisable == [], presses

        left = sorted(os.listdir(folder)) if folder.exists() else []
        assert set(left) <= {"checkpoint.json", "loss.svg", "losses.csv"}, presses
        if "checkpoint.json" in left:
            saved = microgpt.load_checkpoint(str(path))
            assert repr(contents(saved)) == steps[saved.step], presses
            resumed = call(capsys, main, "--resume", "--out", folder)
            assert resumed.code == 0
            for name in ("checkpoint.json", "losses.csv", "loss.svg"):
                as_never_stopped = Path(tmp_path, "whole", name).read_bytes()
                assert Path(folder, name).read_bytes() == as_never_stopped, presses
        else:
            # Only before the first step was done; the lines above say which it was.
            assert f"step 2/{3}" not in outcome.out
