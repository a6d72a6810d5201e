"""What has passed of a part, piece by piece: types, gaps, and what does not hold of its values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, final

import numpy as np

from ..task import Data, Kind, Part
from .columns import Columns, columns_of, is_missing, kind_of
from .settings import VALUES_AT_MOST


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that does not hold.

    Attributes:
        level: `fail`, or `warn` for what may be meant.
        ids: of examples that show it.
    """

    level: Literal["fail", "warn"]
    part: str
    says: str
    count: int = 1
    ids: tuple[str, ...] = field(default=())

    def document(self) -> dict[str, Any]:
        return {"count": self.count, "level": self.level, "part": self.part, "says": self.says}


@final
class Seen:
    """What has passed of a part."""

    def __init__(self, schema: Mapping[str, Mapping[str, Any]]) -> None:
        self._schema = schema
        self._found: dict[str, list[int]] = {}
        self.dtypes: dict[str, str] = {}
        self.form = "other"
        self.label = ""
        self.missing = 0
        self._empty = 0
        self._start = 0

    def add(self, columns: Columns, labels: Any) -> None:
        self.form = columns.form
        for name, dtype in columns.dtypes.items():
            self.dtypes[name] = _wider(self.dtypes.setdefault(name, dtype), dtype)
        self.missing += int(np.isnan(columns.numbers).sum())
        self.missing += sum(each is None for values in columns.categories.values() for each in values)
        self._empty += columns.empty
        if "label" in self._schema and labels is not None:
            self.label = _wider(self.label or kind_of(labels.tolist()), kind_of(labels.tolist()))
        infinite = np.isinf(columns.numbers)
        for place in np.flatnonzero(infinite.any(axis=0)).tolist():
            self._note(f"{columns.names[place]} is infinite", np.flatnonzero(infinite[:, place]))
        for name, said in self._schema.items():
            self._hold(name, said, _values(columns, labels, name))
        self._start += len(columns.numbers)

    def _hold(self, name: str, said: Mapping[str, Any], values: list[Any] | np.ndarray | None) -> None:
        if values is None:
            return
        for says, wrong in _wrong(name, said, values):
            self._note(says, np.flatnonzero(wrong))

    def _note(self, says: str, places: np.ndarray) -> None:
        if len(places):
            self._found.setdefault(says, []).extend((places + self._start).tolist())

    def faults(self, name: str, part: Part) -> Iterator[Fault]:
        for says, places in self._found.items():
            shown = tuple(str(part.ids[k]) for k in places[:5])
            yield Fault(level="fail", part=name, says=says, count=len(places), ids=shown)
        if self._empty:
            yield Fault(level="warn", part=name, says="inputs hold nothing", count=self._empty)
        for column, said in self._schema.items():
            wanted, found = said.get("dtype"), self.dtypes.get(column, self.label if column == "label" else "")
            if wanted and found and not _fits(found, wanted):
                yield Fault(level="fail", part=name, says=f"{column} is {found}, and {wanted} is declared")


def seen_of(part: Part, data: Data, kind: Kind, schema: Mapping[str, Mapping[str, Any]]) -> Seen:
    seen = Seen(schema)
    width = int(part.inputs[:1].size) if isinstance(part.inputs, np.ndarray) else 1
    rows = max(VALUES_AT_MOST // max(width, 1), 1)
    for start in range(0, len(part), rows):
        piece = part if rows >= len(part) else part.take(np.arange(start, min(start + rows, len(part))))
        seen.add(columns_of(piece, data, kind), piece.labels)
    return seen


def _values(columns: Columns, labels: Any, name: str) -> list[Any] | np.ndarray | None:
    if name in columns.names:
        return np.asarray(columns.numbers[:, columns.names.index(name)])
    if name in columns.categories:
        return columns.categories[name]
    return labels.tolist() if name == "label" and labels is not None else None


def _wrong(
    name: str, said: Mapping[str, Any], values: list[Any] | np.ndarray
) -> Iterator[tuple[str, list[bool] | np.ndarray]]:
    """Each rule that is declared, and which values break it."""
    if isinstance(values, np.ndarray):
        gaps = np.isnan(values)
        numbers = values
    else:
        gaps = np.array([is_missing(each) for each in values], dtype=bool)
        numbers = np.array([float(each) if _is_number(each) else np.nan for each in values], dtype=np.float64)
    if said.get("missing") is False:
        yield f"{name} is missing", gaps
    with np.errstate(invalid="ignore"):
        if "low" in said:
            yield f"{name} is below {said['low']}", numbers < said["low"]
        if "high" in said:
            yield f"{name} is above {said['high']}", numbers > said["high"]
    if "allowed" in said:
        allowed = set(said["allowed"])
        shown = ", ".join(map(str, list(said["allowed"])[:5]))
        yield f"{name} is none of {shown}", _none_of(values, allowed) & ~gaps


def _none_of(values: list[Any] | np.ndarray, allowed: set[Any]) -> np.ndarray:
    return np.array([each not in allowed for each in (values if isinstance(values, list) else values.tolist())], bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not is_missing(value)


def _wider(one: str, other: str) -> str:
    if one == other:
        return one
    return "float" if {one, other} == {"int", "float"} else "mixed"


def _fits(found: str, wanted: str) -> bool:
    return found == wanted or (wanted == "float" and found == "int")
