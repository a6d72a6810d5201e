"""The store beside a run under way, and the word to others who share it that the run is about to name a blob."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import StorageError

if TYPE_CHECKING:
    from ..store.objects import BlobStore
    from ..store.repository import Repository


def store_beside(repository: Repository, folder: Path) -> BlobStore:
    """The store for the blobs of the run in `folder`.

    Raises:
        StorageError: the run waits elsewhere, and nothing may be written into the repository for it.
    """
    from ..store.place import is_shared, store_of

    if _is_inside(repository, folder) or is_shared(repository):
        return store_of(repository)
    raise StorageError(
        f"the run is kept in {folder.parent.parent}",
        why="there is no repository whose store could keep it",
        do="name a store that this host can write: `git config gitrepro.store FOLDER`",
    )


def pin_beside(repository: Repository, folder: Path, rank: int, digests: Iterable[str]) -> None:
    """Before a journal of the run in `folder` names blobs: keep a collection by another clone from taking them.

    A live run is seen by its own clone alone. Nothing to do where the store is its own. Durable once this returns.

    Args:
        rank: whose journal it is.

    Raises:
        StorageError: the disk refuses.
        Damaged: this clone pins for the first time, and a record of it cannot be read.
    """
    from ..store.place import is_shared, store_of

    if not is_shared(repository):
        return
    if _is_inside(repository, folder):
        from ..store.roots import pin

        pin(repository, digests)
    else:
        from ..store import pins

        pins.append_apart(repository, store_of(repository).root, folder.name, rank, digests)


def _is_inside(repository: Repository, folder: Path) -> bool:
    return folder.parent.parent == repository.home
