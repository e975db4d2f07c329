"""The one-line changes fit the book, do what they say, and the table is measured."""

from __future__ import annotations

import importlib.util
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from microgpt import TrainConfig, held_out_loss, read_documents, start
from microgpt.training import train
from tests.helpers import assert_one_line_error, call, environment

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "examples" / "changes.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("changes", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["changes"] = module  # a NamedTuple looks its module up
    spec.loader.exec_module(module)
    return module


changes = load()


@pytest.mark.parametrize("change", changes.CHANGES)
def test_a_change_replaces_one_line_of_the_book_and_nothing_else(
    change, tmp_path
) -> None:
    changes.copy_package(tmp_path, change)
    original = sorted((ROOT / "microgpt").rglob("*.py"))
    assert len(original) >= 8
    changed_lines = []
    for path in original:
        place = path.relative_to(ROOT)
        lines = path.read_text(encoding="utf-8").split("\n")
        lines_now = (tmp_path / place).read_text(encoding="utf-8").split("\n")
        assert len(lines) == len(lines_now)
        for i, (line, line_now) in enumerate(zip(lines, lines_now), start=1):
            if line != line_now:
                changed_lines.append((place.as_posix(), i, line, line_now))
    ((place, i, line, line_now),) = changed_lines
    assert place == f"microgpt/{change.file}"
    assert i == changes.line_number(change)
    assert line.strip() == change.before
    assert line_now.strip() == change.after


@pytest.mark.parametrize("text", ["no such line", "x = 1; x = 1"])
def test_text_that_is_not_found_exactly_once_is_not_replaced(text: str) -> None:
    with pytest.raises(ValueError, match=f"found {text.count('x = 1')} times"):
        changes.replace_once(text, "x = 1", "x = 2")


MINE = changes.Change("my own", "model.py", "x = rmsnorm(x)", "x = rmsnorm(y)")


def watched(monkeypatch, *own: object) -> list[str]:
    """Put these changes in the list; return whose measurements are asked for."""
    asked: list[str] = []

    def measure(change, *settings):
        asked.append(change.name if change else "as it is")
        return [[1.0], [2.0]]

    monkeypatch.setattr(changes, "measure", measure)
    monkeypatch.setattr(changes, "CHANGES", list(own))
    return asked


def test_a_text_that_is_not_found_is_named_before_anything_is_trained(
    monkeypatch, capsys
) -> None:
    asked = watched(monkeypatch, MINE, MINE._replace(name="typo", before="x = rms(x)"))
    outcome = call(capsys, changes.main)
    assert_one_line_error(outcome, "'typo'", "microgpt/model.py", "found 0 times")
    assert asked == []


def test_the_numbers_of_names_and_steps_are_those_that_are_used(
    monkeypatch, capsys
) -> None:
    watched(monkeypatch)
    first_line = call(capsys, changes.main, "--steps", 1, "--names", 5000).out
    # A tenth of 41,833 names is held out.
    assert first_line.startswith("1 step, 4,183 held-out names, seed 42\n")
    assert call(capsys, changes.main).out.startswith("500 steps, 500 held-out names")


@pytest.mark.parametrize(
    "flags", [("--steps", 0), ("--seed", -1), ("--names", 1), ("--colour", "red")]
)
def test_bad_flags_are_named_in_one_line(capsys, flags) -> None:
    assert_one_line_error(call(capsys, changes.main, *flags), flags[0])


def test_a_change_of_several_lines_has_the_number_of_the_first() -> None:
    text = (ROOT / "microgpt" / "model.py").read_text(encoding="utf-8")
    before = "\n".join(text.split("\n")[9:12])
    assert changes.line_number(MINE._replace(before=before)) == 10


def test_the_help_says_how_to_add_a_change(capsys) -> None:
    outcome = call(capsys, changes.main, "--help")
    assert "add a Change to the list CHANGES" in " ".join(outcome.out.split())


@pytest.mark.slow
def test_a_change_that_does_not_run_shows_one_traceback_and_is_named_last(
    capsys,
) -> None:
    with pytest.raises(ValueError, match="'my own' does not run: NameError: name 'y'"):
        changes.measure(MINE, steps=1, seed=42, learning_rate=0.01, n_names=2)
    err = capsys.readouterr().err
    assert err.count("Traceback") == 1
    assert "x = rmsnorm(y)" in err


@pytest.mark.slow
def test_what_a_change_prints_is_shown_and_does_no_harm(capsys) -> None:
    printing = MINE._replace(after="print('hello'); x = rmsnorm(x)")
    settings = {"steps": 1, "seed": 42, "learning_rate": 0.01, "n_names": 2}
    surprises = changes.measure(printing, **settings)
    assert "hello\n" in capsys.readouterr().err
    assert surprises == changes.measure(None, **settings)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs a pipe of a shell")
def test_in_a_plain_clone_a_reader_who_goes_away_and_ascii_are_no_traceback(
    tmp_path,
) -> None:
    plain = {**environment(), "PYTHONIOENCODING": "ascii"}
    del plain["PYTHONPATH"]
    for then, code in ("| head -1", 1), ("| grep -q ReLU.in", 1), ("| grep xb1", 0):
        line = f'"{sys.executable}" "{SCRIPT}" --steps 1 --names 2 {then}'
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            cwd=tmp_path,
            env=plain,
            capture_output=True,
            encoding="utf-8",
        )
        assert done.returncode == code, done
        assert [line for line in done.stderr.splitlines() if line[0] != "["] == []


def test_the_mean_counts_characters_and_its_error_counts_names() -> None:
    # Three names: 1 + 2 + 3 = 6 over four characters in all.
    surprises = [[1.0], [2.0], [1.0, 2.0]]
    assert changes.mean(surprises) == 6 / 4
    # The names' pulls: 1 - 1.5 = -0.5, 2 - 1.5 = 0.5, and 3 - 2 * 1.5 = 0. Their
    # variance, times the number of names: (0.25 + 0.25) * 3 / 2 = 0.75.
    assert changes.standard_error(surprises) == pytest.approx(math.sqrt(0.75) / 4)


@pytest.mark.slow
def test_the_table_is_the_packages_loss_and_that_of_each_changed_copy(
    tmp_path,
) -> None:
    settings = {"steps": 20, "seed": 3, "n_names": 12}
    done = subprocess.run(
        [sys.executable, SCRIPT, "--steps=20", "--seed=3", "--names=12"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        check=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )
    rows = re.findall(r"^(\S.*?)  +(\d\.\d{3}) +(\d+\.\d)", done.stdout, re.M)
    table = {name: (float(loss), float(perplexity)) for name, loss, perplexity in rows}
    names = [change.name for change in changes.CHANGES]
    assert list(table) == ["the model as it is", *names]

    documents = read_documents(str(ROOT / "input.txt"))
    run, train_names, held_out = start(documents, TrainConfig(steps=20, seed=3))
    for _ in train(run, train_names):
        pass
    unchanged = held_out_loss(run, held_out[:12])
    for name, (loss, perplexity) in table.items():
        assert perplexity == pytest.approx(math.exp(loss), rel=0.01), name
    assert table["the model as it is"][0] == round(unchanged, 3)

    # Each change is measured again, by itself. It changed something, and no two are
    # the same.
    losses = [unchanged]
    for change in changes.CHANGES:
        measured = []
        for rate in change.learning_rates:
            surprises = changes.measure(change, learning_rate=rate, **settings)
            measured.append(changes.mean(surprises))
        assert table[change.name][0] == round(min(measured), 3)
        losses.append(min(measured))
    assert len(set(losses)) == len(losses)
    assert "loss by learning rate: " in done.stdout


@pytest.mark.slow
def test_a_learning_rate_that_ruins_the_model_has_an_infinite_loss() -> None:
    descent = changes.CHANGES[-1]
    surprises = changes.measure(
        descent, steps=30, seed=42, learning_rate=1e9, n_names=2
    )
    assert surprises == []
    assert changes.mean(surprises) == changes.standard_error([]) == math.inf
