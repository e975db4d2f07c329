"""The folder of a run: starting again must always work, and never cost anything.

A person who starts the same command a second time may not think of what is in the
folder from the first. So a new run does not write over it. Before its first save, and
not earlier, since it may be stopped before it has anything to save, it moves the files
that are there aside, into `previous-1`, or the next number that is free.

Two runs may also be given the same folder at the same time. Each looks before it saves
whether the checkpoint is still the one that it wrote itself. If it is not, another run
has taken the folder over, and this one saves itself in a `previous-…` of its own.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil

from microgpt.model import as_floats
from microgpt.tools.checkpoint import CommandSettings, read_checkpoint, save_checkpoint
from microgpt.tools.files import CannotWrite, identity
from microgpt.training import Run, ctrl_c_waits

CHECKPOINT = "checkpoint.json"
FILES = ("losses.csv", "loss.svg", CHECKPOINT)  # all that a run writes


class RunFolder:
    """Where a run is saved. `path` is that of its checkpoint.

    A new run and one that is resumed differ in one thing, `ours`: whether the files
    that are in the folder now belong to this run.
    """

    def __init__(self, out: str, resumed: bool) -> None:
        self.out = out
        self.folder = out  # until another run takes it over
        self.ours = resumed
        self.known = identity(self.path)  # the checkpoint, as we last saw it
        self.line = ""  # about what was moved, until it could be said

    @property
    def path(self) -> str:
        """The path of the checkpoint."""
        return os.path.join(self.folder, CHECKPOINT)

    def make(self) -> None:
        """Make the folder if there is none; if it cannot be written in: ValueError."""
        if os.path.islink(self.out) and not os.path.exists(self.out):
            raise ValueError(
                f"{self.out} is a link to {os.readlink(self.out)}, which is not there: "
                "make that folder, or remove the link"
            )
        try:
            os.makedirs(self.out, exist_ok=True)
        except OSError as error:
            raise CannotWrite(f"cannot make {self.out!r}: {error.strerror}") from None
        except ValueError:  # a zero byte, or half a character
            raise ValueError(f"no folder can be called {self.out!r}") from None
        # Asking for permissions would not tell of a disk that is mounted to be read.
        trial = os.path.join(self.out, f".{secrets.token_hex(8)}.tmp")
        with ctrl_c_waits():
            try:
                open(trial, "x", encoding="utf-8").close()
                os.remove(trial)
            except OSError as error:
                raise CannotWrite(
                    f"cannot write in {self.out}: {error.strerror}"
                ) from None

    def save(self, run: Run, settings: CommandSettings) -> str:
        """Save the run; return a line to show if that moved something, else "".

        The line is returned and not printed, because output can fail, and the run has
        to be saved first. A file that cannot be written: CannotWrite, which says where
        an earlier run is, if that was moved already.
        """
        with ctrl_c_waits():
            try:
                self.line = self._make_room(run, settings) or self.line
            except OSError as error:
                raise CannotWrite(
                    f"cannot move what is in {self.folder} aside: {error.strerror}"
                ) from None
            try:
                save_checkpoint(self.path, run, settings)
            except CannotWrite as error:
                if self.line and self.folder == self.out:
                    raise CannotWrite(f"{error} ({self.line})") from None
                raise
            self.known = identity(self.path)
            self.ours = True
            line, self.line = self.line, ""
        return line

    def _make_room(self, run: Run, settings: CommandSettings) -> str:
        now = identity(self.path)
        if now is not None and now != self.known:
            self.folder = self._new_previous()
            self.ours = True
            return (
                f"another run has been saved in {self.out} meanwhile, so this one is "
                f"saved in {self.folder}"
            )
        os.makedirs(self.folder, exist_ok=True)  # somebody may have removed it
        there = [name for name in FILES if os.path.exists(self._file(name))]
        if self.ours or not there or self._holds_the_same(run, settings):
            return ""
        previous = self._new_previous()
        for name in there:
            self._move(name, previous)
        return f"what was in {self.out} from an earlier run is now in {previous}"

    def _file(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def _new_previous(self) -> str:
        """Make the folder previous-N with the first number that is free."""
        number = 1
        while True:
            folder = os.path.join(self.out, f"previous-{number}")
            try:
                # It is this call that decides, also between two runs at once.
                os.makedirs(folder)
                return folder
            except FileExistsError:
                number += 1

    def _move(self, name: str, folder: str) -> None:
        target = os.path.join(folder, name)
        try:
            os.replace(self._file(name), target)
        except PermissionError:
            # On Windows, a file that is open in a spreadsheet can be read, not moved.
            if name == CHECKPOINT:
                raise
            with contextlib.suppress(OSError):
                shutil.copy2(self._file(name), target)

    def _holds_the_same(self, run: Run, settings: CommandSettings) -> bool:
        """Say whether run has finished, and the folder holds its equal, finished too.

        The settings and the data have to be the same, and what came of them as well: a
        run that was resumed with other settings on its way came to other numbers. How
        many samples were printed makes no difference.
        """
        try:
            old, old_settings = read_checkpoint(self.path)
        except ValueError:
            return False
        return (
            run.step == run.training.steps
            and (old.config, old.training) == (run.config, run.training)
            and old_settings.data_sha256 == settings.data_sha256
            and old.tokenizer.chars == run.tokenizer.chars
            and old.losses == run.losses
            and as_floats(old.params) == as_floats(run.params)
        )
