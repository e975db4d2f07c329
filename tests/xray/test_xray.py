"""What a page holds is what Python computed, and bad input is one line."""

from __future__ import annotations

import doctest
import math
import random
import re
from html.parser import HTMLParser

import pytest

from microgpt import CharTokenizer, Value, document_loss, flatten, save_checkpoint
from microgpt.tools.checkpoint import load_checkpoint
from tests.helpers import assert_one_line_error, call
from tests.xray.xray_support import tracer, trained_run, unpacked, xray

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run():
    return trained_run()


def test_a_page_holds_every_number_of_the_graph_with_all_its_digits(run) -> None:
    meta, columns = unpacked(xray.xray_run(run, "maia"))
    tokens = run.tokenizer.encode_document("maia")
    loss = document_loss(run.params, run.config, tokens)
    loss.backward()
    parameters = flatten(run.params)
    n = len(parameters)
    assert columns["data0"][:n] == [parameter.data for parameter in parameters]
    assert columns["grad0"][:n] == [parameter.grad for parameter in parameters]
    for parameter in parameters:
        parameter.grad = 0.0
    assert columns["data0"][meta["root"]] == loss.data
    assert columns["grad0"][meta["root"]] == 1.0

    found = tracer.trace(run, "maia")
    assert columns["n_inputs"] == [len(inputs) for inputs in found.inputs]
    assert columns["inputs"] == [x for inputs in found.inputs for x in inputs]
    # The slopes that are not given are those of sums and products, which the page finds
    # with the same digits.
    given = iter(columns["slopes"])
    for node, slopes in enumerate(found.slopes):
        data = [found.data[input] for input in found.inputs[node]]
        label = found.nodes[node].label
        half = len(data) // 2
        exact = {
            "+": [1.0, 1.0],
            "-": [1.0, -1.0],
            "*": data[::-1],
            "dot": data[half:] + data[:half],
            "total": [1.0] * len(data),
        }
        assert set(exact) == set(meta["exact"])
        expected = exact.get(label) or [next(given) for _ in slopes]
        assert list(slopes) == expected
    assert next(given, None) is None


def test_snapshots_and_two_runs_share_one_graph_but_for_the_picks(run) -> None:
    other = trained_run(steps=60, seed=8)
    page = xray.xray_run(run, "maia", other)
    meta, columns = unpacked(page)
    for i, each in enumerate([run, other]):
        found = tracer.trace(each, "maia")
        assert columns[f"data{i}"] == found.data
        assert columns[f"grad{i}"] == found.grads
        assert meta["states"][i]["picks"] == [
            choice.picked for choice in tracer.choices(found)
        ]
    assert meta["states"][0]["picks"] != meta["states"][1]["picks"]


def test_a_graph_page_lists_the_nodes_in_the_order_of_backward() -> None:
    # y = (a * b + a).relu() with a = 2, b = 3: y = 8, dy/da = b + 1 = 4, dy/db = a = 2.
    a, b = Value(2.0, label="a"), Value(3.0, label="b")
    y = (a * b + a).relu()
    a.grad, y.grad = 7.0, 9.0  # from some earlier use
    meta, columns = unpacked(xray.xray_graph(y))
    assert (a.grad, b.grad, y.grad) == (7.0, 0.0, 9.0)
    labels = [meta["labels"][i] for i in columns["label"]]
    assert labels == ["a", "b", "*", "+", "relu"]
    assert columns["grad0"] == [4.0, 2.0, 1.0, 1.0, 1.0]
    assert [labels[node] for node in columns["order"]] == ["relu", "+", "*"]
    assert columns["inputs"] == [0, 1, 2, 0, 3]
    # A root that is a leaf has nothing to visit.
    meta, columns = unpacked(xray.xray_graph(Value(5.0)))
    assert (columns["data0"], columns["grad0"], columns["order"]) == ([5.0], [1.0], [])


def test_a_graph_of_ten_thousand_nodes_is_shown_and_a_larger_one_refused() -> None:
    y = Value(1.0)
    for _ in range(9_999):
        y = y.relu()
    _, columns = unpacked(xray.xray_graph(y))
    assert len(columns["order"]) == 9_999
    assert columns["grad0"][0] == 1.0
    with pytest.raises(ValueError, match="10,001 nodes"):
        xray.xray_graph(y.relu())


def test_the_principal_directions_keep_more_than_any_others() -> None:
    rng = random.Random(3)
    stretch = [5.0, 3.0, 1.0, 0.5]
    rows = []
    for _ in range(60):
        a, b, c, d = [rng.gauss(0, 1) * size for size in stretch]
        rows.append([a + b, a - b, c + d, c - d])
    found = xray.principal_directions(rows)
    first, second = found["directions"]
    n = len(rows)

    def variance(direction: list[float]) -> float:
        along = [
            sum((x - m) * d for x, m, d in zip(row, found["mean"], direction))
            for row in rows
        ]
        return sum(x * x for x in along) / n

    for direction in (first, second):
        assert math.hypot(*direction) == pytest.approx(1)
    assert sum(x * y for x, y in zip(first, second)) == pytest.approx(0, abs=1e-9)
    axes = [[float(i == j) for i in range(4)] for j in range(4)]
    total = sum(variance(axis) for axis in axes)
    assert found["share"] == [
        pytest.approx(variance(direction) / total) for direction in (first, second)
    ]
    for _ in range(200):
        other = [rng.gauss(0, 1) for _ in range(4)]
        length = math.hypot(*other)
        assert variance([x / length for x in other]) <= variance(first) + 1e-9
        # And among those at right angles to the first, none beats the second.
        along = sum(x * y for x, y in zip(other, first))
        rest = [x - along * y for x, y in zip(other, first)]
        length = math.hypot(*rest)
        assert variance([x / length for x in rest]) <= variance(second) + 1e-9


def test_rows_that_are_all_equal_have_a_map_too() -> None:
    found = xray.principal_directions([[1.0], [1.0]])
    assert found["share"] == [0.0, 0.0]


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.attributes: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.found.append(tag)
        self.attributes += [name for name, _ in attrs]


def test_text_does_not_become_markup_in_the_file() -> None:
    ordinary, hostile = Tags(), Tags()
    ordinary.feed(xray.xray_run(trained_run(steps=1), "maia").html)
    text = "<img src=x onerror=y>"
    run = trained_run(steps=1, names=[text, "</script>", "-->"], block_size=21)
    hostile.feed(xray.xray_run(run, text).html)
    assert ordinary.found == hostile.found
    assert "img" not in hostile.found and "onerror" not in hostile.attributes


def test_the_examples_in_the_docstrings_are_true() -> None:
    assert doctest.testmod(xray).attempted > 6
    assert doctest.testmod(xray).failed == 0


def test_a_notebook_shows_the_page_in_a_frame(run) -> None:
    page = xray.xray_run(run, "maia")

    class Frame(HTMLParser):
        srcdoc = ""

        def handle_starttag(self, tag, attrs) -> None:
            assert tag == "iframe"
            self.srcdoc = dict(attrs)["srcdoc"]

    frame = Frame()
    frame.feed(page._repr_html_())
    assert frame.srcdoc == page.html


# The command.


def test_a_saved_run_is_shown_without_training(capsys, tmp_path, run) -> None:
    checkpoint, out = tmp_path / "run.json", tmp_path / "new" / "page.html"
    save_checkpoint(str(checkpoint), run)
    outcome = call(
        capsys,
        xray.main,
        *("--checkpoint", checkpoint, "--text", "mia", "--out", out, "--no-open"),
    )
    assert (outcome.code, outcome.err) == (0, "")
    meta, columns = unpacked(out.read_text(encoding="utf-8"))
    loaded = load_checkpoint(str(checkpoint))
    tokens = loaded.tokenizer.encode_document("mia")
    loss = document_loss(loaded.params, loaded.config, tokens)
    assert columns["data0"][meta["root"]] == loss.data
    assert len(meta["states"]) == 1
    assert meta["runs"][0]["name"] == str(checkpoint)


def test_two_saved_runs_stand_beside_each_other(capsys, tmp_path, run) -> None:
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path, each in zip(paths, [run, trained_run(steps=5, seed=8)]):
        save_checkpoint(str(path), each)
    both = [word for path in paths for word in ("--checkpoint", path)]
    out = tmp_path / "page.html"
    outcome = call(capsys, xray.main, *both, "--text", "mia", "--out", out, "--no-open")
    assert (outcome.code, outcome.err) == (0, "")
    meta, _ = unpacked(out.read_text(encoding="utf-8"))
    assert [each["name"] for each in meta["runs"]] == [str(path) for path in paths]
    assert [each["step"] for each in meta["runs"]] == [30, 5]


@pytest.mark.parametrize(
    "display, flags, opens", [("", (), 0), (":0", (), 1), (":0", ("--no-open",), 0)]
)
def test_the_page_is_opened_where_there_is_a_screen(
    capsys, monkeypatch, tmp_path, saved, display, flags, opens
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(xray.webbrowser, "open", opened.append)
    monkeypatch.setattr(xray.sys, "platform", "linux")
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    argv = [word for word in saved if word != "--no-open"]
    outcome = call(capsys, xray.main, *argv, *flags, "--text", "mia")
    assert outcome.code == 0
    page = (tmp_path / "page.html").as_uri()
    assert opened == [page] * opens


@pytest.fixture
def saved(tmp_path, run):
    path = tmp_path / "run.json"
    save_checkpoint(str(path), run)
    return ("--checkpoint", path, "--no-open", "--out", tmp_path / "page.html")


@pytest.mark.parametrize(
    "argv, words",
    [
        (("--text", "mia!"), ["'!'", "vocabulary"]),
        (("--text", "amiamia"), ["7 characters", "shorten it to 6"]),
        (("--train", "5"), ["--train", "--checkpoint"]),
        (("--checkpoint", "missing.json"), ["missing.json"]),
        (("--checkpoint", "a", "--checkpoint", "b"), ["3 times"]),
    ],
)
def test_bad_input_is_one_line(capsys, saved, argv, words) -> None:
    assert_one_line_error(call(capsys, xray.main, *saved, *argv), *words)


def test_bad_text_and_bad_steps_are_found_before_training(capsys, tmp_path) -> None:
    out = ("--no-open", "--out", tmp_path / "page.html")
    outcome = call(capsys, xray.main, *out, "--text", "Maria")
    assert_one_line_error(outcome, "'M'")
    assert "step" not in outcome.out
    outcome = call(capsys, xray.main, *out, "--train", "-1")
    assert_one_line_error(outcome, "--train is -1")


def test_a_page_that_cannot_be_written_is_refused_before_training(
    capsys, tmp_path
) -> None:
    file = tmp_path / "file"
    file.write_text("no folder", encoding="utf-8")
    for out in (file / "page.html", tmp_path):
        outcome = call(capsys, xray.main, "--no-open", "--out", out)
        assert_one_line_error(outcome, out)
        assert "step" not in outcome.out
    assert file.read_text(encoding="utf-8") == "no folder"


def test_runs_that_cannot_be_compared_are_refused(run) -> None:
    with pytest.raises(ValueError, match="different sizes"):
        xray.xray_run(run, "mia", trained_run(steps=1, n_embd=4))
    other = trained_run(steps=1)
    other.tokenizer = CharTokenizer(run.tokenizer.chars[::-1])
    with pytest.raises(ValueError, match="different vocabularies"):
        xray.xray_run(run, "mia", other)


def test_a_model_too_large_for_a_page_is_refused_with_the_flags_that_help() -> None:
    run = trained_run(steps=1, n_layer=1, n_embd=4)
    large = type(run.config)(vocab_size=27, n_embd=512, n_layer=4)
    with pytest.raises(ValueError, match=r"MB.*--text.*--n-embd, --n-layer"):
        xray.check_that_it_fits(large, "maria", n_states=1)
    xray.check_that_it_fits(run.config, "mia", n_states=10)


@pytest.mark.parametrize("sizes", [{}, {"n_embd": 32}, {"n_layer": 1, "n_head": 4}])
def test_a_page_is_about_as_large_as_said(sizes) -> None:
    run = trained_run(steps=3, **sizes)
    content = xray.run_content(
        [run], ["run"], [(0, 3, tracer.trace(run, "maia"))], "maia"
    )
    ratio = len(xray._page(content).html) / xray.page_bytes(run.config, 5, 1)
    assert 0.5 < ratio < 2


@pytest.mark.slow
def test_the_default_page_stays_under_3_mb_and_holds_the_snapshots(
    capsys, tmp_path
) -> None:
    out = tmp_path / "page.html"
    outcome = call(capsys, xray.main, "--no-open", "--out", out, "--train", "12")
    assert (outcome.code, outcome.err) == (0, "")
    meta, columns = unpacked(out.read_text(encoding="utf-8"))
    assert [state["step"] for state in meta["states"]] == [0, 1, 2, 5, 10, 12]
    assert len(meta["runs"][0]["losses"]) == 12
    # A full run has ten snapshots: four more of the size of these.
    numbers = 16 * len(columns["data0"]) * 4 / 3
    assert out.stat().st_size + 4 * numbers < 3_000_000
    losses = [columns[f"data{i}"][meta["root"]] for i in range(6)]
    assert losses[0] == pytest.approx(math.log(27), abs=0.1)
    assert losses[-1] < losses[0]
    assert re.search(r"xray|page\.html", outcome.out)
