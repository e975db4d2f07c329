"""`python -m microgpt.train`: what it prints and saves, and how a run goes on."""

from __future__ import annotations

import dataclasses
import math
import os
import random
import shlex
import signal
import threading
import xml.etree.ElementTree
from pathlib import Path

import pytest

from microgpt import training
from microgpt.evaluation import bigram_loss, held_out_loss
from microgpt.model import GPTConfig, document_loss, flatten
from microgpt.sampling import generate
from microgpt.tools import report, train_command
from microgpt.tools.checkpoint import (
    load_checkpoint,
    read_checkpoint,
    save_checkpoint,
)
from microgpt.tools.train_command import main, memory_needed, n_parameters
from microgpt.training import TrainConfig
from tests.helpers import (
    MARKS,
    NAMES,
    TINY,
    assert_one_line_error,
    call,
    printed_samples,
    read_losses,
    small_run,
    take_steps,
    write_names,
)


def parameters_of(run):
    return [parameter.data for parameter in flatten(run.params)]


class Place:
    """A folder with a file of names, and the command that trains on it."""

    def __init__(self, folder, capsys):
        self.folder, self.capsys = folder, capsys
        self.data = write_names(folder)
        self.out = folder / "run"
        self.checkpoint = self.out / "checkpoint.json"

    def train(self, *flags, data=None, out=None, sizes=TINY):
        data = ("--data", data or self.data)
        out = ("--out", out or self.out)
        return call(self.capsys, main, *data, *out, *sizes, *flags)

    def resume(self, *flags):
        return call(self.capsys, main, "--resume", "--out", self.out, *flags)

    def load(self):
        return load_checkpoint(str(self.checkpoint))

    def files(self):
        """Return what is in each file below the folder."""
        paths = [path for path in self.out.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.out)): path.read_bytes() for path in paths}


@pytest.fixture
def place(tmp_path, capsys):
    return Place(tmp_path, capsys)


@pytest.fixture
def asked(monkeypatch):
    """The documents of which training asked for the loss, in order."""
    documents = []

    def watched(params, config, tokens):
        documents.append(tuple(tokens))
        return document_loss(params, config, tokens)

    monkeypatch.setattr(training, "document_loss", watched)
    return documents


def interrupt_at(monkeypatch, n, times=1):
    """Make Ctrl-C come while the loss of the nth document is computed."""
    n_asked = 0

    def interrupted(params, config, tokens):
        nonlocal n_asked
        n_asked += 1
        if n_asked == n:
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)
        return document_loss(params, config, tokens)

    monkeypatch.setattr(training, "document_loss", interrupted)


# What is printed and saved


def test_the_first_lines_tell_the_size_of_everything_and_the_first_loss(place):
    outcome = place.train("--steps", 3)
    assert (outcome.code, outcome.err) == (0, "")
    first, second = outcome.out.splitlines()[:2]
    # wte and lm_head 18 * 4, wpe 4 * 4, attention 4 * 4 * 4, MLP 2 * 16 * 4.
    n_parameters = 2 * 18 * 4 + 4 * 4 + 4 * 4 * 4 + 2 * 16 * 4
    guess = f"{math.log(18):.3f}"
    assert first == (
        f"20 documents, vocabulary 18, {n_parameters} parameters; "
        f"a blind guess has loss log(18) = {guess}"
    )
    loss = read_losses(place.out)[0]
    assert second == f"step 1/3, loss {loss:.3f} (blind guess {guess})"


@pytest.mark.parametrize(
    ("names", "line"),
    [
        # Of a text with as many letters as the block, the end is not seen.
        (
            ["abcd", "abc"],
            "1 is longer than --block-size 4 sees, and cut there: 100 % of the text "
            "is used",
        ),
        # 4 + 4 + 2 of 6 + 12 + 2 letters.
        (
            ["abcdef", "abcdefabcdef", "ab"],
            "2 are longer than --block-size 4 sees, and cut there: 50 % of the text "
            "is used",
        ),
        (
            ["ab" * 500_000],
            "1 is longer than --block-size 4 sees, and cut there: 0.0004 % of the text "
            "is used",
        ),
    ],
)
def test_how_much_of_the_text_is_used_is_said(place, names, line):
    data = write_names(place.folder, names, "long.txt")
    outcome = place.train("--steps", 2, data=data)
    assert outcome.code == 0
    assert outcome.out.splitlines()[1] == line
    counted = "1 document, " if len(names) == 1 else f"{len(names)} documents, "
    assert outcome.out.startswith(counted)


def test_of_a_long_text_only_what_is_used_is_encoded(place, asked):
    data = write_names(place.folder, ["ab" * 500_000], "long.txt")
    assert place.train("--steps", 3, data=data).code == 0
    assert {len(tokens) for tokens in asked} == {4 + 2}
    # Which changes nothing in what is learnt.
    run, _, _ = small_run(["ab" * 100], take=3, steps=3)
    assert read_losses(place.out) == run.losses


@pytest.mark.slow
def test_a_pipe_gets_plain_lines_of_progress(place):
    outcome = place.train("--steps", 66, "--batch-size", 9)
    assert "\r" not in outcome.out
    assert "\033" not in outcome.out
    losses = read_losses(place.out)
    # A line after each 50 * 4064 // (9 * 352) = 64 steps, and one for the first.
    first, line = [line for line in outcome.out.splitlines() if "/66" in line]
    assert "1/66" in first
    assert f"{losses[0]:.3f}" in first
    assert line == f"step 64/66, loss {sum(losses[14:64]) / 50:.3f}"


@pytest.mark.slow
def test_the_same_seed_and_data_print_and_save_the_same_bytes(place):
    flags = ("--steps", 9, "--batch-size", 60)
    first, first_files = place.train(*flags, "--seed", 6), place.files()
    again, again_files = place.train(*flags, "--seed", 6), place.files()
    assert "9/9" in first.out  # so that there were lines of progress to compare
    assert first == again
    assert first_files == again_files
    other = place.train(*flags, "--seed", 7)
    assert other.out != first.out


def test_the_out_folder_gets_a_checkpoint_every_loss_and_a_picture(place):
    place.out /= "deeper"
    place.checkpoint = place.out / "checkpoint.json"
    place.train("--steps", 12)
    assert set(place.files()) == {"checkpoint.json", "losses.csv", "loss.svg"}
    run, _, _ = small_run(take=12, steps=12)
    assert place.load().losses == run.losses
    assert parameters_of(place.load()) == parameters_of(run)
    # Every digit is in the text: reading it gives the very same floats.
    assert read_losses(place.out) == run.losses
    text = (place.out / "losses.csv").read_text(encoding="utf-8")
    assert text.splitlines()[1] == f"1,{run.losses[0]!r}"

    picture = xml.etree.ElementTree.parse(place.out / "loss.svg").getroot()
    svg = "{http://www.w3.org/2000/svg}"
    assert picture.tag == f"{svg}svg"
    lines = picture.findall(f".//{svg}polyline")
    n_points = [len(line.get("points").split()) for line in lines]
    assert n_points.count(12) == 2  # each step, and the mean


def test_the_held_out_loss_stands_beside_that_of_the_table_of_letter_pairs(place):
    outcome = place.train("--steps", 6, "--val-fraction", 0.25)
    run, documents, held_out = small_run(take=6, steps=6, val_fraction=0.25)
    assert len(held_out) == 5
    loss = held_out_loss(run, held_out)
    table = bigram_loss(run, documents[:6], held_out)  # only what was trained on
    assert f"held-out loss: {loss:.3f} nats a character" in outcome.out
    assert f"among {math.exp(loss):.1f} letters" in outcome.out
    assert f"letter pairs: {table:.3f}, as if among {math.exp(table):.1f} " in (
        outcome.out
    )
    # None of these may be taken for them.
    others = [
        held_out_loss(run, documents),
        bigram_loss(run, documents, held_out),
        bigram_loss(run, NAMES, held_out),
    ]
    for other in others:
        assert f"{other:.3f}" not in (f"{loss:.3f}", f"{table:.3f}")


def test_no_more_documents_are_measured_than_were_asked_for(place):
    outcome = place.train("--steps", 6, "--val-fraction", 0.25, "--val-documents", 2)
    run, _, held_out = small_run(take=6, steps=6, val_fraction=0.25)
    assert f"{held_out_loss(run, held_out[:2]):.3f}" in outcome.out
    assert f"{held_out_loss(run, held_out):.3f}" not in outcome.out
    assert "both measured on 2 of 5 held out" in outcome.out


# Where samples come from

# Names of up to two letters. A sample of one letter is a whole text; one of two has
# filled the block, and whether it would have gone on nobody knows.
LETTERS = ["a", "b", "c", "d", "e", "ab", "cd", "abc"]
TWO_TOKENS = ("--block-size", 2, "--n-embd", 2, "--n-head", 1)


def test_every_sample_is_marked_by_where_it_can_have_come_from(place):
    data = write_names(place.folder, LETTERS, "letters.txt")
    flags = ("--steps", 3, "--val-fraction", 0.3, "--samples", 200, "--temperature", 5)
    outcome = place.train(*flags, data=data, sizes=TWO_TOKENS)
    run = place.load()
    _, documents, _ = small_run(LETTERS, val_fraction=0.3)
    learnt = [name[:2] for name in documents[:3]]
    in_file = [name[:2] for name in LETTERS]

    samples = printed_samples(outcome.out)
    how = (run.params, run.config, run.tokenizer, run.rng)
    texts = [generate(*how, temperature=5.0) for _ in range(200)]
    by_hand = []
    for text in texts:
        known = MARKS[0] if text in learnt else MARKS[1] if text in in_file else "new"
        by_hand.append((text, known + ", cut" if len(text) == 2 else known))
    assert samples == by_hand
    seen = {mark for _, mark in samples}
    assert seen == {
        "seen in training",
        "in the file, not trained on",
        "new",  # a sample without a letter
        "seen in training, cut",
        "in the file, not trained on, cut",
        "new, cut",
    } - ({"seen in training, cut"} if not any(len(n) == 2 for n in learnt) else set())


def test_the_beginning_of_a_long_name_is_not_called_new(place):
    # One name, learnt by heart, of which the model sees four letters.
    data = write_names(place.folder, ["alexandria"], "one.txt")
    flags = ("--steps", 100, "--learning-rate", 0.05, "--temperature", 0.2)
    outcome = place.train(*flags, data=data)
    assert printed_samples(outcome.out) == [("alex", "seen in training, cut")] * 20
    assert "(cut: the model sees --block-size 4 characters" in outcome.out


@pytest.mark.parametrize("n", [0, 1, 7])
def test_samples_are_as_many_as_asked_for(place, n):
    outcome = place.train("--steps", 2, "--samples", n)
    assert outcome.code == 0
    assert len(printed_samples(outcome.out)) == n


def test_wide_characters_are_padded_by_their_width_and_long_blocks_not_at_all(place):
    data = write_names(place.folder, ["李娜", "王伟", "张伟"], "wide.txt")
    flags = ("--steps", 60, "--learning-rate", 0.05, "--samples", 5)
    outcome = place.train(*flags, data=data)
    lines = [line for line in outcome.out.splitlines() if line.endswith(MARKS)]
    assert len(lines) == 5
    for line in lines:
        text = line.split()[0]
        # Four characters of two columns each, and two spaces around.
        assert line.index(text) + 2 * len(text) + (8 - 2 * len(text)) + 2 == (2 + 8 + 2)
        assert line.startswith(f"  {text}{' ' * (8 - 2 * len(text))}  ")
    outcome = place.train("--steps", 2, sizes=("--block-size", 500, "--n-embd", 4))
    assert max(len(line) for line in outcome.out.splitlines()[-20:]) < 600


def test_characters_that_act_on_a_terminal_are_shown_as_escapes(place):
    data = write_names(place.folder, ["a\x1b[2J", "b\u202ec"], "odd.txt")
    outcome = place.train("--steps", 9, "--temperature", 3, data=data)
    assert outcome.code == 0
    assert "\\x1b" in outcome.out
    assert "\x1b" not in outcome.out
    assert "\u202e" not in outcome.out


@pytest.mark.slow
def test_the_profile_tells_the_three_parts_of_a_step(place):
    plain = place.train("--steps", 3)
    profiled = place.train("--steps", 3, "--profile")
    more = [line for line in profiled.out.splitlines() if line not in plain.out]
    assert [line.split()[0].rstrip(":") for line in more] == [
        "forward",
        "backward",
        "adam",
    ]


def test_the_defaults_are_those_of_the_recorded_run(place):
    # Nothing but --data, --out and fewer steps.
    place.train("--steps", 2, sizes=())
    run, settings = read_checkpoint(str(place.checkpoint))
    assert run.config == GPTConfig(18, block_size=8, n_layer=1, n_head=4, n_embd=16)
    assert run.training == TrainConfig(
        steps=2,
        batch_size=1,
        learning_rate=0.01,
        weight_decay=0.0,
        grad_clip=0.0,
        val_fraction=0.1,
        seed=42,
    )
    assert settings.data == place.data
    assert (settings.val_documents, settings.samples) == (500, 20)
    assert settings.temperature == 0.6
    assert TrainConfig().steps == 500


# Sizes


@pytest.mark.parametrize("n_layer", [1, 2, 5])
def test_the_number_of_parameters_is_known_before_one_is_made(n_layer):
    sizes = {"block_size": 6, "n_layer": n_layer, "n_head": 2, "n_embd": 8}
    run, _, _ = small_run(sizes=sizes)
    assert n_parameters(run.config) == len(flatten(run.params))


def test_a_model_that_does_not_fit_is_refused_before_anything_is_allocated(place):
    for flags, n in [
        # Per layer 4 matrices of n_embd ** 2 and 2 of 4 * n_embd ** 2.
        (("--n-embd", 100_000), 12 * 10**10 + (2 * 18 + 8) * 10**5),
        (("--n-layer", 10**9), 10**9 * 12 * 16**2 + (2 * 18 + 8) * 16),
        (("--block-size", 10**12), 10**12 * 16 + 12 * 16**2 + 2 * 18 * 16),
    ]:
        outcome = place.train(*flags, sizes=())
        words = (f"{n:,} parameters", "of memory", "--n-embd", "--block-size")
        assert_one_line_error(outcome, *words)
        assert not place.out.exists()


@pytest.mark.slow
def test_the_memory_needed_is_about_what_training_takes():
    tracemalloc = pytest.importorskip("tracemalloc")  # PyPy has none
    for sizes in (
        {"block_size": 8, "n_embd": 16, "n_head": 4},
        {"block_size": 4, "n_embd": 32, "n_head": 4, "n_layer": 2},
        {"block_size": 32, "n_embd": 16, "n_head": 4},
    ):
        tracemalloc.start()
        run, documents, _ = small_run(["ab" * 50], sizes, steps=2)
        take_steps(run, documents, 2)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        told = memory_needed(run.config, run.config.block_size)
        assert 0.6 < told / peak < 1.6, sizes


@pytest.mark.slow
def test_memory_does_not_grow_with_the_steps(place, monkeypatch):
    tracemalloc = pytest.importorskip("tracemalloc")  # PyPy has none
    taken = []

    real_show = train_command.Progress.show

    def show(self, done, text=""):
        if done in (100, 600):
            taken.append(tracemalloc.get_traced_memory()[0])
        real_show(self, done, text)

    monkeypatch.setattr(train_command.Progress, "show", show)
    least = ("--block-size", 1, "--n-embd", 1, "--n-head", 1)
    tracemalloc.start()
    try:
        assert place.train("--steps", 600, "--samples", 0, sizes=least).code == 0
    finally:
        tracemalloc.stop()
    # A loss is a float of 24 bytes, and its place in a list of 8 or a little more.
    assert (taken[1] - taken[0]) / 500 < 50


# Stopping and going on


def test_ctrl_c_stops_after_the_step_saves_and_says_how_to_go_on(place, monkeypatch):
    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patched:
        interrupt_at(patched, n=5)
        outcome = place.train("--steps", 12)
    assert outcome.code == 130
    assert outcome.err == ""
    assert outcome.out.splitlines()[-2:] == [
        f"stopped after step 5 of 12, saved in {place.checkpoint}",
        f"to go on: python -m microgpt.train --resume --out {place.out}",
    ]
    assert signal.getsignal(signal.SIGINT) is before
    assert place.load().step == 5
    assert len(read_losses(place.out)) == 5
    assert printed_samples(outcome.out) == []

    run, _, _ = small_run(take=5, steps=12)
    assert parameters_of(place.load()) == parameters_of(run)


def test_a_second_ctrl_c_gives_up_the_step_and_saves_the_ones_before(
    place, monkeypatch
):
    with monkeypatch.context() as patched:
        interrupt_at(patched, n=5, times=2)
        outcome = place.train("--steps", 12)
    assert (outcome.code, outcome.err) == (130, "")
    run, _, _ = small_run(take=4, steps=12)
    assert parameters_of(place.load()) == parameters_of(run)
    assert place.resume().code == 0
    resumed = place.files()
    place.out = place.folder / "other"
    place.train("--steps", 12)
    assert place.files() == resumed


def test_ctrl_c_among_the_samples_says_that_the_run_is_saved(place, monkeypatch):
    def interrupted(*settings, **more):
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(report, "generate", interrupted)
        outcome = place.train("--steps", 6)
    line = f"\nstopped; the run itself is saved in {place.checkpoint}\n"
    assert (outcome.code, outcome.err) == (130, line)
    assert place.load().step == 6


def test_ctrl_c_in_the_last_step_is_served_and_resuming_tells_the_rest(
    place, monkeypatch
):
    with monkeypatch.context() as patched:
        interrupt_at(patched, n=6)
        outcome = place.train("--steps", 6)
    assert outcome.code == 130
    assert "stopped after step 6 of 6" in outcome.out
    assert printed_samples(outcome.out) == []
    assert place.load().step == 6
    resumed = place.resume()
    assert resumed.code == 0
    assert len(printed_samples(resumed.out)) == 20


def test_ctrl_c_before_the_first_step_is_done_costs_nothing(place, monkeypatch):
    place.train("--steps", 6)
    files = place.files()
    with monkeypatch.context() as patched:
        interrupt_at(patched, n=1, times=2)
        outcome = place.train("--steps", 9)
    assert outcome.code == 130
    assert "nothing to save" in outcome.out
    assert place.files() == files


def test_ctrl_c_means_afterwards_what_it_meant_before(place, monkeypatch):
    def mine(number, frame):
        pass

    def failing(params, config, tokens):
        raise OverflowError("too large")

    before = signal.signal(signal.SIGINT, mine)
    try:
        assert place.train("--steps", 2).code == 0
        assert signal.getsignal(signal.SIGINT) is mine
        monkeypatch.setattr(training, "document_loss", failing)
        assert place.train("--steps", 2).code == 2
        assert signal.getsignal(signal.SIGINT) is mine
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("stops", [[1], [11], [4, 3], [2, 2, 2, 2]])
def test_a_run_stopped_and_resumed_ends_as_one_never_stopped(place, monkeypatch, stops):
    flags = ("--steps", 12, "--batch-size", 2, "--weight-decay", 0.1)
    whole = place.train(*flags, "--grad-clip", 0.5)
    files = place.files()
    for path in place.out.iterdir():
        path.unlink()

    for number, stop in enumerate(stops):
        with monkeypatch.context() as patched:
            interrupt_at(patched, n=2 * stop)
            if number == 0:
                outcome = place.train(*flags, "--grad-clip", 0.5)
            else:
                outcome = place.resume()
        assert outcome.code == 130
        assert place.load().step == sum(stops[: number + 1])
    resumed = place.resume()
    assert resumed.code == 0
    assert place.files() == files
    assert printed_samples(resumed.out) == printed_samples(whole.out)
    # All after the training is the same text: the measures, and the samples.
    assert resumed.out.splitlines()[-20:] == whole.out.splitlines()[-20:]


# Running text: windows in place of documents.

STORY = "once upon a time\nthere was a cat.\n\nit sat on a mat.\n"  # 51 characters


def story(place, text=STORY):
    path = place.folder / "story.txt"
    path.write_bytes(text.encode("utf-8"))
    return path


def test_running_text_is_learnt_from_in_windows(place, asked):
    data = story(place)
    flags = ("--running-text", "--val-fraction", 0.25, "--steps", 30, "--samples", 4)
    outcome = place.train(*flags, data=data)
    assert outcome.code == 0, outcome.err
    # 51 characters in windows of 4: 12 whole ones and one of 3.
    assert outcome.out.startswith("13 windows of 4 characters, vocabulary ")
    assert "are longer than" not in outcome.out
    windows = [STORY[start : start + 4] for start in range(0, 51, 4)]
    _, train_windows, held_out = training.shuffle_and_split(
        windows, place.load().training, running_text=True
    )
    # The end of the text is held out in one piece.
    assert sorted(held_out) == sorted(windows[10:])
    assert [len(train_windows), len(held_out)] == [10, 3]
    tokenizer = place.load().tokenizer
    in_order = [tokenizer.decode(tokens) for tokens in asked]
    assert in_order == train_windows * 3  # each seen three times, line ends and all
    assert any("\n" in window for window in in_order)

    run = place.load()
    loss = held_out_loss(run, held_out)
    table = bigram_loss(run, train_windows, held_out, ends=False)
    assert f"held-out loss: {loss:.3f} nats" in outcome.out
    assert f"a table of letter pairs: {table:.3f}" in outcome.out
    assert "counted on the 10 windows trained on" in outcome.out


def test_a_sample_of_running_text_may_stand_anywhere_in_the_file(place):
    flags = ("--running-text", "--val-fraction", 0, "--steps", 300, "--samples", 200)
    outcome = place.train(*flags, "--temperature", 2, data=story(place, "abcdef" * 9))
    windows = ["abcd", "efab", "cdef", "ef"]
    samples = printed_samples(outcome.out)
    assert len(samples) == 200
    assert {mark for _, mark in samples} == {"seen in training", MARKS[2], "new"}
    for text, mark in samples:
        if text in windows:
            assert mark == "seen in training"
        elif text and text in "abcdef" * 9:
            assert mark == "somewhere in the file"
        else:
            assert mark == "new"
    assert "(a sample has at most --block-size 4 characters" in outcome.out


def test_running_text_that_was_stopped_goes_on_as_one_never_stopped(place, monkeypatch):
    flags = ("--running-text", "--steps", 12)
    whole = place.train(*flags, data=story(place))
    files = place.files()
    for path in place.out.iterdir():
        path.unlink()
    with monkeypatch.context() as patched:
        interrupt_at(patched, n=5)
        assert place.train(*flags, data=story(place)).code == 130
    resumed = place.resume()
    assert resumed.code == 0
    assert place.files() == files
    assert resumed.out.splitlines()[-20:] == whole.out.splitlines()[-20:]


def test_a_run_on_documents_cannot_go_on_with_running_text(place):
    place.train("--steps", 4)
    files = place.files()
    line = ("was trained on a document a line", "leave --running-text out")
    assert_one_line_error(place.resume("--running-text"), *line)
    assert place.files() == files


def test_a_run_on_running_text_knows_its_text_again(place):
    data = story(place)
    place.train("--running-text", "--steps", 4, data=data)
    assert place.resume("--running-text", "--steps", 6).code == 0
    story(place, STORY + "!")
    assert_one_line_error(
        place.resume("--steps", 8), "story.txt", "is not, or no longer"
    )


def test_windows_need_a_size(place):
    flags = ("--running-text", "--block-size", 0)
    outcome = place.train(*flags, data=story(place), sizes=())
    assert_one_line_error(outcome, "--block-size is 0")


@pytest.mark.skipif(os.name == "nt", reason="shlex splits as a shell on Unix does")
@pytest.mark.parametrize("folder", ["run", "out", "my run", "-x", "--out"])
def test_the_command_that_it_says_goes_on(place, monkeypatch, folder):
    monkeypatch.chdir(place.folder)
    flags = ("--data", place.data, f"--out={folder}", *TINY)
    with monkeypatch.context() as patched:
        interrupt_at(patched, n=3)
        outcome = call(place.capsys, main, *flags, "--steps", 6)
    said = "python -m microgpt.train"
    [line] = [line for line in outcome.out.splitlines() if said in line]
    flags = shlex.split(line[line.index(said) + len(said) :])
    assert call(place.capsys, main, *flags).code == 0
    assert load_checkpoint(os.path.join(folder, "checkpoint.json")).step == 6


def test_now_and_then_a_run_is_saved_while_it_goes_on(place, monkeypatch):
    # As for a process that is killed without warning in its fifth step.
    class Killed(Exception):
        pass

    n_asked = 0

    def killed(params, config, tokens):
        nonlocal n_asked
        n_asked += 1
        if n_asked == 5:
            raise Killed
        return document_loss(params, config, tokens)

    with monkeypatch.context() as patched:
        patched.setattr(train_command, "SAVE_SECONDS", -1.0)
        patched.setattr(training, "document_loss", killed)
        with pytest.raises(Killed):
            place.train("--steps", 12)
    assert place.load().step == 4
    assert place.resume().code == 0
    resumed = place.files()
    place.train("--steps", 12)
    assert place.files() == resumed


def test_a_file_that_cannot_be_written_for_a_while_is_only_a_warning(
    place, monkeypatch
):
    # A virus scanner holds the checkpoint at the second save, for example.
    replace = os.replace
    n_calls = 0

    def locked(source, target):
        nonlocal n_calls
        n_calls += 1
        if n_calls == 2:
            raise PermissionError(13, "in use")
        replace(source, target)

    monkeypatch.setattr(train_command, "SAVE_SECONDS", -1.0)
    monkeypatch.setattr(os, "replace", locked)
    outcome = place.train("--steps", 5)
    assert outcome.code == 0
    assert outcome.err == (
        f"warning: cannot write {place.checkpoint}: in use; "
        "training goes on, and this is tried again\n"
    )
    assert place.load().step == 5


def test_a_table_that_is_open_in_a_spreadsheet_costs_only_the_table(place, monkeypatch):
    replace = os.replace

    def locked(source, target):
        if target.endswith("losses.csv"):
            raise PermissionError(13, "in use")
        replace(source, target)

    monkeypatch.setattr(os, "replace", locked)
    outcome = place.train("--steps", 5)
    assert outcome.code == 0
    assert set(outcome.err.splitlines()) == {
        f"warning: cannot write {place.out / 'losses.csv'}: in use"
    }
    assert outcome.out.splitlines()[-1] == (
        f"saved in {place.out}: checkpoint.json, loss.svg (a picture)"
    )
    assert place.load().step == 5


def test_a_checkpoint_that_is_held_for_a_moment_at_the_end_is_written_a_bit_later(
    place, monkeypatch
):
    replace = os.replace
    n_calls = 0

    def locked(source, target):
        nonlocal n_calls
        n_calls += 1
        if n_calls <= 3:
            raise PermissionError(13, "in use")
        replace(source, target)

    monkeypatch.setattr(os, "replace", locked)
    outcome = place.train("--steps", 5)
    assert (outcome.code, outcome.err) == (0, "")
    assert place.load().step == 5


def test_the_command_runs_in_a_thread(place):
    # A notebook or a window may call it there, where Ctrl-C cannot be taken over.
    codes = []
    flags = ["--data", place.data, "--out", str(place.out), "--steps", "3"]
    thread = threading.Thread(
        target=lambda: codes.append(main([*flags, *map(str, TINY)]))
    )
    thread.start()
    thread.join()
    assert codes == [0]
    assert place.load().step == 3


def test_a_checkpoint_that_cannot_be_written_at_the_end_is_an_error(place, monkeypatch):
    place.train("--steps", 6)
    files = place.files()

    def fails(descriptor):
        raise OSError(28, "No space left")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fails)
        assert_one_line_error(place.train("--steps", 6), "No space left")
    assert place.files() == files


def test_a_disk_that_is_full_costs_no_earlier_run_and_its_new_place_is_said(
    place, monkeypatch
):
    place.train("--steps", 6)
    files = place.files()

    def fails(descriptor):
        raise OSError(28, "No space left")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fails)
        outcome = place.train("--steps", 7)
    previous = os.path.join(str(place.out), "previous-1")
    line = f"what was in {place.out} from an earlier run is now in {previous}"
    assert_one_line_error(outcome, f"{place.checkpoint}: No space left ({line})")
    moved = {os.path.join("previous-1", name): text for name, text in files.items()}
    assert place.files() == moved


@pytest.mark.parametrize("rate", [-1, 0])
def test_a_learning_rate_that_is_too_low_is_told_at_once_what_is_enough(place, rate):
    outcome = place.train("--learning-rate", rate)
    assert_one_line_error(outcome, "--learning-rate is ", "above 0")


def test_memory_that_runs_out_costs_no_more_than_the_step(place, monkeypatch):
    n_asked = 0

    def hungry(params, config, tokens):
        nonlocal n_asked
        n_asked += 1
        if n_asked == 5:
            raise MemoryError
        return document_loss(params, config, tokens)

    monkeypatch.setattr(training, "document_loss", hungry)
    assert_one_line_error(place.train("--steps", 12), "memory")
    assert place.load().step == 4


def test_a_finished_run_that_is_resumed_prints_the_same_samples(place):
    whole = place.train("--steps", 6)
    files = place.files()
    resumed = place.resume()
    assert resumed.code == 0
    assert printed_samples(resumed.out) == printed_samples(whole.out)
    assert len(printed_samples(resumed.out)) == 20
    assert place.files() == files


def test_more_steps_go_on_from_where_the_run_ended(place):
    place.train("--steps", 6)
    six = read_losses(place.out)
    assert place.resume("--steps", 10).code == 0
    ten = read_losses(place.out)
    assert len(ten) == 10
    assert ten[:6] == six

    # By hand: the rate now falls to 0 at step 10, and the next document is the 7th.
    run, documents, _ = small_run(take=6, steps=6)
    run.training = dataclasses.replace(run.training, steps=10)
    take_steps(run, documents, 4)
    assert ten == run.losses
    assert place.load().training.steps == 10


def test_fewer_steps_than_were_taken_are_refused_with_both_numbers(place):
    place.train("--steps", 6)
    files = place.files()
    assert_one_line_error(place.resume("--steps", 5), 5, 6, "--steps")
    assert place.files() == files


@pytest.mark.parametrize(
    ("flag", "number", "saved"),
    [
        ("--n-embd", 8, 4),
        ("--n-head", 4, 2),
        ("--n-layer", 2, 1),
        ("--block-size", 5, 4),
        ("--seed", 43, 42),
        ("--val-fraction", 0.2, 0.1),
        ("--batch-size", 3, 1),
    ],
)
def test_what_cannot_change_is_refused_by_name_and_what_does_not_is_not(
    place, flag, number, saved
):
    place.train("--steps", 4)
    files = place.files()
    assert_one_line_error(place.resume(flag, number), flag, saved)
    assert place.files() == files
    assert place.resume(flag, saved).code == 0


@pytest.mark.parametrize(
    "names",
    [
        NAMES[1:],
        [*NAMES, "ana"],
        ["adb", *NAMES[1:]],
        NAMES[::-1],  # the same names, but dealt out in another way
        ["q"],
    ],
)
def test_other_data_is_refused_with_a_way_on(place, names):
    place.train("--steps", 4)
    files = place.files()
    other = write_names(place.folder, names, "other.txt")
    ways = ("--data", "train anew without --resume")
    assert_one_line_error(place.resume("--data", other), "other.txt", *ways)
    write_names(place.folder, names)  # the file itself has been edited
    assert_one_line_error(place.resume("--steps", 8), "names.txt", *ways)
    assert place.files() == files


def test_the_data_may_have_moved(place):
    place.train("--steps", 4)
    elsewhere = str(place.folder / "moved.txt")
    os.rename(place.data, elsewhere)
    assert_one_line_error(place.resume("--steps", 8), "names.txt")
    assert place.resume("--steps", 8, "--data", elsewhere).code == 0
    assert read_checkpoint(str(place.checkpoint))[1].data == elsewhere


def test_settings_that_may_change_do(place):
    place.train("--steps", 4)
    trained = {"learning_rate": 0.5, "weight_decay": 0.25, "grad_clip": 2.0}
    told = {"samples": 3, "temperature": 1.5}
    flags = []
    for name, number in {**trained, **told}.items():
        flags += ["--" + name.replace("_", "-"), number]
    outcome = place.resume("--steps", 8, *flags)
    assert len(printed_samples(outcome.out)) == 3
    loaded, settings = read_checkpoint(str(place.checkpoint))
    assert {name: vars(loaded.training)[name] for name in trained} == trained
    assert {name: vars(settings)[name] for name in told} == told

    run, documents, _ = small_run(take=4, steps=4)
    run.training = TrainConfig(steps=8, **trained)
    run.optimizer.weight_decay = 0.25
    take_steps(run, documents, 4)
    assert read_losses(place.out) == run.losses
    assert parameters_of(place.load()) == parameters_of(run)


def test_what_was_set_on_the_optimizer_survives_a_resumed_command(place):
    place.train("--steps", 4)
    run = place.load()
    run.optimizer.beta1 = 0.5
    settings = read_checkpoint(str(place.checkpoint))[1]
    save_checkpoint(str(place.checkpoint), run, settings)
    assert place.resume("--steps", 8).code == 0
    assert place.load().optimizer.beta1 == 0.5


def test_there_must_be_something_to_resume(place):
    assert_one_line_error(place.resume(), "checkpoint.json")
    assert not place.out.exists()


def test_training_again_never_costs_the_run_that_was_there(place, monkeypatch):
    # Many steps into a run, the same command again by mistake, and Ctrl-C at once.
    with monkeypatch.context() as patched:
        interrupt_at(patched, n=40)
        place.train("--steps", 50)
    files = place.files()
    with monkeypatch.context() as patched:
        interrupt_at(patched, n=3)
        outcome = place.train("--steps", 50)
    assert outcome.code == 130
    previous = os.path.join(str(place.out), "previous-1")
    assert f"what was in {place.out} from an earlier run is now in {previous}" in (
        outcome.out.splitlines()
    )
    now = place.files()
    for name, content in files.items():
        assert now[os.path.join("previous-1", name)] == content
    assert place.load().step == 3
    assert call(
        place.capsys, main, "--resume", "--out", place.out / "previous-1"
    ).code == (0)


# A loss that stops being finite


def step_that_blows_up(run, documents, **changes):
    """Return the first step at which run has no finite loss."""
    run.training = dataclasses.replace(run.training, **changes)
    with pytest.raises(ArithmeticError):
        take_steps(run, documents, run.training.steps)
    assert len(run.losses) < run.training.steps
    return run.step + 1


BLOWS_UP = ("--steps", 30, "--learning-rate", 1e200)


def test_a_run_that_blows_up_stops_and_leaves_the_good_checkpoint(place):
    place.train("--steps", 6)
    files = place.files()
    run, documents, _ = small_run(steps=30, learning_rate=1e200)
    step = step_that_blows_up(run, documents)
    assert_one_line_error(place.train(*BLOWS_UP), f"step {step}", "learning-rate")
    assert place.files() == files
    assert place.load().step == 6


def test_a_resumed_run_that_blows_up_leaves_the_checkpoint_it_came_from(place):
    place.train("--steps", 6)
    files = place.files()
    run, documents, _ = small_run(take=6, steps=6)
    step = step_that_blows_up(run, documents, steps=30, learning_rate=1e200)
    assert step > 7
    outcome = place.resume(*BLOWS_UP)
    assert_one_line_error(outcome, f"step {step}", "learning-rate", "step 6")
    assert place.files() == files


def test_weights_that_decay_by_more_than_themselves_are_blamed_on_the_decay(place):
    # Each step multiplies them by 1 - 0.01 * 100000 = -999, until they are too large.
    flags = ("--steps", 500, "--weight-decay", 100_000)
    assert_one_line_error(place.train(*flags), "lower --weight-decay")


@pytest.mark.parametrize("learning_rate", [1, 1000, 1e100, 1e150, 1e200])
@pytest.mark.parametrize("steps", [1, 2, 9])
def test_at_any_rate_a_run_ends_with_finite_numbers_or_in_a_line_that_says_why(
    place, steps, learning_rate
):
    # In the last step above all: its loss is still finite, what it leaves may not be.
    flags = ("--steps", steps, "--learning-rate", learning_rate)
    outcome = place.train(*flags, sizes=("--n-head", 2, "--n-embd", 4))
    if outcome.code:
        assert_one_line_error(outcome, "learning")
    else:
        assert "nan" not in outcome.out
        assert len(printed_samples(outcome.out)) == 20


def test_losses_too_large_to_be_drawn_are_said_and_saved(place):
    place.train("--steps", 6)
    run, settings = read_checkpoint(str(place.checkpoint))
    run.losses[:2] = [1.7e308, 1.7e308]
    save_checkpoint(str(place.checkpoint), run, settings)
    outcome = place.resume("--samples", 1)
    assert outcome.code == 0
    assert "no picture of the losses: they are too large" in outcome.err
    assert "convert" not in outcome.err


# Small and odd data


@pytest.mark.parametrize(
    ("names", "flags", "n_held_out"),
    [
        (["emma"], (), 0),
        (["a"], (), 0),
        (["ab", "cd"], ("--val-fraction", 0), 0),
        (["ab"] * 30, ("--val-fraction", 0.9), 0),  # all of it has been trained on too
        (["a", "b", "c"], ("--val-fraction", 0.9), 2),
        (["abcdefghijklmnop", "bcdefghijklmnopa"], ("--val-fraction", 0.5), 1),
    ],
)
def test_few_names_or_names_that_repeat_are_trained_on(place, names, flags, n_held_out):
    data = write_names(place.folder, names, "few.txt")
    outcome = place.train("--steps", 4, *flags, data=data)
    assert (outcome.code, outcome.err) == (0, "")
    assert "nan" not in outcome.out
    assert len(printed_samples(outcome.out)) == 20
    run, _, held_out = small_run(
        names, take=4, steps=4, val_fraction=place.load().training.val_fraction
    )
    assert parameters_of(place.load()) == parameters_of(run)
    assert len(held_out) == n_held_out
    if held_out:
        assert f"held-out loss: {held_out_loss(run, held_out):.3f} " in outcome.out
    else:
        assert "held-out loss: none" in outcome.out


def test_names_that_end_in_carriage_returns_are_many_names(place):
    data = place.folder / "old_spreadsheet.csv"
    data.write_bytes("\r".join(NAMES).encode())
    outcome = place.train("--steps", 2, data=data)
    assert outcome.out.startswith("20 documents, vocabulary 18, ")


@pytest.mark.slow
def test_random_small_settings_are_trained_or_refused_in_one_line(place):
    rng = random.Random(3)
    codes = set()
    for number in range(15):
        flags = ["--steps", rng.choice([1, 2, 3])]
        for flag, choices in {
            "--n-embd": [1, 2, 3, 6],
            "--n-head": [1, 2, 3],
            "--block-size": [1, 2, 5],
            "--batch-size": [1, 30],
            "--val-fraction": [0, 0.5, 0.99],
            "--samples": [0, 1],
        }.items():
            flags += [flag, rng.choice(choices)]
        outcome = place.train(*flags, sizes=(), out=Path(place.folder, str(number)))
        if outcome.code:
            assert_one_line_error(outcome, "--n-embd", "--n-head")
        codes.add(outcome.code)
    assert codes == {0, 2}
