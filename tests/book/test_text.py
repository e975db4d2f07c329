"""The numbers that the book's text gives are the ones that its code computes.

A number in a sentence goes stale when the code below it changes, and no doctest sees
it. Each is computed here, and looked for in the text where it stands. (Those of the
default run are in test_golden.py.)
"""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from microgpt import adam, data, model, tokenizer, training
from microgpt.adam import Adam
from microgpt.data import read_documents
from microgpt.model import (
    GPTConfig,
    document_loss,
    flatten,
    init_params,
    param_shapes,
    softmax,
)
from microgpt.tokenizer import CharTokenizer
from microgpt.training import start
from microgpt.value import Value
from tests.helpers import ROOT


def words_of(module):
    """Return the text of a file in one line, without the marks of comments."""
    lines = Path(module.__file__).read_text(encoding="utf-8").splitlines()
    return " ".join([line.strip().lstrip("# ") for line in lines])


@pytest.fixture(scope="module")
def documents():
    return read_documents(str(ROOT / "input.txt"))


def test_the_file_of_names_has_as_many_as_the_text_says(documents):
    run, train_documents, _ = start(documents)
    assert f"holds {len(documents):,} given names" in words_of(data)
    assert f"out of the {len(train_documents):,} that are left" in words_of(training)
    steps_an_epoch = len(train_documents) / run.training.steps
    assert f"about 1/{round(steps_an_epoch)} of an epoch" in words_of(training)
    blind_guess = math.log(run.tokenizer.vocab_size)
    assert f"{blind_guess:.1f}, which is log(27)" in words_of(training)


def test_emma_has_the_tokens_that_the_text_says():
    of_letters = CharTokenizer("abcdefghijklmnopqrstuvwxyz")
    assert f"->  {of_letters.encode_document('emma')}" in tokenizer.__doc__


def test_the_model_has_the_sizes_that_the_text_says():
    config = GPTConfig(vocab_size=27)
    shapes = param_shapes(config)
    n_weights = sum(n_out * n_in for n_out, n_in in shapes.values())
    assert f"hold {n_weights:,} numbers" in words_of(model)
    # At the eighth token each of the 16 numbers of q meets 8 keys, and each of the 16
    # outputs is a mixture of 8 values. The embeddings are looked up, not multiplied.
    embeddings = sum(n_out * n_in for n_out, n_in in (shapes["wte"], shapes["wpe"]))
    n_linear = n_weights - embeddings
    text = f"together {8 * 16 + 8 * 16}. The matrices take {n_linear:,}, in `linear`"
    assert text in words_of(model)


def test_a_score_that_is_far_below_another_has_the_shares_that_the_text_says():
    one, other = softmax([0.0, 10.0]), softmax([1.0, 10.0])
    assert f"a share of {one[0]:.5f}." in words_of(model)
    assert f"would still be only {other[0]:.5f}." in words_of(model)


def test_a_logit_that_is_larger_by_1_makes_a_token_e_times_as_likely():
    probs = softmax([0.0, 1.0, 0.5])
    assert probs[1] / probs[0] == pytest.approx(math.e)
    assert f"one is e = {math.e:.3f} times as likely" in words_of(model)


def test_at_first_only_the_matrices_that_add_to_x_and_the_head_learn():
    # As init_params says: what is multiplied by a 0 receives no gradient before the
    # second step.
    config = GPTConfig(vocab_size=5, block_size=4, n_head=2, n_embd=4)
    params = init_params(config, random.Random(0))
    optimizer = Adam(flatten(params))
    with_gradient = []
    for _ in range(2):
        document_loss(params, config, [0, 3, 1, 4]).backward()
        with_gradient.append(
            {
                name.partition(".")[2]
                for name, matrix in params.items()
                if name.startswith("layer")
                and any(weight.grad for row in matrix for weight in row)
            }
        )
        optimizer.step(lr=0.01)
    assert with_gradient[0] == {"attn_wo", "mlp_fc2"}
    assert with_gradient[1] == {
        *("attn_wq", "attn_wk", "attn_wv", "attn_wo", "mlp_fc1", "mlp_fc2")
    }


def test_the_running_means_look_back_as_far_as_the_text_says():
    shares = [0.1 * 0.9**age for age in range(10)]
    assert shares[:3] == pytest.approx([0.1, 0.09, 0.081])
    assert sum(shares) == pytest.approx(2 / 3, abs=0.02)
    assert "the last ten together make up two thirds" in words_of(adam)


def test_an_odd_document_does_to_the_means_what_the_text_says():
    w = Value(0.0)
    optimizer = Adam([w])
    usual = 1.0
    for _ in range(300):  # so many that the means are those of the usual gradient
        w.grad = usual
        optimizer.step(lr=0.0)
    m, v = optimizer.m[0], optimizer.v[0]
    w.grad = 100 * usual
    optimizer.step(lr=0.0)
    assert optimizer.m[0] / m == pytest.approx(10, rel=0.1)
    assert optimizer.v[0] / v == pytest.approx(500, rel=0.01)
    assert "v 500 times as large" in words_of(adam)
    # When m has nearly forgotten, v has not, and needs about a hundred steps more.
    for _ in range(20):
        w.grad = usual
        optimizer.step(lr=0.0)
    assert optimizer.m[0] < 2.5 * m
    assert optimizer.v[0] > 150 * v
    for _ in range(100):
        w.grad = usual
        optimizer.step(lr=0.0)
    assert optimizer.m[0] == pytest.approx(m, rel=0.01)
    assert optimizer.v[0] == pytest.approx(2 * v, rel=0.1)
