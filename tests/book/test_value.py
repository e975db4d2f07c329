"""The engine: each operation's value and slopes, the order, the famous mistakes."""

from __future__ import annotations

import copy
import gc
import math
import pickle
import random
import re
import sys

import pytest

from microgpt.value import (
    Value,
    as_float,
    dot,
    exp,
    logsumexp,
    relu,
    topological_order,
    total,
)

frees_by_reference_counts = pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="frees by reference counts only there"
)

# What is computed, with Values; the same with floats; the numbers it is of; the label.
OPERATIONS = [
    (lambda a, b: a + b, lambda a, b: a + b, (2.0, -3.0), "+"),
    (lambda a: a + 3, lambda a: a + 3, (2.0,), "+"),
    (lambda a: 0.5 + a, lambda a: 0.5 + a, (2.0,), "+"),
    (lambda a, b: a - b, lambda a, b: a - b, (2.0, -3.0), "-"),
    (lambda a: a - 3, lambda a: a - 3, (2.0,), "-"),
    (lambda a: 0.5 - a, lambda a: 0.5 - a, (2.0,), "-"),
    (lambda a, b: a * b, lambda a, b: a * b, (2.0, -3.0), "*"),
    (lambda a: a * 3, lambda a: a * 3, (2.0,), "*"),
    (lambda a: -0.5 * a, lambda a: -0.5 * a, (2.0,), "*"),
    (lambda a, b: a / b, lambda a, b: a / b, (2.0, -3.0), "/"),
    (lambda a: a / -0.5, lambda a: a / -0.5, (2.0,), "/"),
    (lambda a: -0.5 / a, lambda a: -0.5 / a, (-2.0,), "/"),
    (lambda a: -a, lambda a: -a, (2.0,), "-"),
    (lambda a: a**2, lambda a: a**2, (-3.0,), "**2"),
    (lambda a: a**3, lambda a: a**3, (-3.0,), "**3"),
    (lambda a: a**-1, lambda a: a**-1, (-3.0,), "**-1"),
    (lambda a: a**2.0, lambda a: a**2.0, (-3.0,), "**2.0"),
    (lambda a: a**0.5, lambda a: a**0.5, (2.0,), "**0.5"),
    (lambda a: a**-0.5, lambda a: a**-0.5, (2.0,), "**-0.5"),
    (lambda a: a**0.5, lambda a: a**0.5, (0.3,), "**0.5"),
    (lambda a: a**-1.5, lambda a: a**-1.5, (0.3,), "**-1.5"),
    (lambda a: a**0, lambda a: a**0, (2.0,), "**0"),
    (lambda a: a**1, lambda a: a**1, (0.0,), "**1"),
    (lambda a: a**2, lambda a: a**2, (0.0,), "**2"),
    (lambda a, b: a**b, lambda a, b: a**b, (2.0, -3.0), "**"),
    (lambda a, b: a**b, lambda a, b: a**b, (0.3, 2.5), "**"),
    (lambda a: 2**a, lambda a: 2**a, (3.0,), "**"),
    (lambda a: 0.5**a, lambda a: 0.5**a, (-1.5,), "**"),
    (lambda a: a.exp(), math.exp, (1.5,), "exp"),
    (lambda a: exp(a), math.exp, (-1.5,), "exp"),
    (lambda a: a.log(), math.log, (2.5,), "log"),
    (lambda a: a.log(), math.log, (0.1,), "log"),
    (lambda a: a.relu(), lambda a: max(0.0, a), (1.5,), "relu"),
    (lambda a: a.relu(), lambda a: max(0.0, a), (-1.5,), "relu"),
    (lambda a: relu(a), lambda a: max(0.0, a), (0.25,), "relu"),
    (lambda a: a.tanh(), math.tanh, (0.7,), "tanh"),
    (lambda a: a.tanh(), math.tanh, (-2.0,), "tanh"),
    (lambda a: a * a, lambda a: a * a, (-3.0,), "*"),
    (lambda a: a / a, lambda a: a / a, (-3.0,), "/"),
    (lambda a: a - a, lambda a: a - a, (-3.0,), "-"),
    (lambda a: a**a, lambda a: a**a, (1.7,), "**"),
    (
        lambda a, b, c, d: dot([a, b], [c, d]),
        lambda a, b, c, d: a * c + b * d,
        (2.0, -3.0, 0.5, 4.0),
        "dot",
    ),
    (lambda a, b: dot([a, b], [a, b]), lambda a, b: a * a + b * b, (2.0, -3.0), "dot"),
    (lambda a, b: total([a, b, a]), lambda a, b: a + b + a, (2.0, -3.0), "total"),
    (
        lambda a, b: logsumexp([a, b]),
        lambda a, b: math.log(math.exp(a) + math.exp(b)),
        (2.0, -3.0),
        "logsumexp",
    ),
]


def central_difference(function, inputs, i, h=1e-6):
    """Return the slope of function with respect to inputs[i], measured over 2 * h."""
    above = [x + h if j == i else x for j, x in enumerate(inputs)]
    below = [x - h if j == i else x for j, x in enumerate(inputs)]
    return (function(*above) - function(*below)) / (2 * h)


def assert_value_and_slopes(on_values, on_floats, numbers):
    """Assert that on_values computes on_floats, and backward() its slopes."""
    inputs = [Value(number) for number in numbers]
    result = on_values(*inputs)
    result.backward()
    assert result.data == pytest.approx(on_floats(*numbers), rel=1e-15)
    assert type(result.data) is float
    assert type(result.inputs) is type(result.local_grads) is tuple
    for i, x in enumerate(inputs):
        slope = central_difference(on_floats, numbers, i)
        assert x.grad == pytest.approx(slope, rel=1e-8, abs=1e-8)
    return result


@pytest.mark.parametrize(("on_values", "on_floats", "numbers", "label"), OPERATIONS)
def test_each_operation_has_the_value_and_the_slopes_of_its_formula(
    on_values, on_floats, numbers, label
):
    result = assert_value_and_slopes(on_values, on_floats, numbers)
    assert result.label == label


def test_a_leaf_given_as_an_int_holds_a_float():
    assert repr(Value(3)) == "Value(3.0, grad=0.0)"
    assert repr(Value(3) * 2) == "Value(6.0, grad=0.0, '*')"


def test_the_slopes_can_be_read_before_backward_has_run():
    a, b = Value(2.0), Value(-3.0)
    assert (a * b).inputs == (a, b)
    assert (a * b).local_grads == (-3.0, 2.0)
    assert (a / b).local_grads == (1 / -3.0, -2.0 / 9.0)
    assert (a.exp()).local_grads == (math.exp(2.0),)
    # b * a ** (b - 1) = -3 / 2 ** 4, and log(a) * a ** b = log(2) / 8.
    assert (a**b).local_grads == (-3 / 16, math.log(2) / 8)


def test_relu_at_zero_has_slope_zero():
    x = Value(0.0)
    x.relu().backward()
    assert x.grad == 0.0


def test_relu_does_not_hide_a_nan():
    assert math.isnan(Value(math.nan).relu().data)
    assert math.isnan(relu(math.nan))


# Plain numbers beside Values.


@pytest.mark.parametrize(
    ("compute", "label", "shown"),
    [
        (lambda v: v + 3, "+", [2.0, 3.0]),
        (lambda v: 3 + v, "+", [3.0, 2.0]),
        (lambda v: v - 3, "-", [2.0, 3.0]),
        (lambda v: 3 - v, "-", [3.0, 2.0]),
        (lambda v: v * 3, "*", [2.0, 3.0]),
        (lambda v: 3 * v, "*", [3.0, 2.0]),
        (lambda v: v / 3, "/", [2.0, 3.0]),
        (lambda v: 3 / v, "/", [3.0, 2.0]),
        (lambda v: 3**v, "**", [3.0, 2.0]),
        (lambda v: v + 0.5, "+", [2.0, 0.5]),
        (lambda v: v + True, "+", [2.0, 1.0]),
    ],
)
def test_a_plain_number_beside_a_value_is_a_leaf_at_its_place(compute, label, shown):
    v = Value(2.0)
    result = compute(v)
    assert result.label == label
    assert [input.data for input in result.inputs] == shown
    assert v in result.inputs
    [number] = [input for input in result.inputs if input is not v]
    assert (number.inputs, number.label) == ((), "")


def test_a_leaf_that_a_plain_number_became_gets_a_gradient_as_any_other():
    # d(3 - v)/d3 = 1, d(2 ** v)/d2 = v * 2 ** (v - 1) = 3 * 4.
    v = Value(3.0)
    difference, power = 3 - v, 2**v
    difference.backward()
    power.backward()
    assert difference.inputs[0].grad == 1.0
    assert power.inputs[0].grad == 12.0


def test_a_plain_exponent_is_no_input():
    x = Value(3.0)
    assert (x**2).inputs == (x,)
    assert (x ** Value(2.0)).inputs[0] is x
    assert len((x ** Value(2.0)).inputs) == 2


def test_every_number_to_the_power_of_0_is_1_and_level_even_at_0():
    for number in (0.0, -2.0, 5.0):
        for exponent in (0, 0.0, -0.0):
            x = Value(number)
            (x**exponent).backward()
            assert ((x**exponent).data, x.grad) == (1.0, 0.0)


def test_a_negative_base_takes_whole_exponents_that_are_floats():
    x = Value(-2.0)
    assert ((x**3.0).data, (x**3.0).local_grads) == (-8.0, (12.0,))


class Foreign:
    """A number of another library, which knows what to do with a Value beside it."""

    def asked(self, other):
        return ("foreign", other)

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = asked
    __truediv__ = __rtruediv__ = __pow__ = __rpow__ = asked


BESIDE = [
    lambda v, x: v + x,
    lambda v, x: v - x,
    lambda v, x: v * x,
    lambda v, x: v / x,
    lambda v, x: v**x,
    lambda v, x: x + v,
    lambda v, x: x - v,
    lambda v, x: x * v,
    lambda v, x: x / v,
    lambda v, x: x**v,
]


@pytest.mark.parametrize("beside", BESIDE)
def test_an_object_of_another_library_gets_its_turn_on_either_side(beside):
    v = Value(2.0)
    assert beside(v, Foreign()) == ("foreign", v)


@pytest.mark.parametrize("beside", BESIDE)
@pytest.mark.parametrize("thing", ["3", b"3", None, 1j, [3.0], object()])
def test_what_is_no_number_beside_a_value_is_a_type_error_and_not_a_result(
    beside, thing
):
    # (PyPy words it without the types where ** is refused.)
    with pytest.raises(TypeError, match=r"Value|operands do not support"):
        beside(Value(2.0), thing)


@pytest.mark.parametrize("thing", ["3", b"3", None, 1j, [3.0], Value(3.0)])
def test_a_value_holds_numbers_only(thing):
    with pytest.raises(TypeError):
        Value(thing)


def test_a_text_is_named_although_python_could_read_a_number_in_it():
    with pytest.raises(TypeError, match="a Value holds a number, not the text '3'"):
        Value("3")


# The fused nodes, exp and relu.


def dot_of_atoms(xs, ys):
    result = xs[0] * ys[0]
    for x, y in zip(xs[1:], ys[1:]):
        result = result + x * y
    return result


def total_of_atoms(xs):
    result = xs[0]
    for x in xs[1:]:
        result = result + x
    return result


def logsumexp_of_atoms(xs):
    return total_of_atoms([x.exp() for x in xs]).log()


def halves(function):
    """Return function(first half of xs, second half): dot, seen as taking one list."""
    return lambda xs: function(xs[: len(xs) // 2], xs[len(xs) // 2 :])


FUSED = pytest.mark.parametrize(
    ("fused", "twin"),
    [
        (halves(dot), halves(dot_of_atoms)),
        (total, total_of_atoms),
        (logsumexp, logsumexp_of_atoms),
    ],
    ids=["dot", "total", "logsumexp"],
)


@FUSED
@pytest.mark.parametrize("n", [2, 4, 34])
def test_a_fused_node_equals_its_twin_made_of_atoms(fused, twin, n):
    rng = random.Random(n)
    numbers = [rng.gauss(0, 2) for _ in range(n)]
    xs, xs_of_twin = [Value(x) for x in numbers], [Value(x) for x in numbers]
    # Each is squared, so that the gradient that arrives at the node is not just 1.
    result, result_of_twin = fused(xs) ** 2, twin(xs_of_twin) ** 2
    result.backward()
    result_of_twin.backward()
    assert result.data == pytest.approx(result_of_twin.data, rel=1e-13)
    for x, x_of_twin in zip(xs, xs_of_twin):
        assert x.grad == pytest.approx(x_of_twin.grad, rel=1e-12, abs=1e-13)


@FUSED
@pytest.mark.parametrize("n", [2, 4, 34])
def test_a_fused_node_has_the_same_digits_on_floats(fused, twin, n):
    rng = random.Random(n)
    for _ in range(20):
        numbers = [rng.gauss(0, 2) for _ in range(n)]
        on_floats = fused(numbers)
        assert type(on_floats) is float
        assert on_floats == fused([Value(x) for x in numbers]).data


@FUSED
@pytest.mark.parametrize("n", [2, 6])
def test_a_mixture_of_values_and_numbers_keeps_value_and_gradient(fused, twin, n):
    # Every choice of places for the Values, the first and the last place among them.
    rng = random.Random(n)
    numbers = [rng.gauss(0, 2) for _ in range(n)]
    reference = [Value(x) for x in numbers]
    fused(reference).backward()
    for places in range(1, 2**n):
        xs = [Value(x) if places >> i & 1 else x for i, x in enumerate(numbers)]
        result = fused(xs)
        result.backward()
        assert result.data == pytest.approx(fused(reference).data, rel=1e-14)
        for x, same in zip(xs, reference):
            if isinstance(x, Value):
                assert x.grad == pytest.approx(same.grad, rel=1e-14)


def test_an_int_among_values_becomes_a_leaf():
    x = Value(2.0)
    assert [y.data for y in dot([x, 3], [4, x]).inputs] == [2.0, 3.0, 4.0, 2.0]
    assert [y.data for y in total([x, 3, 4]).inputs] == [2.0, 3.0, 4.0]
    assert [y.data for y in logsumexp([3, x]).inputs] == [3.0, 2.0]
    for mixed in (dot([x, 3], [4, x]), total([x, 3]), logsumexp([x, 3])):
        assert type(mixed.inputs) is tuple  # a list could be changed afterwards


class NumPyFloat(float):
    """A float with an attribute named data that is no number, as NumPy's have."""

    @property
    def data(self):
        return memoryview(b"12345678")


def test_a_number_that_has_some_other_data_counts_by_what_it_is():
    x, two = Value(3.0), NumPyFloat(2.0)
    for result in (
        x * two,
        dot([x], [two]),
        dot([x, two], [two, 0]),
        total([x, two, 1]),
    ):
        assert result.data == 6.0
    assert Value(two).data == 2.0
    assert logsumexp([x, two]).data == logsumexp([3.0, 2.0])


@pytest.mark.parametrize(
    "sum_up",
    [
        lambda xs: dot(iter(xs), (x for x in xs)),
        lambda xs: total(x for x in xs),
        lambda xs: logsumexp(iter(xs)),
        lambda xs: dot(tuple(xs), xs),
        lambda xs: total(tuple(xs)),
        lambda xs: logsumexp(dict.fromkeys(xs)),
    ],
)
def test_a_fused_node_of_a_generator_loses_neither_numbers_nor_gradients(sum_up):
    xs = [Value(0.5), Value(-1.0), Value(2.0)]
    result = sum_up(xs)
    result.backward()
    slopes = {
        "dot": [1.0, -2.0, 4.0],  # of x * x: 2 * x
        "total": [1.0, 1.0, 1.0],
        "logsumexp": [
            math.exp(x.data) / (math.exp(0.5) + math.exp(-1.0) + math.exp(2.0))
            for x in xs
        ],
    }
    assert [x.grad for x in xs] == pytest.approx(slopes[result.label], rel=1e-14)
    # And of plain numbers: the generator is read once.
    assert sum_up([0.5, -1.0, 2.0]) == pytest.approx(result.data, rel=1e-14)


class Named(Value):
    """A Value with more to it, as somebody may write one."""


def test_a_class_of_ones_own_that_is_a_value_keeps_its_gradient_everywhere():
    for place in range(2):
        xs = [Named(0.0) if i == place else 0.0 for i in range(2)]
        for result in (dot(xs, [1.0, 1.0]), total(xs), logsumexp(xs), exp(xs[place])):
            before = xs[place].grad
            result.backward()
            assert xs[place].grad > before


def test_a_fused_node_is_one_node():
    xs = [Value(x) for x in (1.0, 2.0, 3.0)]
    # Three products and two sums against one dot.
    assert len(topological_order(dot_of_atoms(xs, xs))) == 5
    assert len(topological_order(dot(xs, xs))) == 1
    assert len(topological_order(total(xs))) == 1
    assert len(topological_order(logsumexp(xs))) == 1


def test_sums_of_nothing_are_zero_and_a_logsumexp_of_nothing_is_an_error():
    assert dot([], []) == 0
    assert total([]) == 0
    with pytest.raises(ValueError, match="logsumexp of no numbers"):
        logsumexp([])


def test_logsumexp_survives_a_gap_of_800_where_its_twin_overflows():
    xs = [Value(800.0), Value(0.0)]
    with pytest.raises(OverflowError):
        logsumexp_of_atoms(xs)
    result = logsumexp(xs)
    result.backward()
    # log(e ** 800 + 1) = 800 + log(1 + e ** -800), and e ** -800 is 0 to a float.
    assert result.data == 800.0
    assert [x.grad for x in xs] == [1.0, 0.0]
    assert logsumexp([0.0, 800.0]) == 800.0


def test_logsumexp_of_two_equal_numbers_far_below_zero_is_log_2_more():
    xs = [Value(-800.0), Value(-800.0)]
    result = logsumexp(xs)
    result.backward()
    assert result.data == -800.0 + math.log(2)
    assert [x.grad for x in xs] == [0.5, 0.5]


def test_the_slopes_of_logsumexp_sum_to_1_where_neighbouring_floats_are_far_apart():
    # Near 1e17 floats are 16 apart, and log 4 is lost: exp(x - result) would be 1 each.
    xs = [Value(1e17)] * 4
    assert logsumexp(xs).local_grads == (0.25, 0.25, 0.25, 0.25)


def test_exp_and_relu_of_floats_are_floats():
    assert (exp(1.5), type(exp(1.5))) == (math.exp(1.5), float)
    assert [relu(x) for x in (1.5, 0.0, -1.5, 1e-300)] == [1.5, 0.0, 0.0, 1e-300]
    assert str(relu(-0.0)) == str(Value(-0.0).relu().data) == "0.0"


def test_as_float_gives_the_number_without_its_past():
    assert as_float(Value(2.0) * 3) == 6.0
    assert as_float(2.5) == 2.5


# The famous mistakes.


def naive_backward(node):
    """Pass the gradient on to each input, then ask each to do the same: a mistake."""
    for x, local_grad in zip(node.inputs, node.local_grads):
        x.grad += local_grad * node.grad
    for x in node.inputs:
        naive_backward(x)


def test_naive_recursion_gives_8_where_the_gradient_is_4():
    # c = b + b = 4 * a. b.grad is 1 + 1 = 2, and a.grad is 2 + 2 = 4. Naive recursion
    # visits b once for each of its two uses and passes the finished 2 on both times.
    a = Value(1.0)
    b = a + a
    c = b + b
    c.grad = 1.0
    naive_backward(c)
    assert a.grad == 8.0

    a.grad = 0.0
    c.backward()
    assert (a.grad, b.grad, c.grad) == (4.0, 2.0, 1.0)


def test_setting_a_gradient_in_place_of_adding_to_it_forgets_a_path():
    # y = x * x + x at x = 3: the slope is 2 * x + 1 = 7.
    x = Value(3.0)
    y = x * x + x
    y.grad = 1.0
    for node in reversed(topological_order(y)):
        for an_input, local_grad in zip(node.inputs, node.local_grads):
            an_input.grad = local_grad * node.grad
    # What is left is the last thing written: one factor of x * x.
    assert x.grad == 3.0

    x.grad = 0.0
    y.backward()
    assert x.grad == 7.0


def test_backward_twice_doubles_a_leaf_and_leaves_the_nodes_between_as_they_were():
    # y = square * x at x = 3: dy/dx = 3 * x ** 2 = 27, and dy/d(square) = x = 3. Had
    # the second call begun at square.grad = 3, it would have passed on 6 in place of 3,
    # and x.grad would be 27 + 9 + 6 * 6 = 72.
    x = Value(3.0)
    square = x * x
    y = square * x
    y.backward()
    assert (x.grad, square.grad, y.grad) == (27.0, 3.0, 1.0)
    y.backward()
    assert (x.grad, square.grad, y.grad) == (54.0, 3.0, 1.0)


def test_backward_on_two_results_adds_up_at_the_leaves():
    # With square = x ** 2 and x = 3: d(2 * square)/dx = 4 * x = 12, and
    # d(5 * square)/dx = 10 * x = 30. The node between holds the later call alone.
    x = Value(3.0)
    square = x * x
    twice, five_times = square * 2, square * 5
    twice.backward()
    assert (x.grad, square.grad) == (12.0, 2.0)
    five_times.backward()
    assert (x.grad, square.grad) == (42.0, 5.0)


def test_a_node_that_does_not_move_the_result_passes_nothing_on():
    # Behind a relu that is off, every gradient is 0. Beside it, work goes on: whichever
    # of the two is visited first.
    for other_way_round in (False, True):
        x = Value(2.0)
        off, on = (x * -3).relu(), (x * 5) * 2
        y = on + off if other_way_round else off + on
        y.backward()
        assert x.grad == 10.0


def test_backward_on_a_leaf_adds_1_each_time():
    # d(x)/d(x) is 1, and leaves add up over calls.
    x = Value(3.0)
    x.backward()
    assert x.grad == 1.0
    x.backward()
    assert x.grad == 2.0
    (x * 5).backward()
    assert x.grad == 7.0


def test_a_root_that_was_a_node_in_between_starts_at_1_and_not_at_what_it_held():
    # z = 4 * y leaves y.grad at 4; of y itself the slope is 1.
    x = Value(3.0)
    y = x * 2
    (y * 4).backward()
    assert y.grad == 4.0
    y.backward()
    assert y.grad == 1.0
    assert x.grad == 8.0 + 2.0


def test_a_hundred_diamonds_have_2_to_the_100_paths_and_take_no_time():
    x = Value(1.0)
    y = x
    for _ in range(100):
        y = y + y
    y.backward()
    assert x.grad == 2.0**100
    assert len(topological_order(y)) == 100


def test_a_gradient_of_zero_stops_even_before_an_infinite_slope():
    # The slope 0 of the product, times the slope of 1e308 * 10 = inf, is no number.
    x = Value(1.0)
    huge = x * math.inf
    y = huge.relu() * 0.0 + x
    y.backward()
    assert x.grad == 1.0


def test_a_misspelt_attribute_is_an_error_and_not_a_new_one():
    # `p.grads = 0` would otherwise clear nothing, and training would go wrong silently.
    with pytest.raises(AttributeError):
        Value(1.0).grads = 0.0


# repr.


def test_repr_is_one_line_with_data_grad_and_label():
    a, b = Value(2.0), Value(-3.0, label="wte[0][1]")
    c = a * b
    c.backward()
    assert repr(a) == "Value(2.0, grad=-3.0)"
    assert repr(b) == "Value(-3.0, grad=2.0, 'wte[0][1]')"
    assert repr(c) == "Value(-6.0, grad=1.0, '*')"


def test_repr_does_not_look_at_the_inputs():
    class Unprintable(Value):
        def __repr__(self):
            raise AssertionError("repr walked down the graph")

    assert repr(Unprintable(1.0) + Unprintable(2.0)) == "Value(3.0, grad=0.0, '+')"


def test_a_value_that_is_not_built_yet_has_a_repr():
    # A debugger that stops in __init__ shows self, of which nothing is there, or half.
    bare = Value.__new__(Value)
    assert repr(bare) == "Value(not built yet)"
    bare.data, bare.grad = 1.0, 0.0
    assert repr(bare) == "Value(not built yet)"


def test_the_repr_of_a_deep_graph_is_one_short_line():
    y = Value(1.0)
    for _ in range(10_000):
        y = y + 1
    assert repr(y) == "Value(10001.0, grad=0.0, '+')"


def test_two_values_are_equal_only_if_they_are_the_same():
    # Compared by number, a set would lose every node whose number was there before.
    x, y = Value(2.0), Value(2.0)
    assert x != y
    assert len({x, y, x}) == 2


# The order.


def test_topological_order_has_each_node_once_after_its_inputs_and_the_root_last():
    rng = random.Random(7)
    leaves = [Value(rng.random()) for _ in range(5)]
    nodes = list(leaves)
    for _ in range(500):
        a, b = rng.choice(nodes[-50:]), rng.choice(nodes)
        nodes.append(a + b)
    root = total(nodes)
    order = topological_order(root)
    place = {node: i for i, node in enumerate(order)}
    # All 500 sums and the root, none twice; of the leaves none.
    assert len(order) == len(place) == 501
    assert order[-1] is root
    assert not any(leaf in place for leaf in leaves)
    for node in order:
        for x in node.inputs:
            assert x in leaves or place[x] < place[node]


def test_a_node_between_comes_after_all_that_it_needs_however_it_is_first_reached():
    # root reaches late at once, and again by way of early; late needs early.
    x = Value(1.0)
    early = x.exp()
    late = early * x
    for root in (late + early, early + late):
        assert topological_order(root) == [early, late, root]


def test_topological_order_of_a_leaf_is_empty():
    assert topological_order(Value(1.0)) == []


class Counted(tuple):
    """Inputs that count how often somebody starts to go through them."""

    n_times = 0

    def __iter__(self):
        Counted.n_times += 1
        return super().__iter__()


def test_topological_order_goes_through_the_inputs_of_a_node_once():
    # Started anew after each input, a sum of n nodes would take n * n / 2 looks.
    nodes = [Value(1.0) * 2 for _ in range(10)]
    inner = Value(20.0, Counted(nodes), (1.0,) * 10)
    root = Value(20.0, Counted([inner, *nodes]), (1.0,) * 11)
    assert topological_order(root) == [*nodes, inner, root]
    assert Counted.n_times == 2


def test_topological_order_does_not_go_above_its_root():
    x = Value(1.0)
    y = x * 2
    z = y + 1
    assert topological_order(y) == [y]
    y.backward()
    assert (x.grad, z.grad) == (2.0, 0.0)


def test_a_chain_of_twenty_thousand_nodes_runs_backward_and_is_freed():
    # Python lets calls nest about 1,000 deep.
    x = Value(0.0)
    y = x
    for _ in range(20_000):
        y = y + 1
    y.backward()
    assert (y.data, x.grad) == (20_000.0, 1.0)
    # Freeing node by node must not recurse either: it would end the process.
    del y
    assert x.grad == 1.0


def values_alive():
    return sum(isinstance(thing, Value) for thing in gc.get_objects())


@frees_by_reference_counts
def test_a_graph_is_freed_with_its_result_even_without_the_garbage_collector():
    gc.collect()
    gc.disable()
    try:
        x = Value(3.0)
        before = values_alive()
        y = logsumexp([x, (x * x).exp(), (x + 1).log() / x, x**2 - x]).tanh().relu()
        y.backward()
        y = dot([y, x], [x, y]) + total([y, 5, -x]) ** x
        y.backward()
        # * exp + 1 log / ** - logsumexp tanh relu dot total 5 - ** +
        assert values_alive() - before == 17
        del y
        assert values_alive() - before == 0
    finally:
        gc.enable()


# Copies.


@pytest.mark.parametrize(
    "copied",
    [lambda y: pickle.loads(pickle.dumps(y)), copy.deepcopy],
    ids=["pickle", "deepcopy"],
)
def test_a_copied_graph_has_the_same_shape_and_gradients_of_its_own(copied):
    x = Value(3.0, label="x")
    y = x * x + x
    twin = copied(y)
    twin.backward()
    square, twin_x = twin.inputs
    assert square.inputs == (twin_x, twin_x)
    assert repr(twin) == "Value(12.0, grad=1.0, '+')"
    assert repr(twin_x) == "Value(3.0, grad=7.0, 'x')"
    assert (x.grad, y.grad) == (0.0, 0.0)


def test_a_shallow_copy_is_a_node_with_the_same_inputs():
    x = Value(3.0)
    y = x * x
    twin = copy.copy(y)
    assert twin is not y
    assert twin.inputs is y.inputs
    assert (twin.data, twin.local_grads, twin.label) == (9.0, (3.0, 3.0), "*")


# Errors.


# What is computed, and the numbers that the message must name.
NO_VALUE = [
    (lambda: Value(0.0).log(), "log(0.0)"),
    (lambda: Value(-1.0).log(), "log(-1.0)"),
    (lambda: Value(-8.0) ** 0.5, "-8.0 ** 0.5 is not a real number"),
    (lambda: Value(-8.0) ** -1.5, "-8.0 ** -1.5 is not a real number"),
    (lambda: Value(-0.5) ** 0.5, "-0.5 ** 0.5 is not a real number"),
    (lambda: Value(-1e-300) ** 0.5, "-1e-300 ** 0.5 is not a real number"),
    (lambda: Value(0.0) ** -1, "0.0 ** -1 has no finite slope"),
    (lambda: Value(0.0) ** 0.5, "0.0 ** 0.5 has no finite slope"),  # it has a value
    (lambda: Value(0.0) ** Value(2.0), "0.0 to the power of a Value"),
    (lambda: Value(-2.0) ** Value(2.0), "-2.0 to the power of a Value"),
    (lambda: 0 ** Value(2.0), "0.0 to the power of a Value"),
    (lambda: (-2) ** Value(2.0), "-2.0 to the power of a Value"),
    (lambda: dot([Value(1)] * 2, [Value(1)] * 3), "dot of 2 and 3"),
    (lambda: dot([1.0] * 3, [1.0] * 2), "dot of 3 and 2"),
    (lambda: dot([], [Value(1)]), "dot of 0 and 1"),
]
TOO_LARGE = [
    (lambda: Value(800.0).exp(), "exp(800.0)"),
    (lambda: Value(1e200) ** 3, "1e+200 ** 3"),
    (lambda: Value(1e-200) ** -1, "1e-200 ** -1"),  # only its slope is too large
    (lambda: Value(1e200) ** Value(3.0), "1e+200 ** 3.0"),
    (lambda: Value(1e-200) ** Value(-1.0), "1e-200 ** -1.0"),
]


@pytest.mark.parametrize(("compute", "named"), NO_VALUE)
def test_what_has_no_value_is_an_error_that_names_the_numbers(compute, named):
    with pytest.raises(ValueError, match=re.escape(named)):
        compute()


@pytest.mark.parametrize(("compute", "named"), TOO_LARGE)
def test_what_no_float_can_hold_is_an_overflow_that_names_the_number(compute, named):
    with pytest.raises(OverflowError, match=re.escape(named)):
        compute()


@pytest.mark.parametrize(
    "compute",
    [
        lambda: Value(2.0) / 0,
        lambda: Value(2.0) / Value(0.0),
        lambda: 2 / Value(0.0),
        lambda: Value(0.0) / 0,
    ],
)
def test_dividing_by_zero_is_the_error_that_it_is_for_floats(compute):
    with pytest.raises(ZeroDivisionError):
        compute()


@pytest.mark.parametrize("fused", [total, logsumexp, lambda xs: dot(xs, xs)])
@pytest.mark.parametrize("thing", ["3", None, 1j])
def test_a_fused_node_refuses_what_is_no_number(fused, thing):
    for xs in ([Value(1.0), thing], [thing, Value(1.0)]):
        with pytest.raises(TypeError):
            fused(xs)
