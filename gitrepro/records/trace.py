"""The trace of a run as a table: a row a step that was kept, digests in 64 bits, the loss and the norm as they were.

Two tables are compared bit by bit, so a digest is an integer column and a NaN keeps its bits. The bytes stand in
FORMAT.md, "Trace".
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from ..errors import Damaged, TooNew
from .metrics.decode import decode, numbers
from .metrics.encode import parquet_writer, seal

DIGESTS: Final = (
    "ids", "batch", "rng_python", "rng_numpy", "rng_torch", "drawn_python", "drawn_numpy", "drawn_torch", "optimizer",
    "weights",
)  # fmt: skip
NUMBERS: Final = ("loss", "gradient_norm")
FIELDS: Final = ("step", *DIGESTS, *NUMBERS, "chain")
ROWS_AT_MOST: Final = 1_000_000

Row = tuple[int | None, ...]
"""The values of one row, in the order of `FIELDS`; the numbers as the bits of a float64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The rows of one rank, by step."""

    rows: tuple[Row, ...]

    def dump(self, *, rank: int = 0) -> bytes:
        """The table as a Parquet file. Equal rows are equal bytes."""
        import pyarrow as pa

        schema = pa.schema([pa.field(name, _type(name), nullable=name not in ("step", "chain")) for name in FIELDS])
        columns = [_column(name, [row[place] for row in self.rows]) for place, name in enumerate(FIELDS)]
        sink = io.BytesIO()
        with parquet_writer(sink, schema, {"gitrepro.rank": str(rank), "gitrepro.trace": "1"}) as write:
            write(pa.Table.from_arrays(columns, schema=schema))
        seal(sink)
        return sink.getvalue()


def row_of(told: object) -> Row | None:
    """A row as a program told it; None where it is no row."""
    if not isinstance(told, list) or len(told) != len(FIELDS):
        return None
    fits = all(value is None or (type(value) is int and -(1 << 63) <= value < 1 << 63) for value in told)
    return tuple(told) if fits and told[0] is not None and told[0] >= 0 and told[-1] is not None else None


def trace_of(rows: Iterable[Row]) -> Trace:
    """The rows in the order of their steps; of several of one step the first."""
    first: dict[int, Row] = {}
    for row in rows:
        assert row[0] is not None
        first.setdefault(row[0], row)
    return Trace(rows=tuple(first[step] for step in sorted(first)))


def read_trace(data: bytes, *, source: str) -> Trace:
    """Read a `trace.parquet`.

    Raises:
        Damaged: it is not what was written: its checksum, its columns or its order.
        TooNew: its format is newer than this program.
    """
    do = "fetch it again from a remote that has it"
    try:
        table, metadata = decode(data)
        rows = _rows(table, metadata)
    except TooNew as error:
        raise TooNew(f"trace {source:.200} is of a newer kind", why=error.what, do=error.do) from None
    except Exception as error:  # whatever a parser raises over foreign bytes says that the bytes are bad
        raise Damaged(f"trace {source:.200} cannot be read", why=f"{error}"[:300], do=do) from error
    return Trace(rows=rows)


def _rows(table: Any, metadata: Mapping[str, str]) -> tuple[Row, ...]:
    if metadata.get("gitrepro.trace") != "1" or tuple(table.column_names) != FIELDS:
        raise ValueError("it is no trace of gitrepro")
    if table.num_rows > ROWS_AT_MOST:
        raise ValueError(f"it has {table.num_rows:,} rows")
    if any(str(field.type) != str(_type(field.name)) for field in table.schema):
        raise ValueError("a column is of another type")
    columns = [_values(table, name) for name in FIELDS]
    steps = columns[0]
    if any(step is None for step in steps) or any((one or 0) >= (other or 0) for one, other in pairwise(steps)):
        raise ValueError("its steps do not rise")
    return tuple(zip(*columns, strict=True))


def _type(name: str) -> Any:
    import pyarrow as pa

    return pa.float64() if name in NUMBERS else pa.int64()


def _column(name: str, values: Sequence[int | None]) -> Any:
    import numpy as np
    import pyarrow as pa

    held = np.array([0 if value is None else value for value in values], dtype=np.int64)
    missing = np.array([value is None for value in values], dtype=np.bool_)
    valid = pa.py_buffer(np.packbits(~missing, bitorder="little")) if missing.any() else None
    return pa.Array.from_buffers(_type(name), len(values), [valid, pa.py_buffer(held)])


def _values(table: Any, name: str) -> list[int | None]:
    values, there = numbers(table, name)
    bits: list[int] = values.view("<i8").tolist()
    return [*bits] if there is None else [bit if held else None for bit, held in zip(bits, there, strict=True)]


def number_of(bits: int) -> float:
    """The float64 of these bits."""
    return float(struct.unpack("<d", struct.pack("<q", bits))[0])
