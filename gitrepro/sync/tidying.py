"""Collecting a store remote, by the records of a clone and by what others have claimed there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ..store.objects import BlobStore
from ..store.place import store_of
from ..store.presence import Presence
from ..store.reach import reach
from ..store.repository import Repository
from ..store.roots import own_roots
from ..store.runs import RunTree
from . import stated
from .overlay import Overlay

if TYPE_CHECKING:
    from .blobs.plan import Records

Told = Callable[[str, int, int], None]


def records_of(repository: Repository, *, spools: Iterable[Path] = (), progress: Told = lambda *_: None) -> Records:
    """What the records of this clone name, with all that these lead to as far as it is here, and which runs they are.

    Raises:
        Damaged: a record, or a manifest that is here and needed, cannot be read.
    """
    from .blobs.plan import Records

    # The runs first: one that comes meanwhile is named, and its claim counts all the same.
    runs, purged = _runs(repository)
    store = store_of(repository)
    roots = own_roots(repository, spools=spools, progress=lambda *much: progress("records", *much))
    alive = reach(store, roots, progress=lambda *much: progress("blobs they name", *much))
    return Records(named=_digests(alive), absent=_digests(_absent(store, alive)), runs=runs, purged=purged)


def _runs(repository: Repository) -> tuple[frozenset[str], frozenset[str]]:
    """The runs on record, and those that were purged."""
    with RunTree(repository) as tree:
        purged = stated.purged(Overlay(tree.objects), tree.tree) if tree.tree else frozenset[str]()
        return frozenset(tree.run_ids()), purged


def _absent(store: BlobStore, names: set[bytes]) -> set[bytes]:
    return Presence(store).absent(names) if store.root.is_dir() else names


def _digests(names: Iterable[bytes]) -> frozenset[str]:
    return frozenset(f"b3:{name.hex()}" for name in names)
