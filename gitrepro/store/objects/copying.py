"""Bytes from one open file to another: cloned where the file system can, else hashed while they are copied."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from ...errors import SourceChanged, Unsafe
from .. import fs

CHUNK_BYTES: Final = 1 << 18
_SYNC_FILE_RANGE_WRITE: Final = 2
_FICLONE: Final = 0x40049409
_CANNOT_CLONE: Final = {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM}
_RACY_NS: Final = 2_000_000_000
_TRIES: Final = 3

_local = threading.local()


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied: its BLAKE3 in 32 bytes, and how much."""

    hash: bytes
    size_bytes: int


def buffer() -> memoryview:
    """A buffer of this thread: to allocate one for each file would cost more than a small file."""
    if not hasattr(_local, "buffer"):
        _local.buffer = memoryview(bytearray(CHUNK_BYTES))
    found: memoryview = _local.buffer
    return found


def hasher(*, on_all_cores: bool = False) -> Any:
    """A BLAKE3. On all cores it pays for updates of mebibytes."""
    import blake3

    return blake3.blake3(max_threads=blake3.blake3.AUTO if on_all_cores else 1)


def pieces(fd: int) -> Iterator[memoryview]:
    """What is left of an open file, in pieces that are good until the next one is asked for."""
    view = buffer()
    while count := os.readv(fd, [view]):
        yield view[:count]


def hashed(fd: int) -> Copied:
    """The hash of what is left of an open file. It is read, not mapped: a file cut short meanwhile ends, no more."""
    sums, size_bytes = hasher(), 0
    for piece in pieces(fd):
        sums.update(piece)
        size_bytes += len(piece)
    return Copied(sums.digest(), size_bytes)


def hashed_copy(source: int, target: int) -> Copied:
    """Copy what is left of a file, hashed on the way: what is named is what was written."""
    sums, size_bytes = hasher(), 0
    for piece in pieces(source):
        sums.update(piece)
        fs.write_all(target, piece)  # type: ignore[arg-type]  # any buffer will do
        size_bytes += len(piece)
    return Copied(sums.digest(), size_bytes)


def clone(source: int, target: int) -> bool:
    """Let a file share all bytes of another, where the file system can (XFS, btrfs)."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno not in _CANNOT_CLONE:
            raise
        return False
    return True


def open_source(path: str | os.PathLike[str], *, dir_fd: int | None = None) -> int:
    """Open a plain file of the user's for reading; nothing is followed or waited for.

    Raises:
        Unsafe: it is no plain file.
        OSError: it cannot be opened.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=dir_fd)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise _no_file(path) from error
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise _no_file(path)
    return fd


def _no_file(path: str | os.PathLike[str]) -> Unsafe:
    return Unsafe(
        f"{os.fspath(path)!r:.300} is no plain file",
        why="a link, a pipe, a socket or a device has no bytes of its own to keep",
        do="leave it out, or put a copy of what it stands for in its place",
    )


State = tuple[int, int, int, int, int]


def state(fd: int) -> State:
    """What shows that a file was written to."""
    found = os.fstat(fd)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def take(source: int, target: int, *, named: str) -> Copied:
    """Copy or clone an open file of the user's into an empty one.

    Raises:
        SourceChanged: it was written to again and again while it was read.
    """
    for _ in range(_TRIES):
        before = state(source)
        copied = _take(source, target, before)
        if state(source) == before and copied.size_bytes == before[2]:
            return copied
        os.ftruncate(target, 0)
        os.lseek(target, 0, os.SEEK_SET)
    raise changed(named)


def _take(source: int, target: int, before: State) -> Copied:
    os.lseek(source, 0, os.SEEK_SET)
    if not clone(source, target):
        return hashed_copy(source, target)
    # A write in the same tick of the clock as the one before leaves no trace in the times: then the clone is read,
    # whose pages are not in memory, else the source, whose pages may be.
    if time.time_ns() - max(before[3], before[4]) > _RACY_NS:
        return hashed(source)
    os.lseek(target, 0, os.SEEK_SET)
    return hashed(target)


def read_small(source: int, *, named: str) -> bytes:
    """All of a small file of the user's, as it was at one moment. Raises as `take` does."""
    for _ in range(_TRIES):
        before = state(source)
        data = os.pread(source, before[2] + 1, 0)
        if len(data) == before[2] and state(source) == before:
            return data
    raise changed(named)


def changed(named: str) -> SourceChanged:
    return SourceChanged(
        f"{named} is written to while it is read",
        why="what was read is no state that it ever had",
        do="stop what writes it, then run the command again",
    )


def sync_file_system(path: str | os.PathLike[str]) -> None:
    """Make everything durable that was written to the file system of `path`: one call for a batch of files."""
    import ctypes

    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        call = _call("syncfs")
        if call is None:
            os.sync()
        elif call(fd) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), os.fspath(path))
    finally:
        os.close(fd)


def begin_sync(fd: int, offset: int, size_bytes: int) -> None:
    """Let the kernel begin to write a range to the disk, where it can be told so: a sync then has less to do."""
    call = _call("sync_file_range")
    if call is not None:
        import ctypes

        call(fd, ctypes.c_int64(offset), ctypes.c_int64(size_bytes), _SYNC_FILE_RANGE_WRITE)


def _call(name: str) -> Any:
    import ctypes

    return getattr(ctypes.CDLL(None, use_errno=True), name, None)
