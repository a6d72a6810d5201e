"""The files of a tree, written one by one, or, large ones, beside each other."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Final, NamedTuple, final

from ...errors import BlobMissing, Damaged
from ...records.filename import escape, fault_of_link
from ...records.manifest import FILE, LINK_BYTES_AT_MOST, PROGRAM
from .. import fs
from ..folders import Folders
from ..objects import BlobStore
from ..reading import SMALL_BYTES
from ..trees import FileEntry
from . import placing
from .layout import Layout
from .looking import wants_other_mode
from .packed import PackedBlobs
from .placing import Spot

_BESIDE_BYTES: Final = 1 << 20
_WORKERS_AT_MOST: Final = 4


class _Outgoing(NamedTuple):
    entry: FileEntry
    spot: Spot
    temporary: bytes
    fd: int
    future: Future[int]
    done: Callable[[bytes], None]


@final
class Writer:
    """Writes files below a folder; what the store has not, or has with wrong bytes, is told of in `missing` and
    `damaged`, and left out.

    Args:
        hardlink: let large files be the very files of the store, read-only, where that is possible.
    """

    def __init__(self, store: BlobStore, root_fd: int, layout: Layout, *, place: str, hardlink: bool = False) -> None:
        self._store = store
        self._layout = layout
        self._place = place
        self._hardlink = hardlink
        self._folders = Folders(root_fd, make=True)
        self._packs = PackedBlobs(store)
        self._workers = min(len(os.sched_getaffinity(0)), _WORKERS_AT_MOST)
        self._pool: ThreadPoolExecutor | None = None
        self._outgoing: deque[_Outgoing] = deque()
        self._slot = 0
        self.missing: list[tuple[bytes, BlobMissing]] = []
        self.damaged: list[tuple[bytes, Damaged]] = []

    def expect(self, entries: Sequence[FileEntry]) -> None:
        """The entries that will be written next."""
        self._packs.look_up(entry.digest for entry in entries if entry.size_bytes < SMALL_BYTES)

    def folder(self, path: bytes) -> None:
        """Make a folder, and those above it."""
        self._folders.at(self._layout.of(path))

    def file(self, entry: FileEntry, expected: bytes | None, done: Callable[[bytes], None]) -> None:
        """Write a file.

        Args:
            expected: the packed stat of what it replaces; None where nothing is there.
            done: is called with the packed stat of the new file, at the latest when `end` returns.

        Raises:
            Conflict: what is there is not what was seen there.
        """
        spot = self._spot(entry, expected)
        if self._hardlink and entry.mode == FILE and self._linked(entry, spot):
            done(placing.stat_of(spot))
        elif entry.size_bytes < _BESIDE_BYTES or self._workers == 1:
            self._copy(entry, spot, done)
        else:
            self._copy_beside(entry, spot, done)

    def stage(self, entries: Sequence[FileEntry], rows: list[bytes]) -> list[int]:
        """Write files into new folders, each blob from its pack, and put their packed stats into `rows`.

        Returns:
            the positions of entries for which that is not the way.
        """
        left: list[int] = []
        prefix, folder_fd, staged = b"", -1, False
        get, write, skip = self._packs.get, placing.write_fresh, left.append
        for at, (path, digest, size_bytes, mode) in enumerate(entries):
            cut = path.rfind(b"/") + 1
            if size_bytes >= SMALL_BYTES or mode not in (FILE, PROGRAM) or not cut:
                skip(at)
                continue
            if path[:cut] != prefix:
                prefix = path[:cut]
                staged = self._layout.is_staged(path)
                folder_fd = self._folders.at(self._layout.stage + prefix) if staged else -1
            if not staged or (data := get(digest)) is None:
                skip(at)
                continue
            rows[at] = write(folder_fd, path[cut:], data, mode & 0o777)
        return left

    def small(self, entry: FileEntry, expected: bytes | None) -> bytes | None:
        """Write a file whose blob lies in a pack; its packed stat. None where it has to be written by `file`.

        Raises:
            Conflict: what is there is not what was seen there.
        """
        path, digest, size_bytes, mode = entry
        if size_bytes >= SMALL_BYTES or (data := self._packs.get(digest)) is None:
            return None
        if expected is None and self._layout.is_staged(path):
            return placing.write_fresh(*self._folders.parent(self._layout.stage + path), data, mode & 0o777)
        spot = self._spot(entry, expected)
        temporary = spot.temporary()
        fd = placing.create(spot.folder_fd, temporary, entry.mode & 0o777)
        try:
            fs.write_all(fd, data)  # type: ignore[arg-type]  # any buffer will do
            return placing.finish(entry.mode, spot, temporary, fd)
        except BaseException:
            placing.remove(spot.folder_fd, temporary)
            raise
        finally:
            os.close(fd)

    def _spot(self, entry: FileEntry, expected: bytes | None) -> Spot:
        path = entry.path
        staged = self._layout.is_staged(path)
        folder_fd, name = self._folders.parent(self._layout.stage + path if staged else path)
        return Spot(folder_fd, name, self._place, path, expected, staged and expected is None)

    def _copy(self, entry: FileEntry, spot: Spot, done: Callable[[bytes], None]) -> None:
        temporary = spot.temporary()
        with placing.removed_on_error(spot.folder_fd, temporary):
            fd = placing.create(spot.folder_fd, temporary, entry.mode & 0o777)
            try:
                if self._told(entry, lambda: self._store.copy_out(entry.digest, fd)):
                    done(placing.finish(entry.mode, spot, temporary, fd))
                else:
                    placing.remove(spot.folder_fd, temporary)
            finally:
                os.close(fd)

    def _told(self, entry: FileEntry, act: Callable[[], object]) -> bool:
        """Whether the bytes came out of the store; else it is kept in mind what is wrong with them."""
        try:
            act()
        except BlobMissing as error:
            self.missing.append((entry.path, error))
        except Damaged as error:
            self.damaged.append((entry.path, error))
        else:
            return True
        return False

    # -- large files

    def _copy_beside(self, entry: FileEntry, spot: Spot, done: Callable[[bytes], None]) -> None:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._workers, "gitrepro-restore")
        if len(self._outgoing) >= 2 * self._workers:
            self._settle()
        self._slot = self._slot % (2 * self._workers) + 1
        temporary = spot.temporary(self._slot)
        # The folder is still needed when others have been entered.
        spot = spot._replace(folder_fd=os.dup(spot.folder_fd))
        try:
            fd = placing.create(spot.folder_fd, temporary, entry.mode & 0o777)
        except BaseException:
            os.close(spot.folder_fd)
            raise
        future = self._pool.submit(self._store.copy_out, entry.digest, fd)
        self._outgoing.append(_Outgoing(entry, spot, temporary, fd, future, done))

    def _settle(self) -> None:
        """Wait for the large file that was begun first."""
        out = self._outgoing.popleft()
        whole = False
        try:
            if self._told(out.entry, out.future.result):
                stat = placing.finish(out.entry.mode, out.spot, out.temporary, out.fd)
                whole = True
                out.done(stat)
        finally:
            if not whole:
                placing.remove(out.spot.folder_fd, out.temporary)
            os.close(out.fd)
            os.close(out.spot.folder_fd)

    def end(self) -> None:
        """Wait for all files."""
        while self._outgoing:
            self._settle()

    # -- links

    def _linked(self, entry: FileEntry, spot: Spot) -> bool:
        """Whether a file could be made the very file of the store."""
        source = self._store.path(entry.digest)
        temporary = spot.temporary()
        try:
            if not source.is_file():
                return False
            self._store.verify(entry.digest)
            placing.remove(spot.folder_fd, temporary)
            os.link(source, temporary, dst_dir_fd=spot.folder_fd, follow_symlinks=False)
        except (OSError, BlobMissing, Damaged):
            return False  # to copy it will tell why
        with placing.removed_on_error(spot.folder_fd, temporary):
            placing.put_in_place(temporary, spot)
        return True

    def link(self, entry: FileEntry, expected: bytes | None) -> bool:
        """Make a symbolic link, and say whether it could be made. Call it when all files are there.

        Raises:
            Conflict: what is there is not what was seen there.
        """
        texts: list[bytes] = []
        if not self._told(entry, lambda: texts.append(self._store.get(entry.digest, limit_bytes=LINK_BYTES_AT_MOST))):
            return False
        fault = fault_of_link(entry.path, texts[0])
        if fault:
            self.damaged.append((entry.path, Damaged(f"the link {escape(entry.path)} {fault}")))
            return False
        spot = self._spot(entry, expected)
        temporary = spot.temporary()
        placing.remove(spot.folder_fd, temporary)
        with placing.removed_on_error(spot.folder_fd, temporary):
            os.symlink(texts[0], temporary, dir_fd=spot.folder_fd)
            placing.put_in_place(temporary, spot)
        return True

    def gave_mode(self, entry: FileEntry) -> bool:
        """Give a file that is there already the mode it should have; whether it had another."""
        folder_fd, name = self._folders.parent(self._layout.of(entry.path))
        if not wants_other_mode(entry, os.stat(name, dir_fd=folder_fd, follow_symlinks=False).st_mode):
            return False
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder_fd)
        try:
            os.fchmod(fd, entry.mode & 0o777)
        finally:
            os.close(fd)
        return True

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        while self._outgoing:
            out = self._outgoing.popleft()
            placing.remove(out.spot.folder_fd, out.temporary)
            os.close(out.fd)
            os.close(out.spot.folder_fd)
        self._packs.close()
        self._folders.close()
