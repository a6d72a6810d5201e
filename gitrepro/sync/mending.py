"""Putting a store remote right: all that runs name is read there, and what is wrong is written again."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BlobMissing, Damaged, GitreproError
from ..store import fs
from ..store.objects import BlobStore
from ..store.place import store_of
from ..store.repository import Repository
from ..store.runs import RunTree
from .get import Tell, opened
from .needs import ALL, Need, listed, named_by
from .remotes import StoreRemote
from .travel import claim_of

if TYPE_CHECKING:
    from .blobs import Driver
    from .blobs.repairing import Repaired


@dataclass(frozen=True, slots=True, kw_only=True)
class Mended:
    """One thing that runs name, and what was done for it."""

    need: Need
    done: Repaired


def mend(
    repository: Repository,
    run_ids: Iterable[str],
    remote: StoreRemote,
    others: Sequence[StoreRemote],
    *,
    progress: Tell | None = None,
    trouble: Callable[[str, GitreproError], None] = lambda _run, _error: None,
) -> Iterator[Mended]:
    """Read what runs name in a store remote, one thing after the other, and put right what is wrong or missing.

    Args:
        others: remotes that may have right what is not here.
        trouble: is told of runs of which the record cannot be read.

    Raises:
        RemoteError: the remote refuses.
        StorageError: there is no room here for the largest of these things.
    """
    wanted = _needs(repository, run_ids, trouble)
    store = store_of(repository)
    with ExitStack() as stack:
        driver = stack.enter_context(opened(remote))
        drivers = [stack.enter_context(opened(each)) for each in others]
        for need in wanted:
            yield Mended(need=need, done=_mend(repository, store, driver, drivers, need, progress))


def _needs(repository: Repository, run_ids: Iterable[str], trouble: Callable[[str, GitreproError], None]) -> list[Need]:
    found: dict[tuple[str, bool], Need] = {}
    with RunTree(repository) as tree:
        for run_id in run_ids:
            try:
                for need in named_by(tree.run(run_id), checkpoints=ALL):
                    found.setdefault((need.digest, need.linked), need)
            except Damaged as error:
                trouble(run_id, error)
    return list(found.values())


def _mend(
    repository: Repository,
    store: BlobStore,
    driver: Driver,
    others: Sequence[Driver],
    need: Need,
    progress: Tell | None,
) -> Repaired:
    from .blobs.repairing import repair

    with fs.explained(f"cannot make room in {repository.home}"):
        fs.make_directories(repository.home)
        with tempfile.TemporaryDirectory(prefix="repair-", dir=repository.home) as folder:
            scratch = BlobStore(Path(folder))
            try:
                roots = {need.digest: _digests(store, scratch, [driver, *others], need)}
                claim = claim_of(repository, [need.run_id])
                return repair(store, driver, others, roots, scratch, claim=claim, progress=progress)
            finally:
                scratch.close()


def _digests(store: BlobStore, scratch: BlobStore, drivers: Sequence[Driver], need: Need) -> list[str]:
    """All that a thing leads to; itself alone where its list is nowhere to be had."""
    from .blobs import fetch

    if not need.tree:
        return [need.digest]
    with_files = not need.linked
    try:
        return list(dict(listed(store, need.digest, files=with_files)))
    except (BlobMissing, Damaged):
        fetch(scratch, drivers, [need.digest])
    try:
        return list(dict(listed(scratch, need.digest, files=with_files)))
    except (BlobMissing, Damaged):
        return [need.digest]
