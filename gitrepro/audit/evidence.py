"""What a claim is judged by: the records of its runs, read once; the rules look at nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import GitreproError, NotFound
from ..policy import Stage
from ..records import yaml
from ..records.event import Event, Standing, fold_events
from ..records.result import Cited
from ..records.run import RunRecord, run_path
from ..store.fold import commit_tree
from ..store.gitobjects import GitObjects
from ..store.live import live_runs
from ..store.runs import RunTree


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What is to be judged: these runs, as the number of the tag, at a level."""

    runs: tuple[Cited, ...]
    commit: str | None
    code_tree: str | None
    level: str
    stage: Stage
    tag: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvidence:
    """What is on record of one run.

    Attributes:
        tree: the Git tree of its record, None when there is none.
        record: `run.yaml`; None when it is missing or cannot be read, and then `trouble` says why.
        config: `config.yaml`, None when there is none that can be read.
        standing: what its events add up to.
        commit_tree: the tree of the commit it ran at, None when that commit is not in this repository.
    """

    id: str
    tree: str | None
    record: RunRecord | None
    config: Mapping[str, Any] | None = None
    standing: Standing = field(default_factory=Standing)
    commit_tree: str | None = None
    trouble: str = ""

    @property
    def name(self) -> str:
        return (self.standing.name or self.record.name) if self.record else self.id[-8:]

    @property
    def code(self) -> Mapping[str, Any]:
        return (self.record.code if self.record else None) or {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is on record of a claim.

    Attributes:
        runs: in the order of the claim.
        as_of: the root tree of the run ref it was read from.
        waivers: waivers of the result itself.
        pushed: whether the remote holds the runs; None where nobody could tell, or nobody asked.
        pushed_to: how the remote is called in a command.
    """

    runs: tuple[RunEvidence, ...]
    as_of: str | None
    waivers: tuple[Event, ...] = ()
    pushed: bool | None = None
    pushed_to: str = "REMOTE"


def gather(
    tree: RunTree,
    runs: Sequence[str],
    *,
    result: str | None = None,
    pushed: bool | None = None,
    pushed_to: str = "REMOTE",
) -> Evidence:
    """Read what is on record of some runs. What cannot be read is part of the answer, not an error.

    Args:
        runs: full run ids.
        result: the result that cites them, whose own waivers count too.
        pushed: see `Evidence`.
        pushed_to: see `Evidence`.
    """
    waivers = fold_events(tree.events(result)[0]).waivers if result else ()
    read = tuple(_read(tree, run_id) for run_id in runs)
    return Evidence(runs=read, as_of=tree.tree, waivers=waivers, pushed=pushed, pushed_to=pushed_to)


def _read(tree: RunTree, run_id: str) -> RunEvidence:
    oid = None
    try:
        oid = tree.run_tree(run_id)
        if oid is None:
            return RunEvidence(id=run_id, tree=None, record=None, trouble=_why_missing(tree, run_id))
        record = tree.run(run_id)
        config = _config(tree, run_id)
        events, troubles = tree.events(run_id)
    except GitreproError as error:
        return RunEvidence(id=run_id, tree=oid, record=None, trouble=f"its record cannot be read: {error.what}")
    return RunEvidence(
        id=run_id,
        tree=oid,
        record=record,
        config=config,
        standing=fold_events(events, labels=record.labels),
        commit_tree=tree_of_commit(tree.objects, (record.code or {}).get("commit")),
        trouble=f"an event of it cannot be read: {troubles[0].path}" if troubles else "",
    )


def _why_missing(tree: RunTree, run_id: str) -> str:
    if any(run.id == run_id for run in live_runs(tree.repository.home)):
        return "it is still running, or died and waits for `gitrepro recover`"
    return "there is no record of it"


def _config(tree: RunTree, run_id: str) -> Mapping[str, Any] | None:
    try:
        path = f"{run_path(run_id)}/config.yaml"
        return yaml.load(tree.read(path), source=path)
    except NotFound:
        return None


def tree_of_commit(objects: GitObjects, commit: object) -> str | None:
    """The tree of a commit, read from the object itself; None when the commit is not here or is none."""
    if not isinstance(commit, str) or len(commit) != 40:
        return None
    try:
        return commit_tree(objects.read(commit, "commit"))
    except GitreproError:
        return None
