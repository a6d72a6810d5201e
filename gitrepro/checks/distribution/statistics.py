"""The figures of each part, column by column, as they are kept with the run that is the evidence."""

from __future__ import annotations

import json
import math
from typing import Any

from ...data.statistics.numbers import Stream, held_by_each
from ...data.statistics.sampling import priorities
from ...data.statistics.strings import ranked
from ...data.statistics.tables import FEATURES_DESCRIBED
from .columns import Columns


def statistics_of(columns: Columns) -> dict[str, Any]:
    """Of each column count, missing, min, max, mean, std, quantiles and a histogram; of the first 200 of them.

    The same figures, by the same code, as `gitrepro data stats` has.
    """
    from collections import Counter

    held = held_by_each(min(len(columns.names), FEATURES_DESCRIBED))
    found: dict[str, Any] = {}
    for place, name in enumerate(columns.names[:FEATURES_DESCRIBED]):
        stream = Stream(held=held)
        stream.add(columns.numbers[:, place], priorities(0, len(columns.numbers)))
        found[name] = {"dtype": columns.dtypes.get(name, "float"), **stream.document()}
    for name, values in columns.categories.items():
        there = Counter(each for each in values if each is not None)
        missing = sum(1 for each in values if each is None)
        found[name] = {"dtype": "text", "count": there.total(), "missing": missing, "values": ranked(there, 20)}
    return found


def as_file(document: dict[str, Any]) -> bytes:
    """One JSON document, keys sorted; numbers that are not finite as text."""
    return (json.dumps(_plain(document), sort_keys=True, indent=1, allow_nan=False) + "\n").encode()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
