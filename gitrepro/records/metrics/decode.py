"""Parquet bytes to a table, the limits first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ...errors import Damaged, TooNew
from .encode import FORMAT, NO_CHECKSUM, checksum, checksum_place
from .frame import Sparse

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .frame import Numbers

MAX_FOOTER_BYTES = 1 << 20
MAX_ROWS = 10**8
MAX_COLUMNS = 1000
MAX_CELLS = 10**9
REDUCTION = "min/max/mean"
_DTYPES = {"int64": "<i8", "double": "<f8"}


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Name the file in whatever goes wrong inside the block."""
    what = f"metric table {name[:200]} cannot be read"
    do = "fetch it again from a remote that has it"
    try:
        yield
    except TooNew as error:
        raise TooNew(f"metric table {name[:200]} is of a newer kind", why=error.what, do=error.do) from None
    except Wrong as error:
        raise Damaged(what, why=str(error), do=do) from None
    except Exception as error:  # whatever a parser raises over foreign bytes says that the bytes are bad
        raise Damaged(what, why=f"{type(error).__name__}: {error}"[:300], do=do) from error


class Wrong(Exception):
    """What is wrong with the file at hand."""


def require(condition: object, problem: str) -> None:
    """What a reader checks: `problem` goes into the report."""
    if not condition:
        raise Wrong(problem)


def decode(data: bytes, *, reduced: bool = False) -> tuple[Any, dict[str, str]]:
    """The table in a Parquet file and its metadata; the limits are checked before the columns are read."""
    import pyarrow as pa
    from pyarrow import parquet

    _check_frame(data)
    source = parquet.ParquetFile(
        pa.BufferReader(data),
        page_checksum_verification=True,
        thrift_string_size_limit=MAX_FOOTER_BYTES,
        thrift_container_size_limit=MAX_FOOTER_BYTES,
    )
    layout = source.metadata
    require(layout.num_columns <= MAX_COLUMNS, f"it has more than {MAX_COLUMNS} columns")
    require(0 < layout.num_rows <= MAX_ROWS, f"it has {layout.num_rows:,} rows")
    require(layout.num_rows * layout.num_columns <= MAX_CELLS, f"it has more than {MAX_CELLS:,} cells")
    metadata = {key.decode(): value.decode() for key, value in (layout.metadata or {}).items()}
    _check_format(metadata, reduced=reduced)
    kinds = ["int64", "double", "string"] if reduced else ["int64", "double"]
    require(all(str(column.type) in kinds for column in source.schema_arrow), f"a column is not {' or '.join(kinds)}")
    table = source.read(use_threads=False)
    table.validate(full=True)
    require(table.num_rows == layout.num_rows, "it has fewer rows than it says")
    # One chunk a column, so that a row number is an offset.
    return table.combine_chunks().replace_schema_metadata(None), metadata


def _check_frame(data: bytes) -> None:
    """What can be told before a parser sees the bytes: both ends, the footer's length, the checksum."""
    magic = b"PAR1"
    require(len(data) >= 12 and data[:4] == magic and data[-4:] == magic, "it is not a whole Parquet file")
    footer_bytes = int.from_bytes(data[-8:-4], "little")
    require(footer_bytes <= min(MAX_FOOTER_BYTES, len(data) - 12), f"its footer claims {footer_bytes:,} bytes")
    footer = len(data) - 8 - footer_bytes
    place = checksum_place(data, footer)
    require(place >= 0, "it has no checksum: it is not a metric table of gitrepro")
    claimed = data[place : place + len(NO_CHECKSUM)]
    require(claimed == checksum(data, place), "its checksum is not that of its bytes")
    # Against intent, not accident: a stored Arrow schema can ask for extension types; we write none.
    require(data.find(b"ARROW:schema", footer) < 0, "it brings an Arrow schema of its own")


def _check_format(metadata: Mapping[str, str], *, reduced: bool) -> None:
    version = metadata.get("gitrepro.format", "")
    if re.fullmatch("[1-9][0-9]{0,8}", version) and int(version) > int(FORMAT):
        raise TooNew(f"it has format {version}, this program reads {FORMAT}", do="upgrade gitrepro")
    require(version == FORMAT, "it is not a metric table of gitrepro")
    label = metadata.get("gitrepro.reduced")
    if reduced:
        require(label == REDUCTION, f"it is not a {REDUCTION} reduction: use read")
    else:
        require(label is None, "it is a reduction, not the logged points: use read_reduced")


def numbers(part: Any, name: str) -> tuple[Numbers, NDArray[np.bool_] | None]:
    """A column of a part as it lies in memory, and where it was logged (None: everywhere)."""
    import numpy as np

    array = part.column(name).chunk(0)
    valid, data = array.buffers()
    stop = array.offset + len(array)
    values = np.frombuffer(data, dtype=_DTYPES[str(array.type)], count=stop)[array.offset :]
    if array.null_count == 0:
        return values, None
    bits = np.unpackbits(np.frombuffer(valid, dtype=np.uint8), count=stop, bitorder="little")
    return values, bits[array.offset :].astype(np.bool_)


def logged_values(part: Any, name: str) -> Sparse:
    """A metric of a part without its gaps."""
    import numpy as np

    values, logged = numbers(part, name)
    if logged is None:
        return Sparse(rows=np.arange(len(values)), values=values)
    rows = np.flatnonzero(logged)
    return Sparse(rows=rows, values=values[rows])
