"""Names of the store: given to what is durable, and kept from being collected."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

from .. import fs


def give_name(temporary: str, target: Path, *, link: Callable[[str, Path], None] = os.link) -> None:
    """Give a durable file its name. One that is there already, maybe being read, is not replaced but by its equal."""
    try:
        link(temporary, target)
    except FileExistsError:
        if not _stands_for(target, temporary):
            # Not ours to freshen, or not of this size: what we have just hashed takes its place.
            os.replace(temporary, target)
            return
    except PermissionError:
        # A file system without hard links; renaming is atomic there too, and the content is the same.
        os.replace(temporary, target)
        return
    except OSError as error:
        if error.errno not in (errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        os.replace(temporary, target)
        return
    fs.remove_quietly(temporary)


def _stands_for(target: Path, temporary: str) -> bool:
    try:
        found = os.lstat(target)
    except FileNotFoundError:
        return False
    same = stat.S_ISREG(found.st_mode) and found.st_size == os.stat(temporary).st_size
    return same and freshen(target)


def freshen(path: Path | str) -> bool:
    """Say that a file is wanted now, so that no collection takes it; whether that could be said."""
    now = time.time_ns()
    try:
        # By number: the clock of the kernel ticks, and two moments of one tick could not be told apart.
        os.utime(path, ns=(now, now), follow_symlinks=False)
    except (FileNotFoundError, PermissionError):
        return False
    return True
