"""A checkpoint as a file of the user's: its very bytes, so that `b3sum` gives the name on record."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ..errors import BlobMissing, Conflict, Damaged, NotAvailable, UsageError
from ..store import fs, pruned
from ..store.objects import BlobStore, digest_of
from ..store.restore import restore_tree
from ..store.statcache import StatCache
from . import pruning
from .adopting import digest_of_file
from .places import Found

_SUFFIXES = {"safetensors": ".safetensors", "torch": ".pt"}


def default_name(found: Found, run_name: str) -> str:
    """The name of the file when nobody gives one: `brisk-otter-step-400.safetensors`."""
    if found.path is not None:
        return found.path.name
    name = found.entry.get("name") or f"step-{found.entry.get('step')}"
    suffix = _SUFFIXES.get(str(found.entry.get("format")), "")
    return f"{run_name}-{name}{suffix}".replace("/", "-").lstrip(".") or "checkpoint"


def get(store: BlobStore, statcache: StatCache, found: Found, target: Path, *, force: bool) -> bool:
    """Write a checkpoint to `target`, hashed on the way; False when it lies there already.

    Raises:
        Conflict: another file lies there.
        BlobMissing, NotAvailable: its bytes are not here.
        Damaged: they are not those on record; nothing was written.
        UsageError: it is a folder that lies where it was put on record.
    """
    if found.entry.get("files"):
        return _get_folder(store, statcache, found, target, force=force)
    if target.is_dir():
        raise UsageError(f"{target} is a folder", do="name a file, or a folder with a / behind it")
    if os.path.lexists(target) and not force:
        if target.is_file() and digest_of_file(target)[0] == found.digest:
            return False
        raise Conflict(
            f"another file lies at {target}", why="it would be overwritten", do="name another, or add --force"
        )
    with fs.explained(f"cannot write {target}"):
        fs.make_directories(target.parent)
        _write(store, found, target)
    return True


def _write(store: BlobStore, found: Found, target: Path) -> None:
    temporary = fs.temporary_name(target)
    fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        try:
            _copy(store, found, fd)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(temporary, target)  # noqa: PTH105 - by the name it has had from the start
    finally:
        fs.remove_quietly(temporary)
    fs.sync_directory(target.parent)


def _copy(store: BlobStore, found: Found, fd: int) -> None:
    if found.path is None:
        try:
            store.copy_out(found.digest, fd)
        except BlobMissing as error:
            if note := pruned.told(store, found.digest):
                raise pruning.was_pruned(found.digest[:15], note) from error
            raise
        return
    try:
        digest = digest_of(_copied(found.path, fd))
    except FileNotFoundError as error:
        raise NotAvailable(f"{found.path} is gone", why="it was put on record where it lay") from error
    if digest != found.digest:
        raise Damaged(
            f"{found.path} has other bytes than those on record", why=f"{digest[:15]} is not {found.digest[:15]}"
        )


def _copied(path: Path, fd: int) -> Iterator[bytes]:
    """The bytes of a file, each written before it is given."""
    with open(path, "rb") as reader:
        while chunk := reader.read(1 << 20):
            fs.write_all(fd, chunk)
            yield chunk


def _get_folder(store: BlobStore, statcache: StatCache, found: Found, target: Path, *, force: bool) -> bool:
    if found.path is not None:
        raise UsageError(
            f"it is a folder of {found.entry.get('files', 'several')} files",
            do=f"copy it from {found.path}, where it lies",
        )
    return bool(restore_tree(store, statcache, found.digest, target, force=force).written)
