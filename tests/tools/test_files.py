"""Files: replaced whole or not at all, and looked at before they are read."""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading

import pytest

from microgpt.tools import files
from microgpt.tools.files import (
    CannotWrite,
    check_readable,
    check_writable,
    identity,
    in_bytes,
    memory_here,
    replace_file,
)

posix_only = pytest.mark.skipif(os.name == "nt", reason="Windows has none of these")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("old\n", encoding="utf-8")
    return path


def test_text_is_written_as_utf_8_with_plain_line_ends(path):
    replace_file(str(path), "zoë\nbob\n")
    assert path.read_bytes() == b"zo\xc3\xab\nbob\n"


def test_bytes_are_written_as_they_are(tmp_path):
    path = tmp_path / "weights.bin"
    replace_file(str(path), b"\r\n\0\xff")
    replace_file(str(path), b"\xff\0\r\n")
    assert path.read_bytes() == b"\xff\0\r\n"


@pytest.mark.parametrize("call", ["fsync", "replace", "chmod"])
@pytest.mark.parametrize("error", [OSError(28, "No space left"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    path, monkeypatch, call, error
):
    def fail(*args):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        kind = CannotWrite if isinstance(error, OSError) else KeyboardInterrupt
        with pytest.raises(kind) as caught:
            replace_file(str(path), "new\n")
    if kind is CannotWrite:
        assert str(caught.value) == f"cannot write {path}: No space left"
    assert os.listdir(path.parent) == ["text.txt"]
    assert path.read_text(encoding="utf-8") == "old\n"


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CannotWrite, match=r"nowhere.*No such file"):
        replace_file(str(tmp_path / "nowhere" / "text.txt"), "new\n")


@posix_only
def test_a_pipe_is_not_replaced_by_a_file(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    for refuse in (
        lambda: replace_file(str(path), "new\n"),
        lambda: check_writable(path),
    ):
        with pytest.raises(CannotWrite, match="pipe: it is a pipe or a device"):
            refuse()
    assert stat.S_ISFIFO(os.stat(path).st_mode)
    assert os.listdir(tmp_path) == ["pipe"]


def test_what_cannot_be_written_is_known_before_the_work(tmp_path, path):
    new = tmp_path / "a" / "b" / "page.html"
    check_writable(str(new))
    check_writable(str(path))
    assert os.listdir(new.parent) == []
    assert path.read_text(encoding="utf-8") == "old\n"
    with pytest.raises(CannotWrite, match="it is a folder; name a file in it"):
        check_writable(str(tmp_path))
    with pytest.raises(CannotWrite, match=r"cannot write .*page\.html: "):
        check_writable(str(path / "page.html"))
    with pytest.raises(CannotWrite, match="empty name"):
        check_writable("")


def test_a_new_file_is_whole_and_on_the_disk_before_it_takes_the_old_one_s_name(
    path, monkeypatch
):
    calls = []
    fsync, replace = os.fsync, os.replace

    def watched_fsync(descriptor):
        calls.append(("fsync", os.fstat(descriptor).st_ino))
        fsync(descriptor)

    def watched_replace(source, target):
        calls.append(("replace", os.stat(source).st_ino))
        assert os.path.dirname(source) == str(path.parent)
        with open(source, encoding="utf-8") as file:
            assert file.read() == "new\n"
        assert path.read_text(encoding="utf-8") == "old\n"
        replace(source, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    replace_file(str(path), "new\n")
    # The new file, then its new name, then the folder, which holds the names.
    expected = [("fsync", calls[0][1]), ("replace", calls[0][1])]
    if hasattr(os, "O_DIRECTORY"):
        expected.append(("fsync", os.stat(path.parent).st_ino))
    assert calls == expected


@posix_only
def test_the_permissions_of_the_old_file_are_kept_and_a_new_one_has_the_usual(path):
    os.chmod(path, 0o600)
    replace_file(str(path), "secret\n")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    before = os.umask(0o027)
    try:
        replace_file(str(path.parent / "new.txt"), "new\n")
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(path.parent / "new.txt").st_mode) == 0o640


@posix_only
def test_a_link_stays_a_link_and_the_file_it_leads_to_is_replaced(path, tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    link = folder / "link.txt"
    link.symlink_to(path)
    replace_file(str(link), "new\n")
    assert link.is_symlink()
    assert path.read_text(encoding="utf-8") == "new\n"
    assert os.listdir(folder) == ["link.txt"]


@posix_only
def test_a_link_planted_under_the_temporary_name_is_not_followed(
    path, tmp_path, monkeypatch
):
    victim = tmp_path / "victim.txt"
    victim.write_text("mine", encoding="utf-8")
    monkeypatch.setattr(files.secrets, "token_hex", lambda n: "guessed")
    planted = tmp_path / ".guessed.tmp"
    planted.symlink_to(victim)
    with pytest.raises(CannotWrite, match="exists"):
        replace_file(str(path), "new\n")
    assert victim.read_text(encoding="utf-8") == "mine"
    assert path.read_text(encoding="utf-8") == "old\n"
    assert planted.is_symlink()  # it is not ours to remove


def test_many_writers_with_one_process_id_never_leave_a_file_that_is_cut_short(path):
    texts = [letter * 200_000 for letter in "abcd"]
    failures = []

    def write(text):
        try:
            for _ in range(20):
                replace_file(str(path), text)
                assert path.read_text(encoding="utf-8") in texts
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert os.listdir(path.parent) == ["text.txt"]


def test_ctrl_c_while_a_file_is_written_waits_until_it_is_there(path, monkeypatch):
    replace = os.replace

    def interrupted(source, target):
        signal.raise_signal(signal.SIGINT)
        replace(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            replace_file(str(path), "new\n")
    finally:
        signal.signal(signal.SIGINT, before)
    assert path.read_text(encoding="utf-8") == "new\n"
    assert os.listdir(path.parent) == ["text.txt"]


def test_a_file_that_was_replaced_by_its_like_is_another_file(path):
    before = identity(str(path))
    assert before == identity(str(path))
    replace_file(str(path), "old\n")
    assert identity(str(path)) != before
    assert identity(str(path.parent / "nowhere")) is None


# What is no file to read


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="there is no such device")
def test_a_device_that_never_ends_is_refused():
    with pytest.raises(ValueError, match=r"^/dev/zero is a device"):
        check_readable("/dev/zero")


@posix_only
def test_a_file_larger_than_the_memory_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "sparse.txt"
    with open(path, "wb") as file:
        try:
            file.truncate(memory_here())  # a hole: it takes no room on the disk
        except OSError:
            pytest.skip("this file system has no room even for a hole")
    with pytest.raises(ValueError, match=r"sparse\.txt has .* of memory here"):
        check_readable(str(path))


@posix_only
def test_a_pipe_can_be_read(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    check_readable(str(path))  # and does not wait for somebody to write


def test_a_missing_file_is_left_to_whoever_opens_it(tmp_path):
    check_readable(str(tmp_path / "nowhere"))


def test_a_name_that_no_file_can_have_is_refused_in_words():
    with pytest.raises(ValueError, match="no file can have that name"):
        check_readable("a\0b")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\xef\xbb\xbf<!DOCTYPE html>", "web page"),
        (b"<HTML>", "web page"),
        (b"PK\x03\x04", "zip"),
        (b"\x1f\x8b", "gzip"),
        (b"%PDF-1.7", "PDF"),
        (b"{\\rtf1", "plain text"),
    ],
)
def test_another_kind_of_file_is_named_with_what_to_do(tmp_path, content, word):
    path = tmp_path / "names.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"names\.txt is .*{word}"):
        check_readable(str(path))


# Memory


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_memory_here_is_at_most_the_machine_s():
    with open("/proc/meminfo", encoding="ascii") as file:
        kilobytes = int(file.readline().split()[1])
    assert 10**8 < memory_here() <= kilobytes * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="is about resource limits")
def test_a_limit_of_the_process_counts_as_its_memory():
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (2 * 10**9, before[1]))
    try:
        assert memory_here() <= 2 * 10**9
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (1500, "1.5 kB"),
        (25_276_510_208, "25 GB"),
        (123_456_789_012_345, "123 TB"),
        (10**40, "10,000,000,000,000,000,000,000,000 PB"),
    ],
)
def test_bytes_are_given_in_the_unit_that_suits_them(n, text):
    assert in_bytes(n) == text
