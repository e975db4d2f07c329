"""LoRA's file: equal to the bit, small, and as hard to fool as a checkpoint."""

from __future__ import annotations

import json
import math
import os
import random
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "examples" / "course"))

import lora_file  # noqa: E402
from additions import new_adapters, new_lora  # noqa: E402
from lora_file import load_lora, save_lora, sha256  # noqa: E402

from microgpt import (  # noqa: E402
    GPTConfig,
    as_floats,
    flatten,
    init_params,
    param_shapes,
)

CONFIG = GPTConfig(vocab_size=5, block_size=3, n_head=1, n_embd=2)
BASE = as_floats(init_params(CONFIG, random.Random(0)))


def trained_lora(rank=1):
    """Return LoRA beside two matrices, with numbers in b as after training."""
    shapes = {
        name: shape
        for name, shape in param_shapes(CONFIG).items()
        if name in ("lm_head", "layer0.mlp_fc1")
    }
    rng = random.Random(1)
    additions = new_lora(shapes, rank, rng)
    for number in flatten(additions):
        number.data = rng.gauss(0, 0.3)
    return as_floats(additions)


def saved(folder, additions=None, scale=2.0):
    path = folder / "small.lora.json"
    save_lora(str(path), BASE, additions or trained_lora(), scale)
    return path, path.read_text(encoding="utf-8")


def refusal(path, params=BASE):
    """Return the one line with which a file is refused."""
    with pytest.raises(ValueError) as caught:
        load_lora(str(path), params)
    assert type(caught.value) is ValueError
    line = str(caught.value)
    assert line and "\n" not in line
    return line


def forged(path, text, change):
    """Write the file with its content changed, and with the right checksum again."""
    record = json.loads(text)
    change(record["lora"])
    record["sha256"] = sha256(json.dumps(record["lora"]))
    path.write_text(json.dumps(record), encoding="utf-8")


@pytest.mark.parametrize("odd", [5e-324, -0.0, 0.1 + 0.2, -1e-308, 1 / 3])
def test_every_number_comes_back_to_the_last_bit(tmp_path, odd):
    additions = trained_lora()
    additions["lm_head.lora_b"][0][0] = odd
    path, _ = saved(tmp_path, additions, scale=1.5)
    loaded, scale = load_lora(str(path), BASE)
    assert repr(loaded) == repr(additions)
    assert scale == 1.5


def test_a_file_for_the_default_model_is_a_few_kilobytes(tmp_path):
    config = GPTConfig(vocab_size=27)
    base = as_floats(init_params(config, random.Random(0)))
    shapes = param_shapes(config)
    additions = new_lora(
        {"layer0.attn_wq": shapes["layer0.attn_wq"]}, 2, random.Random(1)
    )
    for number in flatten(additions):
        number.data = random.Random(2).gauss(0, 1)
    path = tmp_path / "lora.json"
    save_lora(str(path), base, additions, 1.0)
    # 64 numbers of 20 digits or so, and the two fingerprints.
    assert 1000 < os.path.getsize(path) < 2500


def test_it_is_refused_beside_other_weights(tmp_path):
    path, _ = saved(tmp_path)
    other = as_floats(BASE)
    other["wte"][0][0] = math.nextafter(other["wte"][0][0], 1.0)
    assert "trained beside other weights" in refusal(path, other)


def test_a_missing_file_a_folder_and_other_kinds_are_said_in_a_line(tmp_path):
    assert "cannot read" in refusal(tmp_path / "none.json")
    assert "cannot read" in refusal(tmp_path)
    (tmp_path / "page").write_text("<!DOCTYPE html><html></html>")
    assert "a web page" in refusal(tmp_path / "page")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00\x01")
    assert "not text" in refusal(tmp_path / "bytes")
    (tmp_path / "deep").write_text("[" * 100_000)
    assert "no LoRA file" in refusal(tmp_path / "deep")


@pytest.mark.parametrize(
    "text", ["", "3", "null", "[]", "{}", '"x"', '{"format": "microgpt LoRA"}']
)
def test_json_of_another_form_is_refused(tmp_path, text):
    path = tmp_path / "f.json"
    path.write_text(text)
    refusal(path)


@pytest.mark.slow
def test_a_thousand_damaged_files_are_refused_or_equal(tmp_path):
    path, text = saved(tmp_path)
    whole = load_lora(str(path), BASE)
    rng = random.Random(30)
    n_refused = 0
    for _ in range(1000):
        kind = rng.randrange(4)
        at = rng.randrange(len(text))
        if kind == 0:
            damaged = text[:at]
        elif kind == 1:
            damaged = (
                text[:at] + rng.choice('0123456789-.e"[]{},: x\0é') + text[at + 1 :]
            )
        elif kind == 2:
            end = min(len(text), at + rng.randrange(1, 30))
            damaged = text[:at] + text[end:]
        else:
            start = rng.randrange(len(text))
            damaged = text[:at] + text[start : start + 20] + text[at:]
        path.write_text(damaged, encoding="utf-8")
        try:
            loaded = load_lora(str(path), BASE)
        except ValueError as error:
            assert type(error) is ValueError
            assert "\n" not in str(error)
            n_refused += 1
        else:
            # Only what JSON does not look at can be changed, such as a space.
            assert repr(loaded) == repr(whole)
    assert n_refused > 900


STRANGE = [
    None, True, 0, 1, -1, 10**400, "", "0.5", [], [[]], {}, [0.0], [[0.0]], [[None]],
    [["x"]], [[1]], [[True]], float("nan"), float("inf"), [[float("nan")]],
    [[float("inf")]], [[1e300]], {"a": 1}, [[0.0] * 2] * 1000, 1e7,
]  # fmt: skip


def places(content):
    """Return functions that put something else into each place of the content."""

    def at_top(key):
        return lambda lora, x: lora.__setitem__(key, x)

    def at_matrix(name):
        return lambda lora, x: lora["matrices"].__setitem__(name, x)

    def at_row(name):
        return lambda lora, x: lora["matrices"][name].__setitem__(0, x)

    def at_number(name):
        return lambda lora, x: lora["matrices"][name][0].__setitem__(0, x)

    found = [at_top(key) for key in content]
    for name in content["matrices"]:
        found += [at_matrix(name), at_row(name), at_number(name)]
    return found


@pytest.mark.slow
def test_a_forged_file_with_the_right_checksum_is_refused(tmp_path):
    path, text = saved(tmp_path, trained_lora(rank=2))
    content = json.loads(text)["lora"]
    n_tried = 0
    for put in places(content):
        for strange in STRANGE:

            def change(lora, put=put, strange=strange):
                put(lora, strange)

            forged(path, text, change)
            refusal(path)
            n_tried += 1
    assert n_tried == len(STRANGE) * (3 + 3 * 4)


def test_a_matrix_too_many_or_too_few_or_of_another_shape_is_refused(tmp_path):
    path, text = saved(tmp_path)

    def check(change, message):
        forged(path, text, change)
        assert message in refusal(path)

    check(lambda lora: lora["matrices"].pop("lm_head.lora_a"), "and not the other")
    check(lambda lora: lora["matrices"].clear(), "no matrices")
    check(lambda lora: lora.__setitem__("more", 1), "other parts")
    check(lambda lora: lora.pop("scale"), "other parts")
    check(
        lambda lora: lora["matrices"].update({"wte.lora_a": [[0.1, 0.2]]}),
        "looked up in",
    )
    check(
        lambda lora: lora["matrices"].update({"layer7.attn_wq.lora_a": [[0.1, 0.2]]}),
        "has no place",
    )
    check(lambda lora: lora.__setitem__("scale", -2.0), "not a number above 0")
    check(lambda lora: lora.__setitem__("scale", 0.0), "not a number above 0")
    # A rank that its two matrices do not share.
    check(
        lambda lora: lora["matrices"]["lm_head.lora_a"].append([0.1, 0.2]),
        "rows of 2 numbers belong there",
    )


def test_what_could_not_be_loaded_is_not_saved_and_the_old_file_stays(tmp_path):
    path, text = saved(tmp_path)
    adapters = as_floats(new_adapters(CONFIG, 1, random.Random(0)))
    infinite, nan = trained_lora(), trained_lora()
    infinite["lm_head.lora_a"][0][0] = float("inf")
    nan["lm_head.lora_a"][0][0] = float("nan")
    half = trained_lora()
    del half["lm_head.lora_b"]
    for additions, scale in [
        (adapters, 1.0),
        (infinite, 1.0),
        (nan, 1.0),
        (half, 1.0),
        ({}, 1.0),
        (trained_lora(), 0.0),
        (trained_lora(), float("nan")),
    ]:
        with pytest.raises(ValueError):
            save_lora(str(path), BASE, additions, scale)
        assert path.read_text(encoding="utf-8") == text
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_version_of_the_future_is_named(tmp_path):
    path, text = saved(tmp_path)
    record = json.loads(text)
    for version, message in [(2, "version 2"), (True, "not a"), (1.0, "not a")]:
        record["version"] = version
        path.write_text(json.dumps(record))
        assert message in refusal(path)
    record["version"], record["format"] = lora_file.VERSION, "microgpt checkpoint"
    path.write_text(json.dumps(record))
    assert "not a microgpt LoRA file" in refusal(path)
