"""A page on which every number of a GPT can be asked where it came from.

    python examples/xray/xray.py                train the default model, read "maria"
    python examples/xray/xray.py --text emma    read another text
    python examples/xray/xray.py --checkpoint out/checkpoint.json    use a saved run

writes out/xray.html, a single file that needs no network, and opens it in a browser.
In a notebook:

    from xray import xray_graph, xray_run     # with examples/xray on sys.path
    xray_run(run, "maria")                    # the same page, shown inline
    xray_graph(y)                             # any Value, with backward() step by step

How it works: `tracer.py` watches the book's own code run, line by line. What it noted,
and the graph of all Values, are packed into the page as numbers (this file), and the
folder page/ holds what the browser does with them: page.html, page.css, engine.js (the
chain rule again, small enough to run in the page) and page.js (what you see).
"""

from __future__ import annotations

import array
import base64
import html
import inspect
import json
import math
import os
import pathlib
import sys
import webbrowser
import zlib
from collections.abc import Callable, Sequence
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
# So that it works from a clone, without installing anything.
for folder in (ROOT, HERE):
    if folder not in sys.path:
        sys.path.insert(0, folder)

from tracer import (  # noqa: E402
    TRACED,
    Choice,
    Trace,
    attention_weights,
    calls_of,
    choices,
    streams,
    trace,
)

from microgpt import (  # noqa: E402
    CharTokenizer,
    GPTConfig,
    Run,
    TrainConfig,
    Value,
    load_checkpoint,
    param_shapes,
    read_documents,
    smooth,
    start,
    topological_order,
)
from microgpt.tools.files import (  # noqa: E402
    check_writable,
    in_bytes,
    replace_file,
)
from microgpt.tools.terminal import (  # noqa: E402
    OneLineParser,
    Progress,
    run_command,
    say,
    shown,
)
from microgpt.training import train  # noqa: E402

SNAPSHOTS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500)
LARGEST_PAGE = 30_000_000  # bytes; browsers become slow beyond that
LARGEST_GRAPH = 10_000  # nodes that xray_graph takes
# Operations whose slopes the page finds with exactly the same digits as Python. It is
# given the slopes of the others, such as exp, where the last digit might differ.
EXACT = {"+", "-", "*", "dot", "total"}


class Page:
    """A finished page: `save(path)` writes it, and Jupyter shows it inline."""

    def __init__(self, text: str) -> None:
        self.html = text

    def save(self, path: str) -> None:
        """Write the page to a file; if that cannot be done: ValueError."""
        replace_file(path, self.html)

    def _repr_html_(self) -> str:
        return (
            '<iframe style="width:100%;height:85vh;border:1px solid gray" '
            f'title="microgpt X-ray" srcdoc="{html.escape(self.html)}"></iframe>'
        )

    def __repr__(self) -> str:
        return f"<Page of {in_bytes(len(self.html))}: .save(path) writes it>"


def xray_run(run: Run, text: str = "maria", other: Run | None = None) -> Page:
    """Return the page for the loss of a text; `other` is a second run to compare.

    The runs stay as they are. A character that is not in the vocabulary, too long a
    text, two runs of different sizes, or a model too large for a page: ValueError.

    >>> run, train_documents, val_documents = start(["ann", "bob"], n_embd=8)
    >>> page = xray_run(run, "bob")
    >>> page.html.startswith("<!doctype html>")
    True
    """
    runs = [run] if other is None else [run, other]
    check_that_they_match(runs)
    check_that_it_fits(run.config, text, n_states=len(runs))
    states = [(i, each.step, trace(each, text)) for i, each in enumerate(runs)]
    names = ["run", "other"]
    return _page(run_content(runs, names, states, text))


def xray_graph(value: Value) -> Page:
    """Return the page for any expression: backward() can be watched node by node.

    Nothing is changed: every grad is afterwards what it was before. A graph of more
    than 10,000 nodes: ValueError.

    >>> x = Value(3.0, label="x")
    >>> page = xray_graph(x * x + x)
    >>> x.grad
    0.0
    """
    return _page(graph_content(value))


# The content of a page: a part that is JSON, and columns of numbers.


class Content:
    """What a page holds: `meta` becomes JSON, `columns` become arrays of numbers.

    A column is a name, its kind ("d" for floats of 8 bytes, "i" for whole numbers of 4)
    and the numbers.
    """

    def __init__(self, meta: dict[str, Any]) -> None:
        self.meta = meta
        self.columns: list[tuple[str, str, Sequence[Any]]] = []

    def add(self, name: str, kind: str, numbers: Sequence[Any]) -> None:
        """Add a column."""
        self.columns.append((name, kind, numbers))

    def packed(self) -> str:
        """Return it all compressed, as text of letters and digits: never markup.

        First the length of the JSON in 8 digits, then the JSON, then the columns. The
        floats come first, since the browser wants them at multiples of 8 bytes.
        """
        columns = sorted(self.columns, key=lambda column: column[1] != "d")
        self.meta["columns"] = [[name, kind, len(xs)] for name, kind, xs in columns]
        text = json.dumps(self.meta, separators=(",", ":")).encode()
        parts = [b"%8d" % len(text), text, b" " * (-len(text) % 8)]
        for _, kind, numbers in columns:
            packed = array.array(kind, numbers)
            if sys.byteorder == "big":
                packed.byteswap()
            parts.append(packed.tobytes())
        return base64.b64encode(zlib.compress(b"".join(parts), 9)).decode("ascii")


def _add_graph(content: Content, labels: Sequence[str], names: Sequence[str]) -> None:
    """Add the labels and names, each different one once."""
    for column, texts in ("label", labels), ("name", names):
        different = {text: i for i, text in enumerate(dict.fromkeys(texts))}
        content.meta[column + "s"] = list(different)
        content.add(column, "i", [different[text] for text in texts])


def _add_edges(
    content: Content,
    inputs: Sequence[Sequence[int]],
    slopes: Sequence[Sequence[float]],
    labels: Sequence[str],
) -> None:
    content.add("n_inputs", "i", [len(each) for each in inputs])
    content.add("inputs", "i", [input for each in inputs for input in each])
    given: list[float] = []
    for label, each in zip(labels, slopes):
        if label not in EXACT:
            given += each
    content.add("slopes", "d", given)
    content.meta["exact"] = sorted(EXACT)


States = Sequence[tuple[int, int, Trace]]  # (which run, at which step, its trace)


def run_content(
    runs: Sequence[Run], names: Sequence[str], states: States, text: str
) -> Content:
    """Return the content of the page for a text; the last state is shown first."""
    run, (_, _, last) = runs[0], states[-1]
    tokens = run.tokenizer.encode_document(text)
    vocabulary = [token_name(run.tokenizer, i) for i in range(run.config.vocab_size)]
    chosen = choices(last)
    content = Content(
        {
            "kind": "run",
            "root": last.root,
            "config": vars(run.config),
            "vocabulary": vocabulary,
            "tokens": tokens,
            "matrices": [
                [name, *shape] for name, shape in param_shapes(run.config).items()
            ],
            "functions": [source(function) for function in TRACED],
            "steps": _steps(last, chosen),
            "choices": [[each.logits, each.uses] for each in chosen],
            "attention": attention_weights(last),
            "values": [
                {"pos": step.place[0], "layer": step.place[1], "v": known["v"]}
                for step, known in calls_of(last, "attention")
            ],
            "streams": streams(last),
            "logits": [known["return"] for _, known in calls_of(last, "gpt")],
            "losses": [known["return"] for _, known in calls_of(last, "cross_entropy")],
            "runs": [
                {
                    "name": name,
                    "step": each.step,
                    "losses": smooth(each.losses),
                    "map": principal_directions(_matrix(each, "wte")),
                }
                for each, name in zip(runs, names)
            ],
            "states": [],
        }
    )
    labels = [node.label for node in last.nodes]
    _add_graph(content, labels, last.names)
    _add_edges(content, last.inputs, last.slopes, labels)
    content.add("born", "i", last.born)
    for i, (which, step, found) in enumerate(states):
        picks = _picks_of_the_same_graph(last, found)
        content.meta["states"].append({"run": which, "step": step, "picks": picks})
        content.add(f"data{i}", "d", found.data)
        content.add(f"grad{i}", "d", found.grads)
    return content


def graph_content(root: Value) -> Content:
    """Return the content of the page for an expression, in the order of backward()."""
    order = topological_order(root)
    nodes: dict[Value, int] = {}
    # Each leaf comes right before the first node that uses it.
    for node in [*order, root]:
        for each in (*node.inputs, node):
            nodes.setdefault(each, len(nodes))
    if len(nodes) > LARGEST_GRAPH:
        raise ValueError(
            f"this graph has {len(nodes):,} nodes, and a page takes {LARGEST_GRAPH:,}: "
            "give a part of it"
        )
    content = Content({"kind": "graph", "root": nodes[root]})
    kept = [(node, node.grad) for node in nodes]
    for node in nodes:
        node.grad = 0.0
    root.backward()
    grads = [node.grad for node in nodes]
    for node, grad in kept:
        node.grad = grad
    labels = [node.label for node in nodes]
    names = [node.label if not node.inputs else "" for node in nodes]
    _add_graph(content, labels, names)
    inputs = [[nodes[input] for input in node.inputs] for node in nodes]
    _add_edges(content, inputs, [node.local_grads for node in nodes], labels)
    content.add("order", "i", [nodes[node] for node in reversed(order)])
    content.add("data0", "d", [node.data for node in nodes])
    content.add("grad0", "d", grads)
    return content


def _steps(found: Trace, chosen: Sequence[Choice]) -> list[list[Any]]:
    """Return the steps, with {"choice": i} where the largest logit stands."""
    choice_at = {step: i for i, each in enumerate(chosen) for step in each.steps}
    functions = [function.__name__ for function in TRACED]
    steps = []
    for i, step in enumerate(found.steps):
        changed = dict(step.changed)
        if i in choice_at:
            changed["largest"] = {"choice": choice_at[i]}
        place = [functions.index(step.function), step.line, step.call, step.depth]
        returned = [step.returned] if step.returns else []
        steps.append([*place, *step.place, changed, *returned])
    return steps


def _picks_of_the_same_graph(first: Trace, second: Trace) -> list[int]:
    """Return what second picked at each choice; all else must be as in the first."""
    picks_first, picks_second = choices(first), choices(second)
    free = {use for each in picks_first for use in each.uses}
    same = len(first.nodes) == len(second.nodes) and all(
        a.label == b.label for a, b in zip(first.nodes, second.nodes)
    )
    for node, (a, b) in enumerate(zip(first.inputs, second.inputs)):
        same = same and len(a) == len(b)
        for place, pair in enumerate(zip(a, b)):
            same = same and (pair[0] == pair[1] or (node, place) in free)
    if not same:
        raise ValueError(
            "the graph of this text depends on the numbers, and a page can show only "
            "one: use one checkpoint, or --train 0"
        )
    return [each.picked for each in picks_second]


def _matrix(run: Run, name: str) -> list[list[float]]:
    return [[weight.data for weight in row] for row in run.params[name]]


def token_name(tokenizer: CharTokenizer, token_id: int) -> str:
    """Return how a token is shown: "BOS", or the character, in quotes if unseen."""
    if token_id == tokenizer.bos:
        return "BOS"
    char = tokenizer.decode([token_id])
    return char if char.isprintable() and not char.isspace() else repr(char)


def source(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the lines of a function, and which of them are its docstring."""
    lines, first = inspect.getsourcelines(function)
    text = "".join(lines)
    quotes = [i for i, line in enumerate(lines) if '"""' in line]
    docstring = [first + quotes[0], first + quotes[-1]] if quotes else []
    return {
        "name": function.__name__,
        "first": first,
        "lines": text.rstrip("\n").split("\n"),
        "docstring": docstring,
        "file": os.path.basename(inspect.getsourcefile(function) or ""),
    }


def principal_directions(rows: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Return the mean of the rows, and the two directions in which they differ most.

    A list of 16 numbers is a point in a space of 16 dimensions, which nobody can see.
    Of all flat maps of the points, the one along these two directions keeps as much as
    possible of their distances. ("Principal component analysis". The directions are the
    eigenvectors of the covariance matrix with the two largest eigenvalues.) `share` is
    how much of all variance each direction keeps.

    >>> found = principal_directions([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> found["share"]
    [0.9, 0.1]
    """
    n, width = len(rows), len(rows[0])
    mean = [sum(row[j] for row in rows) / n for j in range(width)]
    centred = [[x - m for x, m in zip(row, mean)] for row in rows]
    covariance = [
        [sum(row[i] * row[j] for row in centred) / n for j in range(width)]
        for i in range(width)
    ]
    variance = sum(covariance[i][i] for i in range(width))
    directions: list[list[float]] = []
    shares: list[float] = []
    for _ in range(2):
        # Multiplying by the covariance stretches most along the largest direction, so a
        # vector that is multiplied again and again turns there. What it has of the
        # directions found before is taken away each time.
        vector = [1.0 + 0.1 * j for j in range(width)]
        for _ in range(500):
            product = [sum(c * x for c, x in zip(row, vector)) for row in covariance]
            for other in directions:
                along = sum(p * o for p, o in zip(product, other))
                product = [p - along * o for p, o in zip(product, other)]
            length = math.hypot(*product)
            if length < 1e-12 * variance or length == 0:
                vector = [0.0] * width  # nothing is left in this direction
                break
            vector = [p / length for p in product]
        stretched = [sum(c * x for c, x in zip(row, vector)) for row in covariance]
        kept = sum(s * x for s, x in zip(stretched, vector))
        directions.append(vector)
        shares.append(round(kept / variance, 12) if variance else 0.0)
    return {"mean": mean, "directions": directions, "share": shares}


# The page as a file.


def _page(content: Content) -> Page:
    """Put the parts of page/ and the content together."""
    parts = {"content": content.packed()}
    for file in ("page.css", "engine.js", "page.js"):
        parts[file] = _read(file)
    text = _read("page.html")
    for name, part in parts.items():
        mark = f"[[{name}]]"
        before, found, after = text.partition(mark)
        if not found:
            raise ValueError(f"page.html has no {mark}")
        text = before + part + after
    return Page(text)


def _read(file: str) -> str:
    with open(os.path.join(HERE, "page", file), encoding="utf-8") as opened:
        return opened.read()


def page_bytes(config: GPTConfig, n_tokens: int, n_states: int) -> int:
    """Return about how large a page becomes, in bytes.

    A token makes about 22 * n_embd nodes in each layer, and each weight of the model is
    used once for each token. In the file, a node takes 21 bytes for each state, and a
    use 3.
    """
    n_parameters = sum(m * n for m, n in param_shapes(config).values())
    per_layer = 22 * config.n_embd + config.n_head * (2.5 * n_tokens + 8)
    per_token = 2 * config.n_embd + config.n_layer * per_layer + config.vocab_size
    n_nodes = n_parameters + n_tokens * per_token
    return int(21 * n_nodes * n_states + 3 * n_parameters * n_tokens + 100_000)


def check_that_it_fits(config: GPTConfig, text: str, n_states: int) -> None:
    """Refuse a page that would be too large for a browser: ValueError."""
    n_tokens = min(len(text) + 1, config.block_size)
    needed = page_bytes(config, n_tokens, n_states)
    if needed > LARGEST_PAGE:
        raise ValueError(
            f"a page for this model and text would take about {in_bytes(needed)}, and "
            f"browsers become slow above {in_bytes(LARGEST_PAGE)}: give a shorter "
            "--text, or train a smaller model (--n-embd, --n-layer)"
        )


def check_that_they_match(runs: Sequence[Run]) -> None:
    """Refuse two runs that cannot be compared number by number: ValueError."""
    for other in runs[1:]:
        if vars(other.config) != vars(runs[0].config):
            raise ValueError(
                f"the two models have different sizes, {runs[0].config} and "
                f"{other.config}: compare runs of one size"
            )
        if other.tokenizer.chars != runs[0].tokenizer.chars:
            raise ValueError(
                "the two models have different vocabularies: compare runs that were "
                "trained on the same file"
            )


# The command.


def main(argv: Sequence[str] | None = None) -> int:
    """Run `python examples/xray/xray.py`; return its exit code."""
    return run_command(lambda: _command(argv))


def _command(argv: Sequence[str] | None) -> int:
    parser = OneLineParser(
        prog="python examples/xray/xray.py",
        description="Write a page on which every number of a GPT can be asked where it "
        "came from.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--text", metavar="TEXT", default="maria", help="what is read (default: maria)")
    help = "a saved run to look at; give it twice to compare two (default: train anew)"
    add("--checkpoint", metavar="FILE", action="append", default=[], help=help)
    help = "how many steps to train; 0: not at all (default: 500)"
    add("--train", metavar="N", type=int, help=help)
    path = os.path.join("out", "xray.html")
    add("--out", metavar="FILE", default=path, help=f"the page (default: {path})")
    add("--no-open", action="store_true", help="only write it (default: open it)")
    args = parser.parse_args(argv)
    if len(args.checkpoint) > 2:
        raise ValueError(
            f"--checkpoint is given {len(args.checkpoint)} times: give two at most"
        )
    if args.checkpoint and args.train is not None:
        raise ValueError(
            "--train makes a new model, --checkpoint shows a saved one: give one of "
            "the two"
        )
    n_steps = 500 if args.train is None else args.train
    if n_steps < 0:
        raise ValueError(f"--train is {n_steps}: make it 0 or more")
    check_writable(args.out)

    if args.checkpoint:
        runs = [load_checkpoint(path) for path in args.checkpoint]
        check_that_they_match(runs)
        check_that_it_fits(runs[0].config, args.text, n_states=len(runs))
        states = [(i, run.step, trace(run, args.text)) for i, run in enumerate(runs)]
        names = [shown(path) for path in args.checkpoint]
    else:
        run, states = trained(n_steps, args.text)
        runs, names = [run], ["The default model"]
    page = _page(run_content(runs, names, states, args.text))
    page.save(args.out)
    say(f"{args.out}: {in_bytes(len(page.html))}, open it in a browser")
    if not args.no_open and _has_display():
        webbrowser.open(pathlib.Path(args.out).absolute().as_uri())
    return 0


def trained(n_steps: int, text: str) -> tuple[Run, list[tuple[int, int, Trace]]]:
    """Return the default model after n_steps, and its traces on the way there."""
    documents = read_documents(os.path.join(ROOT, "input.txt"))
    training = TrainConfig(steps=max(1, n_steps))
    run, train_documents, _ = start(documents, training)
    states = [(0, 0, trace(run, text))]  # bad text is found here, before training
    if n_steps:
        progress = Progress("step", n_steps, every=max(1, n_steps // 5))
        for _ in train(run, train_documents):
            recent = run.losses[-50:]  # as microgpt.train shows it
            progress.show(run.step, f", loss {sum(recent) / len(recent):.3f}")
            if run.step in SNAPSHOTS or run.step == n_steps:
                states.append((0, run.step, trace(run, text)))
        progress.finish()
    return run, states


def _has_display() -> bool:
    """Say whether there is a screen on which a browser could open."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


if __name__ == "__main__":
    sys.exit(main())
