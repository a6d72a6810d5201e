"""A table in memory: what was logged, by row and by metric; and what may be logged."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from ...errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    # int64 or float64, one dimension
    Numbers: TypeAlias = NDArray[Any]

RESERVED = ("_seq", "_step", "_time_seconds")
MAX_NAME_BYTES = 500
INT64 = range(-(1 << 63), 1 << 63)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One row: what was logged together. A metric that was not logged is not in `values`."""

    seq: int
    step: int
    time_seconds: float
    values: Mapping[str, int | float]


def check_name(name: str) -> None:
    """Whether a metric may have this name.

    Raises:
        UsageError: it may not; the message says why.
    """
    problem = name_problem(name)
    if problem:
        raise UsageError(f"{name!r:.100} cannot name a metric", why=problem)


def name_problem(name: object) -> str:
    if not isinstance(name, str) or not name:
        return "a name is a string of at least one character"
    if name.startswith("_"):
        return "names that begin with _ are reserved"
    if _UNPRINTABLE.search(name):
        return "a name has no control characters and no lone surrogates"
    if len(name.encode()) > MAX_NAME_BYTES:
        return f"a name has at most {MAX_NAME_BYTES} bytes"
    return ""


def check_value(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        kind = type(value).__name__
        raise UsageError(f"{name} is {kind}, not int or float", do="convert it, for example with .item()")
    if isinstance(value, int) and value not in INT64:
        raise UsageError(f"{name} is an integer beyond 64 bits", do="log it as a float")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sparse:
    """One metric: ascending row numbers, and a value for each."""

    rows: NDArray[np.int64]
    values: Numbers


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """A table in the order of `_seq`; columns in the order of their names.

    `inexact` has, for a column where integers stand beside floats, how many of them no float64 holds exactly.
    """

    seqs: NDArray[np.int64]
    steps: NDArray[np.int64]
    times: NDArray[np.float64]
    columns: Mapping[str, Sparse]
    inexact: Mapping[str, int] = field(default_factory=dict)


def inexact(values: Iterable[int]) -> int:
    """How many of these whole numbers no float64 holds exactly."""
    return sum(int(float(value)) != value for value in values)


def from_array(numbers: array[Any]) -> Numbers:
    import numpy as np

    # A copy: an array whose buffer is in use elsewhere cannot grow.
    return np.frombuffer(numbers, dtype=np.dtype(numbers.typecode)).copy()


def sparse(rows: NDArray[np.int64], values: Numbers) -> Sparse:
    """Rows ascending and once each; of several values in a row the last one."""
    import numpy as np

    if (np.diff(rows) > 0).all():
        return Sparse(rows=rows, values=values)
    order = np.argsort(rows, kind="stable")
    rows, values = rows[order], values[order]
    last = np.append(np.diff(rows) > 0, True)
    return Sparse(rows=rows[last], values=values[last])


def dense(column: Sparse, start: int, stop: int) -> tuple[Numbers, NDArray[np.bool_]]:
    """Rows `start` to `stop` of a metric with its gaps, and where it was logged."""
    import numpy as np

    low, high = np.searchsorted(column.rows, (start, stop))
    values = np.zeros(stop - start, dtype=column.values.dtype)
    logged = np.zeros(stop - start, dtype=np.bool_)
    rows = column.rows[low:high] - start
    values[rows] = column.values[low:high]
    logged[rows] = True
    return values, logged
