"""Collecting points in memory, on their way into a table."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Any

from ...errors import UsageError
from .batch import Batch
from .decode import MAX_ROWS
from .frame import INT64, Frame, check_name, check_value, from_array, inexact, sparse
from .layout import layout_of_frame
from .write import TableWriter


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
            self._make_real()
        elif isinstance(value, int):
            self.inexact += inexact((value,))
        self.values.append(value)

    def extend(self, rows: Iterable[int], values: Iterable[int | float], code: str) -> None:
        """Many at once; `code` is `q` where all of them are whole, else `d`."""
        self.rows.extend(rows)
        if code == "d" and self.values.typecode == "q":
            self._make_real()
        elif code == "q" and self.values.typecode == "d":
            whole = array("q", map(int, values))
            self.inexact += inexact(whole)
            values = map(float, whole)
        self.values.extend(values)

    def _make_real(self) -> None:
        self.inexact = inexact(self.values)
        self.values = array("d", self.values)


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

    def extend(self, batch: Batch, *, seq: int) -> None:
        """Add rows that come after all others; the first has the place `seq`, the others follow it.

        The numbers of a batch are of the types it says, and its names are good: a layout has been made of them.
        """
        row, count = len(self._seqs), len(batch)
        self._seqs.extend(range(seq, seq + count))
        self._steps.extend(batch.steps)
        self._times.extend(batch.times)
        self._top = seq + count - 1
        for name, code, values in zip(batch.names, batch.codes, batch.columns, strict=True):
            column = self._columns.get(name)
            if column is None:
                column = self._columns[name] = _Column()
            column.extend(range(row, row + count), values, code)

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
        frame = self.frame()
        with TableWriter(layout_of_frame(frame), rank=rank, stem=stem) as writer:
            writer.take(frame)
            return {table.name: table.read() for table in writer.tables()}

    def frame(self) -> Frame:
        """What was collected, in the order of `_seq`; the rows count from 0."""
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
            inexact=self.inexact,
        )
