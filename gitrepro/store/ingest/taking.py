"""The bytes of a stretch of files, found in the stat cache or read, and put where they are not yet."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Final, NamedTuple, final

from ...errors import SourceChanged, Unsafe
from ...records.filename import fault_of
from ...records.manifest import FOLDER, LINK
from ..objects import Batch, copying
from ..presence import Presence
from ..progress import Teller
from ..reading import SMALL_BYTES, Files, Hashed, hashed, no_file
from ..scan import gone
from ..statcache import STAT, packed
from .rolling import Rolling
from .segment import NO_BYTES, Segment

_TRIES: Final = 3
_HELD_BYTES: Final = 4 << 20
_HELD_FILES: Final = 512
_ALONE_BELOW_BYTES: Final = 1 << 20
_WORKERS_AT_MOST: Final = 4


class _Taken(NamedTuple):
    hashed: Hashed
    cut: bool


@final
class Taker:
    """Reads files and puts them into a batch; large ones beside each other, on all cores.

    Args:
        presence: what is in the store already; None to put nothing but to hash.
    """

    def __init__(self, files: Files, rolling: Rolling, presence: Presence | None, teller: Teller) -> None:
        from blake3 import blake3

        self._blake3 = blake3
        self._files = files
        self._rolling = rolling
        self._presence = presence
        self._teller = teller
        self._held: list[tuple[bytes, bytes]] = []
        self._held_bytes = 0
        self._pool: ThreadPoolExecutor | None = None
        self._workers = min(len(os.sched_getaffinity(0)), _WORKERS_AT_MOST)
        self._outstanding: deque[tuple[int, int, Future[_Taken]]] = deque()
        self.hashed_files = 0
        self.reused_files = 0
        self.recipes = 0

    def take(self, segment: Segment, known: Mapping[bytes, tuple[bytes, bytes]]) -> Iterator[int]:
        """Find the hash of each file of a segment, and put what is not in the store.

        Stops where the batch should end, and gives how many files, counted from the first, are in it by then.
        """
        to_read = self._sort_out(segment, known)
        self._rolling.count(len(segment.paths))
        self._count_reused(segment, to_read)
        for at in to_read:
            self._read(segment, at)
            if self._rolling.is_due:
                self._catch_up(segment)
                yield at + 1
        self._catch_up(segment)

    def _sort_out(self, segment: Segment, known: Mapping[bytes, tuple[bytes, bytes]]) -> list[int]:
        """Which files have to be read. The rest is named."""
        to_read, cached = [], []
        for at, (path, stat, mode) in enumerate(zip(segment.paths, segment.stats, segment.modes, strict=True)):
            self._check_name(path)
            if mode in (FOLDER, LINK, 0):
                self._odd(segment, at)
            elif (row := known.get(path)) is not None and row[0] == stat:
                segment.names[at] = row[1]
                cached.append(at)
            else:
                to_read.append(at)
        if self._presence is not None and cached:
            absent = self._presence.absent(segment.names[at] for at in cached)
            to_read += [at for at in cached if segment.names[at] in absent]
            to_read.sort()
        return to_read

    def _count_reused(self, segment: Segment, to_read: list[int]) -> None:
        count = len(segment.paths) - len(to_read)
        self.reused_files += count
        self._teller.count(count, sum(segment.sizes) - sum(segment.sizes[at] for at in to_read))

    def _check_name(self, path: bytes) -> None:
        fault = fault_of(path.removesuffix(b"/"))
        if fault:
            raise Unsafe(
                f"{self._files.name(path)} {fault}",
                why="it could do harm where it is laid out again",
                do="give it another name, or leave it out with --ignore",
            )

    def _odd(self, segment: Segment, at: int) -> None:
        path = segment.paths[at]
        if segment.modes[at] == LINK:
            text = self._files.harmless_link(path)
            segment.names[at], segment.sizes[at] = self._blake3(text).digest(), len(text)
            self._hold(segment.names[at], text)
        elif segment.modes[at] == FOLDER and path.endswith(b"/"):
            segment.names[at] = NO_BYTES
            self._hold(NO_BYTES, b"")  # who verifies a tree finds a blob for each entry
        elif segment.modes[at] == FOLDER:
            raise gone(self._files.name(path))
        else:
            raise no_file(self._files.name(path), STAT.unpack(segment.stats[at])[5])

    # -- reading

    def _read(self, segment: Segment, at: int) -> None:
        self.hashed_files += 1
        path = segment.paths[at]
        small = self._files.small(path, segment.stats[at]) if segment.sizes[at] < SMALL_BYTES else None
        if small is not None:
            data, stat = small
            name = self._blake3(data).digest()
            segment.found(at, name, len(data), stat)
            self._hold(name, data)
            self._teller.count(1, len(data))
        else:
            self._read_large(segment, at)

    def _read_large(self, segment: Segment, at: int) -> None:
        fd = self._files.open(segment.paths[at])
        named = self._files.name(segment.paths[at])
        batch = self._rolling.batch if self._presence is not None else None
        if segment.sizes[at] < _ALONE_BELOW_BYTES or self._workers == 1:
            try:
                self._took(segment, at, _take(batch, fd, named))
            finally:
                os.close(fd)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._workers, "gitrepro-add")
        self._outstanding.append((at, fd, self._pool.submit(_take, batch, fd, named)))
        if len(self._outstanding) >= 2 * self._workers:
            self._settle(segment)

    def _settle(self, segment: Segment) -> None:
        """Wait for the large file that was begun first."""
        at, fd, future = self._outstanding[0]
        taken = future.result()
        self._outstanding.popleft()
        os.close(fd)
        self._took(segment, at, taken)

    def _took(self, segment: Segment, at: int, taken: _Taken) -> None:
        segment.found(at, *taken.hashed)
        self.recipes += taken.cut
        self._teller.count(1, taken.hashed.size_bytes)

    # -- putting

    def _hold(self, name: bytes, data: bytes) -> None:
        if self._presence is None:
            return
        self._held.append((name, data))
        self._held_bytes += len(data)
        if self._held_bytes >= _HELD_BYTES or len(self._held) >= _HELD_FILES:
            self._put_held()

    def _put_held(self) -> None:
        held, self._held, self._held_bytes = self._held, [], 0
        if held and self._presence is not None:
            absent = self._presence.absent(name for name, _ in held)
            put = self._rolling.batch.put_anew
            for name, data in held:
                if name in absent:
                    put(name, data)

    def _catch_up(self, segment: Segment) -> None:
        self._put_held()
        while self._outstanding:
            self._settle(segment)

    def __enter__(self) -> Taker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        while self._outstanding:
            os.close(self._outstanding.popleft()[1])


def _take(batch: Batch | None, fd: int, named: str) -> _Taken:
    """Hash a large file, and put it into the batch.

    Raises:
        SourceChanged: it is written to again and again.
    """
    if batch is None:
        return _Taken(hashed(fd, named=named), False)
    for _ in range(_TRIES):
        before = packed(os.fstat(fd))
        try:
            digest, size_bytes, cut = _put(batch, fd, named)
        except SourceChanged as error:
            raise copying.changed(named) from error
        if packed(os.fstat(fd)) == before:
            return _Taken(Hashed(bytes.fromhex(digest[3:]), size_bytes, before), cut)
    raise copying.changed(named)


def _put(batch: Batch, fd: int, named: str) -> tuple[str, int, bool]:
    from .. import recipes
    from ..splitters import propose

    size_bytes = os.fstat(fd).st_size
    if size_bytes >= recipes.WHOLE_BELOW_BYTES:
        with open(fd, "rb", closefd=False) as reader:
            cuts = propose(reader, size_bytes)
            if cuts is not None:
                return *recipes.put_split(batch, reader, size_bytes, cuts=cuts), True
    return *batch.put_open(fd, named=named), False
