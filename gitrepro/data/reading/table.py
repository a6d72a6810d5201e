"""Rows from a source of record batches: flat columns, batches of one size, ids and labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, final

from ...errors import UsageError
from .items import ROWS_AT_ONCE, id_column, no_such_column, plain

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

DEPTH: Final = 4
"""Levels of nesting that become columns of their own."""


class Source(Protocol):
    """A file of rows, of flat columns with unique names."""

    path: Path
    kind: str

    @property
    def notes(self) -> Sequence[str]: ...

    @property
    def names(self) -> Sequence[str]:
        """The names of the columns, where that is cheaper to know than their types."""

    @property
    def schema(self) -> pa.Schema: ...

    def count(self) -> int: ...

    def batches(self, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        """The rows, in batches of any size."""

    def texts(self, column: str) -> Iterator[list[str | None]]:
        """One column as text, as it was written where that is known."""


@final
class TableItems:
    """The rows of a source."""

    def __init__(self, source: Source, *, id: str = "row", label: str | None = None) -> None:
        self.kind, self.id, self.label = source.kind, id, label
        self._source = source
        self._id_column = id_column(source.path, id, kind=source.kind, usual="row")
        for name in (self._id_column, label):
            if name is not None and name not in source.names:
                raise no_such_column(source.path, name, source.names)

    def __len__(self) -> int:
        return self._count

    @property
    def schema(self) -> pa.Schema:
        return self._source.schema

    @property
    def notes(self) -> Sequence[str]:
        return self._source.notes

    @property
    def id_column(self) -> str | None:
        return self._id_column

    def ids(self) -> Iterator[str]:
        """The ids: row numbers from 0, or the values of the id column.

        Raises:
            UsageError: the id column has a value twice, or none.
        """
        if self._id_column is None:
            return map(str, range(len(self)))
        self._check_ids()
        return (plain(value) for values in self._source.texts(self._id_column) for value in values)

    def labels(self) -> Iterator[str | None] | None:
        if self.label is None:
            return None
        return (value for values in self._source.texts(self.label) for value in values)

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The rows in batches of `ROWS_AT_ONCE`.

        Args:
            columns: the columns that are wanted, in this order; all by default.
        """
        for name in columns or ():
            if name not in self._source.names:
                raise no_such_column(self._source.path, name, self._source.names)
        return rebatched(self._source.batches(columns), ROWS_AT_ONCE)

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        import pyarrow as pa

        wanted = self.schema if columns is None else pa.schema([self.schema.field(name) for name in columns])
        return pa.Table.from_batches(self.batches(columns), schema=wanted)

    @cached_property
    def _count(self) -> int:
        return self._source.count()

    def _check_ids(self) -> None:
        if not self._ids_are_good:
            raise _bad_id(self._source, self._id_column or "")

    @cached_property
    def _ids_are_good(self) -> bool:
        import numpy as np

        seen: list[np.ndarray] = []
        for values in self._source.texts(self._id_column or ""):
            if None in values:
                return False
            seen.append(fingerprints(value or "" for value in values))
        every = np.sort(np.concatenate(seen)) if seen else np.zeros(0, np.uint64)
        return not bool((every[1:] == every[:-1]).any()) or _first_bad(self._source, self._id_column or "") is None


def fingerprints(texts: Iterable[str]) -> np.ndarray:
    """Eight bytes of BLAKE2b of each text: uint64, shape (n,)."""
    from hashlib import blake2b

    import numpy as np

    joined = b"".join(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in texts)
    return np.frombuffer(joined, "<u8").astype(np.uint64)


def first_repeated(ids: Iterable[str | None]) -> tuple[int, str | None] | None:
    """The first place, and the id there, that is missing or came before; None when all are good."""
    seen: set[str] = set()
    for place, value in enumerate(ids):
        if value is None or value in seen:
            return place, value
        seen.add(value)
    return None


def _first_bad(source: Source, column: str) -> tuple[int, str | None] | None:
    return first_repeated(value for values in source.texts(column) for value in values)


def _bad_id(source: Source, column: str) -> UsageError:
    row, value = _first_bad(source, column) or (0, None)
    what = "has no id" if value is None else f"has the id {value!r}, as an earlier row has"
    return UsageError(
        f"row {row:,} of {source.path} {what} in column {column!r}",
        why="an id column has one value for each row, each only once (row 0 is the first after the header)",
        do="mend the column, name another, or use row numbers",
    )


def rebatched(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of exactly `rows`, the last one aside."""
    import pyarrow as pa

    waiting: list[pa.RecordBatch] = []
    held = 0
    for batch in batches:
        waiting.append(batch)
        held += batch.num_rows
        while held >= rows:
            whole = pa.Table.from_batches(waiting)
            yield _one(whole.slice(0, rows))
            held -= rows
            # to_batches keeps views of the tail only.
            waiting = whole.slice(rows).to_batches() if held else []
    if held:
        yield _one(pa.Table.from_batches(waiting))


def _one(table: pa.Table) -> pa.RecordBatch:
    import pyarrow as pa

    columns = [pa.concat_arrays(column.chunks) if column.num_chunks != 1 else column.chunk(0) for column in table]
    return pa.RecordBatch.from_arrays(columns, schema=table.schema)


def flat_schema(schema: pa.Schema, path: Path) -> pa.Schema:
    """The schema with fields of structs as columns of their own, named `a.b`.

    Raises:
        UsageError: two columns have one name.
    """
    import pyarrow as pa

    fields = [flat for field in schema for flat in _flat_fields(field, DEPTH)]
    names = [field.name for field in fields]
    if len(set(names)) < len(names):
        raise twice(path, next(name for name in names if names.count(name) > 1))
    return pa.schema(fields)


def twice(path: Path, name: str) -> UsageError:
    """The error of two columns with one name."""
    return UsageError(
        f"{path} has two columns named {name!r}",
        why="features and labels are told apart by their names",
        do="give each column a name of its own",
    )


def flat_batch(batch: pa.RecordBatch, schema: pa.Schema, columns: Sequence[str] | None) -> pa.RecordBatch:
    """The batch with the columns of the flat `schema`."""
    import pyarrow as pa

    found = dict(
        pair for name, column in zip(batch.schema.names, batch.columns, strict=True) for pair in _flat(name, column)
    )
    names = schema.names if columns is None else list(columns)
    arrays = [found[name].cast(schema.field(name).type) for name in names]
    if not names:
        return batch
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema([schema.field(name) for name in names]))


def _flat_fields(field: pa.Field, depth: int) -> Iterator[pa.Field]:
    import pyarrow as pa

    if not (pa.types.is_struct(field.type) and field.type.num_fields and depth):
        yield pa.field(field.name, field.type)
        return
    for child in field.type:
        yield from _flat_fields(child.with_name(f"{field.name}.{child.name}"), depth - 1)


def _flat(name: str, column: pa.Array, depth: int = DEPTH) -> Iterator[tuple[str, pa.Array]]:
    import pyarrow as pa

    if not (pa.types.is_struct(column.type) and column.type.num_fields and depth):
        yield name, column
        return
    # flatten() puts the parent's nulls into the children; field() would not.
    for child, array in zip(column.type, column.flatten(), strict=True):
        yield from _flat(f"{name}.{child.name}", array, depth - 1)
