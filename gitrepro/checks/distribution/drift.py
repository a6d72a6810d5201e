"""Whether the parts are alike, feature by feature: means, shapes, missing values, and what train has never shown.

Effect sizes first: the standardised mean difference (Cohen 1988; Austin 2009 for 0.1), the Kolmogorov-Smirnov
distance, total variation. A p-value alone calls everything different once there are a million examples; an effect
alone calls everything different as long as there are thirty. So an effect counts when it is large and chance does not
make it.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any, Final

import numpy as np

from ...data.statistics.apart import total_variation
from ..task import TRAIN, Data, Kind, Part
from . import chance
from .columns import Columns, columns_of
from .moments import ALIKE, constant, finite, moments, scaled
from .settings import PART_LEAST, VALUES_AT_MOST

_SHOWN: Final = 20


def look(data: Data, kind: Kind, *, seed: int) -> dict[str, Any]:
    """What `judge` is given: for each part but train, how far its columns are from those of train."""
    train = sampled(data.train, seed)
    base = columns_of(train, data, kind)
    base = _with_label(base, train, kind)
    parts: dict[str, Any] = {}
    for name in sorted(data.parts.keys() - {TRAIN}):
        part = sampled(data.parts[name], seed)
        other = _with_label(columns_of(part, data, kind), part, kind)
        parts[name] = _apart(base, other, chance.units_of(train, part), np.random.default_rng(seed))
        parts[name]["sampled"] = [len(train) < len(data.train), len(part) < len(data.parts[name])]
    still = constant(finite(base.numbers))
    return {
        "columns": len(base),
        "constant": [base.names[k] for k in np.flatnonzero(still)[:_SHOWN]],
        "constant_count": int(still.sum()),
        "form": base.form,
        "iid": data.iid,
        "parts": parts,
    }


def sampled(part: Part, seed: int) -> Part:
    """The part, or so many of its examples, drawn at random, as hold the most values that are looked at."""
    width = int(part.inputs[:1].size) if isinstance(part.inputs, np.ndarray) else 1
    most = max(VALUES_AT_MOST // max(width, 1), PART_LEAST)
    if len(part) <= most:
        return part
    return part.take(np.sort(np.random.default_rng(seed).choice(len(part), size=most, replace=False)))


def _with_label(columns: Columns, part: Part, kind: Kind) -> Columns:
    """With the numbers that are to be predicted as one more column: their drift is one, too."""
    if kind != "regression" or part.labels is None or part.labels.dtype.kind not in "fiu" or part.labels.ndim != 1:
        return columns
    return Columns(
        form=columns.form,
        names=(*columns.names, "label"),
        numbers=np.column_stack([columns.numbers, part.labels.astype(np.float64)]),
        categories=columns.categories,
        dtypes={**columns.dtypes, "label": "float"},
    )


def _apart(train: Columns, other: Columns, units: chance.Units, generator: np.random.Generator) -> dict[str, Any]:
    found: dict[str, Any] = {"examples": [len(train.numbers), len(other.numbers)], "units": [units.train, units.other]}
    shared = [name for name in train.names if name in set(other.names)]
    one = train.numbers[:, [train.names.index(name) for name in shared]]
    two = other.numbers[:, [other.names.index(name) for name in shared]]
    one, two = finite(one), finite(two)
    if shared and min(len(one), len(two)) >= 2:
        found |= _numbers(shared, one, two, units, generator)
    categories = _categories(train, other, units, generator)
    return found | ({"categories": categories} if categories else {})


def _numbers(
    names: list[str], one: np.ndarray, two: np.ndarray, units: chance.Units, generator: np.random.Generator
) -> dict[str, Any]:
    means, still = _mean_difference(one, two), constant(one)
    shapes = np.array([_shape_distance(a, b) for a, b in zip(one.T, two.T, strict=True)])
    missing = np.isnan(two).mean(axis=0) - np.isnan(one).mean(axis=0)
    beyond = _beyond(one, two)
    whole = np.concatenate([one, two])
    found = {
        "mean": _greatest(names, np.abs(means))
        | {"by_chance": chance.means_by_chance(scaled(whole), units, generator)},
        "shape": _greatest(names, shapes) | {"by_chance": chance.shape_by_chance(units, len(names))},
        "missing": _greatest(names, np.abs(missing)) | {"by_chance": _missing_by_chance(whole, units)},
        "outside": _outside(names, beyond, two, units),
        "woke": _woke(names, still, beyond, units),
    }
    return found | {"moved": _moved(names, one, two, means, shapes)}


def _mean_difference(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Of each column the difference of means over the root of the mean of both variances; infinite without any."""
    (mean_one, var_one), (mean_two, var_two) = moments(one), moments(two)
    apart, spread = mean_two - mean_one, np.sqrt((var_one + var_two) / 2)
    flat = spread <= ALIKE * np.maximum(np.abs(mean_one), np.abs(mean_two))
    same = np.abs(apart) <= ALIKE * np.maximum(np.abs(mean_one), np.abs(mean_two))
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.where(flat, np.where(same, 0.0, np.inf), apart / spread)
    return np.nan_to_num(found, nan=0.0, posinf=np.inf, neginf=-np.inf)


def _shape_distance(one: np.ndarray, two: np.ndarray) -> float:
    """The Kolmogorov-Smirnov distance: the greatest difference of the shares at or below a value."""
    one, two = np.sort(one[~np.isnan(one)]), np.sort(two[~np.isnan(two)])
    if not len(one) or not len(two):
        return 0.0
    at = np.concatenate([one, two])
    below = np.searchsorted(one, at, side="right") / len(one), np.searchsorted(two, at, side="right") / len(two)
    return float(np.abs(below[0] - below[1]).max())


def _beyond(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Which values of `two` lie outside of the range of their column in `one`."""
    low = np.where(np.isnan(one), np.inf, one).min(axis=0)
    high = np.where(np.isnan(one), -np.inf, one).max(axis=0)
    with np.errstate(invalid="ignore"):
        return np.asarray(((two < low) | (two > high)) & (low <= high))


def _outside(names: list[str], beyond: np.ndarray, two: np.ndarray, units: chance.Units) -> dict[str, Any]:
    share = beyond.sum(axis=0) / np.maximum((~np.isnan(two)).sum(axis=0), 1)
    place = int(np.argmax(share))
    rows = np.flatnonzero(beyond[:, place])
    return {
        **_greatest(names, share),
        "by_chance": chance.outside_by_chance(units, len(names)),
        "count": len(rows),
        "units": len(np.unique(units.codes[len(units.codes) - len(two) + rows])),
    }


def _woke(names: list[str], still: np.ndarray, beyond: np.ndarray, units: chance.Units) -> list[str]:
    """Columns that are constant in train and not in the other part, in more units than chance puts there."""
    codes, least = units.codes[len(units.codes) - len(beyond) :], chance.outside_by_chance(units, len(names))
    woken = [k for k in np.flatnonzero(still).tolist() if len(np.unique(codes[beyond[:, k]])) > least]
    return [names[k] for k in woken[:_SHOWN]]


def _missing_by_chance(whole: np.ndarray, units: chance.Units) -> float:
    rate = np.isnan(whole).mean(axis=0)
    spread = np.sqrt((rate * (1 - rate)).max())
    return float(chance.normal_quantile(whole.shape[1]) * spread * units.spread)


def _greatest(names: list[str], sizes: np.ndarray) -> dict[str, Any]:
    place = int(np.argmax(sizes))
    return {"feature": names[place], "greatest": float(sizes[place])}


def _moved(
    names: list[str], one: np.ndarray, two: np.ndarray, means: np.ndarray, shapes: np.ndarray
) -> list[dict[str, Any]]:
    """The columns that moved most, with their figures in both parts."""
    (mean_one, var_one), (mean_two, var_two) = moments(one), moments(two)
    order = np.argsort(-np.maximum(np.abs(means), shapes), kind="stable")[:_SHOWN]
    return [
        {
            "feature": names[k],
            "mean": [float(mean_one[k]), float(mean_two[k])],
            "mean_difference": float(means[k]),
            "shape": float(shapes[k]),
            "std": [math.sqrt(var_one[k]), math.sqrt(var_two[k])],
        }
        for k in order.tolist()
    ]


def _categories(
    train: Columns, other: Columns, units: chance.Units, generator: np.random.Generator
) -> dict[str, Any] | None:
    found: list[dict[str, Any]] = []
    names = sorted(train.categories.keys() & other.categories.keys())
    for name in names:
        both = [str(each) for each in (*train.categories[name], *other.categories[name])]
        _, codes = np.unique(np.array(both), return_inverse=True)
        sides = Counter(both[: len(train.numbers)]), Counter(both[len(train.numbers) :])
        by_chance = chance.variation_by_chance(codes, units, generator, columns=len(names))
        found.append({"by_chance": by_chance, "feature": name, "greatest": total_variation(*sides)})
    return max(found, key=_beyond_chance) if found else None


def _beyond_chance(found: dict[str, Any]) -> float:
    return float(found["greatest"] - found["by_chance"])
