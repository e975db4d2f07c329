"""The command line of the guide: what was asked for, and whom it concerns."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Sequence

from learning import chapter as chapters
from learning import checking
from learning.build import build
from learning.course_map import (
    EXAMPLES,
    MY,
    Part,
    call,
    counted,
    find,
    read_map,
    short,
)
from learning.milestones import train_own
from learning.pieces import PIECES, find_piece
from learning.progress import Progress
from learning.questions import Ask, ask_on_terminal, need_terminal, say_wrapped
from learning.source import PACKAGE
from microgpt.tools.terminal import (
    OneLineParser,
    cut,
    run_command,
    say,
    terminal_columns,
)

HUNT = os.path.join(EXAMPLES, "bughunt", "hunt.py")


def main(argv: Sequence[str] | None = None, ask_for: Ask | None = None) -> int:
    """Run the guide; return the exit code. Tests give an `ask_for` that answers."""

    def command() -> int:
        arguments = list(sys.argv[1:] if argv is None else argv)
        if arguments[:1] == ["hunt"]:
            return hunt(arguments[1:])
        return obey(parse(arguments), ask_for)

    return run_command(command)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return what was asked for. What makes no sense: ValueError."""
    parser = OneLineParser(
        prog="learn.py",
        description="The guide through the course: chapters with predictions, and "
        "a package to build yourself.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    text = "a chapter (8, A1), build, check, train, hunt [N]; default: where you are"
    add("what", nargs="?", default="", help=text)
    add("piece", nargs="?", help="with check: a piece (default: the next)")
    text = "your own folder (default: my/ in the repository)"
    add("--folder", metavar="DIR", default=MY, help=text)
    text = "run the chapter without asking for predictions"
    add("--no-questions", action="store_true", help=text)
    text = "check: the next hint; once a piece is solved, all of them"
    add("--hint", action="store_true", help=text)
    text = "check: the package's version beside yours, as a diff"
    add("--solution", action="store_true", help=text)
    text = "check: one line for each piece; exit code 0 only if all are right"
    add("--all", action="store_true", help=text)
    text = "check: check again whenever you save, until Ctrl-C"
    add("--watch", action="store_true", help=text)
    args = parser.parse_intermixed_args(arguments)
    if not args.folder:
        raise ValueError("--folder is empty: name a folder, or leave it out")
    if args.what != "check":
        for flag in ("hint", "solution", "all", "watch"):
            if getattr(args, flag):
                raise ValueError(f"--{flag} goes with check: learn.py check --{flag}")
        if args.piece is not None:
            raise ValueError(f"{args.piece!r} is one word too many after {args.what}")
    elif args.hint + args.solution + args.watch > 1:
        raise ValueError("give only one of --hint, --solution and --watch")
    elif args.all and (args.piece or args.hint or args.solution or args.watch):
        raise ValueError("check --all looks at all pieces: give nothing else")
    return args


def obey(args: argparse.Namespace, ask_for: Ask | None) -> int:
    """Do what was asked for; return the exit code."""
    parts = read_map()
    if not args.what:
        show_where(parts, Progress(args.folder))
        return 0
    if args.what == "build":
        return write_package(args.folder)
    if args.what == "check":
        return check(args, Progress(args.folder))
    if args.what == "train":
        need_package(args.folder)
        return train_own(args.folder, Progress(args.folder))
    part, chapter = find(parts, args.what)
    if args.no_questions:
        ask_for = None
    elif ask_for is None:
        need_terminal()
        ask_for = ask_on_terminal
    progress = Progress(args.folder)
    code = chapters.study(parts, part, chapter, progress, ask_for)
    if code == 0:
        say("")
        show_next(parts, progress)
    return code


def write_package(folder: str) -> int:
    """Write the reader's package, and say what was written and what to do next."""
    written, kept = build(folder)
    target = short(os.path.join(folder, "microgpt"))
    if kept:
        say_wrapped(f"Already there, and not touched: {counted(len(kept), 'file')}.")
    if written:
        n_functions = sum(len(piece.functions) for piece in PIECES)
        say_wrapped(f"Written to {target}: {counted(len(written), 'file')}.")
        say_wrapped(
            "Your package is ours, but for the bodies of "
            f"{n_functions} functions, which make {len(PIECES)} pieces. In the place "
            "of each that you have not written stands: raise NotImplementedError"
        )
    else:
        say_wrapped("Nothing was missing, so nothing was written.")
    piece = checking.next_piece(Progress(folder))
    if piece is not None:
        which = "first" if piece is PIECES[0] else "next"
        say_wrapped(
            f"The {which} piece is {piece.name}, in {piece.module}.py. Write it, and "
            "let it be judged:"
        )
    else:
        say_wrapped("All pieces are solved. To have them judged once more:")
    say(f"  {call('check', folder)}")
    say_wrapped(
        "To begin a file anew, move yours away and build again. A piece may be written "
        "in any way that does what its docstring says."
    )
    return 0


def need_package(folder: str) -> None:
    """Raise a ValueError if the reader has no package yet, or means ours."""
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise ValueError(f"{short(folder)} is a file, not a folder")
    package = os.path.join(folder, "microgpt")
    if not os.path.isdir(package):
        raise ValueError(
            f"there is no {short(package)} yet: {call('build', folder)} writes it"
        )
    if os.path.realpath(package) == os.path.realpath(PACKAGE):
        raise ValueError(f"{short(folder)} holds the package itself: give another")


def check(args: argparse.Namespace, progress: Progress) -> int:
    """Judge a piece, or all of them, or show a hint or the solution."""
    need_package(args.folder)
    if args.all:
        return checking.check_all(args.folder, progress)
    piece = checking.next_piece(progress)
    if args.piece:
        piece = find_piece(args.piece)
    if piece is None:
        if args.hint or args.solution or args.watch:
            raise ValueError("all pieces are solved: name the one that you mean")
        return checking.check_all(args.folder, progress)
    if args.hint:
        checking.show_hint(piece, progress)
        return 0
    if args.solution:
        checking.show_solution(args.folder, piece)
        return 0
    if args.watch:
        return checking.watch(args.folder, piece, progress, stay=bool(args.piece))
    right = checking.check_one(args.folder, piece, progress)
    return 0 if right else 1


def show_where(parts: list[Part], progress: Progress) -> None:
    """Show what is done, what is next, and how long it takes."""
    columns = min(terminal_columns(sys.stdout) - 1, 79)
    minutes_left = 0
    for part in parts:
        say(cut(part.title, columns))
        for chapter in part.chapters:
            entry = progress.chapters.get(chapter.name, {"done": False, "answers": {}})
            mark = "x" if entry["done"] else " "
            answers = entry["answers"].values()
            note = ""
            if entry["done"] and answers:
                n_right = sum(bool(answer["right"]) for answer in answers)
                note = f"{n_right}/{len(answers)} as predicted"
            elif entry["answers"]:
                note = "begun"
            if not entry["done"]:
                minutes_left += chapter.minutes
                note = note or f"{chapter.minutes} min"
            title = f"  [{mark}] {chapter.name:>2}. {chapter.title}"
            say(cut(f"{title:<42} {note}", columns))
    n_solved = sum(progress.is_solved(piece.name) for piece in PIECES)
    say(f"Build it yourself: {n_solved} of {len(PIECES)} pieces")
    if n_solved:
        for piece in PIECES:
            mark = "x" if progress.is_solved(piece.name) else " "
            title = f"  [{mark}] {piece.name}"
            note = "" if mark == "x" else f"{piece.minutes} min"
            say(cut(f"{title:<42} {note}".rstrip(), columns))
    say("")
    if minutes_left:
        hours = minutes_left / 60
        say_wrapped(f"What is left of the chapters takes about {hours:.0f} hours.")
    show_next(parts, progress)
    to_build = checking.next_piece(progress)
    if to_build is not None:
        command = "check"
        if not os.path.isdir(os.path.join(progress.folder, "microgpt")):
            command = "build"
        say_wrapped(
            f"To build: the piece {to_build.name} (about {to_build.minutes} minutes; "
            f"chapter {to_build.chapter} explains it)"
        )
        say(f"  {call(command, progress.folder)}")
    elif "train" not in progress.milestones:
        say("To build: all pieces are solved. Train with your package:")
        say(f"  {call('train', progress.folder)}")
    else:
        say("To build: done. Your package has trained the golden run.")


def show_next(parts: list[Part], progress: Progress) -> None:
    """Name the first chapter that is not done."""
    for part in parts:
        for chapter in part.chapters:
            if not progress.chapters.get(chapter.name, {}).get("done"):
                say_wrapped(
                    f"Next: chapter {chapter.name}, {chapter.title} "
                    f"(about {chapter.minutes} minutes): {chapter.question}"
                )
                say(f"  {call(chapter.name, progress.folder)}")
                return
    say_wrapped("All chapters are done. Next: the bug hunt.")
    say(f"  {call('hunt', MY)}")


def hunt(arguments: Sequence[str]) -> int:
    """Hand over to the bug hunt."""
    folder = os.path.dirname(HUNT)
    spec = importlib.util.spec_from_file_location("hunt", HUNT)
    if spec is None or spec.loader is None or not os.path.isfile(HUNT):
        raise ValueError(f"{HUNT} is missing: git checkout brings it back")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, folder)  # it imports its checks from there
    spec.loader.exec_module(module)
    code: int = module.main(arguments, called_as=call("hunt", MY))
    return code
