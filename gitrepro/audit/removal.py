"""Taking runs off the list: what stands in the way, and how much it is about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..errors import Refused, UsageError
from ..records.event import fold_events
from ..store.live import live_runs
from ..store.repository import Repository
from ..store.runs import RunTree
from .results import all_results


@dataclass(frozen=True, slots=True, kw_only=True)
class Removable:
    """A run that may be taken off the list, or put back: how it is called, and what its record weighs in Git."""

    id: str
    name: str
    removed: bool
    size_bytes: int


def look(repository: Repository, runs: Sequence[str], *, undo: bool = False) -> list[Removable]:
    """What would be removed, or put back.

    Raises:
        UsageError: one of the runs is still under way.
        Refused: a result cites one of them.
    """
    with RunTree(repository) as tree:
        _check_recorded(repository, tree, runs)
        if not undo:
            _check_uncited(tree, runs)
        return [_removable(tree, run_id) for run_id in runs]


def _check_recorded(repository: Repository, tree: RunTree, runs: Iterable[str]) -> None:
    live = {run.id for run in live_runs(repository.home)}
    for run_id in runs:
        if run_id in live and tree.run_tree(run_id) is None:
            raise UsageError(
                f"run {run_id[-8:]} is not on record yet",
                why="it is still running, or died and waits for `gitrepro recover`",
                do="end it first",
            )


def _check_uncited(tree: RunTree, runs: Sequence[str]) -> None:
    wanted = set(runs)
    citing = [
        (result, run.id) for result in all_results(tree) for run in (*result.runs, *result.evidence) if run.id in wanted
    ]
    if citing:
        lines = [f"result {result.tag} ({result.id[-8:]}) cites run {run_id[-8:]}" for result, run_id in citing]
        more = [f"and {len(lines) - 8} more"] if len(lines) > 8 else []
        raise Refused(
            "nothing is removed: results stand on it",
            why="\n".join([*lines[:8], *more]),
            do="leave the runs of results where they are; `gitrepro label RUN superseded` marks one",
        )


def _removable(tree: RunTree, run_id: str) -> Removable:
    record = tree.run(run_id)
    standing = fold_events(tree.events(run_id)[0])
    blobs = {entry.oid for entry in tree.run_files(run_id).values()}
    size_bytes = sum(len(tree.objects.read(oid, "blob")) for oid in blobs)
    return Removable(id=run_id, name=standing.name or record.name, removed=standing.removed, size_bytes=size_bytes)
