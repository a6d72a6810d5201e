"""What came from a remote becomes part of ours: looked at first, then united under the lock of the fold."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ...errors import GitreproError
from ...store import bulk, rescue, worktree
from ...store.fold import EMPTY_TREE, Identity, commit_text, commit_tree
from ...store.gitobjects import GitObjects
from ...store.gitrefs import read_ref
from ...store.lead import Moved, lead
from ...store.place import is_shared
from ...store.repository import CODE_REF, RUNS_REF, Repository
from ...store.roots import pin_text
from ...store.signing import programs, vouching
from ..coderef import kept_by
from ..union import carried, epoch, union
from ..validate import Rejected, validate
from .contents import files_between
from .names import Remote
from .transport import Told, independent

_TIMEOUT_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tip:
    """A commit of a remote: its tree as it is there, and as it is without what is not taken."""

    ref: str
    commit: str
    tree: str
    good: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class United:
    """What came of it: where the run ref was and is, what was not taken, what is kept twice, which refs are in."""

    runs: Moved
    rejected: tuple[Rejected, ...] = ()
    unreadable: tuple[Rejected, ...] = ()
    conflicts: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()


def unite(repository: Repository, remote: Remote, refs: Mapping[str, str], *, progress: Told | None = None) -> United:
    """Take the runs of a remote in: those on its run ref and in its inboxes.

    Args:
        refs: what its refs name, by their names there; the objects are here.
        progress: is told how many files of how many were looked at.

    Raises:
        TooNew: the remote's tree is laid out in a way that this program does not know.
        Damaged: what is needed of it cannot be read.
        StorageError: the disk refuses.
    """
    with GitObjects(repository.common_dir, restore=rescue.restorer(repository)) as objects:
        ours = _tree(objects, read_ref(repository.common_dir, RUNS_REF))
        known = _tree(objects, read_ref(repository.common_dir, remote.copy(remote.runs)))
        tips, found = _look(objects, remote, refs, ours, progress or _quiet)
        _pin(repository, ours, tips)
        conflicts: list[str] = []

        def make(tip: str | None) -> str | None:
            conflicts.clear()
            return _united(repository, objects, remote, tip, tips, known, conflicts)

        moved = lead(repository, RUNS_REF, make, objects=objects, timeout_seconds=_TIMEOUT_SECONDS)
        code = _Code(
            theirs=refs.get(remote.code),
            known=read_ref(repository.common_dir, remote.copy(remote.code)),
            later=_later(objects, remote, tips, ours),
        )
        moved_code, more = _unite_code(repository, objects, code)
    taken = [each.ref for each in tips] + ([remote.code] if moved_code else [])
    return United(
        runs=moved,
        rejected=(*found.rejected, *more),
        unreadable=tuple(found.unreadable),
        conflicts=tuple(conflicts),
        taken=tuple(taken),
    )


def _later(objects: GitObjects, remote: Remote, tips: Sequence[Tip], ours: str | None) -> int:
    """By how many epochs the remote is ahead of us; behind us, negative."""
    if ours is None or not tips or tips[0].ref != remote.runs:
        return 0
    return tips[0].epoch - epoch(objects, ours)


def identity(repository: Repository) -> Identity:
    """Who signs a merge: the user, as Git knows them."""
    return worktree.identity(repository, fallback=Identity(name="gitrepro", email=f"gitrepro@{socket.gethostname()}"))


def _tree(objects: GitObjects, commit: str | None) -> str | None:
    return commit_tree(objects.read(commit, "commit")) if commit else None


# -- looking


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    rejected: list[Rejected] = field(default_factory=list)
    unreadable: list[Rejected] = field(default_factory=list)


def _quiet(done: int, total: int) -> None:
    """Nobody is told."""


def _look(
    objects: GitObjects, remote: Remote, refs: Mapping[str, str], ours: str | None, progress: Told
) -> tuple[list[Tip], _Found]:
    """The tips of the remote, the run ref first, and what of them is not taken."""
    tips: list[Tip] = []
    found = _Found()
    wanted = [remote.runs, *sorted(ref for ref in refs if ref.startswith(remote.inboxes))]
    for ref in (ref for ref in wanted if ref in refs):
        try:
            # Against what is ours, not what was fetched before: what was not taken then is no better now. An inbox is
            # what its clone had of the run ref, and a little more.
            tip = _looked_at(objects, ref, refs[ref], tips[0].good if tips else ours, found, progress)
        except GitreproError as error:
            if ref == remote.runs:
                raise
            found.rejected.append(Rejected(path=ref, why=str(error)))
            continue
        if tips and tip.epoch > tips[0].epoch:
            why = "its history was begun anew, and that of the run ref was not"
            found.rejected.append(Rejected(path=ref, why=why))
            continue
        tips.append(tip)
    return tips, found


def _looked_at(objects: GitObjects, ref: str, commit: str, known: str | None, found: _Found, progress: Told) -> Tip:
    tree = commit_tree(objects.read(commit, "commit"))
    seen = epoch(objects, tree)
    judged = validate(objects, tree, known, progress=progress)
    objects.write(judged.made)
    found.rejected.extend(judged.rejected)
    found.unreadable.extend(judged.unreadable)
    return Tip(ref=ref, commit=commit, tree=tree, good=judged.tree, epoch=seen)


def _pin(repository: Repository, ours: str | None, tips: Sequence[Tip]) -> None:
    """In a store that several share, tell the others what of it is needed from now on."""
    if not is_shared(repository):
        return
    for tip in tips:
        new = [oid for path, oid in files_between(repository, ours, tip.good) if path.endswith(".yaml")]
        pin_text(repository, (data for data in bulk.blobs(repository.common_dir, new) if isinstance(data, bytes)))


# -- uniting


def _united(
    repository: Repository,
    objects: GitObjects,
    remote: Remote,
    tip: str | None,
    tips: Sequence[Tip],
    known: str | None,
    conflicts: list[str],
) -> str | None:
    """The commit that holds ours and theirs; an existing one where that says it."""
    mine = _tree(objects, tip)
    tree = mine
    parents = [tip] if tip else []
    anew = False
    for each in tips:
        begun = epoch(objects, tree) if tree else each.epoch
        anew = anew or each.epoch != begun
        if each.epoch > begun:
            joined = carried(objects, each.good, tree, known)
            parents = [each.commit]  # what was purged hangs on the old history
        elif each.epoch < begun:
            joined = carried(objects, tree or EMPTY_TREE, each.good, known)
        else:
            joined = union(objects, tree, each.good)
            parents = list(dict.fromkeys([*parents, each.commit]))
        objects.write(joined.made)
        if epoch(objects, joined.tree) > max(begun, each.epoch):
            parents = []  # both have purged: each has in its history what the other took out
        conflicts += joined.conflicts
        tree = joined.tree
    if tree is None:
        return None
    if tree == mine:
        parents = _heads(repository, parents)
        if parents == [tip]:
            return tip  # it may say more than theirs about the same tree: who vouches for it
    for each in tips:
        if each.ref == remote.runs and tree == each.tree:
            return each.commit
    parents = _heads(repository, parents)
    if len(parents) == 1 and _tree(objects, parents[0]) == tree:
        return parents[0]
    # Where a history was begun anew, a commit brings in what others recorded: that is not for us to sign.
    return _commit(repository, objects, remote, tree, parents, signed=not anew)


def _heads(repository: Repository, commits: list[str]) -> list[str]:
    """Those of the commits that come before none of the others."""
    if len(commits) < 2:
        return commits
    found = independent(repository, commits)
    return [commit for commit in commits if commit in found]


def _commit(
    repository: Repository, objects: GitObjects, remote: Remote, tree: str, parents: list[str], *, signed: bool = True
) -> str:
    message = f"gitrepro: merge\n\nGitrepro-Format: 1\nGitrepro-Clone: {remote.clone}\n"
    who = identity(repository)
    text = commit_text(tree, parents, who.line(time.time()), message)
    if signed and programs.is_on(repository):
        # Without one it says nothing less of the runs: those were brought by the commits that it joins.
        text = vouching.try_to_sign(repository, text, identity=who).data
    return objects.write([("commit", text)])[-1]


def commit_onto(repository: Repository, objects: GitObjects, remote: Remote, tree: str, parent: str | None) -> str:
    """A commit of some runs on top of what a remote has. No ref names it yet.

    It is not signed: some of the runs may be those of others, and who signed them is in the history that stays here.
    """
    return _commit(repository, objects, remote, tree, [parent] if parent else [], signed=False)


# -- code


def keeping(repository: Repository, objects: GitObjects, commits: Sequence[str]) -> str:
    """A commit that does nothing but keep others alive. No ref names it yet."""
    signature = identity(repository).line(time.time())
    text = commit_text(EMPTY_TREE, list(commits), signature, "code of recorded runs\n")
    return objects.write([("tree", b""), ("commit", text)])[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Code:
    """The commit of the remote's code ref, the one that it was last seen with, and which side has purged more."""

    theirs: str | None
    known: str | None
    later: int


def _unite_code(repository: Repository, objects: GitObjects, code: _Code) -> tuple[bool, list[Rejected]]:
    """Let `refs/gitrepro/code` reach what theirs reaches. Whether it does now, and what was not taken."""
    theirs = code.theirs
    if theirs is None:
        return False, []
    try:
        if _tree(objects, theirs) != EMPTY_TREE:
            return False, [Rejected(path=CODE_REF, why="the commit there is not one that only keeps code")]
        make = _joining(repository, objects, theirs) if not code.later else _following(repository, objects, code)
    except GitreproError as error:
        return False, [Rejected(path=CODE_REF, why=str(error))]
    lead(repository, CODE_REF, make, objects=objects, timeout_seconds=_TIMEOUT_SECONDS)
    return True, []


def _joining(repository: Repository, objects: GitObjects, theirs: str) -> Callable[[str | None], str | None]:
    def make(tip: str | None) -> str:
        heads = _heads(repository, list(dict.fromkeys([*([tip] if tip else []), theirs])))
        return heads[0] if len(heads) == 1 else keeping(repository, objects, heads)

    return make


def _following(repository: Repository, objects: GitObjects, code: _Code) -> Callable[[str | None], str | None]:
    """Where one side has purged, the other brings only what was not seen at the remote before."""

    def make(tip: str | None) -> str | None:
        onto, other = (code.theirs, tip) if code.later > 0 else (tip, code.theirs)
        known = {*kept_by(objects, code.known), *kept_by(objects, onto)}
        new = [commit for commit in kept_by(objects, other) if commit not in known]
        return keeping(repository, objects, [*([onto] if onto else []), *new]) if new else onto

    return make
