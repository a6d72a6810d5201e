"""Folders, and single files: an item is a file, its id the path within the data set."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import final

from ...errors import SourceChanged, StorageError, UsageError
from ...records.manifest import escape
from .items import File, id_column


@final
class FolderItems:
    """The files of a folder in ascending order of the raw bytes of their paths, or one file.

    Args:
        path: the folder, or the file.
        label: `folder` for the name of the first folder on each path.
        names: the paths that belong to the data set, when not all do; empty folders are no items.
        follow: what a symbolic link points at is read in place of the link.
    """

    def __init__(
        self,
        path: Path,
        kind: str,
        *,
        id: str = "path",
        label: str | None = None,
        names: Sequence[bytes] | None = None,
        follow: bool = False,
    ) -> None:
        id_column(path, id, kind=kind, usual="path")
        if label not in (None, "folder"):
            raise UsageError(f"the label {label!r} does not fit {path}", why=f"kind {kind} has the label `folder` only")
        self.kind, self.label = kind, label
        self.follow = follow
        self._path, self._given = path, names

    def __len__(self) -> int:
        return len(self._names)

    def ids(self) -> Iterator[str]:
        return map(escape, self._names)

    def labels(self) -> Iterator[str | None] | None:
        if self.label is None:
            return None
        return (escape(name.split(b"/", 1)[0]) if b"/" in name else None for name in self._names)

    def files(self) -> Iterator[File]:
        """The files, with their sizes.

        Raises:
            SourceChanged: one is gone since they were listed.
        """
        for name in self._names:
            path = self._path if self.kind == "file" else Path(os.fsdecode(os.fsencode(self._path) + b"/" + name))
            try:
                about = path.stat() if self.follow else path.lstat()
            except OSError as error:
                raise SourceChanged(f"{path} cannot be read", why=error.strerror or str(error)) from None
            yield File(escape(name), path, about.st_size, stat.S_ISLNK(about.st_mode))

    @cached_property
    def _names(self) -> Sequence[bytes]:
        if self.kind == "file":
            return [os.fsencode(self._path.name)]
        if self._given is not None:
            return sorted(self._given)
        try:
            return sorted(_walk(os.fsencode(self._path), b"", self.follow))
        except OSError as error:
            raise StorageError(f"{self._path} cannot be listed", why=error.strerror or str(error)) from None


def _walk(folder: bytes, before: bytes, follow: bool) -> Iterator[bytes]:
    waiting = [(folder, before)]
    while waiting:
        folder, before = waiting.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((entry.path, before + entry.name + b"/"))
                elif entry.is_file(follow_symlinks=follow) or (entry.is_symlink() and not follow):
                    yield before + entry.name
