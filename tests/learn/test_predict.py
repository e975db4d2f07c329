"""Predictions are asked, kept, compared, and asked again when they were wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from learning import course_map, questions
from learning.command import main

from tests.helpers import ROOT

LEARN = ROOT / "examples" / "learn.py"


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course of two parts with a chapter each, in a folder of its own."""
    (tmp_path / "course").mkdir()
    row = "| [{0}. {1}](course/ch{0:0>2}_{2}.py) | Why {1}? | much | 40 min | 2.6 |\n"
    (tmp_path / "README.md").write_text(
        "# Course\n\n### Part I. First\n\n"
        + row.format("1", "Counting", "counting")
        + "\n### Part II. Second\n\n"
        + row.format("2", "Nudging", "nudge")
    )
    for name, file in (("01", "counting"), ("02", "nudge")):
        (tmp_path / "course" / f"ch{name}_{file}.py").write_text(
            f"half = 1 / 2\nprint('chapter {name} ran')\n"
        )
        (tmp_path / "course" / f"ch{name}_questions.json").write_text(
            json.dumps(
                {
                    "questions": [
                        {
                            "id": f"half-{name}",
                            "kind": "number",
                            "question": f"How much is a half, in {name}?",
                            "tolerance": 0.1,
                            "unit": "",
                            "answer": 0.5,
                            "why": "One divided by two.",
                        },
                        {
                            "id": f"line-{name}",
                            "kind": "line",
                            "question": "Which line computes it?",
                            "answer": "half = 1 / 2",
                            "why": "The slash divides.",
                        },
                    ]
                }
            )
        )
    read = course_map.read_map
    monkeypatch.setattr(
        "learning.command.read_map", lambda: read(str(tmp_path / "README.md"))
    )
    return tmp_path


def answering(*answers):
    """Return an `ask_for` that types these answers, and a list of what it was asked."""
    left, prompts = list(answers), []

    def ask_for(prompt):
        prompts.append(prompt)
        answer = left.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    ask_for.prompts = prompts
    return ask_for


def learn(course, ask_for, *argv):
    return main([*argv, "--folder", str(course / "my")], ask_for)


def saved(course):
    return json.loads((course / "my" / "progress.json").read_text(encoding="utf-8"))


def test_every_chapter_of_the_course_is_on_the_map():
    on_the_map = {c.path for part in course_map.read_map() for c in part.chapters}
    in_the_folder = {
        str(path)
        for path in (ROOT / "examples" / "course").glob("ch*.py")
        if not path.stem.endswith("_solution")
    }
    assert in_the_folder <= on_the_map
    assert [
        (part.title.split(".")[0], part.chapters[0].name, part.chapters[0].minutes)
        for part in course_map.read_map()[:2]
    ] == [("Part I", "1", 45), ("Part II", "3", 60)]


def test_a_prediction_stands_beside_the_result_and_why(course, capfd):
    assert learn(course, answering("0.3", "1"), "1") == 0
    out = capfd.readouterr().out
    asked, ran = out.index("How much is a half"), out.index("chapter 01 ran")
    said, why = out.index("you said:    0.3"), out.index("One divided by two.")
    assert asked < ran < said < why
    assert "it is:       0.5   (not so)" in out
    assert "you said:    half = 1 / 2" in out
    assert "1 of 2 as predicted" in out
    entry = saved(course)["chapters"]["1"]
    assert entry["done"]
    assert entry["answers"]["half-01"] == {"said": 0.3, "right": False}


def test_what_was_answered_wrongly_comes_again_when_the_next_part_begins(course, capfd):
    learn(course, answering("0.3", "1"), "1")
    again = answering("0.5", "0.5", "1")  # the old question, then the two new ones
    assert learn(course, again, "2") == 0
    assert "which you know the answer to by now" in capfd.readouterr().out.replace(
        "\n", " "
    )
    assert saved(course)["chapters"]["1"]["answers"]["half-01"]["right"]
    assert len(again.prompts) == 3


def test_a_question_that_comes_again_is_shown_once(course, capfd):
    learn(course, answering("0.3", "1"), "1")
    capfd.readouterr()
    learn(course, answering("0.5", "0.5", "1"), "2")
    out = capfd.readouterr().out
    assert out.count("How much is a half, in 01?") == 1
    assert out.index("in 01?") < out.index("you said:    0.5") < out.index("in 02?")


def test_ctrl_c_keeps_the_answers_given_so_far(course, capfd):
    assert learn(course, answering("0.5", KeyboardInterrupt()), "1") == 130
    assert list(saved(course)["chapters"]["1"]["answers"]) == ["half-01"]
    rest = answering("1")  # only what had not been answered is asked
    assert learn(course, rest, "1") == 0
    assert len(rest.prompts) == 1
    assert saved(course)["chapters"]["1"]["done"]


def test_a_stop_while_a_chapter_is_repeated_loses_neither_its_mark_nor_its_answers(
    course, capfd
):
    learn(course, answering("0.3", "1"), "1")
    before = saved(course)["chapters"]["1"]
    assert before["done"]
    assert learn(course, answering("0.5", KeyboardInterrupt()), "1") == 130
    assert saved(course)["chapters"]["1"] == before
    assert learn(course, answering("0.5", "1"), "1") == 0
    assert saved(course)["chapters"]["1"]["answers"]["half-01"]["right"]


def test_no_questions_runs_the_chapter_and_asks_nothing(course, capfd):
    ask_for = answering()
    assert learn(course, ask_for, "1", "--no-questions") == 0
    assert "chapter 01 ran" in capfd.readouterr().out
    assert saved(course)["chapters"]["1"] == {"done": True, "answers": {}}


def test_a_chapter_that_fails_is_not_done(course, capfd):
    (course / "course" / "ch01_counting.py").write_text("half = 1 / 2\nraise OSError")
    assert learn(course, answering("0.5", "1"), "1") == 1
    assert not saved(course)["chapters"]["1"]["done"]


def test_a_damaged_progress_file_is_put_aside_and_not_lost(course, capfd):
    (course / "my").mkdir()
    (course / "my" / "progress.json").write_text('{"chapters": [1')
    assert learn(course, None) == 0
    captured = capfd.readouterr()
    assert captured.err.count("\n") == 1
    assert "damaged" in captured.err
    aside = course / "my" / "progress.json.damaged-1"
    assert aside.read_text() == '{"chapters": [1'


@pytest.mark.skipif(os.name == "nt", reason="a file in a folder's place: other words")
def test_a_folder_that_cannot_be_written_costs_one_line_and_no_answers(course, capfd):
    (course / "my").write_text("a file in the place of the folder")
    assert learn(course, answering("0.5", "1"), "1") == 0
    captured = capfd.readouterr()
    assert captured.err.count("\n") == 1
    assert "your progress is not kept" in captured.err
    assert "2 of 2 as predicted" in captured.out


def test_a_mistyped_number_is_asked_for_again(course, capfd):
    assert learn(course, answering("a half", "0.5", "99", "1"), "1") == 0
    out = capfd.readouterr().out
    assert "'a half' is no number" in out
    assert "The file has the lines 1 to 2." in out
    assert "2 of 2 as predicted" in out


@pytest.mark.parametrize(
    "typed, number",
    [
        ("1,024", 1024),
        ("13,9", 13.9),
        ("-0.071", -0.071),
        ("1/4", 0.25),
        ("24 %", 0.24),
        (".5", 0.5),
        ("1e-5", 1e-5),
        ("about 14 letters", 14),
        ("\u22122", -2),
    ],
)
def test_numbers_are_understood_as_people_write_them(typed, number):
    assert questions.to_number(typed) == pytest.approx(number)


@pytest.mark.parametrize("typed", ["", "nan", "inf", "1/0", "two", "1,2,3", "--1"])
def test_what_is_no_number_is_not_taken_for_one(typed):
    with pytest.raises(questions.NotUnderstood):
        questions.to_number(typed)


def test_a_choice_that_is_a_number_is_taken_by_its_value():
    choices = ["0.1", "0.3", "1.0"]
    assert questions.to_choice(choices, "1") == "1.0"
    assert questions.to_choice(choices, ".3") == "0.3"
    assert questions.to_choice(choices, "a") == "0.1"


def test_the_right_answer_to_every_question_of_the_course_is_accepted():
    for part in course_map.read_map():
        for chapter in part.chapters:
            for question in questions.read_questions(chapter):
                said = questions.understood(question, chapter, str(question["answer"]))
                assert questions.is_right(question, said), question["id"]


def test_without_a_terminal_it_says_what_to_do_and_does_not_wait():
    done = subprocess.run(
        [sys.executable, LEARN, "8"],
        stdin=subprocess.PIPE,
        capture_output=True,
        encoding="utf-8",
        timeout=20,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "--no-questions" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_chapter_names_the_ones_there_are():
    done = subprocess.run(
        [sys.executable, LEARN, "77"], capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 2
    assert "there is no chapter '77'" in done.stderr


def test_the_bug_hunt_is_reached_from_here(capfd):
    assert main(["hunt", "99"]) == 2
    assert "no bug 99" in capfd.readouterr().err


@pytest.mark.slow
def test_the_bug_hunt_names_the_next_bug_and_not_a_chapter(capfd):
    assert main(["hunt"]) == 1
    last = capfd.readouterr().out.splitlines()[-1]
    assert last.endswith("learn.py hunt 1")


@pytest.mark.parametrize("name", ["1", "01", "ch01", "CH1"])
def test_a_chapter_is_found_however_its_number_is_written(name):
    _, chapter = course_map.find(course_map.read_map(), name)
    assert chapter.name == "1"
