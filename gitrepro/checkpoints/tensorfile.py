"""Tensor files in the safetensors format: a header in JSON, then the bytes of each tensor, one after the other.

Written here rather than by the library, so that a file can go to the store in parts, and the same state makes the same
bytes. The library reads them. Read here, so that every length in a strange file is checked before it is used.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..errors import Damaged
from .dtypes import ITEM_BYTES

HEADER_BYTES_AT_MOST: Final = 100_000_000
_LENGTH_BYTES: Final = 8
_ALIGNED: Final = 8
_METADATA: Final = "__metadata__"


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One tensor: its element type as the format names it, its shape, and its bytes, the last axis fastest."""

    dtype: str
    shape: tuple[int, ...]
    data: memoryview


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorFile:
    """What a file holds. The bytes of the pieces are those of the file, not copies."""

    metadata: Mapping[str, str]
    pieces: Mapping[str, Piece]


def order(pieces: Mapping[str, Piece]) -> list[str]:
    """The order in which tensors lie in a file."""
    # Wide elements first: each tensor then begins at a multiple of its element's size.
    return sorted(pieces, key=lambda name: (-ITEM_BYTES[pieces[name].dtype], name))


def parts(pieces: Mapping[str, Piece], metadata: Mapping[str, str]) -> Iterator[memoryview]:
    """The bytes of a file: the header, then each piece. Equal content gives equal bytes, in whatever order it comes."""
    names = order(pieces)
    header: dict[str, Any] = {_METADATA: dict(sorted(metadata.items()))}
    offset = 0
    for name in names:
        piece = pieces[name]
        end = offset + piece.data.nbytes
        header[name] = {"dtype": piece.dtype, "shape": list(piece.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNED)
    yield memoryview(len(text).to_bytes(_LENGTH_BYTES, "little") + text)
    for name in names:
        if pieces[name].data.nbytes:
            yield pieces[name].data


def is_tensor_file(data: memoryview) -> bool:
    """Whether a file begins as this format does."""
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    return length <= HEADER_BYTES_AT_MOST and bytes(data[_LENGTH_BYTES : _LENGTH_BYTES + 1]) == b"{"


def read(data: memoryview, *, source: str) -> TensorFile:
    """Read a file that is in memory as a whole.

    Raises:
        Damaged: a length, an offset or a type in it cannot be; nothing of it is used.
    """
    try:
        return _read(data, source)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise Damaged(f"{source} is no whole tensor file", why=f"{error!s:.200}") from error


def _read(data: memoryview, source: str) -> TensorFile:
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    if not 2 <= length <= min(HEADER_BYTES_AT_MOST, data.nbytes - _LENGTH_BYTES):
        raise Damaged(f"{source} is no whole tensor file", why=f"its header would have {length} bytes")
    header = json.loads(bytes(data[_LENGTH_BYTES : _LENGTH_BYTES + length]), object_pairs_hook=_without_repeats)
    metadata = header.pop(_METADATA, {})
    if not all(isinstance(text, str) for text in metadata.values()):
        raise ValueError("its metadata is not text")
    body = data[_LENGTH_BYTES + length :]
    pieces = {name: _piece(name, told, body) for name, told in header.items()}
    _check_cover(header, body.nbytes)
    return TensorFile(metadata=metadata, pieces=pieces)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice in its header")
    return found


def _piece(name: str, told: Mapping[str, Any], body: memoryview) -> Piece:
    (begin, end), shape = told["data_offsets"], told["shape"]
    if not all(type(size) is int and size >= 0 for size in (begin, end, *shape)):
        raise ValueError(f"{name!r:.80} has a size that is no whole number")
    size_bytes = math.prod(shape) * ITEM_BYTES[told["dtype"]]
    if not begin <= end <= body.nbytes or end - begin != size_bytes:
        raise ValueError(f"{name!r:.80} lies at {begin} to {end} of {body.nbytes} bytes, and has {size_bytes}")
    return Piece(dtype=told["dtype"], shape=tuple(shape), data=body[begin:end])


def _check_cover(header: Mapping[str, Any], size_bytes: int) -> None:
    """Bytes that belong to two tensors, or to none, are no accident."""
    at = 0
    for begin, end in sorted(told["data_offsets"] for told in header.values()):
        if begin != at:
            raise ValueError(f"its tensors overlap or leave a gap at byte {min(begin, at)}")
        at = end
    if at != size_bytes:
        raise ValueError(f"its tensors end at {at} of {size_bytes} bytes")
