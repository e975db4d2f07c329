"""Change the book in one place at a time, and see whether its tests notice.

    python tests/mutate.py value                  every change to microgpt/value.py
    python tests/mutate.py                        the same for all eight files
    python tests/mutate.py model --sample 40      40 of the changes, picked by --seed
    python tests/mutate.py model --line 300       those on that line alone

A + becomes a -, a < becomes a <=, an `and` becomes an `or`, a number becomes another, a
condition is turned round, a line that does something is left out, and so is the bound
of a slice, a sorted() or a reversed(), or an argument given by name. Each change (in
the field's words a *mutant*) is made in a copy of the tree, and there the tests of that
file are run: tests/book/test_NAME.py and its doctests, first the fast ones and then, if
the mutant is still alive, the slow ones. A mutant that no test notices is printed with
its line. It is one of two things: a program that does the same (then it is written down
in EQUAL, with the reason), or a test that is missing.

It takes a second or two for each change, and there are several hundred. `nice` it.
"""

from __future__ import annotations

import argparse
import ast
import concurrent.futures
import io
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
BOOK = [
    "value",
    "tokenizer",
    "data",
    "model",
    "adam",
    "training",
    "sampling",
    "evaluation",
]


class Mutant(NamedTuple):
    """One change: the characters from start to end are replaced."""

    line: int
    start: int
    end: int
    new: str
    what: str


OTHER_OPERATORS = {
    "+": ["-"],
    "-": ["+"],
    "*": ["/"],
    "/": ["*"],
    "%": ["*"],
    "//": ["/"],
    "**": ["*"],
    "+=": ["-=", "="],
    "-=": ["+=", "="],
    "*=": ["/=", "="],
    "<": ["<=", ">="],
    "<=": ["<", ">"],
    ">": [">=", "<="],
    ">=": [">", "<"],
    "==": ["!="],
    "!=": ["=="],
    "is": ["is not"],
    "is not": ["is"],
    "in": ["not in"],
    "not in": ["in"],
    "and": ["or"],
    "or": ["and"],
}
OTHER_NAMES = {"min": "max", "max": "min", "True": "False", "False": "True"}

PEELED = {"sorted", "reversed", "list", "tuple", "set", "iter", "float", "int", "sum"}

# Mutants that no test can notice: file, the text of the line, the change, and why.
EQUAL = {
    ("value", "if sys.version_info >= (3, 12):", ">= -> >"): (
        "a version is always a longer tuple, such as (3, 12, 0), and so never equal"
    ),
    ("value", "if sys.version_info >= (3, 12):", "3 -> 4"): (
        "the other function adds up the same, more slowly"
    ),
    ("value", "if sys.version_info >= (3, 12):", "12 -> 13"): (
        "the other function adds up the same, more slowly"
    ),
    ("adam", "if norm > max_norm:", "> -> >="): (
        "where they are equal, all gradients are multiplied by 1"
    ),
    ("sampling", "break", "break -> continue"): (
        "what is kept stays above what is needed, so the rest is passed over"
    ),
    ("training", "@dataclass(repr=False)", "False -> True"): (
        "a dataclass leaves a __repr__ alone that the class itself defines"
    ),
    ("training", "@dataclass(repr=False)", "without repr="): (
        "a dataclass leaves a __repr__ alone that the class itself defines"
    ),
    (
        "data",
        "val_documents = [doc for doc in documents[n_train:] if doc not in trained_on]",
        "n_train -> no bound",
    ): "all that it adds has been trained on, and is dropped",
    ("data", "trained_on = set(train_documents)", "without set()"): (
        "a list has the same members, and is searched more slowly"
    ),
}


class Source:
    """The text of a file, and where its lines and tokens are."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = text.splitlines(keepends=True)
        self.line_starts = [0]
        for line in self.lines:
            self.line_starts.append(self.line_starts[-1] + len(line))
        self.tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))

    def at(self, line: int, byte_column: int) -> int:
        """Return the place in the text that ast gives as a line and a byte in it."""
        text = self.lines[line - 1].encode("utf-8")[:byte_column].decode("utf-8")
        return self.line_starts[line - 1] + len(text)

    def span(self, node: ast.AST) -> tuple[int, int]:
        start = self.at(node.lineno, node.col_offset)
        return start, self.at(node.end_lineno, node.end_col_offset)

    def operator(self, after: ast.AST, before: ast.AST) -> tuple[int, int, str]:
        """Return (start, end, text) of the operator between two operands."""
        low, high = self.span(after)[1], self.span(before)[0]
        found = []
        for token in self.tokens:
            start = self.line_starts[token.start[0] - 1] + token.start[1]
            is_operator = token.string in OTHER_OPERATORS or token.string == "not"
            if low <= start < high and is_operator:
                found.append((start, start + len(token.string), token.string))
        start, end = found[0][0], found[-1][1]
        return start, end, " ".join([text for _, _, text in found])


def mutants(text: str) -> Iterator[Mutant]:
    """Yield every change to a file, but for those in annotations and messages."""
    source = Source(text)
    tree = ast.parse(text)
    left_out = set()  # nodes that are not mutated, with all that is in them
    for node in ast.walk(tree):
        apart: list[ast.AST | None] = []
        if isinstance(node, (ast.AnnAssign, ast.arg)):
            apart = [node.annotation]
        elif isinstance(node, ast.FunctionDef):
            apart = [node.returns]
        elif isinstance(node, ast.JoinedStr):  # what an error message says
            apart = [node]
        for part in apart:
            if part is not None:
                left_out |= {id(inner) for inner in ast.walk(part)}
    for node in ast.walk(tree):
        if id(node) not in left_out:
            yield from mutants_of(node, source)


def mutants_of(node: ast.AST, source: Source) -> Iterator[Mutant]:
    """Yield the changes to one node of the syntax tree."""

    def change(start: int, end: int, new: str, what: str = "") -> Mutant:
        line = source.text.count("\n", 0, start) + 1
        old = " ".join(source.text[start:end].split())
        return Mutant(line, start, end, new, what or f"{old} -> {new}")

    def other_operator(after: ast.AST, before: ast.AST) -> Iterator[Mutant]:
        start, end, operator = source.operator(after, before)
        for new in OTHER_OPERATORS[operator]:
            yield change(start, end, new)

    if isinstance(node, ast.BinOp) and not isinstance(node.op, ast.BitOr):
        yield from other_operator(node.left, node.right)
    elif isinstance(node, ast.AugAssign):
        yield from other_operator(node.target, node.value)
    elif isinstance(node, ast.Compare):
        operands = [node.left, *node.comparators]
        for after, before in zip(operands, operands[1:]):
            yield from other_operator(after, before)
    elif isinstance(node, ast.BoolOp):
        for after, before in zip(node.values, node.values[1:]):
            yield from other_operator(after, before)
    elif isinstance(node, ast.UnaryOp):
        start, _ = source.span(node)
        end, _ = source.span(node.operand)
        gone = "not" if isinstance(node.op, ast.Not) else "-"
        # What stands in parentheses keeps those before it.
        left = source.text[start:end].replace(gone, "", 1).lstrip()
        yield change(start, end, left, f"without {gone}")
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        start, end = source.span(node)
        number = node.value
        others = [number + 1, number - 1] if type(number) is int else []
        if type(number) is float:
            others = [number + 1, number * 1.1] if number else [1.0, 1e-3]
        for other in others:
            yield change(start, end, f"({other!r})", f"{number!r} -> {other!r}")
    elif isinstance(node, ast.Name) and node.id in OTHER_NAMES:
        yield change(*source.span(node), OTHER_NAMES[node.id])
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        yield change(*source.span(node), OTHER_NAMES[repr(node.value)])
    elif isinstance(node, (ast.Break, ast.Continue)):
        others_of = {"break": "continue", "continue": "break"}
        start, end = source.span(node)
        yield change(start, end, others_of[source.text[start:end]])
    elif (
        isinstance(node, (ast.Raise, ast.Delete))
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call))
        or (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], (ast.Attribute, ast.Subscript))
        )
    ):
        yield change(*source.span(node), "pass", "left out")

    elif isinstance(node, ast.Slice):
        for bound in (node.lower, node.upper):
            if bound is not None:
                start, end = source.span(bound)
                what = f"{source.text[start:end]} -> no bound"
                yield change(start, end, "", what)
    elif isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords:
        if isinstance(node.func, ast.Name) and node.func.id in PEELED:
            start, end = source.span(node.args[0])
            inner = f"({source.text[start:end]})"
            yield change(*source.span(node), inner, f"without {node.func.id}()")
    elif isinstance(node, ast.keyword) and node.arg is not None:
        start, end = source.span(node)
        comma = end + 1 if source.text[end] == "," else end
        yield change(start, comma, "", f"without {node.arg}=")

    tests = [node.test] if isinstance(node, (ast.If, ast.IfExp, ast.While)) else []
    if isinstance(node, ast.comprehension):
        tests = node.ifs
    for test in tests:
        # Comparisons and `not` are turned round above.
        if isinstance(test, (ast.Call, ast.Name, ast.Attribute)):
            start, end = source.span(test)
            yield change(start, end, f"(not {source.text[start:end]})")


def copy_of_the_tree() -> Path:
    """Return a new folder with all that the tests of the book need."""
    folder = Path(tempfile.mkdtemp(prefix="mutate-"))
    no_cache = shutil.ignore_patterns("__pycache__")
    for name in ("microgpt", "tests/book", "tests/reference"):
        shutil.copytree(ROOT / name, folder / name, ignore=no_cache)
    for name in (
        "pyproject.toml",
        "input.txt",
        "tests/__init__.py",
        "tests/helpers.py",
    ):
        shutil.copy(ROOT / name, folder / name)
    return folder


def passes(folder: Path, name: str, marker: str, seconds: float) -> bool:
    """Run the tests of a file; return whether all of them pass in the time given."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no"]
    command += ["-p", "no:cacheprovider", "-m", marker]
    command += [f"tests/book/test_{name}.py", f"microgpt/{name}.py"]
    # Python knows a stale compiled file by time and size, and of two mutants made in
    # the same second both may agree.
    for compiled in folder.glob(f"microgpt/__pycache__/{name}.*"):
        compiled.unlink()
    env = {**os.environ, "PYTHONPATH": str(folder)}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # the tests are compiled only once
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode in (0, 5)  # 5: there are no tests with this marker


def survivors(
    name: str, chosen: list[Mutant], text: str, jobs: int
) -> Iterator[tuple[Mutant, bool]]:
    """Yield each mutant of a file and whether it is still alive after the tests."""
    here = threading.local()  # each thread has a copy of the tree for itself
    folders = []

    def is_alive(mutant: Mutant) -> bool:
        if not hasattr(here, "folder"):
            here.folder = copy_of_the_tree()
            folders.append(here.folder)
        path = here.folder / "microgpt" / f"{name}.py"
        mutated = text[: mutant.start] + mutant.new + text[mutant.end :]
        path.write_text(mutated, encoding="utf-8")
        fast, slow = limits["not slow"], limits["slow"]
        alive = passes(here.folder, name, "not slow", fast)
        return alive and passes(here.folder, name, "slow", slow)

    try:
        whole = copy_of_the_tree()
        folders.append(whole)
        limits = {}
        for marker in ("not slow", "slow"):
            began = time.monotonic()
            if not passes(whole, name, marker, 600):
                raise SystemExit(f"{name}: the tests fail without any change")
            limits[marker] = 10 + 5 * (time.monotonic() - began)
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            yield from zip(chosen, pool.map(is_alive, chosen))
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Mutate the files that the command line names, and print what survives."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="FILE", help="such as value")
    parser.add_argument("--sample", type=int, help="how many of the changes to try")
    parser.add_argument("--seed", type=int, default=0, help="which ones those are")
    parser.add_argument("--line", type=int, action="append", help="only this line")
    parser.add_argument("--what", help="only changes with this in their description")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    parser.add_argument("--list", action="store_true", help="print them, run nothing")
    args = parser.parse_args()
    for name in args.names:
        if name not in BOOK:
            parser.error(f"{name!r} is not one of {', '.join(BOOK)}")

    n_unexplained = 0
    for name in args.names or BOOK:
        text = (ROOT / "microgpt" / f"{name}.py").read_text(encoding="utf-8")
        lines = text.splitlines()
        chosen = sorted(set(mutants(text)))
        n_all = len(chosen)
        if args.line is not None:
            chosen = [mutant for mutant in chosen if mutant.line in args.line]
        if args.what is not None:
            chosen = [mutant for mutant in chosen if args.what in mutant.what]
        if args.sample is not None and args.sample < n_all:
            chosen = sorted(random.Random(args.seed).sample(chosen, args.sample))
        if args.list:
            for mutant in chosen:
                print(f"{name}.py:{mutant.line}: {mutant.what}")
            continue
        print(f"{name}.py: {len(chosen)} of {n_all} mutants", flush=True)
        n_alive = 0
        for mutant, alive in survivors(name, chosen, text, args.jobs):
            if not alive:
                continue
            line = lines[mutant.line - 1].strip()
            reason = EQUAL.get((name, line, mutant.what))
            n_alive += 1
            n_unexplained += reason is None
            print(f"  {name}.py:{mutant.line}: {mutant.what}\n      {line}")
            print(
                f"      {'equal: ' + reason if reason else 'NOT NOTICED'}", flush=True
            )
        print(
            f"{name}.py: {len(chosen) - n_alive} noticed, {n_alive} alive", flush=True
        )
    return 1 if n_unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
