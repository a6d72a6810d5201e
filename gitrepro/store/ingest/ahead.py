"""A walk with so many paths in view that where the next shard ends can be seen."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import islice
from typing import final

from ...records.manifest import ENTRIES_AT_MOST
from ..scan import Run
from ..statcache import Chunk


@final
class Ahead:
    """The next paths of a walk, and their packed stats."""

    def __init__(self, runs: Iterator[Run]) -> None:
        self._runs = runs
        self.ended = False
        self.paths: list[bytes] = []
        self.stats: list[bytes] = []

    def fill(self) -> bool:
        """Look as far as one shard can reach; whether anything is left."""
        while not self.ended and len(self.paths) < ENTRIES_AT_MOST:
            run = next(self._runs, None)
            if run is None:
                self.ended = True
            else:
                prefix = run.prefix
                self.paths += [prefix + name for name in run.names] if prefix else run.names
                self.stats += run.stats
        return bool(self.paths)

    def begins_with(self, chunk: Chunk) -> bool:
        """Whether what comes next is just what this chunk tells of, and would be one shard."""
        return (chunk.closed or (self.ended and chunk.files == len(self.paths))) and self.is_as(chunk)

    def is_as(self, chunk: Chunk) -> bool:
        """Whether what comes next begins with just what this chunk tells of."""
        count = chunk.files
        return (
            count <= len(self.paths)
            and b"".join(islice(self.stats, count)) == chunk.stats
            and b"\0".join(islice(self.paths, count)) == chunk.paths
        )

    def drop(self, count: int) -> tuple[list[bytes], list[bytes]]:
        """Take the next paths and their stats out of view."""
        taken = self.paths[:count], self.stats[:count]
        del self.paths[:count], self.stats[:count]
        return taken

    def before(self, end: bytes | None) -> int:
        """How many of those in view are before a path; all of them for None."""
        return len(self.paths) if end is None else bisect_left(self.paths, end)
