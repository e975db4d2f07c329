"""Byte-pair encoding once more, written independently, in another representation.

Nothing is imported from the project. There, a text is a list of tokens that is rebuilt
at every merge. Here it is the bytes, which never change, and a list of *cuts*: the
places at which one token ends and the next begins. To merge a pair is to forget the cut
between the two. And encoding does not go through the merges in their order: it asks,
again and again, which of the pairs that stand in the text was learnt first.
"""

from __future__ import annotations

Pair = tuple[bytes, bytes]


class CutText:
    """A text's bytes, and where they are cut into tokens."""

    def __init__(self, text: str) -> None:
        self.data = text.encode("utf-8")
        self.cuts = list(range(len(self.data) + 1))

    def pair_at(self, i: int) -> Pair:
        """Return the two tokens on both sides of cut number i."""
        begin, middle, end = self.cuts[i - 1], self.cuts[i], self.cuts[i + 1]
        return self.data[begin:middle], self.data[middle:end]

    def pairs(self) -> list[Pair]:
        return [self.pair_at(i) for i in range(1, len(self.cuts) - 1)]

    def forget_cuts_in(self, pair: Pair) -> None:
        i = 1
        while i < len(self.cuts) - 1:
            if self.pair_at(i) == pair:
                del self.cuts[i]  # the next cut, now number i, ends the merged token
            i += 1

    def tokens(self) -> list[bytes]:
        return [self.data[a:b] for a, b in zip(self.cuts, self.cuts[1:])]


def learn(texts: list[str], n_merges: int) -> list[Pair]:
    """Return the merges; of equally frequent pairs, the one met first in the texts."""
    cut_texts = [CutText(text) for text in texts]
    merges: list[Pair] = []
    for _ in range(n_merges):
        in_reading_order = [pair for text in cut_texts for pair in text.pairs()]
        if not in_reading_order:
            break
        times = dict.fromkeys(in_reading_order, 0)
        for pair in in_reading_order:
            times[pair] += 1
        most = max(times.values())
        merges.append(next(p for p in in_reading_order if times[p] == most))
        for text in cut_texts:
            text.forget_cuts_in(merges[-1])
    return merges


def encode(text: str, merges: list[Pair]) -> list[bytes]:
    """Return the tokens: of the pairs in the text, merge the one learnt first."""
    rank: dict[Pair, int] = {}
    for place, pair in enumerate(merges):
        rank.setdefault(pair, place)
    cut_text = CutText(text)
    while True:
        known = [pair for pair in cut_text.pairs() if pair in rank]
        if not known:
            return cut_text.tokens()
        cut_text.forget_cuts_in(min(known, key=rank.__getitem__))
