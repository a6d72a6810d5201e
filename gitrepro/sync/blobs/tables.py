"""Packs as they travel: planned from the sizes of their blobs, and read by their tables. The bytes are a local pack's.

What a pack will hold is known before a byte of it is read: so it is sent as it is made, and lies nowhere meanwhile.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ...errors import Damaged
from ...store.objects import digest_of
from ...store.objects.packfile import SMALL_BYTES, TARGET_BYTES, Entry

TABLE_BYTES_AT_MOST: Final = 64 << 20
_BEGIN: Final = b"gRpack1\n"
_END: Final = b"gRpend1\n"
_ENTRY: Final = struct.Struct(">32sQI")
_TRAILER: Final = struct.Struct(">Q32s8s")
_PART_BYTES: Final = 256 << 10


@dataclass(frozen=True, slots=True)
class Planned:
    """A pack that is to be sent: its name in 64 hex digits, its blobs in the order of their places, and its table."""

    name: str
    entries: tuple[Entry, ...]
    table: bytes
    size_bytes: int


def plan(blobs: Iterable[tuple[bytes, int]]) -> Iterator[Planned]:
    """Share blobs out to packs of at most 64 MiB, in the order that they come in: the same blobs give the same packs.

    Args:
        blobs: hash and size in bytes of each; no hash twice, none of 256 KiB or more.
    """
    entries, at = list[Entry](), len(_BEGIN)
    for name, size_bytes in blobs:
        if at + size_bytes + _ENTRY.size * (len(entries) + 1) + _TRAILER.size > TARGET_BYTES:
            yield _planned(entries, at)
            entries, at = [], len(_BEGIN)
        entries.append(Entry(name, at, size_bytes))
        at += size_bytes
    if entries:
        yield _planned(entries, at)


def _planned(entries: Sequence[Entry], table_at: int) -> Planned:
    rows = b"".join(sorted(_ENTRY.pack(each.hash, each.offset, each.size_bytes) for each in entries))
    name = digest_of([rows])[3:]
    table = rows + _TRAILER.pack(len(entries), bytes.fromhex(name), _END)
    return Planned(name, tuple(entries), table, table_at + len(table))


def parts(planned: Planned, read: Callable[[Entry], bytes | memoryview]) -> Iterator[bytes]:
    """The bytes of a pack. `read` gives the verified bytes of each blob, and may raise."""
    waiting, waiting_bytes = [_BEGIN], len(_BEGIN)
    for entry in planned.entries:
        data = bytes(read(entry))
        waiting.append(data)
        waiting_bytes += len(data)
        if waiting_bytes >= _PART_BYTES:
            yield b"".join(waiting)
            waiting, waiting_bytes = [], 0
    yield b"".join([*waiting, planned.table])


def check_table(data: bytes, pack: str, *, source: str) -> None:
    """Trust the table of a pack, or raise Damaged: cut, changed, or that of another pack."""
    rows, trailer = data[: -_TRAILER.size], data[-_TRAILER.size :]
    if len(trailer) != _TRAILER.size or len(rows) % _ENTRY.size:
        raise _damaged(source, "it was cut short")
    count, name, end = _TRAILER.unpack(trailer)
    if end != _END or count * _ENTRY.size != len(rows) or name.hex() != pack or digest_of([rows])[3:] != pack:
        raise _damaged(source, "it has another hash than its name")


def entries_of(table: bytes) -> Iterator[Entry]:
    """The blobs of a table that was checked, ascending by hash. What cannot be is left out: nobody needs it."""
    for name, offset, size_bytes in _ENTRY.iter_unpack(table[: -_TRAILER.size]):
        if offset >= len(_BEGIN) and size_bytes < SMALL_BYTES:
            yield Entry(name, offset, size_bytes)


def _damaged(source: str, why: str) -> Damaged:
    return Damaged(f"{source} is damaged", why=why, do="push again what the pack holds")
