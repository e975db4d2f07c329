"""What a run tells a person: the chart of its losses, and numbers in words."""

from __future__ import annotations

import xml.etree.ElementTree

import pytest

from microgpt.tools.report import loss_chart, share_in_words
from tests.helpers import small_run

SVG = "{http://www.w3.org/2000/svg}"


def points_of(polyline):
    return [
        tuple(map(float, point.split(","))) for point in polyline.get("points").split()
    ]


def test_the_held_out_loss_is_a_level_line_where_its_value_belongs():
    run, _, _ = small_run(take=12, steps=12)
    run.losses[:] = [3.0 - step / 12 for step in range(12)]
    picture = xml.etree.ElementTree.fromstring(loss_chart(run, val_loss=2.5))
    lines = [points_of(line) for line in picture.iter(f"{SVG}polyline")]
    [each_step] = [
        line for line in lines if len(line) == 12 and line[6][1] - line[0][1] > 1
    ][:1]
    # The seventh loss is 3 - 6 / 12 = 2.5 too, so the level line meets it there.
    level = [
        line
        for line in lines
        if len(line) == 2
        and line[0][1] == line[1][1] == each_step[6][1]
        and line[0][0] == each_step[0][0]
        and line[1][0] == each_step[-1][0]
    ]
    assert len(level) >= 1


def test_each_mean_in_the_chart_says_what_counts_the_same():
    # The one is a mean over documents, the other over characters.
    run, _, _ = small_run(take=3, steps=3)
    picture = xml.etree.ElementTree.fromstring(loss_chart(run, 2.5))
    # A long name goes on in a second line, so the pieces are joined.
    text = " ".join(" ".join(picture.itertext()).split())
    assert "mean of 50 steps: each document counts the same" in text
    assert "held-out, at the end: each character counts the same" in text


@pytest.mark.parametrize(
    ("part", "whole", "words"),
    [
        (1, 1, "100 %"),
        (1, 2, "50 %"),
        (2, 3, "66.7 %"),
        (999, 1000, "99.9 %"),
        (99_999, 100_000, "over 99.9 %"),
        (8, 10**6, "0.0008 %"),
        (8, 10**9, "8e-07 %"),
    ],
)
def test_a_share_is_never_rounded_to_all_or_nothing(part, whole, words):
    assert share_in_words(part, whole) == words
