"""How many decimals a column has, and its numbers as text."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Final

from ...records.seedset import Spread

DECIMALS_AT_MOST: Final = 12
_FIGURES_OF_STD: Final = 2
_FIGURES_OF_MEAN: Final = 4
"""Significant digits: of a standard deviation, known to half its size from few seeds; of a lone mean."""


def decimals_of(spreads: Sequence[Spread], *, scale: int = 1, digits: int | None = None) -> int:
    """The decimals of a column: enough for the standard deviation in the middle of them to show two digits."""
    if digits is not None:
        return digits
    stds = [_needed(each.std * scale, _FIGURES_OF_STD) for each in spreads if each.std and math.isfinite(each.std)]
    means = [_needed(each.mean * scale, _FIGURES_OF_MEAN) for each in spreads if math.isfinite(each.mean)]
    found = statistics.median_low(stds) if stds else max(means, default=0)
    return min(max(found, 0), DECIMALS_AT_MOST)


def _needed(number: float, figures: int) -> int:
    return figures - 1 - math.floor(math.log10(abs(number))) if number else 0


def fixed(number: float, decimals: int) -> str:
    """A number with so many decimals, without a minus before zero."""
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else "inf" if number > 0 else "-inf"
    text = f"{number:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text
