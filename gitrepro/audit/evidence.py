"""What a claim is judged by: the records of its runs, read once; the rules look at nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..data.holdouts import Log, log_of
from ..errors import GitreproError, NotFound
from ..policy import Stage
from ..records import ids, yaml
from ..records.event import Event, Standing, fold_events
from ..records.result import Cited
from ..records.run import Kind, RunRecord, run_path
from ..store.fold import commit_tree
from ..store.gitobjects import GitObjects
from ..store.live import live_runs
from ..store.repository import Repository
from ..store.runs import RunTree
from .curved import Curves, curves_of
from .imports import Imports
from .named import Named, NamedData
from .predicted import PredictedOf, Scored


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What is to be judged: these runs, as the number of the tag, at a level.

    `evidence` are the check runs that are cited for it.
    """

    runs: tuple[Cited, ...]
    commit: str | None
    code_tree: str | None
    level: str
    stage: Stage
    tag: str | None = None
    evidence: tuple[Cited, ...] = ()


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
        frameworks: the numerical libraries it had loaded, by `env.yaml`; None where that is not on record.
        curves: what its curves show; None where they are too short, or their table is not in Git.
        scored: its evaluations, each with what the stored predictions come to.
        earlier: the attempts it resumes, newest first.
        lost_attempt: the attempt before those, when there is no record of it.
        trained: of a run that only evaluates, the runs whose checkpoints it loaded.
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
    frameworks: tuple[str, ...] | None = None
    curves: Curves | None = None
    scored: tuple[Scored, ...] = ()
    earlier: tuple[RunEvidence, ...] = ()
    lost_attempt: str | None = None
    trained: tuple[RunEvidence, ...] = ()
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
        checks: the check runs that the claim cites, the newest first.
        holdouts: by the digest of a split that the runs name, the log of the uses of its parts.
    """

    runs: tuple[RunEvidence, ...]
    as_of: str | None
    standing: Standing = field(default_factory=Standing)
    pushed: bool | None = None
    pushed_to: str = "REMOTE"
    checks: tuple[RunEvidence, ...] = ()
    holdouts: Mapping[str, Log] = field(default_factory=dict)

    @property
    def trainings(self) -> Evidence:
        """The same of the runs that trained what is claimed: in place of one that only evaluates, what it loaded."""
        return replace(self, runs=_each_once(each for run in self.runs for each in run.trained or (run,)))

    @property
    def behind(self) -> tuple[RunEvidence, ...]:
        """The runs that trained what runs of the claim only evaluate, and are none of its runs."""
        own = {run.id for run in self.runs}
        return tuple(run for run in self.trainings.runs if run.id not in own)

    @property
    def whole(self) -> Evidence:
        """The same of the runs of the claim and of those that trained what they evaluate."""
        return replace(self, runs=_each_once([*self.runs, *self.trainings.runs]))


def gather(
    tree: RunTree,
    runs: Sequence[str],
    *,
    result: str | None = None,
    pushed: bool | None = None,
    pushed_to: str = "REMOTE",
    checks: Sequence[str] = (),
    numbers: bool = True,
) -> Evidence:
    """Read what is on record of some runs. What cannot be read is part of the answer, not an error.

    Args:
        runs: full run ids.
        result: the result that cites them, whose own waivers count too.
        pushed: see `Evidence`.
        pushed_to: see `Evidence`.
        checks: full ids of the check runs that are cited beside them.
        numbers: read tables of metrics and predictions, too, and compute what they come to.
    """
    standing = fold_events(tree.events(result)[0]) if result else Standing()
    reader = _Reader(tree, numbers=numbers)
    read = tuple(reader.with_trained(run_id) for run_id in runs)
    trained = {each.id for run in read for each in run.trained}
    beside = tuple(reader.one(run_id) for run_id in sorted({*checks} - trained, reverse=True))
    splits = {named.digest for run in read for named in run.named if named.split and not named.missing}
    return Evidence(
        runs=read,
        as_of=tree.tree,
        standing=standing,
        pushed=pushed,
        pushed_to=pushed_to,
        checks=beside,
        holdouts={split: log_of(tree, split) for split in sorted(splits)},
    )


def _each_once(runs: Iterable[RunEvidence]) -> tuple[RunEvidence, ...]:
    return tuple({run.id: run for run in runs}.values())


class _Reader:
    """Reads runs, each once: attempts and trees are shared by the runs of a claim."""

    def __init__(self, tree: RunTree, *, numbers: bool) -> None:
        self._tree = tree
        self._numbers = numbers
        self._imports = Imports(tree.objects)
        self._data = NamedData(tree)
        self._predicted = PredictedOf(tree.repository)
        self._read: dict[str, RunEvidence] = {}

    def with_trained(self, run_id: str) -> RunEvidence:
        """A run with its attempts; and of one that only evaluates, what it loaded."""
        run = self.with_attempts(run_id)
        if run.record is None or run.record.kind != Kind.EVAL:
            return run
        return replace(run, trained=tuple(self.with_attempts(each) for each in run.record.parents if ids.is_id(each)))

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
            read = replace(read, named=self._data.of(read.record))
            self._read[run_id] = self._with_numbers(read) if self._numbers else read
        return self._read[run_id]

    def _with_numbers(self, run: RunEvidence) -> RunEvidence:
        if run.record is None:
            return run
        curves = curves_of(self._tree, run.record)
        return replace(run, curves=curves, scored=self._predicted.of(run.record))


def _resumed(run: RunEvidence) -> str | None:
    return run.record.resumes if run.record and isinstance(run.record.resumes, str) else None


def _read(tree: RunTree, run_id: str, imports: Imports) -> RunEvidence:
    oid = None
    try:
        oid = tree.run_tree(run_id)
        if oid is None:
            return RunEvidence(id=run_id, tree=None, record=None, trouble=_why_missing(tree, run_id))
        record = tree.run(run_id)
        config = _document(tree, run_id, "config.yaml")
        environment = _document(tree, run_id, "env.yaml")
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
        frameworks=_frameworks(environment),
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


def _document(tree: RunTree, run_id: str, name: str) -> Mapping[str, Any] | None:
    try:
        path = f"{run_path(run_id)}/{name}"
        return yaml.load(tree.read(path), source=path)
    except NotFound:
        return None


def _frameworks(environment: Mapping[str, Any] | None) -> tuple[str, ...] | None:
    found = (environment or {}).get("frameworks")
    return tuple(sorted(map(str, found))) if isinstance(found, dict) else None


def tree_of_commit(objects: GitObjects, commit: object) -> str | None:
    """The tree of a commit, read from the object itself; None when the commit is not here or is none."""
    if not isinstance(commit, str) or len(commit) != 40:
        return None
    try:
        return commit_tree(objects.read(commit, "commit"))
    except GitreproError:
        return None
