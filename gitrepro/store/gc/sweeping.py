"""Doing what was planned, while others write."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...errors import Damaged, StorageError
from .. import fs
from ..objects import BlobStore, digest_of
from ..objects.retire import retire
from . import trash
from .looking import table
from .plan import Old, OldPack, Plan

Between = Callable[[str, Path], None]
Told = Callable[[int, int], None]
_TOGETHER_BYTES: Final = 1 << 30


@dataclass(slots=True)
class Swept:
    """What a collection did. `spared` were wanted by somebody meanwhile and are in their place."""

    taken: int = 0
    taken_bytes: int = 0
    spared: int = 0
    deleted: int = 0
    deleted_bytes: int = 0
    put_back: int = 0
    repacked: int = 0
    damaged: tuple[Damaged, ...] = ()


@contextmanager
def the_only_one(root: Path) -> Iterator[None]:
    """Be the only collection in a store.

    Raises:
        StorageError: another one is under way, or the disk refuses.
    """
    lock = root / "gc.lock"
    with fs.explained(f"cannot collect in {root}"):
        fs.make_directories(root)
        _open_for_all(lock)
    try:
        with fs.locked(lock, timeout_seconds=0):
            yield
    except fs.Busy as error:
        raise StorageError(
            f"{root} is being collected", why="another `gitrepro gc` holds its lock", do="wait until it has ended"
        ) from error


def _open_for_all(lock: Path) -> None:
    try:
        os.close(os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC))
        lock.chmod(0o666)  # the mask of who comes first must not keep the others out; it holds nothing
    except FileExistsError:
        pass


def sweep(
    store: BlobStore,
    plan: Plan,
    *,
    began: float,
    between: Between = lambda _step, _path: None,
    progress: Told = lambda *_: None,
) -> Swept:
    """Do what was planned; where something in the trash is wanted, only that. It may be cut at any point and repeated.

    Args:
        began: seconds since 1970, the same as when it was planned.
        between: is called with a step and a file before the step is done to it; a test makes writers come there.

    Raises:
        OSError: the disk refuses.
    """
    done = Swept()
    for each in plan.wanted:
        done.put_back += trash.put_back(each)
    if plan.wanted:
        # What comes back may name more of what lies in the trash, and of what was about to go there: look again.
        store.index.refresh()
        return done
    _empty(plan, done)
    sweeper = _Sweeper(store, trash.folder(store.root, began), done, between)
    steps = len(plan.recipes) + len(plan.blobs) + len(plan.packs) + len(plan.small)
    # The recipe before its pieces: a file in pieces is here whole or not at all.
    for at, old in enumerate((*plan.recipes, *plan.blobs)):
        progress(at, steps)
        sweeper.take(old, kind=old.path.parent.parent.name)
    for group in _groups(plan.packs):
        sweeper.repack(group, plan)
    sweeper.pack_up(plan.small)
    progress(steps, steps)
    for old in plan.stale:
        _remove(old.path)
    store.index.refresh()
    trash.tidy(store.root)
    return done


def _empty(plan: Plan, done: Swept) -> None:
    for each in plan.expired:
        fs.remove_quietly(each.old.path)
        done.deleted += 1
        done.deleted_bytes += each.old.size_bytes


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        fs.remove_quietly(path)


def _groups(packs: Sequence[OldPack]) -> Iterator[list[OldPack]]:
    """Packs whose needed blobs are put together, so that the disk needs room for some of them at a time."""
    group: list[OldPack] = []
    for pack in packs:
        if group and sum(each.live_bytes for each in group) + pack.live_bytes > _TOGETHER_BYTES:
            yield group
            group = []
        group.append(pack)
    if group:
        yield group


class _Sweeper:
    def __init__(self, store: BlobStore, place: Path, done: Swept, between: Between) -> None:
        self._store = store
        self._place = place
        self._done = done
        self._between = between

    def take(self, old: Old, *, kind: str) -> None:
        """Move a file to the trash, unless somebody has wanted it since it was looked at."""
        self._between("look", old.path)
        try:
            if os.lstat(old.path).st_mtime_ns != old.mtime_ns:
                self._done.spared += 1
                return
        except FileNotFoundError:
            return
        try:
            kept = retire(
                old.path,
                seen_mtime_ns=old.mtime_ns,
                trash=self._place / kind,
                between=lambda step: self._between(step, old.path),
            )
        except PermissionError:
            # In a shared store: a file of another user, which may not be moved, or was moved and may not be linked.
            trash.put_back_all(self._place / kind, old.path)
            kept = None
        if kept is None:
            self._done.spared += 1
        else:
            self._done.taken += 1
            self._done.taken_bytes += old.size_bytes

    def repack(self, packs: Iterable[OldPack], plan: Plan) -> None:
        """Put what is needed of some packs into new ones; then those may go."""
        going: list[Old] = []
        with self._store.batch() as batch:
            for pack in packs:
                try:
                    sound = list(self._needed(pack.old.path, plan)) if pack.live else []
                except Damaged as error:
                    self._done.damaged += (error,)
                    continue
                for name, data in sound:
                    batch.put_anew(name, data)
                going.append(pack.old)
                self._done.repacked += len(sound)
        for old in going:
            self.take(old, kind="packs")

    def _needed(self, path: Path, plan: Plan) -> Iterator[tuple[bytes, bytes]]:
        with open(path, "rb") as reader:
            for entry in table(path):
                if entry.hash in plan.needed:
                    reader.seek(entry.offset)
                    yield entry.hash, _checked(entry.hash, reader.read(entry.size_bytes), path)

    def pack_up(self, small: Iterable[Old]) -> None:
        """Put small blobs that have files of their own into packs."""
        going: list[Old] = []
        with self._store.batch() as batch:
            for old in small:
                name = bytes.fromhex(old.path.parent.name + old.path.name)
                try:
                    batch.put_anew(name, _checked(name, old.path.read_bytes(), old.path))
                except FileNotFoundError:
                    continue
                except Damaged as error:
                    self._done.damaged += (error,)
                    continue
                going.append(old)
        for old in going:
            self.take(old, kind="objects")
        self._done.repacked += len(going)


def _checked(name: bytes, data: bytes, path: Path) -> bytes:
    if digest_of([data]) != f"b3:{name.hex()}":
        raise Damaged(
            f"blob b3:{name.hex()[:12]} in {path} has other bytes than its name says",
            why="it was changed on disk, or the disk is failing",
            do="`gitrepro verify --full` sets it aside and says what can be done; it stays where it is until then",
        )
    return data
