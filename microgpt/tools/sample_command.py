"""What `python -m microgpt.sample` does: write with a saved model."""

from __future__ import annotations

import argparse
import math
import os
import random
from collections.abc import Sequence
from typing import Any

from microgpt import __version__
from microgpt.model import as_floats
from microgpt.sampling import likeliest, next_tokens, token_probabilities
from microgpt.tools.checkpoint import load_checkpoint
from microgpt.tools.draw import bars
from microgpt.tools.folder import CHECKPOINT
from microgpt.tools.terminal import OneLineParser, run_command, say, shown


def add_sampling_arguments(parser: argparse.ArgumentParser, temperature: float) -> None:
    """Give a command the flags that say how its tokens are drawn."""
    add = parser.add_argument
    text = f"below 1: safer, above: wilder (default: {temperature})"
    add("--temperature", metavar="T", type=float, default=temperature, help=text)
    text = "draw from the K likeliest tokens only (default: from all)"
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--top-k", metavar="K", type=int, help=text)
    text = "draw from the likeliest that together reach P only (default: from all)"
    add("--top-p", metavar="P", type=float, help=text)
    text = "always take the likeliest: --top-k 1 (default: draw)"
    either.add_argument("--greedy", action="store_true", help=text)
    text = "another seed, other samples (default: 42)"
    add("--seed", metavar="N", type=int, default=42, help=text)
    text = "show what each token was drawn from (default: do not)"
    add("--show-probabilities", action="store_true", help=text)


def sampling_settings(args: argparse.Namespace) -> tuple[dict[str, Any], random.Random]:
    """Return (settings of token_probabilities, dice) as those flags ask for.

    Bad settings are refused here, before a model is read: ValueError.
    """
    if args.seed < 0:
        raise ValueError(f"--seed is {args.seed}: make it 0 or more")
    if not 0 < args.temperature < math.inf:
        raise ValueError(
            f"--temperature is {args.temperature}: make it a finite number above 0 "
            "(--greedy always takes the likeliest token)"
        )
    top_k = 1 if args.greedy else args.top_k
    how = {"temperature": args.temperature, "top_k": top_k, "top_p": args.top_p}
    try:
        token_probabilities([0.0], **how)
    except ValueError as error:
        text = str(error).replace("top_k", "--top-k").replace("top_p", "--top-p")
        raise ValueError(text) from None
    return how, random.Random(args.seed)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `python -m microgpt.sample`; return its exit code."""
    return run_command(lambda: _command(argv))


def _command(argv: Sequence[str] | None) -> int:
    parser = OneLineParser(
        prog="python -m microgpt.sample",
        description="Draw names from a model that python -m microgpt.train has saved.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    path = os.path.join("out", CHECKPOINT)
    text = f"the file, or the folder that it is in (default: {path})"
    add("--checkpoint", metavar="FILE", default=path, help=text)
    add("--n", metavar="N", type=int, default=20, help="samples (default: 20)")
    text = "the beginning of every sample (default: none)"
    add("--prompt", metavar="TEXT", default="", help=text)
    add_sampling_arguments(parser, temperature=0.6)
    add("--version", action="version", version=f"microgpt {__version__}")
    args = parser.parse_args(argv)
    if args.n < 1:
        raise ValueError(f"--n is {args.n}: make it 1 or more")
    how, rng = sampling_settings(args)
    if args.checkpoint == "":
        raise ValueError("--checkpoint is empty: name a file, or do without it")
    path = args.checkpoint
    if os.path.isdir(path):
        path = os.path.join(path, CHECKPOINT)
    run = load_checkpoint(path)
    block_size = run.config.block_size
    if len(args.prompt) >= block_size:
        raise ValueError(
            f"--prompt has {len(args.prompt)} characters, but this model sees "
            f"{block_size} at a time (block_size): shorten it to {block_size - 1} at "
            "most"
        )
    model = (as_floats(run.params), run.config, run.tokenizer, rng)
    for _ in range(args.n):
        text = args.prompt
        for token_id, probs in next_tokens(*model, args.prompt, **how):
            if args.show_probabilities:
                say(f"after {text!r}:")
                names = [
                    (shown(run.tokenizer.decode([i])) or "end", prob)
                    for i, prob in likeliest(probs)
                ]
                say(bars(names))
            text += run.tokenizer.decode([token_id])
        say(shown(text))
    return 0
