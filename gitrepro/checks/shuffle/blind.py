"""Inputs that tell nothing: each column at random among the examples, while ids, groups, times and order stay."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, final

import numpy as np

from ...errors import UsageError
from ..task import Data, Part, pick

_LEAST: Final = 50
"""Of fewer examples, different whole numbers in order are no surprise."""
_DENSE: Final = 3
"""Numbers of rows lie in a range of at most three times as many as there are rows, also when some were left out."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A column that tells where an example stands rather than what it is.

    Attributes:
        sure: it is a number or a name of each example; not only in the order of the source.
    """

    column: int
    name: str
    says: str
    sure: bool


def blinded(data: Data, *, seed: int, keep: Collection[int] = ()) -> Data:
    """The same with inputs at random: of a table each column by itself, else whole inputs, within each part.

    Labels, ids, groups, times and the order of the examples stay. Whole images and texts are dealt out anew, so that a
    model meets what it expects, and nothing in them belongs to the example any more.

    Args:
        keep: columns that stay as well.
    """
    parts = {}
    for k, (name, part) in enumerate(data.parts.items()):
        parts[name] = replace(part, inputs=_dealt(part.inputs, np.random.default_rng((seed, k)), keep))
    return data.with_parts(**parts)


def _dealt(inputs: Any, generator: np.random.Generator, keep: Collection[int]) -> Any:
    if not isinstance(inputs, np.ndarray) or inputs.ndim != 2:
        return pick(inputs, generator.permutation(len(inputs)))
    found = inputs.copy()
    for column in range(inputs.shape[1]):
        if column not in keep:
            found[:, column] = inputs[generator.permutation(len(inputs)), column]
    return found


def places_of(data: Data, named: Sequence[str | int] = ()) -> list[Place]:
    """The columns of a table that tell where an example stands: numbers of rows, ids, times.

    A column is one where it is `named`; where its values are different whole numbers that lie close together, or the
    ids themselves, or in the order of the examples' times; or, not surely, in the order of numbers in the ids. The
    only column of a table is none.

    Raises:
        UsageError: there is no column of that name.
    """
    parts = list(data.parts.values())
    tables = [part.inputs for part in parts]
    asked = {_column(data, each) for each in named}
    if not all(isinstance(each, np.ndarray) and each.ndim == 2 for each in tables) or tables[0].shape[1] < 2:
        return []
    if len({each.shape[1] for each in tables}) != 1:
        return []
    found = []
    for column in range(tables[0].shape[1]):
        values = np.concatenate([each[:, column] for each in tables])
        says, sure = ("you said so", True) if column in asked else _tells_place(values, parts)
        if says:
            found.append(Place(column=column, name=_name(data, column), says=says, sure=sure))
    return found if len(found) < tables[0].shape[1] else []


def _column(data: Data, named: str | int) -> int:
    table = data.train.inputs
    count = table.shape[1] if isinstance(table, np.ndarray) and table.ndim == 2 else 0
    names = list(data.features or ())
    if isinstance(named, str) and named in names:
        return names.index(named)
    if isinstance(named, int) and 0 <= named < count:
        return named
    raise UsageError(f"there is no column {named!r:.60}", why=f"the inputs have {count} columns", do="see `features`")


def _name(data: Data, column: int) -> str:
    return str(data.features[column]) if data.features and column < len(data.features) else str(column)


def _tells_place(values: np.ndarray, parts: Sequence[Part]) -> tuple[str, bool]:
    """Why a column tells where its examples stand, and whether that is sure; no text where it does not."""
    if len(values) < _LEAST:
        return "", False
    ids = np.concatenate([part.ids.astype(str) for part in parts])
    if values.dtype.kind in "OUS":
        return ("it is the id", True) if (values.astype(str) == ids).all() else ("", False)
    if values.dtype.kind not in "iuf" or not np.isfinite(values).all() or len(np.unique(values)) < len(values):
        return "", False
    if (values == np.round(values)).all() and float(values.max()) - float(values.min()) < _DENSE * len(values):
        return "it numbers the examples", True
    times = _together([part.times for part in parts])
    if times is not None and _same_order(values, times):
        return "it is in the order of the times", True
    numbers = _numbers(ids)
    return (
        ("it is in the order of the ids", False)
        if numbers is not None and _same_order(values, numbers)
        else ("", False)
    )


def _together(arrays: Sequence[np.ndarray | None]) -> np.ndarray | None:
    there = [each for each in arrays if each is not None]
    return np.concatenate(there) if len(there) == len(arrays) else None


def _numbers(ids: np.ndarray) -> np.ndarray | None:
    """The last number in each id, float64; None where one has none."""
    found = [re.findall(r"\d+", each)[-1:] for each in ids]
    return np.array([float(each[0]) for each in found]) if all(found) else None


def _same_order(values: np.ndarray, others: np.ndarray) -> bool:
    """Whether one rises, or falls, strictly with the other."""
    if len(np.unique(others)) < len(others):
        return False
    steps = np.diff(values[np.argsort(others, kind="stable")].astype(np.float64))
    return bool((steps > 0).all() or (steps < 0).all())
