"""How many examples are equal by nature: coarse columns, such as answers of a survey, meet by chance.

Were the columns drawn independently of each other, two examples would be equal with the product of the chances that
each column is. Columns that hang together make more of them: this is a lower bound, and for texts and images it is 0.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from ..task import Data, Kind
from .columns import Columns, columns_of
from .drift import sampled


def equal_by_nature(data: Data, kind: Kind, *, seed: int) -> dict[str, float]:
    """Examples of the scored part with an equal one in train, and of all with another equal one, as expected."""
    train, scored = len(data.train), len(data.judged)
    chance = _chance([columns_of(sampled(part, seed), data, kind) for part in data.parts.values()])
    whole = sum(map(len, data.parts.values()))
    return {
        "in_train": float(scored * -np.expm1(train * np.log1p(-min(chance, 1 - 1e-12)))),
        "repeated": float(whole * -np.expm1((whole - 1) * np.log1p(-min(chance, 1 - 1e-12)))),
    }


def _chance(parts: list[Columns]) -> float:
    """That two examples are equal in every column."""
    if any(each.form != "table" or each.names != parts[0].names for each in parts) or not len(parts[0]):
        return 0.0
    numbers = np.concatenate([each.numbers for each in parts]).astype(np.float32)
    found = [_of_counts(np.unique(column, return_counts=True, equal_nan=True)[1]) for column in numbers.T]
    for name in parts[0].categories:
        counts = Counter(value for each in parts for value in each.categories.get(name, []))
        found.append(_of_counts(np.array(list(counts.values()))))
    return float(np.prod(found))


def _of_counts(counts: np.ndarray) -> float:
    total = float(counts.sum())
    return float((counts.astype(np.float64) * (counts - 1)).sum() / (total * (total - 1))) if total > 1 else 0.0
