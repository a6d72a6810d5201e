"""Arrays to Parquet bytes: equal tables are equal bytes."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from .frame import RESERVED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .frame import Numbers

FORMAT = "1"
NO_CHECKSUM = b"00000000"
# As Thrift writes it: the key, then a string (0x18) of eight bytes. No metric name has a control character.
_CHECKSUM_KEY = b"gitrepro.crc32\x18\x08"
# Half of what the reader allows.
_FOOTER_BYTES = 1 << 19
_GROUP_CELLS = 1 << 22
_TAIL_BYTES = 2 << 20
_PIECE_BYTES = 1 << 20


def schema_of(names: Iterable[str], real: Container[str]) -> Any:
    """The columns of a table: the reserved ones, then metrics, float64 where `real` has the name, else int64."""
    import pyarrow as pa

    fixed = [(name, dtype, False) for name, dtype in zip(RESERVED, (pa.int64(), pa.int64(), pa.float64()), strict=True)]
    logged = [(name, pa.float64() if name in real else pa.int64(), True) for name in names]
    return pa.schema([pa.field(name, dtype, nullable=gaps) for name, dtype, gaps in [*fixed, *logged]])


def _arrow_type(values: Numbers) -> Any:
    import pyarrow as pa

    return pa.int64() if values.dtype.kind == "i" else pa.float64()


def rows_per_group(names: Sequence[str], rows: int) -> int:
    """Groups small enough to build in little memory, and few enough that the footer stays under its limit."""
    footer_bytes_per_group = sum(128 + len(name.encode()) for name in names)
    most_groups = max(1, _FOOTER_BYTES // footer_bytes_per_group)
    return max(_GROUP_CELLS // len(names), -(-rows // most_groups))


def arrow_array(values: Numbers, logged: NDArray[np.bool_] | None = None) -> Any:
    """A `pyarrow.Array` of int64 or float64, built from its buffers."""
    import numpy as np
    import pyarrow as pa

    valid = None
    if logged is not None and not logged.all():
        valid = pa.py_buffer(np.packbits(logged, bitorder="little"))
    data = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(_arrow_type(values), len(values), [valid, data])


def write_parquet(tables: Iterable[Any], schema: Any, metadata: Mapping[str, str]) -> bytes:
    """A whole file in memory, one row group a table."""
    sink = io.BytesIO()
    with parquet_writer(sink, schema, metadata) as write:
        for table in tables:
            write(table)
    seal(sink)
    return sink.getvalue()


@contextmanager
def parquet_writer(sink: IO[bytes], schema: Any, metadata: Mapping[str, str]) -> Iterator[Callable[[Any], None]]:
    """What writes one row group a table. No statistics, no schema copy, no clock: equal tables are equal bytes.

    The checksum is still to be set: see `seal`.
    """
    import pyarrow as pa
    from pyarrow import parquet

    encodings = {pa.int64(): "DELTA_BINARY_PACKED", pa.float64(): "BYTE_STREAM_SPLIT"}
    with parquet.ParquetWriter(
        sink,
        schema,
        version="2.6",
        data_page_version="1.0",
        compression="zstd",
        compression_level=3,
        use_dictionary=[column.name for column in schema if column.type not in encodings],
        column_encoding={column.name: encodings[column.type] for column in schema if column.type in encodings},
        write_statistics=False,
        write_page_checksum=True,
        store_schema=False,
    ) as writer:
        yield lambda table: writer.write_table(table, row_group_size=max(1, table.num_rows))
        # Not through the schema: Arrow stores that only together with a copy of itself.
        writer.add_key_value_metadata({"gitrepro.format": FORMAT, **metadata, "gitrepro.crc32": NO_CHECKSUM.decode()})


def seal(file: IO[bytes]) -> int:
    """Set the checksum of a file that `parquet_writer` wrote; return its size in bytes. It is read in pieces."""
    size_bytes = file.seek(0, os.SEEK_END)
    tail_bytes = min(size_bytes, _TAIL_BYTES)
    file.seek(size_bytes - tail_bytes)
    place = size_bytes - tail_bytes + checksum_place(file.read())
    file.seek(0)
    found = 0
    while piece := file.read(_PIECE_BYTES):
        found = zlib.crc32(piece, found)
    file.seek(place)
    file.write(b"%08x" % found)
    file.seek(0)
    return size_bytes


def checksum_place(data: bytes, start: int = 0) -> int:
    """Where the eight digits of the checksum stand; -1 if nowhere after `start`."""
    found = data.rfind(_CHECKSUM_KEY, start)
    return found if found < 0 else found + len(_CHECKSUM_KEY)


def checksum(data: bytes, place: int) -> bytes:
    """CRC-32 of the whole file with zeros at `place`, in hexadecimal.

    Parquet checks its pages and not its footer, and a flipped bit there is another name, or another column.
    """
    view = memoryview(data)
    begin = zlib.crc32(NO_CHECKSUM, zlib.crc32(view[:place]))
    return b"%08x" % zlib.crc32(view[place + len(NO_CHECKSUM) :], begin)
