"""Tables of separated values: UTF-8, a header, columns typed by all of their values.

pyarrow cuts the text into fields; what type a column has is decided here, over the whole file and not by its first
block, so that one word in row 900,000 does not end the reading and the types do not hang on a block's size.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from ...errors import Damaged
from .fields import arrow_type, cast, widened
from .items import unreadable
from .table import twice

if TYPE_CHECKING:
    import pyarrow as pa

_BLOCK_BYTES: Final = 4 << 20
_LONGEST_ROW_BYTES: Final = 256 << 20
_SEPARATORS: Final = ",;\t|"
_RAGGED = re.compile(r"Row #([0-9]+): Expected ([0-9]+) columns, got ([0-9]+): (.*)", re.DOTALL)
_NUMBER = re.compile(r"\s*[+-]?[0-9.]+([eE][+-]?[0-9]+)?\s*")


@final
class CsvSource:
    """A file of separated values.

    Raises:
        Damaged: the file is empty, is not UTF-8, or has rows of unequal length; the line is named.
        UsageError: two columns have one name.
    """

    kind = "csv"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._start = _start(path)
        self._separator = _separator(path, self._start)
        self._written = self._read_header()
        self.names = self._good_names()
        self._rows = 0

    @property
    def notes(self) -> Sequence[str]:
        if all(_NUMBER.fullmatch(name) for name in self.names):
            return ("the header has only numbers: the first row of data may have been taken for it",)
        return ()

    def count(self) -> int:
        _ = self._types
        return self._rows

    @cached_property
    def schema(self) -> pa.Schema:
        import pyarrow as pa

        return pa.schema([pa.field(name, arrow_type(kind)) for name, kind in zip(self.names, self._types, strict=True)])

    def batches(self, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        names = self.names if columns is None else list(columns)
        kinds = dict(zip(self.names, self._types, strict=True))
        wanted = pa.schema([self.schema.field(name) for name in names])
        for batch in self._raw(names):
            arrays = [cast(column, kinds[name]) for name, column in zip(names, batch.columns, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, schema=wanted)

    def texts(self, column: str) -> Iterator[list[str | None]]:
        for batch in self._raw([column]):
            yield [value or None for value in batch.column(0).to_pylist()]

    @cached_property
    def _types(self) -> list[str]:
        kinds = [""] * len(self.names)
        self._rows = 0
        for batch in self._raw(self.names):
            self._rows += batch.num_rows
            kinds = [widened(column, kind) for column, kind in zip(batch.columns, kinds, strict=True)]
        return kinds

    def _read_header(self) -> list[str]:
        if not _is_header_only(self._start):
            with self._open({}, None) as reader:
                names: list[str] = self._said(lambda: list(reader.schema.names))
                return names
        import csv
        import io

        text = self._said(self._start.decode, "utf-8-sig").strip("\r\n")
        try:
            return next(csv.reader(io.StringIO(text, newline=""), delimiter=self._separator))
        except csv.Error as error:
            raise unreadable(self.path, self.kind, f"its header: {error}") from None

    def _good_names(self) -> list[str]:
        names = [name.strip() or f"unnamed_{place}" for place, name in enumerate(self._written)]
        if len(set(names)) < len(names):
            raise twice(self.path, next(name for name in names if names.count(name) > 1))
        return names

    def _raw(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The columns as text."""
        import pyarrow as pa

        if _is_header_only(self._start):
            return
        written = dict(zip(self.names, self._written, strict=True))
        types = dict.fromkeys(self._written, pa.string())
        reader = self._open(types, [written[name] for name in names])
        with reader:
            while (batch := self._next(reader)) is not None:
                yield batch

    def _open(self, types: dict[str, Any], columns: list[str] | None) -> Any:
        from pyarrow import csv

        options = csv.ConvertOptions(column_types=types, include_columns=columns, strings_can_be_null=False)
        parse = csv.ParseOptions(delimiter=self._separator, newlines_in_values=True)
        # One thread: rows are then numbered in errors, and memory is one block.
        read = csv.ReadOptions(use_threads=False, block_size=self._block_bytes)
        return self._said(csv.open_csv, str(self.path), read, parse, options)

    def _next(self, reader: Any) -> pa.RecordBatch | None:
        try:
            return self._said(reader.read_next_batch)
        except StopIteration:
            return None

    def _said(self, call: Any, *arguments: Any) -> Any:
        """Call pyarrow; its errors in our words."""
        import pyarrow as pa

        try:
            return call(*arguments)
        except (pa.ArrowInvalid, UnicodeDecodeError) as error:
            raise self._fault(str(error)) from None
        except OSError as error:
            raise unreadable(self.path, self.kind, error.strerror or str(error)) from None

    def _fault(self, said: str) -> Damaged:
        if ragged := _RAGGED.search(said):
            row, wanted, there, text = ragged.groups()
            why = f"row {int(row):,} has {there} fields, the header {wanted}: {text[:80]!r}"
            return unreadable(self.path, self.kind, why)
        if "UTF8" in said or "utf-8" in said:
            return unreadable(self.path, self.kind, _not_utf8(self.path))
        return unreadable(self.path, self.kind, said)

    @cached_property
    def _block_bytes(self) -> int:
        # A row has to fit into two blocks; where the header's blocks hold no line end, rows are long.
        return _BLOCK_BYTES if self._start.count(b"\n") > 1 or len(self._start) < _BLOCK_BYTES else _LONGEST_ROW_BYTES


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            start = file.read(_BLOCK_BYTES)
    except OSError as error:
        raise unreadable(path, "csv", error.strerror or str(error)) from None
    if not start.strip(b"\xef\xbb\xbf\r\n \t"):
        raise unreadable(path, "csv", "it is empty: there is no header")
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise unreadable(path, "csv", "it is UTF-16; `iconv -f UTF-16 -t UTF-8` makes it UTF-8")
    if b"\0" in start:
        raise unreadable(path, "csv", "it holds zero bytes, which no text does")
    return start


def _separator(path: Path, start: bytes) -> str:
    if path.suffix.lower() in (".tsv", ".tab"):
        return "\t"
    header = re.sub(rb'"[^"]*"', b"", start.split(b"\n", 1)[0])
    return max(_SEPARATORS, key=lambda each: (header.count(each.encode()), -_SEPARATORS.index(each)))


def _is_header_only(start: bytes) -> bool:
    return len(start) < _BLOCK_BYTES and not re.search(rb"[\r\n]", start.strip(b"\xef\xbb\xbf\r\n"))


def _not_utf8(path: Path) -> str:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return (
                    f"line {number:,} is not UTF-8 (byte {line[error.start]:#04x}); "
                    "`iconv -f LATIN1 -t UTF-8` makes it so where the text is Latin-1"
                )
    return "it is not UTF-8"
