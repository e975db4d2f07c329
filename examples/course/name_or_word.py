"""Name or word? The labelled examples of chapter 28, and their three parts.

The names are those of 3 to 8 letters that the GPT of 6,000 names has not seen. The
words are English words of as many letters from the manual of Python, which comes with
Python itself as the module pydoc_data.topics. That manual changes a little with every
version. So the file english_words.txt holds 1,424 words that stand in the running text
of the manual in every version from 3.9 to 3.13. Words that are names as well (such as
"will" or "mercy") are left out, because no answer would be right; and so is nearly all
that is no plain English word, such as "elif" or "kwargs".
"""

from __future__ import annotations

import os
import random

from common import ALL_HELD_OUT_NAMES, ALL_TRAIN_NAMES, ROOT

NAME, WORD = 0, 1  # the two classes
Example = tuple[str, int]  # a text, and the class that it belongs to


def read_words() -> list[str]:
    """Return the English words, in alphabetical order."""
    path = os.path.join(ROOT, "examples", "course", "english_words.txt")
    with open(path, encoding="utf-8") as file:
        return file.read().split()


def _shuffled(texts: list[str]) -> list[str]:
    """Return the texts in an order that is always the same."""
    return random.Random(28).sample(texts, len(texts))


def _interleaved(names: list[str], words: list[str]) -> list[Example]:
    """Return a name, a word, a name, a word, … with their classes."""
    examples = []
    for name, word in zip(names, words):
        examples.append((name, NAME))
        examples.append((word, WORD))
    return examples


_unseen_names = [*ALL_TRAIN_NAMES[6000:], *ALL_HELD_OUT_NAMES]
_names = _shuffled([name for name in _unseen_names if 3 <= len(name) <= 8])
_words = _shuffled(read_words())

# Three parts that have no text in common. The test examples are asked once, in the end;
# what has to be chosen is chosen on the validation examples. (The first 250 names and
# words were asked again and again while the chapter was written. So they are no test
# any more, and have been put among the examples to learn from.)
VALIDATION = _interleaved(_names[250:450], _words[250:450])
TEST = _interleaved(_names[450:700], _words[450:700])
_names_to_learn_from = _names[:250] + _names[700:]
_words_to_learn_from = _words[:250] + _words[700:]


def training_examples(n: int, seed: int) -> list[Example]:
    """Return n examples to learn from, half of each class, chosen by the seed.

    An n that is odd, or for which there are not enough words: ValueError.
    """
    half = n // 2
    if n % 2 or half > len(_words_to_learn_from):
        most = 2 * len(_words_to_learn_from)
        raise ValueError(f"{n} examples: give an even number, {most} at most")
    rng = random.Random(seed)
    names = rng.sample(_names_to_learn_from, half)
    words = rng.sample(_words_to_learn_from, half)
    return _interleaved(names, words)
