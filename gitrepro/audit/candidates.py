"""Which runs a plain `git tag` speaks for: it names a commit, and no run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..errors import Refused
from ..policy import Stage
from ..records import ids
from ..records.result import Audit
from ..store.index import Index
from ..store.repository import Repository
from ..store.runs import RunTree
from .evidence import gather
from .gate import judge_runs, refusal
from .promotion import TRAILER
from .rules import RESULT_KINDS
from .rules.finding import mapping, values_of
from .selecting import newest_attempts

_AT_MOST: Final = 100
_KINDS: Final = ", ".join(f"'{kind}'" for kind in RESULT_KINDS)
_ELIGIBLE: Final = f"removed = 0 AND status = 'finished' AND kind IN ({_KINDS})"
# A dirty run's code is not what its commit holds.
_AT_COMMIT: Final = f"{_ELIGIBLE} AND commit_id = ? AND (dirty IS NULL OR dirty = 0)"


def judge_plain(tree: RunTree, name: str, commit: str) -> Audit:
    """Audit all finished runs of a commit as the number of a plain tag there.

    Raises:
        Refused: there is none, or one of them does not pass.
    """
    repository = tree.repository
    with Index(repository) as index:
        found = index.ids(where=_AT_COMMIT, values=[commit], limit=_AT_MOST)
    runs = sorted(newest_attempts(repository, [*_no_trials(tree, found), *_promoted_to(tree, commit)]))
    if not runs:
        raise _no_run(repository, name, commit)
    audit = judge_runs(tree, runs, tag=name, stage=Stage.TAG, commit=commit)
    if audit.ok:
        return audit
    refused = refusal(audit, what=f"tag {name} is refused")
    sound = [run for run in runs if judge_runs(tree, [run], tag=name, commit=commit).ok]
    if not sound:
        raise refused
    named = " ".join(run[-8:] for run in sound[:3])
    # A plain tag speaks for every run of its commit; naming runs leaves the others out.
    raise Refused(refused.what, why=refused.why, do=f"name the runs you mean: `gitrepro tag {name} {named}`")


def _no_trials(tree: RunTree, runs: Sequence[str]) -> list[str]:
    """Without the trials of checks: what a check trains to compare with is no run that anybody declares."""
    read = gather(tree, runs, numbers=False).runs
    return [run.id for run in read if "arm" not in mapping(values_of(run).get("trial"))]


def _promoted_to(tree: RunTree, commit: str) -> list[str]:
    """The runs whose uncommitted code a commit was made of: it names them, and their events name it."""
    message = tree.objects.read(commit, "commit").decode("utf-8", "replace").partition("\n\n")[2]
    named = [line.removeprefix(TRAILER) for line in message.splitlines() if line.startswith(TRAILER)]
    runs = [run for run in dict.fromkeys(named) if ids.is_id(run)]
    read = gather(tree, runs, numbers=False).runs
    return [run.id for run in read if run.promoted and run.promoted.commit == commit]


def _no_run(repository: Repository, name: str, commit: str) -> Refused:
    with Index(repository) as index:
        dirty = index.ids(where=f"{_ELIGIBLE} AND commit_id = ? AND dirty = 1", values=[commit], limit=1)
        other = index.ids(where=_ELIGIBLE, limit=1)
        named = {run["id"]: run for run in index.listings(where="id IN (?, ?)", values=_two([*dirty, *other]))}
    why = f"no finished run of commit {commit[:12]} is on record"
    do = "run it at this commit: `gitrepro record -- COMMAND`"
    if dirty:
        run = named[dirty[0]]
        why += f"; {run['name']} ({run['id'][-8:]}) started from it, with uncommitted changes"
        do = f"`gitrepro promote {run['id'][-8:]}` makes a commit of what ran, which may be tagged"
    elif other:
        run = named[other[0]]
        at = str(run["code"]["commit"] or "no commit")[:12]
        why += f"; the newest finished run is {run['name']} ({run['id'][-8:]}), at {at}"
        do += f"; or tag that run: `gitrepro tag {name} {run['id'][-8:]}`"
    return Refused(f"tag {name} is refused", why=why, do=do)


def _two(found: list[str]) -> list[str]:
    return [*found, "", ""][:2]
