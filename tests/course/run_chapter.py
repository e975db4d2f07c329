"""Run one chapter as a reader would, and then ask it for the answers to its questions.

    python tests/course/run_chapter.py CHAPTER.py ANSWERS.json

The chapter prints what it prints. Afterwards the expression `computed` of each question
in the chapter's _questions.json is evaluated among the chapter's own variables, and the
results are written to ANSWERS.json, by the question's id.
"""

from __future__ import annotations

import json
import os
import runpy
import sys


def main(chapter: str, answers_path: str) -> None:
    """Run the chapter, and write what its questions' expressions come to."""
    sys.path[0] = os.path.dirname(os.path.abspath(chapter))
    variables = runpy.run_path(chapter, run_name="__main__")
    sys.stdout.flush()
    number = os.path.basename(chapter).split("_")[0]
    questions_path = os.path.join(os.path.dirname(chapter), f"{number}_questions.json")
    with open(questions_path, encoding="utf-8") as file:
        questions = json.load(file)["questions"]
    answers = {}
    for question in questions:
        if "computed" in question:
            answers[question["id"]] = eval(question["computed"], variables)
    with open(answers_path, "w", encoding="utf-8") as file:
        json.dump(answers, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
