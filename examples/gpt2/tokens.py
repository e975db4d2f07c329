"""The command that shows a tokenizer at work, on names or with GPT-2's vocabulary.

    python examples/gpt2/tokens.py --show-work "emmanuel and zoë"
    python examples/gpt2/tokens.py --model FOLDER "any text"

The tokenizer itself is in `bpe.py`, and a plainer one to read first in `plain_bpe.py`.
Names have no spaces. So a tokenizer that learnt from them has no merge with a space,
and in the first example the space before "and" stays a token by itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# `python examples/gpt2/tokens.py` works without installing anything.
sys.path.insert(0, ROOT)

from bpe import (  # noqa: E402
    BPE,
    Pair,
    merge_pair,
    next_merge,
    split,
    to_bytes,
    to_symbols,
    train_bpe,
)
from vocabulary import read_tokenizer  # noqa: E402

from microgpt.data import read_documents  # noqa: E402
from microgpt.tools.checkpoint import default_data_path  # noqa: E402
from microgpt.tools.terminal import (  # noqa: E402
    OneLineParser,
    Progress,
    run_command,
    typed_bytes,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `python examples/gpt2/tokens.py`; return its exit code."""
    return run_command(lambda: _command(argv))


def _command(argv: Sequence[str] | None) -> int:
    parser = OneLineParser(
        prog="python examples/gpt2/tokens.py",
        description="Learn merges from the names in input.txt and show TEXT in tokens.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("text", metavar="TEXT", help="what to turn into tokens")
    text = "show the pieces, the bytes and each round of merging (default: do not)"
    add("--show-work", action="store_true", help=text)
    either = parser.add_mutually_exclusive_group()
    text = "learn nothing, use the tokenizer of the model in DIR, such as GPT-2's"
    either.add_argument("--model", metavar="DIR", help=text)
    text = "tokens to stop at, 257 or more (default: 512)"
    either.add_argument("--vocab-size", metavar="N", type=int, default=512, help=text)
    args = parser.parse_args(argv)
    if args.model is None:
        bpe = _learn_from_names(args.vocab_size)
    else:
        bpe = read_tokenizer(args.model)
        print(
            f"{args.model}: {len(bpe.token_bytes):,} tokens, {len(bpe.merges):,} merges"
        )
    # As in complete.py: the bytes count, and what is no UTF-8 in them is shown as an
    # escape.
    typed = typed_bytes(args.text)
    text = typed.decode("utf-8", "surrogateescape")
    if args.show_work:
        _show_work(bpe, text)
    ids = bpe.encode_bytes(typed)
    print(f"{text!r} in {len(ids)} token{'' if len(ids) == 1 else 's'}:")
    print("  tokens:", " ".join([bpe.readable(i) for i in ids]))
    print("  ids:   ", " ".join([str(i) for i in ids]))
    return 0


def _learn_from_names(vocab_size: int) -> BPE:
    """Learn merges, printing the first ten and what all of them do to a name."""
    names = read_documents(default_data_path())
    print(
        f"{len(names):,} names, and every byte is a token. Now the two tokens that are "
        "side by side\nmost often become one token, again and again:",
        flush=True,
    )
    n_merges = 0
    # Each merge makes at least one piece shorter, so there can be no more than this.
    pieces = set(split("\n".join(names)))
    most = sum([len(to_symbols(piece)) - 1 for piece in pieces])
    progress = Progress("merge", min(vocab_size - 257, most), every=100)

    def show(pair: Pair, count: int) -> None:
        nonlocal n_merges
        n_merges += 1
        if n_merges <= 10:
            both = " and ".join([readable(token) for token in pair])
            times = "once" if count == 1 else f"{count:,} times"
            one = readable("".join(pair))
            print(f"  {both}, side by side {times}, become {one}", flush=True)
        else:
            progress.show(n_merges)

    bpe = train_bpe("\n".join(names), vocab_size, show)
    progress.finish()
    n_bytes = sum([len(to_symbols(name)) for name in names])
    n_tokens = sum([len(bpe.encode(name)) for name in names])
    print(
        f"A name is {n_bytes / len(names):.2f} tokens long before the merges, and "
        f"{n_tokens / len(names):.2f} after all {n_merges} of them, on average."
    )
    return bpe


def _show_work(bpe: BPE, text: str) -> None:
    """Print each piece, its bytes, and its tokens after each round of merging."""
    for piece in split(text):
        tokens = to_symbols(piece, "surrogateescape")
        print(f"{piece!r}, bytes {to_bytes(''.join(tokens)).hex(' ')}")
        while (pair := next_merge(tokens, bpe.ranks)) is not None:
            tokens = merge_pair(tokens, pair)
            both = " + ".join([readable(token) for token in pair])
            after = " ".join([readable(token) for token in tokens])
            print(f"  merge {bpe.ranks[pair] + 1}, {both}: {after}")


def readable(token: str) -> str:
    """Return 'text' as Python writes it, or b'bytes' if they are no whole character."""
    token_bytes = to_bytes(token)
    try:
        return repr(token_bytes.decode("utf-8"))
    except UnicodeDecodeError:
        return repr(token_bytes)


if __name__ == "__main__":
    sys.exit(main())
