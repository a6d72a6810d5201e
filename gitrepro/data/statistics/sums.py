"""Mean and standard deviation in one pass, with the same bits on every machine.

How `numpy.sum` groups its terms is left to its build, the processor and the array's layout, and with the grouping the
last digits change. Here the terms are added in pairs, by element-wise addition only, which IEEE 754 fixes; pieces are
joined by the formula of Chan, Golub and LeVeque (1979). The error grows with the logarithm of the number of terms.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from .types import Floats


def pairwise_sum(values: Floats) -> float:
    """The sum of float64 values, shape (n,), by halves."""
    import numpy as np

    with np.errstate(over="ignore", invalid="ignore"):
        while values.size > 1:
            half = values.size // 2
            summed = values[:half] + values[half : 2 * half]
            if values.size % 2:
                summed[0] += values[-1]
            values = summed
    return float(values[0]) if values.size else 0.0


@final
class Moments:
    """Count, mean and sum of squared deviations of what was added."""

    __slots__ = ("count", "mean", "squares")

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self.squares = 0.0

    def add(self, values: Floats) -> None:
        """Add float64 values, shape (n,), all finite."""
        import numpy as np

        if not values.size:
            return
        with np.errstate(over="ignore", invalid="ignore"):
            mean = pairwise_sum(values) / values.size
            off = values - mean
            # The second sum is zero but for rounding, and takes most of that away.
            rest = pairwise_sum(off)
            # Multiplied, not raised: what is too large becomes infinite, and is no error.
            squares = pairwise_sum(off * off) - rest * rest / values.size
        self._join(values.size, mean, squares)

    def _join(self, count: int, mean: float, squares: float) -> None:
        total = self.count + count
        apart = mean - self.mean
        self.squares += squares + apart * apart * (self.count / total) * count
        self.mean += apart * (count / total)
        self.count = total

    @property
    def std(self) -> float:
        """Of the values as a whole population (divided by n)."""
        if not self.count:
            return math.nan
        return math.sqrt(max(0.0, self.squares) / self.count) if math.isfinite(self.squares) else math.inf
