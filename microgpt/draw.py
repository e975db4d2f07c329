"""A picture shows at a glance what a column of numbers hides.

Before this came `checkpoint.py`; next comes `sample.py`. Four functions draw what the
other files compute, as text or as SVG: text that a browser shows as a picture. In SVG
places are in pixels, x from the left and y from the top.

    bars         shares of a whole, such as probabilities, as rows of #
    line_chart   numbers that change, such as the loss over a training run, as SVG
    graph_text   a Value and everything it was computed from, as an indented list
    graph_svg    the same as SVG: a box for each Value, a line for each slope
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from microgpt.value import Value, topological_order


def number(x: float) -> str:
    """Return x to 4 significant digits: 1 / 3 is '0.3333', and -0.0 is '0'."""
    return f"{x + 0.0:.4g}"  # -0.0 + 0.0 is 0.0


def _printable(name: str) -> str:
    """Return name, or its repr if it holds a character that cannot be seen."""
    return name if name.isprintable() else repr(name)


def bars(rows: Sequence[tuple[str, float]], width: int = 30, top: float = 1.0) -> str:
    """Return a line for each (name, share): the name, the share in percent, a bar of #.

    A share of `top` fills the width.

    >>> print(bars([("a", 0.25), ("BOS", 0.75)], width=8))
      a  25.0% ##
    BOS  75.0% ######
    """
    longest = max([len(_printable(name)) for name, _ in rows], default=0)
    lines = []
    for name, share in rows:
        bar = "#" * round(width * share / top)
        lines.append(f"{_printable(name):>{longest}} {share:6.1%} {bar}".rstrip())
    return "\n".join(lines)


Points = Sequence[tuple[float, float]]
# Colours that colour-blind readers can tell apart, from Okabe and Ito's palette.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
# Thickness and dashes, for raw numbers, smoothed ones, and a level to compare with.
STYLES = {"pale": (0.4, "none"), "bold": (2.5, "none"), "dashed": (2, "7 5")}
START, END, BOLD = 'text-anchor="start"', 'text-anchor="end"', 'font-weight="bold"'


class Line(NamedTuple):
    """One line of a chart: a name for the legend, (x, y) points, one of the STYLES."""

    name: str
    points: Points
    style: str = "bold"


def _text(x: float, y: float, text: str, style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(_printable(text))}</text>\n'


def _line(points: Points, colour: str, width: float = 1, dashes: str = "none") -> str:
    places = " ".join([f"{x:.1f},{y:.1f}" for x, y in points])
    style = f'stroke="{colour}" stroke-width="{width}" stroke-dasharray="{dashes}"'
    return f'<polyline points="{places}" fill="none" {style}/>\n'


def _picture(width: int, height: int, svg: str) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
    font = 'font-family="sans-serif" font-size="13" text-anchor="middle" fill="#222">'
    # Without the white, the dark text would stand on the black of a page in dark mode.
    white = '<rect width="100%" height="100%" fill="white"/>'
    return f"{head}{font}{white}\n{svg}</svg>\n"


def _ticks(numbers: Sequence[float]) -> list[float]:
    """Return round numbers around the numbers, 1, 2 or 5 times a power of ten apart."""
    low, high = min(numbers), max(numbers)
    # Equal numbers set no scale, so the axis spans at least a hundredth of them.
    span = max(high - low, abs(high) / 100) or 1.0
    power = 10.0 ** math.floor(math.log10(span))
    step = power * min([m for m in (0.2, 0.5, 1, 2) if span <= 6 * m * power])
    first, last = math.floor(low / step), math.ceil((low + span) / step)
    return [i * step for i in range(first, last + 1)]


def line_chart(lines: Sequence[Line], title: str, x_label: str, y_label: str) -> str:
    """Return an SVG chart of the lines, the first at the back.

    No lines, one without points, or a point that is not finite: ValueError.
    """
    for line in lines:
        if not (line.points and all(math.isfinite(x + y) for x, y in line.points)):
            raise ValueError(f"{line.name}: give 1 or more points, all of them finite")
    x_ticks = _ticks([x for line in lines for x, _ in line.points])
    y_ticks = _ticks([y for line in lines for _, y in line.points])
    x_scale = 600 / (x_ticks[-1] - x_ticks[0])  # pixels for each 1 of x
    y_scale = 300 / (y_ticks[-1] - y_ticks[0])
    svg = _text(410, 24, title, BOLD) + _text(410, 404, x_label)
    svg += _text(20, 44, y_label, START)
    for tick in x_ticks:
        x = 110 + (tick - x_ticks[0]) * x_scale
        svg += _line([(x, 360), (x, 60)], "#ddd") + _text(x, 378, f"{tick:g}")
    for tick in y_ticks:
        y = 360 - (tick - y_ticks[0]) * y_scale
        svg += _line([(110, y), (710, y)], "#ddd") + _text(102, y + 4, f"{tick:g}", END)
    for i, line in enumerate(lines):
        colour, style = COLOURS[i % len(COLOURS)], STYLES[line.style]
        xs = [110 + (x - x_ticks[0]) * x_scale for x, _ in line.points]
        ys = [360 - (y - y_ticks[0]) * y_scale for _, y in line.points]
        svg += _line(list(zip(xs, ys)), colour, *style)
        # A line through one point has no length, so there is a dot at the end.
        svg += _line([(xs[-1] - 2, ys[-1]), (xs[-1] + 2, ys[-1])], colour, 4)
        y = 430 + 20 * i
        svg += _line([(110, y), (146, y)], colour, *style)
        svg += _text(154, y + 4, line.name, START)
    return _picture(750, 430 + 20 * len(lines), svg)


def _graph_nodes(root: Value) -> list[Value]:
    """Return the nodes of root's graph: the leaves, then each node after its inputs."""
    order = topological_order(root)
    leaves = [input for node in order for input in node.inputs if not input.inputs]
    nodes = list(dict.fromkeys(leaves + order))  # none of them twice
    if len(nodes) > 100:
        raise ValueError(f"{len(nodes)} nodes, at most 100: draw a smaller expression")
    return nodes


def graph_text(root: Value) -> str:
    """Return the graph of root as text, the inputs of a node indented below it.

    A node has a line for each of its uses, the first of which says all: its grad is the
    sum over them of local_grad times the grad above. Over 100 nodes: ValueError.

    >>> a = Value(3.0, label="a")
    >>> print(graph_text(a * a))
    [1] *  data=9  grad=0
        [2] a  data=3  grad=0  local_grad=3
        see [2] a  local_grad=3
    """
    _graph_nodes(root)  # for its ValueError
    lines = []
    seen: dict[Value, int] = {}
    stack = [(root, "", "")]
    while stack:
        node, indent, slope = stack.pop()
        name = _printable(node.label) or "leaf"
        if node in seen:
            lines.append(f"{indent}see [{seen[node]}] {name}{slope}")
            continue
        seen[node] = len(seen) + 1
        fields = f"data={number(node.data)}  grad={number(node.grad)}"
        lines.append(f"{indent}[{seen[node]}] {name}  {fields}{slope}")
        # In reverse, since what is pushed last is popped first.
        for input, local_grad in reversed(list(zip(node.inputs, node.local_grads))):
            stack.append((input, indent + "    ", f"  local_grad={number(local_grad)}"))
    return "\n".join(lines)


def graph_svg(root: Value) -> str:
    """Return the graph of root as an SVG picture. Over 100 nodes: ValueError.

    A node has a row to itself, and a column unless it is a leaf. Each use is a line,
    past all boxes: along its row, down the user's column, the local_grad at the corner.
    """
    nodes = _graph_nodes(root)
    # By bytes: a Chinese character has 3 of them in UTF-8, and is twice as wide as "a".
    longest = max([len(_printable(node.label).encode()) for node in nodes])
    width = 8 * max(17, longest + 2)
    left, top = 20, 20
    starts: dict[Value, tuple[int, int]] = {}  # where the lines from a node start
    svg = ""
    for node in nodes:
        if node.inputs:
            left += width + 20
        middle = left + width // 2
        for i, (input, local_grad) in enumerate(zip(node.inputs, node.local_grads)):
            x, y = starts[input]
            y += 15 * node.inputs[:i].count(input)
            svg += _line([(x, y), (middle, y), (middle, top)], "#888")
            svg += _text(middle - 4, y - 3, number(local_grad), END)
        fill = "#dcecf7" if node.inputs else "#fdf0d5"
        svg += f'<rect x="{left}" y="{top}" width="{width}" height="58" fill="{fill}"/>'
        svg += _text(middle, top + 18, node.label or "leaf", BOLD)
        svg += _text(middle, top + 34, f"data {number(node.data)}")
        svg += _text(middle, top + 50, f"grad {number(node.grad)}")
        starts[node] = (left + width, top + 9)
        top += 66
    key = "At a corner: local_grad, d(below) / d(left). grad: d(result) / d(this)."
    svg += _text(20, top + 16, key, START)
    return _picture(max(600, left + width + 20), top + 36, svg)
