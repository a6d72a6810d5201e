"""The statistics of a version of a data set, as they are read: FORMAT.md names every field.

Who reads them may rely on what is checked here. Fields that are not known are kept and not looked at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, Final

from ..errors import Damaged, TooNew
from . import yaml
from .fields import are_texts, is_text

FORMAT: Final = 1
_COUNT_AT_MOST: Final = 2**63
_WHOLE_AT_MOST: Final = 2**64
_NUMBERS: Final = ("mean", "std", "min", "max")
_MISSING: Final = object()


def load_statistics(data: bytes, *, source: str) -> dict[str, Any]:
    """Read the statistics of a version.

    Raises:
        Damaged: they do not parse, or a field is of another type than it is written with.
        TooNew: their format is newer than this program.
    """
    document = yaml.load(data, source=source)
    found = document.get("format", FORMAT)
    if _is_count(found) and found > FORMAT:
        raise TooNew(f"{source} has format {found}", why=f"this gitrepro reads format {FORMAT}", do="upgrade gitrepro")
    for name, fits in _FIELDS.items():
        value = document.get(name, _MISSING)
        if value is not _MISSING and not fits(value):
            raise Damaged(f"{source}: {name} is {value!r:.60}", why="it is not what statistics hold there")
    if "algorithm" not in document or found != FORMAT:
        raise Damaged(f"{source} does not say how it was computed")
    return document


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < _COUNT_AT_MOST


def _is_number(value: object) -> bool:
    return type(value) is float or (type(value) is int and abs(value) <= _WHOLE_AT_MOST)


def _are_counts(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_count, value.values()))


def _are_duplicates(value: object) -> bool:
    return isinstance(value, dict) and _are_counts({name: each for name, each in value.items() if name != "pairs"})


def _is_sample(value: object) -> bool:
    return isinstance(value, dict) and all(type(value.get(name)) is int for name in ("n", "seed"))


def _are_summaries(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_summary, value.values()))


def _is_summary(value: object) -> bool:
    """What is said of one feature, channel, size or length."""
    if not isinstance(value, dict) or not all(fits(value[name]) for name, fits in _PARTS.items() if name in value):
        return False
    return _are_moments(value) and ("lengths" not in value or _is_flat(value["lengths"]))


def _is_flat(value: object) -> bool:
    return isinstance(value, dict) and "lengths" not in value and _is_summary(value)


def _are_moments(value: Mapping[str, Any]) -> bool:
    """All numbers and their histogram, or none of them."""
    if not any(name in value for name in (*_NUMBERS, "histogram")):
        return True
    return all(_is_number(value.get(name)) for name in _NUMBERS) and _is_histogram(value.get("histogram"))


def _is_histogram(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    edges, counts = value.get("edges"), value.get("counts")
    if not isinstance(edges, list) or not isinstance(counts, list) or not 2 <= len(edges) == len(counts) + 1:
        return False
    # Counts of nothing have no shares.
    return all(map(_is_count, counts)) and sum(counts) > 0 and _are_edges(edges)


def _are_edges(edges: list[Any]) -> bool:
    """Whether they ascend. Where bins are finer than doubles are, neighbours are equal."""
    if not all(_is_number(each) and math.isfinite(each) for each in edges):
        return False
    return all(low <= high and math.isfinite(float(high) - float(low)) for low, high in pairwise(edges))


_PARTS: Final[dict[str, Callable[[Any], bool]]] = {
    "distinct": _is_count,
    "missing_rate": lambda value: _is_number(value) and 0 <= value <= 1,
    "type": is_text,
    "values": _are_counts,
}
_FIELDS: Final[dict[str, Callable[[Any], bool]]] = {
    "algorithm": lambda value: _is_count(value) and value > 0,
    "channels": _are_summaries,
    "classes": _are_counts,
    "counts": _are_counts,
    "duplicates": _are_duplicates,
    "features": _are_summaries,
    "format": _is_count,
    "lengths": _are_summaries,
    "notes": are_texts,
    "sampled": _is_sample,
    "sizes": _are_summaries,
    "suffixes": _are_counts,
}
