"""NumPy archives: arrays of one length, read in pieces, never unpickled.

An NPZ is a zip of NPY files. Their headers are read by `numpy.lib.format`, which takes literals only; the numbers
are then read straight from the member, so that memory holds one piece whatever the array's size.
"""

from __future__ import annotations

import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, final

from ...errors import UsageError
from .items import id_column, no_such_column, plain, unreadable
from .npy import Array, read_header, read_pieces
from .table import fingerprints, first_repeated

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

SINGLE: Final = "array"
"""The name of the one array of an NPY file."""
# No stream of deflate unfolds into more.
_UNFOLDED_AT_MOST: Final = 1032
# What zipfile, zlib and numpy's reader of headers, which goes through Python's tokenizer, raise for broken bytes.
_BROKEN: Final = (
    zipfile.BadZipFile, zlib.error, EOFError, ValueError, OSError, NotImplementedError, RuntimeError, struct.error,
    SyntaxError, tokenize.TokenError, MemoryError, TypeError, KeyError, OverflowError,
)  # fmt: skip


@final
class ArrayItems:
    """The items of an NPZ or NPY file: what each array has at one place of its first axis.

    Args:
        id: `row`, or `column:NAME` for an array of one axis.
        label: the name of an array of one axis.

    Raises:
        Damaged: the file is no whole archive.
        UsageError: an array holds Python objects, the lengths differ, or a name is not there.
    """

    kind = "npz"

    def __init__(self, path: Path, *, id: str = "row", label: str | None = None) -> None:
        self._path, self.id, self.label = path, id, label
        self._is_zip = _is_zip(path)
        headers = self._headers()
        self.arrays: Mapping[str, Array] = {each.name: each for each in headers if each.shape}
        self.scalars: Mapping[str, Array] = {each.name: each for each in headers if not each.shape}
        self._length = _one_length(path, list(self.arrays.values()))
        self.id_column = id_column(path, id, kind=self.kind, usual="row")
        for name in (self.id_column, label):
            if name is not None:
                self._check_column(name)

    def __len__(self) -> int:
        return self._length

    def ids(self) -> Iterator[str]:
        if self.id_column is None:
            return map(str, range(self._length))
        if not self._ids_are_good:
            raise _repeated(self._path, self.id_column, self._texts(self.id_column))
        return self._texts(self.id_column)

    def labels(self) -> Iterator[str | None] | None:
        return None if self.label is None else iter(self._texts(self.label))

    def pieces(self, name: str) -> Iterator[np.ndarray]:
        """An array in pieces of `rows_at_once` items.

        Raises:
            Damaged: the file ends too early, or a checksum is wrong.
        """
        array = self.arrays[name]
        with self._member(name) as file:
            read_header(file)
            yield from read_pieces(file, array, self._path)

    def read(self, name: str) -> np.ndarray:
        """A whole array, in memory."""
        import numpy as np

        array = self.arrays[name]
        parts = list(self.pieces(name))
        return np.concatenate(parts) if parts else np.zeros(array.shape, array.dtype)

    def table(self) -> pa.Table:
        """All arrays as columns, in memory; those of more axes as lists of fixed size, in C order."""
        import pyarrow as pa

        return pa.table({name: _column(self.read(name)) for name in self.arrays})

    def _texts(self, name: str) -> Iterator[str]:
        return (plain(value) for piece in self.pieces(name) for value in piece.tolist())

    @cached_property
    def _ids_are_good(self) -> bool:
        import numpy as np

        found = fingerprints(self._texts(self.id_column or ""))
        return len(np.unique(found)) == len(found)

    def _check_column(self, name: str) -> None:
        if name not in self.arrays:
            raise no_such_column(self._path, name, list(self.arrays), noun="array")
        if len(self.arrays[name].shape) != 1 or self.arrays[name].dtype.kind not in "biufUS":
            raise UsageError(
                f"the array {name!r} of {self._path} cannot name or label items",
                why=f"it has the shape {self.arrays[name].shape} and the type {self.arrays[name].dtype}",
                do="name an array of one axis, of numbers or text",
            )

    def _headers(self) -> list[Array]:
        with self._damage():
            names = self._zip_names() if self._is_zip else [SINGLE]
        return [self._read_header(name) for name in names]

    def _read_header(self, name: str) -> Array:
        with self._member(name) as file:
            shape, by_columns, dtype = read_header(file)
            values_at = file.tell()
        if dtype.hasobject:
            raise UsageError(
                f"the array {name!r} of {self._path} holds Python objects",
                why="they are stored as pickle, which can run code when it is read, so it is never read",
                do=f"save it as numbers or text, for example numpy.asarray({name}, dtype=float) or dtype=str",
            )
        if values_at + math.prod(shape) * dtype.itemsize > self._bytes_at_most(name):
            raise unreadable(self._path, self.kind, f"the array {name!r} ends before its {shape[0]:,} items")
        return Array(name=name, shape=shape, dtype=dtype, by_columns=by_columns)

    def _bytes_at_most(self, name: str) -> int:
        """A header may claim any number of items: nobody is to count them before it is known that they can be there."""
        here = self._path.stat().st_size
        if not self._is_zip:
            return here
        with self._damage(), zipfile.ZipFile(self._path) as archive:
            member = archive.getinfo(f"{name}.npy")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            return member.file_size
        return min(member.file_size, min(member.compress_size, here) * _UNFOLDED_AT_MOST)

    def _zip_names(self) -> list[str]:
        with zipfile.ZipFile(self._path) as archive:
            members = [name for name in archive.namelist() if name.endswith(".npy")]
        if len(set(members)) < len(members):
            raise UsageError(f"{self._path} has two arrays of one name", do="save it again with numpy.savez")
        return sorted(name.removesuffix(".npy") for name in members)

    @contextmanager
    def _member(self, name: str) -> Iterator[IO[bytes]]:
        with self._damage():
            if not self._is_zip:
                with self._path.open("rb") as file:
                    yield file
                return
            with zipfile.ZipFile(self._path) as archive, archive.open(f"{name}.npy") as member:
                yield member

    @contextmanager
    def _damage(self) -> Iterator[None]:
        try:
            yield
        except UsageError:
            raise
        except _BROKEN as error:
            raise unreadable(self._path, self.kind, str(error) or type(error).__name__) from None


def _is_zip(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(6)
    except OSError as error:
        raise unreadable(path, "npz", error.strerror or str(error)) from None
    if not start:
        raise unreadable(path, "npz", "it is empty")
    if start[:2] != b"PK" and start != b"\x93NUMPY":
        raise unreadable(path, "npz", "it starts neither as a zip nor as an NPY file")
    return start[:2] == b"PK"


def _one_length(path: Path, arrays: list[Array]) -> int:
    lengths = {each.shape[0] for each in arrays}
    if len(lengths) == 1:
        return lengths.pop()
    if not arrays:
        raise UsageError(f"{path} has no items", why="it has no array with an axis")
    shown = ", ".join(f"{each.name}: {each.shape[0]:,}" for each in arrays[:20])
    raise UsageError(
        f"the arrays of {path} have different lengths",
        why=f"an item is what every array has at one place of its first axis ({shown})",
        do="save one archive for each length, for example train.npz and test.npz",
    )


def _column(values: np.ndarray) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    values = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("="), copy=False))
    flat = pa.array(values.reshape(-1))
    return flat if values.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, values[0].size if len(values) else 0)


def _repeated(path: Path, name: str, ids: Iterator[str]) -> UsageError:
    row, value = first_repeated(ids) or (0, "")
    return UsageError(
        f"item {row:,} of {path} has the id {value!r}, as an earlier one has, in the array {name!r}",
        why="an id array has each value only once",
        do="mend the array, name another, or use row numbers",
    )
