"""What is known of blobs that are to be sent: how long they are, and in which pieces they travel."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...errors import Damaged
from ...records.recipe import Recipe
from ...store.objects import BlobStore, copying
from ...store.objects import recipes as pieces
from ...store.presence import rows
from ...store.restore.packed import PackedBlobs

_PART_BYTES: Final = 256 << 10


@dataclass(frozen=True, slots=True)
class Form:
    """How long a blob is; its recipe where it lies here in pieces."""

    size_bytes: int
    recipe: Recipe | None = None


def forms(store: BlobStore, digests: Iterable[str]) -> dict[str, Form]:
    """The form of each of these blobs that is here; the others are left out."""
    store.index.refresh()
    wanted = {bytes.fromhex(digest[3:]): digest for digest in digests}
    _, packed = rows(store, list(wanted))
    found = {wanted[name]: Form(row[3]) for name, row in packed.items()}
    for name, digest in wanted.items():
        if digest not in found and (form := _elsewhere(store, name)):
            found[digest] = form
    return found


def _elsewhere(store: BlobStore, name: bytes) -> Form | None:
    try:
        recipe = pieces.load(store.recipe_path(name))
        return Form(recipe.size_bytes, recipe)
    except (FileNotFoundError, NotADirectoryError):
        return _loose(store.loose_path(name))


def _loose(path: Path) -> Form | None:
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Form(found.st_size) if stat.S_ISREG(found.st_mode) else None


def read_all(store: BlobStore, digest: str) -> Iterator[memoryview]:
    """The bytes of a blob, in parts that are good until the next is asked for, hashed on the way.

    Raises:
        Damaged: at the end, when they have another hash.
        BlobMissing: it is not here.
    """
    sums, view = copying.hasher(), memoryview(bytearray(_PART_BYTES))
    with store.open(digest) as reader:
        while count := reader.readinto(view):  # type: ignore[attr-defined]
            sums.update(view[:count])
            yield view[:count]
    if f"b3:{sums.hexdigest()}" != digest:
        raise wrong(store, digest)


def wrong(store: BlobStore, digest: str) -> Damaged:
    """The error of a blob that was read with other bytes than its name says; what is wrong is set aside."""
    try:
        store.verify(digest)
    except Damaged as error:
        return error
    return Damaged(
        f"blob {digest[:15]} was read with other bytes than its name says, and now it is right",
        why="the disk or the memory is failing",
        do="look at the system log, then run the command again",
    )


def read_small(store: BlobStore, packed: PackedBlobs, digest: str) -> bytes | memoryview:
    """A small blob, verified. Raises as `read_all` does."""
    data = packed.get(digest)
    return store.get(digest) if data is None else data
