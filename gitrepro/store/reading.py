"""The files of users, read while others may be writing to them: what is named is a state that they had."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple, final

from ..errors import GitreproError, Unsafe
from ..records.filename import escape, fault_of_link
from .folders import Folders
from .objects import copying
from .scan import gone, kind_of, unreadable
from .statcache import STAT, packed

SMALL_BYTES: Final = 256 << 10
_TRIES: Final = 3
# Nothing is there; a link, a file or a folder where something else was.
_NOT_AS_LISTED: Final = {errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.ENXIO}


class Hashed(NamedTuple):
    """The BLAKE3 of a file in 32 bytes, its size, and the packed stat of the state that has it."""

    name: bytes
    size_bytes: int
    stat: bytes


@final
class Files:
    """The files below a folder.

    Args:
        root_fd: the folder, open.
        place: how it is called, for messages.
        follow: whether links are taken for what they lead to.
    """

    def __init__(self, root_fd: int, *, place: str, follow: bool = False) -> None:
        self.place = place
        self._folders = Folders(root_fd, follow=follow)
        self._flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)

    def close(self) -> None:
        self._folders.close()

    def name(self, path: bytes) -> str:
        """A path as a person finds it."""
        return f"{self.place}/{escape(path)}".removesuffix("/")

    def open(self, path: bytes) -> int:
        """Open a plain file; the caller closes it.

        Raises:
            SourceChanged: it is gone. StorageError: it cannot be read. Unsafe: it is no plain file.
        """
        with self._explained(path):
            folder, name = self._folders.parent(path)
            fd = os.open(name, self._flags, dir_fd=folder)
        try:
            self._check_kind(path, os.fstat(fd).st_mode)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _check_kind(self, path: bytes, mode: int) -> None:
        if not stat.S_ISREG(mode):
            raise gone(self.name(path)) if stat.S_ISDIR(mode) else no_file(self.name(path), mode)

    def lstat(self, path: bytes) -> os.stat_result | None:
        """What stands at a path itself; None for nothing.

        Raises:
            NotADirectoryError: a link or a file is on the way.
            StorageError: a folder cannot be read.
        """
        try:
            folder, name = self._folders.parent(path)
            return os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            raise
        except OSError as error:
            raise unreadable(self.name(path), error) from error

    def small(self, path: bytes, seen: bytes) -> tuple[bytes, bytes] | None:
        """All of a small file as it was at one moment, and its packed stat then; None once it has grown large.

        Args:
            seen: its packed stat, as it was last seen.

        Raises:
            SourceChanged: it is written to again and again. Or as `open`.
        """
        for _ in range(_TRIES):
            size_bytes = STAT.unpack(seen)[2]
            if size_bytes >= SMALL_BYTES:
                return None
            try:
                data, now = self._read(path, size_bytes + 1)
            except OSError as error:
                raise self._in_words(path, error) from error
            if now == seen and len(data) == size_bytes:
                return data, now
            self._check_kind(path, STAT.unpack(now)[5])
            seen = now
        raise copying.changed(self.name(path))

    def _read(self, path: bytes, limit_bytes: int) -> tuple[bytes, bytes]:
        folder, name = self._folders.parent(path)
        fd = os.open(name, self._flags, dir_fd=folder)
        try:
            return os.read(fd, limit_bytes), packed(os.fstat(fd))
        finally:
            os.close(fd)

    def hash(self, path: bytes) -> Hashed:
        """The hash of a file where it lies. Raises as `small` does."""
        fd = self.open(path)
        try:
            with self._explained(path):
                return hashed(fd, named=self.name(path))
        finally:
            os.close(fd)

    def link(self, path: bytes) -> bytes:
        """What a link says. Raises as `open` does."""
        with self._explained(path):
            folder, name = self._folders.parent(path)
            return os.readlink(name, dir_fd=folder)

    def harmless_link(self, path: bytes) -> bytes:
        """What a link says that stays inside the folder.

        Raises:
            Unsafe: it leads out.
        """
        text = self.link(path)
        fault = fault_of_link(path, text)
        if fault:
            raise Unsafe(
                f"the link {self.name(path)} {fault}",
                why="on another machine it would lead elsewhere, or into files of other people",
                do="add what it leads to with --follow, or leave it out with --ignore",
            )
        return text

    @contextmanager
    def _explained(self, path: bytes) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._in_words(path, error) from error

    def _in_words(self, path: bytes, error: OSError) -> GitreproError:
        if isinstance(error, GitreproError):
            return error
        return gone(self.name(path)) if error.errno in _NOT_AS_LISTED else unreadable(self.name(path), error)


def no_file(name: str, mode: int) -> Unsafe:
    return Unsafe(
        f"{name} is {kind_of(mode)}",
        why="it has no bytes of its own to keep",
        do="remove it, or leave it out with --ignore",
    )


def hashed(fd: int, *, named: str) -> Hashed:
    """The hash of an open file, read again when it was written to meanwhile.

    Raises:
        SourceChanged: it is written to again and again.
    """
    for _ in range(_TRIES):
        before = packed(os.fstat(fd))
        os.lseek(fd, 0, os.SEEK_SET)
        found = copying.hashed(fd)
        now = packed(os.fstat(fd))
        if now == before and found.size_bytes == STAT.unpack(now)[2]:
            return Hashed(found.hash, found.size_bytes, now)
    raise copying.changed(named)
