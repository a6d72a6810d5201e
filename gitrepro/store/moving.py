"""Taking what a clone needs from one store to another, such as one that several clones share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import BlobMissing, Damaged, UsageError
from . import pins, place, roots
from .lease import Life
from .live import live_runs
from .objects import Batch, BlobStore
from .objects.packfile import SMALL_BYTES
from .reach import load, reach, recipes
from .repository import Repository

Told = Callable[[int, int], None]
_TOGETHER_BYTES: Final = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """From where to where, and what was copied."""

    before: Path
    to: Path
    copied: int = 0
    copied_bytes: int = 0


def place_of(repository: Repository) -> Path:
    """Where the store of a repository is, whether it is there or not."""
    return place.named(repository) or place.own(repository)


def move(repository: Repository, to: Path, *, anybody: bool = False, progress: Told = lambda *_: None) -> Moved:
    """Let `to` be the store of a repository, and copy there what the clone needs. It may be cut and repeated.

    Args:
        to: an absolute path; made when it is not there.
        anybody: take one into which everybody may write.

    Raises:
        Unsafe: everybody may write into it.
        UsageError: it lies where it cannot, or runs are under way.
        Damaged: it is not known what this clone needs, or a blob is damaged.
        StorageError: the disk refuses. The setting is as it was.
    """
    before = place_of(repository)
    same = before.resolve() == to.resolve()
    _check(repository, to)
    shared = to.resolve() != place.own(repository).resolve()
    if shared and not anybody:
        place.check_writers(to)
    if not same:
        _check_nothing_runs(repository)
    place.prepare(to, shared=shared)
    moved = Moved(before=before, to=to)
    if shared:
        # Before anything lies there: nobody collects what is wanted here.
        roots.pin_all(repository, to)
    if not same:
        moved = _copy(repository, BlobStore(before), BlobStore(to), progress)
    repository.git("config", place.SETTING, str(to))
    if not same:
        pins.withdraw(before, pins.clone_id(repository))
    return moved


def _check(repository: Repository, to: Path) -> None:
    inside = to.resolve()
    taken = [repository.common_dir / name for name in ("objects", "refs", "hooks", "logs")]
    if inside in (repository.common_dir, repository.home, repository.work_tree) or any(
        each in (inside, *inside.parents) for each in taken
    ):
        raise UsageError(f"{to} is no place for a store", why="other things lie there", do="name a folder of its own")


def _check_nothing_runs(repository: Repository) -> None:
    alive = [run for run in live_runs(repository.home) if run.life is not Life.DEAD]
    if alive:
        raise UsageError(
            f"run {alive[0].id[-8:]} is under way",
            why="it keeps what it stores in the place that it began with",
            do="move the store when it has ended",
        )


# -- copying


def _copy(repository: Repository, source: BlobStore, target: BlobStore, progress: Told) -> Moved:
    names = sorted(reach(source, roots.own_roots(repository)))
    whole = [name for name in names if not source.recipe_path(name).is_file()]
    copied, copied_bytes = _copy_blobs(source, target, whole, progress)
    needed = set(names)
    # After their pieces: a file is there whole, or not at all.
    with target.batch() as batch:
        for path in recipes(source):
            name = bytes.fromhex(path.parent.name + path.name)
            if name in needed:
                batch.put_recipe(load(path).digest, path.read_bytes())
                copied += 1
    return Moved(before=source.root, to=target.root, copied=copied, copied_bytes=copied_bytes)


def _copy_blobs(source: BlobStore, target: BlobStore, names: list[bytes], progress: Told) -> tuple[int, int]:
    copied = copied_bytes = 0
    at = 0
    while at < len(names):
        until = copied_bytes + _TOGETHER_BYTES
        with target.batch() as batch:
            while at < len(names) and copied_bytes < until:
                try:
                    copied_bytes += _copy_blob(source, batch, names[at])
                    copied += 1
                except BlobMissing:
                    pass  # not every hash on record is that of a blob, and not every blob is here
                at += 1
                progress(at, len(names))
    return copied, copied_bytes


def _copy_blob(source: BlobStore, batch: Batch, name: bytes) -> int:
    digest = f"b3:{name.hex()}"
    path = source.loose_path(name)
    if not path.is_file() or path.stat().st_size < SMALL_BYTES:
        data = source.get(digest)
        batch.put_named(name, data)
        return len(data)
    if (found := batch.put_file(path))[0] != digest:
        source.verify(digest)
        raise Damaged(f"blob {digest[:15]} changed while it was copied", do="run the command again")
    return found[1]
