"""Checkpoints that are on record and not here: asked of the store remotes when they are wanted."""

from __future__ import annotations

from dataclasses import replace

from ..errors import BlobMissing, NotAvailable
from ..store import pruned
from ..store.objects import BlobStore
from ..store.repository import Repository
from ..sync.get import Brought, Tell, ensure, ensure_tree
from ..sync.needs import is_here
from . import pruning
from .places import Found


def fetch(
    repository: Repository,
    store: BlobStore,
    digest: str,
    *,
    named: str | None = None,
    tree: bool = False,
    run: str | None = None,
    progress: Tell | None = None,
) -> Brought:
    """See that a checkpoint is in the store; what is not here of it comes from a store remote, verified.

    Args:
        named: how people call it, for the error.
        tree: it is a folder of files.
        run: the id of the run it is of, where that is known.

    Raises:
        BlobMissing: it is neither here nor there; or somebody let go of it, and no remote has kept it.
    """
    if not tree and is_here(store, digest):
        return Brought()
    runs = [run] if run else []
    try:
        if tree:
            return ensure_tree(repository, digest, runs=runs, progress=progress)
        return ensure(repository, [digest], runs=runs, progress=progress)
    except BlobMissing as error:
        if note := pruned.told(store, digest):
            raise pruning.was_pruned(named or digest[:15], note) from error
        raise


def fetch_found(
    repository: Repository, store: BlobStore, found: Found, *, named: str, progress: Tell | None = None
) -> tuple[Found, Brought]:
    """As `fetch`, with one on record; of one that lay in a place of its own, a copy where it lies there no more.

    Returns:
        Where it is to be had: as before, or in the store.
    """
    tree = found.entry.get("files") is not None
    if found.path is None:
        return found, fetch(repository, store, found.digest, named=named, tree=tree, run=found.run, progress=progress)
    if found.path.exists():
        return found, Brought()
    try:
        brought = fetch(repository, store, found.digest, named=named, tree=tree, run=found.run, progress=progress)
    except (BlobMissing, NotAvailable):
        return found, Brought()  # whoever reads it says that it is gone
    entry = {name: value for name, value in found.entry.items() if name != "path"}
    return replace(found, entry=entry), brought
