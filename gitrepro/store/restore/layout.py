"""Where the files of a tree are written: where they are to be, or, in folders that are new, first beside them.

A new folder is filled under a name of ours and renamed when all of it is there, so its files need not be renamed one by
one. A restore that was stopped leaves it, and the next one of the same tree goes on in it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import final

from ...errors import Conflict
from ...records.filename import escape
from ..scan import OURS
from .placing import rename_new


@final
@dataclass(frozen=True, slots=True)
class Layout:
    """The folders directly below the target that were there before, and where those are filled that are new."""

    stage: bytes  # a folder, with a slash at its end
    existing: frozenset[bytes]
    is_resumed: bool

    @property
    def is_fresh(self) -> bool:
        """Whether nothing is there to be looked at."""
        return not self.existing and not self.is_resumed

    def is_staged(self, path: bytes) -> bool:
        """Whether a file is written in the stage."""
        cut = path.find(b"/")
        return cut > 0 and path[:cut] not in self.existing

    def of(self, path: bytes) -> bytes:
        """Where a file is written."""
        return self.stage + path if self.is_staged(path) else path


def plan(root_fd: int, digest: str) -> Layout:
    """Look at the target, and remove what restores of other trees have left."""
    stage = OURS + digest[3:19].encode()
    names = {os.fsencode(name) for name in os.listdir(root_fd)}
    ours = {name for name in names if name.startswith(OURS)}
    for name in ours - {stage}:
        _discard(root_fd, name)
    return Layout(stage + b"/", frozenset(names - ours), stage in ours)


def publish(root_fd: int, layout: Layout, place: Path) -> None:
    """Give new folders their names.

    Raises:
        Conflict: somebody has made one of them meanwhile.
    """
    stage = layout.stage[:-1]
    try:
        stage_fd = os.open(stage, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=root_fd)
    except FileNotFoundError:
        return
    try:
        for name in _names(stage_fd):
            if name in layout.existing:
                _discard(stage_fd, name)  # of a restore before; it was made by somebody else since
                continue
            try:
                rename_new(stage_fd, name, root_fd, name)
            except FileExistsError as error:
                raise Conflict(
                    f"{place}/{escape(name)} was made while the data was laid out",
                    why="another program writes there",
                    do="move it away, then run the command again",
                ) from error
    finally:
        os.close(stage_fd)
    os.rmdir(stage, dir_fd=root_fd)


def _names(fd: int) -> Iterator[bytes]:
    return (os.fsencode(name) for name in sorted(os.listdir(fd)))


def _discard(folder_fd: int, name: bytes) -> None:
    try:
        os.unlink(name, dir_fd=folder_fd)
    except IsADirectoryError:
        shutil.rmtree(name, dir_fd=folder_fd)
