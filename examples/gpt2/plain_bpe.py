"""Byte-pair encoding in some forty lines: count pairs, merge the most frequent, repeat.

Before this came `weights.py`, which reads a model's numbers; next comes `bpe.py`, which
does this for real texts, exactly as GPT-2 does, and fast. Chapter 20 of the course
grows the same functions step by step, on letters in place of bytes.

Why tokens that are neither letters nor words? With one token a letter, as in
`microgpt.tokenizer`, a text is long, and a model has to spend its work on spelling.
With one token a word, there is no end of words, and each new one is unknown. Byte-pair
encoding (BPE) lies between: it begins with the single bytes, of which there are 256, so
that no text at all is unknown. Then it looks which two tokens stand side by side most
often in a large text, makes them one new token, and looks again. After 50,000 rounds
every common word of English is one token, and a rare one a few.

    name      meaning                                      in "low lower lowest"
    token     some bytes that belong together              b"lo"
    pair      two tokens side by side                      (b"l", b"o"), three times
    merge     a pair that was made one token               (b"l", b"o") -> b"lo"

(Where pairs are equally frequent, this file merges the one that comes first in the
texts. `bpe.py` differs from it in this one choice: there each token has a number, and
the pair with the lower numbers is merged, as the libraries do.)

>>> merges = learn(["low lower lowest"], n_merges=3)
>>> merges
[(b'l', b'o'), (b'lo', b'w'), (b' ', b'low')]
>>> encode("slow low", merges)       # "slow" is new, and still made of what is known
[b's', b'low', b' low']

Paper: Sennrich, Haddow and Birch, "Neural machine translation of rare words with
subword units", 2016.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

Pair = tuple[bytes, bytes]


def single_bytes(text: str) -> list[bytes]:
    """Return the text as tokens of one byte each."""
    return [bytes([byte]) for byte in text.encode("utf-8")]


def merge_pair(tokens: list[bytes], pair: Pair) -> list[bytes]:
    """Return tokens with every occurrence of pair made one, from left to right."""
    merged: list[bytes] = []
    i = 0
    while i < len(tokens):
        if tuple(tokens[i : i + 2]) == pair:
            merged.append(tokens[i] + tokens[i + 1])
            i += 2
        else:
            merged.append(tokens[i])
            i += 1
    return merged


def learn(texts: Iterable[str], n_merges: int) -> list[Pair]:
    """Return the merges learnt from some texts, in their order; fewer if none is left.

    No merge crosses from one text into the next. Of pairs that are equally frequent,
    the one that comes first in the texts is taken. One text by itself goes into a list.
    A str in its place: ValueError, because to Python it is a row of one-letter texts.
    """
    if isinstance(texts, str):
        raise ValueError("texts is one str: put it into a list")
    texts_as_tokens = [single_bytes(text) for text in texts]
    merges: list[Pair] = []
    while len(merges) < n_merges:
        pair_counts: Counter[Pair] = Counter()
        for tokens in texts_as_tokens:
            pair_counts.update(zip(tokens, tokens[1:]))
        if not pair_counts:
            break  # every text is a single token by now
        # Of equals, the one that was counted first.
        [(most_frequent, _)] = pair_counts.most_common(1)
        texts_as_tokens = [
            merge_pair(tokens, most_frequent) for tokens in texts_as_tokens
        ]
        merges.append(most_frequent)
    return merges


def encode(text: str, merges: list[Pair]) -> list[bytes]:
    """Return the tokens of a text: the same merges, made in the order of learning.

    Why in that order? Because the texts in `learn` were merged in that order, and so a
    word becomes the same tokens here as it did there.
    """
    tokens = single_bytes(text)
    for pair in merges:
        tokens = merge_pair(tokens, pair)
    return tokens


def decode(tokens: list[bytes]) -> str:
    """Return the text again. Why after joining? A character may lie in two tokens."""
    return b"".join(tokens).decode("utf-8", "replace")


# What is still missing? Three things, and `bpe.py` has them. Merges should not run
# across words, or there would be tokens such as "of the" and "dog.". A vocabulary needs
# numbers, and a file in which bytes can be written down. And this is slow: each new
# text would be gone through 50,000 times.
