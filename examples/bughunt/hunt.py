"""The bug hunt: small files, one bug in each. Find it, mend it, run this again.

    python examples/bughunt/hunt.py             which are found, and which are not yet
    python examples/bughunt/hunt.py 3           the symptom of bug 3
    python examples/bughunt/hunt.py 3 --hint    the same, and where to look

The exit code is 0 if the bug (or, without a number, every bug) is gone, 1 if not.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import traceback
from collections.abc import Sequence
from types import ModuleType

HERE = os.path.dirname(os.path.abspath(__file__))
# The checks use the course's names and its measure, in examples/course/common.py.
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "course"))

from checks import BUGS, Bug, Show  # noqa: E402

from microgpt.tools.terminal import OneLineParser, quoted, run_command  # noqa: E402
from microgpt.training import collector_paused  # noqa: E402


def load(path: str) -> ModuleType:
    """Return the file at path as a module, read anew."""
    name = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"cannot import {path}: it is no Python file")
    module = importlib.util.module_from_spec(spec)
    # Python tells a stale __pycache__ by time and size, and an edit of one character
    # within a second changes neither. So none is written.
    writes_none, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = writes_none
    return module


def is_gone(bug: Bug, folder: str, show: Show) -> bool:
    """Show the symptom of a bug, and return whether it is gone."""
    path = os.path.abspath(os.path.join(folder, bug.file))
    if not os.path.isfile(path):
        raise ValueError(f"{bug.file} is missing: git checkout brings it back")
    try:
        with collector_paused():
            return bug.check(load(path), show)
    except SyntaxError as error:
        # An edit that went wrong is not bad input, but one more thing to see.
        show(f"{bug.file} cannot be read: line {error.lineno}: {error.msg}")
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == path]
        where = f"in line {lines[-1]}" if lines else "in what was asked of it"
        show(f"{bug.file} stopped {where}: {type(error).__name__}: {error}")
    return False


def hunt_one(number: int, folder: str, with_hint: bool) -> bool:
    """Print the symptom of one bug, and whether it is gone; on request, a hint."""
    bug = BUGS[number - 1]
    print(f"Bug {number}, {bug.file}: {bug.about}\n", flush=True)
    gone = is_gone(bug, folder, print)
    if gone:
        print(
            f"\nAll as it should be: the bug is gone. Compare with answers/{bug.file}"
        )
    else:
        print(f"\nRead {bug.file}, mend it, and run this again.")
        if with_hint:
            print(f"Hint: look at {bug.hint}")
        else:
            print("For a hint, add --hint.")
    return gone


def hunt_all(folder: str, called_as: str) -> bool:
    """Print the list of bugs, found or not found yet, and how to go on."""
    gone = []
    for number, bug in enumerate(BUGS, start=1):
        gone.append(is_gone(bug, folder, lambda line: None))
        state = "found" if gone[-1] else "not found yet"
        print(f"{number:>2}. {bug.file:<24} {state:<14} {bug.about}", flush=True)
    print(f"{sum(gone)} of {len(BUGS)} found")
    if not all(gone):
        number = gone.index(False) + 1
        print(f"the next: {called_as} {number}")
    return all(gone)


def main(
    argv: Sequence[str] | None = None, folder: str = HERE, called_as: str = ""
) -> int:
    """Run the hunt on the files in folder; return the exit code.

    `called_as` is how the reader calls it, if not by the name of this file.
    """
    called_as = called_as or f"python {quoted(sys.argv[0])}"

    def command() -> int:
        parser = OneLineParser(
            prog="hunt.py",
            description="Small files with one bug in each, for you to find.",
            allow_abbrev=False,
        )
        text = f"a bug, 1 to {len(BUGS)} (default: list all)"
        parser.add_argument("number", metavar="N", type=int, nargs="?", help=text)
        text = "say where to look (default: show only the symptom)"
        parser.add_argument("--hint", action="store_true", help=text)
        args = parser.parse_args(argv)
        number = args.number
        if number is None:
            if args.hint:
                raise ValueError("--hint is for one bug: give its number as well")
            return 0 if hunt_all(folder, called_as) else 1
        if not 1 <= number <= len(BUGS):
            raise ValueError(f"no bug {number}: give a number from 1 to {len(BUGS)}")
        return 0 if hunt_one(number, folder, args.hint) else 1

    return run_command(command)


if __name__ == "__main__":
    sys.exit(main())
