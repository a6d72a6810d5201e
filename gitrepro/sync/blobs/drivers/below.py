"""Files below a folder that is open: named without replacing, listed without following, synced."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from ..driver import PIECE_BYTES, Listed, is_key

INCOMING: Final = "incoming"
READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NO_LINKS: Final = {errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES}


def listed(folder: int, prefix: str) -> Iterator[Listed]:
    """The plain files below a folder, by keys that begin with `prefix`. What has the name of no key is left out."""
    for path, folders, names, fd in os.fwalk(".", dir_fd=folder, follow_symlinks=False):
        folders[:] = sorted(name for name in folders if (path, prefix, name) != (".", "", INCOMING))
        inside = "" if path == "." else f"{path.removeprefix('./')}/"
        for name in sorted(names):
            with suppress(FileNotFoundError):
                found = os.stat(name, dir_fd=fd, follow_symlinks=False)
                if stat.S_ISREG(found.st_mode) and is_key(key := f"{prefix}{inside}{name}"):
                    yield Listed(key, found.st_size, found.st_mtime)


def make_folder(name: str, parent: int) -> None:
    """Make a folder, durably, with the mode of the one it lies in; one that is there stays as it is."""
    try:
        os.mkdir(name, dir_fd=parent)
    except FileExistsError:
        return
    # What a team may do in the root it may do below: the umask of who comes first does not decide.
    with suppress(OSError):
        os.chmod(name, stat.S_IMODE(os.fstat(parent).st_mode), dir_fd=parent)
    sync(parent)


def give_name(fd: int, temporary: str, incoming: int, name: str, folder: int) -> None:
    """Link a durable file to its name. Equal bytes that are there stay, for whoever reads them; others make way."""
    try:
        os.link(temporary, name, src_dir_fd=incoming, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        if not _same(fd, name, folder):
            os.rename(temporary, name, src_dir_fd=incoming, dst_dir_fd=folder)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.rename(temporary, name, src_dir_fd=incoming, dst_dir_fd=folder)
    sync(folder)


def _same(fd: int, name: str, folder: int) -> bool:
    """Whether the file at a name has these very bytes; then it is young from now on."""
    try:
        other = os.open(name, READ, dir_fd=folder)
    except OSError:
        return False
    try:
        if not _equal(fd, other):
            return False
        with suppress(OSError):
            os.utime(other)
        return True
    finally:
        os.close(other)


def _equal(one: int, two: int) -> bool:
    first, second = os.fstat(one), os.fstat(two)
    if os.path.samestat(first, second):
        return True  # a file server that answers twice: the first time the link was made
    if not stat.S_ISREG(second.st_mode) or first.st_size != second.st_size:
        return False
    at = 0
    while part := os.pread(one, PIECE_BYTES, at):
        if os.pread(two, len(part), at) != part:
            return False
        at += len(part)
    return True


def unlink(name: str, folder: int) -> None:
    """Remove a file that may be gone already."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def touched(name: str, folder: int) -> float:
    """When a file was last written to, in seconds since 1970."""
    return os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime


def sync(folder: int) -> None:
    """Make the names in a folder durable."""
    try:
        os.fsync(folder)
    except OSError as error:
        # Some network file systems cannot sync a folder; there the link itself is the barrier.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
