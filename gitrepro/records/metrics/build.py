"""Collecting points, and laying them out in files."""

from __future__ import annotations

import hashlib
import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ...errors import UsageError
from .decode import MAX_CELLS, MAX_ROWS
from .encode import encode
from .frame import INT64, RESERVED, Frame, Sparse, check_name, check_value, from_array, sparse

# One wide part up to here; beyond it, empty cells cost more to hold than the parts cost to join.
_WIDE_KEYS = 200
_WIDE_CELLS = 10**8
_PART_KEYS = 500
_SMALL_GROUP_KEYS = 20


class _Column:
    """One metric: the rows it was logged in, and its values; whole numbers until the first that is not."""

    __slots__ = ("inexact", "rows", "values")

    def __init__(self) -> None:
        self.rows: array[int] = array("q")
        self.values: array[Any] = array("q")
        self.inexact = 0

    def put(self, row: int, value: int | float) -> None:
        self.rows.append(row)
        if self.values.typecode == "q":
            if isinstance(value, int):
                self.values.append(value)
                return
            self.inexact = sum(int(float(whole)) != whole for whole in self.values)
            self.values = array("d", self.values)
        elif isinstance(value, int):
            self.inexact += int(float(value)) != value
        self.values.append(value)


class TableBuilder:
    """The points of one process, in memory, on their way to Parquet. 16 bytes a value."""

    def __init__(self) -> None:
        self._seqs: array[int] = array("q")
        self._steps: array[int] = array("q")
        self._times: array[float] = array("d")
        self._columns: dict[str, _Column] = {}
        self._top: int | None = None
        self._index: dict[int, int] | None = None

    def __len__(self) -> int:
        return len(self._seqs)

    def add(self, *, seq: int, step: int, time_seconds: float, values: Mapping[str, int | float]) -> None:
        """Add a row, or more values to the row `seq`; the last value of a metric in a row counts.

        Args:
            seq: the place in the order of logging.
            step: the caller's step; several rows may share one.
            time_seconds: seconds since 1970.
            values: metric names to numbers.

        Raises:
            UsageError: a name that starts with `_`, a value that is no number, an integer beyond 64 bits, another step
                for the same `seq`, or more than 10**8 rows. Nothing was added then.
        """
        columns = self._columns
        for name, value in values.items():
            if type(value) is not float:
                check_value(name, value)
            if name not in columns:
                check_name(name)
        row = self._row(seq, step, time_seconds)
        for name, value in values.items():
            column = columns.get(name)
            if column is None:
                column = columns[name] = _Column()
            column.put(row, value)

    def _row(self, seq: int, step: int, time_seconds: float) -> int:
        for what, number in (("seq", seq), ("step", step)):
            if type(number) is not int or number not in INT64:
                raise UsageError(f"the {what} {number!r} is no 64-bit integer")
        row = self._find(seq)
        if row is None:
            return self._append(seq, step, time_seconds)
        if self._steps[row] != step:
            known = self._steps[row]
            raise UsageError(f"row {seq} has step {known}, not {step}", do="use another seq for another step")
        return row

    def _find(self, seq: int) -> int | None:
        if self._top is None or seq > self._top:
            return None
        if self._index is None:
            row = bisect_left(self._seqs, seq)
            if self._seqs[row] == seq:
                return row
            # The first row out of order: from here on the rows are not sorted, and a search needs the index.
            self._index = {known: row for row, known in enumerate(self._seqs)}
        return self._index.get(seq)

    def _append(self, seq: int, step: int, time_seconds: float) -> int:
        moment = float(time_seconds)
        row = len(self._seqs)
        if row >= MAX_ROWS:
            raise UsageError(f"a metric table has at most {MAX_ROWS:,} rows", do="log less often")
        self._seqs.append(seq)
        self._steps.append(step)
        self._times.append(moment)
        if self._index is not None:
            self._index[seq] = row
        self._top = seq if self._top is None else max(self._top, seq)
        return row

    @property
    def inexact(self) -> dict[str, int]:
        """Names of metrics whose integers stand beside floats, and how many of those no float64 holds exactly."""
        return {name: column.inexact for name, column in sorted(self._columns.items()) if column.inexact}

    def files(self, *, rank: int = 0, stem: str = "metrics") -> dict[str, bytes]:
        """The Parquet files of the table by name: none without rows, one as a rule, several above 200 metrics.

        Args:
            rank: the rank of the process in a distributed run; 0 is not part of the name.
            stem: the first word of the name.
        """
        if not self._seqs:
            return {}
        frame = self._frame()
        parts = _partition(frame)
        files = {}
        for part, names in enumerate(parts):
            name = file_name(stem, rank=rank, part=part if len(parts) > 1 else None)
            place = {"gitrepro.rank": str(rank), "gitrepro.part": str(part), "gitrepro.parts": str(len(parts))}
            files[name] = encode(frame if len(parts) == 1 else _part_of(frame, names, first=part == 0), place)
        return files

    def _frame(self) -> Frame:
        import numpy as np

        seqs = np.array(self._seqs, dtype=np.int64)
        order = np.argsort(seqs, kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        columns = {
            name: sparse(place[from_array(column.rows)], from_array(column.values))
            for name, column in sorted(self._columns.items())
        }
        return Frame(
            seqs=seqs[order],
            steps=np.array(self._steps, dtype=np.int64)[order],
            times=np.array(self._times, dtype=np.float64)[order],
            columns=columns,
        )


def _partition(frame: Frame) -> list[list[str]]:
    """The names in each part: one part while the table is small, else one for each group of keys logged together."""
    names = list(frame.columns)
    if len(names) <= _WIDE_KEYS and len(names) * len(frame.seqs) <= _WIDE_CELLS:
        return [names]
    parts: list[list[str]] = []
    shared: dict[int, list[str]] = {}
    held: dict[int, int] = {}
    for group in _groups(frame):
        rows = len(frame.columns[group[0]].rows)
        scale = rows.bit_length()
        if len(group) >= _SMALL_GROUP_KEYS:
            parts.append(group)
            continue
        # Groups of a few keys share a part with others that were logged about as often, or each would be a file.
        part = shared.get(scale)
        keys = len(part or ()) + len(group)
        if part is None or keys > _WIDE_KEYS or (held[scale] + rows) * keys > _WIDE_CELLS:
            part, held[scale] = [], 0
            shared[scale] = part
            parts.append(part)
        part.extend(group)
        held[scale] += rows
    return [sorted(part) for part in parts]


def _groups(frame: Frame) -> Iterator[list[str]]:
    """Keys logged in exactly the same rows, cut to what a part may hold, in the order of their first name."""
    together: dict[bytes, list[str]] = {}
    for name, column in frame.columns.items():
        together.setdefault(hashlib.sha256(column.rows.tobytes()).digest(), []).append(name)
    for names in together.values():
        rows = len(frame.columns[names[0]].rows)
        size = max(1, min(_PART_KEYS, MAX_CELLS // rows - len(RESERVED)))
        yield from (names[start : start + size] for start in range(0, len(names), size))


def _part_of(frame: Frame, names: Sequence[str], *, first: bool) -> Frame:
    """The rows in which one of `names` was logged; the first part also keeps the rows in which nothing was."""
    import numpy as np

    used = np.zeros(len(frame.seqs), dtype=np.bool_)
    for name in frame.columns if first else ():
        used[frame.columns[name].rows] = True
    used = ~used if first else used
    for name in names:
        used[frame.columns[name].rows] = True
    place = np.cumsum(used) - 1
    columns = {name: frame.columns[name] for name in names}
    return Frame(
        seqs=frame.seqs[used],
        steps=frame.steps[used],
        times=frame.times[used],
        columns={name: Sparse(rows=place[column.rows], values=column.values) for name, column in columns.items()},
    )


def file_name(stem: str, *, rank: int, part: int | None) -> str:
    """`metrics.parquet`, `metrics.rank-1.parquet`, `metrics.part-0.parquet`, `metrics.rank-1.part-0.parquet`."""
    of_rank = f".rank-{rank}" if rank else ""
    of_part = "" if part is None else f".part-{part}"
    return f"{stem}{of_rank}{of_part}.parquet"


def by_rank(names: Iterable[str], *, stem: str = "metrics") -> dict[int, list[str]]:
    """Sort the names of a run's files into the tables they form: rank to names; other files are passed over."""
    pattern = re.compile(re.escape(stem) + r"(?:\.rank-([1-9][0-9]{0,8}))?(?:\.part-(?:0|[1-9][0-9]{0,8}))?\.parquet")
    tables: dict[int, list[str]] = {}
    for name in sorted(names):
        match = pattern.fullmatch(name)
        if match:
            tables.setdefault(int(match[1] or 0), []).append(name)
    return dict(sorted(tables.items()))
