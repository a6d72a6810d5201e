"""Linked worktrees: other places where a commit lies checked out. The user's own is never touched."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from ..errors import GitreproError, NotFound, StorageError
from . import git
from .overlay import NEUTRAL
from .repository import Repository


def add(repository: Repository, folder: Path, commit: str) -> None:
    """Check out `commit` in `folder`, which is new or empty, with no branch. No hook runs.

    Raises:
        ChildFailed: Git cannot; nothing of it stays.
        StorageError: the disk said no.
    """
    there = folder.exists()
    try:
        _worktree(repository, *NEUTRAL, "worktree", "add", "--quiet", "--detach", str(folder), commit)
    except BaseException:
        remove(repository, folder)
        if there:
            folder.mkdir(parents=True, exist_ok=True)
        raise


def remove(repository: Repository, folder: Path) -> None:
    """Take a linked worktree away with all that lies in it. Where there is none, nothing happens."""
    result = git.attempt(
        [f"--git-dir={repository.common_dir}", "worktree", "remove", "--force", "--force", str(folder)],
        cwd=repository.common_dir,
    )
    if result.returncode:
        # Git refuses what it does not know, or knows only half of, as after a kill.
        shutil.rmtree(folder, ignore_errors=True)
        git.attempt([f"--git-dir={repository.common_dir}", "worktree", "prune"], cwd=repository.common_dir)


def head(repository: Repository, folder: Path) -> str | None:
    """The commit checked out in `folder` when it is a worktree of `repository`, else None."""
    listing = _worktree(repository, "worktree", "list", "--porcelain")
    wanted = os.path.realpath(folder)
    for entry in listing.decode("utf-8", "surrogateescape").split("\n\n"):
        facts = dict(line.split(" ", 1) for line in entry.splitlines() if " " in line)
        if "worktree" in facts and os.path.realpath(facts["worktree"]) == wanted and folder.is_dir():
            return facts.get("HEAD")
    return None


def changes(folder: Path) -> list[str]:
    """The tracked files of a worktree that are not as committed; what a program wrote beside them is no change."""
    listing = git.run(["status", "--porcelain", "-z", "--untracked-files=no"], cwd=folder)
    return [entry[3:] for entry in listing.decode("utf-8", "surrogateescape").split("\0") if len(entry) > 3]


def fill_submodules(git_dir: Path, folder: Path) -> None:
    """Check out the submodules of a worktree from what the repository has of them; no network is asked.

    Args:
        git_dir: the Git directory that `folder` is a worktree of, with its submodules under `modules`.
    """
    for name, path in _declared(folder):
        source = git_dir / "modules" / name
        if ".." in Path(name).parts or not source.is_dir() or (folder / path).is_symlink():
            continue
        here = ["-c", f"submodule.{name}.url={source}", "submodule", "--quiet", "update", "--checkout", "--", path]
        if git.attempt(here, cwd=folder, env={"GIT_ALLOW_PROTOCOL": "file"}).returncode == 0:
            fill_submodules(source, folder / path)


def _declared(folder: Path) -> Iterator[tuple[str, str]]:
    if not (folder / ".gitmodules").is_file():
        return
    asked = ["config", "-z", "--file", ".gitmodules", "--get-regexp", r"^submodule\..*\.path$"]
    listing = git.attempt(asked, cwd=folder).stdout.decode("utf-8", "surrogateescape")
    for entry in filter(None, listing.split("\0")):
        key, _, path = entry.partition("\n")
        yield key.removeprefix("submodule.").removesuffix(".path"), path


def empty_submodules(repository: Repository, commit: str, folder: Path) -> list[str]:
    """The submodules of `commit` that have nothing but an empty folder in its worktree."""
    listing = repository.git("ls-tree", "-r", "-z", "--full-tree", commit).decode("utf-8", "surrogateescape")
    paths = [entry.split("\t", 1)[1] for entry in listing.split("\0") if entry.startswith("160000 ")]
    return [path for path in paths if (folder / path).is_dir() and not any((folder / path).iterdir())]


def check_commit(repository: Repository, commit: str) -> None:
    """Raises NotFound: `commit` is not in this repository, nor where a partial clone would fetch it from."""
    place = [f"--git-dir={repository.common_dir}", "cat-file", "-e", f"{commit}^{{commit}}"]
    if git.attempt(place, cwd=repository.common_dir).returncode:
        raise NotFound(
            f"commit {commit[:12]} is not here",
            why="the code of a run travels on a ref of its own, and that was not fetched, or never pushed",
            do="`git fetch REMOTE refs/gitrepro/code`, or ask whoever ran it to push that ref",
        )


def is_ignored(repository: Repository, folder: Path) -> bool:
    """Whether Git ignores `folder`, which lies in the work tree."""
    assert repository.work_tree is not None
    asked = ["check-ignore", "--quiet", "--", str(folder)]
    return git.attempt(asked, cwd=repository.work_tree).returncode == 0


def _worktree(repository: Repository, *args: str) -> bytes:
    try:
        return git.run([f"--git-dir={repository.common_dir}", *args], cwd=repository.common_dir)
    except GitreproError as error:
        if "No space left" in error.why or "Read-only" in error.why:
            raise StorageError(error.what, why=error.why) from error
        raise
