"""What the chapters share: the names, how a loss is measured, where pictures go.

Every chapter that has a loss measures it in the same way, so that the numbers can stand
in one table: trained on the same 500 names, asked for every character of the same 500
held-out names, and at most the first 8 of each (a short name's last is its end).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# `python examples/ch01_counting.py` works without installing anything.
sys.path.insert(0, ROOT)

from microgpt.checkpoint import TrainConfig, replace_file  # noqa: E402
from microgpt.data import read_documents  # noqa: E402
from microgpt.tokenizer import CharTokenizer  # noqa: E402
from microgpt.train import shuffle_and_split  # noqa: E402

BLOCK_SIZE = 8
_documents = read_documents(os.path.join(ROOT, "input.txt"))
_, _train, _held_out = shuffle_and_split(_documents, TrainConfig())
TOKENIZER = CharTokenizer.from_documents(_documents)
TRAIN_NAMES = _train[:500]
HELD_OUT_NAMES = _held_out[:500]


def pairs(names: Sequence[str]) -> list[tuple[list[int], int]]:
    """Return (all tokens before a character, its token) for every character asked for.

    >>> pairs(["bo"])
    [([0], 2), ([0, 2], 15), ([0, 2, 15], 0)]
    """
    result = []
    for name in names:
        tokens = TOKENIZER.encode_document(name)
        for end in range(1, min(BLOCK_SIZE + 1, len(tokens))):
            result.append((tokens[:end], tokens[end]))
    return result


def held_out_loss(surprise: Callable[[list[int], int], float]) -> float:
    """Return the mean of surprise(context, target), in nats, on the held-out names."""
    losses = [surprise(context, target) for context, target in pairs(HELD_OUT_NAMES)]
    return sum(losses) / len(losses)


def save_picture(name: str, svg: str) -> None:
    """Write a picture to out/name in the working folder, and say so."""
    os.makedirs("out", exist_ok=True)
    path = os.path.join("out", name)
    replace_file(path, svg)
    print(f"picture: {path}")
