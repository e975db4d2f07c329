"""GPT-2's benchmark makes a model that can be read, and has a row for each way."""

from __future__ import annotations

import math
import re
import sys

import pytest
from run import ROOT, assert_one_line_error, call

# First on the path, so that `benchmark` is not the one of the chapters.
sys.path.insert(0, str(ROOT / "examples" / "gpt2"))

import benchmark
from model import load_gpt2

SMALL = {**benchmark.CONFIG, "vocab_size": 300, "n_positions": 8, "n_embd": 24}


def test_it_is_of_the_size_of_the_smallest_gpt2(tmp_path):
    benchmark.write_model(str(tmp_path), {**SMALL, "n_layer": 1})
    config = benchmark.read_config(str(tmp_path))
    assert vars(benchmark)["CONFIG"]["n_layer"] == 12
    assert config.n_layer == 1
    (tmp_path / "config.json").write_text(
        benchmark.json.dumps(benchmark.CONFIG), encoding="utf-8"
    )
    shapes = benchmark.param_shapes(benchmark.read_config(str(tmp_path)))
    assert sum(math.prod(shape) for _, shape in shapes) == 124_439_808


def test_the_model_it_writes_has_gains_of_1_and_weights_that_differ(tmp_path):
    benchmark.write_model(str(tmp_path), SMALL)
    with load_gpt2(str(tmp_path), exact=True) as model:
        assert model.vectors["h.3.ln_2.weight"] == [1.0] * 24
        assert len(set(model.wte)) > 7000
        assert max(map(abs, model.wte)) < 0.2


def test_each_way_has_a_row(capsys, monkeypatch):
    monkeypatch.setattr(benchmark, "CONFIG", SMALL)
    outcome = call(capsys, benchmark.main, "--tokens", 2)
    assert (outcome.code, outcome.err) == (0, "")
    rows = re.findall(r"^\| (exact|packed), (\d) process", outcome.out, re.MULTILINE)
    assert rows == [("exact", "1"), ("exact", "2"), ("packed", "1"), ("packed", "2")]
    assert "packed, 2 processes: token 2/2" in outcome.out


@pytest.mark.parametrize("n", [0, -1, 9, "some"])
def test_a_bad_number_of_tokens_is_named(capsys, monkeypatch, n):
    monkeypatch.setattr(benchmark, "CONFIG", SMALL)
    assert_one_line_error(call(capsys, benchmark.main, "--tokens", n), n)
