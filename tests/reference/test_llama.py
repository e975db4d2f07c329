"""The Llama of chapter 27 has the logits of transformers, and refuses damaged files.

data/llama_names and data/llama.json were made with torch 2.13.0 and transformers
5.24.0, on CPU, by

    python tests/reference/llama_reference.py --train
    python tests/reference/llama_reference.py

so that these tests need neither. Where there are both, a test computes the figures
anew.
"""

from __future__ import annotations

import doctest
import importlib.util
import json
import math
import os
import random
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from microgpt.model import as_floats, flatten
from microgpt.value import Value
from tests.reference.llama_reference import (
    FOLDER,
    PROMPTS,
    RECORD,
    VARIANT_PROMPT,
    VARIANTS,
    hugging_face_config,
    shapes,
    variant_weights,
)

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "examples" / "course"))

import llama as course  # noqa: E402
from llama import LlamaConfig, empty_cache, llama, read_config, read_llama  # noqa: E402

FIGURES = json.loads(RECORD.read_text(encoding="utf-8"))


def write_tensors(path, tensors, dtype="F32"):
    """Write a safetensors file of {name: (shape, numbers)}."""
    letter = {"F32": "f", "F64": "d", "F16": "e", "I32": "i"}[dtype]
    header, data = {}, b""
    for name, (shape, numbers) in tensors.items():
        start = len(data)
        data += struct.pack(f"<{len(numbers)}{letter}", *numbers)
        offsets = [start, len(data)]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": offsets}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def variant_tensors(name):
    """Return {name: (shape, numbers)} of a variant."""
    settings = VARIANTS[name]
    numbers = variant_weights(settings)
    return {key: (shape, numbers[key]) for key, shape in shapes(settings).items()}


def variant_folder(tmp_path, name, dtype="F32"):
    """Write a variant's folder, with its settings as older files have them."""
    settings = {"model_type": "llama", **VARIANTS[name]}
    (tmp_path / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    write_tensors(tmp_path / "model.safetensors", variant_tensors(name), dtype)
    return tmp_path


def change(folder, **changes):
    """Write config.json anew with some settings changed; ... takes one out."""
    path = folder / "config.json"
    settings = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    settings = {name: value for name, value in settings.items() if value is not ...}
    path.write_text(json.dumps(settings), encoding="utf-8")


def all_logits(params, config, tokens):
    """Return the logits after each token."""
    keys, values = empty_cache(config)
    rows = []
    for pos_id, token_id in enumerate(tokens):
        rows.append(llama(params, config, token_id, pos_id, keys, values))
    return rows


def furthest(rows, expected_rows):
    """Return the largest difference between two numbers in the same place."""
    assert [len(row) for row in rows] == [len(row) for row in expected_rows]
    return max(
        abs(number - expected)
        for row, expected_row in zip(rows, expected_rows)
        for number, expected in zip(row, expected_row)
    )


def refusal(folder):
    """Return the one line that says what is wrong with a folder."""
    with pytest.raises(ValueError) as caught:
        read_llama(str(folder))
    line = str(caught.value)
    assert type(caught.value) is ValueError
    assert line.isprintable()
    assert len(line) < 700
    assert str(folder) in line
    return line


# The figures


@pytest.mark.parametrize("i", range(len(PROMPTS)))
def test_a_folder_from_hugging_face_has_the_logits_of_transformers(i):
    figures = FIGURES["llama_names"][i]
    assert figures["tokens"] == PROMPTS[i]
    config, params = read_llama(str(FOLDER))
    rows = all_logits(params, config, PROMPTS[i])
    assert furthest(rows, figures["float32"]) < 1e-5
    assert furthest(rows, figures["float64"]) < 1e-10
    assert all(max(row) - min(row) > 4 for row in figures["float64"])


@pytest.mark.parametrize("name", VARIANTS)
def test_other_settings_have_the_logits_of_transformers(name, tmp_path):
    figures = FIGURES[name]
    assert figures["tokens"] == VARIANT_PROMPT
    config, params = read_llama(str(variant_folder(tmp_path, name)))
    rows = all_logits(params, config, VARIANT_PROMPT)
    assert furthest(rows, figures["float32"]) < 1e-5
    assert furthest(rows, figures["float64"]) < 1e-10
    assert all(max(row) - min(row) > 0.2 for row in figures["float64"])


@pytest.mark.parametrize("name", VARIANTS)
def test_loss_and_every_gradient_are_those_of_pytorch(name, tmp_path):
    figures = FIGURES[name]
    config, floats = read_llama(str(variant_folder(tmp_path, name)))
    params = {}
    for key, rows in floats.items():
        params[key] = [[Value(number) for number in row] for row in rows]
    loss = course.document_loss(params, config, VARIANT_PROMPT)
    loss.backward()
    assert loss.data == pytest.approx(figures["loss"], rel=0, abs=1e-10)
    assert len(params) == len(figures["gradients"])
    for key, rows in params.items():
        grads = [weight.grad for row in rows for weight in row]
        expected = figures["gradients"][course.hugging_face_name(key)]
        assert grads == pytest.approx(expected, rel=0, abs=1e-10), key
        assert max(abs(number) for number in expected) > 1e-3, key


@pytest.mark.parametrize("name", VARIANTS)
def test_values_and_floats_have_the_same_logits_to_the_bit(name, tmp_path):
    config, floats = read_llama(str(variant_folder(tmp_path, name)))
    params = {
        key: [[Value(number) for number in row] for row in rows]
        for key, rows in floats.items()
    }
    with_values = all_logits(params, config, VARIANT_PROMPT)
    data = [[logit.data for logit in row] for row in with_values]
    assert data == all_logits(floats, config, VARIANT_PROMPT)


@pytest.mark.parametrize(
    ("setting", "other"),
    [("rms_norm_eps", 2e-2), ("rope_theta", 490.0), ("rope_theta", 10000.0)],
)
def test_each_number_in_the_settings_matters(setting, other, tmp_path):
    # So the figures above would not be met if a setting were passed over.
    folder = variant_folder(tmp_path, "one_key")
    change(folder, **{setting: other})
    config, params = read_llama(str(folder))
    rows = all_logits(params, config, VARIANT_PROMPT)
    assert furthest(rows, FIGURES["one_key"]["float64"]) > 1e-4


def test_a_later_token_changes_no_earlier_logit():
    config, params = read_llama(str(FOLDER))
    assert (
        all_logits(params, config, [0, 13, 1, 18])[:3]
        == all_logits(params, config, [0, 13, 1, 9])[:3]
    )


@pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ["torch", "transformers"]),
    reason="needs torch and transformers",
)
def test_the_recorded_figures_are_what_pytorch_computes_today():
    result = subprocess.run(
        [
            sys.executable,
            str(Path(__file__).with_name("llama_reference.py")),
            "--print",
        ],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    )
    computed = json.loads(result.stdout)
    pairs = list(zip(FIGURES["llama_names"], computed["llama_names"]))
    pairs += [(FIGURES[name], computed[name]) for name in VARIANTS]
    for recorded, new in pairs:
        assert recorded["tokens"] == new["tokens"]
        assert furthest(recorded["float32"], new["float32"]) < 1e-5
        assert furthest(recorded["float64"], new["float64"]) < 1e-10
    for name in VARIANTS:
        for key, numbers in FIGURES[name]["gradients"].items():
            expected = computed[name]["gradients"][key]
            assert numbers == pytest.approx(expected, rel=0, abs=1e-10), key


# The pieces, by hand


def test_the_examples_in_the_file_are_true():
    failed, attempted = doctest.testmod(course)
    assert failed == 0
    assert attempted >= 5


def test_the_pairs_of_rope_are_halves_and_not_neighbours():
    # A quarter turn takes (a, b) to (-b, a). With theta = 1 all pairs turn alike, by
    # pos_id radians. There is no whole pos_id for a quarter; so cos and sin of 1.
    c, s = math.cos(1), math.sin(1)
    turned = course.rotated([1.0, 10.0, 100.0, 1000.0], 1, 1.0)
    expected = [c - 100 * s, 10 * c - 1000 * s, s + 100 * c, 10 * s + 1000 * c]
    assert turned == pytest.approx(expected, rel=1e-14)


def test_the_second_pair_of_four_numbers_turns_by_one_over_the_root_of_theta():
    # theta ** (-2 * 1 / 4) = 100 ** -0.5 = 0.1 radians for each position.
    turned = course.rotated([0.0, 1.0, 0.0, 0.0], 3, 100.0)
    assert turned == pytest.approx([0.0, math.cos(0.3), 0.0, math.sin(0.3)], rel=1e-14)


def test_silu_is_finite_and_right_far_from_0():
    # At 1: 1 / (1 + 1/e) = e / (e + 1) = 0.7310586. At -1: -1 / (1 + e) = -0.2689414.
    assert course.silu(1.0) == pytest.approx(0.7310586, abs=1e-7)
    assert course.silu(-1.0) == pytest.approx(-0.2689414, abs=1e-7)
    assert (course.silu(800.0), course.silu(0.0)) == (800.0, 0.0)
    assert course.silu(-800.0) == 0.0
    x = Value(-800.0)
    y = course.silu(x)
    y.backward()
    assert (y.data, x.grad) == (0.0, 0.0)


@pytest.mark.parametrize("number", [-3.0, -0.5, 0.0, 0.5, 3.0])
def test_the_slope_of_silu_agrees_with_a_nudge(number):
    x = Value(number)
    course.silu(x).backward()
    h = 1e-6
    slope = (course.silu(number + h) - course.silu(number - h)) / (2 * h)
    assert x.grad == pytest.approx(slope, abs=1e-9)


def test_new_parameters_have_the_default_gpt_s_number_of_them_and_gains_of_1():
    config = LlamaConfig(vocab_size=27)
    params = course.init_params(config, random.Random(1))
    assert len(flatten(params)) == 4080
    floats = as_floats(params)
    assert floats["final_norm"] == [[1.0] * 16]
    assert set(floats["layer0.attn_wo"][0]) == {0.0}
    assert floats["layer0.attn_wq"][0][0] != 0.0


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"n_head": 4, "n_kv_head": 3}, "4 attention heads cannot share 3 keys"),
        ({"head_dim": 3}, "head_dim is 3"),
        ({"n_layer": 0}, "n_layer is 0"),
        ({"n_embd": True}, "n_embd is True"),
        ({"rope_theta": 0.5}, "rope_theta is 0.5"),
        ({"rope_theta": math.nan}, "rope_theta is nan"),
        ({"norm_epsilon": 0.0}, "norm_epsilon is 0.0"),
    ],
)
def test_sizes_that_cannot_be_are_refused(sizes, words):
    with pytest.raises(ValueError, match=words):
        LlamaConfig(vocab_size=27, **sizes)


@pytest.mark.parametrize(("token_id", "pos_id"), [(-1, 0), (27, 0), (0, -1), (0, 8)])
def test_a_token_or_a_position_out_of_range_is_refused(token_id, pos_id):
    config = LlamaConfig(vocab_size=27)
    params = as_floats(course.init_params(config, random.Random(1)))
    keys, values = empty_cache(config)
    with pytest.raises(ValueError, match=r"token|position"):
        llama(params, config, token_id, pos_id, keys, values)
    assert keys == values == [[]]


# Forms in which the settings come


def test_settings_stand_in_older_places_and_in_newer_ones(tmp_path):
    folder = variant_folder(tmp_path, "one_key")
    expected = read_config(str(folder))
    assert expected == LlamaConfig(9, 16, 2, 3, 1, 6, 4, 7, 500.0, 1e-2, False)
    newer = {"rope_type": "default", "rope_theta": 500.0}
    change(folder, rope_theta=..., rope_parameters=newer)
    assert read_config(str(folder)) == expected
    change(folder, rope_theta=500.0, rope_scaling=None)
    assert read_config(str(folder)) == expected


def test_what_a_config_does_not_say_has_the_meaning_that_transformers_gives_it(
    tmp_path,
):
    folder = variant_folder(tmp_path, "tied")
    expected = read_config(str(folder))
    # 8 numbers in x for 2 heads: 4 for each; as many keys as heads.
    assert (expected.head_dim, expected.n_kv_head) == (4, 2)
    assert (expected.norm_epsilon, expected.rope_theta) == (1e-6, 10000.0)
    change(folder, rms_norm_eps=..., rope_theta=..., num_key_value_heads=...)
    change(folder, head_dim=None)
    assert read_config(str(folder)) == expected


@pytest.mark.parametrize("name", sorted(course.HARMLESS))
def test_a_setting_that_changes_no_logit_may_say_anything(name, tmp_path):
    folder = variant_folder(tmp_path, "one_key")
    expected = read_llama(str(folder))
    for value in [None, 2, {"a": [0.5]}]:
        change(folder, **{name: value})
        assert read_llama(str(folder)) == expected


@pytest.mark.skipif(
    not importlib.util.find_spec("transformers"), reason="needs transformers"
)
@pytest.mark.parametrize("name", VARIANTS)
def test_every_setting_that_transformers_writes_is_known(name, tmp_path):
    folder = variant_folder(tmp_path, name)
    expected = read_llama(str(folder))
    settings = hugging_face_config(VARIANTS[name]).to_dict()
    assert len(settings) > 25
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    assert read_llama(str(folder)) == expected


def test_a_tied_head_may_stand_in_the_file_if_it_is_the_same(tmp_path):
    folder = variant_folder(tmp_path, "tied")
    expected = read_llama(str(folder))
    tensors = variant_tensors("tied")
    shape, numbers = tensors["model.embed_tokens.weight"]
    tensors["lm_head.weight"] = (shape, numbers)
    write_tensors(folder / "model.safetensors", tensors)
    assert read_llama(str(folder)) == expected
    tensors["lm_head.weight"] = (shape, [*numbers[:-1], 0.5])
    write_tensors(folder / "model.safetensors", tensors)
    assert "tie_word_embeddings is True, but lm_head.weight is not" in refusal(folder)


def test_the_angles_in_older_files_are_passed_over(tmp_path):
    folder = variant_folder(tmp_path, "one_key")
    expected = read_llama(str(folder))
    tensors = variant_tensors("one_key")
    for layer in range(2):
        name = f"model.layers.{layer}.self_attn.rotary_emb.inv_freq"
        tensors[name] = ((2,), [1.0, 0.04472])
    write_tensors(folder / "model.safetensors", tensors)
    assert read_llama(str(folder)) == expected


@pytest.mark.parametrize("dtype", ["F64", "F16"])
def test_weights_of_another_width_are_read(dtype, tmp_path):
    # Multiples of 1/64 up to 1 are exact in 16 bits, so nothing changes.
    folder = variant_folder(tmp_path, "one_key", dtype)
    _, params = read_llama(str(folder))
    (tmp_path / "narrow").mkdir()
    assert params == read_llama(str(variant_folder(tmp_path / "narrow", "one_key")))[1]


# Refusals


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "mistral"}, "model_type is 'mistral', but must be 'llama'"),
        ({"model_type": ...}, "model_type is missing"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu', but must be 'silu' or 'swish'"),
        ({"attention_bias": True}, "attention_bias is True, but must be False"),
        ({"attention_bias": 0}, "attention_bias is 0, but must be False"),
        ({"mlp_bias": True}, "mlp_bias is True, but must be False"),
        ({"tie_word_embeddings": "no"}, "tie_word_embeddings is 'no'"),
        ({"tie_word_embeddings": True}, "is True, but lm_head.weight is not"),
        (
            {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}},
            "rope_scaling is {'rope_type': 'llama3', 'factor': 8.0}, but must be None",
        ),
        (
            {"rope_parameters": {"rope_type": "yarn"}},
            "rope_type is 'yarn', but must be 'default'",
        ),
        (
            {"rope_parameters": {"rope_theta": 1e4}},
            "rope_theta is 500.0, and in rope_parameters 10000.0",
        ),
        ({"rope_parameters": {"factor": 2}}, "rope_parameters has 'factor' = 2"),
        ({"rope_parameters": []}, "rope_parameters is []"),
        ({"rope_theta": "1e4"}, "rope_theta is '1e4'"),
        ({"rope_theta": 0}, "rope_theta is 0"),
        ({"rope_theta": 10**400}, "rope_theta is 1000"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor is 0.5"),
        ({"rope_interleaved": True}, "rope_interleaved is True, but must be False"),
        ({"qk_norm": True}, "the setting 'qk_norm' is not known here"),
        ({"residual_multiplier": 0.22}, "the setting 'residual_multiplier' is not"),
        ({"logit_scale": 1.0}, "the setting 'logit_scale' is not known here"),
        ({"no_rope_layers": [0]}, "the setting 'no_rope_layers' is not known here"),
        ({"\x1b[2J\n" + 500 * "x": 0}, "is not known here"),
        ({"sliding_window": 4096}, "sliding_window is 4096, but must be None"),
        ({"quantization_config": {"bits": 4}}, "quantization_config is {'bits': 4}"),
        ({"rms_norm_eps": 0}, "norm_epsilon is 0"),
        ({"rms_norm_eps": None}, "norm_epsilon is None"),
        ({"vocab_size": 9.0}, "vocab_size is 9.0, but must be a whole number"),
        ({"hidden_size": ...}, "hidden_size is missing"),
        ({"num_hidden_layers": True}, "num_hidden_layers is True"),
        ({"num_key_value_heads": 2}, "3 attention heads cannot share 2 keys"),
        ({"head_dim": 7}, "head_dim is 7"),
        ({"head_dim": ..., "hidden_size": 7}, "hidden_size is 7, but must be a multi"),
        ({"head_dim": 6}, "q_proj.weight has shape (12, 6), but config.json asks for"),
        ({"vocab_size": 10}, "embed_tokens.weight has shape (9, 6)"),
        ({"intermediate_size": 8}, "mlp.gate_proj.weight has shape (7, 6)"),
        ({"num_hidden_layers": 3}, "has no tensor model.layers.2.input_layernorm.weig"),
        ({"num_hidden_layers": 2**31 - 1}, "has no tensor model.layers.2.input"),
        ({"head_dim": 10**4000}, "head_dim is 1000"),
        ({"num_hidden_layers": 1}, "'model.layers.1.input_layernorm.weight', which no"),
    ],
)
def test_a_setting_that_would_lead_to_wrong_numbers_is_refused(
    changes, words, tmp_path
):
    folder = variant_folder(tmp_path, "one_key")
    change(folder, **changes)
    assert words in refusal(folder)


def without(tensors, name):
    return {key: value for key, value in tensors.items() if key != name}


@pytest.mark.parametrize("name", shapes(VARIANTS["one_key"]))
def test_each_tensor_that_is_missing_is_named(name, tmp_path):
    folder = variant_folder(tmp_path, "one_key")
    tensors = without(variant_tensors("one_key"), name)
    write_tensors(folder / "model.safetensors", tensors)
    assert f"has no tensor {name}, of shape" in refusal(folder)


@pytest.mark.parametrize("name", shapes(VARIANTS["one_key"]))
def test_each_tensor_of_another_shape_is_named(name, tmp_path):
    folder = variant_folder(tmp_path, "one_key")
    tensors = variant_tensors("one_key")
    shape, numbers = tensors[name]
    for other in [shape[::-1] if len(set(shape)) > 1 else (*shape, 1), (*shape, 1)]:
        tensors[name] = (other, numbers)
        write_tensors(folder / "model.safetensors", tensors)
        assert f"{name} has shape {other}, but config.json" in refusal(folder)


@pytest.mark.parametrize("name", shapes(VARIANTS["one_key"]))
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_each_tensor_that_holds_no_finite_number_is_named(name, number, tmp_path):
    folder = variant_folder(tmp_path, "one_key")
    tensors = variant_tensors("one_key")
    shape, numbers = tensors[name]
    tensors[name] = (shape, [*numbers[:-1], number])
    write_tensors(folder / "model.safetensors", tensors)
    assert f"{name} holds {number}" in refusal(folder)


@pytest.mark.parametrize(
    "name",
    [
        "model.layers.0.self_attn.q_proj.bias",
        "model.layers.0.mlp.up_proj.bias",
        "model.layers.2.mlp.up_proj.weight",
        "model.layers.0.self_attn.rotary_emb.inv_freq.x",
        "model.layers.0.post_feedforward_layernorm.weight",
        "\x1b[2J" + 500 * "x",
    ],
)
def test_a_tensor_that_is_not_known_is_refused(name, tmp_path):
    folder = variant_folder(tmp_path, "one_key")
    tensors = {**variant_tensors("one_key"), name: ((1,), [0.0])}
    write_tensors(folder / "model.safetensors", tensors)
    assert "which no Llama with the settings" in refusal(folder)


def test_weights_that_are_no_floats_are_refused(tmp_path):
    folder = variant_folder(tmp_path, "one_key")
    tensors = {
        name: (shape, [1] * len(numbers))
        for name, (shape, numbers) in variant_tensors("one_key").items()
    }
    write_tensors(folder / "model.safetensors", tensors, "I32")
    assert "dtype I32 is not for weights" in refusal(folder)


def test_a_model_too_large_for_lists_is_refused_before_it_is_read(
    tmp_path, monkeypatch
):
    folder = variant_folder(tmp_path, "one_key")
    n_numbers = sum(len(numbers) for _, numbers in variant_tensors("one_key").values())
    monkeypatch.setattr(course, "MOST_NUMBERS", n_numbers)
    read_llama(str(folder))
    monkeypatch.setattr(course, "MOST_NUMBERS", n_numbers - 1)
    assert f"holds {n_numbers:,} numbers" in refusal(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        (b"", ""),
        (b"[1]", ""),
        (b"version https://git-lfs.github.com/spec/v1\noid", "is a git-LFS pointer"),
        (b"<!DOCTYPE html>\n<html>", "is a web page"),
        (b"PK\x03\x04\x14\x00", "is a zip archive"),
    ],
)
def test_a_file_that_is_none_is_named(name, content, words, tmp_path):
    folder = variant_folder(tmp_path, "one_key")
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    line = refusal(folder)
    assert name in line
    assert words in line


# Damage

HOSTILE = [
    -1, 0, 1, 2, 3, 9, 2**64, 10**400, 0.5, 1e308, float("inf"), float("nan"), True,
    False, None, "", "a", "silu", "\x00\x1b[2J", "x" * 1000, [], [0], [[]], {},
    {"rope_type": "llama3"}, {"rope_theta": 2}, {"a": 0},
]  # fmt: skip


def test_a_damaged_config_is_refused_in_one_line_or_read(tmp_path):
    folder = variant_folder(tmp_path, "one_key")
    change(folder, rope_theta=..., rope_parameters={"rope_theta": 500.0})
    change(folder, hidden_act="silu", attention_bias=False, rope_scaling=None)
    original = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    rng = random.Random(27)
    outcomes = {"refused": 0, "read": 0}
    for _ in range(400):
        settings = json.loads(json.dumps(original))
        for _ in range(rng.randint(1, 2)):
            inner = settings.get("rope_parameters")
            in_rope = type(inner) is dict and rng.random() < 0.2
            place = inner if in_rope else settings
            name = rng.choice([*place, "rope_type", "partial_rotary_factor"])
            if rng.random() < 0.2:
                place.pop(name, None)
            else:
                place[name] = rng.choice(HOSTILE)
        text = json.dumps(settings)
        if rng.random() < 0.1:
            text = text[: rng.randrange(len(text))]
        (folder / "config.json").write_text(text, encoding="utf-8")
        try:
            config, params = read_llama(str(folder))
        except ValueError:
            outcomes["refused"] += 1
            refusal(folder)
            continue
        outcomes["read"] += 1
        for row in all_logits(params, config, VARIANT_PROMPT[: config.block_size]):
            assert all(math.isfinite(logit) for logit in row)
    assert outcomes["refused"] >= 200, outcomes
    assert outcomes["read"] >= 20, outcomes


def test_damaged_weights_are_refused_in_one_line_or_read(tmp_path):
    folder = variant_folder(tmp_path, "one_key")
    path = folder / "model.safetensors"
    original = path.read_bytes()
    header_end = 8 + int.from_bytes(original[:8], "little")
    rng = random.Random(27)
    outcomes = {"refused": 0, "read": 0}
    for _ in range(600):
        content = bytearray(original)
        how = rng.randrange(4)
        if how == 0:  # cut short
            del content[rng.randrange(len(content)) :]
        elif how == 1:  # a bit in the weights, or anywhere in the header
            end = rng.choice([len(content), header_end])
            content[rng.randrange(end)] ^= 1 << rng.randrange(8)
        elif how == 2:  # some bytes of the header
            at = rng.randrange(8, header_end)
            content[at : at + 3] = bytes(rng.choices(b'0123456789[]{}:,."x', k=3))
        else:  # two tensors change places
            names = rng.sample(list(variant_tensors("one_key")), 2)
            first, second = [f'"{name}"'.encode() for name in names]
            header = bytes(content[8:header_end])
            header = header.replace(first, b"?").replace(second, first)
            header = header.replace(b"?", second)
            assert len(header) == header_end - 8
            content[8:header_end] = header
        path.write_bytes(bytes(content))
        try:
            _, params = read_llama(str(folder))
        except ValueError:
            outcomes["refused"] += 1
            refusal(folder)
            continue
        outcomes["read"] += 1
        numbers = flatten(params)
        assert len(numbers) == sum(
            len(n) for _, n in variant_tensors("one_key").values()
        )
        assert all(math.isfinite(number) for number in numbers)
    assert outcomes["refused"] >= 300, outcomes
    assert outcomes["read"] >= 50, outcomes


def test_every_single_bit_of_the_settings_that_ship_may_flip(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(FOLDER, folder)
    path = folder / "config.json"
    original = path.read_bytes()
    rng = random.Random(1)
    for _ in range(300):
        content = bytearray(original)
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(content))
        try:
            read_config(str(folder))
        except ValueError as error:
            assert "\n" not in str(error)
            assert len(str(error)) < 700
