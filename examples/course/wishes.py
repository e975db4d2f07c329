"""Wishes about names: the format, the examples and the three groups of chapter 29.

    prompt        the wish, and two letters         SHORT m a
    completion    the rest of the name, and EOS     x EOS

The names are none of those that the trained GPT has learnt from. Their beginnings, the
first two letters, are split into three groups: from one is taught, by one the settings
were chosen, and the third is for the test.
"""

from __future__ import annotations

import random

from common import ALL_TRAIN_NAMES, TOKENIZER

EOS = TOKENIZER.bos  # one token has both offices: it begins a name, and ends it
SHORT, LONG, ENDS = 27, 28, 29  # after the tokens 0 to 26, BOS and the letters
LAST_LETTER = "n"

WISHES = {
    SHORT: "short: 4 letters at most",
    LONG: "long: 7 letters or more",
    ENDS: f"ends in {LAST_LETTER!r}",
}


def is_obeyed(wish: int, name: str) -> bool:
    """Say whether a finished name is what was wished for."""
    if wish == SHORT:
        return len(name) <= 4
    if wish == LONG:
        return len(name) >= 7
    return name.endswith(LAST_LETTER)


def prompt_of(wish: int, beginning: str) -> list[int]:
    """Return the tokens of a prompt: the wish, and the letters given."""
    return [wish, *TOKENIZER.encode(beginning)]


def completion_of(name: str) -> list[int]:
    """Return the tokens that shall follow: all but the first two letters, and EOS."""
    return [*TOKENIZER.encode(name[2:]), EOS]


_names = [name for name in ALL_TRAIN_NAMES[6000:] if 3 <= len(name) <= 8]
_n_names_with: dict[str, int] = {}
for _name in _names:
    _n_names_with[_name[:2]] = _n_names_with.get(_name[:2], 0) + 1
# Only beginnings that are in use: those of 30 names or more.
_beginnings = sorted([two for two, n in _n_names_with.items() if n >= 30])
random.Random(29).shuffle(_beginnings)
# (The first 40 were asked again and again while the chapter was written. So they are no
# test any more, and have been put among those that are taught.)
VALIDATION_BEGINNINGS = _beginnings[40:70]
TEST_BEGINNINGS = _beginnings[70:110]
TAUGHT_BEGINNINGS = _beginnings[:40] + _beginnings[110:]

# For each wish and each beginning that is taught, all names that fulfil the wish:
_names_for: dict[tuple[int, str], list[str]] = {}
for _wish in WISHES:
    for _two in TAUGHT_BEGINNINGS:
        _names_for[_wish, _two] = []
for _name in _names:
    for _wish in WISHES:
        if (_wish, _name[:2]) in _names_for and is_obeyed(_wish, _name):
            _names_for[_wish, _name[:2]].append(_name)


def examples(n: int, seed: int) -> list[tuple[list[int], list[int]]]:
    """Return n pairs (prompt, completion): the wishes in turn, each beginning alike."""
    rng = random.Random(seed)
    pairs: list[tuple[list[int], list[int]]] = []
    while len(pairs) < n:
        wish = list(WISHES)[len(pairs) % 3]
        two = rng.choice(TAUGHT_BEGINNINGS)
        if _names_for[wish, two]:
            name = rng.choice(_names_for[wish, two])
            pairs.append((prompt_of(wish, two), completion_of(name)))
    return pairs
