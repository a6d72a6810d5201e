"""Is a run alive? A lease: a lock that the kernel drops with its holder, and a heartbeat for people to see."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, final

_TRIES: Final = 20
_TRY_SECONDS: Final = 0.005

# fcntl locks belong to the process: testing a lock of our own would find it free, and closing the test's
# descriptor would drop it. So a process remembers what it holds.
_held: set[tuple[int, int]] = set()
os.register_at_fork(after_in_child=_held.clear)


class Life(StrEnum):
    """What can be said of a live directory from this host."""

    ALIVE = "alive"
    DEAD = "dead"
    ELSEWHERE = "elsewhere"


@final
class Lease:
    """Held by each process that takes part in a run, for as long as it does.

    Args:
        name: the file; that of this process by default. Another name is a seat that one process may hold at a time.

    Raises:
        OSError: another process holds it, or the disk refuses.
    """

    def __init__(self, folder: Path, *, boot_id: str, name: str = "") -> None:
        self._path = folder / (name or f"lease.{_host()}.{os.getpid()}")
        if _ours(self._path):
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN), str(self._path))
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _lock(self._fd, tries=1 if name else _TRIES)
            holder = {"host": _host(), "pid": os.getpid(), "boot_id": boot_id}
            os.pwrite(self._fd, json.dumps(holder).encode(), 0)
        except OSError:
            os.close(self._fd)
            raise
        self._key = _identity(os.fstat(self._fd))
        _held.add(self._key)

    def moved(self, folder: Path) -> None:
        """The file lies in `folder` now."""
        self._path = folder / self._path.name

    def beat(self) -> None:
        """Show people and other hosts that the holder is still there: touch the file."""
        os.utime(self._fd)

    def release(self) -> None:
        """Leave. The file goes too: on another host a file without a lock says that nobody knows."""
        if self._fd >= 0:
            _held.discard(self._key)
            _remove(self._path, self._key)
            os.close(self._fd)
            self._fd = -1


def _lock(fd: int, *, tries: int) -> None:
    # Whoever looks whether we live holds the lock for a moment.
    for left in range(tries, 0, -1):
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError:
            if left == 1:
                raise
        time.sleep(_TRY_SECONDS)


def _ours(path: Path) -> bool:
    # Before any open: closing a descriptor of our own lease would drop it.
    try:
        return _identity(path.stat()) in _held
    except FileNotFoundError:
        return False


def _remove(path: Path, key: tuple[int, int]) -> None:
    try:
        if _identity(path.stat()) == key:
            path.unlink()
    except OSError:
        pass  # the folder was set aside, or the disk refuses: it is a file without a lock, and that is all


def life(folder: Path) -> Life:
    """Whether a process of the run in `folder` lives.

    A lease of another host is never called dead: no lock shows whether that host is gone or only out of reach.
    """
    found = Life.DEAD
    for path in folder.glob("lease.*"):
        match _life_of(path):
            case Life.ALIVE:
                return Life.ALIVE
            case Life.ELSEWHERE:
                found = Life.ELSEWHERE
    return found


def holder(folder: Path) -> dict[str, Any]:
    """Who says that he holds the first lease of `folder`: host, pid, boot id; empty when nobody does."""
    for path in sorted(folder.glob("lease.*")):
        try:
            return dict(json.loads(path.read_bytes()))
        except (OSError, ValueError):
            continue
    return {}


def _life_of(path: Path) -> Life:
    try:
        if _ours(path):
            return Life.ALIVE
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return Life.DEAD
    except PermissionError:
        return Life.ELSEWHERE
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return Life.ALIVE
    finally:
        os.close(fd)
    return Life.DEAD if path.name.split(".", 1)[1].rpartition(".")[0] == _host() else Life.ELSEWHERE


def _host() -> str:
    import socket  # it costs a list of runs more than all else here, and most meet no lease

    return socket.gethostname()


def _identity(stat: os.stat_result) -> tuple[int, int]:
    return stat.st_dev, stat.st_ino
