"""One thing in which two runs differ, and when two values are the same."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that differs. `left` and `right` are None where a run does not have it; `note` says more."""

    section: str
    key: str
    left: Any
    right: Any
    note: str = ""


def keyed(section: str, left: Mapping[str, Any], right: Mapping[str, Any]) -> Iterator[Difference]:
    """What two maps differ in, key by key."""
    for key in sorted({*left, *right}):
        one, other = left.get(key), right.get(key)
        if not same(one, other) or (key in left) != (key in right):
            yield Difference(section=section, key=key, left=one, right=other)


def same(one: object, other: object) -> bool:
    """Equal, and of one type: 1 is not 1.0, as a config may mean different things by them; NaN is NaN."""
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    return type(one) is type(other) and one == other
