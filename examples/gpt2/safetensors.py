"""A model on disk is a list of names and one long run of numbers, and nothing else.

Before this came models of a few thousand numbers, saved as text. The smallest GPT-2 has
124 million: half a gigabyte at 4 bytes each, 4 gigabytes as a list of Python floats. So
its file, in the format safetensors, is mapped: the operating system lets us see it as
memory, and fetches a part of it from the disk when we look there. Next comes `bpe.py`,
which turns text into the numbers that the model reads.

A file with two tensors, b of 2 numbers and w of 2 rows of 3. (A tensor is a block of
numbers with a shape: any number of dimensions, or none, which makes it one number.)

    byte 0    8                 8 + n            8 + n + 8             8 + n + 32
         +----+-----------------+----------------+---------------------+
         | n  | header, n bytes | b, 2 numbers   | w, 6 numbers        |
         +----+-----------------+----------------+---------------------+
                  data_offsets: 0                8                     32

>>> header = b'''{"b": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
...               "w": {"dtype": "F32", "shape": [2, 3], "data_offsets": [8, 32]}}'''
>>> data = struct.pack("<8f", 0.5, -0.5, 1, 2, 3, 4, 5, 6)
>>> import tempfile
>>> with tempfile.NamedTemporaryFile() as file:
...     n_written = file.write(struct.pack("<Q", len(header)) + header + data)
...     file.flush()
...     tensors = read_safetensors(file.name)
>>> tensors["w"].shape, tensors["w"].floats().tolist()
((2, 3), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])

The header is JSON; n and the numbers are little-endian, the lowest byte first.
Source: Hugging Face, safetensors, the section "Format" of its README.
"""

from __future__ import annotations

import json
import mmap
import reprlib
import struct
import sys
from array import array
from typing import Any, NamedTuple

MAX_HEADER = 100_000_000  # bytes: the format's own limit

# Each dtype, and what memoryview and struct call such numbers. F is for float, I for
# integer, U for one without sign, the digits for its bits; BF16 is half of an F32.
# memoryview has no float of 16 bits or fewer: it shows the bits as an integer.
# fmt: off
FORMATS = {
    "F64": "d", "F32": "f", "F16": "H", "BF16": "H",
    # No weights, but a file may have them too, such as masks of BOOL or U8.
    "I64": "q", "I32": "i", "I16": "h", "I8": "b", "BOOL": "?",
    "U64": "Q", "U32": "I", "U16": "H", "U8": "B",
    "F8_E4M3": "B", "F8_E5M2": "B", "F8_E8M0": "B",
}
# fmt: on
FLOATS = "F32, F64, F16 and BF16"  # those that floats() can read

# Shortens what a damaged header may have made a million characters long.
brief = reprlib.Repr()
brief.maxstring = 60
brief.maxlevel = 2


class Tensor(NamedTuple):
    """A block of numbers in a file; with shape (2, 3), it is 2 rows of 3."""

    dtype: str  # "F32": floats of 32 bits
    shape: tuple[int, ...]
    stored: memoryview  # the numbers row after row, as they lie in the file: not copied

    def floats(self) -> memoryview:
        """Return the numbers row after row, as floats.

        F32 and F64 are the mapped file itself. F16 and BF16 are copied into floats of
        32 bits, which hold each of them without rounding. Another dtype: ValueError.
        """
        if self.dtype in ("F32", "F64"):
            return self.stored
        widened = memoryview(bytearray(4 * len(self.stored)))
        if self.dtype == "BF16":
            # It is the upper half, the second one in the file; the lower stays 0.
            halves = widened.cast("H")
            halves[1::2] = self.stored
            return widened.cast("f")
        if self.dtype == "F16":
            floats = widened.cast("f")
            # In pieces, for unpack makes Python floats, at 32 bytes each.
            for start in range(0, len(floats), 4096):
                bits = self.stored[start : start + 4096]
                piece = struct.unpack(f"<{len(bits)}e", bits)
                floats[start : start + 4096] = array("f", piece)
            return floats
        raise ValueError(f"dtype {self.dtype} is not for weights: {FLOATS} are")


def read_safetensors(path: str) -> dict[str, Tensor]:
    """Map the file at path into memory, and return its tensors by name.

    The file may be cut short, or forged: all that its header says is checked before it
    is believed. Any fault: ValueError, in one line. (As long as its tensors are in use,
    a file may be deleted or replaced, but not written to or cut short.)
    """
    if sys.byteorder != "little":
        raise ValueError(f"{path} is little-endian, but this computer is not")
    try:
        with open(path, "rb") as file:
            if len(file.read(8)) < 8:
                raise ValueError("it is empty, or ends within its first 8 bytes")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return _tensors(memoryview(mapped))
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{path} is no good safetensors file: {error}") from None


# The rest is distrust: each thing that a header can say is compared with the file.


def _tensors(file: memoryview) -> dict[str, Tensor]:
    """Return the tensors of a mapped file, or say what is wrong with it."""
    n = int.from_bytes(file[:8], "little")
    if n > len(file) - 8:
        raise ValueError(
            f"its header should have {n} bytes, but only {len(file) - 8} are there: "
            "it is cut short, or of another format"
        )
    if n > MAX_HEADER:
        raise ValueError(f"its header has {n} bytes: {MAX_HEADER} are allowed")
    header = _parse(file[8 : 8 + n])
    header.pop("__metadata__", None)  # remarks by whoever wrote the file
    data = file[8 + n :]

    entries = {}
    for name, entry in header.items():
        try:
            entries[name] = _checked(entry)
        except ValueError as error:
            raise ValueError(f"tensor {brief.repr(name)}: {error}") from None

    # Each tensor begins where the one before it ends, and the last ends with the file.
    covered = 0
    for name in sorted(entries, key=lambda name: entries[name]):
        start, end, _, _ = entries[name]
        if start != covered:
            fault = "a hole" if start > covered else "an overlap"
            raise ValueError(
                f"tensor {brief.repr(name)} begins at byte {start} of the data, but "
                f"those before it end at {covered}: {fault}"
            )
        covered = end
    if covered != len(data):
        raise ValueError(
            f"its tensors have {covered} bytes, but {len(data)} follow the header: "
            "it is cut short, or has something added"
        )
    return {
        name: Tensor(dtype, shape, data[start:end].cast(FORMATS[dtype]))
        for name, (start, end, dtype, shape) in entries.items()
    }


def _parse(header: memoryview) -> dict[str, Any]:
    """Return the header as an object; what is in it is still to be checked."""
    try:
        text = bytes(header).decode("utf-8")
        content = json.loads(text, object_pairs_hook=_unique, parse_int=_short_int)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"its header is not JSON in UTF-8: {error}") from None
    if type(content) is not dict:
        raise ValueError("its header is JSON, but not an object: {…}")
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Of two values with one name, json by itself would keep the last, and say nothing.
    content = {}
    for name, value in pairs:
        if name in content:
            raise ValueError(f"its header has {brief.repr(name)} twice")
        content[name] = value
    return content


def _short_int(digits: str) -> int:
    # The format's largest, 2 ** 64, has 20 digits. A million would take very long.
    if len(digits) > 20:
        raise ValueError(f"its header has a number of {len(digits)} digits")
    return int(digits)


def _checked(entry: Any) -> tuple[int, int, str, tuple[int, ...]]:
    """Return the start, end, dtype and shape in the header's entry for one tensor."""
    if type(entry) is not dict or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError("it must have dtype, shape, data_offsets, and nothing else")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if type(dtype) is not str or dtype not in FORMATS:
        raise ValueError(f"dtype {brief.repr(dtype)} is unknown: {FLOATS} can be read")
    if not (_is_counts(shape) and _is_counts(offsets) and len(offsets) == 2):
        raise ValueError(
            f"shape {brief.repr(shape)} and data_offsets {brief.repr(offsets)} must be "
            "lists of whole numbers from 0 up, and data_offsets of two"
        )
    start, end = offsets
    n_bytes = struct.calcsize(FORMATS[dtype])
    for size in shape:
        # No file has 2 ** 64 bytes. A long enough shape would make an endless number.
        n_bytes = min(n_bytes * size, 2**64)
    if n_bytes != end - start:
        raise ValueError(
            f"{dtype} of shape {brief.repr(shape)} takes {n_bytes} bytes, but "
            f"data_offsets {offsets} make it {end - start}"
        )
    return start, end, dtype, tuple(shape)


def _is_counts(numbers: Any) -> bool:
    # By type(), because isinstance(True, int) is true.
    return type(numbers) is list and all(type(n) is int and n >= 0 for n in numbers)
