"""A tokenizer that starts from single bytes can write down any text at all.

Before this came `plain_bpe.py`, the idea in some forty lines; next comes
`vocabulary.py`, which reads the tokens and merges of a model from its files. This file
does byte-level byte-pair encoding exactly as GPT-2 does, so that every text gets the
same numbers. To the plain file it adds three things:

1. A text is first split into pieces, mostly words, each with the space before it. No
   merge crosses the end of a piece, so there are no tokens such as "dog." or "of the".
2. Every token has a number, and is written down with one visible character for each of
   its bytes, since a token may be half a character.
3. It is fast. A piece that was met before is not merged again. In a long piece, such as
   text in Chinese, which has no spaces, only the places that a merge has changed are
   looked at again.

    name    meaning                                              in "I saw the cat"
    piece   a word, a number or signs; no merge crosses its end  " the"
    symbol  a character that can be seen, standing for a byte    "Ġ", for the space
    token   one symbol, or the symbols of several merged         "Ġthe"
    merge   a pair of tokens that was learnt to be one           ("Ġt", "he")
    rank    a merge's place in the order they were learnt in     0 for the first

    python examples/gpt2/tokens.py --show-work "emmanuel and zoë"

Papers: Sennrich, Haddow and Birch, "Neural machine translation of rare words with
subword units", 2016; Radford et al., "Language models are unsupervised multitask
learners" (GPT-2), 2019, section 2.2.
"""

from __future__ import annotations

import functools
import heapq
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping

Pair = tuple[str, str]

END_OF_TEXT = "<|endoftext|>"

# GPT-2's own pattern has \p{L}, any letter of Unicode, in place of A-Za-z, and \p{N},
# any number, in place of 0-9. Python's `re` knows neither: stand_in makes up for it.
PIECE = re.compile(
    r"'s|'t|'re|'ve|'m|'ll|'d"  # it's, we're
    r"| ?[A-Za-z]+"  # " the"
    r"| ?[0-9]+"  # " 2024"
    r"| ?[^\sA-Za-z0-9]+"  # " -->"
    r"|\s+(?!\S)"  # of 3 spaces before a word the first 2: the third joins the word
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
    byte has a character that can be seen: chr(byte) where that can be seen, and for the
    other 68 bytes U+0100, U+0101 and so on.

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


def to_symbols(piece: str, errors: str = "surrogatepass") -> list[str]:
    """Return the symbols of a piece's bytes in UTF-8, one to four a character.

    A str may hold half of a UTF-16 pair, which UTF-8 does not allow: JSON that was cut
    in an emoji ends with one, such as "\\ud83d". errors says what becomes of it: by
    default its three bytes, as if it were allowed.

    >>> to_symbols(" né")
    ['Ġ', 'n', 'Ã', '©']
    """
    return [SYMBOLS[byte] for byte in piece.encode("utf-8", errors)]


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


def next_merge(tokens: list[str], ranks: Mapping[Pair, int]) -> Pair | None:
    """Return the pair of neighbours that was learnt first, or None if none was."""
    pairs = [pair for pair in zip(tokens, tokens[1:]) if pair in ranks]
    return min(pairs, key=ranks.__getitem__, default=None)


def merge_plainly(tokens: list[str], ranks: Mapping[Pair, int]) -> list[str]:
    """Return tokens after all merges: the one learnt first, everywhere, and so on.

    Why in the order of learning? GPT-2 was trained on texts that were merged in that
    order. In another one the same word could become other tokens, which the model has
    rarely or never met.

    `plain_bpe.py` tries all merges, from the first to the last. Here we look which
    pairs are there, merge the one of the lowest rank, and look again. That comes to the
    same, since what a merge makes is part of later merges only. (Why? A learner merges
    only what is there, so the parts come first. And it makes each token by one merge.
    Between two ends that no merge has crossed, the same bytes have always been merged
    in the same way; so wherever this token could arise, the same pair stands there.)

    >>> ranks = {("l", "o"): 0, ("e", "r"): 1, ("lo", "w"): 2, ("low", "er"): 3}
    >>> merge_plainly(["l", "o", "w", "e", "r"], ranks)
    ['lower']
    """
    while True:
        pair = next_merge(tokens, ranks)
        if pair is None:
            return tokens
        tokens = merge_pair(tokens, pair)


def merge_all(tokens: list[str], ranks: Mapping[Pair, int]) -> list[str]:
    """Return what merge_plainly returns, without going through all tokens every time.

    In a piece of n symbols, the plain way makes about n searches of n places. Here all
    pairs are put into a heap once, which gives out the pair of the lowest rank, and of
    equals the leftmost. A merge changes only the pairs to its left and right, and those
    two are put in. A pair that is no longer there when it comes out is skipped:

        "lower", with the merges  0: l o   1: e r   2: lo w   3: low er   4: w e

        heap, with the place of each pair     comes out        tokens after it
        0 l+o at 0, 1 e+r at 3, 4 w+e at 2    0 l+o at 0       lo w e r
        1 e+r at 3, 2 lo+w at 0, 4 w+e at 2   1 e+r at 3       lo w er
        2 lo+w at 0, 4 w+e at 2               2 lo+w at 0      low er
        3 low+er at 0, 4 w+e at 2             3 low+er at 0    lower
        4 w+e at 2                            4 w+e at 2       gone, so skipped

    Both ways need merges as a learner makes them: each token once, and after its parts.
    `vocabulary.py` refuses others.
    """
    token_at = list(tokens)  # "" where a token has joined the one to its left
    before = [*range(-1, len(tokens) - 1)]  # the place of the neighbour on either side
    after = [*range(1, len(tokens) + 1)]
    heap: list[tuple[int, int, Pair]] = []

    def offer(left: int, right: int) -> None:
        """Put the pair at these places into the heap, if it is one that merges."""
        if left >= 0 and right < len(tokens):
            pair = token_at[left], token_at[right]
            if pair in ranks:
                heapq.heappush(heap, (ranks[pair], left, pair))

    for place in range(len(tokens) - 1):
        offer(place, place + 1)
    while heap:
        _, left, pair = heapq.heappop(heap)
        right = after[left]
        if right == len(tokens) or (token_at[left], token_at[right]) != pair:
            continue
        token_at[left], token_at[right] = "".join(pair), ""
        after[left] = after[right]
        if after[left] < len(tokens):
            before[after[left]] = left
        offer(before[left], left)
        offer(left, after[left])
    return [token for token in token_at if token]


class BPE:
    """Text to token ids and back, given a vocabulary and the merges in their order.

    `added` are tokens that no merge makes and no text turns into: {id: its text}. Such
    is "<|endoftext|>", by which a model says that a text is complete.

    >>> bpe = train_bpe("low lower lowest", vocab_size=259)
    >>> bpe.merges
    [('l', 'o'), ('lo', 'w')]
    >>> bpe.encode("slow"), bpe.decode([82, 257])
    ([82, 257], 'slow')
    """

    def __init__(
        self,
        vocab: dict[str, int],
        merges: list[Pair],
        added: Mapping[int, str] | None = None,
    ) -> None:
        self.vocab = vocab
        self.merges = merges
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}
        self.token_bytes: dict[int, bytes] = {}  # of each id
        for token, token_id in vocab.items():
            self.token_bytes[token_id] = to_bytes(token)
        for token_id, text in (added or {}).items():
            self.token_bytes[token_id] = text.encode("utf-8", "replace")
        self.vocab_size = max(self.token_bytes) + 1  # some ids may have no token
        self.end_of_text = vocab.get(END_OF_TEXT)
        for token_id, text in (added or {}).items():
            if text == END_OF_TEXT:
                self.end_of_text = token_id
        self.known_pieces: dict[tuple[str, str], list[int]] = {}  # the ids of a piece

    def encode(self, text: str, errors: str = "surrogatepass") -> list[int]:
        """Return the ids of text's tokens. Every text has them.

        "<|endoftext|>" is text like any other here and becomes several tokens, so that
        nobody can end a text by typing that. To mean the end, add the id end_of_text.
        """
        ids = []
        for piece in split(text):
            # Most words of a text stood in it before, and need not be merged again.
            # (errors is in the key since half a pair becomes other bytes by each way.)
            if (piece, errors) not in self.known_pieces:
                tokens = merge_all(to_symbols(piece, errors), self.ranks)
                self.known_pieces[piece, errors] = [self.vocab[t] for t in tokens]
            ids += self.known_pieces[piece, errors]
        return ids

    def encode_bytes(self, text: bytes) -> list[int]:
        """Return the ids of a text in UTF-8; what is no UTF-8 in it stays as it is.

        >>> bpe = train_bpe("low lower lowest", vocab_size=259)
        >>> bpe.decode_bytes(bpe.encode_bytes(b"low\\xff"))
        b'low\\xff'
        """
        return self.encode(text.decode("utf-8", "surrogateescape"), "surrogateescape")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the bytes of the ids' tokens. An id that no token has: ValueError."""
        parts = []
        for token_id in ids:
            if token_id not in self.token_bytes:
                raise ValueError(
                    f"no token has the id {token_id}: there are "
                    f"{len(self.token_bytes)}, and the highest id is "
                    f"{self.vocab_size - 1}"
                )
            parts.append(self.token_bytes[token_id])
        return b"".join(parts)

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

    def readable(self, token_id: int) -> str:
        """Return a token as Python writes it: 'text', or b'bytes' if it is no text."""
        token_bytes = self.decode_bytes([token_id])
        try:
            return repr(token_bytes.decode("utf-8"))
        except UnicodeDecodeError:
            return repr(token_bytes)


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

    def add_pairs(piece: str) -> None:
        tokens = tokens_of[piece]
        for pair in zip(tokens, tokens[1:]):
            pair_counts[pair] += frequency[piece]
            pieces_with[pair].add(piece)

    def take_off_pairs(piece: str) -> None:
        # (pieces_with keeps a piece that has lost a pair; going through it changes
        # nothing.)
        tokens = tokens_of[piece]
        for pair in zip(tokens, tokens[1:]):
            pair_counts[pair] -= frequency[piece]
            if pair_counts[pair] == 0:  # it stands nowhere any more
                del pair_counts[pair], pieces_with[pair]

    def most_frequent_first(pair: Pair) -> tuple[int, int, int]:
        left, right = pair
        return -pair_counts[pair], vocab[left], vocab[right]

    for piece in frequency:
        add_pairs(piece)
    while pair_counts and len(vocab) < vocab_size - 1:
        # Signpost: whoever learns GPT-2's 50,000 merges keeps the counts in a heap.
        pair = min(pair_counts, key=most_frequent_first)
        if show is not None:
            show(pair, pair_counts[pair])
        merges.append(pair)
        vocab["".join(pair)] = len(vocab)
        # Only a piece that holds the pair changes, and with it the counts of its pairs.
        for piece in list(pieces_with[pair]):
            take_off_pairs(piece)
            tokens_of[piece] = merge_pair(tokens_of[piece], pair)
            add_pairs(piece)
    vocab[END_OF_TEXT] = len(vocab)
    return BPE(vocab, merges)
