"""What the stat cache is told of files that were laid out, or found to be right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, final

from ...records.manifest import ShardRef, shard_length
from ..statcache import Chunk, Session, clock_ns
from ..trees import FileEntry

_FILES_A_FLUSH: Final = 100_000


@final
class Saved:
    """What the stat cache is to know of files that were looked at or written; nothing of a part of a tree."""

    def __init__(self, session: Session, root_fd: int, *, whole: bool) -> None:
        self._session = session
        self._root_fd = root_fd
        self._whole = whole
        self._waiting: list[tuple[ShardRef, list[FileEntry], list[bytes], int | None]] = []
        self._files = 0

    def known(self, entries: list[FileEntry]) -> Mapping[bytes, tuple[bytes, bytes]]:
        return self._session.known(entries[0].path, entries[-1].path)

    def clock_ns(self) -> int:
        return clock_ns(self._root_fd)

    def add(self, ref: ShardRef, entries: list[FileEntry], rows: list[bytes], *, taken_ns: int | None = None) -> None:
        """These entries have these packed stats, empty where nothing is known; that may still change.

        Args:
            taken_ns: the time before they were read. None for what we write: that is known without reading, and young
                until it is saved.
        """
        if self._whole:
            self._waiting.append((ref, entries, rows, taken_ns))
            self._files += len(entries)

    @property
    def is_due(self) -> bool:
        return self._files >= _FILES_A_FLUSH

    def flush(self) -> None:
        """Save it."""
        waiting, self._waiting, self._files = self._waiting, [], 0
        now_ns = self.clock_ns()
        for ref, entries, rows, taken_ns in waiting:
            chunk = _chunk(ref, entries, rows)
            if chunk is not None:
                self._session.save(chunk, taken_ns=now_ns if taken_ns is None else taken_ns)
        self._session.flush()


def _chunk(ref: ShardRef, entries: list[FileEntry], rows: list[bytes]) -> Chunk | None:
    found = [(entry, row) for entry, row in zip(entries, rows, strict=True) if row]
    if not found:
        return None
    return Chunk(
        paths=b"\0".join(entry.path for entry, _ in found),
        stats=b"".join(row for _, row in found),
        hashes=b"".join(bytes.fromhex(entry.digest[3:]) for entry, _ in found),
        size_bytes=sum(entry.size_bytes for entry, _ in found),
        shard=bytes.fromhex(ref.digest[3:]) if len(found) == ref.files else None,
        closed=shard_length([entry.path for entry, _ in found]) is not None,
    )
