"""LoRA and DPO of chapters 30 and 31, beside PyTorch's figures in float64.

data/additions.json was written with torch 2.13.0, on CPU, by additions_reference.py.
Where there is a PyTorch, the last test computes the figures anew.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "examples" / "course"))

from additions import gpt_with, merged, token_losses_with  # noqa: E402
from preferences import dpo_loss  # noqa: E402

from microgpt import (  # noqa: E402
    GPTConfig,
    Value,
    as_float,
    as_floats,
    cross_entropy,
    empty_cache,
    gpt,
    total,
)
from tests.reference import additions_reference as reference  # noqa: E402

CONFIG = GPTConfig(
    reference.VOCAB_SIZE,
    reference.BLOCK_SIZE,
    n_layer=1,
    n_head=reference.N_HEAD,
    n_embd=reference.N_EMBD,
)


def recorded():
    return json.loads(reference.RECORD.read_text(encoding="utf-8"))


def as_values(matrices):
    return {
        name: [[Value(number) for number in row] for row in rows]
        for name, rows in matrices.items()
    }


def assert_close(ours, theirs, tolerance):
    assert len(ours) == len(theirs)
    for our_row, their_row in zip(ours, theirs):
        assert our_row == pytest.approx(their_row, rel=0, abs=tolerance)


def logits_with(params, additions, scale):
    keys, values = empty_cache(CONFIG)
    rows = []
    for pos_id, token_id in enumerate(reference.TOKENS[:-1]):
        row = gpt_with(params, CONFIG, token_id, pos_id, keys, values, additions, scale)
        rows.append([as_float(logit) for logit in row])
    return rows


def test_lora_beside_the_weights_gives_the_logits_and_the_slopes_of_pytorch():
    figures = recorded()["lora"]
    base = reference.base_matrices()
    lora = as_values(reference.lora_matrices())
    assert_close(logits_with(base, lora, reference.SCALE), figures["logits"], 1e-10)
    losses = token_losses_with(base, CONFIG, reference.TOKENS, lora, reference.SCALE)
    loss = total(losses) / len(losses)
    loss.backward()
    assert loss.data == pytest.approx(figures["loss"], rel=0, abs=1e-12)
    for name, rows in figures["gradients"].items():
        grads = [[number.grad for number in row] for row in lora[name]]
        assert_close(grads, rows, 1e-10)
    # No matrix of LoRA is left untested.
    for name, rows in figures["gradients"].items():
        assert max(abs(number) for row in rows for number in row) > 1e-3, name


def test_merged_lora_gives_the_same_logits_without_a_word_of_lora():
    figures = recorded()["lora"]
    base = reference.base_matrices()
    weights = merged(base, reference.lora_matrices(), reference.SCALE)
    assert base == reference.base_matrices()  # and the weights given have not moved
    keys, values = empty_cache(CONFIG)
    rows = []
    for pos_id, token_id in enumerate(reference.TOKENS[:-1]):
        rows.append(gpt(weights, CONFIG, token_id, pos_id, keys, values))
    assert_close(rows, figures["logits"], 1e-10)
    beside = logits_with(base, reference.lora_matrices(), reference.SCALE)
    assert_close(rows, beside, 1e-12)


def test_frozen_weights_give_the_slopes_that_weights_of_values_give():
    # The additions must not notice whether the weights beside them are frozen.
    slopes = []
    for base in (reference.base_matrices(), as_values(reference.base_matrices())):
        lora = as_values(reference.lora_matrices())
        losses = token_losses_with(base, CONFIG, reference.TOKENS, lora, 1.5)
        total(losses).backward()
        slopes.append([n.grad for m in lora.values() for row in m for n in row])
    assert slopes[0] == pytest.approx(slopes[1], rel=1e-12, abs=1e-14)


def log_probability(table, tokens):
    surprises = []
    for token_id, target_id in zip(tokens, tokens[1:]):
        surprises.append(cross_entropy(table[token_id], target_id))
    return -1 * total(surprises)


@pytest.mark.parametrize("i", range(len(reference.BETAS)))
def test_the_loss_of_dpo_and_its_slopes_are_those_of_pytorch(i):
    figures = recorded()["dpo"][i]
    policy = as_values({"table": reference.policy_table()})["table"]
    start = reference.reference_table()
    losses = []
    for better, worse in reference.PAIRS:
        loss = dpo_loss(
            log_probability(policy, better),
            log_probability(policy, worse),
            log_probability(start, better),
            log_probability(start, worse),
            figures["beta"],
        )
        losses.append(loss)
    total(losses).backward()
    ours = [loss.data for loss in losses]
    assert ours == pytest.approx(figures["losses"], rel=1e-12, abs=1e-12)
    grads = [[logit.grad for logit in row] for row in policy]
    assert_close(grads, figures["gradient"], 1e-11)


def test_the_figures_hold_both_a_pair_that_is_right_and_one_that_is_wrong():
    # log 2 is the loss of a policy that has not moved: one pair is below, one above.
    better, worse = sorted(recorded()["dpo"][1]["losses"])
    assert better < 0.69 < worse


def test_the_recorded_figures_are_what_pytorch_computes_today():
    pytest.importorskip("torch")
    figures, today = recorded(), reference.all_figures()
    for key in ("logits",):
        assert_close(figures["lora"][key], today["lora"][key], 1e-12)
    for name, rows in figures["lora"]["gradients"].items():
        assert_close(rows, today["lora"]["gradients"][name], 1e-12)
    for then, now in zip(figures["dpo"], today["dpo"]):
        assert then["losses"] == pytest.approx(now["losses"], rel=1e-12)
        assert_close(then["gradient"], now["gradient"], 1e-12)


def test_floats_in_floats_out():
    rows = logits_with(
        reference.base_matrices(), as_floats(as_values(reference.lora_matrices())), 1.5
    )
    assert all(type(number) is float for row in rows for number in row)
