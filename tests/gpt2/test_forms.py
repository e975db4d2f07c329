"""The forms in which models come: their logits and ids are those of transformers.

data/forms/ was written with torch 2.13.0 and transformers 5.24.0, on CPU, by

    python tests/reference/gpt2_forms_reference.py

so that these tests need neither. Where there are both, a test computes the figures
anew.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys

import complete
import gpt2_real_ids_reference
import pytest
from fast import FastGPT2
from gpt2_forms_reference import FOLDER, FORMS, PROMPT, RECORD, TEXTS
from gpt2_support import DATA, ROOT, assert_one_line_error, call
from load import load_gpt2, read_config, read_model
from model import gpt2
from vocabulary import is_openai, read_tokenizer

FIGURES = json.loads(RECORD.read_text(encoding="utf-8"))


def copy_of(name, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(FOLDER / name, folder)
    return folder


def change(path, **changes):
    """Write a JSON file anew with some of its settings changed; ... takes one out."""
    content = json.loads(path.read_text(encoding="utf-8"))
    content.update(changes)
    content = {name: value for name, value in content.items() if value is not ...}
    path.write_text(json.dumps(content), encoding="utf-8")


# Against transformers


@pytest.mark.parametrize("way", ["exact", "packed"])
@pytest.mark.parametrize("name", FORMS)
def test_every_logit_is_that_of_transformers(name, way):
    folder = str(FOLDER / name)
    with load_gpt2(folder) if way == "exact" else FastGPT2(folder) as model:
        rows = [gpt2(model, token, t) for t, token in enumerate(PROMPT)]
    tolerance = 5.01e-11 if way == "exact" else 3.3e-7  # as README.md says
    for row, expected in zip(rows, FIGURES[name]["logits"]):
        assert row == pytest.approx(expected, rel=0, abs=tolerance)
        assert max(expected) - min(expected) > 1


@pytest.mark.parametrize("name", FORMS)
def test_every_id_is_that_of_transformers(name):
    bpe = read_tokenizer(str(FOLDER / name))
    figures = FIGURES[name]
    assert [bpe.encode(text) for text in TEXTS] == figures["ids"]
    decoded = [bpe.decode([token_id]) for token_id in (307, 399, 400)]
    assert decoded == figures["decoded"] == ["The", "<|endoftext|>", "<|pad|>"]


@pytest.mark.parametrize(
    "setting",
    ["activation_function", "scale_attn_weights", "scale_attn_by_inverse_layer_idx"],
)
def test_each_setting_matters(setting, tmp_path):
    # So the figures above would not be met if a setting were passed over.
    name = "padded" if "inverse" in setting else "sharded"
    folder = copy_of(name, tmp_path)
    change(folder / "config.json", **{setting: ...})
    model = load_gpt2(str(folder))
    rows = [gpt2(model, token, t) for t, token in enumerate(PROMPT)]
    gap = max(abs(a - b) for a, b in zip(rows[-1], FIGURES[name]["logits"][-1]))
    assert gap > 1e-4


@pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ["torch", "transformers"]),
    reason="needs torch and transformers",
)
def test_the_recorded_figures_are_what_transformers_computes_today():
    script = ROOT / "tests" / "reference" / "gpt2_forms_reference.py"
    result = subprocess.run(
        [sys.executable, str(script), "--print"],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    )
    computed = json.loads(result.stdout.splitlines()[-1])
    for name, figures in FIGURES.items():
        assert computed[name]["ids"] == figures["ids"]
        for row, expected in zip(computed[name]["logits"], figures["logits"]):
            assert row == pytest.approx(expected, rel=0, abs=1e-9)


# What a model with more ids than tokens writes


def test_an_id_without_a_token_is_never_written(tmp_path, capsys, monkeypatch):
    folder = copy_of("padded", tmp_path)
    assert read_config(str(folder)).vocab_size == 408
    assert sorted(read_tokenizer(str(folder)).token_bytes) == list(range(401))
    real = complete.gpt2

    def with_a_wish(model, token_id, pos_id):
        logits = real(model, token_id, pos_id)
        logits[401:] = [1000.0] * 7  # what has no token is by far the likeliest
        return logits

    expected = call(capsys, complete.main, folder, "the", "--seed", 3, "--exact")
    assert expected.code == 0
    monkeypatch.setattr(complete, "gpt2", with_a_wish)
    outcome = call(capsys, complete.main, folder, "the", "--seed", 3, "--exact")
    assert (outcome.code, outcome.out) == (0, expected.out)
    greedy = call(capsys, complete.main, folder, "the", "--greedy", "--exact")
    assert greedy.code == 0


@pytest.mark.parametrize("end", [399, 400])
def test_each_end_of_text_in_the_config_ends_it(tmp_path, capsys, monkeypatch, end):
    folder = copy_of("padded", tmp_path)
    bpe = read_tokenizer(str(folder))
    ids = [*bpe.encode("at"), end, *bpe.encode("never")]
    steps = [(token_id, ([token_id], [1.0])) for token_id in ids]
    monkeypatch.setattr(complete, "continuation", lambda *args, **how: iter(steps))
    assert call(capsys, complete.main, folder, "c", "--exact").out == "cat\n"
    # Where the config does not say, the end is <|endoftext|>.
    change(folder / "config.json", eos_token_id=...)
    out = call(capsys, complete.main, folder, "c", "--exact").out
    assert out == ("cat\n" if end == 399 else "cat<|pad|>never\n")


def test_a_tokenizer_larger_than_the_model_is_refused(tmp_path, capsys):
    folder = copy_of("head_only", tmp_path)
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    content["added_tokens"].append({"id": 401, "content": "<new>"})
    (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    outcome = call(capsys, complete.main, folder, "the", "--exact")
    assert_one_line_error(outcome, "402", "401")


# Vocabularies in pairs of files


def lay_out(folder, vocab_name="vocab.json", merges_name="merges.txt"):
    shutil.copy(DATA / "vocab.json", folder / vocab_name)
    shutil.copy(DATA / "merges.txt", folder / merges_name)
    return str(folder)


def refusal(folder):
    with pytest.raises(ValueError) as caught:
        read_tokenizer(str(folder))
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_openai_s_own_names_are_read_likewise(tmp_path):
    bpe = read_tokenizer(lay_out(tmp_path, "encoder.json", "vocab.bpe"))
    assert bpe.encode(TEXTS[0]) == FIGURES["padded"]["ids"][0]
    assert not is_openai(bpe)


@pytest.mark.parametrize("n_lines", [1, 2, 72, 143])
def test_merges_that_are_cut_short_are_refused(tmp_path, n_lines):
    folder = lay_out(tmp_path)
    lines = (DATA / "merges.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 144  # the version, and 143 merges
    text = "\n".join(lines[:n_lines]) + "\n"
    (tmp_path / "merges.txt").write_text(text, encoding="utf-8")
    line = refusal(folder)
    assert "merges.txt" in line
    if n_lines > 1:
        # The first that is missing is named, and how many more there are.
        product = lines[n_lines].replace(" ", "")
        more = f" and {143 - n_lines} more" if n_lines < 143 else ""
        assert f"has no merge that makes {product!r}{more} of vocab.json" in line


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path):
    folder = lay_out(tmp_path)
    expected = read_tokenizer(folder)
    for name in ("vocab.json", "merges.txt"):
        path = tmp_path / name
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    bpe = read_tokenizer(folder)
    assert (bpe.vocab, bpe.merges) == (expected.vocab, expected.merges)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid", "is a git-LFS pointer"),
        (b"<!DOCTYPE html>\n<html>", "is a web page"),
        (b"PK\x03\x04\x14\x00", "is a zip archive"),
        (b"\x1f\x8b\x08\x00", "is compressed with gzip"),
    ],
)
@pytest.mark.parametrize("name", ["vocab.json", "merges.txt", "config.json"])
def test_what_is_saved_by_mistake_is_named(tmp_path, name, content, words):
    folder = tmp_path / "model"
    shutil.copytree(DATA / "f32_tied", folder)
    lay_out(folder)
    (folder / name).write_bytes(content)
    line = refusal(folder) if name != "config.json" else None
    if line is None:
        with pytest.raises(ValueError) as caught:
            read_config(str(folder))
        line = str(caught.value)
    assert f"{name} {words}" in line


def test_added_tokens_stand_in_files_of_their_own(tmp_path):
    folder = lay_out(tmp_path)
    (tmp_path / "added_tokens.json").write_text('{"<|pad|>": 400, "two words": 402}')
    decoder = {"403": {"content": "<|user|>", "special": True}}
    text = json.dumps({"added_tokens_decoder": decoder})
    (tmp_path / "tokenizer_config.json").write_text(text)
    bpe = read_tokenizer(folder)
    assert bpe.decode([400, 402, 403]) == "<|pad|>two words<|user|>"
    assert bpe.encode("<|pad|>") != [400]  # typed, it is text like any other
    # A hole: neither the number of tokens nor the highest id is to blame.
    words = "no token has the id 401: there are 403, and the highest id is 403"
    with pytest.raises(ValueError, match=words):
        bpe.decode([401])


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        # 0 is "!", so "low! hi" would come back as "low<pad> hi".
        ("added_tokens.json", {"<pad>": 0}, "id 0, that of the token '!'"),
        ("added_tokens.json", {"<pad>": -3}, "id -3, below 0"),
        ("added_tokens.json", {"<a>": 400, "<b>": 400}, "the same id, 400"),
        (
            "tokenizer_config.json",
            {"added_tokens_decoder": {"5": {"content": "<pad>"}}},
            "id 5, that of the token '&'",
        ),
    ],
)
def test_an_added_token_must_have_an_id_of_its_own(tmp_path, file, content, words):
    folder = lay_out(tmp_path)
    (tmp_path / file).write_text(json.dumps(content))
    assert words in refusal(folder)


def test_an_added_token_may_be_one_of_the_vocabulary(tmp_path):
    folder = lay_out(tmp_path)
    vocab = json.loads((DATA / "vocab.json").read_text(encoding="utf-8"))
    # As its text, or as the text that its symbols stand for.
    content = {"<|endoftext|>": 399, " the": vocab["Ġthe"]}
    (tmp_path / "added_tokens.json").write_text(json.dumps(content))
    assert read_tokenizer(folder).decode([399, vocab["Ġthe"]]) == "<|endoftext|> the"


def test_an_added_token_may_have_an_id_among_those_of_the_vocabulary(tmp_path):
    folder = lay_out(tmp_path)
    vocab = json.loads((DATA / "vocab.json").read_text(encoding="utf-8"))
    moved = len(vocab)
    vocab["Ġthe"], gap = moved, vocab["Ġthe"]
    (tmp_path / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
    assert f"{gap} is no token's id" in refusal(folder)
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<pad>": gap}))
    assert read_tokenizer(folder).decode([gap, moved]) == "<pad> the"


def test_two_files_that_give_one_id_to_different_tokens_are_refused(tmp_path):
    folder = lay_out(tmp_path)
    (tmp_path / "added_tokens.json").write_text('{"<|pad|>": 400}')
    decoder = {"400": {"content": "<|user|>"}}
    text = json.dumps({"added_tokens_decoder": decoder})
    (tmp_path / "tokenizer_config.json").write_text(text)
    assert "'<|pad|>' and '<|user|>' have the same id, 400" in refusal(folder)


def test_merges_in_an_order_that_nobody_can_have_learnt_are_refused(tmp_path):
    folder = lay_out(tmp_path)
    lines = (DATA / "merges.txt").read_text(encoding="utf-8").splitlines()
    text = "\n".join([lines[0], *reversed(lines[1:])]) + "\n"
    (tmp_path / "merges.txt").write_text(text, encoding="utf-8")
    left, right = lines[-1].split(" ")
    made_later = left if len(left) > 1 else right
    assert f"merge 1 is of {made_later!r}, which no merge before it" in refusal(folder)


def test_merges_that_make_a_token_twice_are_refused(tmp_path):
    folder = lay_out(tmp_path)
    path = tmp_path / "merges.txt"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines, lines[1]]) + "\n", encoding="utf-8")
    token = lines[1].replace(" ", "")
    assert f"merge 144 makes {token!r}, as one before it does" in refusal(folder)


@pytest.mark.parametrize(
    "post",
    [
        None,
        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False},
        {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}]},
    ],
)
def test_a_post_processor_that_adds_nothing_does_not_matter(tmp_path, post):
    folder = copy_of("padded", tmp_path)
    change(folder / "tokenizer.json", post_processor=post)
    assert read_tokenizer(str(folder)).encode(TEXTS[0]) == FIGURES["padded"]["ids"][0]


BEGIN = {"type": "TemplateProcessing", "single": [
    {"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}
]}  # fmt: skip
FAULTS = [
    ({"post_processor": BEGIN}, "post_processor that may add tokens"),
    ({"post_processor": {"type": "BertProcessing"}}, "may add tokens"),
    ({"post_processor": "ByteLevel"}, "may add tokens"),
    ({"added_tokens": [{"id": 0, "content": "<pad>"}]}, "id 0, that of the token '!'"),
    ({"added_tokens": [{"id": -1, "content": "<pad>"}]}, "below 0"),
    (
        {"added_tokens": [{"id": 400, "content": "a"}, {"id": 400, "content": "b"}]},
        "'a' and 'b' have the same id, 400",
    ),
    ({"model": None}, "has no model"),
    ({"normalizer": {"type": "NFC"}}, "changes texts by a normalizer"),
    ({"pre_tokenizer": None}, "splits texts in another way"),
    ({"pre_tokenizer": {"type": "Whitespace"}}, "splits texts in another way"),
    (
        {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True}},
        "add_prefix_space false",
    ),
    ({"added_tokens": [{"id": "400", "content": "x"}]}, "in added_tokens is no token"),
    ({"added_tokens": ["<pad>"]}, "in added_tokens is no token"),
]
MODEL_FAULTS = [
    ({"type": "WordPiece"}, "'WordPiece', but must be 'BPE'"),
    ({"dropout": 0.1}, "dropout is 0.1"),
    ({"seed_tokens": ["the"]}, "the setting 'seed_tokens', which is not known"),
    ({"byte_fallback": True}, "byte_fallback is True, but must be False"),
    ({"ignore_merges": True}, "ignore_merges is True, but must be False"),
    ({"end_of_word_suffix": "</w>"}, "end_of_word_suffix is '</w>'"),
    ({"vocab": None}, "no JSON object of tokens"),
    ({"vocab": {}}, "no token 'Ā'"),
    ({"merges": []}, "has no merge that makes"),
    ({"merges": [["a"]]}, "merge 0 is ['a'], and no pair"),
    ({"merges": ["a b c"]}, "merge 0 is 'a b c', and no pair"),
    ({"merges": [["a", 1]]}, "merge 0 is ['a', 1], and no pair"),
    ({"merges": [["q", "q"]]}, "'qq' is not in its vocabulary"),
]


@pytest.mark.parametrize(("changes", "words"), FAULTS)
def test_a_tokenizer_file_of_another_kind_is_refused(tmp_path, changes, words):
    folder = copy_of("padded", tmp_path)
    change(folder / "tokenizer.json", **changes)
    assert words in refusal(folder)


@pytest.mark.parametrize(("changes", "words"), MODEL_FAULTS)
def test_a_model_in_a_tokenizer_file_is_checked(tmp_path, changes, words):
    folder = copy_of("padded", tmp_path)
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    change(folder / "tokenizer.json", model={**content["model"], **changes})
    assert words in refusal(folder)


def test_a_setting_that_is_not_known_but_off_does_not_matter(tmp_path):
    folder = copy_of("padded", tmp_path)
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    model = {**content["model"], "of_tomorrow": False, "of_next_year": None}
    change(folder / "tokenizer.json", model=model)
    assert read_tokenizer(str(folder)).encode(TEXTS[0]) == FIGURES["padded"]["ids"][0]


def test_a_folder_without_any_vocabulary_is_told_what_belongs_there(tmp_path):
    line = refusal(tmp_path)
    assert "vocab.json" in line
    assert "tokenizer.json" in line


# The real vocabulary, where it has been fetched: see .ci/run.

REAL = os.environ.get("GPT2_VOCABULARY")


@pytest.mark.skipif(not REAL, reason="GPT2_VOCABULARY names no folder")
def test_openai_s_own_vocabulary_makes_the_ids_that_are_recorded():
    record = json.loads((DATA / "real_ids.json").read_text(encoding="utf-8"))
    bpe = read_tokenizer(REAL)
    assert is_openai(bpe)
    texts = gpt2_real_ids_reference.texts()
    assert len(texts) == len(record) >= 2000
    for text, ids in zip(texts, record):
        assert bpe.encode(text) == ids, text
        assert bpe.decode(ids) == text
    # Most of the texts are not made of single bytes.
    assert len({token_id for ids in record for token_id in ids}) > 1000
    assert len(bpe.merges) == 50_000
    prompt = "Alan Turing theorized that computers would one day become"
    assert len(bpe.encode(prompt)) == 10


# Damage

HOSTILE = [
    -1, 0, 1, 400, 2**64, 0.5, 1e308, float("inf"), float("nan"), True, False, None,
    "", "a", "Ġ", "\x00\x1b[2J", "x" * 1000, [], [0], [[]], [["a", "b"]], {}, {"a": 0},
]  # fmt: skip


def damaged(rng, content):
    """Return a copy of some JSON with one thing in it exchanged or taken out."""
    content = json.loads(json.dumps(content))
    place = content
    for _ in range(rng.randrange(1, 5)):
        keys = list(place) if type(place) is dict else list(range(len(place)))
        if not keys:
            break
        key = rng.choice(keys)
        if type(place[key]) in (dict, list) and place[key] and rng.random() < 0.7:
            place = place[key]
            continue
        if rng.random() < 0.2:
            del place[key]
        else:
            place[key] = rng.choice(HOSTILE)
        break
    return content


@pytest.mark.parametrize(
    "name",
    ["config.json", "tokenizer.json", "tokenizer_config.json",
     "model.safetensors.index.json", "vocab.json"],
)  # fmt: skip
def test_a_damaged_file_is_refused_in_one_line_or_read(name, tmp_path):
    folder = copy_of("sharded", tmp_path)
    if name in ("tokenizer_config.json", "vocab.json"):
        lay_out(folder)
    rng = random.Random(name)
    original = json.loads((folder / name).read_text(encoding="utf-8"))
    outcomes = {"refused": 0, "read": 0}
    for _ in range(100):
        text = json.dumps(damaged(rng, original))
        if rng.random() < 0.1:
            text = text[: rng.randrange(len(text))]
        (folder / name).write_text(text, encoding="utf-8")
        try:
            read_model(str(folder))
            read_tokenizer(str(folder))
            outcomes["read"] += 1
        except ValueError as error:
            assert type(error) is ValueError
            assert "\n" not in str(error)
            assert len(str(error)) < 1000
            outcomes["refused"] += 1
    assert outcomes["refused"] >= 10, outcomes
