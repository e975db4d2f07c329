"""The attention of chapter 25, with 4, 2 and 1 key heads, is that of PyTorch.

data/grouped_query.json was written with torch 2.13.0 and transformers 5.24.0, on CPU,
in float64, by

    python tests/reference/grouped_query_reference.py

so that these tests need neither. Where both are there, the last test computes the
figures anew. The functions are those of the chapter itself.
"""

from __future__ import annotations

import json

import pytest

from microgpt import GPTConfig, Value, cross_entropy, total
from tests.reference.chapter_functions import functions_of
from tests.reference.grouped_query_reference import (
    BLOCK_SIZE,
    KEY_HEADS,
    N_EMBD,
    N_HEAD,
    N_LAYER,
    RECORD,
    TOKENS,
    VOCAB_SIZE,
    figures,
    matrices,
)

CONFIG = GPTConfig(VOCAB_SIZE, BLOCK_SIZE, N_LAYER, N_HEAD, N_EMBD)


def recorded():
    return json.loads(RECORD.read_text(encoding="utf-8"))


@pytest.mark.parametrize("i", range(len(KEY_HEADS)))
def test_logits_loss_and_gradients_are_those_of_pytorch(i):
    chapter = functions_of("ch25_fewer_keys")
    entry = recorded()[i]
    assert entry["n_key_heads"] == KEY_HEADS[i]
    params = {
        name: [[Value(weight) for weight in row] for row in rows]
        for name, rows in matrices(KEY_HEADS[i]).items()
    }
    logits = chapter["all_logits"](chapter["grouped_gpt"], params, CONFIG, TOKENS[:-1])
    assert len(logits) == len(entry["logits"])
    for ours, theirs in zip(logits, entry["logits"]):
        assert [logit.data for logit in ours] == pytest.approx(theirs, rel=0, abs=1e-10)
    losses = [cross_entropy(logits[t], TOKENS[t + 1]) for t in range(len(logits))]
    loss = total(losses) / len(losses)
    assert loss.data == pytest.approx(entry["loss"], rel=0, abs=1e-10)
    loss.backward()
    for name, rows in entry["gradients"].items():
        assert len(rows) == len(params[name])
        for row, their_row in zip(params[name], rows):
            grads = [weight.grad for weight in row]
            assert grads == pytest.approx(their_row, rel=0, abs=1e-10), name
    assert list(entry["gradient_sums"]) == list(params)
    for name, their_sum in entry["gradient_sums"].items():
        our_sum = sum(abs(weight.grad) for row in params[name] for weight in row)
        assert our_sum == pytest.approx(their_sum, rel=0, abs=1e-9), name


def test_the_three_kinds_give_three_losses():
    losses = [entry["loss"] for entry in recorded()]
    assert len({round(loss, 3) for loss in losses}) == 3


def test_the_recorded_figures_are_what_pytorch_computes_today():
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    for entry, now in zip(recorded(), figures()):
        assert entry["n_key_heads"] == now["n_key_heads"]
        assert entry["loss"] == pytest.approx(now["loss"], rel=0, abs=1e-12)
        for name, rows in entry["gradients"].items():
            for row, row_now in zip(rows, now["gradients"][name]):
                assert row == pytest.approx(row_now, rel=0, abs=1e-12), name
