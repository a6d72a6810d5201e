"""A pack: many small blobs in one file, with a sorted table of them at its end. FORMAT.md shows the bytes."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, final

from ...errors import Damaged
from .. import fs

SMALL_BYTES: Final = 256 << 10
"""Blobs below this go to a pack: to make a file costs as much as to copy this many bytes."""
TARGET_BYTES: Final = 64 << 20
SUFFIX: Final = ".pack"
_BEGIN: Final = b"gRpack1\n"
_END: Final = b"gRpend1\n"
_ENTRY: Final = struct.Struct(">32sQI")
_TRAILER: Final = struct.Struct(">Q32s8s")
_BUFFER_BYTES: Final = 1 << 20


class Entry(NamedTuple):
    """One blob of a pack: the 32 bytes of its hash, and where it lies. A tuple: packs have thousands."""

    hash: bytes
    offset: int
    size_bytes: int


@final
class PackWriter:
    """Appends blobs to a new file; `close` writes the table and says how the pack is to be called.

    Not for several threads at once.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.size_bytes = 0
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._buffer: list[bytes | bytearray | memoryview] = []
        self._buffered_bytes = 0
        self._entries: list[Entry] = []
        self._write(_BEGIN)

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, name: bytes, data: bytes | bytearray | memoryview) -> None:
        """Append a blob whose hash is `name`; each once."""
        self._entries.append(Entry(name, self.size_bytes, len(data)))
        self._write(data)

    def close(self) -> tuple[str, list[Entry]]:
        """End the file; return the pack's name (64 hex digits) and its blobs by hash."""
        entries = sorted(self._entries)
        table = b"".join(_ENTRY.pack(*entry) for entry in entries)
        name = _hash(table)
        self._write(table)
        self._write(_TRAILER.pack(len(entries), name, _END))
        self._flush()
        os.fchmod(self._fd, 0o444)
        self.abandon()
        return name.hex(), entries

    def abandon(self) -> None:
        """Close the file as it is."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _write(self, data: bytes | bytearray | memoryview) -> None:
        self._buffer.append(data)
        self._buffered_bytes += len(data)
        self.size_bytes += len(data)
        if self._buffered_bytes >= _BUFFER_BYTES:
            self._flush()

    def _flush(self) -> None:
        fs.write_all(self._fd, b"".join(self._buffer))
        self._buffer.clear()
        self._buffered_bytes = 0


def _hash(data: bytes) -> bytes:
    import blake3

    return blake3.blake3(data).digest()


def entries(path: str | Path) -> list[Entry]:
    """The blobs of a pack, ascending by hash.

    Raises:
        FileNotFoundError: it is gone.
        Damaged: its table is not what it was written as, or says what cannot be.
    """
    table, table_at = _read_table(path)
    return list(_checked(path, table, table_at))


def places(path: str | Path, *, at_most: int) -> dict[bytes, tuple[int, int]] | None:
    """Offset and size of each blob of a pack, for who hashes what lies there; None when it has more than `at_most`.

    Raises as `entries` does.
    """
    table, table_at = _read_table(path)
    if len(table) > at_most * _ENTRY.size:
        return None
    return {name: (at, size) for name, at, size in _ENTRY.iter_unpack(table) if at + size <= table_at}


def _read_table(path: str | Path) -> tuple[bytes, int]:
    """The table of a pack as it stands there, its hash verified, and its offset. Raises as `entries` does."""
    with open(path, "rb") as reader:
        size_bytes = os.fstat(reader.fileno()).st_size
        if size_bytes < len(_BEGIN) + _TRAILER.size or reader.read(len(_BEGIN)) != _BEGIN:
            raise _damaged(path, "it does not begin as a pack does")
        reader.seek(size_bytes - _TRAILER.size)
        count, name, end = _TRAILER.unpack(reader.read(_TRAILER.size))
        table_at = size_bytes - _TRAILER.size - count * _ENTRY.size
        if end != _END or table_at < len(_BEGIN):
            raise _damaged(path, "it was cut short")
        reader.seek(table_at)
        table = reader.read(count * _ENTRY.size)
    if _hash(table) != name or Path(path).name != name.hex() + SUFFIX:
        raise _damaged(path, "its table has another hash than its name")
    return table, table_at


def _checked(path: str | Path, table: bytes, table_at: int) -> Iterator[Entry]:
    before = b""
    for name, offset, size_bytes in _ENTRY.iter_unpack(table):
        if name <= before or offset < len(_BEGIN) or offset + size_bytes > table_at:
            raise _damaged(path, "its table says what cannot be")
        before = name
        yield Entry(name, offset, size_bytes)


def _damaged(path: str | Path, why: str) -> Damaged:
    return Damaged(f"the pack {path} cannot be read", why=why, do="`gitrepro verify --all` sets it aside")
