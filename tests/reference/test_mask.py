"""Chapter 22's attention with a mask, and its padded batch, are those of PyTorch.

data/mask.json was written by mask_reference.py with torch 2.13.0 in float64. Where
there is a PyTorch, the last test computes the figures anew.
"""

from __future__ import annotations

import json

import pytest

from microgpt.model import GPTConfig, flatten, param_shapes, token_losses
from microgpt.value import Value, total
from tests.reference.chapter_functions import functions_of
from tests.reference.mask_reference import (
    BLOCK_SIZE,
    HEAD_DIM,
    N_EMBD,
    N_HEAD,
    N_LAYER,
    N_TOKENS,
    RECORD,
    TEXTS,
    VOCAB_SIZE,
    figures,
    matrices,
    queries_keys_values,
    rows_by_formula,
)

CONFIG = GPTConfig(VOCAB_SIZE, BLOCK_SIZE, N_LAYER, N_HEAD, N_EMBD)
CHAPTER = functions_of("ch22_mask")


def recorded():
    return json.loads(RECORD.read_text(encoding="utf-8"))


def as_values(rows):
    return [[Value(number) for number in row] for row in rows]


def assert_rows_equal(rows, other_rows, tolerance=1e-12):
    assert len(rows) == len(other_rows)
    for row, other_row in zip(rows, other_rows):
        assert row == pytest.approx(other_row, rel=0, abs=tolerance)


def grads(rows):
    return [[number.grad for number in row] for row in rows]


def test_a_masked_head_mixes_as_pytorch_does_and_has_its_slopes():
    look = recorded()["look"]
    queries, keys, values = [as_values(rows) for rows in queries_keys_values()]
    weights = CHAPTER["causal_softmax"](CHAPTER["all_scores"](queries, keys))
    mixtures = CHAPTER["mix"](weights, values)
    assert_rows_equal([[m.data for m in row] for row in mixtures], look["mixtures"])
    products = []
    for row, factors in zip(mixtures, rows_by_formula(N_TOKENS, HEAD_DIM, 600)):
        products += [mixed * factor for mixed, factor in zip(row, factors)]
    total(products).backward()
    assert_rows_equal(grads(queries), look["q_slopes"])
    assert_rows_equal(grads(keys), look["k_slopes"])
    assert_rows_equal(grads(values), look["v_slopes"])


@pytest.mark.parametrize("wrong", ["no_mask", "zero_after_softmax"])
def test_the_wrong_masks_of_the_chapter_do_not_agree_with_pytorch(wrong):
    queries, keys, values = queries_keys_values()
    weights = CHAPTER[wrong](CHAPTER["all_scores"](queries, keys))
    first_row = CHAPTER["mix"](weights, values)[0]
    assert first_row != pytest.approx(recorded()["look"]["mixtures"][0], abs=1e-3)


@pytest.mark.parametrize("pad_id", [0, 5])
def test_the_loss_of_a_padded_batch_and_its_slopes_are_those_of_pytorch(pad_id):
    batch = recorded()["batch"]
    params = {name: as_values(rows) for name, rows in matrices().items()}
    assert list(params) == list(param_shapes(CONFIG)) == list(batch["slopes"])
    loss = CHAPTER["batch_loss"](params, CONFIG, TEXTS, pad_id)
    loss.backward()
    assert loss.data == pytest.approx(batch["loss"], rel=0, abs=1e-12)
    for name, rows in batch["slopes"].items():
        assert_rows_equal(grads(params[name]), rows)


def test_one_text_at_a_time_has_the_loss_and_the_slopes_of_the_padded_batch():
    batch = recorded()["batch"]
    params = {name: as_values(rows) for name, rows in matrices().items()}
    n_real = sum([len(text) - 1 for text in TEXTS])
    loss = 0.0
    for text in TEXTS:
        part = total(token_losses(params, CONFIG, text)) / n_real
        part.backward()
        loss += part.data
    assert loss == pytest.approx(batch["loss"], rel=0, abs=1e-12)
    for name, rows in batch["slopes"].items():
        assert_rows_equal(grads(params[name]), rows)
    assert max([abs(weight.grad) for weight in flatten(params)]) > 0.1


def test_the_recorded_figures_are_what_pytorch_computes_today():
    pytest.importorskip("torch")
    old, new = recorded(), figures()
    for name, rows in old["look"].items():
        assert_rows_equal(rows, new["look"][name])
    assert old["batch"]["loss"] == pytest.approx(new["batch"]["loss"], abs=1e-12)
    for name, rows in old["batch"]["slopes"].items():
        assert_rows_equal(rows, new["batch"]["slopes"][name])
