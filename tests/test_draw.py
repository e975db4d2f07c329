"""Pictures are checked by reading them back: the SVG is parsed and measured."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from microgpt.draw import (
    Line,
    _ticks,
    bars,
    graph_svg,
    graph_text,
    line_chart,
    number,
)
from microgpt.value import Value, dot, logsumexp, topological_order

Box = tuple[float, float, float, float]  # left, top, right, bottom


def elements(svg: str, tag: str) -> list[Element]:
    return ElementTree.fromstring(svg).findall("{http://www.w3.org/2000/svg}" + tag)


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in elements(svg, "text")]


def place(element: Element, x: str = "x", y: str = "y") -> tuple[float, float]:
    return float(element.attrib[x]), float(element.attrib[y])


def pixels(polyline: Element) -> list[tuple[float, float]]:
    pairs = [pair.split(",") for pair in polyline.attrib["points"].split()]
    return [(float(x), float(y)) for x, y in pairs]


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
        # Pixels are written to a tenth; the plot is 600 of them wide and 300 high.
        assert abs(read_off(x_axis, x_pixel) - x) < x_span * 0.1 / 600
        assert abs(read_off(y_axis, y_pixel) - y) < y_span * 0.1 / 300


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
    assert upright == set(x_axis.values())
    assert level == set(y_axis.values())


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


def test_a_chart_has_a_size_and_a_white_ground() -> None:
    svg = chart_of([(0.0, 1.0), (1.0, 2.0)])
    root = ElementTree.fromstring(svg)
    width, height = root.attrib["width"], root.attrib["height"]
    assert root[0].tag.endswith("rect")
    assert root[0].attrib == {"width": "100%", "height": "100%", "fill": "white"}
    for text in root.iter("{http://www.w3.org/2000/svg}text"):
        x, y = place(text)
        assert 0 < x < float(width)
        assert 0 < y < float(height)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_an_error(bad: float) -> None:
    for point in [(2.0, bad), (bad, 2.0)]:
        with pytest.raises(ValueError, match=r"loss: .*finite"):
            line_chart([Line("loss", [(1.0, 1.0), point])], "", "", "")


def test_nothing_to_draw_is_an_error() -> None:
    with pytest.raises(ValueError, match="loss: give 1 or more points"):
        line_chart([Line("loss", [])], "", "", "")
    with pytest.raises(ValueError):
        line_chart([], "title", "x", "y")


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
    Value(2.0, label="alone"),
    *[random_graph(seed) for seed in range(10)],
]


def all_nodes(root: Value) -> list[Value]:
    order = topological_order(root)
    return list(dict.fromkeys([*order, *[i for node in order for i in node.inputs]]))


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


def test_a_number_folded_into_a_node_has_no_line() -> None:
    assert graph_text(Value(3, label="a") * 2 + 1).split("\n") == [
        "[1] +  data=7  grad=0",
        "    [2] *  data=6  grad=0  local_grad=1",
        "        [3] a  data=3  grad=0  local_grad=2",
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


def text_box(text: Element) -> Box:
    """Return the room that a text takes: 8 for a character, 10 high."""
    x, y = place(text)
    width = 8 * len(text.text or "")
    anchor = text.get("text-anchor", "middle")
    left = x - {"start": 0, "middle": width / 2, "end": width}[anchor]
    return left, y - 10, left + width, y


def overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


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
    assert len(boxes) == len(all_nodes(root))
    slopes = {place(text): text.text for text in elements(svg, "text")}
    drawn, corners = [], set()
    for line in elements(svg, "polyline"):
        start, (x, y), end = pixels(line)
        # Right from the box of the input, then down to the middle of the node's box.
        (input,) = [t[:2] for b, t in boxes if b[2] == start[0] and b[1] < y < b[3]]
        (node,) = [t[:2] for b, t in boxes if ((b[0] + b[2]) / 2, b[1]) == end]
        assert start[0] < x == end[0]
        assert start[1] == y < end[1]
        drawn.append((input, node, slopes[x - 4, y - 3]))
        corners.add((x, y))
    assert len(corners) == len(drawn)  # also of two lines between the same two boxes
    assert sorted(drawn) == sorted(
        (name_and_data(input), name_and_data(node), number(slope))
        for node in all_nodes(root)
        for input, slope in zip(node.inputs, node.local_grads)
    )


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
    computed = [texts[:2] for _, texts in boxes[n_leaves:]]
    order = [node for node in topological_order(root) if node.inputs]
    assert computed == [name_and_data(node) for node in order]


@pytest.mark.parametrize("root", GRAPHS)
def test_no_text_meets_a_box_a_text_or_a_line_and_no_line_meets_a_box(
    root: Value,
) -> None:
    svg = graph_svg(root)
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


def test_everything_is_inside_the_picture() -> None:
    for root in GRAPHS:
        svg = graph_svg(root)
        picture = ElementTree.fromstring(svg)
        width, height = picture.attrib["width"], picture.attrib["height"]
        for left, top, right, bottom in [box for box, _ in boxes_and_texts(svg)]:
            assert 0 < left < right < float(width)
            assert 0 < top < bottom < float(height)
        for text in elements(svg, "text"):
            left, top, right, bottom = text_box(text)
            assert 0 < left < right < float(width)
            assert 0 < top < bottom < float(height)


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
        x = x + 1
    assert "data" in draw(x)
    with pytest.raises(
        ValueError, match=r"101 nodes, at most 100: .*smaller expression"
    ):
        draw(x + 1)
    for _ in range(20_000):
        x = x + 1
    with pytest.raises(ValueError, match="20100 nodes"):
        draw(x)
