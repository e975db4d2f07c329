"""Download a model, and believe nothing of what arrives until its hash is right.

This file is not needed to understand GPT-2. It fetches the files of a model from
Hugging Face's hub, or from a server that is laid out in the same way:

    URL/OWNER/NAME/resolve/REVISION/FILE

such as https://huggingface.co/openai-community/gpt2/resolve/main/config.json. Any web
server can be such a mirror if it answers with the size of the file in Content-Length
and its hash in ETag. REVISION is `main`, or for gpt2 the one that is pinned below; if
the response for config.json names another in X-Repo-Commit, all other files are asked
for by that.

Before a file is fetched, its first response is looked at (before any redirect to
another server): its ETag says the file's hash, and a header its size. 64 hexadecimal
digits are the SHA-256 of the file, 40 are the SHA-1 that git has for it. (The hash
comes from the same server, so it protects from damage, not from lies. For gpt2's
weights the right one is pinned below.) What arrives
is written to a file that ends in `.part`. Only when that has the right size and the
right hash does it get its real name. If the connection breaks, the `.part` stays, and
the next attempt asks for the rest only.

In the cache, a model has a folder, and in it one for each revision:

    OWNER--NAME/current      JSON: a revision, and the size and hash of each file
    OWNER--NAME/lock         empty; whoever downloads this model holds a lock on it
    OWNER--NAME/REVISION/    the files

`current` is written when all else is in place, and is what the next start compares the
files with. A file that was deleted or has another size since then is downloaded again,
and so is a small one that was overwritten.
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
import string
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote, urljoin, urlsplit

# `python examples/gpt2/complete.py` works without installing anything.
sys.path.insert(0, os.path.abspath(f"{__file__}/../../.."))

from load import read_config
from vocabulary import read_tokenizer

from microgpt.tools.files import replace_file
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
SMALL = 10 * MEGABYTE  # up to this size, a file is hashed at each start
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
    progress: Callable[[str, int, int], Any] | None = None,
) -> str:
    """Return the folder of a model: the one that is named, or one in the cache.

    A name that is not a folder's is looked up on the hub; what is missing or damaged is
    downloaded if may_download, asked with the size, says so. progress(name, n_bytes,
    n_there) is called for each file, of which n_there bytes are left from an earlier
    attempt; it returns a function, which is called with the number of bytes so far. No
    such model, a server that does not answer or sends something wrong: ValueError, in
    one line.
    """
    if os.path.isfile(os.path.join(model, "config.json")):
        return model
    repository = SHORT_NAMES.get(model, model)
    if not is_repository(repository):
        what = "holds no config.json" if os.path.isdir(model) else "is no folder"
        raise ValueError(
            f"{model} {what}: give the folder of a model, a name such as "
            f"{', '.join(SHORT_NAMES)}, or OWNER/NAME as on {HUB}"
        )
    owner_folder = os.path.join(cache or default_cache(), repository.replace("/", "--"))
    revisions, damage = [PINNED_REVISIONS.get(repository, "main")], ""
    kept = read_current(owner_folder)
    if kept:
        revision, files = kept
        folder = os.path.join(owner_folder, revision)
        names = [file.name for file in files if not is_whole(folder, file)]
        if not names:
            return folder
        # The revision that is there comes first: of that, most files are still good.
        revisions.insert(0, revision)
        are = "is" if len(names) == 1 else "are"
        damage = f"{', '.join(names)} {are} missing or damaged in {folder}; "
    server = checked_server(mirror or HUB)
    try:
        files = files_of(server, repository, revisions)
    except ValueError as error:
        raise ValueError(f"{damage}{error}") from None
    folder = os.path.join(owner_folder, files[0].commit)
    missing = [file for file in files if not is_whole(folder, file)]
    n_bytes = sum([file.size for file in missing])
    left = n_bytes - sum([part_size(folder, file) for file in missing])
    if missing:
        size = _in_megabytes(left)
        if left < n_bytes:
            size += f" (the rest of {_in_megabytes(n_bytes)})"
        question = (
            f"{damage}{repository} is to be downloaded from {server}: {size}, to "
            f"{folder}"
        )
        if not may_download(question):
            raise ValueError(f"{question}: add --yes to download it")
    _make_folder(folder, left)
    with lock(owner_folder):
        _fetch_all(files, folder, progress)
        write_current(owner_folder, files)
    return folder


def is_repository(name: str) -> bool:
    """Say whether this can be OWNER/NAME on the hub.

    Neither of the two begins with a dot there, and "--" is in none, so that the cache
    can write it for the slash.

    >>> [is_repository(name) for name in ("someone/tiny-2.0", "./tiny", "a/b/c")]
    [True, False, False]
    """
    word = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
    is_pair = re.fullmatch(f"{word}/{word}", name) is not None
    return is_pair and ".." not in name and "--" not in name


def checked_server(url: str) -> str:
    """Return the address of a server, or say that it is none: ValueError."""
    is_address = url.isascii() and url.isprintable() and " " not in url
    try:
        parts = urlsplit(url)
        # To ask for the port is what checks it: a number up to 65535, or none.
        is_address &= parts.port is None or parts.port > 0
        is_address &= parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        is_address = False
    if not is_address:
        raise ValueError(
            f"--mirror is {url}: make it a web address that begins with http:// or "
            f"https://, such as {HUB}"
        )
    return url.rstrip("/")


def default_cache() -> str:
    """Return the folder in which this computer keeps such things."""
    home = os.path.expanduser("~")
    if os.name == "nt":
        base = os.environ.get("LOCALAPPDATA") or home
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache")
    return os.path.join(base, "microgpt")


def _in_megabytes(n_bytes: int) -> str:
    if n_bytes < MEGABYTE:
        return f"{n_bytes:,} bytes"
    return f"{n_bytes / MEGABYTE:,.0f} MB"


def _make_folder(folder: str, n_bytes: int) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise ValueError(f"cannot make {folder}: {error.strerror}") from None
    if free < n_bytes:
        raise ValueError(
            f"{folder} has room for {free:,} bytes, but {n_bytes:,} are to come: make "
            "room, or give another --cache"
        )


# What there is in the cache.


def read_current(owner_folder: str) -> tuple[str, list[Remote]] | None:
    """Return the revision that is kept, and its files as they should be.

    None if nothing was downloaded yet, or if this file itself is damaged: then the
    server is asked, and whatever is whole is not fetched again.
    """
    files = []
    try:
        with open(os.path.join(owner_folder, "current"), "rb") as file:
            current = json.loads(file.read())
        revision = current["revision"]
        for name, (size, digits) in current["files"].items():
            files.append(Remote(name, "", size, str(digits), revision))
        is_good = re.fullmatch(r"[A-Za-z0-9]+", revision) is not None
    except (OSError, ValueError, RecursionError):  # missing, or not JSON
        return None
    except (LookupError, TypeError, AttributeError):  # JSON, but of another form
        return None
    if not is_good or "config.json" not in [file.name for file in files]:
        return None
    return revision, files


def write_current(owner_folder: str, files: Sequence[Remote]) -> None:
    """Write down what is in place now, for the next start."""
    content = {
        "revision": files[0].commit,
        "files": {file.name: [file.size, file.hash] for file in files},
    }
    path = os.path.join(owner_folder, "current")
    replace_file(path, json.dumps(content, indent=1) + "\n")


def is_whole(folder: str, file: Remote) -> bool:
    """Say whether a file is in its place, and is still what it was when it got there.

    It only gets there whole and checked, but much can happen afterwards. A small file
    is hashed. Of a large one only the size is compared, because nobody wants to wait at
    each start until half a gigabyte has been hashed. The size shows what happens to
    large files most often, that a copy of them is cut short.
    """
    path = os.path.join(folder, file.name)
    try:
        if not os.path.isfile(path) or os.path.getsize(path) != file.size:
            return False
        if file.size > SMALL:
            return True
        with open(path, "rb") as content:
            return _hash_of(content, file) == file.hash
    except OSError:
        return False


@contextlib.contextmanager
def lock(owner_folder: str) -> Iterator[None]:
    """Be the only one that downloads a model. Another one does already: ValueError.

    Two downloads at once would write to the same `.part`, and both would end with a
    wrong hash. Why not give each a `.part` of its own? A command that was killed would
    leave one behind, and nobody could tell whether somebody still writes to it or the
    next command may go on with it.

    The lock is the operating system's (an *advisory lock*). It belongs to an open file,
    and ends with the process that has opened it, however that ends. So a command that
    was killed leaves no lock, as it would leave a file with its process number in it.
    The file `lock` itself stays, empty: if it were deleted, one command could hold a
    lock on the deleted file, and another one on a new file of the same name.

    Some network folders have no locks, or only such as hold on one machine. There, two
    downloads at once can still spoil each other's `.part`, and then their hash refuses
    it. One that goes on writing after the other has put the file in place can only make
    that longer, since a `.part` is only appended to; the next start sees its size.
    """
    path = os.path.join(owner_folder, "lock")
    try:
        file = open(path, "ab")  # noqa: SIM115
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error.strerror}") from None
    with file:
        try:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # the second is what Windows says
            raise ValueError(
                f"another command is downloading this model to {owner_folder}: wait "
                "until it is done, then give this command again"
            ) from None
        except OSError:
            pass  # a folder without locks
        yield


# What there is on the server.


def files_of(server: str, repository: str, revisions: Sequence[str]) -> list[Remote]:
    """Return the files that make up a model, config.json first.

    They are of the first of these revisions that there is. A file that is missing, so
    that the model could not be used: ValueError.
    """

    def look(name: str, revision: str) -> Remote | None:
        url = f"{server}/{repository}/resolve/{quote(revision, safe='')}/{quote(name)}"
        return describe(name, url, repository)

    for revision in revisions:
        config = look("config.json", revision)
        if config is not None:
            break
    else:
        raise ValueError(
            f"{server} has no model {repository} with a config.json: check the spelling"
        )
    # "main" may move on between two files, so all others are of the commit that the
    # first one is of.
    commit = config.commit or revision
    files = [config._replace(commit=commit)]
    vocab, merges = look("vocab.json", commit), look("merges.txt", commit)
    if vocab is not None and merges is not None:
        files += [vocab, merges]
        more = [
            look("added_tokens.json", commit),
            look("tokenizer_config.json", commit),
        ]
        files += [file for file in more if file is not None]
    else:
        tokenizer = look("tokenizer.json", commit)
        if tokenizer is None:
            raise ValueError(
                f"{repository} has no tokenizer on {server}, neither vocab.json and "
                "merges.txt nor tokenizer.json: without one it can read no text"
            )
        files.append(tokenizer)
    weights = look("model.safetensors", commit)
    if weights is not None:
        return [*files, weights]
    index = look("model.safetensors.index.json", commit)
    if index is None:
        raise ValueError(f"{repository} has no model.safetensors on {server}")
    files.append(index)
    for name in _shards(index):
        shard = look(name, commit)
        if shard is None:
            raise ValueError(f"{repository} lacks {name}, which its index names")
        files.append(shard)
    return files


def _shards(index: Remote) -> list[str]:
    """Return the names of the files that an index of shards lists."""
    try:
        with _open(index.url, {}) as response:
            content = response.read(100 * MEGABYTE)
    except (OSError, http.client.HTTPException) as error:
        raise ValueError(f"cannot read {index.url}: {_reason(error)}") from None
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
        # urllib raises ValueError for a host such as "a..b", here or after a redirect.
        except (OSError, http.client.HTTPException, ValueError) as error:
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
        length = headers.get("X-Linked-Size") or ""
        if status == 200 and not length:  # a redirect's would be that of its own page
            length = headers.get("Content-Length") or ""
        has_length = length.isascii() and length.isdecimal()
        if pinned:
            is_other = has_length and int(length) != pinned[0]
            is_other |= len(digits) == 64 and digits != pinned[1]
            size, digits = pinned
            if is_other:
                raise ValueError(
                    f"{url} is another file than {repository} should have, with "
                    f"{size:,} bytes and the SHA-256 {digits[:16]}…: take another "
                    "--mirror"
                )
        elif not re.fullmatch(r"[0-9a-f]{64}|[0-9a-f]{40}", digits):
            raise ValueError(
                f"{url} comes without a hash (in an ETag), so what arrives cannot be "
                "checked: take another --mirror"
            )
        elif not has_length:
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
    # Headers arrive as Latin-1; an address has other characters only as %XX.
    target = headers.get("Location") or ""
    target = urljoin(url, quote(target, encoding="latin-1", safe=string.punctuation))
    if urlsplit(target).scheme not in ("http", "https"):
        raise ValueError(f"{url} redirects to {target!r:.80}, which is no web address")
    return target


# Fetching.


def _fetch_all(
    files: Sequence[Remote],
    folder: str,
    progress: Callable[[str, int, int], Any] | None,
) -> None:
    """Download what is not there, the weights last: they are nearly all of it.

    Until then it is known whether this is a model that can be run at all. Of a Llama,
    for example, no more than config.json is fetched before it is refused.
    """
    weights = [file for file in files if file.name.endswith(".safetensors")]
    small = [file for file in files if file not in weights]
    for file in small:
        if not is_whole(folder, file):
            fetch(file, folder, progress)
        if file.name == "config.json":
            read_config(folder)
    read_tokenizer(folder)
    for file in weights:
        if not is_whole(folder, file):
            fetch(file, folder, progress)


def _open(url: str, headers: dict[str, str]) -> Any:
    request = urllib.request.Request(url, headers={**HEADERS, **headers})
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and headers:  # nothing follows what is there already
            return None
        raise ValueError(
            f"{url} answers with HTTP {error.code}: try again later"
        ) from None
    except OSError:  # also a certificate's, which is a ValueError as well
        raise
    except ValueError as error:  # here urllib follows redirects, perhaps to http://[::1
        raise ValueError(f"cannot reach {url}: {_reason(error)}") from None


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


def fetch(
    file: Remote, folder: str, progress: Callable[[str, int, int], Any] | None = None
) -> None:
    """Download a file into a folder. It is there whole, or not at all: ValueError."""
    path = part_path(folder, file)
    n_there = part_size(folder, file)
    show = progress(file.name, file.size, n_there) if progress else lambda done: None
    try:
        attempts_left, most = ATTEMPTS, n_there
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
        raise ValueError(
            f"{file.url} should have {file.size:,} bytes, but ends after {done:,} or "
            "fewer: it is cut short or another file; nothing was kept, try again or "
            "take another --mirror"
        )
    with response:
        says = response.headers.get("Content-Range") or ""
        if done and (response.status != 206 or not says.startswith(f"bytes {done}-")):
            # The server cannot go on in the middle, and sends all of it again.
            os.remove(path)
            done = 0
        with open(path, "ab") as part:
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
