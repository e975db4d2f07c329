"""A picture shows at a glance what a column of numbers hides.

This file belongs to the tools and not to the book: you can read all of the book without
it. It draws what the book computes. Some pictures are plain text, for a terminal. The
others are SVG, a text that describes lines, boxes and letters, and that every browser,
notebook and README page shows as a picture. They are made for a page of any width and
have a white ground of their own, so they can be read on a dark page too.

    bars           shares of a whole, such as probabilities, as rows of #      (text)
    graph_text     a Value and all that it was computed from, as a list        (text)
    graph_svg      the same as a picture, with a number on every line           (SVG)
    line_chart     numbers that change, such as the loss over a training run    (SVG)
    heat_map       a table of numbers as colours, such as shares of attention   (SVG)
    scatter        points in the plane, in groups told apart by colour and shape (SVG)
    side_by_side   several of these pictures as one, in rows                    (SVG)
    collage        several of these pictures as one, each where you want it     (SVG)

Each SVG function returns a string. Write it to a file whose name ends in `.svg` and
open that in a browser, or show it in a notebook with `IPython.display.SVG`.

Places in an SVG picture are in pixels, x from the left and y from the top: y grows
downwards.
"""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Callable, Sequence
from html import escape
from typing import NamedTuple
from xml.etree import ElementTree

from microgpt.tools.terminal import display_width
from microgpt.value import Value, topological_order

Points = Sequence[tuple[float, float]]
# Colours that colour-blind readers can tell apart, from the palette of Okabe and Ito.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#222222")


def number(x: float) -> str:
    """Return x with 4 significant digits, as short as possible.

    >>> number(1 / 3), number(2.0), number(-0.0)
    ('0.3333', '2', '0')
    """
    return f"{x + 0.0:.4g}"  # -0.0 + 0.0 is 0.0


# Two marks that cannot be seen by themselves, but belong to Persian, Hindi and emoji.
JOINERS = str.maketrans("", "", "\u200c\u200d")


def _visible(name: str) -> str:
    """Return name, or its repr if a part of it could not be seen.

    A newline becomes '\\n' and a space ' ', with the quotes around it.
    """
    if name.translate(JOINERS).isprintable() and name == name.strip():
        return name
    return repr(name)


def bars(rows: Sequence[tuple[str, float]], width: int = 30, top: float = 1.0) -> str:
    """Return a line for each (name, share): the name, the share in percent, a bar of #.

    A bar that fills the whole `width` is a share of `top`. A name that cannot be seen,
    such as a space or a newline, is shown as Python writes it, in quotes.

    >>> print(bars([("a", 0.25), ("end", 0.75)], width=8))
      a  25.0% ##
    end  75.0% ######
    """
    names = [_visible(name) for name, _ in rows]
    widest = max([display_width(name) for name in names], default=0)
    lines = []
    for name, (_, share) in zip(names, rows):
        padding = " " * (widest - display_width(name))
        bar = "#" * round(width * share / top)
        lines.append(f"{padding}{name} {share:6.1%} {bar}".rstrip())
    return "\n".join(lines)


# The pieces that all SVG pictures are made of.

START, END, BOLD = 'text-anchor="start"', 'text-anchor="end"', 'font-weight="bold"'
CHARACTER = 8  # pixels that a character is wide, or a little less
BOLD_CHARACTER = 9
LINE = 18  # pixels from one line of text to the next
# Fonts of about the same width, one of which every system has.
FONTS = "system-ui, 'Segoe UI', Roboto, Helvetica, Arial, 'DejaVu Sans', sans-serif"
# Lets a page that is narrower than the picture show it smaller.
SHRINKS = ' style="max-width:100%;height:auto"'


def _pixels(text: str, character: int = CHARACTER) -> int:
    """Return the room that a text needs, in pixels."""
    return character * display_width(_visible(text))


def _text(x: float, y: float, text: str, style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(_visible(text))}</text>\n'


def _wrap(text: str, width: float, character: int = CHARACTER) -> list[str]:
    """Return the text in lines that are at most `width` pixels wide."""
    return textwrap.wrap(text, max(10, int(width / character))) or [""]


def _paragraph(x: float, y: float, lines: Sequence[str], style: str = "") -> str:
    placed = [_text(x, y + LINE * i, line, style) for i, line in enumerate(lines)]
    return "".join(placed)


def _line(points: Points, colour: str, width: float = 1, dashes: str = "none") -> str:
    places = " ".join([f"{x:.1f},{y:.1f}" for x, y in points])
    style = f'stroke="{colour}" stroke-width="{width}" stroke-dasharray="{dashes}"'
    return f'<polyline points="{places}" fill="none" {style}/>\n'


def _box(
    x: float, y: float, width: float, height: float, fill: str, style: str = ""
) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect {place} fill="{fill}" {style}/>\n'


def _picture(width: float, height: float, name: str, svg: str) -> str:
    """Return a whole SVG picture; `name` is what a screen reader says of it."""
    # Without a viewBox a smaller place would cut the picture off instead of shrinking.
    size = f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size}{SHRINKS} role="img" '
    font = f'font-family="{FONTS}" font-size="13" text-anchor="middle" fill="#222">'
    title = f"<title>{escape(_visible(name))}</title>"
    # Without the white, the dark text would stand on the black of a page in dark mode.
    white = '<rect width="100%" height="100%" fill="white"/>'
    return f"{head}{font}\n{title}\n{white}\n{svg}</svg>\n"


def side_by_side(pictures: Sequence[str], columns: int = 2, title: str = "") -> str:
    """Return several SVG pictures as one, `columns` of them in a row.

    Small charts of the same kind beside each other are called *small multiples*: the
    eye compares them at once, if their axes agree (`line_chart` has `x_include` and
    `y_include` for that). On a narrow page all of them shrink together, so make charts
    for two columns about 300 pixels wide. No pictures: ValueError.

    >>> loss = [(0, 3.3), (500, 2.5)]
    >>> chart = line_chart([Line("loss", loss)], "Loss", "step", "nats", width=300)
    >>> both = side_by_side([chart, chart])
    >>> both.count("<svg"), 'width="600"' in both
    (3, True)
    """
    if not pictures:
        raise ValueError("there are no pictures to put side by side: give one or more")
    if columns < 1:
        raise ValueError(f"columns is {columns}: make it 1 or more")
    sizes = []
    for picture in pictures:
        head = ElementTree.fromstring(picture)
        sizes.append((float(head.attrib["width"]), float(head.attrib["height"])))
    column_width = max([width for width, _ in sizes])
    picture_width = column_width * min(columns, len(pictures))

    heading = ""
    top = 0.0
    if title:
        lines = _wrap(title, picture_width - 20, BOLD_CHARACTER)
        heading = _paragraph(picture_width / 2, 24, lines, BOLD)
        top = 12.0 + LINE * len(lines)
    placed = []
    for first in range(0, len(pictures), columns):
        last = min(first + columns, len(pictures))
        for i in range(first, last):
            placed.append(((i - first) * column_width, top, pictures[i]))
        top += max([height for _, height in sizes[first:last]])
    name = title or "several pictures"
    return _picture(picture_width, top, name, heading + _nested(placed))


def collage(
    pictures: Sequence[tuple[float, float, str]], width: float, height: float, name: str
) -> str:
    """Return SVG pictures as one of the given size, each placed at its (x, y).

    Where two overlap, the later one covers the earlier, white ground and all. `name` is
    what a screen reader says of the whole.

    >>> names, more = words(["karela"]), words(["juvira", "tahen"])
    >>> picture = collage([(0, 0, names), (120, 40, more)], 240, 120, "made-up names")
    >>> picture.count("<svg"), 'x="120" y="40"' in picture
    (3, True)
    """
    return _picture(width, height, name, _nested(pictures))


def words(lines: Sequence[str], title: str = "") -> str:
    """Return lines of text as an SVG picture, to stand beside others.

    >>> picture = words(["karela", "juvira"], title="It makes up names")
    >>> [name for name in ("karela", "juvira") if f">{name}</text>" in picture]
    ['karela', 'juvira']
    """
    svg = ""
    top = 24
    if title:
        svg += _text(16, top, title, f"{START} {BOLD}")
        top += LINE
    svg += _paragraph(16, top, lines, START)
    widths = [_pixels(title, BOLD_CHARACTER), *[_pixels(line) for line in lines]]
    width = max(widths) + 32
    return _picture(width, top + LINE * len(lines), title or "text", svg)


def _nested(pictures: Sequence[tuple[float, float, str]]) -> str:
    """Return the pictures as parts of another one, each with its place (x, y)."""
    parts = []
    for x, y, picture in pictures:
        # A picture inside another one has a fixed size.
        inner = picture.replace(SHRINKS, "", 1)
        parts.append(inner.replace("<svg ", f'<svg x="{x:g}" y="{y:g}" ', 1))
    return "".join(parts)


# Charts with two axes: lines and points.


class _Axes:
    """The frame of a chart: the title, two axes with numbers, a place for each point.

    `width` is that of the whole picture; `left`, `right`, `top` and `bottom` are the
    edges of the area in which the points lie.
    """

    def __init__(
        self,
        xs: Sequence[float],
        ys: Sequence[float],
        title: str,
        x_label: str,
        y_label: str,
        width: int,
    ) -> None:
        self.width = width
        self.x_ticks, self.y_ticks = _ticks(xs), _ticks(ys)
        self.x_names = [f"{tick:g}" for tick in self.x_ticks]
        self.y_names = [f"{tick:g}" for tick in self.y_ticks]
        self.x_label, self.y_label = x_label, y_label
        self.title = _wrap(title, width - 20, BOLD_CHARACTER)

        self.left = 24.0 + max([_pixels(name) for name in self.y_names])
        self.right = width - 12.0 - _pixels(self.x_names[-1]) / 2
        self.top = 42.0 + LINE * len(self.title)
        self.bottom = self.top + 0.6 * (self.right - self.left)
        self.below = self.bottom + 62  # where the legend begins

    def x(self, x: float) -> float:
        first, last = self.x_ticks[0], self.x_ticks[-1]
        return self.left + (x - first) / (last - first) * (self.right - self.left)

    def y(self, y: float) -> float:
        first, last = self.y_ticks[0], self.y_ticks[-1]
        return self.bottom - (y - first) / (last - first) * (self.bottom - self.top)

    def svg(self) -> str:
        """Return the title, the grid, the numbers along it, and the axes' names."""
        svg = _paragraph(self.width / 2, 24, self.title, BOLD)
        svg += _text(16, self.top - 14, self.y_label, START)
        svg += _text((self.left + self.right) / 2, self.bottom + 40, self.x_label)
        # Where not all numbers have room beside each other, every second one has.
        room = (self.right - self.left) / (len(self.x_ticks) - 1)
        widest = max([_pixels(name) for name in self.x_names])
        every = 1 if widest + 6 <= room else 2
        for i, tick in enumerate(self.x_ticks):
            x = self.x(tick)
            svg += _line([(x, self.bottom), (x, self.top)], "#ddd")
            if i % every == 0:
                svg += _text(x, self.bottom + 18, self.x_names[i])
        for tick, name in zip(self.y_ticks, self.y_names):
            y = self.y(tick)
            svg += _line([(self.left, y), (self.right, y)], "#ddd")
            svg += _text(self.left - 8, y + 4, name, END)
        return svg


def _ticks(numbers: Sequence[float]) -> list[float]:
    """Return round numbers around the numbers, 1, 2 or 5 times a power of ten apart."""
    low, high = min(numbers), max(numbers)
    # Equal numbers set no scale, so the axis spans at least a hundredth of them.
    span = max(high - low, abs(high) / 100) or 1.0
    power = 10.0 ** math.floor(math.log10(span))
    step = power * min([m for m in (0.2, 0.5, 1, 2) if span <= 6 * m * power])
    first, last = math.floor(low / step), math.ceil((low + span) / step)
    return [i * step for i in range(first, last + 1)]


def _check_points(name: str, points: Points) -> None:
    if not points:
        raise ValueError(f"{name!r} has no points: give it one or more")
    for x, y in points:
        if not (math.isfinite(x) and math.isfinite(y)):
            raise ValueError(f"{name!r} has the point ({x}, {y}): make both finite")


# Thickness and dashes, for raw numbers, smoothed ones, and a level to compare with.
STYLES = {"pale": (0.6, "none"), "bold": (2.5, "none"), "dashed": (2, "7 5")}


class Line(NamedTuple):
    """One line of a chart: a name for the legend, (x, y) points, and a style.

    The style is "bold" for what the chart is about, "pale" for raw numbers that jump up
    and down, or "dashed" for a level to compare with.
    """

    name: str
    points: Points
    style: str = "bold"


def line_chart(
    lines: Sequence[Line],
    title: str,
    x_label: str,
    y_label: str,
    width: int = 480,
    x_include: Sequence[float] = (),
    y_include: Sequence[float] = (),
) -> str:
    """Return an SVG chart of the lines, the first one at the back.

    Each line joins its points in the order in which they are given. The axes reach from
    the smallest to the largest number, and also to the numbers in `x_include` and
    `y_include`: give several charts the same, and they can be compared. A dot marks the
    end of each line.

    No lines, one without points, or a point that is not finite: ValueError.

    >>> loss = Line("loss of a step", [(1, 3.3), (250, 2.6), (500, 2.5)])
    >>> guess = Line("a blind guess", [(1, 3.3), (500, 3.3)], "dashed")
    >>> svg = line_chart([loss, guess], "Loss", "step", "nats a character")
    >>> svg.startswith("<svg"), svg.count("a blind guess")
    (True, 1)
    """
    if not lines:
        raise ValueError("there are no lines to draw: give one or more")
    for line in lines:
        _check_points(line.name, line.points)
        if line.style not in STYLES:
            raise ValueError(
                f"{line.name!r} has the style {line.style!r}: "
                f"make it one of {', '.join(STYLES)}"
            )
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    axes = _Axes(
        [*xs, *x_include], [*ys, *y_include], title, x_label, y_label, width=width
    )
    svg = axes.svg()
    legend_y = axes.below
    for i, line in enumerate(lines):
        colour, style = COLOURS[i % len(COLOURS)], STYLES[line.style]
        places = [(axes.x(x), axes.y(y)) for x, y in line.points]
        svg += _line(places, colour, *style)
        end_x, end_y = places[-1]
        # A line through one point has no length, so there is a dot at the end.
        svg += _line([(end_x - 2, end_y), (end_x + 2, end_y)], colour, 4)
        svg += _line([(16, legend_y), (46, legend_y)], colour, *style)
        names = _wrap(line.name, width - 54 - 8)
        svg += _paragraph(54, legend_y + 4, names, START)
        legend_y += LINE * len(names) + 2
    return _picture(width, legend_y, title, svg)


class Group(NamedTuple):
    """Points that belong together: a name for the legend, (x, y) points, and labels.

    There are as many labels as points, or none. A label, such as the letter that a
    point stands for, is written beside its point.
    """

    name: str
    points: Points
    labels: Sequence[str] = ()


def _marker(shape: int, x: float, y: float, colour: str) -> str:
    """Return shape number 0, 1, … around a point, filled, with a white edge."""
    shapes = (
        "-4.5 0 -3.2 -3.2 0 -4.5 3.2 -3.2 4.5 0 3.2 3.2 0 4.5 -3.2 3.2",  # round
        "0 -5.5 5.5 4.5 -5.5 4.5",  # a triangle
        "-4 -4 4 -4 4 4 -4 4",  # a square
        "0 -6 6 0 0 6 -6 0",  # a diamond
        "-2 -6 2 -6 2 -2 6 -2 6 2 2 2 2 6 -2 6 -2 2 -6 2 -6 -2 -2 -2",  # a cross
    )
    place = f'transform="translate({x:.1f} {y:.1f})"'
    edge = f'fill="{colour}" stroke="white" stroke-width="1"'
    return f'<polygon points="{shapes[shape % len(shapes)]}" {place} {edge}/>\n'


# Where a label may stand, seen from its point: right, left, above, below, and between.
LABEL_PLACES = (
    (8, 4, START),
    (-8, 4, END),
    (0, -8, ""),
    (0, 18, ""),
    (6, -6, START),
    (6, 15, START),
    (-6, -6, END),
    (-6, 15, END),
)
Area = tuple[float, float, float, float]  # left, top, right, bottom


def _label_area(x: float, y: float, label: str, anchor: str) -> Area:
    width = _pixels(label)
    left = x
    if anchor == END:
        left = x - width
    elif anchor != START:
        left = x - width / 2
    return left, y - 10, left + width, y


def _overlaps(a: Area, b: Area) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def scatter(
    groups: Sequence[Group],
    title: str,
    x_label: str,
    y_label: str,
    which_group: Callable[[float, float], int] | None = None,
    width: int = 480,
    lines: Sequence[Line] = (),
) -> str:
    """Return an SVG picture of points in the plane.

    Each group has a colour and a shape of its own, so that it can be told from the
    others without seeing colours. Labels are written beside their points, where
    possible so that none covers another label or a point.

    With `which_group`, the ground shows what a model makes of every place: the function
    is asked for points all over the plane, x and y, and returns the place of a group in
    `groups`, whose colour the ground takes there in a paler shade. Where two colours
    meet is the model's *decision boundary*.

    `lines` are drawn under the points, each in a colour that no group has, and named
    below. The axes reach as far as their points do.

    No groups, a group without points, one that has labels but more or fewer of them
    than points, or a point that is not finite: ValueError.

    >>> vowels = Group("vowels", [(0.9, 1.0), (1.1, 0.8)], labels=["a", "e"])
    >>> consonants = Group("consonants", [(-1.0, 0.2)], labels=["b"])
    >>> def which_side(x, y):
    ...     return 0 if x > 0 else 1
    >>> svg = scatter([vowels, consonants], "Letters", "x", "y", which_side)
    >>> [letter for letter in "abe" if f">{letter}</text>" in svg]
    ['a', 'b', 'e']
    """
    if not groups:
        raise ValueError("there are no groups of points to draw: give one or more")
    for group in groups:
        _check_points(group.name, group.points)
        if group.labels and len(group.labels) != len(group.points):
            raise ValueError(
                f"{group.name!r} has {len(group.points)} points and "
                f"{len(group.labels)} labels: give each point one, or give none"
            )
    for line in lines:
        _check_points(line.name, line.points)
    shown = [*[group.points for group in groups], *[line.points for line in lines]]
    xs = [x for points in shown for x, _ in points]
    ys = [y for points in shown for _, y in points]
    axes = _Axes(xs, ys, title, x_label, y_label, width=width)
    svg = axes.svg()
    if which_group is not None:
        svg += _ground(axes, which_group)
    line_colours = []
    for i, line in enumerate(lines):
        line_colours.append(COLOURS[(len(groups) + i) % len(COLOURS)])
        places = [(axes.x(x), axes.y(y)) for x, y in line.points]
        svg += _line(places, line_colours[i], *STYLES[line.style])

    taken: list[Area] = []  # what a label must not cover
    for i, group in enumerate(groups):
        for x_value, y_value in group.points:
            x, y = axes.x(x_value), axes.y(y_value)
            svg += _marker(i, x, y, COLOURS[i % len(COLOURS)])
            taken.append((x - 6, y - 6, x + 6, y + 6))
    for group in groups:
        for (x_value, y_value), label in zip(group.points, group.labels):
            point_x, point_y = axes.x(x_value), axes.y(y_value)
            areas = []
            n_covered = []
            for across, down, anchor in LABEL_PLACES:
                area = _label_area(point_x + across, point_y + down, label, anchor)
                areas.append(area)
                outside = area[0] < 0 or area[2] > width
                n_covered.append(
                    outside + sum([_overlaps(area, other) for other in taken])
                )
            # The place that covers nothing, or as little as possible; the first such.
            best = n_covered.index(min(n_covered))
            across, down, anchor = LABEL_PLACES[best]
            svg += _text(point_x + across, point_y + down, label, anchor)
            taken.append(areas[best])

    legend_y = axes.below
    for i, group in enumerate(groups):
        svg += _marker(i, 24, legend_y, COLOURS[i % len(COLOURS)])
        names = _wrap(group.name, width - 40 - 8)
        svg += _paragraph(40, legend_y + 4, names, START)
        legend_y += LINE * len(names) + 2
    for line, colour in zip(lines, line_colours):
        svg += _line([(10, legend_y), (34, legend_y)], colour, *STYLES[line.style])
        names = _wrap(line.name, width - 40 - 8)
        svg += _paragraph(40, legend_y + 4, names, START)
        legend_y += LINE * len(names) + 2
    return _picture(width, legend_y, title, svg)


def _ground(axes: _Axes, which_group: Callable[[float, float], int]) -> str:
    """Return cells in the colours of the groups: what a model says of every place."""
    n_columns, n_rows = 120, 80
    cell_width = (axes.right - axes.left) / n_columns
    cell_height = (axes.bottom - axes.top) / n_rows
    x_first, x_span = axes.x_ticks[0], axes.x_ticks[-1] - axes.x_ticks[0]
    y_first, y_span = axes.y_ticks[0], axes.y_ticks[-1] - axes.y_ticks[0]
    svg = ""
    for row in range(n_rows):
        y = y_first + (row + 0.5) / n_rows * y_span  # the middle of the cell
        top = axes.bottom - (row + 1) * cell_height
        groups = []
        for column in range(n_columns):
            x = x_first + (column + 0.5) / n_columns * x_span
            groups.append(which_group(x, y))
        # Cells of one colour beside each other are drawn as one, so the text is short.
        start = 0
        for column in range(1, n_columns + 1):
            if column == n_columns or groups[column] != groups[start]:
                left = axes.left + start * cell_width
                colour = COLOURS[groups[start] % len(COLOURS)]
                svg += _box(
                    left,
                    top,
                    (column - start) * cell_width,
                    cell_height,
                    colour,
                    'opacity="0.2"',
                )
                start = column
    return svg


# Heat maps.

# From small to large in one hue that gets darker, so it can also be read in grey.
SMALL_TO_LARGE = ((255, 255, 255), (107, 174, 214), (8, 48, 107))
# From negative to positive, with white in the middle: orange and blue are told apart by
# colour-blind readers, red and green are not.
NEGATIVE_TO_POSITIVE = ((166, 70, 0), (255, 255, 255), (5, 75, 140))


def _colour(share: float, scale: Sequence[tuple[int, int, int]]) -> tuple[str, str]:
    """Return (the colour at this share of the scale, a colour for text upon it)."""
    step = min(int(share * (len(scale) - 1)), len(scale) - 2)
    way = share * (len(scale) - 1) - step  # from the colour `step` to the one after it
    mixed = []
    for before, after in zip(scale[step], scale[step + 1]):
        mixed.append(round(before + way * (after - before)))
    red, green, blue = mixed
    brightness = 0.299 * red + 0.587 * green + 0.114 * blue  # green looks brightest
    text = "#222" if brightness > 140 else "white"
    return f"#{red:02x}{green:02x}{blue:02x}", text


def heat_map(
    rows: Sequence[Sequence[float | None]],
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    title: str,
    row_axis: str,
    column_axis: str,
    unit: str = "",
    diverging: bool = False,
    low: float | None = None,
    high: float | None = None,
    digits: int = 2,
) -> str:
    """Return an SVG picture of a table: each number is a cell, the darker the larger.

    rows[i][j] is the number in row i and column j; None leaves the cell empty. Numbers
    are printed in the cells, with `digits` digits after the point, if all of them fit.
    `row_axis` says what the rows are and `column_axis` what the columns are: in a map
    of attention, "looks from" and "looks at". `unit` says below, at the scale, what the
    numbers are.

    The scale reaches from the smallest number to the largest, or from `low` to `high`.
    With diverging=True it is white at 0, orange below and blue above, and equally long
    on both sides.

    A row with more or fewer numbers than there are column labels, no numbers at all,
    one that is not finite or that lies outside of `low` and `high`: ValueError.

    >>> shares = [[1.0, None], [0.25, 0.75]]
    >>> svg = heat_map(shares, "an", "an", "Attention", "looks from", "looks at")
    >>> [cell for cell in ("1.00", "0.25", "0.75") if f">{cell}</text>" in svg]
    ['1.00', '0.25', '0.75']
    """
    if len(rows) != len(row_labels):
        raise ValueError(
            f"{len(rows)} rows and {len(row_labels)} row labels: give each row one"
        )
    for i, row in enumerate(rows):
        if len(row) != len(column_labels):
            raise ValueError(
                f"row {i} has {len(row)} numbers, and there are {len(column_labels)} "
                "column labels: make them as many"
            )
    numbers = [x for row in rows for x in row if x is not None]
    if not numbers:
        raise ValueError("there are no numbers to draw: give one or more")
    if not all(math.isfinite(x) for x in numbers):
        raise ValueError("a number is not finite: leave it out, as None")
    low = min(numbers) if low is None else low
    high = max(numbers) if high is None else high
    if min(numbers) < low or max(numbers) > high:
        raise ValueError(
            f"the numbers are {number(min(numbers))} to {number(max(numbers))}, and "
            f"the scale is {number(low)} to {number(high)}: make it longer"
        )
    scale = SMALL_TO_LARGE
    if diverging:
        scale = NEGATIVE_TO_POSITIVE
        high = max(abs(low), abs(high))
        low = -high
    span = (high - low) or 1.0  # equal numbers are all at the lower end

    # The names of the axes stand in the corner: rows below, columns to the right.
    row_axis, column_axis = f"{row_axis} \u2193", f"{column_axis} \u2192"
    left = 24.0 + max([_pixels(text) for text in [row_axis, *row_labels]])
    texts = [["" if x is None else f"{x:.{digits}f}" for x in row] for row in rows]
    widest_text = max([_pixels(text) for row in texts for text in row])
    widest_label = max([_pixels(label) for label in column_labels])
    cell = max(16.0, min(44.0, 420 / len(column_labels)))
    upright = widest_label + 6 > max(cell, 420 / len(column_labels))
    if not upright:
        cell = max(cell, widest_label + 6.0)
    numbers_fit = 11 / 13 * widest_text + 2 <= cell
    grid_width = cell * len(column_labels)
    scale_width = 180
    axis_end = left + _pixels(column_axis)
    ends = [left + grid_width, left + scale_width, axis_end, 20.0 + _pixels(unit)]
    width = math.ceil(max(ends) + 24)

    title_lines = _wrap(title, width - 20, BOLD_CHARACTER)
    svg = _paragraph(width / 2, 24, title_lines, BOLD)
    axis_y = 32.0 + LINE * len(title_lines)
    svg += _text(left, axis_y, column_axis, START)
    labels_y = axis_y + (6 + widest_label if upright else LINE + 2)
    for j, label in enumerate(column_labels):
        x = left + (j + 0.5) * cell
        if upright:  # read from below to above
            turn = f'transform="rotate(-90 {x + 4:.1f} {labels_y:.1f})" {START}'
            svg += _text(x + 4, labels_y, label, turn)
        else:
            svg += _text(x, labels_y, label)
    svg += _text(left - 8, labels_y, row_axis, END)

    row_height = min(cell, 36.0)
    top = labels_y + 8
    for i, row in enumerate(rows):
        y = top + i * row_height
        svg += _text(left - 8, y + row_height / 2 + 4, row_labels[i], END)
        for j, value in enumerate(row):
            cell_x = left + j * cell
            if value is None:
                svg += _box(cell_x, y, cell, row_height, "none", 'stroke="#eee"')
                continue
            colour, text_colour = _colour((value - low) / span, scale)
            svg += _box(cell_x, y, cell, row_height, colour, 'stroke="#ddd"')
            if numbers_fit:
                style = f'font-size="11" fill="{text_colour}"'
                middle = (cell_x + cell / 2, y + row_height / 2 + 4)
                svg += _text(*middle, texts[i][j], style)

    # The scale: which colour is which number.
    scale_y = top + len(rows) * row_height + 20
    n_steps = 36
    for i in range(n_steps):
        colour, _ = _colour(i / (n_steps - 1), scale)
        step_width = scale_width / n_steps
        svg += _box(left + i * step_width, scale_y, step_width + 0.3, 12, colour)
    svg += _box(left, scale_y, scale_width, 12, "none", 'stroke="#888"')
    svg += _text(left, scale_y + 28, number(low), START)
    if diverging:
        svg += _text(left + scale_width / 2, scale_y + 28, "0")
    svg += _text(left + scale_width, scale_y + 28, number(high), END)
    height = scale_y + 40
    if unit:
        svg += _text(left + scale_width / 2, scale_y + 46, unit)
        height += LINE
    return _picture(width, math.ceil(height), title, svg)


# Graphs of Values.


def _graph_nodes(root: Value) -> list[Value]:
    """Return the nodes of root's graph: the leaves, then each node after its inputs."""
    order = topological_order(root)
    leaves = [input for node in order for input in node.inputs if not input.inputs]
    nodes = list(dict.fromkeys([*leaves, *order, root]))  # none of them twice
    if len(nodes) > 100:
        raise ValueError(f"{len(nodes)} nodes, at most 100: draw a smaller expression")
    return nodes


def graph_text(root: Value) -> str:
    """Return the graph of root as text: below each node, further right, its inputs.

    Each line shows a node's label, its data, its grad, and the local_grad of the node
    above it with respect to this one. Multiply that by the grad of the node above, and
    you have what this use contributes to the node's own grad. A node that is used more
    than once is shown in full the first time, and later only by its number in brackets.

    More than 100 nodes are too many to look at: ValueError.

    >>> a = Value(3.0, label="a")
    >>> square = a * a
    >>> square.backward()      # a.grad is 3 * 1 from one use and 3 * 1 from the other
    >>> print(graph_text(square))
    [1] *  data=9  grad=1
        [2] a  data=3  grad=6  local_grad=3
        see [2] a  local_grad=3
    """
    _graph_nodes(root)  # for its ValueError
    lines = []
    seen: dict[Value, int] = {}
    stack = [(root, "", "")]
    while stack:
        node, indent, slope = stack.pop()
        name = _visible(node.label) or "leaf"
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


ARROW_GAP = 12  # from one arrow into a box to the next
LEAF_FILL, COMPUTED_FILL = "#fdf0d5", "#dcecf7"
GRAPH_KEY = (
    "Orange: numbers that went in. Blue: computed, by the operation that the box "
    "names, from the boxes whose lines lead to it.",
    "On a line: local_grad, how fast the box at its arrow grows with the box that the "
    "line leaves.",
    "grad: how fast the result, the lowest box, grows with this one. It is the sum, "
    "over the lines that leave the box, of local_grad times the grad at the arrow.",
)
ORDER_KEY = "In circles: the order in which backward() visits the boxes."


def graph_svg(root: Value, numbered: bool = False, explained: bool = True) -> str:
    """Return an SVG picture of the graph of root, which explains itself below.

    Every node is a box with its label, its data and its grad. The leaves come first,
    then each node below its inputs, and the root is the lowest. Here is c = a * b:

        +--------+
        |   a    |----------- -3 ---+      A line for each use of a node: from the
        | data 2 |                  |      input's box to the right, then down to the
        +--------+                  |      box that uses it, with an arrow of its own.
        +--------+                  |      On it stands the local_grad, here
        |   b    |------- 2 -+      |      d(c)/d(a) = -3 and d(c)/d(b) = 2.
        | data -3|           |      |
        +--------+           v      v
                      +---------------+
                      |       *       |
                      |    data -6    |
                      +---------------+

    No two lines share a stretch, so each can be followed from one end to the other.
    Where two lines cross, both go straight on: a line turns only once, downwards.

    With numbered=True, every computed node has a number: its turn when backward() goes
    through them. The root is number 1. Leaves have no turn, because they have nothing
    to pass on. With explained=False, the explanation below is left out.

    More than 100 nodes are too many to look at: ValueError.
    """
    nodes = _graph_nodes(root)
    turns: dict[Value, int] = {}
    if numbered:
        for node in reversed(topological_order(root)):
            turns[node] = len(turns) + 1

    texts = {}
    for node in nodes:
        data, grad = f"data {number(node.data)}", f"grad {number(node.grad)}"
        texts[node] = (node.label or "leaf", data, grad)
    circles = 40 if numbered else 0  # room beside the label for the circle
    labels = [
        _pixels(label, BOLD_CHARACTER) + circles for label, _, _ in texts.values()
    ]
    fields = [_pixels(text) for _, *both in texts.values() for text in both]
    most_inputs = max([len(node.inputs) for node in nodes])
    box_width = max([*labels, *fields, ARROW_GAP * most_inputs]) + 16
    slopes = [number(slope) for node in nodes for slope in node.local_grads]
    widest_slope = max([_pixels(slope) for slope in slopes], default=0)
    n_uses = Counter([input for node in nodes for input in node.inputs])

    left, top = 20, 20
    # Where the lines of a node start that are not drawn yet, from top to bottom.
    line_starts: dict[Value, list[tuple[int, int]]] = {}
    svg = ""
    for node in nodes:
        if node.inputs:
            # Each computed node stands further to the right than the one before it, by
            # as much as its arrows and the widest number on a line need. So no line has
            # to cross a box or a number.
            arrows_width = ARROW_GAP * (len(node.inputs) - 1)
            left += widest_slope + arrows_width + 26
        right = left + box_width
        entering = []
        for input, local_grad in zip(node.inputs, node.local_grads):
            # The lowest line of a box goes to the nearest box that uses it. The others,
            # which go further, pass above it, so lines of one box never cross.
            x, y = line_starts[input].pop()
            entering.append((y, x, number(local_grad)))
        # For the same reason, the line that comes from furthest below is the first from
        # the left to enter.
        entry = right - 14 - ARROW_GAP * (len(entering) - 1)
        for y, x, slope in sorted(entering, reverse=True):
            svg += _line([(x, y), (entry, y), (entry, top)], "#666")
            svg += _text(entry - 6, y - 3, slope, END)
            arrow = f"{entry - 4},{top - 7} {entry + 4},{top - 7} {entry},{top}"
            svg += f'<polygon points="{arrow}" fill="#666"/>\n'
            entry += ARROW_GAP

        height = max(58, 15 * n_uses[node] + 4)
        fill = COMPUTED_FILL if node.inputs else LEAF_FILL
        edge = 'stroke="#222" stroke-width="2"' if node is root else 'stroke="#999"'
        svg += _box(left, top, box_width, height, fill, f'rx="4" {edge}')
        middle = left + box_width / 2
        label, data, grad = texts[node]
        svg += _text(middle, top + 18, label, BOLD)
        svg += _text(middle, top + 34, data)
        svg += _text(middle, top + 50, grad)
        if node in turns:
            svg += f'<circle cx="{left + 14}" cy="{top + 14}" r="10" fill="#222"/>\n'
            svg += _text(left + 14, top + 18, str(turns[node]), 'fill="white"')
        starts = [(right, top + 13 + 15 * use) for use in range(n_uses[node])]
        line_starts[node] = starts
        top += height + 12

    name = f"graph of {texts[root][0]}"
    width = max(340, left + box_width + 20)
    key = [*GRAPH_KEY, ORDER_KEY] if numbered else GRAPH_KEY
    if not explained:
        return _picture(left + box_width + 20, top + 8, name, svg)
    for sentence in key:
        lines = _wrap(sentence, width - 40, character=7)  # these letters are smaller
        svg += _paragraph(20, top + 16, lines, f'font-size="11" {START}')
        top += LINE * len(lines) + 6
    return _picture(width, top + 16, name, svg)
