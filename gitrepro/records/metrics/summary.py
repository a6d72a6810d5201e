"""The line a person looks at first: how often, from where to where, last, least, most."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from .frame import Frame, Point

if TYPE_CHECKING:
    from .frame import Numbers


class _Tally:
    __slots__ = ("count", "first_step", "last", "last_step", "max", "min", "nonfinite")

    def __init__(self, step: int) -> None:
        self.count = 0
        self.first_step = step
        self.last_step = step
        self.last: int | float = 0
        self.min: int | float | None = None
        self.max: int | float | None = None
        self.nonfinite = 0

    def add(self, value: int | float, step: int) -> None:
        self.count += 1
        self.last_step = step
        self.last = value
        # NaN for NaN and the infinities; 0 for a number, and for integers that no float holds.
        if value - value != 0:
            self.nonfinite += 1
            return
        if self.min is None or value < self.min:
            self.min = value
        if self.max is None or value > self.max:
            self.max = value

    def add_all(self, values: Numbers, steps: Numbers) -> None:
        """As `add`, for each of at least one value."""
        import numpy as np

        finite = values if values.dtype.kind == "i" else values[np.isfinite(values)]
        self.count += len(values)
        self.last_step = int(steps[-1])
        self.last = values[-1].item()
        self.nonfinite += len(values) - len(finite)
        if len(finite):
            low, high = finite.min().item(), finite.max().item()
            self.min = low if self.min is None else min(self.min, low)
            self.max = high if self.max is None else max(self.max, high)


class Summary:
    """Kept while a run logs: one pass, no history."""

    def __init__(self) -> None:
        self._tallies: dict[str, _Tally] = {}

    def add(self, values: Mapping[str, int | float], step: int) -> None:
        """Take in what was logged together at `step`."""
        for name, value in values.items():
            tally = self._tallies.get(name)
            if tally is None:
                tally = self._tallies[name] = _Tally(step)
            tally.add(value, step)

    def take(self, frame: Frame) -> None:
        """Take in rows of a table, in the order of logging."""
        for name, column in frame.columns.items():
            steps = frame.steps[column.rows]
            tally = self._tallies.get(name)
            if tally is None:
                tally = self._tallies[name] = _Tally(int(steps[0]))
            tally.add_all(column.values, steps)

    def as_dict(self) -> dict[str, dict[str, int | float | None]]:
        """By metric: count, first_step, last_step, last, min, max, nonfinite.

        `first_step` and `last_step` follow the order of logging; `min` and `max` are over finite values, None when
        there is none; `last` may be NaN or infinite.
        """
        return {
            name: {field: getattr(tally, field) for field in _Tally.__slots__}
            for name, tally in sorted(self._tallies.items())
        }


def summarise(points: Iterable[Point]) -> dict[str, dict[str, int | float | None]]:
    """The summary of rows that are already there."""
    summary = Summary()
    for point in points:
        summary.add(point.values, point.step)
    return summary.as_dict()
