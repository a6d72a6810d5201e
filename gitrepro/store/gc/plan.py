"""What a collection would do: files, how old they were when they were seen, and how much they hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

DAY_SECONDS: Final = 86_400
GRACE_SECONDS: Final = 14 * DAY_SECONDS
GRACE_SECONDS_AT_LEAST: Final = 3600
"""A writer may have found a blob here this long before a record of it can be read."""


@dataclass(frozen=True, slots=True)
class Old:
    """A file that may go, and its time when it was seen: another time means that somebody wants it."""

    path: Path
    mtime_ns: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class OldPack:
    """A pack that may go, once those of its blobs that are needed (`live`) are in another one."""

    old: Old
    live: int
    live_bytes: int
    dead: int
    dead_bytes: int


@dataclass(frozen=True, slots=True)
class Trashed:
    """Something in the trash: where it was, and how it lies there now."""

    old: Old
    home: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a collection found.

    `needed` are the hashes of all that is. `blobs` and `recipes` are not among them. `packs` hold nothing that is
    needed, or little; `small` are needed blobs in files of their own that fit into a pack. `stale` are left from
    writers that are gone. Of the trash, `expired` can be deleted, `wanted` goes back.
    """

    needed: frozenset[bytes] | set[bytes]
    kept: int
    kept_bytes: int
    spared: int
    """How many blobs nothing needs, that stay for now: they are young, or lie in a pack that is worth keeping."""
    spared_bytes: int
    blobs: tuple[Old, ...] = ()
    recipes: tuple[Old, ...] = ()
    packs: tuple[OldPack, ...] = ()
    small: tuple[Old, ...] = ()
    stale: tuple[Old, ...] = ()
    expired: tuple[Trashed, ...] = ()
    wanted: tuple[Trashed, ...] = ()
    waiting: int = 0
    """How many files lie in the trash for less than a day."""
    waiting_bytes: int = 0

    @property
    def dead(self) -> int:
        """How many blobs nothing needs."""
        return len(self.blobs) + len(self.recipes) + sum(pack.dead for pack in self.packs)

    @property
    def dead_bytes(self) -> int:
        loose = sum(old.size_bytes for old in (*self.blobs, *self.recipes))
        return loose + sum(pack.dead_bytes for pack in self.packs)

    @property
    def expired_bytes(self) -> int:
        return sum(each.old.size_bytes for each in self.expired)

    @property
    def stale_bytes(self) -> int:
        return sum(old.size_bytes for old in self.stale)

    @property
    def wanted_bytes(self) -> int:
        return sum(each.old.size_bytes for each in self.wanted)

    @property
    def is_empty(self) -> bool:
        acts = (self.blobs, self.recipes, self.packs, self.small, self.stale, self.expired, self.wanted)
        return not any(acts)
