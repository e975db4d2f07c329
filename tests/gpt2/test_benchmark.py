"""GPT-2's benchmark makes a model that can be read, and has a row for each way."""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import sys

import benchmark
import pytest
from gpt2_support import GPT2, assert_one_line_error, call
from load import load_gpt2

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
    with load_gpt2(str(tmp_path)) as model:
        assert model.vectors["h.3.ln_2.weight"] == [1.0] * 24
        assert len(set(model.wte)) > 7000
        assert max(map(abs, model.wte)) < 0.2


def test_each_way_has_a_row(capsys, monkeypatch):
    monkeypatch.setattr(benchmark, "CONFIG", SMALL)
    monkeypatch.setattr(benchmark, "PACKED_COUNTS", [1, 2])
    outcome = call(capsys, benchmark.main, "--tokens", 2, "--position", 3)
    assert outcome.code == 0
    rows = re.findall(r"^\| (exact|packed, \d)", outcome.out, re.MULTILINE)
    assert rows == ["exact", "packed, 1", "packed, 2"]
    assert "At position 3" in outcome.out
    assert "packed, 2 processes: token 2/2" in outcome.err
    assert "packed, 2 processes: read 3/3" in outcome.err


@pytest.mark.skipif(os.name == "nt", reason="signals are not as on Windows")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_when_it_is_stopped_nothing_is_left(tmp_path, number):
    program = (
        "import sys, benchmark\n"
        "if __name__ == '__main__':\n"
        f"    benchmark.CONFIG.update({SMALL})\n"
        "    sys.exit(benchmark.main(['--tokens', '1000000', '--position', '3']))\n"
    )
    script = tmp_path / "script.py"
    script.write_text(program, encoding="utf-8")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    process = subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(GPT2), "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    for line in process.stderr:
        if b"exact: read" in line:
            break
    # Ctrl-C reaches all processes, `kill` the one that is named.
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        os.kill(process.pid, number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert b"Traceback" not in err, err.decode()
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("n", [0, -1, "some"])
def test_a_bad_number_of_tokens_is_named(capsys, n):
    assert_one_line_error(call(capsys, benchmark.main, "--tokens", n), n)


@pytest.mark.parametrize("n", [-1, 1024, "far"])
def test_a_position_beyond_the_context_is_named(capsys, n):
    assert_one_line_error(call(capsys, benchmark.main, "--position", n), n)
