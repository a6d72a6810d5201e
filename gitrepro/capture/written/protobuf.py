"""The wire format of Protocol Buffers, as far as scalars need it: numbered fields of four kinds."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5
_FIXED: Final = {EIGHT_BYTES: 8, FOUR_BYTES: 4}
_WIDE: Final = 1 << 63

Value = int | bytes


def fields(data: bytes) -> Iterator[tuple[int, int, Value]]:
    """Number, kind and value of each field of a message: an int for a varint, else the bytes.

    Raises:
        ValueError: this is no message.
    """
    position, size = 0, len(data)
    while position < size:
        key = data[position]
        position += 1
        if key >= 0x80:
            key, position = _varint(data, position - 1)
        kind = key & 7
        if kind == LENGTH:
            length, position = _varint(data, position)
        elif kind == VARINT:
            value, position = _varint(data, position)
            yield key >> 3, kind, value
            continue
        elif kind in _FIXED:
            length = _FIXED[kind]
        else:
            raise ValueError(f"a field of kind {kind}")
        if not key >> 3 or position + length > size:
            raise ValueError("a field that goes on behind its message")
        yield key >> 3, kind, data[position : position + length]
        position += length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(data) or shift > 63:
            raise ValueError("a number without an end")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2 * _WIDE - 1), position
        shift += 7


def signed(value: Value) -> int:
    """A varint as the int64 that it stands for."""
    if not isinstance(value, int):
        raise ValueError("bytes where a number belongs")
    return value - 2 * _WIDE if value >= _WIDE else value


def content(value: Value) -> bytes:
    """The bytes of a field that has a length."""
    if isinstance(value, int):
        raise ValueError("a number where bytes belong")
    return value


def text(value: Value) -> str:
    """A string field."""
    return content(value).decode("utf-8")


def float64(value: Value) -> float:
    return _unpack("<d", value)


def float32(value: Value) -> float:
    return _unpack("<f", value)


def _unpack(layout: str, value: Value) -> float:
    try:
        return float(struct.unpack(layout, content(value))[0])
    except struct.error as error:
        raise ValueError("a number of another width") from error
