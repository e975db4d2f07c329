"""The big-integer product: right within its bound, to the edge, in many processes."""

from __future__ import annotations

import doctest
import math
import multiprocessing
import os
import random
import signal
import struct
import subprocess
import sys
import time
from array import array
from fractions import Fraction

import bigmatrix
import pytest
from bigmatrix import BLOCK, ExactProduct, PackedProduct, Products
from gpt2_support import ROOT, FailingPart, SentMaker
from model import Matrix

from tests.helpers import PYPY

pytestmark = pytest.mark.slow

# On Windows os.kill ends a process whatever the signal is.
posix = pytest.mark.skipif(os.name == "nt", reason="signals are not as on Windows")
LARGEST = 32 - 2.0**-28  # the largest weight of a whole number of units below 32


def lay_out(rows, in_out, kind="f"):
    """Return the Matrix of rows[i][j], the weight of input i towards output j."""
    n_in, n_out = len(rows), len(rows[0])
    ordered = rows if in_out else list(zip(*rows))
    flat = array(kind, [w for row in ordered for w in row])
    return Matrix(memoryview(flat), n_in, n_out, in_out)


def weights_of(matrix):
    """Return rows[i][j] again, as the file has it, found without the Matrix's help."""
    flat, n_in, n_out, in_out = matrix
    place = (lambda i, j: i * n_out + j) if in_out else (lambda i, j: j * n_in + i)
    return [[flat[place(i, j)] for j in range(n_out)] for i in range(n_in)]


def random_matrix(rng, n_in, n_out, in_out=True, kind="f", std=1.0):
    rows = [[rng.gauss(0, std) for _ in range(n_out)] for _ in range(n_in)]
    return lay_out(rows, in_out, kind)


def in_fractions(matrix, x, outputs):
    """Return the outputs without any rounding, and the bound that the file derives."""
    rows = weights_of(matrix)
    x = [Fraction(xi) for xi in x]
    size = sum(map(abs, x))
    unit, share = Fraction(1, 2**29), Fraction(1, 2**31)
    ys, bounds = [], []
    for j in outputs:
        column = [Fraction(row[j]) for row in rows]
        ys.append(sum(w * xi for w, xi in zip(column, x)))
        bounds.append(size * unit + size * share * sum(map(abs, column)))
    return ys, bounds


def assert_within_bound(matrix, x, start=0, stop=None):
    """Assert that a PackedProduct is as right as the file says; return its outputs."""
    stop = matrix.n_out if stop is None else stop
    packed = PackedProduct(matrix, start, stop).times(x)
    assert len(packed) == stop - start
    for y, exact, bound in zip(packed, *in_fractions(matrix, x, range(start, stop))):
        # For rounding floats a 100,000th; and below 1e-308 floats are 2**-1074 apart.
        allowed = bound * Fraction(100_001, 100_000) + Fraction(1, 2**1074)
        assert abs(Fraction(y) - exact) <= allowed
    return packed


def model(rng):
    """Return matrices of all kinds: a tied head, one of 2 outputs, one of 1."""
    return {
        "c_fc": random_matrix(rng, 6, 23),
        "head": random_matrix(rng, 5, 41, in_out=False),
        "double": random_matrix(rng, 3, 11, kind="d"),
        "two": random_matrix(rng, 9, 2, in_out=False),
        "one": random_matrix(rng, 4, 1),
    }


def products_of(matrices, *arguments, block=BLOCK, **more):
    return Products(SentMaker(matrices, block), *arguments, **more)


def inputs(rng, matrices):
    return {
        name: [rng.gauss(0, 3) for _ in range(m.n_in)] for name, m in matrices.items()
    }


def all_outputs(products, xs):
    return {name: products.times(name, x) for name, x in xs.items()}


def has_ended(pid):
    """Return whether there is no such process, not even a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def workers():
    return [process.pid for process in multiprocessing.active_children()]


# The derivation.


def test_the_docstrings_compute_what_they_say():
    results = doctest.testmod(bigmatrix)
    assert results.attempted >= 8
    assert results.failed == 0


def test_a_row_is_its_weights_in_units_a_field_each():
    rows = [[3.0, -4.0, 0.25], [1 / 3, 0.0, -(2.0**-29)]]
    matrix = lay_out(rows, in_out=True, kind="d")
    # 2**28 units are 1. A third is 89478485.33 units, rounded; half a unit, 0 or -1
    # unit, is rounded to 0, the even one.
    first = [3 * 2**28, -4 * 2**28, 2**26]
    second = [89478485, 0, 0]
    for row, units in zip(PackedProduct(matrix, 0, 3).rows, (first, second)):
        assert row == sum(unit << 64 * k for k, unit in enumerate(units))


def test_a_product_by_hand():
    # 2 * 0.5 - 4 * 2 = -7, 2 * -0.25 - 4 * 1 = -4.5, 2 * 3 - 4 * -1 = 10
    for in_out in (True, False):
        matrix = lay_out([[0.5, -0.25, 3.0], [2.0, 1.0, -1.0]], in_out)
        assert ExactProduct(matrix, 0, 3).times([2.0, -4.0]) == [-7.0, -4.5, 10.0]
        assert ExactProduct(matrix, 1, 2).times([2.0, -4.0]) == [-4.5]
        packed = PackedProduct(matrix, 0, 3).times([2.0, -4.0])
        assert packed == pytest.approx([-7.0, -4.5, 10.0], abs=1e-8)
        assert PackedProduct(matrix, 1, 3).times([2.0, -4.0]) == packed[1:]


@pytest.mark.parametrize("in_out", [True, False])
def test_a_matrix_finds_its_weights_in_either_order(in_out):
    rows = [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0], [9.0, 10.0, 11.0, 12.0]]
    matrix = lay_out(rows, in_out)
    assert matrix.of_input(1, 0, 4).tolist() == rows[1]
    assert matrix.of_input(2, 1, 3).tolist() == [10.0, 11.0]
    assert matrix.of_input(0, 2, 2).tolist() == []
    assert matrix.of_output(3).tolist() == [4.0, 8.0, 12.0]
    # Nothing is copied: what is seen is the file.
    assert matrix.of_input(1, 0, 4).obj is matrix.weights.obj
    assert matrix.of_output(3).obj is matrix.weights.obj


# How right it is.


def test_the_exact_product_is_the_sum_but_for_the_last_bits_of_a_float():
    rng = random.Random(1)
    for _ in range(60):
        n_in, n_out = rng.randint(1, 40), rng.randint(1, 12)
        matrix = random_matrix(rng, n_in, n_out, rng.random() < 0.5, rng.choice("fd"))
        x = [rng.gauss(0, 1) for _ in range(n_in)]
        start = rng.randint(0, n_out)
        stop = rng.randint(start, n_out)
        exact, _ = in_fractions(matrix, x, range(start, stop))
        ys = ExactProduct(matrix, start, stop).times(x)
        assert len(ys) == stop - start
        rows = weights_of(matrix)
        for j, y, fraction in zip(range(start, stop), ys, exact):
            terms = sum(abs(row[j] * xi) for row, xi in zip(rows, x))
            assert abs(Fraction(y) - fraction) <= n_in * 2.0**-52 * terms


def test_the_packed_product_is_within_its_bound():
    rng = random.Random(2)
    for _ in range(120):
        n_in, n_out = rng.randint(1, 60), rng.randint(1, 12)
        std = rng.choice([1e-6, 0.02, 0.14, 1.0, 5.0])
        kind, in_out = rng.choice("fd"), rng.random() < 0.5
        matrix = random_matrix(rng, n_in, n_out, in_out, kind, std)
        x = [rng.gauss(0, 1) * 10 ** rng.uniform(-3, 3) for _ in range(n_in)]
        start = rng.randint(0, n_out)
        assert_within_bound(matrix, x, start, rng.randint(start, n_out))


def test_the_bound_is_nearly_reached_so_it_says_no_more_than_it_must():
    # Every weight half a unit up, and all x of one sign: nothing cancels. (In doubles:
    # 1 + 2**-29 is 1 unit * 2**28 and a half, which rounds to the even 2**28.) With
    # two inputs the first part of the bound is 2 * 2**-29, the second 2 * 2 * 2**-31.
    matrix = lay_out([[1 + 2.0**-29]] * 2, in_out=True, kind="d")
    (y,) = assert_within_bound(matrix, [1.0] * 2)
    (exact,), (bound,) = in_fractions(matrix, [1.0] * 2, [0])
    assert abs(Fraction(y) - exact) > Fraction(3, 5) * bound


def test_ten_thousand_inputs_are_within_the_bound():
    rng = random.Random(3)
    matrix = random_matrix(rng, 10_000, 2, std=5)
    assert max(map(abs, matrix.weights)) < 32
    assert_within_bound(matrix, [rng.uniform(-1, 1) for _ in range(10_000)])
    assert_within_bound(matrix, [rng.uniform(0, 1) ** 9 for _ in range(10_000)])


@pytest.mark.parametrize("scale", [1e300, 1e30, 1e-30, 1e-300])
def test_any_size_of_x_is_as_right_as_another(scale):
    rng = random.Random(4)
    matrix = random_matrix(rng, 8, 5)
    x = [rng.gauss(0, 1) for _ in range(8)]
    scaled = assert_within_bound(matrix, [xi * scale for xi in x])
    assert [y / scale for y in scaled] == pytest.approx(
        PackedProduct(matrix, 0, 5).times(x), rel=1e-9, abs=1e-6
    )


def test_the_smallest_floats_and_very_different_ones_are_right():
    matrix = lay_out([[1.0, -31.0], [2.0, 0.5], [-4.0, 8.0]], in_out=True)
    tiny = 5e-324  # the smallest there is: 1, 2, 4 of it are 5e-324, 1e-323, 2e-323
    assert assert_within_bound(matrix, [tiny, 0.0, 0.0]) == [tiny, -31 * tiny]
    assert assert_within_bound(matrix, [0.0, tiny, tiny]) == [-2 * tiny, 8 * tiny]
    # Beside 1e300, 1e-300 is nothing, for floats as for us.
    large = assert_within_bound(matrix, [1e300, 1e-300, -1.0])
    assert large == pytest.approx([1e300, -31e300], rel=1e-9)


def test_an_x_of_zeros_gives_zeros():
    matrix = lay_out([[1.0, -31.0], [2.0, 0.5]], in_out=True)
    for x in ([0.0, 0.0], [-0.0, 0.0]):
        assert PackedProduct(matrix, 0, 2).times(x) == [0.0, 0.0]
        assert ExactProduct(matrix, 0, 2).times(x) == [0.0, 0.0]


# The edge: where one unit more would overflow.


def test_at_the_edge_every_field_is_right():
    # The largest fields and the most shares there can be, all of one sign; between
    # them zeros, where a carry or a borrow would be seen.
    row = [LARGEST, 0.0, -LARGEST, 0.0, -LARGEST, LARGEST, 0.0]
    for n_in in [*range(1, 130), 768, 1000, 3072]:
        matrix = lay_out([row] * n_in, in_out=True, kind="d")
        product = PackedProduct(matrix, 0, 7)
        for xi in (1.0, -1.0):
            ys = product.times([xi] * n_in)
            expected = [n_in * xi * w for w in row]
            assert ys == pytest.approx(expected, rel=n_in * 2.0**-30, abs=0)


def test_the_shares_add_up_to_just_less_than_their_limit():
    # One input: 2**30 - 1 shares of 2**33 - 1 units, to the unit.
    product = PackedProduct(lay_out([[LARGEST]], in_out=True, kind="d"), 0, 1)
    assert product.rows == [2**33 - 1]
    (y,) = product.times([1.0])
    assert y == LARGEST
    # Six: a sixth of 2**30 - 6 has .67 after its point, so all six are rounded up, to
    # 2 more than 2**30 - 6 in all. Hence what the file leaves for rounding.
    share = round((2**30 - 6) / 6)
    assert 2**30 - 6 < 6 * share < 2**30
    # At worst it is n / 2 more.
    rng = random.Random(5)
    for n in [1, 2, 3, 10, 100, 1000]:
        for _ in range(30):
            x = [rng.uniform(0.999, 1) for _ in range(n)]
            size = sum(x)
            assert sum([round(xi / size * (2**30 - n)) for xi in x]) < 2**30


def test_a_little_beyond_the_edge_a_sign_would_flip(monkeypatch):
    # Half of what a field holds is 2**63, and (2**33 - 1) * (2**30 + 1) is more.
    assert (2**33 - 1) * (2**30 + 1) == 2**63 + 2**33 - 2**30 - 1
    matrix = lay_out([[LARGEST, 1.0]], in_out=True, kind="d")
    right = PackedProduct(matrix, 0, 2).times([1.0])
    assert right == pytest.approx([LARGEST, 1.0])
    monkeypatch.setattr(bigmatrix, "SHARES", 2**30 + 2)  # of which 1 is left out
    wrong = PackedProduct(matrix, 0, 2).times([1.0])
    assert wrong[0] == pytest.approx(-LARGEST, rel=1e-6)
    # The last that is right, if not by design: 2**63 - 2**30.
    monkeypatch.setattr(bigmatrix, "SHARES", 2**30 + 1)
    assert (2**33 - 1) * 2**30 == 2**63 - 2**30
    assert PackedProduct(matrix, 0, 2).times([1.0]) == pytest.approx(right)


# What does not fit, or is not right.

FITS = [0.0, -0.0, 1e-320, 31.9, -31.9, LARGEST, -LARGEST, 32 - 1.1 * 2.0**-29]
TOO_LARGE = [
    *(32.0, -32.0, 32 - 2.0**-29, 2.0 - 34, 33.5, -40.0, 64.0, 2.0**25, -(2.0**26)),
    *(1e30, -1e30, 1e300, 1e308, -1.7e308, math.inf, -math.inf, math.nan, -math.nan),
]


@pytest.mark.parametrize("in_out", [True, False])
@pytest.mark.parametrize("weight", TOO_LARGE)
def test_a_weight_that_does_not_fit_is_named_wherever_it_is(weight, in_out):
    for place in range(6):
        rows = [[LARGEST, -LARGEST, 0.0], [-1.0, -LARGEST, LARGEST]]
        rows[place // 3][place % 3] = weight
        with pytest.raises(ValueError) as caught:
            PackedProduct(lay_out(rows, in_out, "d"), 0, 3)
        fault = "below 32 in size" if math.isfinite(weight) else "a finite number"
        assert str(caught.value) == f"weight {weight} is not {fault}"


@pytest.mark.parametrize("weight", FITS)
def test_a_weight_below_the_limit_fits_wherever_it_is(weight):
    for place in range(6):
        rows = [[LARGEST, -LARGEST, 0.0], [-1.0, -LARGEST, LARGEST]]
        rows[place // 3][place % 3] = weight
        assert_within_bound(lay_out(rows, True, "d"), [0.7, -0.2])


def test_of_all_floats_just_those_that_fit_are_packed():
    rng = random.Random(6)
    for kind, code, n_bits in (("f", "I", 32), ("d", "Q", 64)):
        fitting = 0
        for _ in range(1500):
            bits = rng.getrandbits(n_bits)
            if rng.random() < 0.5:  # near 32, or -32: the same first bits
                near = struct.unpack(f"<{code}", struct.pack(f"<{kind}", 32.0))[0]
                bits = (
                    near
                    ^ rng.getrandbits(n_bits // 2)
                    ^ rng.getrandbits(1) << n_bits - 1
                )
            (weight,) = struct.unpack(f"<{kind}", struct.pack(f"<{code}", bits))
            units = weight * 2**28 if abs(weight) < 1e9 else math.inf  # nan: inf
            fits = math.isfinite(units) and abs(round(Fraction(units))) < 2**33
            fitting += fits
            matrix = lay_out([[1.0, weight, -1.0]], True, kind)
            if fits:
                PackedProduct(matrix, 0, 3)
            else:
                with pytest.raises(ValueError, match=r"not below 32|not a finite"):
                    PackedProduct(matrix, 0, 3)
        assert 100 < fitting < 1400


BAD_X = [
    ([1.0, math.nan, 2.0], "x holds nan"),
    ([1.0, 2.0, math.inf], "x holds inf"),
    ([-math.inf, 2.0, math.inf], "x holds -inf"),
    ([1.0, -1.7e308, 1.2e308], r"x holds -1.7e\+308: its numbers and sum"),
    ([1.0, 2.0], "x has 2 numbers, but the matrix 3 inputs"),
    ([1.0, 2.0, 3.0, 4.0], "x has 4 numbers, but the matrix 3 inputs"),
    ([], "x has 0 numbers, but the matrix 3 inputs"),
]


@pytest.mark.parametrize("x, message", BAD_X)
def test_an_x_that_is_not_finite_or_of_another_length_is_named(x, message):
    matrix = lay_out([[1.0, 2.0]] * 3, in_out=True)
    for kind in (ExactProduct, PackedProduct):
        with pytest.raises(ValueError, match=message) as caught:
            kind(matrix, 0, 2).times(x)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("processes", [1, 3])
def test_after_a_bad_x_the_next_is_multiplied_as_ever(processes):
    matrix = lay_out([[1.0, 2.0, 4.0]] * 3, in_out=True)
    with products_of({"w": matrix}, exact=True, processes=processes) as products:
        for x, message in BAD_X:
            with pytest.raises(ValueError, match=message):
                products.times("w", x)
            assert products.times("w", [1.0, 1.0, 1.0]) == [3.0, 6.0, 12.0]


# All matrices together.


def test_products_are_those_of_each_matrix():
    rng = random.Random(7)
    matrices = model(rng)
    xs = inputs(rng, matrices)
    with products_of(matrices) as products, products_of(matrices, exact=True) as exact:
        assert products.notes == exact.notes == []
        for name, matrix in matrices.items():
            packed = PackedProduct(matrix, 0, matrix.n_out).times(xs[name])
            assert products.times(name, xs[name]) == packed
            exactly = ExactProduct(matrix, 0, matrix.n_out).times(xs[name])
            assert exact.times(name, xs[name]) == exactly != packed


@pytest.mark.parametrize("block", [1, 4, 23])
@pytest.mark.parametrize("exact", [True, False])
def test_blocks_and_processes_change_no_bit(exact, block):
    rng = random.Random(8)
    matrices = model(rng)
    xs = inputs(rng, matrices)
    with products_of(matrices, exact) as products:
        expected = all_outputs(products, xs)
    # "one" has fewer outputs than there are processes: some own none of it.
    for processes in (1, 2, 5):
        with products_of(matrices, exact, processes, block=block) as products:
            assert all_outputs(products, xs) == expected
            assert all_outputs(products, xs) == expected


@pytest.mark.parametrize("place", [0, 20, 40])
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_what_cannot_be_packed_is_exact_in_all_processes_and_noted(processes, place):
    rng = random.Random(9)
    matrices = model(rng)
    head = weights_of(matrices["head"])
    head[2][place] = -33.5  # in the part of another process each time
    matrices["head"] = lay_out(head, in_out=False)
    xs = inputs(rng, matrices)
    with products_of(matrices, exact=True) as products:
        exact = all_outputs(products, xs)
    with products_of(matrices, processes=processes) as products:
        ys = all_outputs(products, xs)
        why = "weight -33.5 is not below 32 in size: multiplied the exact, slower way"
        assert products.notes == [f"head: {why}"]
    assert [name for name in ys if ys[name] == exact[name]] == ["head"]


def test_packing_is_shown_block_by_block_to_its_end():
    rng = random.Random(10)
    matrices = {"c_fc": random_matrix(rng, 6, 23), "head": random_matrix(rng, 5, 4)}
    shown = []

    def show(done, total):
        shown.append((done, total, os.getpid()))

    with products_of(matrices, show=show, block=10):
        pass
    # 10, 10 and 3 outputs of 6 weights, then 4 of 5.
    own = os.getpid()
    assert shown == [(60, 158, own), (120, 158, own), (138, 158, own), (158, 158, own)]
    shown.clear()
    with products_of(matrices, processes=2, show=show, block=10):
        pass
    # 10 and 1 of 6, then 2 of 5: what this process packs, and not the other.
    assert shown == [(60, 76, own), (66, 76, own), (76, 76, own)]
    with products_of(
        matrices, exact=True, show=lambda *_: pytest.fail("nothing is packed")
    ):
        pass


@pytest.mark.skipif(PYPY, reason="PyPy cannot say how large an object is")
def test_a_packed_weight_takes_eight_and_a_half_bytes():
    rng = random.Random(11)
    products = products_of({"w": random_matrix(rng, 4, 4000)})
    rows = [row for product in products.own_part.products["w"] for row in product.rows]
    assert sum(map(sys.getsizeof, rows)) / 16000 == pytest.approx(8.55, abs=0.05)


# Processes: how they end, and what they say.


@pytest.mark.parametrize("processes", [0, -1])
def test_too_few_processes_are_refused(processes):
    with pytest.raises(ValueError, match=rf"^processes is {processes}: make it 1"):
        products_of({}, processes=processes)


def test_one_process_starts_no_other(monkeypatch):
    monkeypatch.setattr(multiprocessing, "get_context", None)
    matrices = {"w": lay_out([[1.0, 2.0]], in_out=True)}
    with products_of(matrices, exact=True) as products:
        assert products.times("w", [2.0]) == [2.0, 4.0]


def test_a_process_packs_only_what_it_owns():
    matrix = random_matrix(random.Random(12), 2, 9)
    with products_of({"w": matrix}, processes=2) as products:
        assert [product.n_out for product in products.own_part.products["w"]] == [4]
        assert len(products.times("w", [1.0, 2.0])) == 9


@posix
def test_closing_ends_the_processes_and_leaves_no_zombie():
    before = set(workers())
    with products_of(model(random.Random(13)), processes=3):
        pids = set(workers()) - before
        assert len(pids) == 2
    assert all(map(has_ended, pids))


def test_after_closing_there_is_no_half_answer():
    products = products_of(model(random.Random(13)), processes=2)
    products.close()
    products.close()
    with pytest.raises(ValueError, match="a process ended"):
        products.times("one", [1.0] * 4)


@posix
@pytest.mark.parametrize("which", [0, 1])
def test_the_death_of_a_worker_is_one_clear_error(which):
    matrices = model(random.Random(14))
    before = set(workers())
    with products_of(matrices, processes=3) as products:
        pids = sorted(set(workers()) - before)
        os.kill(pids[which], signal.SIGKILL)
        with pytest.raises(ValueError) as caught:
            products.times("head", [1.0] * 5)
        assert str(caught.value) == (
            "a process ended (out of memory?): use fewer --processes, or --exact"
        )
        # The others are gone too: what they had answered must never be read.
        assert all(map(has_ended, pids))
        with pytest.raises(ValueError, match="a process ended"):
            products.times("head", [1.0] * 5)


@pytest.mark.parametrize("error", [MemoryError, ZeroDivisionError])
@pytest.mark.parametrize("where", ["parent", "worker"])
def test_an_error_while_packing_does_not_hang(capfd, error, where):
    before = set(workers())
    is_a_bug = error is ZeroDivisionError
    expected = error if is_a_bug and where == "parent" else ValueError
    maker = FailingPart(model(random.Random(15)), error, where)
    with pytest.raises(expected):
        Products(maker, processes=3)
    assert set(workers()) == before
    # A bug in a worker is shown where it happened; want of memory needs no traceback.
    assert ("Traceback" in capfd.readouterr().err) == (is_a_bug and where == "worker")


def test_bad_data_that_a_worker_finds_is_told_by_the_parent(capfd):
    maker = FailingPart(model(random.Random(15)), ValueError, "worker")
    with pytest.raises(ValueError, match="while packing"):
        Products(maker, processes=3)
    assert capfd.readouterr().err == ""


@posix
def test_ctrl_c_is_for_the_parent_alone():
    before = set(workers())
    with products_of(model(random.Random(16)), exact=True, processes=2) as products:
        (pid,) = set(workers()) - before
        os.kill(pid, signal.SIGINT)
        for _ in range(3):
            assert len(products.times("head", [1.0] * 5)) == 41
        assert not has_ended(pid)


@posix
def test_ctrl_c_does_not_reach_a_worker_that_is_just_starting(monkeypatch, capfd):
    # It would print a traceback, or die within Python's own start.
    started = multiprocessing.context.SpawnProcess.start

    def start_and_press(process):
        started(process)
        os.kill(process.pid, signal.SIGINT)

    monkeypatch.setattr(multiprocessing.context.SpawnProcess, "start", start_and_press)
    with products_of(model(random.Random(16)), exact=True, processes=3) as products:
        assert len(products.times("head", [1.0] * 5)) == 41
    assert capfd.readouterr().err == ""


@posix
def test_ctrl_c_while_workers_start_ends_them(monkeypatch, capfd):
    started = multiprocessing.context.SpawnProcess.start
    before = set(workers())

    def start_and_press(process):
        started(process)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(multiprocessing.context.SpawnProcess, "start", start_and_press)
    with pytest.raises(KeyboardInterrupt):
        products_of(model(random.Random(16)), exact=True, processes=3)
    assert set(workers()) == before
    assert capfd.readouterr().err == ""


def test_ctrl_c_while_packing_or_multiplying_ends_the_workers(monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    before = set(workers())
    matrices = model(random.Random(17))
    with pytest.raises(KeyboardInterrupt):
        products_of(matrices, processes=3, show=interrupt)
    assert set(workers()) == before

    products = products_of(matrices, exact=True, processes=3)
    with monkeypatch.context() as patched:
        patched.setattr(products.own_part, "times", interrupt)
        with pytest.raises(KeyboardInterrupt):
            products.times("head", [1.0] * 5)
    assert set(workers()) == before
    # Whoever goes on must not be given the answers to the question interrupted.
    with pytest.raises(ValueError, match="a process ended"):
        products.times("head", [2.0] * 5)


def test_a_worker_that_is_still_packing_keeps_nobody_waiting():
    before = set(workers())

    def interrupt(*_):
        raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        Products(
            FailingPart(model(random.Random(18)), None, "worker"),
            processes=2,
            show=interrupt,
        )
    assert time.monotonic() - started < 30
    assert set(workers()) == before


PARENT = """
import os, signal, sys
sys.path[:0] = sys.argv[1:]
from array import array
from bigmatrix import Products
from gpt2_support import SentMaker
from model import Matrix
if __name__ == "__main__":
    matrix = Matrix(memoryview(array("f", range(20))), 2, 10, True)
    first = Products(SentMaker({"w": matrix}), processes=4)
    second = Products(SentMaker({"w": matrix}), processes=2)
    print(first.times("w", [1.0, 0.0]) == second.times("w", [1.0, 0.0]), flush=True)
"""
KILL = "    os.kill(os.getpid(), signal.SIGKILL)"


@posix
@pytest.mark.parametrize(
    "end, code", [(KILL, -9), ("    sys.exit(3)", 3), ("    1 / 0", 1)]
)
def test_workers_end_however_their_parent_does(end, code):
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            PARENT + end,
            str(ROOT / "examples" / "gpt2"),
            str(ROOT / "tests" / "gpt2"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
    )
    # The workers share its standard output, which ends only when the last of them does.
    try:
        out, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert out == "True\n"
    assert process.returncode == code


def test_the_file_can_be_imported_from_anywhere(tmp_path):
    code = """if True:
        import sys
        sys.path.insert(0, sys.argv[1])
        import bigmatrix
        print(bigmatrix.sumprod([2.0], [3.0]))"""
    result = subprocess.run(
        [sys.executable, "-c", code, str(ROOT / "examples" / "gpt2")],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        encoding="utf-8",
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "6.0\n", "")
