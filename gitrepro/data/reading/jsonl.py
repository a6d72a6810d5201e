"""JSON lines: one object a line. Objects within objects become columns `a.b`, lists stay as they are.

pyarrow parses blocks of whole lines. What it refuses and JSON allows, a field that is a number here and a word there,
goes line by line through `json`; such a column is text, each value as its JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from .items import ROWS_AT_ONCE, unreadable
from .parquet import as_texts
from .table import DEPTH, flat_batch, flat_schema

if TYPE_CHECKING:
    import pyarrow as pa

_BLOCK_BYTES: Final = 8 << 20
_LONGEST_LINE_BYTES: Final = 64 << 20
_MOST_COLUMNS: Final = 10_000
_DEEPEST: Final = 100
"""Lists in lists: what goes through them calls itself for each."""


@final
class JsonlSource:
    """A file of JSON lines.

    Raises:
        Damaged: it is empty, or a line is no JSON object; the line is named.
    """

    kind = "jsonl"
    notes: Sequence[str] = ()

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows = 0
        if next(self._blocks(), None) is None:
            raise unreadable(path, self.kind, "it is empty: there is no line")

    def count(self) -> int:
        _ = self._nested
        return self._rows

    @property
    def names(self) -> Sequence[str]:
        names: list[str] = self.schema.names
        return names

    @cached_property
    def schema(self) -> pa.Schema:
        return flat_schema(self._nested, self.path) if self._nested is not None else self._schema_by_line()

    def batches(self, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        if self._nested is None:
            wanted = self.schema if columns is None else pa.schema([self.schema.field(name) for name in columns])
            return self._batches_by_line(wanted)
        return (
            flat_batch(batch, self.schema, columns)
            for block in self._blocks()
            for batch in self._parsed(block, self._nested).to_batches()
        )

    def texts(self, column: str) -> Iterator[list[str | None]]:
        for batch in self.batches([column]):
            yield as_texts(batch.column(0))

    @cached_property
    def _nested(self) -> pa.Schema | None:
        """The schema of all blocks; None when they have none in common."""
        import pyarrow as pa

        found = pa.schema([])
        agree = True
        self._rows = 0
        for block in self._blocks():
            self._rows += _lines(block)
            if not agree:
                continue
            try:
                block.decode()  # pyarrow takes any bytes for text
                table = self._parsed(block, None)
                self._check_depth(table.schema)
                found = pa.unify_schemas([found, table.schema], promote_options="permissive")
                agree = table.num_rows == _lines(block) and bool(table.num_columns)
            except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, UnicodeDecodeError):
                agree = False
        return found if agree else None

    def _check_depth(self, schema: pa.Schema) -> None:
        import pyarrow as pa

        level = [field.type for field in schema]
        for _ in range(_DEEPEST):
            level = [
                type_.field(at).type for type_ in level if pa.types.is_nested(type_) for at in range(type_.num_fields)
            ]
        if level:
            raise unreadable(self.path, self.kind, f"its values are nested more than {_DEEPEST} deep")

    def _parsed(self, block: bytes, schema: pa.Schema | None) -> pa.Table:
        import pyarrow as pa
        from pyarrow import json as arrow_json

        options = arrow_json.ParseOptions(explicit_schema=schema, newlines_in_values=False)
        read = arrow_json.ReadOptions(use_threads=False, block_size=len(block) + 1)
        return arrow_json.read_json(pa.BufferReader(block), read_options=read, parse_options=options)

    def _blocks(self) -> Iterator[bytes]:
        """The file in pieces of whole lines."""
        rest = b""
        with self._opened() as file:
            while part := file.read(_BLOCK_BYTES):
                whole, newline, rest_of = part.rpartition(b"\n")
                if newline:
                    if (lines := rest + whole + newline).strip():
                        yield lines
                    rest = rest_of
                else:
                    rest += part
                if len(rest) > _LONGEST_LINE_BYTES:
                    raise unreadable(self.path, self.kind, f"a line is longer than {_LONGEST_LINE_BYTES:,} bytes")
        if rest.strip():
            yield rest

    def _opened(self) -> Any:
        try:
            return self.path.open("rb")
        except OSError as error:
            raise unreadable(self.path, self.kind, error.strerror or str(error)) from None

    def _objects(self) -> Iterator[dict[str, Any]]:
        with self._opened() as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield self._object(number, line)

    def _object(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            value = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            if b"\\u" in line:
                json.dumps(value, ensure_ascii=False).encode()  # an escape may be half a character, which is no text
        except (ValueError, RecursionError) as error:
            raise unreadable(self.path, self.kind, f"line {number:,}: {error}") from None
        if not isinstance(value, dict):
            why = f"line {number:,} is no object but {type(value).__name__}: {line[:40].decode('utf-8', 'replace')!r}"
            raise unreadable(self.path, self.kind, why)
        return dict(_flat(value))

    def _schema_by_line(self) -> pa.Schema:
        import pyarrow as pa

        kinds: dict[str, str] = {}
        for row in self._objects():
            for name, value in row.items():
                kinds[name] = _joined(kinds.get(name, "null"), _kind(value))
            if len(kinds) > _MOST_COLUMNS:
                raise unreadable(self.path, self.kind, f"its objects have more than {_MOST_COLUMNS:,} different keys")
        return pa.schema([pa.field(name, _arrow(kind)) for name, kind in kinds.items()])

    def _batches_by_line(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        rows: list[dict[str, Any]] = []
        for row in self._objects():
            rows.append(row)
            if len(rows) == ROWS_AT_ONCE:
                yield _batch(rows, schema)
                rows = []
        if rows:
            yield _batch(rows, schema)


def _lines(block: bytes) -> int:
    return sum(1 for line in block.split(b"\n") if line.strip())


def _flat(value: dict[str, Any], before: str = "", depth: int = DEPTH) -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if isinstance(inner, dict) and inner and depth:
            yield from _flat(inner, f"{before}{name}.", depth - 1)
        else:
            yield before + name, inner


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "bool"
        case int():
            return "int" if -(1 << 63) <= value < 1 << 63 else "float"
        case float():
            return "float"
        case str():
            return "text"
    return "nested"


def _joined(one: str, other: str) -> str:
    if one == other or other == "null":
        return one
    if one == "null":
        return other
    return "float" if {one, other} == {"int", "float"} else "mixed"


def _arrow(kind: str) -> pa.DataType:
    import pyarrow as pa

    known = {"null": pa.null(), "bool": pa.bool_(), "int": pa.int64(), "float": pa.float64()}
    return known.get(kind, pa.string())


def _batch(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    arrays = [pa.array([_value(row.get(field.name), field.type) for row in rows], field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _value(value: Any, kind: pa.DataType) -> Any:
    import pyarrow as pa

    if value is None or isinstance(value, str):
        return value
    if pa.types.is_string(kind):
        return json.dumps(value, sort_keys=True, ensure_ascii=False)
    return _number(value) if pa.types.is_floating(kind) else value


def _number(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer beyond the largest double
        return float("inf") if value > 0 else float("-inf")
