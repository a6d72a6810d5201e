"""What a column is folded into, by its type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, final

from .numbers import Stream, rate
from .strings import Strings, brief

if TYPE_CHECKING:
    import pyarrow as pa

    from .types import Words


class Summary(Protocol):
    """A column that passes by."""

    def add(self, column: pa.Array, priority: Words) -> None:
        """Add rows, each with the priority it has in samples."""

    def document(self) -> dict[str, Any]: ...


def summary_of(kind: pa.DataType, *, held: int, distinct: int) -> Summary:
    """An empty summary for columns of a type.

    Args:
        held: numbers kept for quantiles.
        distinct: different values of text remembered.
    """
    from pyarrow import types

    if types.is_dictionary(kind) and types.is_string(kind.value_type):
        return Strings(held=held, distinct=distinct, is_category=True)
    if types.is_string(kind) or types.is_large_string(kind):
        return Strings(held=held, distinct=distinct)
    if types.is_boolean(kind):
        return Truths()
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return NumberColumn(kind, held=held)
    if types.is_timestamp(kind) or types.is_date(kind):
        return Times(kind, held=held)
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        return Sized(kind, "bytes", held=held)
    is_list = types.is_list(kind) or types.is_large_list(kind)
    return Sized(kind, "nested", held=held) if is_list else Opaque(kind)


@final
class NumberColumn:
    """Whole numbers, doubles and decimals."""

    def __init__(self, kind: pa.DataType, *, held: int) -> None:
        from pyarrow import types

        self._is_whole = bool(types.is_integer(kind))
        self._stream = Stream(held=held, whole=self._is_whole)

    def add(self, column: pa.Array, priority: Words) -> None:
        import pyarrow as pa

        if pa.types.is_decimal(column.type):
            column = column.cast(pa.float64())
        present, priority = _present(column, priority)
        self._stream.add(present.to_numpy(zero_copy_only=False), priority, missing=column.null_count)

    def document(self) -> dict[str, Any]:
        return {"type": "int" if self._is_whole else "float", **self._stream.document()}


@final
class Truths:
    """True and false."""

    def __init__(self) -> None:
        self._true = self._false = self._missing = 0

    def add(self, column: pa.Array, priority: Words) -> None:
        del priority
        self._true += column.true_count
        self._false += column.false_count
        self._missing += column.null_count

    def document(self) -> dict[str, Any]:
        count = self._true + self._false
        found = {"type": "bool", "count": count, "missing": self._missing, "missing_rate": rate(self._missing, count)}
        return found | {"values": {"false": self._false, "true": self._true}}


@final
class Times:
    """Dates and times, summed up as seconds since 1970; the first and the last also as they are written."""

    def __init__(self, kind: pa.DataType, *, held: int) -> None:
        self._zone = getattr(kind, "tz", None)
        self._stream = Stream(held=held)
        self._first: int | None = None
        self._last: int | None = None

    def add(self, column: pa.Array, priority: Words) -> None:
        import pyarrow as pa

        present, priority = _present(column, priority)
        # Nanoseconds are cut to microseconds, which Python's own times have.
        micros = present.cast(pa.timestamp("us", self._zone), safe=False).cast(pa.int64()).to_numpy()
        self._stream.add(micros / 1e6, priority, missing=column.null_count)
        if micros.size:
            first, last = int(micros.min()), int(micros.max())
            self._first = first if self._first is None else min(first, self._first)
            self._last = last if self._last is None else max(last, self._last)

    def document(self) -> dict[str, Any]:
        found = {"type": "datetime", **self._stream.document()}
        if self._first is not None and self._last is not None:
            found |= {"first": self._written(self._first), "last": self._written(self._last)}
        return found

    def _written(self, micros: int) -> str:
        from datetime import UTC, datetime, timedelta

        try:
            return (
                datetime(1970, 1, 1, tzinfo=UTC if self._zone else None) + timedelta(microseconds=micros)
            ).isoformat()
        except OverflowError:  # a year that Python's times do not have
            return f"{micros} microseconds from 1970"


@final
class Sized:
    """Bytes and lists: only how long they are."""

    def __init__(self, kind: pa.DataType, name: str, *, held: int) -> None:
        self._kind, self._name = kind, name
        self._lengths = Stream(held=held, whole=True)
        self._count = self._missing = 0

    def add(self, column: pa.Array, priority: Words) -> None:
        import pyarrow.compute as pc

        present, priority = _present(column, priority)
        self._missing += column.null_count
        self._count += len(present)
        measure = pc.binary_length if self._name == "bytes" else pc.list_value_length
        self._lengths.add(measure(present).to_numpy(zero_copy_only=False), priority)

    def document(self) -> dict[str, Any]:
        found = {"type": self._name, "of": str(self._kind)[:80], "count": self._count, "missing": self._missing}
        return found | {"missing_rate": rate(self._missing, self._count), "lengths": brief(self._lengths.document())}


@final
class Opaque:
    """What is only counted: empty columns, maps, vectors, times of day, whatever else a table may hold."""

    def __init__(self, kind: pa.DataType) -> None:
        self._kind = str(kind)[:80]
        self._count = self._missing = 0

    def add(self, column: pa.Array, priority: Words) -> None:
        del priority
        self._missing += column.null_count
        self._count += len(column) - column.null_count

    def document(self) -> dict[str, Any]:
        name = "missing" if self._kind == "null" else "nested"
        found = {"type": name, "of": self._kind, "count": self._count, "missing": self._missing}
        return found | {"missing_rate": rate(self._missing, self._count)}


def _present(column: pa.Array, priority: Words) -> tuple[pa.Array, Words]:
    if not column.null_count:
        return column, priority
    return column.drop_null(), priority[column.is_valid().to_numpy(zero_copy_only=False)]
