"""Parquet tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from ...errors import GitreproError
from .items import ROWS_AT_ONCE, unreadable
from .table import flat_batch, flat_schema

if TYPE_CHECKING:
    import pyarrow as pa


@final
class ParquetSource:
    """A Parquet file, page checksums checked where it has them.

    Raises:
        Damaged: it is no whole Parquet file.
        UsageError: two columns have one name.
    """

    kind = "parquet"
    notes: Sequence[str] = ()

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._told(), self._open() as file:
            self._rows = file.metadata.num_rows
            self._schema = file.schema_arrow
            _ = self.schema

    def count(self) -> int:
        return int(self._rows)

    @property
    def names(self) -> Sequence[str]:
        names: list[str] = self.schema.names
        return names

    @cached_property
    def schema(self) -> pa.Schema:
        return flat_schema(self._schema, self.path)

    def batches(self, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        with self._told(), self._open() as file:
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=self._whole(columns), use_threads=False):
                # Text that is not UTF-8, or lists that reach beyond their values, must not get further.
                batch.validate(full=True)
                yield flat_batch(batch, self.schema, columns)

    def texts(self, column: str) -> Iterator[list[str | None]]:
        for batch in self.batches([column]):
            yield as_texts(batch.column(0))

    def _whole(self, columns: Sequence[str] | None) -> list[str] | None:
        """The columns of the file that hold the flat `columns`."""
        if columns is None:
            return None
        return [top for top in self._schema.names if any(name == top or name.startswith(f"{top}.") for name in columns)]

    def _open(self) -> Any:
        from pyarrow import parquet

        return parquet.ParquetFile(str(self.path), page_checksum_verification=True)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Errors of pyarrow in our words."""
        import pyarrow as pa

        try:
            yield
        except GitreproError:
            raise
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise unreadable(self.path, self.kind, str(error).strip() or "it is not whole") from None


def as_texts(column: pa.Array) -> list[str | None]:
    """A column of ids or labels as text: whole numbers in decimal, times as ISO 8601, missing ones None."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return [None if value is None else _text(value) for value in column.to_pylist()]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
