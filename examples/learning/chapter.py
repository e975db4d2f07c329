"""A chapter, as a reader goes through it: predict, run, compare."""

from __future__ import annotations

import os
import subprocess
import sys

from learning.course_map import Chapter, Part, short
from learning.progress import Progress
from learning.questions import (
    Ask,
    ask,
    compare,
    is_right,
    read_questions,
    say_wrapped,
)
from microgpt.tools.terminal import say


def run_chapter(chapter: Chapter) -> int:
    """Run the chapter's file in a process of its own; return its exit code."""
    if not os.path.isfile(chapter.path):
        raise ValueError(f"{chapter.path} is missing: git checkout brings it back")
    process = subprocess.Popen([sys.executable, chapter.path])
    try:
        return process.wait()
    except BaseException:
        # Ctrl-C went to the chapter as well, on a terminal. Let it end in peace.
        try:
            process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise


def ask_again(parts: list[Part], part: Part, progress: Progress, ask_for: Ask) -> None:
    """Ask once more what was answered wrongly in other parts than this one.

    Each question comes again once when a part begins, until it is answered rightly.
    """
    due = []
    for other in parts:
        if other is part:
            continue
        for chapter in other.chapters:
            entry = progress.chapters.get(chapter.name)
            if not (entry and entry["done"]):
                continue
            for question in read_questions(chapter):
                answer = entry["answers"].get(question["id"])
                wrong = answer is not None and not answer["right"]
                if wrong and part.title not in answer.get("asked_in", []):
                    due.append((chapter, question, answer))
    if not due:
        return
    many = "one question" if len(due) == 1 else f"{len(due)} questions"
    say_wrapped(
        f"A new part begins. First {many} from before, which you know the answer to "
        "by now:"
    )
    for number, (chapter, question, answer) in enumerate(due, start=1):
        said = ask(question, chapter, ask_for, f"{number}.")
        answer["said"] = said
        answer["right"] = is_right(question, said)
        answer.setdefault("asked_in", []).append(part.title)
        progress.save()
        compare(question, said)
    say("")


def predict(chapter: Chapter, progress: Progress, ask_for: Ask) -> None:
    """Ask the chapter's questions, and keep each answer as soon as it is given.

    A chapter that is repeated is predicted anew. It stays done, and its old answers
    are kept until all of the new ones are there, so that a stop loses nothing.
    """
    questions = read_questions(chapter)
    entry = progress.chapter(chapter.name)
    repeated = entry["done"]
    answers = {} if repeated else entry["answers"]
    if questions:
        say_wrapped("What do you expect? A wrong guess is worth more than none.")
    for number, question in enumerate(questions, start=1):
        if question["id"] in answers:
            say(f"\n{number}. answered before")
            continue
        said = ask(question, chapter, ask_for, f"{number}.")
        answers[question["id"]] = {"said": said, "right": is_right(question, said)}
        if not repeated:
            progress.save()
    if repeated:
        entry["answers"] = answers
        progress.save()


def show_results(chapter: Chapter, progress: Progress) -> None:
    """Show each prediction beside the result."""
    answers = progress.chapter(chapter.name)["answers"]
    questions = [q for q in read_questions(chapter) if q["id"] in answers]
    if not questions:
        return
    say("\n--- your predictions ---")
    for number, question in enumerate(questions, start=1):
        compare(question, answers[question["id"]]["said"], f"{number}.")
    n_right = sum(is_right(q, answers[q["id"]]["said"]) for q in questions)
    say(f"\n{n_right} of {len(questions)} as predicted")


def study(
    parts: list[Part],
    part: Part,
    chapter: Chapter,
    progress: Progress,
    ask_for: Ask | None,
) -> int:
    """Go through a chapter; without `ask_for`, only run it. Return the exit code."""
    say_wrapped(f"Chapter {chapter.name}. {chapter.title}: {chapter.question}")
    if ask_for is not None:
        ask_again(parts, part, progress, ask_for)
        predict(chapter, progress, ask_for)
    say(f"\n--- python {short(chapter.path)} ---\n")
    code = run_chapter(chapter)
    if code != 0:
        say(
            f"\nThe chapter stopped with exit code {code}, so it is not marked as done."
        )
        return 1
    progress.chapter(chapter.name)["done"] = True
    progress.save()
    if ask_for is not None:
        show_results(chapter, progress)
    return 0
