"""`pull`: bring the runs of a remote, look at them, and unite them with ours. Nothing is sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from ...errors import GitreproError
from ...store import fs
from ...store.gitrefs import list_refs, read_ref
from ...store.repository import Repository
from ...store.runs import RunTree
from ..union import epoch
from ..validate import Rejected
from . import transport
from .contents import between
from .names import Remote, find_remote
from .transport import Told
from .uniting import unite

_PATIENCE_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """What a pull brought.

    Attributes:
        remote: its name.
        before: the commit of our run ref before; None when there was none.
        tip: and after.
        runs: the ids of those that are new here, oldest first; so with `events` and `results`, counted.
        rejected: what was not taken, and why.
        unreadable: what was taken and is of a later format.
        conflicts: paths at which both sides had other bytes; both are kept.
        rewound: the remote had lost what we saw there before. The next push restores it.
        deleted: its run ref is gone. The next push restores it.
        renewed: its history was begun anew, without what was purged; ours has followed.
        folded_inboxes: so many inboxes are in ours now.
    """

    remote: str
    before: str | None
    tip: str | None
    runs: tuple[str, ...] = ()
    events: int = 0
    results: int = 0
    rejected: tuple[Rejected, ...] = ()
    unreadable: tuple[Rejected, ...] = ()
    conflicts: tuple[str, ...] = ()
    rewound: bool = False
    deleted: bool = False
    renewed: bool = False
    folded_inboxes: int = 0


def pull(repository: Repository, remote: str | None = None, *, progress: Told | None = None) -> Pulled:
    """Bring what a remote has and unite it with ours. It may be cut at any point and repeated.

    Args:
        remote: its name, URL or path; see `find_remote`.
        progress: is told how much of what comes is here, in Git's own count, and then how much of it was looked at.

    Raises:
        UsageError: no remote is meant.
        RemoteError: network or remote say no.
        Damaged, TooNew: what it has cannot be read by this program.
        StorageError: the disk refuses, or another sync goes on for too long.
    """
    found = find_remote(repository, remote)
    with alone(repository):
        return pull_from(repository, found, progress=progress)


@contextmanager
def alone(repository: Repository) -> Iterator[None]:
    """Be the only one in this clone who speaks with a remote: two at once would tell each other's news twice."""
    with fs.explained(f"cannot write into {repository.home}"):
        fs.make_directories(repository.home)
    with fs.locked(repository.home / "sync.lock", timeout_seconds=_PATIENCE_SECONDS):
        yield


def pull_from(repository: Repository, remote: Remote, *, progress: Told | None = None) -> Pulled:
    """`pull` for who is alone already."""
    known = read_ref(repository.common_dir, remote.copy(remote.runs))
    refs = transport.fetch(repository, remote, progress=progress)
    there = refs.get(remote.runs)
    renewed = _epoch(repository, there) > _epoch(repository, known) > 0
    united = unite(repository, remote, refs, progress=progress)
    # Only now: a copy that runs ahead of ours would say that we had lost what we never took in.
    _settle(repository, remote, refs, united.taken)
    new = between(repository, united.runs.before, united.runs.after)
    return Pulled(
        remote=remote.shown,
        before=united.runs.before,
        tip=united.runs.after,
        runs=new.runs,
        events=new.events,
        results=new.results,
        rejected=united.rejected,
        unreadable=united.unreadable,
        conflicts=united.conflicts,
        rewound=bool(known and there and not renewed and not transport.is_ancestor(repository, known, there)),
        deleted=bool(known and not there),
        renewed=renewed,
        folded_inboxes=sum(ref.startswith(remote.inboxes) for ref in united.taken),
    )


def _epoch(repository: Repository, commit: str | None) -> int:
    if commit is None:
        return 0
    with RunTree(repository, commit=commit) as tree:
        try:
            return epoch(tree.objects, tree.tree)
        except GitreproError:
            return 0  # it is told when it is united


def _settle(repository: Repository, remote: Remote, refs: dict[str, str], taken: tuple[str, ...]) -> None:
    copies: dict[str, str | None] = {remote.copy(ref): refs[ref] for ref in (*taken, remote.anchor) if ref in refs}
    for copy in list_refs(repository.common_dir, remote.copies):
        if not copy.startswith(remote.incoming):
            copies.setdefault(copy, None)
    transport.settle(repository, copies)
