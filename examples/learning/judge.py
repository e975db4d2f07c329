"""Judge a piece from outside: start a process for it, wait, and say what came of it.

Whatever the reader's code does, an endless loop, sys.exit, a flood of prints, it does
in that process, which has a time limit. What it says is put into words here.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from typing import Any, NamedTuple

from learning.course_map import short
from learning.pieces import Piece

INSIDE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "inside.py")
MISTAKE = "Mistake:   "  # before a sentence that names the mistake
SECONDS = 10.0  # what a piece may take; the package's own take well under one


class Verdict(NamedTuple):
    """What is to be said about a piece."""

    piece: Piece
    state: str  # right, wrong, unwritten (in part, perhaps), broken, stuck
    lines: list[str]  # what to tell the reader
    function: str = ""  # the one of the piece's functions that it is about, if known

    @property
    def in_one_line(self) -> str:
        """The heart of it, for a table."""
        mistakes = [line for line in self.lines if line.startswith(MISTAKE)]
        line = (mistakes or self.lines or [""])[0]
        return line[len(MISTAKE) :] if mistakes else line


def judge(folder: str, piece: Piece, seconds: float = SECONDS) -> Verdict:
    """Judge the reader's version of a piece, in folder/microgpt."""
    path = os.path.join(os.path.abspath(folder), "microgpt", f"{piece.module}.py")
    if not os.path.isfile(path):
        return Verdict(
            piece, "broken", [f"{short(path)} is missing: learn.py build writes it."]
        )
    with tempfile.TemporaryDirectory(prefix="learn-") as work:
        exit_code = _run_inside(os.path.abspath(folder), piece, work, seconds)
        result = _read_json(os.path.join(work, "result.json"))
        if result is None:
            return _stuck(piece, path, work, seconds, exit_code)
    return _in_words(piece, path, result)


def _run_inside(folder: str, piece: Piece, work: str, seconds: float) -> int:
    command = [sys.executable, "-B", INSIDE, folder, piece.name, work, str(seconds)]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        # The watchdog inside ends it earlier; this is for the case that it cannot.
        return process.wait(timeout=seconds + 10)
    except subprocess.TimeoutExpired:
        return -1
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _read_json(path: str) -> dict[str, Any] | None:
    try:
        with open(path, encoding="utf-8") as file:
            content: dict[str, Any] = json.load(file)
            return content
    except (OSError, ValueError):
        return None


def _stuck(
    piece: Piece, path: str, work: str, seconds: float, exit_code: int
) -> Verdict:
    """Say that there is no result: the time was up, or the process ended itself."""
    case = _read_json(os.path.join(work, "case.json")) or {}
    try:
        with open(os.path.join(work, "where.txt"), encoding="utf-8") as file:
            trace = file.read()
    except OSError:
        trace = ""
    lines = []
    if trace or exit_code == -1:
        if case.get("if_slow"):
            lines.append(case["if_slow"])
        lines.append(
            f"After {seconds:g} seconds it was still running: a loop that does not end?"
        )
        for file_name, number in re.findall(r'File "(.*?)", line (\d+) in', trace):
            if file_name == path and int(number) < 1_000_000:
                lines.append(_line(path, int(number), "It was in"))
                break
    else:
        lines.append(
            f"The process that tried it ended itself, with exit code {exit_code}: "
            "leave os._exit and the like out."
        )
    if case:
        lines.append(f"What was tried: {case['call']}")
    return Verdict(piece, "stuck", lines)


def _line(path: str, number: int, what: str, text: str = "") -> str:
    if not text:
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read().split("\n")[number - 1].strip()
        except (OSError, IndexError, UnicodeDecodeError):
            text = ""
    return f"{what} line {number} of {short(path)}:  {text}"


def _in_words(piece: Piece, path: str, result: dict[str, Any]) -> Verdict:
    state = result["state"]
    lines = []
    failure = result.get("failure")
    if state == "broken" and not failure:
        lines.append(f"{short(path)}: {result['says']}")
        if result.get("text"):
            lines.append(f"    {result['text']}")
    elif failure:
        lines.extend(_failure_in_words(path, state, failure))
    elif state == "unwritten":
        missing = [name.split(".")[-1] for name in result["unwritten"]]
        if result.get("right"):
            right = ", ".join(name.split(".")[-1] for name in result["right"])
            lines.append(f"Right so far: {right}.")
            lines.append(f"Not written yet: {', '.join(missing)}.")
        else:
            lines.append("Not written yet.")
    if result["n_printed"] or result["printed"]:
        first = result["printed"].strip().split("\n")[0][:60]
        many = max(1, result["n_printed"])
        count = "a line" if many == 1 else f"{many:,} lines"
        lines.append(f"(Your code printed {count}, beginning with: {first})")
    return Verdict(piece, state, lines, failure["of"] if failure else "")


def _failure_in_words(path: str, state: str, failure: dict[str, Any]) -> list[str]:
    """Return what was called, came and was expected, why, and where it stopped."""
    if state == "broken":
        lines = [f"{short(path)} cannot be imported: {failure['came']}"]
    else:
        lines = [f"Called:    {failure['call']}", f"Came:      {failure['came']}"]
        lines.append(f"Expected:  {failure['expected']}")
    if failure["because"]:
        lines.append(f"Because:   {failure['because']}")
    if failure["mistake"]:
        lines.append(MISTAKE + failure["mistake"])
    if failure.get("line"):
        where = f"line {failure['line']} of {short(path)}"
        lines.append(f"Stopped:   {where}:  {failure['text']}")
    return lines
