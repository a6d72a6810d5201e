"""A digest of each row of a table, to tell which rows two versions share.

128 bits, mixed from the values of the columns: enough to tell accidents apart, and not meant to withstand somebody who
builds two rows of one digest. That two versions differ at all is told by BLAKE3.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol, final

from .reading import ArrayItems, Table

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_LANES: Final = 2
_BYTES: Final = 8 * _LANES
_ODD: Final = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F)


class Rows(Protocol):
    """Rows whose digests can be taken. Types are compared with those of other rows of the same class only."""

    def __len__(self) -> int: ...
    def ids(self) -> Iterator[str]: ...
    def types(self) -> dict[str, Any]: ...
    def common(self, here: Any, there: Any) -> Any:
        """The type in which values of both types can be compared, or None."""

    def digests(self, wanted: Mapping[str, Any]) -> list[bytes]:
        """16 bytes a row, from the columns of `wanted`, each taken as the type there."""


@final
class ArrowRows:
    """The rows of a table that is read by Arrow."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def __len__(self) -> int:
        return len(self._table)

    def ids(self) -> Iterator[str]:
        return self._table.ids()

    def types(self) -> dict[str, Any]:
        return {field.name: field.type for field in self._table.schema}

    def common(self, here: Any, there: Any) -> Any:
        import pyarrow as pa

        if here == there:
            return here
        if any(pa.types.is_nested(each) or pa.types.is_binary(each) for each in (here, there)):
            return None
        # A column of whole numbers may have got a fraction in one row.
        numeric = all(pa.types.is_integer(each) or pa.types.is_floating(each) for each in (here, there))
        return pa.float64() if numeric else pa.string()

    def digests(self, wanted: Mapping[str, Any]) -> list[bytes]:
        import numpy as np

        found: list[bytes] = []
        for batch in self._table.batches(list(wanted)):
            state = np.zeros((batch.num_rows, _LANES), dtype=np.uint64)
            for column, kind in zip(batch.columns, wanted.values(), strict=True):
                _mix(state, _hashes(column.cast(kind)))
            found += _cut(state)
        return found


@final
class ArrayRows:
    """The items of a NumPy archive."""

    def __init__(self, items: ArrayItems) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def ids(self) -> Iterator[str]:
        return self._items.ids()

    def types(self) -> dict[str, Any]:
        return {name: (array.dtype, array.shape[1:]) for name, array in self._items.arrays.items()}

    def common(self, here: Any, there: Any) -> Any:
        import numpy as np

        if here[1] != there[1]:
            return None
        numeric = all(dtype.kind in "biuf" for dtype, _ in (here, there))
        if here[0] != there[0] and not numeric:
            return None
        return (np.result_type(here[0], there[0]), here[1])

    def digests(self, wanted: Mapping[str, Any]) -> list[bytes]:
        import numpy as np

        state = np.zeros((len(self), _LANES), dtype=np.uint64)
        for name, (dtype, _) in wanted.items():
            at = 0
            for piece in self._items.pieces(name):
                _mix(state[at : at + len(piece)], _hashes_of_array(piece.astype(dtype)))
                at += len(piece)
        return list(_cut(state))


def _mix(state: np.ndarray[Any, Any], values: np.ndarray[Any, Any]) -> None:
    """Stir one more column into the digests, in place."""
    import numpy as np

    for lane in range(_LANES):
        state[:, lane] = _stirred(state[:, lane] * np.uint64(_ODD[lane]) + values[:, lane])


def _cut(state: np.ndarray[Any, Any]) -> Iterator[bytes]:
    raw = state.tobytes()
    return (raw[place : place + _BYTES] for place in range(0, len(raw), _BYTES))


def _stirred(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A permutation of 64 bits in which each bit depends on all: the finalizer of splitmix64 (Steele et al. 2014)."""
    import numpy as np

    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    stirred: np.ndarray[Any, Any] = values ^ (values >> np.uint64(31))
    return stirred


# -- hashes of values: uint64, shape (rows, 2)


def _hashes(column: pa.Array) -> np.ndarray[Any, Any]:
    import numpy as np

    bits = _bits(column)
    if bits is None:
        return _hashes_of_any(column.to_pylist())
    hashes = _hashes_of_bits(bits)
    hashes[np.asarray(column.is_null())] = 0
    return hashes


def _bits(column: pa.Array) -> np.ndarray[Any, Any] | None:
    """The bits of values of fixed width; None for others."""
    import pyarrow as pa

    if pa.types.is_boolean(column.type) or pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return _bits_of_array(column.fill_null(0).to_numpy(zero_copy_only=False))
    return None


def _bits_of_array(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Equal numbers have equal bits: -0.0 is 0.0, and there is one NaN."""
    import numpy as np

    if values.dtype.kind != "f":
        return values.astype(np.uint64)
    wide = values.astype(np.float64) + 0.0
    wide[np.isnan(wide)] = np.nan
    return wide.view(np.uint64)


def _hashes_of_bits(bits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    import numpy as np

    return np.stack([_stirred(bits + np.uint64(odd)) for odd in _ODD], axis=1)


def _hashes_of_array(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    numeric = values.dtype.kind in "biuf"
    if values.ndim == 1:
        return _hashes_of_bits(_bits_of_array(values)) if numeric else _hashes_of_any(values.tolist())
    flat = _bits_of_array(values) if numeric else values
    return _joined(hashlib.blake2b(item.tobytes(), digest_size=_BYTES).digest() for item in flat)


def _hashes_of_any(values: list[Any]) -> np.ndarray[Any, Any]:
    known: dict[str, bytes] = {}
    return _joined(_hash(value, known) for value in values)


def _joined(hashes: Iterator[bytes]) -> np.ndarray[Any, Any]:
    import numpy as np

    return np.frombuffer(b"".join(hashes), dtype=np.uint64).reshape(-1, _LANES)


def _hash(value: object, known: dict[str, bytes]) -> bytes:
    """The hash of text or of any other value; text that comes again is hashed once."""
    if not isinstance(value, str):
        return hashlib.blake2b(repr(value).encode(), digest_size=_BYTES, person=b"other").digest()
    if value not in known:
        known[value] = hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=_BYTES).digest()
    return known[value]
