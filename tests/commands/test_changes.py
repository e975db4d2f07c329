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
