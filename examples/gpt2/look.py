"""A page on what GPT-2 does with a text: who looks at whom, and what each layer thinks.

    python examples/gpt2/look.py gpt2 "It did not fit into the suitcase because it was"

writes out/look.html, which needs no network, and opens it in a browser. It shows

    the surprise   of the model at each token, in nats
    the logit lens what would come next if the model ended after each layer: the head is
                   given x as it is there (nostalgebraist, "interpreting GPT: the logit
                   lens", 2020)
    attention      for each layer and head, each token's shares of attention
    the change     with --without 5.1: head 1 of layer 5 is switched off, and everything
                   is computed a second time; --without 5 switches off all of layer 5

The model is that of `model.py`, and its attention the plain one, since the packed one
in `fast.py` keeps the shares of attention to itself. The matrices are packed.
"""

from __future__ import annotations

import contextlib
import heapq
import html
import math
import os
import pathlib
import re
import sys
import webbrowser
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bigmatrix import PartMaker, Products
from bpe import BPE
from complete import (
    _download_progress,
    _show_packing,
    check_fit,
    ends_of,
)
from hub import ask_on_terminal, model_folder
from load import read_config, read_model
from model import GPT2, GPT2Config, gpt2, softmax
from vocabulary import read_tokenizer

from microgpt.model import add
from microgpt.tools.files import check_writable, in_bytes, replace_file
from microgpt.tools.terminal import (
    OneLineParser,
    Progress,
    run_command,
    say,
    typed_bytes,
)
from microgpt.value import sumprod

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "xray", "page")
LARGEST_PAGE = 30_000_000  # bytes; browsers become slow beyond that
SHADES = 10

Place = tuple[int, int]  # a layer and a head in it; head -1: all of the layer
Rows = list[tuple[str, float]]  # (token, its probability)


@dataclass
class Reading:
    """What was seen while the model read a text."""

    weights: dict[tuple[int, int, int], list[float]] = field(default_factory=dict)
    streams: list[list[float]] = field(default_factory=list)  # of the last token
    probs: list[list[float]] = field(default_factory=list)  # after each token


class Watched(GPT2):
    """A GPT2 that notes the shares of attention and x, and of which parts can be off.

    What is switched off adds 0 to x. With nothing off, it computes what a GPT2 does.
    """

    def __init__(
        self,
        config: GPT2Config,
        weights: Mapping[str, Any],
        show: Callable[[int, int], None] | None = None,
    ) -> None:
        super().__init__(config, weights)
        self.products = Products(PartMaker(self.matrices), show=show)
        self.off: set[Place] = set()
        self.seen = Reading()
        # The residual stream once more: read_token keeps its own x to itself.
        self.x: list[float] = []

    def close(self) -> None:
        """End the processes, if there are any."""
        self.products.close()

    def times(self, name: str, x: Sequence[float]) -> list[float]:
        """Return x times the matrix of this name."""
        return self.products.times(name, list(x))

    def attention(self, layer: int, x: list[float], pos_id: int) -> list[float]:
        """Return what the token gathers, as in `GPT2`, and note its shares."""
        n_embd, head_dim = self.config.n_embd, self.config.head_dim
        scale = self.config.score_scale(layer)
        qkv = self.linear(f"h.{layer}.attn.c_attn", x)
        keys, values = self.keys[layer], self.values[layer]
        del keys[pos_id:], values[pos_id:]
        keys.append(array("d", qkv[n_embd : 2 * n_embd]))
        values.append(array("d", qkv[2 * n_embd :]))
        gathered: list[float] = []
        for h in range(self.config.n_head):
            head = slice(h * head_dim, (h + 1) * head_dim)
            scores = [sumprod(qkv[head], k_t[head]) * scale for k_t in keys]
            weights = softmax(scores)
            self.seen.weights[layer, h, pos_id] = weights
            if (layer, h) in self.off:
                gathered += [0.0] * head_dim
            else:
                columns = zip(*[v_t[head] for v_t in values])
                gathered += [sumprod(weights, column) for column in columns]
        out = self.linear(f"h.{layer}.attn.c_proj", gathered)
        return self._added(layer, out)

    def mlp(self, layer: int, x: list[float]) -> list[float]:
        """Return what the token makes of its own x, and note x after this layer."""
        out = self._added(layer, super().mlp(layer, x))
        self.seen.streams.append(self.x)
        return out

    def _added(self, layer: int, out: list[float]) -> list[float]:
        if (layer, -1) in self.off:
            out = [0.0] * len(out)
        self.x = add(self.x, out)
        return out

    def read(
        self, tokens: Sequence[int], show: Callable[[int], None] | None = None
    ) -> Reading:
        """Read a text from its beginning, and return what was seen."""
        self.seen = Reading()
        n_embd = self.config.n_embd
        for pos_id, token_id in enumerate(tokens):
            token = self.wte[token_id * n_embd : (token_id + 1) * n_embd]
            pos = self.wpe[pos_id * n_embd : (pos_id + 1) * n_embd]
            self.x = [t + p for t, p in zip(token, pos)]
            self.seen.streams = [self.x]
            self.seen.probs.append(softmax(gpt2(self, token_id, pos_id)))
            if show:
                show(pos_id + 1)
        return self.seen

    def lens(self, x: list[float]) -> list[float]:
        """Return the probabilities that the head finds in x: (vocab_size)."""
        return softmax(self.times("lm_head.weight", self.norm("ln_f", x)))


def parse_part(text: str, config: GPT2Config) -> Place:
    """Return (layer, head) of "5.1", and (layer, -1) of "5". Not there: ValueError."""
    found = re.fullmatch(r"(\d{1,9})(?:\.(\d{1,9}))?", text)
    if not found:
        raise ValueError(
            f"--without is {text!r}: give a layer, as 5, or a head, as 5.1"
        )
    layer, head = int(found[1]), -1 if found[2] is None else int(found[2])
    if layer >= config.n_layer:
        raise ValueError(
            f"--without {text}: this model has the layers 0 to {config.n_layer - 1}"
        )
    if head >= config.n_head:
        raise ValueError(
            f"--without {text}: a layer has the heads 0 to {config.n_head - 1}"
        )
    return layer, head


# The page. Every text that comes from outside goes through `escape`.


def escape(text: str) -> str:
    """Return text as it has to stand in a page, so that it stays text."""
    return html.escape(text)


def shades(css: str) -> str:
    """Return rules for the classes s0 to s10, from faint to strong, light and dark.

    Each has black or white text, whichever stands out more: at least 4.5 : 1.
    """
    rules = []
    # The page's colours for the faintest and the strongest: each stands in the CSS
    # twice, first for a light screen and then for a dark one.
    faintest = re.findall(r"--zero: #(\w{6})", css)
    strongest = re.findall(r"--positive: #(\w{6})", css)
    for zero, positive in zip(faintest, strongest):
        scheme = []
        for i in range(SHADES + 1):
            mixed = [
                round(a + (b - a) * i / SHADES)
                for a, b in zip(bytes.fromhex(zero), bytes.fromhex(positive))
            ]
            # At this luminance black and white stand out equally.
            ink = "#000" if luminance(mixed) > 0.179 else "#fff"
            colour = ", ".join([str(number) for number in mixed])
            scheme.append(f".s{i} {{ background: rgb({colour}); color: {ink}; }}")
        rules.append("\n".join(scheme))
    light, dark = rules
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n"


def luminance(colour: Sequence[int]) -> float:
    """Return how bright a colour is to the eye, from 0 to 1 (as WCAG has it)."""
    parts = [c / 255 for c in colour]
    r, g, b = [
        c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts
    ]
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def shade(share: float) -> str:
    """Return the class of a share from 0 to 1; small ones can still be told from 0."""
    return f"s{round(SHADES * math.sqrt(min(1.0, max(0.0, share))))}"


def panel(title: str, sentence: str, body: str, more: str) -> str:
    """Return a panel, as the X-ray page has them."""
    return (
        f'<section class="wide"><h2>{title}</h2><p class="plain">{sentence}</p>{body}'
        f"<details><summary>What am I looking at?</summary><p>{more}</p></details>"
        "</section>\n"
    )


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of cells that are markup already."""
    top = "".join([f'<th scope="col">{head}</th>' for head in heads])
    lines = ["".join([f"<td>{cell}</td>" for cell in row]) for row in rows]
    body = "".join([f"<tr>{line}</tr>" for line in lines])
    return f'<div class="scroll" tabindex="0"><table><tr>{top}</tr>{body}</table></div>'


class Look:
    """The page on one text."""

    def __init__(
        self,
        model: Watched,
        bpe: BPE,
        tokens: Sequence[int],
        without: Sequence[str] = (),
        show: Callable[[int], None] | None = None,
    ) -> None:
        self.model, self.bpe, self.tokens = model, bpe, list(tokens)
        self.names = [escape(bpe.readable(i)) for i in tokens]
        self.known = sorted(bpe.token_bytes)
        self.first = model.read(tokens, show)
        streams = self.first.streams
        self.lens = [self.likeliest(model.lens(x)) for x in streams]
        self.without = ", ".join(without)
        self.second: Reading | None = None
        if without:
            model.off = {parse_part(text, model.config) for text in without}
            self.second = model.read(tokens, show)
            model.off = set()

    def likeliest(self, probs: Sequence[float], n: int = 5) -> Rows:
        """Return the n likeliest tokens, with their probabilities."""
        best = heapq.nlargest(n, self.known, key=probs.__getitem__)
        return [(self.bpe.readable(i), probs[i]) for i in best]

    def surprises(self, reading: Reading) -> list[float]:
        """Return the surprise of each token but the first, in nats."""
        pairs = zip(reading.probs, self.tokens[1:])
        return [-math.log(max(probs[i], 1e-300)) for probs, i in pairs]

    def page(self) -> str:
        """Return the page as text."""
        with open(os.path.join(PAGE, "page.css"), encoding="utf-8") as file:
            css = file.read()
        parts = [self._text(), self._next(), self._lens(), self._attention()]
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta http-equiv="Content-Security-Policy" '
            "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
            f"<title>GPT-2, looked into</title>\n<style>\n{css}{shades(css)}"
            ".wide { grid-column: 1 / -1; }\n"
            "td .s { display: inline-block; padding: 0 0.3rem; border-radius: 3px; }\n"
            ".head td { min-width: 2.4rem; font-size: 0.75rem; }\n"
            ".side.scroll { max-height: none; }\n"
            "</style></head>\n<body><header><h1>GPT-2, looked into</h1></header>\n"
            f"<main>\n{''.join(parts)}</main></body></html>\n"
        )

    def _text(self) -> str:
        first = self.surprises(self.first)
        second = self.surprises(self.second) if self.second else []
        heads = ["token", "surprise in nats"]
        rows = [[self.names[0], "given"]]
        for i, nats in enumerate(first):
            cell = f'<span class="s {shade(nats / 10)}">{nats:.2f}</span>'
            rows.append([self.names[i + 1], cell])
        if second:
            heads += [f"without {escape(self.without)}", "change"]
            rows[0] += ["", ""]
            for row, a, b in zip(rows[1:], first, second):
                row += [f"{b:.2f}", f"{b - a:+.2f}"]
        return panel(
            "The text",
            "How surprising each token was to the model, given those before it.",
            table(heads, rows),
            "The surprise is -log of the probability that the model had given the "
            "token that came: 0 if it was certain, and log(50,257) = 10.8 nats for a "
            "blind guess among GPT-2's tokens. A token is a piece of text, often a "
            "word with the space before it. The first one stands before every text.",
        )

    def _next(self) -> str:
        readings = [self.first, self.second] if self.second else [self.first]
        best = [self.likeliest(each.probs[-1]) for each in readings]
        heads = ["next", ""]
        if self.second:
            heads += [f"without {escape(self.without)}", ""]
        rows = []
        for pairs in zip(*best):
            row = []
            for name, prob in pairs:
                row += [escape(name), f"{prob:.1%}"]
            rows.append(row)
        return panel(
            "What comes next",
            "The five likeliest tokens after the text.",
            table(heads, rows),
            "With --without a part of the model is switched off: it adds nothing to "
            "x, the residual stream. What changes is what that part was there for, in "
            "this text; a part that changes nothing here may matter elsewhere.",
        )

    def _lens(self) -> str:
        rows = []
        for i, best in enumerate(self.lens):
            name = "the embeddings" if i == 0 else f"layer {i - 1}"
            cells = [
                f'<span class="s {shade(p)}">{escape(t)} {p:.1%}</span>'
                for t, p in best
            ]
            rows.append([name, *cells])
        return panel(
            "The logit lens",
            "What would come next if the model ended after each layer.",
            table(["after", "likeliest", "2nd", "3rd", "4th", "5th"], rows),
            "Each layer adds something to x. Here the language-model head is given x "
            "as it is after each layer, at the last token, and asked for the next one, "
            "though it was trained on the last layer only. Of GPT-2, nostalgebraist "
            "(2020) reports that the guesses turn into the last one step by step.",
        )

    def _attention(self) -> str:
        config = self.model.config
        tops = "".join([f'<th scope="col">{name}</th>' for name in self.names])
        body = []
        for layer in range(config.n_layer):
            heads = []
            for h in range(config.n_head):
                rows = []
                for t, name in enumerate(self.names):
                    cells = [
                        f'<td class="{shade(w)}">{w:.2f}</td>'
                        for w in self.first.weights[layer, h, t]
                    ]
                    rows.append(f'<tr><th scope="row">{name}</th>{"".join(cells)}</tr>')
                heads.append(
                    f"<div><h3>layer {layer}, head {h}</h3>"
                    f'<table class="head"><tr><th></th>{tops}</tr>{"".join(rows)}'
                    "</table></div>"
                )
            body.append(
                f"<details{' open' if layer == 0 else ''}><summary>layer {layer}"
                f'</summary><div class="side scroll" tabindex="0">{"".join(heads)}'
                "</div></details>"
            )
        return panel(
            "Attention",
            "Who looks at whom: each row shares out one token's attention.",
            "".join(body),
            "The token at the left of a row looks back at the tokens above the "
            "columns, itself included; a row sums to 1. Many of GPT-2's heads look "
            "mostly at the first token, as if for want of anything that they look for, "
            "report Vig and Belinkov (2019).",
        )


# The command.


def main(argv: Sequence[str] | None = None) -> int:
    """Run `python examples/gpt2/look.py`; return its exit code."""
    return run_command(lambda: _command(argv))


def _command(argv: Sequence[str] | None) -> int:
    parser = OneLineParser(
        prog="python examples/gpt2/look.py",
        description="Write a page on what GPT-2 does with a text.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    text = "gpt2, gpt2-medium, gpt2-large, gpt2-xl, distilgpt2, OWNER/NAME or a folder"
    add("model", metavar="MODEL", help=text)
    add("text", metavar="TEXT", help="what the model reads")
    text = "switch off a layer, as 5, or a head, as 5.1; can be given several times"
    add("--without", metavar="PART", action="append", default=[], help=text)
    path = os.path.join("out", "look.html")
    add("--out", metavar="FILE", default=path, help=f"the page (default: {path})")
    add("--no-open", action="store_true", help="only write it (default: open it)")
    text = "download what is missing without asking (default: ask on a terminal)"
    add("--yes", action="store_true", help=text)
    text = "where downloads are kept (default: the user's cache)"
    add("--cache", metavar="DIR", help=text)
    text = "a server laid out as https://huggingface.co is (default: that)"
    add("--mirror", metavar="URL", help=text)
    args = parser.parse_args(argv)
    folder = model_folder(
        args.model,
        args.cache,
        args.mirror,
        may_download=lambda what: args.yes or ask_on_terminal(what),
        progress=_download_progress,
    )
    config, bpe = read_config(folder), read_tokenizer(folder)
    check_fit(bpe, config)
    for part in args.without:
        parse_part(part, config)
    # In training, a token for the end of a text stood before each.
    tokens = [*ends_of(bpe, config)[:1], *bpe.encode_bytes(typed_bytes(args.text))]
    if not 1 <= len(tokens) <= config.n_positions:
        raise ValueError(
            f"a text of {len(tokens)} tokens, but this model reads 1 to "
            f"{config.n_positions}: shorten it"
        )
    cells = config.n_layer * config.n_head * len(tokens) * (len(tokens) + 1) / 2
    if 30 * cells > LARGEST_PAGE:  # a cell is some 30 bytes of HTML
        raise ValueError(
            f"a page for {len(tokens)} tokens would take about "
            f"{in_bytes(int(30 * cells))}, and browsers become slow above "
            f"{in_bytes(LARGEST_PAGE)}: shorten the text"
        )
    check_writable(args.out)
    progress = Progress("read", len(tokens), every=5, stream=sys.stderr)
    model = Watched(*read_model(folder), show=_show_packing())
    for note in model.products.notes:
        print(note, file=sys.stderr)
    with contextlib.closing(model):
        look = Look(model, bpe, tokens, args.without, show=progress.show)
        progress.finish()
        page = look.page()
    replace_file(args.out, page)
    say(f"{args.out}: {in_bytes(len(page.encode()))}, open it in a browser")
    screen = sys.platform in ("win32", "darwin") or os.environ.get("DISPLAY")
    if screen and not args.no_open:
        webbrowser.open(pathlib.Path(args.out).absolute().as_uri())
    return 0


if __name__ == "__main__":
    sys.exit(main())
