"""The mini GPT of chapter 23, compared with figures that PyTorch computed in float64.

mini_gpt_reference.py says how they were made. These tests need no PyTorch; where there
is one, the last test computes the figures anew.
"""

from __future__ import annotations

import importlib.util
import json
import random
import sys
from pathlib import Path

import pytest

from microgpt import GPTConfig, Value, empty_cache, total
from tests.reference.mini_gpt_reference import (
    CASES,
    LEARNING_RATE,
    MAX_NORM,
    N_STEPS,
    RECORD,
    WEIGHT_DECAY,
    Case,
    compute,
    draw_masks,
    draw_matrices,
)

COURSE = Path(__file__).resolve().parents[2] / "examples" / "course"


@pytest.fixture(scope="module")
def mini():
    """Return the module examples/course/mini_gpt_values.py."""
    sys.path.insert(0, str(COURSE))
    try:
        path = COURSE / "mini_gpt_values.py"
        spec = importlib.util.spec_from_file_location("mini_gpt_values", path)
        module = importlib.util.module_from_spec(spec)
        sys.modules["mini_gpt_values"] = module  # where dataclasses look for it
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(COURSE))
        sys.modules.pop("mini_gpt_values", None)


def recorded():
    return json.loads(RECORD.read_text(encoding="utf-8"))


def config_of(case: Case) -> GPTConfig:
    return GPTConfig(
        case.vocab_size, case.block_size, case.n_layer, case.n_head, case.n_embd
    )


def values_of(matrices):
    return {
        name: [[Value(number) for number in row] for row in rows]
        for name, rows in matrices.items()
    }


class GivenMasks(random.Random):
    """Random numbers that make `dropout` keep what the masks keep, in its order."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        masks = draw_masks(case)
        kept: list[bool] = []
        for t in range(len(case.tokens) - 1):
            kept += masks["embedding"][t]
            for layer in range(case.n_layer):
                for h in range(case.n_head):
                    kept += masks[f"layer{layer}.weights"][h][t][: t + 1]
                kept += masks[f"layer{layer}.attention"][t]
                kept += masks[f"layer{layer}.mlp"][t]
        self.kept = kept
        self.n_asked = 0

    def random(self) -> float:
        is_kept = self.kept[self.n_asked]
        self.n_asked += 1
        return 0.999 if is_kept else 0.0


def assert_rows_within(rows, other_rows, tolerance, name):
    assert len(rows) == len(other_rows), name
    for row, other_row in zip(rows, other_rows):
        assert row == pytest.approx(other_row, rel=0, abs=tolerance), name


@pytest.mark.parametrize("i", range(len(CASES)))
def test_the_loss_and_every_gradient_are_those_of_pytorch(i, mini):
    case, figures = CASES[i], recorded()[i]
    config = config_of(case)
    params = values_of(draw_matrices(case))
    new = mini.init_mini_gpt(config, random.Random(1), case.tied_head)
    assert sorted(params) == sorted(new)
    masks = GivenMasks(case)
    drop = mini.dropout(case.dropout, masks) if case.dropout else mini.keep_all
    losses = mini.mini_token_losses(params, config, case.tokens, drop)
    if case.dropout:
        assert masks.n_asked == len(masks.kept)  # nothing was dropped elsewhere
    loss = total(losses) * (1 / len(losses))
    loss.backward()
    assert loss.data == pytest.approx(figures["loss"], rel=0, abs=1e-12)
    assert list(figures["gradients"]) == list(params)
    for name, rows in figures["gradients"].items():
        grads = [[weight.grad for weight in row] for row in params[name]]
        assert_rows_within(grads, rows, 1e-12, name)


@pytest.mark.parametrize("i", range(len(CASES)))
def test_the_logits_on_plain_floats_are_those_of_pytorch(i, mini):
    case, figures = CASES[i], recorded()[i]
    config = config_of(case)
    drop = mini.keep_all
    if case.dropout:
        drop = mini.dropout(case.dropout, GivenMasks(case))
    keys, values = empty_cache(config)
    for pos_id, token_id in enumerate(case.tokens[:-1]):
        logits = mini.mini_gpt(
            draw_matrices(case), config, token_id, pos_id, keys, values, drop
        )
        assert logits == pytest.approx(figures["logits"][pos_id], rel=0, abs=1e-12)


def test_three_steps_of_adamw_with_clipped_gradients_are_those_of_pytorch(mini):
    case, figures = CASES[1], recorded()[1]
    config = config_of(case)
    params = values_of(draw_matrices(case))
    optimizer = mini.MiniAdamW(params, WEIGHT_DECAY, MAX_NORM)
    for step in range(N_STEPS):
        losses = mini.mini_token_losses(params, config, case.tokens)
        (total(losses) * (1 / len(losses))).backward()
        norm = optimizer.step(LEARNING_RATE)
        assert norm > MAX_NORM  # so clipping has something to do
        assert norm == pytest.approx(figures["norms"][step], rel=1e-6)
    # PyTorch divides by the norm + 1e-6, we by the norm: hence no more digits. A matrix
    # that does not shrink, or a gain that does, is off by about 0.003.
    for name, rows in figures["after three steps"].items():
        weights = [[weight.data for weight in row] for row in params[name]]
        assert_rows_within(weights, rows, 1e-6, name)


def test_the_recorded_figures_leave_no_matrix_untested():
    for figures in recorded():
        for name, rows in figures["gradients"].items():
            largest = max(abs(number) for row in rows for number in row)
            # A bias of the keys moves all scores of a token by the same amount, which
            # changes no share of attention: its gradient is truly 0.
            if name.endswith("attn_wk_bias"):
                assert largest < 1e-15, name
            else:
                assert largest > 1e-3, name


def test_the_recorded_figures_are_what_pytorch_computes_today():
    pytest.importorskip("torch")
    for case, figures in zip(CASES, recorded()):
        computed = compute(case)
        assert figures["loss"] == pytest.approx(computed["loss"], rel=0, abs=1e-12)
        for name, rows in figures["gradients"].items():
            assert_rows_within(rows, computed["gradients"][name], 1e-12, name)
