"""The exact code of a run, laid out in another place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import Damaged, NotFound, UsageError
from ..records.run import RunRecord
from ..store import overlay, worktrees
from ..store.repository import Repository
from ..store.runs import RunTree

_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_EDITED: Final = "it changed while the run went on; this is how it was at the start"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a record says of a run's code.

    Attributes:
        commit: holds the files of the run; its snapshot where it had one.
        overlays: commits of files to lay over it, byte for byte.
        folder: where in the work tree it was started, `.` for the top; None when that is not on record.
        incomplete: files that ran and are not as they were here: path and reason.
        untracked: files that lay there, were taken for no code, and are not kept.
    """

    run_id: str
    name: str
    commit: str
    overlays: tuple[str, ...]
    folder: str | None
    tree: str | None
    incomplete: tuple[tuple[str, str], ...]
    untracked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """A folder that holds the code of a run: `fresh` when this call made it; `submodules` are those left empty."""

    folder: Path
    source: Source
    fresh: bool
    submodules: tuple[str, ...]


def record_of(repository: Repository, run_id: str) -> RunRecord:
    """The record of a run that has ended.

    Raises:
        NotFound: it is under way, or not here.
        Damaged: it is not what it was.
    """
    with RunTree(repository) as tree:
        if tree.run_tree(run_id) is None:
            raise NotFound(f"run {run_id[-8:]} is not on record yet", do="wait until it has ended")
        return tree.run(run_id)


def source_of(record: RunRecord) -> Source:
    """Where the code of a run is.

    Raises:
        NotFound: no code is on record.
        Damaged: the record names it by something that is no name.
    """
    code = record.code or {}
    commit = code.get("snapshot") or code.get("commit")
    if not commit:
        raise NotFound(
            f"run {record.short_id} has no code on record",
            why=str(code.get("trouble") or "it was recorded outside a repository, or before the first commit"),
        )
    overlays = [code[name] for name in ("exact", "ignored_files") if code.get(name)]
    for name in (commit, *overlays):
        if not isinstance(name, str) or not _COMMIT.fullmatch(name):
            raise Damaged(f"run {record.short_id} names its code {name!r:.60}", why="a commit has 40 hex digits")
    folder = code.get("folder")
    return Source(
        run_id=record.id,
        name=record.name,
        commit=commit,
        overlays=tuple(overlays),
        folder=folder if isinstance(folder, str) else None,
        tree=code.get("tree"),
        incomplete=tuple(_incomplete(code)),
        untracked=() if code.get("snapshot") else tuple(map(str, code.get("untracked") or ())),
    )


def _incomplete(code: Mapping[str, Any]) -> list[tuple[str, str]]:
    named = [*(code.get("left_out") or ()), *(code.get("ignored") or ())]
    missing = [(str(item["path"]), str(item["why"])) for item in named if isinstance(item, dict) and item.get("why")]
    return [*missing, *((str(path), _EDITED) for path in code.get("edited") or ())]


def default_folder(repository: Repository, source: Source) -> Path:
    """Beside the repository, named after it and the run."""
    top = repository.work_tree or repository.common_dir
    # A name from a record is a label, never a path.
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", source.name).strip(".-") or source.run_id[-8:]
    return top.parent / f"{top.name.removesuffix('.git')}-{name[:100]}"


def checkout(repository: Repository, source: Source, folder: Path) -> Checkout:
    """Lay out the code of a run in `folder`, a linked worktree without a branch.

    Where it lies there already, and nothing was changed, that is the answer.

    Raises:
        UsageError: there is something else in `folder`, or it lies in the user's own work tree.
        NotFound: the code is not in this repository.
    """
    for commit in (source.commit, *source.overlays):
        worktrees.check_commit(repository, commit)
    fresh = not _holds(repository, source, folder)
    if fresh:
        _check_place(repository, folder)
        lay_out(repository, source, folder)
    empty = worktrees.empty_submodules(repository, source.commit, folder)
    return Checkout(folder=folder, source=source, fresh=fresh, submodules=tuple(empty))


def lay_out(repository: Repository, source: Source, folder: Path) -> None:
    """Make the worktree. A failure leaves nothing behind."""
    worktrees.add(repository, folder, source.commit)
    try:
        worktrees.fill_submodules(repository.common_dir, folder)
        for commit in source.overlays:
            overlay.lay(repository, commit, folder)
    except BaseException:
        worktrees.remove(repository, folder)
        raise


def _holds(repository: Repository, source: Source, folder: Path) -> bool:
    """Whether `folder` is a checkout of this very code, as it was made."""
    if worktrees.head(repository, folder) != source.commit:
        return False
    changed = worktrees.changes(folder)
    if changed or not all(overlay.same(repository, commit, folder) for commit in source.overlays):
        raise UsageError(
            f"{folder} holds the code of run {source.run_id[-8:]}, and it was changed since",
            why=f"{len(changed)} files differ, such as {changed[0]!r:.200}" if changed else "files were edited",
            do=f"work in it as it is, name another folder, or `git worktree remove --force {folder}`",
        )
    return True


def _check_place(repository: Repository, folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise UsageError(f"{folder} is there already", why="it is not an empty folder", do="name another folder")
    top = repository.work_tree
    inside = top is not None and folder.resolve().is_relative_to(top.resolve())
    if inside and not worktrees.is_ignored(repository, folder):
        raise UsageError(
            f"{folder} lies in your work tree",
            why="Git would see its files as new files of yours",
            do="name a folder outside, or one that Git ignores",
        )
