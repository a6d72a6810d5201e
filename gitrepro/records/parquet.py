"""A table of the user's as the bytes of a file."""

from __future__ import annotations

from typing import Any

from ..errors import UsageError


def table_bytes(table: Any) -> bytes:
    """An Arrow table, record batch or array as Parquet.

    Raises:
        UsageError: it is none of these, or has a type that Parquet has not.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        whole = _whole(table)
        sink = pa.BufferOutputStream()
        parquet.write_table(whole, sink, compression="zstd")
        return bytes(sink.getvalue())
    except (pa.ArrowException, TypeError) as error:
        raise UsageError(f"a {type(table).__name__} cannot be kept as Parquet", why=str(error)[:300]) from error


def text_bytes(table: Any, *, separator: str = ",") -> bytes:
    """An Arrow table, record batch or array as lines of text, the names of the columns first.

    Raises:
        UsageError: it is none of these, or has a type that is no text.
    """
    import pyarrow as pa
    from pyarrow import csv

    try:
        sink = pa.BufferOutputStream()
        csv.write_csv(_whole(table), sink, csv.WriteOptions(delimiter=separator))
        return bytes(sink.getvalue())
    except (pa.ArrowException, TypeError) as error:
        raise UsageError(f"a {type(table).__name__} cannot be kept as text", why=str(error)[:300]) from error


def _whole(table: Any) -> Any:
    import pyarrow as pa

    if isinstance(table, pa.RecordBatch):
        return pa.Table.from_batches([table])
    if isinstance(table, (pa.Array, pa.ChunkedArray)):
        return pa.table({"values": table})
    if isinstance(table, pa.Table):
        return table
    raise TypeError("it is no Arrow table")
