"""The commands as a person meets them: mistakes, pipes, terminals, whole processes."""

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

from microgpt import __version__
from microgpt.data import read_documents
from microgpt.tools import sample_command, train_command
from microgpt.tools.checkpoint import load_checkpoint, read_checkpoint, save_checkpoint
from tests.helpers import (
    DATA,
    NAMES,
    PYPY,
    ROOT,
    TINY,
    assert_one_line_error,
    call,
    call_elsewhere,
    command_line,
    contents,
    environment,
    printed_samples,
    read_losses,
    small_run,
    write_names,
)

TRAIN, SAMPLE = "microgpt.train", "microgpt.sample"
posix_only = pytest.mark.skipif(os.name == "nt", reason="Windows has none of these")


@pytest.fixture
def names(tmp_path):
    return write_names(tmp_path)


@pytest.fixture
def checkpoint(tmp_path):
    run, _, _ = small_run(take=3, steps=3)
    path = tmp_path / "model.json"
    save_checkpoint(str(path), run)
    return path


# Mistakes in what train is given


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["No such file"]),
        (b"", ["no text"]),
        (b"  \n\t\r\n", ["no text"]),
        (b"ann\nbob\nzo\xeb\n", ["line 3", "UTF-8"]),
        (b"ann\n\n\xff\xfeb\x00\n", ["line 3", "UTF-8"]),
        (b"a\x00n\x00n\x00", ["line 1", "UTF-8"]),  # UTF-16 without a mark
        (b"PK\x03\x04 names.docx", ["zip"]),
        (b"<!doctype html>\n<html>", ["web page"]),
        (b"version https://git-lfs.github.com/spec/v1\n", ["git lfs pull"]),
        ("folder", ["Is a directory" if os.name != "nt" else ""]),
    ],
)
def test_data_that_cannot_be_trained_on_is_named(tmp_path, capsys, content, words):
    path, out = tmp_path / "bad.txt", tmp_path / "run"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    outcome = call(capsys, train_command.main, "--data", path, "--out", out, *TINY)
    assert_one_line_error(outcome, "bad.txt", *words)
    assert outcome.out == ""
    assert not out.exists()


BAD_SETTINGS = [
    *[
        (f"--{size}", number)
        for size in ("steps", "batch-size", "block-size", "n-layer", "n-head", "n-embd")
        for number in (0, -1, -(10**12), 10**400)
    ],
    ("--seed", -1),
    ("--samples", -1),
    ("--val-documents", 0),
    *[
        (f"--{name}", number)
        for name in ("learning-rate", "temperature")
        for number in (0, -0.5, "nan", "inf")
    ],
    *[
        (f"--{name}", number)
        for name in ("weight-decay", "grad-clip")
        for number in (-0.5, "nan", "inf", "1e999")
    ],
    *[("--val-fraction", number) for number in (-0.1, 1, "nan", "inf")],
    # What is no number, or not a whole one.
    *[
        (f"--{size}", text)
        for size in ("steps", "n-embd", "seed", "samples")
        for text in ("many", "1.5", "", "1e3", "--")
    ],
    *[("--learning-rate", text) for text in ("fast", "", "0,1", "--")],
    ("--data", ""),
    ("--out", ""),
]


@pytest.mark.parametrize(("flag", "thing"), BAD_SETTINGS, ids=lambda x: str(x)[:20])
def test_a_bad_setting_is_named_by_its_flag_before_anything_is_done(
    tmp_path, names, capsys, flag, thing
):
    out = tmp_path / "run"
    # With "=", a thing that starts with a dash is not taken for a flag.
    argv = ("--data", names, "--out", out, f"{flag}={thing}")
    outcome = call(capsys, train_command.main, *argv)
    assert_one_line_error(outcome, flag)
    assert outcome.out == ""
    assert not out.exists()


@pytest.mark.parametrize(("n_embd", "n_head"), [(6, 4), (4, 8), (15, 2)])
def test_heads_that_do_not_divide_the_embedding_are_named_with_both_numbers(
    tmp_path, names, capsys, n_embd, n_head
):
    flags = ("--n-embd", n_embd, "--n-head", n_head, "--out", tmp_path / "run")
    outcome = call(capsys, train_command.main, "--data", names, *flags)
    assert_one_line_error(outcome, f"--n-embd {n_embd}", f"--n-head {n_head}")
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
        (["--frob\nnicate"], "frob\\nnicate"),
        (["--frob\x1b[2J"], "frob\\x1b[2J"),
    ],
)
def test_arguments_that_train_does_not_know_are_named(capsys, argv, word):
    assert_one_line_error(call(capsys, train_command.main, *argv), word)


def test_what_acts_on_a_terminal_is_shown_as_an_escape_in_a_file_s_name(
    tmp_path, capsys
):
    for name, escaped in [
        ("no\nsuch", "no\\nsuch"),
        ("a\x1b[2J\u2028", "a\\x1b[2J\\u"),
    ]:
        outcome = call(capsys, train_command.main, "--data", tmp_path / name)
        assert_one_line_error(outcome, escaped)
        outcome = call(capsys, sample_command.main, "--checkpoint", tmp_path / name)
        assert_one_line_error(outcome, escaped)


def test_a_folder_in_the_checkpoint_s_place_is_moved_aside(tmp_path, names, capsys):
    (tmp_path / "run" / "checkpoint.json").mkdir(parents=True)
    flags = ("--data", names, "--out", tmp_path / "run", "--steps", 2, *TINY)
    outcome = call(capsys, train_command.main, *flags)
    assert outcome.code == 0
    assert (tmp_path / "run" / "previous-1" / "checkpoint.json").is_dir()


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
        lambda text: b"\xff\x00\x80",
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
    outcome = call(capsys, sample_command.main, "--checkpoint", checkpoint)
    assert_one_line_error(outcome, "checkpoint.json")
    outcome = call(capsys, train_command.main, "--resume", "--out", checkpoint.parent)
    assert_one_line_error(outcome, "checkpoint.json")
    assert outcome.out == ""
    if damage:
        assert checkpoint.read_bytes() == before


@pytest.mark.parametrize("data", ["/dev/zero", "a\0b", "\ud800"])
def test_a_checkpoint_whose_data_are_no_file_is_refused(tmp_path, capsys, data):
    if data == "/dev/zero" and not os.path.exists(data):
        pytest.skip("there is no such device")
    run, _, _ = small_run(take=3, steps=9)
    path = tmp_path / "checkpoint.json"
    settings = train_command.CommandSettings(data)
    save_checkpoint(str(path), run, settings)
    outcome = call(capsys, train_command.main, "--resume", "--out", tmp_path)
    assert_one_line_error(outcome)
    assert "embedded" not in outcome.err
    assert "codec" not in outcome.err


@pytest.mark.parametrize("size", [1e100, 1e308])
@pytest.mark.parametrize("matrix", ["lm_head", "layer0.mlp_fc1", "layer0.attn_wv"])
def test_a_model_with_numbers_too_large_to_compute_with_is_an_error_in_one_line(
    tmp_path, capsys, matrix, size
):
    flags = ("--data", write_names(tmp_path), "--out", tmp_path / "run", *TINY)
    assert call(capsys, train_command.main, *flags, "--steps", 3).code == 0
    path = tmp_path / "run" / "checkpoint.json"
    run, settings = read_checkpoint(str(path))
    rng = random.Random(1)
    for row in run.params[matrix]:
        for weight in row:
            weight.data = rng.choice([-size, size])
    save_checkpoint(str(path), run, settings)
    resume = ("--resume", "--out", path.parent)
    outcomes = [
        call(capsys, sample_command.main, "--checkpoint", path),
        call(capsys, train_command.main, *resume),
        call(capsys, train_command.main, *resume, "--steps", 5),
    ]
    for outcome in outcomes:
        if outcome.code:
            assert_one_line_error(outcome)
        else:
            assert "nan" not in outcome.out
            assert len(outcome.out.splitlines()) >= 20
    assert matrix == "lm_head" or any(outcome.code for outcome in outcomes)


# Whole commands, in processes of their own


@pytest.mark.slow
def test_the_default_run_is_the_recorded_one_loss_by_loss_and_letter_by_letter(
    tmp_path,
):
    outcome = call_elsewhere(tmp_path, TRAIN)
    assert (outcome.code, outcome.err) == (0, "")
    golden = json.loads((DATA / "default_run.json").read_text(encoding="utf-8"))

    losses = read_losses(tmp_path / "out")
    assert len(losses) == 500
    assert losses == pytest.approx(golden["losses"], rel=0, abs=1e-9)
    samples = printed_samples(outcome.out)
    assert [text for text, _ in samples] == golden["samples"]

    documents = read_documents(str(ROOT / "input.txt"))
    shuffled = list(documents)
    random.Random(42).shuffle(shuffled)
    learnt = {name[:8] for name in shuffled[:500]}
    in_file = {name[:8] for name in documents}
    for text, mark in samples:
        known = "seen in training" if text in learnt else "new"
        if known == "new" and text in in_file:
            known = "in the file, not trained on"
        assert mark == (known + ", cut" if len(text) == 8 else known)

    first, *lines = outcome.out.splitlines()
    assert {"41,833", "27", "4,064", "3.296"} <= set(re.findall(r"[\d.,]*\d", first))
    steps = [re.match(r"step (\d+)/500, loss (\d\.\d{3})", line) for line in lines]
    steps = [(int(match[1]), match[2]) for match in steps if match]
    assert [step for step, _ in steps] == [1, *range(50, 501, 50)]
    assert steps[0][1] == f"{losses[0]:.3f}"
    assert steps[-1][1] == f"{sum(losses[-50:]) / 50:.3f}"
    assert "\r" not in outcome.out

    run, settings = read_checkpoint(str(tmp_path / "out" / "checkpoint.json"))
    assert run.losses == losses
    assert settings.data_sha256 == golden["data_sha256"]


@pytest.mark.slow
def test_train_sample_and_resume_work_from_their_defaults_without_a_warning(tmp_path):
    write_names(tmp_path, file="input.txt")  # which is preferred to the shipped one
    strict = {"python_flags": ("-W", "error", "-X", "dev")}
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

    written = call_elsewhere(tmp_path, SAMPLE, "--n", 3, **strict)
    assert (written.code, written.err) == (0, "")
    assert len(written.out.splitlines()) == 3

    resumed = call_elsewhere(tmp_path, TRAIN, "--resume", "--steps", 6, **strict)
    assert (resumed.code, resumed.err) == (0, "")
    assert len(read_losses(tmp_path / "out")) == 6


@pytest.mark.slow
def test_a_mistake_is_exit_code_2_and_one_line_on_stderr(tmp_path, names):
    for module, *flags in (
        (TRAIN, "--data", "nowhere.txt"),
        (TRAIN, "--frobnicate"),
        (SAMPLE, "--checkpoint", names),
        ("microgpt", "--frobnicate"),
    ):
        outcome = call_elsewhere(tmp_path, module, *flags)
        assert_one_line_error(outcome)
        assert outcome.out == ""


@pytest.mark.slow
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
                "val-documents": 500,
                "running-text": "a document a line",
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
    assert set(told) == {*defaults, "help", "version"}
    assert os.listdir(tmp_path) == []


def test_the_package_itself_names_the_commands(tmp_path):
    outcome = call_elsewhere(tmp_path, "microgpt")
    assert (outcome.code, outcome.err) == (0, "")
    for module in (TRAIN, SAMPLE):
        assert f"python -m {module} " in outcome.out


@pytest.mark.parametrize("module", ["microgpt", TRAIN, SAMPLE])
def test_each_command_tells_the_version(tmp_path, module):
    outcome = call_elsewhere(tmp_path, module, "--version")
    assert outcome == (0, f"microgpt {__version__}\n", "")


@pytest.mark.parametrize("name", ["train", "sample"])
@pytest.mark.parametrize("flags", [(), ("-I",), ("-P",)])
def test_a_command_can_be_started_as_a_file_as_an_editor_does(tmp_path, name, flags):
    if flags == ("-P",) and sys.version_info < (3, 11):
        pytest.skip("this Python does not know -P")
    path = ROOT / "microgpt" / f"{name}.py"
    plain = {k: v for k, v in environment().items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, *flags, str(path), "--version"],
        cwd=tmp_path,
        env=plain,
        capture_output=True,
        encoding="utf-8",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("microgpt ")


# Signals

# To the first press, at once, since a step may take long.
ANSWER = (
    "\nfinishing this step, to save the run after it (Ctrl-C again gives the step up)\n"
)


@posix_only
@pytest.mark.slow
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
    assert (process.returncode, err) == (130, ANSWER)
    stopped = load_checkpoint(str(tmp_path / "out" / "checkpoint.json"))
    assert str(stopped.step) in out
    assert "--resume" in out
    assert read_losses(tmp_path / "out") == stopped.losses

    n = stopped.step + 5
    resumed = call_elsewhere(tmp_path, TRAIN, "--resume", "--steps", n)
    assert (resumed.code, resumed.err) == (0, "")
    assert read_losses(tmp_path / "out")[: stopped.step] == stopped.losses
    assert len(read_losses(tmp_path / "out")) == n


@posix_only
@pytest.mark.slow
def test_ctrl_c_saves_though_the_output_cannot_be_written_any_more(tmp_path, names):
    # As under `| tee log`, where Ctrl-C reaches tee as well, and it ends first.
    reading, writing = os.pipe()
    # Its lines of progress come after 50 * 4064 // 352 = 577 steps.
    flags = ("--data", names, "--steps", 10**6, *TINY)
    with subprocess.Popen(
        command_line(TRAIN, *flags),
        cwd=tmp_path,
        env=environment(),
        stdout=writing,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        os.close(writing)
        seen = b""
        while b"1/1000000" not in seen:
            seen += os.read(reading, 1000)
        os.close(reading)
        process.send_signal(signal.SIGINT)
        err = process.stderr.read()
    assert (process.returncode, err) == (130, ANSWER)
    assert load_checkpoint(str(tmp_path / "out" / "checkpoint.json")).step >= 1


@posix_only
@pytest.mark.slow
@pytest.mark.skipif(PYPY, reason="PyPy takes Ctrl-C even where it was to be ignored")
def test_a_job_that_ignores_ctrl_c_goes_on(tmp_path, names):
    flags = [str(f) for f in ("--data", names, "--steps", 300, *TINY)]
    started = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    started += "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    with subprocess.Popen(
        [sys.executable, "-c", started, "-m", TRAIN, *flags],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        while "1/300" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert load_checkpoint(str(tmp_path / "out" / "checkpoint.json")).step == 300


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no kill -9")
@pytest.mark.slow
def test_killed_while_it_trains_a_process_leaves_a_checkpoint_to_go_on_from(
    tmp_path, names
):
    # As main() does, but saving after every step.
    eager = "from microgpt.tools import train_command as t; t.SAVE_SECONDS = -1.0; "
    eager += "t.main()"
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
    whole, _, _ = small_run(take=saved.step, steps=5000)
    assert repr(contents(saved)) == repr(contents(whole))


# Pipes and streams


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


@posix_only
@pytest.mark.slow
def test_output_that_is_closed_early_ends_the_command_without_a_word_and_is_saved(
    tmp_path, names, checkpoint
):
    flags = ("--data", names, "--steps", 10**6, *TINY)
    line, code, err = first_line_then_close(tmp_path, TRAIN, *flags)
    assert "20" in line
    assert (code, err) == (1, "")
    # The line of progress after 577 steps found nobody, or already the first one.
    assert load_checkpoint(str(tmp_path / "out" / "checkpoint.json")).step in (1, 577)

    flags = ("--checkpoint", checkpoint, "--n", 10**6)
    line, code, err = first_line_then_close(tmp_path, SAMPLE, *flags)
    assert line.endswith("\n")
    assert (code, err) == (1, "")


@posix_only
@pytest.mark.parametrize("module", ["microgpt", TRAIN, SAMPLE])
@pytest.mark.parametrize("unbuffered", [False, True])
def test_help_for_a_reader_who_has_gone_away_is_no_error(tmp_path, module, unbuffered):
    reading, writing = os.pipe()
    os.close(reading)
    more = {"PYTHONUNBUFFERED": "1"} if unbuffered else {}
    try:
        done = subprocess.run(
            command_line(module, "--help"),
            cwd=tmp_path,
            env=environment(**more),
            stdout=writing,
            stderr=subprocess.PIPE,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def in_a_shell(folder, words, redirect):
    """Run a command with a redirection; return (exit code, stderr)."""
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {redirect}', "sh", *words],
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    return done.returncode, done.stderr


@posix_only
@pytest.mark.slow
def test_closed_and_full_streams_give_no_traceback(tmp_path, names):
    train = command_line(TRAIN, "--data", names, "--steps", 3, *TINY)
    bad = command_line(TRAIN, "--seed", "x")
    # Nobody wants to hear anything: it trains, and saves.
    assert in_a_shell(tmp_path, train, ">&-") == (0, "")
    assert load_checkpoint(str(tmp_path / "out" / "checkpoint.json")).step == 3
    assert in_a_shell(tmp_path, train, ">&- 2>&- <&-") == (0, "")
    code, err = in_a_shell(tmp_path, bad, ">&-")
    assert (code, err.count("\n")) == (2, 1)
    assert in_a_shell(tmp_path, bad, "2>&-") == (2, "")
    if os.path.exists("/dev/full"):
        line = "error: cannot write the output: No space left on device\n"
        assert in_a_shell(tmp_path, train, ">/dev/full") == (2, line)
        assert in_a_shell(tmp_path, bad, "2>/dev/full") == (2, "")
        help_ = command_line(SAMPLE, "--help")
        assert in_a_shell(tmp_path, help_, ">/dev/full") == (2, line)


@posix_only
@pytest.mark.slow
def test_data_can_come_through_a_pipe(tmp_path):
    flags = ("--data", "/dev/stdin", "--steps", 2, "--out", "piped", *TINY)
    done = subprocess.run(
        command_line(TRAIN, *flags),
        cwd=tmp_path,
        env=environment(),
        input="\n".join(NAMES),
        capture_output=True,
        encoding="utf-8",
    )
    assert (done.returncode, done.stderr) == (0, "")
    run, _, _ = small_run(take=2, steps=2)
    assert read_losses(tmp_path / "piped") == run.losses


@pytest.mark.slow
def test_names_with_accents_are_printed_where_only_ascii_can_be_shown(tmp_path):
    names = write_names(tmp_path, ["zoë", "łucja", "🙂🙂", "éé"], "accents.txt")
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    flags = ("--data", names, "--steps", 3, *TINY)
    outcome = call_elsewhere(tmp_path, TRAIN, *flags, **ascii_only)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.isascii()
    prompted = call_elsewhere(tmp_path, SAMPLE, "--prompt", "zoë", **ascii_only)
    assert prompted.out.startswith("zo\\xeb")
    shown = call_elsewhere(tmp_path, SAMPLE, "--show-probabilities", **ascii_only)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.isascii()
    unknown = call_elsewhere(tmp_path, SAMPLE, "--prompt", "ß", **ascii_only)
    assert_one_line_error(unknown, "\\xdf")


# A terminal


def on_a_terminal(folder, words, columns):
    """Run a command on a terminal; return (exit code, all that was written to it)."""
    import fcntl
    import struct
    import termios

    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    received = b""
    try:
        with subprocess.Popen(
            words, cwd=folder, env=environment(), stdout=slave, stderr=slave
        ) as process:
            os.close(slave)
            while True:
                try:
                    piece = os.read(master, 65536)
                except OSError:  # how Linux says that the other end is closed
                    break
                if not piece:
                    break
                received += piece
    finally:
        os.close(master)
    return process.returncode, received.decode().replace("\r\n", "\n")


@posix_only
@pytest.mark.slow
def test_a_terminal_shows_one_line_that_grows_a_bar(tmp_path, names):
    flags = ("--data", names, "--steps", 60, "--batch-size", 2, "--samples", 3)
    code, text = on_a_terminal(tmp_path, command_line(TRAIN, *flags), columns=100)
    assert code == 0
    lines = text.split("\n")
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


@posix_only
@pytest.mark.slow
@pytest.mark.parametrize("columns", [60, 40, 20])
def test_on_a_narrow_terminal_the_progress_stays_in_its_line(tmp_path, names, columns):
    flags = ("--data", names, "--steps", 60, "--batch-size", 2, "--samples", 0)
    code, text = on_a_terminal(tmp_path, command_line(TRAIN, *flags), columns)
    assert code == 0
    pictures = [part for part in text.split("\r") if "/60" in part]
    assert len(pictures) >= 2
    for picture in pictures[1:]:  # before the first stand the lines above it
        assert len(picture.split("\n")[0]) < columns


@posix_only
@pytest.mark.slow
def test_under_pdb_no_prompt_is_glued_to_the_progress(tmp_path, names):
    flags = ["--data", names, "--steps", "60", "--batch-size", "2", "--samples", "0"]
    script = tmp_path / "start.py"
    script.write_text(
        f"from microgpt.tools.train_command import main\nmain({flags!r})\n",
        encoding="utf-8",
    )
    words = [sys.executable, "-m", "pdb", "-c", "continue", "-c", "quit", str(script)]
    _, text = on_a_terminal(tmp_path, words, columns=80)
    # After 50 * 4064 // (2 * 3776) = 26 steps each, whole lines as in a file.
    assert "\nstep 26/60, loss" in text
    assert "\nstep 52/60, loss" in text
    assert "\r" not in text
