"""What the chapters share: the names, how a loss is measured, where pictures go.

Every chapter that has a loss measures it in the same way, so that all the numbers can
stand in one table: the model learns from the same 500 names (where a chapter takes
more, it says so), and is then asked for every character of the same 500 held-out names,
which it has never seen. Of each name the first 8 characters count; the end of a name
counts as a character too.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# So that `python examples/course/ch01_counting.py` works without installing anything.
sys.path.insert(0, ROOT)
# Some chapters of part VI use what examples/gpt2 has, such as plain_bpe.py. It comes
# last, so that a file there never hides one of the course's own.
sys.path.append(os.path.join(ROOT, "examples", "gpt2"))

from microgpt import (  # noqa: E402
    CharTokenizer,
    TrainConfig,
    Value,
    read_documents,
    shuffle_and_split,
)
from microgpt.tools.files import CannotWrite, replace_file  # noqa: E402
from microgpt.tools.folder import RunFolder  # noqa: E402
from microgpt.tools.terminal import say_error, script_manners  # noqa: E402

# A full disk, Ctrl-C, or a reader that has gone (as in `| head -1`) then ends a chapter
# with one line or none. Your own mistakes still show where they were made.
script_manners(CannotWrite)

BLOCK_SIZE = 8  # how many characters of a name count
_documents = read_documents(os.path.join(ROOT, "input.txt"))
_, ALL_TRAIN_NAMES, ALL_HELD_OUT_NAMES = shuffle_and_split(_documents, TrainConfig())
TOKENIZER = CharTokenizer.from_documents(_documents)
TRAIN_NAMES = ALL_TRAIN_NAMES[:500]
HELD_OUT_NAMES = ALL_HELD_OUT_NAMES[:500]


def pairs(name: str) -> list[tuple[list[int], int]]:
    """Return (the tokens so far, the next token) for each character that is asked for.

    >>> pairs("bo")
    [([0], 2), ([0, 2], 15), ([0, 2, 15], 0)]
    """
    tokens = TOKENIZER.encode_document(name)
    ends = range(1, min(BLOCK_SIZE + 1, len(tokens)))
    return [(tokens[:end], tokens[end]) for end in ends]


NatsOf = Callable[[str], Sequence[float]]


def course_loss(nats_of: NatsOf, names: Sequence[str] = HELD_OUT_NAMES) -> float:
    """Return the mean surprise at a character of the held-out names, in nats.

    nats_of(name) returns the model's surprise at each character asked for: as many
    numbers as `pairs(name)` has questions. Another number of them: ValueError.
    """
    return loss_and_error(nats_of, names)[0]


def loss_and_error(
    nats_of: NatsOf, names: Sequence[str] = HELD_OUT_NAMES
) -> tuple[float, float]:
    """Return (the mean surprise at a character, its standard error), in nats.

    The standard error says how far the mean would typically be from this one if it were
    measured on other names of the same kind. The characters of one name depend on each
    other, so it is computed from the names, not from the single characters.
    """
    return mean_and_error([_checked(nats_of(name), name) for name in names])


def difference_and_error(
    nats_of_a: NatsOf, nats_of_b: NatsOf, names: Sequence[str] = HELD_OUT_NAMES
) -> tuple[float, float]:
    """Return (the loss of a minus that of b, the standard error of this difference).

    Both are asked for the same names, and a name that is hard for one is mostly hard
    for the other. So the difference is known better than either loss.
    """
    differences = []
    for name in names:
        a, b = _checked(nats_of_a(name), name), _checked(nats_of_b(name), name)
        differences.append([nats_a - nats_b for nats_a, nats_b in zip(a, b)])
    return mean_and_error(differences)


def _checked(nats: Sequence[float], name: str) -> list[float]:
    if len(nats) != len(pairs(name)):
        raise ValueError(
            f"{len(nats)} numbers for {name!r}, which has {len(pairs(name))} "
            "characters to ask for: return one number for each"
        )
    return list(nats)


def mean_and_error(groups: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Return (the mean of all numbers, its standard error over independent groups).

    A group holds what belongs together, such as the surprises at the characters of one
    name. The two functions above use this; chapter 19 derives it.
    """
    n_numbers = sum([len(group) for group in groups])
    mean = sum([sum(group) for group in groups]) / n_numbers
    # How much each group, with the number of its members, pulls the mean to its side.
    pulls = [sum(group) - mean * len(group) for group in groups]
    variance = sum([pull**2 for pull in pulls]) * len(groups) / (len(groups) - 1)
    return mean, math.sqrt(variance) / n_numbers


class LetterTable:
    """Counts what comes after each window of n_back letters, and answers by share.

    Chapter 1 builds it. `extra` is how often everything counts as seen beforehand.
    """

    def __init__(self, names: Sequence[str], n_back: int, extra: float = 1.0) -> None:
        self.n_back = n_back
        self.extra = extra
        self.rows: dict[tuple[int, ...], list[int]] = {}
        for name in names:
            for context, target in pairs(name):
                window = self.window(context)
                if window not in self.rows:
                    self.rows[window] = [0] * TOKENIZER.vocab_size
                self.rows[window][target] += 1

    def window(self, context: Sequence[int]) -> tuple[int, ...]:
        """Return the last n_back tokens, with BOS repeated where the name is short."""
        padded = [TOKENIZER.bos] * self.n_back + list(context)
        # Not padded[-n_back:], which for n_back = 0 would be the whole list.
        return tuple(padded[len(padded) - self.n_back :])

    def probability(self, context: Sequence[int], target: int) -> float:
        """Return the smoothed share of target among what came after the window."""
        vocab_size = TOKENIZER.vocab_size
        row = self.rows.get(self.window(context), [0] * vocab_size)
        return (row[target] + self.extra) / (sum(row) + vocab_size * self.extra)

    def nats(self, name: str) -> list[float]:
        """Return the surprise at each character of the name."""
        surprises = []
        for context, target in pairs(name):
            surprises.append(-math.log(self.probability(context, target)))
        return surprises


def list_inputs_first(node: Value, order: list[Value]) -> None:
    """Append node to order, and before it all that it was computed from.

    Chapter 3 builds it. A node that is in the list already is not listed again.
    """
    if node in order:
        return
    for input in node.inputs:
        list_inputs_first(input, order)
    order.append(node)


def make_out_folder() -> None:
    """Make the folder out/ if there is none; it cannot be written in: CannotWrite."""
    RunFolder("out", resumed=True).make()


@contextlib.contextmanager
def warn_if_not_saved(what: str) -> Iterator[None]:
    """Go on with a warning if `what` cannot be written in the block below this.

    A chapter can be read without its pictures, and a model that was trained is of use
    even if it cannot be kept.
    """
    try:
        yield
    except CannotWrite as error:
        say_error(f"warning: {what} is not saved: {error}")


def save_picture(name: str, svg: str) -> None:
    """Write a picture to out/name in the working folder, and say so."""
    path = os.path.join("out", name)
    with warn_if_not_saved(name):
        make_out_folder()
        replace_file(path, svg)
        print(f"picture: {path}")
