"""What data sets need, whether a run names them or not: their lists, their files, their splits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..store.catalog import Catalog
from ..store.repository import Repository
from .needs import Need, Needs, needs_of
from .remotes import StoreRemote
from .travel import Load, missing


def data_load(repository: Repository, remote: StoreRemote, refs: Iterable[str]) -> Load:
    """What is to go to a store remote of these data sets. The remote is asked what it has.

    Args:
        refs: each `NAME`, for the newest version, or `NAME@VERSION`.

    Raises:
        NotFound, Ambiguous: one of them names no version, or several.
        RemoteError: the remote cannot be asked.
    """
    found = data_needs(repository, refs)
    absent = missing(repository, remote, found)
    return Load(remote=remote, run_ids=(), checkpoints="none", needs=found, missing=absent)


def data_needs(repository: Repository, refs: Iterable[str]) -> Needs:
    """What data sets need, and whether it is here. Raises as `data_load` does, of the names."""
    with Catalog(repository) as catalog:
        things = [need for ref in refs for need in _named(catalog, ref)]
    return needs_of(repository, things)


def _named(catalog: Catalog, ref: str) -> Iterator[Need]:
    record = catalog.dataset(ref)
    size_bytes = record.size_bytes
    yield Need(
        run_id="", kind="data", name=record.ref, digest=record.digest, size_bytes=size_bytes, tree=True,
        linked=record.linked,
    )  # fmt: skip
    for split in catalog.splits(record):
        yield Need(run_id="", kind="split", name=split.name, digest=split.digest, size_bytes=None)
