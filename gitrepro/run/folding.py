"""`fold`: commit what is queued, and what waits in spools."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import GitreproError
from ..store import spool
from ..store.fold import Folded, Identity, fold
from ..store.gitobjects import GitObjects
from ..store.lease import Life, life
from ..store.live import LiveRun, sweep
from ..store.repository import Repository
from ..store.runs import RunTree
from . import commit


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a fold committed, what it left in the spools and why, and what it could not read."""

    commit: str | None = None
    runs: tuple[str, ...] = ()
    others: int = 0
    left: tuple[tuple[str, str], ...] = ()
    failed: tuple[tuple[str, GitreproError], ...] = ()
    unusable: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()


def fold_all(repository: Repository, spools: Iterable[Path], *, identity: Identity, force: bool = False) -> Taken:
    """Commit all that is queued in the repository and all that is over in `spools`, in one commit.

    It may be cut at any point and repeated, also by several hosts at once: a run that is there is skipped.

    Args:
        force: also take runs that say neither that they are over nor that they go on, when their host is gone.
    """
    taken = Taken()
    ready: list[tuple[Path, str]] = []
    for place in spools:
        found, taken = _prepare(repository, place, taken, force=force)
        ready += [(place, run_id) for run_id in found]
    folded = fold(repository, identity=identity)
    commit.finish_fold(repository, folded)
    with RunTree(repository) as tree:
        there = [(place, run_id) for place, run_id in ready if tree.run_tree(run_id)]
    for place, run_id in there:
        spool.let_go(place, run_id)
        spool.forget_strays(place)
        sweep(place)
    return _told(taken, folded)


def _told(taken: Taken, folded: Folded) -> Taken:
    runs = tuple(pending.subject for pending in folded.entries if pending.kind == "run")
    return replace(
        taken,
        commit=folded.commit,
        runs=runs,
        others=len(folded.entries) - len(runs),
        unusable=folded.unusable,
        conflicts=folded.conflicts,
    )


def _prepare(repository: Repository, place: Path, taken: Taken, *, force: bool) -> tuple[list[str], Taken]:
    """Queue what may be taken from one spool; also name what is on the run ref already."""
    found: list[str] = []
    left, failed = list(taken.left), list(taken.failed)
    with RunTree(repository) as tree, GitObjects(repository.common_dir) as objects:
        for run in spool.waiting(place):
            if tree.run_tree(run.id):
                found.append(run.id)
            elif reason := _leave(run, place, repository, objects, force=force):
                left.append((run.id, reason))
            elif trouble := _queue(repository, run):
                failed.append((run.id, trouble))
            else:
                found.append(run.id)
    return found, replace(taken, left=tuple(left), failed=tuple(failed))


def _queue(repository: Repository, run: LiveRun) -> GitreproError | None:
    target = repository.home / "live" / run.id
    ours = target.exists()  # taken in before, by a fold that was cut
    try:
        commit.prepare(repository, spool.take_in(run, repository.home))
    except GitreproError as error:
        if not ours:
            shutil.rmtree(target, ignore_errors=True)
        return error
    return None


def _leave(run: LiveRun, place: Path, repository: Repository, objects: GitObjects, *, force: bool) -> str:
    if run.error:
        return str(run.error)
    if life(repository.home / "live" / run.id) is not Life.DEAD:
        return "a run of that id goes on in this repository"
    if not spool.is_ready(place, run.id):
        if run.life is Life.ALIVE:
            return "it is still running"
        if run.life is Life.ELSEWHERE and not force:
            return "its host has not said that it is over; --force if that host is gone"
    return _stranger(run, objects)


def _stranger(run: LiveRun, objects: GitObjects) -> str:
    """Why a run is none of this repository: the commit of its code is not here."""
    try:
        recorded = (run.start["record"]["code"] or {}).get("commit")
    except (KeyError, TypeError, AttributeError):
        return "its start does not say which code ran"
    if recorded is None:
        return ""
    if not isinstance(recorded, str) or len(recorded) != 40 or not recorded.isalnum():
        return "its start names no commit of Git"
    return "" if objects.has(recorded) else f"its code is commit {recorded[:8]}, which is not in this repository"
