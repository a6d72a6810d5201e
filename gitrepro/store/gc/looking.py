"""Which files of a store may go."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...errors import Damaged
from ..objects import BlobStore, packfile
from ..objects.packfile import SMALL_BYTES, Entry
from . import leftovers, trash
from .plan import GRACE_SECONDS_AT_LEAST, Old, OldPack, Plan

_NAME: Final = re.compile("[0-9a-f]{64}")
_MANY: Final = 16
"""So few small files, or small packs, are not worth being put together."""
_LITTLE_BYTES: Final = 4 << 20


def look(store: BlobStore, needed: set[bytes], *, began: float, grace_seconds: float, shared: bool = False) -> Plan:
    """Find what nothing needs and nobody has wanted for a while.

    Args:
        needed: the hashes of all that is needed, see `reach`.
        began: seconds since 1970, before the first record was read: what was wanted later is left alone.
        grace_seconds: how long before that; an hour at least.
        shared: others, maybe on other machines, write into the store too.

    Raises:
        Damaged: the table of a pack cannot be read, so that it is not known what lies in it.
        OSError: the disk refuses.
    """
    cutoff_ns = int((began - max(grace_seconds, GRACE_SECONDS_AT_LEAST)) * 1e9)
    tally = _Tally(cutoff_ns)
    packs = _packs(store, needed, tally)
    blobs, small = _loose(store, needed, tally)
    settled = trash.look(store, needed, began=began, cutoff_ns=cutoff_ns)
    return Plan(
        needed=needed,
        blobs=tuple(blobs),
        recipes=tuple(tally.dead(_files(store, "recipes"), needed)),
        packs=tuple(packs),
        small=tuple(small if len(small) >= _MANY else ()),
        stale=tuple(leftovers.stale(store.root, began=began, shared=shared)),
        expired=settled.expired,
        wanted=settled.wanted,
        waiting=settled.waiting,
        waiting_bytes=settled.waiting_bytes,
        kept=tally.kept,
        kept_bytes=tally.kept_bytes,
        spared=tally.spared,
        spared_bytes=tally.spared_bytes,
    )


@dataclass(slots=True)
class _Tally:
    """Counts what stays, on the way."""

    cutoff_ns: int
    kept: int = 0
    kept_bytes: int = 0
    spared: int = 0
    spared_bytes: int = 0

    def dead(self, files: Iterable[tuple[bytes, Old]], needed: set[bytes]) -> Iterator[Old]:
        for name, old in files:
            if name in needed:
                self.kept += 1
                self.kept_bytes += old.size_bytes
            elif self.is_young(old):
                self.spared += 1
                self.spared_bytes += old.size_bytes
            else:
                yield old

    def is_young(self, old: Old) -> bool:
        return old.mtime_ns >= self.cutoff_ns


def _files(store: BlobStore, kind: str) -> Iterator[tuple[bytes, Old]]:
    """The named files of `objects/` or `recipes/`; what is no plain file is for `verify` to tell."""
    try:
        folders = sorted(os.listdir(store.root / kind))
    except FileNotFoundError:
        return
    for folder in folders:
        if len(folder) != 2:
            continue
        with os.scandir(store.root / kind / folder) as inside:
            for entry in inside:
                if _NAME.fullmatch(folder + entry.name) and (old := seen(Path(entry.path))):
                    yield bytes.fromhex(folder + entry.name), old


def seen(path: Path) -> Old | None:
    """A plain file as it is now; None for anything else."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    return Old(path, found.st_mtime_ns, found.st_size) if stat.S_ISREG(found.st_mode) else None


def _loose(store: BlobStore, needed: set[bytes], tally: _Tally) -> tuple[list[Old], list[Old]]:
    small: list[Old] = []

    def watched() -> Iterator[tuple[bytes, Old]]:
        for name, old in _files(store, "objects"):
            if name in needed and old.size_bytes < SMALL_BYTES and not tally.is_young(old):
                small.append(old)
            yield name, old

    return list(tally.dead(watched(), needed)), small


# -- packs


def _packs(store: BlobStore, needed: set[bytes], tally: _Tally) -> list[OldPack]:
    """The packs that are not as they should be: mostly dead, many and little, or with the same blobs as others."""
    holder: dict[bytes, Path] = {}
    doubled: set[Path] = set()
    found = []
    for name in sorted(store.index.names()):
        old = seen(store.pack_path(name))
        if old is not None:
            found.append(_pack(old, needed, holder, doubled))
    aged = [pack for pack in found if not tally.is_young(pack.old)]
    wrong = [pack for pack in aged if pack.dead_bytes > pack.live_bytes or not pack.live]
    # The writing anew of a pack was cut before the old one was gone.
    wrong += [pack for pack in aged if pack.old.path in doubled and pack not in wrong]
    little = [pack for pack in aged if pack.old.size_bytes < _LITTLE_BYTES and pack not in wrong]
    wrong += little if len(little) >= _MANY else []
    for pack in found:
        tally.kept += pack.live
        tally.kept_bytes += pack.live_bytes
        if pack not in wrong:
            tally.spared += pack.dead
            tally.spared_bytes += pack.dead_bytes
    return wrong


def _pack(old: Old, needed: set[bytes], holder: dict[bytes, Path], doubled: set[Path]) -> OldPack:
    live = live_bytes = dead = dead_bytes = 0
    for entry in table(old.path):
        if entry.hash not in needed:
            dead, dead_bytes = dead + 1, dead_bytes + entry.size_bytes
            continue
        live, live_bytes = live + 1, live_bytes + entry.size_bytes
        other = holder.setdefault(entry.hash, old.path)
        if other != old.path:
            doubled.update((other, old.path))
    return OldPack(old, live, live_bytes, dead, dead_bytes)


def table(path: Path) -> list[Entry]:
    """The blobs of a pack; none where it is gone.

    Raises:
        Damaged: its table cannot be read.
    """
    try:
        return packfile.entries(path)
    except FileNotFoundError:
        return []
    except Damaged as error:
        raise Damaged(
            f"{error.what}, so it is not known which blobs it holds",
            why=error.why,
            do="`gitrepro verify --full` keeps what can be kept of it; then collect again",
        ) from error
