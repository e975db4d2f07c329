"""A model calculates with numbers, so every character of the text gets one.

Before this came `value.py`, the engine; next comes `data.py`, which reads the text. The
whole numbers that stand for pieces of text are called *tokens*, or token ids, and all
tokens together the *vocabulary*. Here a token is one character. One more token, number
0, stands for no character at all: BOS, "beginning of sequence". It is put before each
document, so that there is something to predict the first character from. And it is put
after each document, so that the model can learn where a text ends: it says so by
predicting BOS.

    "emma"  ->  BOS  e  m  m  a BOS  ->  [0, 5, 13, 13, 1, 0]     (a is 1, … z is 26)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class CharTokenizer:
    """Turns characters into token ids and back: 0 is BOS, and `chars[i]` has id i + 1.

    An empty vocabulary, or a character that is in it twice: ValueError.

    Real systems have larger vocabularies. That of GPT-2, which OpenAI published in
    2019, has 50,257 tokens, from single bytes to whole words. A page of text is then a
    few hundred tokens long rather than a few thousand.

    >>> tokenizer = CharTokenizer("abc")
    >>> tokenizer.encode("cab")
    [3, 1, 2]
    >>> tokenizer.decode([3, 1, 2])
    'cab'
    >>> tokenizer.vocab_size      # a, b, c and BOS
    4
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
        """Return a tokenizer for all characters that the documents use, sorted."""
        return cls(sorted(set("".join(documents))))

    def encode(self, text: str) -> list[int]:
        """Return the id of each character. One that has no id: ValueError."""
        for char in text:
            if char not in self.ids:
                raise ValueError(
                    f"{char!r} is not one of the {len(self.chars)} characters of the "
                    "vocabulary: leave it out, or train on data that has it"
                )
        return [self.ids[char] for char in text]

    def encode_document(self, text: str) -> list[int]:
        """Return what the model is trained on: BOS, the ids of the text, BOS.

        >>> CharTokenizer("abc").encode_document("cab")
        [0, 3, 1, 2, 0]
        """
        return [self.bos, *self.encode(text), self.bos]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the characters with these ids, joined to one text.

        BOS stands for no character, so it is skipped. A number that is not the id of a
        token: ValueError.
        """
        characters = []
        for token_id in ids:
            if not 0 <= token_id < self.vocab_size:
                raise ValueError(
                    f"token {token_id}, but vocab_size is {self.vocab_size}"
                )
            if token_id != self.bos:
                characters.append(self.chars[token_id - 1])
        return "".join(characters)
