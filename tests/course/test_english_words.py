"""The words of chapter 28 are the same on every Python, and stand in its manual."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WORDS = (ROOT / "examples" / "course" / "english_words.txt").read_text("utf-8").split()


def test_words_are_different_have_3_to_8_letters_and_are_no_names():
    names = set((ROOT / "input.txt").read_text("utf-8").split())
    assert len(WORDS) == 1424
    assert sorted(set(WORDS) - names) == WORDS
    assert all(re.fullmatch("[a-z]{3,8}", word) for word in WORDS)


@pytest.mark.skipif(
    not (3, 9) <= sys.version_info[:2] <= (3, 13), reason="the manual of 3.9 to 3.13"
)
def test_every_word_stands_in_the_manual_of_this_version_of_python():
    topics = pytest.importorskip("pydoc_data.topics").topics
    in_the_manual = set(re.findall("[a-z]+", " ".join(topics.values())))
    assert [word for word in WORDS if word not in in_the_manual] == []
