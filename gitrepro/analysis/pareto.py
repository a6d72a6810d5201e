"""Quality against cost: which runs no other beats for less. A front, since a ratio would hide what was paid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What one run reached and what it cost."""

    quality: float
    cost: float


def front(points: Sequence[Point], *, goal: str) -> list[int]:
    """The places of the points on the front, the cheapest first.

    A point is on it when no other is at least as good for at most the cost, and better in one of the two. Equal points
    are on it together; one that is not finite never is.

    Args:
        goal: `max` where more quality is better, `min` where less is.
    """
    sign = 1.0 if goal == "max" else -1.0
    finite = [place for place, point in enumerate(points) if math.isfinite(point.quality) and math.isfinite(point.cost)]
    order = sorted(finite, key=lambda place: (points[place].cost, -sign * points[place].quality))
    found: list[int] = []
    for place in order:
        point = points[place]
        last = points[found[-1]] if found else None
        if last is None or sign * point.quality > sign * last.quality or point == last:
            found.append(place)
    return found
