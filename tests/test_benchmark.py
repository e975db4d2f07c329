"""The benchmark's rungs compute the same numbers, and each has a row in the table."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from run import ROOT

pytestmark = pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="it measures CPython's memory"
)
BENCHMARK = str(ROOT / "examples" / "benchmark.py")
RUNGS = [
    "closures and sets",
    "stored slopes",
    "fused nodes (microgpt)",
    "lists by hand",
    "two processes",
]


def run_benchmark(folder, *argv):
    """Run the command in folder, in a process of its own."""
    return subprocess.run(
        [sys.executable, BENCHMARK, *argv],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )


def test_all_rungs_have_the_same_loss_and_a_row_each(tmp_path):
    done = run_benchmark(tmp_path, "--rounds", "1", "--short")
    assert (done.returncode, done.stderr) == (0, "")
    # Losses and gradients are compared before anything is timed; a gap is an error.
    assert re.search(r"all 5 rungs: loss \d\.\d+, and its gradients", done.stdout)
    table = (tmp_path / "out" / "benchmark.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    assert [row[0] for row in rows] == RUNGS
    nodes = {row[0]: int(row[3].replace(",", "")) for row in rows}
    assert nodes["closures and sets"] == nodes["stored slopes"]
    assert nodes["closures and sets"] > 10 * nodes["fused nodes (microgpt)"]
    assert nodes["lists by hand"] == 0
    picture = (tmp_path / "out" / "benchmark.svg").read_text(encoding="utf-8")
    assert all(rung in picture for rung in RUNGS)


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        (["--rounds", "0"], "--rounds is 0"),
        (["--rounds", "many"], "many"),
        (["--faster"], "--faster"),
        (["--out", BENCHMARK], "cannot make"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tmp_path, argv, word):
    done = run_benchmark(tmp_path, *argv)
    assert done.returncode == 2
    assert done.stdout == ""
    assert word in done.stderr
    assert done.stderr.count("\n") == 1
