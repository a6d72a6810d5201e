"""Packs: their tables, what lies in them, and whether the index says the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...errors import Damaged
from ..objects import BlobStore, damage, digest_of, packfile
from ..objects.index import Place
from ..objects.packfile import Entry
from .checker import AGAIN
from .proof import DAMAGED

_BLOB: Final = re.compile("[0-9a-f]{64}")
_PACK: Final = re.compile("[0-9a-f]{64}[.]pack")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something wrong in a store: the file, the blob where it is known, and what helps."""

    path: Path
    digest: str
    state: str
    why: str
    do: str


def is_named(path: Path, kind: str) -> bool:
    """Whether a file in `objects/`, `recipes/` or `packs/` is called as those there are."""
    if kind == "packs":
        return _PACK.fullmatch(path.name) is not None
    return _BLOB.fullmatch(path.parent.name + path.name) is not None and len(path.parent.name) == 2


def look(store: BlobStore, path: Path) -> list[Finding]:
    """Look at a pack. Where bytes are wrong it is set aside, and what is sound in it is kept in another one."""
    try:
        entries = packfile.entries(path)
    except FileNotFoundError:
        return []
    except (Damaged, OSError) as error:
        return [_without_table(store, path, error)]
    wrong = list(_wrong(path, entries))
    if wrong:
        first = wrong[0]
        damage.of_pack(store, _digest(first), Place(path.name[:64], first.offset, first.size_bytes))
    # A pack that held the same blob may be sound.
    lost = [entry for entry in wrong if _digest(entry) not in store]
    return [_lost(path, entry) for entry in lost]


def _digest(entry: Entry) -> str:
    return f"b3:{entry.hash.hex()}"


def _wrong(path: Path, entries: list[Entry]) -> Iterator[Entry]:
    with open(path, "rb") as reader:
        for entry in sorted(entries, key=lambda entry: entry.offset):
            reader.seek(entry.offset)
            if digest_of([reader.read(entry.size_bytes)]) != _digest(entry):
                yield entry


def _lost(path: Path, entry: Entry) -> Finding:
    why = f"its bytes in the pack {path.name[:12]} are wrong; the pack is set aside, the rest of it is kept"
    return Finding(path=path, digest=_digest(entry), state=DAMAGED, why=why, do=AGAIN)


def _without_table(store: BlobStore, path: Path, error: Exception) -> Finding:
    """A pack whose table is gone: what the index remembers of it is kept."""
    known, kept, _ = damage.without_table(store, path)
    said = f"{kept:,} of {known:,} blobs that the index knew are kept" if known else "the index knew nothing of it"
    why = f"its table cannot be read ({getattr(error, 'why', '') or error}); it is set aside, and {said}"
    do = "`gitrepro verify --all` tells what is missing now; put that again or pull it"
    return Finding(path=path, digest="", state=DAMAGED, why=why, do=do)


def mend(store: BlobStore) -> bool:
    """Hold the index against the tables of the packs; make it again where it says something else."""
    store.index.refresh()
    if _agrees(store):
        return False
    store.index.forget()
    store.index.refresh()
    return True


def _agrees(store: BlobStore) -> bool:
    told = 0
    for pack in sorted(store.index.names()):
        for entry in store.index.entries(pack):
            place = store.index.find(entry.hash)
            if place == Place(pack, entry.offset, entry.size_bytes):
                told += 1
            elif place is None or not _holds(store, place, entry.hash):
                return False
    return told == sum(1 for _ in store.index.hashes())


def _holds(store: BlobStore, place: Place, name: bytes) -> bool:
    return Entry(name, place.offset, place.size_bytes) in store.index.entries(place.pack)
