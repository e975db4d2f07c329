"""LoRA's matrices in a small file, which is loaded with the suspicion of a checkpoint.

The file is JSON, with every digit. Like a checkpoint it comes from a disk or from
somebody else, so the same two rules hold (see microgpt/tools/checkpoint.py): a checksum
finds accidents, and then each part must be what it should be, because a forged file has
the right checksum. One more check is peculiar to it. LoRA's matrices mean something
only beside the weights that they were trained with, so the file holds a fingerprint of
those, and refuses to be used with others.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import common  # noqa: F401  (so that microgpt is found without installing it)

from microgpt import as_floats
from microgpt.model import Params
from microgpt.tools.checkpoint import LAID_OUT_OTHERWISE
from microgpt.tools.files import check_readable, replace_file

FORMAT = "microgpt LoRA"
VERSION = 1
LARGEST = 1e6  # of all numbers: larger ones come of a mistake, or of a forger


def sha256(text: str) -> str:
    """Return the fingerprint of a text."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def fingerprint(params: Params) -> str:
    """Return the fingerprint of a model's weights: another one if a digit differs."""
    return sha256(json.dumps(as_floats(params)))


def save_lora(path: str, params: Params, additions: Params, scale: float) -> None:
    """Write LoRA's matrices, trained beside the weights `params`, to a file.

    What could not be loaded again, such as an adapter or a number that is not finite:
    ValueError, and what was at path is still there.
    """
    content = {
        "base_sha256": fingerprint(params),
        "scale": float(scale),
        "matrices": as_floats(additions),
    }
    _check(content, params)
    text = json.dumps(content, allow_nan=False)
    head = {"format": FORMAT, "version": VERSION, "sha256": sha256(text)}
    # The content goes into the file as the very text whose checksum was taken: the head
    # without its closing brace, then that text as one more entry, and the brace.
    replace_file(path, json.dumps(head)[:-1] + f',\n"lora": {text}}}\n')


def load_lora(path: str, params: Params) -> tuple[Params, float]:
    """Return (LoRA's matrices as plain floats, the scale), for these weights.

    A file that is missing, cut short, changed by a single digit, made for other weights
    or never a LoRA file: ValueError, in one line.
    """
    check_readable(path)
    try:
        with open(path, encoding="utf-8-sig") as file:
            text = file.read()
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no LoRA file: it is not text") from None
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"{path} is no LoRA file, or is cut short") from None
    # Valid JSON can still be a list, or lack an entry, or hold a text where a number
    # belongs. Then Python raises one of several errors where the record is used, such
    # as KeyError; LAID_OUT_OTHERWISE lists them. They mean the same to the reader.
    try:
        if record["format"] != FORMAT or type(record["version"]) is not int:
            raise ValueError(f"not a {FORMAT} file")
        if record["version"] != VERSION:
            raise ValueError(f"it has version {record['version']}, not {VERSION}")
        content = record["lora"]
        if record["sha256"] != sha256(json.dumps(content)):
            raise ValueError("its content is not what was saved (checksum differs)")
        _check(content, params)
    except LAID_OUT_OTHERWISE:
        raise ValueError(f"{path} is no LoRA file: it is laid out otherwise") from None
    except ValueError as error:
        raise ValueError(f"{path} is no good LoRA file: {error}") from None
    return content["matrices"], content["scale"]


def _check(content: dict[str, Any], params: Params) -> None:
    """Raise a ValueError about the first thing that is not as it must be."""
    if set(content) != {"base_sha256", "scale", "matrices"}:
        raise ValueError("it has other parts than it should")
    if content["base_sha256"] != fingerprint(params):
        raise ValueError("it was trained beside other weights than these")
    scale = content["scale"]
    if type(scale) is not float or not 0 < scale <= LARGEST:
        raise ValueError("its scale is not a number above 0")
    matrices = content["matrices"]
    for name in matrices:
        base, _, kind = name.rpartition(".")
        if base not in params or kind not in ("lora_a", "lora_b"):
            raise ValueError(f"a matrix {name[:40]!r} has no place in this model")
        if base in ("wte", "wpe"):
            raise ValueError(f"{base} is looked up in, and nothing is multiplied by it")
    if not matrices:
        raise ValueError("it has no matrices")
    for base in {name.rpartition(".")[0] for name in matrices}:
        if f"{base}.lora_a" not in matrices or f"{base}.lora_b" not in matrices:
            raise ValueError(f"{base} has one of its two matrices, and not the other")
        a, b = matrices[f"{base}.lora_a"], matrices[f"{base}.lora_b"]
        n_out, n_in, rank = len(params[base]), len(params[base][0]), len(a)
        if not 1 <= rank <= min(n_out, n_in):
            raise ValueError(f"{base}: a rank of {rank}")
        _check_matrix(a, rank, n_in, f"{base}.lora_a")
        _check_matrix(b, n_out, rank, f"{base}.lora_b")


def _check_matrix(matrix: Any, n_rows: int, n_columns: int, name: str) -> None:
    """Raise a ValueError if matrix is not n_rows lists of n_columns finite floats."""
    if type(matrix) is not list or len(matrix) != n_rows:
        raise ValueError(f"{name}: {n_rows} rows belong there")
    for row in matrix:
        if type(row) is not list or len(row) != n_columns:
            raise ValueError(f"{name}: rows of {n_columns} numbers belong there")
        for number in row:
            if type(number) is not float or not math.isfinite(number):
                raise ValueError(f"{name}: something is not a finite number")
            if abs(number) > LARGEST:
                raise ValueError(f"{name}: a number is too large")
