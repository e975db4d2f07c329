"""Judge one piece, in a process of its own: python inside.py FOLDER PIECE WORK SECONDS.

In this process `microgpt` is the reader's package, but only the piece that is judged is
really theirs. The functions of all other pieces are put in from our package. So a
mistake in one piece never shows in another, and pieces can be written in any order. The
exchange is made in the syntax tree: the reader's own lines keep their numbers, and ours
get numbers above a million, by which the two can be told apart when something stops.

What came of it is written to WORK/result.json. If the time is up, a watchdog writes
where the program was, to WORK/where.txt, and ends it; WORK/case.json says what was just
being tried.
"""

from __future__ import annotations

import ast
import faulthandler
import importlib.abc
import importlib.machinery
import json
import os
import sys
from collections.abc import Collection, Sequence
from types import ModuleType
from typing import Any

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from learning.pieces import PIECES, Piece, find_piece  # noqa: E402
from learning.source import (  # noqa: E402
    PACKAGE,
    Function,
    find_class,
    find_function,
    is_unwritten,
    package_source,
)

OURS = 1_000_000  # added to the line numbers of what is not the reader's


class ReadersPackage(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds microgpt in the reader's folder, with our bodies in all pieces but some.

    `theirs` are the names of the pieces that stay as the reader wrote them.
    """

    def __init__(self, folder: str, theirs: Collection[str]) -> None:
        self.package = os.path.join(folder, "microgpt")
        self.theirs = theirs

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        """Return where a module of microgpt is; None for all other modules."""
        package, *names = fullname.split(".")
        if package != "microgpt":
            return None
        is_package = not names or names == ["tools"]
        file = os.path.join(*names, "__init__.py" if is_package else "")
        if not is_package:
            file = os.path.join(*names) + ".py"
        path_of_file = os.path.join(self.package, file)
        if not os.path.isfile(path_of_file):
            path_of_file = os.path.join(PACKAGE, file)
        spec = importlib.machinery.ModuleSpec(
            fullname, self, origin=path_of_file, is_package=is_package
        )
        spec.has_location = True
        return spec

    def exec_module(self, module: ModuleType) -> None:
        """Compile and run a file, after the exchange."""
        assert module.__spec__ is not None and module.__spec__.origin is not None
        path = module.__spec__.origin
        with open(path, encoding="utf-8") as file:
            tree = ast.parse(file.read(), path)
        self.exchange(module.__name__.split(".")[-1], tree)
        exec(compile(tree, path, "exec"), module.__dict__)

    def exchange(self, module: str, tree: ast.Module) -> None:
        """Put our functions in the place of those that are not judged."""
        ours = None
        for piece in PIECES:
            if piece.module != module:
                continue
            for name in piece.functions:
                mine = find_function(tree, name)
                theirs = piece.name in self.theirs and mine and not is_unwritten(mine)
                if theirs:
                    continue
                ours = ours or ast.parse(package_source(module))
                function = find_function(ours, name)
                assert function is not None
                ast.increment_lineno(function, OURS)
                _put(tree, name, mine, function)


def _put(tree: ast.Module, name: str, old: Function | None, new: Function) -> None:
    body = tree.body
    if "." in name:
        of_class = find_class(tree, name.split(".")[0])
        if of_class is None:
            return
        body = of_class.body
    if old is None:
        body.append(new)
    else:
        body[body.index(old)] = new


class Printed:
    """A stream that keeps the beginning of what is printed, and counts the rest."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.beginning = ""
        self.n_lines = 0

    def write(self, text: str) -> int:
        """Take a piece of output."""
        self.n_lines += text.count("\n")
        if len(self.beginning) < 300:
            self.beginning += text[:300]
        return len(text)

    def flush(self) -> None:
        """Do nothing: there is nothing to wait for."""

    def isatty(self) -> bool:
        """Say that this is no terminal."""
        return False


def limit_memory(n_bytes: int = 2 * 10**9) -> None:
    """Let an endless list end in a MemoryError, where the system can do that."""
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (n_bytes, n_bytes))


def judge(folder: str, piece: Piece, work: str) -> dict[str, Any]:
    """Return what is to be said of a piece."""
    path = os.path.join(folder, "microgpt", f"{piece.module}.py")
    try:
        with open(path, encoding="utf-8") as file:
            tree = ast.parse(file.read(), path)
    except SyntaxError as error:
        text = (error.text or "").strip()
        return {
            "state": "broken",
            "says": f"Python cannot read line {error.lineno}: {error.msg}",
            "line": error.lineno,
            "text": text,
        }
    except ValueError:
        return {"state": "broken", "says": "the file is not UTF-8 text"}
    unwritten, missing, judged = [], [], []
    for name in piece.functions:
        function = find_function(tree, name)
        if function is None:
            missing.append(name)
        elif is_unwritten(function):
            unwritten.append(name)
        else:
            judged.append((function.lineno, int(function.end_lineno or 0)))
    if missing:
        return {
            "state": "broken",
            "says": f"there is no function {missing[0]} here: has it been renamed or "
            "removed, or is it indented under something else?",
        }
    if len(unwritten) == len(piece.functions):
        return {"state": "unwritten", "unwritten": unwritten}

    finder = ReadersPackage(folder, {piece.name})
    sys.meta_path.insert(0, finder)
    from learning.trial import Trial  # which uses nothing of microgpt

    trial = Trial(path, work, OURS, unwritten, judged)
    try:
        from learning.book import Book
        from learning.cases import CASES

        book = Book()
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        trial.add_error(f"import microgpt.{piece.module}", error)
        return {"state": "broken", "says": "", "failure": trial.failures[0]}
    trial.docstring_examples(piece, book)
    try:
        CASES[piece.name](trial, book)
    except Exception as error:  # something around the piece has been changed
        trial.add_error("the cases for this piece", error)
    if trial.failures:
        return {
            "state": "wrong",
            "failure": trial.worst(),
            "n_failures": len(trial.failures),
        }
    state = "unwritten" if unwritten else "right"
    right = [name for name in piece.functions if name not in unwritten]
    return {"state": state, "unwritten": unwritten, "right": right}


def main(folder: str, piece_name: str, work: str, seconds: str) -> None:
    """Judge a piece, and write the result."""
    printed = Printed()
    with open(os.path.join(work, "where.txt"), "w", encoding="utf-8") as where:
        faulthandler.dump_traceback_later(float(seconds), exit=True, file=where)
        limit_memory()
        sys.stdout = sys.stderr = printed
        result = judge(folder, find_piece(piece_name), work)
        faulthandler.cancel_dump_traceback_later()
    result["printed"] = printed.beginning
    result["n_printed"] = printed.n_lines
    temporary = os.path.join(work, "result.tmp")
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(result, file)
    os.replace(temporary, os.path.join(work, "result.json"))


if __name__ == "__main__":
    main(*sys.argv[1:])
    sys.stdout = sys.stderr = None
    os._exit(0)  # a thread or an atexit function of the reader's must not hold us up
