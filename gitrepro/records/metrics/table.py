"""The table that comes back: exactly what was logged, or a report."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from ...errors import Damaged, NotFound, UsageError
from .decode import decode, logged_values, naming, numbers, require
from .encode import arrow_array
from .frame import RESERVED, Frame, Point, Sparse, dense, name_problem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .frame import Numbers

_PLACE = "gitrepro.rank", "gitrepro.part", "gitrepro.parts"
_BATCH_ROWS = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MetricTable:
    """What one process logged: rows in the order of logging, metrics by name."""

    names: tuple[str, ...]
    num_rows: int
    rank: int
    _parts: tuple[Any, ...] = field(repr=False)

    def rows(self) -> Iterator[Point]:
        """Every row, with what was logged in it."""
        if len(self._parts) == 1:
            return _points(self._parts[0])
        points = heapq.merge(*map(_points, self._parts), key=attrgetter("seq"))
        return (_joined(list(same)) for _, same in groupby(points, key=attrgetter("seq")))

    def series(self, name: str) -> list[tuple[int, float, int | float]]:
        """One metric as (step, time_seconds, value), without the rows in which it was not logged.

        Raises:
            NotFound: no metric has this name.
        """
        return list(zip(*(numbers.tolist() for numbers in self.arrays(name)), strict=True))

    def arrays(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.float64], Numbers]:
        """What `series` returns, as three arrays: int64 steps, float64 seconds, int64 or float64 values.

        Raises:
            NotFound: no metric has this name.
        """
        part, column = self._column(name)
        steps, times = (numbers(part, reserved)[0][column.rows] for reserved in RESERVED[1:])
        return steps, times, column.values

    def to_arrow(self) -> Any:
        """A `pyarrow.Table`: `_seq`, `_step`, `_time_seconds`, then the metrics by name; null is not logged."""
        import pyarrow as pa

        if len(self._parts) == 1:
            return self._parts[0]
        if not self._parts:
            arrays = [pa.Array.from_buffers(kind, 0, [None, pa.py_buffer(b"")]) for kind in _reserved_types()]
            return pa.Table.from_arrays(arrays, names=list(RESERVED))
        frame = self._frame()
        arrays = [arrow_array(numbers) for numbers in (frame.seqs, frame.steps, frame.times)]
        arrays += [arrow_array(*dense(column, 0, len(frame.seqs))) for column in frame.columns.values()]
        return pa.Table.from_arrays(arrays, names=[*RESERVED, *frame.columns])

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` of the same columns.

        Raises:
            UsageError: pandas is not installed.
        """
        try:
            import pandas  # type: ignore[import-untyped,import-not-found,unused-ignore]  # noqa: F401
        except ImportError:
            raise UsageError("a DataFrame needs pandas", do="pip install pandas, or use to_arrow()") from None
        return self.to_arrow().to_pandas()

    def _column(self, name: str) -> tuple[Any, Sparse]:
        for part in self._parts:
            if name not in RESERVED and part.schema.get_field_index(name) >= 0:
                return part, logged_values(part, name)
        known = ", ".join(self.names[:10]) + (", …" if len(self.names) > 10 else "")
        raise NotFound(f"no metric {name!r}", why=f"the run logged {known or 'nothing'}")

    def _frame(self) -> Frame:
        """The parts joined on `_seq`."""
        import numpy as np

        keys = [numbers(part, "_seq")[0] for part in self._parts]
        seqs, first = np.unique(np.concatenate(keys), return_index=True)
        steps, times = (np.concatenate([numbers(p, name)[0] for p in self._parts])[first] for name in RESERVED[1:])
        columns = {}
        for name in self.names:
            part, column = self._column(name)
            rows = np.searchsorted(seqs, numbers(part, "_seq")[0][column.rows])
            columns[name] = Sparse(rows=rows, values=column.values)
        return Frame(seqs=seqs, steps=steps, times=times, columns=columns)


def read(files: Mapping[str, bytes]) -> MetricTable:
    """Read the table of one rank from all its files. The caller has checked their hashes.

    Args:
        files: what `TableBuilder.files` returned: names, for the messages, and bytes.

    Raises:
        Damaged: a file is not a metric table, or the files are not the parts of one; the message names the file.
    """
    parts = []
    places = []
    for name, data in sorted(files.items()):
        with naming(name):
            part, metadata = decode(data)
            places.append(_check_place(metadata))
            _check_columns(part)
            parts.append(part)
    _check_parts(sorted(files), places)
    names = sorted(name for part in parts for name in part.column_names[len(RESERVED) :])
    with naming(", ".join(sorted(files))):
        num_rows = _check_joined(parts, names)
    rank = places[0][0] if places else 0
    return MetricTable(names=tuple(names), num_rows=num_rows, rank=rank, _parts=tuple(parts))


def _check_place(metadata: Mapping[str, str]) -> tuple[int, int, int]:
    """Rank, part, and number of parts."""
    require(
        set(metadata) == {"gitrepro.format", "gitrepro.crc32", *_PLACE}, "its metadata is not that of a metric table"
    )
    place = [metadata[key] for key in _PLACE]
    require(all(re.fullmatch("0|[1-9][0-9]{0,8}", number) for number in place), "its place is not in numbers")
    rank, part, parts = map(int, place)
    require(part < parts, f"it calls itself part {part} of {parts}")
    return rank, part, parts


def _reserved_types() -> list[Any]:
    import pyarrow as pa

    return [pa.int64(), pa.int64(), pa.float64()]


def _check_columns(part: Any) -> None:
    import numpy as np

    reserved = len(RESERVED)
    names = part.column_names
    require(tuple(names[:reserved]) == RESERVED, f"it does not begin with {', '.join(RESERVED)}")
    require(part.schema.types[:reserved] == _reserved_types(), "a reserved column has another type")
    require(all(part.column(index).null_count == 0 for index in range(reserved)), "a reserved column has gaps")
    require(all(not name_problem(name) for name in names[reserved:]), "a metric has a name that none may have")
    require(names[reserved:] == sorted(set(names[reserved:])), "its metrics are not in order, once each")
    require(all(column.null_count < len(column) for column in part.columns), "a metric has no value at all")
    require((np.diff(numbers(part, "_seq")[0]) > 0).all(), "its rows are not in order")


def _check_parts(names: Sequence[str], places: Sequence[tuple[int, int, int]]) -> None:
    expected = [(rank, part, len(places)) for rank, _, _ in places[:1] for part in range(len(places))]
    if sorted(places) != expected:
        found = [
            f"{name[:100]} is part {part} of {parts} of rank {rank}"
            for name, (rank, part, parts) in zip(names, places, strict=True)
        ]
        raise Damaged("the files do not form one metric table", why=", ".join(found)[:1000], do="fetch the run again")


def _check_joined(parts: Sequence[Any], names: Sequence[str]) -> int:
    """The number of rows, once it is sure that the parts agree on them."""
    import numpy as np

    if len(parts) < 2:
        return parts[0].num_rows if parts else 0
    require(len(set(names)) == len(names), "a metric is in two parts")
    seqs, steps, times = (np.concatenate([numbers(part, name)[0] for part in parts]) for name in RESERVED)
    unique, first, inverse = np.unique(seqs, return_index=True, return_inverse=True)
    bits = times.view(np.int64)
    agree = (steps[first][inverse] == steps).all() and (bits[first][inverse] == bits).all()
    require(agree, "its parts disagree on a row")
    return len(unique)


def _points(part: Any) -> Iterator[Point]:
    """The rows of a part, a batch at a time: Python numbers take several times the room of columns."""
    names = part.column_names[len(RESERVED) :]
    for start in range(0, part.num_rows, _BATCH_ROWS):
        batch = part.slice(start, _BATCH_ROWS)
        heads = [numbers(batch, name)[0].tolist() for name in RESERVED]
        columns = [(name, _with_gaps(batch, name)) for name in names]
        for row, (seq, step, time_seconds) in enumerate(zip(*heads, strict=True)):
            values = {name: column[row] for name, column in columns if column[row] is not None}
            yield Point(seq=seq, step=step, time_seconds=time_seconds, values=values)


def _with_gaps(part: Any, name: str) -> list[Any]:
    import numpy as np

    values, logged = numbers(part, name)
    found: list[Any] = values.tolist()
    for row in () if logged is None else np.flatnonzero(~logged).tolist():
        found[row] = None
    return found


def _joined(points: Sequence[Point]) -> Point:
    first = points[0]
    values = {name: point.values[name] for point in points for name in point.values}
    return Point(
        seq=first.seq,
        step=first.step,
        time_seconds=first.time_seconds,
        values={name: values[name] for name in sorted(values)},
    )
