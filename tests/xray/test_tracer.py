"""The tracer sees what a debugger sees, and the graph adds up."""

from __future__ import annotations

import bdb
import math
import sys
from typing import Any

import pytest

from microgpt import Value, document_loss, flatten
from tests.xray.xray_support import tracer, trained_run


@pytest.fixture(scope="module")
def run():
    return trained_run()


@pytest.fixture(scope="module")
def found(run):
    return tracer.trace(run, "maia")


def text_of(thing: Any) -> str:
    """Return what a name holds as text, of a Value all digits of its data."""
    if isinstance(thing, Value):
        return repr(thing.data)
    if isinstance(thing, (list, tuple)):
        return "[" + ", ".join([text_of(part) for part in thing]) + "]"
    if isinstance(thing, zip):
        return "zip(…)"  # a debugger shows its address
    if isinstance(thing, dict):
        return f"a dict of {len(thing)} matrices"
    return repr(thing)


class Debugger(bdb.Bdb):
    """A debugger of the standard library that stops at every line and looks around."""

    def __init__(self, functions) -> None:
        super().__init__()
        self.codes = {function.__code__ for function in functions}
        self.stops: list[tuple[str, int, dict[str, str]]] = []
        self.last: Any = None

    def user_line(self, frame) -> None:
        # The frame itself is kept, so that no later one can have its id.
        here = (frame, frame.f_lineno)
        if frame.f_code in self.codes and here != self.last:
            names = {name: text_of(thing) for name, thing in frame.f_locals.items()}
            self.stops.append((frame.f_code.co_name, frame.f_lineno, names))
        if frame.f_code in self.codes:
            self.last = here
        self.set_step()

    def user_return(self, frame, value) -> None:
        if frame.f_code in self.codes:
            self.last = None  # the same line may come again in another call
        self.set_step()


def text_of_encoded(found, encoded: Any, run) -> str:
    """Return the same of a name that the tracer has noted."""
    if isinstance(encoded, int):
        return repr(found.data[encoded])
    if isinstance(encoded, list):
        parts = [text_of_encoded(found, part, run) for part in encoded]
        return "[" + ", ".join(parts) + "]"
    if "matrix" in encoded:
        return text_of(run.params[encoded["matrix"]])
    return encoded["plain"]


def test_each_line_has_the_names_that_a_debugger_shows(run, found) -> None:
    debugger = Debugger(tracer.TRACED)
    tokens = run.tokenizer.encode_document("maia")
    debugger.runcall(document_loss, run.params, run.config, tokens)

    known: dict[int, dict[str, Any]] = {}
    stops = []
    for step in found.steps:
        names = known.setdefault(step.call, {})
        for name, encoded in step.changed.items():
            names[name] = encoded
            if encoded is None:
                del names[name]
        if not step.returns:
            shown = {
                name: text_of_encoded(found, encoded, run)
                for name, encoded in names.items()
            }
            stops.append((step.function, step.line, shown))
    assert len(stops) > 500
    assert stops == debugger.stops


def test_what_a_node_receives_from_its_users_sums_to_its_grad(found) -> None:
    received: list[list[float]] = [[] for _ in found.nodes]
    received[found.root].append(1.0)
    for node, inputs in enumerate(found.inputs):
        for input, slope in zip(inputs, found.slopes[node]):
            received[input].append(slope * found.grads[node])
    for parts, grad in zip(received, found.grads):
        assert abs(math.fsum(parts) - grad) < 1e-12


def test_inputs_have_smaller_numbers_than_what_is_computed_from_them(found) -> None:
    for node, inputs in enumerate(found.inputs):
        assert all(input < node for input in inputs)


def test_the_parameters_have_the_first_numbers(run, found) -> None:
    parameters = flatten(run.params)
    assert found.nodes[: len(parameters)] == parameters
    assert found.names[: len(parameters)] == [p.label for p in parameters]
    # All others were made by some line.
    assert found.born[: len(parameters)] == [-1] * len(parameters)
    assert min(found.born[len(parameters) :]) >= 0


def test_a_trace_function_that_was_set_before_is_put_back(run) -> None:
    calls = []

    def debuggers(frame, event, arg):
        calls.append(frame.f_code.co_name)
        return None

    before = sys.gettrace()
    sys.settrace(debuggers)
    try:
        tracer.trace(run, "ma")
        after_success = sys.gettrace()
        with pytest.raises(ValueError, match="vocab_size"):
            # An error in the middle of the traced code.
            tracer._Tracer(run.params).watch(
                document_loss, run.params, run.config, [0, 99, 0]
            )
        after_error = sys.gettrace()
    finally:
        sys.settrace(before)
    assert after_success is debuggers
    assert after_error is debuggers
    assert "trace" in calls


def test_a_run_stays_as_it_is_gradients_included() -> None:
    run = trained_run(steps=2)
    parameters = flatten(run.params)
    for i, parameter in enumerate(parameters):
        parameter.grad = float(i)
    data = [parameter.data for parameter in parameters]
    found = tracer.trace(run, "ma")
    assert [parameter.grad for parameter in parameters] == list(
        map(float, range(len(parameters)))
    )
    assert [parameter.data for parameter in parameters] == data
    # And what the parameters held did not get into the gradients.
    again = tracer.trace(trained_run(steps=2), "ma")
    assert found.grads == again.grads


def test_a_line_knows_its_token_layer_and_head(found) -> None:
    def places(function: str, name: str) -> set[tuple[int, int, int]]:
        return {
            step.place
            for step in found.steps
            if step.function == function and name in step.changed
        }

    tokens, layers, heads = range(5), range(2), range(2)
    assert places("attention", "scores") == {
        (t, layer, h) for t in tokens for layer in layers for h in heads
    }
    assert places("mlp", "hidden") == {(t, i, -1) for t in tokens for i in layers}
    # When the loops over layers and tokens have ended, there is none, though the names
    # still hold the last ones.
    assert places("gpt", "logits") == {(t, -1, -1) for t in tokens}
    (last,) = [step for step in found.steps if step.function == "document_loss"][-1:]
    assert last.returns and last.returned == found.root
    assert last.place == (-1, -1, -1)


def test_a_number_is_called_as_the_code_calls_it(found) -> None:
    for step, names in tracer.calls_of(found, "attention"):
        assert [found.names[number] for number in names["q"]] == [
            f"q[{i}]" for i in range(8)
        ]
        # Its argument keeps the better name, that of the call it comes from.
        assert [found.names[number] for number in names["x"]] == [
            f"rmsnorm(…)[{i}]" for i in range(8)
        ]
        line = found.steps[found.born[names["scores"][0]]]
        assert (line.function, line.place[:2]) == ("attention", step.place[:2])
    assert found.names[found.root] == "loss"
    losses = [names["return"] for _, names in tracer.calls_of(found, "cross_entropy")]
    assert [found.names[number] for number in losses] == [
        f"losses[{i}]" for i in range(5)
    ]


def test_each_softmax_tells_which_logit_it_took_for_the_largest(run, found) -> None:
    chosen = tracer.choices(found)
    assert len(chosen) == 5 * 2 * 2  # tokens, layers, heads
    used = set()
    for choice in chosen:
        data = [found.data[logit] for logit in choice.logits]
        assert found.data[choice.picked] == max(data)
        # One subtraction for each logit; the picked one is the second of its inputs.
        assert len(choice.uses) == len(choice.logits)
        for logit, (node, place) in zip(choice.logits, choice.uses):
            assert found.nodes[node].label == "-"
            assert found.inputs[node] == [logit, choice.picked]
            used.add((node, place))
    # The graph of another run differs nowhere else.
    other = tracer.trace(trained_run(steps=60, seed=8), "maia")
    assert [a.label for a in found.nodes] == [b.label for b in other.nodes]
    differences = set()
    for node, (ours, its) in enumerate(zip(found.inputs, other.inputs)):
        for place, (a, b) in enumerate(zip(ours, its)):
            if a != b:
                differences.add((node, place))
    assert differences and differences <= used


def test_the_stream_is_what_the_layers_add_up_in(run, found) -> None:
    streams = tracer.streams(found)
    assert [len(parts) for parts in streams] == [2 + 2 * 2] * 5
    for parts, logits in zip(
        streams, [names["return"] for _, names in tracer.calls_of(found, "gpt")]
    ):
        x = [found.data[number] for number in parts[-1]["x"]]
        row = [weight.data for weight in run.params["lm_head"][3]]
        expected = sum(a * b for a, b in zip(x, row))
        assert found.data[logits[3]] == pytest.approx(expected, abs=1e-12)
