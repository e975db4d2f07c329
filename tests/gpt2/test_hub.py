"""Downloads, from a server on this computer that does all that servers do wrong.

After each of them, a file is in its place whole and checked, or it is not there.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading

import hub
import pytest
from gpt2_support import DATA, GPT2, assert_one_line_error, call

COMMIT = "ab" * 20
TOKENIZER = DATA / "forms" / "padded" / "tokenizer.json"
NAME = "someone/model"


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def git_sha1(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Hub:
    """A server laid out as the hub is, whose `faults` tests can set."""

    def __init__(self):
        self.files = {}
        self.large = {"model.safetensors"}  # what comes by a redirect, as LFS files do
        self.requests = []  # (method, path, Range or None)
        self.say = {}  # headers of a first response that are not as they should be
        self.send = None  # (content, start) -> bytes that are really sent
        self.length = None  # Content-Length of what is sent, if it is a lie
        self.has_range = True
        self.status = {}  # name: HTTP status instead of the file
        self.commit = COMMIT  # what "main" is now
        self.commits_gone = set()
        hub_itself = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self):
                hub_itself.answer(self, is_head=True)

            def do_GET(self):
                hub_itself.answer(self, is_head=False)

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads, self.server.block_on_close = True, False
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(
            target=self.server.serve_forever, args=[0.01], daemon=True
        )
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, handler, is_head):
        path = handler.path
        self.requests.append((handler.command, path, handler.headers.get("Range")))
        moved = path.startswith("/old/")
        if moved:
            handler.send_response(307)
            handler.send_header("Location", path.replace("/old/", "/someone/", 1))
            handler.end_headers()
            return
        name = path.rsplit("/", 1)[-1]
        is_redirected = path.startswith("/cdn/")
        in_place = re.fullmatch(rf"/{NAME}/resolve/([\w.-]+)/{re.escape(name)}", path)
        is_there = is_redirected or (in_place and in_place[1] not in self.commits_gone)
        if name not in self.files or not is_there:
            handler.send_error(404)
            return
        if name in self.status and not is_head:
            handler.send_error(self.status[name])
            return
        content = self.files[name]
        is_main = is_redirected or in_place[1] == "main"
        headers = {"X-Repo-Commit": self.commit if is_main else in_place[1]}
        if name in self.large and not is_redirected:
            headers["X-Linked-Etag"] = f'"{sha256(content)}"'
            headers["X-Linked-Size"] = str(len(content))
            headers["ETag"] = '"something-else"'
            headers["Location"] = f"/cdn/{name}"
            headers["Content-Length"] = "0"
            handler.send_response(302)
        else:
            headers["ETag"] = f'W/"{git_sha1(content)}"'
            start = 0
            wanted = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range") or "")
            if wanted and self.has_range:
                start = int(wanted[1])
                if start >= len(content):
                    handler.send_error(416)
                    return
                handler.send_response(206)
                total = f"{start}-{len(content) - 1}/{len(content)}"
                headers["Content-Range"] = f"bytes {total}"
            else:
                handler.send_response(200)
            body = content[start:]
            headers["Content-Length"] = str(len(body))
            if not is_head and self.send is not None and is_redirected:
                body = self.send(content, start)
                if self.length is not None:
                    headers["Content-Length"] = str(self.length)
        headers.update(self.say.get(name, {}))
        for key, text in headers.items():
            if text is not None:
                handler.send_header(key, text)
        handler.end_headers()
        if not is_head and "Location" not in headers:
            handler.wfile.write(body)
            handler.wfile.flush()
            handler.close_connection = True


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = Hub()
    for name in ("config.json", "model.safetensors"):
        server.files[name] = (DATA / "f32_tied" / name).read_bytes()
    for name in ("vocab.json", "merges.txt"):
        server.files[name] = (DATA / name).read_bytes()
    yield server
    server.close()


def download(server, cache, name=NAME, **more):
    return hub.model_folder(
        name, str(cache), server.url, may_download=lambda what: True, **more
    )


def refusal(server, cache, name=NAME):
    """Return the one line that says why nothing was downloaded."""
    with pytest.raises(ValueError) as caught:
        download(server, cache, name)
    assert caught.type is ValueError
    assert str(caught.value).isprintable()
    return str(caught.value)


def in_place(cache):
    """Return the model's files that have their real names, and their bytes."""
    found = {}
    for path in cache.rglob("*"):
        is_own = path.suffix == ".part" or path.name in ("current", "lock")
        if path.is_file() and not is_own:
            found[path.name] = path.read_bytes()
    return found


def parts(cache):
    return list(cache.rglob("*.part"))


def assert_nothing_wrong(server, cache):
    """Assert that what is in place is what the server has, to the byte."""
    for name, content in in_place(cache).items():
        assert content == server.files[name]


# What goes right


def test_a_model_is_downloaded_whole_and_then_needs_no_server(server, tmp_path):
    folder = download(server, tmp_path)
    assert in_place(tmp_path) == server.files
    assert parts(tmp_path) == []
    assert folder == str(tmp_path / "someone--model" / COMMIT)
    server.close()
    assert download(server, tmp_path) == folder


def test_all_files_are_of_the_commit_that_the_first_response_names(server, tmp_path):
    download(server, tmp_path)
    revisions = [path.split("/")[4] for _, path, _ in server.requests if NAME in path]
    assert revisions[0] == "main"
    assert set(revisions[1:-5]) == {COMMIT}


@pytest.mark.parametrize("form", ["tokenizer.json", "shards"])
def test_other_forms_are_found(server, tmp_path, form):
    if form == "tokenizer.json":
        del server.files["vocab.json"], server.files["merges.txt"]
        server.files["tokenizer.json"] = TOKENIZER.read_bytes()
    else:
        weights = server.files.pop("model.safetensors")
        names = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
        server.files.update(dict.fromkeys(names, weights))
        index = json.dumps({"weight_map": {"a": names[0], "b": names[1]}})
        server.files["model.safetensors.index.json"] = index.encode()
    download(server, tmp_path)
    assert in_place(tmp_path) == server.files


def test_a_model_that_has_moved_is_followed(server, tmp_path):
    download(server, tmp_path, "old/model")
    assert in_place(tmp_path) == server.files


def test_what_is_there_already_is_not_asked_for_again(server, tmp_path):
    folder = download(server, tmp_path)
    os.remove(tmp_path / "someone--model" / "current")
    os.remove(os.path.join(folder, "merges.txt"))
    server.requests.clear()
    download(server, tmp_path)
    got = [path for method, path, _ in server.requests if method == "GET"]
    assert [path.rsplit("/", 1)[-1] for path in got] == ["merges.txt"]


def test_the_size_is_told_before_anything_is_fetched(server, tmp_path):
    asked = []

    def may_download(what):
        asked.append(what)
        return False

    with pytest.raises(ValueError, match="add --yes to download it"):
        hub.model_folder(NAME, str(tmp_path), server.url, may_download=may_download)
    total = sum([len(content) for content in server.files.values()])
    assert f"{total:,} bytes" in asked[0]
    assert NAME in asked[0]
    assert {method for method, _, _ in server.requests} == {"HEAD"}
    assert list(tmp_path.iterdir()) == []


def test_progress_is_told_to_its_end(server, tmp_path):
    shown = {}

    def progress(name, n_bytes, n_there):
        return lambda done: shown.setdefault(name, []).append((done, n_bytes))

    download(server, tmp_path, progress=progress)
    for name, content in server.files.items():
        assert shown[name][-1] == (len(content), len(content))


# What goes wrong on the way


def break_off(after):
    """Send only so many bytes of what is left, and close the connection."""
    return lambda content, start: content[start : start + after]


def test_a_download_that_breaks_off_goes_on_where_it_was(server, tmp_path):
    size = len(server.files["model.safetensors"])
    server.send = break_off(size // 3)
    download(server, tmp_path)
    assert in_place(tmp_path) == server.files
    ranges = [wanted for method, path, wanted in server.requests if "/cdn/" in path]
    assert ranges == [None, *[f"bytes={size // 3 * n}-" for n in (1, 2, 3)]]


def test_a_later_command_goes_on_where_the_last_one_broke_off(server, tmp_path):
    sent = []

    def once(content, start):
        sent.append(start)
        return content[:1000] if len(sent) == 1 else b""

    server.send = once
    line = refusal(server, tmp_path)
    assert "broke off after 1,000 of" in line
    assert "goes on from there" in line
    assert "model.safetensors" not in in_place(tmp_path)
    assert [path.stat().st_size for path in parts(tmp_path)] == [1000]

    server.send = None
    server.requests.clear()
    download(server, tmp_path)
    assert in_place(tmp_path) == server.files
    assert parts(tmp_path) == []
    assert [r[2] for r in server.requests if "/cdn/" in r[1]] == ["bytes=1000-"]


def test_a_server_that_cannot_go_on_in_the_middle_begins_anew(server, tmp_path):
    server.has_range = False
    sent = []

    def first_short(content, start):
        sent.append(start)
        return content[:1000] if len(sent) == 1 else content

    server.send = first_short
    download(server, tmp_path)
    assert in_place(tmp_path) == server.files


@pytest.mark.parametrize("has_range", [True, False])
def test_a_server_that_always_breaks_off_at_one_place_is_given_up(
    server, tmp_path, has_range
):
    server.has_range = has_range
    server.send = lambda content, start: content[start:1000]
    line = refusal(server, tmp_path)
    assert "broke off after 1,000 of" in line
    assert_nothing_wrong(server, tmp_path)
    assert len([r for r in server.requests if "/cdn/" in r[1]]) < 15


def test_a_part_that_was_damaged_is_noticed_and_fetched_anew(server, tmp_path):
    folder = tmp_path / "someone--model" / COMMIT
    folder.mkdir(parents=True)
    digits = sha256(server.files["model.safetensors"])
    part = folder / f"model.safetensors.{digits[:16]}.part"
    part.write_bytes(b"x" * 1000)
    assert "its hash is" in refusal(server, tmp_path)
    assert parts(tmp_path) == []
    download(server, tmp_path)
    assert in_place(tmp_path) == server.files


def test_a_part_that_is_too_long_is_thrown_away(server, tmp_path):
    folder = tmp_path / "someone--model" / COMMIT
    folder.mkdir(parents=True)
    content = server.files["model.safetensors"]
    part = folder / f"model.safetensors.{sha256(content)[:16]}.part"
    part.write_bytes(content + b"more")
    assert "its hash is" in refusal(server, tmp_path)
    assert parts(tmp_path) == []
    download(server, tmp_path)
    assert in_place(tmp_path) == server.files


# What goes wrong at the server


@pytest.mark.parametrize("lie", [20_000, 10**9])
def test_a_server_that_lies_about_the_length_changes_nothing(server, tmp_path, lie):
    server.send, server.length = (lambda content, start: content[start:]), lie
    download(server, tmp_path)  # what is missing is asked for again
    assert in_place(tmp_path) == server.files


def test_a_server_that_sends_less_than_it_promised_is_given_up(server, tmp_path):
    server.send = lambda content, start: b""
    server.length = 0
    line = refusal(server, tmp_path)
    assert "broke off after 0 of" in line
    assert_nothing_wrong(server, tmp_path)


def test_other_bytes_are_thrown_away(server, tmp_path):
    server.send = lambda content, start: content[start:-1] + b"!"
    line = refusal(server, tmp_path)
    assert "its hash is" in line
    assert "nothing was kept" in line
    assert "model.safetensors" not in in_place(tmp_path)
    assert parts(tmp_path) == []


def test_more_bytes_than_announced_are_thrown_away(server, tmp_path):
    server.send = lambda content, start: content[start:] + b"more"
    server.length = len(server.files["model.safetensors"]) + 4
    assert "sends more than the" in refusal(server, tmp_path)
    assert "model.safetensors" not in in_place(tmp_path)
    assert parts(tmp_path) == []


def test_an_error_page_is_not_taken_for_the_file(server, tmp_path):
    page = b"<!DOCTYPE html><title>Too many requests</title>" * 5000
    size = len(server.files["model.safetensors"])
    server.send, server.length = (lambda content, start: page[:size]), size
    assert "its hash is" in refusal(server, tmp_path)
    assert "model.safetensors" not in in_place(tmp_path)


@pytest.mark.parametrize("status", [403, 404, 429, 500, 503])
def test_an_error_in_place_of_a_file_is_named(server, tmp_path, status):
    server.status["vocab.json"] = status
    line = refusal(server, tmp_path)
    assert f"vocab.json answers with HTTP {status}" in line
    assert "vocab.json" not in in_place(tmp_path)
    assert_nothing_wrong(server, tmp_path)


@pytest.mark.parametrize(
    ("name", "headers", "words"),
    [
        ("config.json", {"ETag": None}, "comes without a hash"),
        ("config.json", {"ETag": '"12345"'}, "comes without a hash"),
        ("config.json", {"ETag": '"' + "g" * 40 + '"'}, "comes without a hash"),
        ("config.json", {"ETag": '"' + "0" * 40 + '"'}, "its hash is"),
        ("model.safetensors", {"X-Linked-Etag": '"' + "0" * 64 + '"'}, "its hash is"),
        ("model.safetensors", {"X-Linked-Size": "10"}, "sends more than the 10 bytes"),
        ("model.safetensors", {"X-Linked-Size": "many"}, "does not say how large"),
        ("model.safetensors", {"X-Linked-Size": "9" * 30}, "has room for"),
        ("config.json", {"Content-Length": None}, "does not say how large"),
    ],
)
def test_a_first_response_that_is_wrong_puts_nothing_in_place(
    server, tmp_path, name, headers, words
):
    server.say[name] = headers
    assert words in refusal(server, tmp_path)
    assert name not in in_place(tmp_path)
    assert_nothing_wrong(server, tmp_path)


def test_a_redirect_in_a_circle_ends(server, tmp_path):
    server.say["model.safetensors"] = {
        "X-Linked-Etag": None,
        "ETag": None,
        "Location": f"/{NAME}/resolve/{COMMIT}/model.safetensors",
    }
    assert "redirects again and again" in refusal(server, tmp_path)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("file:///etc/passwd", "redirects to 'file:///etc/passwd', which is no web"),
        ("http://[::1", "model.safetensors: Invalid IPv6 URL"),
    ],
)
def test_a_redirect_to_what_is_no_web_address_is_not_followed(
    server, tmp_path, target, words
):
    server.say["model.safetensors"] = {
        "X-Linked-Etag": None,
        "ETag": None,
        "Location": target,
    }
    assert words in refusal(server, tmp_path)
    # In the second response, urllib itself follows redirects.
    del server.say["model.safetensors"]
    server.say["config.json"] = {"Location": target}
    server.large.add("config.json")
    assert "/config.json" in refusal(server, tmp_path)
    assert_nothing_wrong(server, tmp_path)


def test_a_redirect_may_hold_letters_with_accents(server, tmp_path):
    server.say["model.safetensors"] = {
        "X-Linked-Etag": None,
        "ETag": None,
        "Location": "/caf\u00e9/model.safetensors",
    }
    assert "no model.safetensors" in refusal(server, tmp_path)
    assert server.requests[-2][1] == "/caf%E9/model.safetensors"


def test_an_index_that_cannot_be_read_is_named(server, tmp_path):
    del server.files["model.safetensors"]
    name = "model.safetensors.index.json"
    server.files[name] = b'{"weight_map": {}}'
    server.large.add(name)
    server.say[name] = {"Location": "http://127.0.0.1:1/nobody-is-there"}
    assert f"{name}: " in refusal(server, tmp_path)


def test_a_commit_that_leads_out_of_the_cache_is_no_commit(server, tmp_path):
    server.say["config.json"] = {"X-Repo-Commit": "../../../elsewhere"}
    folder = download(server, tmp_path / "cache")
    assert folder == str(tmp_path / "cache" / "someone--model" / "main")


@pytest.mark.parametrize("shard", ["../x.safetensors", "/x", "", 7, "a/b"])
def test_a_shard_that_is_no_file_name_is_refused(server, tmp_path, shard):
    del server.files["model.safetensors"]
    index = json.dumps({"weight_map": {"a": shard}}).encode()
    server.files["model.safetensors.index.json"] = index
    assert "names a file" in refusal(server, tmp_path)


@pytest.mark.parametrize("lacking", ["config.json", "model.safetensors"])
def test_a_model_that_is_not_there_is_named(server, tmp_path, lacking):
    del server.files[lacking]
    line = refusal(server, tmp_path)
    assert NAME in line
    assert lacking in line


def test_a_server_that_is_not_there_is_named(server, tmp_path):
    server.close()
    assert f"cannot reach {server.url}" in refusal(server, tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        *("nowhere", "a/b/c", "../etc", "./nosuch", "a b/c", "", "http://x/y"),
        *("someone/..", "someone/.x", "s\u00f6meone/tiny", "a--b/c"),
    ],
)
def test_a_name_that_is_none_is_told_what_there_is(tmp_path, name):
    with pytest.raises(ValueError, match=r"is no folder: give .* gpt2, gpt2-medium"):
        hub.model_folder(name, str(tmp_path))


def test_a_cache_that_cannot_be_made_is_named(server, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    assert "cannot make" in refusal(server, tmp_path / "file")


# What is known of the smallest model, whatever a server says


def test_the_smallest_model_is_pinned(server, tmp_path, monkeypatch):
    name, weights = "openai-community/gpt2", server.files["model.safetensors"]
    assert hub.SHORT_NAMES["gpt2"] == name
    assert hub.PINNED_FILES[name, "model.safetensors"] == (
        548_105_171,
        "248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707",
    )
    assert hub.PINNED_REVISIONS[name].startswith("607a30d7")
    # The server says the right hash, or none, but has another file.
    digits = sha256(weights[:-1] + b"!")
    pin = {(NAME, "model.safetensors"): (len(weights), digits)}
    monkeypatch.setattr(hub, "PINNED_FILES", pin)
    for etag in (f'"{digits}"', '"12345"'):
        server.say["model.safetensors"] = {"X-Linked-Etag": etag}
        assert "its hash is" in refusal(server, tmp_path)
    server.say.clear()
    pin[NAME, "model.safetensors"] = (len(weights), sha256(weights))
    download(server, tmp_path)
    assert in_place(tmp_path) == server.files


def test_a_mirror_with_another_file_is_told_from_its_first_response(
    server, tmp_path, monkeypatch
):
    weights = server.files["model.safetensors"]
    for pin in ((548_105_171, sha256(weights)), (len(weights), "0" * 64)):
        monkeypatch.setattr(hub, "PINNED_FILES", {(NAME, "model.safetensors"): pin})
        line = refusal(server, tmp_path)
        assert f"is another file than {NAME} should have" in line
        assert f"{pin[0]:,} bytes" in line
        assert "--mirror" in line
    assert list(tmp_path.iterdir()) == []


def test_a_mirror_whose_redirect_says_no_size_is_found_out_later(
    server, tmp_path, monkeypatch
):
    pin = (548_105_171, "0" * 64)
    monkeypatch.setattr(hub, "PINNED_FILES", {(NAME, "model.safetensors"): pin})
    server.say["model.safetensors"] = {"X-Linked-Etag": None, "X-Linked-Size": None}
    size = len(server.files["model.safetensors"])
    line = refusal(server, tmp_path)
    assert f"should have 548,105,171 bytes, but ends after {size:,}" in line
    assert "another file" in line
    assert parts(tmp_path) == []


# Two at once


def blocking(server):
    """Let the server stop in the middle of the weights; return (it has, go on)."""
    reached, go_on = threading.Event(), threading.Event()

    def send(content, start):
        reached.set()
        assert go_on.wait(60)
        return content[start:]

    server.send = send
    return reached, go_on


def test_of_two_downloads_at_once_the_second_is_told_of_the_first(server, tmp_path):
    reached, go_on = blocking(server)
    folders = []
    first = threading.Thread(
        target=lambda: folders.append(download(server, tmp_path)), daemon=True
    )
    first.start()
    assert reached.wait(60)
    assert "another command is downloading this model" in refusal(server, tmp_path)
    go_on.set()
    first.join(60)
    assert folders == [str(tmp_path / "someone--model" / COMMIT)]
    assert in_place(tmp_path) == server.files
    assert parts(tmp_path) == []


def test_a_command_that_is_killed_leaves_a_part_but_no_lock(server, tmp_path):
    folder = tmp_path / "someone--model" / COMMIT
    folder.mkdir(parents=True)
    content = server.files["model.safetensors"]
    part = folder / f"model.safetensors.{sha256(content)[:16]}.part"
    part.write_bytes(content[:1000])
    reached, go_on = blocking(server)
    argv = [NAME, "the", "--mirror", server.url, "--cache", str(tmp_path), "--yes"]
    process = subprocess.Popen(
        [sys.executable, str(GPT2 / "complete.py"), *argv], stderr=subprocess.DEVNULL
    )
    assert reached.wait(60)
    assert "another command is downloading this model" in refusal(server, tmp_path)
    process.kill()
    process.wait(60)
    go_on.set()
    server.requests.clear()
    download(server, tmp_path)
    assert in_place(tmp_path) == server.files
    assert [r[2] for r in server.requests if "/cdn/" in r[1]] == ["bytes=1000-"]


@pytest.mark.skipif(os.name == "nt", reason="Windows locks in another way")
def test_a_folder_without_locks_can_be_used(server, tmp_path, monkeypatch):
    import fcntl

    def no_locks(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    download(server, tmp_path)
    assert in_place(tmp_path) == server.files


# What happens to the files afterwards


DAMAGES = {
    "deleted": None,
    "emptied": lambda content: b"",
    "cut short": lambda content: content[: len(content) // 2],
    "made longer": lambda content: content + b" ",
    "changed": lambda content: b"?" + content[1:],
}


def damage(path, how):
    if DAMAGES[how] is None:
        path.unlink()
    else:
        path.write_bytes(DAMAGES[how](path.read_bytes()))


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize(
    "name", ["config.json", "vocab.json", "merges.txt", "model.safetensors"]
)
def test_a_damaged_file_is_noticed_and_downloaded_again(server, tmp_path, name, how):
    folder = pathlib.Path(download(server, tmp_path))
    damage(folder / name, how)
    server.requests.clear()
    with pytest.raises(ValueError) as caught:
        hub.model_folder(NAME, str(tmp_path), server.url)  # the answer is no
    line = str(caught.value)
    assert f"{name} is missing or damaged in {folder}" in line
    assert f": {len(server.files[name]):,} bytes, to" in line
    assert "add --yes" in line
    assert {method for method, _, _ in server.requests} == {"HEAD"}
    download(server, tmp_path)
    assert in_place(tmp_path) == server.files
    got = {path for method, path, _ in server.requests if method == "GET"}
    assert {path.rsplit("/", 1)[-1] for path in got} == {name}


@pytest.mark.parametrize("how", ["deleted", "emptied", "cut short", "made longer"])
def test_of_a_large_file_the_size_is_compared(server, tmp_path, how, monkeypatch):
    folder = pathlib.Path(download(server, tmp_path))
    monkeypatch.setattr(hub, "SMALL", 0)
    monkeypatch.setattr(hub, "_hash_of", None)  # it is not read
    server.close()
    assert download(server, tmp_path) == str(folder)
    damage(folder / "model.safetensors", how)
    line = refusal(server, tmp_path)
    assert "model.safetensors is missing or damaged in" in line
    assert "cannot reach" in line


def test_all_damaged_files_are_named(server, tmp_path):
    folder = pathlib.Path(download(server, tmp_path))
    for name in ("vocab.json", "merges.txt"):
        (folder / name).unlink()
    server.close()
    line = refusal(server, tmp_path)
    assert f"vocab.json, merges.txt are missing or damaged in {folder}" in line


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\x1f\x8b\x00", b"null", b"[]", b"7", b"[" * 100_000, b"main\n"),
        *(b'{"revision": "main"}', b'{"revision": "main", "files": {}}'),
        b'{"revision": "main", "files": {"config.json": 7}}',
        b'{"revision": 7, "files": {"config.json": [7, "x"]}}',
        b'{"revision": "..", "files": {"config.json": [7, "x"]}}',
    ],
)
def test_what_is_whole_is_kept_though_the_note_on_it_is_damaged(
    server, tmp_path, content
):
    folder = download(server, tmp_path)
    current = tmp_path / "someone--model" / "current"
    good = current.read_bytes()
    current.write_bytes(content)
    server.requests.clear()
    assert download(server, tmp_path) == folder
    assert {method for method, _, _ in server.requests} == {"HEAD"}
    assert current.read_bytes() == good


@pytest.mark.parametrize("is_gone", [False, True])
def test_a_damaged_file_comes_from_its_own_revision(server, tmp_path, is_gone):
    folder = pathlib.Path(download(server, tmp_path))
    (folder / "merges.txt").unlink()
    server.commit = "cd" * 20
    if is_gone:
        server.commits_gone = {COMMIT}
    server.requests.clear()
    expected = folder.with_name(server.commit) if is_gone else folder
    assert download(server, tmp_path) == str(expected)
    assert len([r for r in server.requests if "/cdn/" in r[1]]) == is_gone
    server.close()
    assert download(server, tmp_path) == str(expected)


def test_a_note_that_cannot_be_written_leaves_nothing_behind(server, tmp_path):
    current = tmp_path / "someone--model" / "current"
    current.mkdir(parents=True)
    with pytest.raises(ValueError, match="cannot write"):
        download(server, tmp_path)
    assert in_place(tmp_path) == server.files
    left = {path.name for path in current.parent.iterdir()}
    assert left == {COMMIT, "current", "lock"}


# What is refused before the weights are fetched


def test_a_model_that_cannot_be_run_is_refused_after_its_config(server, tmp_path):
    settings = json.loads(server.files["config.json"])
    settings["model_type"] = "llama"
    server.files["config.json"] = json.dumps(settings).encode()
    assert "model_type is 'llama'" in refusal(server, tmp_path)
    assert set(in_place(tmp_path)) == {"config.json"}


def test_a_model_without_a_tokenizer_is_refused_at_once(server, tmp_path):
    del server.files["merges.txt"]
    line = refusal(server, tmp_path)
    assert f"{NAME} has no tokenizer on {server.url}" in line
    assert {method for method, _, _ in server.requests} == {"HEAD"}


def test_a_tokenizer_of_another_kind_is_refused_before_the_weights(server, tmp_path):
    del server.files["merges.txt"], server.files["vocab.json"]
    server.files["tokenizer.json"] = b'{"model": {"type": "Unigram"}}'
    assert "its tokenizer is 'Unigram'" in refusal(server, tmp_path)
    assert "model.safetensors" not in in_place(tmp_path)


# The command


# What is typed at the question.
ANSWERS = {"y": b"y\n", "YES": b"YES\n", "n": b"n\n", "Enter": b"\n"}
ANSWERS |= {"Ctrl-D": b"\x04", "bytes": b"\xff\n"}


def complete(folder, *argv, **env):
    return subprocess.run(
        [sys.executable, str(GPT2 / "complete.py"), *argv],
        cwd=folder,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


def test_one_command_downloads_and_writes(server, tmp_path):
    argv = [NAME, "the", "--tokens", "3", "--greedy", "--mirror", server.url]
    refused = complete(tmp_path, *argv, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.count("\n") == 1
    assert "add --yes to download it" in refused.stderr
    done = complete(tmp_path, *argv, "--yes", XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "folder"
    shutil.copytree(DATA / "f32_tied", folder)
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(DATA / name, folder)
    local = complete(tmp_path, "folder", "the", "--tokens", "3", "--greedy")
    assert done.stdout == local.stdout
    # The second time there is nothing to ask for, and no server needed.
    server.close()
    again = complete(tmp_path, *argv, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert (again.returncode, again.stdout) == (0, done.stdout)


def test_a_proxy_of_the_environment_is_used(server, tmp_path):
    argv = [NAME, "the", "--mirror", "http://hub.invalid", "--cache", "c", "--yes"]
    done = complete(tmp_path, *argv, http_proxy=server.url, no_proxy="")
    # As a proxy, the server is asked for the whole address; it knows no such path.
    assert done.returncode == 2
    assert any(path.startswith("http://hub.invalid/") for _, path, _ in server.requests)


@pytest.mark.parametrize(
    "url",
    [
        *("file:///tmp", "http://", "http://[::1", "http://a:b", "http://a:0"),
        *("http://a:99999", "http://a b", "http://s\u00f6meone", "localhost:80", "x"),
    ],
)
def test_a_mirror_that_is_no_web_address_is_refused(capsys, tmp_path, url):
    import complete as command

    argv = [NAME, "the", "--mirror", url, "--cache", tmp_path]
    outcome = call(capsys, command.main, *argv)
    assert_one_line_error(outcome, f"--mirror is {url}: make it a web address")


def test_a_host_that_cannot_be_is_named_with_its_address(capsys, tmp_path):
    import complete as command

    argv = [NAME, "the", "--mirror", "http://a..b", "--cache", tmp_path]
    outcome = call(capsys, command.main, *argv)
    assert_one_line_error(outcome, f"cannot reach http://a..b/{NAME}")


def test_a_small_file_is_named_with_its_bytes(capsys):
    import complete as command

    show = command._download_progress("config.json", 104, 0)
    show(50)
    show(104)
    assert capsys.readouterr().err == "config.json 104 bytes\n"


@pytest.fixture
def seen(monkeypatch):
    """Return (how many were done in this run, done, total) as Progress is told."""
    from microgpt.tools.terminal import Progress

    told = []

    def show(self, done, text=""):
        told.append((done - self.start, done, self.total))
        self.done = done

    monkeypatch.setattr(Progress, "show", show)
    return told


def test_megabytes_are_rounded_as_they_were_announced(seen):
    import complete as command

    show = command._download_progress("model.safetensors", 14_953_244, 0)
    show(7_400_000)
    show(14_953_244)
    assert hub._in_megabytes(14_953_244) == "15 MB"
    assert seen == [(7, 7, 15), (15, 15, 15)]


def test_what_was_there_before_is_not_counted_as_fast(seen):
    import complete as command

    show = command._download_progress("model.safetensors", 497_000_000, 480_000_000)
    show(481_000_000)
    show(2_000_000)  # a server that cannot go on in the middle
    show(3_000_000)
    assert seen == [(1, 481, 497), (2, 2, 497), (3, 3, 497)]


def test_progress_is_told_what_was_there_before(server, tmp_path):
    folder = tmp_path / "someone--model" / COMMIT
    folder.mkdir(parents=True)
    content = server.files["model.safetensors"]
    part = folder / f"model.safetensors.{sha256(content)[:16]}.part"
    part.write_bytes(content[:1000])
    told = {}

    def progress(name, n_bytes, n_there):
        told[name] = (n_bytes, n_there)
        return lambda done: None

    download(server, tmp_path, progress=progress)
    assert told.pop("model.safetensors") == (len(content), 1000)
    assert told == {name: (len(server.files[name]), 0) for name in told}


def test_a_disk_that_is_full_is_told_in_bytes(server, tmp_path, monkeypatch):
    total = sum([len(content) for content in server.files.values()])
    usage = shutil._ntuple_diskusage(10**9, 10**9, 4096)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    line = refusal(server, tmp_path)
    assert f"has room for 4,096 bytes, but {total:,} are to come" in line


def test_a_vocabulary_that_is_not_openai_s_is_only_warned_about(
    server, tmp_path, capsys, monkeypatch
):
    import complete as command

    monkeypatch.setattr(hub, "SHORT_NAMES", {"gpt2": NAME})
    argv = ["gpt2", "the", "--tokens", 2, "--exact", "--yes", "--mirror", server.url]
    outcome = call(capsys, command.main, *argv, "--cache", tmp_path)
    assert outcome.code == 0
    assert "note: this vocabulary is not OpenAI's own\n" in outcome.err


@pytest.mark.skipif(os.name == "nt", reason="there are no such terminals")
@pytest.mark.parametrize("answer", ANSWERS)
def test_on_a_terminal_it_asks_before_it_downloads(server, tmp_path, answer):
    import pty

    terminal, its_end = pty.openpty()
    argv = [NAME, "the", "--tokens", "2", "--exact", "--mirror", server.url]
    process = subprocess.Popen(
        [sys.executable, str(GPT2 / "complete.py"), *argv, "--cache", "cache"],
        cwd=tmp_path,
        stdin=its_end,
        stdout=subprocess.PIPE,
        stderr=its_end,
    )
    os.close(its_end)
    question = b""
    while b"Go on? [y/N]" not in question:
        question += os.read(terminal, 1000)
    assert b"is to be downloaded from" in question
    os.write(terminal, ANSWERS[answer])
    out = process.stdout.read()
    # What it says at the end has to be read, or it waits for that.
    shown = b""
    with contextlib.suppress(OSError):
        while piece := os.read(terminal, 1000):
            shown += piece
    process.stdout.close()
    os.close(terminal)
    if answer in ("y", "YES"):
        assert process.wait(60) == 0
        assert out.startswith(b"the")
        assert in_place(tmp_path) == server.files
    else:
        assert process.wait(60) == 2
        assert out == b""
        assert in_place(tmp_path) == {}
        line = b"\r\nerror: nothing was downloaded, since the answer was not yes\r\n"
        assert shown.endswith(line)
        assert b"is to be downloaded" not in shown
