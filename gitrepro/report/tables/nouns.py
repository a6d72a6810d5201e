"""What a table of a paper is made of: rows, and cells that know the runs they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from ...records.seedset import Spread


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The result that a row is, as far as one was declared on just its runs.

    Attributes:
        id: of the result.
        tag: under which it was declared.
        stands: whether the tag is here; without it the result is cited by its id.
    """

    id: str
    tag: str
    stands: bool = True

    @property
    def cited(self) -> str:
        return self.tag if self.stands else self.id


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The runs that have the same values of what the table is by.

    Attributes:
        labels: these values, as text.
        draws: the runs that count, by seed; one seed counts once in each configuration.
        failed: ids of runs that did not finish, of seeds of which no other run did.
        repeated, unseeded: ids of runs that do not count, as in `records.seedset.SeedSet`.
        spreads: what the draws came to, by metric.
        configurations: how many there are; more than one only where the caller wanted them pooled.
        data: which data and splits the draws saw; rows that differ in it are of different questions.
        source: the result on just these runs.
    """

    labels: tuple[str, ...]
    draws: Mapping[str, str]
    failed: tuple[str, ...]
    repeated: tuple[str, ...]
    unseeded: tuple[str, ...]
    spreads: Mapping[str, Spread]
    configurations: int = 1
    data: frozenset[str] = frozenset()
    source: Source | None = None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows by metrics.

    Attributes:
        by: what the rows are by, as it was asked for.
        metrics: the columns.
        goals: `max` or `min` by metric, where it was declared.
        best: the place of the row that the interval says is best, by metric; only where there is one.
        remarks: what a reader has to know, a sentence each.
        scale: by how much the numbers are multiplied when they are printed: 1, or 100 for percent.
        digits: decimals of each number; None lets the standard deviation decide.
        made_by: the command line.
    """

    by: tuple[str, ...]
    metrics: tuple[str, ...]
    rows: tuple[Row, ...]
    goals: Mapping[str, str] = field(default_factory=dict)
    best: Mapping[str, int] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    scale: int = 1
    digits: int | None = None
    made_by: str = "gitrepro table"
