"""Download a model, and believe nothing of what arrives until its hash is right.

This file is not needed to understand GPT-2. It fetches the files of a model from
Hugging Face's hub, or from a server that is laid out in the same way:

    URL/OWNER/NAME/resolve/REVISION/FILE

Before a file is fetched, its first response is looked at (before any redirect to
another server): its ETag says the file's hash, and a header its size. 64 hexadecimal
digits are the SHA-256 of the file, 40 are the SHA-1 that git has for it. What arrives
is written to a file that ends in `.part`. Only when that has the right size and the
right hash does it get its real name. If the connection breaks, the `.part` stays, and
the next attempt asks for the rest only.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import json
import os
import re
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import quote, urljoin, urlsplit

# `python examples/gpt2/complete.py` works without installing anything.
sys.path.insert(0, os.path.abspath(f"{__file__}/../../.."))

from microgpt.tools.terminal import is_terminal, say

HUB = "https://huggingface.co"
SHORT_NAMES = {
    "gpt2": "openai-community/gpt2",
    "gpt2-medium": "openai-community/gpt2-medium",
    "gpt2-large": "openai-community/gpt2-large",
    "gpt2-xl": "openai-community/gpt2-xl",
    "distilgpt2": "distilbert/distilgpt2",
}
# Of the smallest it is known what must arrive, whatever a server says.
PINNED_REVISIONS = {"openai-community/gpt2": "607a30d783dfa663caf39e06633721c8d4cfcd7e"}
PINNED_FILES = {
    ("openai-community/gpt2", "model.safetensors"): (
        548_105_171,
        "248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707",
    )
}
TIMEOUT = 30.0  # seconds without a byte
ATTEMPTS = 5  # in a row that bring nothing new
REDIRECTS = (301, 302, 303, 307, 308)
MEGABYTE = 1_000_000
HEADERS = {"User-Agent": "microgpt/2", "Accept-Encoding": "identity"}


class Remote(NamedTuple):
    """A file on the server, as its first response describes it."""

    name: str
    url: str
    size: int
    hash: str  # 64 digits: SHA-256; 40: git's SHA-1 of "blob SIZE\\0" and the content
    commit: str  # the revision that the server took it from, or ""


def model_folder(
    model: str,
    cache: str | None = None,
    mirror: str | None = None,
    may_download: Callable[[str], bool] = lambda question: False,
    progress: Callable[[str, int], Any] | None = None,
) -> str:
    """Return the folder of a model: the one that is named, or one in the cache.

    A name that is not a folder's is looked up on the hub; what is missing is downloaded
    if may_download, asked with the size, says so. progress(name, n_bytes) is called for
    each file, and what it returns is shown the bytes so far. No such model, a server
    that does not answer or sends something wrong: ValueError, in one line.
    """
    if os.path.isfile(os.path.join(model, "config.json")):
        return model
    repository = SHORT_NAMES.get(model, model)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository) or ".." in repository:
        what = "holds no config.json" if os.path.isdir(model) else "is no folder"
        raise ValueError(
            f"{model} {what}: give the folder of a model, a name such as "
            f"{', '.join(SHORT_NAMES)}, or OWNER/NAME as on {HUB}"
        )
    owner_folder = os.path.join(cache or default_cache(), repository.replace("/", "--"))
    # This file is written last, so what it names is whole.
    current = os.path.join(owner_folder, "current")
    with contextlib.suppress(OSError):
        with open(current, encoding="utf-8") as pointer:
            name = os.path.basename(pointer.read().strip())
        folder = os.path.join(owner_folder, name)
        if os.path.isfile(os.path.join(folder, "config.json")):
            return folder
    server = mirror or HUB
    if urlsplit(server).scheme not in ("http", "https"):
        raise ValueError(
            f"--mirror is {server}: make it begin with http:// or https://"
        )
    revision = PINNED_REVISIONS.get(repository, "main")
    files = files_of(server.rstrip("/"), repository, revision)
    commit = files[0].commit or revision
    folder = os.path.join(owner_folder, commit)
    missing = [file for file in files if not is_whole(folder, file)]
    n_bytes = sum([file.size for file in missing])
    left = n_bytes - sum([part_size(folder, file) for file in missing])
    if missing:
        _ask(repository, server, folder, n_bytes, left, may_download)
        _make_folder(folder, left)
        for file in missing:
            fetch(file, folder, progress)
    _write_whole(current, os.path.basename(folder))
    return folder


def default_cache() -> str:
    """Return the folder in which this computer keeps such things."""
    home = os.path.expanduser("~")
    if os.name == "nt":
        base = os.environ.get("LOCALAPPDATA") or home
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache")
    return os.path.join(base, "microgpt")


def _ask(
    repository: str,
    server: str,
    folder: str,
    n_bytes: int,
    left: int,
    may_download: Callable[[str], bool],
) -> None:
    size = f"{left / MEGABYTE:,.0f} MB" if left >= MEGABYTE else f"{left:,} bytes"
    of = f" (the rest of {n_bytes / MEGABYTE:,.0f} MB)" if left < n_bytes else ""
    what = f"{repository} is to be downloaded from {server}: {size}{of}, to {folder}"
    if not may_download(what):
        raise ValueError(f"{what}: add --yes to download it")


def _make_folder(folder: str, n_bytes: int) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise ValueError(f"cannot make {folder}: {error.strerror}") from None
    if free < n_bytes:
        raise ValueError(
            f"{folder} has room for {free // MEGABYTE:,} MB, but "
            f"{n_bytes // MEGABYTE:,} are to come: make room, or give another --cache"
        )


# What there is on the server.


def files_of(server: str, repository: str, revision: str) -> list[Remote]:
    """Return the files that make up a model; one that is missing: ValueError."""

    def look(name: str) -> Remote | None:
        url = f"{server}/{repository}/resolve/{quote(revision, safe='')}/{quote(name)}"
        return describe(name, url, repository)

    config = look("config.json")
    if config is None:
        raise ValueError(
            f"{server} has no model {repository} with a config.json: check the spelling"
        )
    revision = config.commit or revision  # "main" may move on between two files
    files = [config]
    weights = look("model.safetensors")
    if weights is not None:
        files.append(weights)
    else:
        index = look("model.safetensors.index.json")
        if index is None:
            raise ValueError(f"{repository} has no model.safetensors on {server}")
        files.append(index)
        for name in _shards(index):
            shard = look(name)
            if shard is None:
                raise ValueError(f"{repository} lacks {name}, which its index names")
            files.append(shard)
    vocab, merges = look("vocab.json"), look("merges.txt")
    if vocab is not None and merges is not None:
        files += [vocab, merges]
        also = ["added_tokens.json", "tokenizer_config.json"]
    else:
        also = ["tokenizer.json"]
    files += [file for file in map(look, also) if file is not None]
    return files


def _shards(index: Remote) -> list[str]:
    """Return the names of the files that an index of shards lists."""
    with _open(index.url, {}) as response:
        content = response.read(100 * MEGABYTE)
    _check_hash(index, content)
    try:
        names = sorted(set(json.loads(content)["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError(f"{index.url} is no index of shards") from None
    for name in names:
        if type(name) is not str or not re.fullmatch(r"[\w-][\w.-]*", name):
            raise ValueError(f"{index.url} names a file {name!r:.60}")
    return names


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: Any) -> None:
        return None


def describe(name: str, url: str, repository: str) -> Remote | None:
    """Return what the first response says about a file, or None if there is none.

    Its hash stands in X-Linked-Etag, where there is one, or else in ETag; a redirect
    that has neither (a model that has moved) is followed.
    """
    opener = urllib.request.build_opener(_NoRedirect)
    for _ in range(6):
        request = urllib.request.Request(url, method="HEAD", headers=HEADERS)
        try:
            with opener.open(request, timeout=TIMEOUT) as response:
                headers, status = response.headers, response.status
        except urllib.error.HTTPError as error:
            headers, status = error.headers, error.code
            error.close()
        except (OSError, http.client.HTTPException) as error:
            raise ValueError(f"cannot reach {url}: {_reason(error)}") from None
        if status == 404:
            return None
        if status in (401, 403):
            raise ValueError(f"{url} is not open to everyone (HTTP {status})")
        if status != 200 and status not in REDIRECTS:
            raise ValueError(f"{url} answers with HTTP {status}: try again later")
        etag = headers.get("X-Linked-Etag") or headers.get("ETag") or ""
        pinned = PINNED_FILES.get((repository, name))
        if status in REDIRECTS and not etag and not pinned:
            url = _redirected(url, headers)
            continue
        digits = etag.removeprefix("W/").strip('"').lower()
        length = headers.get("X-Linked-Size") or headers.get("Content-Length") or ""
        if pinned:
            size, digits = pinned
        elif not re.fullmatch(r"[0-9a-f]{64}|[0-9a-f]{40}", digits):
            raise ValueError(
                f"{url} comes without a hash (in an ETag), so what arrives cannot be "
                "checked: take another --mirror"
            )
        elif not (length.isascii() and length.isdecimal()):
            raise ValueError(
                f"{url} does not say how large it is: take another --mirror"
            )
        else:
            size = int(length)
        commit = headers.get("X-Repo-Commit") or ""
        if not re.fullmatch(r"[0-9a-f]{40}", commit):
            commit = ""
        return Remote(name, url, size, digits, commit)
    raise ValueError(f"{url} redirects again and again")


def _redirected(url: str, headers: Any) -> str:
    target: str = urljoin(url, headers.get("Location") or "")
    if urlsplit(target).scheme not in ("http", "https"):
        raise ValueError(f"{url} redirects to {target!r:.80}, which is no web address")
    return target


# Fetching.


def _open(url: str, headers: dict[str, str]) -> Any:
    request = urllib.request.Request(url, headers={**HEADERS, **headers})
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # there is nothing after what was asked for
            return None
        raise ValueError(
            f"{url} answers with HTTP {error.code}: try again later"
        ) from None


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return str(getattr(reason, "strerror", None) or reason or type(error).__name__)


def part_path(folder: str, file: Remote) -> str:
    """Return where the bytes so far are: another version has another place."""
    return os.path.join(folder, f"{file.name}.{file.hash[:16]}.part")


def part_size(folder: str, file: Remote) -> int:
    """Return how many bytes of a file are there already."""
    try:
        return min(os.path.getsize(part_path(folder, file)), file.size)
    except OSError:
        return 0


def is_whole(folder: str, file: Remote) -> bool:
    """Say whether a file is in its place. (It only gets there whole and checked.)"""
    path = os.path.join(folder, file.name)
    return os.path.isfile(path) and os.path.getsize(path) == file.size


def fetch(
    file: Remote, folder: str, progress: Callable[[str, int], Any] | None = None
) -> None:
    """Download a file into a folder. It is there whole, or not at all: ValueError."""
    path = part_path(folder, file)
    show = progress(file.name, file.size) if progress else lambda done: None
    try:
        attempts_left, most = ATTEMPTS, part_size(folder, file)
        while part_size(folder, file) < file.size or not os.path.exists(path):
            fault = _fetch_more(file, path, show)
            now = part_size(folder, file)
            attempts_left = ATTEMPTS if now > most else attempts_left - 1
            most = max(most, now)
            if attempts_left == 0:
                raise ValueError(
                    f"{file.url} broke off after {part_size(folder, file):,} of "
                    f"{file.size:,} bytes ({fault}): the same command goes on "
                    "from there"
                )
        with open(path, "rb") as part:
            digits = _hash_of(part, file)
        if digits != file.hash:
            os.remove(path)
            raise ValueError(
                f"{file.url} is not what the server says that it is: its hash is "
                f"{digits[:16]}…, but should be {file.hash[:16]}…; nothing was kept, "
                "try again"
            )
        os.replace(path, os.path.join(folder, file.name))
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error.strerror or error}") from None


def _fetch_more(file: Remote, path: str, show: Callable[[int], None]) -> str:
    """Add to the part what one connection brings; return why it ended too early."""
    done = os.path.getsize(path) if os.path.exists(path) else 0
    if done > file.size:
        os.remove(path)
        done = 0
    try:
        response = _open(file.url, {"Range": f"bytes={done}-"} if done else {})
    except (OSError, http.client.HTTPException) as error:
        return _reason(error)
    if response is None:
        os.remove(path)
        return "the server has fewer bytes"
    with response:
        says = response.headers.get("Content-Range") or ""
        if done and (response.status != 206 or not says.startswith(f"bytes {done}-")):
            done = 0  # the server cannot go on in the middle, and sends all of it again
        with open(path, "ab" if done else "wb") as part:
            while True:
                try:
                    content = response.read(min(MEGABYTE, file.size - done + 1))
                except (OSError, http.client.HTTPException) as error:
                    if isinstance(error, http.client.IncompleteRead):
                        part.write(error.partial[: file.size - done])
                    return _reason(error)
                if not content:
                    return "the connection was closed"
                if done + len(content) > file.size:
                    part.close()
                    os.remove(path)
                    raise ValueError(
                        f"{file.url} sends more than the {file.size:,} bytes that it "
                        "should have: nothing was kept, try again"
                    )
                part.write(content)
                done += len(content)
                show(done)
                if done == file.size:
                    part.flush()
                    os.fsync(part.fileno())
                    return ""


def _hash_of(file: Any, remote: Remote) -> str:
    """Return the hash of an open file, of the kind that remote.hash has."""
    if len(remote.hash) == 64:
        hasher = hashlib.sha256()
    else:
        hasher = hashlib.sha1(b"blob %d\0" % remote.size)
    while content := file.read(MEGABYTE):
        hasher.update(content)
    return hasher.hexdigest()


def _check_hash(remote: Remote, content: bytes) -> None:
    if (
        len(content) != remote.size
        or _hash_of(io.BytesIO(content), remote) != remote.hash
    ):
        raise ValueError(f"{remote.url} is not what the server says that it is")


def _write_whole(path: str, text: str) -> None:
    try:
        with open(f"{path}.{os.getpid()}.part", "w", encoding="utf-8") as file:
            file.write(text + "\n")
        os.replace(f"{path}.{os.getpid()}.part", path)
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error.strerror}") from None


def ask_on_terminal(question: str) -> bool:
    """Ask a person, whose no is a ValueError: the question has just been on the screen.

    Where there is nobody to ask, as in a pipe, return False.
    """
    if not (sys.stdin and is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        return False
    say(f"{question}. Go on? [y/N] ", end="", stream=sys.stderr)
    answer = sys.stdin.buffer.readline()
    if not answer.endswith(b"\n"):  # Ctrl-D ends the input, but not the line
        say("", stream=sys.stderr)
    if answer.strip().lower() not in (b"y", b"yes"):
        raise ValueError("nothing was downloaded, since the answer was not yes")
    return True
