"""The commits that `refs/gitrepro/code` keeps alive, and the same without some of them."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Final

from ..store.fold import Identity, commit_parents, commit_text
from ..store.gitobjects import GitObjects
from ..store.gitrefs import read_ref
from ..store.lead import lead
from ..store.repository import CODE_REF, Repository
from .overlay import EMPTY_TREE

_MESSAGE: Final = "code of recorded runs\n"
_PARENTS_AT_MOST: Final = 200


def drop(repository: Repository, objects: GitObjects, commits: Collection[str], *, identity: Identity) -> None:
    """Let the ref keep these commits alive no longer; all else that it keeps, it keeps.

    Raises:
        NotFound, Damaged: a commit of the ref cannot be read. StorageError: the disk refuses.
    """
    if not commits or read_ref(repository.common_dir, CODE_REF) is None:
        return

    def make(tip: str | None) -> str | None:
        held = kept_by(objects, tip)
        left = [commit for commit in held if commit not in commits]
        return _anew(objects, left, identity) if len(left) < len(held) else tip

    lead(repository, CODE_REF, make, objects=objects)


def kept_by(objects: GitObjects, tip: str | None) -> list[str]:
    """The commits that a code ref names beside those of its own chain, each once."""
    found: dict[str, None] = {}
    waiting, seen = [tip] if tip else [], set()
    while waiting:
        oid = waiting.pop()
        if oid in seen:
            continue
        seen.add(oid)
        data = objects.read(oid, "commit")
        if _is_of_chain(data):
            waiting += commit_parents(data)
        else:
            found[oid] = None
    return list(found)


def _is_of_chain(data: bytes) -> bool:
    # An empty commit of the user's has the same tree.
    return data.startswith(f"tree {EMPTY_TREE}\n".encode()) and data.endswith(f"\n\n{_MESSAGE}".encode())


def _anew(objects: GitObjects, commits: Sequence[str], identity: Identity) -> str:
    objects.write([("tree", b"")])
    tip = ""
    for begin in range(0, max(len(commits), 1), _PARENTS_AT_MOST):
        parents = [*([tip] if tip else []), *commits[begin : begin + _PARENTS_AT_MOST]]
        text = commit_text(EMPTY_TREE, parents, identity.line(time.time()), _MESSAGE)
        [tip] = objects.write([("commit", text)])
    return tip
