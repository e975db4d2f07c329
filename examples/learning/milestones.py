"""What the reader's pieces can do together: two moons, a blind guess, the whole run.

After the engine (operations, topological_order, backward) it learns to tell two moons
apart. After `gpt`, a model of random numbers must be as unsure as a blind guess. With
all pieces, `learn.py train` takes the default run, and compares each loss with the one
that our package has at that step.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Generator
from statistics import median
from typing import Any

from learning import at_work
from learning.course_map import ROOT, call, short
from learning.pieces import PIECES
from learning.progress import Progress
from learning.questions import say_wrapped
from microgpt.data import read_documents
from microgpt.model import as_floats
from microgpt.sampling import generate
from microgpt.tools.draw import Group, scatter
from microgpt.tools.files import CannotWrite, replace_file
from microgpt.tools.terminal import Progress as ProgressLine
from microgpt.tools.terminal import say
from microgpt.training import start, train

AT_WORK = os.path.abspath(at_work.__file__)
NAMES = [piece.name for piece in PIECES]
ENGINE = NAMES[: NAMES.index("backward") + 1]
MODEL = NAMES[: NAMES.index("gpt") + 1]
TOLERANCE = 1e-6  # sums in another order differ in the last digits, and that grows


class Stopped(Exception):
    """The reader's package stopped; the message says where."""


def messages(
    what: str, folder: str, theirs: list[str]
) -> Generator[dict[str, Any], None, None]:
    """Yield what the reader's package tells at its work, one message after another."""
    command = [sys.executable, "-B", AT_WORK, what, os.path.abspath(folder), *theirs]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            message = json.loads(line)
            if "error" in message:
                where = f", in {message['where']}" if "where" in message else ""
                raise Stopped(f"{message['error']}{where}")
            yield message
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def reach_milestones(folder: str, progress: Progress) -> None:
    """Celebrate what the solved pieces can do together, each only once."""
    for name, pieces, celebrate in (
        ("moons", ENGINE, moons),
        ("blind", MODEL, blind),
    ):
        if name in progress.milestones:
            continue
        if all(progress.is_solved(piece) for piece in pieces):
            say("")
            try:
                celebrate(folder)
            except Stopped as stopped:
                say_wrapped(f"It stopped: {stopped}")
                continue
            progress.milestones.append(name)
            progress.save()


def moons(folder: str) -> None:
    """Let the reader's engine tell two moons apart, and draw the boundary."""
    say_wrapped(
        "Milestone. Your engine can learn: a network of 33 weights is to tell two half "
        "moons of points apart."
    )
    weights: list[float] = []
    for message in messages("moons", folder, ENGINE):
        if message.get("step") in (1, 20, 40, 60):
            say(f"  step {message['step']:>2}: loss {message['loss']:.3f}")
        weights = message.get("weights", weights)
    if not weights:
        raise Stopped("it ended itself before it had learnt anything")

    def which_group(x: float, y: float) -> int:
        return int(at_work.score_of(weights, x, y) > 0)

    points = at_work.two_moons(60, seed=3)
    n_right = sum(which_group(x, y) == kind for x, y, kind in points)
    say(f"  {n_right} of {len(points)} points are on the right side")
    groups = [
        Group(f"kind {kind}", [(x, y) for x, y, k in points if k == kind])
        for kind in (0, 1)
    ]
    path = os.path.join(folder, "two_moons.svg")
    title = f"Your engine on two moons: {n_right} of {len(points)} right"
    try:
        replace_file(path, scatter(groups, title, "x", "y", which_group) + "\n")
        say(f"  the boundary, as your engine drew it: {short(path)}")
    except CannotWrite as error:
        say(f"  no picture: {error}")


def blind(folder: str) -> None:
    """Compare the loss of an untrained model with the blind guess."""
    found = [message["loss"] for message in messages("blind", folder, MODEL)]
    if not found:
        raise Stopped("it ended itself")
    loss = found[0]
    say_wrapped(
        "Milestone. Your GPT reads its first name, emma, with random weights, and its "
        f"mean surprise at each letter is {loss:.3f} nats. A blind guess among 27 "
        f"tokens has log(27) = {math.log(27):.3f}. The two are close: it knows nothing "
        "yet, and that is as it should be."
    )


def say_suspect(folder: str, losses: list[float]) -> None:
    """Find the piece that makes the losses differ, by trying each of them alone.

    The package trains with one piece of the reader's at a time, and ours for the rest.
    """
    advice = "check --all judges each piece by itself."
    if len(losses) > 50:  # it would take minutes
        say_wrapped(advice[0].upper() + advice[1:])
        return
    say_wrapped("To find out why, each of your pieces is tried alone, among ours …")
    if differs(folder, [], losses):
        say_wrapped(
            "It is none of the pieces: something else in your files has been changed. "
            f"Compare them with {short(os.path.join(ROOT, 'microgpt'))}."
        )
        return
    suspects = [name for name in NAMES if differs(folder, [name], losses)]
    if suspects:
        say_wrapped(
            f"It is {' and '.join(suspects)}: tried alone, it makes another loss, "
            "though it was judged to be right. Its text beside ours:"
        )
        say(f"  {call(f'check {suspects[0]} --solution', folder)}")
    else:
        say_wrapped(f"Each of them alone agrees; only together they differ. {advice}")


def differs(folder: str, theirs: list[str], losses: list[float]) -> bool:
    """Say whether the reader's package, with these pieces, has other losses."""
    told = messages("train", folder, theirs)
    try:
        for loss in losses:
            message = next(told, {})
            if not abs(message.get("loss", math.inf) - loss) <= TOLERANCE:
                return True
    except Stopped:
        return True
    finally:
        told.close()
    return False


def train_own(folder: str, progress: Progress, steps: int = 500) -> int:
    """Train the default run with the reader's package; return the exit code."""
    unsolved = [name for name in NAMES if not progress.is_solved(name)]
    if unsolved:
        many = "pieces are" if len(unsolved) > 1 else "piece is"
        raise ValueError(
            f"{len(unsolved)} {many} not solved yet, the first is {unsolved[0]}: "
            "learn.py check judges it"
        )
    documents = read_documents(os.path.join(ROOT, "input.txt"))
    run, train_documents, _ = start(documents)
    ours = train(run, train_documents)
    line = ProgressLine("step", steps, every=100)
    own_seconds, our_seconds, largest_gap = [], [], 0.0
    losses: list[float] = []
    own_names: list[str] = []
    say_wrapped(
        "Your package takes the 500 steps of the default run; beside it ours takes the "
        "same, and each loss is compared."
    )
    try:
        for message in messages("train", folder, NAMES):
            if "name" in message:
                own_names.append(message["name"])
                continue
            began = time.perf_counter()
            loss = next(ours)
            losses.append(loss)
            our_seconds.append(time.perf_counter() - began)
            own_seconds.append(message["seconds"])
            gap = abs(loss - message["loss"])
            if not gap <= TOLERANCE:
                line.finish()
                say_wrapped(
                    f"Step {message['step']}: your loss is {message['loss']:.6f}, and "
                    f"it should be {loss:.6f}."
                    + (" The steps before agree." if len(losses) > 1 else "")
                )
                say_suspect(folder, losses)
                return 1
            largest_gap = max(largest_gap, gap)
            line.show(message["step"], f", loss {loss:.3f}")
            if message["step"] == steps:
                line.finish()
    except Stopped as stopped:
        line.finish()
        say_wrapped(f"Your package stopped after step {line.done}: {stopped}")
        return 1
    line.finish()
    if len(our_seconds) < steps or len(own_names) < 20:
        say_wrapped(f"Your package ended itself after step {len(our_seconds)}.")
        return 1
    say_wrapped(
        f"All {steps} losses agree (the largest difference is {largest_gap:.0e}). This "
        "is the golden run, and it was trained by what you wrote."
    )
    ratio = median(own_seconds) / median(our_seconds)
    speed = f"{ratio:.1f} times as long as one of ours"
    if 0.8 < ratio < 1.25:
        speed = "about as long as one of ours"
    say_wrapped(f"A step of yours takes {speed}.")
    say("20 names that your model writes:")
    say_wrapped("  ".join(own_names), indent="  ")
    params = as_floats(run.params)
    how = (params, run.config, run.tokenizer, run.rng)
    names = [generate(*how, temperature=0.6) for _ in range(20)]
    if own_names != names:
        say_wrapped(f"They should be:  {'  '.join(names)}", indent="  ")
        say_wrapped("So look at token_probabilities and generate.")
        return 1
    if "train" not in progress.milestones:
        progress.milestones.append("train")
        progress.save()
    return 0
