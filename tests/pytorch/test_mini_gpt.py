"""Training the larger model: it learns, shows, saves, stops, and goes on exactly."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

torch = pytest.importorskip("torch")

import mini_gpt  # noqa: E402
from mini_data import Rows, read_corpus  # noqa: E402
from mini_gpt import generate, held_out_loss, main, train  # noqa: E402
from mini_model import MiniConfig  # noqa: E402
from mini_run import MiniTraining, load_run, new_run  # noqa: E402
from processes import Place, Signals  # noqa: E402

from microgpt.evaluation import bigram_loss  # noqa: E402
from microgpt.training import start  # noqa: E402
from tests.helpers import (  # noqa: E402
    NAMES,
    ROOT,
    assert_one_line_error,
    call,
    write_names,
)
from tests.pytorch.pytorch_support import (  # noqa: E402
    MINI_GPT,
    SMALL,
    call_mini_gpt,
    surroundings,
    words,
)

CPU = torch.device("cpu")


def loaded(folder):
    return load_run(str(folder / "checkpoint.pt"), CPU)


def weights_of(run):
    return {name: tensor.tolist() for name, tensor in run.model.state_dict().items()}


def assert_same_end(run, other):
    """Assert that two runs have the same losses and parameters, to the bit."""
    assert run.losses == other.losses
    assert run.held_out == other.held_out
    assert weights_of(run) == weights_of(other)


# Learning


@pytest.mark.slow
def test_a_small_model_learns_names_better_than_a_table_of_letter_pairs():
    path = str(ROOT / "input.txt")
    corpus = read_corpus(path, False, block_size=8, val_fraction=0.1, seed=42)
    config = MiniConfig(27, block_size=8, n_layer=2, n_head=4, n_embd=48, dropout=0.0)
    training = MiniTraining(steps=250, whole_batch=96, learning_rate=1e-2, warmup=20)
    run = new_run(config, training, corpus.tokenizer, corpus.sha256, CPU)
    first = held_out_loss(run, corpus.held_out, CPU)
    assert abs(first - 3.296) < 0.05  # log 27: it knows nothing
    for _ in train(run, corpus.train, Place(CPU)):
        pass
    loss = held_out_loss(run, corpus.held_out, CPU)
    # The table has counted all names that are trained on, of which 24,000 were shown.
    from microgpt.data import read_documents

    names = read_documents(path)
    scalar, train_names, val_names = start(names, block_size=8)
    table = bigram_loss(scalar, train_names, val_names)
    assert 2.5 < table < 2.6
    assert loss < table - 0.05


def test_the_held_out_loss_is_the_mean_over_characters_not_over_names(tmp_path):
    corpus = read_corpus(write_names(tmp_path), False, 5, 0.2, seed=42)
    config = MiniConfig(corpus.tokenizer.vocab_size, 5, 1, 2, 8)
    run = new_run(config, MiniTraining(), corpus.tokenizer, corpus.sha256, CPU)
    with torch.no_grad():
        for parameter in run.model.parameters():
            parameter.normal_(std=0.5)
    documents = [[0, 1, 0], [0, 2, 3, 4, 0], [0, 5, 0]]
    loss = held_out_loss(run, Rows(documents, block_size=5, seed=1), CPU)
    nats = []
    for document in documents:
        logits = run.model.eval()(torch.tensor([document[:-1]]))[0]
        logprobs = logits.log_softmax(dim=1)
        nats += [-logprobs[i, t].item() for i, t in enumerate(document[1:])]
    assert len(nats) == 8
    assert loss == pytest.approx(sum(nats) / 8, abs=1e-5)


def test_samples_end_at_bos_or_where_the_model_can_see_no_further(tmp_path):
    corpus = read_corpus(write_names(tmp_path), False, 5, 0.2, seed=42)
    config = MiniConfig(corpus.tokenizer.vocab_size, 5, 1, 2, 8)
    run = new_run(config, MiniTraining(), corpus.tokenizer, corpus.sha256, CPU)
    rng = random.Random(1)
    texts = [generate(run.model, run.tokenizer, rng) for _ in range(50)]
    assert {len(text) for text in texts} >= {0, 5}
    assert max([len(text) for text in texts]) == 5
    text = generate(run.model, run.tokenizer, rng, prompt="an")
    assert text.startswith("an")
    # Running text goes on beyond what the model sees; only BOS, rare, would end it.
    with torch.no_grad():
        run.model.wte.weight[0] = 0
    lengths = [
        len(generate(run.model, run.tokenizer, rng, "a", length=30)) for _ in range(20)
    ]
    assert max(lengths) > 5


# The command


def test_a_run_shows_its_loss_and_samples_and_saves_itself(tmp_path, capsys):
    names = write_names(tmp_path)
    out = tmp_path / "out"
    outcome = call(capsys, main, "--data", names, "--out", out, "--steps", 6,
                   "--show-every", 3, *SMALL)  # fmt: skip
    assert (outcome.code, outcome.err) == (0, "")
    assert "16 documents to train on, 4 held out" in outcome.out
    assert "parameters on cpu" in outcome.out
    shown = re.findall(r"after step (\d): held-out loss (\d\.\d{3})", outcome.out)
    run = loaded(out)
    assert [(step, f"{loss:.3f}") for step, loss in run.held_out] == [
        (int(step), loss) for step, loss in shown
    ]
    assert [step for step, _ in shown] == ["3", "6"]
    assert f"step 6/6, loss {sum(run.losses) / 6:.3f}" in outcome.out
    assert os.listdir(out) == ["checkpoint.pt"]
    again = call(capsys, main, "--data", names, "--out", tmp_path / "2", "--steps", 6,
                 "--show-every", 3, *SMALL)  # fmt: skip
    assert_same_end(loaded(tmp_path / "2"), run)
    assert again.out.replace(str(tmp_path / "2"), str(out)) == outcome.out
    other = call(capsys, main, "--data", names, "--out", tmp_path / "3", "--steps", 6,
                 *SMALL, "--seed", 7)  # fmt: skip
    assert other.code == 0
    assert loaded(tmp_path / "3").losses != run.losses


def test_a_running_text_is_learnt_in_windows(tmp_path, capsys):
    path = tmp_path / "text.txt"
    path.write_text("the cat sat on the mat.\n" * 40, encoding="utf-8")
    out = tmp_path / "out"
    outcome = call(capsys, main, "--data", path, "--running-text", "--out", out,
                   "--steps", 60, "--show-every", 60, *SMALL)  # fmt: skip
    assert (outcome.code, outcome.err) == (0, "")
    run = loaded(out)
    assert run.training.running_text
    assert "\n" in run.tokenizer.chars
    # A few letters of context decide what comes next, all but always.
    assert run.held_out[-1][1] < 1.5 < run.losses[0]


def interrupted(monkeypatch, at, number):
    """Let a signal arrive while the command takes step `at`."""
    steps = mini_gpt.take_step

    def step_with_signal(run, *args):
        if run.step + 1 == at:
            os.kill(os.getpid(), number)
        return steps(run, *args)

    monkeypatch.setattr(mini_gpt, "take_step", step_with_signal)


@pytest.mark.skipif(os.name == "nt", reason="Windows has other signals")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_a_run_that_is_stopped_is_saved_and_goes_on_as_if_it_never_had_been(
    tmp_path, capsys, monkeypatch, number, code
):
    names = write_names(tmp_path)
    flags = ("--data", names, "--steps", 6, "--show-every", 2, *SMALL)
    assert call(capsys, main, "--out", tmp_path / "whole", *flags).code == 0
    with monkeypatch.context() as patched:
        interrupted(patched, 3, number)
        stopped = call(capsys, main, "--out", tmp_path / "out", *flags)
    assert (stopped.code, stopped.err) == (code, "")
    assert "stopped after step 3 of 6" in stopped.out
    assert loaded(tmp_path / "out").step == 3
    resumed = call(capsys, main, "--resume", "--out", tmp_path / "out",
                   "--show-every", 2)  # fmt: skip
    assert resumed.code == 0
    assert "resuming after step 3/6" in resumed.out
    assert_same_end(loaded(tmp_path / "out"), loaded(tmp_path / "whole"))


@pytest.mark.skipif(os.name == "nt", reason="Windows has other signals")
def test_a_second_ctrl_c_gives_up_the_step_and_saves_the_one_before(
    tmp_path, capsys, monkeypatch
):
    names = write_names(tmp_path)
    flags = ("--data", names, "--steps", 6, *SMALL)
    assert call(capsys, main, "--out", tmp_path / "whole", *flags).code == 0
    with monkeypatch.context() as patched:
        interrupted(patched, 4, signal.SIGINT)
        interrupted(patched, 4, signal.SIGINT)
        stopped = call(capsys, main, "--out", tmp_path / "out", *flags)
    assert (stopped.code, stopped.err) == (130, "")
    assert loaded(tmp_path / "out").step == 3
    assert call(capsys, main, "--resume", "--out", tmp_path / "out").code == 0
    whole = loaded(tmp_path / "whole")
    assert loaded(tmp_path / "out").losses == whole.losses
    assert weights_of(loaded(tmp_path / "out")) == weights_of(whole)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has other signals")
def test_a_kill_without_warning_loses_at_most_what_came_after_the_last_save(tmp_path):
    names = write_names(tmp_path)
    # A copy that saves after every step, in place of every minute.
    folder = tmp_path / "pytorch"
    shutil.copytree(ROOT / "examples" / "pytorch", folder)
    source = (folder / "mini_gpt.py").read_text(encoding="utf-8")
    assert "SAVE_SECONDS = 60.0" in source
    changed = source.replace("SAVE_SECONDS = 60.0", "SAVE_SECONDS = -1.0")
    (folder / "mini_gpt.py").write_text(changed, encoding="utf-8")
    env = surroundings()
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "examples" / "gpt2")])
    out = tmp_path / "out"
    command = words(sys.executable, folder / "mini_gpt.py", "--data", names, "--out",
                    out, "--steps", 10**6, *SMALL)  # fmt: skip
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=env, cwd=tmp_path)
    while not (out / "checkpoint.pt").exists():
        assert child.poll() is None
        time.sleep(0.05)
    time.sleep(0.3)
    child.kill()
    child.wait()
    run = loaded(out)  # whole, whenever the kill came
    assert run.step >= 1
    assert set(os.listdir(out)) - {"checkpoint.pt"} == {
        name for name in os.listdir(out) if name.endswith(".tmp")
    }
    resumed = call_mini_gpt(tmp_path, "--resume", "--out", out, "--steps", run.step + 2)
    assert resumed.code == 0
    assert loaded(out).step == run.step + 2


def test_a_closed_pipe_ends_the_run_and_it_is_saved(tmp_path):
    names = write_names(tmp_path)
    out = tmp_path / "out"
    command = words(sys.executable, MINI_GPT, "--data", names, "--out", out,
                    "--steps", 400, "--show-every", 1, *SMALL)  # fmt: skip
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=surroundings(),
        cwd=tmp_path, encoding="utf-8",
    )  # fmt: skip
    child.stdout.readline()
    child.stdout.close()
    assert child.wait(timeout=300) == 1
    assert child.stderr.read() == ""
    assert 1 <= loaded(out).step < 400


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such terminals")
def test_a_terminal_of_80_columns_shows_loss_speed_and_time_left(tmp_path):
    import fcntl
    import pty
    import struct
    import termios

    names = write_names(tmp_path)
    flags = ("--data", names, "--out", tmp_path / "out", "--steps", 20, *SMALL)
    command = words(sys.executable, MINI_GPT, *flags, "--samples", 0)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    child = subprocess.Popen(
        command, stdout=theirs, stdin=theirs, env=surroundings(), cwd=tmp_path
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # how Linux says that the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    assert child.wait(timeout=60) == 0
    lines = shown.decode("utf-8").replace("\n", "\r").split("\r")
    progress = [line for line in lines if "step" in line and line.startswith("[")]
    form = r"\[[#-]{20}\] step \d+/20, loss \d\.\d{3}, [\d,]+ tokens/s, \d+ s left *"
    assert progress
    for line in progress:
        assert re.fullmatch(form, line), line
        assert len(line) < 80


def test_bad_input_is_named_in_one_line(tmp_path, capsys):
    names = write_names(tmp_path)
    out = tmp_path / "out"
    flags = ("--data", names, "--out", out, *SMALL)
    assert call(capsys, main, "--steps", 2, *flags).code == 0
    before = (out / "checkpoint.pt").read_bytes()
    few = write_names(tmp_path, ["ada"], "few.txt")
    other = write_names(tmp_path, [*NAMES, "zac"], "other.txt")
    rows = [
        (("--steps", 2, *flags), "is there already"),
        (("--data", tmp_path / "nowhere.txt"), "cannot read"),
        (("--data", few), "has 1 documents"),
        (("--data", few, "--running-text"), "a window and"),
        (("--data", ""), "--data is empty: name a file"),
        (("--out", ""), "--out is empty: name a folder"),
        (("--n-embd", 9), "--n-embd 9 does not divide into --n-head 8 equal heads"),
        (("--learning-rate", -1), "--learning-rate is -1.0: make it a number, above 0"),
        (("--learning-rate", 0), "--learning-rate is 0: make it above 0"),
        (("--val-fraction", 1), "--val-fraction is 1.0: make it more than 0"),
        (("--temperature", 0), "--temperature is 0.0: make it a finite number above 0"),
        (("--steps", 0), "--steps is 0"),
        (("--batch-size", 0), "--batch-size is 0"),
        (("--steps", "x"), "invalid int value"),
        (("--dropout", 1), "--dropout is 1.0"),
        (("--precision", "int8"), "--precision is 'int8'"),
        (("--show-every", 0), "--show-every is 0"),
        (("--colour", "red"), "unrecognized arguments"),
        (("--resume", "--out", tmp_path), "cannot read"),
        (
            ("--resume", "--out", out, "--n-embd", 32),
            "--n-embd 16, which cannot change",
        ),
        (("--resume", "--out", out, "--batch-size", 3), "with 4 examples in a step"),
        (("--resume", "--out", out, "--untied"), "without --untied, which cannot"),
        (("--resume", "--out", out, "--steps", 1), "at step 2 already"),
        (("--resume", "--out", out, "--data", other), "is not, or no longer, what"),
        (("--out", names), "': File exists\n"),
    ]
    if not torch.cuda.is_available():
        rows.append((("--device", "cuda"), "finds no CUDA device"))
    for argv, text in rows:
        where = () if "--out" in argv else ("--out", tmp_path / "new")
        assert_one_line_error(call(capsys, main, *argv, *where), text)
    assert (out / "checkpoint.pt").read_bytes() == before


def test_a_run_can_be_made_longer(tmp_path, capsys):
    names = write_names(tmp_path)
    out = tmp_path / "out"
    flags = ("--data", names, "--out", out, *SMALL)
    assert call(capsys, main, "--steps", 2, *flags).code == 0
    assert call(capsys, main, "--resume", "--out", out, "--steps", 5).code == 0
    assert loaded(out).step == 5


def test_numbers_that_grow_beyond_all_bounds_stop_the_run_in_one_line(tmp_path, capsys):
    outcome = call(capsys, main, "--data", write_names(tmp_path), "--out",
                   tmp_path / "out", "--steps", 50, *SMALL, "--learning-rate", 1e30,
                   "--grad-clip", 0, "--warmup", 0)  # fmt: skip
    assert_one_line_error(outcome, "the loss of step", "is")


def test_help_fits_on_a_screen_and_names_every_flag(capsys):
    outcome = call(capsys, main, "--help")
    assert outcome.code == 0
    for flag in ("--data", "--running-text", "--resume", "--compile", "--device"):
        assert flag in outcome.out
    assert "(default: 6)" in outcome.out
    assert "SUPPRESS" not in outcome.out


def test_signals_leave_the_handlers_as_they_were():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with Signals() as signals:
        assert not signals.asked_to_stop
        signal.raise_signal(signal.SIGTERM)
        assert signals.asked_to_stop
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


@pytest.mark.parametrize("precision", ["bfloat16", "float64"])
def test_other_precisions_come_to_nearly_the_same_losses(tmp_path, capsys, precision):
    names = write_names(tmp_path)
    flags = ("--data", names, "--steps", 5, *SMALL, "--dropout", 0)
    losses = {}
    for name in ("float32", precision):
        out = tmp_path / name
        assert call(capsys, main, "--out", out, "--precision", name, *flags).code == 0
        losses[name] = loaded(out).losses
    tolerance = 1e-4 if precision == "float64" else 0.05
    assert losses[precision] == pytest.approx(losses["float32"], abs=tolerance)
    assert losses[precision] != losses["float32"]


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("g++") is None and shutil.which("clang++") is None,
    reason="torch.compile needs a C++ compiler on a CPU",
)
def test_a_compiled_model_comes_to_the_same_losses(tmp_path):
    names = write_names(tmp_path)
    flags = ("--data", names, "--steps", 4, *SMALL, "--dropout", 0, "--samples", 0)
    for out, more in ("eager", ()), ("compiled", ("--compile",)):
        outcome = call_mini_gpt(tmp_path, "--out", tmp_path / out, *flags, *more)
        assert (outcome.code, outcome.err) == (0, "")
    eager, compiled = loaded(tmp_path / "eager"), loaded(tmp_path / "compiled")
    assert compiled.losses == pytest.approx(eager.losses, abs=1e-5)
