"""Reading documents from a file, and splitting them without a leak."""

from __future__ import annotations

import pytest

from microgpt.data import read_documents, read_windows, split_documents


@pytest.mark.parametrize(
    ("content", "documents"),
    [
        (b"ann\nbob\n", ["ann", "bob"]),
        (b"ann\nbob", ["ann", "bob"]),  # no newline at the end
        (b"ann\r\nbob\r\n", ["ann", "bob"]),  # as Windows writes it
        (b"ann\rbob\r", ["ann", "bob"]),  # as Macs did long ago
        (b"ann\nbob\r\ncy\reva", ["ann", "bob", "cy", "eva"]),  # all at once
        (b"\xef\xbb\xbfann\nbob\n", ["ann", "bob"]),  # with a byte order mark
        (b"\xef\xbb\xbf\r\nann\r\n", ["ann"]),  # with nothing else on that line
        (b"\n\nann\n \t \n\nbob\n\n", ["ann", "bob"]),  # blank lines
        (b"  ann\t\n\tbob lee  \n", ["ann", "bob lee"]),  # space at either end
        (b"bob\nann\nbob\n", ["bob", "ann", "bob"]),  # order and repeats stay
        ("zoë\n🙂\n".encode(), ["zoë", "🙂"]),
        # Only these end a document, not the other marks that str.splitlines() knows.
        ("a\x0cb\u2028c\n".encode(), ["a\x0cb\u2028c"]),
    ],
)
def test_a_document_is_a_line_without_space_at_either_end(tmp_path, content, documents):
    path = tmp_path / "documents.txt"
    path.write_bytes(content)
    assert read_documents(str(path)) == documents


@pytest.mark.parametrize("content", [b"", b"\n", b" \n\t\r\n\n", b"\xef\xbb\xbf\n"])
def test_a_file_without_any_document_is_an_error(tmp_path, content):
    path = tmp_path / "blank.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"blank\.txt holds no text"):
        read_documents(str(path))


@pytest.mark.parametrize(
    ("content", "windows"),
    [
        (b"ann\nbob\n", ["ann\n", "bob\n"]),
        (b"ann b\nob", ["ann ", "b\nob"]),  # a window begins anywhere in a line
        (b"ann bo", ["ann ", "bo"]),  # the last is as short as it comes
        (b"a\r\nb\rc\n", ["a\nb\n", "c\n"]),  # however lines end in the file
        (b"\n\n  ann", ["\n\n  ", "ann"]),  # space and blank lines stay
        (b"\xef\xbb\xbfann\n", ["ann\n"]),  # a byte order mark is not text
        ("zoë🙂!".encode(), ["zoë🙂", "!"]),  # characters, not bytes
    ],
)
def test_running_text_is_cut_into_windows_with_its_line_ends(
    tmp_path, content, windows
):
    path = tmp_path / "story.txt"
    path.write_bytes(content)
    assert read_windows(str(path), size=4) == windows


def test_running_text_is_refused_as_documents_are(tmp_path):
    path = tmp_path / "story.txt"
    with pytest.raises(ValueError, match=r"cannot read .*story\.txt"):
        read_windows(str(path), size=4)
    path.write_bytes(b"\n \n")
    with pytest.raises(ValueError, match=r"story\.txt holds no text"):
        read_windows(str(path), size=4)
    path.write_bytes(b"ann\nzo\xeb\n")
    with pytest.raises(ValueError, match=r"story\.txt, line 2 is not UTF-8 text"):
        read_windows(str(path), size=4)
    with pytest.raises(ValueError, match="a window of 0 characters"):
        read_windows(str(path), size=0)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"ann\nbob\n\nzo\xeb\ncy\n", 4),  # ë in Latin-1; the blank line counts
        (b"ann\r\nbob\r\rzo\xeb\n", 4),  # and so it does, however lines end
        ("ann\nbob\n".encode("utf-16"), 1),  # begins with the bytes FF FE
        (b"ann\n\xe2\x82\n", 2),  # a character cut short
    ],
)
def test_a_line_that_is_not_utf_8_is_named(tmp_path, content, line):
    path = tmp_path / "latin.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"latin.txt, line {line} is not UTF-8 text"):
        read_documents(str(path))


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("ann\nbob\n".encode("utf-16-le"), 1),  # UTF-16 without a mark
        ("ann\nbob\n".encode("utf-16-be"), 1),
        (b"ann\nb\0b\n", 2),
    ],
)
def test_a_zero_byte_is_no_letter_to_be_learnt(tmp_path, content, line):
    path = tmp_path / "zeros.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"zeros.txt, line {line} has a zero byte"):
        read_documents(str(path))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"cannot read .*nowhere\.txt: No such file"):
        read_documents(str(tmp_path / "nowhere.txt"))


def test_a_folder_is_not_a_file_of_documents(tmp_path):
    with pytest.raises(ValueError, match=f"cannot read .*{tmp_path.name}: "):
        read_documents(str(tmp_path))


# How many of ten documents are held out: int(10 * fraction), never all of them.
@pytest.mark.parametrize(
    ("val_fraction", "n_val"),
    [(0, 0), (0.0, 0), (0.05, 0), (0.1, 1), (0.19, 1), (0.5, 5), (0.99, 9)],
)
def test_the_last_documents_are_held_out(val_fraction, n_val):
    documents = list("abcdefghij")
    train_documents, val_documents = split_documents(documents, val_fraction)
    assert len(val_documents) == n_val
    assert train_documents + val_documents == documents


def test_a_tenth_is_held_out_unless_told_otherwise():
    documents = [str(number) for number in range(1000)]
    assert split_documents(documents) == (documents[:900], documents[900:])


@pytest.mark.parametrize("val_fraction", [0.1, 0.5, 0.999999])
def test_a_single_document_is_trained_on(val_fraction):
    assert split_documents(["ann"], val_fraction) == (["ann"], [])


def test_a_held_out_document_that_is_also_trained_on_is_dropped():
    # Half of six are held out, "a", "d" and "e", but "a" is trained on too.
    documents = ["a", "b", "c", "a", "d", "e"]
    assert split_documents(documents, 0.5) == (["a", "b", "c"], ["d", "e"])


def test_what_is_trained_on_keeps_its_repeats():
    assert split_documents(["a", "a", "b", "c"], 0.25) == (["a", "a", "b"], ["c"])


def test_a_tuple_of_documents_is_split_into_lists():
    assert split_documents(("a", "b"), 0.5) == (["a"], ["b"])


def test_splitting_leaves_the_documents_as_they_were():
    documents = ["a", "b", "a", "b"]
    split_documents(documents, 0.5)
    assert documents == ["a", "b", "a", "b"]


@pytest.mark.parametrize("val_fraction", [-0.1, 1, 1.0, 2, float("nan")])
def test_a_fraction_that_leaves_nothing_to_train_on_is_an_error(val_fraction):
    with pytest.raises(ValueError, match=f"val_fraction is {val_fraction}"):
        split_documents(["a", "b"], val_fraction)
