"""Two processes under torchrun: equal to one, and honest when one of them dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

torch = pytest.importorskip("torch")

from mini_run import load_run  # noqa: E402

from tests.helpers import write_names  # noqa: E402
from tests.pytorch.pytorch_support import (  # noqa: E402
    MINI_GPT,
    SMALL,
    call_mini_gpt,
    surroundings,
    words,
)

CPU = torch.device("cpu")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (torch.distributed.is_available() and os.path.isdir("/proc/self")),
        reason="needs torch.distributed, and Linux to find the processes",
    ),
]
# What the shell's torchrun starts, found by the Python that runs the tests.
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
TORCHRUN += ["--nproc-per-node", "2", MINI_GPT]


def started(folder, *argv):
    return subprocess.Popen(
        words(*TORCHRUN, *argv),
        cwd=folder,
        env=surroundings(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def loaded(folder):
    return load_run(str(folder / "checkpoint.pt"), CPU)


def test_two_processes_have_the_losses_of_one_with_twice_the_batch(tmp_path):
    names = write_names(tmp_path)
    flags = ("--data", names, "--steps", 8, *SMALL, "--dropout", 0, "--precision",
             "float64")  # fmt: skip
    one = call_mini_gpt(tmp_path, "--out", tmp_path / "one", *flags, "--batch-size", 8)
    assert (one.code, one.err) == (0, "")
    child = started(tmp_path, "--out", tmp_path / "two", *flags, "--batch-size", 4)
    out, err = child.communicate(timeout=300)
    assert child.returncode == 0, err
    assert "2 processes" in out
    alone, together = loaded(tmp_path / "one"), loaded(tmp_path / "two")
    assert len(together.losses) == 8
    assert together.losses == pytest.approx(alone.losses, rel=0, abs=1e-6)
    held_out = [loss for _, loss in alone.held_out]
    assert [loss for _, loss in together.held_out] == pytest.approx(held_out, abs=1e-6)
    # One speaks for both: each step's line stands there once.
    assert out.count("held-out loss") == len(held_out)
    # And one goes on with what two have begun.
    resume = ("--resume", "--out", tmp_path / "two", "--steps", 10)
    assert call_mini_gpt(tmp_path, *resume).code == 0
    assert loaded(tmp_path / "two").step == 10


def workers_of(out):
    """Return {rank: process id} of the processes that train in this folder."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                arguments = file.read().split(b"\0")
            with open(f"/proc/{pid}/environ", "rb") as file:
                variables = dict(
                    entry.split(b"=", 1)
                    for entry in file.read().split(b"\0")
                    if b"=" in entry
                )
        except OSError:
            continue
        if os.fsencode(str(out)) in arguments and b"RANK" in variables:
            found[int(variables[b"RANK"])] = int(pid)
    return found


def training_in(child, out):
    """Wait until the job has shown a step; return the lines until then."""
    lines = []
    while not any("held-out loss" in line for line in lines):
        line = child.stdout.readline()
        assert line, child.stderr.read()
        lines.append(line)
    return lines


def test_one_process_that_is_stopped_stops_all_and_together_they_go_on_exactly(
    tmp_path,
):
    names = write_names(tmp_path)
    flags = ("--data", names, *SMALL, "--dropout", 0.3, "--steps", 300)
    flags += ("--show-every", 20, "--out")
    whole = started(tmp_path, *flags, tmp_path / "whole")
    assert whole.wait(timeout=300) == 0
    out = tmp_path / "out"
    child = started(tmp_path, *flags, out)
    training_in(child, out)
    os.kill(workers_of(out)[1], signal.SIGINT)
    text, err = child.communicate(timeout=120)
    assert child.returncode not in (0, None)  # torchrun's own code, and its report
    assert 'mini_gpt.py", line' not in err  # no traceback through our files
    assert "error: " not in [line[:7] for line in err.splitlines()]
    step = loaded(out).step
    assert 20 <= step < 300
    assert f"stopped after step {step} of 300" in text
    again = started(tmp_path, "--resume", "--show-every", 20, "--out", out)
    assert again.wait(timeout=300) == 0
    assert loaded(out).losses == loaded(tmp_path / "whole").losses
    assert loaded(out).held_out == loaded(tmp_path / "whole").held_out


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_is_killed_ends_the_job_in_one_line_and_with_a_checkpoint(
    tmp_path, rank
):
    names = write_names(tmp_path)
    out = tmp_path / "out"
    child = started(tmp_path, "--data", names, "--out", out, "--steps", 10**6,
                    "--show-every", 5, *SMALL)  # fmt: skip
    training_in(child, out)
    pids = workers_of(out)
    assert set(pids) == {0, 1}
    os.kill(pids[rank], signal.SIGKILL)
    _, err = child.communicate(timeout=120)
    assert child.returncode not in (0, None)
    ours = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(ours) == 1, err
    assert "another process of this job has ended" in ours[0]
    run = loaded(out)
    assert run.step >= 5
    assert f"{out}/checkpoint.pt holds step {run.step}" in ours[0]
    deadline = time.monotonic() + 60
    while workers_of(out) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert workers_of(out) == {}
    if rank == 0:
        return  # the same file, and to go on is the same
    resume = ("--resume", "--out", out, "--steps", run.step + 2)
    again = started(tmp_path, *resume)
    _, err = again.communicate(timeout=300)
    assert again.returncode == 0, err
    assert loaded(out).step == run.step + 2


def test_bad_input_is_said_once_by_all_processes_together(tmp_path):
    child = started(tmp_path, "--data", tmp_path / "nowhere.txt")
    _, err = child.communicate(timeout=300)
    assert child.returncode != 0
    ours = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(ours) == 1, err
    assert "cannot read" in ours[0]
