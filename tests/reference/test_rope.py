"""The rotary positions of chapter 24 are those of PyTorch and of transformers' Llama.

data/rope.json was written with torch 2.13.0 and transformers 5.24.0, on CPU, in
float64, by

    python tests/reference/rope_reference.py

so that these tests need neither. Where both are there, the last test computes the
figures anew. The functions are those of the chapter itself.
"""

from __future__ import annotations

import json

import pytest

from microgpt import GPTConfig, Value, cross_entropy, total
from tests.reference.chapter_functions import functions_of
from tests.reference.rope_reference import (
    FIRST_PLACES,
    N_EMBD,
    N_HEAD,
    N_LAYER,
    RECORD,
    TOKENS,
    VOCAB_SIZE,
    figures,
    matrices,
    query_and_key,
)

CONFIG = GPTConfig(VOCAB_SIZE, 16, N_LAYER, N_HEAD, N_EMBD)


def recorded():
    return json.loads(RECORD.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def chapter():
    return functions_of("ch24_rope")


def turns_of(chapter):
    return {
        "neighbours": chapter["rope_neighbours"],
        "halves": chapter["rope_halves"],
    }


def test_both_customs_turn_as_pytorch_and_transformers_do(chapter):
    query, key = query_and_key()
    assert len(recorded()["turned"]) == 10
    for entry in recorded()["turned"]:
        turned = turns_of(chapter)[entry["custom"]]
        for ours, theirs in [(query, entry["query"]), (key, entry["key"])]:
            assert turned(ours, entry["place"]) == pytest.approx(
                theirs, rel=0, abs=1e-12
            ), entry


def test_the_customs_are_not_the_same():
    at_place_5 = [entry for entry in recorded()["turned"] if entry["place"] == 5]
    first, second = [entry["query"] for entry in at_place_5]
    assert max(abs(a - b) for a, b in zip(first, second)) > 0.1


def test_logits_loss_and_gradients_are_those_of_pytorch(chapter):
    assert len(recorded()["models"]) == 2 * len(FIRST_PLACES)
    for entry in recorded()["models"]:
        params = {
            name: [[Value(weight) for weight in row] for row in rows]
            for name, rows in matrices().items()
        }
        logits, _ = chapter["run_text"](
            turns_of(chapter)[entry["custom"]],
            params,
            CONFIG,
            TOKENS[:-1],
            first_place=entry["first_place"],
        )
        for ours, theirs in zip(logits, entry["logits"]):
            assert [logit.data for logit in ours] == pytest.approx(
                theirs, rel=0, abs=1e-10
            )
        losses = [cross_entropy(logits[i], TOKENS[i + 1]) for i in range(len(logits))]
        loss = total(losses) / len(losses)
        assert loss.data == pytest.approx(entry["loss"], rel=0, abs=1e-10)
        loss.backward()
        for name, rows in entry.get("gradients", {}).items():
            for row, their_row in zip(params[name], rows):
                grads = [weight.grad for weight in row]
                assert grads == pytest.approx(their_row, rel=0, abs=1e-10), name
        for name, their_sum in entry.get("gradient_sums", {}).items():
            our_sum = sum(abs(weight.grad) for row in params[name] for weight in row)
            assert our_sum == pytest.approx(their_sum, rel=0, abs=1e-9), name


def test_pytorch_too_finds_that_a_shift_by_five_changes_no_logit():
    models = recorded()["models"]
    for custom in ("neighbours", "halves"):
        at_0, at_5 = [m["logits"] for m in models if m["custom"] == custom]
        for row, shifted in zip(at_0, at_5):
            assert row == pytest.approx(shifted, rel=0, abs=1e-12)


def test_the_recorded_figures_are_what_pytorch_computes_today():
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    computed = figures()
    for entry, now in zip(recorded()["turned"], computed["turned"]):
        assert (entry["custom"], entry["place"]) == (now["custom"], now["place"])
        assert entry["query"] == pytest.approx(now["query"], rel=0, abs=1e-12)
        assert entry["key"] == pytest.approx(now["key"], rel=0, abs=1e-12)
    for entry, now in zip(recorded()["models"], computed["models"]):
        assert entry["loss"] == pytest.approx(now["loss"], rel=0, abs=1e-12)
        for row, row_now in zip(entry["logits"], now["logits"]):
            assert row == pytest.approx(row_now, rel=0, abs=1e-12)
