"""One integer times another can be thousands of products at once, all made in C.

And now faster. Before this came `complete.py`, and all of GPT-2 is there; but a token
takes 124 million products, each of a weight and a number of x. `ExactProduct` makes
them one by one; `PackedProduct` leaves the loop over the outputs to Python's own
integers. `Products` shares them among several processes. Next comes `fast.py`, the
model on top of this.

In decimal. Input 0 has the weight 3 to output 0 and 4 to output 1, input 1 has 1 and 2.
Write the weights of each input into one integer, with a field of three digits for each
output, output 0 in the lowest: 004003, 002001. Multiply by x = [2, 5], and add:

    >>> 4_003 * 2 + 2_001 * 5
    18011

011 is 3 * 2 + 1 * 5, and 018 is 4 * 2 + 2 * 5: two dot products from one sum, and with
3,000 fields it would be 3,000. Two things need care.

A field may be negative. 3 in the upper field and -4 in the lower are 3000 - 4 = 2996:
the -4 borrowed 1 from its neighbour. The integer is still the right one, and so are all
products and sums; only reading takes care. Add 500, half of what a field holds, to
every field: none is below 0 any more, so every 1 that was borrowed is back. Then take
500 off each.

    >>> 2_996 + 500_500  # 503 - 500 is 3, 496 - 500 is -4
    503496

A field may overflow. 3 and 500 would be read as 4 and -500:

    >>> 3_500 + 500_500
    504000

In binary. Our fields have 64 bits; half is 2**63, the top bit. To take it off again,
without new borrowing, flip that bit: 2**63 + y becomes y, or, if y is negative, 2**64 +
y, which is how computers store a negative y ("two's complement") and arrays read it.

Weights are no integers, so count them in units of 2**-28. Dividing and rounding each
would take long, but adding one number does it. A float is 1 bit for the sign, 11 for
the exponent and 52 for the fraction. All floats from 2**24 to 2**25 have the same
exponent, and their fraction counts how many units they are above 2**24, for 2**24 /
2**52 is 2**-28. Here are MAGIC = 1.5 * 2**24, the middle of that range, and a weight
of 3 units added to it:

    sign  exponent  fraction, 52 bits
    0     2**24     1000 … 0000        MAGIC      2**51 units above 2**24
    0     2**24     1000 … 0011        MAGIC + w  2**51 + 3 units

The sum is rounded to whole units, as every float sum is rounded to its last bit. Read
the 64 bits of each as an integer: that of MAGIC + w is 3 more than that of MAGIC. (For
a negative w it is less.) So add MAGIC to all weights of an input, read all bytes of the
array of these sums as one integer, and take off MAGIC's bits in each field: that is a
row.

    >>> zero, third = array("q", array("d", [MAGIC, MAGIC + 1 / 3]).tobytes())
    >>> third - zero, 2**28 / 3
    (89478485, 89478485.33333333)

The x[i] are no integers either. Let size be the sum of all |x[i]|, and count each x[i]
in shares of size / 2**30. Signs aside, that makes 2**30 shares in all. Rounding could
make a few more, so a share is taken a little larger, and they stay below 2**30. With
weights below 32, fields are below 2**33 in size, and no sum in a field can reach 2**63.
(Why 30 of the 63 bits for the shares? Python keeps an integer in digits of 30 bits. A
count of one digit is multiplied 1.4 to 1.6 times as fast as one of two, as was
measured, and the bits that are left make the units finer.)

How wrong may an output be? Each weight is off by half a unit at most, and each x[i] by
half a share. (That a share is a little larger than size / 2**30, and that floats are
rounded, adds 100,000 times less, up to 10,000 inputs.)

    |error| <= size * 2**-29 + size * 2**-31 * sum |w[i]|

Measured with a model of the smallest GPT-2's size, in Python 3.11: a token takes a
seventh of the time that the exact way takes, after packing for as long as 14 tokens
take. With two processes a token takes 0.54 of the time that it takes with one. Nearly
all of it (85 %) is the multiplying and adding of the large integers. A weight takes 8.5
bytes: its 64 bits are 64 / 30 of Python's digits, and a digit is stored in 4 bytes.

Source: Lamport, "Multiple byte processing with full-word instructions", 1975.
"""

from __future__ import annotations

import math
import multiprocessing
import signal
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import accumulate
from multiprocessing import resource_tracker
from operator import mul
from typing import Any

from model import Matrix, check_input, size_of

from microgpt.value import sumprod

LIMIT = 32  # weights are below this in size: 5 bits before the point
UNITS = 2**28  # make 1: 28 bits after the point
MAGIC = 1.5 * 2.0**24
SHARES = 2**30  # make size: 30 bits, and 5 + 28 of a weight; the sign is the 64th
# Outputs in one integer. With all 50,257 in one, the head takes a third longer, as was
# measured: probably because a sum of 430 KB does not stay in a processor's fastest
# memory, as one of 26 KB does.
BLOCK = 3072


class ExactProduct:
    """The outputs from start to stop: y[j] = sum of x[i] * w[i, j] over all i."""

    def __init__(self, matrix: Matrix, start: int, stop: int) -> None:
        self.matrix, self.outputs = matrix, range(start, stop)

    def times(self, x: Sequence[float]) -> list[float]:
        """Return the outputs, reading the weights where they lie, each time again."""
        check_input(x, self.matrix.n_in)
        return [sumprod(self.matrix.of_output(j), x) for j in self.outputs]


def as_integer(fields: array[Any]) -> int:
    """Return the bytes of an array of 64-bit numbers as one integer.

    The first of them is the lowest field, as on all computers that `weights.py` allows.
    """
    return int.from_bytes(fields.tobytes(), "little")


def to_shares(x: Sequence[float], size: float) -> tuple[list[int], int]:
    """Return (the counts of shares, how many shares make size), size being sum |x[i]|.

    Rounding adds 1/2 to a count at most. Were the counts to add up to SHARES, a field
    might reach 2**63, and silently change its sign. So a few shares fewer make size.
    """
    share_count = SHARES - len(x)
    if size == 0:
        return [0] * len(x), share_count
    return [round(xi / size * share_count) for xi in x], share_count


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
        limits, upper_bits = ones << 33, (ones << 64) - (ones << 34)
        self.rows = []
        for i in range(self.n_in):
            weights = matrix.of_input(i, start, stop)
            row = as_integer(array("d", [w + MAGIC for w in weights])) - magics
            # Is each field between -2**33 and 2**33? Add 2**33 to all of them at once.
            # A field that is between becomes a number from 1 to 2**34 - 1, with no bit
            # among its upper 30. One of 2**33 becomes 2**34, which has such a bit. For
            # fields that are too small, subtract all of them from 2**33 likewise. (No
            # neighbour can hide the lowest field that is out of bounds: those below it
            # carry and borrow nothing.)
            if (limits + row) & upper_bits or (limits - row) & upper_bits:
                unfit = [w for w in weights if not abs(w) + 2**-29 < LIMIT]
                if not math.isfinite(unfit[0]):
                    raise ValueError(f"weight {unfit[0]} is not a finite number")
                raise ValueError(f"weight {unfit[0]} is not below {LIMIT} in size")
            self.rows.append(row)

    def times(self, x: Sequence[float]) -> list[float]:
        """Return the outputs, all from one sum."""
        size = size_of(x, self.n_in)
        shares, share_count = to_shares(x, size)
        packed = sum(map(mul, self.rows, shares))
        stored = (packed + self.halves) ^ self.halves
        fields = array("q", stored.to_bytes(8 * self.n_out, "little"))
        # A field counts units times shares: this many of them make a weight of 1 times
        # size. Divide first, then multiply: so no x is too small or too large.
        scale = float(UNITS * share_count)
        return [field / scale * size for field in fields]


class Part:
    """What one process owns: of each matrix, the products for some of its outputs."""

    def __init__(
        self, matrices: dict[str, Matrix], part: int, n_parts: int, block: int
    ) -> None:
        self.matrices, self.part, self.n_parts = matrices, part, n_parts
        self.block = block
        self.products: dict[str, list[Any]] = {}

    def outputs(self, name: str) -> list[tuple[int, int]]:
        """Return the ranges, (start, stop), of the outputs that this process owns.

        Here it is one range. In `fast.py` a part has three of c_attn's: q, k and v.
        """
        return [self.own_range(self.matrices[name].n_out)]

    def own_range(self, n: int) -> tuple[int, int]:
        """Return which of n things are this process's: (start, stop)."""
        return n * self.part // self.n_parts, n * (self.part + 1) // self.n_parts

    def prepare(
        self,
        names: list[str],
        exact: bool,
        show: Callable[[int, int], None] | None = None,
    ) -> dict[str, str]:
        """Make the products for these matrices; return {name: why it cannot be}."""
        kind = ExactProduct if exact else PackedProduct
        blocks, sizes = [], []
        for name in names:
            self.products[name] = []
            for first, stop in self.outputs(name):
                for start in range(first, stop, self.block):
                    end = min(start + self.block, stop)
                    blocks.append((name, start, end))
                    sizes.append(self.matrices[name].n_in * (end - start))
        faults = {}
        for (name, start, end), done in zip(blocks, accumulate(sizes)):
            try:
                self.products[name].append(kind(self.matrices[name], start, end))
            except ValueError as error:
                faults[name] = f"{error}: multiplied the exact, slower way"
            if show and not exact:
                show(done, sum(sizes))
        return faults

    def times(self, name: str, x: array[float]) -> array[float]:
        """Return this part of the outputs of the named matrix times x."""
        floats = x.tolist()  # an array makes each number anew whenever it is read
        y = array("d")
        for product in self.products[name]:
            y.extend(product.times(floats))
        return y


# Called with (part, n_parts), makes the Part of that number.
MakesParts = Callable[[int, int], Part]


@contextmanager
def ctrl_c_held_back() -> Iterator[None]:
    """Let a Ctrl-C wait until a block ends, and keep it from what is started there.

    A terminal sends Ctrl-C to all processes of a command. One that is just starting
    would print a traceback, before `work` could say that it is not meant. A process
    inherits what is held back, and so for a worker it is held back for ever. (Windows
    has no such thing.)
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Python's helper for "spawn" (see _start_worker) would let Ctrl-C through again, as
    # it starts.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def work(pipe: Any, maker: MakesParts, part: int, n_parts: int) -> None:
    """Be a worker: a process of its own, which makes a Part and calls its methods.

    Through the pipe come (the name of a method, its arguments), and back goes what the
    method returns, or the error that it raises.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    own_part: Any = None
    try:
        try:
            own_part = maker(part, n_parts)
        except ValueError as error:
            own_part = error  # to be told when the first question comes
        while True:
            method, arguments = pipe.recv()
            try:
                if isinstance(own_part, ValueError):
                    raise own_part
                pipe.send(getattr(own_part, method)(*arguments))
            except (ValueError, OverflowError) as error:
                pipe.send(error)
    except (EOFError, OSError, MemoryError, KeyboardInterrupt):
        pass  # the parent has ended, or will say that this process has


class PartMaker:
    """Makes a `Part` of these matrices, in this process alone.

    A worker is sent its maker, and a memoryview, such as a Matrix has, cannot be sent.
    Nor should it be copied. So `fast.py` has a maker that holds only the folder's name,
    and each process maps the file anew, which takes no further memory.
    """

    def __init__(self, matrices: dict[str, Matrix], block: int = BLOCK) -> None:
        self.matrices, self.block = matrices, block

    def __call__(self, part: int, n_parts: int) -> Part:
        return Part(self.matrices, part, n_parts, self.block)


class Products(ExitStack):
    """All matrices of a model, their outputs dealt out to one or more processes.

    Each process calls maker(part, n_parts) once, and owns the Part that it makes.
    show(done, total) is told how many weights of this process's part are packed. notes
    has a line for each matrix that only ExactProduct, the slower, can hold. Too few
    processes, or one that ends: ValueError.

    >>> head = Matrix(memoryview(array("f", [3, 4, 1, 2])), 2, 2, in_out=True)
    >>> with Products(PartMaker({"head": head}), exact=True) as products:
    ...     products.times("head", [2.0, 5.0])
    [11.0, 18.0]
    """

    def __init__(
        self,
        maker: MakesParts,
        exact: bool = False,
        processes: int = 1,
        show: Callable[[int, int], None] | None = None,
    ) -> None:
        super().__init__()
        if processes < 1:
            raise ValueError(f"processes is {processes}: make it 1 or more")
        self.pipes: list[Any] = []  # our end of the pipe to each worker
        try:
            for part in range(1, processes):
                self._start_worker(maker, part, processes)
            self.own_part = maker(0, processes)
            matrices = self.own_part.matrices
            faults: dict[str, str] = {}
            for part_faults in self.all("prepare", list(matrices), exact, show=show):
                faults.update(part_faults)
            # Exact in one part, exact in all: no output depends on the number of parts.
            self.all("prepare", list(faults), True)
        except BaseException:
            self.close()
            raise
        self.notes = [f"{name}: {faults[name]}" for name in matrices if name in faults]

    def _start_worker(self, maker: MakesParts, part: int, processes: int) -> None:
        # "spawn" starts a new Python, on every system and whatever threads this process
        # has. "fork", a copy of this process, would be quicker to start by a moment,
        # but Windows has none, and a copy of locks that threads hold can wait for ever.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        worker = context.Process(
            target=work, args=[theirs, maker, part, processes], daemon=True
        )
        with ctrl_c_held_back():
            worker.start()
            theirs.close()
            self.pipes.append(ours)
            # What close() will do, the last first; a worker has nothing to save.
            self.callback(worker.join)
            self.callback(worker.kill)
            self.callback(ours.close)

    def all(self, method: str, *arguments: Any, **own_arguments: Any) -> list[Any]:
        """Call a method of all parts at once; return the results, in order.

        The workers are sent their arguments before this process begins with its own
        part. own_arguments are for that part only.
        """
        try:
            for pipe in self.pipes:
                pipe.send((method, arguments))
            result = getattr(self.own_part, method)(*arguments, **own_arguments)
            results = [result, *[pipe.recv() for pipe in self.pipes]]
            for result in results:
                if isinstance(result, Exception):
                    raise result
            return results
        except BaseException as error:
            self.close()  # or what is still in a pipe would be taken for later results
            if not isinstance(error, (EOFError, OSError, MemoryError)):
                raise
            if isinstance(error, MemoryError) and not self.pipes:
                raise ValueError("not enough memory: use --exact") from error
            advice = "use fewer --processes, or --exact"
            raise ValueError(f"a process ended (out of memory?): {advice}") from error

    def together(self, method: str, *arguments: Any) -> list[float]:
        """Call a method of all parts at once, and return their numbers in one list."""
        numbers: list[float] = []
        for part in self.all(method, *arguments):
            numbers += part
        return numbers

    def times(self, name: str, x: list[float]) -> list[float]:
        """Return all outputs of the named matrix times x."""
        # Before anything is sent, for an error within `all` ends the processes.
        check_input(x, self.own_part.matrices[name].n_in)
        return self.together("times", name, array("d", x))
