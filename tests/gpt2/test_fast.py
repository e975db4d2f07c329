"""Packed keys and values: what a head gathers, to the bound that the file gives."""

from __future__ import annotations

import doctest
import math
import random

import fast
import pytest
from fast import FastGPT2, PackedHead, to_units
from gpt2_support import DATA
from load import load_gpt2
from model import attend, gpt2


def filled(tokens):
    """Return a head that has these (key, value) pairs, one for each token."""
    head = PackedHead(len(tokens[0][0]))
    for k, v in tokens:
        head.append(k, v)
    return head


def random_tokens(rng, n, head_dim, size=1.0):
    def numbers():
        return [rng.gauss(0, size) for _ in range(head_dim)]

    return [(numbers(), numbers()) for _ in range(n)]


def assert_gathers_the_same(head, tokens, q, scale, tolerance):
    keys, values = zip(*tokens)
    expected = attend(q, keys, values, scale)
    assert head.gather(q, scale) == pytest.approx(expected, rel=0, abs=tolerance)


def test_the_doctests_hold():
    result = doctest.testmod(fast)
    assert result.attempted >= 4
    assert result.failed == 0


def test_a_head_by_hand():
    # q times the keys: 2 * 1 = 2 and 2 * 0 = 0. With the scale log(3) / 2 the scores
    # are log 3 and 0, their exps 3 and 1: shares of 3/4 and 1/4. So 3/4 of 8 and 1/4
    # of -4 make 5, and of 0 and 100 they make 25.
    head = filled([([1.0, 0.0], [8.0, 0.0]), ([0.0, 1.0], [-4.0, 100.0])])
    assert head.gather([2.0, 0.0], math.log(3) / 2) == pytest.approx([5.0, 25.0])


@pytest.mark.parametrize("n", [1, 2, 3, 17, 64, 200])
def test_a_head_gathers_what_the_plain_one_does(n):
    rng = random.Random(n)
    for head_dim in (1, 3, 8):
        tokens = random_tokens(rng, n, head_dim)
        head = filled(tokens)
        for _ in range(5):
            q = [rng.gauss(0, 1) for _ in range(head_dim)]
            assert_gathers_the_same(head, tokens, q, head_dim**-0.5, 2e-8)


@pytest.mark.parametrize("size", [1e-30, 1e-6, 100.0, 1e9, 1e80])
def test_keys_and_values_may_have_any_size(size):
    # A query that is small by as much leaves the scores as they are.
    rng = random.Random(3)
    tokens = random_tokens(rng, 9, 4, size)
    head = filled(tokens)
    q = [rng.gauss(0, 1) / size for _ in range(4)]
    assert_gathers_the_same(head, tokens, q, 0.5, 2e-8 * size)


def test_each_token_has_a_scale_of_its_own():
    # One key and value are a million times as large as their neighbours.
    rng = random.Random(4)
    tokens = random_tokens(rng, 5, 4, 1.0)
    tokens[2] = random_tokens(rng, 1, 4, 1e6)[0]
    head = filled(tokens)
    q = [1e-6 * rng.gauss(0, 1) for _ in range(4)]
    assert_gathers_the_same(head, tokens, q, 0.5, 2e-2)
    # A query that does not see it: the small ones are as exact as ever.
    del tokens[2]
    assert_gathers_the_same(filled(tokens), tokens, q, 0.5, 2e-8)


def test_numbers_that_are_all_0_are_no_trouble():
    zeros = [0.0, 0.0]
    head = filled([(zeros, zeros), (zeros, [1.0, -1.0])])
    assert head.gather(zeros, 1.0) == pytest.approx([0.5, -0.5])
    assert filled([(zeros, zeros)]).gather([1.0, 2.0], 1.0) == [0.0, 0.0]
    assert to_units(zeros)[0] == [0, 0]


@pytest.mark.parametrize("kept", range(7))
def test_what_is_forgotten_leaves_no_trace(kept):
    rng = random.Random(kept)
    tokens, others = random_tokens(rng, 6, 3), random_tokens(rng, 3, 3)
    head = filled(tokens)
    head.forget_from(kept)
    expected = filled(tokens[:kept] + others)
    for k, v in others:
        head.append(k, v)
    assert vars(head) == vars(expected)


def test_at_the_edge_no_field_changes_its_sign():
    # All numbers of a key at the largest that a unit count can be, and all shares in
    # one place: 2**33 * (2**30 - 1) is below 2**63, half of what a field holds.
    almost_1 = 1 - 2.0**-53
    for sign in (1, -1):
        tokens = [([sign * almost_1], [sign * almost_1])] * 3
        head = filled(tokens)
        assert head.key_rows[0].bit_length() <= 64 * 3
        for q in (1.0, -1.0, 1e300):
            [out] = head.gather([q], scale=1e-300)
            assert out == pytest.approx(sign * almost_1, rel=1e-8)


def test_what_is_not_finite_is_named():
    head = filled([([1.0], [1.0])])
    with pytest.raises(ValueError, match="x holds nan"):
        head.gather([math.nan], 1.0)
    with pytest.raises((ValueError, OverflowError)):
        head.append([math.inf], [1.0])


def test_the_unit_of_the_smallest_numbers_is_not_0():
    assert to_units([5e-324, 0.0]) == ([0, 0], 2.0**-933)


def test_a_token_takes_four_rounds_through_the_pipes_a_layer_and_one_for_the_head(
    monkeypatch,
):
    with FastGPT2(str(DATA / "bf16_untied")) as model:
        rounds = []
        real = model.products.all
        monkeypatch.setattr(
            model.products,
            "all",
            lambda method, *rest: rounds.append(method) or real(method, *rest),
        )
        gpt2(model, 1, 0)
        layer = ["attend", "times", "activate", "times"]
        assert rounds == layer * model.config.n_layer + ["times"]


def test_all_heads_of_a_model_are_as_exact_as_the_plain_ones():
    folder = str(DATA / "bf16_untied")
    plain = load_gpt2(folder)
    for processes in (1, 4):
        with FastGPT2(folder, processes) as model:
            for t, token in enumerate([1, 2, 3]):
                assert gpt2(model, token, t) == pytest.approx(
                    gpt2(plain, token, t), rel=0, abs=1e-6
                )
