"""One integer times another can be thousands of products at once, all made in C.

Before this came `bpe.py`; next comes `model.py`, where a token takes 124 million
products, each of a weight and a number of x. `ExactProduct` makes them one by one;
`PackedProduct` leaves the loop over the outputs to Python's own integers.

In decimal. Input 0 has the weight 3 towards output 0 and 4 towards output 1, input 1
has 1 and 2. Write the weights of each input into one integer, with a field of three
digits for each output: 003004, 001002. Multiply by x = [2, 5], and add:

    >>> 3_004 * 2 + 1_002 * 5
    11018

011 is 3 * 2 + 1 * 5, and 018 is 4 * 2 + 2 * 5: two dot products from one sum, and with
3,000 fields it would be 3,000. Two things need care.

A field may be negative. 3 and -4 are 3000 - 4 = 2996: the -4 borrowed 1 from its
neighbour. The integer is still the right one, and so are all products and sums; only
reading takes care. Add 500, half of what a field holds, to every field: none is below
0 any more, so every 1 that was borrowed is back. Then take 500 off each.

    >>> 2_996 + 500_500  # 503 - 500 is 3, 496 - 500 is -4
    503496

A field may overflow. 3 and 500 would be read as 4 and -500:

    >>> 3_500 + 500_500
    504000

In binary. Our fields have 64 bits; half is 2**63, the top bit. To take it off again,
without new borrowing, flip that bit: 2**63 + y becomes y, or, if y is negative, 2**64 +
y, which is how computers store a negative y ("two's complement") and arrays read it.

Weights are no integers, so count them in units of 2**-26. A float has 53 bits, and from
2**26 to 2**27 the last of them is one unit. So a weight plus MAGIC = 1.5 * 2**26 (1.5:
in the middle, as weights may be negative) is rounded to units, and its bits, read as an
integer, are those of MAGIC plus the number of units. Read all bytes of an array of such
sums as one integer, take off MAGIC's bits in each field: that is a row.

    >>> zero, third = array("q", array("d", [MAGIC, MAGIC + 1 / 3]).tobytes())
    >>> third - zero, 2**26 / 3
    (22369621, 22369621.333333332)

The x[i] are no integers either: count them in shares, 2**32 of which are size, the sum
of all |x[i]|; or rather a few less, for shares are rounded too. So sum |shares| stays
below 2**32. With weights below 32, fields are below 2**31 in size, and no sum in a
field can reach 2**63.

How wrong may an output be? Each weight is off by half a unit at most, and each x[i] by
half a share; what rounding floats adds is 100,000 times less (up to 10,000 inputs):

    |error| <= size * 2**-27 + size * 2**-33 * sum |w[i]|

Measured with GPT-2's head, 768 inputs and 50,257 outputs: packed it is 7 times as fast
as exact in Python 3.11 and 5 times in 3.13, after packing for as long as 20 products
take, in 8.5 bytes a weight. Two processes on two cores take 0.52 of the time.

Source: Lamport, "Multiple byte processing with full-word instructions", 1975.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import sys
from array import array
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import accumulate
from operator import mul
from typing import Any, NamedTuple

# `python examples/gpt2/complete.py` works without installing anything.
sys.path.insert(0, os.path.abspath(f"{__file__}/../../.."))

from microgpt.value import sumprod

LIMIT = 32  # weights are below this in size: 5 bits before the point
UNITS = 2**26  # make 1: 26 bits after the point
MAGIC = 1.5 * 2.0**26
SHARES = 2**32  # with 5 + 26 bits, one less than 64
BLOCK = 3072  # outputs in one integer; with all 50,257, the head takes a third longer


class Matrix(NamedTuple):
    """Weights as they lie in a file, in one of two orders."""

    weights: memoryview  # flat, of format "f" or "d"
    n_in: int
    n_out: int
    in_out: bool  # (n_in, n_out): a row for each input; else (n_out, n_in)

    def of_input(self, i: int, start: int, stop: int) -> memoryview:
        """Return the weights of input i towards the outputs from start to stop."""
        if self.in_out:
            return self.weights[i * self.n_out + start : i * self.n_out + stop]
        return self.weights[start * self.n_in + i : stop * self.n_in : self.n_in]

    def of_output(self, j: int) -> memoryview:
        """Return the weights of all inputs towards output j."""
        if self.in_out:
            return self.weights[j :: self.n_out]
        return self.weights[j * self.n_in : (j + 1) * self.n_in]


def size_of(x: Sequence[float], n_in: int) -> float:
    """Return sum |x[i]|. Not finite, or not of n_in numbers: ValueError."""
    if len(x) != n_in:
        raise ValueError(f"x has {len(x)} numbers, but the matrix {n_in} inputs")
    size = sum(map(abs, x))
    if not math.isfinite(size):
        culprit = next((xi for xi in x if not math.isfinite(xi)), max(x, key=abs))
        raise ValueError(f"x holds {culprit}: its numbers and sum must be finite")
    return size


class ExactProduct:
    """The outputs from start to stop: y[j] = sum of x[i] * w[i, j] over all i."""

    def __init__(self, matrix: Matrix, start: int, stop: int) -> None:
        self.matrix, self.outputs = matrix, range(start, stop)

    def times(self, x: Sequence[float]) -> list[float]:
        """Return the outputs, reading the weights where they lie, each time again."""
        size_of(x, self.matrix.n_in)
        return [sumprod(self.matrix.of_output(j), x) for j in self.outputs]


def as_integer(fields: array[Any]) -> int:
    """Return the bytes of an array of 64-bit numbers as one integer."""
    return int.from_bytes(fields.tobytes(), sys.byteorder)


class PackedProduct:
    """The same outputs, but for rounding, from one packed row for each input.

    A weight that is not finite, or in size (rounded) not below 32: ValueError.

    >>> matrix = Matrix(memoryview(array("f", [3, 4, 1, 2])), 2, 2, in_out=True)
    >>> [round(y, 6) for y in PackedProduct(matrix, 0, 2).times([2.0, -5.0])]
    [1.0, -2.0]
    """

    def __init__(self, matrix: Matrix, start: int, stop: int) -> None:
        self.n_in, self.n_out = matrix.n_in, stop - start
        ones = as_integer(array("q", [1]) * self.n_out)  # 1 in every field
        self.halves = ones << 63
        magics = as_integer(array("d", [MAGIC]) * self.n_out)
        limits, upper_half = ones << 31, (ones << 64) - (ones << 32)
        self.rows = []
        for i in range(self.n_in):
            weights = matrix.of_input(i, start, stop)
            row = as_integer(array("d", [w + MAGIC for w in weights])) - magics
            # One look at all fields: if each is between -2**31 and 2**31, and only if,
            # no field of either sum has a bit in its upper half.
            if (limits + row) & upper_half or (limits - row) & upper_half:
                culprit = next(w for w in weights if not abs(w) + 2**-27 < LIMIT)
                raise ValueError(f"weight {culprit} is not below {LIMIT} in size")
            self.rows.append(row)

    def times(self, x: Sequence[float]) -> list[float]:
        """Return the outputs, all from one sum."""
        size = size_of(x, self.n_in)
        if size == 0:
            return [0.0] * self.n_out
        # Rounding adds 1/2 to a share at most. Were their sum to reach SHARES, a field
        # might reach 2**63, and silently change its sign.
        share_count = SHARES - self.n_in
        shares = [round(xi / size * share_count) for xi in x]
        packed = sum(map(mul, self.rows, shares))
        stored = (packed + self.halves) ^ self.halves
        fields = array("q", stored.to_bytes(8 * self.n_out, sys.byteorder))
        # Divide first, then multiply: so no x is too small or too large.
        scale = float(UNITS * share_count)  # the field of 1 * size
        return [field / scale * size for field in fields]


class Products(ExitStack):
    """All matrices of a model, their outputs dealt out to one or more processes.

    show(done, total) is told how many weights of this process's part are packed. notes
    has a line for each matrix that only ExactProduct, the slower, can hold. Too few
    processes, more than 1 where there is no fork, or one that ends: ValueError.

    >>> head = Matrix(memoryview(array("f", [3, 4, 1, 2])), 2, 2, in_out=True)
    >>> with Products({"head": head}, exact=True) as products:
    ...     products.times("head", [2.0, 5.0])
    [11.0, 18.0]
    """

    def __init__(
        self,
        matrices: dict[str, Matrix],
        exact: bool = False,
        processes: int = 1,
        show: Callable[[int, int], None] | None = None,
    ) -> None:
        super().__init__()
        if processes < 1:
            raise ValueError(f"processes is {processes}: make it 1 or more")
        if processes > 1 and not hasattr(os, "fork"):
            raise ValueError(f"processes is {processes}, but no fork here: make it 1")
        self.matrices, self.processes, self.show = matrices, processes, show
        self.part = 0  # which part of all outputs is this process's
        self.products: dict[str, list[Any]] = {}
        self.pipes: list[Any] = []  # our end of the pipe to each worker
        for part in range(1, processes):
            self._start_worker(part)
        faults: dict[str, str] = {}
        for part_faults in self._all("_make", list(matrices), exact):
            faults.update(part_faults)
        # Exact in one part, exact in all: so no output depends on the number of parts.
        self._all("_make", list(faults), True)
        self.notes = [f"{name}: {faults[name]}" for name in matrices if name in faults]

    def _start_worker(self, part: int) -> None:
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe()
        self.pipes.append(ours)
        worker = context.Process(target=self._work, args=[theirs, part], daemon=True)
        worker.start()
        theirs.close()
        # What close() will do, the last first; a worker has nothing to save.
        self.callback(worker.join)
        self.callback(worker.kill)
        self.callback(ours.close)

    def _work(self, pipe: Any, part: int) -> None:
        """Be a worker, a copy of the parent whose methods are called through a pipe."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
        # Copied, too, are the parent's ends of the pipes. Until every copy is closed,
        # nobody at the other end is told that the parent is gone.
        for copied in self.pipes:
            copied.close()
        self.part, self.show = part, None
        try:
            while True:
                method, arguments = pipe.recv()
                pipe.send(getattr(self, method)(*arguments))
        except (EOFError, OSError, MemoryError):
            pass  # the parent has ended, or will say that this process has

    def _all(self, method: str, *arguments: Any) -> list[Any]:
        """Call a method in all processes at once; return the results, by part."""
        try:
            for pipe in self.pipes:
                pipe.send((method, arguments))
            result = getattr(self, method)(*arguments)
            return [result, *[pipe.recv() for pipe in self.pipes]]
        except BaseException as error:
            self.close()  # or what is still in a pipe would be taken for later results
            if not isinstance(error, (EOFError, OSError, MemoryError)):
                raise
            advice = "use fewer --processes, or --exact"
            raise ValueError(f"a process ended (out of memory?): {advice}") from error

    def _make(self, names: list[str], exact: bool) -> dict[str, str]:
        """Make this part of the named products; return {name: why it cannot be}."""
        kind = ExactProduct if exact else PackedProduct
        blocks, sizes = [], []
        for name in names:
            self.products[name] = []
            _, n_in, n_out, _ = self.matrices[name]
            stop = n_out * (self.part + 1) // self.processes
            for start in range(n_out * self.part // self.processes, stop, BLOCK):
                end = min(start + BLOCK, stop)
                blocks.append((name, start, end))
                sizes.append(n_in * (end - start))
        faults = {}
        for (name, start, end), done in zip(blocks, accumulate(sizes)):
            try:
                self.products[name].append(kind(self.matrices[name], start, end))
            except ValueError as error:
                faults[name] = f"{error}: multiplied the exact, slower way"
            if self.show and not exact:
                self.show(done, sum(sizes))
        return faults

    def _times(self, name: str, x: array[float]) -> array[float]:
        """Return this part of the outputs."""
        floats = x.tolist()  # an array makes each number anew whenever it is read
        y = array("d")
        for product in self.products[name]:
            y.extend(product.times(floats))
        return y

    def times(self, name: str, x: list[float]) -> list[float]:
        """Return all outputs of the named matrix times x."""
        size_of(x, self.matrices[name].n_in)  # here, where its ValueError is seen
        y: list[float] = []
        for part in self._all("_times", name, array("d", x)):
            y += part
        return y
