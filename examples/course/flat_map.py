"""A flat map of places that have many coordinates, for chapter 9: PCA.

Paper has two directions. `two_coordinates` chooses, of all the directions there are,
those two along which the places differ most, and says how far along each of them every
place lies. The method is called *principal component analysis*, PCA.

Source: Pearson, "On lines and planes of closest fit to systems of points in space",
1901.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from microgpt import dot

Place = Sequence[float]


def two_coordinates(
    places: Sequence[Place],
) -> tuple[list[float], list[float], float]:
    """Return (the first coordinates, the second, the share of the spread they show).

    The spread is the sum of the squared distances of the places from their middle.
    Which way along a direction is positive, is arbitrary: a map and its mirror image
    are equally right.

    Here are four places on a line that rises by 1 for each 2 to the right. The first
    coordinate says how far along the line they are, and there is no second:

    >>> xs, ys, share = two_coordinates([[0, 0], [2, 1], [4, 2], [6, 3]])
    >>> [round(x, 2) for x in xs], [round(abs(y), 2) for y in ys], round(share, 2)
    ([-3.35, -1.12, 1.12, 3.35], [0.0, 0.0, 0.0, 0.0], 1.0)
    """
    middle = [sum(column) / len(places) for column in zip(*places)]
    centred = []
    for place in places:
        centred.append([number - mean for number, mean in zip(place, middle)])
    first = widest_direction(centred)
    xs = [dot(place, first) for place in centred]
    # What the first coordinate has told is taken out, before we look for the second.
    rest = []
    for place, x in zip(centred, xs):
        rest.append([number - x * d for number, d in zip(place, first)])
    second = widest_direction(rest)
    ys = [dot(place, second) for place in rest]
    shown = sum([x**2 + y**2 for x, y in zip(xs, ys)])
    spread = sum([number**2 for place in centred for number in place])
    return xs, ys, shown / spread


def widest_direction(places: Sequence[Place]) -> list[float]:
    """Return the direction, a vector of length 1, along which the places differ most.

    It begins with some direction. Each place then pulls the direction to its own side,
    the more strongly, the further along it lies. Repeat this, and the direction turns
    to where the places spread the most.
    """
    n = len(places[0])
    direction = [1.0 / math.sqrt(n)] * n
    for _ in range(100):
        pulled = [0.0] * n
        for place in places:
            how_far_along = dot(place, direction)
            for k in range(n):
                pulled[k] += how_far_along * place[k]
        length = math.hypot(*pulled)
        if length < 1e-12:  # the places do not differ any more, in any direction
            break
        direction = [number / length for number in pulled]
    return direction
