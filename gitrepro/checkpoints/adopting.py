"""Checkpoints that a framework writes itself: named by their bytes where they lie, and watched until the end."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ..errors import SourceChanged, UsageError
from ..store.ingest import add_tree
from ..store.objects import BlobStore, copying
from ..store.statcache import StatCache
from .publish import Published, publish_file

GONE: Final = "the file is gone: whoever wrote it has removed it"
_CHANGED: Final = "it was changed after it was put on record"
_TRIES: Final = 3

State = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A file or a folder of the user's, by its absolute path."""

    path: Path
    folder: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """What was put on record of one: its bytes, the facts of its entry, and how its files looked."""

    place: Place
    published: Published
    facts: Mapping[str, Any]
    states: Mapping[Path, State] = field(repr=False)
    copied: bool = False


def found(path: str | os.PathLike[str]) -> Place:
    """The file or folder at `path`.

    Raises:
        UsageError: there is none.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise UsageError(f"path is {path!r:.80}", do="give the path of a file or a folder")
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - links stay as they were named
    if not (absolute.is_dir() or absolute.is_file()):
        raise UsageError(f"there is no checkpoint at {absolute}", do="write it before it is put on record")
    return Place(path=absolute, folder=absolute.is_dir())


def adopt(store: BlobStore, statcache: StatCache, place: Place, *, copy: bool) -> Adopted:
    """Hash a checkpoint where it lies, or while it is copied into the store.

    Raises:
        SourceChanged: it is written to all the while.
        Unsafe: there is something in the folder that cannot be kept, such as a link that leads out of it.
        OSError, StorageError: the disk refuses.
    """
    states = {path: _state(path) for path in (_files(place.path) if place.folder else [place.path])}
    facts: dict[str, Any] = {"format": "file", "holds": [], **({} if copy else {"path": str(place.path)})}
    if place.folder:
        tree = add_tree(store, statcache, place.path, link=not copy).tree
        published = Published(digest=tree.digest, size_bytes=tree.size_bytes)
        facts["files"] = tree.files
    else:
        published = _take(store, place.path, copy=copy)
    return Adopted(place=place, published=published, facts=facts, states=states, copied=copy)


def _files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders.sort()
        yield from (path for name in sorted(names) if (path := Path(root) / name).is_file() and not path.is_symlink())


def _take(store: BlobStore, path: Path, *, copy: bool) -> Published:
    if copy:
        return publish_file(store, path)
    for _ in range(_TRIES):
        before = _state(path)
        digest, size_bytes = digest_of_file(path)
        if _state(path) == before:
            return Published(digest=digest, size_bytes=size_bytes)
    raise SourceChanged(f"{path} is written to while it is read", do="put it on record once it is whole")


def digest_of_file(path: Path) -> tuple[str, int]:
    """The name and the size in bytes of a file's content. Raises OSError."""
    sums, size_bytes, view = copying.hasher(), 0, copying.buffer()
    with open(path, "rb", buffering=0) as reader:
        while count := reader.readinto(view):
            sums.update(view[:count])
            size_bytes += count
    return f"b3:{sums.hexdigest()}", size_bytes


def fate(adopted: Adopted) -> str | None:
    """What has become of the files since; None where they are as they were, or a copy is kept."""
    if adopted.copied:
        return None
    try:
        changed = [path for path, state in adopted.states.items() if _state(path) != state]
    except FileNotFoundError:
        return GONE
    except OSError as error:
        return f"it cannot be looked at any more: {error}"
    return f"{_CHANGED}: {changed[0]}" if changed else None


def _state(path: Path) -> State:
    seen = path.stat()
    if not stat.S_ISREG(seen.st_mode):
        raise FileNotFoundError(f"{path} is no file")
    return seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns
