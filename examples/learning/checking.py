"""What `learn.py check` shows: a verdict, a hint, a diff, a table."""

from __future__ import annotations

import ast
import difflib
import hashlib
import os
import sys
import textwrap
import time

from learning.course_map import call, short
from learning.judge import Verdict, judge
from learning.milestones import reach_milestones
from learning.pieces import PIECES, Piece
from learning.progress import Progress
from learning.questions import say_wrapped
from learning.source import (
    find_function,
    function_text,
    function_texts,
    package_source,
)
from microgpt.tools.terminal import say, terminal_columns


def next_piece(progress: Progress) -> Piece | None:
    """Return the first piece that is not solved; None: all are."""
    for piece in PIECES:
        if not progress.is_solved(piece.name):
            return piece
    return None


def path_of(folder: str, piece: Piece) -> str:
    """Return the reader's file with this piece."""
    return os.path.join(folder, "microgpt", f"{piece.module}.py")


def check_one(folder: str, piece: Piece, progress: Progress) -> bool:
    """Judge a piece, and say what came of it and what is next."""
    verdict = judge(folder, piece)
    was_solved = progress.is_solved(piece.name)
    keep(verdict, folder, progress)
    warn_of_broken(folder, piece, progress)
    if verdict.state == "right":
        say_wrapped(f"{piece.name}: right.")
        say_verdict(verdict)
        reach_milestones(folder, progress)
        following = next_piece(progress)
        if following is None:
            say_wrapped("All pieces are solved. Now train the model with your package:")
            say(f"  {call('train', folder)}")
        elif not was_solved:
            say_wrapped(
                f"Next: {following.name}, in {short(path_of(folder, following))} "
                f"(about {following.minutes} minutes; chapter {following.chapter} "
                "explains it)"
            )
        return True
    name, place = place_of(folder, piece, verdict.function)
    if verdict.state == "unwritten" and len(verdict.lines) == 1:
        say_wrapped(
            f"{piece.name}: not written yet. It is in {place}, takes about "
            f"{piece.minutes} minutes, and chapter {piece.chapter} explains it."
        )
    elif verdict.state == "unwritten":
        say_wrapped(f"{piece.name}: begun.")
        say_verdict(verdict)
    else:
        say_wrapped(f"{name}, in {place}: not right yet.")
        say_verdict(verdict)
    say("For a hint:")
    say(f"  {call(f'check {piece.name} --hint', folder)}")
    return False


def say_verdict(verdict: Verdict) -> None:
    """Say the lines of a verdict, wrapped below their labels."""
    for line in verdict.lines:
        has_label = line[:11].rstrip().endswith(":")
        say_wrapped(line, indent=" " * 13 if has_label else "    ", first="  ")


def place_of(folder: str, piece: Piece, function_name: str) -> tuple[str, str]:
    """Return the name of a function of the piece, and the file and line of it."""
    path = path_of(folder, piece)
    names = [n for n in piece.functions if n.split(".")[-1] == function_name]
    name = (names or piece.functions)[0]
    try:
        with open(path, encoding="utf-8") as file:
            function = find_function(ast.parse(file.read()), name)
    except (OSError, SyntaxError, ValueError):
        function = None
    place = f"{short(path)}, line {function.lineno}" if function else short(path)
    return (name if names else piece.name), place


def keep(verdict: Verdict, folder: str, progress: Progress) -> None:
    """Keep in the progress whether the piece is solved, if that has changed."""
    solved = verdict.state == "right"
    name = verdict.piece.name
    text = hash_of(folder, verdict.piece) if solved else ""
    known = progress.pieces.get(name, {})
    if solved != progress.is_solved(name) or (solved and text != known.get("text")):
        progress.piece(name).update(solved=solved, text=text)
        progress.save()


def hash_of(folder: str, piece: Piece) -> str:
    """Return a hash of what the reader wrote for a piece; "" if it cannot be read."""
    try:
        with open(path_of(folder, piece), encoding="utf-8") as file:
            text = function_texts(file.read(), piece.functions)
    except (OSError, SyntaxError, ValueError):
        return ""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def warn_of_broken(folder: str, current: Piece, progress: Progress) -> None:
    """Judge those solved pieces again whose text has changed since, and warn.

    To compare a hash is quick; only what has changed is judged.
    """
    for piece in PIECES:
        known = progress.pieces.get(piece.name, {}).get("text")
        if piece is current or not known or not progress.is_solved(piece.name):
            continue
        text = hash_of(folder, piece)
        if not text or text == known:
            continue
        verdict = judge(folder, piece)
        keep(verdict, folder, progress)
        if verdict.state != "right":
            say_wrapped(f"(Mind: {piece.name} was right, and is not any more.)")


def check_all(folder: str, progress: Progress) -> int:
    """Say one line for each piece; return 0 only if all are right."""
    columns = min(terminal_columns(sys.stdout) - 1, 100)
    n_right = 0
    for piece in PIECES:
        verdict = judge(folder, piece)
        keep(verdict, folder, progress)
        n_right += verdict.state == "right"
        line = "right" if verdict.state == "right" else verdict.in_one_line
        short_line = textwrap.shorten(line, max(columns - 21, 20), placeholder=" …")
        say(f"{piece.name:<20} {short_line}".rstrip())
    say(f"{n_right} of {len(PIECES)} are right")
    return 0 if n_right == len(PIECES) else 1


def show_hint(piece: Piece, progress: Progress) -> None:
    """Show the hints so far and one more; of a piece that is solved, all."""
    entry = progress.piece(piece.name)
    if progress.is_solved(piece.name):
        n = len(piece.hints)
    else:
        n = min(entry["hints"] + 1, len(piece.hints))
        entry["hints"] = max(n, entry["hints"])
        progress.save()
    for number, hint in enumerate(piece.hints[:n], start=1):
        say_wrapped(hint, indent="   ", first=f"{number}. ")
    if n < len(piece.hints):
        say(f"({n} of {len(piece.hints)} hints; ask again for the next)")
    else:
        say_wrapped("(That was the last hint. --solution shows the package's version.)")


def show_solution(folder: str, piece: Piece) -> None:
    """Show the package's version beside the reader's: - yours, + ours."""
    path = path_of(folder, piece)
    try:
        with open(path, encoding="utf-8") as file:
            mine = file.read()
    except (OSError, UnicodeDecodeError):
        raise ValueError(f"cannot read {short(path)}") from None
    ours = package_source(piece.module)
    for name in piece.functions:
        diff = difflib.unified_diff(
            function_text(mine, name).splitlines(),
            function_text(ours, name).splitlines(),
            f"yours: {name}",
            f"the package: {name}",
            lineterm="",
            n=2,
        )
        lines = list(diff)
        say("\n".join(lines) if lines else f"{name}: letter for letter the same")


def watch(folder: str, piece: Piece, progress: Progress, stay: bool) -> int:
    """Check now, and again at each save, until Ctrl-C.

    When the piece is right, the next one is taken, and after the last this ends. With
    `stay` it remains with its piece, right or wrong.
    """
    current: Piece | None = piece
    while current is not None:
        before = state_of(path_of(folder, current))
        right = check_one(folder, current, progress)
        if right and not stay:
            current = next_piece(progress)
            if current is not None:
                say("")
            continue
        say(f"(waiting for you to save {short(path_of(folder, current))}; Ctrl-C ends)")
        while state_of(path_of(folder, current)) == before:
            time.sleep(0.3)
        say("")
    return 0


def state_of(path: str) -> tuple[int, int]:
    """Return what changes when a file is saved."""
    try:
        info = os.stat(path)
    except OSError:
        return (0, 0)
    return (info.st_mtime_ns, info.st_size)
