"""The blobs of runs on their way to a store remote, and what is known of those that went there before."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import GitreproError
from ..records import ids
from ..store import fs, pins, recipes
from ..store.index import Index
from ..store.objects import BlobStore, digest_of
from ..store.place import store_of
from ..store.repository import Repository
from ..store.statcache import StatCache
from .blobs.layout import FORMAT_KEY
from .get import Tell, opened
from .needs import ALL, BEST, NONE, Need, Needs, check_choice, needs
from .remotes import StoreRemote

if TYPE_CHECKING:
    from .blobs import Sent
    from .blobs.claims import Claim

FOLDER: Final = "sent"
RUNS_AT_ONCE: Final = 500
"""So many runs go together: what they have in common is asked for once, and a cut costs no more than that."""
_RANKS: Final = {NONE: 0, BEST: 1, ALL: 2}

Told = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is to go to one store remote: the runs, what they need, and what the remote has not of it."""

    remote: StoreRemote
    run_ids: tuple[str, ...]
    checkpoints: str
    needs: Needs
    missing: frozenset[str]

    @property
    def size_bytes(self) -> int:
        """Of what the remote has not."""
        return sum(self.needs.sizes[digest] for digest in self.missing)


def due(repository: Repository, remote: StoreRemote, *, checkpoints: str = BEST) -> list[str]:
    """The runs on record here whose blobs are not known to have gone to a store remote, the oldest first.

    Those that came from others are for them to send, unless somebody asks for them by name.
    """
    check_choice(checkpoints)
    gone = {**_noted(_path(repository, remote)), **_noted(_came(repository))}
    rank = _RANKS[checkpoints]
    with Index(repository) as index:
        found = index.ids(where="removed = 0", limit=None)
    return sorted(run_id for run_id in found if gone.get(run_id, -1) < rank)


def loads(
    repository: Repository,
    remote: StoreRemote,
    run_ids: Sequence[str],
    *,
    checkpoints: str = BEST,
    take: bool = True,
    progress: Told = lambda *_: None,
) -> Iterator[Load]:
    """What is to go of these runs, some hundreds at a time. The remote is asked what it has.

    Args:
        take: first copy files into the store that a framework wrote, and that were put on record where they lie.

    Raises:
        RemoteError: the remote cannot be asked.
        NotFound: there is no such run.
    """
    for begin in range(0, len(run_ids), RUNS_AT_ONCE):
        some = tuple(run_ids[begin : begin + RUNS_AT_ONCE])
        found = gathered(repository, some, checkpoints=checkpoints, take=take, progress=progress)
        absent = missing(repository, remote, found)
        yield Load(remote=remote, run_ids=some, checkpoints=checkpoints, needs=found, missing=absent)


def missing(repository: Repository, remote: StoreRemote, found: Needs) -> frozenset[str]:
    """What a store remote has not of all that is here. Raises RemoteError where it cannot be asked."""
    from .blobs import missing_there
    from .blobs.there import CACHE

    cache = store_of(repository).root / CACHE
    with opened(remote) as driver:
        there = (
            missing_there(driver, found.sizes, roots=found.roots, runs=found.runs, cache=cache) if found.sizes else ()
        )
    return frozenset(there)


def gathered(
    repository: Repository,
    run_ids: Sequence[str],
    *,
    checkpoints: str = BEST,
    take: bool = True,
    progress: Told = lambda *_: None,
) -> Needs:
    """What runs need, after what can be taken into the store was taken. Raises as `needs` does."""
    found = needs(repository, run_ids, checkpoints=checkpoints, progress=progress)
    if not take:
        return found
    taken = [_take_in(repository, need) for need in found.absent]
    if any(taken):
        found = needs(repository, run_ids, checkpoints=checkpoints)
    return found


def deliver(repository: Repository, load: Load, *, progress: Tell | None = None) -> Sent:
    """Send what a store remote has not. Cut at any point, it is done again by the next try, which skips what is there.

    Raises:
        RemoteError: the network or the remote says no; what went is there.
        Damaged: a blob here is not what it was.
    """
    from .blobs import send

    with opened(load.remote) as driver:
        sent = send(
            store_of(repository),
            driver,
            load.needs.roots,
            runs=load.needs.runs,
            claim=claim_of(repository, load.run_ids),
            progress=progress,
        )
    remember(repository, load)
    return sent


def claim_of(repository: Repository, run_ids: Iterable[str]) -> Claim:
    """What tells a store remote who needs something there, and for which runs."""
    from .blobs.claims import Claim

    return Claim(
        clone=pins.clone_id(repository),
        host=socket.gethostname(),
        folder=str(repository.common_dir),
        runs=tuple(dict.fromkeys(run_ids)),
    )


# -- what went before


def remember(repository: Repository, load: Load) -> None:
    """Note which runs were looked at, so that the next push does not look at them again.

    Of a run that somebody else recorded much may be missing here, and always will. One of our own of which something
    is missing is looked at again, as long as its journal is kept.
    """
    ours = {need.run_id for need in load.needs.absent if (repository.home / "done" / need.run_id).is_dir()}
    again = ours.union(run_id for run_id, _ in load.needs.troubles)
    done = [run_id for run_id in load.run_ids if run_id not in again]
    _note(_path(repository, load.remote), done, load.checkpoints)


def remember_came(repository: Repository, run_ids: Iterable[str]) -> None:
    """Note that runs came from others."""
    _note(_came(repository), list(run_ids), ALL)


def _note(path: Path, run_ids: Sequence[str], checkpoints: str) -> None:
    if not run_ids:
        return
    with fs.explained(f"cannot note runs in {path}"):
        fs.make_directories(path.parent)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            fs.write_all(fd, "".join(f"{run_id} {checkpoints}\n" for run_id in run_ids).encode())
        finally:
            os.close(fd)


def _noted(path: Path) -> dict[str, int]:
    """What was noted, by run; a line that is none, such as one cut in two, says nothing."""
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return {}
    found: dict[str, int] = {}
    for line in lines:
        run_id, _, choice = line.partition(" ")
        if ids.is_id(run_id) and choice in _RANKS:
            found[run_id] = max(found.get(run_id, 0), _RANKS[choice])
    return found


def forget(repository: Repository, remote: StoreRemote) -> None:
    """Look at all runs again at the next push."""
    fs.remove_quietly(_path(repository, remote))


def forget_if_empty(repository: Repository, remote: StoreRemote) -> bool:
    """As `forget`, where a place that had things has nothing any more; whether that was so. Raises RemoteError."""
    if not _path(repository, remote).exists():
        return False
    with opened(remote) as driver:
        if driver.size(FORMAT_KEY) is not None:
            return False
    forget(repository, remote)
    return True


def _came(repository: Repository) -> Path:
    return repository.home / FOLDER / "came"


def _path(repository: Repository, remote: StoreRemote) -> Path:
    # By the place: under the same name another place may stand tomorrow.
    return repository.home / FOLDER / digest_of([remote.url.encode()])[3:35]


# -- what lies where a framework wrote it


def _take_in(repository: Repository, need: Need) -> bool:
    """Copy a checkpoint into the store that was put on record in its place; whether its bytes are still those."""
    if need.path is None or not need.path.exists():
        return False
    store = store_of(repository)
    try:
        found = _tree_of(repository, store, need.path) if need.tree else _file_of(store, need)
    except (GitreproError, OSError):
        return False
    return found == need.digest


def _tree_of(repository: Repository, store: BlobStore, path: Path) -> str:
    from ..store.ingest import add_tree

    return add_tree(store, StatCache.of(repository), path, link=False).tree.digest


def _file_of(store: BlobStore, need: Need) -> str | None:
    assert need.path
    size_bytes = need.path.stat().st_size
    if need.size_bytes not in (None, size_bytes):
        return None
    with store.batch() as batch, open(need.path, "rb") as reader:
        return recipes.put_split(batch, reader, size_bytes)[0]
