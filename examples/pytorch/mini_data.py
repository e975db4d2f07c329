"""Batches of text as tensors: a document a row, or windows of one running text.

Before this came `mini_model.py`; next comes `mini_run.py`, the run and its file. Both
kinds of text have the same two methods. `take(first, n)` returns n examples of an
endless list, from number `first` on: all examples in a random order, then all of them
in another, and so on (each pass is an *epoch*). `held_out_batches()` goes through text
that is measured, once and in order.

The order of an epoch follows from the seed and the epoch's number alone. So a run that
is resumed needs to know nothing but its step, and several processes that share a batch
agree on it without a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import need_torch  # noqa: F401  (says in one line how to install PyTorch)
import torch
from mini_model import PAD
from torch import Tensor

from microgpt.data import read_documents, read_windows
from microgpt.tokenizer import CharTokenizer
from microgpt.tools.checkpoint import documents_sha256
from microgpt.tools.files import check_readable
from microgpt.training import TrainConfig, shuffle_and_split

MEASURED_AT_ONCE = 256  # examples; without gradients, so memory is no question

Batch = tuple[Tensor, Tensor]  # tokens and targets: both (batch, t)


class Rows:
    """Documents, each in a row of its own, filled up behind its end.

    >>> rows = Rows([[0, 1, 0], [0, 2, 1, 2, 0]], block_size=3, seed=1)
    >>> rows.tokens.tolist(), rows.targets.tolist()
    ([[0, 1, 0], [0, 2, 1]], [[1, 0, -1], [2, 1, 2]])
    """

    def __init__(
        self, documents: Sequence[Sequence[int]], block_size: int, seed: int
    ) -> None:
        self.seed = seed
        self.n = len(documents)
        longest = max([len(document) for document in documents]) - 1
        t = min(block_size, longest)
        self.tokens = torch.zeros(self.n, t, dtype=torch.long)
        self.targets = torch.full((self.n, t), PAD)
        for row, document in enumerate(documents):
            seen = torch.tensor(document[: t + 1])
            self.tokens[row, : len(seen) - 1] = seen[:-1]
            self.targets[row, : len(seen) - 1] = seen[1:]

    def order(self, epoch: int) -> Tensor:
        """Return the numbers of the rows in the order of this epoch."""
        return torch.randperm(self.n, generator=dice_of(self.seed, epoch))

    def take(self, first: int, n: int) -> Batch:
        """Return n examples of the endless list, from number `first` on."""
        rows = from_endless_list(self, first, n)
        return self.tokens[rows], self.targets[rows]

    def held_out_batches(self) -> Iterator[Batch]:
        """Yield all rows, in order."""
        for first in range(0, self.n, MEASURED_AT_ONCE):
            here = slice(first, first + MEASURED_AT_ONCE)
            yield self.tokens[here], self.targets[here]


class Windows:
    """One long text, cut into windows of block_size tokens.

    Every epoch cuts at other places, so that each token is predicted now from the
    beginning of a window and now from its end. A text of no more than block_size
    tokens: ValueError.
    """

    def __init__(self, tokens: Sequence[int], block_size: int, seed: int) -> None:
        if len(tokens) <= block_size:
            raise ValueError(
                f"a part of the text has {len(tokens)} characters, but a window and "
                f"the character after it take {block_size + 1}: lower --block-size, or "
                "give more text"
            )
        self.seed = seed
        self.block_size = block_size
        self.text = torch.tensor(tokens)
        self.n = max(1, (len(tokens) - block_size) // block_size)

    def order(self, epoch: int) -> Tensor:
        """Return the places at which the windows of this epoch begin."""
        dice = dice_of(self.seed, epoch)
        last_first = len(self.text) - 1 - self.n * self.block_size
        first = int(torch.randint(last_first + 1, (1,), generator=dice))
        return first + self.block_size * torch.randperm(self.n, generator=dice)

    def take(self, first: int, n: int) -> Batch:
        """Return n examples of the endless list, from number `first` on."""
        return self._at(from_endless_list(self, first, n))

    def held_out_batches(self) -> Iterator[Batch]:
        """Yield windows that follow each other without a gap, in order."""
        starts = torch.arange(0, len(self.text) - self.block_size, self.block_size)
        for first in range(0, len(starts), MEASURED_AT_ONCE):
            yield self._at(starts[first : first + MEASURED_AT_ONCE])

    def _at(self, starts: Tensor) -> Batch:
        places = starts[:, None] + torch.arange(self.block_size)  # (batch, block_size)
        return self.text[places], self.text[places + 1]


def dice_of(seed: int, *numbers: int) -> torch.Generator:
    """Return a random generator that depends on these numbers and nothing else."""
    return torch.Generator().manual_seed(mixed(seed, *numbers))


def mixed(*numbers: int) -> int:
    """Return one number that is different for different lists of numbers.

    (Nearly always: it is what is left of a product, below 2 ** 62.)
    """
    result = 0
    for number in numbers:
        result = (result * 1_000_003 + number + 1) % 2**62
    return result


def from_endless_list(examples: Rows | Windows, first: int, n: int) -> Tensor:
    """Return n entries of order(0), order(1), … put end to end, from `first` on."""
    pieces = []
    while n > 0:
        epoch, place = divmod(first, examples.n)
        piece = examples.order(epoch)[place : place + n]
        pieces.append(piece)
        first += len(piece)
        n -= len(piece)
    return torch.cat(pieces)


class Corpus(NamedTuple):
    """A file of text, ready to be trained on."""

    path: str
    sha256: str  # its fingerprint
    tokenizer: CharTokenizer
    train: Rows | Windows
    held_out: Rows | Windows
    known: set[str]  # the documents that are trained on; none of running text


def read_corpus(
    path: str, running_text: bool, block_size: int, val_fraction: float, seed: int
) -> Corpus:
    """Read a file, split it, and make rows or windows; what is no good: ValueError.

    Documents are split as `python -m microgpt.train` splits them with the same seed. Of
    a running text the end is held out.
    """
    check_readable(path)
    train: Rows | Windows
    held_out: Rows | Windows
    if running_text:
        text = "".join(read_windows(path, size=1_000_000))
        tokenizer = CharTokenizer.from_documents(text)
        n_train = len(text) - int(len(text) * val_fraction)
        train = Windows(tokenizer.encode(text[:n_train]), block_size, seed)
        held_out = Windows(tokenizer.encode(text[n_train:]), block_size, seed)
        known: set[str] = set()
        return Corpus(path, documents_sha256([text]), tokenizer, train, held_out, known)
    documents = read_documents(path)
    tokenizer = CharTokenizer.from_documents(documents)
    split = TrainConfig(val_fraction=val_fraction, seed=seed)
    _, train_documents, val_documents = shuffle_and_split(documents, split)
    if not train_documents or not val_documents:
        raise ValueError(
            f"{path} has {len(documents)} documents, of which {len(val_documents)} are "
            "held out: give it more, or set another --val-fraction"
        )
    encode = tokenizer.encode_document
    train = Rows([encode(text) for text in train_documents], block_size, seed)
    held_out = Rows([encode(text) for text in val_documents], block_size, seed)
    known = set(train_documents)
    return Corpus(path, documents_sha256(documents), tokenizer, train, held_out, known)
