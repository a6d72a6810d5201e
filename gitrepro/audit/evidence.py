"""What a claim is judged by: the records of its runs, read once; the rules look at nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from ..store.repository import Repository
from ..store.runs import RunTree
from .imports import Imports
from .named import Named, NamedData


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
class Promoted:
    """The commit that holds the code of a dirty run since: judged by its tree, which is None when it is not here.

    `reachable` says that a branch, a remote branch or a tag leads to it, so that it will be there tomorrow.
    """

    commit: str
    branch: str
    tree: str | None
    reachable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvidence:
    """What is on record of one run.

    Attributes:
        tree: the Git tree of its record, None when there is none.
        record: `run.yaml`; None when it is missing or cannot be read, and then `trouble` says why.
        config: `config.yaml`, None when there is none that can be read.
        standing: what its events add up to.
        commit_tree: the tree of the commit it ran at, None when that commit is not in this repository.
        promoted: what its uncommitted code was committed as later.
        unheld: files it imported that its code tree does not hold.
        ignored: files it imported that Git ignores; they are kept, as they were imported, in a commit beside its own.
        converted: files it imported with other bytes than its code tree holds.
        named: the data sets and splits it names, and what the run ref says of them.
        earlier: the attempts it resumes, newest first.
        lost_attempt: the attempt before those, when there is no record of it.
    """

    id: str
    tree: str | None
    record: RunRecord | None
    config: Mapping[str, Any] | None = None
    standing: Standing = field(default_factory=Standing)
    commit_tree: str | None = None
    promoted: Promoted | None = None
    unheld: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    converted: tuple[str, ...] = ()
    named: tuple[Named, ...] = ()
    earlier: tuple[RunEvidence, ...] = ()
    lost_attempt: str | None = None
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
        standing: what the events of the result itself add up to.
        pushed: whether the remote holds the runs; None where nobody could tell, or nobody asked.
        pushed_to: how the remote is called in a command.
    """

    runs: tuple[RunEvidence, ...]
    as_of: str | None
    standing: Standing = field(default_factory=Standing)
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
    standing = fold_events(tree.events(result)[0]) if result else Standing()
    reader = _Reader(tree)
    read = tuple(reader.with_attempts(run_id) for run_id in runs)
    return Evidence(runs=read, as_of=tree.tree, standing=standing, pushed=pushed, pushed_to=pushed_to)


class _Reader:
    """Reads runs, each once: attempts and trees are shared by the runs of a claim."""

    def __init__(self, tree: RunTree) -> None:
        self._tree = tree
        self._imports = Imports(tree.objects)
        self._data = NamedData(tree)
        self._read: dict[str, RunEvidence] = {}

    def with_attempts(self, run_id: str) -> RunEvidence:
        """A run, and the attempts before it as far back as they are on record."""
        run = self.one(run_id)
        earlier: list[RunEvidence] = []
        seen = {run_id}
        before = _resumed(run)
        while before is not None and before not in seen:
            seen.add(before)
            attempt = self.one(before)
            if attempt.tree is None:
                return replace(run, earlier=tuple(earlier), lost_attempt=before)
            earlier.append(attempt)
            before = _resumed(attempt)
        return replace(run, earlier=tuple(earlier))

    def one(self, run_id: str) -> RunEvidence:
        if run_id not in self._read:
            read = _read(self._tree, run_id, self._imports)
            self._read[run_id] = replace(read, named=self._data.of(read.record))
        return self._read[run_id]


def _resumed(run: RunEvidence) -> str | None:
    return run.record.resumes if run.record and isinstance(run.record.resumes, str) else None


def _read(tree: RunTree, run_id: str, imports: Imports) -> RunEvidence:
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
    standing = fold_events(events, labels=record.labels)
    code = record.code or {}
    held = imports.compare(code, ignored=tree_of_commit(tree.objects, code.get("ignored_files")))
    return RunEvidence(
        id=run_id,
        tree=oid,
        record=record,
        config=config,
        standing=standing,
        commit_tree=tree_of_commit(tree.objects, code.get("commit")),
        promoted=promoted(tree, standing),
        unheld=held.missing,
        ignored=held.beside,
        converted=held.other,
        trouble=f"an event of it cannot be read: {troubles[0].path}" if troubles else "",
    )


def promoted(tree: RunTree, standing: Standing) -> Promoted | None:
    """What a run was promoted to; of several commits the newest that is still reachable, else the newest."""
    found = [_promoted(tree, event) for event in reversed(standing.promotions)]
    return next((each for each in found if each.reachable), found[0] if found else None)


def _promoted(tree: RunTree, event: Event) -> Promoted:
    value = event.value if isinstance(event.value, dict) else {}
    commit, branch = str(value.get("commit")), str(value.get("branch"))
    held = tree_of_commit(tree.objects, commit)
    reachable = held is not None and is_reachable(tree.repository, commit)
    return Promoted(commit=commit, branch=branch, tree=held, reachable=reachable)


def is_reachable(repository: Repository, commit: str) -> bool:
    """Whether a branch, a remote branch or a tag leads to a commit; `refs/gitrepro/code` does not count."""
    places = ("refs/heads", "refs/remotes", "refs/tags")
    if repository.git("for-each-ref", "--count=1", f"--contains={commit}", "--format=%(refname)", *places):
        return True
    return any(repository.is_ancestor(commit, of=tip) for tip in repository.arriving)


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
