"""The tensors of a safetensors file: 8 bytes with the length of a JSON header, the header, the tensors.

The format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO, Final

HEADER_BYTES_AT_MOST: Final = 100_000_000  # as the format says
TENSORS_AT_MOST: Final = 1 << 16
_LENGTH = struct.Struct("<Q")
_WINDOW_BYTES: Final = 1 << 20

# Not a JSON parser: a header of 100 MB would become gigabytes of objects, and what is found here is only a proposal.
_S = rb"[ \t\r\n]{0,8}"
_OFFSETS = re.compile(
    rb'"data_offsets"' + _S + b":" + _S + rb"\[" + _S + rb"([0-9]{1,16})" + _S + b"," + _S + rb"([0-9]{1,16})"
)
_MATCH_BYTES_AT_MOST: Final = 128


def begins(head: bytes) -> bool:
    """Whether a file that begins with these bytes may be one."""
    return len(head) > _LENGTH.size and head[_LENGTH.size] == ord("{")


def cuts(reader: BinaryIO, size_bytes: int) -> list[int]:
    """The end of the header, and the borders of the tensors; in small memory, whatever the file says.

    Raises:
        struct.error: the file is too short.
    """
    reader.seek(0)
    header_bytes = _LENGTH.unpack(reader.read(_LENGTH.size))[0]
    data_at = _LENGTH.size + header_bytes
    if header_bytes > HEADER_BYTES_AT_MOST or data_at >= size_bytes:
        return []
    found: list[int] = []
    for begin, end in islice(_offsets(reader, header_bytes), TENSORS_AT_MOST):
        if begin < end <= size_bytes - data_at:
            # A tensor begins where another ended: an offset more is needed only in a file with holes.
            if not found or found[-1] != data_at + begin:
                found.append(data_at + begin)
            found.append(data_at + end)
    return [data_at, *found] if found else []


def _offsets(reader: BinaryIO, left_bytes: int) -> Iterator[tuple[int, int]]:
    """The `data_offsets` in the next `left_bytes` of the file, read through a window."""
    window = b""
    while left_bytes and (more := reader.read(min(left_bytes, _WINDOW_BYTES))):
        left_bytes -= len(more)
        window += more
        used = 0
        for match in _OFFSETS.finditer(window):
            if match.end() == len(window) and left_bytes:
                break  # the number may go on
            used = match.end()
            yield int(match[1]), int(match[2])
        window = window[max(used, len(window) - _MATCH_BYTES_AT_MOST) :]
