"""The refs of runs on a server: they only grow, and what is added is valid."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ..errors import Refused, UsageError
from ..store.fold import EMPTY_TREE, commit_tree
from ..store.gitobjects import GitObjects
from ..store.repository import Repository
from ..store.runs import RunTree
from .place import PURGE, REF, setting

OURS: Final = "refs/gitrepro"
_REF: Final = re.compile(r"refs/(?!(heads|tags|remotes)/runs)([A-Za-z0-9_][A-Za-z0-9._-]*/)+runs")
_SHOWN_AT_MOST: Final = 8
_UNITE: Final = "`gitrepro pull`, then `gitrepro push`: it sends the union, and nothing of yours is lost"


def base_of(repository: Repository) -> str:
    """Below which refs runs are kept here: `refs/gitrepro`, or where `gitrepro.ref` says.

    Raises:
        UsageError: it names no ref that can be the one of runs.
    """
    named = setting(repository, REF)
    if named is None:
        return OURS
    if not _REF.fullmatch(named):
        raise UsageError(
            f"{REF} of this server is {named!r:.80}",
            why="it is the name of the run ref, and ends in /runs",
            do=f"on the server: `git config --unset {REF}`, or name one like refs/heads/gitrepro/runs",
        )
    return named.removesuffix("/runs")


def tree_at(repository: Repository, commit: str | None) -> RunTree:
    """What is on record at a commit; without one nothing, whatever this repository's own run ref holds."""
    found = RunTree(repository, commit=commit)
    found.commit = commit
    return found


def admit_onward(repository: Repository, ref: str, old: str | None, new: str) -> None:
    """Raise unless the history of `new` holds `old`."""
    if old and not repository.is_ancestor(old, of=new):
        raise Refused(
            f"{ref} is refused: it would lose what it holds",
            why=f"{old[:12]}, which is here, is not in the history of {new[:12]}",
            do=_UNITE,
        )


def admit_code(repository: Repository, ref: str, old: str | None, new: str) -> None:
    """Raise unless the ref that keeps recorded code alive goes on, and holds no files of its own."""
    admit_onward(repository, ref, old, new)
    with GitObjects(repository.common_dir, incoming=repository.incoming) as objects:
        if commit_tree(objects.read(new, "commit")) != EMPTY_TREE:
            raise Refused(
                f"{ref} is refused",
                why=f"{new[:12]} holds files; the commits of this ref only name others",
                do="push code as branches, and let `gitrepro push` move this ref",
            )


def admit_runs(repository: Repository, ref: str, old: str | None, new: str) -> None:
    """Raise unless the run ref goes on from where it is, loses nothing by it, and what is new is valid.

    A history that was begun anew, to purge something, is taken where the server's settings allow it.
    """
    with tree_at(repository, old) as before, tree_at(repository, new) as after:
        raised = _epoch(after) > _epoch(before)
        if old and raised:
            _check_allowed(repository, ref)
        else:
            admit_onward(repository, ref, old, new)
            _check_whole(repository, ref, before, after)
        _check_valid(ref, after, before)


def admit_inbox(repository: Repository, ref: str, new: str, *, runs: str | None) -> None:
    """Raise unless what waits in an inbox is valid, and purges nothing: whoever comes next unites it with the runs."""
    with tree_at(repository, runs) as here, tree_at(repository, new) as waiting:
        if runs and (_epoch(waiting) > _epoch(here) or _purged(waiting) - _purged(here)):
            _check_allowed(repository, ref)
        _check_valid(ref, waiting, here)


def _epoch(tree: RunTree) -> int:
    from ..sync.union import epoch

    return epoch(tree.objects, tree.tree)


def _purged(tree: RunTree) -> frozenset[str]:
    from ..sync.union import purged

    return purged(tree.objects, tree.tree)


def _check_allowed(repository: Repository, ref: str) -> None:
    if setting(repository, PURGE) != "true":
        raise Refused(
            f"{ref} is refused: it purges runs",
            why=f"{PURGE} is not set on this server",
            do=f"ask whoever runs it for `git config {PURGE} true`, and for its removal afterwards",
        )


def _check_whole(repository: Repository, ref: str, before: RunTree, after: RunTree) -> None:
    """A commit on top can take things away as a rewind does: the union with what is here has to change nothing."""
    from ..sync.union import union

    if before.tree is None or after.tree is None:
        return
    if _purged(after) != _purged(before):
        _check_allowed(repository, ref)
    elif union(after.objects, before.tree, after.tree).tree != after.tree:
        lost = _first(path for path, _ in after.objects.changed(after.tree, before.tree))
        raise Refused(
            f"{ref} is refused: it would lose what it holds",
            why=f"{lost or 'something'}, which is here, is not in {str(after.commit)[:12]} as it is",
            do=_UNITE,
        )


def _first(paths: Iterator[str]) -> str | None:
    return next(paths, None)


def _check_valid(ref: str, after: RunTree, before: RunTree) -> None:
    from ..sync.validate import validate

    if after.tree is None:
        return
    rejected = validate(after.objects, after.tree, before.tree).rejected
    if rejected:
        count = f"{len(rejected)} record is" if len(rejected) == 1 else f"{len(rejected)} records are"
        shown = [f"{each.path}: {each.why}" for each in rejected[:_SHOWN_AT_MOST]]
        more = [f"and {len(rejected) - _SHOWN_AT_MOST} more"] if len(rejected) > _SHOWN_AT_MOST else []
        raise Refused(
            f"{ref} is refused: {count} not valid",
            why="\n".join([*shown, *more]),
            do="`gitrepro doctor` where they come from shows damage; a clone that pulled them has left them out",
        )
