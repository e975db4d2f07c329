"""A model reads and writes whole numbers, so every character gets one.

Before this came `value.py`, numbers that can be learnt; next comes `data.py`, which
reads the text. One number, 0, is no character: BOS, "beginning of sequence". It stands
before a document, so that there is something to predict the first character from, and
after it, so that ending is a choice the model can learn.

    "emma"  ->  BOS  e  m  m  a BOS  ->  [0, 5, 13, 13, 1, 0]      (with a to z known)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class CharTokenizer:
    """Numbers for characters and back: 0 is BOS, `chars[i]` is i + 1.

    Signpost: GPT-2 numbers 50,257 pieces of text, from single bytes to whole words, so
    that a page is hundreds of tokens and not thousands.

    >>> tokenizer = CharTokenizer("abc")
    >>> tokenizer.encode("cab"), tokenizer.decode([3, 1, 2]), tokenizer.vocab_size
    ([3, 1, 2], 'cab', 4)
    """

    bos = 0

    def __init__(self, chars: Sequence[str]) -> None:
        if not chars or any(len(char) != 1 for char in chars):
            raise ValueError("a vocabulary is one or more single characters")
        self.chars = "".join(chars)
        self.ids = {char: i for i, char in enumerate(self.chars, start=1)}
        if len(self.ids) != len(self.chars):
            raise ValueError("a character is in the vocabulary twice: give each once")
        self.vocab_size = len(self.chars) + 1

    @classmethod
    def from_documents(cls, documents: Iterable[str]) -> CharTokenizer:
        """Return the tokenizer whose vocabulary is all characters in use, sorted."""
        return cls(sorted(set("".join(documents))))

    def encode(self, text: str) -> list[int]:
        """Return one id for each character; a character without one: ValueError."""
        for char in text:
            if char not in self.ids:
                raise ValueError(
                    f"{char!r} is not one of the {len(self.chars)} characters of the "
                    "vocabulary: leave it out, or train on data that has it"
                )
        return [self.ids[char] for char in text]

    def encode_document(self, text: str) -> list[int]:
        """Return BOS, the text's ids, BOS: what a model is trained on."""
        return [self.bos, *self.encode(text), self.bos]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the characters of the ids. BOS is none, and adds nothing."""
        characters = []
        for token_id in ids:
            if not 0 <= token_id < self.vocab_size:
                raise ValueError(
                    f"token {token_id}, but vocab_size is {self.vocab_size}"
                )
            if token_id != self.bos:
                characters.append(self.chars[token_id - 1])
        return "".join(characters)
