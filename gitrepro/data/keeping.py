"""Whether the bytes of a data set are copied into the store, or hashed where they lie and left there."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..store import fs
from ..store.scan import matcher

LARGE_BYTES: Final = 10 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """`linked` data stay where they are; `why` says so, where nobody asked for it."""

    linked: bool
    why: str = ""


def keeping(
    path: Path, store_root: Path, *, asked: bool | None, before: bool | None = None, ignore: Sequence[str] = ()
) -> Keeping:
    """How the data at `path` are kept.

    Args:
        asked: what the user said: True links, False copies, None leaves it to us.
        before: how the same path was kept the last time, None where it was not.
        ignore: shell patterns of what is left out, and does not count.

    Raises:
        StorageError: `path` cannot be read.
    """
    if asked is not None or before is not None:
        return Keeping(linked=bool(before) if asked is None else asked)
    with fs.explained(f"cannot read {path}"):
        if path.stat().st_dev != _nearest(store_root).stat().st_dev:
            return Keeping(linked=True, why="it lies on another file system than the store")
        if _is_larger(path, LARGE_BYTES, matcher(ignore)):
            return Keeping(linked=True, why=f"it is larger than {LARGE_BYTES >> 30} GiB")
    return Keeping(linked=False)


def _nearest(path: Path) -> Path:
    """The folder itself, or the nearest one above it that there is."""
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _is_larger(path: Path, limit_bytes: int, ignored: Callable[[bytes], bool] | None) -> bool:
    """Whether the files below `path` have more bytes than that; looks no further once they have."""
    if not path.is_dir():
        return path.stat().st_size > limit_bytes
    total_bytes = 0
    waiting = [""]
    while waiting and total_bytes <= limit_bytes:
        try:
            total_bytes += _files_bytes(path, waiting.pop(), waiting, ignored)
        except OSError:
            pass  # who reads it all tells what cannot be read
    return total_bytes > limit_bytes


def _files_bytes(root: Path, below: str, folders: list[str], ignored: Callable[[bytes], bool] | None) -> int:
    """The bytes of the files in a folder, `below` the root; the folders in it are appended to `folders`."""
    total_bytes = 0
    with os.scandir(root / below) as entries:
        for entry in entries:
            folder = entry.is_dir(follow_symlinks=False)
            name = f"{below}{entry.name}{'/' if folder else ''}"
            if entry.name == ".git" or (ignored is not None and ignored(os.fsencode(name))):
                continue
            if folder:
                folders.append(name)
            elif entry.is_file(follow_symlinks=False):
                total_bytes += entry.stat(follow_symlinks=False).st_size
    return total_bytes
