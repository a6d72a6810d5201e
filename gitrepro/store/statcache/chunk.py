"""Neighbours of a walk as they were when they were read, and what shows that a file was changed since."""

from __future__ import annotations

import os
import struct
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, final

RACY_NS: Final = 2_000_000_000
"""A file that was changed so shortly before it was read may be changed again with the same times."""
_UNKNOWN_CLOCK_NS: Final = 24 * 3600 * 10**9

STAT: Final = struct.Struct("<QQQqqI")
_pack: Final = STAT.pack
NEVER: Final = bytes(STAT.size)
"""The stat of no file: what was read is known, and is not to be trusted."""
EMPTY_FOLDER: Final = STAT.pack(0, 0, 0, 0, 0, 0o040000)
HASH_BYTES: Final = 32


def packed(found: os.stat_result) -> bytes:
    """What shows that a file was written to, replaced, or given other rights: 44 bytes."""
    return _pack(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Neighbours of a walk, as they were when they were read.

    `shard` is the hash of their manifest shard, where they were found to make up just one.
    `packs` and `loose` say where their blobs lie in the store, where that is known.
    """

    paths: bytes  # joined by zero bytes
    stats: bytes  # packed, one after the other; NEVER for those not to be trusted
    hashes: bytes  # 32 bytes each
    size_bytes: int
    shard: bytes | None = None
    closed: bool = False  # whether that shard is the same when more files follow
    packs: bytes | None = None
    loose: bytes | None = None

    @property
    def first(self) -> bytes:
        return self.paths.partition(b"\0")[0]

    @property
    def last(self) -> bytes:
        return self.paths.rpartition(b"\0")[2]

    @property
    def files(self) -> int:
        return len(self.hashes) // HASH_BYTES

    def rows(self) -> Iterator[tuple[bytes, bytes, bytes]]:
        """Path, stat and hash of each file."""
        for at, path in enumerate(self.paths.split(b"\0")):
            yield path, self.stats[at * STAT.size : (at + 1) * STAT.size], self.hashes[at * 32 : (at + 1) * 32]

    def names(self) -> list[bytes]:
        """The hashes, one by one."""
        return [self.hashes[at : at + HASH_BYTES] for at in range(0, len(self.hashes), HASH_BYTES)]

    def sum(self) -> int:
        numbers = b"%d %d" % (self.size_bytes, self.closed)
        values = (self.paths, self.stats, self.hashes, numbers, self.shard, self.packs, self.loose)
        return zlib.crc32(b"\1".join(b"" if value is None else b"+" + value for value in values))


def distrusting(chunk: Chunk, taken_ns: int) -> Chunk:
    """The chunk without the stats of files that were changed just before they were read."""
    times = (max(mtime, ctime) for _, _, _, mtime, ctime, _ in STAT.iter_unpack(chunk.stats))
    racy = [at for at, time_ns in enumerate(times) if time_ns >= taken_ns - RACY_NS]
    if not racy:
        return chunk
    stats = bytearray(chunk.stats)
    for at in racy:
        stats[at * STAT.size : (at + 1) * STAT.size] = NEVER
    return replace(chunk, stats=bytes(stats), shard=None)


def clock_ns(folder_fd: int) -> int:
    """What time it is to the file system of a folder, whose clock may be another one than ours.

    Where no file can be made, a day is taken off our own: there only what is that old can be trusted.
    """
    try:
        fd = os.open(".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=folder_fd)
    except (OSError, AttributeError):
        return time.time_ns() - _UNKNOWN_CLOCK_NS
    try:
        return os.fstat(fd).st_mtime_ns
    finally:
        os.close(fd)
