"""Write the loss that each chapter prints into the table of examples/README.md.

    python examples/course/path.py            write the last column of the table
    python examples/course/path.py --check    only say whether it is up to date

The losses come from the chapters' .txt files, which hold all that a chapter prints and
are themselves kept true by a test. So nothing has to be run, and the words of the table
are written by hand.
"""

from __future__ import annotations

import os
import re
import sys

from common import ROOT

from microgpt.tools.files import replace_file

COURSE = os.path.join(ROOT, "examples", "course")
README = os.path.join(ROOT, "examples", "README.md")
LOSS = re.compile(r"^loss per character: (\d+\.\d+)(?: ± (\d+\.\d+))?", re.MULTILINE)
# A row of the table: | [7. Descent](course/ch07_descent.py) | … | the loss, or – |
ROW = re.compile(
    r"^(\| \[.*?\]\(course/(ch\w\d\w*)\.py\) \|.*\|) *(\S+) *\|$", re.MULTILINE
)


def printed_losses() -> dict[str, tuple[float, float | None]]:
    """Return {chapter: (its loss per character, the standard error if it is printed)}.

    Chapters are named by their file, such as "ch01_counting". Those that print no loss
    are left out, and of several losses the last one counts.
    """
    losses = {}
    for name in sorted(os.listdir(COURSE)):
        chapter, extension = os.path.splitext(name)
        if extension != ".txt":
            continue
        with open(os.path.join(COURSE, name), encoding="utf-8") as file:
            found = LOSS.findall(file.read())
        if found:
            loss, error = found[-1]
            losses[chapter] = (float(loss), float(error) if error else None)
    return losses


def with_losses(readme: str, losses: dict[str, tuple[float, float | None]]) -> str:
    """Return the README with the last column of the table written anew."""

    def new_row(row: re.Match[str]) -> str:
        words, chapter = row[1], row[2]
        loss = f"{losses[chapter][0]:.3f}" if chapter in losses else "–"
        return f"{words} {loss} |"

    return ROW.sub(new_row, readme)


def main() -> int:
    """Write the table, or check it; return the exit code."""
    with open(README, encoding="utf-8") as file:
        old = file.read()
    new = with_losses(old, printed_losses())
    if "--check" in sys.argv[1:]:
        if new != old:
            print("error: the table is out of date: run examples/course/path.py")
            return 2
        print("the table is up to date")
        return 0
    replace_file(README, new)
    print("written: the last column of the table in examples/README.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
