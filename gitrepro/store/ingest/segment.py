"""Neighbours on their way to becoming a shard."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, final

from ...records.manifest import EMPTY, FILE, FOLDER, LINK, PROGRAM, FileEntry
from ..statcache import STAT, Chunk

NO_BYTES: Final = bytes.fromhex(EMPTY[3:])
_KINDS: Final = {0o100000: FILE, 0o120000: LINK, 0o040000: FOLDER}


@final
@dataclass(slots=True)
class Segment:
    """Paths, ascending, with their packed stats, and what becomes known of them: sizes and the hashes of contents."""

    paths: list[bytes]
    stats: list[bytes]
    names: list[bytes] = field(init=False)
    sizes: list[int] = field(init=False)
    modes: list[int] = field(init=False)

    def __post_init__(self) -> None:
        unpacked = [STAT.unpack(each) for each in self.stats]
        self.sizes = [each[2] for each in unpacked]
        self.modes = [_mode(each[5]) for each in unpacked]
        self.names = [b""] * len(self.paths)

    def found(self, at: int, name: bytes, size_bytes: int, stat: bytes) -> None:
        """The file at a position was read."""
        self.names[at] = name
        if stat != self.stats[at]:
            self.sizes[at] = size_bytes
            self.stats[at] = stat
            self.modes[at] = mode_of(stat)

    def entries(self) -> list[FileEntry]:
        return [
            FileEntry(path, f"b3:{name.hex()}", size, mode)
            for path, name, size, mode in zip(self.paths, self.names, self.sizes, self.modes, strict=True)
        ]

    def chunk(self, count: int) -> Chunk:
        """What the stat cache is to know of the first `count` of them."""
        return Chunk(
            paths=b"\0".join(self.paths[:count]),
            stats=b"".join(self.stats[:count]),
            hashes=b"".join(self.names[:count]),
            size_bytes=sum(self.sizes[:count]),
        )


def mode_of(stat: bytes) -> int:
    """The mode in a manifest of what has this packed stat; 0 for what has no place there."""
    return _mode(STAT.unpack(stat)[5])


def _mode(mode: int) -> int:
    kind = mode & 0o170000
    return PROGRAM if kind == 0o100000 and mode & 0o100 else _KINDS.get(kind, 0)
