"""The records of a zip archive that are stored as they are, which is how `torch.save` keeps tensors.

Only the central directory and the local headers of large records are read. Numbers of the format are those of the
"APPNOTE" of PKWARE, 4.3 and 4.5.3: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from .lengths import SMALL_BYTES

DIRECTORY_BYTES_AT_MOST: Final = 16 << 20
RECORDS_AT_MOST: Final = 1 << 16
_LOCAL = struct.Struct("<4s22xHH")
_LOCAL_MAGIC: Final = b"PK\3\4"
_ENTRY = struct.Struct("<4s6xH8xIIHHH8xI")
_ENTRY_MAGIC: Final = b"PK\1\2"
_END = struct.Struct("<4s6xHIIH")
_END_MAGIC: Final = b"PK\5\6"
_LOCATOR = struct.Struct("<4s4xQ4x")
_LOCATOR_MAGIC: Final = b"PK\6\7"
_END64 = struct.Struct("<4s28xQQQ")
_END64_MAGIC: Final = b"PK\6\6"
_COMMENT_BYTES_AT_MOST: Final = 0xFFFF
_IN_EXTRA: Final = 0xFFFFFFFF
_ZIP64_FIELD: Final = 1
_STORED: Final = 0


@dataclass(frozen=True, slots=True)
class _Record:
    header_at: int
    size_bytes: int


def begins(head: bytes) -> bool:
    """Whether a file that begins with these bytes may be one."""
    return head.startswith(_LOCAL_MAGIC)


def cuts(reader: BinaryIO, size_bytes: int) -> list[int]:
    """The borders of the records and the beginning of the directory.

    Of a large record these are where its own bytes begin and end. The header before it holds its name, and with it the
    name of the file: it must not be stored with the tensor.

    Raises:
        struct.error, ValueError: it is no zip archive, or a damaged one.
    """
    directory_at, directory = _directory(reader, size_bytes)
    found: list[int] = []
    large = False
    for record in _records(directory):
        if record.size_bytes < SMALL_BYTES:
            found.append(record.header_at)
        elif (begin := _data_at(reader, record.header_at, size_bytes)) + record.size_bytes <= directory_at:
            found += (begin, begin + record.size_bytes)
            large = True
    return [*found, directory_at] if large else []


def _directory(reader: BinaryIO, size_bytes: int) -> tuple[int, bytes]:
    """Where the central directory begins, and its bytes."""
    tail_bytes = min(size_bytes, _END.size + _COMMENT_BYTES_AT_MOST)
    tail = _read(reader, size_bytes - tail_bytes, tail_bytes)
    end = tail.rfind(_END_MAGIC)
    if end < 0:
        raise ValueError("no end of central directory")
    _, _, length, begin, _ = _END.unpack_from(tail, end)
    end_at = size_bytes - tail_bytes + end
    if _IN_EXTRA in (length, begin) or _has_locator(tail, end):
        length, begin = _directory64(reader, end_at) or (length, begin)
    if length > DIRECTORY_BYTES_AT_MOST or begin + length > end_at:
        raise ValueError("the central directory is too large, or outside the file")
    return begin, _read(reader, begin, length)


def _has_locator(tail: bytes, end: int) -> bool:
    return tail[max(end - _LOCATOR.size, 0) : end].startswith(_LOCATOR_MAGIC)


def _directory64(reader: BinaryIO, end_at: int) -> tuple[int, int] | None:
    """Length and beginning of the directory, as a zip64 archive says them."""
    magic, end64_at = _LOCATOR.unpack(_read(reader, end_at - _LOCATOR.size, _LOCATOR.size))
    if magic != _LOCATOR_MAGIC or end64_at + _END64.size > end_at:
        return None
    magic, _, length, begin = _END64.unpack(_read(reader, end64_at, _END64.size))
    return (length, begin) if magic == _END64_MAGIC else None


def _records(directory: bytes) -> Iterator[_Record]:
    """The stored records of a central directory, as far as it can be read."""
    at = count = 0
    while at + _ENTRY.size <= len(directory) and count < RECORDS_AT_MOST:
        magic, method, packed, size, name, extra, comment, header_at = _ENTRY.unpack_from(directory, at)
        if magic != _ENTRY_MAGIC:
            return
        at += _ENTRY.size + name
        if method == _STORED:
            fields = directory[at : at + extra]
            size, packed, header_at = _wide(fields, (size, packed, header_at))
            yield _Record(header_at, packed)
        at += extra + comment
        count += 1


def _wide(fields: bytes, numbers: tuple[int, int, int]) -> tuple[int, int, int]:
    """Numbers that did not fit in 32 bits stand in a field of their own, in this order."""
    if _IN_EXTRA not in numbers:
        return numbers
    wide = struct.iter_unpack("<Q", _field(fields))
    size, packed, header_at = [next(wide, (number,))[0] if number == _IN_EXTRA else number for number in numbers]
    return size, packed, header_at


def _field(fields: bytes) -> bytes:
    at = 0
    while at + 4 <= len(fields):
        kind, length = struct.unpack_from("<HH", fields, at)
        at += 4
        if kind == _ZIP64_FIELD:
            return fields[at : at + (length & ~7)]
        at += length
    return b""


def _data_at(reader: BinaryIO, header_at: int, size_bytes: int) -> int:
    """Where the bytes of a record begin; the end of the file where it cannot be said."""
    if header_at + _LOCAL.size > size_bytes:
        return size_bytes
    magic, name, extra = _LOCAL.unpack(_read(reader, header_at, _LOCAL.size))
    return header_at + _LOCAL.size + name + extra if magic == _LOCAL_MAGIC else size_bytes


def _read(reader: BinaryIO, offset: int, length: int) -> bytes:
    reader.seek(offset)
    return reader.read(length)
