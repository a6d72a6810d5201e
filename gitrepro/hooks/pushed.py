"""A push of result tags: each is judged again, and the other side has to have, or get, its runs."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

from ..audit import gate, tags
from ..audit.results import Declared
from ..errors import ChildFailed, NotFound, Refused
from ..policy import Stage
from ..records.result import Result, result_path
from ..store.gitrefs import list_refs, read_ref
from ..store.repository import RUNS_REF, Repository
from ..store.runs import RunTree
from .place import PATTERNS, setting
from .proof import NO_COMMIT
from .stands import cited, follow


def admit_push(repository: Repository, argv: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Raise unless every result tag that is pushed stands, and the remote has, or now gets, its runs."""
    patterns = (setting(repository, PATTERNS) or "").split()
    with RunTree(repository) as tree, _Remote(repository, argv, lines) as remote:
        declared = Declared(tree)
        for _, new, ref, old in (line for line in lines if len(line) == 4):
            name = ref.removeprefix(tags.PREFIX)
            moves = ref.startswith(tags.PREFIX) and new.strip("0") and new != old
            if moves and any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
                _admit_tag(tree, name, new, remote, declared)


class _Remote:
    """What the other side has, or will have after this push. It is asked once, however many tags are pushed."""

    def __init__(self, repository: Repository, argv: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
        self._repository = repository
        self._url = argv[1] if len(argv) > 1 else argv[0]
        self._carried = next((line[1] for line in lines if line[2:3] == [RUNS_REF]), None)
        self._trees: dict[str, RunTree] = {}
        self._listed: str | None = None
        self.name = argv[0]

    def holds(self, result: Result) -> bool | None:
        """Whether its run ref holds a result and its runs; None when nobody can tell from here."""
        if self._carried:
            return self._at(self._carried, result)
        tracking = read_ref(self._repository.common_dir, f"refs/gitrepro-remotes/{self.name}/runs")
        if tracking and self._at(tracking, result):
            return True
        try:
            there = self._run_ref()
        except ChildFailed:
            return None
        return self._at(there, result) if there else False

    def _run_ref(self) -> str:
        if self._listed is None:
            listed = self._repository.git("ls-remote", "--end-of-options", self._url, RUNS_REF).decode()
            self._listed = listed.split("\t")[0].strip()
        return self._listed

    def _at(self, commit: str, result: Result) -> bool | None:
        if commit not in self._trees:
            self._trees[commit] = RunTree(self._repository, commit=commit)
        return _holds(self._trees[commit], result)

    def __enter__(self) -> _Remote:
        return self

    def __exit__(self, *exc: object) -> None:
        for tree in self._trees.values():
            tree.close()


def _holds(tree: RunTree, result: Result) -> bool | None:
    try:
        runs = all(tree.run_tree(run.id) == run.tree for run in result.runs)
        return runs and tree.entry(result_path(result.id)) is not None
    except NotFound:
        return None


def _admit_tag(tree: RunTree, name: str, oid: str, remote: _Remote, declared: Declared) -> None:
    what = f"the push of tag {name} is refused"
    target = follow(tree, name, oid)
    if target.commit is None:
        raise Refused(what, why=NO_COMMIT, do=f"`git tag -d {name}`")
    if gate.policy_at(tree.objects, target.commit).level_for(name) is None:
        return
    try:
        result = cited(tree, name, target, declared=declared)
    except NotFound as error:
        raise Refused(what, why=f"{error.what}: {error.why}", do=error.do) from error
    audit = gate.judge_result(tree, result, stage=Stage.PUSH, pushed=remote.holds(result), pushed_to=remote.name)
    if not audit.ok:
        raise gate.refusal(audit, what=what)


def is_pushed(repository: Repository, result: Result) -> bool | None:
    """Whether a remote is known to hold a result and its runs, by its tracking copy; None when none is known to."""
    tracked = list_refs(repository.common_dir, "refs/gitrepro-remotes/")
    tips = [oid for ref, oid in tracked.items() if ref.endswith("/runs")]
    return True if any(_holds_at(repository, tip, result) for tip in tips) else None


def _holds_at(repository: Repository, commit: str, result: Result) -> bool | None:
    with RunTree(repository, commit=commit) as tree:
        return _holds(tree, result)
