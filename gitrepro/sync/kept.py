"""Whether the store remotes keep what a run names: asked of each, or read and hashed."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import BlobMissing, Damaged
from ..store import fs
from ..store.objects import BlobStore
from ..store.place import store_of
from ..store.repository import Repository
from ..store.runs import RunTree
from .get import Tell, opened
from .needs import ALL, Need, listed, named_by
from .offline import check_on
from .remotes import StoreRemote


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One thing of a run at one store remote.

    Attributes:
        blobs: how many it leads to; of a tree whose list is not here, the list alone.
        missing: how many of them are not there.
        wrong: how many have other bytes there than their names say, where they were read.
    """

    remote: StoreRemote
    need: Need
    blobs: int
    missing: int
    wrong: int = 0

    @property
    def whole(self) -> bool:
        return not self.missing and not self.wrong


def kept_there(
    repository: Repository, run_id: str, remote: StoreRemote, *, full: bool = False, progress: Tell | None = None
) -> list[Kept]:
    """What a store remote has of all that a run names, all its checkpoints included.

    Args:
        full: read all of it there, and hash it. It takes as much room here as the run's blobs, for as long.

    Raises:
        NotFound: there is no such run. Damaged: its record cannot be read.
        RemoteError: the remote cannot be asked, or the network is switched off.
    """
    check_on(repository)
    with RunTree(repository) as tree:
        wanted = list({need.digest: need for need in named_by(tree.run(run_id), checkpoints=ALL)}.values())
    store = store_of(repository)
    roots = {need.digest: _digests(store, need) for need in wanted}
    look = _read if full else _asked
    missing, wrong = look(repository, remote, roots, run_id, progress)
    return [
        Kept(
            remote=remote,
            need=need,
            blobs=len(roots[need.digest]),
            missing=sum(digest in missing and digest not in wrong for digest in roots[need.digest]),
            wrong=sum(digest in wrong for digest in roots[need.digest]),
        )
        for need in wanted
    ]


def _digests(store: BlobStore, need: Need) -> list[str]:
    if not need.tree:
        return [need.digest]
    try:
        return list(dict(listed(store, need.digest, files=not need.linked)))
    except (BlobMissing, Damaged):
        return [need.digest]


def _asked(
    repository: Repository,
    remote: StoreRemote,
    roots: Mapping[str, Sequence[str]],
    run_id: str,
    _progress: Tell | None,
) -> tuple[set[str], set[str]]:
    from .blobs import missing_there
    from .blobs.there import CACHE

    every = {digest for digests in roots.values() for digest in digests}
    with opened(remote) as driver:
        cache = store_of(repository).root / CACHE
        return missing_there(driver, every, roots=roots, runs=[run_id], cache=cache), set()


def _read(
    repository: Repository,
    remote: StoreRemote,
    roots: Mapping[str, Sequence[str]],
    run_id: str,
    progress: Tell | None,
) -> tuple[set[str], set[str]]:
    """Fetch it all into a store that is thrown away."""
    from .blobs import fetch

    with fs.explained(f"cannot make room in {repository.home}"):
        fs.make_directories(repository.home)
        with tempfile.TemporaryDirectory(prefix="verify-", dir=repository.home) as folder, opened(remote) as driver:
            scratch = BlobStore(Path(folder))
            try:
                got = fetch(scratch, [driver], roots, runs=[run_id], progress=progress)
            finally:
                scratch.close()
    return set(got.missing), {each.name for each in got.wrong}
