"""The folder that a tree is laid out in: opened, locked, and asked what it takes for one name."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ...errors import Conflict, Unsafe
from ...records.filename import escape
from .. import fs
from ..scan import OURS, folded
from ..trees import FileEntry

_NAMED_AT_MOST: Final = 10
_PROBE: Final = OURS.decode() + "Probe-\u00e9"


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """The folder at `path`, made when it is not there, held against other restores until the block ends.

    Raises:
        Conflict: a file stands there.
        Busy: another process lays out a tree there.
        StorageError: it cannot be made, or opened.
    """
    if path.exists() and not path.is_dir():
        raise Conflict(f"{path} is a file, and a folder is to be there", do="move it away, or name another place")
    with fs.explained(f"cannot lay out files in {path}"):
        path.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(fd, path)
        yield fd
    finally:
        os.close(fd)


def _lock(fd: int, path: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise fs.Busy(
            f"{path} is being laid out by another process",
            do="wait for it to end, then run the command again; nothing needs unlocking by hand",
        ) from error
    except OSError:
        pass  # some network file systems have no such lock


def takes_for_one(fd: int) -> bool:
    """Whether the file system of a folder takes names for one that differ in case, or in the form of an accent."""
    import unicodedata

    names = [_PROBE, _PROBE.lower(), unicodedata.normalize("NFD", _PROBE)]
    for name in names:
        _remove(fd, name)
    os.close(os.open(names[0], os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=fd))
    try:
        return any(_is_there(fd, name) for name in names[1:])
    finally:
        _remove(fd, names[0])


def _is_there(fd: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=fd, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EILSEQ, errno.EINVAL):
            raise
        return False
    return True


def _remove(fd: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=fd)
    except OSError:
        pass


def refuse_collisions(entries: Iterable[FileEntry], place: str) -> None:
    """Raise Unsafe when two paths of a tree are one to a file system that folds names."""
    known: dict[str, bytes] = {}
    found: list[str] = []
    before = b""
    for entry in entries:
        path = entry.path.removesuffix(b"/")
        # Folders too: two that become one would mix their files.
        parts = path.split(b"/")
        for count in range(1, len(parts) + 1):
            here = b"/".join(parts[:count])
            if count < len(parts) and before.startswith(here + b"/"):
                continue
            other = known.setdefault(folded(here), here)
            if other != here:
                found.append(f"{escape(other)} and {escape(here)}")
        before = path
    if found:
        raise Unsafe(
            f"{', '.join(found[:_NAMED_AT_MOST])} would be one in {place}",
            why="its file system takes names for one that differ in case or in accents",
            do="lay the data out on another file system, or rename the files and add them again",
        )
