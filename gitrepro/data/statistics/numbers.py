"""Summaries of numbers: a stream of doubles, or a tally of small whole numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, final

from .bins import Bins
from .sampling import QUANTILES, Kept
from .sums import Moments

if TYPE_CHECKING:
    from .types import Numbers, Words

_HELD_VALUES: Final = 1 << 22
_LEAST_HELD: Final = 1 << 12
_DIGITS: Final = 12


def held_by_each(features: int) -> int:
    """How many values each of so many features keeps for its quantiles: a power of two, 2^22 in all."""
    share = max(_LEAST_HELD, min(_HELD_VALUES // max(1, features), _HELD_VALUES >> 4))
    return 1 << (share.bit_length() - 1)


def rounded(value: float) -> float:
    """Twelve significant digits: what is computed is given as far as it is sure."""
    return float(f"{value:.{_DIGITS - 1}e}") if math.isfinite(value) else value


@final
class Stream:
    """Numbers that pass by. NaN is missing; infinities are counted and left out of the rest.

    Args:
        held: values kept for the quantiles.
        whole: the numbers are whole.
    """

    def __init__(self, *, held: int, whole: bool = False) -> None:
        self._whole = whole
        self._moments = Moments()
        self._bins = Bins(whole=whole)
        self._kept = Kept(held)
        self._low: float | int | None = None
        self._high: float | int | None = None
        self._missing = 0
        self._infinite = 0

    def add(self, values: Numbers, priority: Words, *, missing: int = 0) -> None:
        """Add numbers, shape (n,), with a priority each, and `missing` gaps."""
        import numpy as np

        # Adding zero makes -0.0 into 0.0: which of two equal zeros is the least must not hang on the processor.
        doubles = values.astype(np.float64) + 0.0
        finite = np.isfinite(doubles)
        if not finite.all():
            gaps = int(np.isnan(doubles).sum())
            self._infinite += int(finite.size - finite.sum()) - gaps
            missing += gaps
            values, doubles, priority = values[finite], doubles[finite], priority[finite]
        self._missing += missing
        if not doubles.size:
            return
        self._widen(values.min().item() + 0, values.max().item() + 0)
        self._moments.add(doubles)
        self._bins.add(doubles)
        self._kept.add(doubles, priority)

    def _widen(self, low: float | int, high: float | int) -> None:
        self._low = low if self._low is None else min(low, self._low)
        self._high = high if self._high is None else max(high, self._high)

    def document(self) -> dict[str, Any]:
        count = self._moments.count + self._infinite
        found: dict[str, Any] = {"count": count, "missing": self._missing, "missing_rate": rate(self._missing, count)}
        if self._infinite:
            found["infinite"] = self._infinite
        if self._moments.count:
            found |= {"min": self._low, "max": self._high}
            found |= {"mean": rounded(self._moments.mean), "std": rounded(self._moments.std)}
            found |= {"quantiles": self._kept.quantiles(), "histogram": self._bins.document()}
        return found


def rate(part: int, rest: int) -> float:
    """The share of `part` in both together."""
    return rounded(part / (part + rest)) if part + rest else 0.0


@final
class Tally:
    """How often each whole number came: everything about them is exact, in whatever order.

    Args:
        scale: numbers are given divided by it.
    """

    def __init__(self, *, scale: int = 1) -> None:
        self._scale = scale
        self._counts: dict[int, int] = {}

    def add(self, values: Numbers) -> None:
        """Add whole numbers of at most 16 bits, shape (n,)."""
        import numpy as np

        low = int(values.min()) if values.size else 0
        self.add_counts(np.bincount(values.astype(np.int64) - low), first=low)

    def add_counts(self, counts: Numbers, *, first: int = 0) -> None:
        """Add the counts of `first`, `first + 1`, …."""
        for place in counts.nonzero()[0].tolist():
            self._counts[first + place] = self._counts.get(first + place, 0) + int(counts[place])

    def document(self) -> dict[str, Any]:
        count = sum(self._counts.values())
        found: dict[str, Any] = {"count": count, "missing": 0, "missing_rate": 0.0}
        if not count:
            return found
        values = sorted(self._counts)
        found |= {"min": self._given(values[0]), "max": self._given(values[-1])}
        found |= _exact_moments(self._counts, count, self._scale)
        return found | {"quantiles": self._quantiles(values, count), "histogram": self._histogram(values)}

    def _given(self, value: int) -> float | int:
        return value if self._scale == 1 else rounded(value / self._scale)

    def _quantiles(self, values: list[int], count: int) -> dict[str, float]:
        return {name: rounded(self._quantile(values, share * (count - 1))) for name, share in QUANTILES.items()}

    def _quantile(self, values: list[int], place: float) -> float:
        lower, part = int(place), place - int(place)
        low, high = (self._at(values, each) for each in (lower, lower + 1))
        return (low + part * (high - low)) / self._scale

    def _at(self, values: list[int], place: int) -> int:
        passed = 0
        for value in values:
            passed += self._counts[value]
            if passed > place:
                return value
        return values[-1]

    def _histogram(self, values: list[int]) -> dict[str, Any] | None:
        import numpy as np

        bins = Bins(whole=self._scale == 1)
        # The ends first, so that the bins are wide enough before a value comes many times.
        bins.add(np.array([values[0], values[-1]]) / self._scale)
        shape = bins.document()
        if shape is None or len(shape["edges"]) == 2:
            return {"edges": shape["edges"], "counts": [sum(self._counts.values())]} if shape else None
        places = np.searchsorted(shape["edges"], np.array(values) / self._scale, side="right") - 1
        counts = [0] * len(shape["counts"])
        for place, value in zip(places.tolist(), values, strict=True):
            counts[place] += self._counts[value]
        return {"edges": shape["edges"], "counts": counts}


def _exact_moments(counts: Mapping[int, int], count: int, scale: int) -> dict[str, float]:
    """Mean and std from whole numbers, rounded once at the end."""
    from fractions import Fraction

    total = sum(value * times for value, times in counts.items())
    squares = sum(value * value * times for value, times in counts.items())
    variance = Fraction(count * squares - total * total, (count * scale) ** 2)
    return {"mean": rounded(total / (count * scale)), "std": rounded(math.sqrt(variance))}
