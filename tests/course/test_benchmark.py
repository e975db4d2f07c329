"""The engines compute one and the same GPT, and the benchmark compares them fairly."""

from __future__ import annotations

import gc
import random
import re
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

COURSE = Path(__file__).resolve().parents[2] / "examples" / "course"
sys.path.append(str(COURSE))

from engines import (  # noqa: E402
    CLOSURES,
    ENGINES,
    MICROGPT,
    STORED,
    Closure,
    count_nodes,
    loss_on,
    params_for,
)

from microgpt.model import GPTConfig, flatten, init_params  # noqa: E402


def model(**sizes):
    """Return a small config and parameters none of which are 0."""
    config = GPTConfig(vocab_size=5, block_size=4, n_head=2, n_embd=4, **sizes)
    rng = random.Random(1)
    params = init_params(config, rng)
    for weight in flatten(params):
        weight.data = rng.gauss(0, 0.5)
    return config, params


@pytest.mark.parametrize("n_layer", [1, 2])
def test_all_engines_have_the_same_loss_and_gradients(n_layer):
    config, params = model(n_layer=n_layer)
    found = {}
    for engine in ENGINES:
        own = params_for(engine, params)
        loss = loss_on(engine, own, config, [0, 3, 1, 3, 4, 0])
        loss.backward()
        found[engine.name] = [loss.data, *[weight.grad for weight in flatten(own)]]
    expected = found[MICROGPT.name]
    assert any(abs(number) > 1e-3 for number in expected[1:])
    for numbers in found.values():
        assert numbers == pytest.approx(expected, rel=1e-10, abs=1e-12)


def test_single_operations_make_the_same_nodes_whatever_the_engine():
    config, params = model()
    counts = [
        count_nodes(loss_on(engine, params_for(engine, params), config, [0, 1, 2]))
        for engine in (CLOSURES, STORED, MICROGPT)
    ]
    assert counts[0] == counts[1]
    assert counts[2] * 3 < counts[0]


def test_only_the_collector_frees_a_graph_of_closures():
    gc.collect()
    gc.disable()
    try:
        result = Closure(2.0) * Closure(3.0)
        gone = weakref.ref(result)
        del result
        assert gone() is not None
        gc.collect()
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.slow
def test_the_command_gives_a_row_for_each_engine_and_both_ratios(tmp_path):
    done = subprocess.run(
        [sys.executable, str(COURSE / "benchmark.py"), "--rounds", "1"],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    row = re.compile(r"^\| ([^|]+?) +\| +([\d.]+) +\| +([\d.]+) +\|", re.MULTILINE)
    rows = row.findall(done.stdout)
    assert [name for name, _, _ in rows] == [
        "closures and sets",
        "stored slopes",
        "microgpt (fused nodes)",
        "lists by hand",
        "two processes",
    ]
    milliseconds = {name: float(ms) for name, ms, _ in rows}
    own = milliseconds["microgpt (fused nodes)"]
    for name in ("closures and sets", "stored slopes"):
        [ratio] = re.findall(rf"step on {name} takes ([\d.]+) times", done.stdout)
        assert float(ratio) == pytest.approx(milliseconds[name] / own, rel=0.02)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("argv", [["--rounds", "0"], ["--rounds", "x"], ["--faster"]])
def test_bad_input_is_one_line_and_exit_code_2(argv):
    done = subprocess.run(
        [sys.executable, str(COURSE / "benchmark.py"), *argv],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
