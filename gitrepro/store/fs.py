"""Durable files: written whole, synced, renamed into place; and locks that die with their holder."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ..errors import StorageError

_WRITTEN_AT_ONCE_BYTES: Final = 256 << 10
_REPAIR = {
    errno.ENOSPC: "free some space, then run the command again",
    errno.EDQUOT: "free some of your quota, then run the command again",
    errno.EFBIG: "raise the limit on the size of files (`ulimit -f`), then run the command again",
    errno.EROFS: "the file system is read-only: remount it, or work on one that is not",
    errno.EACCES: "give yourself permission there (`ls -ld` shows who has it), then run the command again",
    errno.EPERM: "give yourself permission there (`ls -ld` and `lsattr -d` show who has it), then run it again",
    errno.ENAMETOOLONG: "take a shorter path",
    errno.EIO: "look at the system log: the disk reports input/output errors",
}


def storage_error(error: OSError, what: str) -> StorageError:
    """The `OSError` of a failed system call, in words: `what` names the act and the place."""
    return StorageError(
        what, why=error.strerror or str(error), do=_REPAIR.get(error.errno or 0, "run the command again")
    )


class Busy(StorageError):
    """Somebody else holds the lock."""


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn an `OSError` inside the block into a `StorageError` that says `what` was being done."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise storage_error(error, what) from error


def write_all(fd: int, data: bytes) -> None:
    """Write every byte: a full disk can cut one write short without an error.

    No more than 256 KiB go in one call. For more, the page cache of ext4 takes pages of up to a mebibyte, which a
    virtual machine has to get from its host first: four times the time of the whole copy.
    """
    view = memoryview(data).cast("B")
    while view:
        view = view[os.write(fd, view[:_WRITTEN_AT_ONCE_BYTES]) :]


def sync_file(path: str | Path) -> None:
    """Make the bytes of a file durable that another program wrote."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_directory(path: str | Path) -> None:
    """Make the names in a directory durable: after a power cut ext4 may keep the bytes and lose the name."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    except OSError as error:
        # Some network file systems cannot sync a directory; there the rename itself is the barrier.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)


def temporary_name(path: str | Path) -> str:
    """A name beside `path` that no other writer takes and no reader looks at."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f".tmp-{name[:80]}-{os.getpid()}-{os.urandom(6).hex()}")


def write_file(path: str | Path, data: bytes, *, mode: int = 0o644, sync: bool = True, sync_name: bool = True) -> None:
    """Write a whole file under a temporary name, sync it, and rename it into place.

    A reader sees the old file or the new one. With `sync` the bytes survive a power cut once this returns, and with
    `sync_name` the name does too; who writes several files syncs their folder once.
    """
    temporary = temporary_name(path)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        try:
            write_all(fd, data)
            if sync:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(temporary, path)
    except BaseException:
        remove_quietly(temporary)
        raise
    if sync and sync_name:
        sync_directory(os.path.dirname(path) or ".")


def make_directories(path: str | Path) -> None:
    """Create a directory and its parents, each name durable before the next is made inside it."""
    path = Path(path)
    if path.is_dir():
        return
    make_directories(path.parent)
    try:
        path.mkdir()
    except FileExistsError:
        if not path.is_dir():
            raise
        return
    sync_directory(path.parent)


def remove_quietly(path: str | Path) -> None:
    """Remove a file that may be gone already."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


_thread_locks: dict[str, threading.Lock] = {}
_thread_locks_guard = threading.Lock()


def _forget_locks() -> None:
    # A forked child holds none of its parent's locks: fcntl locks are not inherited, and a thread lock
    # that was held at the moment of the fork would stay locked for ever.
    global _thread_locks_guard
    _thread_locks.clear()
    _thread_locks_guard = threading.Lock()


os.register_at_fork(after_in_child=_forget_locks)


def _thread_lock(path: str) -> threading.Lock:
    with _thread_locks_guard:
        return _thread_locks.setdefault(path, threading.Lock())


@contextmanager
def locked(
    path: str | Path, *, timeout_seconds: float = 60.0, needed: Callable[[], bool] = lambda: True
) -> Iterator[bool]:
    """Hold an exclusive lock on `path` among all processes and threads of this host.

    The kernel drops the lock when its holder dies, so nothing ever needs unlocking by hand.

    Args:
        needed: is asked while another one holds it. Once it says no, the wait is over and the block runs without the
            lock, and is given False.

    Raises:
        StorageError: the lock was not free within `timeout_seconds`, or the file cannot be opened.
    """
    # fcntl locks belong to the process, and closing *any* descriptor of the file drops them: one thread at a
    # time may have the file open.
    name = os.path.abspath(path)
    thread_lock = _thread_lock(name)
    if not thread_lock.acquire(timeout=timeout_seconds):
        raise _busy(name, timeout_seconds)
    try:
        with explained(f"cannot open the lock {name}"):
            fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            yield _wait_for(fd, name, timeout_seconds, needed)
        finally:
            os.close(fd)
    finally:
        thread_lock.release()


def _wait_for(fd: int, name: str, timeout_seconds: float, needed: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + timeout_seconds
    pause_seconds = 0.0005
    while True:
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise storage_error(error, f"cannot lock {name}") from error
        if not needed():
            return False
        if time.monotonic() > deadline:
            raise _busy(name, timeout_seconds)
        time.sleep(pause_seconds)
        pause_seconds = min(pause_seconds * 2, 0.02)


def _busy(name: str, timeout_seconds: float) -> Busy:
    return Busy(
        f"{name} is locked",
        why=f"another gitrepro process has held it for {timeout_seconds:.0f} s",
        do="wait for it to end, then run the command again; nothing needs unlocking by hand",
    )
