"""`python -m microgpt.sample`: what it prints is what the book's functions write."""

from __future__ import annotations

import random
import re

import pytest

from microgpt.sampling import generate, next_tokens
from microgpt.tools.checkpoint import save_checkpoint
from microgpt.tools.sample_command import main
from tests.helpers import assert_one_line_error, call, small_run


@pytest.fixture(scope="module")
def run():
    """A small model after enough steps that its letters are far from equally likely."""
    run, _, _ = small_run(take=60, steps=60, learning_rate=0.03)
    return run


def model(run, seed=42):
    return run.params, run.config, run.tokenizer, random.Random(seed)


@pytest.fixture
def checkpoint(run, tmp_path):
    path = str(tmp_path / "model.json")
    save_checkpoint(path, run)
    return path


def sampled(run, n, seed=42, prompt="", temperature=0.6, top_k=None, top_p=None):
    """Return what the command must print: n texts, all from one generator."""
    how = model(run, seed)
    settings = (prompt, temperature, top_k, top_p)
    return "".join([generate(*how, *settings) + "\n" for _ in range(n)])


@pytest.mark.parametrize(
    ("flags", "settings"),
    [
        ((), {"n": 20}),
        (("--n", 3), {"n": 3}),
        (("--n", 5, "--seed", 7), {"n": 5, "seed": 7}),
        (("--n", 5, "--temperature", 2), {"n": 5, "temperature": 2.0}),
        (("--n", 5, "--top-k", 3), {"n": 5, "top_k": 3}),
        (("--n", 5, "--top-p", 0.5), {"n": 5, "top_p": 0.5}),
        (("--n", 5, "--prompt", "ab"), {"n": 5, "prompt": "ab"}),
        (("--n", 5, "--greedy"), {"n": 5, "top_k": 1}),
    ],
)
def test_the_command_prints_what_generate_writes(
    run, checkpoint, capsys, flags, settings
):
    outcome = call(capsys, main, "--checkpoint", checkpoint, *flags)
    assert outcome == (0, sampled(run, **settings), "")


def test_each_setting_makes_a_difference(run):
    # Else the test above would compare the same texts again and again.
    settings = [
        {},
        {"seed": 7},
        {"temperature": 2.0},
        {"top_k": 3},
        {"top_p": 0.5},
        {"prompt": "ab"},
        {"top_k": 1},
    ]
    assert len({sampled(run, 5, **setting) for setting in settings}) == len(settings)


def test_greedy_prints_the_same_whatever_the_seed_and_the_temperature(
    checkpoint, capsys
):
    outcomes = {
        call(capsys, main, "--checkpoint", checkpoint, "--greedy", *flags)
        for flags in ((), ("--seed", 1), ("--seed", 99), ("--temperature", 9))
    }
    [outcome] = outcomes
    assert outcome.code == 0
    assert len(set(outcome.out.splitlines())) == 1


def test_the_command_reads_the_checkpoint_of_the_folder_out(
    run, tmp_path, monkeypatch, capsys
):
    (tmp_path / "out").mkdir()
    save_checkpoint(str(tmp_path / "out" / "checkpoint.json"), run)
    monkeypatch.chdir(tmp_path)
    assert call(capsys, main, "--n", 2).out == sampled(run, 2)
    folder = str(tmp_path / "out")
    outcome = call(capsys, main, "--n", 2, "--checkpoint", folder)
    assert outcome == (0, sampled(run, 2), "")


def test_a_checkpoint_without_a_name_is_no_file_that_is_missing(capsys):
    outcome = call(capsys, main, "--checkpoint", "")
    assert_one_line_error(outcome, "--checkpoint is empty: name a file")


@pytest.mark.parametrize(
    ("flags", "settings"),
    [
        ((), {}),
        (("--temperature", 1.5), {"temperature": 1.5}),
        (("--prompt", "am"), {"prompt": "am"}),
        (("--top-k", 3), {"top_k": 3}),
        (("--top-p", 0.8), {"top_p": 0.8}),
    ],
)
def test_the_probabilities_shown_are_those_of_each_token(
    run, checkpoint, capsys, flags, settings
):
    flags = ("--checkpoint", checkpoint, "--n", 6, "--show-probabilities", *flags)
    outcome = call(capsys, main, *flags)
    assert outcome.code == 0

    # Rows such as "  a  12.3% ###", in groups, one for each token.
    row = re.compile(r"^ *(\S+) +([0-9.]+)%")
    groups = [[]]
    for line in outcome.out.splitlines():
        found = row.match(line)
        if found:
            groups[-1].append((found[1], float(found[2])))
        elif groups[-1]:
            groups.append([])
    groups = [group for group in groups if group]

    expected = []
    how = model(run)
    for _ in range(6):
        for _, probs in next_tokens(*how, **{"temperature": 0.6, **settings}):
            likely = sorted(enumerate(probs), key=lambda pair: -pair[1])[:5]
            expected.append([(i, 100 * p) for i, p in likely if p])
    assert len(groups) == len(expected) >= 12
    for group, rows in zip(groups, expected):
        percents = [percent for _, percent in group]
        assert percents == pytest.approx([p for _, p in rows], abs=0.0501)
        for (name, _), (token_id, _) in zip(group, rows):
            if token_id != run.tokenizer.bos:
                assert name == run.tokenizer.decode([token_id])
            else:
                assert name == "end"


def test_showing_probabilities_changes_no_text(checkpoint, capsys):
    flags = ("--checkpoint", checkpoint, "--n", 6)
    shown = call(capsys, main, *flags, "--show-probabilities").out.splitlines()
    plain = call(capsys, main, *flags).out.splitlines()
    texts = iter(shown)
    assert all(text in texts for text in plain)  # all there, in this order


def test_characters_that_act_on_a_terminal_are_shown_as_escapes(tmp_path, capsys):
    # A vocabulary that somebody has made up, with a line break in it.
    run, _, _ = small_run(["\x1b\n\u2028"], take=2, steps=2)
    path = str(tmp_path / "odd.json")
    save_checkpoint(path, run)
    flags = ("--checkpoint", path, "--n", 9, "--temperature", 5)
    outcome = call(capsys, main, *flags, "--prompt", "\x1b")
    assert outcome.code == 0
    lines = outcome.out.split("\n")
    assert len(lines) == 10
    assert all(line.startswith("\\x1b") for line in lines[:-1])
    assert "\x1b" not in call(capsys, main, *flags, "--show-probabilities").out


# Mistakes


@pytest.mark.parametrize(
    ("flag", "thing", "words"),
    [
        *[
            ("--temperature", thing, ["--temperature is", "--greedy"])
            for thing in (0, -1, "nan", "inf")
        ],
        *[("--temperature", thing, ["--temperature"]) for thing in ("hot", "")],
        *[("--top-k", thing, ["--top-k"]) for thing in (0, -3, 1.5, "all", "--")],
        *[("--top-p", thing, ["--top-p is"]) for thing in (0, -0.5, 1.01, "nan")],
        ("--top-p", "most", ["--top-p"]),
        *[("--n", thing, ["--n"]) for thing in (0, -1, 2.5, "some", "--")],
        *[("--seed", thing, ["--seed"]) for thing in (1.5, "lucky", -1, "--")],
    ],
)
def test_a_bad_way_to_sample_is_named(checkpoint, capsys, flag, thing, words):
    outcome = call(capsys, main, "--checkpoint", checkpoint, f"{flag}={thing}")
    assert_one_line_error(outcome, *words)
    assert outcome.out == ""


@pytest.mark.parametrize(
    ("prompt", "char"), [("q", "q"), ("aQ", "Q"), ("ë", "ë"), ("a\nb", "\\n")]
)
def test_a_prompt_with_an_unknown_character_is_refused_and_the_character_named(
    checkpoint, capsys, prompt, char
):
    outcome = call(capsys, main, "--checkpoint", checkpoint, "--prompt", prompt)
    assert_one_line_error(outcome, f"'{char}'")
    assert outcome.out == ""


def test_a_prompt_that_is_too_long_is_refused_with_both_numbers(checkpoint, capsys):
    flags = ("--checkpoint", checkpoint, "--n", 2, "--prompt")
    assert_one_line_error(call(capsys, main, *flags, "zoezoe"), "--prompt has 6", 4, 3)
    assert_one_line_error(call(capsys, main, *flags, "zoez"), "--prompt has 4", 4, 3)
    outcome = call(capsys, main, *flags, "zoe")
    assert outcome.code == 0
    assert [line[:3] for line in outcome.out.splitlines()] == ["zoe", "zoe"]


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        (["--frobnicate"], "--frobnicate"),
        (["--temp", "1"], "--temp"),
        (["--prompt"], "--prompt"),
        (["model.json"], "model.json"),
        (["--greedy", "--top-k", "3"], "--top-k"),  # which of the two is meant?
    ],
)
def test_arguments_that_are_not_known_are_named(capsys, argv, word):
    assert_one_line_error(call(capsys, main, *argv), word)
