"""To write, a model is asked for the next token, over and over, and dice decide.

Before this came `draw.py`; next comes `train.py`, which makes the models that this file
samples from. As a command it completes names with a saved model:

    python -m microgpt.sample --prompt ma --show-probabilities

Papers: for top_k Fan, Lewis and Dauphin, "Hierarchical neural story generation", 2018;
for top_p Holtzman et al., "The curious case of neural text degeneration", 2020.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from microgpt.checkpoint import load_checkpoint
from microgpt.draw import bars
from microgpt.gpt import GPTConfig, Params, empty_cache, gpt
from microgpt.tokenizer import CharTokenizer
from microgpt.value import Value


def token_probabilities(
    logits: Sequence[float],
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> list[float]:
    """Return softmax(logits / temperature), with unlikely tokens cut off if asked.

    A temperature below 1 favours the likely tokens, above 1 the others. top_k keeps the
    k likeliest; top_p, after it, the likeliest that together reach p. What is kept is
    scaled to sum to 1 again. Out of range: ValueError.

    >>> [round(p, 2) for p in token_probabilities([2.0, 1.0, 0.0], top_k=2)]
    [0.73, 0.27, 0.0]
    """
    if not (temperature > 0 and math.isfinite(temperature)):
        raise ValueError(f"temperature is {temperature}: make it more than 0")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k is {top_k}: make it 1 or more")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p is {top_p}: make it more than 0, at most 1")
    if not all(map(math.isfinite, logits)):
        raise ValueError("a logit is not finite: train with a lower --learning-rate")
    maximum = max(logits)
    # Subtract first, then divide: nothing can overflow, however small the temperature.
    exps = [math.exp((logit - maximum) / temperature) for logit in logits]
    exps_sum = sum(exps)
    probs = [e / exps_sum for e in exps]
    if top_k is None and top_p is None:
        return probs

    likeliest_first = sorted(range(len(probs)), key=lambda i: -probs[i])
    kept = likeliest_first[:top_k]
    kept_sum = sum([probs[i] for i in kept])
    if top_p is not None:
        reached, n = 0.0, 0
        while n < len(kept) and reached < top_p * kept_sum:
            reached += probs[kept[n]]
            n += 1
        kept, kept_sum = kept[:n], reached
    cut = [0.0] * len(probs)
    for i in kept:
        cut[i] = probs[i] / kept_sum
    return cut


def next_tokens(
    params: Params,
    config: GPTConfig,
    tokenizer: CharTokenizer,
    rng: random.Random,
    prompt: str = "",
    **how: Any,
) -> Iterator[tuple[int, list[float]]]:
    """Yield (token id, probabilities it was drawn with), to BOS or the block's end.

    how: the settings of token_probabilities. A prompt that leaves no room in the block:
    ValueError.
    """
    if len(prompt) >= config.block_size:
        raise ValueError(
            f"a prompt of {len(prompt)} characters, but block_size is "
            f"{config.block_size}: shorten it to {config.block_size - 1} at most"
        )
    tokens = [tokenizer.bos, *tokenizer.encode(prompt)]
    keys, values = empty_cache(config)
    for pos_id in range(config.block_size):
        logits = gpt(params, config, tokens[pos_id], pos_id, keys, values)
        # Nobody will call backward() here. Bare numbers in place of the newest keys and
        # values let go of the graph behind them; else a long text would keep it all.
        for layer in range(config.n_layer):
            keys[layer][-1] = [Value(k.data) for k in keys[layer][-1]]
            values[layer][-1] = [Value(v.data) for v in values[layer][-1]]
        if pos_id + 1 < len(tokens):
            continue  # still reading the prompt
        logits_data = [logit.data for logit in logits]
        probs = token_probabilities(logits_data, **how)
        token_id = rng.choices(range(config.vocab_size), weights=probs)[0]
        yield token_id, probs
        if token_id == tokenizer.bos:
            return
        tokens.append(token_id)


def generate(
    params: Params,
    config: GPTConfig,
    tokenizer: CharTokenizer,
    rng: random.Random,
    prompt: str = "",
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> str:
    """Return prompt with what the model adds to it; top_k=1 is greedy, without dice."""
    how = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    steps = next_tokens(params, config, tokenizer, rng, prompt, **how)
    return prompt + tokenizer.decode([token_id for token_id, _ in steps])


def likeliest(probs: Sequence[float], n: int = 5) -> list[tuple[int, float]]:
    """Return (token id, probability) of the n likeliest that are possible at all.

    >>> likeliest([0.25, 0.0, 0.75])
    [(2, 0.75), (0, 0.25)]
    """
    best = sorted(range(len(probs)), key=lambda i: -probs[i])[:n]
    return [(token_id, probs[token_id]) for token_id in best if probs[token_id] > 0]


# The command.


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose errors are ValueErrors, one line like all others."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message} (--help lists what there is)")


def run_command(command: Callable[[], int]) -> int:
    """Return command's exit code; bad input is one line on stderr and exit code 2."""
    # A name with an accent must not stop a terminal that cannot show it.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = command()
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader of our output, such as `head`, has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError, ArithmeticError) as error:
        text = str(error).replace("\n", "\\n")  # one line, whatever a file is called
        print(f"error: {text}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130


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
    """Return (settings of token_probabilities, dice) as those flags ask for."""
    if args.seed < 0:
        raise ValueError(f"--seed is {args.seed}: make it 0 or more")
    top_k = 1 if args.greedy else args.top_k
    how = {"temperature": args.temperature, "top_k": top_k, "top_p": args.top_p}
    token_probabilities([0.0], **how)  # bad settings are refused before a model is read
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
    path = os.path.join("out", "checkpoint.json")
    add("--checkpoint", metavar="FILE", default=path, help=f"default: {path}")
    add("--n", metavar="N", type=int, default=20, help="samples (default: 20)")
    text = "the beginning of every sample (default: none)"
    add("--prompt", metavar="TEXT", default="", help=text)
    add_sampling_arguments(parser, temperature=0.6)
    args = parser.parse_args(argv)
    if args.n < 1:
        raise ValueError(f"--n is {args.n}: make it 1 or more")
    how, rng = sampling_settings(args)
    run = load_checkpoint(args.checkpoint)
    model = (run.params, run.config, run.tokenizer, rng)
    for _ in range(args.n):
        text = args.prompt
        for token_id, probs in next_tokens(*model, args.prompt, **how):
            if args.show_probabilities:
                print(f"after {text!r}:")
                best = likeliest(probs)
                print(bars([(run.tokenizer.decode([i]) or "end", p) for i, p in best]))
            text += run.tokenizer.decode([token_id])
        print(text, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
