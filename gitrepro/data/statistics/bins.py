"""A histogram in one pass whose bins need not be known before.

Bins are 2^k wide and lie on multiples of 2^k, k the smallest with which all values take at most 20 bins. As values
spread, neighbouring bins are merged in pairs, which loses nothing: the result is exact, the same in whatever order the
values come, and of two histograms the finer one can always be brought to the edges of the coarser.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any, Final, final

if TYPE_CHECKING:
    from .types import Floats, Wholes

MOST_BINS: Final = 20
# 2.0**±1000 is a double; beyond, one multiplication is not exact.
_ONE_STEP: Final = 1000


@final
class Bins:
    """Counts of finite values.

    Args:
        whole: the values are whole numbers: no bin is narrower than 1.
    """

    def __init__(self, *, whole: bool = False) -> None:
        self._whole = whole
        self._low = math.inf
        self._high = -math.inf
        self._same = 0
        self._exponent: int | None = None
        self._first = 0
        self._counts: list[int] = []

    def add(self, values: Floats) -> None:
        """Add float64 values, shape (n,), all finite."""
        import numpy as np

        if not values.size:
            return
        self._widen(float(values.min()), float(values.max()))
        if self._exponent is None:
            self._same += values.size
            return
        found = np.bincount(_places(values, self._exponent) - self._first, minlength=len(self._counts))
        self._counts = [one + int(other) for one, other in zip(self._counts, found, strict=True)]

    def document(self) -> dict[str, Any] | None:
        """Edges, one more than counts, and counts; two equal edges where all values are one; None without values."""
        if self._exponent is None:
            return {"edges": [self._low, self._low], "counts": [self._same]} if self._same else None
        places = range(self._first, self._first + len(self._counts) + 1)
        return {"edges": [_edge(place, self._exponent) for place in places], "counts": list(self._counts)}

    def _widen(self, low: float, high: float) -> None:
        if low >= self._low and high <= self._high:
            return
        before = self._low
        self._low, self._high = min(low, self._low), max(high, self._high)
        if self._low == self._high:
            return
        exponent = smallest_exponent(self._low, self._high, at_least=0 if self._whole else None)
        first, last = _place(self._low, exponent), _place(self._high, exponent)
        counts = [0] * (last - first + 1)
        if self._exponent is None and self._same:
            counts[_place(before, exponent) - first] = self._same
        for place, count in enumerate(self._counts, start=self._first):
            counts[(place >> (exponent - (self._exponent or 0))) - first] += count
        self._exponent, self._first, self._counts = exponent, first, counts


def smallest_exponent(low: float, high: float, *, at_least: int | None = None) -> int:
    """The least k with which `low` < `high` and all between lie in at most 20 bins of width 2^k."""
    # The exact distance as a fraction: near the largest and the smallest doubles a difference would be rounded.
    (one, one_under), (other, other_under) = high.as_integer_ratio(), low.as_integer_ratio()
    over, under = one * other_under - other * one_under, one_under * other_under
    exponent = over.bit_length() - under.bit_length() - MOST_BINS.bit_length() - 1
    exponent = exponent if at_least is None else max(at_least, exponent)
    while _place(high, exponent) - _place(low, exponent) >= MOST_BINS:
        exponent += 1
    return exponent


def _place(value: float, exponent: int) -> int:
    over, under = value.as_integer_ratio()
    return over // (under << exponent) if exponent >= 0 else (over << -exponent) // under


def _places(values: Floats, exponent: int) -> Wholes:
    import numpy as np

    scaled = values * 2.0**-exponent if abs(exponent) <= _ONE_STEP else np.ldexp(values, -exponent)
    # Tiny negative values become zero where they belong below it.
    return np.where((scaled == 0) & (values < 0), -1.0, np.floor(scaled)).astype(np.int64)


def _edge(place: int, exponent: int) -> float:
    try:
        return math.ldexp(place, exponent)
    except OverflowError:
        return math.copysign(sys.float_info.max, place)
