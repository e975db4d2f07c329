"""The benchmark beside PyTorch: four ways that must be equal, and an honest table."""

from __future__ import annotations

import importlib.util
import xml.etree.ElementTree as ElementTree

import pytest

torch = pytest.importorskip("torch")

from microgpt.tools.terminal import Progress  # noqa: E402
from tests.helpers import ROOT, assert_one_line_error, call  # noqa: E402


@pytest.fixture(scope="module")
def benchmark():
    # By its path: other folders of examples have a benchmark.py too.
    path = ROOT / "examples" / "pytorch" / "benchmark.py"
    spec = importlib.util.spec_from_file_location("pytorch_benchmark", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_three_ways_take_the_same_ten_steps(benchmark, monkeypatch):
    monkeypatch.setattr(benchmark, "can_compile", lambda: False)
    steps = benchmark.steps_at(8)
    assert list(steps) == ["our engine", "lists by hand", "PyTorch, eager"]
    losses = {way: [step() for _ in range(10)] for way, step in steps.items()}
    ours = losses.pop("our engine")
    assert ours[-1] < ours[0]  # they learn
    for way, its_losses in losses.items():
        assert its_losses == pytest.approx(ours, abs=1e-9), way


def test_unequal_losses_stop_the_benchmark(benchmark, monkeypatch):
    ways = {"our engine": lambda: 3.0, "PyTorch, eager": lambda: 3.0 + 1e-6}
    monkeypatch.setattr(benchmark, "steps_at", lambda width: ways)
    with pytest.raises(ValueError, match="PyTorch, eager has the loss"):
        benchmark.measure(16, 1, Progress("rounds", 1, 1, stream=None))


def test_from_which_width_a_way_is_ahead(benchmark):
    measured = {
        4: {"a": 2.0, "b": 1.0},
        16: {"a": 1.0, "b": 2.0},
        64: {"a": 3.0, "b": 3.0},
        256: {"a": 1.0, "b": 9.0},
    }
    assert (
        benchmark.ahead_from(measured, "a", "b") == "a is ahead of b from width 256 on"
    )
    assert "not ahead of a at any" in benchmark.ahead_from(measured, "b", "a")


@pytest.mark.slow
def test_the_command_prints_a_table_and_draws_a_chart(
    benchmark, monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr(benchmark, "can_compile", lambda: False)
    outcome = call(capsys, benchmark.main, "--widths", 4, 8, "--rounds", 1, "--out",
                   tmp_path)  # fmt: skip
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    [row] = [line for line in lines if line.startswith("our engine")]
    assert len(row.split()) == 4
    assert all(float(ms) > 0 for ms in row.split()[2:])
    assert any(line.split()[-2:] == ["–", "–"] for line in lines)  # not compiled
    assert "needs a C++ compiler" in outcome.out
    svg = (tmp_path / "pytorch_benchmark.svg").read_text(encoding="utf-8")
    assert "lists by hand" in "".join(ElementTree.fromstring(svg).itertext())


def test_bad_input_is_named_in_one_line(benchmark, capsys):
    for flags, words in [
        (("--widths", 6), "does not divide"),
        (("--widths", "wide"), "invalid int value"),
        (("--rounds", 0), "--rounds is 0"),
    ]:
        assert_one_line_error(call(capsys, benchmark.main, *flags), words)
