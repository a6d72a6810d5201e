"""Packing: write a pack, prove it, let it appear, and only then remove the loose copies."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, final

from ...errors import Damaged, GitreproError
from .. import fs, git, rescue
from ..repository import Repository
from .due import loose_sample
from .known import GC_AUTO, Pack, read_packs, write_packs
from .ours import loose_of_ours, names_in, tips_of

RETIRED_SECONDS: Final = 3600.0
_RETIRED_AT_MOST: Final = 8
"""Git's own gc begins at 50 packs, too."""
_FACTOR: Final = 2
"""Each pack has at least so many times the objects of all smaller ones together: twenty packs are a million runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """What one packing did: objects it packed, packs of ours there are now; `why` says why it did nothing."""

    objects: int = 0
    packs: int = 0
    why: str = ""


def pack(
    repository: Repository, *, clock: Callable[[], float] = time.time, grace_seconds: float = RETIRED_SECONDS
) -> Packed:
    """Pack what is loose of ours. It may be cut at any point and repeated at any time; of two at once one does nothing.

    Args:
        grace_seconds: how long a pack stays after another took its objects in, for those who still read it.

    Raises:
        GitreproError: Git or the disk refuses. Every object is where it was, or in a pack, or both.
    """
    with fs.explained(f"cannot pack in {repository.home}"):
        fs.make_directories(repository.home)
        try:
            with fs.locked(repository.home / "pack.lock", timeout_seconds=0):
                return _pack(_Packing(repository), clock(), grace_seconds)
        except fs.Busy:
            return Packed(why="another process packs")


def _pack(packing: _Packing, now: float, grace_seconds: float) -> Packed:
    if rescue.running_gc(packing.repository):
        return Packed(why="git gc is at work")
    trouble = None
    try:
        packing.tidy(now - grace_seconds)
        objects = packing.pack_loose()
        packing.consolidate(now)
        return Packed(objects=objects, packs=len(packing.standing()))
    except (GitreproError, OSError) as error:
        # On record for people, and not tried again before more has come together.
        trouble = str(error)[:500]
        raise
    finally:
        packing.close(trouble)


@final
class _Packing:
    """One packing under its lock. `known` is on disk before anything that it speaks of happens."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self.known = read_packs(repository.home)
        self._folder = repository.common_dir / "objects" / "pack"
        self._workshop = repository.home / "packing"

    def standing(self) -> list[Pack]:
        """Our packs that no other one replaced, the smallest first."""
        return sorted((pack for pack in self.known.packs if pack.into is None), key=lambda pack: pack.objects)

    def tidy(self, retired_before: float) -> None:
        """Finish what a killed packing left, forget packs that `git repack` took in, and drop replaced ones."""
        for left in self._workshop.glob("*"):
            fs.remove_quietly(left)
        there = {pack.name: pack for pack in self.known.packs if self._has(pack.name)}
        # One whose successor is gone serves again.
        kept = [pack if pack.into is None or pack.into in there else _serving(pack) for pack in there.values()]
        old = _too_old([pack for pack in kept if pack.into], retired_before)
        for each in old:
            self._remove(each.name)
        self._keep([pack for pack in kept if pack not in old])
        for each in self.known.packs:
            self._sweep(each)

    def pack_loose(self) -> int:
        """Put what is loose of ours into one new pack; return how many objects that are."""
        tips = tips_of(self.repository)
        listed = loose_of_ours(self.repository, tips, self.known.tips)
        made = self._write(listed, ["--incremental"]) if listed else {}
        for name, objects in made.items():
            self._publish(name, len(objects))
        self.known = replace(self.known, tips=tips)
        write_packs(self.repository.home, self.known)
        for name, objects in made.items():
            self._sweep(Pack(name=name, objects=len(objects)), objects)
        return sum(map(len, made.values()))

    def consolidate(self, now: float) -> None:
        """Join small packs of ours into one, so that their number grows as the logarithm of what they hold."""
        group = _too_small(self.standing())
        if len(group) < 2:
            return
        wanted = {oid for pack in group for oid in names_in(self._path(pack.name, ".idx"))}
        made = self._write("".join(f"{oid}\n" for oid in sorted(wanted)).encode(), [])
        if {oid for objects in made.values() for oid in objects} != wanted or len(made) != 1:
            return  # the user limits the size of packs
        [name] = made
        if name in {pack.name for pack in group}:
            return  # one of them held all of it already
        self._publish(name, len(wanted), swept=all(pack.swept for pack in group))
        names = {pack.name for pack in group}
        self._keep(
            [replace(pack, into=name, retired_at=now) if pack.name in names else pack for pack in self.known.packs]
        )

    def close(self, trouble: str | None) -> None:
        left = loose_sample(self.repository.common_dir)
        self.known = replace(self.known, left=left, limit=_gc_auto(self.repository), trouble=trouble)
        write_packs(self.repository.home, self.known)

    def _write(self, listed: bytes, options: list[str]) -> dict[str, list[str]]:
        """Packs in the workshop, proven and durable: the objects of each by its name."""
        fs.make_directories(self._workshop)
        fixed = ["--quiet", "--non-empty", "--delta-base-offset", "--threads=1", *options]
        args = ["pack-objects", *fixed, str(self._workshop / "pack")]
        said = git.run(args, cwd=self.repository.common_dir, input=listed).decode("ascii").split()
        return {f"pack-{digest}": self._proven(f"pack-{digest}") for digest in said}

    def _proven(self, name: str) -> list[str]:
        index = self._workshop / f"{name}.idx"
        checked = git.attempt(["verify-pack", str(index)], cwd=self.repository.common_dir)
        if checked.returncode:
            raise Damaged(f"the pack {index} is not what was written", why="the disk may be failing", do="`git fsck`")
        for path in sorted(self._workshop.glob(f"{name}.*")):
            fs.sync_file(path)
        return names_in(index)

    def _publish(self, name: str, objects: int, *, swept: bool = False) -> None:
        """Let a pack appear. It is ours on record first: a kill in between leaves a name without a file."""
        others = [pack for pack in self.known.packs if pack.name != name]
        self._keep([*others, Pack(name=name, objects=objects, swept=swept)])
        # The index last: it is what makes Git look at the rest.
        for path in sorted(self._workshop.glob(f"{name}.*"), key=lambda path: path.suffix == ".idx"):
            os.rename(path, self._folder / path.name)
        fs.sync_directory(self._folder)

    def _sweep(self, pack: Pack, objects: Iterable[str] | None = None) -> None:
        """Remove the loose copies of what a pack of ours holds."""
        if pack.swept or not self._has(pack.name):
            return
        for oid in objects if objects is not None else names_in(self._path(pack.name, ".idx")):
            fs.remove_quietly(self.repository.common_dir / "objects" / oid[:2] / oid[2:])
        self._keep([replace(each, swept=True) if each.name == pack.name else each for each in self.known.packs])

    def _keep(self, packs: Iterable[Pack]) -> None:
        changed = replace(self.known, packs=tuple(packs))
        if changed != self.known:
            self.known = changed
            write_packs(self.repository.home, self.known)

    def _remove(self, name: str) -> None:
        # The index first: what is left without it is seen by nobody.
        for suffix in (".idx", ".rev", ".pack"):
            fs.remove_quietly(self._path(name, suffix))

    def _has(self, name: str) -> bool:
        return self._path(name, ".idx").exists() and self._path(name, ".pack").exists()

    def _path(self, name: str, suffix: str) -> Path:
        return self._folder / f"{name}{suffix}"


def _too_old(replaced: list[Pack], retired_before: float) -> list[Pack]:
    """Of packs that were replaced, those to remove: the old ones, and the oldest when there are many."""
    latest = sorted(replaced, key=lambda pack: pack.retired_at or 0.0, reverse=True)
    return [
        pack
        for number, pack in enumerate(latest)
        if number >= _RETIRED_AT_MOST or (pack.retired_at or 0.0) <= retired_before
    ]


def _serving(pack: Pack) -> Pack:
    return replace(pack, into=None, retired_at=None)


def _too_small(packs: list[Pack]) -> list[Pack]:
    """The smallest of `packs`, ascending, that have to be joined for the others to grow geometrically."""
    total, group = 0, 0
    for number, pack in enumerate(packs):
        if total and pack.objects < _FACTOR * total:
            group = number + 1
        total += pack.objects
    return packs[:group]


def _gc_auto(repository: Repository) -> int:
    said = git.attempt(["config", "--type=int", "--get-all", "gc.auto"], cwd=repository.common_dir).stdout.split()
    try:
        # The last one is the 0 of our own calls. Who set 0 has no automatic gc; the files are as many.
        return int(said[-2]) or GC_AUTO
    except (ValueError, IndexError):
        return GC_AUTO
