"""Pictures are checked by reading them back: the SVG is parsed and measured."""

from __future__ import annotations

import math
import random
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from microgpt.tools.draw import (
    Group,
    Line,
    _ticks,
    bars,
    graph_svg,
    graph_text,
    heat_map,
    line_chart,
    number,
    scatter,
    side_by_side,
)
from microgpt.tools.terminal import display_width
from microgpt.value import Value, dot, logsumexp, topological_order

Box = tuple[float, float, float, float]  # left, top, right, bottom
SVG = "{http://www.w3.org/2000/svg}"


def elements(svg: str, tag: str) -> list[Element]:
    return ElementTree.fromstring(svg).findall(SVG + tag)


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in elements(svg, "text")]


def place(element: Element, x: str = "x", y: str = "y") -> tuple[float, float]:
    return float(element.attrib[x]), float(element.attrib[y])


def pixels(polyline: Element) -> list[tuple[float, float]]:
    pairs = [pair.split(",") for pair in polyline.attrib["points"].split()]
    return [(float(x), float(y)) for x, y in pairs]


def text_box(text: Element) -> Box:
    """Return the room that a text takes: 8 for a column, or 9 if it is bold; 10 high.

    Text that is turned to be read upwards takes the same room, turned.
    """
    x, y = place(text)
    column = (9 if text.get("font-weight") else 8) * int(text.get("font-size", 13)) / 13
    width = column * display_width(text.text or "")
    anchor = text.get("text-anchor", "middle")
    before = {"start": 0, "middle": width / 2, "end": width}[anchor]
    if text.get("transform", "").startswith("rotate(-90"):
        return x - 10, y + before - width, x, y + before
    return x - before, y - 10, x - before + width, y


def overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def assert_texts_are_apart_and_inside(svg: str) -> None:
    width, height = place(ElementTree.fromstring(svg), "width", "height")
    rooms = [text_box(text) for text in elements(svg, "text") if text.text]
    for i, room in enumerate(rooms):
        left, top, right, bottom = room
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        for other in rooms[:i]:
            assert not overlap(room, other)


# Pictures of every kind, for what all of them have in common.


def picture_of_a_chart() -> str:
    points = [(1.0, 3.31), (250.0, 2.62), (500.0, 2.17)]
    lines = [Line("each step", points, "pale"), Line("a level", points, "dashed")]
    return line_chart(lines, "Loss", "step", "nats a character")


def picture_of_a_heat_map() -> str:
    rows = [[1.0, None, None], [0.25, 0.75, None], [0.5, 0.125, 0.375]]
    return heat_map(rows, "ann", "ann", "Attention", "looks from", "looks at", "share")


def picture_of_points() -> str:
    vowels = Group("vowels", [(0.9, 1.0), (1.1, 0.8)], ["a", "e"])
    return scatter([vowels, Group("others", [(-1.0, 0.2)])], "Letters", "x", "y")


def picture_of_a_graph() -> str:
    return graph_svg((Value(2.0, label="w") * 3 + 1).relu())


def picture_of_two() -> str:
    chart = line_chart(
        [Line("loss", [(0.0, 3.3), (500.0, 2.5)])], "Loss", "step", "nats", width=300
    )
    return side_by_side([chart, picture_of_a_heat_map()], title="Two pictures")


PICTURES = [
    picture_of_a_chart,
    picture_of_a_heat_map,
    picture_of_points,
    picture_of_a_graph,
    picture_of_two,
]


@pytest.mark.parametrize("make", PICTURES)
def test_a_picture_has_a_size_shrinks_and_has_a_white_ground(
    make: Callable[[], str],
) -> None:
    root = ElementTree.fromstring(make())
    width, height = root.attrib["width"], root.attrib["height"]
    assert root.attrib["viewBox"] == f"0 0 {width} {height}"
    assert root.attrib["style"] == "max-width:100%;height:auto"
    assert "sans-serif" in root.attrib["font-family"]
    title, ground = root[0], root[1]
    assert title.tag == SVG + "title" and title.text
    assert ground.attrib == {"width": "100%", "height": "100%", "fill": "white"}


@pytest.mark.parametrize("make", PICTURES)
def test_a_picture_can_be_read_on_a_telephone(make: Callable[[], str]) -> None:
    # Shrunk to 360 pixels, letters 13 high are still 7 high or more.
    width = float(ElementTree.fromstring(make()).attrib["width"])
    assert 13 * 360 / width >= 7


@pytest.mark.parametrize("make", PICTURES[:4])
def test_no_text_of_a_picture_covers_another_or_is_cut_off(
    make: Callable[[], str],
) -> None:
    assert_texts_are_apart_and_inside(make())


# number and bars


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (2.0, "2"),
        (-0.25, "-0.25"),
        (2 / 3, "0.6667"),
        (0.1 + 0.2, "0.3"),
        (99.999, "100"),
        (1e-17, "1e-17"),
        (-1.23456e-17, "-1.235e-17"),
        (1234567.0, "1.235e+06"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
    ],
)
def test_a_number_has_four_significant_digits(x: float, expected: str) -> None:
    assert number(x) == expected


def test_bars_are_aligned_and_as_long_as_their_share() -> None:
    rows = [("a", 1.0), ("é", 0.5), ("BOS", 0.0), ("d", 0.004)]
    assert bars(rows, width=10).split("\n") == [
        "  a 100.0% ##########",
        "  é  50.0% #####",
        "BOS   0.0%",
        "  d   0.4%",
    ]


def test_a_share_of_top_fills_the_width() -> None:
    assert bars([("a", 0.2), ("b", 0.1)], width=4, top=0.2) == (
        "a  20.0% ####\nb  10.0% ##"
    )


def test_a_name_that_is_a_newline_stays_on_its_line() -> None:
    assert bars([("\n", 0.5), ("b", 0.5)], width=2) == "'\\n'  50.0% #\n   b  50.0% #"


def test_names_are_padded_by_the_columns_that_they_take() -> None:
    # Two Chinese characters take four columns; an accent of its own takes none.
    rows = [("abcd", 1.0), ("安娜", 1.0), ("e\u0301", 1.0)]
    lines = bars(rows, width=1).split("\n")
    assert lines == ["abcd 100.0% #", "安娜 100.0% #", "   e\u0301 100.0% #"]
    assert {display_width(line) for line in lines} == {13}


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("\t", r"'\t'"),
        (" ", "' '"),
        ("a\x1b[31m", r"'a\x1b[31m'"),
        ("\u202e", r"'\u202e'"),
        ("\ud800", r"'\ud800'"),
        ("a b", "a b"),
        ("می\u200cخواهم", "می\u200cخواهم"),  # Persian, with a mark that belongs there
    ],
)
def test_a_name_that_cannot_be_seen_is_shown_escaped(name: str, shown: str) -> None:
    assert bars([(name, 0.5)], width=2) == f"{shown}  50.0% #"


def test_no_rows_are_no_lines() -> None:
    assert bars([]) == ""


def test_a_share_that_is_not_a_number_is_an_error() -> None:
    with pytest.raises(ValueError, match="NaN"):
        bars([("z", math.nan)])


# line_chart


def axes(svg: str) -> tuple[dict[float, float], dict[float, float]]:
    """Read the axes: the pixel of each number written below and left of the plot."""
    x_axis, y_axis = {}, {}
    for text in elements(svg, "text"):
        is_number = re.fullmatch(r"-?[\d.]+(e[-+]\d+)?", text.text or "")
        x, y = place(text)
        if is_number and text.get("text-anchor") == "end":
            y_axis[float(text.text or "")] = y - 4  # 4: from the middle to the baseline
        elif is_number:
            x_axis[float(text.text or "")] = x
    return x_axis, y_axis


def read_off(axis: dict[float, float], pixel: float) -> float:
    """Return the number at a pixel, by a ruler laid along the axis."""
    low, high = min(axis), max(axis)
    share = (pixel - axis[low]) / (axis[high] - axis[low])
    return low + share * (high - low)


def coloured_lines(svg: str) -> tuple[list[Element], list[Element], list[Element]]:
    """Return each line of the data, the dot at its end, its sample in the legend."""
    coloured = [
        line for line in elements(svg, "polyline") if len(line.attrib["stroke"]) == 7
    ]
    return coloured[::3], coloured[1::3], coloured[2::3]


def chart_of(points: list[tuple[float, float]]) -> str:
    return line_chart([Line("a line", points)], "title", "across", "up")


@pytest.mark.parametrize(
    "points",
    [
        [(1.0, 3.31), (250.0, 2.62), (500.0, 2.17)],
        [(0.0, -4e-6), (1.0, 3e-6), (2.0, 0.0)],
        [(-3.0, 1e6), (9.0, -2.5e6)],
        [(1e6, 7.0), (1e6 + 50, 8.0)],
        [(0.0, 2.5), (10.0, 2.5)],
        [(1.0, 2.3)],
        [(0.0, 0.0)],
        [(1e299, -1e299), (-1e299, 1e299)],
    ],
)
def test_points_are_where_the_axes_say(points: list[tuple[float, float]]) -> None:
    svg = chart_of(points)
    x_axis, y_axis = axes(svg)
    x_span, y_span = max(x_axis) - min(x_axis), max(y_axis) - min(y_axis)
    (line,), _, _ = coloured_lines(svg)
    assert len(pixels(line)) == len(points)
    for (x, y), (x_pixel, y_pixel) in zip(points, pixels(line)):
        # Pixels are written to a tenth, the point's and those of the two ticks.
        x_room = max(x_axis.values()) - min(x_axis.values())
        y_room = max(y_axis.values()) - min(y_axis.values())
        assert abs(read_off(x_axis, x_pixel) - x) < x_span * 0.2 / x_room
        assert abs(read_off(y_axis, y_pixel) - y) < y_span * 0.2 / y_room
    assert_texts_are_apart_and_inside(svg)


def test_up_is_more_and_right_is_more() -> None:
    (line,), _, _ = coloured_lines(chart_of([(1.0, 5.0), (2.0, 6.0)]))
    (x0, y0), (x1, y1) = pixels(line)
    assert x0 < x1
    assert y0 > y1  # in SVG, y grows downwards


def test_grid_lines_are_at_the_ticks() -> None:
    svg = chart_of([(0.0, 1.0), (37.0, 4.2)])
    x_axis, y_axis = axes(svg)
    grid = [
        pixels(line)
        for line in elements(svg, "polyline")
        if line.attrib["stroke"] == "#ddd"
    ]
    upright = {a[0] for a, b in grid if a[0] == b[0]}
    level = {a[1] for a, b in grid if a[1] == b[1]}
    assert sorted(upright) == pytest.approx(sorted(x_axis.values()))
    assert sorted(level) == pytest.approx(sorted(y_axis.values()))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1, 500, [0, 100, 200, 300, 400, 500]),
        (1.64, 3.8, [1.5, 2, 2.5, 3, 3.5, 4]),
        (-1, 1, [-1, -0.5, 0, 0.5, 1]),
        (0, 1.2, [0, 0.2, 0.4, 0.6, 0.8, 1, 1.2]),
        (0, 0.0031, [0, 0.001, 0.002, 0.003, 0.004]),
        # Equal numbers, also but for a rounding error: a hundredth of them is shown.
        (7, 7, [7, 7.02, 7.04, 7.06, 7.08]),
        (7, 7 + 1e-12, [7, 7.02, 7.04, 7.06, 7.08]),
        (0, 0, [0, 0.2, 0.4, 0.6, 0.8, 1]),
    ],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert _ticks([low, high]) == pytest.approx(expected, abs=1e-12)


def test_ticks_are_few_and_around_the_numbers_at_any_scale() -> None:
    rng = random.Random(0)
    for _ in range(2000):
        low = rng.uniform(-1, 1) * 10 ** rng.uniform(-9, 9)
        high = low + 10 ** rng.uniform(-9, 9)
        ticks = _ticks([high, low])
        step = ticks[1] - ticks[0]
        assert 3 <= len(ticks) <= 9
        assert ticks[0] <= low + 1e-6 * step
        assert ticks[-1] >= high - 1e-6 * step
        leading = float(f"{step:.3e}".split("e")[0])
        assert leading in (1, 2, 5)
        # What is written beside them tells the ticks apart.
        assert len({f"{tick:g}" for tick in ticks}) == len(ticks)


def test_ten_thousand_points_are_all_drawn() -> None:
    points = [(float(i), 100.0 if i == 1001 else 1.0) for i in range(10_000)]
    svg = chart_of(points)
    (line,), _, _ = coloured_lines(svg)
    assert len(pixels(line)) == len(points)
    assert len(svg) < 200_000


@pytest.mark.parametrize("before", [[], [(0.0, 5.0)]])
def test_a_line_ends_in_a_dot_and_one_point_is_a_dot(
    before: list[tuple[float, float]],
) -> None:
    svg = chart_of([*before, (1.0, 2.3)])
    _, (dot_element,), _ = coloured_lines(svg)
    x_axis, y_axis = axes(svg)
    (left, y), (right, _) = pixels(dot_element)
    assert read_off(x_axis, (left + right) / 2) == pytest.approx(1, abs=0.01)
    assert read_off(y_axis, y) == pytest.approx(2.3, abs=0.01)
    assert right - left == float(dot_element.attrib["stroke-width"]) == 4


def test_raw_is_thin_smoothed_is_bold_and_a_level_is_dashed() -> None:
    points = [(0.0, 1.0), (1.0, 2.0)]
    lines = [Line(style, points, style) for style in ("pale", "bold", "dashed")]
    (pale, bold, dashed), _, _ = coloured_lines(line_chart(lines, "", "", ""))
    assert float(pale.attrib["stroke-width"]) < float(bold.attrib["stroke-width"])
    assert dashed.attrib["stroke-dasharray"] != "none"
    assert pale.attrib["stroke-dasharray"] == bold.attrib["stroke-dasharray"] == "none"
    assert len({line.attrib["stroke"] for line in (pale, bold, dashed)}) == 3


def test_the_legend_shows_each_line_as_it_is_drawn_beside_its_name() -> None:
    points = [(0.0, 1.0), (1.0, 2.0)]
    styles = ["bold", "dashed", "bold", "pale", "bold", "bold"]
    lines = [Line(f"line {i}", points, style) for i, style in enumerate(styles)]
    svg = line_chart(lines, "", "", "")
    names = [e for e in elements(svg, "text") if (e.text or "").startswith("line ")]
    assert [name.text for name in names] == [line.name for line in lines]
    all_drawn, _, samples = coloured_lines(svg)
    for sample, drawn, name in zip(samples, all_drawn, names):
        for attribute in ("stroke", "stroke-width", "stroke-dasharray"):
            assert sample.get(attribute) == drawn.get(attribute)
        (_, y), (sample_end, _) = pixels(sample)
        x_text, y_text = place(name)
        assert sample_end < x_text
        assert abs(y - y_text) <= 4
        assert y > max(y_pixel for _, y_pixel in pixels(drawn))  # below the plot


def test_titles_and_names_are_written_as_they_are() -> None:
    names = ["<b> & \"c\" 'd'", "学習 é", "a\x00b"]
    lines = [Line(name, [(0.0, 1.0), (1.0, 2.0)]) for name in names]
    svg = line_chart(lines, "a < b", "x & y", "z > 0")
    assert {"a < b", "x & y", "z > 0", names[0], names[1]} <= set(texts(svg))
    # No XML may hold character 0, so it is spelt.
    assert repr(names[2]) in texts(svg)


def test_axes_reach_the_numbers_they_are_to_include() -> None:
    line = Line("loss", [(0.0, 2.0), (10.0, 3.0)])
    svg = line_chart([line], "", "", "", x_include=[100], y_include=[-1, 8])
    x_axis, y_axis = axes(svg)
    assert (min(x_axis), max(x_axis)) == (0, 100)
    assert (min(y_axis), max(y_axis)) == (-2, 8)


def test_long_titles_and_names_are_wrapped() -> None:
    name = "the mean of the last fifty losses, " * 4
    lines = [Line(name, [(0.0, 1.0)]), Line(name, [(0.0, 2.0)])]
    svg = line_chart(lines, name, "step", "nats a character")
    assert_texts_are_apart_and_inside(svg)
    words = " ".join(texts(svg))
    assert words.count("the mean of the last fifty") == 3 * 4


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_an_error(bad: float) -> None:
    for point in [(2.0, bad), (bad, 2.0)]:
        with pytest.raises(ValueError, match=r"'loss'.*finite"):
            line_chart([Line("loss", [(1.0, 1.0), point])], "", "", "")


def test_nothing_to_draw_is_an_error() -> None:
    with pytest.raises(ValueError, match="'loss' has no points"):
        line_chart([Line("loss", [])], "", "", "")
    with pytest.raises(ValueError, match="no lines to draw: give one or more"):
        line_chart([], "title", "x", "y")


def test_an_unknown_style_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'thick'.*pale, bold, dashed"):
        line_chart([Line("loss", [(0.0, 1.0)], "thick")], "", "", "")


# side_by_side


def test_pictures_side_by_side_are_in_rows_and_do_not_meet() -> None:
    sizes = [(300, "a"), (250, "b"), (300, "c")]
    charts = [
        line_chart([Line(name, [(0.0, 1.0)])], name, "x", "y", width=width)
        for width, name in sizes
    ]
    svg = side_by_side(charts, columns=2, title="three")
    inner = elements(svg, "svg")
    assert [element.findtext(SVG + "title") for element in inner] == ["a", "b", "c"]
    places = [place(element) for element in inner]
    (x0, y0), (x1, y1), (x2, y2) = places
    assert x0 == x2 == 0
    assert x1 == 300  # a column is as wide as the widest picture
    assert y0 == y1
    assert y0 > 24  # below the title
    heights = [float(element.attrib["height"]) for element in inner]
    assert y2 == y0 + max(heights[:2])
    width, height = place(ElementTree.fromstring(svg), "width", "height")
    assert (width, height) == (600, y2 + heights[2])
    # An inner picture must keep its size: only the whole one shrinks.
    assert [element.get("style") for element in inner] == [None] * 3


def test_pictures_in_one_column_are_below_each_other() -> None:
    chart = picture_of_a_chart()
    width, height = place(ElementTree.fromstring(chart), "width", "height")
    svg = side_by_side([chart, chart], columns=1)
    assert [place(inner) for inner in elements(svg, "svg")] == [(0, 0), (0, height)]
    whole = place(ElementTree.fromstring(svg), "width", "height")
    assert whole == (width, 2 * height)


def test_no_pictures_or_no_columns_are_an_error() -> None:
    with pytest.raises(ValueError, match="no pictures"):
        side_by_side([])
    with pytest.raises(ValueError, match="columns is 0"):
        side_by_side([picture_of_a_chart()], columns=0)


# heat_map


def cells(svg: str) -> list[Element]:
    """Return the rects of the cells, row by row: all that have the grid's edges."""
    rects = elements(svg, "rect")
    return [rect for rect in rects if rect.get("stroke") in ("#ddd", "#eee")]


def brightness(rect: Element) -> float:
    digits = rect.attrib["fill"][1:]
    red, green, blue = [int(digits[i : i + 2], 16) for i in (0, 2, 4)]
    return 0.299 * red + 0.587 * green + 0.114 * blue


def text_in(svg: str, rect: Element) -> str:
    x, y = place(rect)
    width, height = place(rect, "width", "height")
    inside = [
        text.text or ""
        for text in elements(svg, "text")
        if x < place(text)[0] < x + width and y < place(text)[1] < y + height
    ]
    return " ".join(inside)


def test_a_number_is_in_the_row_and_column_of_its_labels() -> None:
    rows = [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]
    svg = heat_map(rows, ["r0", "r1"], ["c0", "c1", "c2"], "", "from", "at", digits=1)
    # In reverse: the ends of the scale below have the same numbers.
    where = {text.text: place(text) for text in reversed(elements(svg, "text"))}
    for i, row in enumerate(rows):
        for j, x in enumerate(row):
            x_cell, y_cell = where[f"{x:.1f}"]
            assert x_cell == where[f"c{j}"][0]
            assert y_cell == where[f"r{i}"][1]
    assert all(where[f"c{j}"][1] < where["0.1"][1] for j in range(3))  # above
    assert all(where[f"r{i}"][0] < where["0.1"][0] for i in range(2))  # to the left
    assert {"from \u2193", "at \u2192"} <= set(where)


def test_a_larger_number_is_darker_and_its_text_can_be_read_on_it() -> None:
    row = [i / 20 for i in range(21)]
    labels = [str(i) for i in range(21)]
    svg = heat_map([row], ["row"], labels, "", "", "")
    shades = [brightness(rect) for rect in cells(svg)]
    assert shades == sorted(shades, reverse=True)
    assert len(set(shades)) == 21
    assert shades[0] == 255
    for x in row:
        svg = heat_map([[x]], ["row"], ["column"], "", "", "", low=0, high=1)
        (text,) = [e for e in elements(svg, "text") if e.text == f"{x:.2f}"]
        ink = 255 if text.attrib["fill"] == "white" else 0x22
        assert abs(brightness(cells(svg)[0]) - ink) > 100


def test_around_0_blue_is_more_orange_is_less_and_white_is_0() -> None:
    svg = heat_map([[-2.0, 0.0, 1.0]], ["r"], "abc", "", "", "", diverging=True)
    fills = [rect.attrib["fill"] for rect in cells(svg)]
    red, _, blue = [[int(fill[i : i + 2], 16) for fill in fills] for i in (1, 3, 5)]
    assert red[0] > blue[0]  # orange
    assert fills[1] == "#ffffff"
    assert red[2] < blue[2]
    # The scale goes as far on both sides, so half as far from 0 is half as strong.
    assert brightness(cells(svg)[2]) > brightness(cells(svg)[0])
    assert texts(svg)[-3:] == ["-2", "0", "2"]


def test_the_scale_tells_its_ends_and_its_unit() -> None:
    svg = heat_map([[0.25, 0.75]], ["r"], "ab", "", "", "", unit="share")
    assert texts(svg)[-3:] == ["0.25", "0.75", "share"]
    svg = heat_map([[0.25, 0.75]], ["r"], "ab", "", "", "", "share", low=0, high=1)
    assert texts(svg)[-3:] == ["0", "1", "share"]
    # The scale is 36 steps, from left to right, between its two ends, and its edge.
    *steps, edge = elements(svg, "rect")[-37:]
    lefts = [place(step)[0] for step in steps]
    assert lefts == sorted(lefts)
    assert [brightness(step) for step in steps] == sorted(
        [brightness(step) for step in steps], reverse=True
    )
    left, width = place(edge, "x", "width")
    assert lefts[0] == left
    assert lefts[-1] + float(steps[-1].attrib["width"]) == pytest.approx(
        left + width, abs=0.5
    )
    # At the same share of its scale, a cell has the colour that the scale has there.
    first, last = elements(svg, "rect")[-37], elements(svg, "rect")[-2]
    assert first.attrib["fill"] == "#ffffff"
    svg = heat_map([[0.0, 1.0]], ["r"], "ab", "", "", "")
    assert cells(svg)[1].attrib["fill"] == last.attrib["fill"]


def test_none_is_an_empty_cell() -> None:
    svg = picture_of_a_heat_map()
    shown = [text_in(svg, rect) for rect in cells(svg)]
    assert shown == ["1.00", "", "", "0.25", "0.75", "", "0.50", "0.12", "0.38"]
    assert [rect.attrib["fill"] == "none" for rect in cells(svg)] == [
        text == "" for text in shown
    ]


def test_numbers_that_do_not_fit_are_left_out_and_labels_are_turned() -> None:
    rows = [[i * j / 7 for j in range(40)] for i in range(3)]
    svg = heat_map(rows, "abc", [f"position {j}" for j in range(40)], "", "r", "c")
    assert not any(text_in(svg, rect) for rect in cells(svg))
    labels = [t for t in elements(svg, "text") if (t.text or "").startswith("position")]
    assert len(labels) == 40
    assert_texts_are_apart_and_inside(svg)
    for label, cell in zip(labels, cells(svg)):
        left, _, right, bottom = text_box(label)
        x, y = place(cell)
        assert x <= (left + right) / 2 <= x + float(cell.attrib["width"])
        assert bottom <= y


@pytest.mark.parametrize("n_columns", [3, 9, 12, 14, 16, 20])
@pytest.mark.parametrize("digits", [0, 1, 2, 3, 6])
def test_a_number_that_is_printed_is_inside_its_cell(
    n_columns: int, digits: int
) -> None:
    row = [-1.0 + j / n_columns for j in range(n_columns)]
    labels = [str(j) for j in range(n_columns)]
    svg = heat_map([row], ["row"], labels, "", "", "", digits=digits)
    printed = [text for text in elements(svg, "text") if text.get("font-size") == "11"]
    assert len(printed) in (0, n_columns)
    for text, rect in zip(printed, cells(svg)):
        x, y = place(rect)
        width, height = place(rect, "width", "height")
        left, top, right, bottom = text_box(text)
        assert x <= left < right <= x + width
        assert y < top < bottom < y + height
    # Room for the numbers is used: those of the smallest tables are all printed.
    assert printed or n_columns * digits > 3


def test_cells_widen_for_labels_of_middle_length() -> None:
    svg = heat_map([[0.5, 0.25]], ["the row"], ["a query", "the key"], "", "r", "c")
    assert not any(text.get("transform") for text in elements(svg, "text"))
    assert_texts_are_apart_and_inside(svg)


def test_a_table_that_is_no_table_is_an_error() -> None:
    def draw(rows: list[list[float | None]], **more: float) -> str:
        return heat_map(rows, "ab", "cd", "", "", "", **more)  # type: ignore[arg-type]

    with pytest.raises(ValueError, match="1 rows and 2 row labels"):
        draw([[1.0, 2.0]])
    with pytest.raises(ValueError, match=r"row 1 has 1 numbers.* 2 column labels"):
        draw([[1.0, 2.0], [3.0]])
    with pytest.raises(ValueError, match="no numbers"):
        draw([[None, None], [None, None]])
    with pytest.raises(ValueError, match="not finite"):
        draw([[1.0, 2.0], [3.0, math.nan]])
    with pytest.raises(ValueError, match=r"1 to 4, .*0 to 3: make it longer"):
        draw([[1.0, 2.0], [3.0, 4.0]], low=0, high=3)


# scatter


def markers(svg: str) -> list[tuple[float, float, str, str]]:
    """Return (x, y, colour, shape) of each marker: the data's, then the legend's."""
    found = []
    for polygon in elements(svg, "polygon"):
        x, y = re.findall(r"[\d.]+", polygon.attrib["transform"])
        found.append(
            (float(x), float(y), polygon.attrib["fill"], polygon.attrib["points"])
        )
    return found


def test_markers_are_where_the_axes_say_in_the_colour_and_shape_of_their_group() -> (
    None
):
    a, b = [(-1.0, 0.2), (0.5, 0.9)], [(0.1, -0.7)]
    svg = scatter([Group("first", a), Group("second", b)], "title", "across", "up")
    x_axis, y_axis = axes(svg)
    found = markers(svg)
    for (x, y), (x_pixel, y_pixel, _, _) in zip(a + b, found):
        assert read_off(x_axis, x_pixel) == pytest.approx(x, abs=0.005)
        assert read_off(y_axis, y_pixel) == pytest.approx(y, abs=0.005)
    kinds = [kind for _, _, *kind in found]
    assert kinds[0] == kinds[1] == kinds[3]  # the last two are the legend's
    assert kinds[2] == kinds[4]
    assert kinds[0][0] != kinds[2][0]  # the colour
    assert kinds[0][1] != kinds[2][1]  # and the shape
    for name, (_, y_pixel, _, _) in zip(["first", "second"], found[3:]):
        (text,) = [e for e in elements(svg, "text") if e.text == name]
        assert abs(place(text)[1] - y_pixel) <= 4


def test_five_groups_differ_in_shape_and_thirty_in_shape_or_colour() -> None:
    groups = [Group(str(i), [(float(i), 0.0)]) for i in range(30)]
    kinds = [kind for _, _, *kind in markers(scatter(groups, "", "", ""))][:30]
    assert len({shape for _, shape in kinds[:5]}) == 5
    assert len({tuple(kind) for kind in kinds}) == 30


def test_labels_stand_beside_their_points_and_cover_nothing() -> None:
    rng = random.Random(2)
    letters = "abcdefghijklmnopqrstuvwxyz"
    points = [(rng.uniform(0, 1), rng.uniform(0, 1)) for _ in letters]
    svg = scatter([Group("letters", points, letters)], "", "", "")
    spots = markers(svg)
    rooms = [(x - 5, y - 5, x + 5, y + 5) for x, y, _, _ in spots]
    for letter, (x, y, _, _) in zip(letters, spots):
        (text,) = [e for e in elements(svg, "text") if e.text == letter]
        left, top, right, bottom = text_box(text)
        assert abs((left + right) / 2 - x) + abs((top + bottom) / 2 - y) < 25
        assert not any(overlap(text_box(text), room) for room in rooms)
    assert_texts_are_apart_and_inside(svg)


def test_a_long_label_at_the_edge_is_not_cut_off() -> None:
    points = [(0.0, 0.0), (0.0, 1.0), (1.0, 0.5)]
    labels = ["a long label"] * 3
    svg = scatter([Group("words", points, labels)], "", "", "")
    assert_texts_are_apart_and_inside(svg)


def test_the_ground_has_the_colour_of_the_group_that_a_place_belongs_to() -> None:
    def which_group(x: float, y: float) -> int:
        return 0 if x + y > 0.5 else 1

    groups = [Group("above", [(2.0, 1.5)]), Group("below", [(-1.0, 0.5)])]
    svg = scatter(groups, "", "", "", which_group)
    x_axis, y_axis = axes(svg)
    colours = [markers(svg)[0][2], markers(svg)[1][2]]
    rects = [rect for rect in elements(svg, "rect") if rect.get("opacity")]
    areas = []
    for rect in rects:
        x, y = place(rect)
        width, height = place(rect, "width", "height")
        areas.append(width * height)
        for pixel in (x + 1, x + width - 1):
            place_x, place_y = read_off(x_axis, pixel), read_off(y_axis, y + height / 2)
            if abs(place_x + place_y - 0.5) > 0.03:  # away from the boundary
                assert rect.attrib["fill"] == colours[which_group(place_x, place_y)]
    plot_width = max(x_axis.values()) - min(x_axis.values())
    plot_height = max(y_axis.values()) - min(y_axis.values())
    assert sum(areas) == pytest.approx(plot_width * plot_height, rel=0.01)  # all of it


def test_a_line_in_a_scatter_plot_lies_on_its_points_and_is_named_in_its_colour() -> (
    None
):
    groups = [Group("first", [(0.0, 0.0)]), Group("second", [(1.0, 1.0)])]
    bend = Line("where the bend is", [(-1.0, 2.0), (3.0, -1.5)], "dashed")
    svg = scatter(groups, "", "", "", lines=[bend])
    x_axis, y_axis = axes(svg)
    dashed = [
        e for e in elements(svg, "polyline") if e.get("stroke-dasharray") == "7 5"
    ]
    drawn, in_legend = dashed
    ends = [pair.split(",") for pair in drawn.attrib["points"].split()]
    for (x, y), (x_pixel, y_pixel) in zip(bend.points, ends):
        assert read_off(x_axis, float(x_pixel)) == pytest.approx(x, abs=0.01)
        assert read_off(y_axis, float(y_pixel)) == pytest.approx(y, abs=0.01)
    colour = drawn.attrib["stroke"]
    assert in_legend.attrib["stroke"] == colour
    assert colour not in [fill for _, _, fill, _ in markers(svg)]
    (text,) = [e for e in elements(svg, "text") if e.text == "where the bend is"]
    legend_y = float(in_legend.attrib["points"].split()[0].split(",")[1])
    assert abs(place(text)[1] - legend_y) <= 4


def test_points_that_cannot_be_drawn_are_an_error() -> None:
    with pytest.raises(ValueError, match="no groups"):
        scatter([], "", "", "")
    with pytest.raises(ValueError, match="'empty' has no points"):
        scatter([Group("empty", [])], "", "", "")
    with pytest.raises(ValueError, match=r"'a'.*finite"):
        scatter([Group("a", [(math.inf, 0.0)])], "", "", "")
    with pytest.raises(ValueError, match="'a' has 1 points and 2 labels"):
        scatter([Group("a", [(0.0, 0.0)], ["x", "y"])], "", "", "")


# Graphs to draw


def product_plus_c() -> Value:
    a, b, c = Value(2, label="a"), Value(-3, label="b"), Value(6.5, label="c")
    return (a * b + c).tanh()


def twice_doubled() -> Value:
    a = Value(1, label="a")
    b = a + a
    return b + b


def neuron() -> Value:
    x = [Value(2, label="x0"), Value(0, label="x1")]
    w = [Value(-3, label="w0"), Value(1, label="w1")]
    return (x[0] * w[0] + x[1] * w[1] + Value(6.88, label="b")).tanh()


def cross_entropy() -> Value:
    logits = [Value(x, label=f"logits[{i}]") for i, x in enumerate([1, 2, -1])]
    return logsumexp(logits) - logits[1]


def cross_entropy_of_atoms() -> Value:
    logits = [Value(x, label=f"logits[{i}]") for i, x in enumerate([1, 2, -1])]
    exps = [logit.exp() for logit in logits]
    return -(exps[1] / (exps[0] + exps[1] + exps[2])).log()


def dots_of_the_same() -> Value:
    w = [Value(0.9 - i, label=f"layer0.attn_wq[0][{i}]") for i in range(3)]
    x = [Value(1.6e-5 * (i - 1)) for i in range(3)]
    hidden = dot(w, x)
    return hidden.relu() ** 2 + dot(x, x) * (1 / 3) + hidden * x[0]


def used_many_times() -> Value:
    a, b = Value(3.0, label="a"), Value(0.5, label="b")
    return dot([a] * 5, [a, a, b, a, b]) * a - b


def random_graph(seed: int) -> Value:
    rng = random.Random(seed)
    values = [Value(rng.uniform(0.5, 2), label=f"p{i}") for i in range(5)]
    for _ in range(15):
        a, b = rng.choice(values), rng.choice(values[-4:])
        values.append(rng.choice([a + b, a * b, a - b, a.tanh(), dot([a, b], [b, a])]))
    return values[-1]


GRAPHS = [
    product_plus_c(),
    twice_doubled(),
    neuron(),
    cross_entropy(),
    cross_entropy_of_atoms(),
    dots_of_the_same(),
    used_many_times(),
    Value(2.0, label="alone"),
    *[random_graph(seed) for seed in range(10)],
]


def all_nodes(root: Value) -> list[Value]:
    order = topological_order(root)
    inputs = [input for node in order for input in node.inputs]
    return list(dict.fromkeys([*order, *inputs, root]))


def name_and_data(node: Value) -> list[str]:
    return [node.label or "leaf", f"data {number(node.data)}"]


# graph_text


def test_a_node_used_twice_is_shown_once_and_then_referred_to() -> None:
    c = twice_doubled()
    c.backward()
    # Each b in c counts 1, so b.grad = 1 + 1; each a in b counts 2, so a.grad = 2 + 2.
    assert graph_text(c).split("\n") == [
        "[1] +  data=4  grad=1",
        "    [2] +  data=2  grad=2  local_grad=1",
        "        [3] a  data=1  grad=4  local_grad=1",
        "        see [3] a  local_grad=1",
        "    see [2] +  local_grad=1",
    ]


def test_inputs_are_in_order_below_their_node() -> None:
    root = product_plus_c()
    root.backward()
    # 2 * -3 + 6.5 = 0.5; tanh(0.5) = 0.4621, and its slope is 1 - 0.4621 ** 2 = 0.7864.
    # Then a.grad = -3 * 0.7864 and b.grad = 2 * 0.7864.
    assert graph_text(root).split("\n") == [
        "[1] tanh  data=0.4621  grad=1",
        "    [2] +  data=0.5  grad=0.7864  local_grad=0.7864",
        "        [3] *  data=-6  grad=0.7864  local_grad=1",
        "            [4] a  data=2  grad=-2.359  local_grad=-3",
        "            [5] b  data=-3  grad=1.573  local_grad=2",
        "        [6] c  data=6.5  grad=0.7864  local_grad=1",
    ]


def test_a_plain_number_is_a_leaf_and_an_exponent_is_part_of_the_label() -> None:
    assert graph_text(Value(3, label="a") ** 2 + 1).split("\n") == [
        "[1] +  data=10  grad=0",
        "    [2] **2  data=9  grad=0  local_grad=1",
        "        [3] a  data=3  grad=0  local_grad=6",
        "    [4] leaf  data=1  grad=0  local_grad=1",
    ]


def test_a_leaf_without_a_label_is_called_a_leaf() -> None:
    assert graph_text(Value(-0.0)) == "[1] leaf  data=0  grad=0"


@pytest.mark.parametrize("root", GRAPHS)
def test_the_text_has_a_line_for_the_root_and_for_each_use_of_a_node(
    root: Value,
) -> None:
    lines = graph_text(root).split("\n")
    nodes = all_nodes(root)
    assert len(lines) == 1 + sum(len(node.inputs) for node in nodes)
    numbers = [int(n) for n in re.findall(r"^ *\[(\d+)\]", graph_text(root), re.M)]
    assert numbers == list(range(1, len(nodes) + 1))


# graph_svg


def boxes_and_texts(svg: str) -> list[tuple[Box, list[str]]]:
    """Return each box of a graph with the texts in it."""
    found = []
    for rect in elements(svg, "rect")[1:]:  # the first is the background
        x, y = place(rect)
        width, height = place(rect, "width", "height")
        box = (x, y, x + width, y + height)
        inside = [
            text.text or ""
            for text in elements(svg, "text")
            if x < place(text)[0] < x + width and y < place(text)[1] < y + height
        ]
        found.append((box, inside))
    return found


def test_a_box_shows_label_data_and_grad() -> None:
    root = product_plus_c()
    root.backward()
    assert sorted(inside for _, inside in boxes_and_texts(graph_svg(root))) == [
        ["*", "data -6", "grad 0.7864"],
        ["+", "data 0.5", "grad 0.7864"],
        ["a", "data 2", "grad -2.359"],
        ["b", "data -3", "grad 1.573"],
        ["c", "data 6.5", "grad 0.7864"],
        ["tanh", "data 0.4621", "grad 1"],
    ]


@pytest.mark.parametrize("root", GRAPHS)
def test_every_node_is_one_box_and_every_use_one_line_with_its_slope(
    root: Value,
) -> None:
    svg = graph_svg(root)
    boxes = boxes_and_texts(svg)
    nodes = all_nodes(root)
    assert len(boxes) == len(nodes)
    slopes = {place(text): text.text for text in elements(svg, "text")}
    drawn, corners = [], set()
    for line in elements(svg, "polyline"):
        start, (x, y), end = pixels(line)
        # Right from the box of the input, then down into the box of the node.
        (input,) = [t[:2] for b, t in boxes if b[2] == start[0] and b[1] < y < b[3]]
        (node,) = [t[:2] for b, t in boxes if b[0] < x < b[2] and b[1] == end[1]]
        assert start[0] < x == end[0]
        assert start[1] == y < end[1]
        drawn.append((input, node, slopes[x - 6, y - 3]))
        corners.add((x, y))
    assert len(corners) == len(drawn)  # also of two lines between the same two boxes
    assert sorted(drawn) == sorted(
        (name_and_data(input), name_and_data(node), number(slope))
        for node in all_nodes(root)
        for input, slope in zip(node.inputs, node.local_grads)
    )


@pytest.mark.parametrize("root", GRAPHS)
def test_no_two_lines_share_a_stretch_so_each_can_be_followed(root: Value) -> None:
    lines = [pixels(line) for line in elements(graph_svg(root), "polyline")]
    for i, ((x0, y0), (x1, y1), (_, y2)) in enumerate(lines):
        assert (x0, y0) not in [other[0] for other in lines[:i]]
        for (other_x0, other_y), (other_x, _), (_, other_y2) in lines[:i]:
            if y0 == other_y:
                assert x1 < other_x0 or other_x < x0
            if x1 == other_x:
                assert y2 < other_y or other_y2 < y1
    ends = [line[-1] for line in lines]
    assert len(set(ends)) == len(ends)  # each has an arrow of its own


@pytest.mark.parametrize("root", GRAPHS)
def test_lines_that_leave_or_enter_the_same_box_do_not_cross(root: Value) -> None:
    boxes = [box for box, _ in boxes_and_texts(graph_svg(root))]

    def box_left_and_box_entered(line: Element) -> tuple[Box, Box]:
        (x0, y0), (x1, _), (_, y2) = pixels(line)
        (left,) = [b for b in boxes if b[2] == x0 and b[1] < y0 < b[3]]
        (entered,) = [b for b in boxes if b[0] < x1 < b[2] and b[1] == y2]
        return left, entered

    lines = elements(graph_svg(root), "polyline")
    for line in lines:
        for other in lines:
            left, entered = box_left_and_box_entered(line)
            other_left, other_entered = box_left_and_box_entered(other)
            if left == other_left or entered == other_entered:
                (x0, y), (x1, _), _ = pixels(line)
                _, (x, y_top), (_, y_bottom) = pixels(other)
                assert not (x0 < x < x1 and y_top < y < y_bottom)


@pytest.mark.parametrize("root", GRAPHS)
def test_nodes_are_from_top_left_to_bottom_right_in_the_order_of_computation(
    root: Value,
) -> None:
    boxes = boxes_and_texts(graph_svg(root))
    n_leaves = sum(not node.inputs for node in all_nodes(root))
    rows = [box[1] for box, _ in boxes]
    columns = [box[0] for box, _ in boxes]
    assert sorted(set(rows)) == rows
    assert columns[:n_leaves] == [min(columns)] * n_leaves
    assert sorted(set(columns[n_leaves:])) == columns[n_leaves:]
    if root.inputs:
        assert boxes[-1][1][:2] == name_and_data(root)
    computed = [texts[:2] for _, texts in boxes[n_leaves:]]
    order = [node for node in topological_order(root) if node.inputs]
    assert computed == [name_and_data(node) for node in order]


@pytest.mark.parametrize("numbered", [False, True])
@pytest.mark.parametrize("root", GRAPHS)
def test_no_text_meets_a_box_a_text_or_a_line_and_no_line_meets_a_box(
    root: Value, numbered: bool
) -> None:
    svg = graph_svg(root, numbered)
    assert_texts_are_apart_and_inside(svg)
    boxes = [box for box, _ in boxes_and_texts(svg)]
    in_boxes = {text for _, inside in boxes_and_texts(svg) for text in inside}
    outside = [text for text in elements(svg, "text") if text.text not in in_boxes]
    rooms = boxes + [text_box(text) for text in outside]
    for i, room in enumerate(rooms):
        for other in rooms[:i]:
            assert not overlap(room, other)
    for line in elements(svg, "polyline"):
        (x0, y0), (x1, y1), (_, y2) = pixels(line)
        for room in rooms:
            assert not overlap(room, (x0, y0, x1, y1))
            assert not overlap(room, (x1, y1, x1, y2))


def test_every_box_and_every_text_in_a_box_is_inside_it() -> None:
    for root in GRAPHS:
        svg = graph_svg(root, numbered=True)
        width, height = place(ElementTree.fromstring(svg), "width", "height")
        boxes = [box for box, _ in boxes_and_texts(svg)]
        for left, top, right, bottom in boxes:
            assert 0 < left < right < width
            assert 0 < top < bottom < height
        n_inside = 0
        for text in elements(svg, "text"):
            t = text_box(text)
            for b in boxes:
                if overlap(t, b):
                    n_inside += 1
                    assert b[0] < t[0] < t[2] < b[2] and b[1] < t[1] < t[3] < b[3]
        n_computed = sum(bool(node.inputs) for node in all_nodes(root))
        assert n_inside == 3 * len(boxes) + n_computed


@pytest.mark.parametrize("root", GRAPHS)
def test_circles_number_the_nodes_in_the_order_of_backward(root: Value) -> None:
    svg = graph_svg(root, numbered=True)
    order = [name_and_data(node) for node in reversed(topological_order(root))]
    found = {}
    for _, inside in boxes_and_texts(svg):
        if len(inside) == 4:
            label, data, _, turn = inside
            found[int(turn)] = [label, data]
    assert [found[turn] for turn in range(1, len(order) + 1)] == order
    assert len(elements(svg, "circle")) == len(order)
    assert not elements(graph_svg(root), "circle")


def test_an_arrow_ends_at_each_computed_box() -> None:
    svg = graph_svg(neuron())
    tips = []
    for polygon in elements(svg, "polygon"):
        *_, tip = polygon.attrib["points"].split()
        x, y = tip.split(",")
        tips.append((float(x), float(y)))
    assert set(tips) == {pixels(line)[-1] for line in elements(svg, "polyline")}


def test_a_picture_of_a_graph_explains_its_colours_and_numbers() -> None:
    words = " ".join(texts(picture_of_a_graph()))
    for word in ("Orange:", "Blue:", "On a line: local_grad", "grad: how fast"):
        assert word in words
    assert "order in which backward() visits" not in words
    assert "order in which backward() visits" in " ".join(
        texts(graph_svg(neuron(), numbered=True))
    )


def test_a_label_fits_into_its_box_and_is_escaped() -> None:
    for label in ("layer11.mlp_fc2[3071][767]", '<&>"', "学習率学習率学習率", "\n"):
        svg = graph_svg(Value(1, label=label) * 2)
        shown = "'\\n'" if label == "\n" else label
        ((box, _),) = [pair for pair in boxes_and_texts(svg) if shown in pair[1]]
        widest = 16 if label[0] == "学" else 8
        assert box[2] - box[0] > widest * len(shown)


# Too large


@pytest.mark.parametrize("draw", [graph_text, graph_svg])
def test_a_graph_too_large_to_read_is_an_error_that_says_how_large(
    draw: Callable[[Value], str],
) -> None:
    x = Value(1.0)
    for _ in range(99):
        x = -x
    assert "data" in draw(x)  # 1 and 99 negations
    with pytest.raises(
        ValueError, match=r"101 nodes, at most 100: .*smaller expression"
    ):
        draw(-x)
    for _ in range(20_000):
        x = -x
    with pytest.raises(ValueError, match="20100 nodes"):
        draw(x)


# The picture at the top of the README


@pytest.mark.slow
def test_the_picture_in_the_readme_is_what_its_script_makes() -> None:
    folder = Path(__file__).resolve().parents[2] / ".github" / "pictures"
    made = runpy.run_path(str(folder / "make.py"))["readme_picture"]()
    stored = (folder / "readme.svg").read_text(encoding="utf-8")
    # Last digits differ between Pythons, and pixels are rounded to a tenth.
    a_number = r"-?\d+\.\d"
    assert re.sub(a_number, "", made) == re.sub(a_number, "", stored)
    pairs = zip(re.findall(a_number, made), re.findall(a_number, stored))
    assert all(abs(float(now) - float(then)) < 0.11 for now, then in pairs)
    assert len(stored.encode()) < 100_000
