"""Files are read with suspicion, and replaced whole or not at all.

A file that is being written is in danger: the disk may fill up, the power may fail,
somebody may press Ctrl-C, another program may be writing the same file. `replace_file`
holds against all of these. And a path may name something else than the file it should
be: a device that never ends, a web page that was saved in its place. `check_readable`
says so in a sentence before anything is read.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import sys
import tempfile

from microgpt.training import ctrl_c_waits


class CannotWrite(ValueError):
    """A file that cannot be written now, and perhaps can be later."""


def replace_file(path: str, content: str | bytes) -> None:
    """Make the file at path hold content, whole, or leave it as it was.

    Text is written in UTF-8, its line ends as they are. The content goes to a new file
    in the same folder, down to the disk, and only then the new file takes the old one's
    name, which is one step for the file system. A stop at any instant leaves the old
    file or the new one. The old file's permissions are kept; if path is a link, it
    stays one, and the file that it leads to is replaced.

    It cannot be written: CannotWrite, and nothing else is left behind. So it is with a
    pipe or a device at path: an ordinary file would take its place.
    """
    with ctrl_c_waits():
        try:
            _replace_file(os.path.realpath(path), content)
        except OSError as error:
            reason = error.strerror or str(error)
            raise CannotWrite(f"cannot write {path}: {reason}") from None


def _replace_file(path: str, content: str | bytes) -> None:
    if isinstance(content, str):
        content = content.encode("utf-8")
    _check_ordinary(path)
    folder = os.path.dirname(path)
    # A random name, so that two runs that save at once do not meet, not even in two
    # containers that give their processes the same numbers. "x" means that the file
    # must be new: no link is followed that somebody has put there.
    temporary = os.path.join(folder, f".{secrets.token_hex(8)}.tmp")
    file = open(temporary, "xb")  # noqa: SIM115
    try:
        with file:
            with contextlib.suppress(FileNotFoundError):
                os.chmod(temporary, stat.S_IMODE(os.stat(path).st_mode))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.remove(temporary)
        raise
    _sync_folder(folder)


def check_writable(path: str) -> None:
    """Make the folder of path, and say now, not after hours, if that is no use.

    `replace_file` could still fail later: the disk may fill up meanwhile. A folder in
    which no file can be made, or a path that leads to something else: CannotWrite.
    """
    if not path:
        raise CannotWrite("the file to write has an empty name: give it one")
    folder = os.path.dirname(os.path.realpath(path))
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise CannotWrite(f"cannot write {path}: {error.strerror}") from None
    if os.path.isdir(path):
        raise CannotWrite(f"cannot write {path}: it is a folder; name a file in it")
    _check_ordinary(path)


def _check_ordinary(path: str) -> None:
    """Refuse a pipe or a device. (os.replace by itself refuses a folder.)"""
    with contextlib.suppress(OSError):  # there is nothing yet
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise CannotWrite(f"cannot write {path}: it is a pipe or a device")


def _sync_folder(folder: str) -> None:
    """Bring a folder's list of names down to the disk, where the system can do that."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows does it by itself
        return
    with contextlib.suppress(OSError):  # some file systems in a network cannot
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def identity(path: str) -> tuple[int, int, int, int] | None:
    """Return what tells a file from one that was put in its place; None: no file."""
    try:
        info = os.stat(path)
    except (OSError, ValueError):
        return None
    return (info.st_dev, info.st_ino, info.st_mtime_ns, info.st_size)


# How files of other kinds begin, and what to do about them.
OTHER_KINDS = (
    (b"version https://git-lfs", "a git-LFS pointer: fetch the file with git lfs pull"),
    (b"<!doctype html", "a web page: download the file itself"),
    (b"<html", "a web page: download the file itself"),
    (b"PK\x03\x04", "a zip archive or an office document: take the text out of it"),
    (b"\x1f\x8b", "compressed by gzip: unpack it first"),
    (b"%PDF", "a PDF: save its text in a text file"),
    (b"{\\rtf", "rich text (RTF): save it as plain text"),
)


def check_readable(path: str) -> None:
    """Raise a ValueError if path is not something to read text from, saying why.

    A pipe, such as /dev/stdin, and a terminal are read to their end. A device may have
    none. A missing file is left to whoever opens it.
    """
    try:
        info = os.stat(path)
    except OSError:
        return
    except ValueError:  # a zero byte, or half a character
        raise ValueError(f"cannot read {path}: no file can have that name") from None
    if stat.S_ISBLK(info.st_mode) or stat.S_ISCHR(info.st_mode):
        if not _is_terminal(path):
            raise ValueError(f"{path} is a device, and may have no end: give a file")
    elif stat.S_ISREG(info.st_mode):
        memory = memory_here()
        # As text and in pieces, it will be there about three times.
        if memory is not None and 3 * info.st_size > memory:
            raise ValueError(
                f"{path} has {in_bytes(info.st_size)}, too much for the "
                f"{in_bytes(memory)} of memory here: give a part of it"
            )
        if path.startswith(("/dev/", "/proc/")):
            return  # on macOS, to look at the beginning of /dev/stdin is to take it
        with contextlib.suppress(OSError), open(path, "rb") as file:
            beginning = file.read(200).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
            for start, kind in OTHER_KINDS:
                if beginning.startswith(start.lower()):
                    raise ValueError(f"{path} is {kind}")


def _is_terminal(path: str) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOCTTY", 0))
    except OSError:
        return False
    try:
        return os.isatty(descriptor)
    finally:
        os.close(descriptor)


def memory_here() -> int | None:
    """Return how many bytes of memory this process can have, None if it is not known.

    It is the least of the machine's memory, the limit of the container, and that of the
    process (`ulimit -v`).
    """
    limits = []
    with contextlib.suppress(AttributeError, ValueError, OSError):
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for path in (
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ):
        # Where there is no limit, the file says "max".
        with contextlib.suppress(OSError, ValueError), open(path, "rb") as file:
            limits.append(int(file.read()))
    if sys.platform != "win32":
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            limits.append(limit)
    return min([limit for limit in limits if limit > 0], default=None)


def in_bytes(n: int) -> str:
    """Return n bytes with a unit that a person can imagine.

    >>> in_bytes(812), in_bytes(4_100_000), in_bytes(33 * 10**12)
    ('812 bytes', '4.1 MB', '33 TB')
    """
    if n < 1000:
        return f"{n} bytes"
    for unit in ("kB", "MB", "GB", "TB", "PB"):
        n_in_unit = n / 1000
        if n_in_unit < 1000:
            return (
                f"{n_in_unit:.2g} {unit}"
                if n_in_unit < 10
                else f"{n_in_unit:.0f} {unit}"
            )
        n //= 1000
    return f"{n:,} PB"
