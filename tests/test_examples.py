"""Every chapter and every solution runs, and prints what its `# expect:` lines say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
CHAPTERS = sorted(EXAMPLES.glob("ch*.py"))
SOLUTIONS = sorted(EXAMPLES.glob("solutions/ch*.py"))
# | [1. Counting](ch01_counting.py) | question | what it adds | 2.632 |
TABLE = dict(
    re.findall(
        r"^\| \[.*?\]\((ch\d\d_\w+\.py)\) \|.*\| *(\S+) \|$",
        (EXAMPLES / "README.md").read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
)


def run(script: Path, folder: Path) -> str:
    """Run a script in folder, compare what it prints, and return that."""
    started = time.perf_counter()
    result = subprocess.run(
        [sys.executable, str(script)],
        cwd=folder,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
    )
    # Shown with `pytest -rP`, and never asserted: machines differ.
    seconds = time.perf_counter() - started
    print(f"{script.relative_to(EXAMPLES)}: {seconds:.1f} s (budget: 10 s)")
    assert result.stderr == ""
    assert result.returncode == 0
    # Every expected line is printed, in the order in which they are expected.
    printed = iter([line.strip() for line in result.stdout.splitlines()])
    for expected in re.findall(r"# expect: (.*)", script.read_text(encoding="utf-8")):
        assert any(line == expected.strip() for line in printed), expected
    return result.stdout


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_prints_what_it_says_and_what_the_table_says(chapter, tmp_path):
    losses = re.findall(r"^loss per character: (\S+)", run(chapter, tmp_path), re.M)
    assert TABLE[chapter.name] == (losses[-1] if losses else "–")


@pytest.mark.parametrize("solution", SOLUTIONS, ids=lambda path: path.stem)
def test_a_solution_prints_what_it_says(solution, tmp_path):
    run(solution, tmp_path)


def test_the_table_and_the_solutions_have_every_chapter():
    assert len(CHAPTERS) >= 12
    assert list(TABLE) == [chapter.name for chapter in CHAPTERS]
    numbers = [chapter.stem.split("_")[0] for chapter in CHAPTERS]
    assert [solution.stem for solution in SOLUTIONS] == numbers


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_has_the_form_of_a_chapter(chapter):
    text = chapter.read_text(encoding="utf-8")
    number = chapter.stem.split("_")[0]
    assert text.startswith(f'"""Chapter {int(number[2:])}. ')
    assert 60 <= len(text.splitlines()) <= 150
    assert text.count("# expect: ") >= 3
    parts = [
        "Write down what you expect",
        "# What production does",
        "# What is left unsolved",
        f"# Exercises (solutions in solutions/{number}.py)",
    ]
    places = [text.find(part) for part in parts]
    assert -1 not in places
    assert places == sorted(places)
