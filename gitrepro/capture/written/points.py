"""One row that a program wrote, and what of it is no number."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, final

STEP_NAMES: Final = ("step", "global_step", "iteration", "epoch")
"""Columns that are the step, the first of them that a row has, in any case of letters."""
_NAMED_AT_MOST: Final = 50
_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|nan|inf|infinity)", re.I)
_WHOLE: Final = re.compile(r"[+-]?\d{1,19}")
_INT64: Final = range(-(2**63), 2**63)

Number = int | float


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Values that belong together; `moment` is a Unix time in seconds where the file tells one."""

    step: int
    values: dict[str, Number]
    moment: float | None = None


@final
class Rejected:
    """Values that are not taken in, counted by the name they stood under."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def add(self, name: str, count: int = 1) -> None:
        known = name if name in self.counts or len(self.counts) < _NAMED_AT_MOST else "(others)"
        self.counts[known] = self.counts.get(known, 0) + count


def number_in(text: str) -> Number | None:
    """The number that `text` spells, or None; `nan` and `inf` are numbers, `True` is 1, `1_000` is none."""
    text = text.strip()
    if _WHOLE.fullmatch(text):
        whole = int(text)
        return whole if whole in _INT64 else float(whole)
    if _NUMBER.fullmatch(text):
        return float(text)
    return {"true": 1, "false": 0}.get(text.lower())


def number_of(value: Any) -> Number | None:
    """`value` of a JSON document as a number, or None."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return value if value in _INT64 else _as_float(value)
    return value if isinstance(value, float) else None


def step_name(names: Iterable[str]) -> str | None:
    """Which of these names is the step."""
    by_word = {name.strip().lower(): name for name in reversed(list(names))}
    return next((by_word[word] for word in STEP_NAMES if word in by_word), None)


def take_step(values: dict[str, Number], name: str | None, *, after: int) -> int:
    """Take the step `name` out of `values`; where it holds no whole number it stays, and the step is the next one."""
    value = values.get(name) if name is not None else None
    if name is None or value is None or not math.isfinite(value) or int(value) != value or int(value) not in _INT64:
        return after + 1
    del values[name]
    return int(value)


def _as_float(value: int) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return None
