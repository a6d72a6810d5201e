"""A ref of ours led on by something other than the fold: under the fold's lock, by compare-and-swap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..errors import StorageError
from . import fs, rescue
from .gitobjects import GitObjects
from .gitrefs import move_ref, read_ref
from .repository import Repository

_TRIES = 20


@dataclass(frozen=True, slots=True)
class Moved:
    """Where a ref was, and where it is now."""

    before: str | None
    after: str | None


def lead(
    repository: Repository,
    ref: str,
    make: Callable[[str | None], str | None],
    *,
    objects: GitObjects,
    timeout_seconds: float = 60.0,
) -> Moved:
    """Let `ref` name what `make` makes of the object it names now. Durable once this returns.

    Args:
        make: is given what the ref names, or None, and returns what it is to name; the same, or None, leaves it. It
            may be called again, when a program that knows nothing of our lock moved the ref meanwhile.
        objects: what `make` writes with: all that it wrote outlives a prune that looked before.

    Raises:
        StorageError: the disk refuses, the lock stays taken, or the ref keeps moving.
    """
    with fs.explained(f"cannot move {ref} in {repository.common_dir}"):
        fs.make_directories(repository.home)
    with fs.locked(repository.home / "lock", timeout_seconds=timeout_seconds):
        for _ in range(_TRIES):
            tip = read_ref(repository.common_dir, ref)
            new = make(tip)
            if new is None or new == tip:
                return Moved(tip, tip)
            with rescue.guarded(repository, objects, objects.written):
                moved = move_ref(repository.common_dir, ref, old=tip, new=new)
            if moved:
                return Moved(tip, new)
    raise StorageError(f"{ref} keeps moving", why="another program writes it", do="run the command again")
