"""A tokenizer that starts from single bytes can write down any text at all.

Before this came `safetensors.py`, which reads a model's numbers; next comes
`bigmatrix.py`, which multiplies them. This file turns text into the numbers that GPT-2
reads, and back, by byte-level byte-pair encoding (BPE). `microgpt.tokenizer` has a
number for each character that it has seen, and an error for all others. Here the 256
bytes are the first tokens. Then the two tokens that are side by side most often in a
large text become one more token, and so on, until there are as many as one wants: a
common word ends up as one token, a rare one as a few, and nothing is ever unknown.

    name    meaning                                              in "I saw the cat"
    piece   a word, a number or signs; no merge crosses its end  " the"
    symbol  a character that can be seen, standing for a byte    "Ġ", for the space
    token   one symbol, or the symbols of several merged         "Ġthe"
    merge   a pair of tokens that was learnt to be one           ("Ġt", "he")
    rank    a merge's place in the order they were learnt in     0 for the first

    python examples/gpt2/bpe.py --show-work "emmanuel and zoë"

Papers: Sennrich, Haddow and Birch, "Neural machine translation of rare words with
subword units", 2016; Radford et al., "Language models are unsupervised multitask
learners" (GPT-2), 2019, section 2.2.
"""

from __future__ import annotations

import functools
import json
import os
import re
import sys
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# `python examples/gpt2/bpe.py` works without installing anything.
sys.path.insert(0, ROOT)

from microgpt.data import default_data_path, read_documents  # noqa: E402
from microgpt.sample import OneLineParser, run_command  # noqa: E402
from microgpt.train import Progress  # noqa: E402

Pair = tuple[str, str]

END_OF_TEXT = "<|endoftext|>"

# GPT-2's own pattern has \p{L}, any letter of Unicode, in place of A-Za-z, and \p{N},
# any number, in place of 0-9. Python's `re` knows neither: stand_in makes up for it.
PIECE = re.compile(
    r"'s|'t|'re|'ve|'m|'ll|'d"  # it's, we're
    r"| ?[A-Za-z]+"  # " the"
    r"| ?[0-9]+"  # " 2024"
    r"| ?[^\sA-Za-z0-9]+"  # " -->"
    r"|\s+(?!\S)"  # of 3 spaces before a word the first 2
    r"|\s+",
    re.ASCII,
)


@functools.cache
def stand_in(char: str) -> str:
    r"""Return the ASCII character that PIECE sees in place of char: one of its kind.

    `\d`, `\w` and `\s` would not do: to them ² is no number, _ is as good as a letter,
    and U+001C is a space. To Unicode, and so to GPT-2, it is the other way round.

    >>> [stand_in(char) for char in "Zé²_\u3000🙂"]
    ['Z', 'a', '0', '_', '\n', '.']
    """
    if char.isascii():
        return char
    category = unicodedata.category(char)  # "Lu", an upper-case letter; "Nd", a digit
    if category.startswith("L"):
        return "a"  # no s, t, m or d: after ' they would be an ending
    if category.startswith("N"):
        return "0"
    if char.isspace():
        return "\n"  # no " ", which would join the word after it
    return "."


def split(text: str) -> list[str]:
    """Return text in pieces: words, numbers, signs, most with the space before them.

    A merge within pieces cannot make tokens such as "dog." or "dog!". Joined, the
    pieces are the text again.

    >>> split("It's the 3rd  café!")
    ['It', "'s", ' the', ' 3', 'rd', ' ', ' café', '!']
    """
    stand_ins = "".join([stand_in(char) for char in text])
    return [text[m.start() : m.end()] for m in PIECE.finditer(stand_ins)]


def byte_symbols() -> list[str]:
    r"""Return the character that stands for each byte: symbols[byte].

    vocab.json is JSON, which holds text and not bytes, and merges.txt has a space
    between two tokens. But a token may be half a character, or hold a space. So each
    byte has a character that can be seen: its own of Latin-1 where that has one, and
    the other 68 bytes those from U+0100 on.

    >>> [byte_symbols()[byte] for byte in b"a \n"], len(set(byte_symbols()))
    (['a', 'Ġ', 'Ċ'], 256)
    """
    symbols = []
    n_unseen = 0
    for byte in range(256):
        # 173 is the soft hyphen, which is seen only at the end of a line.
        if 33 <= byte <= 126 or (161 <= byte <= 255 and byte != 173):
            symbols.append(chr(byte))
        else:
            symbols.append(chr(256 + n_unseen))
            n_unseen += 1
    return symbols


SYMBOLS = byte_symbols()
BYTES = {symbol: byte for byte, symbol in enumerate(SYMBOLS)}


def to_symbols(piece: str) -> list[str]:
    """Return the symbols of a piece's bytes in UTF-8, one to four a character.

    >>> to_symbols(" né")
    ['Ġ', 'n', 'Ã', '©']
    """
    # A str may hold half of a UTF-16 pair, which UTF-8 does not allow: let it pass.
    return [SYMBOLS[byte] for byte in piece.encode("utf-8", "surrogatepass")]


def to_bytes(token: str) -> bytes:
    r"""Return the bytes that a token's symbols stand for.

    >>> to_bytes("ĠnÃ©")
    b' n\xc3\xa9'
    """
    return bytes([BYTES[symbol] for symbol in token])


def merge_pair(tokens: list[str], pair: Pair) -> list[str]:
    """Return tokens with pair, wherever it stands, made one, from left to right.

    >>> merge_pair(["b", "a", "a", "a"], ("a", "a"))
    ['b', 'aa', 'a']
    """
    left, right = pair
    merged = []
    i = 0
    while i < len(tokens):
        if tokens[i] == left and i + 1 < len(tokens) and tokens[i + 1] == right:
            merged.append(left + right)
            i += 2
        else:
            merged.append(tokens[i])
            i += 1
    return merged


class BPE:
    """Text to token ids and back, given a vocabulary and the merges in their order.

    >>> bpe = train_bpe("low lower lowest", vocab_size=259)
    >>> bpe.merges
    [('l', 'o'), ('lo', 'w')]
    >>> bpe.encode("slow"), bpe.decode([82, 257])
    ([82, 257], 'slow')
    """

    def __init__(self, vocab: dict[str, int], merges: list[Pair]) -> None:
        self.vocab = vocab
        self.merges = merges
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}
        self.vocab_size = len(vocab)
        self.end_of_text = vocab.get(END_OF_TEXT)
        self.tokens = sorted(vocab, key=vocab.__getitem__)  # tokens[id]
        self.known_pieces: dict[str, list[int]] = {}  # the ids of a piece

    @classmethod
    def from_folder(cls, folder: str) -> BPE:
        """Return the tokenizer in folder's vocab.json and merges.txt.

        A file that is missing, or does not hold what GPT-2's holds: ValueError.
        """
        vocab = _read_vocab(os.path.join(folder, "vocab.json"))
        return cls(vocab, _read_merges(os.path.join(folder, "merges.txt"), vocab))

    def next_merge(self, tokens: list[str]) -> Pair | None:
        """Return the pair of neighbours that was learnt first, or None if none was."""
        pairs = [pair for pair in zip(tokens, tokens[1:]) if pair in self.ranks]
        return min(pairs, key=self.ranks.__getitem__, default=None)

    def encode(self, text: str) -> list[int]:
        """Return the ids of text's tokens. Every text has them.

        "<|endoftext|>" is text like any other here and becomes several tokens, so that
        nobody can end a text by typing that. To mean the end, add the id end_of_text.
        """
        ids = []
        for piece in split(text):
            # Most words of a text stood in it before, and need not be merged again.
            if piece not in self.known_pieces:
                tokens = to_symbols(piece)
                # Signpost: a piece is gone through once for each merge, which takes
                # seconds for 20,000 letters; others keep its pairs in a heap.
                while (pair := self.next_merge(tokens)) is not None:
                    tokens = merge_pair(tokens, pair)
                self.known_pieces[piece] = [self.vocab[token] for token in tokens]
            ids += self.known_pieces[piece]
        return ids

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the bytes of the ids' tokens. An id that no token has: ValueError."""
        symbols = []
        for token_id in ids:
            if not 0 <= token_id < self.vocab_size:
                raise ValueError(
                    f"token {token_id}, but vocab_size is {self.vocab_size}"
                )
            symbols.append(self.tokens[token_id])
        return to_bytes("".join(symbols))

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids: text itself, if they are encode(text).

        A character can take several tokens. What is left of one that was cut becomes
        U+FFFD, the replacement character.
        """
        text_bytes = self.decode_bytes(ids)
        try:
            # What to_symbols lets pass must come back, so this lets it pass as well.
            return text_bytes.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return text_bytes.decode("utf-8", "replace")


def train_bpe(
    text: str, vocab_size: int, show: Callable[[Pair, int], None] | None = None
) -> BPE:
    """Return a tokenizer learnt from text: the most frequent pair, again and again.

    Its vocab_size tokens are the 256 bytes, the products of the merges and
    "<|endoftext|>"; fewer, if every piece of text becomes a single token before. Of
    pairs that are equally frequent, the one whose tokens have the lower ids is merged.
    show(pair, count), if given, is called for each. A vocab_size below 257: ValueError.
    """
    if vocab_size < 257:
        raise ValueError(
            f"vocab_size is {vocab_size}, but the 256 bytes and {END_OF_TEXT} are "
            "tokens already: make it 257 or more"
        )
    # GPT-2's order, in which the symbols of Latin-1 come first: "!" is 0.
    vocab = {symbol: i for i, symbol in enumerate(sorted(SYMBOLS))}
    merges: list[Pair] = []
    # A word that stands in the text 1,000 times is merged once and counts 1,000 times.
    frequency = Counter(split(text))
    tokens_of = {piece: to_symbols(piece) for piece in frequency}
    pair_counts: Counter[Pair] = Counter()
    pieces_with: defaultdict[Pair, set[str]] = defaultdict(set)

    def count_pairs(piece: str, times: int) -> None:
        tokens = tokens_of[piece]
        for pair in zip(tokens, tokens[1:]):
            pair_counts[pair] += times
            pieces_with[pair].add(piece)
            if pair_counts[pair] == 0:  # it stands nowhere any more
                del pair_counts[pair], pieces_with[pair]

    def most_frequent_first(pair: Pair) -> tuple[int, int, int]:
        left, right = pair
        return -pair_counts[pair], vocab[left], vocab[right]

    for piece in frequency:
        count_pairs(piece, frequency[piece])
    while pair_counts and len(vocab) < vocab_size - 1:
        # Signpost: whoever learns GPT-2's 50,000 merges keeps the counts in a heap.
        pair = min(pair_counts, key=most_frequent_first)
        if show is not None:
            show(pair, pair_counts[pair])
        merges.append(pair)
        vocab["".join(pair)] = len(vocab)
        # Only a piece that holds the pair changes, and with it the counts of its pairs.
        for piece in pieces_with.pop(pair):
            count_pairs(piece, -frequency[piece])
            tokens_of[piece] = merge_pair(tokens_of[piece], pair)
            count_pairs(piece, frequency[piece])
    vocab[END_OF_TEXT] = len(vocab)
    return BPE(vocab, merges)


def _read_text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}, line {line} is not UTF-8 text") from None


def _read_vocab(path: str) -> dict[str, int]:
    text = _read_text(path)
    try:
        vocab = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if type(vocab) is not dict or any(type(i) is not int for i in vocab.values()):
        raise ValueError(f"{path} is no JSON object of tokens and their whole numbers")
    n = len(vocab)
    missing = set(range(n)).difference(vocab.values())
    if missing:
        raise ValueError(
            f"{path} numbers {n} tokens, but not from 0 to {n - 1}: {min(missing)} is "
            "no token's id"
        )
    for byte, symbol in enumerate(SYMBOLS):
        if symbol not in vocab:
            raise ValueError(f"{path} has no token {symbol!r}, for the byte {byte}")
    for token in vocab:
        if not BYTES.keys() >= set(token):
            raise ValueError(f"{path}: a character of {token!r} stands for no byte")
    return vocab


def _read_merges(path: str, vocab: dict[str, int]) -> list[Pair]:
    merges = []
    lines = _read_text(path).rstrip("\n").split("\n")
    for number, line in enumerate(lines, start=1):
        # Line 1 only: "# #" is a merge, of two of the signs that begin a heading.
        if number == 1 and line.startswith("#version"):
            continue
        parts = line.split(" ")
        if len(parts) != 2:
            raise ValueError(
                f"{path}, line {number} is {line!r}: a merge is two tokens with one "
                "space between them"
            )
        left, right = parts
        for token in (left, right, left + right):
            if token not in vocab:
                raise ValueError(
                    f"{path}, line {number} is {line!r}: {token!r} is not in vocab.json"
                )
        merges.append((left, right))
    return merges


# The command.


def main(argv: Sequence[str] | None = None) -> int:
    """Run `python examples/gpt2/bpe.py`; return its exit code."""
    return run_command(lambda: _command(argv))


def _command(argv: Sequence[str] | None) -> int:
    parser = OneLineParser(
        prog="python examples/gpt2/bpe.py",
        description="Learn merges from the names in input.txt and show TEXT in tokens.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("text", metavar="TEXT", help="what to turn into tokens")
    text = "show the pieces, the bytes and each round of merging (default: do not)"
    add("--show-work", action="store_true", help=text)
    either = parser.add_mutually_exclusive_group()
    text = "learn nothing, use the vocab.json and merges.txt in DIR, such as GPT-2's"
    either.add_argument("--model", metavar="DIR", help=text)
    text = "tokens to stop at, 257 or more (default: 512)"
    either.add_argument("--vocab-size", metavar="N", type=int, default=512, help=text)
    args = parser.parse_args(argv)
    if args.model is None:
        bpe = _learn_from_names(args.vocab_size)
    else:
        bpe = BPE.from_folder(args.model)
        print(f"{args.model}: {bpe.vocab_size:,} tokens, {len(bpe.merges):,} merges")
    if args.show_work:
        _show_work(bpe, args.text)
    ids = bpe.encode(args.text)
    print(f"{args.text!r} in {len(ids)} token{'' if len(ids) == 1 else 's'}:")
    print("  tokens:", " ".join([readable(bpe.tokens[i]) for i in ids]))
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
    progress = Progress("merge", vocab_size - 257, every=100)

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
        tokens = to_symbols(piece)
        print(f"{piece!r}, bytes {to_bytes(''.join(tokens)).hex(' ')}")
        while (pair := bpe.next_merge(tokens)) is not None:
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
