"""A picture shows at a glance what a column of numbers hides.

Before this came `checkpoint.py`; next comes `sample.py`. Nothing here is part of a GPT:
four functions draw what the other files compute. They return text and write no file.
SVG is text too: saved as UTF-8 in a file `name.svg`, a browser shows it as a picture.

    bars         shares of a whole, such as probabilities, as rows of #
    line_chart   numbers that change, such as the loss over a training run, as SVG
    graph_text   a Value and everything it was computed from, as an indented list
    graph_svg    the same as SVG: a box for each Value, a line for each slope
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from microgpt.value import Value, topological_order

Point = tuple[float, float]


def number(x: float) -> str:
    """Return x to 4 significant digits: zero without a sign, tiny apart from zero.

    >>> number(1 / 3), number(2.0), number(-0.0), number(1e-17)
    ('0.3333', '2', '0', '1e-17')
    """
    return f"{x + 0.0:.4g}"  # -0.0 + 0.0 is 0.0


def _printable(name: str) -> str:
    """Return name, or its repr if it holds a character that cannot be seen."""
    return name if name.isprintable() else repr(name)


def bars(
    rows: Sequence[tuple[str, float]], width: int = 30, *, top: float = 1.0
) -> str:
    """Return a line for each (name, share): the name, the share in percent, a bar of #.

    A share of `top` fills the width. A share below 0 or above top: ValueError.

    >>> print(bars([("a", 0.25), ("BOS", 0.75)], width=8))
      a  25.0% ##
    BOS  75.0% ######
    """
    names = [_printable(name) for name, _ in rows]
    longest = max([len(name) for name in names], default=0)
    lines = []
    for name, (_, share) in zip(names, rows):
        if not (0 <= share <= top and top > 0):
            raise ValueError(f"{name}: {share} is not a share between 0 and top, {top}")
        bar = "#" * round(width * share / top)
        lines.append(f"{name:>{longest}} {share:6.1%} {bar}".rstrip())
    return "\n".join(lines)


# SVG, in four small functions. Lengths are in pixels, and y grows downwards.


def _svg_text(x: float, y: float, text: str, style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(_printable(text))}</text>'


def _text_width(texts: Sequence[str]) -> int:
    """Return the width that holds any of the texts, 8 for each byte in UTF-8."""
    # By bytes, since a character of Chinese has 3 of them and is twice as wide as "a".
    return 8 * max([len(text.encode()) for text in texts], default=0)


def _svg_line(points: Sequence[Point], colour: str, style: str = "") -> str:
    places = " ".join([f"{x:.1f},{y:.1f}" for x, y in points])
    return f'<polyline points="{places}" fill="none" stroke="{colour}" {style}/>'


def _svg_document(width: float, height: float, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" '
        f'height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" '
        'font-family="sans-serif" font-size="13" text-anchor="middle" fill="#222">'
    )
    # Without this, the dark text would stand on the black of a page in dark mode.
    background = '<rect width="100%" height="100%" fill="white"/>'
    return "\n".join([head, background, *parts, "</svg>"]) + "\n"


# From Okabe and Ito's palette, which colour-blind readers can tell apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
STYLES = {
    "pale": 'stroke-width="1" stroke-opacity="0.45"',
    "bold": 'stroke-width="2.5"',
    "dashed": 'stroke-width="2" stroke-dasharray="7 5"',
}
MAX_POINTS = 1000  # in one line; more would be less than a pixel apart


@dataclass(frozen=True)
class Line:
    """One line of a chart: a name for the legend, (x, y) points and a style.

    "pale" is for raw numbers, "bold" for smoothed ones, "dashed" for a level to compare
    with. No points, a point that is not finite, or another style: ValueError.
    """

    name: str
    points: Sequence[Point]
    style: str = "bold"

    def __post_init__(self) -> None:
        if self.style not in STYLES:
            raise ValueError(f"style {self.style!r}: choose one of {', '.join(STYLES)}")
        if not self.points:
            raise ValueError(f"{self.name}: 0 points, but a line needs 1 or more")
        for x, y in self.points:
            # An axis reaches a little beyond its numbers, and must be finite there too.
            if not (abs(x) < 1e300 and abs(y) < 1e300):
                raise ValueError(
                    f"{self.name}: ({x}, {y}) cannot be drawn: leave it out"
                )


def _ticks(numbers: Sequence[float]) -> list[float]:
    """Return round numbers for an axis, 1, 2 or 5 times a power of ten apart.

    >>> _ticks([3, 96])
    [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]
    """
    low, high = min(numbers), max(numbers)
    size = max(abs(low), abs(high))
    # Equal numbers set no scale; one that reaches to 0 suits any.
    if high - low <= 1e-9 * size:
        low, high = low - (size or 1), high + (size or 1)
    # Without slack, a rounding error could take the next longer step, or add a tick.
    slack = 1e-9
    least_step = (high - low) / 6 * (1 - slack)
    power = 10.0 ** math.floor(math.log10(least_step))
    step = min([m * power for m in (1, 2, 5, 10) if m * power >= least_step])
    first = math.floor(low / step + slack)
    last = math.ceil(high / step - slack)
    return [k * step for k in range(first, last + 1)]


def line_chart(lines: Sequence[Line], title: str, x_label: str, y_label: str) -> str:
    """Return an SVG chart of the lines, the first at the back. No lines: ValueError.

    A pale line has the colour of the next that is not pale: the same numbers, raw and
    smoothed. A long line is thinned evenly to at most about 1,000 points. That may drop
    a spike, but the axis still leaves room for it.
    """
    if not lines:
        raise ValueError("0 lines: give a chart at least 1")
    points = [point for line in lines for point in line.points]
    x_ticks = _ticks([x for x, _ in points])
    y_ticks = _ticks([y for _, y in points])
    # Ten digits are enough for any step, and too few to show a rounding error.
    x_texts = [f"{tick:.10g}" for tick in x_ticks]
    y_texts = [f"{tick:.10g}" for tick in y_ticks]

    # The edges of the plot. The legend is above it, where no line runs through it.
    left = 50 + _text_width(y_texts)
    right = left + 600
    top = 50 + 20 * len(lines)
    bottom = top + 300
    x_middle, y_middle = (left + right) / 2, (top + bottom) / 2

    def x_pixel(x: float) -> float:
        return left + (x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0]) * (right - left)

    def y_pixel(y: float) -> float:
        return bottom - (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0]) * (bottom - top)

    parts = [_svg_text(x_middle, 26, title, 'font-size="16" font-weight="bold"')]
    for tick, text in zip(x_ticks, x_texts):
        x = x_pixel(tick)
        parts.append(_svg_line([(x, top), (x, bottom)], "#ddd"))
        parts.append(_svg_text(x, bottom + 18, text))
    for tick, text in zip(y_ticks, y_texts):
        y = y_pixel(tick)
        parts.append(_svg_line([(left, y), (right, y)], "#ddd"))
        parts.append(_svg_text(left - 8, y + 4, text, 'text-anchor="end"'))
    parts.append(_svg_line([(left, top), (left, bottom), (right, bottom)], "#666"))
    parts.append(_svg_text(x_middle, bottom + 42, x_label))
    upwards = f'transform="rotate(-90 20 {y_middle})"'
    parts.append(_svg_text(20, y_middle, y_label, upwards))

    n_coloured = 0  # a pale line does not count: it shares its colour with the next
    for i, line in enumerate(lines):
        colour, style = COLOURS[n_coloured % len(COLOURS)], STYLES[line.style]
        if line.style != "pale":
            n_coloured += 1
        y = 50 + 20 * i
        parts.append(_svg_line([(left, y), (left + 36, y)], colour, style))
        parts.append(_svg_text(left + 44, y + 4, line.name, 'text-anchor="start"'))

        stride = math.ceil(len(line.points) / MAX_POINTS)
        drawn = [*line.points[:-1:stride], line.points[-1]]
        pixels = [(x_pixel(x), y_pixel(y)) for x, y in drawn]
        parts.append(_svg_line(pixels, colour, style))
        # A line through one point has no length, so the point gets a dot.
        if len(pixels) == 1:
            x, y = pixels[0]
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>')
    return _svg_document(right + 40, bottom + 60, parts)


MAX_NODES = 100  # in one graph; more cannot be read


def _graph_nodes(root: Value) -> list[Value]:
    """Return every node of root's graph, leaves too, each after its inputs."""
    nodes: dict[Value, None] = {}  # for its keys: a set that keeps their order
    for node in topological_order(root):
        nodes.update(dict.fromkeys([*node.inputs, node]))
    if len(nodes) > MAX_NODES:
        raise ValueError(
            f"{len(nodes)} nodes, but at most {MAX_NODES} can be read: "
            "draw a smaller expression"
        )
    return list(nodes)


def graph_text(root: Value) -> str:
    """Return the graph of root as text, the inputs of a node indented below it.

    A node has a line for each of its uses; its grad is the sum over them of local_grad
    times the grad of the node above. The first line says all, the others where it is.
    A plain number in an expression has no line. Over 100 nodes: ValueError.

    >>> a = Value(3.0, label="a")
    >>> b = a * a
    >>> b.backward()
    >>> print(graph_text(b))
    [1] *  data=9  grad=1
        [2] a  data=3  grad=6  local_grad=3
        see [2] a  local_grad=3
    """
    _graph_nodes(root)  # for its ValueError
    lines = []
    seen: dict[Value, int] = {}
    stack = [(root, 0, "")]
    while stack:
        node, depth, slope = stack.pop()
        name = _printable(node.label) or "leaf"
        if node in seen:
            line = f"see [{seen[node]}] {name}"
        else:
            seen[node] = len(seen) + 1
            data, grad = number(node.data), number(node.grad)
            line = f"[{seen[node]}] {name}  data={data}  grad={grad}"
            pairs = list(zip(node.inputs, node.local_grads))
            # In reverse, since what is pushed last is popped first.
            for input, local_grad in reversed(pairs):
                stack.append((input, depth + 1, f"  local_grad={number(local_grad)}"))
        lines.append("    " * depth + line + slope)
    return "\n".join(lines)


def _place(nodes: Sequence[Value]) -> tuple[dict[Value, int], dict[Value, int]]:
    """Return the column and the row of each node, such that no line crosses a box.

    A node is one column right of its rightmost input. A line keeps to the row of the
    input until just before the column of the node. Where the last line of an input
    ends, its row is free again, and the node there takes it; else it opens a new row.
    """
    column: dict[Value, int] = {}
    last_use: dict[Value, int] = {}  # the column where the last line of an input ends
    for node in nodes:
        column[node] = max([column[input] + 1 for input in node.inputs], default=0)
        for input in node.inputs:
            last_use[input] = max(last_use.get(input, 0), column[node])
    row: dict[Value, int] = {}
    rightmost: list[Value] = []  # the last node of each row so far
    for node in nodes:
        free = []
        for input in node.inputs:
            lines_end = last_use[input] == column[node]
            if lines_end and rightmost[row[input]] is input:
                free.append(row[input])
        if free:
            row[node] = sorted(free)[(len(free) - 1) // 2]  # the middle one
            rightmost[row[node]] = node
        else:
            row[node] = len(rightmost)
            rightmost.append(node)
    return column, row


def graph_svg(root: Value) -> str:
    """Return the graph of root as an SVG picture: inputs left, the result right.

    Each use of a node is a line, so a + a has two. On it is its local_grad, where it
    leaves the node. Over 100 nodes: ValueError.
    """
    nodes = _graph_nodes(root)
    column, row = _place(nodes)
    # Each line has a port of its own at either end, sorted by row so that few cross.
    uses: dict[Value, list[tuple[Value, int, str]]] = {node: [] for node in nodes}
    for node in nodes:
        pairs = zip(node.inputs, node.local_grads)
        by_row = sorted(pairs, key=lambda pair: row[pair[0]])
        for port, (input, local_grad) in enumerate(by_row):
            uses[input].append((node, port, number(local_grad)))
    for lines_out in uses.values():
        lines_out.sort(key=lambda use: row[use[0]])

    # A row is as high as its tallest box, and a box as its ports or its texts need.
    port_height = 18  # room for a local_grad between two lines
    height = {}
    for node in nodes:
        n_ports = max(len(node.inputs), len(uses[node]))
        height[node] = max(58, port_height * n_ports)
    middle = {}
    margin = 20
    bottom = 0.0
    for r in range(max(row.values()) + 1):
        in_row = [node for node in nodes if row[node] == r]
        row_height = max([height[node] for node in in_row])
        for node in in_row:
            middle[node] = bottom + margin + row_height / 2
        bottom += margin + row_height

    # A column is, from the left, its boxes, each local_grad, a strip where lines cross.
    texts = {}
    for node in nodes:
        name = _printable(node.label) or "leaf"
        texts[node] = [name, f"data {number(node.data)}", f"grad {number(node.grad)}"]
    slopes = [slope for lines_out in uses.values() for _, _, slope in lines_out]
    box_width = 20 + max([_text_width(text) for text in texts.values()])
    slope_width = 10 + _text_width(slopes)
    strip = 50
    column_width = box_width + slope_width + strip

    def port_y(node: Value, port: int, n_ports: int) -> float:
        return middle[node] + port_height * (port - (n_ports - 1) / 2)

    parts = []
    for node in nodes:
        left = margin + column[node] * column_width
        top = middle[node] - height[node] / 2
        colour = "#dcecf7" if node.inputs else "#fdf0d5"
        parts.append(
            f'<rect x="{left}" y="{top}" width="{box_width}" height="{height[node]}" '
            f'rx="8" fill="{colour}" stroke="#666"/>'
        )
        for i, text in enumerate(texts[node]):
            style = "" if i else 'font-weight="bold"'
            y = middle[node] - 12 + 17 * i
            parts.append(_svg_text(left + box_width / 2, y, text, style))

        start = left + box_width
        for i, (user, port, slope) in enumerate(uses[node]):
            end = margin + column[user] * column_width
            bend, halfway = end - strip, end - strip / 2
            y = port_y(node, i, len(uses[node]))
            end_y = port_y(user, port, len(user.inputs))
            curve = f"C{halfway},{y} {halfway},{end_y} {end},{end_y}"
            parts.append(
                f'<path d="M{start},{y} H{bend} {curve}" fill="none" stroke="#888"/>'
            )
            parts.append(_svg_text(start + slope_width / 2, y - 4, slope))
    key = "grad: d(result) / d(this). On a line: its local_grad, d(right) / d(left)."
    parts.append(_svg_text(margin, bottom + 30, key, 'text-anchor="start" fill="#666"'))
    width = (
        max(column[root] * column_width + box_width, _text_width([key])) + 2 * margin
    )
    return _svg_document(width, bottom + 50, parts)
