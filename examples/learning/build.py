"""Cut the package: copy it to the reader's folder, without the bodies of the pieces.

No skeleton is written by hand. Python's own parser, `ast`, says in which lines of the
package a function's body stands; these lines are replaced by one, and all other lines
are copied as they are. So the skeleton cannot drift away from the package.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Sequence

from learning.course_map import short
from learning.pieces import PIECES
from learning.source import PACKAGE, Function, find_function, package_source
from microgpt.tools.files import replace_file


def body_lines(function: Function) -> tuple[int, int]:
    """Return the first and the last line of what follows the docstring."""
    first, last = function.body[0], function.body[-1]
    start = first.lineno
    if ast.get_docstring(function) is not None:
        start = int(first.end_lineno or start) + 1
    return start, int(last.end_lineno or last.lineno)


def without_bodies(source: str, functions: Sequence[str]) -> str:
    """Return source with `raise NotImplementedError` for the bodies of functions.

    >>> print(without_bodies("def f(x):\\n    y = 2\\n    return x * y\\n", ["f"]))
    def f(x):
        raise NotImplementedError
    <BLANKLINE>
    """
    tree = ast.parse(source)
    lines = source.split("\n")
    spans = []
    for name in functions:
        function = find_function(tree, name)
        if function is None:
            raise ValueError(f"the package has no function {name}")
        spans.append((*body_lines(function), function.body[0].col_offset))
    for start, end, indent in sorted(spans, reverse=True):  # from the end of the file
        lines[start - 1 : end] = [" " * indent + "raise NotImplementedError"]
    return "\n".join(lines)


def skeleton(module: str) -> str:
    """Return the text of microgpt/module.py without the bodies of its pieces."""
    functions = [
        function
        for piece in PIECES
        if piece.module == module
        for function in piece.functions
    ]
    return without_bodies(package_source(module), functions)


def files_to_write() -> dict[str, str]:
    """Return every file of the reader's package, by its path in it, with its text."""
    with_pieces = {piece.module for piece in PIECES}
    files = {}
    for folder, inner in ((PACKAGE, ""), (os.path.join(PACKAGE, "tools"), "tools")):
        for name in sorted(os.listdir(folder)):
            if not name.endswith(".py"):
                continue
            module = name[: -len(".py")]
            if not inner and module in with_pieces:
                files[name] = skeleton(module)
            else:
                path = os.path.join(inner, name)
                files[path] = package_source(os.path.join(inner, module))
    return files


def build(folder: str) -> tuple[list[str], list[str]]:
    """Write folder/microgpt; return (the files written, those that were there before).

    A file that exists is never touched. One that cannot be written: ValueError.
    """
    target = os.path.join(folder, "microgpt")
    if os.path.realpath(target) == os.path.realpath(PACKAGE):
        raise ValueError(f"{short(folder)} holds the package itself: give another")
    written, kept = [], []
    for name, text in files_to_write().items():
        path = os.path.join(target, name)
        if os.path.lexists(path):
            kept.append(path)
            continue
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"cannot make {os.path.dirname(path)}: {error.strerror} "
                "(--folder DIR takes another folder)"
            ) from None
        replace_file(path, text)
        written.append(path)
    return written, kept
