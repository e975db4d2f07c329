"""Reading safetensors files: every number as it is, and no header believed."""

from __future__ import annotations

import copy
import doctest
import json
import math
import os
import random
import struct
import sys
import time
from array import array

import pytest
import weights
from gpt2_support import ROOT
from weights import read_safetensors


def lay_out(header, data=b""):
    """Return a file as the format describes it; header: text, bytes or an object."""
    if not isinstance(header, (str, bytes)):
        header = json.dumps(header)
    if isinstance(header, str):
        header = header.encode("utf-8")
    return struct.pack("<Q", len(header)) + header + data


def entry(shape, start, end, dtype="F32", **other):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end], **other}


def write(folder, content, name="model.safetensors"):
    path = folder / name
    path.write_bytes(content)
    return str(path)


def read(folder, header, data=b""):
    return read_safetensors(write(folder, lay_out(header, data)))


def refusal(path):
    """Return the one line that says what is wrong with the file at path."""
    with pytest.raises(ValueError) as caught:
        read_safetensors(path)
    line = str(caught.value)
    assert caught.type is ValueError
    assert path in line
    assert line.isprintable()  # so one line, with no NUL or half a character in it
    assert len(line) < 500 + len(path)
    return line


# What is read


def test_the_module_is_ours_and_its_example_is_true():
    assert weights.__file__ == str(ROOT / "examples" / "gpt2" / "weights.py")
    result = doctest.testmod(weights)
    assert result.attempted >= 5
    assert result.failed == 0


def test_gpt2_has_as_many_numbers_as_the_docstring_says():
    # From its config: vocab_size 50257, n_positions 1024, n_embd 768, 12 layers.
    width = 768
    layer_norm = 2 * width
    attention = width * 3 * width + 3 * width + width * width + width
    mlp = width * 4 * width + 4 * width + 4 * width * width + width
    n = (50257 + 1024) * width + 12 * (2 * layer_norm + attention + mlp) + layer_norm
    assert round(n / 1e6) == 124
    assert round(4 * n / 1e9, 1) == 0.5
    in_a_list = struct.calcsize("P") + struct.calcsize("Pnd")  # pointer; type, count, x
    assert round(in_a_list * n / 1e9) == 4


def test_a_file_laid_out_by_hand_gives_its_names_shapes_and_numbers(tmp_path):
    header = {"w": entry([2, 3], 4, 28), "b": entry([1], 0, 4)}
    tensors = read(tmp_path, header, struct.pack("<7f", 9, 1, 2, 3, 4, 5, 6.5))
    assert list(tensors) == ["w", "b"]  # in the header's order, not in the data's
    dtype, shape, stored = tensors["w"]
    assert (dtype, shape) == ("F32", (2, 3))
    assert stored.tolist() == [1, 2, 3, 4, 5, 6.5]
    assert tensors["b"].floats().tolist() == [9]


# Written by safetensors 0.8.0 with torch 2.13.0:
#   safetensors.torch.save({
#       "wte.weight": torch.tensor([[0.5, -1.0, 2.5], [0.1, 3.0, -0.0]]),
#       "f64": torch.tensor([0.1], dtype=torch.float64),
#       "f16": torch.tensor([1.5, -65504.0, 6e-8], dtype=torch.float16),
#       "bf16": torch.tensor([0.1, -2.0], dtype=torch.bfloat16),
#       "scalar": torch.tensor(7.0),
#       "empty": torch.zeros(0, 3),
#       "h.0.attn.bias": torch.tensor([[True, False], [True, True]]),
#   }, metadata={"format": "pt"})
GOLDEN = (
    b'\xc8\x01\x00\x00\x00\x00\x00\x00{"__metadata__":{"format":"pt"},'
    b'"f64":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},'
    b'"empty":{"dtype":"F32","shape":[0,3],"data_offsets":[8,8]},'
    b'"scalar":{"dtype":"F32","shape":[],"data_offsets":[8,12]},'
    b'"wte.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[12,36]},'
    b'"bf16":{"dtype":"BF16","shape":[2],"data_offsets":[36,40]},'
    b'"f16":{"dtype":"F16","shape":[3],"data_offsets":[40,46]},'
    b'"h.0.attn.bias":{"dtype":"BOOL","shape":[2,2],"data_offsets":[46,50]}}'
    b"\x9a\x99\x99\x99\x99\x99\xb9?\x00\x00\xe0@\x00\x00\x00?\x00\x00\x80\xbf"
    b"\x00\x00 @\xcd\xcc\xcc=\x00\x00@@\x00\x00\x00\x80\xcd=\x00\xc0\x00>\xff\xfb"
    b"\x01\x00\x01\x00\x01\x01"
)


def test_a_file_of_the_package_safetensors_is_read_as_it_was_meant(tmp_path):
    tensors = read_safetensors(write(tmp_path, GOLDEN))
    floats = {
        name: (tensor.dtype, tensor.shape, tensor.floats().tolist())
        for name, tensor in tensors.items()
        if name != "h.0.attn.bias"
    }
    assert floats == {
        "f64": ("F64", (1,), [0.1]),
        "empty": ("F32", (0, 3), []),
        "scalar": ("F32", (), [7.0]),
        # The float of 32 bits that is nearest to 0.1 is 13421773 / 2 ** 27.
        "wte.weight": ("F32", (2, 3), [0.5, -1.0, 2.5, 13421773 / 2**27, 3.0, -0.0]),
        # With 8 bits, as BF16 has, 205 / 2 ** 11; of F16, 2 ** -24 is the smallest.
        "bf16": ("BF16", (2,), [205 / 2**11, -2.0]),
        "f16": ("F16", (3,), [1.5, -65504.0, 2.0**-24]),
    }
    assert math.copysign(1, tensors["wte.weight"].floats()[5]) == -1
    mask = tensors["h.0.attn.bias"]
    assert (mask.dtype, mask.shape) == ("BOOL", (2, 2))
    assert mask.stored.tolist() == [True, False, True, True]


def test_a_tensor_of_no_floats_keeps_none_of_the_others_from_being_read(tmp_path):
    header = {"mask": entry([3], 0, 3, "U8"), "w": entry([1], 3, 7)}
    tensors = read(tmp_path, header, b"\1\0\1" + struct.pack("<f", 2.5))
    assert tensors["w"].floats().tolist() == [2.5]
    assert tensors["mask"].stored.tolist() == [1, 0, 1]
    with pytest.raises(ValueError, match=r"U8 .*F32, F64, F16 and BF16"):
        tensors["mask"].floats()


# dtype, bytes each: all of one byte or more that the format has, but for C64
SIZES = [
    ("BOOL", 1), ("U8", 1), ("I8", 1), ("F8_E5M2", 1), ("F8_E4M3", 1), ("F8_E8M0", 1),
    ("I16", 2), ("U16", 2), ("F16", 2), ("BF16", 2), ("I32", 4), ("U32", 4), ("F32", 4),
    ("F64", 8), ("I64", 8), ("U64", 8),
]  # fmt: skip


@pytest.mark.parametrize(("dtype", "size"), SIZES)
def test_every_dtype_has_its_size(dtype, size, tmp_path):
    header = {"t": entry([3, 2], 0, 6 * size, dtype)}
    tensor = read(tmp_path, header, bytes(6 * size))["t"]
    assert (tensor.dtype, tensor.shape) == (dtype, (3, 2))
    assert tensor.stored.tolist() == [0] * 6
    for wrong in (0, 6 * size - 1, 6 * size + 1, 12 * size):
        path = write(tmp_path, lay_out({"t": entry([3, 2], 0, wrong, dtype)}), "wrong")
        assert f"takes {6 * size} bytes, but data_offsets [0, {wrong}]" in refusal(path)


@pytest.mark.parametrize("bits", [8, 16, 32, 64])
def test_whole_numbers_have_their_sign(bits, tmp_path):
    size = bits // 8
    header = {
        "signed": entry([1], 0, size, f"I{bits}"),
        "unsigned": entry([1], size, 2 * size, f"U{bits}"),
    }
    tensors = read(tmp_path, header, b"\xff" * 2 * size)
    assert tensors["signed"].stored.tolist() == [-1]
    assert tensors["unsigned"].stored.tolist() == [2**bits - 1]


@pytest.mark.parametrize("shape", [[0], [0, 3], [3, 0], [2**63, 2**63, 0], [0] * 50])
def test_a_zero_in_the_shape_is_no_numbers(shape, tmp_path):
    for dtype in ("F32", "F64", "F16", "BF16"):
        header = {"a": entry(shape, 0, 0, dtype), "b": entry([1], 0, 4)}
        header["z"] = entry(shape, 4, 4, dtype)
        tensors = read(tmp_path, header, struct.pack("<f", 1.5))
        for name in ("a", "z"):
            assert tensors[name].shape == tuple(shape)
            assert tensors[name].floats().tolist() == []
        assert tensors["b"].floats().tolist() == [1.5]


def test_no_shape_at_all_is_one_number(tmp_path):
    tensors = read(tmp_path, {"a": entry([], 0, 8, "F64")}, struct.pack("<d", 0.1))
    assert tensors["a"].shape == ()
    assert tensors["a"].floats().tolist() == [0.1]


@pytest.mark.parametrize("header", [
    '{}', '{"__metadata__": {}}', '{"__metadata__": {"a": "b"}}', '{}' + " " * 9,
])  # fmt: skip
def test_a_file_may_have_no_tensors(header, tmp_path):
    assert read(tmp_path, header) == {}


def test_names_may_be_of_any_letters(tmp_path):
    header = {"": entry([1], 0, 4), "é\n\0🙂": entry([1], 4, 8)}
    for text in (json.dumps(header), json.dumps(header, ensure_ascii=False)):
        tensors = read(tmp_path, text, struct.pack("<2f", 1, 2))
        assert tensors["é\n\0🙂"].floats().tolist() == [2]
        assert tensors[""].floats().tolist() == [1]


# The numbers


def test_the_data_may_begin_at_any_byte(tmp_path):
    numbers = [0.5, -2.0, 3.0, 1.5, -7.0]
    for dtype, form, size in [("F32", "f", 4), ("F64", "d", 8), ("F16", "e", 2)]:
        header = json.dumps({"w": entry([5], 0, 5 * size, dtype)})
        for n_spaces in range(8):
            data = struct.pack(f"<5{form}", *numbers)
            content = lay_out(header + " " * n_spaces, data)
            path = write(tmp_path, content, f"{dtype}{n_spaces}")
            floats = read_safetensors(path)["w"].floats()
            assert floats.tolist() == numbers
            assert floats[1] == -2.0
            assert floats[1::2].tolist() == [-2.0, 1.5]  # as a column of a matrix
            assert list(floats[3:]) == [1.5, -7.0]


EVERY_16_BITS = struct.pack("<65536H", *range(65536))


def f16(bits):
    """Return the F16 of these bits: a sign, 5 bits of exponent, 10 of fraction."""
    sign = -1.0 if bits >> 15 else 1.0
    exponent, fraction = bits >> 10 & 31, bits & 1023
    if exponent == 31:
        return math.nan if fraction else sign * math.inf
    if exponent == 0:
        return sign * fraction / 1024 * 2.0**-14
    return sign * (1 + fraction / 1024) * 2.0 ** (exponent - 15)


def test_every_f16_is_converted_without_rounding(tmp_path):
    header = {"w": entry([256, 256], 0, 131072, "F16")}
    tensor = read(tmp_path, header, EVERY_16_BITS)["w"]
    assert tensor.stored.tolist() == list(range(65536))
    floats = tensor.floats()
    assert (floats.format, floats.nbytes) == ("f", 4 * 65536)
    by_struct = [number for (number,) in struct.iter_unpack("<e", EVERY_16_BITS)]
    by_hand = [f16(bits) for bits in range(65536)]
    # As text, -0.0 differs from 0.0, and nan is like nan.
    assert list(map(repr, floats)) == list(map(repr, by_struct))
    assert list(map(repr, floats)) == list(map(repr, by_hand))


def test_every_bf16_is_the_upper_half_of_a_float(tmp_path):
    header = {"w": entry([65536], 0, 131072, "BF16")}
    tensor = read(tmp_path, header, EVERY_16_BITS)["w"]
    assert tensor.stored.tolist() == list(range(65536))
    floats = tensor.floats()
    by_hand = b"".join(struct.pack("<HH", 0, bits) for bits in range(65536))
    assert floats.format == "f"
    assert bytes(floats) == by_hand  # every bit, nans included
    by_struct = [number for (number,) in struct.iter_unpack("<f", by_hand)]
    assert list(map(repr, floats)) == list(map(repr, by_struct))
    # 1 is 0x3f80, and 0x0001 is the least above 0: 2 ** -133.
    assert (floats[0x3F80], floats[1], floats[0xFF80]) == (1.0, 2.0**-133, -math.inf)


@pytest.mark.parametrize("n", [1, 4095, 4096, 4097, 10_000])
def test_a_long_f16_tensor_keeps_its_order(n, tmp_path):
    numbers = [float(i % 2001 - 1000) for i in range(n)]
    data = struct.pack(f"<{n}e", *numbers)
    tensor = read(tmp_path, {"w": entry([n], 0, 2 * n, "F16")}, data)["w"]
    assert tensor.floats().tolist() == numbers


# Nothing is copied


def test_a_tensor_is_the_file_itself(tmp_path):
    content = lay_out({"w": entry([2], 0, 8)}, struct.pack("<2f", 1, 2))
    path = write(tmp_path, content)
    tensor = read_safetensors(path)["w"]
    assert tensor.floats() is tensor.stored
    with open(path, "r+b") as file:
        file.seek(len(content) - 4)
        file.write(struct.pack("<f", 5))
    assert tensor.floats().tolist() == [1, 5]


def test_a_tensor_cannot_be_written_to(tmp_path):
    for dtype, size in [("F32", 4), ("F64", 8), ("F16", 2), ("BF16", 2), ("U8", 1)]:
        tensor = read(tmp_path, {"w": entry([1], 0, size, dtype)}, bytes(size))["w"]
        assert tensor.stored.readonly
        with pytest.raises(TypeError):
            tensor.stored[0] = 1


def test_a_tensor_outlives_the_name_of_its_file(tmp_path):
    path = write(tmp_path, lay_out({"w": entry([1], 0, 4)}, struct.pack("<f", 3)))
    tensor = read_safetensors(path)["w"]
    os.remove(path)
    assert tensor.floats().tolist() == [3]


def peak_of(action):
    """Return (what action returns, the most memory that it held, in bytes)."""
    tracemalloc = pytest.importorskip("tracemalloc")  # PyPy has none
    tracemalloc.start()
    try:
        result = action()
        return result, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def large_file(folder, n_bytes, dtype, size):
    """Write a file with one tensor of n_bytes zeros, which need no room on the disk."""
    header = {"w": entry([n_bytes // size], 0, n_bytes, dtype)}
    path = write(folder, lay_out(header))
    os.truncate(path, os.path.getsize(path) + n_bytes)
    return path


def test_50_megabytes_are_read_without_memory(tmp_path):
    path = large_file(tmp_path, 50_000_000, "F32", 4)
    floats, peak = peak_of(lambda: read_safetensors(path)["w"].floats())
    assert len(floats) == 12_500_000
    assert floats[12_499_999] == 0
    assert peak < 100_000


@pytest.mark.parametrize(("dtype", "more"), [("F16", 0), ("BF16", 1_000_000)])
def test_a_conversion_needs_little_more_memory_than_its_result(dtype, more, tmp_path):
    # (To assign a slice, Python makes a copy of what it assigns.)
    tensor = read_safetensors(large_file(tmp_path, 1_000_000, dtype, 2))["w"]
    floats, peak = peak_of(tensor.floats)
    assert floats.nbytes == 2_000_000
    assert peak < 2_000_000 + more + 300_000


# Faults


def test_a_header_of_more_bytes_than_can_be_needs_no_memory(tmp_path):
    for n in (2**62, 2**63, 2**64 - 1):
        path = write(tmp_path, struct.pack("<Q", n) + b'{"a": 1}')
        line, peak = peak_of(lambda path=path: refusal(path))
        assert f"should have {n} bytes, but only 8 are there" in line
        assert peak < 100_000


def test_a_header_longer_than_the_format_allows_is_not_read(tmp_path):
    path = write(tmp_path, struct.pack("<Q", 100_000_001))
    os.truncate(path, 100_000_100)
    line, peak = peak_of(lambda: refusal(path))
    assert "100000001 bytes" in line
    assert "100000000 are allowed" in line
    assert peak < 100_000


HUGE = 18446744073709551615  # 2 ** 64 - 1
MILLION = 1_000_000
FOUR = b"\0\0\0\0"

# words of the message, the file
FAULTS = [
    # The length and the text of the header
    ("empty, or ends within its first 8 bytes", b""),
    ("empty, or ends within its first 8 bytes", bytes(7)),
    ("not JSON in UTF-8", bytes(8)),
    ("should have 5 bytes, but only 0 are there", b"\5" + bytes(7)),
    ("should have 3 bytes, but only 2 are there", b"\3" + bytes(7) + b"{}"),
    ("is a git-LFS pointer", b"version https://git-lfs.github.com/spec/v1\n"),
    ("is a web page", b"<!DOCTYPE html><title>Not found</title>"),
    ("is a zip archive", b"PK\3\4" + bytes(range(100, 200))),
    ("is a web page", b"\xef\xbb\xbf\n<html><body>404</body></html>"),
    ("is compressed with gzip", b"\x1f\x8b\x08" + bytes(20)),
    ("is cut short, or of another format", b"<|endoftext|> and more"),
    ("not JSON in UTF-8", lay_out("")),
    ("not JSON in UTF-8", lay_out(bytes(50))),
    ("not JSON in UTF-8", lay_out('{"a": ')),
    ("not JSON in UTF-8", lay_out("{} {}")),
    ("not JSON in UTF-8", lay_out("{'a': 1}")),
    ("not JSON in UTF-8", lay_out('{"a\n": 1}')),
    ("not JSON in UTF-8", lay_out(b'{"\xff": 1}')),
    ("not JSON in UTF-8", lay_out(b'{"\xed\xa0\x80": 1}')),  # half a character
    ("not JSON in UTF-8", lay_out("{}".encode("utf-16"))),
    ("not JSON in UTF-8", lay_out("\ufeff{}")),
    ("not JSON in UTF-8", lay_out("[" * MILLION)),
    ("not JSON in UTF-8", lay_out("[" * MILLION + "]" * MILLION)),
    ("not JSON in UTF-8", lay_out('{"a":' * MILLION + "1" + "}" * MILLION)),
    ("number of 1000000 digits", lay_out('{"a": ' + "9" * MILLION + "}")),
    ("number of 1000001 digits", lay_out('{"a": -' + "9" * MILLION + "}")),
    ("number of 1000000 digits", lay_out("9" * MILLION)),
    ("not an object", lay_out("[]")),
    ("not an object", lay_out('"a"')),
    ("not an object", lay_out("7")),
    ("not an object", lay_out("null")),
    ("not an object", lay_out("NaN")),
    # Names
    ("'a' twice", lay_out('{"a": 1, "a": 1}')),
    ("'shape' twice", lay_out('{"a": {"shape": [], "shape": []}}')),
    ("'__metadata__' twice", lay_out('{"__metadata__": {}, "__metadata__": {}}')),
    # What an entry is made of
    ("tensor 'a': it must have dtype, shape, data_offsets", lay_out({"a": {}})),
    ("tensor 'a': it must have", lay_out({"a": None})),
    ("tensor 'a': it must have", lay_out({"a": ["dtype", "shape", "data_offsets"]})),
    ("tensor 'a': it must have", lay_out({"a": {"dtype": "F32", "shape": []}})),
    ("and nothing else", lay_out({"a": entry([1], 0, 4, strides=[1])}, FOUR)),
    ("tensor 'b': it must have", lay_out({"a": entry([1], 0, 4), "b": 1}, FOUR)),
    (r"tensor 'a\nb\x00'", lay_out({"a\nb\0": 1})),
    (r"tensor '\ud800'", lay_out(r'{"\ud800": 1}')),
    ("tensor 'xxxx", lay_out({"x" * MILLION: 1})),
    # dtype
    ("dtype 'F33' is unknown: F32, F64, F16 and BF16 can be read",
     lay_out({"a": entry([], 0, 4, "F33")}, FOUR)),
    ("'f32' is unknown", lay_out({"a": entry([], 0, 4, "f32")}, FOUR)),
    ("'' is unknown", lay_out({"a": entry([], 0, 4, "")}, FOUR)),
    ("32 is unknown", lay_out({"a": entry([], 0, 4, 32)}, FOUR)),
    ("None is unknown", lay_out({"a": entry([], 0, 4, None)}, FOUR)),
    ("['F32'] is unknown", lay_out({"a": entry([], 0, 4, ["F32"])}, FOUR)),
    ("{'F32': 1} is unknown", lay_out({"a": entry([], 0, 4, {"F32": 1})}, FOUR)),
    ("'xxxx", lay_out({"a": entry([], 0, 4, "x" * MILLION)}, FOUR)),
    # The kinds of numbers
    ("shape [True]", lay_out({"a": entry([True], 0, 4)}, FOUR)),
    ("shape [1.0]", lay_out({"a": entry([1.0], 0, 4)}, FOUR)),
    ("shape [1.0]", lay_out({"a": entry([1e0], 0, 4)}, FOUR)),
    ("shape [nan]", lay_out({"a": entry([math.nan], 0, 4)}, FOUR)),
    ("shape [-1]", lay_out({"a": entry([-1], 0, 4)}, FOUR)),
    ("shape [-1, -1]", lay_out({"a": entry([-1, -1], 0, 4)}, FOUR)),
    ("shape ['1']", lay_out({"a": entry(["1"], 0, 4)}, FOUR)),
    ("shape [None]", lay_out({"a": entry([None], 0, 4)}, FOUR)),
    ("shape [[1]]", lay_out({"a": entry([[1]], 0, 4)}, FOUR)),
    ("shape 1 ", lay_out({"a": entry(1, 0, 4)}, FOUR)),
    ("shape None ", lay_out({"a": entry(None, 0, 4)}, FOUR)),
    ("shape {} ", lay_out({"a": entry({}, 0, 4)}, FOUR)),
    ("shape '' ", lay_out({"a": entry("", 0, 4)}, FOUR)),
    ("data_offsets [False, 4]", lay_out({"a": entry([1], False, 4)}, FOUR)),
    ("data_offsets [0, 4.0]", lay_out({"a": entry([1], 0, 4.0)}, FOUR)),
    ("data_offsets [0, inf]", lay_out({"a": entry([1], 0, math.inf)}, FOUR)),
    ("data_offsets [-4, 0]", lay_out({"a": entry([1], -4, 0)}, FOUR)),
    ("data_offsets [0, None]", lay_out({"a": entry([1], 0, None)}, FOUR)),
    ("data_offsets []", lay_out({"a": entry([1], 0, 4, data_offsets=[])}, FOUR)),
    ("data_offsets [0]", lay_out({"a": entry([1], 0, 4, data_offsets=[0])}, FOUR)),
    ("data_offsets [0, 4, 4]",
     lay_out({"a": entry([1], 0, 4, data_offsets=[0, 4, 4])}, FOUR)),
    ("data_offsets 4 ", lay_out({"a": entry([1], 0, 4, data_offsets=4)}, FOUR)),
    ("data_offsets '04'", lay_out({"a": entry([1], 0, 4, data_offsets="04")}, FOUR)),
    # Numbers that do not fit each other
    ("F32 of shape [2] takes 8 bytes, but data_offsets [0, 4] make it 4",
     lay_out({"a": entry([2], 0, 4)}, FOUR)),
    ("takes 0 bytes", lay_out({"a": entry([1, 0], 0, 4)}, FOUR)),
    ("takes 4 bytes", lay_out({"a": entry([], 0, 8)}, 2 * FOUR)),
    ("takes 4 bytes, but data_offsets [4, 0] make it -4",
     lay_out({"a": entry([1], 4, 0)}, FOUR)),
    ("takes 0 bytes, but data_offsets [4, 0]", lay_out({"a": entry([0], 4, 0)}, FOUR)),
    ("of shape [18446744073709551615]", lay_out({"a": entry([HUGE], 0, 4)}, FOUR)),
    # Modulo 2 ** 64, both would be 4 bytes.
    ("of shape [4611686018427387905]", lay_out({"a": entry([2**62 + 1], 0, 4)}, FOUR)),
    ("of shape [4294967296, 4294967296, 1]",
     lay_out({"a": entry([2**32, 2**32, 1], 0, 0)})),
    ("of shape [2, 2, 2", lay_out({"a": entry([2] * MILLION, 0, 4)}, FOUR)),
    ("data_offsets [0, 18446744073709551615]",
     lay_out({"a": entry([1], 0, HUGE)}, FOUR)),
    ("digits", lay_out({"a": entry([10**20], 0, 4)}, FOUR)),
    # Tensors that do not fit each other, or the file
    ("'b' begins at byte 2 of the data, but those before it end at 4: an overlap",
     lay_out({"a": entry([1], 0, 4), "b": entry([1], 2, 6)}, bytes(6))),
    ("'b' begins at byte 0 of the data, but those before it end at 4: an overlap",
     lay_out({"a": entry([1], 0, 4), "b": entry([1], 0, 4)}, FOUR)),
    ("'a' begins at byte 0 of the data, but those before it end at 2: an overlap",
     lay_out({"a": entry([2], 0, 4, "F16"), "b": entry([1], 0, 2, "F16")}, FOUR)),
    ("'z' begins at byte 2 of the data, but those before it end at 4: an overlap",
     lay_out({"a": entry([1], 0, 4), "z": entry([0], 2, 2)}, FOUR)),
    ("'b' begins at byte 5 of the data, but those before it end at 4: a hole",
     lay_out({"b": entry([1], 5, 9), "a": entry([1], 0, 4)}, bytes(9))),
    ("'a' begins at byte 4 of the data, but those before it end at 0: a hole",
     lay_out({"a": entry([1], 4, 8)}, bytes(8))),
    ("'z' begins at byte 8 of the data, but those before it end at 4: a hole",
     lay_out({"a": entry([1], 0, 4), "z": entry([0], 8, 8)}, FOUR)),
    ("'a' begins at byte 18446744073709551611",
     lay_out({"a": entry([1], HUGE - 4, HUGE)}, FOUR)),
    ("its tensors have 4 bytes, but 3 follow the header: it is cut short",
     lay_out({"a": entry([1], 0, 4)}, bytes(3))),
    ("its tensors have 4 bytes, but 0 follow", lay_out({"a": entry([1], 0, 4)})),
    ("its tensors have 4 bytes, but 5 follow",
     lay_out({"a": entry([1], 0, 4)}, bytes(5))),
    ("its tensors have 0 bytes, but 1 follow", lay_out("{}", b"\0")),
    ("its tensors have 4000000000000000000 bytes, but 4 follow",
     lay_out({"a": entry([10**18], 0, 4 * 10**18)}, FOUR)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "content"), FAULTS, ids=[f"{i} {row[0]}" for i, row in enumerate(FAULTS)]
)
def test_a_fault_is_named_in_one_line(words, content, tmp_path):
    started = time.process_time()
    assert words in refusal(write(tmp_path, content))
    assert time.process_time() - started < 5  # however long its numbers are


def test_a_path_that_cannot_be_read_is_named_in_one_line(tmp_path):
    missing = str(tmp_path / "missing.safetensors")
    assert f"cannot read {missing}: No such file" in refusal(missing)
    assert "Is a directory" in refusal(str(tmp_path))
    behind_a_file = os.path.join(write(tmp_path, b""), "model.safetensors")
    assert "Not a directory" in refusal(behind_a_file)


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="no such device here")
def test_a_device_is_not_read_without_end():
    assert "cannot read /dev/zero" in refusal("/dev/zero")
    assert "it is empty" in refusal("/dev/null")


def test_a_file_without_permission_is_named_in_one_line(tmp_path):
    path = write(tmp_path, GOLDEN)
    os.chmod(path, 0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    assert f"cannot read {path}: Permission denied" in refusal(path)


def test_a_file_that_cannot_be_mapped_is_named_in_one_line(tmp_path, monkeypatch):
    def no_room(*_, **__):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(weights.mmap, "mmap", no_room)
    path = write(tmp_path, GOLDEN)
    assert refusal(path) == f"cannot read {path}: Cannot allocate memory"


def test_a_computer_with_the_highest_byte_first_is_told_so(tmp_path, monkeypatch):
    # Else it would read 1.0 as 4.6e-41 and say nothing.
    monkeypatch.setattr(sys, "byteorder", "big")
    assert "is little-endian, but this computer is not" in refusal(
        write(tmp_path, GOLDEN)
    )


def test_every_beginning_of_a_file_is_refused(tmp_path):
    path = write(tmp_path, GOLDEN)
    for n_bytes in reversed(range(len(GOLDEN))):
        os.truncate(path, n_bytes)
        line = refusal(path)
        assert "it is empty" in line if n_bytes < 8 else "it is cut short" in line


# Damage

HOSTILE = [
    -1, 0, 1, 2, 3, 4, 5, 8, 50, 2**31, 2**32, 2**62, 2**63 - 1, 2**64 - 1, 2**64,
    10**19, 10**30, -(2**63), 0.5, 4.0, 1e308, math.inf, math.nan, True, False, None,
    "", "4", "F32", "F16", "BOOL", "I64", "Q8", [], [0], [4], [0, 4], [[]], {},
]  # fmt: skip


def damaged_bytes(rng):
    """Return GOLDEN with a few bytes changed, put in, taken out or said twice."""
    content = bytearray(GOLDEN)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(content))
        some = bytes(rng.choices(b'0123456789[]{}:,."- \\\0\n\xff', k=3))
        piece = content[at : at + rng.randint(1, 60)]
        how = rng.randrange(5)
        if how == 0:
            content[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            content[at : at + len(some)] = some
        elif how == 2:
            content[at:at] = some
        elif how == 3:
            content[at:at] = piece
        else:
            del content[at : at + len(piece)]
    if rng.random() < 0.7:  # let the length of the header be right again
        end = content.rfind(b"}}") + 2
        content[:8] = struct.pack("<Q", max(end - 8, 0))
    return bytes(content)


def damaged_header(rng):
    """Return GOLDEN with one or two of the things that its header says exchanged."""
    header = json.loads(GOLDEN[8:464])
    for _ in range(rng.randint(1, 2)):
        name = rng.choice(list(header))
        fields = header[name]
        key = rng.choice(list(fields)) if type(fields) is dict and fields else None
        if key is None or rng.random() < 0.1:
            header[name] = copy.deepcopy(rng.choice([*HOSTILE, *header.values()]))
        elif type(fields[key]) is list and fields[key] and rng.random() < 0.8:
            fields[key][rng.randrange(len(fields[key]))] = rng.choice(HOSTILE)
        elif rng.random() < 0.1:
            del fields[key]
        else:
            fields[key] = rng.choice(HOSTILE)
    return lay_out(header, GOLDEN[464:])


@pytest.mark.parametrize("damaged", [damaged_bytes, damaged_header])
def test_a_damaged_file_is_refused_in_one_line_or_still_well_formed(damaged, tmp_path):
    rng = random.Random(1)
    outcomes = {"refused": 0, "read": 0}
    for i in range(500):
        content = damaged(rng)
        path = write(tmp_path, content, str(i))
        try:
            tensors = read_safetensors(path)
        except ValueError:
            outcomes["refused"] += 1
            refusal(path)
            continue
        outcomes["read"] += 1
        (header_size,) = struct.unpack_from("<Q", content)
        n_bytes = sum(tensor.stored.nbytes for tensor in tensors.values())
        assert n_bytes == len(content) - 8 - header_size
        for tensor in tensors.values():
            assert len(tensor.stored) == math.prod(tensor.shape)
            assert len(tensor.stored.tolist()) == math.prod(tensor.shape)
            if tensor.dtype in ("F32", "F64", "F16", "BF16"):
                assert len(tensor.floats().tolist()) == math.prod(tensor.shape)
    # Else the damage would be too small, or too large, to find anything.
    assert outcomes["refused"] >= 300
    assert outcomes["read"] >= 10


# Several files


SHARD_A = lay_out({"a": entry([1], 0, 4)}, struct.pack("<f", 0.5))
SHARD_B = lay_out({"b": entry([2], 0, 8)}, struct.pack("<2f", 1.5, -2.5))


def write_shards(folder, weight_map, **files):
    index = {"metadata": {"total_size": 12}, "weight_map": weight_map}
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps(index), encoding="utf-8")
    for name, content in files.items():
        (folder / f"{name}.safetensors").write_bytes(content)
    return str(folder)


def test_shards_are_one_model(tmp_path):
    weight_map = {"a": "one.safetensors", "b": "two.safetensors"}
    folder = write_shards(tmp_path, weight_map, one=SHARD_A, two=SHARD_B)
    tensors = weights.read_weights(folder)
    numbers = {name: tensor.floats().tolist() for name, tensor in tensors.items()}
    assert numbers == {"a": [0.5], "b": [1.5, -2.5]}
    # A whole file is taken rather than an index that may be of another day.
    (tmp_path / "model.safetensors").write_bytes(SHARD_B)
    assert list(weights.read_weights(folder)) == ["b"]


@pytest.mark.parametrize(
    ("weight_map", "words"),
    [
        ({"a": "one.safetensors", "b": "three.safetensors"}, "three.safetensors: No"),
        ({"a": "one.safetensors", "b": "one.safetensors"}, "has no tensor 'b'"),
        ({"a": "../secret"}, "'../secret' is not the name of a file"),
        ({"a": "/etc/passwd"}, "'/etc/passwd' is not the name of a file"),
        ({"a": ""}, "'' is not the name of a file"),
        ({"a": 1}, "1 is not the name of a file"),
        ({"a": "broken.safetensors"}, "broken.safetensors is a git-LFS pointer"),
        ({}, "has no weight_map"),
        ([], "has no weight_map"),
        (None, "has no weight_map"),
    ],
)
def test_a_fault_in_an_index_is_named_in_one_line(tmp_path, weight_map, words):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00"
    folder = write_shards(tmp_path, weight_map, one=SHARD_A, broken=pointer)
    with pytest.raises(ValueError) as caught:
        weights.read_weights(folder)
    assert words in str(caught.value)
    assert str(caught.value).isprintable()


# Text


def test_a_byte_order_mark_does_not_matter(tmp_path):
    path = tmp_path / "config.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert weights.read_json(str(path)) == {"a": 1}


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="no such device here")
def test_text_is_not_read_from_a_device_without_end():
    with pytest.raises(ValueError, match="/dev/zero: it is no ordinary file"):
        weights.read_text("/dev/zero")


# What is written


def as_written(path, tensors):
    """Write tensors and return what is read back, in plain numbers."""
    weights.write_safetensors(str(path), tensors)
    return {
        name: (tensor.dtype, tensor.shape, tensor.stored.tolist())
        for name, tensor in read_safetensors(str(path)).items()
    }


def test_what_was_read_can_be_written_and_is_read_as_it_was(tmp_path):
    tensors = read_safetensors(write(tmp_path, GOLDEN))
    expected = {
        name: (tensor.dtype, tensor.shape, tensor.stored.tolist())
        for name, tensor in tensors.items()
    }
    assert len(expected) == 7
    assert as_written(tmp_path / "again.safetensors", tensors) == expected


def test_a_file_that_is_mapped_can_be_replaced_by_its_own_tensors(tmp_path):
    path = write(tmp_path, GOLDEN)
    weights.write_safetensors(path, read_safetensors(path))
    weights.write_safetensors(path, read_safetensors(path))
    assert read_safetensors(path)["f64"].floats().tolist() == [0.1]


def test_each_number_lies_at_a_multiple_of_its_size(tmp_path):
    tensors = {
        "odd": weights.Tensor("U8", (3,), memoryview(b"\1\2\3")),
        "f16": weights.Tensor("F16", (), memoryview(array("H", [15360]))),
        "f64": weights.Tensor("F64", (1, 2), memoryview(array("d", [0.1, 0.2]))),
    }
    path = tmp_path / "model.safetensors"
    assert as_written(path, tensors)["odd"] == ("U8", (3,), [1, 2, 3])
    content = path.read_bytes()
    n = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + n])
    sizes = {"odd": 1, "f16": 2, "f64": 8}
    for name, size in sizes.items():
        assert (8 + n + header[name]["data_offsets"][0]) % size == 0
    assert len(content) == 8 + n + 3 + 2 + 16


def test_a_model_without_tensors_can_be_written(tmp_path):
    assert as_written(tmp_path / "empty.safetensors", {}) == {}


@pytest.mark.parametrize(
    ("name", "dtype", "shape", "stored", "words"),
    [
        ("w", "F32", (3,), array("f", [1, 2]), "'w': shape (3,) does not fit its 2"),
        ("w", "F32", (-1, -2), array("f", [1, 2]), "does not fit its 2 numbers"),
        ("w", "F32", (2,), array("d", [1, 2]), "format 'd' are not F32, which is 'f'"),
        ("w", "F31", (2,), array("f", [1, 2]), "dtype 'F31' is unknown"),
        ("__metadata__", "F32", (2,), array("f", [1, 2]), "can be called __metadata__"),
    ],
)
def test_a_tensor_that_could_not_be_read_again_is_refused_and_the_file_kept(
    tmp_path, name, dtype, shape, stored, words
):
    path = tmp_path / "model.safetensors"
    path.write_bytes(GOLDEN)
    tensor = weights.Tensor(dtype, shape, memoryview(stored))
    with pytest.raises(ValueError) as caught:
        weights.write_safetensors(str(path), {name: tensor})
    assert words in str(caught.value)
    assert path.read_bytes() == GOLDEN
    assert os.listdir(tmp_path) == ["model.safetensors"]


def test_the_package_safetensors_reads_what_we_write(tmp_path):
    library = pytest.importorskip("safetensors.torch")
    torch = pytest.importorskip("torch")
    golden = read_safetensors(write(tmp_path, GOLDEN))
    path = str(tmp_path / "ours.safetensors")
    weights.write_safetensors(path, golden)
    theirs = library.load_file(path)
    expected = library.load(GOLDEN)
    assert set(theirs) == set(expected) == set(golden)
    for name, tensor in expected.items():
        assert theirs[name].dtype == tensor.dtype, name
        assert theirs[name].shape == tensor.shape, name
        assert torch.equal(theirs[name], tensor), name
