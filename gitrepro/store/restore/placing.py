"""New files in the folders of users: written under a name of ours, and given their own when they are whole."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final, NamedTuple

from ...errors import Conflict
from ...records.filename import escape
from ..scan import OURS
from ..statcache import packed

_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NOREPLACE: Final = 1


class Spot(NamedTuple):
    """Where a file is to be.

    `expected` is the packed stat of what it replaces; None where nothing is. `direct`: nothing is there, and nobody but
    us looks there before all is written.
    """

    folder_fd: int
    name: bytes
    place: str
    path: bytes
    expected: bytes | None
    direct: bool = False

    def temporary(self, slot: int = 0) -> bytes:
        """What it is called until it is whole: its own name in a folder that nobody sees."""
        return self.name if self.direct else OURS + b"%d" % slot


def create(folder_fd: int, name: bytes, mode: int) -> int:
    """A new file of ours, open for writing."""
    try:
        return os.open(name, _NEW, mode, dir_fd=folder_fd)
    except FileExistsError:
        os.unlink(name, dir_fd=folder_fd)
        return os.open(name, _NEW, mode, dir_fd=folder_fd)


@contextmanager
def removed_on_error(folder_fd: int, name: bytes) -> Iterator[None]:
    try:
        yield
    except BaseException:
        remove(folder_fd, name)
        raise


def remove(folder_fd: int, name: bytes) -> None:
    try:
        os.unlink(name, dir_fd=folder_fd)
    except FileNotFoundError:
        pass


def put_in_place(name: bytes, spot: Spot) -> None:
    """Rename a whole file of ours to where it is to be.

    Raises:
        Conflict: something came there, or was changed, since it was looked at.
    """
    if spot.direct:
        return
    if spot.expected is None:
        try:
            rename_new(spot.folder_fd, name, spot.folder_fd, spot.name)
        except FileExistsError as error:
            raise changed(spot) from error
        return
    if packed(os.stat(spot.name, dir_fd=spot.folder_fd, follow_symlinks=False)) != spot.expected:
        raise changed(spot)
    os.rename(name, spot.name, src_dir_fd=spot.folder_fd, dst_dir_fd=spot.folder_fd)


def changed(spot: Spot) -> Conflict:
    return Conflict(
        f"{spot.place}/{escape(spot.path)} was changed while the data was laid out",
        why="another program writes there",
        do="let it end, then run the command again",
    )


def write_fresh(folder_fd: int, name: bytes, data: bytes | memoryview, mode: int) -> bytes:
    """Write a file where nobody looks yet: most files come out this way, and each call here counts."""
    fd = create(folder_fd, name, mode)
    try:
        if os.write(fd, data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        found = os.fstat(fd)
        if found.st_mode & 0o7777 != mode:
            os.fchmod(fd, mode)
            found = os.fstat(fd)
        return packed(found)
    except BaseException:
        remove(folder_fd, name)
        raise
    finally:
        os.close(fd)


def finish(mode: int, spot: Spot, temporary: bytes, fd: int) -> bytes:
    put_in_place(temporary, spot)
    # To rename a file is to change it, to some systems.
    found = os.fstat(fd)
    if found.st_mode & 0o7777 != mode & 0o777:
        # The umask had its way, or the folder.
        os.fchmod(fd, mode & 0o777)
        found = os.fstat(fd)
    return packed(found)


def stat_of(spot: Spot) -> bytes:
    return packed(os.stat(spot.name, dir_fd=spot.folder_fd, follow_symlinks=False))


def rename_new(old_fd: int, old: bytes, new_fd: int, new: bytes) -> None:
    """Rename a file or a folder unless the new name is taken.

    Raises:
        FileExistsError: it is.
    """
    call = _renameat2()
    if call is not None:
        if call(old_fd, old, new_fd, new, _NOREPLACE) == 0:
            return
        number = ctypes.get_errno()
        if number not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
            raise OSError(number, os.strerror(number), os.fsdecode(new))
    try:
        os.link(old, new, src_dir_fd=old_fd, dst_dir_fd=new_fd, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:
        # No hard links there, or a folder: look, then rename.
        try:
            os.stat(new, dir_fd=new_fd, follow_symlinks=False)
        except FileNotFoundError:
            os.rename(old, new, src_dir_fd=old_fd, dst_dir_fd=new_fd)
            return
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fsdecode(new)) from None
    os.unlink(old, dir_fd=old_fd)


@cache
def _renameat2() -> Any:
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is not None:
        call.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    return call
