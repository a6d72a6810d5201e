"""From the records of a clone to the plan of a collection."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from .. import pins
from ..objects import BlobStore
from ..place import is_shared
from ..reach import reach
from ..repository import Repository
from ..roots import all_roots, own_roots, pin_all
from .looking import look
from .plan import GRACE_SECONDS, GRACE_SECONDS_AT_LEAST, Plan

Told = Callable[[str, int, int], None]


def survey(
    repository: Repository,
    store: BlobStore,
    *,
    began: float,
    grace_seconds: float = GRACE_SECONDS,
    spools: Iterable[Path] = (),
    lost: frozenset[bytes] = frozenset(),
    progress: Told = lambda *_: None,
) -> Plan:
    """Find out what may leave the store of a repository. In a shared store, first say what this clone needs.

    Args:
        began: seconds since 1970, now: what is put or found there later is left alone.
        grace_seconds: how long before that a blob must have been unwanted; an hour at least.
        spools: folders that hold runs of other hosts.
        lost: damaged manifests that somebody has given up, by their 32 bytes.
        progress: is told what is looked at, and how much of how much.

    Raises:
        Damaged: a record, a manifest, a pack or what another clone needs cannot be read. Nothing may go then.
    """
    shared = is_shared(repository)
    needed = own_roots(repository, spools=spools, progress=lambda *much: progress("records", *much))
    if shared:
        since = began - max(grace_seconds, GRACE_SECONDS_AT_LEAST)
        pin_all(repository, store.root, own=needed, since=since)
        needed = all_roots(store, needed, clone=pins.clone_id(repository))
    alive = reach(store, needed, lost=lost, progress=lambda *much: progress("blobs they name", *much))
    return look(store, alive, began=began, grace_seconds=grace_seconds, shared=shared)
