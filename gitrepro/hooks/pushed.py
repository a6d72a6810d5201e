"""A push of result tags: each is judged again, and the other side has to have, or get, its runs."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..audit import gate, tags
from ..audit.results import Declared
from ..errors import ChildFailed, NotFound, Refused
from ..policy import Stage
from ..records.result import Result, result_path
from ..store.gitrefs import list_refs, read_ref
from ..store.repository import Repository
from ..store.runs import RunTree
from .growth import base_of
from .place import PATTERNS, setting
from .proof import NO_COMMIT
from .stands import cited, follow


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """How runs and blobs get to the other side ahead of a result tag.

    Attributes:
        send: is given the name of the remote. Raises when what is on record here is not there afterwards.
        ask: puts a question to whoever pushes; None where nobody can answer.
    """

    send: Callable[[str], None]
    ask: Callable[[str], bool] | None = None


def admit_push(
    repository: Repository, argv: Sequence[str], lines: Sequence[Sequence[str]], *, sender: Sender | None = None
) -> None:
    """Raise unless every result tag that is pushed stands, and the remote has, or now gets, its runs.

    Args:
        argv: the name of the remote and its URL, as Git passes them to `pre-push`.
        lines: what is pushed, as Git passes it.
        sender: sends runs that are not there yet. Without it they have to be there, or in this push.

    Raises:
        Refused: a tag does not stand, or the remote does not hold its runs.
        ChildFailed: they could not be sent.
    """
    patterns = (setting(repository, PATTERNS) or "").split()
    with RunTree(repository) as tree, _Remote(repository, argv, lines) as remote:
        declared = Declared(tree)
        results = []
        for _, new, ref, old in (line for line in lines if len(line) == 4):
            name = ref.removeprefix(tags.PREFIX)
            moves = ref.startswith(tags.PREFIX) and new.strip("0") and new != old
            if moves and any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
                results += _admit_tag(tree, name, new, remote, declared)
        _have_sent(tree, results, remote, sender)


class _Remote:
    """What the other side has, or will have after this push. It is asked once, however many tags are pushed."""

    def __init__(self, repository: Repository, argv: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
        self._repository = repository
        self._url = argv[1] if len(argv) > 1 else argv[0]
        self._ref = f"{base_of(repository)}/runs"
        self._carried = next((line[1] for line in lines if line[2:3] == [self._ref]), None)
        self._trees: dict[str, RunTree] = {}
        self._listed: str | None = None
        self.name = argv[0]

    def holds(self, result: Result) -> bool | None:
        """Whether its run ref holds a result and its runs; None when nobody can tell from here."""
        from ..sync.runs.names import folder_of  # all of the sync comes with it

        if self._carried:
            return self._at(self._carried, result)
        tracking = read_ref(self._repository.common_dir, f"{folder_of(self.name)}/runs")
        if tracking and self._at(tracking, result):
            return True
        try:
            there = self._run_ref()
        except ChildFailed:
            return None
        return self._at(there, result) if there else False

    def ask_again(self) -> None:
        """Forget what it said: something was sent since."""
        self._listed = None

    def _run_ref(self) -> str:
        if self._listed is None:
            listed = self._repository.git("ls-remote", "--end-of-options", self._url, self._ref).decode()
            self._listed = listed.split("\t")[0].strip()
        return self._listed

    def _at(self, commit: str, result: Result) -> bool | None:
        if commit not in self._trees:
            self._trees[commit] = RunTree(self._repository, commit=commit)
        return holds(self._trees[commit], result)

    def __enter__(self) -> _Remote:
        return self

    def __exit__(self, *exc: object) -> None:
        for tree in self._trees.values():
            tree.close()


def holds(tree: RunTree, result: Result) -> bool | None:
    """Whether a run ref holds a result, its runs and its checks as they are cited; None where that cannot be read."""
    try:
        runs = all(tree.run_tree(run.id) == run.tree for run in (*result.runs, *result.evidence))
        return runs and tree.entry(result_path(result.id)) is not None
    except NotFound:
        return None


def _admit_tag(tree: RunTree, name: str, oid: str, remote: _Remote, declared: Declared) -> list[Result]:
    """The result that a tag stands for, when it is one, and sound; whether its runs are there is asked afterwards."""
    what = _what(name)
    target = follow(tree, name, oid)
    if target.commit is None:
        raise Refused(what, why=NO_COMMIT, do=f"`git tag -d {name}`")
    if gate.policy_at(tree.objects, target.commit).level_for(name) is None:
        return []
    try:
        result = cited(tree, name, target, declared=declared)
    except NotFound as error:
        raise Refused(what, why=f"{error.what}: {error.why}", do=error.do) from error
    audit = gate.judge_result(tree, result, stage=Stage.PUSH, pushed=True, pushed_to=remote.name)
    if not audit.ok:
        raise gate.refusal(audit, what=what)
    return [result]


def _what(name: str) -> str:
    return f"the push of tag {name} is refused"


# -- the runs go first


def _have_sent(tree: RunTree, results: Sequence[Result], remote: _Remote, sender: Sender | None) -> None:
    lacking = [result for result in results if remote.holds(result) is not True]
    if lacking and sender and _may_send(tree, lacking, remote, sender):
        sender.send(remote.name)
        remote.ask_again()
    for result in lacking:
        there = remote.holds(result)
        audit = gate.judge_result(tree, result, stage=Stage.PUSH, pushed=there, pushed_to=remote.name)
        if not audit.ok:
            raise gate.refusal(audit, what=_what(result.tag))


def _may_send(tree: RunTree, lacking: Sequence[Result], remote: _Remote, sender: Sender) -> bool:
    if sender.ask:
        more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        return sender.ask(f"{remote.name} does not hold the runs of {lacking[0].tag}{more}. Send runs and blobs first?")
    # Nobody can answer. Where the policy says `offer`, the answer is yes; one that demands is not outvoted by others.
    said = {gate.policy_at(tree.objects, result.commit).push.get("results", "demand") for result in lacking}
    return said == {"offer"}


# -- what is known without asking


def is_pushed(repository: Repository, result: Result) -> bool | None:
    """Whether a remote is known to hold a result and its runs, by its tracking copy; None when none is known to."""
    tracked = list_refs(repository.common_dir, "refs/gitrepro-remotes/")
    tips = [oid for ref, oid in tracked.items() if ref.endswith("/runs") and "/incoming/" not in ref]
    return True if any(_holds_at(repository, tip, result) for tip in tips) else None


def _holds_at(repository: Repository, commit: str, result: Result) -> bool | None:
    with RunTree(repository, commit=commit) as tree:
        return holds(tree, result)
