"""Try the reader's functions: what was called, what came, what was expected, and where.

A case may know famous mistakes: each is what such a mistake would give, and a sentence
that names it. So a wrong result can say more than that it is wrong.
"""

from __future__ import annotations

import ast
import doctest
import json
import linecache
import math
import os
import re
import traceback
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, NamedTuple

from learning.pieces import Piece
from learning.source import find_class, find_function, package_source

# What comes of it, or an error's kind or words, or a function that looks at what came;
# and the sentence that names the mistake.
Mistake = tuple[Any, str]


class Stopped(NamedTuple):
    """Errors of some kinds, which are the mistake only if `when()` says so."""

    kinds: tuple[type[BaseException], ...]
    when: Callable[[], bool]


class Trial:
    """The cases that a piece was tried with, and which of them failed."""

    def __init__(
        self,
        path: str,
        work: str,
        ours: int,
        unwritten: Sequence[str],
        judged: Sequence[tuple[int, int]],
    ) -> None:
        self.path = path  # of the reader's file
        self.work = work
        self.ours = ours  # line numbers above this are not the reader's
        self.unwritten = [name.split(".")[-1] for name in unwritten]
        self.judged = judged  # the lines, first and last, of the piece's functions
        self.failures: list[dict[str, Any]] = []

    def case(
        self,
        call: str,
        compute: Callable[[], Any],
        expected: Any,
        *mistakes: Mistake,
        of: str = "",
        because: str = "",
        rel: float = 1e-9,
        if_slow: str = "",
        more: Callable[[], Sequence[Mistake]] = tuple,
    ) -> None:
        """Try one case.

        `expected` may be an exception class. `of` is the function that it is about: the
        case is left out while that is not written. `because` says how a person gets the
        expected number. With `if_slow`, which names the mistake that takes for ever,
        the case is tried only if all is well up to here. `more` gives further mistakes,
        which are looked at first; it is called only if what came is wrong.
        """
        if of in self.unwritten or any(f["mistake"] for f in self.failures):
            return
        if if_slow and self.failures:
            return
        self._about_to(call, if_slow)
        error: BaseException | None = None
        came: Any = None
        try:
            came = compute()
        except KeyboardInterrupt:
            raise
        except BaseException as caught:
            error = caught
        wants_error = isinstance(expected, type) and issubclass(expected, BaseException)
        if wants_error:
            if error is not None and isinstance(error, expected):
                return
        elif error is None and same(came, expected, rel):
            return
        mistake = self._mistake(came, error, [*more(), *mistakes], rel)
        self.failures.append(
            {
                "call": call,
                "came": shown(came) if error is None else said(error),
                "expected": f"a {expected.__name__}"
                if wants_error
                else shown(expected),
                "because": because,
                "mistake": mistake,
                "of": of,
                **self._where(error),
            }
        )

    def _mistake(
        self,
        came: Any,
        error: BaseException | None,
        mistakes: Sequence[Mistake],
        rel: float,
    ) -> str:
        if isinstance(error, AttributeError) and "'NoneType' object" in said(error):
            return "None came where a result belongs: is a return missing?"
        for wrong, sentence in mistakes:
            if isinstance(wrong, type) and issubclass(wrong, BaseException):
                found = isinstance(error, wrong)
            elif isinstance(wrong, Stopped):
                found = isinstance(error, wrong.kinds) and wrong.when()
            elif error is not None:
                found = isinstance(wrong, str) and wrong in said(error)
            elif callable(wrong):
                found = _holds(wrong, came)
            else:
                found = same(came, wrong, rel)
            if found:
                return sentence
        if isinstance(error, RecursionError):
            return "it calls itself over and over, deeper than Python allows."
        if isinstance(error, SystemExit):
            return "your code ended the program (sys.exit or quit): return instead."
        if error is None and came is None:
            return "it returned None: is a return missing?"
        return ""

    def add_error(self, call: str, error: BaseException) -> None:
        """Note that something stopped before any case could be tried."""
        mistake = ""
        if isinstance(error, SystemExit):
            mistake = "your file ended the program (sys.exit or quit) when imported."
        self.failures.append(
            {
                "of": "",
                "call": call,
                "came": said(error),
                "expected": "",
                "because": "",
                "mistake": mistake,
                **self._where(error),
            }
        )

    def docstring_examples(self, piece: Piece, book: Any) -> None:
        """Try the examples in the docstrings of the package's own functions."""
        tree = ast.parse(package_source(piece.module))
        names = [n for n in piece.functions if n.split(".")[-1] not in self.unwritten]
        docstrings = {}
        for name in names:
            function = find_function(tree, name)
            assert function is not None
            docstrings[name] = ast.get_docstring(function) or ""
        # The example of a class needs all of its functions.
        if piece.name in ("backward", "tokenizer") and not self.unwritten:
            name = "Value" if piece.name == "backward" else "CharTokenizer"
            of_class = find_class(tree, name)
            assert of_class is not None
            docstrings[name] = ast.get_docstring(of_class) or ""
        for name, docstring in docstrings.items():
            variables = dict(vars(book.module(piece.module)))
            test = doctest.DocTestParser().get_doctest(
                docstring, variables, name, None, 0
            )
            self._about_to(f"the example in the docstring of {name}", "")
            _Examples(self, name).run(test, clear_globs=False)

    def worst(self) -> dict[str, Any]:
        """Return the failure to show: the first whose mistake has a name, if any."""
        named = [failure for failure in self.failures if failure["mistake"]]
        return (named or self.failures)[0]

    def _about_to(self, call: str, if_slow: str) -> None:
        path = os.path.join(self.work, "case.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"call": call, "if_slow": if_slow}, file)

    def _where(self, error: BaseException | None) -> dict[str, Any]:
        """Return the line in which an error stopped, if it is the reader's."""
        if error is None:
            return {}
        return self.line_of(error.__traceback__)

    def line_of(self, trace: TracebackType | None) -> dict[str, Any]:
        """Return the number and the text of the reader's last line in a traceback.

        A line of a function that is judged comes before any other of the file.
        """
        numbers = [
            int(frame.lineno or 0)
            for frame in traceback.extract_tb(trace)
            if frame.filename == self.path and 0 < (frame.lineno or 0) < self.ours
        ]
        judged = [
            number
            for number in numbers
            if any(first <= number <= last for first, last in self.judged)
        ]
        if not numbers:
            return {}
        number = (judged or numbers)[-1]
        return {"line": number, "text": linecache.getline(self.path, number).strip()}


class _Examples(doctest.DocTestRunner):
    """Runs the examples of a docstring, and hands those that fail to the trial."""

    def __init__(self, trial: Trial, name: str) -> None:
        super().__init__(checker=_Numbers(), verbose=False)
        self.trial = trial
        self.name = name

    def report_failure(
        self, out: Any, test: Any, example: doctest.Example, got: str
    ) -> None:
        self._add(example, got.strip() or "nothing", {})

    def report_unexpected_exception(
        self, out: Any, test: Any, example: doctest.Example, exc_info: Any
    ) -> None:
        error = exc_info[1]
        self._add(example, said(error), self.trial.line_of(error.__traceback__))

    def _add(self, example: doctest.Example, got: str, where: dict[str, Any]) -> None:
        self.trial.failures.append(
            {
                "of": self.name.split(".")[-1],
                "call": f"(the docstring of {self.name})  {example.source.strip()}",
                "came": got,
                "expected": example.want.strip() or "no error",
                "because": "",
                "mistake": "",
                **where,
            }
        )


class _Numbers(doctest.OutputChecker):
    """Takes 1 for 1.0, and numbers that differ only in their last digits."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        """Say whether what was printed is what was wanted."""
        return _with_short_numbers(want) == _with_short_numbers(got)


def _with_short_numbers(text: str) -> str:
    return re.sub(
        r"\d+(\.\d+)?(e[-+]?\d+)?", lambda match: f"{float(match[0]):.12g}", text
    )


def same(came: Any, expected: Any, rel: float) -> bool:
    """Say whether came is expected, numbers to within `rel` of their size."""
    if isinstance(expected, (list, tuple)):
        return (
            isinstance(came, (list, tuple))
            and len(came) == len(expected)
            and all(same(c, e, rel) for c, e in zip(came, expected))
        )
    if isinstance(expected, float) and not isinstance(came, bool):
        return isinstance(came, (int, float)) and (
            math.isclose(came, expected, rel_tol=rel, abs_tol=rel)
        )
    return bool(type(came) is type(expected) and came == expected)


def shown(x: Any) -> str:
    """Return x as it is shown: floats with six digits, long things cut short."""
    if isinstance(x, float):
        text = f"{x:.6g}"
    elif isinstance(x, (list, tuple)):
        inner = ", ".join([shown(item) for item in x[:12]])
        more = ", …" if len(x) > 12 else ""
        text = f"[{inner}{more}]" if isinstance(x, list) else f"({inner}{more})"
    else:
        try:
            text = repr(x)
        except Exception as error:
            text = f"an object whose repr stops with {type(error).__name__}"
    return text if len(text) <= 300 else text[:297] + " …"


def said(error: BaseException) -> str:
    """Return an error as one line: its kind and its message."""
    try:
        message = str(error)
    except Exception:
        message = ""
    line = f"{type(error).__name__}: {message}".rstrip(": ").replace("\n", " ")
    return line if len(line) <= 300 else line[:297] + " …"


def _holds(wrong: Callable[[Any], bool], came: Any) -> bool:
    """Ask a function about what came, which may be anything at all."""
    try:
        return bool(wrong(came))
    except Exception:
        return False
