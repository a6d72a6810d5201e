"""Rows on their way from a journal to a table: many at a time, all logged under the same names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Consecutive rows with the same metrics; one column a name, `q` (int) or `d` (float) throughout."""

    names: tuple[str, ...]
    codes: str
    steps: Sequence[int]
    times: Sequence[float]
    columns: tuple[Sequence[int | float], ...]

    def __len__(self) -> int:
        return len(self.steps)

    def part(self, start: int, stop: int) -> Batch:
        """The rows from `start` to before `stop`."""
        return Batch(
            names=self.names,
            codes=self.codes,
            steps=self.steps[start:stop],
            times=self.times[start:stop],
            columns=tuple(column[start:stop] for column in self.columns),
        )
