"""The page on what GPT-2 does with a text shows what the model computes."""

from __future__ import annotations

import math
import re
import shutil
from array import array
from html.parser import HTMLParser

import look
import pytest
from gpt2_support import DATA, assert_one_line_error, call
from load import load_gpt2, read_model
from model import gpt2, softmax
from vocabulary import read_tokenizer


@pytest.fixture
def folder(tmp_path):
    """Return a folder with all four files of a model."""
    path = tmp_path / "model"
    shutil.copytree(DATA / "f32_tied", path)
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(DATA / name, path)
    return path


@pytest.fixture
def watched(folder):
    with look.Watched(*read_model(str(folder))) as model:
        yield model


TOKENS = [399, 17, 3, 250, 17]


def plain_probs(folder, tokens):
    with load_gpt2(str(folder)) as model:
        return [softmax(gpt2(model, token, t)) for t, token in enumerate(tokens)]


def test_watching_changes_no_probability(folder, watched) -> None:
    seen = watched.read(TOKENS)
    for ours, its in zip(seen.probs, plain_probs(folder, TOKENS)):
        assert ours == pytest.approx(its, abs=1e-6)
    # And a second reading is not mixed with the first.
    again = watched.read(TOKENS)
    assert again.probs == seen.probs and again.weights == seen.weights


def test_each_row_of_attention_is_shared_out_among_the_tokens_so_far(watched) -> None:
    seen = watched.read(TOKENS)
    config = watched.config
    assert len(seen.weights) == config.n_layer * config.n_head * len(TOKENS)
    for (_, _, pos_id), weights in seen.weights.items():
        assert len(weights) == pos_id + 1
        assert math.fsum(weights) == pytest.approx(1)


def test_the_lens_after_the_last_layer_is_the_model_itself(watched) -> None:
    seen = watched.read(TOKENS)
    assert len(seen.streams) == watched.config.n_layer + 1
    assert watched.lens(seen.streams[-1]) == pytest.approx(seen.probs[-1], abs=1e-6)
    assert watched.lens(seen.streams[0]) != pytest.approx(seen.probs[-1], abs=1e-6)


def test_what_is_switched_off_is_as_if_its_matrix_were_zero(folder, watched) -> None:
    config, weights = read_model(str(folder))
    n_embd, head_dim = config.n_embd, config.head_dim
    # The head's rows of c_proj: what it gathers cannot reach x through zeros.
    changed = {name: list(numbers) for name, numbers in weights.items()}
    name = "h.1.attn.c_proj.weight"
    for i in range(1 * head_dim, 2 * head_dim):
        for j in range(n_embd):
            changed[name][i * n_embd + j] = 0.0
    changed = {name: memoryview(array("d", ns)) for name, ns in changed.items()}
    expected = look.GPT2(config, changed)
    watched.off = {(1, 1)}
    seen = watched.read(TOKENS)
    for t, token in enumerate(TOKENS):
        probs = softmax(gpt2(expected, token, t))
        assert seen.probs[t] == pytest.approx(probs, abs=1e-6)
    # A layer that is off leaves x as it was.
    watched.off = {(1, -1)}
    seen = watched.read(TOKENS)
    assert seen.streams[2] == seen.streams[1]


class Page(HTMLParser):
    """The tables of a page: for each, its rows of texts; and all tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.in_cell = False
        self.tables: list[list[list[str]]] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self.in_cell = True

    def handle_endtag(self, tag) -> None:
        self.in_cell = self.in_cell and tag not in ("td", "th")

    def handle_data(self, data) -> None:
        if self.in_cell:
            self.tables[-1][-1][-1] += data


def test_the_page_shows_surprises_next_tokens_lens_and_attention(
    capsys, folder, tmp_path
) -> None:
    out = tmp_path / "new" / "look.html"
    outcome = call(
        capsys,
        look.main,
        *(folder, "the cat", "--without", "1.0", "--out", out, "--no-open"),
    )
    assert outcome.code == 0, outcome.err
    assert str(out) in outcome.out
    bpe = read_tokenizer(str(folder))
    tokens = [399, *bpe.encode("the cat")]
    probs = plain_probs(folder, tokens)
    page = Page(out.read_text(encoding="utf-8"))
    surprises, following, lens, *grids = page.tables

    assert [row[0] for row in surprises[1:]] == [bpe.readable(i) for i in tokens]
    for row, before, token in zip(surprises[2:], probs, tokens[1:]):
        assert float(row[1]) == pytest.approx(-math.log(before[token]), abs=0.006)
        change = float(row[2]) - float(row[1])
        assert float(row[3]) == pytest.approx(change, abs=0.011)
    assert any(float(row[3]) for row in surprises[2:])
    best = max(range(400), key=lambda i: probs[-1][i])
    assert following[1][:2] == [bpe.readable(best), f"{probs[-1][best]:.1%}"]
    with load_gpt2(str(folder)) as model:
        config = model.config
    assert [row[0] for row in lens[1:]] == [
        "the embeddings",
        *[f"layer {i}" for i in range(config.n_layer)],
    ]
    assert lens[-1][1] == f"{bpe.readable(best)} {probs[-1][best]:.1%}"
    assert len(grids) == config.n_layer * config.n_head
    for grid in grids:
        assert grid[0][1:] == [bpe.readable(i) for i in tokens]
        for t, row in enumerate(grid[1:]):
            assert row[0] == bpe.readable(tokens[t])
            assert len(row) == t + 2
            assert sum(map(float, row[1:])) == pytest.approx(1, abs=0.03)


def test_text_does_not_become_markup(folder, watched) -> None:
    bpe = read_tokenizer(str(folder))
    hostile = "<img src=x onerror=y></style></table>"
    page = look.Look(watched, bpe, bpe.encode(hostile), ["0"]).page()
    assert "img" not in Page(page).tags
    assert Page(page).tags.count("style") == 1


def test_every_shade_has_text_that_stands_out() -> None:
    css = (look.pathlib.Path(look.PAGE) / "page.css").read_text(encoding="utf-8")
    rules = re.findall(
        r"\.s\d+ \{ background: rgb\((.*?)\); color: #(.)", look.shades(css)
    )
    assert len(rules) == 2 * 11  # light and dark
    for ground, ink in rules:
        bright = look.luminance([int(number) for number in ground.split(", ")])
        text = 1.0 if ink == "f" else 0.0
        light, dark = max(bright, text), min(bright, text)
        assert (light + 0.05) / (dark + 0.05) >= 4.5


@pytest.mark.parametrize(
    "flags, words",
    [
        (("--without", "9"), ["--without 9", "layers 0 to"]),
        (("--without", "0.77"), ["--without 0.77", "heads 0 to"]),
        (("--without", "head"), ["'head'", "5.1"]),
    ],
)
def test_a_part_that_is_not_there_is_named(capsys, folder, flags, words) -> None:
    outcome = call(capsys, look.main, folder, "the", *flags, "--no-open")
    assert_one_line_error(outcome, *words)


def test_a_page_that_cannot_be_written_is_refused_before_the_model_is_read(
    capsys, folder, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(look, "read_model", None)
    file = tmp_path / "file"
    file.write_text("no folder", encoding="utf-8")
    for out in (tmp_path, file / "page.html", ""):
        outcome = call(capsys, look.main, folder, "the", "--no-open", "--out", out)
        assert_one_line_error(outcome, out or "empty name")


def test_a_text_longer_than_the_context_is_refused(capsys, folder) -> None:
    outcome = call(capsys, look.main, folder, "a e i o u " * 20, "--no-open")
    assert_one_line_error(outcome, "tokens", "1 to 32")
