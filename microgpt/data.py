"""What a model is worth shows only on text that it was not trained on.

Before this came `tokenizer.py`; next comes `gpt.py`, the model. Here a text file
becomes a list of documents, one a line, and the list is parted into documents to train
on and documents that are held out, on which the model will be measured.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence


def read_documents(path: str) -> list[str]:
    """Return the lines of a UTF-8 file, without blank ones or space at either end.

    A file that is missing, a folder, not UTF-8 (the line is named) or without any
    document: ValueError.
    """
    try:
        with open(path, "rb") as file:
            lines = file.read().split(b"\n")
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    documents = []
    for number, line in enumerate(lines, start=1):
        try:
            # "utf-8-sig" is UTF-8 that forgives the mark some editors put first.
            document = line.decode("utf-8-sig").strip()
        except UnicodeDecodeError:
            raise ValueError(
                f"{path}, line {number} is not UTF-8 text: save the file as UTF-8"
            ) from None
        if document:
            documents.append(document)
    if not documents:
        raise ValueError(f"{path} holds no text: give it one document a line")
    return documents


def split_documents(
    documents: Sequence[str], val_fraction: float = 0.1
) -> tuple[list[str], list[str]]:
    """Return (documents to train on, documents held out): the last tenth, by default.

    Shuffle first: a sorted list would hold out just the names with z. A held-out
    document that is also trained on (a leak) is dropped: it could be known by heart.

    >>> split_documents(["ann", "bob", "cy", "ann"], val_fraction=0.5)
    (['ann', 'bob'], ['cy'])
    """
    if not 0 <= val_fraction < 1:
        raise ValueError(f"val_fraction is {val_fraction}: make it 0 or more, below 1")
    n_train = len(documents) - int(len(documents) * val_fraction)
    train_documents = list(documents[:n_train])
    trained_on = set(train_documents)
    val_documents = [doc for doc in documents[n_train:] if doc not in trained_on]
    return train_documents, val_documents


def documents_sha256(documents: Sequence[str]) -> str:
    """Return a fingerprint of the documents, by which a run knows them again.

    For a file of stripped lines, it is what the command sha256sum prints of the file.
    """
    text = "".join(document + "\n" for document in documents)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def default_data_path() -> str:
    """Return the working folder's input.txt if there is one, else the package's."""
    package = os.path.dirname(os.path.abspath(__file__))
    installed = os.path.join(package, "input.txt")
    checkout = os.path.join(os.path.dirname(package), "input.txt")
    for path in ("input.txt", installed):
        if os.path.isfile(path):
            return path
    return checkout
