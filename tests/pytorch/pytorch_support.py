"""What the tests of the larger model share: small sizes, and how a command is run."""

from __future__ import annotations

import subprocess
import sys

from tests.helpers import ROOT, Outcome, environment

MINI_GPT = str(ROOT / "examples" / "pytorch" / "mini_gpt.py")
SMALL = (
    "--n-layer", 2, "--n-head", 2, "--n-embd", 16, "--block-size", 8, "--batch-size", 4,
    "--warmup", 2, "--learning-rate", 0.01, "--samples", 1, "--val-fraction", 0.2,
)  # fmt: skip


def words(*argv):
    return [str(arg) for arg in argv]


def surroundings():
    """Return the environment of a command: one thread, so that sums have one order."""
    return environment(OMP_NUM_THREADS="1")


def call_mini_gpt(folder, *argv):
    """Run mini_gpt.py in a process of its own."""
    done = subprocess.run(
        words(sys.executable, MINI_GPT, *argv),
        cwd=folder,
        env=surroundings(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)
