"""The command that lets GPT-2 write: what it prints, from what, and what it refuses."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import struct
import subprocess
import sys

import pytest
from run import ROOT, assert_one_line_error, call

from microgpt.sample import token_probabilities

# First on the path, so that `model` is ours even where a package of that name is.
sys.path.insert(0, str(ROOT / "examples" / "gpt2"))

import complete
from bpe import BPE
from model import empty_cache, gpt2, load_gpt2

DATA = ROOT / "tests" / "data" / "gpt2"
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
    bpe = BPE.from_folder(str(folder))
    tokens = list(prompt_ids)
    with load_gpt2(str(folder), exact=True) as model:
        keys, values = empty_cache(model.config)
        while len(tokens) < len(prompt_ids) + n:
            for pos_id in range(len(keys[0]), len(tokens)):
                logits = gpt2(model, tokens[pos_id], pos_id, keys, values)
            tokens.append(logits.index(max(logits)))
    return bpe.decode(tokens[len(prompt_ids) :])


def pretend(monkeypatch, token_ids):
    """Let the model answer with these tokens, whatever it is asked."""
    steps = [(token_id, [1.0]) for token_id in token_ids]
    monkeypatch.setattr(complete, "continuation", lambda *args, **how: iter(steps))


# What it writes


@pytest.mark.parametrize("flags", [(), ("--exact",), ("--processes", 2)])
@pytest.mark.parametrize("prompt", ["the", "The cat sat", " é "])
def test_greedy_is_the_likeliest_token_at_every_step(folder, capsys, prompt, flags):
    outcome = call(
        capsys, complete.main, folder, prompt, "--greedy", "--tokens", 9, *flags
    )
    assert outcome.code == 0
    prompt_ids = BPE.from_folder(str(folder)).encode(prompt)
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
    prompt_ids = BPE.from_folder(str(folder)).encode("the cat")
    outcome = call(
        capsys, complete.main, folder, "the cat", "--greedy", "--tokens", 1000
    )
    # The last token to be read stands at the last position, and one more is written.
    n = N_POSITIONS - len(prompt_ids) + 1
    assert outcome.out == "the cat" + greedy_text(folder, prompt_ids, n) + "\n"
    assert f"{n} tokens" in outcome.err


def test_a_prompt_may_fill_the_context(folder, capsys):
    prompt = "!" * N_POSITIONS
    assert len(BPE.from_folder(str(folder)).encode(prompt)) == N_POSITIONS
    outcome = call(capsys, complete.main, folder, prompt, "--greedy")
    assert "1 token, " in outcome.err


def test_the_end_of_the_text_is_not_written(folder, capsys, monkeypatch):
    bpe = BPE.from_folder(str(folder))
    pretend(monkeypatch, [*bpe.encode("at"), bpe.end_of_text, *bpe.encode("never")])
    outcome = call(capsys, complete.main, folder, "c")
    assert outcome.out == "cat\n"


def test_a_character_is_written_once_it_is_whole(folder, monkeypatch, capsys):
    bpe = BPE.from_folder(str(folder))
    token_ids = bpe.encode("é🙂b")
    assert len(token_ids) >= 6  # some with a part of a character only
    pretend(monkeypatch, token_ids)
    written = []

    def pretend_print(text, file=sys.stdout, **how):
        if file is not sys.stderr:
            written.append(text)

    monkeypatch.setattr(complete, "print", pretend_print, raising=False)
    assert complete.main([str(folder), "a"]) == 0
    assert [text for text in written if text] == ["a", "é", "🙂", "b"]


def test_a_character_that_was_cut_is_written_as_one_that_is_unknown(
    folder, monkeypatch, capsys
):
    bpe = BPE.from_folder(str(folder))
    pretend(monkeypatch, bpe.encode("🙂")[:-1])
    assert call(capsys, complete.main, folder, "a").out == "a\ufffd\n"


def test_the_probabilities_shown_are_those_of_each_draw(folder, capsys):
    flags = ("--show-probabilities", "--tokens", 6, "--top-k", 3)
    outcome = call(capsys, complete.main, folder, "the", *flags)
    plain = call(capsys, complete.main, folder, "the", *flags[1:])
    *lines, text = outcome.out.split("\n")[:-1]
    assert plain.out == text + "\n"
    assert lines[0] == "after 'the':"
    bpe = BPE.from_folder(str(folder))
    with load_gpt2(str(folder)) as model:
        (token_id,) = bpe.encode("the")
        logits = gpt2(model, token_id, 0, *empty_cache(model.config))
    probs = token_probabilities(logits, 0.8, top_k=3)
    best = sorted(range(400), key=lambda i: -probs[i])[:3]
    for line, token_id in zip(lines[1:4], best):
        assert complete.readable(bpe.tokens[token_id]) in line
        assert f"{probs[token_id]:.1%}" in line
    assert lines[4].startswith("after 'the")


def test_stderr_says_how_fast_it_was_and_what_it_took(folder, capsys):
    outcome = call(capsys, complete.main, folder, "the", "--tokens", 7)
    for words in ("7 tokens", "a second", "MB of memory"):
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
        (("--top-k", 0), "top_k is 0"),
        (("--top-p", 1.5), "top_p is 1.5"),
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
    vocab["<|endoftext|>!"] = len(vocab)
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
    ids = BPE.from_folder(str(folder)).encode("the")
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
