"""The `code` field of a run: what the code was at the start, and what is known of it at the end."""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from ..capture import secrets
from ..errors import GitreproError
from ..store import overlay, worktree
from ..store.fold import Identity, keep_code
from ..store.repository import Repository
from .place import Place
from .warning import warn

_LEFT_OUT_AT_MOST: Final = 200


def capture_code(
    where: Place, *, named: Iterable[str], identity: Identity, outputs: Iterable[Path] = ()
) -> dict[str, Any] | None:
    """The `code` field of a run that starts now; None without a repository. A fault of Git is told in it.

    Args:
        outputs: files that the program writes; untracked, they are no code, whatever they are called.
    """
    if where.repository is None:
        return None
    try:
        written = set(_relative(where, map(str, outputs)))
        state = worktree.look(where.repository, named=_relative(where, named), written=written)
        if where.spooled:
            return _unkept(where.repository, state)
        taken = None
        if state.dirty:
            taken = worktree.snapshot(
                where.repository, state, identity=identity, now=time.time(), forbidden=secrets.secret_file
            )
        exact = _exact(where.repository, state, taken)
    except (OSError, GitreproError) as error:
        warn(f"the state of the code is not on record: {error}")
        return {"commit": None, "dirty": None, "snapshot": None, "tree": None, "trouble": str(error)}
    _keep(where.repository, [commit for commit in (taken and taken.commit, exact.commit) if commit], identity)
    code = worktree.document(state, taken)
    left_out = [*code["left_out"], *({"path": path, "why": why} for path, why in exact.left_out)]
    return {
        **code,
        "exact": exact.commit,
        "folder": _folder(where.repository),
        "left_out": left_out[:_LEFT_OUT_AT_MOST],
        "left_out_count": len(left_out),
    }


def _keep(repository: Repository, made: list[str], identity: Identity) -> None:
    """Let a ref name at once what was committed for this run alone: it may train for longer than Git spares it."""
    if not made:
        return
    try:
        keep_code(repository, made, identity=identity, now=time.time())
    except GitreproError:
        pass  # the fold of the run names it too


def _unkept(repository: Repository, state: worktree.WorkTree) -> dict[str, Any]:
    """The `code` field of a run in a spool: what is not committed is named and not kept, for Git is not written to."""
    why = "the run was recorded into a spool, which keeps no code"
    left_out = [{"path": change.path, "why": why} for change in state.dirty]
    if left_out:
        warn(f"{len(left_out)} uncommitted changes are named and not kept: {why}")
    return {
        **worktree.document(state, None),
        "exact": None,
        "folder": _folder(repository),
        "left_out": left_out[:_LEFT_OUT_AT_MOST],
        "left_out_count": len(left_out),
    }


def _exact(repository: Repository, state: worktree.WorkTree, taken: worktree.Snapshot | None) -> overlay.Overlay:
    """The files whose bytes Git would not give back, as they are."""
    commit = taken.commit if taken else state.commit
    changed = [change.path for change in state.dirty] + list(state.untracked if taken else ())
    paths = overlay.converted(repository, commit, changed=changed, attributes=state.attributes) if commit else []
    return overlay.keep(repository, paths, forbidden=secrets.secret_file)


def _folder(repository: Repository) -> str | None:
    """Where in the work tree the run was started, `.` for its top; None outside it."""
    top, here = repository.work_tree, Path.cwd()
    return here.relative_to(top).as_posix() if top is not None and here.is_relative_to(top) else None


def code_at_end(where: Place, *, named: Iterable[str], modules: Iterable[str], started_at: str) -> dict[str, Any]:
    """What the `code` field says of the end: modules that were imported, and which of the code is not as it was.

    Args:
        named: words of the command line; those that name source or config files count as code.
        modules: files that Python imported, from the top of the work tree.
        started_at: the time the code was looked at first.
    """
    if where.repository is None or where.repository.work_tree is None:
        return {}
    imported = sorted(set(modules))
    files = {*imported, *filter(worktree.is_code, _relative(where, named))}
    moment = datetime.datetime.fromisoformat(started_at).timestamp()
    edited = worktree.edited_since(where.repository.work_tree, files, moment)
    return {"edited": edited, "modules": imported, **_ignored(where, files)}


def _ignored(where: Place, files: Iterable[str]) -> dict[str, Any]:
    """Files that ran though Git ignores them: no commit holds them, so they are kept beside it."""
    repository = where.repository
    if repository is None or where.spooled:
        return {}
    try:
        paths = overlay.ignored(repository, files)
        kept = overlay.keep(repository, paths, forbidden=secrets.secret_file)
    except (OSError, GitreproError) as error:
        warn(f"which files Git ignores is not on record: {error}")
        return {}
    why = {**dict.fromkeys(kept.kept), **dict(kept.left_out)}
    listed = [{"path": path, "why": why[path]} for path in sorted(why)]
    return {"ignored": listed[:_LEFT_OUT_AT_MOST], "ignored_count": len(listed), "ignored_files": kept.commit}


def _relative(where: Place, named: Iterable[str]) -> list[str]:
    """Words that name files, as paths from the top of the work tree."""
    assert where.repository is not None
    top = where.repository.work_tree or where.repository.git_dir
    here = Path.cwd()
    words = []
    for word in named:
        if 0 < len(word) < 4096 and "\0" not in word and "\n" not in word:
            full = os.path.normpath(here / word)
            if full.startswith(f"{top}{os.sep}"):
                words.append(os.path.relpath(full, top))
    return words
