"""A small stand-in for a large table: min, max and mean of consecutive points, labelled as such.

One row for each metric and bucket, so a metric that was logged ten times keeps its ten points whatever the others did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any, final

from ...errors import Damaged, NotFound, UsageError
from .decode import REDUCTION, decode, naming, numbers, require
from .encode import arrow_array, write_parquet
from .frame import Frame, name_problem
from .table import read

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .frame import Numbers

_WHOLE = ("first_step", "last_step", "count", "nonfinite")
_REAL = ("first_time_seconds", "last_time_seconds", "min", "max", "mean")
_COLUMNS = ("metric", *_WHOLE, *_REAL)
_AT_ONCE = 1 << 16
_KINDS = ("string", *["int64"] * len(_WHOLE), *["double"] * len(_REAL))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Consecutive points of one metric; `min`, `max` and `mean` are over the finite ones, None when there is none."""

    first_step: int
    last_step: int
    count: int
    nonfinite: int
    first_time_seconds: float
    last_time_seconds: float
    min: float | None
    max: float | None
    mean: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReducedTable:
    """A reduction, at most `points` buckets a metric, of a table of `num_rows` rows."""

    names: tuple[str, ...]
    points: int
    num_rows: int
    _buckets: Mapping[str, tuple[Bucket, ...]] = field(repr=False)

    def series(self, name: str) -> tuple[Bucket, ...]:
        """The buckets of one metric, in the order of logging.

        Raises:
            NotFound: no metric has this name.
        """
        if name not in self._buckets:
            raise NotFound(f"no metric {name!r} in the reduction", why=f"it has {', '.join(self.names[:10])}")
        return self._buckets[name]


def reduce(files: Mapping[str, bytes], *, points: int = 2000, stem: str = "metrics") -> dict[str, bytes]:
    """Reduce the table of one rank to at most `points` buckets a metric, each of about as many points.

    A metric with no more than `points` points keeps every one of them, in a bucket of its own.

    Args:
        files: all files of the table.
        points: the most buckets of one metric.
        stem: the first word of the name.

    Returns:
        `metrics.reduced.parquet`, or `metrics.rank-N.reduced.parquet`; nothing when no metric was logged.

    Raises:
        UsageError: `points` is below one.
        Damaged: as `read` does.
    """
    if points < 1:
        raise UsageError(f"a reduction to {points} points", why="it takes at least one")
    table = read(files)
    columns = {name: table.arrays(name) for name in table.names}
    counts = {name: len(values) for name, (_, _, values) in columns.items()}
    reducer = Reducer(counts, rows=table.num_rows, rank=table.rank, points=points, stem=stem)
    for name, (steps, times, values) in columns.items():
        reducer.put(name, steps, times, values)
    return reducer.files()


@final
class Reducer:
    """Reduces a table while its rows pass by; of each metric only the bucket at hand is held.

    Args:
        counts: how many points each metric will have.
        rows: how many rows the table has.
        rank: the rank of the process.
        points: the most buckets of one metric.
        stem: the first word of the file's name.
    """

    def __init__(
        self, counts: Mapping[str, int], *, rows: int, rank: int = 0, points: int = 2000, stem: str = "metrics"
    ) -> None:
        self._series = {name: _Series(count, points) for name, count in sorted(counts.items()) if count}
        self._rows, self._rank, self._points, self._stem = rows, rank, points, stem

    def take(self, frame: Frame) -> None:
        """The next rows of the table."""
        for name, column in frame.columns.items():
            self.put(name, frame.steps[column.rows], frame.times[column.rows], column.values)

    def put(self, name: str, steps: Numbers, times: Numbers, values: Numbers) -> None:
        """The next points of one metric."""
        self._series[name].put(steps, times, values)

    def files(self) -> dict[str, bytes]:
        """`metrics.reduced.parquet`, or `metrics.rank-N.reduced.parquet`; nothing when no metric was logged."""
        if not self._series:
            return {}
        rank = f".rank-{self._rank}" if self._rank else ""
        return {f"{self._stem}{rank}.reduced.parquet": self._encode()}

    def _encode(self) -> bytes:
        import numpy as np
        import pyarrow as pa

        series = [each.columns() for each in self._series.values()]
        arrays = [_strings(list(self._series), [len(columns["count"]) for columns in series])]
        for name in _COLUMNS[1:]:
            values = np.concatenate([columns[name] for columns in series])
            finite = np.concatenate([columns["count"] > columns["nonfinite"] for columns in series])
            arrays.append(arrow_array(values, finite if name in ("min", "max", "mean") else None))
        fields = [
            pa.field(name, array.type, nullable=name in ("min", "max", "mean"))
            for name, array in zip(_COLUMNS, arrays, strict=True)
        ]
        metadata = {
            "gitrepro.rank": str(self._rank),
            "gitrepro.reduced": REDUCTION,
            "gitrepro.points": str(self._points),
            "gitrepro.rows": str(self._rows),
        }
        schema = pa.schema(fields)
        return write_parquet([pa.Table.from_arrays(arrays, schema=schema)], schema, metadata)


class _Series:
    """The points of one metric on their way into buckets."""

    def __init__(self, count: int, points: int) -> None:
        self._count = count
        self._buckets = min(points, count)
        self._made = 0
        self._used = 0
        self._waiting: list[tuple[Numbers, Numbers, Numbers]] = []
        self._waiting_points = 0
        self._done: list[dict[str, Numbers]] = []

    def put(self, steps: Numbers, times: Numbers, values: Numbers) -> None:
        self._waiting.append((steps, times, values))
        self._waiting_points += len(values)
        if self._waiting_points >= _AT_ONCE or self._used + self._waiting_points == self._count:
            self._reduce()

    def _reduce(self) -> None:
        """Make the buckets that are full; what begins the next one waits."""
        import numpy as np

        steps, times, values = (np.concatenate(arrays) for arrays in zip(*self._waiting, strict=True))
        edges = np.arange(self._made, self._buckets + 1) * self._count // self._buckets - self._used
        full = int(np.searchsorted(edges, len(values), side="right")) - 1
        if full > 0:
            end = int(edges[full])
            self._done.append(_buckets(steps[:end], times[:end], values[:end], edges[:full]))
            self._made += full
            self._used += end
            steps, times, values = steps[end:], times[end:], values[end:]
        self._waiting = [(steps, times, values)] if len(values) else []
        self._waiting_points = len(values)

    def columns(self) -> dict[str, Numbers]:
        import numpy as np

        return {name: np.concatenate([done[name] for done in self._done]) for name in _COLUMNS[1:]}


def _strings(names: Sequence[str], repeats: Sequence[int]) -> Any:
    """A string column with each name so many times, from its buffers."""
    import numpy as np
    import pyarrow as pa

    encoded = [name.encode() for name in names]
    sizes = np.repeat([len(name) for name in encoded], repeats)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    data = b"".join(name * count for name, count in zip(encoded, repeats, strict=True))
    return pa.Array.from_buffers(pa.string(), len(sizes), [None, pa.py_buffer(offsets), pa.py_buffer(data)])


def _buckets(steps: Numbers, times: Numbers, values: Numbers, starts: NDArray[np.int64]) -> dict[str, Numbers]:
    """The buckets that begin at `starts`; the last one ends with the points."""
    import numpy as np

    ends = np.append(starts[1:], len(values))
    values = values.astype(np.float64)
    finite = np.isfinite(values)
    count = ends - starts
    usable = np.add.reduceat(finite.astype(np.int64), starts)
    low = np.minimum.reduceat(np.where(finite, values, np.inf), starts)
    high = np.maximum.reduceat(np.where(finite, values, -np.inf), starts)
    return {
        "first_step": steps[starts],
        "last_step": steps[ends - 1],
        "count": count,
        "nonfinite": count - usable,
        "first_time_seconds": times[starts],
        "last_time_seconds": times[ends - 1],
        "min": low,
        "max": high,
        "mean": _means(np.where(finite, values, 0.0), starts, np.maximum(usable, 1), low, high),
    }


def _means(
    values: NDArray[np.float64], starts: Numbers, count: Numbers, low: Numbers, high: Numbers
) -> NDArray[np.float64]:
    """The mean of each bucket, between its bounds even where a sum overflows or rounds."""
    import numpy as np

    with np.errstate(over="ignore", invalid="ignore"):
        sums = np.add.reduceat(values, starts)
        scaled = np.add.reduceat(values / np.repeat(count, np.diff(np.append(starts, len(values)))), starts)
        means = np.where(np.isfinite(sums), sums / count, scaled)
    return np.minimum(np.maximum(means, low), high)


def read_reduced(files: Mapping[str, bytes]) -> ReducedTable:
    """Read what `reduce` returned.

    Raises:
        Damaged: the one file is not a reduction; the message names it.
    """
    if len(files) != 1:
        raise Damaged(f"a reduction is one file, not {len(files)}", do="pass the one that ends in .reduced.parquet")
    ((name, data),) = files.items()
    with naming(name):
        table, metadata = decode(data, reduced=True)
        points, num_rows = int(metadata["gitrepro.points"]), int(metadata["gitrepro.rows"])
        require(tuple(table.column_names) == _COLUMNS, "it has not the columns of a reduction")
        require(tuple(map(str, table.schema.types)) == _KINDS, "a column has another type")
        buckets = _by_metric(table)
        require(all(len(of_metric) <= points for of_metric in buckets.values()), f"more than {points} points a metric")
        return ReducedTable(names=tuple(buckets), points=points, num_rows=num_rows, _buckets=buckets)


def _by_metric(table: Any) -> dict[str, tuple[Bucket, ...]]:
    names = table.column(0).to_pylist()
    columns = [_with_nulls(table, name) for name in _COLUMNS[1:]]
    rows = zip(names, *columns, strict=True)
    buckets = {
        name: tuple(_bucket(values) for _, *values in of_metric)
        for name, of_metric in groupby(rows, key=lambda row: row[0])
    }
    require(not any(name_problem(name) for name in buckets), "a metric has a name that none may have")
    require(list(buckets) == sorted(buckets) and names == sorted(names), "its metrics are not in order")
    return buckets


def _with_nulls(table: Any, name: str) -> list[Any]:
    values, logged = numbers(table, name)
    if logged is None:
        return list(values.tolist())
    return [value if here else None for value, here in zip(values.tolist(), logged.tolist(), strict=True)]


def _bucket(values: Sequence[Any]) -> Bucket:
    bucket = Bucket(**dict(zip(_COLUMNS[1:], values, strict=True)))
    low, mean, high = bucket.min, bucket.mean, bucket.max
    require(0 <= bucket.nonfinite <= bucket.count > 0, "a bucket is empty")
    if low is None or mean is None or high is None:
        require(low is mean is high and bucket.count == bucket.nonfinite, "a bucket has not all of its bounds")
    else:
        require(low <= mean <= high and bucket.count > bucket.nonfinite, "a bucket's mean is not between its bounds")
    return bucket
