"""CRC-32C, by which TensorFlow's record files are checked; the standard library has only the other CRC-32."""

from __future__ import annotations

import sys
from array import array
from functools import cache
from typing import Final

_POLYNOMIAL: Final = 0x82F63B78
_MASK: Final = 0xA282EAD8


def crc32c(data: bytes | memoryview) -> int:
    """The checksum of `data`, two bytes a step."""
    by_byte, by_pair = _tables()
    whole = len(data) & ~1
    pairs = array("H", bytes(data[:whole]))
    if sys.byteorder == "big":
        pairs.byteswap()
    crc = 0xFFFFFFFF
    for pair in pairs:
        crc = by_pair[(crc ^ pair) & 0xFFFF] ^ (crc >> 16)
    for byte in data[whole:]:
        crc = by_byte[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes | memoryview) -> int:
    """The checksum as record files hold it: turned and moved, for a checksum over a checksum is a weak one."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + _MASK) & 0xFFFFFFFF


@cache
def _tables() -> tuple[list[int], list[int]]:
    """What the next byte does to the checksum, and what the next two do."""
    by_byte = [_eight_steps(byte) for byte in range(256)]
    by_pair = [by_byte[(first := by_byte[pair & 0xFF]) & 0xFF ^ pair >> 8] ^ first >> 8 for pair in range(1 << 16)]
    return by_byte, by_pair


def _eight_steps(crc: int) -> int:
    for _ in range(8):
        crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
    return crc
