"""How different parts of one source are by chance, when the same examples are dealt out at random again.

Dealing out again needs no law of the values and keeps what features have to do with each other: the greatest
difference over all features is held against the greatest of each random deal (Westfall and Young 1993).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log, sqrt
from statistics import NormalDist
from typing import Final, final

import numpy as np

from ..task import Part
from .settings import CHANCE_LEVEL, DRAWS

_WORK_AT_MOST: Final = 20_000_000
"""Units times features up to which deals are drawn: 500 of them are then 10^10 multiplications, some seconds."""
_UNITS_AT_MOST: Final = 200_000
"""Units up to which deals are drawn; of more, means are as good as normal."""
_DEALS_AT_ONCE: Final = 20


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Units:
    """What is dealt out: groups where there are any, else examples.

    Attributes:
        codes: int64, shape (n_train + n_other,), the unit of each example.
        count: of units.
        other: of units in the other part; one that lies in both counts for each.
        train: of units in train.
    """

    codes: np.ndarray
    count: int
    train: int
    other: int

    @property
    def spread(self) -> float:
        """The standard error of a difference of means of unit variance, one value a unit."""
        return sqrt(1 / max(self.train, 1) + 1 / max(self.other, 1))


def units_of(train: Part, other: Part) -> Units:
    """The units of two parts, those of `train` first."""
    if train.groups is None or other.groups is None:
        count = len(train) + len(other)
        return Units(codes=np.arange(count), count=count, train=len(train), other=len(other))
    named = [str(each) for each in (*train.groups.tolist(), *other.groups.tolist())]
    different, codes = np.unique(np.array(named), return_inverse=True)
    sides = [len(np.unique(side)) for side in (codes[: len(train)], codes[len(train) :])]
    return Units(codes=codes, count=len(different), train=sides[0], other=sides[1])


def deals(units: Units, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """Random choices of as many units as the other part has: bool, shape (m, count), `DRAWS` rows in all."""
    for start in range(0, DRAWS, _DEALS_AT_ONCE):
        rows = min(_DEALS_AT_ONCE, DRAWS - start)
        chosen = np.zeros((rows, units.count), dtype=bool)
        for row in chosen:
            row[generator.permutation(units.count)[: units.other]] = True
        yield chosen


def means_by_chance(scaled: np.ndarray, units: Units, generator: np.random.Generator) -> float:
    """The 99th centile of the greatest difference of means between two parts dealt at random.

    Args:
        scaled: float64, shape (n, features), of mean 0 and deviation 1; NaN where a value is missing.
    """
    if units.count > _UNITS_AT_MOST or units.count * scaled.shape[1] > _WORK_AT_MOST:
        return normal_quantile(scaled.shape[1]) * units.spread
    there = ~np.isnan(scaled)
    sums, counts = _by_unit(np.where(there, scaled, 0.0), units), _by_unit(there.astype(np.float64), units)
    all_sums, all_counts = sums.sum(axis=0), counts.sum(axis=0)
    greatest: list[np.ndarray] = []
    for chosen in deals(units, generator):
        dealt, many = chosen.astype(np.float64) @ sums, chosen.astype(np.float64) @ counts
        with np.errstate(invalid="ignore", divide="ignore"):
            apart = np.abs(dealt / many - (all_sums - dealt) / (all_counts - many))
        greatest.append(np.nanmax(np.where(np.isfinite(apart), apart, 0.0), axis=1))
    return float(np.quantile(np.concatenate(greatest), 1 - CHANCE_LEVEL))


def _by_unit(values: np.ndarray, units: Units) -> np.ndarray:
    if units.count == len(values):
        # Each is a unit of its own; their order does not matter to a deal.
        return values
    sums = np.zeros((units.count, values.shape[1]))
    np.add.at(sums, units.codes, values)
    return sums


def variation_by_chance(codes: np.ndarray, units: Units, generator: np.random.Generator, *, columns: int = 1) -> float:
    """The 99th centile of the total variation between the classes of two parts dealt at random.

    Args:
        codes: int64, shape (n,), the class of each example.
        columns: how many such columns are looked at; of several the centile lies higher.
    """
    classes = int(codes.max()) + 1
    if units.count == len(codes):
        whole = np.bincount(codes, minlength=classes)
        other = generator.multivariate_hypergeometric(whole, units.other, size=DRAWS, method="marginals")
        return _centile(other, whole, columns)
    one_hot = np.zeros((units.count, classes))
    np.add.at(one_hot, (units.codes, codes), 1.0)
    dealt = np.concatenate([chosen.astype(np.float64) @ one_hot for chosen in deals(units, generator)])
    return _centile(dealt, one_hot.sum(axis=0), columns)


def _centile(other: np.ndarray, whole: np.ndarray, columns: int) -> float:
    rest = whole - other
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = other / other.sum(axis=1, keepdims=True), rest / rest.sum(axis=1, keepdims=True)
    apart = np.abs(shares[0] - shares[1]).sum(axis=1) / 2
    return float(np.quantile(np.nan_to_num(apart, nan=1.0), 1 - CHANCE_LEVEL / columns))


def normal_quantile(features: int) -> float:
    """How many standard errors the greatest of so many differences exceeds once in a hundred splits, at most."""
    return NormalDist().inv_cdf(1 - CHANCE_LEVEL / (2 * max(features, 1)))


def shape_by_chance(units: Units, features: int) -> float:
    """The Kolmogorov-Smirnov distance that the greatest of so many exceeds once in a hundred splits (Smirnov 1939)."""
    return sqrt(-log(CHANCE_LEVEL / (2 * max(features, 1))) / 2) * units.spread


def outside_by_chance(units: Units, features: int) -> int:
    """How many units may lie outside of the range of train; more do once in a hundred splits, over all features.

    That the k outermost of all are of the other part has a chance of at most q^k, q its share; k lie outside when some
    number of them is below and the rest above.
    """
    share = units.other / max(units.train + units.other, 1)
    outside = 0
    while features * (outside + 2) * share ** (outside + 1) > CHANCE_LEVEL and outside < units.other:
        outside += 1
    return outside
