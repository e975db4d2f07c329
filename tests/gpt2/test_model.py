"""GPT-2 on floats: the logits that transformers has, and what its files may not hold.

data/ was written with torch 2.13.0 and transformers 5.23.0, on CPU, by

    python tests/reference/gpt2_reference.py

so that these tests need neither. Where there are both, the last test computes the
figures anew.
"""

from __future__ import annotations

import doctest
import importlib.util
import json
import math
import multiprocessing
import os
import random
import shutil
import struct
import subprocess
import sys
import threading
from dataclasses import replace

import model as model_module
import pytest
from fast import FastGPT2
from gpt2_reference import FOLDER, MODELS, N_GREEDY, RECORD
from gpt2_support import ROOT
from load import load_gpt2, read_config
from model import (
    GPT2Config,
    gelu,
    gelu_exact,
    gpt2,
    layer_norm,
    param_shapes,
    read_token,
    softmax,
)

from microgpt.model import GPTConfig, flatten, init_params

FIGURES = json.loads(RECORD.read_text(encoding="utf-8"))


def load(folder, exact=True, processes=1, show=None):
    """Return the model in a folder, on the plain path or on the fast one."""
    folder = str(folder)
    return load_gpt2(folder) if exact else FastGPT2(folder, processes, show)


def all_logits(model, tokens):
    """Return the logits at each position."""
    return [gpt2(model, token, t) for t, token in enumerate(tokens)]


def greedy(model, prompt, n):
    """Return n tokens, each the likeliest; of the prompt only the last needs logits."""
    for t, token in enumerate(prompt[:-1]):
        read_token(model, token, t)
    tokens = list(prompt)
    for _ in range(n):
        logits = gpt2(model, tokens[-1], len(tokens) - 1)
        tokens.append(logits.index(max(logits)))
    return tokens[len(prompt) :]


def assert_within(rows, expected_rows, tolerance):
    assert len(rows) == len(expected_rows) > 0
    for row, expected in zip(rows, expected_rows):
        assert row == pytest.approx(expected, rel=0, abs=tolerance)


# The figures of transformers


@pytest.mark.parametrize("exact", [True, False], ids=["exact", "packed"])
@pytest.mark.parametrize("name", MODELS)
def test_every_logit_is_that_of_transformers(name, exact):
    figures = FIGURES[name]
    assert figures["prompts"] == MODELS[name].prompts
    with load(FOLDER / name, exact) as model:
        rows = [all_logits(model, prompt) for prompt in figures["prompts"]]
        assert greedy(model, figures["prompts"][0], N_GREEDY) == figures["greedy"]
        assert getattr(model, "notes", []) == []
    for logits, in_float64 in zip(rows, figures["float64"]):
        # The figures have 10 decimals; to pack is to round weights to multiples of
        # 2 ** -28, and so on. README.md gives these bounds.
        assert_within(logits, in_float64, 5.01e-11 if exact else 3.3e-7)
    # As most would run it. float32 rounds each number to 24 bits; README.md says what
    # that comes to.
    assert_within(rows[1], figures["float32"][0], 3.1e-6 if exact else 3.4e-6)


@pytest.mark.parametrize("name", MODELS)
def test_the_figures_can_tell_a_wrong_model_from_a_right_one(name):
    figures = FIGURES[name]
    for rows in figures["float64"]:
        assert all(max(row) - min(row) > 5 for row in rows)
    # No two tokens are so close that rounding could choose between them.
    assert min(figures["margins"]) > 0.01
    assert len(set(figures["greedy"])) >= 5


def test_the_files_differ_in_all_that_files_differ_in():
    kinds = {}
    for name in MODELS:
        tensors = read_tensors(FOLDER / name)
        has = [
            "transformer.wte.weight" in tensors,
            "lm_head.weight" in tensors,
            any(name.endswith("h.0.attn.bias") for name in tensors),
        ]
        dtypes = {dtype for dtype, shape, _ in tensors.values() if len(shape) == 2}
        kinds[name] = (*dtypes, *has)
    assert kinds == {
        #                           prefix  head   masks
        "f32_tied": ("F32", True, False, False),
        "f16_as_published": ("F16", False, False, True),
        "bf16_untied": ("BF16", True, True, False),
        "f64_narrow": ("F64", True, False, False),
    }


@pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ["torch", "transformers"]),
    reason="needs torch and transformers",
)
def test_the_recorded_figures_are_what_transformers_computes_today():
    # In a process of its own, where `safetensors` is the package that it needs.
    result = subprocess.run(
        [
            sys.executable,
            str(ROOT / "tests" / "reference" / "gpt2_reference.py"),
            "--print",
        ],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    )
    computed = json.loads(result.stdout)
    assert list(computed) == list(FIGURES)
    for name, figures in FIGURES.items():
        assert computed[name]["prompts"] == figures["prompts"]
        assert computed[name]["greedy"] == figures["greedy"]
        assert computed[name]["margins"] == pytest.approx(figures["margins"], abs=2e-3)
        for key, tolerance in [("float64", 1e-9), ("float32", 5e-5)]:
            assert len(computed[name][key]) == len(figures[key])
            for rows, expected_rows in zip(computed[name][key], figures[key]):
                assert_within(rows, expected_rows, tolerance)


# The pieces, by hand


def test_layer_norm_by_hand():
    # Of 1, 2, 3, 6 the mean is 3. Without it: -2, -1, 0, 3, whose squares 4, 1, 0, 9
    # have the mean 3.5 (14 / 4, not 14 / 3). With epsilon 2.75 that is 6.25, of which
    # the root is 2.5: -0.8, -0.4, 0, 1.2. Then times the gain, plus the bias.
    gain, bias = [1.0, 10.0, 5.0, -1.0], [0.0, 1.0, 0.5, 0.2]
    normed = layer_norm([1.0, 2.0, 3.0, 6.0], gain, bias, epsilon=2.75)
    assert normed == pytest.approx([-0.8, -3.0, 0.5, -1.0], rel=1e-15)


def test_layer_norm_of_equal_numbers_is_the_bias():
    assert layer_norm([7.0, 7.0], [3.0, 3.0], [0.25, -0.5], 1e-5) == [0.25, -0.5]


def test_gelu_by_hand():
    # At 1: sqrt(2 / pi) = 0.7978846, times 1.044715 is 0.8335620, whose tanh is
    # 0.6823838; half of 1.6823838 is 0.8411919. At -1 the tanh has the other sign, and
    # -0.5 * (1 - 0.6823838) is -0.1588081.
    assert gelu(1.0) == pytest.approx(0.8411919, abs=1e-6)
    assert gelu(-1.0) == pytest.approx(-0.1588081, abs=1e-6)
    assert (gelu(0.0), gelu(40.0), gelu(-40.0)) == (0.0, 40.0, 0.0)
    assert gelu(1e200) == 1e200  # whose cube is no float


def test_gelu_is_as_near_to_the_normal_distribution_as_it_says():
    points = [n / 100 for n in range(-600, 601)]
    exact = [x * 0.5 * (1 + math.erf(x / math.sqrt(2))) for x in points]
    furthest = max(abs(gelu(x) - y) for x, y in zip(points, exact))
    assert 0.0004 < furthest < 0.0005


def test_no_other_factor_makes_the_largest_error_of_gelu_s_chance_smaller():
    def largest_error(factor):
        errors = []
        for n in range(1, 601):
            x = n / 100
            inner = math.sqrt(2 / math.pi) * (x + factor * x**3)
            chance = 0.5 * (1 + math.erf(x / math.sqrt(2)))
            errors.append(abs(0.5 * (1 + math.tanh(inner)) - chance))
        return max(errors)

    best = largest_error(0.044715)
    assert 0.00017 < best < 0.0002
    for factor in (0.0445, 0.04471, 0.04472, 0.045):
        assert largest_error(factor) > best


def test_exact_gelu_by_hand():
    # A normally distributed number is below 1 in 0.8413447 of all cases, below -1 in
    # the rest, 0.1586553.
    assert gelu_exact(1.0) == pytest.approx(0.8413447, abs=1e-7)
    assert gelu_exact(-1.0) == pytest.approx(-0.1586553, abs=1e-7)
    assert (gelu_exact(0.0), gelu_exact(40.0), gelu_exact(-40.0)) == (0.0, 40.0, 0.0)


def test_softmax_by_hand():
    # exp of 0, log 2 and log 5 is 1, 2 and 5, out of 8; and of any three numbers as far
    # apart, even where exp itself would overflow.
    for shift in (0.0, 1000.0, -1000.0):
        weights = softmax([shift, shift + math.log(2), shift + math.log(5)])
        assert weights == pytest.approx([0.125, 0.25, 0.625], rel=1e-12)


def test_the_doctests_hold():
    assert doctest.testmod(model_module).failed == 0


PUBLISHED = [
    # n_layer, n_head, n_embd, numbers
    (12, 12, 768, 124_439_808),
    (24, 16, 1024, 354_823_168),
    (36, 20, 1280, 774_030_080),
    (48, 25, 1600, 1_557_611_200),
]


@pytest.mark.parametrize("n_layer, n_head, n_embd, n_numbers", PUBLISHED)
def test_the_published_models_have_the_sizes_that_they_are_known_by(
    n_layer, n_head, n_embd, n_numbers
):
    config = GPT2Config(50257, 1024, n_embd, n_layer, n_head, 4 * n_embd)
    assert config.head_dim == 64
    counted = sum(math.prod(shape) for _, shape in param_shapes(config))
    # A layer: 3 + 1 + 4 + 4 squares; biases of 3 + 1 + 4 + 1 rows, norms of 4.
    layers = n_layer * (12 * n_embd**2 + 13 * n_embd)
    assert counted == (50257 + 1024) * n_embd + layers + 2 * n_embd == n_numbers


def test_the_table_counts_right():
    table = model_module.__doc__
    microgpt = flatten(init_params(GPTConfig(vocab_size=27), random.Random(0)))
    assert f"{len(microgpt):,} weights" in table
    assert f"{PUBLISHED[0][3]:,}" in table
    assert f"{PUBLISHED[3][3]:,}" in table
    # What `gpt2` says of the head.
    assert 0.31 < 50257 * 768 / PUBLISHED[0][3] < 0.32


# Tokens, one at a time


@pytest.fixture(scope="module", params=["exact", "packed"])
def tied(request):
    with load(FOLDER / "f32_tied", exact=request.param == "exact") as model:
        yield model


def test_the_cache_changes_no_bit(tied):
    prompt = [9, 300, 9, 1, 2, 77, 399, 0]
    rows = all_logits(tied, prompt)
    for n in range(1, len(prompt) + 1):
        again = all_logits(tied, prompt[:n])
        assert again[-1] == rows[n - 1]


@pytest.mark.parametrize("branch", range(7))
def test_going_back_in_a_text_forgets_what_came_after(tied, branch):
    prompt, other = [9, 300, 9, 1, 2, 77, 399], [4, 5, 6, 7, 8, 9, 10]
    expected = all_logits(tied, prompt[:branch] + other)
    all_logits(tied, prompt)
    # Only what is different has to be read.
    again = [gpt2(tied, token, t) for t, token in enumerate(other, start=branch)]
    assert again == expected[branch:]
    assert tied.n_read == branch + 7


def test_a_later_token_never_changes_what_is_before_it(tied):
    prompt = [9, 300, 9, 1]
    rows = all_logits(tied, prompt)
    for later in (0, 9, 399):
        assert all_logits(tied, [*prompt, later])[:4] == rows


def test_the_last_token_sees_the_first_and_in_which_order(tied):
    one = all_logits(tied, [1, 2, 3])
    other = all_logits(tied, [4, 2, 3])
    swapped = all_logits(tied, [2, 1, 3])
    for logits in (other[2], swapped[2]):
        assert max(abs(a - b) for a, b in zip(one[2], logits)) > 0.1


@pytest.mark.parametrize("processes", [2, 3, 8])
def test_processes_compute_what_one_does_to_the_bit(processes):
    folder = FOLDER / "f16_as_published"  # of three heads
    prompt = [7, 7, 210, 4]
    with load(folder, exact=False) as model:
        alone = all_logits(model, prompt)
    with load(folder, exact=False, processes=processes) as model:
        # A process without a head would have nothing to do.
        assert len(multiprocessing.active_children()) == min(processes, 3) - 1
        together = all_logits(model, prompt)
        # All of them forget what is read anew.
        assert all_logits(model, prompt) == alone
    assert multiprocessing.active_children() == []
    assert together == alone


def test_a_process_with_threads_can_have_workers():
    with load(FOLDER / "f32_tied", exact=False) as model:
        expected = all_logits(model, [5, 6])
    found = []

    def write():
        with load(FOLDER / "f32_tied", exact=False, processes=2) as model:
            found.append(all_logits(model, [5, 6]))

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected, expected]


def test_read_token_is_gpt2_without_its_head(tied):
    rows = all_logits(tied, [3, 5])
    read_token(tied, 3, 0)
    x = read_token(tied, 5, 1)
    n_embd = len(x)
    for token in (0, 200, 399):
        row = tied.wte[token * n_embd : (token + 1) * n_embd]
        assert rows[1][token] == pytest.approx(
            sum(map(float.__mul__, x, row)), abs=1e-5
        )


def test_the_cache_holds_a_row_of_n_embd_for_each_layer_and_token():
    model = load(FOLDER / "f32_tied")
    all_logits(model, [3, 5, 8])
    for cache in (model.keys, model.values):
        assert [[len(row) for row in layer] for layer in cache] == [[16, 16, 16]] * 2
        # Eight bytes a number: a long text fits in memory.
        assert cache[0][0].itemsize == 8


def test_packing_is_shown_to_its_end():
    shown = []
    folder = FOLDER / "f16_as_published"
    with load(
        folder, exact=False, show=lambda done, total: shown.append((done, total))
    ):
        pass
    assert len(shown) > 1
    done, total = shown[-1]
    assert done == total == max(shown)[0] > 0


@pytest.mark.parametrize("token_id, pos_id, message", [
    (400, 0, "token 400, but vocab_size is 400"),
    (-1, 0, "token -1, but vocab_size is 400"),
    (0, 32, "position 32 (from 0), but n_positions is 32: shorten the text"),
    (0, -1, "position -1 (from 0), but n_positions is 32: shorten the text"),
    (0, 3, "position 3, but only 2 tokens were read"),
])  # fmt: skip
def test_what_is_out_of_range_is_refused_and_leaves_no_trace(
    tied, token_id, pos_id, message
):
    expected = all_logits(tied, [1, 2, 3])
    all_logits(tied, [1, 2])
    for function in (read_token, gpt2):
        with pytest.raises(ValueError) as caught:
            function(tied, token_id, pos_id)
        assert str(caught.value) == message
    assert gpt2(tied, 3, 2) == expected[2]


def test_a_token_that_was_stopped_halfway_is_read_again(tied, monkeypatch):
    expected = all_logits(tied, [1, 2, 3])
    all_logits(tied, [1, 2])
    with monkeypatch.context() as patched:

        def interrupt(*_):
            raise KeyboardInterrupt

        patched.setattr(tied, "mlp", interrupt)
        with pytest.raises(KeyboardInterrupt):
            gpt2(tied, 77, 2)
    assert tied.n_read == 2
    assert gpt2(tied, 3, 2) == expected[2]


def test_the_last_position_can_be_used(tied):
    rows = all_logits(tied, [1] * 32)
    assert len(rows) == 32
    assert rows[31] != rows[30]


# Folders that are not as they should be


def read_tensors(folder):
    """Return {name: (dtype, shape, bytes)}, read as briefly as can be."""
    content = (folder / "model.safetensors").read_bytes()
    (n,) = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8 : 8 + n]), content[8 + n :]
    header.pop("__metadata__", None)
    return {
        name: (entry["dtype"], entry["shape"], data[slice(*entry["data_offsets"])])
        for name, entry in header.items()
    }


def write_tensors(folder, tensors):
    header, data = {}, b""
    for name, (dtype, shape, content) in tensors.items():
        offsets = [len(data), len(data) + len(content)]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
        data += content
    text = json.dumps(header).encode("utf-8")
    file = folder / "model.safetensors"
    file.write_bytes(struct.pack("<Q", len(text)) + text + data)


def copy_of(name, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(FOLDER / name, folder)
    return folder


def refusal(folder):
    """Return the one line that says why a folder cannot be loaded."""
    with pytest.raises(ValueError) as caught:
        load_gpt2(str(folder))
    line = str(caught.value)
    assert caught.type is ValueError
    assert line.isprintable()
    assert len(line) < 300 + 2 * len(str(folder))
    return line


WHOLE = "must be a whole number, 1 or more"
# what config.json is made to say, what is said about it; ... is for: not at all
CONFIG_FAULTS = [
    ({"model_type": "gptj"}, "model_type is 'gptj', but must be 'gpt2'"),
    ({"model_type": ...}, "model_type is missing, but must be 'gpt2'"),
    ({"vocab_size": ...}, f"vocab_size is missing, but {WHOLE}"),
    ({"vocab_size": 0}, f"vocab_size is 0, but {WHOLE}"),
    ({"n_positions": -1}, f"n_positions is -1, but {WHOLE}"),
    ({"n_embd": 16.0}, f"n_embd is 16.0, but {WHOLE}"),
    ({"n_embd": "16"}, f"n_embd is '16', but {WHOLE}"),
    ({"n_layer": True}, f"n_layer is True, but {WHOLE}"),
    ({"n_layer": None}, f"n_layer is None, but {WHOLE}"),
    ({"n_head": [2]}, f"n_head is [2], but {WHOLE}"),
    ({"n_head": "2" * 1000}, f"n_head is '{'2' * 59}, but {WHOLE}"),
    ({"n_head": 3}, "n_embd is 16, but must be a multiple of n_head, 3"),
    ({"n_inner": 0}, f"n_inner is 0, but {WHOLE}"),
    ({"n_inner": "64"}, f"n_inner is '64', but {WHOLE}"),
    ({"activation_function": "relu"}, "activation_function is 'relu', but must be "
                                      "'gelu_new' or 'gelu_pytorch_tanh' or 'gelu'"),
    ({"activation_function": {}}, "activation_function is {}"),
    ({"scale_attn_weights": 1}, "scale_attn_weights is 1, but must be True or False"),
    ({"scale_attn_by_inverse_layer_idx": "yes"}, "layer_idx is 'yes', but must be"),
    ({"eos_token_id": "399"}, "eos_token_id is '399', but must be a token's id"),
    ({"eos_token_id": [399, None]}, "eos_token_id is [399, None], but must be"),
    ({"add_cross_attention": True}, "add_cross_attention is True, but must be False"),
    ({"tie_word_embeddings": "no"}, "is 'no', but must be True or False"),
    ({"layer_norm_epsilon": 0}, "layer_norm_epsilon is 0, but must be between 0 and 1"),
    ({"layer_norm_epsilon": 0.0}, "layer_norm_epsilon is 0.0"),
    ({"layer_norm_epsilon": -1e-5}, "layer_norm_epsilon is -1e-05"),
    ({"layer_norm_epsilon": "1e-5"}, "layer_norm_epsilon is '1e-5'"),
    ({"layer_norm_epsilon": math.nan}, "layer_norm_epsilon is nan"),
    # These are sizes, but not those of the tensors.
    ({"n_layer": 1}, "has layer 1 (from 0), but config.json says that n_layer is 1"),
    ({"n_layer": 3}, "no tensor h.2.ln_1.weight, of shape (16,)"),
    ({"n_layer": 10**12}, "no tensor h.2.ln_1.weight, of shape (16,)"),
    ({"vocab_size": 401}, "wte.weight has shape (400, 16), but config.json asks for "
                          "(401, 16)"),
    ({"n_positions": 1024}, "wpe.weight has shape (32, 16), but config.json asks for "
                            "(1024, 16)"),
    ({"n_embd": 8}, "wte.weight has shape (400, 16)"),
    ({"n_inner": 63}, "h.0.mlp.c_fc.weight has shape (16, 64), but config.json asks "
                      "for (16, 63)"),
    ({"tie_word_embeddings": False}, "no tensor lm_head.weight, of shape (400, 16)"),
]  # fmt: skip


@pytest.mark.parametrize("changes, message", CONFIG_FAULTS)
def test_a_config_with_a_fault_is_refused_in_one_line(changes, message, tmp_path):
    folder = copy_of("f32_tied", tmp_path)
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    settings.update(changes)
    settings = {name: value for name, value in settings.items() if value is not ...}
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    line = refusal(folder)
    assert message in line
    assert str(folder) in line


def test_settings_that_change_nothing_do_not_matter(tmp_path):
    folder = copy_of("f32_tied", tmp_path)
    before = read_config(str(folder))
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    # How numbers are rounded, where a text ends, and what a file of today may add.
    settings.update(reorder_and_upcast_attn=True, eos_token_id=None, something_new=[1])
    # And the defaults of what computes: OpenAI's file names none of these.
    for name in ("scale_attn_weights", "tie_word_embeddings", "layer_norm_epsilon",
                 "activation_function", "n_inner", "add_cross_attention"):  # fmt: skip
        del settings[name]
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    assert replace(read_config(str(folder)), end_of_text=(399,)) == before
    ids = (399,)
    assert before == GPT2Config(400, 32, 16, 2, 2, 64, 1e-5, True, end_of_text=ids)


@pytest.mark.parametrize("content", [
    b"", b"{", b"[1]", b"null", b'{"a": "\xff"}', b"[" * 100_000, b"\x00" * 100,
    b'{"model_type": "gpt2", "n_embd": ' + b"9" * 10_000 + b"}",
])  # fmt: skip
def test_a_config_that_is_not_a_json_object_is_refused_in_one_line(content, tmp_path):
    folder = copy_of("f32_tied", tmp_path)
    (folder / "config.json").write_bytes(content)
    assert "config.json" in refusal(folder)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_folder_that_lacks_a_file_is_told_what_belongs_there(file, tmp_path):
    folder = copy_of("f32_tied", tmp_path)
    (folder / file).unlink()
    line = refusal(folder)
    assert str(folder / file) in line
    for name in ("config.json", "model.safetensors", "vocab.json", "merges.txt"):
        assert name in line
    assert "complete.py can download them" in line
    (folder / file).mkdir()
    assert refusal(folder) == line


def test_a_folder_that_is_not_there_is_told_the_same(tmp_path):
    assert "complete.py can download them" in refusal(tmp_path / "nowhere")


@pytest.mark.parametrize("name", [
    "wte.weight", "wpe.weight", "h.0.ln_1.weight", "h.1.ln_2.bias", "ln_f.bias",
    "h.0.attn.c_attn.bias", "h.1.mlp.c_proj.weight",
])  # fmt: skip
def test_a_tensor_that_is_missing_or_has_another_shape_is_named(name, tmp_path):
    folder = copy_of("f32_tied", tmp_path)
    tensors = read_tensors(folder)
    full_name = f"transformer.{name}"
    dtype, shape, content = tensors.pop(full_name)
    write_tensors(folder, tensors)
    assert f"has no tensor {name}, of shape {tuple(shape)}" in refusal(folder)

    for wrong in ([*shape, 1], [1, *shape], [math.prod(shape)] * (len(shape) > 1)):
        if math.prod(wrong) == math.prod(shape):
            write_tensors(folder, {**tensors, full_name: (dtype, wrong, content)})
            assert (
                f"{name} has shape {tuple(wrong)}, but config.json asks for "
                f"{tuple(shape)}"
            ) in refusal(folder)


def test_a_matrix_stored_the_other_way_round_is_refused(tmp_path):
    folder = copy_of("f32_tied", tmp_path)
    tensors = read_tensors(folder)
    dtype, shape, content = tensors["transformer.h.0.attn.c_attn.weight"]
    assert shape == [16, 48]
    tensors["transformer.h.0.attn.c_attn.weight"] = (dtype, [48, 16], content)
    write_tensors(folder, tensors)
    message = "h.0.attn.c_attn.weight has shape (48, 16), but config.json asks for"
    assert message in refusal(folder)


@pytest.mark.parametrize("first", [True, False])
def test_one_tensor_under_two_names_is_refused(first, tmp_path):
    # Whichever stands last in the file would have been used, and nothing said.
    folder = copy_of("f32_tied", tmp_path)
    tensors = read_tensors(folder)
    dtype, shape, content = tensors["transformer.wpe.weight"]
    other = {"wpe.weight": (dtype, shape, bytes(len(content)))}
    write_tensors(folder, {**other, **tensors} if first else {**tensors, **other})
    words = "has 'wpe.weight' both with and without 'transformer.' before it"
    assert words in refusal(folder)


def test_weights_that_are_no_floats_are_refused(tmp_path):
    folder = copy_of("f32_tied", tmp_path)
    tensors = read_tensors(folder)
    _, shape, content = tensors["transformer.ln_f.weight"]
    tensors["transformer.ln_f.weight"] = ("I32", shape, content)
    write_tensors(folder, tensors)
    line = refusal(folder)
    assert "ln_f.weight" in line
    assert "I32" in line


def test_a_head_in_the_file_is_used_even_if_config_json_has_none(tmp_path):
    folder = copy_of("bf16_untied", tmp_path)
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del settings["tie_word_embeddings"]
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    with load_gpt2(str(folder)) as model:
        rows = all_logits(model, FIGURES["bf16_untied"]["prompts"][1])
    assert_within(rows, FIGURES["bf16_untied"]["float64"][1], 1e-10)


@pytest.mark.parametrize("name", ["wte.weight", "h.1.ln_1.weight", "ln_f.bias"])
def test_a_number_that_is_not_finite_makes_no_logits(name, tmp_path):
    folder = copy_of("f32_tied", tmp_path)
    tensors = read_tensors(folder)
    dtype, shape, content = tensors[f"transformer.{name}"]
    nan = struct.pack("<f", math.nan)
    tensors[f"transformer.{name}"] = (dtype, shape, nan + content[4:])
    write_tensors(folder, tensors)
    with load_gpt2(str(folder)) as model:
        with pytest.raises(ValueError) as caught:
            all_logits(model, [0])
        assert "nan" in str(caught.value)
