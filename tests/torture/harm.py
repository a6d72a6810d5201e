"""Harm that no tracer can do to a program: writes cut short, a sync that loses what it was to keep, a full file."""

from __future__ import annotations

import errno
import os
import random
import resource
import signal
from collections.abc import Callable


def short_writes(seed: float) -> None:
    """One in twenty calls of `write` takes a part of what it is given, and says so."""
    real, rng = os.write, random.Random(seed)

    def write(fd: int, data: bytes) -> int:
        view = memoryview(data)
        return real(fd, view[: rng.randrange(1, len(view) + 1)] if len(view) > 1 and rng.random() < 0.05 else view)

    os.write = write  # type: ignore[assignment]


def sync_loses(which: float) -> None:
    """The `which`-th sync of data fails and leaves zeros for what came since the last: so the kernel drops pages.

    Those after it succeed, as they do on Linux: who asks the same file again hears that all is well.
    """
    real, synced, count = os.fdatasync, dict[int, int](), 0

    def fdatasync(fd: int) -> None:
        nonlocal count
        count += 1
        if count == int(which):
            _zero(fd, synced.get(fd, 0))
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(fd)
        synced[fd] = os.fstat(fd).st_size

    os.fdatasync = fdatasync  # type: ignore[assignment]


def _zero(fd: int, start: int) -> None:
    size = os.fstat(fd).st_size
    # Through /proc: the journal is open for appending only, and such a file is written at its end.
    other = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY)
    os.pwrite(other, bytes(size - start), start)
    os.close(other)


def file_limit(size_bytes: float) -> None:
    """No file may grow beyond this: the write that meets the limit is cut short, the next refused, as by a quota."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(size_bytes), resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


HARMS: dict[str, Callable[[float], None]] = {
    "short writes": short_writes,
    "a sync loses": sync_loses,
    "file limit": file_limit,
}
