"""The NPY format: its header, and its numbers in pieces."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from ...errors import UsageError

if TYPE_CHECKING:
    import numpy as np

_PIECE_VALUES: Final = 1 << 20
# Arrays in column order have their items spread over the whole file: these are read as a whole.
_WHOLE_BYTES: Final = 1 << 30
_MOST_EMPTY_ITEMS: Final = 1 << 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Array:
    """One array of an archive, by its header."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    by_columns: bool

    @property
    def item_values(self) -> int:
        """Numbers in one item."""
        return math.prod(self.shape[1:])

    @property
    def rows_at_once(self) -> int:
        """Items in a piece: a fixed number for a shape, so that pieces are the same everywhere."""
        return max(1, _PIECE_VALUES // max(1, self.item_values))


def read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether the numbers lie in column order, and type.

    Raises:
        ValueError, SyntaxError, tokenize.TokenError, EOFError and others: it is none.
    """
    from numpy.lib import format as npy

    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"an NPY file of version {version}")
    # Version 3 differs from 2 by UTF-8 names of fields, which this reader of version 2 would refuse.
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, by_columns, dtype = read(file)
    if any(length < 0 for length in shape):
        raise ValueError(f"the shape {shape} has a negative length")
    if shape and shape[0] > _MOST_EMPTY_ITEMS and not math.prod(shape[1:]) * dtype.itemsize:
        raise ValueError(f"the shape {shape} claims items without values")
    return tuple(map(int, shape)), bool(by_columns) and len(shape) > 1, dtype


def read_pieces(file: IO[bytes], array: Array, path: Path) -> Iterator[np.ndarray]:
    """The numbers after the header, in pieces of `array.rows_at_once` items.

    Raises:
        EOFError: there are fewer than the header says.
        UsageError: they lie in column order and are too many to be read at once.
    """
    if array.by_columns:
        yield from _pieces_of_columns(file, array, path)
        return
    rest = array.shape[0]
    while rest:
        rows = min(rest, array.rows_at_once)
        yield _values(file, array, rows).reshape(rows, *array.shape[1:])
        rest -= rows
    # The checksum of a zip member is compared when its end is read.
    file.read(1)


def _pieces_of_columns(file: IO[bytes], array: Array, path: Path) -> Iterator[np.ndarray]:
    size = math.prod(array.shape) * array.dtype.itemsize
    if size > _WHOLE_BYTES:
        raise UsageError(
            f"the array {array.name!r} of {path} is too large in column order",
            why=f"it has {size:,} bytes, and its items can only be read all at once",
            do=f"save it with numpy.ascontiguousarray({array.name})",
        )
    whole = _values(file, array, array.shape[0]).reshape(array.shape, order="F")
    file.read(1)
    step = array.rows_at_once
    yield from (whole[place : place + step] for place in range(0, array.shape[0], step))


def _values(file: IO[bytes], array: Array, rows: int) -> np.ndarray:
    import numpy as np

    wanted = rows * array.item_values * array.dtype.itemsize
    parts = bytearray()
    # By parts: a header may claim more than there is, and no memory is taken for a claim.
    while len(parts) < wanted and (part := file.read(min(wanted - len(parts), 1 << 22))):
        parts += part
    if len(parts) < wanted:
        raise EOFError(f"the array {array.name!r} ends before its {array.shape[0]:,} items")
    if not array.dtype.itemsize:
        return np.zeros(rows * array.item_values, array.dtype)
    return np.frombuffer(parts, array.dtype)
