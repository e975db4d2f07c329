"""Chapter 26's online softmax, key by key and in tiles, mixes as PyTorch does.

data/online_softmax.json was written by online_softmax_reference.py with torch 2.13.0 in
float64. Where there is a PyTorch, the last test computes the figures anew.
"""

from __future__ import annotations

import json

import pytest

from microgpt.value import Value, total
from tests.reference.chapter_functions import functions_of
from tests.reference.online_softmax_reference import (
    N_TOKENS,
    RECORD,
    STRETCH,
    figures,
    queries_keys_values,
    rows_by_formula,
)

pytest.importorskip("tracemalloc")  # with which the chapter measures; PyPy has none
CHAPTER = functions_of("ch26_online_softmax")


def recorded():
    return json.loads(RECORD.read_text(encoding="utf-8"))


def assert_rows_equal(rows, other_rows):
    assert len(rows) == len(other_rows)
    for row, other_row in zip(rows, other_rows):
        assert row == pytest.approx(other_row, rel=0, abs=1e-12)


def key_by_key(queries, keys, values):
    mixtures = []
    for i, q in enumerate(queries):
        mixtures.append(CHAPTER["attend_online"](q, keys[: i + 1], values[: i + 1]))
    return mixtures


def in_tiles(block_length):
    def attend_all(queries, keys, values):
        counter = CHAPTER["Counter"]()
        return CHAPTER["flash_attention"](queries, keys, values, block_length, counter)

    return attend_all


# Blocks of 6 do not divide 20 tokens, and one of 32 is longer than the text.
WAYS = {"key by key": key_by_key}
for length in (1, 4, 6, 20, 32):
    WAYS[f"tiles of {length}"] = in_tiles(length)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("scores, stretch", [("ordinary", 1.0), ("huge", STRETCH)])
def test_mixtures_are_those_of_pytorch(way, scores, stretch):
    mixtures = WAYS[way](*queries_keys_values(stretch))
    assert_rows_equal(mixtures, recorded()[scores]["mixtures"])


@pytest.mark.parametrize("way", WAYS)
def test_slopes_are_those_of_pytorch(way):
    tables = []
    for rows in queries_keys_values():
        tables.append([[Value(number) for number in row] for row in rows])
    mixtures = WAYS[way](*tables)
    products = []
    for row, factors in zip(mixtures, rows_by_formula(600)):
        products += [mixed * factor for mixed, factor in zip(row, factors)]
    total(products).backward()
    for letter, table in zip("qkv", tables):
        grads = [[number.grad for number in row] for row in table]
        assert_rows_equal(grads, recorded()["ordinary"][f"{letter}_slopes"])


def test_the_huge_scores_are_too_large_for_a_single_pass_without_a_maximum():
    smallest, largest = recorded()["huge"]["scores"]
    assert smallest < -800 and largest > 800
    queries, keys, values = queries_keys_values(STRETCH)
    with pytest.raises((OverflowError, ZeroDivisionError)):
        for i in range(N_TOKENS):
            seen = slice(0, i + 1)
            CHAPTER["attend_in_one_pass"](queries[i], keys[seen], values[seen])


def test_tiles_hold_the_same_few_numbers_however_long_the_text():
    for repeat in (1, 2, 4):
        queries, keys, values = [rows * repeat for rows in queries_keys_values()]
        counter = CHAPTER["Counter"]()
        CHAPTER["flash_attention"](queries, keys, values, 4, counter)
        assert counter.most == 4 * 4 + 4 * (2 + 4)  # a tile; largest, sum and mix
        assert counter.held == 0


def test_the_recorded_figures_are_what_pytorch_computes_today():
    pytest.importorskip("torch")
    old, new = recorded(), figures()
    assert_rows_equal(old["huge"]["mixtures"], new["huge"]["mixtures"])
    for name, rows in old["ordinary"].items():
        if name == "scores":
            assert rows == pytest.approx(new["ordinary"][name], rel=0, abs=1e-12)
        else:
            assert_rows_equal(rows, new["ordinary"][name])
