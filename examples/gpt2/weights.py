"""A model on disk is a list of names and one long run of numbers, and nothing else.

Before this came models of a few thousand numbers, saved as text. The smallest GPT-2 has
124 million: half a gigabyte at 4 bytes each, 4 gigabytes as a list of Python floats. So
its file, in the format safetensors, is mapped: the operating system lets us see it as
memory, and fetches a part of it from the disk when we look there. Next comes
`plain_bpe.py`, which turns text into tokens, the numbers that a model reads.

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
`write_safetensors`, at the end, makes such a file; examples/pytorch uses it.
Source: Hugging Face, safetensors, the section "Format" of its README.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import re
import reprlib
import stat
import struct
import sys
from array import array
from collections.abc import Mapping
from typing import Any, NamedTuple

# `python examples/gpt2/complete.py` works without installing anything.
sys.path.insert(0, os.path.abspath(f"{__file__}/../../.."))

from microgpt.tools.files import replace_file

# A model's weights are in the first of these, or else the second says in which files.
WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
MAX_HEADER = 100_000_000  # bytes: the format's own limit

# Each dtype, and what memoryview and struct call such numbers. F is for float, I for
# integer, U for one without sign, the digits for its bits; BF16 is half of an F32.
# Before Python 3.12, memoryview knew no F16, and it has never known BF16 or F8. It
# shows us their bits as an integer, and floats() makes numbers of F16 and BF16.
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
    stored: memoryview[Any]  # the numbers row after row, where they lie in the file

    def floats(self) -> memoryview[Any]:
        """Return the numbers row after row, as floats.

        F32 and F64 are the mapped file itself. F16 and BF16 are copied into floats of
        32 bits, which hold each of them without rounding. Another dtype: ValueError.
        """
        if self.dtype in ("F32", "F64"):
            return self.stored
        widened: memoryview[Any] = memoryview(bytearray(4 * len(self.stored)))
        if self.dtype == "BF16":
            # A BF16 is the upper half of an F32. Little-endian memory has the lower
            # half first, and it stays 0; the upper one is second.
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
    is believed. Any fault: ValueError, in one line.

    As long as its tensors are in use, the file may be deleted or replaced by another:
    the system keeps the old one until nobody looks at it any more. But nobody may write
    into it, since the weights would change while the model computes, and nobody may cut
    it short, since the system ends a process that looks at memory beyond the end.
    """
    if sys.byteorder != "little":
        raise ValueError(f"{path} is little-endian, but this computer is not")
    beginning = b""
    try:
        # Only the beginning is read: 8 bytes for n, and some more by which `what_else`
        # can tell what was saved by mistake. A buffer would read on for nothing.
        with open(path, "rb", buffering=0) as file:
            beginning = file.read(64)
            if len(beginning) < 8:
                raise ValueError("it is empty, or ends within its first 8 bytes")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return _tensors(memoryview(mapped))
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        other = what_else(beginning)
        if other:
            raise ValueError(f"{path} is {other}") from None
        raise ValueError(f"{path} is no good safetensors file: {error}") from None


def weights_name(folder: str) -> str:
    """Return the name of the file that tells where a model's weights are.

    That is the index if only the index is there, and else the file with all of them.
    """
    whole, index = os.path.join(folder, WHOLE), os.path.join(folder, INDEX)
    return INDEX if os.path.exists(index) and not os.path.exists(whole) else WHOLE


def read_weights(folder: str) -> dict[str, Tensor]:
    """Return all tensors of the model in a folder, from one file or from several.

    A large model may be cut into several files, called shards. Then the index says in
    which of them each tensor is. A shard or a tensor that is missing, and any other
    fault: ValueError.
    """
    if weights_name(folder) == WHOLE:
        return read_safetensors(os.path.join(folder, WHOLE))
    index = os.path.join(folder, INDEX)
    content = read_json(index)
    weight_map = content.get("weight_map") if type(content) is dict else None
    if type(weight_map) is not dict or not weight_map:
        raise ValueError(f"{index} has no weight_map: it does not say what is where")
    shards: dict[str, dict[str, Tensor]] = {}
    tensors = {}
    for name, shard in weight_map.items():
        # A path that leads out of the folder could make us read any file.
        if type(shard) is not str or not re.fullmatch(r"[\w-][\w.-]{0,250}", shard):
            raise ValueError(f"{index}: {brief.repr(shard)} is not the name of a file")
        if shard not in shards:
            shards[shard] = read_safetensors(os.path.join(folder, shard))
        if name not in shards[shard]:
            raise ValueError(
                f"{os.path.join(folder, shard)} has no tensor {brief.repr(name)}, "
                "which the index says is there: take all files from the same place"
            )
        tensors[name] = shards[shard][name]
    return tensors


def read_json(path: str) -> Any:
    """Return what a JSON file holds; a file that is none: ValueError, in one line."""
    text = read_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is not JSON, or is cut short: {_escaped(error)}"
        ) from None


def _escaped(error: Exception) -> str:
    """Return what an error says, with escapes for what a terminal would act on."""
    # (PyPy quotes the character that is wrong as it is, be it a NUL.)
    return str(error).encode("unicode_escape").decode("ascii")


def read_text(path: str) -> str:
    """Return the text of a UTF-8 file, without the mark that some editors begin with.

    A file that cannot be read, or is something else: ValueError, in one line.
    """
    try:
        with open(path, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ValueError(f"cannot read {path}: it is no ordinary file")
            content = file.read()
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    other = what_else(content[:64])
    if other:
        raise ValueError(f"{path} is {other}")
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}, line {line} is not UTF-8 text") from None


def what_else(beginning: bytes) -> str | None:
    """Say what a file with this beginning is, if it is one often saved by mistake.

    >>> what_else(b"PK\\3\\4")[:13]
    'a zip archive'
    """
    text = beginning.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"version https://git-lfs"):
        return (
            "a git-LFS pointer, the note that stands for a large file in a git "
            "repository: run `git lfs pull` there, or download the file itself"
        )
    if re.match(rb"<[!?A-Za-z]", text) and b"\0" not in beginning:
        return (
            "a web page, perhaps a message that a download failed: download the "
            "file itself, by the link that says raw or download"
        )
    if beginning.startswith(b"PK\3\4"):
        return (
            "a zip archive, such as PyTorch's pytorch_model.bin: unpack it, or take "
            "the file model.safetensors of the same model"
        )
    if beginning.startswith(b"\x1f\x8b"):
        return "compressed with gzip: unpack it first"
    return None


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
    # The format forbids a hole as well as an overlap: no program looks at the bytes in
    # a hole, so they could be anything, such as a second file of another kind.
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
    tensors = {}
    for name, (start, end, dtype, shape) in entries.items():
        number_format: Any = FORMATS[dtype]
        stored = data[start:end].cast(number_format)
        tensors[name] = Tensor(dtype, shape, stored)
    return tensors


def _parse(header: memoryview) -> dict[str, Any]:
    """Return the header as an object; what is in it is still to be checked."""
    try:
        text = bytes(header).decode("utf-8")
        content = json.loads(text, object_pairs_hook=_unique, parse_int=_short_int)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(
            f"its header is not JSON in UTF-8: {_escaped(error)}"
        ) from None
    if type(content) is not dict:
        raise ValueError("its header is JSON, but not an object: {…}")
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object's names and values as a dict. A name twice: ValueError.

    By itself, json would keep the last of the two values, and say nothing.
    """
    content = {}
    for name, value in pairs:
        if name in content:
            raise ValueError(f"its header has {brief.repr(name)} twice")
        content[name] = value
    return content


def _short_int(digits: str) -> int:
    """Return the integer in a JSON text. One of more than 20 digits: ValueError.

    The format's largest, 2 ** 64, has 20. To read a million digits takes very long.
    """
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


# Writing: GPT-2 itself does not need it, but examples/pytorch saves its models so.


def write_safetensors(path: str, tensors: Mapping[str, Tensor]) -> None:
    """Write the tensors to a file at path, whole or not at all.

    What was read can be written again, and numbers of your own, too: here two floats of
    64 bits.

    >>> import tempfile
    >>> w = Tensor("F64", (2,), memoryview(array("d", [0.5, -2.0])))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     write_safetensors(path, {"w": w})
    ...     read_safetensors(path)["w"].floats().tolist()
    [0.5, -2.0]

    The whole content is put together in memory first. A tensor whose shape does not fit
    its numbers, or whose dtype is not theirs: ValueError, and what was at path is still
    there.
    """
    if sys.byteorder != "little":
        raise ValueError("the format is little-endian, but this computer is not")
    for name, tensor in tensors.items():
        _check_writable(name, tensor)
    header = {}
    end = 0
    # The format asks for no order. But a processor reads a number of 8 bytes fastest
    # where it begins at a multiple of 8, and one of 4 bytes at a multiple of 4. So the
    # widest numbers come first, and the header is filled up to a multiple of 8.
    ordered = sorted(tensors, key=lambda name: -tensors[name].stored.itemsize)
    for name in ordered:
        start, end = end, end + tensors[name].stored.nbytes
        header[name] = {
            "dtype": tensors[name].dtype,
            "shape": list(tensors[name].shape),
            "data_offsets": [start, end],
        }
    header_bytes = json.dumps(header).encode("ascii")
    header_bytes += b" " * (-len(header_bytes) % 8)  # the format allows spaces here
    if len(header_bytes) > MAX_HEADER:
        raise ValueError(
            f"the header would have {len(header_bytes)} bytes: {MAX_HEADER} are allowed"
        )
    data = [tensors[name].stored for name in ordered]
    replace_file(
        path, b"".join([struct.pack("<Q", len(header_bytes)), header_bytes, *data])
    )


def _check_writable(name: str, tensor: Tensor) -> None:
    """Raise a ValueError if this tensor could not be read again as it is."""
    if name == "__metadata__":
        raise ValueError("no tensor can be called __metadata__: the format uses it")
    dtype, shape, stored = tensor
    if dtype not in FORMATS:
        raise ValueError(
            f"tensor {brief.repr(name)}: dtype {brief.repr(dtype)} is unknown"
        )
    if stored.format != FORMATS[dtype]:
        raise ValueError(
            f"tensor {brief.repr(name)}: numbers of format {stored.format!r} are not "
            f"{dtype}, which is {FORMATS[dtype]!r}"
        )
    if (
        not _is_counts(list(shape))
        or math.prod(shape) != stored.nbytes // stored.itemsize
    ):
        raise ValueError(
            f"tensor {brief.repr(name)}: shape {brief.repr(shape)} does not fit its "
            f"{stored.nbytes // stored.itemsize} numbers"
        )
