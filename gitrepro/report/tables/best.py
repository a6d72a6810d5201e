"""Which row is best, where the intervals say so. The greatest mean alone is no reason to print it bold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ...analysis.intervals import t_quantile
from ...records.seedset import Spread
from .nouns import Row

LEVEL: Final = 0.95
PAIRS_AT_LEAST: Final = 3
"""Rows are compared seed by seed from so many common seeds on; of fewer values no interval is worth it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The row with the best mean, and whether it may be called the best.

    Attributes:
        place: of the row; None where no mean is finite.
        clear: its interval against each other row is above zero.
        why: the reason why it is not clear, for people.
    """

    place: int | None
    clear: bool
    why: str = ""


def best_of(rows: Sequence[Row], metric: str, goal: str) -> Best:
    """The best row of a metric.

    Against each of the m - 1 others stands a t-interval at level 1 - 0.05 / (m - 1) (Bonferroni). Were all rows equal,
    one of them would be called clearly best in at most m / (m - 1) / 2 of 5 % of all tables: once in twenty at m = 2,
    and less beyond.

    Args:
        goal: `max` or `min`.
    """
    sign = -1.0 if goal == "min" else 1.0
    known = {place: row.spreads[metric] for place, row in enumerate(rows) if metric in row.spreads}
    finite = [place for place, spread in known.items() if math.isfinite(spread.mean)]
    if not finite:
        return Best(place=None, clear=False, why="no row has a finite mean")
    first = max(finite, key=lambda place: sign * known[place].mean)
    if len(known) < 2:
        return Best(place=first, clear=False, why="there is nothing to compare it with")
    if any(rows[place].data != rows[first].data for place in known):
        return Best(place=first, clear=False, why="the rows are of different data")
    level = 1 - (1 - LEVEL) / (len(known) - 1)
    for place, spread in known.items():
        if place != first and (why := _not_above(known[first], spread, sign, level)):
            return Best(place=first, clear=False, why=f"against {' / '.join(rows[place].labels)} {why}")
    return Best(place=first, clear=True)


def _not_above(ours: Spread, theirs: Spread, sign: float, level: float) -> str:
    """Why an interval does not say that ours is better; empty where it does."""
    found = difference(ours, theirs, level)
    if found is None:
        return "there are too few seeds for an interval"
    low, high = sorted((sign * found[0], sign * found[1]))
    if low > 0:
        return ""
    if not math.isfinite(low):
        return "a value is not finite"
    return f"the gain is {low:+.3g} to {high:+.3g} ({level:.4g} level)"


def difference(ours: Spread, theirs: Spread, level: float) -> tuple[float, float] | None:
    """Student's interval around the difference of two means: paired by seed, else Welch's (1947).

    Returns:
        Its bounds; None where there are too few seeds, (nan, nan) where a value is not finite.
    """
    a, b = ({seed: value for _, seed, value in each.values} for each in (ours, theirs))
    if not all(map(math.isfinite, (*a.values(), *b.values()))):
        return math.nan, math.nan
    common = [seed for seed in a if seed in b]
    if len(common) >= PAIRS_AT_LEAST:
        gains = [a[seed] - b[seed] for seed in common]
        mean = math.fsum(gains) / len(gains)
        variance = math.fsum((gain - mean) ** 2 for gain in gains) / (len(gains) - 1)
        return _around(mean, math.sqrt(variance / len(gains)), len(gains) - 1, level)
    if min(len(a), len(b)) < PAIRS_AT_LEAST or ours.std is None or theirs.std is None:
        return None
    one, two = ours.std**2 / len(a), theirs.std**2 / len(b)
    whole = one + two
    # Rounded down: the fewer degrees, the wider the interval. None at all where no value ever moved.
    degrees = int(whole**2 / (one**2 / (len(a) - 1) + two**2 / (len(b) - 1))) if whole else len(a) + len(b) - 2
    return _around(ours.mean - theirs.mean, math.sqrt(whole), max(degrees, 1), level)


def _around(mean: float, error: float, degrees: int, level: float) -> tuple[float, float]:
    half = t_quantile((1 + level) / 2, degrees) * error
    return mean - half, mean + half
