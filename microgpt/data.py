"""A model is measured on text that it was not trained on.

Before this came `tokenizer.py`; next comes `model.py`, the GPT itself. Here a text file
becomes a list of *documents*, one for each line. A document is a text that stands by
itself: the model learns how one begins, how it goes on and where it ends. The file that
comes with this package, input.txt, holds 41,833 given names, and each is a document.

Then the list is split in two. On one part the model is trained. The other part is *held
out*: the model never learns from it, and it shows what training was worth. A model that
only knew its training documents by heart would do very well on those and badly on any
others, and the second is what counts.
"""

from __future__ import annotations

from collections.abc import Sequence


def read_documents(path: str) -> list[str]:
    """Return the documents in a UTF-8 text file, one for each line.

    Spaces at both ends of a line are removed, and empty lines are left out. A line may
    end as on any system: line feed, carriage return, or both. A file that cannot be
    read, is not text in UTF-8 (the line is named) or has no document: ValueError.
    """
    documents = []
    for line in _read_lines(path):
        document = line.strip()
        if document:
            documents.append(document)
    if not documents:
        raise ValueError(f"{path} holds no text: give it one document a line")
    return documents


def read_windows(path: str, size: int) -> list[str]:
    """Return one long text cut into windows of `size` characters; the last is shorter.

    A story has no documents: one line belongs to the next. So the text is taken as it
    is, line ends among its characters, and each window is then used like a document.
    Its first character is the hardest to predict, since the model does not see what
    came before the window. Every line end is a line feed here, whatever it is in the
    file. For the errors see read_documents; a size below 1 is a ValueError too.
    """
    if size < 1:
        raise ValueError(f"a window of {size} characters: make it 1 or more")
    text = "\n".join(_read_lines(path))
    if not text.strip():
        raise ValueError(f"{path} holds no text")
    return [text[start : start + size] for start in range(0, len(text), size)]


def _read_lines(path: str) -> list[str]:
    """Return the lines of a UTF-8 text file, without their ends."""
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    lines = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")

    texts = []
    for number, line in enumerate(lines, start=1):
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            raise ValueError(
                f"{path}, line {number} is not UTF-8 text: save the file as UTF-8"
            ) from None
        if "\0" in text:
            # Other encodings, such as UTF-16, put zero bytes between the letters. They
            # would become a character like any other, and the model would learn them.
            raise ValueError(
                f"{path}, line {number} has a zero byte and is not text: "
                "save the file as UTF-8"
            )
        # Some editors begin a UTF-8 file with an invisible mark, U+FEFF.
        texts.append(text.replace("\ufeff", ""))
    return texts


def split_documents(
    documents: Sequence[str], val_fraction: float = 0.1
) -> tuple[list[str], list[str]]:
    """Return (the documents to train on, those held out).

    The last `val_fraction` of the list is held out, a tenth by default. Shuffle the
    list first: a sorted one would hold out nothing but names with z. ("val" is short
    for validation, another word for measuring on held-out data.)

    A held-out document that also stands among those to train on is dropped. The model
    could know it by heart, and the measure would be too good. This is called a leak.

    A val_fraction below 0, or of 1 and more: ValueError.

    >>> split_documents(["ann", "bob", "cy", "ann"], val_fraction=0.5)
    (['ann', 'bob'], ['cy'])
    """
    if not 0 <= val_fraction < 1:
        raise ValueError(f"val_fraction is {val_fraction}: make it 0 or more, below 1")
    n_held_out = int(len(documents) * val_fraction)
    n_train = len(documents) - n_held_out
    train_documents = list(documents[:n_train])
    trained_on = set(train_documents)
    val_documents = [doc for doc in documents[n_train:] if doc not in trained_on]
    return train_documents, val_documents
