"""Promotion: the snapshot of a dirty run becomes a commit on a branch, so that its code is committed after all."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any, Final

from ..errors import NotFound, Refused, UsageError
from ..records.run import RunRecord
from ..store import fs, git
from ..store.annotate import annotate
from ..store.fold import Identity, commit_text
from ..store.gitobjects import GitObjects
from ..store.gitrefs import list_refs, move_ref, read_ref
from ..store.repository import Repository
from ..store.runs import RunTree
from .evidence import RunEvidence, gather, tree_of_commit
from .rules.code import hindrance

TRAILER: Final = "Gitrepro-Run: "
_HEADS: Final = "refs/heads/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """The commit that holds the code of a run, the branch it is on, and whether it was there before."""

    run: str
    commit: str
    branch: str
    made: bool


def promote(
    repository: Repository, run_id: str, *, branch: str | None = None, identity: Identity, at: str
) -> Promotion:
    """Make the code of a dirty run a commit on a branch of its own. HEAD, index, work tree, other branches stay.

    The commit is a function of the run: whoever promotes it, wherever and however often, makes the same one.

    Args:
        branch: its name; without one, `promoted/<name of the run>`.
        identity: who promotes it.
        at: the time, for people.

    Raises:
        UsageError: the run needs no promotion, or the branch cannot be made.
        Refused: no commit can hold what ran.
        NotFound: the snapshot is not in this repository.
        StorageError: the disk refuses.
    """
    with RunTree(repository) as tree:
        run = gather(tree, [run_id]).runs[0]
        record = _promotable(tree, run)
        data = _commit(run, record)
        standing = run.promoted
    with fs.explained(f"cannot promote run {run_id[-8:]}"):
        fs.make_directories(repository.home)
    with fs.locked(repository.home / "lock"), GitObjects(repository.common_dir) as objects:
        commit = objects.write([("commit", data)])[0]
        if standing and standing.reachable and branch in (None, standing.branch) and standing.commit == commit:
            return Promotion(run=run_id, commit=commit, branch=standing.branch, made=False)
        name = _branch(repository, run, branch, commit)
        _put_branch(repository, name, commit)
    if standing is None or (standing.commit, standing.branch) != (commit, name):
        value = {"branch": name, "commit": commit, "tree": run.code["tree"]}
        annotate(repository, run_id, "promote", value, identity=identity, at=at, code=[commit])
    return Promotion(run=run_id, commit=commit, branch=name, made=True)


def _promotable(tree: RunTree, run: RunEvidence) -> RunRecord:
    short = run.id[-8:]
    if run.record is None:
        raise Refused(f"run {short} cannot be promoted", why=run.trouble)
    if run.record.code is None or (not run.code.get("commit") and not run.code.get("snapshot")):
        raise Refused(f"run {short} cannot be promoted", why="its code is not on record", do="run it in a repository")
    if run.code.get("dirty") is False:
        commit = str(run.code.get("commit"))[:12]
        raise UsageError(
            f"run {short} needs no promotion",
            why=f"it ran the code of commit {commit}",
            do=f"`gitrepro tag result/NAME {short}` declares it",
        )
    if fault := hindrance(run):
        why, repair = fault
        raise Refused(f"run {short} cannot be promoted", why=why, do=repair)
    if tree_of_commit(tree.objects, run.code.get("snapshot")) != run.code.get("tree"):
        raise NotFound(
            f"the snapshot of run {short} is not in this repository",
            why=f"commit {str(run.code.get('snapshot'))[:12]}",
            do="`git fetch REMOTE refs/gitrepro/code` from where it ran",
        )
    return run.record


def _commit(run: RunEvidence, record: RunRecord) -> bytes:
    """The commit: of the snapshot's tree, by whoever ran it, when it was run."""
    author = Identity(name=_text(record.actor.get("name")), email=_text(record.actor.get("email")))
    seconds = datetime.datetime.fromisoformat(record.started_at).timestamp()
    parents = [str(run.code["commit"])] if run.code.get("commit") else []
    changes = "\n".join(_text(change) for change in run.code.get("changes") or ())
    parts = [f"code of run {_text(record.name)}", "as it was when the run began", changes, f"{TRAILER}{run.id}"]
    message = "\n\n".join(part for part in parts if part) + "\n"
    return commit_text(str(run.code["tree"]), parents, author.line(seconds), message)


def _text(value: Any) -> str:
    return "".join(char if char.isprintable() else "?" for char in str(value or "unknown"))


def _branch(repository: Repository, run: RunEvidence, wanted: str | None, commit: str) -> str:
    """A branch name that is free, or stands at the commit already."""
    if wanted is not None:
        _check_free(repository, wanted, commit)
        return wanted
    stem = f"promoted/{run.name}"
    for name in (stem, f"{stem}-{run.id[-8:]}", f"promoted/{run.id}"):
        if _is_branch_name(repository, name) and _obstacle(repository, name, commit) is None:
            return name
    raise UsageError("there is no free name for the branch", why=f"{stem} is taken", do="--branch NAME")


def _check_free(repository: Repository, name: str, commit: str) -> None:
    if not _is_branch_name(repository, name):
        raise UsageError(f"{name!r:.200} is no branch name", why="Git does not allow it", do="--branch fix/lr-sweep")
    if obstacle := _obstacle(repository, name, commit):
        raise UsageError(
            f"branch {name} cannot be made", why=obstacle, do="choose another name; existing branches are not moved"
        )


def _is_branch_name(repository: Repository, name: str) -> bool:
    if not name.isprintable() or name.startswith("-") or name == "HEAD":
        return False
    return git.attempt(["check-ref-format", _HEADS + name], cwd=repository.git_dir).returncode == 0


def _obstacle(repository: Repository, name: str, commit: str) -> str | None:
    for ref, oid in list_refs(repository.common_dir, _HEADS).items():
        other = ref.removeprefix(_HEADS)
        if other == name:
            return None if oid == commit else f"it stands at {oid[:12]}"
        if other.startswith(f"{name}/") or name.startswith(f"{other}/"):
            return f"it cannot stand beside branch {other}, since Git keeps names as paths"
    return None


def _put_branch(repository: Repository, name: str, commit: str) -> None:
    ref = _HEADS + name
    if read_ref(repository.common_dir, ref) == commit:
        return
    if not move_ref(repository.common_dir, ref, old=None, new=commit):
        raise UsageError(f"branch {name} cannot be made", why="somebody else made it just now", do="try again")
