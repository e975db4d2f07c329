"""The model: equal to its slow twin, right in every gradient, blind to the future."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import random
import sys

import pytest

from microgpt.adam import Adam
from microgpt.model import (
    GPTConfig,
    add,
    as_floats,
    attention,
    cross_entropy,
    document_loss,
    empty_cache,
    flatten,
    gpt,
    init_params,
    linear,
    mlp,
    param_shapes,
    rmsnorm,
    softmax,
    token_losses,
)
from microgpt.value import Value, dot, topological_order
from tests.reference.atoms import loss_and_gradients

TINY = GPTConfig(vocab_size=5, block_size=4, n_layer=2, n_head=2, n_embd=4)


def awake_params(config, seed=1, std=0.4):
    """Return parameters none of which is 0, as they are after some training.

    As init_params makes them, attn_wo and mlp_fc2 are 0 and hide all that is behind.
    """
    rng = random.Random(seed)
    params = init_params(config, rng)
    for weight in flatten(params):
        weight.data = rng.gauss(0, std)
    return params


def floats(matrix):
    return [[x.data for x in row] for row in matrix]


def grads(matrix):
    return [[x.grad for x in row] for row in matrix]


def clear_grads(params):
    for weight in flatten(params):
        weight.grad = 0.0


def largest_difference(rows, other_rows):
    """Return how far apart the two are where they are furthest apart."""
    assert [len(row) for row in rows] == [len(row) for row in other_rows]
    return max(
        abs(a - b)
        for row, other_row in zip(rows, other_rows)
        for a, b in zip(row, other_row)
    )


def logits_of_all(params, config, tokens):
    """Return the logits at each position of tokens, fed one at a time."""
    keys, values = empty_cache(config)
    return [
        gpt(params, config, token_id, pos_id, keys, values)
        for pos_id, token_id in enumerate(tokens)
    ]


# The whole model against its twin, and against central differences.


def assert_equal_to_twin(params, config, tokens):
    twin_loss, twin_grads = loss_and_gradients(
        {name: floats(matrix) for name, matrix in params.items()},
        config.n_layer,
        config.n_head,
        tokens,
    )
    clear_grads(params)
    loss = document_loss(params, config, tokens)
    loss.backward()
    assert abs(loss.data - twin_loss) < 1e-9
    assert list(twin_grads) == list(params)
    for name, matrix in params.items():
        assert largest_difference(grads(matrix), twin_grads[name]) < 1e-9, name


def assert_equal_to_twin_after(n_steps, config, tokens):
    params = init_params(config, random.Random(3))
    adam = Adam(flatten(params))
    for _ in range(n_steps):
        document_loss(params, config, tokens).backward()
        adam.step(lr=0.01)
    assert_equal_to_twin(params, config, tokens)


EMMA = (GPTConfig(vocab_size=27), [0, 5, 13, 13, 1, 0])
TWO_LAYERS = (GPTConfig(7, 5, n_layer=2, n_head=2, n_embd=8), [0, 3, 6, 3, 1, 0])
THREE_LAYERS = (GPTConfig(4, 6, n_layer=3, n_head=1, n_embd=4), [0, 2, 0])
SIX_HEADS = (GPTConfig(4, 3, n_layer=1, n_head=6, n_embd=6), [3, 1, 2, 2, 0])


@pytest.mark.parametrize(("config", "tokens"), [THREE_LAYERS, SIX_HEADS])
def test_loss_and_gradients_equal_the_twin_made_of_atoms(config, tokens):
    assert_equal_to_twin_after(0, config, tokens)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "tokens"), [EMMA, TWO_LAYERS, THREE_LAYERS, SIX_HEADS]
)
def test_they_do_so_after_some_training_too(config, tokens):
    assert_equal_to_twin_after(5, config, tokens)


def test_loss_and_gradients_equal_the_twin_where_no_parameter_is_small():
    config = GPTConfig(vocab_size=7, block_size=5, n_layer=2, n_head=2, n_embd=4)
    assert_equal_to_twin(awake_params(config), config, [0, 3, 6, 3, 1, 5, 2])


def test_every_gradient_of_a_small_model_agrees_with_central_differences():
    params = awake_params(TINY)
    tokens = [0, 3, 1, 4, 2]
    document_loss(params, TINY, tokens).backward()
    numbers = as_floats(params)

    def loss():
        return sum(token_losses(numbers, TINY, tokens)) / 4

    h = 1e-5
    for name, matrix in params.items():
        # Not a comparison of 0 with 0: every matrix moves the loss.
        assert max(abs(grad) for row in grads(matrix) for grad in row) > 1e-3, name
        for row, row_of_numbers in zip(matrix, numbers[name]):
            for j, weight in enumerate(row):
                row_of_numbers[j] = weight.data + h
                above = loss()
                row_of_numbers[j] = weight.data - h
                below = loss()
                row_of_numbers[j] = weight.data
                assert abs(weight.grad - (above - below) / (2 * h)) < 1e-7, weight


# The same lines on Values and on plain floats.


SIZES = [
    GPTConfig(vocab_size=27),
    GPTConfig(vocab_size=2, block_size=1, n_layer=1, n_head=1, n_embd=1),
    GPTConfig(vocab_size=5, block_size=4, n_layer=2, n_head=2, n_embd=4),
    GPTConfig(vocab_size=9, block_size=6, n_layer=3, n_head=3, n_embd=6),
    GPTConfig(vocab_size=40, block_size=3, n_layer=1, n_head=8, n_embd=24),
    GPTConfig(vocab_size=3, block_size=20, n_layer=1, n_head=1, n_embd=5),
]


@pytest.mark.parametrize("config", SIZES)
@pytest.mark.parametrize("std", [0.02, 0.4, 30.0])
def test_values_and_floats_give_the_same_digits(config, std):
    params = awake_params(config, std=std)
    numbers = as_floats(params)
    rng = random.Random(2)
    tokens = [rng.randrange(config.vocab_size) for _ in range(config.block_size + 1)]

    caches, caches_of_numbers = empty_cache(config), empty_cache(config)
    for pos_id, token_id in enumerate(tokens[:-1]):
        logits = gpt(params, config, token_id, pos_id, *caches)
        of_numbers = gpt(numbers, config, token_id, pos_id, *caches_of_numbers)
        assert {type(logit) for logit in of_numbers} == {float}
        assert [logit.data for logit in logits] == of_numbers
    for cache, cache_of_numbers in zip(caches, caches_of_numbers):
        assert [floats(matrix) for matrix in cache] == cache_of_numbers

    losses = token_losses(params, config, tokens)
    losses_of_numbers = token_losses(numbers, config, tokens)
    assert {type(loss) for loss in losses_of_numbers} == {float}
    assert [loss.data for loss in losses] == losses_of_numbers
    assert [p.data for p in softmax(logits)] == softmax(of_numbers)


def test_as_floats_gives_copies_that_training_does_not_touch():
    params = awake_params(TINY)
    numbers = as_floats(params)
    assert list(numbers) == list(params)
    for name, matrix in params.items():
        assert numbers[name] == floats(matrix)
    again = as_floats(numbers)
    assert again == numbers
    first = numbers["wte"][0][0]
    params["wte"][0][0].data += 1.0
    again["wte"][0][0] += 1.0
    assert numbers["wte"][0][0] == first


def test_the_model_leaves_the_parameters_as_they_were():
    params = awake_params(TINY)
    numbers = as_floats(params)
    before = as_floats(params)
    token_losses(numbers, TINY, [0, 3, 1, 4, 2])
    document_loss(params, TINY, [0, 3, 1, 4, 2])
    assert numbers == before == as_floats(params)
    assert {weight.grad for weight in flatten(params)} == {0.0}


# Time: what a token can see, and what can be learnt from it.


def test_a_later_token_never_changes_an_earlier_logit():
    config = GPTConfig(vocab_size=5, block_size=6, n_layer=2, n_head=2, n_embd=4)
    params = awake_params(config)
    one = floats(logits_of_all(params, config, [0, 3, 1, 4, 2, 0]))
    other = floats(logits_of_all(params, config, [0, 3, 1, 2, 2, 4]))
    alone = floats(logits_of_all(params, config, [0, 3, 1]))
    assert one[:3] == other[:3] == alone
    # From the first difference on, all differ, also where the token is the same again.
    assert all(a != b for a, b in zip(one[3:], other[3:]))


def test_an_earlier_logit_has_no_gradient_into_a_later_position():
    params = awake_params(TINY)
    logits = logits_of_all(params, TINY, [0, 3, 1])
    cross_entropy(logits[1], 2).backward()
    wpe = grads(params["wpe"])
    assert 0.0 not in wpe[0] + wpe[1]
    assert wpe[2] == [0.0] * 4


def last_loss(params, config, tokens, detach):
    """Return the loss of the last prediction alone.

    With detach, what earlier tokens left is replaced by equal numbers without a past.
    """
    keys, values = empty_cache(config)
    for pos_id, token_id in enumerate(tokens[:-1]):
        if detach:
            for matrix in keys + values:
                matrix[:] = [[Value(x.data) for x in row] for row in matrix]
        logits = gpt(params, config, token_id, pos_id, keys, values)
    return cross_entropy(logits, tokens[-1])


@pytest.mark.parametrize("name", ["layer0.attn_wk", "layer0.attn_wv"])
def test_a_later_loss_teaches_the_keys_and_values_of_earlier_tokens(name):
    params = awake_params(TINY)
    tokens = [0, 3, 1, 4]

    attached_loss = last_loss(params, TINY, tokens, detach=False)
    attached_loss.backward()
    attached = grads(params[name])
    clear_grads(params)
    detached_loss = last_loss(params, TINY, tokens, detach=True)
    detached_loss.backward()
    detached = grads(params[name])

    # The mistake does not show in the loss, only in the slope.
    assert attached_loss.data == detached_loss.data
    h = 1e-5
    weight = params[name][0][0]
    weight.data += h
    above = last_loss(params, TINY, tokens, detach=False).data
    weight.data -= 2 * h
    below = last_loss(params, TINY, tokens, detach=False).data
    slope = (above - below) / (2 * h)
    assert abs(attached[0][0] - slope) < 1e-8
    assert abs(detached[0][0] - slope) > 1e-3


def test_the_cache_holds_the_keys_and_values_of_each_token_for_each_layer():
    params = awake_params(TINY)
    keys, values = empty_cache(TINY)
    assert (keys, values) == ([[], []], [[], []])
    gpt(params, TINY, 0, 0, keys, values)
    first_key = keys[0][0]
    gpt(params, TINY, 3, 1, keys, values)
    for cache in (keys, values):
        assert [[len(row) for row in matrix] for matrix in cache] == [[4, 4], [4, 4]]
    assert keys[0][0] is first_key
    # The key of the first layer, by hand: attn_wk times the twice normed embedding.
    x = [t + p for t, p in zip(params["wte"][3], params["wpe"][1])]
    key = linear(rmsnorm(rmsnorm(x)), params["layer0.attn_wk"])
    assert floats([keys[0][1]]) == floats([key])


# The parameters.


def test_the_default_model_of_27_tokens_has_4064_parameters():
    # wte and lm_head are 27 * 16 each, wpe is 8 * 16. A layer has four of 16 * 16 for
    # attention, 64 * 16 and 16 * 64 for the MLP.   864 + 128 + 1024 + 2048 = 4064
    params = init_params(GPTConfig(vocab_size=27), random.Random(0))
    assert len(flatten(params)) == 4064
    assert {name: len(flatten({name: m})) for name, m in params.items()} == {
        "wte": 432,
        "wpe": 128,
        "lm_head": 432,
        "layer0.attn_wq": 256,
        "layer0.attn_wk": 256,
        "layer0.attn_wv": 256,
        "layer0.attn_wo": 256,
        "layer0.mlp_fc1": 1024,
        "layer0.mlp_fc2": 1024,
    }


def test_the_matrices_come_in_the_order_of_their_drawing_one_row_for_each_output():
    shapes = {
        "wte": (5, 4),
        "wpe": (4, 4),
        "lm_head": (5, 4),
        "layer0.attn_wq": (4, 4),
        "layer0.attn_wk": (4, 4),
        "layer0.attn_wv": (4, 4),
        "layer0.attn_wo": (4, 4),
        "layer0.mlp_fc1": (16, 4),
        "layer0.mlp_fc2": (4, 16),
        "layer1.attn_wq": (4, 4),
        "layer1.attn_wk": (4, 4),
        "layer1.attn_wv": (4, 4),
        "layer1.attn_wo": (4, 4),
        "layer1.mlp_fc1": (16, 4),
        "layer1.mlp_fc2": (4, 16),
    }
    params = init_params(TINY, random.Random(0))
    # As lists, since two dicts are equal in any order.
    assert list(param_shapes(TINY).items()) == list(shapes.items())
    assert [(name, len(m), len(m[0])) for name, m in params.items()] == [
        (name, n_out, n_in) for name, (n_out, n_in) in shapes.items()
    ]


def test_weights_are_drawn_one_by_one_and_those_that_start_at_0_are_drawn_too():
    params = init_params(TINY, random.Random(42))
    rng, other_rng = random.Random(42), random.Random(42)
    drawn = []
    for name, (n_out, n_in) in param_shapes(TINY).items():
        starts_at_0 = name.endswith(("attn_wo", "mlp_fc2"))
        std = 0.0 if starts_at_0 else 0.02
        drawn += [rng.gauss(0, std) for _ in range(n_out * n_in)]
        assert (max(floats(params[name])[0]) == 0.0) == starts_at_0
    assert [weight.data for weight in flatten(params)] == drawn
    # Both have drawn 440 numbers, so the next one is the same too.
    init_params(TINY, other_rng)
    assert rng.random() == other_rng.random()


def test_flatten_goes_matrix_by_matrix_and_row_by_row():
    params = init_params(TINY, random.Random(0))
    flat = flatten(params)
    assert flat[0] is params["wte"][0][0]
    assert flat[3] is params["wte"][0][3]
    assert flat[4] is params["wte"][1][0]
    assert flat[20] is params["wpe"][0][0]
    assert flat[-1] is params["layer1.mlp_fc2"][3][15]


def test_every_parameter_is_labelled_with_its_place():
    params = init_params(TINY, random.Random(0))
    assert params["layer1.mlp_fc1"][13][2].label == "layer1.mlp_fc1[13][2]"
    for name, matrix in params.items():
        for i, row in enumerate(matrix):
            for j, weight in enumerate(row):
                assert weight.label == f"{name}[{i}][{j}]"


def test_an_embedding_starts_at_about_0_03():
    # Two draws of 0.02 add up to sqrt(0.02 ** 2 + 0.02 ** 2) = 0.028.
    config = GPTConfig(vocab_size=200, block_size=200)
    params = init_params(config, random.Random(0))
    rows = zip(floats(params["wte"]), floats(params["wpe"]))
    squares = [(t + p) ** 2 for tok, pos in rows for t, p in zip(tok, pos)]
    assert math.sqrt(sum(squares) / len(squares)) == pytest.approx(0.028, rel=0.03)


def test_at_the_start_every_layer_adds_nothing():
    # What attention gathers meets attn_wo and what the MLP makes meets mlp_fc2, both 0.
    params = init_params(TINY, random.Random(0))
    x = [t + p for t, p in zip(params["wte"][3], params["wpe"][1])]
    expected = linear(rmsnorm(x), params["lm_head"])
    _, logits = logits_of_all(params, TINY, [0, 3])
    assert floats([logits]) == floats([expected])


# The parts.


def test_linear_is_a_dot_for_each_row():
    rng = random.Random(5)
    x = [Value(rng.gauss(0, 1)) for _ in range(7)]
    w = [[Value(rng.gauss(0, 1)) for _ in range(7)] for _ in range(3)]
    out = linear(x, w)
    for out_i, row in zip(out, w):
        expected = dot(row, x)
        assert repr(out_i) == repr(expected)
        assert out_i.inputs == expected.inputs
        assert out_i.local_grads == expected.local_grads
    assert len(out) == 3


def test_linear_by_hand():
    # [[1, 2], [3, 4], [5, 6]] times [10, 1]
    w = [[Value(1), Value(2)], [Value(3), Value(4)], [Value(5), Value(6)]]
    assert [out.data for out in linear([Value(10), Value(1)], w)] == [12, 34, 56]


def test_a_row_of_another_length_than_x_is_an_error_with_both_lengths():
    # Were the longer one cut, a matrix lying on its side would compute something.
    with pytest.raises(ValueError, match="3 and 2 numbers"):
        linear([Value(1)] * 2, [[Value(1)] * 2, [Value(1)] * 3])
    with pytest.raises(ValueError, match="3 and 2 numbers"):
        linear([1.0] * 2, [[1.0] * 2, [1.0] * 3])


def test_add_goes_number_by_number():
    assert add([1.0, 2.0], [30.0, 40.0]) == [31.0, 42.0]


def test_softmax_by_hand():
    # exp(log(n)) = n, so the probabilities are 1, 2 and 5 parts of 8.
    probs = softmax([Value(math.log(n)) for n in (1, 2, 5)])
    assert [p.data for p in probs] == pytest.approx([0.125, 0.25, 0.625])


@pytest.mark.parametrize("shift", [0.0, 800.0, -800.0])
def test_softmax_sums_to_1_and_does_not_mind_a_shift(shift):
    logits = [0.5, -2.0, 3.0, 0.0]
    probs = [p.data for p in softmax([Value(x + shift) for x in logits])]
    exps = [math.exp(x) for x in logits]
    assert sum(probs) == pytest.approx(1.0, rel=1e-12)
    assert probs == pytest.approx([e / sum(exps) for e in exps], rel=1e-12)


def test_softmax_sums_to_1_where_neighbouring_floats_are_far_apart():
    # Near 1e17 floats are 16 apart. exp(logit - logsumexp(logits)) would be 1 for each,
    # since the log 4 by which logsumexp is larger is lost.
    assert [p.data for p in softmax([Value(1e17)] * 4)] == [0.25] * 4
    assert softmax([1e17] * 4) == [0.25] * 4


def test_softmax_survives_a_gap_of_800():
    probs = softmax([Value(800.0), Value(0.0), Value(-800.0)])
    assert [p.data for p in probs] == [1.0, 0.0, 0.0]


def test_the_slope_of_softmax_is_p_i_times_1_or_0_minus_p_j():
    probs = softmax([Value(math.log(n)) for n in (1, 2, 5)])
    for i, p_i in enumerate(probs):
        logits = [Value(math.log(n)) for n in (1, 2, 5)]
        softmax(logits)[i].backward()
        for j, p_j in enumerate(probs):
            slope = p_i.data * ((i == j) - p_j.data)
            assert logits[j].grad == pytest.approx(slope, rel=1e-12)


def test_rmsnorm_brings_the_mean_square_to_1():
    # The mean square of 3 and 4 is (9 + 16) / 2 = 12.5.
    normed = [x.data for x in rmsnorm([Value(3.0), Value(4.0)])]
    root = math.sqrt(12.5 + 1e-5)
    assert normed == pytest.approx([3.0 / root, 4.0 / root], rel=1e-14)
    # It is 1 but for the 1e-5 in the root, whatever the size of x.
    for size in (0.1, 1.0, 1e6):
        normed = rmsnorm([Value(size * x) for x in (3.0, -4.0, 0.0, 1.0)])
        mean_square = 26 / 4 * size**2
        assert sum(x.data**2 for x in normed) / 4 == pytest.approx(
            mean_square / (mean_square + 1e-5), rel=1e-12
        )


def test_rmsnorm_of_zeros_is_zeros():
    xs = [Value(0.0), Value(0.0)]
    normed = rmsnorm(xs)
    normed[0].backward()
    assert [x.data for x in normed] == [0.0, 0.0]
    # All that is left is the scale, 1 / sqrt(1e-5).
    assert [x.grad for x in xs] == pytest.approx([1e5**0.5, 0.0])


def test_cross_entropy_is_minus_the_log_of_softmax():
    numbers = [0.5, -2.0, 3.0, 0.0]
    for target_id in range(4):
        logits = [Value(x) for x in numbers]
        loss = cross_entropy(logits, target_id)
        loss.backward()
        probs = softmax([Value(x) for x in numbers])
        assert loss.data == pytest.approx(-math.log(probs[target_id].data), rel=1e-12)
        # The slope is what was said minus what was so: probs, less 1 at the target.
        for i, logit in enumerate(logits):
            slope = probs[i].data - (i == target_id)
            assert logit.grad == pytest.approx(slope, rel=1e-12)


def test_cross_entropy_stays_exact_where_the_probability_rounds_to_0():
    assert cross_entropy([Value(800.0), Value(0.0)], 1).data == 800.0
    assert cross_entropy([Value(800.0), Value(0.0)], 0).data == 0.0


# attention and mlp, by hand.


def one_layer(config, **matrices):
    """Return the matrices of layer 0, as plain floats: 0 where none is given."""
    params = {
        name: [[0.0] * n_in for _ in range(n_out)]
        for name, (n_out, n_in) in param_shapes(config).items()
    }
    for name, matrix in matrices.items():
        params[f"layer0.{name}"] = matrix
    return params


IDENTITY = [
    [1.0, 0.0, 0.0, 0.0],
    [0.0, 1.0, 0.0, 0.0],
    [0.0, 0.0, 1.0, 0.0],
    [0.0, 0.0, 0.0, 1.0],
]


def test_attention_mixes_values_by_the_shares_of_each_head_alone():
    # Two heads of two numbers. A score is q . k / sqrt(2). Head 0 sees the query (q, 0)
    # and the keys (0, 0) and (q, 0): with q * q = sqrt(2) * log 3, the scores are 0 and
    # log 3, and the shares 1/4 and 3/4. Head 1 sees only zeros: shares 1/2 and 1/2.
    config = GPTConfig(vocab_size=2, n_head=2, n_embd=4)
    params = one_layer(
        config, attn_wq=IDENTITY, attn_wk=IDENTITY, attn_wv=IDENTITY, attn_wo=IDENTITY
    )
    q = math.sqrt(math.sqrt(2) * math.log(3))
    keys = [[[0.0, 0.0, 0.0, 0.0]]]
    values = [[[8.0, 80.0, 800.0, 8000.0]]]
    x = [q, 0.0, 0.0, 0.0]
    out = attention(x, params, config, 0, keys, values)
    assert out == pytest.approx([2 + 0.75 * q, 20.0, 400.0, 4000.0], rel=1e-14)
    # This token's own key and value now stand beside the earlier ones.
    assert keys == [[[0.0] * 4, x]]
    assert values == [[[8.0, 80.0, 800.0, 8000.0], x]]


def test_the_first_token_of_a_text_attends_to_itself_alone():
    config = GPTConfig(vocab_size=2, n_head=2, n_embd=4)
    params = one_layer(config, attn_wv=IDENTITY, attn_wo=IDENTITY[::-1])
    x = [1.0, 2.0, 3.0, 4.0]
    assert attention(x, params, config, 0, *empty_cache(config)) == x[::-1]


def test_the_mlp_squares_what_is_positive():
    config = GPTConfig(vocab_size=2, n_head=1, n_embd=1)
    fc1, fc2 = [[3.0], [-3.0], [1.0], [0.0]], [[1.0, 10.0, 100.0, 1000.0]]
    params = one_layer(config, mlp_fc1=fc1, mlp_fc2=fc2)
    # Of x = 2 the hidden numbers are 6, -6, 2 and 0: 36 + 0 + 100 * 4 + 0.
    assert mlp([2.0], params, 0) == [436.0]
    # Of x = -1 they are -3, 3, -1 and 0: 10 * 9.
    assert mlp([-1.0], params, 0) == [90.0]


# Documents.


def test_a_model_whose_logits_are_all_equal_is_as_surprised_as_a_fair_die():
    config = GPTConfig(vocab_size=27)
    params = awake_params(config)
    for weight in flatten({"lm_head": params["lm_head"]}):
        weight.data = 0.0
    loss = document_loss(params, config, [0, 5, 13, 13, 1, 0])
    assert loss.data == pytest.approx(math.log(27), rel=1e-14)


def test_the_loss_of_a_document_is_the_mean_over_its_predictions():
    params = awake_params(TINY)
    tokens = [0, 3, 1, 4]
    logits = logits_of_all(params, TINY, tokens)
    losses = [cross_entropy(logits[t], tokens[t + 1]).data for t in range(3)]
    loss = document_loss(params, TINY, tokens)
    assert loss.data == pytest.approx(sum(losses) / 3, rel=1e-14)


def test_the_losses_of_a_document_come_in_the_order_of_its_tokens():
    params = awake_params(TINY)
    tokens = [0, 3, 1, 4, 2]
    logits = logits_of_all(params, TINY, tokens[:-1])
    by_hand = [cross_entropy(logits[t], tokens[t + 1]).data for t in range(4)]
    assert [loss.data for loss in token_losses(params, TINY, tokens)] == by_hand
    assert len(set(by_hand)) == 4


def test_a_long_document_is_cut_after_block_size_predictions():
    params = awake_params(TINY)
    # Four predictions: of 3, 1, 4 and 2.
    exact = document_loss(params, TINY, [0, 3, 1, 4, 2])
    assert len(token_losses(params, TINY, [0, 3, 1, 4, 2, 0])) == 4
    for rest in ([0], [1, 1, 1, 1], list(range(5)) * 20):
        assert document_loss(params, TINY, [0, 3, 1, 4, 2, *rest]).data == exact.data
    assert document_loss(params, TINY, [0, 3, 1, 4]).data != exact.data


def test_the_nodes_of_a_document_can_be_counted():
    # The default model, token t (the first is 0), so that t + 1 tokens are attended to:
    # dot, times 1 / n, plus 1e-5, power; 16 products
    rmsnorm_nodes = 1 + 1 + 1 + 1 + 16
    a_score = 1 + 1  # dot, times head_dim ** -0.5
    a_weight = 1 + 1 + 1  # minus the largest, exp, divided by their sum
    n_nodes = 0
    for t in range(8):
        n_nodes += 16  # wte + wpe
        n_nodes += rmsnorm_nodes
        # Attention: norm; q, k and v; the heads, each with the sum of its exps and 4
        # dots with the columns of v; attn_wo; the residual.
        n_nodes += rmsnorm_nodes + 3 * 16
        n_nodes += 4 * ((t + 1) * (a_score + a_weight) + 1 + 4)
        n_nodes += 16 + 16
        # The MLP: norm, mlp_fc1, relu and its square, mlp_fc2, the residual.
        n_nodes += rmsnorm_nodes + 64 + 64 + 64 + 16 + 16
        # The head; and cross_entropy, a logsumexp and a difference.
        n_nodes += 27 + 2
    # Added up, a token has 449 + 20 * t nodes. total and 1 / n are two more.
    assert n_nodes == sum(449 + 20 * t for t in range(8)) == 4152
    config = GPTConfig(vocab_size=27)
    params = init_params(config, random.Random(0))
    loss = document_loss(params, config, [0, 1, 2, 3, 4, 5, 6, 7, 8])
    assert len(topological_order(loss)) == n_nodes + 2


# Depth.


@contextlib.contextmanager
def few_frames_left(n_frames):
    """Let calls nest only n_frames deeper than here."""
    depth, frame = 0, sys._getframe()
    while frame:
        depth, frame = depth + 1, frame.f_back
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(depth + n_frames)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def test_twelve_layers_need_no_more_frames_than_one():
    config = GPTConfig(vocab_size=5, block_size=4, n_layer=12, n_head=2, n_embd=4)
    params = awake_params(config)
    with few_frames_left(30):
        loss = document_loss(params, config, [0, 3, 1, 4, 2])
        loss.backward()
    assert loss.data > 0
    assert 0.0 not in grads(params["layer0.attn_wk"])[0]


def test_a_document_of_64_tokens_needs_no_more_frames_than_a_short_one():
    config = GPTConfig(vocab_size=3, block_size=64, n_head=1, n_embd=4)
    params = awake_params(config)
    tokens = [i * i % 3 for i in range(65)]
    with few_frames_left(30):
        loss = document_loss(params, config, tokens)
        loss.backward()
    assert loss.data > 0
    # Every position has taken part, the last one too.
    assert all(0.0 not in row for row in grads(params["wpe"]))


# Errors.


@pytest.mark.parametrize("token_id", [-1, 5, 99])
def test_a_token_out_of_range_is_an_error_with_both_numbers(token_id):
    params = init_params(TINY, random.Random(0))
    message = f"token {token_id}, but vocab_size is 5"
    with pytest.raises(ValueError, match=message):
        gpt(params, TINY, token_id, 0, *empty_cache(TINY))
    with pytest.raises(ValueError, match=message):
        document_loss(params, TINY, [token_id, 0])
    with pytest.raises(ValueError, match=message):
        gpt(as_floats(params), TINY, token_id, 0, *empty_cache(TINY))


@pytest.mark.parametrize("target_id", [-1, 5, 99])
def test_a_target_out_of_range_is_an_error_with_both_numbers(target_id):
    # -1 above all: as an index it would quietly mean the last token.
    params = init_params(TINY, random.Random(0))
    with pytest.raises(ValueError, match=f"token {target_id}, but vocab_size is 5"):
        document_loss(params, TINY, [0, target_id])
    with pytest.raises(ValueError, match=f"token {target_id}, but vocab_size is 5"):
        cross_entropy([0.0] * 5, target_id)


@pytest.mark.parametrize("pos_id", [-1, 4, 99])
def test_a_position_out_of_range_is_an_error_with_both_numbers(pos_id):
    params = init_params(TINY, random.Random(0))
    with pytest.raises(ValueError, match=f"position {pos_id} .*block_size is 4"):
        gpt(params, TINY, 0, pos_id, *empty_cache(TINY))


@pytest.mark.parametrize("tokens", [[], [0]])
def test_a_document_that_asks_for_nothing_is_an_error(tokens):
    params = init_params(TINY, random.Random(0))
    with pytest.raises(ValueError, match=f"{len(tokens)} tokens"):
        document_loss(params, TINY, tokens)


@pytest.mark.parametrize(
    "name", ["vocab_size", "block_size", "n_layer", "n_head", "n_embd"]
)
@pytest.mark.parametrize("size", [0, -1, True, 4.0, "4", None])
def test_a_size_that_is_not_a_whole_number_from_1_is_an_error(name, size):
    sizes = {"vocab_size": 27, name: size}
    with pytest.raises(ValueError, match=f"{name} is {size!r}"):
        GPTConfig(**sizes)


@pytest.mark.parametrize(("n_embd", "n_head"), [(16, 3), (10, 4), (2, 4)])
def test_n_embd_that_does_not_divide_into_heads_is_an_error(n_embd, n_head):
    with pytest.raises(ValueError, match=f"n_embd {n_embd} .* n_head {n_head} "):
        GPTConfig(vocab_size=27, n_embd=n_embd, n_head=n_head)


def test_a_config_holds_the_defaults_and_does_not_change():
    config = GPTConfig(vocab_size=27)
    assert dataclasses.astuple(config) == (27, 8, 1, 4, 16)
    assert config.head_dim == 4
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.n_layer = 2
