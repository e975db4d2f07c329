"""The engine: each operation's value and slope, the order, the famous mistakes."""

from __future__ import annotations

import copy
import gc
import math
import pickle
import random
import re
import sys

import pytest

from microgpt.value import Value, dot, logsumexp, topological_order, total

# What is computed, with Values; the same with floats; the numbers it is of; the label.
OPERATIONS = [
    (lambda a, b: a + b, lambda a, b: a + b, (2.0, -3.0), "+"),
    (lambda a: a + 3, lambda a: a + 3, (2.0,), "+"),
    (lambda a: a + 0.5, lambda a: a + 0.5, (2.0,), "+"),
    (lambda a: 3 + a, lambda a: 3 + a, (2.0,), "+"),
    (lambda a: 0.5 + a, lambda a: 0.5 + a, (2.0,), "+"),
    (lambda a, b: a - b, lambda a, b: a - b, (2.0, -3.0), "-"),
    (lambda a: a - 3, lambda a: a - 3, (2.0,), "-"),
    (lambda a: a - 0.5, lambda a: a - 0.5, (2.0,), "-"),
    (lambda a: 3 - a, lambda a: 3 - a, (2.0,), "+"),
    (lambda a: 0.5 - a, lambda a: 0.5 - a, (2.0,), "+"),
    (lambda a, b: a * b, lambda a, b: a * b, (2.0, -3.0), "*"),
    (lambda a: a * 3, lambda a: a * 3, (2.0,), "*"),
    (lambda a: a * -0.5, lambda a: a * -0.5, (2.0,), "*"),
    (lambda a: 3 * a, lambda a: 3 * a, (2.0,), "*"),
    (lambda a: -0.5 * a, lambda a: -0.5 * a, (2.0,), "*"),
    (lambda a, b: a / b, lambda a, b: a / b, (2.0, -3.0), "/"),
    (lambda a: a / 3, lambda a: a / 3, (2.0,), "/"),
    (lambda a: a / -0.5, lambda a: a / -0.5, (2.0,), "/"),
    (lambda a: 3 / a, lambda a: 3 / a, (2.0,), "/"),
    (lambda a: -0.5 / a, lambda a: -0.5 / a, (-2.0,), "/"),
    (lambda a: -a, lambda a: -a, (2.0,), "*"),
    (lambda a: a**2, lambda a: a**2, (-3.0,), "**"),
    (lambda a: a**3, lambda a: a**3, (-3.0,), "**"),
    (lambda a: a**-1, lambda a: a**-1, (-3.0,), "**"),
    (lambda a: a**0.5, lambda a: a**0.5, (2.0,), "**"),
    (lambda a: a**-0.5, lambda a: a**-0.5, (2.0,), "**"),
    (lambda a: a**0, lambda a: a**0, (2.0,), "**"),
    (lambda a: a**1, lambda a: a**1, (0.0,), "**"),
    (lambda a: a**2, lambda a: a**2, (0.0,), "**"),
    (lambda a: a.exp(), math.exp, (1.5,), "exp"),
    (lambda a: a.exp(), math.exp, (-1.5,), "exp"),
    (lambda a: a.log(), math.log, (2.5,), "log"),
    (lambda a: a.log(), math.log, (0.1,), "log"),
    (lambda a: a.relu(), lambda a: max(0.0, a), (1.5,), "relu"),
    (lambda a: a.relu(), lambda a: max(0.0, a), (-1.5,), "relu"),
    (lambda a: a.tanh(), math.tanh, (0.7,), "tanh"),
    (lambda a: a.tanh(), math.tanh, (-2.0,), "tanh"),
    (lambda a: a * a, lambda a: a * a, (-3.0,), "*"),
    (lambda a: a / a, lambda a: a / a, (-3.0,), "/"),
    (lambda a: a - a, lambda a: a - a, (-3.0,), "-"),
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
    """Return the slope of function towards inputs[i]: how far it moves over 2 * h."""
    above = [x + h if j == i else x for j, x in enumerate(inputs)]
    below = [x - h if j == i else x for j, x in enumerate(inputs)]
    return (function(*above) - function(*below)) / (2 * h)


@pytest.mark.parametrize(("on_values", "on_floats", "numbers", "label"), OPERATIONS)
def test_each_operation_has_the_value_and_the_slopes_of_its_formula(
    on_values, on_floats, numbers, label
):
    inputs = [Value(number) for number in numbers]
    result = on_values(*inputs)
    result.backward()
    assert result.data == pytest.approx(on_floats(*numbers), rel=1e-15)
    assert type(result.data) is float
    assert result.label == label
    for i, x in enumerate(inputs):
        slope = central_difference(on_floats, numbers, i)
        assert x.grad == pytest.approx(slope, rel=1e-8, abs=1e-8)


def test_a_leaf_given_as_an_int_holds_a_float():
    assert repr(Value(3)) == "Value(3.0, grad=0.0)"
    assert repr(Value(3) * 2) == "Value(6.0, grad=0.0, '*')"


def test_the_slopes_can_be_read_before_backward_has_run():
    a, b = Value(2.0), Value(-3.0)
    assert (a * b).inputs == (a, b)
    assert (a * b).local_grads == (-3.0, 2.0)
    assert (a / b).local_grads == (1 / -3.0, -2.0 / 9.0)
    assert (a.exp()).local_grads == (math.exp(2.0),)


def test_relu_at_zero_has_slope_zero():
    x = Value(0.0)
    x.relu().backward()
    assert x.grad == 0.0


def test_relu_does_not_hide_a_nan():
    assert math.isnan(Value(math.nan).relu().data)


# Fused nodes against their readable twins.


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


@pytest.mark.parametrize(
    ("fused", "twin"),
    [
        (halves(dot), halves(dot_of_atoms)),
        (total, total_of_atoms),
        (logsumexp, logsumexp_of_atoms),
    ],
    ids=["dot", "total", "logsumexp"],
)
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


def test_a_fused_node_is_one_node():
    xs = [Value(x) for x in (1.0, 2.0, 3.0)]
    # Three products and two sums against one dot.
    assert len(topological_order(dot_of_atoms(xs, xs))) == 5
    assert len(topological_order(dot(xs, xs))) == 1
    assert len(topological_order(total(xs))) == 1
    assert len(topological_order(logsumexp(xs))) == 1


def test_sums_of_nothing_are_zero():
    assert dot([], []).data == 0.0
    assert total([]).data == 0.0


def test_logsumexp_survives_a_gap_of_800_where_its_twin_overflows():
    xs = [Value(800.0), Value(0.0)]
    with pytest.raises(OverflowError):
        logsumexp_of_atoms(xs)
    result = logsumexp(xs)
    result.backward()
    # log(e ** 800 + 1) = 800 + log(1 + e ** -800), and e ** -800 is 0 to a float.
    assert result.data == 800.0
    assert [x.grad for x in xs] == [1.0, 0.0]


def test_logsumexp_of_two_equal_numbers_far_below_zero_is_log_2_more():
    xs = [Value(-800.0), Value(-800.0)]
    result = logsumexp(xs)
    result.backward()
    assert result.data == -800.0 + math.log(2)
    assert [x.grad for x in xs] == [0.5, 0.5]


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
    # Behind a relu that is off, every gradient is 0.
    x = Value(2.0)
    y = (x * -3).relu() + x
    y.backward()
    assert x.grad == 1.0


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


def test_topological_order_does_not_go_above_its_root():
    x = Value(1.0)
    y = x * 2
    z = y + 1
    assert topological_order(y) == [y]
    y.backward()
    assert (x.grad, z.grad) == (2.0, 0.0)


def test_a_chain_of_a_million_nodes_runs_backward_and_is_freed():
    x = Value(0.0)
    y = x
    for _ in range(1_000_000):
        y = y + 1
    y.backward()
    assert (y.data, x.grad) == (1_000_000.0, 1.0)
    # Freeing node by node must not recurse either: it would end the process.
    del y
    assert x.grad == 1.0


def values_alive():
    return sum(isinstance(thing, Value) for thing in gc.get_objects())


@pytest.mark.skipif(
    not hasattr(sys, "getrefcount"), reason="frees by reference counts only on CPython"
)
def test_a_graph_is_freed_with_its_result_even_without_the_garbage_collector():
    gc.collect()
    gc.disable()
    try:
        x = Value(3.0)
        before = values_alive()
        y = logsumexp([x, (x * x).exp(), (x + 1).log() / x, x**2 - x]).tanh().relu()
        y.backward()
        y = dot([y, x], [x, y]) + total([y, x])
        y.backward()
        # * exp + log / ** - logsumexp tanh relu dot total +
        assert values_alive() - before == 13
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
    (lambda: Value(-8.0) ** 0.5, "-8.0 ** 0.5"),
    (lambda: Value(0.0) ** -1, "0.0 ** -1"),
    (lambda: Value(0.0) ** 0.5, "0.0 ** 0.5"),  # 0 has a root, but no slope there
    (lambda: Value(2.0) / 0, "2.0 / 0.0"),
    (lambda: Value(2.0) / Value(0.0), "2.0 / 0.0"),
    (lambda: 2 / Value(0.0), "2.0 / 0.0"),
    (lambda: dot([Value(1)] * 2, [Value(1)] * 3), "dot of 2 and 3"),
]
TOO_LARGE = [
    (lambda: Value(800.0).exp(), "exp(800.0)"),
    (lambda: Value(1e200) ** 3, "1e+200 ** 3"),
]


@pytest.mark.parametrize(("compute", "named"), NO_VALUE)
def test_what_has_no_value_is_an_error_that_names_the_numbers(compute, named):
    with pytest.raises(ValueError, match=re.escape(named)):
        compute()


@pytest.mark.parametrize(("compute", "named"), TOO_LARGE)
def test_what_no_float_can_hold_is_an_overflow_that_names_the_number(compute, named):
    with pytest.raises(OverflowError, match=re.escape(named)):
        compute()
