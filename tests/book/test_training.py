"""Training: what a step is made of, and what is left of one that was stopped."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import inspect
import math
import random
import signal
import sys
import threading

import pytest

from microgpt import training as training_module
from microgpt.adam import Adam, clip_grad_norm
from microgpt.model import GPTConfig, document_loss, flatten, init_params
from microgpt.sampling import generate
from microgpt.training import (
    Run,
    TrainConfig,
    collector_paused,
    ctrl_c_waits,
    shuffle_and_split,
    start,
    train,
)
from microgpt.value import Value
from tests.helpers import NAMES, contents, small_run, take_steps

cpython_only = pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="about how CPython frees memory"
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


# How a run begins.


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
    assert run.optimizer.parameters == flatten(run.params)
    assert (run.step, run.losses) == (0, [])


def test_of_running_text_the_end_is_held_out_in_one_piece():
    windows = [f"window {number}" for number in range(20)]
    training = TrainConfig(val_fraction=0.25)
    _, train_windows, val_windows = shuffle_and_split(windows, training, True)
    assert sorted(train_windows) == sorted(windows[:15]) != train_windows
    assert sorted(val_windows) == sorted(windows[15:]) != val_windows
    run, started_with, held_out = start(windows, training, running_text=True)
    assert (started_with, held_out) == (train_windows, val_windows)
    assert "7" in run.tokenizer.chars  # all windows' characters, held-out ones too
    # Without it, what is held out lies among what is trained on.
    _, _, val_documents = shuffle_and_split(windows, training)
    assert sorted(val_documents) != sorted(windows[15:])


def test_shuffle_and_split_gives_what_start_gives():
    training = TrainConfig(seed=5, val_fraction=0.3)
    _, train_documents, val_documents = start(NAMES, training)
    rng, train_again, val_again = shuffle_and_split(NAMES, training)
    assert (train_again, val_again) == (train_documents, val_documents)
    assert len(val_again) == 6
    other = random.Random(5)
    other.shuffle(list(NAMES))
    assert rng.getstate() == other.getstate()


def test_start_leaves_the_documents_as_they_were():
    documents = list(NAMES)
    start(documents)
    assert documents == NAMES


def test_held_out_documents_are_part_of_the_vocabulary():
    # Else measuring on them would fail at the first letter that only they have.
    run, _, val_documents = start(["ab", "cd"], TrainConfig(val_fraction=0.5))
    assert len(val_documents) == 1
    assert run.tokenizer.chars == "abcd"


def test_the_sizes_and_settings_are_those_given_and_else_the_defaults():
    run, _, _ = start(NAMES)
    assert run.config == GPTConfig(18, block_size=8, n_layer=1, n_head=4, n_embd=16)
    assert run.training == TrainConfig(
        steps=500,
        batch_size=1,
        learning_rate=0.01,
        weight_decay=0.0,
        grad_clip=0.0,
        val_fraction=0.1,
        seed=42,
    )
    run, _, _ = start(NAMES, TrainConfig(weight_decay=0.25), n_layer=3, n_head=2)
    assert run.config == GPTConfig(18, block_size=8, n_layer=3, n_head=2, n_embd=16)
    assert run.optimizer.weight_decay == 0.25


@pytest.mark.parametrize("documents", [[], ()])
def test_nothing_to_train_on_is_an_error_in_words(documents):
    with pytest.raises(ValueError, match="there are no documents to train on"):
        start(documents)
    run, _, _ = small_run()
    with pytest.raises(ValueError, match="there are no documents to train on"):
        next(train(run, documents))
    assert run.step == 0


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("steps", 0),
        ("steps", -1),
        ("steps", 5.0),
        ("steps", "5"),
        ("steps", True),
        ("batch_size", 0),
        ("batch_size", 1.5),
        ("seed", -1),
        ("seed", 1.0),
        ("seed", None),
        ("learning_rate", -0.1),
        ("learning_rate", math.nan),
        ("learning_rate", math.inf),
        ("learning_rate", "0.1"),
        ("learning_rate", True),
        ("weight_decay", -1e-9),
        ("grad_clip", -1.0),
        ("grad_clip", None),
        ("val_fraction", -0.1),
        ("val_fraction", math.nan),
    ],
)
def test_a_setting_that_makes_no_sense_is_named_with_its_value(name, number):
    with pytest.raises(ValueError, match=f"^{name} is {number!r}: make it a "):
        TrainConfig(**{name: number})


def test_a_learning_rate_of_zero_learns_nothing_and_is_an_error():
    with pytest.raises(ValueError, match="learning_rate is 0"):
        TrainConfig(learning_rate=0)
    with pytest.raises(ValueError, match="learning_rate is 0"):
        TrainConfig(learning_rate=0.0)


@pytest.mark.parametrize("val_fraction", [1, 1.0, 1.5])
def test_holding_out_everything_is_an_error(val_fraction):
    message = f"val_fraction is {val_fraction}: make it less than 1"
    with pytest.raises(ValueError, match=message):
        TrainConfig(val_fraction=val_fraction)


def test_the_smallest_settings_are_allowed():
    settings = dict.fromkeys(["seed", "weight_decay", "grad_clip", "val_fraction"], 0)
    training = TrainConfig(steps=1, batch_size=1, learning_rate=5e-324, **settings)
    assert (training.steps, training.seed, training.val_fraction) == (1, 0, 0)
    assert TrainConfig(learning_rate=1, weight_decay=2).weight_decay == 2


def test_settings_do_not_change_under_a_run():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig().steps = 2


def test_the_repr_of_a_run_is_one_short_line():
    # That of a dataclass prints every parameter: 200,000 characters at every stop of a
    # debugger.
    run, documents, _ = start(NAMES)
    # wte and lm_head 18 * 16 each, wpe 8 * 16, attention 4 * 256, the MLP 2 * 1,024.
    assert repr(run) == "<Run: step 0 of 500, no loss yet, 3,776 parameters>"
    losses = train(run, documents)
    next(losses)
    loss = f"{run.losses[0]:.3f}"
    assert repr(run) == f"<Run: step 1 of 500, loss {loss}, 3,776 parameters>"


def test_two_runs_do_not_share_their_losses():
    one, other = small_run()[0], small_run()[0]
    bare = Run(one.config, one.training, one.tokenizer, {}, one.optimizer, one.rng)
    take_steps(other, NAMES, 1)
    assert (len(other.losses), one.losses, bare.losses) == (1, [], [])


# A step.


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


def test_train_yields_the_loss_of_each_step_once_the_step_is_complete():
    run, documents, _ = small_run(steps=4, batch_size=2)
    for n, loss in enumerate(train(run, documents), start=1):
        assert run.losses[-1] == loss
        assert run.step == run.optimizer.t == n
        assert {parameter.grad for parameter in flatten(run.params)} == {0.0}
    assert n == 4
    assert list(train(run, documents)) == []


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


def test_training_takes_no_random_number():
    # Else the samples after it would depend on how many steps there were.
    run, documents, _ = small_run(steps=6)
    state = run.rng.getstate()
    take_steps(run, documents, 6)
    assert run.rng.getstate() == state


def test_gradients_that_somebody_left_behind_do_not_count_in_a_step():
    # For example by calling backward() in a notebook between two steps.
    run, documents, _ = small_run(steps=5, take=2)
    whole, _, _ = small_run(steps=5, take=3)
    for parameter in flatten(run.params):
        parameter.grad = 7.0
    take_steps(run, documents, 1)
    assert repr(contents(run)) == repr(contents(whole))


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
    with pytest.raises(FloatingPointError, match=f"the loss is {number}"):
        take_steps(run, documents, 1)
    assert n_asked == 2
    assert repr(contents(run)) == before


def test_gradients_without_a_finite_norm_stop_before_the_parameters_are_touched(
    monkeypatch,
):
    run, documents, _ = small_run(steps=9, grad_clip=1.0, take=3)
    before = repr(contents(run))

    def infinite_slope(params, config, tokens):
        loss = document_loss(params, config, tokens)  # itself finite
        loss.local_grads = (math.inf,) * len(loss.inputs)
        return loss

    monkeypatch.setattr(training_module, "document_loss", infinite_slope)
    with pytest.raises(FloatingPointError, match="norm of the gradients"):
        take_steps(run, documents, 1)
    assert repr(contents(run)) == before


# What a step leaves in memory.


@cpython_only
def test_one_graph_is_alive_at_a_time_and_none_between_steps(monkeypatch):
    def live_values():
        return sum(type(thing) is Value for thing in gc.get_objects())

    run, documents, _ = small_run(steps=3, batch_size=2)
    gc.collect()
    before = live_values()
    alive = []

    def watched(params, config, tokens):
        alive.append(live_values() - before)
        return document_loss(params, config, tokens)

    monkeypatch.setattr(training_module, "document_loss", watched)
    for _ in train(run, documents):
        alive.append(live_values() - before)
    assert alive == [0] * (3 * 2 + 3)


# A step that was stopped.


class Stopped(Exception):
    """As KeyboardInterrupt, but nothing else raises it."""


def stop(number, frame):
    raise Stopped


@pytest.fixture
def ctrl_c_stops():
    """Make Ctrl-C raise Stopped for the time of a test."""
    before = signal.signal(signal.SIGINT, stop)
    yield
    signal.signal(signal.SIGINT, before)


class CtrlC:
    """Sends Ctrl-C at the nth line that Python comes to in the files given."""

    def __init__(self, n, files):
        self.n, self.files, self.sent_at = n, files, None

    def trace(self, frame, event, arg):
        if frame.f_code.co_filename not in self.files:
            return None
        if event == "line":
            self.n -= 1
            if self.n == 0:
                sys.settrace(None)
                self.sent_at = (frame.f_code.co_name, frame.f_lineno)
                signal.raise_signal(signal.SIGINT)
        return self.trace

    def __enter__(self):
        self.before = sys.gettrace()
        sys.settrace(self.trace)
        return self

    def __exit__(self, *error):
        sys.settrace(self.before)


WATCHED = {sys.modules[thing.__module__].__file__ for thing in (train, Adam)}
WATCHED.add(contextlib.__file__)
VERY_SMALL = {"block_size": 2, "n_head": 1, "n_embd": 1}
CLIPPED = {"steps": 3, "batch_size": 2, "weight_decay": 0.1, "grad_clip": 0.01}


def very_small_run(take=0):
    return small_run(
        ["ab", "ba", "b"], VERY_SMALL, val_fraction=0, take=take, **CLIPPED
    )


def end_of_collector_paused():
    """Return the numbers of the lines in its `finally:`.

    A tracer can stop before the collector is on again there. A real Ctrl-C hardly can:
    Python looks for one at calls and at the ends of loops, and there is neither.
    """
    lines, first = inspect.getsourcelines(collector_paused)
    return range(first + lines.index("    finally:\n") + 1, first + len(lines))


@pytest.mark.slow
@cpython_only
def test_a_run_stopped_at_any_line_of_training_goes_on_to_the_same_bits(ctrl_c_stops):
    expected = repr(contents(very_small_run(take=2)[0]))
    names = set()
    for n in range(1, 10**6):
        run, documents, _ = very_small_run()
        ctrl_c = CtrlC(n, WATCHED)
        gc.enable()
        try:
            with ctrl_c:
                take_steps(run, documents, 2)
        except Stopped:
            assert ctrl_c.sent_at is not None
        if ctrl_c.sent_at is None:  # the run was complete before it came to line n
            break
        name, line = ctrl_c.sent_at
        assert gc.isenabled() or line in end_of_collector_paused(), (n, name, line)
        assert signal.getsignal(signal.SIGINT) is stop, (n, name, line)
        take_steps(run, documents, 2 - run.step)
        assert repr(contents(run)) == expected, (n, name, line)
        names.add(name)
    gc.enable()
    inner = {"train", "step", "clip_grad_norm", "ctrl_c_waits", "collector_paused"}
    assert inner <= names


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_a_run_stopped_within_a_step_goes_on_to_the_same_bits(
    monkeypatch, ctrl_c_stops, n
):
    # In the loss of the nth document, and then in the middle of Adam's step.
    whole, _, _ = small_run(take=3, **CLIPPED)
    run, documents, _ = small_run(**CLIPPED)
    n_asked = 0

    def interrupted(params, config, tokens):
        nonlocal n_asked
        n_asked += 1
        loss = document_loss(params, config, tokens)
        if n_asked == n:
            loss.backward()  # a part of the gradient is there already
            signal.raise_signal(signal.SIGINT)
        return loss

    monkeypatch.setattr(training_module, "document_loss", interrupted)
    with pytest.raises(Stopped):
        take_steps(run, documents, 3)
    assert run.step == (n - 1) // 2
    take_steps(run, documents, 3)
    assert repr(contents(run)) == repr(contents(whole))


def test_ctrl_c_within_adam_takes_effect_when_the_step_is_complete(
    monkeypatch, ctrl_c_stops
):
    whole, documents, _ = small_run(take=1, **CLIPPED)
    run, _, _ = small_run(**CLIPPED)
    step = Adam.step

    class StopsHalfway(list):
        def __iter__(self):
            for i, parameter in enumerate(super().__iter__()):
                if i == len(self) // 2:
                    signal.raise_signal(signal.SIGINT)
                yield parameter

    def interrupted(self, lr):
        self.parameters = StopsHalfway(self.parameters)
        step(self, lr)

    monkeypatch.setattr(Adam, "step", interrupted)
    with pytest.raises(Stopped):
        take_steps(run, documents, 1)
    assert run.step == 1
    assert repr(contents(run)) == repr(contents(whole))


def test_ctrl_c_waits_until_the_block_is_done_and_comes_once(ctrl_c_stops):
    done = []
    with pytest.raises(Stopped), ctrl_c_waits():
        signal.raise_signal(signal.SIGINT)
        done.append("after the first")
        signal.raise_signal(signal.SIGINT)
        done.append("after the second")
    assert done == ["after the first", "after the second"]
    assert signal.getsignal(signal.SIGINT) is stop


def test_without_a_ctrl_c_the_block_ends_quietly(ctrl_c_stops):
    with ctrl_c_waits():
        assert signal.getsignal(signal.SIGINT) is not stop
    assert signal.getsignal(signal.SIGINT) is stop


def test_an_error_in_the_block_comes_through_and_ctrl_c_means_what_it_did(ctrl_c_stops):
    with pytest.raises(FloatingPointError), ctrl_c_waits():
        raise FloatingPointError
    assert signal.getsignal(signal.SIGINT) is stop


def test_who_ignores_ctrl_c_goes_on_ignoring_it():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with ctrl_c_waits():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_training_works_in_another_thread_where_there_are_no_signals():
    # signal.signal() there is a ValueError, and a web server trains in such a thread.
    run, documents, _ = small_run(steps=3)
    whole, _, _ = small_run(steps=3, take=3)
    thread = threading.Thread(target=take_steps, args=(run, documents, 3))
    thread.start()
    thread.join()
    assert repr(contents(run)) == repr(contents(whole))


def test_training_works_where_ctrl_c_was_handled_outside_of_python(monkeypatch):
    # getsignal() then gives None, and what it stands for could not be put back.
    monkeypatch.setattr(signal, "getsignal", lambda number: None)
    before = signal.signal(signal.SIGINT, stop)
    try:
        with pytest.raises(Stopped), ctrl_c_waits():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_loop_that_is_left_goes_on_where_it_was():
    whole, documents, _ = small_run(steps=6, take=6)
    run, _, _ = small_run(steps=6)
    for _ in train(run, documents):
        if run.step == 2:
            break
    first = train(run, documents)
    losses = [next(first), next(first)]
    assert run.step == 4
    losses += train(run, documents)
    assert losses == whole.losses[2:]
    assert repr(contents(run)) == repr(contents(whole))


# The garbage collector.


@cpython_only
@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("end", ["finished", "left", "failed", "stopped"])
def test_the_garbage_collector_is_afterwards_as_it_was_before(
    monkeypatch, ctrl_c_stops, enabled, end
):
    run, documents, _ = small_run(steps=3)
    within = []

    def watched(params, config, tokens):
        within.append(gc.isenabled())
        if end == "stopped":
            signal.raise_signal(signal.SIGINT)
        loss = document_loss(params, config, tokens)
        return loss * math.nan if end == "failed" else loss

    monkeypatch.setattr(training_module, "document_loss", watched)
    was_enabled = gc.isenabled()
    try:
        if enabled:
            gc.enable()
        else:
            gc.disable()
        try:
            for _ in train(run, documents):
                assert gc.isenabled() is enabled  # it is the caller's turn
                if end == "left":
                    break
        except (FloatingPointError, Stopped):
            assert end in ("failed", "stopped")
        assert gc.isenabled() is enabled
    finally:
        if was_enabled:
            gc.enable()
        else:
            gc.disable()
    assert within == [False] * (3 if end == "finished" else 1)


def test_only_cpython_pauses_the_collector(monkeypatch):
    # PyPy frees nothing but by its collector: paused, memory would fill up.
    class Elsewhere:
        name = "pypy"

    assert gc.isenabled()
    monkeypatch.setattr(sys, "implementation", Elsewhere)
    with collector_paused():
        assert gc.isenabled()
    assert gc.isenabled()
