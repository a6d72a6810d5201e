"""How the classes lie in the parts, and how far that is from what it should be."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def classes_in(parts: Mapping[str, np.ndarray], labels: Sequence[str | None]) -> dict[str, Counter[str | None]]:
    """How many items of each class each part has."""
    return {name: Counter(labels[at] for at in places.tolist()) for name, places in parts.items()}


def deviation(counts: Mapping[str, Counter[str | None]], shares: Mapping[str, Fraction]) -> float:
    """The largest distance between a part's share of a class and the share it was to have; 0 to 1."""
    totals = sum(counts.values(), Counter[str | None]())
    return max(
        (
            abs(counts[name][label] / total - float(share))
            for name, share in shares.items()
            for label, total in totals.items()
        ),
        default=0.0,
    )


def total_variation(part: Counter[str | None], whole: Counter[str | None]) -> float:
    """Half the summed distance between the class shares of a part and of the whole: 0 the same, 1 nothing shared."""
    return math.fsum(abs(part[each] / part.total() - whole[each] / whole.total()) for each in whole) / 2


def variation_by_chance(part: Counter[str | None], whole: Counter[str | None]) -> float:
    """What `total_variation` is on average for as many items drawn from the whole at random, without replacement.

    Each class count is taken for normal: its mean distance from what is expected is its deviation times √(2/π).
    """
    size, total = part.total(), whole.total()
    finite = math.sqrt(max(total - size, 0) / max(total - 1, 1))
    spread = math.fsum(math.sqrt(count / total * (1 - count / total) / size) for count in whole.values())
    return finite * spread * math.sqrt(2 / math.pi) / 2
