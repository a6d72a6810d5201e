"""Wrong bytes in the store: set aside where people find them, never deleted and never shown as data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from ...errors import Damaged
from .. import fs
from . import names, packfile
from .names import digest_of
from .packfile import Entry

if TYPE_CHECKING:
    from .blobs import BlobStore
    from .index import Place

PACK_SET_ASIDE: Final = "pack-"
"""Begins the name of a pack in `quarantine/` of which not all could be kept."""


def set_aside(root: Path, path: Path, name: bytes) -> Damaged:
    """Move a file with wrong bytes to `quarantine/`; the error that says so."""
    place = root / "quarantine"
    fs.make_directories(place)
    kept = place / f"{name.hex()}-{os.urandom(4).hex()}"
    try:
        os.replace(path, kept)
    except FileNotFoundError:
        return _error(name, f"somebody else has set it aside in {place}")
    return _error(name, f"the wrong bytes are kept as {kept}")


def make_way(root: Path, pack: Path, name: bytes) -> None:
    """Set a pack aside that cannot be read, so that it does not stand in for the sound one of its name."""
    try:
        packfile.entries(pack)
    except FileNotFoundError:
        return
    except Damaged:
        set_aside(root, pack, name)


def of_pack(store: BlobStore, digest: str, place: Place) -> Damaged:
    """Set a pack aside in which a blob has wrong bytes; its sound ones are kept in a pack of their own."""
    path = store.pack_path(place.pack)
    try:
        return _of_pack(store, bytes.fromhex(digest[3:]), place, path)
    except FileNotFoundError:
        return _error(bytes.fromhex(digest[3:]), f"the pack {path} is gone meanwhile")


def _of_pack(store: BlobStore, name: bytes, place: Place, path: Path) -> Damaged:
    try:
        entries = packfile.entries(path)
    except Damaged:
        return _error(name, f"its pack is damaged, and is kept as {without_table(store, path)[2]}")
    if Entry(name, place.offset, place.size_bytes) not in entries:
        store.index.forget()
        what = f"the index of {store.root} pointed at other bytes"
        return Damaged(what, why="it was changed on disk", do="run the command again: the index is made again")
    with open(path, "rb") as reader:
        sound = _salvage(store, reader, entries)
    if sound == len(entries) > 0:
        what = f"blob b3:{name.hex()[:12]} was read with other bytes than its name says, and now it is right"
        return Damaged(what, why="the disk or the memory is failing", do="look at the system log")
    error = set_aside(store.root, path, name)
    store.index.refresh()
    return error


def without_table(store: BlobStore, path: Path) -> tuple[int, int, Path]:
    """Set a pack aside whose table cannot be read, and keep the sound blobs of it that the index remembers.

    Returns:
        How many blobs of it the index knew, how many of those are kept, and where the pack lies now.

    Raises:
        FileNotFoundError: it is gone.
    """
    known = store.index.known(path.name[:64])
    with open(path, "rb") as reader:
        harmed = os.fstat(reader.fileno())
        sound = _salvage(store, reader, known)
    # A pack of which not all was kept stops a collection: nobody knows what else was in it.
    begin = "salvaged-" if sound == len(known) > 0 else PACK_SET_ASIDE
    kept = store.root / "quarantine" / f"{begin}{path.name[:64]}-{os.urandom(4).hex()}"
    _move(path, harmed, kept)
    store.index.refresh()
    return len(known), sound, kept


def _move(pack: Path, harmed: os.stat_result, kept: Path) -> None:
    """Move that very file: where all of it could be kept, what was kept has its name now, and it made way."""
    fs.make_directories(kept.parent)
    for place in (pack, *kept.parent.glob(f"{pack.name[:64]}-*")):
        try:
            if os.path.samestat(os.lstat(place), harmed):
                os.replace(place, kept)
        except FileNotFoundError:
            pass  # somebody else has done it


def _salvage(store: BlobStore, reader: BinaryIO, entries: list[Entry]) -> int:
    """Put the sound blobs of a pack into another one; how many there are."""
    sound = 0
    with store.batch() as batch:
        for entry in entries:
            reader.seek(entry.offset)
            data = reader.read(entry.size_bytes)
            if digest_of([data]) == names.PREFIX + entry.hash.hex():
                batch.put_anew(entry.hash, data)
                sound += 1
    return sound


def _error(name: bytes, where: str) -> Damaged:
    return Damaged(
        f"blob b3:{name.hex()[:12]} has other bytes than its name says",
        why="it was changed on disk, or the disk is failing",
        do=f"put it again or pull it; {where}",
    )
