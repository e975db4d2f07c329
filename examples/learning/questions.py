"""Predictions: a question is asked, what was said is understood, and later compared.

There are three kinds. A *number* is right within the tolerance that the question names.
A *choice* is made by its letter, its number or its text. A *line* is a line of the
chapter's file, named by its number (an editor shows it) or typed out.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from learning.course_map import Chapter, short
from microgpt.tools.terminal import is_terminal, say, terminal_columns

Question = dict[str, Any]
Ask = Callable[[str], str]  # shows a prompt, and returns what was typed
LETTERS = "abcdefghijklmnopqrstuvwxyz"


class NotUnderstood(Exception):
    """What was typed is no answer; the message says what would be one."""


def say_wrapped(text: str, indent: str = "", first: str | None = None) -> None:
    """Say text in lines that fit the terminal; `first` indents the first line."""
    width = min(terminal_columns(sys.stdout) - 1, 79)
    first = indent if first is None else first
    for paragraph in text.split("\n"):
        say(
            textwrap.fill(
                paragraph,
                max(width, len(indent) + 20),
                initial_indent=first,
                subsequent_indent=indent,
                break_on_hyphens=False,
            )
        )
        first = indent


def read_questions(chapter: Chapter) -> list[Question]:
    """Return a chapter's questions; none if it has no file of them."""
    try:
        with open(chapter.questions_path, encoding="utf-8") as file:
            return list(json.load(file)["questions"])
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError):
        raise ValueError(
            f"cannot read {chapter.questions_path}: git checkout brings it back"
        ) from None


def ask_on_terminal(prompt: str) -> str:
    """Ask on the terminal. An end of input (Ctrl-D) counts as Ctrl-C."""
    try:
        return input(prompt)
    except EOFError:
        say("")
        raise KeyboardInterrupt from None
    except UnicodeDecodeError:
        return ""


def need_terminal() -> None:
    """Raise a ValueError if nobody is there to answer."""
    if not (is_terminal(sys.stdin) and is_terminal(sys.stdout)):
        raise ValueError(
            "the questions need a terminal to be answered on: run this in one, "
            "or add --no-questions to run the chapter without them"
        )


def ask(question: Question, chapter: Chapter, ask_for: Ask, number: str) -> Any:
    """Ask a question until the answer is understood; None if the reader skips it."""
    say("")
    say_wrapped(question["question"], indent="   ", first=f"{number:<3}")
    if question["kind"] == "choice":
        for letter, choice in zip(LETTERS, question["choices"]):
            say_wrapped(choice, indent="      ", first=f"   {letter}) ")
        prompt = "   your choice"
    elif question["kind"] == "line":
        say_wrapped(f"(The chapter is {short(chapter.path)}.)", indent="   ")
        prompt = "   the number of the line"
    else:
        unit = f" ({question['unit']})" if question["unit"] else ""
        prompt = f"   your guess{unit}"
    while True:
        typed = ask_for(f"{prompt}: ").strip()
        if not typed:
            say("   skipped; it will come again later")
            return None
        try:
            return understood(question, chapter, typed)
        except NotUnderstood as error:
            say_wrapped(f"{error} Enter alone skips the question.", indent="   ")


def understood(question: Question, chapter: Chapter, typed: str) -> Any:
    """Return the answer that was typed: a number, a choice, or a line's text."""
    if question["kind"] == "number":
        return to_number(typed)
    if question["kind"] == "choice":
        return to_choice(question["choices"], typed)
    return to_line(chapter, typed)


def to_number(typed: str) -> float:
    """Return the number that somebody typed.

    >>> [to_number(text) for text in ("1,024", "-0.071", "3/4", "24%", "2,5 nats")]
    [1024.0, -0.071, 0.75, 0.24, 2.5]
    """
    text = typed.replace("\u2212", "-").replace("_", "").strip().lower()
    match = re.match(
        r"(?:about |ca\.? |~ *)?([-+]?(?:\d[\d,]*\.?\d*|\.\d+)(?:e[-+]?\d+)?)"
        r"\s*(?:/\s*(\d+(?:\.\d+)?)|(%))?(?:\s*[a-z].*)?$",
        text,
    )
    if not match:
        raise NotUnderstood(f"{typed!r} is no number: type one, such as 2.5.")
    digits = match[1]
    if re.fullmatch(r"[-+]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?", digits):
        digits = digits.replace(",", "")  # 1,024
    number = float(digits.replace(",", ".")) if digits.count(",") <= 1 else None
    if number is None:
        raise NotUnderstood(f"{typed!r} is no number: type one, such as 2.5.")
    if match[2]:
        if float(match[2]) == 0:
            raise NotUnderstood("Nothing can be divided by 0.")
        return number / float(match[2])
    return number / 100 if match[3] else number


def to_choice(choices: Sequence[str], typed: str) -> str:
    """Return the choice that was meant: by its text, letter, number or beginning.

    >>> to_choice(["0.1", "1.0"], "b"), to_choice(["0.1", "1.0"], "1")
    ('1.0', '1.0')
    >>> to_choice(["better", "worse"], "2"), to_choice(["better", "worse"], "bet")
    ('worse', 'better')
    """
    text = typed.lower().rstrip(").")
    for choice in choices:
        if text == choice.lower() or _same_number(text, choice):
            return choice
    if len(text) == 1 and text in LETTERS[: len(choices)]:
        return choices[LETTERS.index(text)]
    if text.isdecimal() and 1 <= int(text) <= len(choices):
        return choices[int(text) - 1]
    beginnings = [choice for choice in choices if choice.lower().startswith(text)]
    if len(beginnings) == 1:
        return beginnings[0]
    raise NotUnderstood(f"{typed!r} is none of them: type a letter, such as a.")


def _same_number(a: str, b: str) -> bool:
    try:
        return float(a) == float(b)
    except ValueError:
        return False


def to_line(chapter: Chapter, typed: str) -> str:
    """Return the line of the chapter's file that was meant, without its indent."""
    with open(chapter.path, encoding="utf-8") as file:
        lines = [line.strip() for line in file]
    text = typed.strip()
    match = re.fullmatch(r"(?:line )?(\d+)", text, flags=re.IGNORECASE)
    if match:
        if not 1 <= int(match[1]) <= len(lines):
            raise NotUnderstood(f"The file has the lines 1 to {len(lines)}.")
        return lines[int(match[1]) - 1]
    if text in lines:
        return text
    raise NotUnderstood("That is no line of the file: type the line's number.")


def is_right(question: Question, said: Any) -> bool:
    """Say whether an answer is right, a number within its tolerance."""
    if said is None:
        return False
    if question["kind"] == "number":
        # A little more, or 0.1 + 0.2 would not be within 0.3 of 0.
        gap = abs(said - question["answer"])
        return bool(gap <= question["tolerance"] * (1 + 1e-9))
    return bool(said == question["answer"].strip())


def written(question: Question, answer: Any) -> str:
    """Return an answer as it is shown: with its unit, or "no guess"."""
    if answer is None:
        return "no guess"
    if question["kind"] != "number":
        return str(answer)
    unit = f" {question['unit']}" if question["unit"].isalpha() else ""
    return f"{answer:,.4g}{unit}" if abs(answer) < 1000 else f"{answer:,.0f}{unit}"


def compare(question: Question, said: Any, number: str = "") -> None:
    """Show a prediction beside the result, and why it is so.

    Without a number the question itself is left out, since it was asked just before.
    """
    verdict = "right" if is_right(question, said) else "no guess"
    if said is not None and verdict != "right":
        verdict = "not so"
    if number:
        say("")
        say_wrapped(question["question"], indent="   ", first=f"{number:<3}")
    say_wrapped(written(question, said), indent=" " * 16, first="   you said:    ")
    say_wrapped(
        f"{written(question, question['answer'])}   ({verdict})",
        indent=" " * 16,
        first="   it is:       ",
    )
    say_wrapped(question["why"], indent="   ")
