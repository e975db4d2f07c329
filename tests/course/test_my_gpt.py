"""my_gpt.py, which the reader fills in, judges right and wrong functions as such."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import microgpt
from microgpt import linear, relu

COURSE = Path(__file__).resolve().parents[2] / "examples" / "course"


@pytest.fixture
def my_gpt(monkeypatch):
    """Return the module."""
    monkeypatch.syspath_prepend(str(COURSE))
    spec = importlib.util.spec_from_file_location("my_gpt", COURSE / "my_gpt.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_function_that_is_not_written_yet_is_called_so():
    done = subprocess.run(
        [sys.executable, str(COURSE / "my_gpt.py")],
        capture_output=True,
        encoding="utf-8",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("not written yet") == 3


def test_the_packages_own_functions_are_found_equal_to_the_bit(my_gpt):
    for results, name, n_numbers in [
        (my_gpt.attention_results, "attention", 5 * 16),
        (my_gpt.mlp_results, "mlp", 5 * 16),
        (my_gpt.gpt_results, "gpt", 5 * 27),
    ]:
        theirs = getattr(microgpt, name)
        verdict = my_gpt.verdict(results, theirs, theirs)
        assert (
            verdict == f"all {n_numbers} numbers are equal to the package's, to the bit"
        )


def test_an_mlp_whose_relu_is_not_squared_is_found_different(my_gpt):
    def without_square(x, params, layer):
        hidden = linear(x, params[f"layer{layer}.mlp_fc1"])
        return linear([relu(h) for h in hidden], params[f"layer{layer}.mlp_fc2"])

    verdict = my_gpt.verdict(my_gpt.mlp_results, without_square, microgpt.mlp)
    assert verdict.startswith("different, first at number 0 of 80")


def test_attention_that_forgets_the_layer_of_its_keys_is_found_different(my_gpt):
    def always_layer_0(x, params, config, layer, keys, values):
        return microgpt.attention(x, params, config, 0, keys, values)

    verdict = my_gpt.verdict(
        my_gpt.attention_results, always_layer_0, microgpt.attention
    )
    assert verdict.startswith("different")
