"""Losses and gradients of a model of two layers, as PyTorch computed them.

data/torch_two_layers.json was written with torch 2.13.0, on CPU, in float64, by

    python tests/reference/torch_reference.py

so that these tests need no PyTorch. Where there is one, the last test computes the
figures anew.
"""

from __future__ import annotations

import json

import pytest

from microgpt.model import GPTConfig, document_loss, param_shapes, token_losses
from microgpt.value import Value
from tests.reference.torch_reference import (
    BLOCK_SIZE,
    DOCUMENTS,
    N_EMBD,
    N_HEAD,
    N_LAYER,
    RECORD,
    VOCAB_SIZE,
    draw_matrices,
    losses_and_gradients,
)

CONFIG = GPTConfig(VOCAB_SIZE, BLOCK_SIZE, N_LAYER, N_HEAD, N_EMBD)


def recorded():
    return json.loads(RECORD.read_text(encoding="utf-8"))


def assert_rows_within(rows, other_rows, tolerance, name):
    assert len(rows) == len(other_rows), name
    for row, other_row in zip(rows, other_rows):
        assert row == pytest.approx(other_row, rel=0, abs=tolerance), name


@pytest.mark.parametrize("i", range(len(DOCUMENTS)))
def test_losses_and_gradients_are_those_of_pytorch(i):
    figures = recorded()[i]
    assert figures["tokens"] == DOCUMENTS[i]
    params = {
        name: [[Value(number) for number in row] for row in rows]
        for name, rows in draw_matrices().items()
    }
    loss = document_loss(params, CONFIG, figures["tokens"])
    loss.backward()
    assert loss.data == pytest.approx(figures["loss"], rel=0, abs=1e-10)
    assert list(figures["gradients"]) == list(params) == list(param_shapes(CONFIG))
    for name, rows in figures["gradients"].items():
        grads = [[weight.grad for weight in row] for row in params[name]]
        assert_rows_within(grads, rows, 1e-10, name)


@pytest.mark.parametrize("i", range(len(DOCUMENTS)))
def test_losses_on_plain_floats_are_those_of_pytorch(i):
    figures = recorded()[i]
    losses = token_losses(draw_matrices(), CONFIG, figures["tokens"])
    mean = sum(losses) / len(losses)
    assert mean == pytest.approx(figures["loss"], rel=0, abs=1e-10)


def test_the_recorded_figures_leave_no_matrix_untested():
    gradients = recorded()[0]["gradients"]
    for name, rows in gradients.items():
        assert max(abs(number) for row in rows for number in row) > 1e-3, name


def test_the_recorded_figures_are_what_pytorch_computes_today():
    pytest.importorskip("torch")
    for figures, computed in zip(recorded(), losses_and_gradients()):
        assert figures["tokens"] == computed["tokens"]
        assert figures["loss"] == pytest.approx(computed["loss"], rel=0, abs=1e-12)
        for name, rows in figures["gradients"].items():
            assert_rows_within(rows, computed["gradients"][name], 1e-12, name)
