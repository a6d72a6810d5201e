"""TensorFlow's record files: a length, its checksum, the bytes, their checksum; again and again."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Final, final

from .crc32c import masked

MAX_RECORD_BYTES: Final = 64 << 20
_HEAD: Final = struct.Struct("<QI")
_CRC: Final = struct.Struct("<I")
_NO_ZERO: Final = re.compile(rb"[^\0]")
_ZEROS: Final = bytes(_HEAD.size)


@final
class RecordReader:
    """The records of a file that may still grow.

    A record that is not whole yet is waited for. Where a length is damaged, the next length that agrees with its
    checksum is looked for; a record too large to hold is passed over.

    Attributes:
        damaged_bytes: bytes that belong to no record.
        oversized: records over 64 MiB.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._pass_over = 0
        self.damaged_bytes = 0
        self.oversized = 0

    @property
    def waiting_bytes(self) -> int:
        """Bytes of a record whose end has not been seen."""
        return len(self._buffer) + self._pass_over

    def take(self, data: bytes) -> Iterator[tuple[bytes, int]]:
        """The records that end in `data`, each with the checksum that it should have."""
        self._buffer += data
        position = 0
        while (position := self._start_of_record(position)) + _HEAD.size <= len(self._buffer):
            length, _ = _HEAD.unpack_from(self._buffer, position)
            start, end = position + _HEAD.size, position + _HEAD.size + length
            if length > MAX_RECORD_BYTES:
                self.oversized += 1
                self._pass_over = length + _CRC.size
                position = start
                continue
            if end + _CRC.size > len(self._buffer):
                break
            yield bytes(self._buffer[start:end]), _CRC.unpack_from(self._buffer, end)[0]
            position = end + _CRC.size
        del self._buffer[:position]

    def _start_of_record(self, position: int) -> int:
        """Where the next record begins at or behind `position`; near the end of the buffer, where it may begin."""
        passed = min(self._pass_over, len(self._buffer) - position)
        self._pass_over -= passed
        position += passed
        if self._pass_over or position + _HEAD.size > len(self._buffer) or self._is_head(position):
            return position
        found = self._next_head(position + 1)
        self.damaged_bytes += found - position
        return found

    def _next_head(self, position: int) -> int:
        # No record is 4 GiB long: the upper half of a length is zero, which few places are.
        while (zeros := self._buffer.find(b"\0\0\0\0", position + 4)) >= 0:
            position = zeros - 4
            if position + _HEAD.size > len(self._buffer):
                return position
            if self._is_head(position):
                return position
            position = self._behind_zeros(position) if self._buffer.startswith(_ZEROS, position) else position + 1
        return max(position, len(self._buffer) - _HEAD.size + 1)

    def _behind_zeros(self, position: int) -> int:
        """The first place that is not twelve zeros, which are no head."""
        found = _NO_ZERO.search(self._buffer, position)
        return (found.start() if found else len(self._buffer)) - _HEAD.size + 1

    def _is_head(self, position: int) -> bool:
        head = bytes(self._buffer[position : position + _HEAD.size])
        return head[4:8] == _ZEROS[:4] and masked(head[:8]) == int.from_bytes(head[8:], "little")
