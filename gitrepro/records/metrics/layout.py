"""Which metrics share a file: known before the first row is written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .decode import MAX_CELLS
from .frame import RESERVED, Frame, Sparse, check_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# One wide part up to here; beyond it, empty cells cost more to hold than the parts cost to join.
_WIDE_KEYS = 200
_WIDE_CELLS = 10**8
_PART_KEYS = 500
_SMALL_GROUP_KEYS = 20

Group = tuple[list[str], int]
"""Metrics logged in exactly the same rows, and how many rows those are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a table will hold.

    `real` are the metrics with a float among their values; all others are whole. `points` has the number of values
    of each metric. `parts` are the names in each file, `part_rows` how many rows each has.
    """

    rows: int
    points: Mapping[str, int]
    real: frozenset[str]
    parts: tuple[tuple[str, ...], ...]
    part_rows: tuple[int, ...]


def layout_of_kinds(kinds: Mapping[tuple[tuple[str, str], ...], int], *, rows: int) -> Layout:
    """The layout of a table whose rows are of these kinds.

    Args:
        kinds: names and codes (`q` whole, `d` real) that were logged together, and how often.
        rows: how many rows there are in all.

    Raises:
        UsageError: a metric has a name that none may have.
    """
    used = {kind: count for kind, count in kinds.items() if count}
    points: dict[str, int] = {}
    together: dict[str, list[int]] = {}
    for number, (kind, count) in enumerate(used.items()):
        for name, _ in kind:
            points[name] = points.get(name, 0) + count
            together.setdefault(name, []).append(number)
    for name in points:
        check_name(name)
    by_rows: dict[tuple[int, ...], list[str]] = {}
    for name in sorted(points):
        by_rows.setdefault(tuple(together[name]), []).append(name)
    parts = _partition(sorted(points), rows, [(names, points[names[0]]) for names in by_rows.values()])
    counts = [sum(count for kind, count in used.items() if _meets(kind, set(part))) for part in parts]
    if len(parts) > 1:
        counts[0] += sum(count for kind, count in used.items() if not kind)
    return Layout(
        rows=rows,
        points=dict(sorted(points.items())),
        real=frozenset(name for kind in used for name, code in kind if code == "d"),
        parts=tuple(map(tuple, parts)),
        part_rows=tuple(counts) if len(parts) > 1 else (rows,),
    )


def _meets(kind: Iterable[tuple[str, str]], names: set[str]) -> bool:
    return any(name in names for name, _ in kind)


def layout_of_frame(frame: Frame) -> Layout:
    """The layout of a table that is all in memory."""
    together: dict[bytes, list[str]] = {}
    for name, column in frame.columns.items():
        together.setdefault(hashlib.sha256(column.rows.tobytes()).digest(), []).append(name)
    groups = [(names, len(frame.columns[names[0]].rows)) for names in together.values()]
    parts = _partition(list(frame.columns), len(frame.seqs), groups)
    used = [int(rows_of(frame, part, first=number == 0).sum()) for number, part in enumerate(parts)]
    return Layout(
        rows=len(frame.seqs),
        points={name: len(column.rows) for name, column in frame.columns.items()},
        real=frozenset(name for name, column in frame.columns.items() if column.values.dtype.kind == "f"),
        parts=tuple(map(tuple, parts)),
        part_rows=tuple(used) if len(parts) > 1 else (len(frame.seqs),),
    )


def _partition(names: list[str], rows: int, groups: Iterable[Group]) -> list[list[str]]:
    """The names in each part: one part while the table is small, else one for each group of keys logged together."""
    if len(names) <= _WIDE_KEYS and len(names) * rows <= _WIDE_CELLS:
        return [names]
    parts: list[list[str]] = []
    shared: dict[int, list[str]] = {}
    held: dict[int, int] = {}
    for group, points in _cut(groups):
        scale = points.bit_length()
        if len(group) >= _SMALL_GROUP_KEYS:
            parts.append(group)
            continue
        # Groups of a few keys share a part with others that were logged about as often, or each would be a file.
        part = shared.get(scale)
        keys = len(part or ()) + len(group)
        if part is None or keys > _WIDE_KEYS or (held[scale] + points) * keys > _WIDE_CELLS:
            part, held[scale] = [], 0
            shared[scale] = part
            parts.append(part)
        part.extend(group)
        held[scale] += points
    return [sorted(part) for part in parts]


def _cut(groups: Iterable[Group]) -> Iterator[Group]:
    """The groups, in the order of their first name, each cut to what a part may hold."""
    for names, points in sorted(groups):
        size = max(1, min(_PART_KEYS, MAX_CELLS // points - len(RESERVED)))
        yield from ((names[start : start + size], points) for start in range(0, len(names), size))


def rows_of(frame: Frame, names: Sequence[str], *, first: bool) -> NDArray[np.bool_]:
    """The rows of a part: where one of `names` was logged; in the first part also where nothing was."""
    import numpy as np

    used = np.zeros(len(frame.seqs), dtype=np.bool_)
    for name in frame.columns if first else ():
        used[frame.columns[name].rows] = True
    used = ~used if first else used
    for name in names:
        if name in frame.columns:
            used[frame.columns[name].rows] = True
    return used


def part_of(frame: Frame, names: Sequence[str], *, first: bool) -> Frame:
    """The rows and columns of a part."""
    import numpy as np

    used = rows_of(frame, names, first=first)
    place = np.cumsum(used) - 1
    columns = {name: frame.columns[name] for name in names if name in frame.columns}
    return Frame(
        seqs=frame.seqs[used],
        steps=frame.steps[used],
        times=frame.times[used],
        columns={name: Sparse(rows=place[column.rows], values=column.values) for name, column in columns.items()},
    )
