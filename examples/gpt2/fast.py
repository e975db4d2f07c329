"""GPT-2 again, faster: packed weights, packed keys and values, several processes.

Before this came `bigmatrix.py`, which makes thousands of products at once; this is the
last file. `read_token` and `gpt2`, in `model.py`, stay as they are. But the methods
that they call, `attention`, `mlp` and `times`, have others in their place here:

1. Matrices are packed into large integers.
2. Keys and values are packed, too, in two ways. Here are three tokens t in a head of
   two numbers; each row is one integer, and each column a field of it:

       keys      t = 2    t = 1    t = 0        values  number 1  number 0
       number 0  k_2[0]   k_1[0]   k_0[0]       t = 0   v_0[1]    v_0[0]
       number 1  k_2[1]   k_1[1]   k_0[1]       t = 1   v_1[1]    v_1[0]
                                                t = 2   v_2[1]    v_2[0]

   The scores of all tokens are q[0] times one row plus q[1] times the other: head_dim
   products, however long the text. What a head gathers is the sum of the rows of
   values, each times its token's share of attention.
3. Each process does all that concerns its own attention heads, and its own part of the
   MLP, and keeps the keys and values of its heads to itself.

What goes through the pipes? A layer asks all processes four times: for what their heads
gather, for their part of c_proj of that, for their part of the activations, and for
their part of c_proj of those. Each is sent all numbers that go into the product, in the
smallest GPT-2 768 or 3,072, and sends back its part of what comes out. With one more
for the language-model head, a token there takes 4 * 12 + 1 = 49 such rounds.

How exact is a packed key? A key has no limit, as weights have, so each is counted in
units of its own: 2**-33 times the power of two that is just above its largest number.
That power is at most twice the largest number, and rounding is off by half a unit at
most. So each number of a key, and of a value likewise, is off by at most 2**-33 of the
largest. What the shares of q, and of the attention weights, are off by is the same as
in `bigmatrix.py`, 2**-31 of their sum.
"""

from __future__ import annotations

import math
import os
from array import array
from collections.abc import Callable
from operator import mul
from typing import Any

from bigmatrix import BLOCK, Part, Products, as_integer, to_shares
from load import read_model
from model import (
    ACTIVATIONS,
    GPT2,
    GPT2Config,
    Matrix,
    check_input,
    size_of,
    softmax,
    vectors_and_matrices,
)

UNIT_BITS = 33  # as many as a weight has in `bigmatrix.py`


class PackedHead:
    """The keys and values of one attention head, and how a query finds its way.

    >>> head = PackedHead(head_dim=2)
    >>> head.append([1.0, 0.0], [10.0, 20.0])
    >>> head.append([0.0, 1.0], [30.0, 40.0])
    >>> [round(number, 6) for number in head.gather([0.0, 0.0], scale=1.0)]
    [20.0, 30.0]
    """

    def __init__(self, head_dim: int) -> None:
        self.head_dim = head_dim
        self.key_rows = [0] * head_dim  # for each number, a field for each token
        self.key_units: list[float] = []  # of each token; also says how many there are
        self.value_rows: list[int] = []  # for each token, a field for each number
        self.value_units: list[float] = []
        self.halves_of_value = as_integer(array("q", [1]) * head_dim) << 63
        self.halves_of_keys = 0

    def forget_from(self, n: int) -> None:
        """Keep the first n tokens only.

        They are the lowest n fields of each key row, but the fields above cannot simply
        be cut off: a negative field has borrowed from the next one. So half is added to
        each field that stays, which undoes the borrowing (see `bigmatrix.py`). Then the
        rest is cut off, and the halves are taken off again.
        """
        if n >= len(self.key_units):
            return
        field_bits = 64 * n
        self.halves_of_keys &= (1 << field_bits) - 1
        halves = self.halves_of_keys
        kept = [(row + halves) & ((1 << field_bits) - 1) for row in self.key_rows]
        self.key_rows = [row - halves for row in kept]
        del self.key_units[n:], self.value_rows[n:], self.value_units[n:]

    def append(self, k: list[float], v: list[float]) -> None:
        """Add the key and the value of the next token."""
        counts, unit = to_units(k)
        place = 64 * len(self.key_units)
        self.key_rows = [row + (c << place) for row, c in zip(self.key_rows, counts)]
        self.key_units.append(unit)
        self.halves_of_keys |= 1 << (place + 63)
        counts, unit = to_units(v)
        stored = as_integer(array("q", counts))  # two's complement, as arrays have it
        halves = self.halves_of_value
        # From two's complement to a row, whose negative fields borrow: `bigmatrix.py`
        # reads with (row + halves) ^ halves, and this is the way back.
        self.value_rows.append((stored ^ halves) - halves)
        self.value_units.append(unit)

    def gather(self, q: list[float], scale: float) -> list[float]:
        """Return the mean of the values, by how well q matches the keys: (head_dim)."""
        n = len(self.key_units)
        q_size = size_of(q, self.head_dim)
        # At most 2**33 units, times fewer than 2**30 shares, are below 2**63.
        q_shares, share_count = to_shares(q, q_size)
        packed = sum(map(mul, self.key_rows, q_shares))
        stored = (packed + self.halves_of_keys) ^ self.halves_of_keys
        fields = array("q", stored.to_bytes(8 * n, "little"))
        to_score = q_size / share_count * scale
        weights = softmax(
            [field * unit * to_score for field, unit in zip(fields, self.key_units)]
        )
        # The counts of a value are in its own unit, so that is part of its weight.
        weighted = list(map(mul, weights, self.value_units))
        size = size_of(weighted, n)
        shares, share_count = to_shares(weighted, size)
        packed = sum(map(mul, self.value_rows, shares))
        halves = self.halves_of_value
        stored = (packed + halves) ^ halves
        out = array("q", stored.to_bytes(8 * self.head_dim, "little"))
        share = size / share_count
        return [field * share for field in out]


def to_units(x: list[float]) -> tuple[list[int], float]:
    """Return (each number in units, the size of a unit); 2**33 units is the most."""
    _, exponent = math.frexp(max(map(abs, x)))
    # For numbers near 2**-1074, the smallest float, the unit would be 0. So it is never
    # smaller than 2**-933.
    unit = math.ldexp(1.0, max(exponent, -900) - UNIT_BITS)
    return [round(xi / unit) for xi in x], unit


class GPT2Part(Part):
    """What one process owns of a model: some heads, and a part of each other matrix."""

    def __init__(
        self,
        config: GPT2Config,
        vectors: dict[str, list[float]],
        matrices: dict[str, Matrix],
        part: int,
        n_parts: int,
    ) -> None:
        super().__init__(matrices, part, n_parts, BLOCK)
        self.config, self.vectors = config, vectors
        first, stop = self.own_range(config.n_head)
        self.n_heads = stop - first
        self.heads = [
            [PackedHead(config.head_dim) for _ in range(self.n_heads)]
            for _ in range(config.n_layer)
        ]

    def outputs(self, name: str) -> list[tuple[int, int]]:
        """Return the ranges of outputs: of c_attn, q, k and v of this part's heads."""
        if not name.endswith("c_attn.weight"):
            return super().outputs(name)
        first, stop = self.own_range(self.config.n_head)
        n_embd, head_dim = self.config.n_embd, self.config.head_dim
        return [
            (i * n_embd + first * head_dim, i * n_embd + stop * head_dim)
            for i in range(3)
        ]

    def linear(self, name: str, x: array[float]) -> list[float]:
        """Return this part's outputs of the named matrix times x, plus their biases."""
        bias = self.vectors[f"{name}.bias"]
        biases: list[float] = []
        for first, stop in self.outputs(f"{name}.weight"):
            biases += bias[first:stop]
        return [y + b for y, b in zip(self.times(f"{name}.weight", x), biases)]

    def attend(self, layer: int, pos_id: int, x: array[float]) -> array[float]:
        """Return what this part's heads gather."""
        qkv = self.linear(f"h.{layer}.attn.c_attn", x)
        head_dim, scale = self.config.head_dim, self.config.score_scale(layer)
        width = self.n_heads * head_dim
        gathered = array("d")
        for h, head in enumerate(self.heads[layer]):
            q_start = h * head_dim
            k_start, v_start = q_start + width, q_start + 2 * width
            head.forget_from(pos_id)
            k = qkv[k_start : k_start + head_dim]
            head.append(k, qkv[v_start : v_start + head_dim])
            gathered.extend(head.gather(qkv[q_start : q_start + head_dim], scale))
        return gathered

    def activate(self, layer: int, x: array[float]) -> array[float]:
        """Return this part's activations in the MLP."""
        activation = ACTIVATIONS[self.config.activation]
        return array("d", map(activation, self.linear(f"h.{layer}.mlp.c_fc", x)))


class FolderPartMaker:
    """Makes a `GPT2Part` of the model in a folder, in this process or in a worker.

    Only the folder's name is sent to a worker. There the files are mapped again, and
    the memory that they take is shared. (Weights in F16 and BF16 are copied, in each.)
    """

    def __init__(self, folder: str) -> None:
        self.folder = os.path.abspath(folder)

    def __call__(self, part: int, n_parts: int) -> GPT2Part:
        config, weights = read_model(self.folder)
        return GPT2Part(config, *vectors_and_matrices(config, weights), part, n_parts)


class FastGPT2(GPT2):
    """A GPT2 that leaves the work to `Products`; `close` ends their processes.

    It reads the folder for the embeddings, the biases and the norms. Its own matrices,
    keys and values are empty: the parts have them, and each part reads the folder anew,
    also the one in this process.
    """

    def __init__(
        self,
        folder: str,
        processes: int = 1,
        show: Callable[[int, int], None] | None = None,
    ) -> None:
        super().__init__(*read_model(folder))
        self.matrices.clear()
        processes = min(processes, self.config.n_head)  # more would have nothing to do
        self.products = Products(
            FolderPartMaker(folder), processes=processes, show=show
        )
        self.notes = self.products.notes

    def close(self) -> None:
        """End the processes."""
        self.products.close()

    def times(self, name: str, x: Any) -> list[float]:
        """Return x times the matrix of this name."""
        return self.products.times(name, x)

    def attention(self, layer: int, x: list[float], pos_id: int) -> list[float]:
        """Return what the token at pos_id gathers from the tokens so far."""
        # Before anything is sent, for an error within `all` ends the processes.
        check_input(x, self.config.n_embd)
        gathered = self.products.together("attend", layer, pos_id, array("d", x))
        return self.linear(f"h.{layer}.attn.c_proj", gathered)

    def mlp(self, layer: int, x: list[float]) -> list[float]:
        """Return what the token makes of its own x."""
        check_input(x, self.config.n_embd)
        activations = self.products.together("activate", layer, array("d", x))
        return self.linear(f"h.{layer}.mlp.c_proj", activations)
