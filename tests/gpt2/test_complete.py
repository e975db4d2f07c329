"""The command that lets GPT-2 write: what it prints, from what, and what it refuses."""

from __future__ import annotations

import doctest
import importlib
import json
import multiprocessing
import os
import re
import shutil
import struct
import subprocess
import sys

import complete
import pytest
from bpe import BPE, SYMBOLS, train_bpe
from gpt2_support import ROOT, assert_one_line_error, call
from load import load_gpt2
from model import gpt2
from vocabulary import read_tokenizer

from microgpt.sampling import token_probabilities

pytestmark = pytest.mark.slow

DATA = ROOT / "tests" / "gpt2" / "data"
COMPLETE = str(ROOT / "examples" / "gpt2" / "complete.py")
N_POSITIONS = 32  # of the model below


@pytest.fixture
def folder(tmp_path):
    """Return a folder with all four files of a model."""
    path = tmp_path / "model"
    shutil.copytree(DATA / "f32_tied", path)
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(DATA / name, path)
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    assert config["n_positions"] == N_POSITIONS
    return path


def greedy_text(folder, prompt_ids, n):
    """Return what the model writes if each of n tokens is the likeliest."""
    bpe = read_tokenizer(str(folder))
    tokens = list(prompt_ids)
    with load_gpt2(str(folder)) as model:
        while len(tokens) < len(prompt_ids) + n:
            for pos_id in range(model.n_read, len(tokens)):
                logits = gpt2(model, tokens[pos_id], pos_id)
            tokens.append(logits.index(max(logits)))
    return bpe.decode(tokens[len(prompt_ids) :])


def pretend(monkeypatch, token_ids):
    """Let the model answer with these tokens, whatever it is asked."""
    steps = [(token_id, ([token_id], [1.0])) for token_id in token_ids]
    monkeypatch.setattr(complete, "continuation", lambda *args, **how: iter(steps))


@pytest.mark.parametrize("name", ["complete", "plain_bpe", "weights", "hub", "load"])
def test_the_docstrings_compute_what_they_say(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0
    assert result.attempted > 0 or name in ("hub", "load")


# What it writes


@pytest.mark.parametrize("flags", [(), ("--exact",), ("--processes", 2)])
@pytest.mark.parametrize("prompt", ["the", "The cat sat", " é "])
def test_greedy_is_the_likeliest_token_at_every_step(folder, capsys, prompt, flags):
    outcome = call(
        capsys, complete.main, folder, prompt, "--greedy", "--tokens", 9, *flags
    )
    assert outcome.code == 0
    prompt_ids = read_tokenizer(str(folder)).encode(prompt)
    assert outcome.out == prompt + greedy_text(folder, prompt_ids, 9) + "\n"


def test_a_prompt_of_nothing_follows_the_end_of_another_text(folder, capsys):
    outcome = call(capsys, complete.main, folder, "", "--greedy", "--tokens", 5)
    assert outcome.out == greedy_text(folder, [399], 5) + "\n"


def test_the_dice_and_each_setting_decide_what_is_written(folder, capsys):
    def write(*flags):
        outcome = call(capsys, complete.main, folder, "the", "--tokens", 25, *flags)
        assert outcome.code == 0
        return outcome.out

    usual = write()
    assert usual == write() == write("--seed", 42, "--temperature", 0.8)
    different = [("--seed", 1), ("--temperature", 3), ("--top-k", 3), ("--top-p", 0.3)]
    assert len({usual, write("--greedy"), *[write(*flags) for flags in different]}) == 6
    # Settings that leave one choice are greedy.
    assert write("--top-k", 1) == write("--top-p", 1e-9) == write("--greedy")


def test_writing_ends_where_the_context_does(folder, capsys):
    prompt_ids = read_tokenizer(str(folder)).encode("the cat")
    outcome = call(
        capsys, complete.main, folder, "the cat", "--greedy", "--tokens", 1000
    )
    # The last token to be read stands at the last position, and one more is written.
    n = N_POSITIONS - len(prompt_ids) + 1
    assert outcome.out == "the cat" + greedy_text(folder, prompt_ids, n) + "\n"
    assert f"{n} tokens" in outcome.err


def test_a_prompt_may_fill_the_context(folder, capsys):
    prompt = "!" * N_POSITIONS
    assert len(read_tokenizer(str(folder)).encode(prompt)) == N_POSITIONS
    outcome = call(capsys, complete.main, folder, prompt, "--greedy")
    assert "1 token (" in outcome.err


def test_the_end_of_the_text_is_not_written(folder, capsys, monkeypatch):
    bpe = read_tokenizer(str(folder))
    pretend(monkeypatch, [*bpe.encode("at"), bpe.end_of_text, *bpe.encode("never")])
    outcome = call(capsys, complete.main, folder, "c")
    assert outcome.out == "cat\n"


def test_a_character_is_written_once_it_is_whole(folder, monkeypatch, capsys):
    bpe = read_tokenizer(str(folder))
    token_ids = bpe.encode("é🙂b")
    assert len(token_ids) >= 6  # some with a part of a character only
    pretend(monkeypatch, token_ids)
    written = []

    monkeypatch.setattr(complete, "write", written.append)
    assert complete.main([str(folder), "a"]) == 0
    assert [text for text in written if text] == ["a", "é", "🙂", "b", "\n"]


def test_a_character_that_was_cut_is_written_as_one_that_is_unknown(
    folder, monkeypatch, capsys
):
    bpe = read_tokenizer(str(folder))
    pretend(monkeypatch, bpe.encode("🙂")[:-1])
    assert call(capsys, complete.main, folder, "a").out == "a\ufffd\n"


def test_the_probabilities_shown_are_those_of_each_draw(folder, capsys):
    flags = ("--show-probabilities", "--tokens", 6, "--top-k", 3)
    outcome = call(capsys, complete.main, folder, "the", *flags)
    plain = call(capsys, complete.main, folder, "the", *flags[1:])
    *lines, text = outcome.out.split("\n")[:-1]
    assert plain.out == text + "\n"
    assert lines[0].startswith("after 'the', the likeliest tokens; ")
    assert lines[0].endswith(" was taken:")
    bpe = read_tokenizer(str(folder))
    with load_gpt2(str(folder)) as model:
        (token_id,) = bpe.encode("the")
        logits = gpt2(model, token_id, 0)
    probs = token_probabilities(logits, 0.8, top_k=3)
    best = sorted(range(400), key=lambda i: -probs[i])[:3]
    for line, token_id in zip(lines[1:4], best):
        assert bpe.readable(token_id) in line
        assert f"{probs[token_id]:.1%}" in line
    assert lines[4].startswith("after 'the")


def test_stderr_says_how_fast_it_was_and_what_it_took(folder, capsys):
    outcome = call(capsys, complete.main, folder, "the", "--tokens", 7)
    for words in ("7 tokens, ", "a second", "MB of memory"):
        assert words in outcome.err


def test_a_weight_that_cannot_be_packed_is_named(folder, capsys):
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    header_end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:header_end])
    entry = header["transformer.h.0.mlp.c_fc.weight"]
    place = header_end + entry["data_offsets"][0]
    content[place : place + 4] = struct.pack("<f", 64.5)
    path.write_bytes(content)
    flags = ("--greedy", "--tokens", 3)
    packed = call(capsys, complete.main, folder, "the", *flags)
    exact = call(capsys, complete.main, folder, "the", *flags, "--exact")
    assert packed.code == exact.code == 0
    assert packed.out == exact.out
    assert "h.0.mlp.c_fc.weight" in packed.err
    assert "64.5" in packed.err
    assert "64.5" not in exact.err


def test_only_openai_s_own_models_should_have_openai_s_vocabulary(
    folder, capsys, monkeypatch
):
    monkeypatch.setattr(complete, "model_folder", lambda *args, **how: str(folder))
    flags = ("the", "--tokens", 2, "--exact")
    note = "note: this vocabulary is not OpenAI's own\n"
    assert note in call(capsys, complete.main, "gpt2-large", *flags).err
    assert note not in call(capsys, complete.main, "gpt2-zh/small", *flags).err


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--exact", "MODEL", "--greedy", "the cat", "--tokens", 3], "the cat"),
        (["MODEL", "--greedy", "--tokens", 3, "the cat"], "the cat"),
        (["MODEL", "the cat", "--greedy", "--tokens", 3], "the cat"),
        (["MODEL", "--greedy", "--tokens", 3, "--", "--hello"], "--hello"),
        (["MODEL", "--greedy", "--tokens", 3], ""),
    ],
)
def test_flags_may_stand_anywhere(folder, capsys, argv, text):
    argv = [folder if arg == "MODEL" else arg for arg in argv]
    outcome = call(capsys, complete.main, *argv)
    assert outcome.code == 0, outcome.err
    prompt_ids = read_tokenizer(str(folder)).encode(text) or [399]
    assert outcome.out == text + greedy_text(folder, prompt_ids, 3) + "\n"


def test_the_speed_is_that_of_the_passes_that_were_timed(folder, capsys, monkeypatch):
    # The first token's logits were there when the prompt had been read. So N tokens
    # take N - 1 passes, here of a second each, and one token alone has no speed.
    now = [0.0]
    real = complete.logits_after

    def slow(*args):
        now[0] += 1.0
        return real(*args)

    monkeypatch.setattr(complete, "logits_after", slow)
    monkeypatch.setattr(complete.time, "perf_counter", lambda: now[0])
    flags = ("the", "--exact", "--greedy", "--tokens")
    err = call(capsys, complete.main, folder, *flags, 7).err
    assert "7 tokens, 1.00 a second (besides, 0.0 s to load" in err
    assert "1.0 s to read the prompt" in err
    err = call(capsys, complete.main, folder, *flags, 1).err
    assert "1 token (besides, " in err


def test_it_says_that_the_context_is_full_before_all_tokens_are_there(folder, capsys):
    words = "the context is full: this model reads 32 tokens"
    assert words in call(capsys, complete.main, folder, "the", "--tokens", 99).err
    assert words not in call(capsys, complete.main, folder, "the", "--tokens", 9).err


@pytest.mark.parametrize("flags", [(), ("--exact",)])
@pytest.mark.parametrize("name", ["wte.weight", "h.1.ln_1.weight", "ln_f.bias"])
def test_weights_that_are_not_finite_are_said_to_be_damaged(
    folder, capsys, name, flags
):
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    header_end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:header_end])
    place = header_end + header[f"transformer.{name}"]["data_offsets"][0]
    content[place : place + 4] = struct.pack("<f", float("nan"))
    path.write_bytes(content)
    outcome = call(capsys, complete.main, folder, "the", *flags)
    assert outcome.code == 2
    assert f"A weight in {folder} is not finite, or far too large" in outcome.err
    assert "below 32" not in outcome.err


def test_an_error_while_it_writes_begins_a_line_of_its_own(folder, capsys, monkeypatch):
    def ends_too_early(*args, **how):
        yield 64, ([64], [1.0])
        raise ValueError("a process ended")

    monkeypatch.setattr(complete, "continuation", ends_too_early)
    outcome = call(capsys, complete.main, folder, "the", "--exact")
    assert (outcome.code, outcome.out) == (2, "thea\n")


# What it refuses


def refused(capsys, folder, *argv):
    outcome = call(capsys, complete.main, folder, *argv)
    assert outcome.out == ""
    return outcome


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (("--tokens", 0), "--tokens is 0"),
        (("--tokens", "few"), "few"),
        (("--temperature", 0), "temperature is 0.0"),
        (("--temperature", "nan"), "temperature is nan"),
        (("--top-k", 0), "--top-k is 0"),
        (("--top-p", 1.5), "--top-p is 1.5"),
        (("--seed", -1), "--seed is -1"),
        (("--greedy", "--top-k", 3), "--top-k"),
        (("--processes", 0), "processes is 0"),
        (("--faster",), "--faster"),
        (("another prompt",), "another prompt"),
    ],
)
def test_a_bad_flag_is_named(folder, capsys, flags, word):
    assert_one_line_error(refused(capsys, folder, "the", *flags), word)


def test_a_prompt_longer_than_the_context_is_refused_with_both_numbers(folder, capsys):
    prompt = "!" * (N_POSITIONS + 1)
    assert_one_line_error(refused(capsys, folder, prompt), "33 tokens", "32")


@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "vocab.json", "merges.txt"]
)
def test_a_file_that_is_missing_or_foreign_is_named(folder, capsys, name):
    path = folder / name
    content = path.read_bytes()
    for foreign in (b"", b"\xff\xfe\x00", b"PK\x03\x04 a zip", b"[1, 2]", b"{}"):
        path.write_bytes(foreign)
        assert_one_line_error(refused(capsys, folder, "the"), name)
    path.write_bytes(content[: len(content) // 2])
    if name != "merges.txt":  # half of its lines are merges, too
        assert_one_line_error(refused(capsys, folder, "the"), name)
    path.unlink()
    assert_one_line_error(refused(capsys, folder, "the"), name)
    path.mkdir()
    assert_one_line_error(refused(capsys, folder, "the"), name)


def test_a_folder_that_is_not_there_is_named(tmp_path, capsys):
    assert_one_line_error(refused(capsys, tmp_path / "gone", "the"), "gone")


def test_another_architecture_is_named(folder, capsys):
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, "model_type": "llama"}), encoding="utf-8")
    assert_one_line_error(refused(capsys, folder, "the"), "model_type", "llama")


def test_the_vocabulary_of_another_model_is_refused_with_both_sizes(folder, capsys):
    path = folder / "vocab.json"
    vocab = json.loads(path.read_text(encoding="utf-8"))
    vocab["<|pad|>"] = len(vocab)
    path.write_text(json.dumps(vocab), encoding="utf-8")
    assert_one_line_error(refused(capsys, folder, "the"), "401", "400")


def test_ctrl_c_ends_the_workers_too(folder, capsys, monkeypatch):
    def interrupted(*args, **how):
        raise KeyboardInterrupt

    monkeypatch.setattr(complete, "continuation", interrupted)
    outcome = call(capsys, complete.main, folder, "the", "--processes", 2)
    assert outcome.code == 130
    assert multiprocessing.active_children() == []


# In a process of its own


def test_it_runs_from_any_folder_with_nothing_installed(folder, tmp_path):
    command = [sys.executable, "-S", COMPLETE, "model", "the", "--greedy"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode("utf-8", "replace")
    ids = read_tokenizer(str(folder)).encode("the")
    assert text == "the" + greedy_text(folder, ids, 20) + os.linesep


def test_a_reader_that_has_seen_enough_is_no_error(folder, tmp_path):
    command = [sys.executable, COMPLETE, "model", "the", "--tokens", "30"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        error = process.stderr.read().decode()
    assert "Traceback" not in error
    assert process.returncode == 1


# Several samples, a stop text, a conversation


def test_samples_share_the_prompt_and_each_is_what_it_would_be_alone(
    folder, capsys, monkeypatch
):
    read = []
    real = complete.read_token

    def counted(model, token_id, pos_id):
        read.append(pos_id)
        return real(model, token_id, pos_id)

    monkeypatch.setattr(complete, "read_token", counted)
    flags = ("The cat sat", "--tokens", 6, "--seed", 5)
    outcome = call(capsys, complete.main, folder, *flags, "--n", 3)
    assert outcome.code == 0
    # The prompt's tokens are read once, but for the last, which needs logits too.
    n_prompt = len(read_tokenizer(str(folder)).encode("The cat sat"))
    assert read == list(range(n_prompt - 1))
    texts = re.split(r"--- sample (\d) of 3\n", outcome.out)
    assert texts[1::2] == ["1", "2", "3"]
    assert len(set(texts[2::2])) == 3
    alone = call(capsys, complete.main, folder, *flags)
    assert texts[2] == alone.out
    # Greedy, all are equal: nothing of a sample is left when the next one begins.
    greedy = call(
        capsys,
        complete.main,
        folder,
        "The cat sat",
        "--tokens",
        9,
        "--greedy",
        "--n",
        2,
    )
    texts = re.split(r"--- sample \d of 2\n", greedy.out)
    assert texts[1] == texts[2]


@pytest.mark.parametrize(
    ("stop", "written"),
    [
        ("t", "ca"),
        ("at", "c"),
        ("cat", "cat! atxe"),  # the c is the prompt's: only what is written counts
        ("tx", "cat! a"),
        ("xyz", "cat! atxe"),
    ],
)
def test_the_text_ends_where_the_stop_text_would_begin(
    folder, capsys, monkeypatch, stop, written
):
    bpe = read_tokenizer(str(folder))
    ids = [
        i for piece in ("a", "t", "!", " a", "t", "x", "e") for i in bpe.encode(piece)
    ]
    pretend(monkeypatch, ids)
    outcome = call(capsys, complete.main, folder, "c", "--stop", stop)
    assert outcome.out == written + "\n"


def test_what_might_begin_the_stop_text_is_printed_once_it_does_not():
    printer = complete.Printer(train_bpe("x", 257), stop="aab")
    pieces = [printer.add(token_id) for token_id in train_bpe("x", 257).encode("aaaac")]
    # Of "aaa" the first a can be no beginning any more, and so on.
    assert pieces == ["", "", "a", "a", "aac"]
    assert printer.rest() == ""
    assert printer.add(train_bpe("x", 257).encode("a")[0]) == ""
    assert printer.rest() == "a"


def test_a_conversation_goes_on_with_what_is_typed(folder, tmp_path):
    typed = b"the rat\n\nand\xff\n"
    done = converse(tmp_path, typed, "--tokens", "4", "--greedy")
    assert done.returncode == 0, done.stderr
    bpe = read_tokenizer(str(folder))
    tokens, expected = bpe.encode("The cat"), b"The cat"
    for line in (b"", *typed.splitlines()):
        tokens += bpe.encode_bytes(line)
        answer = greedy_ids(folder, tokens, 4)
        text = bpe.decode_bytes(answer).decode("utf-8", "replace")
        expected += complete.visible(text).encode() + b"\n"
        tokens += answer
    assert done.stdout.replace(b"\r\n", b"\n") == expected


def test_a_conversation_ends_where_the_context_is_full(folder, tmp_path):
    done = converse(tmp_path, b"the\n" * 20, "--tokens", "4", "--greedy")
    assert done.returncode == 0
    assert b"the context is full: this model reads 32 tokens" in done.stderr


def test_a_line_that_does_not_fit_is_refused_and_a_shorter_one_can_follow(
    folder, tmp_path
):
    typed = b"!" * 40 + b"\nthe\n"
    done = converse(tmp_path, typed, "--tokens", "3", "--greedy", prompt="")
    assert b"that line has 40 tokens, but there is room for 31" in done.stderr
    assert b"the context is full" not in done.stderr
    assert b"Ctrl-D ends it" in done.stderr or os.name == "nt"
    tokens = [399, *read_tokenizer(str(folder)).encode("the")]
    assert done.stdout.decode().rstrip("\r\n") == greedy_text(folder, tokens, 3)


def test_a_conversation_needs_an_input(folder, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)  # as `<&-` leaves it
    outcome = refused(capsys, folder, "the", "--interactive")
    assert_one_line_error(outcome, "--interactive reads from stdin")


def test_a_conversation_can_begin_with_what_is_typed(folder, tmp_path):
    done = converse(tmp_path, b"the\n", "--tokens", "3", "--greedy", prompt="")
    tokens = [399, *read_tokenizer(str(folder)).encode("the")]
    assert done.stdout.decode().rstrip("\r\n") == greedy_text(folder, tokens, 3)


@pytest.mark.parametrize("stop_place", range(1, 8))
def test_after_a_stop_text_a_conversation_goes_on_with_what_is_on_the_screen(
    folder, tmp_path, stop_place
):
    bpe = read_tokenizer(str(folder))
    prompt_ids = bpe.encode("The cat")
    answer = greedy_ids(folder, prompt_ids, 8)
    text = bpe.decode_bytes(answer).decode("utf-8", "replace")
    stop = text[stop_place : stop_place + 2]
    shown = text[: text.index(stop)]
    # The tokens that were shown whole, one after another, as long as there are any.
    kept = []
    while shown.startswith(bpe.decode([*kept, answer[len(kept)]])):
        kept.append(answer[len(kept)])
    rest = shown[len(bpe.decode(kept)) :]
    tokens = [*prompt_ids, *kept, *bpe.encode(rest), *bpe.encode(" and")]
    second = bpe.decode(greedy_ids(folder, tokens, 8)).split(stop)[0]
    expected = "The cat" + shown + "\n" + second + "\n"
    flags = ("--tokens", "8", "--greedy", "--stop", stop)
    done = converse(tmp_path, b" and\n", *flags)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().replace("\r\n", "\n") == complete.visible(expected)


@pytest.mark.parametrize(
    ("tokens", "stop", "kept", "rest"),
    [
        (["ab", "ab"], "zz", ["ab", "ab"], ""),  # it never came
        (["ab", "cab"], "c", ["ab"], ""),
        (["ab", "cab"], "ab", [], ""),
        (["ab", "cab"], "ca", ["ab"], ""),
        (["ab", "cab"], "b", [], "a"),
        (["ab", "ab", "cab"], "bc", ["ab"], "a"),
        (["ab", "cab"], "xab", ["ab", "cab"], ""),
        # Half of a character, and the stop text after it: é is C3 A9.
        (["ab", "Ã", "©ab"], "b", [], "a"),
        (["a", "Ã", "©ab"], "b", ["a"], "éa"),
        (["a", "Ã", "©", "ab"], "b", ["a", "Ã", "©"], "a"),
    ],
)
def test_the_printer_knows_which_tokens_were_printed(tokens, stop, kept, rest):
    merged = {token: None for token in tokens if len(token) > 1}
    vocab = {token: i for i, token in enumerate([*sorted(SYMBOLS), *merged])}
    bpe = BPE(vocab, [])
    printer = complete.Printer(bpe, stop)
    printed = ""
    for token in tokens:
        printed += printer.add(vocab[token])
        if printer.stopped:
            break
    printed += printer.rest()
    ids, anew = printer.printed_tokens()
    assert ids == [vocab[token] for token in kept]
    assert bpe.decode(anew) == rest
    assert bpe.decode([*ids, *anew]) == printed


def converse(tmp_path, typed, *flags, prompt="The cat"):
    """Run the command with --interactive, and type; return what it did."""
    return subprocess.run(
        [sys.executable, COMPLETE, "model", prompt, "--interactive", "--exact", *flags],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        input=typed,
        capture_output=True,
        timeout=60,
    )


def greedy_ids(folder, tokens, n):
    tokens = list(tokens)
    with load_gpt2(str(folder)) as model:
        for _ in range(n):
            for pos_id in range(model.n_read, len(tokens)):
                logits = gpt2(model, tokens[pos_id], pos_id)
            tokens.append(logits.index(max(logits)))
    return tokens[-n:]


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (("--n", 0), "--n is 0"),
        (("--stop", ""), "--stop is empty"),
        (("--interactive", "--n", 2), "leave --n"),
        (("--exact", "--processes", 2), "--exact runs in one process"),
    ],
)
def test_flags_that_make_no_sense_are_named(folder, capsys, flags, word):
    assert_one_line_error(refused(capsys, folder, "the", *flags), word)


# What reaches the terminal


def test_control_characters_are_written_as_escapes(folder, capsys, monkeypatch):
    bpe = read_tokenizer(str(folder))
    pretend(monkeypatch, bpe.encode("\x1b[2J a\tb\n\r\x85\u2028\u202e\0 é🙂"))
    outcome = call(capsys, complete.main, folder, "\x1b]0;the\x07", "--tokens", 99)
    assert outcome.out == (
        "\\x1b]0;the\\x07" + "\\x1b[2J a\tb\n\\r\\x85\\u2028\\u202e\\x00 é🙂\n"
    )


@pytest.mark.parametrize("locale", ["C", "C.UTF-8", "en_US.ISO-8859-1"])
def test_the_bytes_of_a_prompt_are_those_that_were_typed(folder, tmp_path, locale):
    prompt = b"caf" + b"\xc3\xa9 \xe9"  # é in UTF-8, and then in Latin-1
    done = subprocess.run(
        [sys.executable, COMPLETE, "model", prompt, "--greedy", "--exact"],
        cwd=tmp_path,
        env={**os.environ, "LC_ALL": locale, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    ids = read_tokenizer(str(folder)).encode_bytes(prompt)
    text = complete.visible(greedy_text(folder, ids, 20))
    assert done.stdout.decode() == "café \ufffd" + text + "\n"


@pytest.mark.skipif(os.name == "nt", reason="an argument is text there")
def test_a_stop_text_is_found_whatever_the_locale(folder, capsys, monkeypatch):
    bpe = read_tokenizer(str(folder))
    # Where the locale says ASCII, é arrives as two characters that stand for its bytes.
    for stop in ("é", "\udcc3\udca9"):
        pretend(monkeypatch, bpe.encode("at é no more"))
        outcome = call(capsys, complete.main, folder, "c", "--exact", "--stop", stop)
        assert outcome.out == "cat \n"


def test_a_narrow_terminal_gets_escapes(folder, tmp_path):
    done = subprocess.run(
        [sys.executable, COMPLETE, "model", "é…", "--greedy", "--exact"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"},
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"\\xe9\\u2026")


@pytest.mark.parametrize("command", ["complete", "tokens"])
def test_a_pipe_that_closes_early_leaves_no_traceback(folder, tmp_path, command):
    argv = {
        "complete": ["complete.py", "model", "the", "--tokens", "30"],
        "tokens": ["tokens.py", "--show-work", "the cat " * 2000],
    }[command]
    script = os.path.join(os.path.dirname(COMPLETE), argv[0])
    env = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    with subprocess.Popen(
        [sys.executable, script, *argv[1:]],
        cwd=tmp_path,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.close()
        error = process.stderr.read().decode()
    assert "Traceback" not in error
    assert "Exception ignored" not in error
