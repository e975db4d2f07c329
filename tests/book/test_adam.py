"""Adam and gradient clipping, with the arithmetic of single steps done by hand."""

from __future__ import annotations

import math

import pytest

from microgpt.adam import Adam, clip_grad_norm
from microgpt.value import Value


def with_grads(*grads, data=1.0):
    """Return a parameter for each gradient, as backward() would leave it."""
    parameters = [Value(data) for _ in grads]
    for parameter, grad in zip(parameters, grads):
        parameter.grad = grad
    return parameters


def test_two_steps_by_hand():
    [w] = with_grads(2.0, data=1.0)
    adam = Adam([w], beta1=0.9, beta2=0.95, eps=0.0)
    adam.step(lr=0.1)
    # m = 0.9 * 0 + 0.1 * 2 = 0.2             m_hat = 0.2 / (1 - 0.9) = 2
    # v = 0.95 * 0 + 0.05 * 2 ** 2 = 0.2      v_hat = 0.2 / (1 - 0.95) = 4
    # w = 1 - 0.1 * 2 / sqrt(4) = 0.9
    assert adam.m == pytest.approx([0.2])
    assert adam.v == pytest.approx([0.2])
    assert w.data == pytest.approx(0.9)

    w.grad = -1.0
    adam.step(lr=0.1)
    # m = 0.9 * 0.2 + 0.1 * -1 = 0.08         m_hat = 0.08 / (1 - 0.9 ** 2) = 8 / 19
    # v = 0.95 * 0.2 + 0.05 * 1 = 0.24        v_hat = 0.24 / (1 - 0.95 ** 2) = 32 / 13
    # w = 0.9 - 0.1 * (8 / 19) / sqrt(32 / 13) = 0.873163…
    assert adam.m == pytest.approx([0.08])
    assert adam.v == pytest.approx([0.24])
    assert w.data == pytest.approx(0.9 - 0.1 * (8 / 19) / math.sqrt(32 / 13), rel=1e-14)
    assert w.data == pytest.approx(0.873163, abs=1e-6)
    assert adam.t == 2


def test_the_betas_may_be_others():
    # m = 0.5 * 4 = 2 and v = 0.25 * 16 = 4; then, with no gradient, m = 1 and v = 3,
    # m_hat = 1 / 0.75 and v_hat = 3 / (1 - 0.75 ** 2) = 3 / 0.4375.
    [w] = with_grads(4.0, data=0.0)
    adam = Adam([w], beta1=0.5, beta2=0.75, eps=0.0)
    adam.step(lr=0.0)
    adam.step(lr=1.0)
    assert (adam.m, adam.v) == ([1.0], [3.0])
    assert w.data == pytest.approx(-(1 / 0.75) / math.sqrt(3 / 0.4375), rel=1e-14)


@pytest.mark.parametrize("grad", [1e-4, -1e-4, 0.3, -7.0, 1e6, -1e9])
def test_the_first_step_is_as_long_as_lr_whatever_the_scale_of_the_gradient(grad):
    [w] = with_grads(grad, data=0.0)
    Adam([w]).step(lr=0.01)
    assert w.data == pytest.approx(math.copysign(0.01, -grad), rel=2e-4)


def test_bias_correction_makes_every_step_of_a_constant_gradient_as_long_as_lr():
    # The running means of a constant 3 are 3 and 9 at once. Uncorrected, the first step
    # would be lr * 0.1 * 3 / sqrt(0.05 * 9), which is 0.447 * lr.
    [w] = with_grads(3.0, data=0.0)
    adam = Adam([w])
    for n_steps in range(1, 11):
        w.grad = 3.0
        adam.step(lr=0.1)
        assert w.data == pytest.approx(-0.1 * n_steps, rel=1e-7)


def test_eps_stands_beside_the_root_and_halves_a_step_of_a_gradient_of_its_own_size():
    # m_hat = 1e-8 and sqrt(v_hat) = 1e-8, so the step is lr * 1e-8 / (1e-8 + 1e-8).
    [w] = with_grads(1e-8, data=0.0)
    Adam([w], eps=1e-8).step(lr=0.1)
    assert w.data == pytest.approx(-0.05)


def test_a_parameter_that_never_had_a_gradient_stays_where_it_is():
    w, unused = with_grads(1.0, 0.0, data=0.5)
    Adam([w, unused]).step(lr=0.1)
    assert (w.data, unused.data) == (pytest.approx(0.4), 0.5)


def test_each_parameter_has_a_state_of_its_own():
    # Each first step is lr long, against its own gradient, and each keeps its own m.
    parameters = with_grads(100.0, -0.01, data=0.0)
    adam = Adam(parameters)
    adam.step(lr=0.1)
    assert [p.data for p in parameters] == pytest.approx([-0.1, 0.1], rel=1e-5)
    assert adam.m == pytest.approx([10.0, -0.001])


def test_a_step_clears_every_gradient():
    parameters = with_grads(1.0, -2.0, 0.0)
    Adam(parameters).step(lr=0.1)
    assert [p.grad for p in parameters] == [0.0, 0.0, 0.0]


def test_the_gradients_of_one_step_do_not_count_again_in_the_next():
    # x ** 2 at x = 5: the gradient is 10, and at about 4.9 it is about 9.8. Left where
    # it was, the next backward() would make it 19.8.
    x = Value(5.0)
    adam = Adam([x])
    (x**2).backward()
    adam.step(lr=0.1)
    (x**2).backward()
    assert x.grad == 2 * x.data == pytest.approx(9.8)


def test_the_defaults_are_those_of_the_recorded_run():
    adam = Adam(with_grads(1.0, 1.0))
    assert (adam.beta1, adam.beta2, adam.eps) == (0.9, 0.95, 1e-8)
    assert (adam.weight_decay, adam.t) == (0.0, 0)
    assert (adam.m, adam.v) == ([0.0, 0.0], [0.0, 0.0])


def test_weight_decay_shrinks_a_weight_without_a_gradient():
    # Two steps of 1 - lr * weight_decay = 1 - 0.1 * 0.5 = 0.95.
    [w] = with_grads(0.0, data=2.0)
    adam = Adam([w], weight_decay=0.5)
    adam.step(lr=0.1)
    adam.step(lr=0.1)
    assert w.data == pytest.approx(2.0 * 0.95 * 0.95)


def test_weight_decay_is_decoupled_from_the_gradient():
    # Of 2.0, decay takes lr * weight_decay * 2.0 = 0.1, and the step takes lr = 0.1. As
    # a part of the gradient, 3 + 0.5 * 2 = 4, it would leave the step at lr: w = 1.9.
    [w] = with_grads(3.0, data=2.0)
    adam = Adam([w], weight_decay=0.5)
    adam.step(lr=0.1)
    assert w.data == pytest.approx(1.8)
    # The running means have seen the gradient alone: 0.1 * 3 and 0.05 * 3 ** 2.
    assert adam.m == pytest.approx([0.3])
    assert adam.v == pytest.approx([0.45])


def test_adam_goes_down_a_quadratic_to_its_bottom():
    # (x - 3) ** 2 + 100 * (y + 1) ** 2: steep one way, flat the other.
    x, y = Value(0.0), Value(0.0)
    adam = Adam([x, y])
    n_steps = 300
    for step in range(n_steps):
        loss = (x - 3) ** 2 + 100 * (y + 1) ** 2
        loss.backward()
        adam.step(lr=0.1 * (1 - step / n_steps))
    assert x.data == pytest.approx(3.0, abs=1e-4)
    assert y.data == pytest.approx(-1.0, abs=1e-4)


@pytest.mark.parametrize(
    ("max_norm", "grads_after"),
    [
        (10.0, [3.0, -4.0]),  # short enough: left alone, not scaled up
        (5.0, [3.0, -4.0]),  # exactly as long as it may be
        (1.0, [0.6, -0.8]),  # 1 / 5 of each: the same direction
    ],
)
def test_clipping_only_ever_shortens_a_gradient(max_norm, grads_after):
    # sqrt(3 ** 2 + 4 ** 2) = 5.
    parameters = with_grads(3.0, -4.0)
    assert clip_grad_norm(parameters, max_norm) == 5.0
    assert [p.grad for p in parameters] == pytest.approx(grads_after, rel=1e-15)
    assert [p.data for p in parameters] == [1.0, 1.0]


def test_clipping_gradients_of_zero_leaves_them_zero():
    parameters = with_grads(0.0, 0.0)
    assert clip_grad_norm(parameters, 1.0) == 0.0
    assert [p.grad for p in parameters] == [0.0, 0.0]


def test_clipping_keeps_the_direction_and_brings_the_norm_to_max_norm():
    grads = [2.0, -3.0, 6.0]  # sqrt(4 + 9 + 36) = 7
    parameters = with_grads(*grads)
    assert clip_grad_norm(parameters, 0.5) == 7.0
    clipped = [p.grad for p in parameters]
    assert [after / before for after, before in zip(clipped, grads)] == pytest.approx(
        [0.5 / 7] * 3, rel=1e-15
    )
    assert math.hypot(*clipped) == pytest.approx(0.5, rel=1e-15)


def test_gradients_whose_squares_are_too_large_for_a_float_are_clipped_too():
    # 1e200 ** 2 would be inf, and all gradients would be scaled down to 0.
    parameters = with_grads(3e200, -4e200)
    assert clip_grad_norm(parameters, 10.0) == pytest.approx(5e200)
    assert [p.grad for p in parameters] == pytest.approx([6.0, -8.0], rel=1e-15)


def test_gradients_whose_squares_are_too_small_for_a_float_have_a_norm():
    assert clip_grad_norm(with_grads(3e-200, 4e-200), 1.0) == pytest.approx(5e-200)


@pytest.mark.parametrize("max_norm", [0.0, 0, -1.0, math.nan])
def test_a_max_norm_that_would_turn_or_lose_the_gradient_is_an_error(max_norm):
    # -1 would send training uphill, and 0 stop it.
    parameters = with_grads(3.0, -4.0)
    with pytest.raises(ValueError, match=f"max_norm is {max_norm}"):
        clip_grad_norm(parameters, max_norm)
    assert [p.grad for p in parameters] == [3.0, -4.0]


@pytest.mark.parametrize(
    "grads", [(math.inf, 1.0), (-math.inf, 1.0), (math.nan, 1.0), (1.7e308, 1.7e308)]
)
def test_gradients_without_a_finite_norm_are_an_error_that_changes_nothing(grads):
    # Scaled by max_norm / inf, every gradient would be 0 or no number.
    parameters = with_grads(*grads)
    with pytest.raises(FloatingPointError, match=r"norm of the gradients is (inf|nan)"):
        clip_grad_norm(parameters, 1.0)
    assert repr([p.grad for p in parameters]) == repr(list(grads))
