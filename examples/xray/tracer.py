"""A tracer watches the book's own code run, and remembers each line and its numbers.

Python lets a program look over the shoulder of another: `sys.settrace` names a function
that is called whenever a line is about to run. That is how a debugger stops at a
breakpoint. Here nothing stops. For each line of the functions in `TRACED` we note
which names have changed since the line before it, and which Values they now hold. The
Values remember the rest themselves: what each was computed from, and how steeply it
depends on that.

    trace(run, "maria")    a Trace: the steps, and every Value with its data and grad

Every Value gets a *number*. The parameters come first, in the order of `flatten`; the
others follow in the order in which the code made them, so the inputs of a Value always
have smaller numbers than the Value itself. Whoever walks through the numbers upwards
can compute everything again, and downwards is a good order for `backward()`. This is
what the page does when you change a parameter.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any

from microgpt import Value, document_loss, flatten
from microgpt import model as book
from microgpt.training import Run

TRACED: tuple[Callable[..., Any], ...] = (
    book.document_loss,
    book.token_losses,
    book.gpt,
    book.attention,
    book.mlp,
    book.rmsnorm,
    book.linear,
    book.softmax,
    book.cross_entropy,
)
# The names that say at which place of the text and of the model the code is.
PLACES = ("pos_id", "layer", "h")


@dataclass
class Step:
    """A moment at which a debugger could stop: a line is about to run, or has returned.

    `changed` holds the names that are new or different since the last step of the same
    call, each as `encoded` says; None stands for a name that is gone.
    """

    function: str
    line: int  # in the file
    call: int  # every call of a function has its own number
    depth: int  # 0 for document_loss, 1 for what it calls, and so on
    place: tuple[int, int, int]  # pos_id, layer and h, -1 where there is none
    changed: dict[str, Any] = field(default_factory=dict)
    returns: bool = False
    returned: Any = None


@dataclass
class Trace:
    """All that there is to know about one calculation of the loss of one text."""

    root: int  # the number of the loss
    steps: list[Step]
    nodes: list[Value]  # by their numbers
    names: list[str]  # what the code calls each: "q[3]"; "" if it has no name for it
    born: list[int]  # at which step each was made; -1: before the first
    data: list[float]
    grads: list[float]
    inputs: list[list[int]]  # the numbers of each node's inputs
    slopes: list[tuple[float, ...]]  # the local gradients


def trace(run: Run, text: str) -> Trace:
    """Return the trace of the loss of text; run stays as it is, gradients included.

    A character that is not in the vocabulary, or too long a text: ValueError.
    """
    block_size = run.config.block_size
    tokens = run.tokenizer.encode_document(text)
    if len(text) > block_size:
        raise ValueError(
            f"the text has {len(text)} characters, but this model sees {block_size} at "
            f"a time (block_size): shorten it to {block_size} at most"
        )
    tracer = _Tracer(run.params)
    loss = tracer.watch(document_loss, run.params, run.config, tokens)
    return complete(tracer, loss, flatten(run.params))


def complete(tracer: _Tracer, loss: Value, leaves: Sequence[Value]) -> Trace:
    """Ask for the gradients of loss, and return all that was noted as a Trace.

    What the leaves held in their grads before is put back in the end.
    """
    kept = [leaf.grad for leaf in leaves]
    for leaf in leaves:
        leaf.grad = 0.0
    loss.backward()
    grads = [node.grad for node in tracer.nodes]
    for leaf, grad in zip(leaves, kept):
        leaf.grad = grad
    return Trace(
        root=tracer.numbers[id(loss)],
        steps=tracer.steps,
        nodes=tracer.nodes,
        names=tracer.names,
        born=tracer.born,
        data=[node.data for node in tracer.nodes],
        grads=grads,
        inputs=[[tracer.numbers[id(x)] for x in node.inputs] for node in tracer.nodes],
        slopes=[node.local_grads for node in tracer.nodes],
    )


def loops(function: Callable[..., Any]) -> list[tuple[str, int, int]]:
    """Return (name, first line, last line) of the body of each `for name in …`.

    After a loop has ended its name still holds the last number. Only inside the body
    does it say where the code is.
    """
    lines, first = inspect.getsourcelines(function)
    found = []
    for node in ast.walk(ast.parse(textwrap.dedent("".join(lines)))):
        if isinstance(node, ast.For) and isinstance(node.target, ast.Name):
            end = node.body[-1].end_lineno or node.body[-1].lineno
            begin = node.body[0].lineno
            found.append((node.target.id, first - 1 + begin, first - 1 + end))
    return found


@dataclass
class _Call:
    """A call of a traced function that has not returned yet."""

    number: int
    depth: int
    around: dict[str, int]  # the places that the caller was at
    running: int  # the step of the line that is running; at first the caller's
    known: dict[str, Any] = field(default_factory=dict)  # names, encoded


class _Tracer:
    """What watches, and what it has noted so far."""

    def __init__(self, params: book.Params) -> None:
        self.numbers: dict[int, int] = {}  # by id(); self.nodes keeps them all alive
        self.nodes: list[Value] = []
        self.names: list[str] = []
        self.provisional: set[int] = set()  # those named after the call they come from
        self.born: list[int] = []
        self.steps: list[Step] = []
        self.calls: list[_Call] = []
        self.n_calls = 0
        self.params = params
        self.matrices = {id(matrix): name for name, matrix in params.items()}
        self.loops: dict[CodeType, list[tuple[str, int, int]]] = {}
        for function in TRACED:
            self.loops[function.__code__] = loops(function)
        for weight in flatten(params):
            self._add(weight, step=-1, name=weight.label)

    def watch(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call the function, note what the traced functions do, return its result.

        A trace function that was set before, such as a debugger's, is put back.
        """
        before = sys.gettrace()
        sys.settrace(self._on_call)
        try:
            return function(*arguments)
        finally:
            sys.settrace(before)

    # What Python calls.

    def _on_call(self, frame: FrameType, event: str, arg: Any) -> Any:
        if frame.f_code not in self.loops:
            return None  # Python calls us again for what it calls in turn
        caller = self.calls[-1] if self.calls else None
        around = self._places(self.steps[caller.running]) if caller else {}
        running = caller.running if caller else -1
        self.calls.append(_Call(self.n_calls, len(self.calls), around, running))
        self.n_calls += 1
        return self._on_event

    def _on_event(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event not in ("line", "return"):
            return self._on_event
        call = self.calls[-1]
        last = self.steps[-1] if self.steps else None
        if (
            event == "line"
            and last
            and (last.call, last.line) == (call.number, frame.f_lineno)
        ):
            # From Python 3.12 on, a comprehension reports its line for each turn.
            return self._on_event
        step = Step(
            function=frame.f_code.co_name,
            line=frame.f_lineno,
            call=call.number,
            depth=call.depth,
            place=self._place(call, frame),
            changed=self._changed(call, frame),
            returns=event == "return",
        )
        if event == "return":
            step.returned = self.encoded(arg, call.running)
            self._name(arg, f"{step.function}(…)", provisional=True)
            self.calls.pop()
        self.steps.append(step)
        if event == "line":
            call.running = len(self.steps) - 1
        return self._on_event

    def _changed(self, call: _Call, frame: FrameType) -> dict[str, Any]:
        changed: dict[str, Any] = {}
        names = frame.f_locals
        arguments = not call.known
        for name, thing in names.items():
            # Lists are compared by what is in them: `gathered += head_out` changes the
            # list, and the name still holds the same one.
            encoded = self.encoded(thing, call.running)
            if name not in call.known or call.known[name] != encoded:
                changed[name] = call.known[name] = encoded
                self._name(thing, name, renames=not arguments)
        for name in [name for name in call.known if name not in names]:
            del call.known[name]
            changed[name] = None
        return changed

    # Where the code is.

    def _place(self, call: _Call, frame: FrameType) -> tuple[int, int, int]:
        places = dict(call.around)
        code = frame.f_code
        arguments = code.co_varnames[: code.co_argcount]
        for name in PLACES:
            if name in arguments:
                places[name] = frame.f_locals[name]
        for name, first, last in self.loops[code]:
            if name in PLACES and first <= frame.f_lineno <= last:
                places[name] = frame.f_locals[name]
        pos_id, layer, h = [places.get(name, -1) for name in PLACES]
        return (pos_id, layer, h)

    def _places(self, step: Step) -> dict[str, int]:
        return {name: n for name, n in zip(PLACES, step.place) if n >= 0}

    # What a name holds.

    def encoded(self, thing: Any, step: int) -> Any:
        """Return what a name holds, in a form that fits into JSON.

        A Value is its number; a list that holds Values is a list; a matrix of the model
        is {"matrix": its name}; everything else is {"plain": text}.
        """
        if isinstance(thing, Value):
            return self._number(thing, step)
        if id(thing) in self.matrices:
            return {"matrix": self.matrices[id(thing)]}
        if thing is self.params:
            return {"plain": f"a dict of {len(self.params)} matrices"}
        if isinstance(thing, (list, tuple)):
            parts = [self.encoded(part, step) for part in thing]
            if any(not (isinstance(part, dict) and "plain" in part) for part in parts):
                return parts
            return {"plain": "[" + ", ".join([part["plain"] for part in parts]) + "]"}
        if isinstance(thing, zip):  # looking into it would use it up
            return {"plain": "zip(…)"}
        return {"plain": repr(thing)}

    def _number(self, value: Value, step: int) -> int:
        """Return the number of a Value; if it has none, it and its inputs get one."""
        path = [] if id(value) in self.numbers else [(value, iter(value.inputs))]
        while path:  # as in topological_order, in value.py
            node, inputs_left = path[-1]
            for input in inputs_left:
                if id(input) not in self.numbers:
                    path.append((input, iter(input.inputs)))
                    break
            else:
                self._add(node, step)
                path.pop()
        return self.numbers[id(value)]

    def _add(self, node: Value, step: int, name: str = "") -> None:
        self.numbers[id(node)] = len(self.nodes)
        self.nodes.append(node)
        self.names.append(name)
        self.born.append(step)

    def _name(
        self, thing: Any, name: str, renames: bool = True, provisional: bool = False
    ) -> None:
        """Note what the code calls a Value, unless it already called it something.

        The result of a call is at first "linear(…)[3]", and "q[3]" as soon as the
        caller has given it that name. What a function calls its arguments is no better
        a name than the one that they came with: renames=False.
        """
        if isinstance(thing, Value):
            number = self.numbers[id(thing)]
            if not self.names[number] or (renames and number in self.provisional):
                self.names[number] = name
                self.provisional.discard(number)
                if provisional:
                    self.provisional.add(number)
        elif isinstance(thing, (list, tuple)) and id(thing) not in self.matrices:
            for i, part in enumerate(thing):
                self._name(part, f"{name}[{i}]", renames, provisional)


# What the page asks a trace for.


def calls_of(found: Trace, function: str) -> list[tuple[Step, dict[str, Any]]]:
    """Return (last step, all its names and "return") of each call of a function."""
    names: dict[int, dict[str, Any]] = {}
    calls = []
    for step in found.steps:
        if step.function == function:
            names.setdefault(step.call, {}).update(step.changed)
            if step.returns:
                names[step.call]["return"] = step.returned
                calls.append((step, names[step.call]))
    return calls


def attention_weights(found: Trace) -> list[dict[str, Any]]:
    """Return the shares of attention: for each token, layer and head its Values."""
    shares = []
    for step in found.steps:
        if step.function == "attention" and "weights" in step.changed:
            pos_id, layer, h = step.place
            weights = step.changed["weights"]
            shares.append({"pos": pos_id, "layer": layer, "h": h, "weights": weights})
    return shares


@dataclass
class Choice:
    """Which of its logits a softmax subtracted from all of them: the largest.

    With other numbers another one would be the largest, and some edges of the graph
    would lead there: `uses` are these edges, (node, which of its inputs). It is the
    only place where the graph depends on the numbers.
    """

    logits: list[int]
    picked: int
    uses: list[tuple[int, int]]
    steps: list[int]  # where the name `largest` is set


def choices(found: Trace) -> list[Choice]:
    """Return the choice that each softmax made."""
    made_in: dict[int, list[int]] = {}
    for number, born in enumerate(found.born):
        if born >= 0:
            made_in.setdefault(found.steps[born].call, []).append(number)
    set_at: dict[int, list[int]] = {}
    for i, step in enumerate(found.steps):
        if "largest" in step.changed:
            set_at.setdefault(step.call, []).append(i)
    chosen = []
    for step, names in calls_of(found, "softmax"):
        picked = names.get("largest")
        if not isinstance(picked, int):
            continue
        uses = []
        for node in made_in.get(step.call, []):
            if found.nodes[node].label == "-" and found.inputs[node][1] == picked:
                uses.append((node, 1))
        chosen.append(Choice(names["logits"], picked, uses, set_at[step.call]))
    return chosen


def streams(found: Trace) -> list[list[dict[str, Any]]]:
    """Return, for each token, x after each line of gpt that changed it."""
    by_token: dict[int, list[dict[str, Any]]] = {}
    line_before: dict[int, int] = {}
    for step in found.steps:
        if step.function != "gpt":
            continue
        if "x" in step.changed:
            by_token.setdefault(step.place[0], []).append(
                {"line": line_before[step.call], "x": step.changed["x"]}
            )
        line_before[step.call] = step.line
    return [by_token[pos_id] for pos_id in sorted(by_token)]
