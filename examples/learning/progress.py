"""What a reader has done so far: a JSON file in the reader's folder.

It is safe to delete: nothing but the answers and the marks of what is done is lost. It
is written anew after every answer, whole or not at all, so a Ctrl-C at any moment costs
nothing that was answered before it.
"""

from __future__ import annotations

import json
import os
from typing import Any

from microgpt.tools.files import CannotWrite, replace_file
from microgpt.tools.terminal import say_error

FILE = "progress.json"


class Progress:
    """What was answered, run, solved and reached, in `folder`.

    chapters     by name: {"done": whether it was run to its end, "answers": …}; the
                 answers by question: {"said": …, "right": …, "asked_in": …}
    pieces       by name: {"solved": …, "hints": how many were shown, "text": the hash
                 of what was judged to be right}
    milestones   the names of those reached
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.path = os.path.join(folder, FILE)
        self.chapters: dict[str, dict[str, Any]] = {}
        self.pieces: dict[str, dict[str, Any]] = {}
        self.milestones: list[str] = []
        self._cannot_write = False
        self._read()

    def _read(self) -> None:
        try:
            with open(self.path, encoding="utf-8") as file:
                text = file.read()
        except (FileNotFoundError, NotADirectoryError):
            return
        except (OSError, UnicodeDecodeError):
            text = ""
        try:
            content = json.loads(text)
            chapters, pieces = content["chapters"], content["pieces"]
            milestones = content["milestones"]
            for entry in chapters.values():
                sound = all(
                    "right" in answer and "said" in answer
                    for answer in entry["answers"].values()
                )
                if not (sound and isinstance(entry["done"], bool)):
                    raise ValueError
            for entry in pieces.values():
                is_sound = isinstance(entry["solved"], bool)
                if not (is_sound and type(entry["hints"]) is int):
                    raise ValueError
            if not all(isinstance(name, str) for name in milestones):
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self._move_aside()
            return
        self.chapters, self.pieces = chapters, pieces
        self.milestones = list(milestones)

    def _move_aside(self) -> None:
        number = 1
        while os.path.exists(f"{self.path}.damaged-{number}"):
            number += 1
        aside = f"{self.path}.damaged-{number}"
        try:
            os.rename(self.path, aside)
            where = f"it is now {os.path.basename(aside)}, and a new one is begun"
        except OSError as error:
            # Better not to write at all than to write over it.
            self._cannot_write = True
            where = f"it cannot be moved ({error.strerror}), so nothing is kept"
        say_error(f"{self.path} is damaged: {where}")

    def save(self) -> None:
        """Write the file. If that cannot be done, say so once, and go on without."""
        if self._cannot_write:
            return
        content = {
            "what": "progress of examples/learn.py; safe to delete",
            "chapters": self.chapters,
            "pieces": self.pieces,
            "milestones": self.milestones,
        }
        try:
            os.makedirs(self.folder, exist_ok=True)
            text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
            replace_file(self.path, text)
        except (OSError, CannotWrite) as error:
            self._cannot_write = True
            reason = getattr(error, "strerror", None) or str(error)
            say_error(
                f"your progress is not kept: {reason} (--folder DIR takes another)"
            )

    def chapter(self, name: str) -> dict[str, Any]:
        """Return what is known of a chapter; it can be changed, and saved."""
        return self.chapters.setdefault(name, {"done": False, "answers": {}})

    def piece(self, name: str) -> dict[str, Any]:
        """Return what is known of a piece; it can be changed, and saved."""
        return self.pieces.setdefault(name, {"solved": False, "hints": 0})

    def is_solved(self, name: str) -> bool:
        """Say whether a piece passed when it was checked last."""
        return name in self.pieces and self.pieces[name]["solved"]
