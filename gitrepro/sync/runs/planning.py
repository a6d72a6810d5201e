"""What one try of a push is to change on the remote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from ...errors import NotFound, UsageError
from ...store.gitobjects import GitObjects
from ...store.gitrefs import list_refs, read_ref
from ...store.repository import CODE_REF, RUNS_REF, Repository
from ...store.runs import RunTree
from ..coderef import kept_by
from ..union import epoch, union
from . import transport
from .contents import results_of, selected
from .names import Remote
from .transport import Change
from .uniting import commit_onto, keeping

ANCHOR_EVERY: Final = 1_000
"""So many commits may come after the anchor: a ref that is new on the remote re-sends these at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to go: all runs or those of some ids, with the commits they ran at or without."""

    runs: Sequence[str] | None = None
    code: bool = False


@dataclass(slots=True, kw_only=True)
class Plan:
    """One try: the commit that the run ref is to name, None where nothing was recorded; and all that is to change."""

    tip: str | None
    changes: list[Change] = field(default_factory=list)
    atomic: bool = False


def planned(repository: Repository, remote: Remote, wish: Wish) -> Plan:
    """How to get there from what was last seen of the remote.

    Raises:
        NotFound: a run that is to go is not on record.
        UsageError: some runs cannot go alone, because the histories here and there are not the same.
    """
    tip = read_ref(repository.common_dir, RUNS_REF)
    there = read_ref(repository.common_dir, remote.copy(remote.runs))
    if tip and wish.runs is not None:
        tip = _chosen(repository, remote, wish.runs, tip, there)
    if tip is None:
        return Plan(tip=None)
    raised = _is_raised(repository, tip, there)
    plan = Plan(tip=tip, atomic=raised)
    plan.changes.append(Change(ref=remote.runs, new=tip, lease=there if raised else None))
    plan.changes += _code_anew(repository, remote, wish) if raised else _code(repository, remote) if wish.code else []
    plan.changes += _anchor(repository, remote, tip, raised=raised)
    return plan


def _is_raised(repository: Repository, tip: str, there: str | None) -> bool:
    """Whether something was purged here, so that the remote's history has to begin anew."""
    if there is None or tip == there:
        return False
    return _epoch(repository, tip) > _epoch(repository, there)


def _epoch(repository: Repository, commit: str) -> int:
    with RunTree(repository, commit=commit) as tree:
        return epoch(tree.objects, tree.tree)


def _code(repository: Repository, remote: Remote) -> list[Change]:
    ours = read_ref(repository.common_dir, CODE_REF)
    known = read_ref(repository.common_dir, remote.copy(remote.code))
    return [Change(ref=remote.code, new=ours)] if ours and ours != known else []


def _code_anew(repository: Repository, remote: Remote, wish: Wish) -> list[Change]:
    """After a purge the remote's code ref must not keep alive what ours has let go of."""
    ours = read_ref(repository.common_dir, CODE_REF)
    known = read_ref(repository.common_dir, remote.copy(remote.code))
    if ours is None or known is None or ours == known:
        return _code(repository, remote) if wish.code else []
    with GitObjects(repository.common_dir) as objects:
        kept, there = kept_by(objects, ours), kept_by(objects, known)
        left = [commit for commit in there if commit in kept]
        if wish.code:
            return [Change(ref=remote.code, new=ours, lease=known)]
        if len(left) == len(there):
            return []
        return [Change(ref=remote.code, new=keeping(repository, objects, left), lease=known)]


def emptied(repository: Repository, remote: Remote) -> list[Change]:
    """The inboxes that are in ours, each to be removed as it was seen: once the run ref there holds what is ours."""
    folder = remote.copy(remote.inboxes)
    found = list_refs(repository.common_dir, folder)
    return [Change(ref=remote.inboxes + copy.removeprefix(folder), new=None, lease=oid) for copy, oid in found.items()]


def _anchor(repository: Repository, remote: Remote, tip: str, *, raised: bool) -> list[Change]:
    anchor = read_ref(repository.common_dir, remote.copy(remote.anchor))
    if anchor and raised:
        # The old history hangs on it as well.
        return [Change(ref=remote.anchor, new=tip, lease=anchor)]
    if anchor and transport.count(repository, tip, anchor, at_most=ANCHOR_EVERY + 1) <= ANCHOR_EVERY:
        return []
    return [Change(ref=remote.anchor, new=tip)]


# -- some runs only


def _chosen(repository: Repository, remote: Remote, run_ids: Sequence[str], tip: str, there: str | None) -> str:
    """A commit on top of what the remote has, with the chosen runs in it."""
    with RunTree(repository, commit=tip) as ours:
        for run_id in run_ids:
            if ours.run_tree(run_id) is None:
                raise NotFound(f"there is no run {run_id!r:.80} on record", do="`gitrepro ls` lists the runs")
        tree, objects = ours.tree, ours.objects
        base = RunTree(repository, commit=there).tree if there else None
        if tree is None or (base and epoch(objects, base) != epoch(objects, tree)):
            raise UsageError(
                f"{remote.shown} has another history than this clone",
                why="something was purged in one of them",
                do="`gitrepro pull`, then `gitrepro push` without naming runs",
            )
        results = results_of(objects, tree, run_ids, there=base)
        part, made = objects.graft(None, selected(objects, tree, run_ids, results))
        objects.write(made)
        joined = union(objects, base, part)
        objects.write(joined.made)
        if there and joined.tree == base:
            return there
        return commit_onto(repository, objects, remote, joined.tree, there)
