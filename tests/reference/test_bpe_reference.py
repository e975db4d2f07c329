"""The plain byte-pair encoding against one that was written independently of it."""

from __future__ import annotations

import random

import pytest

from examples.gpt2 import plain_bpe
from microgpt import read_documents
from tests.helpers import ROOT
from tests.reference import bpe_reference


def assert_equal_to_reference(texts, n_merges, new_texts):
    merges = plain_bpe.learn(texts, n_merges)
    assert merges == bpe_reference.learn(texts, n_merges)
    for text in [*texts, *new_texts]:
        tokens = plain_bpe.encode(text, merges)
        assert tokens == bpe_reference.encode(text, merges), text
        assert plain_bpe.decode(tokens) == text


@pytest.mark.parametrize("letters", ["ab", "abc", "aé李"])
def test_random_texts_full_of_ties_and_runs_are_cut_alike(letters):
    rng = random.Random(len(letters))
    for _ in range(40):
        texts = []
        for _ in range(5):
            texts.append("".join(rng.choices(letters, k=rng.randrange(13))))
        learnt_from, new_texts = texts[:3], texts[3:]
        assert_equal_to_reference(learnt_from, 12, new_texts)


def test_names_are_cut_alike():
    names = read_documents(str(ROOT / "input.txt"))[:150]
    assert_equal_to_reference(names[:100], 40, names[100:])


def test_overlapping_pairs_are_merged_from_the_left():
    # In "aaaaa" the pair a+a stands four times, and two of them can be merged.
    assert bpe_reference.encode("aaaaa", [(b"a", b"a")]) == [b"aa", b"aa", b"a"]
    assert plain_bpe.encode("aaaaa", [(b"a", b"a")]) == [b"aa", b"aa", b"a"]


def test_of_equally_frequent_pairs_both_take_the_one_that_comes_first():
    # "ba" and "ab" have one pair each, both once: b+a is met first.
    for learn in (plain_bpe.learn, bpe_reference.learn):
        assert learn(["ba", "ab"], 1) == [(b"b", b"a")]
        assert learn(["ab", "ba"], 1) == [(b"a", b"b")]
