"""The README is true: every command in it is run, and every figure compared."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys

import pytest

from tests.helpers import ROOT, environment

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```console\n(.*?)```", README, flags=re.DOTALL)
NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")


def run(arguments, folder, typed=""):
    """Return what `python arguments` prints when started in folder."""
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment(),
        input=typed,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert result.stderr == ""
    return result.stdout


def assert_same_text(shown, expected):
    """Compare words exactly, and numbers to 1e-9: Pythons round sums differently."""
    assert NUMBER.sub("#", shown) == NUMBER.sub("#", expected)
    shown_numbers = [float(number) for number in NUMBER.findall(shown)]
    expected_numbers = [float(number) for number in NUMBER.findall(expected)]
    assert shown_numbers == pytest.approx(expected_numbers, rel=1e-9, abs=1e-14)


@pytest.mark.slow
def test_the_first_two_commands_print_what_the_readme_shows(tmp_path):
    commands = [
        block
        for block in BLOCKS
        if re.match(r"\$ python3? -m microgpt", block) and "zen.txt" not in block
    ]
    assert len(commands) == 2
    for block in commands:
        command, expected = block.split("\n", 1)
        assert_same_text(run(command.split()[2:], tmp_path), expected)


@pytest.mark.slow
def test_the_poem_trains_as_the_readme_says(tmp_path):
    [commands] = [block for block in BLOCKS if block.startswith("$ python -m this")]
    poem, train, first_line = commands.splitlines()
    assert poem == "$ python -m this > zen.txt"
    (tmp_path / "zen.txt").write_text(run(["-m", "this"], tmp_path), encoding="utf-8")
    printed = run(train.split()[2:], tmp_path).splitlines()
    assert printed[0] == first_line
    [windows] = [block for block in BLOCKS if "--running-text" in block]
    train, first_line = windows.splitlines()
    assert run(train.split()[2:], tmp_path).splitlines()[0] == first_line
    [figures] = [block for block in BLOCKS if block.startswith("step 180/200")]
    last_step, held_out = figures.splitlines()
    assert last_step in printed and held_out in printed
    # "falls to 1.5", "stays at 2.9", "worse than a table of letter pairs"
    table = next(line for line in printed if "letter pairs" in line)
    losses = [float(NUMBER.search(line)[0]) for line in (last_step, held_out, table)]
    assert (round(losses[0], 1), round(losses[1], 1)) == (1.5, 2.9)
    assert losses[1] > losses[2]


@pytest.mark.slow
def test_the_debugger_tour_shows_what_the_readme_says(tmp_path):
    tour = "".join(block for block in BLOCKS if "(Pdb) " in block)
    start, *steps = re.split(r"^(?:\(Pdb\) |\$ )", tour, flags=re.MULTILINE)[1:]
    typed = [step.split("\n", 1)[0] for step in steps]
    printed = run(start.split()[1:], tmp_path, "\n".join(typed) + "\n")
    answers = printed.split("(Pdb) ")[1:]
    assert typed[0] == "import microgpt" and typed[-1] == "q"
    assert sum(command.startswith("b ") for command in typed) == 6
    n_compared = 0
    for step, answer in zip(steps, answers):
        command, expected = step.split("\n", 1)
        if command.startswith("p "):
            assert_same_text(answer.strip(), expected.strip())
            n_compared += 1
    assert n_compared == sum(command.startswith("p ") for command in typed) > 30


def test_the_examples_in_python_are_right():
    results = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert results.attempted > 5 and results.failed == 0


def test_the_reading_order_names_every_file_of_the_book_and_the_files_agree():
    table = re.findall(r"^\| \[(\w+)\.py\]\(microgpt/(\w+)\.py\)", README, re.MULTILINE)
    order = [name for name, link in table if name == link]
    doors = {"__init__", "__main__", "train", "sample"}
    files = {path.stem for path in (ROOT / "microgpt").glob("*.py")} - doors
    assert set(order) == files
    assert len(order) == len(files) == 8
    # Each file's first words say which file comes after it.
    for name, following in zip(order, order[1:]):
        text = (ROOT / "microgpt" / f"{name}.py").read_text(encoding="utf-8")
        assert f"`{following}.py`" in text.split('"""')[1]


def test_every_link_to_a_file_leads_to_one():
    for page in [ROOT / "README.md", *ROOT.glob("examples/**/*.md")]:
        text = page.read_text(encoding="utf-8")
        links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
        for link in links:
            if not link.startswith(("http:", "https:")):
                assert (page.parent / link).exists(), f"{page}: {link}"
