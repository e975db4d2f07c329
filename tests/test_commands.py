"""The two commands as a user meets them: mistakes, signals, pipes, terminals."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from run import (
    NAMES,
    ROOT,
    TINY,
    assert_one_line_error,
    call,
    call_elsewhere,
    command_line,
    contents,
    environment,
    marked_by_hand,
    printed_samples,
    read_losses,
    small_run,
    write_names,
)

from microgpt import sample, train
from microgpt.checkpoint import load_checkpoint, save_checkpoint
from microgpt.data import read_documents

TRAIN, SAMPLE = "microgpt.train", "microgpt.sample"


@pytest.fixture
def names(tmp_path):
    return write_names(tmp_path)


@pytest.fixture
def checkpoint(tmp_path):
    run, _, _ = small_run(take=3, steps=3)
    path = tmp_path / "model.json"
    save_checkpoint(str(path), run)
    return path


def assert_named(outcome, *words):
    """Assert a one-line error with these words; whether n_embd or --n-embd is equal."""
    assert_one_line_error(outcome._replace(err=outcome.err.replace("-", "_")))
    for word in words:
        assert str(word).replace("-", "_") in outcome.err.replace("-", "_")


# Mistakes in what train is given


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["bad.txt"]),  # there is none
        (b"", ["bad.txt"]),
        (b"\n\n", ["bad.txt"]),
        (b"  \n\t\r\n", ["bad.txt"]),
        (b"ann\nbob\nzo\xeb\n", ["bad.txt", "line 3"]),
        (b"ann\n\n\xff\xfeb\x00\n", ["bad.txt", "line 3"]),
        ("folder", ["bad.txt"]),
    ],
)
def test_data_that_cannot_be_trained_on_is_named(tmp_path, capsys, content, words):
    path, out = tmp_path / "bad.txt", tmp_path / "run"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    outcome = call(capsys, train.main, "--data", path, "--out", out, *TINY)
    assert_named(outcome, *words)
    assert outcome.out == ""
    assert not out.exists()


BAD_SETTINGS = [
    *[
        (f"--{size}", number)
        for size in ("steps", "batch-size", "block-size", "n-layer", "n-head", "n-embd")
        for number in (0, -1, -(10**12))
    ],
    ("--seed", -1),
    ("--samples", -1),
    ("--val-documents", 0),
    ("--val-documents", -1),
    *[
        (f"--{name}", number)
        for name in ("learning-rate", "temperature")
        for number in (0, -0.5, "nan", "inf", "-inf")
    ],
    *[
        (f"--{name}", number)
        for name in ("weight-decay", "grad-clip")
        for number in (-0.5, "nan", "inf", "-inf")
    ],
    *[("--val-fraction", number) for number in (-0.1, 1, 1.5, "nan", "inf")],
    # What is no number, or not a whole one.
    *[
        (f"--{size}", text)
        for size in ("steps", "n-embd", "seed", "samples")
        for text in ("many", "1.5", "", "1e3", "0x10", "nan")
    ],
    *[("--learning-rate", text) for text in ("fast", "", "0,1", "1/2")],
]


@pytest.mark.parametrize(("flag", "thing"), BAD_SETTINGS)
def test_a_bad_setting_is_named_before_anything_is_done(
    tmp_path, names, capsys, flag, thing
):
    out = tmp_path / "run"
    # With "=", a thing that starts with a dash is not taken for a flag.
    outcome = call(capsys, train.main, "--data", names, "--out", out, f"{flag}={thing}")
    assert_named(outcome, flag[2:])
    assert outcome.out == ""
    assert not out.exists()


@pytest.mark.parametrize(("n_embd", "n_head"), [(6, 4), (4, 8), (1, 2), (15, 2)])
def test_heads_that_do_not_divide_the_embedding_are_named_with_both_numbers(
    tmp_path, names, capsys, n_embd, n_head
):
    flags = ("--n-embd", n_embd, "--n-head", n_head, "--out", tmp_path / "run")
    outcome = call(capsys, train.main, "--data", names, *flags)
    assert_named(outcome, f"n-embd {n_embd}", f"n-head {n_head}")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        (["--frobnicate"], "--frobnicate"),
        (["--step", "5"], "--step"),  # no flag is guessed from its beginning
        (["names.txt"], "names.txt"),
        (["--steps"], "--steps"),
        (["--resume=yes"], "--resume"),
        (["-x"], "-x"),
        (["--frob\nnicate"], "nicate"),
    ],
)
def test_arguments_that_train_does_not_know_are_named(capsys, argv, word):
    assert_named(call(capsys, train.main, *argv), word)


def test_a_line_break_in_a_file_name_does_not_break_the_line(tmp_path, capsys):
    outcome = call(capsys, train.main, "--data", tmp_path / "no\nsuch.txt")
    assert_named(outcome, "such.txt")
    outcome = call(capsys, sample.main, "--checkpoint", tmp_path / "no\nsuch.json")
    assert_named(outcome, "such.json")


def test_an_out_that_is_a_file_or_under_one_is_named_and_left_alone(
    tmp_path, names, capsys
):
    (tmp_path / "taken").write_text("mine", encoding="utf-8")
    for out in ("taken", "taken/run"):
        flags = ("--data", names, "--out", tmp_path / out, *TINY)
        outcome = call(capsys, train.main, *flags)
        assert_named(outcome, "taken")
        assert printed_samples(outcome.out) == []
    assert (tmp_path / "taken").read_text(encoding="utf-8") == "mine"


def test_a_checkpoint_that_cannot_be_replaced_is_named(tmp_path, names, capsys):
    (tmp_path / "run" / "checkpoint.json").mkdir(parents=True)
    flags = ("--data", names, "--out", tmp_path / "run", "--steps", 2, *TINY)
    assert_named(call(capsys, train.main, *flags), "checkpoint.json")
    assert os.listdir(tmp_path / "run") == ["checkpoint.json"]


# Mistakes in what sample is given


@pytest.mark.parametrize(
    ("flag", "thing"),
    [
        *[("--temperature", thing) for thing in (0, -1, "nan", "inf", "hot", "")],
        *[("--top-k", thing) for thing in (0, -3, 1.5, "all")],
        *[("--top-p", thing) for thing in (0, -0.5, 1.01, 90, "nan", "inf", "most")],
        *[("--n", thing) for thing in (0, -1, 2.5, "some")],
        *[("--seed", thing) for thing in (1.5, "lucky")],
    ],
)
def test_a_bad_way_to_sample_is_named(checkpoint, capsys, flag, thing):
    flags = ("--checkpoint", checkpoint, f"{flag}={thing}")
    outcome = call(capsys, sample.main, *flags)
    assert_named(outcome, flag[2:])
    assert outcome.out == ""


def test_a_prompt_with_an_unknown_character_is_refused_and_the_character_named(
    checkpoint, capsys
):
    for prompt, char in [("q", "q"), ("aQ", "Q"), ("ë", "ë"), ("a\nb", "\\n")]:
        flags = ("--checkpoint", checkpoint, "--prompt", prompt)
        outcome = call(capsys, sample.main, *flags)
        assert_named(outcome, f"'{char}'")
        assert outcome.out == ""


def test_a_prompt_that_is_too_long_is_refused_with_both_numbers(checkpoint, capsys):
    flags = ("--checkpoint", checkpoint, "--n", 2, "--prompt")
    assert_named(call(capsys, sample.main, *flags, "zoezoe"), 6, 4)
    assert_named(call(capsys, sample.main, *flags, "zoez"), 4)
    outcome = call(capsys, sample.main, *flags, "zoe")
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
def test_arguments_that_sample_does_not_know_are_named(capsys, argv, word):
    assert_named(call(capsys, sample.main, *argv), word)


# Checkpoints that are none, through both commands


def truncate(text):
    return text[: len(text) // 2].encode()


def change_a_digit(text):
    place = text.index('"losses": [') + len('"losses": [2.8')
    return (text[:place] + str(9 - int(text[place])) + text[place + 1 :]).encode()


def make_n_layer_huge(text):
    return text.replace('"n_layer": 1,', '"n_layer": 1000000000,').encode()


@pytest.mark.parametrize(
    "damage",
    [
        None,  # no file at all
        truncate,
        change_a_digit,
        make_n_layer_huge,
        lambda text: b"",
        lambda text: b"\xff\x00\x80",
        lambda text: b"[1, 2, 3]",
        lambda text: b"[" * 100_000,
        lambda text: "\n".join(NAMES).encode(),
    ],
)
def test_a_file_that_is_no_checkpoint_is_refused_by_both_commands(
    tmp_path, checkpoint, capsys, damage
):
    text = checkpoint.read_text(encoding="utf-8")
    checkpoint = tmp_path / "run" / "checkpoint.json"
    checkpoint.parent.mkdir()
    if damage:
        assert damage(text) != text.encode()
        checkpoint.write_bytes(damage(text))
    before = damage and checkpoint.read_bytes()
    outcome = call(capsys, sample.main, "--checkpoint", checkpoint)
    assert_named(outcome, "checkpoint.json")
    outcome = call(capsys, train.main, "--resume", "--out", checkpoint.parent)
    assert_named(outcome, "checkpoint.json")
    assert outcome.out == ""
    if damage:
        assert checkpoint.read_bytes() == before


def test_a_folder_is_no_checkpoint(tmp_path, capsys):
    outcome = call(capsys, sample.main, "--checkpoint", tmp_path)
    assert_named(outcome, tmp_path.name)


@pytest.mark.parametrize("size", [1e100, 1e200, 1e308])
@pytest.mark.parametrize("matrix", ["lm_head", "layer0.mlp_fc1", "layer0.attn_wv"])
def test_a_model_with_numbers_too_large_to_compute_with_is_an_error_in_one_line(
    tmp_path, capsys, matrix, size
):
    run, _, _ = small_run(take=3, steps=3, data=write_names(tmp_path))
    rng = random.Random(1)
    for row in run.params[matrix]:
        for weight in row:
            weight.data = rng.choice([-size, size])
    path = tmp_path / "run" / "checkpoint.json"
    path.parent.mkdir()
    save_checkpoint(str(path), run)
    outcomes = [
        call(capsys, sample.main, "--checkpoint", path),
        call(capsys, train.main, "--resume", "--out", path.parent),
        call(capsys, train.main, "--resume", "--out", path.parent, "--steps", 5),
    ]
    for outcome in outcomes:
        if outcome.code:
            assert_one_line_error(outcome)
        else:
            assert "nan" not in outcome.out
            assert len(outcome.out.splitlines()) >= 20
    assert matrix == "lm_head" or any(outcome.code for outcome in outcomes)


# Whole commands, in processes of their own


def test_the_default_run_is_the_recorded_one_loss_by_loss_and_letter_by_letter(
    tmp_path,
):
    outcome = call_elsewhere(tmp_path, TRAIN)
    assert (outcome.code, outcome.err) == (0, "")
    record = ROOT / "tests" / "data" / "default_run.json"
    golden = json.loads(record.read_text(encoding="utf-8"))

    losses = read_losses(tmp_path / "out")
    assert len(losses) == 500
    assert losses == pytest.approx(golden["losses"], rel=0, abs=1e-9)
    samples = printed_samples(outcome.out)
    assert [text for text, _ in samples] == golden["samples"]

    documents = read_documents(str(ROOT / "input.txt"))
    shuffled = list(documents)
    random.Random(42).shuffle(shuffled)
    assert samples == marked_by_hand(golden["samples"], shuffled[:500], documents)

    first, *lines = outcome.out.splitlines()
    assert {"41,833", "27", "4,064", "3.296"} <= set(re.findall(r"[\d.,]*\d", first))
    steps = [re.match(r"step (\d+)/500, loss (\d\.\d{3})", line) for line in lines]
    steps = [(int(match[1]), match[2]) for match in steps if match]
    assert [step for step, _ in steps] == [1, *range(50, 501, 50)]
    assert steps[0][1] == f"{losses[0]:.3f}"
    assert steps[-1][1] == f"{sum(losses[-50:]) / 50:.3f}"
    assert "\r" not in outcome.out

    run = load_checkpoint(str(tmp_path / "out" / "checkpoint.json"))
    assert run.losses == losses
    assert run.data_sha256 == golden["data_sha256"]


def test_train_sample_and_resume_work_from_their_defaults_without_a_warning(tmp_path):
    write_names(tmp_path, file="input.txt")  # which is preferred to the shipped one
    strict = {"python_flags": ("-W", "error")}
    outcome = call_elsewhere(tmp_path, TRAIN, "--steps", 4, *TINY, **strict)
    assert (outcome.code, outcome.err) == (0, "")
    assert sorted(os.listdir(tmp_path)) == ["input.txt", "out"]
    assert sorted(os.listdir(tmp_path / "out")) == [
        "checkpoint.json",
        "loss.svg",
        "losses.csv",
    ]
    run, _, _ = small_run(take=4, steps=4)
    assert read_losses(tmp_path / "out") == run.losses

    drawn = call_elsewhere(tmp_path, SAMPLE, "--n", 3, **strict)
    assert (drawn.code, drawn.err) == (0, "")
    assert len(drawn.out.splitlines()) == 3

    resumed = call_elsewhere(tmp_path, TRAIN, "--resume", "--steps", 6, **strict)
    assert (resumed.code, resumed.err) == (0, "")
    assert len(read_losses(tmp_path / "out")) == 6


def test_a_mistake_is_exit_code_2_and_one_line_on_stderr(tmp_path, names):
    for module, *flags in (
        (TRAIN, "--data", "nowhere.txt"),
        (TRAIN, "--frobnicate"),
        (TRAIN, "--data", names, "--n-embd", "6"),
        (SAMPLE, "--checkpoint", "nowhere.json"),
        (SAMPLE, "--checkpoint", names),
    ):
        outcome = call_elsewhere(tmp_path, module, *flags)
        assert_one_line_error(outcome)
        assert outcome.out == ""


def test_what_is_printed_depends_on_no_hash_seed_and_no_locale(tmp_path, names):
    flags = ("--data", names, "--steps", 5, *TINY)
    outcomes = {
        call_elsewhere(tmp_path, TRAIN, *flags, **env)
        for env in (
            {"PYTHONHASHSEED": "1", "LC_ALL": "C"},
            {"PYTHONHASHSEED": "2", "LC_ALL": "C.UTF-8", "COLUMNS": "40"},
        )
    }
    [outcome] = outcomes
    assert outcome.code == 0
    assert len(printed_samples(outcome.out)) == 20


@pytest.mark.parametrize(
    ("module", "defaults"),
    [
        (
            TRAIN,
            {
                "data": "input.txt",
                "steps": 500,
                "seed": 42,
                "batch-size": 1,
                "block-size": 8,
                "n-layer": 1,
                "n-head": 4,
                "n-embd": 16,
                "learning-rate": 0.01,
                "weight-decay": 0.0,
                "grad-clip": 0.0,
                "val-fraction": 0.1,
                "out": "out",
                "resume": "",
                "samples": 20,
                "temperature": 0.6,
                "profile": "",
            },
        ),
        (
            SAMPLE,
            {
                "checkpoint": os.path.join("out", "checkpoint.json"),
                "n": 20,
                "prompt": "",
                "temperature": 0.6,
                "top-k": "",
                "top-p": "",
                "greedy": "",
                "seed": 42,
                "show-probabilities": "",
            },
        ),
    ],
)
def test_help_lists_every_flag_with_its_default_without_a_warning(
    tmp_path, module, defaults
):
    strict = {"python_flags": ("-W", "error")}
    # So wide that no path and no number is broken over two lines.
    outcome = call_elsewhere(tmp_path, module, "--help", COLUMNS="200", **strict)
    assert (outcome.code, outcome.err) == (0, "")
    options = re.split(r"^  (?=-)", outcome.out, flags=re.MULTILINE)[1:]
    told = {}
    for option in options:
        found = re.search(r"--([a-z-]+)", option)
        told[found[1]] = " ".join(option.split())
    for flag, default in defaults.items():
        assert re.search(rf"default: .*{re.escape(str(default))}", told[flag]), flag
    assert os.listdir(tmp_path) == []


def test_ctrl_c_ends_a_process_with_130_and_resuming_it_goes_on(tmp_path, names):
    flags = ("--data", names, "--steps", 10**6, *TINY)
    with subprocess.Popen(
        command_line(TRAIN, *flags),
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        while "1/1000000" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, err) == (130, "")
    stopped = load_checkpoint(str(tmp_path / "out" / "checkpoint.json"))
    assert str(stopped.step) in out
    assert "--resume" in out
    assert read_losses(tmp_path / "out") == stopped.losses

    n = stopped.step + 5
    resumed = call_elsewhere(tmp_path, TRAIN, "--resume", "--steps", n)
    assert (resumed.code, resumed.err) == (0, "")
    assert read_losses(tmp_path / "out")[: stopped.step] == stopped.losses
    assert len(read_losses(tmp_path / "out")) == n


def first_line_then_close(folder, module, *flags):
    """Run a command as `| head -1` does; return (that line, exit code, stderr)."""
    with subprocess.Popen(
        command_line(module, *flags),
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        line = process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
    return line, process.returncode, err


def test_output_that_is_closed_early_ends_the_command_without_a_word(
    tmp_path, names, checkpoint
):
    flags = ("--data", names, "--steps", 10**6, "--batch-size", 50, *TINY)
    line, code, err = first_line_then_close(tmp_path, TRAIN, *flags)
    assert "20" in line
    assert (code != 0, err) == (True, "")

    flags = ("--checkpoint", checkpoint, "--n", 10**6)
    line, code, err = first_line_then_close(tmp_path, SAMPLE, *flags)
    assert line.endswith("\n")
    assert (code != 0, err) == (True, "")


@pytest.mark.parametrize("module", [TRAIN, SAMPLE])
def test_help_for_a_reader_who_has_gone_away_is_no_error(tmp_path, module):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            command_line(module, "--help"),
            cwd=tmp_path,
            env=environment(),
            stdout=writing,
            stderr=subprocess.PIPE,
        )
    finally:
        os.close(writing)
    assert done.stderr == b""


def test_names_with_accents_are_printed_where_only_ascii_can_be_shown(tmp_path):
    names = write_names(tmp_path, ["zoë", "łucja", "🙂🙂", "éé"], "accents.txt")
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    flags = ("--data", names, "--steps", 3, *TINY)
    outcome = call_elsewhere(tmp_path, TRAIN, *flags, **ascii_only)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.isascii()
    assert "\\xeb" in outcome.out + "".join(
        call_elsewhere(tmp_path, SAMPLE, "--prompt", "zoë", **ascii_only).out
    )
    shown = call_elsewhere(tmp_path, SAMPLE, "--show-probabilities", **ascii_only)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.isascii()
    unknown = call_elsewhere(tmp_path, SAMPLE, "--prompt", "ß", **ascii_only)
    assert_one_line_error(unknown, "\\xdf")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals")
def test_a_terminal_shows_one_line_that_grows_a_bar(tmp_path, names):
    master, slave = os.openpty()
    flags = ("--data", names, "--steps", 60, "--batch-size", 2, "--samples", 3)
    try:
        with subprocess.Popen(
            command_line(TRAIN, *flags),
            cwd=tmp_path,
            env=environment(),
            stdout=slave,
            stderr=slave,
        ) as process:
            os.close(slave)
            received = b""
            while True:
                try:
                    piece = os.read(master, 65536)
                except OSError:  # how Linux says that the other end is closed
                    break
                if not piece:
                    break
                received += piece
        assert process.returncode == 0
    finally:
        os.close(master)
    lines = received.decode().replace("\r\n", "\n").split("\n")
    # The many pictures of the bar are all in one line, each over the one before it.
    [progress] = [line for line in lines if re.search(r"#.*\d/60", line)]
    bars = re.findall(r"\r\[(#*)(-*)\] [^\r]*?(\d+)/60", progress)
    assert len(bars) >= 2
    lengths = [len(done) for done, _, _ in bars]
    assert lengths == sorted(lengths)
    for done, left, step in bars:
        assert len(done) + len(left) == 20
        assert len(done) == 20 * int(step) // 60
    # What is left to see of it is the end, and the samples have lines of their own.
    assert re.search(r"\[#{20}\].*60/60", progress.split("\r")[-1])
    assert len(printed_samples("\n".join(lines))) == 3


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no kill -9")
def test_killed_while_it_trains_a_process_leaves_a_checkpoint_to_go_on_from(
    tmp_path, names
):
    # As main() does, but saving after every step.
    eager = "from microgpt import train; train.SAVE_SECONDS = -1.0; train.main()"
    flags = ("--data", names, "--steps", 5000, *TINY)
    with subprocess.Popen(
        [sys.executable, "-c", eager, *[str(flag) for flag in flags]],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
    ) as process:
        path = Path(tmp_path, "out", "checkpoint.json")
        while not path.exists():
            assert process.poll() is None
        process.kill()
    assert process.returncode == -signal.SIGKILL  # it was in the middle of it
    saved = load_checkpoint(str(path))
    assert 1 <= saved.step < 5000
    whole, _, _ = small_run(take=saved.step, steps=5000, data=names)
    assert repr(contents(saved)) == repr(contents(whole))
