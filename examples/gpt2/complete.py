"""Asked for one more token, again and again, GPT-2 writes.

Before this came `model.py`; this last file puts the pieces together, as the command

    python examples/gpt2/complete.py FOLDER "Alan Turing theorized that" --greedy

Lay `continuation` beside `next_tokens` in microgpt/sample.py: letters or pieces of
English, the loop is the same. One thing is new. A token is some bytes, and may end
inside a character, which is printed once the rest of it has come.

The text goes to stdout; progress, and how fast it was, to stderr.
"""

from __future__ import annotations

import argparse
import codecs
import itertools
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bpe import BPE, readable
from model import GPT2, Cache, empty_cache, gpt2, hidden, load_gpt2, read_config

from microgpt.draw import bars
from microgpt.sample import (
    OneLineParser,
    add_sampling_arguments,
    likeliest,
    run_command,
    sampling_settings,
    token_probabilities,
)
from microgpt.train import Progress

MILLION = 10**6


def read_prompt(
    model: GPT2, prompt_ids: Sequence[int], show: Callable[[int], None] | None = None
) -> tuple[Cache, Cache]:
    """Return the keys and values of all tokens but the last, whose turn comes next.

    show, if given, is told how many have been read.
    """
    keys, values = empty_cache(model.config)
    for pos_id, token_id in enumerate(prompt_ids[:-1]):
        hidden(model, token_id, pos_id, keys, values)
        if show:
            show(pos_id + 1)
    return keys, values


def continuation(
    model: GPT2,
    token_id: int,
    keys: Cache,
    values: Cache,
    rng: random.Random,
    **how: Any,
) -> Iterator[tuple[int, list[float]]]:
    """Yield (token id, probabilities it was drawn with) to the end of the context.

    token_id is the last of the text so far, keys and values what those before it left.
    how: the settings of token_probabilities.
    """
    for pos_id in range(len(keys[0]), model.config.n_positions):
        logits = gpt2(model, token_id, pos_id, keys, values)
        probs = token_probabilities(logits, **how)
        token_id = rng.choices(range(len(probs)), weights=probs)[0]
        yield token_id, probs


def main(argv: Sequence[str] | None = None) -> int:
    """Run `python examples/gpt2/complete.py`; return its exit code."""
    return run_command(lambda: _command(argv))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = OneLineParser(
        prog="python examples/gpt2/complete.py",
        description="Let GPT-2 go on with a text.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    text = "holds config.json, model.safetensors, vocab.json and merges.txt"
    add("folder", metavar="FOLDER", help=text)
    add("prompt", metavar="PROMPT", help="the text to go on with")
    text = "add this many tokens (default: 20)"
    add("--tokens", metavar="N", type=int, default=20, help=text)
    add_sampling_arguments(parser, temperature=0.8)
    text = "start at once, but be several times slower (default: pack the weights)"
    add("--exact", action="store_true", help=text)
    text = "how many processes share the work (default: 1)"
    add("--processes", metavar="N", type=int, default=1, help=text)
    args = parser.parse_args(argv)
    if args.tokens < 1:
        raise ValueError(f"--tokens is {args.tokens}: make it 1 or more")
    return args


def _command(argv: Sequence[str] | None) -> int:
    args = _parse(argv)
    how, rng = sampling_settings(args)
    # All that is quickly checked comes before the weights, which take seconds.
    config = read_config(args.folder)
    bpe = BPE.from_folder(args.folder)
    if bpe.vocab_size != config.vocab_size:
        raise ValueError(
            f"vocab.json has {bpe.vocab_size} tokens, but config.json says "
            f"{config.vocab_size}: take both files from the same model"
        )
    prompt_ids = bpe.encode(args.prompt)
    if not prompt_ids and bpe.end_of_text is not None:
        # In training, texts stood one after another with this token between them.
        prompt_ids = [bpe.end_of_text]
    if not 1 <= len(prompt_ids) <= config.n_positions:
        raise ValueError(
            f"a prompt of {len(prompt_ids)} tokens, but this model reads 1 to "
            f"{config.n_positions}"
        )

    clock = time.perf_counter
    started = clock()
    show = _show_packing()
    with load_gpt2(
        args.folder, exact=args.exact, processes=args.processes, show=show
    ) as model:
        for note in model.products.notes:
            print(note, file=sys.stderr)
        loaded = clock()
        progress = Progress("read", len(prompt_ids) - 1, every=10, stream=sys.stderr)
        keys, values = read_prompt(model, prompt_ids, progress.show)
        progress.finish()
        prompt_read = clock()
        steps = continuation(model, prompt_ids[-1], keys, values, rng, **how)
        n = _write(args, bpe, itertools.islice(steps, args.tokens))
        written = clock()
    print(
        f"{n} token{'' if n == 1 else 's'}, {n / (written - prompt_read):.2f} a second "
        f"(before them {loaded - started:.1f} s to load the model and "
        f"{prompt_read - loaded:.1f} s to read the prompt); "
        f"{peak_memory()} of memory at most"
        + (" in each process" if args.processes > 1 else ""),
        file=sys.stderr,
    )
    return 0


def _write(
    args: argparse.Namespace, bpe: BPE, steps: Iterator[tuple[int, list[float]]]
) -> int:
    """Print the text, each piece as soon as it is there; return how many there were."""
    characters = codecs.getincrementaldecoder("utf-8")("replace")
    text, n = args.prompt, 0
    if not args.show_probabilities:
        print(text, end="", flush=True)
    for token_id, probs in steps:
        n += 1
        if args.show_probabilities:
            print(f"after {text[-50:]!r}:")
            best = [(readable(bpe.tokens[i]), p) for i, p in likeliest(probs)]
            print(bars(best), flush=True)
        if token_id == bpe.end_of_text:
            break
        piece = characters.decode(bpe.decode_bytes([token_id]))
        text += piece
        if not args.show_probabilities:
            print(piece, end="", flush=True)
    rest = characters.decode(b"", final=True)  # of a character that is not whole
    print(text + rest if args.show_probabilities else rest, flush=True)
    return n


def _show_packing() -> Callable[[int, int], None]:
    """Return a show(done, total) that counts in millions, where there are any."""
    progress: Progress | None = None

    def show(done: int, total: int) -> None:
        nonlocal progress
        if progress is None:
            progress = Progress("packed", total // MILLION, 10, stream=sys.stderr)
        if done // MILLION > progress.done:
            progress.show(done // MILLION, " million weights")
        if done == total:
            progress.finish()

    return show


def peak_memory() -> str:
    """Return the most that this process, or one it has waited for, had in memory."""
    try:
        import resource
    except ImportError:  # Windows has none
        return "an unknown amount"
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak = max([resource.getrusage(one).ru_maxrss for one in who])
    unit = 1 if sys.platform == "darwin" else 1024  # bytes
    return f"{peak * unit / MILLION:,.0f} MB"


if __name__ == "__main__":
    sys.exit(main())
