"""Training: the loop step by step, what is measured, and the command around it."""

from __future__ import annotations

import dataclasses
import gc
import math
import os
import random
import shlex
import signal
import sys
import xml.etree.ElementTree
from pathlib import Path

import pytest
from run import (
    NAMES,
    TINY,
    assert_one_line_error,
    call,
    contents,
    marked_by_hand,
    printed_samples,
    read_losses,
    small_run,
    take_steps,
    write_names,
)

from microgpt import train as training_module
from microgpt.adam import Adam, clip_grad_norm
from microgpt.checkpoint import TrainConfig, load_checkpoint
from microgpt.gpt import GPTConfig, document_loss, flatten, init_params
from microgpt.sample import generate
from microgpt.train import bigram_loss, held_out_loss, main, smooth, start, train
from microgpt.value import Value

cpython_only = pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="about reference counts"
)


def parameters_of(run):
    return [parameter.data for parameter in flatten(run.params)]


@pytest.fixture
def asked(monkeypatch):
    """The documents of which document_loss was asked, in order."""
    documents = []

    def watched(params, config, tokens):
        documents.append(tuple(tokens))
        return document_loss(params, config, tokens)

    monkeypatch.setattr(training_module, "document_loss", watched)
    return documents


# The loop


def test_a_run_starts_from_one_generator_in_the_order_shuffle_then_parameters():
    run, train_documents, val_documents = small_run(seed=5)
    rng = random.Random(5)
    shuffled = list(NAMES)
    rng.shuffle(shuffled)
    assert train_documents == shuffled[:18]
    assert val_documents == shuffled[18:]
    config = GPTConfig(18, block_size=4, n_layer=1, n_head=2, n_embd=4)
    assert run.config == config
    by_hand = [parameter.data for parameter in flatten(init_params(config, rng))]
    assert parameters_of(run) == by_hand
    assert run.rng.getstate() == rng.getstate()


def test_start_leaves_the_documents_as_they_were():
    documents = list(NAMES)
    start(documents)
    assert documents == NAMES


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
@pytest.mark.parametrize("grad_clip", [0.0, 0.2])
def test_a_step_is_the_average_gradient_of_its_documents_at_a_rate_that_falls_to_0(
    batch_size, weight_decay, grad_clip
):
    settings = {
        "steps": 5,
        "batch_size": batch_size,
        "weight_decay": weight_decay,
        "grad_clip": grad_clip,
        "learning_rate": 0.05,
    }
    run, documents, _ = small_run(take=5, **settings)

    twin, _, _ = small_run(**settings)
    parameters = flatten(twin.params)
    adam = Adam(parameters, weight_decay=weight_decay)
    n_seen, norms, losses_by_hand = 0, [], []
    for learning_rate in (0.05, 0.04, 0.03, 0.02, 0.01):
        grads = [0.0] * len(parameters)
        losses = []
        for _ in range(batch_size):
            tokens = twin.tokenizer.encode_document(documents[n_seen])
            n_seen += 1
            loss = document_loss(twin.params, twin.config, tokens)
            loss.backward()
            losses.append(loss.data)
            for i, parameter in enumerate(parameters):
                grads[i] += parameter.grad / batch_size
                parameter.grad = 0.0
        for parameter, grad in zip(parameters, grads):
            parameter.grad = grad
        if grad_clip:
            norms.append(clip_grad_norm(parameters, grad_clip))
        adam.step(learning_rate)
        losses_by_hand.append(sum(losses) / batch_size)

    assert run.losses == pytest.approx(losses_by_hand, rel=1e-12)
    assert run.optimizer.m == pytest.approx(adam.m, rel=1e-9, abs=1e-15)
    assert run.optimizer.v == pytest.approx(adam.v, rel=1e-9, abs=1e-15)
    assert parameters_of(run) == pytest.approx(
        [parameter.data for parameter in parameters], rel=1e-9, abs=1e-12
    )
    assert all(norm > grad_clip for norm in norms)  # so that clipping was put to use


def test_documents_are_taken_in_turn_and_begin_again_after_the_last(asked):
    names = ["ab", "ba", "bb", "aa", "a"]
    run, documents, _ = small_run(names, steps=4, batch_size=2, val_fraction=0.4)
    assert len(documents) == 3
    take_steps(run, documents, 4)
    one, two, three = [tuple(run.tokenizer.encode_document(d)) for d in documents]
    assert asked == [one, two, three, one, two, three, one, two]


def test_no_held_out_document_is_ever_trained_on(asked):
    run, documents, held_out = small_run(steps=40, val_fraction=0.3)
    take_steps(run, documents, 40)
    assert len(held_out) == 6
    assert len(set(asked)) == 14
    for document in held_out:
        assert tuple(run.tokenizer.encode_document(document)) not in asked


def test_training_learns_one_name_by_heart():
    run, _, _ = small_run(["emma"], take=100, steps=100, learning_rate=0.03)
    # A blind guess among BOS e m a has a loss of log 4 = 1.386.
    assert run.losses[0] == pytest.approx(math.log(4), abs=0.05)
    assert run.losses[-1] < 0.05
    how = (run.params, run.config, run.tokenizer, run.rng)
    assert generate(*how, temperature=0.3) == "emma"


def test_the_same_seed_is_the_same_run_and_another_is_not():
    first, again, other = [small_run(take=5, seed=s)[0] for s in (3, 3, 4)]
    assert repr(contents(first)) == repr(contents(again))
    assert first.losses != other.losses
    assert parameters_of(first) != parameters_of(other)


def test_training_draws_no_dice():
    run, documents, held_out = small_run(steps=6)
    state = run.rng.getstate()
    take_steps(run, documents, 6)
    held_out_loss(run, held_out)
    assert run.rng.getstate() == state


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_before_the_parameters_are_touched(
    monkeypatch, number
):
    run, documents, _ = small_run(steps=9, batch_size=2, take=3)
    before = repr(contents(run))
    n_asked = 0

    def breaks_at_the_second(params, config, tokens):
        nonlocal n_asked
        n_asked += 1
        loss = document_loss(params, config, tokens)
        return loss * number if n_asked == 2 else loss

    monkeypatch.setattr(training_module, "document_loss", breaks_at_the_second)
    with pytest.raises(ArithmeticError, match=str(number)):
        take_steps(run, documents, 1)
    assert n_asked == 2
    assert repr(contents(run)) == before


# Memory


def live_values():
    return sum(type(thing) is Value for thing in gc.get_objects())


@cpython_only
def test_one_graph_is_alive_at_a_time_and_none_between_steps(monkeypatch):
    run, documents, _ = small_run(steps=6, batch_size=4)
    gc.collect()
    before = live_values()
    alive = []

    def watched(params, config, tokens):
        alive.append(live_values() - before)
        return document_loss(params, config, tokens)

    monkeypatch.setattr(training_module, "document_loss", watched)
    for _ in train(run, documents):
        assert not gc.isenabled()
        alive.append(live_values() - before)
    assert alive == [0] * (6 * 4 + 6)


@cpython_only
def test_the_memory_of_the_process_stays_flat_over_steps():
    status = Path("/proc/self/statm")
    if not status.exists():
        pytest.skip("there is no /proc to ask")

    def megabytes():
        return int(status.read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20

    run, documents, _ = small_run(sizes={"n_embd": 8}, steps=10**6)
    take_steps(run, documents, 20)
    before = megabytes()
    take_steps(run, documents, 100)
    # One graph is about 1 MB: were they kept, this would be 100.
    assert megabytes() - before < 5


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("end", ["finished", "left", "failed"])
def test_the_garbage_collector_is_afterwards_as_it_was_before(
    monkeypatch, enabled, end
):
    run, documents, _ = small_run(steps=3)
    was_enabled = gc.isenabled()
    try:
        if enabled:
            gc.enable()
        else:
            gc.disable()
        if end == "finished":
            assert len(list(train(run, documents))) == 3
        elif end == "left":
            turns = train(run, documents)
            next(turns)
            turns.close()
        else:
            with pytest.raises(ZeroDivisionError):
                list(train(run, []))
        assert gc.isenabled() is enabled
    finally:
        if was_enabled:
            gc.enable()


# What is measured


def test_the_held_out_loss_weighs_every_character_the_same():
    run, _, _ = small_run(take=10)
    documents = ["a", "bob", "zoemia"]  # of the last, 4 characters fit the block

    def loss(name):
        tokens = run.tokenizer.encode_document(name)
        return document_loss(run.params, run.config, tokens).data

    by_hand = (2 * loss("a") + 4 * loss("bob") + 4 * loss("zoemia")) / (2 + 4 + 4)
    shown = []
    assert held_out_loss(run, documents, shown.append) == pytest.approx(by_hand)
    assert shown == [1, 2, 3]
    unweighted = (loss("a") + loss("bob") + loss("zoemia")) / 3
    assert by_hand != pytest.approx(unweighted, rel=1e-6)


def test_a_model_that_knows_nothing_has_the_loss_of_a_blind_guess():
    run, _, _ = small_run()
    for row in run.params["lm_head"]:
        for weight in row:
            weight.data = 0.0
    assert held_out_loss(run, NAMES) == pytest.approx(math.log(18))


def test_the_table_of_letter_pairs_by_hand():
    run, _, _ = small_run(["ab", "b"], val_fraction=0.0)
    # Counted on "ab": BOS a, a b and b BOS, each once. With one more for each of the 3
    # tokens, these have a share of 2/4, and every other pair has 1/4.
    assert bigram_loss(run, ["ab"], ["ab"]) == pytest.approx(math.log(2))
    # In "b", BOS b was not counted, b BOS was.
    by_hand = (math.log(4) + math.log(2)) / 2
    assert bigram_loss(run, ["ab"], ["b"]) == pytest.approx(by_hand)
    # Nothing was counted: 1/3 for every pair.
    assert bigram_loss(run, [], ["ab", "b"]) == pytest.approx(math.log(3))


def test_the_table_of_letter_pairs_is_asked_for_what_the_model_is_asked_for():
    # Of a name of 6 letters, 4 fit the block: the pairs after them are not asked for.
    run, _, _ = small_run(["aaaabb"])
    assert run.config.block_size == 4
    first_four = [(0, 1), (1, 1), (1, 1), (1, 1)]
    shares = {(0, 1): 2 / 4, (1, 1): 4 / 7}  # counted on all of it
    by_hand = -sum(math.log(shares[pair]) for pair in first_four) / 4
    assert bigram_loss(run, ["aaaabb"], ["aaaabb"]) == pytest.approx(by_hand)


@pytest.mark.parametrize(
    ("losses", "window", "means"),
    [
        ([], 3, []),
        ([5.0], 3, [5.0]),
        ([6.0, 0.0, 3.0, 9.0], 1, [6.0, 0.0, 3.0, 9.0]),
        ([6.0, 0.0, 3.0, 9.0], 2, [6.0, 3.0, 1.5, 6.0]),
        ([6.0, 0.0, 3.0, 9.0], 99, [6.0, 3.0, 3.0, 4.5]),
    ],
)
def test_smoothing_takes_the_mean_of_the_last_few(losses, window, means):
    assert smooth(losses, window) == pytest.approx(means)


# The command


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
        return {path.name: path.read_bytes() for path in self.out.iterdir()}


@pytest.fixture
def place(tmp_path, capsys):
    return Place(tmp_path, capsys)


def interrupt_at(monkeypatch, n, times=1):
    """Make Ctrl-C come while the loss of the nth document is computed."""
    n_asked = 0

    def interrupted(params, config, tokens):
        nonlocal n_asked
        n_asked += 1
        if n_asked == n:
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)
        return document_loss(params, config, tokens)

    monkeypatch.setattr(training_module, "document_loss", interrupted)


def test_the_first_lines_tell_the_size_of_everything_and_the_first_loss(place):
    outcome = place.train("--steps", 3)
    assert (outcome.code, outcome.err) == (0, "")
    first, second = outcome.out.splitlines()[:2]
    # wte and lm_head 18 * 4, wpe 4 * 4, attention 4 * 4 * 4, MLP 2 * 16 * 4.
    n_parameters = 2 * 18 * 4 + 4 * 4 + 4 * 4 * 4 + 2 * 16 * 4
    for number in ("20", "18", str(n_parameters), f"{math.log(18):.3f}"):
        assert number in first
    assert f"{read_losses(place.out)[0]:.3f}" in first + second


def test_a_pipe_gets_plain_lines_of_progress(place):
    outcome = place.train("--steps", 66, "--batch-size", 9)
    assert "\r" not in outcome.out
    assert "\033" not in outcome.out
    losses = read_losses(place.out)
    # A line after each 50 * 4064 // (9 * 352) = 64 steps, and one for the first.
    first, line = [line for line in outcome.out.splitlines() if "/66" in line]
    assert "1/66" in first
    assert f"{losses[0]:.3f}" in first
    assert "64/66" in line
    assert f"{sum(losses[14:64]) / 50:.3f}" in line


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
    run, _, _ = small_run(take=12, steps=12, data=place.data)
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
    assert f"{loss:.3f}" in outcome.out
    assert f"{table:.3f}" in outcome.out
    # None of these may be taken for them.
    others = [
        held_out_loss(run, documents),
        bigram_loss(run, documents, held_out),
        bigram_loss(run, NAMES, held_out),
    ]
    for other in others:
        assert f"{other:.3f}" not in (f"{loss:.3f}", f"{table:.3f}")


def test_no_more_documents_are_measured_than_were_asked_for(place):
    outcome = place.train(*("--steps", 6, "--val-fraction", 0.25, "--val-documents", 2))
    run, _, held_out = small_run(take=6, steps=6, val_fraction=0.25)
    assert f"{held_out_loss(run, held_out[:2]):.3f}" in outcome.out
    assert f"{held_out_loss(run, held_out):.3f}" not in outcome.out


# Names of one letter, and a block of one token: a sample is one letter or none at all.
# "xy" makes two letters known that are no names. Every mark is soon met.
LETTERS = [*"abcdefgh", "xy"]
ONE_TOKEN = ("--block-size", 1, "--n-embd", 2, "--n-head", 1)
MANY_SAMPLES = ("--samples", 150, "--temperature", 5)


def test_every_sample_is_marked_by_where_it_can_have_come_from(place, asked):
    data = write_names(place.folder, LETTERS, "letters.txt")
    flags = ("--steps", 2, "--batch-size", 2, "--val-fraction", 0.3, *MANY_SAMPLES)
    outcome = place.train(*flags, data=data, sizes=ONE_TOKEN)
    run = place.load()
    trained_on = {run.tokenizer.decode(tokens) for tokens in asked[:4]}
    assert len(trained_on) == 4

    samples = printed_samples(outcome.out)
    texts, marks = zip(*samples)
    assert len(samples) == 150
    assert set(texts) == {*"abcdefghxy", ""}
    assert samples == marked_by_hand(texts, trained_on, LETTERS)
    assert len(set(marks)) == 3
    # The letters are the ones that generate() draws with the saved dice.
    how = (run.params, run.config, run.tokenizer, run.rng)
    assert list(texts) == [generate(*how, temperature=5.0) for _ in range(150)]


@pytest.mark.parametrize("n", [0, 1, 7])
def test_samples_are_as_many_as_asked_for(place, n):
    outcome = place.train("--steps", 2, "--samples", n)
    assert outcome.code == 0
    assert len(printed_samples(outcome.out)) == n


def test_the_profile_tells_the_three_parts_of_a_step(place):
    plain = place.train("--steps", 3)
    profiled = place.train("--steps", 3, "--profile")
    more = [line for line in profiled.out.splitlines() if line not in plain.out]
    assert [line.split()[0].rstrip(":") for line in more] == [
        "forward",
        "backward",
        "adam",
    ]


# Stopping and going on


def test_ctrl_c_stops_after_the_step_saves_and_says_how_to_go_on(place, monkeypatch):
    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patched:
        interrupt_at(patched, n=5)
        outcome = place.train("--steps", 12)
    assert outcome.code == 130
    assert outcome.err == ""
    assert "--resume" in outcome.out
    assert signal.getsignal(signal.SIGINT) is before
    assert place.load().step == 5
    assert len(read_losses(place.out)) == 5
    assert printed_samples(outcome.out) == []

    run, _, _ = small_run(take=5, steps=12)
    assert parameters_of(place.load()) == parameters_of(run)


def test_ctrl_c_means_afterwards_what_it_meant_before(place, monkeypatch):
    def mine(number, frame):
        pass

    def failing(params, config, tokens):
        raise OverflowError("too large")

    before = signal.signal(signal.SIGINT, mine)
    try:
        assert place.train("--steps", 2).code == 0
        assert signal.getsignal(signal.SIGINT) is mine
        monkeypatch.setattr(training_module, "document_loss", failing)
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


@pytest.mark.parametrize("folder", ["run", "out", "my run"])
def test_the_command_that_it_says_goes_on(place, monkeypatch, folder):
    monkeypatch.chdir(place.folder)
    with monkeypatch.context() as patched:
        interrupt_at(patched, n=3)
        outcome = place.train("--steps", 6, out=folder)
    said = "python -m microgpt.train"
    [line] = [line for line in outcome.out.splitlines() if said in line]
    flags = shlex.split(line[line.index(said) + len(said) :])
    assert call(place.capsys, main, *flags).code == 0
    assert load_checkpoint(os.path.join(folder, "checkpoint.json")).step == 6


def test_a_second_ctrl_c_stops_at_once(place, monkeypatch):
    place.train("--steps", 3)
    files = place.files()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with monkeypatch.context() as patched:
            interrupt_at(patched, n=5, times=2)
            outcome = place.train("--steps", 12)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert outcome.code == 130
    assert "Traceback" not in outcome.err
    assert place.files() == files  # of the earlier run, whole


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
        patched.setattr(training_module, "SAVE_SECONDS", -1.0)
        patched.setattr(training_module, "document_loss", killed)
        with pytest.raises(Killed):
            place.train("--steps", 12)
    assert place.load().step == 4
    assert place.resume().code == 0
    resumed = place.files()
    place.train("--steps", 12)
    assert place.files() == resumed


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
def test_other_data_is_refused(place, names):
    place.train("--steps", 4)
    files = place.files()
    other = write_names(place.folder, names, "other.txt")
    assert_one_line_error(place.resume("--data", other), "data", "other.txt")
    write_names(place.folder, names)  # the file itself has been edited
    assert_one_line_error(place.resume("--steps", 8), "data", "names.txt")
    assert place.files() == files


def test_the_data_may_have_moved(place):
    place.train("--steps", 4)
    elsewhere = str(place.folder / "moved.txt")
    os.rename(place.data, elsewhere)
    assert_one_line_error(place.resume("--steps", 8), "names.txt")
    assert place.resume("--steps", 8, "--data", elsewhere).code == 0
    assert place.load().training.data == elsewhere


def test_settings_that_may_change_do(place):
    place.train("--steps", 4)
    changes = {
        "learning_rate": 0.5,
        "weight_decay": 0.25,
        "grad_clip": 2.0,
        "samples": 3,
        "temperature": 1.5,
    }
    flags = []
    for name, number in changes.items():
        flags += ["--" + name.replace("_", "-"), number]
    outcome = place.resume("--steps", 8, *flags)
    assert len(printed_samples(outcome.out)) == 3
    saved = vars(place.load().training)
    assert {name: saved[name] for name in changes} == changes

    run, documents, _ = small_run(take=4, steps=4)
    run.training = TrainConfig(steps=8, data=place.data, **changes)
    run.optimizer.weight_decay = 0.25
    take_steps(run, documents, 4)
    assert read_losses(place.out) == run.losses
    assert parameters_of(place.load()) == parameters_of(run)


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1)])
def test_another_batch_size_does_not_confuse_what_was_trained_on(
    place, asked, before, after
):
    data = write_names(place.folder, LETTERS, "letters.txt")
    flags = ("--steps", 2, "--val-fraction", 0.0, *MANY_SAMPLES)
    flags += ("--batch-size", before)
    assert place.train(*flags, data=data, sizes=ONE_TOKEN).code == 0
    outcome = place.resume("--steps", 3, "--batch-size", after)
    if outcome.code:  # it may be refused, as other settings are
        assert_one_line_error(outcome, "--batch-size", before)
        return
    run = place.load()
    trained_on = {run.tokenizer.decode(tokens) for tokens in asked}
    samples = printed_samples(outcome.out)
    texts = [text for text, _ in samples]
    assert samples == marked_by_hand(texts, trained_on, LETTERS)


def test_there_must_be_something_to_resume(place):
    assert_one_line_error(place.resume(), "checkpoint.json")
    assert not place.out.exists()


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


@pytest.mark.parametrize("learning_rate", [1, 10, 1000, 1e50, 1e100, 1e150, 1e200])
@pytest.mark.parametrize("steps", [1, 2, 3, 9])
def test_at_any_rate_a_run_ends_with_finite_numbers_or_in_a_line_that_says_why(
    place, steps, learning_rate
):
    # In the last step above all: its loss is still finite, what it leaves may not be.
    flags = ("--steps", steps, "--learning-rate", learning_rate)
    outcome = place.train(*flags, sizes=("--n-head", 2, "--n-embd", 4))
    if outcome.code:
        assert_one_line_error(outcome, "learning-rate")
    else:
        assert "nan" not in outcome.out
        assert len(printed_samples(outcome.out)) == 20


# Small and odd data


@pytest.mark.parametrize(
    ("names", "flags", "n_held_out"),
    [
        (["emma"], (), 0),
        (["a"], (), 0),
        (["ab", "cd"], ("--val-fraction", 0), 0),
        (NAMES, ("--val-fraction", 0), 0),
        (["ab"] * 30, (), 0),  # what is held out has been trained on too
        (["ab"] * 30, ("--val-fraction", 0.9), 0),
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
    assert all(math.isfinite(loss) for loss in read_losses(place.out))
    run, _, held_out = small_run(
        names, take=4, steps=4, val_fraction=place.load().training.val_fraction
    )
    assert parameters_of(place.load()) == parameters_of(run)
    assert len(held_out) == n_held_out
    if held_out:
        assert f"{held_out_loss(run, held_out):.3f}" in outcome.out


def test_a_name_learnt_by_heart_is_marked_so(place):
    data = write_names(place.folder, ["emma"], "one.txt")
    flags = ("--steps", 100, "--learning-rate", 0.03, "--temperature", 0.3)
    outcome = place.train(*flags, data=data)
    assert printed_samples(outcome.out) == [("emma", "seen in training")] * 20


def test_the_defaults_are_those_of_the_recorded_run(place, monkeypatch):
    # Nothing but --data, --out and fewer steps.
    place.train("--steps", 2, sizes=())
    run = place.load()
    assert run.config == GPTConfig(18, block_size=8, n_layer=1, n_head=4, n_embd=16)
    assert run.training == TrainConfig(
        steps=2,
        batch_size=1,
        learning_rate=0.01,
        weight_decay=0.0,
        grad_clip=0.0,
        val_fraction=0.1,
        seed=42,
        samples=20,
        temperature=0.6,
        data=place.data,
    )
    assert TrainConfig().steps == 500


# A terminal


def test_on_a_terminal_one_line_is_drawn_over_and_over(place, monkeypatch):
    class Terminal:
        """Where print() goes, as if it were a screen."""

        def __init__(self):
            self.text = ""

        def write(self, text):
            self.text += text
            return len(text)

        def flush(self):
            pass

        def isatty(self):
            return True

    clock = iter(range(10**6))  # a second passes whenever one looks
    terminal = Terminal()
    monkeypatch.setattr(training_module.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(sys, "stdout", terminal)
    assert place.train("--steps", 10).code == 0

    [progress] = [line for line in terminal.text.split("\n") if "10/10" in line]
    drawn = [line for line in progress.split("\r") if "/10" in line]
    assert [line.count("#") for line in drawn] == [2, 4, 6, 8, 10, 12, 14, 16, 18, 20]
    for step, line in enumerate(drawn, start=1):
        assert f"{step}/10" in line
        assert line.count("#") + line.count("-") == 20
        assert line.endswith("\033[K")  # what is left of a longer line goes
    assert len(read_losses(place.out)) == 10


def test_the_picture_and_the_losses_are_replaced_whole(place, monkeypatch):
    place.train("--steps", 6)
    files = place.files()
    n_calls = 0

    def fails(source, target):
        nonlocal n_calls
        n_calls += 1
        raise OSError(28, "No space left")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", fails)
        assert_one_line_error(place.train("--steps", 9), "No space left")
    assert n_calls == 1
    assert place.files() == files
