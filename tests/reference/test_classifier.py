"""Logits, loss and gradients of a small classifier, as PyTorch computed them.

data/torch_classifier.json was written with torch 2.13.0, on CPU, in float64, by

    python tests/reference/classifier_reference.py

so that these tests need no PyTorch. Where there is one, the last test computes the
figures anew.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from microgpt import GPTConfig, Value, cross_entropy, empty_cache, gpt, linear, total
from tests.reference.classifier_reference import (
    BATCH,
    BLOCK_SIZE,
    LABELS,
    N_EMBD,
    N_HEAD,
    RECORD,
    VOCAB_SIZE,
    chosen_matrices,
    figures,
)

COURSE = Path(__file__).resolve().parents[2] / "examples" / "course"
sys.path.append(str(COURSE))

from last_token import last_streams  # noqa: E402

CONFIG = GPTConfig(VOCAB_SIZE, BLOCK_SIZE, n_layer=1, n_head=N_HEAD, n_embd=N_EMBD)


def recorded():
    return json.loads(RECORD.read_text(encoding="utf-8"))


def by_gpt(params):
    """Return the logits of each text, read at its last token."""
    all_logits = []
    for tokens in BATCH:
        keys, values = empty_cache(CONFIG)
        for pos_id, token_id in enumerate(tokens):
            logits = gpt(params, CONFIG, token_id, pos_id, keys, values)
        all_logits.append(logits)
    return all_logits


def by_last_streams(params):
    """Return the same logits, with keys and values shared by the whole batch."""
    streams = last_streams(params, CONFIG, BATCH)
    return [linear(x, params["lm_head"]) for x in streams]


@pytest.mark.parametrize("logits_of", [by_gpt, by_last_streams])
def test_a_classifier_has_the_gradients_of_pytorch(logits_of):
    params = {
        name: [[Value(number) for number in row] for row in rows]
        for name, rows in chosen_matrices().items()
    }
    all_logits = logits_of(params)
    for logits, expected in zip(all_logits, recorded()["logits"]):
        got = [logit.data for logit in logits]
        assert got == pytest.approx(expected, rel=0, abs=1e-12)
    losses = [cross_entropy(logits, label) for logits, label in zip(all_logits, LABELS)]
    loss = total(losses) / len(losses)
    loss.backward()
    assert loss.data == pytest.approx(recorded()["loss"], rel=0, abs=1e-12)
    assert list(recorded()["gradients"]) == list(params)
    for name, rows in recorded()["gradients"].items():
        for weights, expected in zip(params[name], rows):
            grads = [weight.grad for weight in weights]
            assert grads == pytest.approx(expected, rel=0, abs=1e-12), name


@pytest.mark.parametrize("logits_of", [by_gpt, by_last_streams])
def test_a_classifier_on_plain_floats_has_the_logits_of_pytorch(logits_of):
    for logits, expected in zip(logits_of(chosen_matrices()), recorded()["logits"]):
        assert logits == pytest.approx(expected, rel=0, abs=1e-12)


def test_the_recorded_figures_leave_no_matrix_untested():
    for name, rows in recorded()["gradients"].items():
        assert max(abs(number) for row in rows for number in row) > 1e-3, name


def test_a_model_of_two_layers_is_refused_because_its_keys_cannot_be_shared():
    two_layers = GPTConfig(VOCAB_SIZE, BLOCK_SIZE, 2, N_HEAD, N_EMBD)
    with pytest.raises(ValueError, match="2 layers: this is for 1"):
        last_streams(chosen_matrices(), two_layers, BATCH)


def test_the_recorded_figures_are_what_pytorch_computes_today():
    pytest.importorskip("torch")
    computed = figures()
    assert computed["loss"] == pytest.approx(recorded()["loss"], rel=0, abs=1e-12)
    for got, expected in zip(computed["logits"], recorded()["logits"]):
        assert got == pytest.approx(expected, rel=0, abs=1e-12)
    for name, rows in recorded()["gradients"].items():
        for got, expected in zip(computed["gradients"][name], rows):
            assert got == pytest.approx(expected, rel=0, abs=1e-12), name
