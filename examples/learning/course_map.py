"""The map of the course: its parts and chapters, read from examples/README.md.

The map for people is the map for this program too. A chapter that is added to its table
is known here at once, and the times cannot disagree.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

EXAMPLES = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(EXAMPLES)
MY = os.path.join(ROOT, "my")  # the reader's folder, unless they name another
# A row of the table: | [8. Neurons](course/ch08_neurons.py) | question | … | 40 min | …
ROW = re.compile(
    r"\| \[(?P<name>[0-9A-Z]+)\. (?P<title>[^]]+)\]\((?P<path>course/ch[^)]+\.py)\)"
    r" \| (?P<question>[^|]*) \|.*?\| (?P<minutes>\d+) min"
)


class Chapter(NamedTuple):
    """A chapter of the course."""

    name: str  # what a reader types: "8", or "A1"
    title: str
    question: str
    path: str
    minutes: int

    @property
    def questions_path(self) -> str:
        """The file of the questions to ask before the chapter is run."""
        folder, file = os.path.split(self.path)
        return os.path.join(folder, file.split("_")[0] + "_questions.json")


class Part(NamedTuple):
    """A part of the course: its heading and its chapters."""

    title: str
    chapters: list[Chapter]


def read_map(path: str = os.path.join(EXAMPLES, "README.md")) -> list[Part]:
    """Return the parts of the course, in order, each with its chapters."""
    parts: list[Part] = []
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    for line in lines:
        row = ROW.match(line)
        if line.startswith("#"):
            parts.append(Part(line.lstrip("# "), []))
        elif row and parts:
            chapter_path = os.path.join(os.path.dirname(path), *row["path"].split("/"))
            parts[-1].chapters.append(
                Chapter(
                    row["name"],
                    row["title"],
                    row["question"].strip(),
                    chapter_path,
                    int(row["minutes"]),
                )
            )
    parts = [part for part in parts if part.chapters]
    if not parts:
        raise ValueError(f"{path} names no chapters: git checkout brings it back")
    return parts


def find(parts: list[Part], name: str) -> tuple[Part, Chapter]:
    """Return the chapter that a reader calls `name`, such as 8, 08, a1; and its part.

    There is none: ValueError.
    """
    wanted = name.upper()
    if wanted.startswith("CH"):
        wanted = wanted[2:]
    wanted = wanted.lstrip("0")
    for part in parts:
        for chapter in part.chapters:
            if chapter.name == wanted:
                return part, chapter
    names = [chapter.name for part in parts for chapter in part.chapters]
    raise ValueError(
        f"there is no chapter {name!r}: give one of {', '.join(names)}, "
        "or build, check, train, hunt"
    )


def short(path: str) -> str:
    """Return the path as seen from the working folder, if that is shorter."""
    try:
        relative = os.path.relpath(path)
    except ValueError:  # on another drive of Windows
        return path
    return relative if len(relative) < len(path) else path


def call(words: str, folder: str) -> str:
    """Return how this program is called from where the reader stands."""
    # Not at the top: where the reader's package is judged, this file is imported before
    # the name microgpt stands for theirs.
    from microgpt.tools.terminal import quoted

    program = quoted(short(os.path.join(EXAMPLES, "learn.py")))
    line = f"python {program} {words}"
    if folder == MY:
        return line
    # After "=", a name that begins with a dash is not taken for a flag.
    between = "=" if folder.startswith("-") else " "
    return f"{line} --folder{between}{quoted(folder)}"


def counted(number: int, thing: str) -> str:
    """Return "1 file", "2 files"."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
