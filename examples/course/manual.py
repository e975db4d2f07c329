"""A running text that every Python brings along: pages of Python's own manual.

When you type `help("while")` in Python, it shows a page of the manual. These pages,
which Python calls topics, are kept in the module `pydoc_data.topics` of the standard
library, so there is nothing to download. They are English prose with a little code and
a few signs of markup in between.

The pages are revised from one version of Python to the next, and a model that learns
from other words comes out differently. We take 26 pages that are the same, letter for
letter, in Python 3.9, 3.10, 3.11, 3.12, 3.13 and PyPy 3.9, so that everybody's chapters
print the same numbers. (There is a 27th, "else", but it is the same page as "if". A
page that is both learnt and held out would be a leak, see chapter 19.)
"""

from __future__ import annotations

import sys
import zlib
from pydoc_data.topics import topics

TOPICS = [
    "assert",
    "bitwise",
    "bltin-code-objects",
    "bltin-ellipsis-object",
    "bltin-null-object",
    "bltin-type-objects",
    "booleans",
    "break",
    "callable-types",
    "context-managers",
    "continue",
    "del",
    "dynamic-features",
    "exceptions",
    "if",
    "in",
    "integers",
    "lambda",
    "pass",
    "return",
    "slicings",
    "typesfunctions",
    "typesmodules",
    "unary",
    "while",
    "yield",
]

_CHECKSUM = 506103540  # of the text with which the chapters' .txt files were made


def manual_text() -> str:
    """Return the pages as one long text, line ends among them.

    If this Python's pages are not those with which the numbers in the .txt files were
    made, a line on stderr says so. All else works as before.
    """
    text = "\n".join([topics.get(topic, "") for topic in TOPICS])
    if zlib.crc32(text.encode("utf-8")) != _CHECKSUM:
        print(
            "(this Python's manual has changed a little: your numbers will differ a "
            "little from those in the .txt file)",
            file=sys.stderr,
        )
    return text


def manual_lines() -> list[str]:
    """Return the lines of the text as documents: each different line of prose once.

    Short lines, of less than 20 characters, are left out: most are headings, the rows
    of stars below them, or the ends of paragraphs.
    """
    lines = []
    for line in manual_text().split("\n"):
        line = line.strip()
        is_underline = line.strip("*=-") == ""
        if len(line) >= 20 and not is_underline and line not in lines:
            lines.append(line)
    return lines
