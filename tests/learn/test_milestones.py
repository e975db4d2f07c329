"""What the reader's pieces do together, and the golden run with their package."""

from __future__ import annotations

import json
import shutil

import pytest
from learning import at_work, milestones
from learning.command import main
from learning.pieces import PIECES
from learning.progress import Progress

from tests.helpers import ROOT
from tests.learn.test_check import versions, with_function

DEFAULT_RUN = ROOT / "tests" / "reference" / "data" / "default_run.json"


def solved(folder):
    """Make a folder with the package itself, marked as solved."""
    shutil.copytree(
        ROOT / "microgpt",
        folder / "microgpt",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    progress = Progress(str(folder))
    for piece in PIECES:
        progress.piece(piece.name)["solved"] = True
    progress.save()
    return folder


def test_the_engine_tells_the_moons_apart_and_draws_the_boundary(tmp_path, capfd):
    folder = solved(tmp_path / "my")
    milestones.reach_milestones(str(folder), Progress(str(folder)))
    out = capfd.readouterr().out
    n_right = int(out.split(" of 60 points")[0].split()[-1])
    assert n_right == 60
    svg = (folder / "two_moons.svg").read_text(encoding="utf-8")
    assert f"Your engine on two moons: {n_right} of 60 right" in svg
    assert "log(27) = 3.296" in out
    kept = json.loads((folder / "progress.json").read_text(encoding="utf-8"))
    assert kept["milestones"] == ["moons", "blind"]
    milestones.reach_milestones(str(folder), Progress(str(folder)))
    assert capfd.readouterr().out == ""  # each is reached once


def test_an_untrained_model_is_about_as_unsure_as_a_blind_guess():
    heard = []
    at_work.blind(heard.append)
    assert heard[0]["loss"] == pytest.approx(3.296, abs=0.05)


def test_train_waits_until_every_piece_is_solved(tmp_path, capfd):
    folder = solved(tmp_path / "my")
    progress = Progress(str(folder))
    progress.piece("gpt")["solved"] = False
    progress.save()
    assert main(["train", "--folder", str(folder)]) == 2
    assert "1 piece is not solved yet, the first is gpt" in capfd.readouterr().err


def test_train_names_the_first_step_that_differs(tmp_path, capfd):
    folder = solved(tmp_path / "my")
    path = folder / "microgpt" / "adam.py"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("beta1**self.t", "beta1**1"), encoding="utf-8")
    assert main(["train", "--folder", str(folder)]) == 1
    # The first two losses come from parameters before and after the first step, in
    # which t is 1 anyway. The second step is the first to go wrong: loss 3.
    out = " ".join(capfd.readouterr().out.split())
    assert "Step 3: your loss is" in out
    assert "It is Adam.step: tried alone" in out
    assert "check Adam.step --solution" in out


def test_train_says_that_something_beside_the_pieces_has_been_changed(tmp_path, capfd):
    folder = solved(tmp_path / "my")
    path = folder / "microgpt" / "model.py"
    text = path.read_text(encoding="utf-8")
    changed = text.replace("std = 0.0 if adds_to_x else 0.02", "std = 0.03")
    assert changed != text
    path.write_text(changed, encoding="utf-8")
    assert main(["train", "--folder", str(folder)]) == 1
    out = " ".join(capfd.readouterr().out.split())
    assert "Step 1: your loss is" in out
    assert "It is none of the pieces" in out


def test_train_says_where_the_readers_package_stopped(tmp_path, capfd):
    folder = solved(tmp_path / "my")
    path = folder / "microgpt" / "model.py"
    text = path.read_text(encoding="utf-8")
    broken = text.replace(
        "    return [dot(row, x) for row in w]", "    return [dot(row, x) for row in v]"
    )
    path.write_text(broken, encoding="utf-8")
    assert main(["train", "--folder", str(folder)]) == 1
    out = " ".join(capfd.readouterr().out.split())
    assert "stopped after step 0: NameError: name 'v' is not defined" in out
    assert "return [dot(row, x) for row in v]" in out


@pytest.mark.slow
def test_differently_written_pieces_train_the_golden_run(tmp_path, capfd):
    folder = solved(tmp_path / "my")
    for piece in PIECES:
        right = [v for v in versions() if v.piece == piece.name and v.says is None]
        path = folder / "microgpt" / f"{piece.module}.py"
        short_name = right[0].text.split("(")[0].split()[-1]
        [name] = [n for n in piece.functions if n.split(".")[-1] == short_name]
        path.write_text(
            with_function(
                piece.module, name, right[0].text, path.read_text(encoding="utf-8")
            ),
            encoding="utf-8",
        )
    assert main(["train", "--folder", str(folder)]) == 0
    out = capfd.readouterr().out
    assert "All 500 losses agree" in " ".join(out.split())
    golden = json.loads(DEFAULT_RUN.read_text(encoding="utf-8"))
    last_line = f"step 500/500, loss {golden['losses'][-1]:.3f}"
    assert last_line in out
    names = " ".join(out.split("names that your model writes:")[1].split())
    assert names == " ".join(golden["samples"])
