"""Whether the hooks fire: proven by a tag that must be refused."""

from __future__ import annotations

import subprocess
from typing import Final

from ..audit import tags
from ..records import ids
from ..store import git
from ..store.repository import Repository
from .place import PATTERNS, setting

NO_COMMIT: Final = "it leads to no commit, so no code stands behind it"
_EMPTY_TREE: Final = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_NOTHING: Final = "0" * 40


def canary(repository: Repository) -> tuple[bool, str]:
    """Whether the hooks fire: tries to make a result tag that must be refused, by plain Git, as the user would.

    The tag leads to the empty tree, so no code can stand behind it. Nothing stays behind.
    """
    patterns = (setting(repository, PATTERNS) or "").split()
    if not patterns:
        return False, "no tag names are set to look at; `gitrepro hooks install` sets them"
    name = _name_for(patterns[0])
    made = _plain_git(repository, "update-ref", tags.PREFIX + name, _EMPTY_TREE, _NOTHING)
    return _judged(repository, made, name)


def server_canary(repository: Repository) -> tuple[bool, str]:
    """As `canary`, for the hook of a server: pushes such a tag from the repository to itself."""
    name = _name_for((setting(repository, PATTERNS) or "result/*").split()[0])
    spec = f"{_EMPTY_TREE}:{tags.PREFIX}{name}"
    return _judged(repository, _plain_git(repository, "push", "--quiet", "--no-verify", ".", spec), name)


def _name_for(pattern: str) -> str:
    return pattern.replace("?", "x").replace("*", f"canary-{ids.new_id()}")


def _judged(repository: Repository, made: subprocess.CompletedProcess[bytes], name: str) -> tuple[bool, str]:
    said = made.stderr.decode(errors="replace").strip()
    if made.returncode == 0:
        _plain_git(repository, "update-ref", "-d", tags.PREFIX + name, _EMPTY_TREE)
        return False, f"the tag {name} was made: no hook ran, or it let it pass"
    if NO_COMMIT in said:
        return True, f"the tag {name} was refused"
    return False, said.splitlines()[0] if said else f"git ended with {made.returncode}"


def _plain_git(repository: Repository, *args: str) -> subprocess.CompletedProcess[bytes]:
    """Git with all of the user's settings, hooks too; `store.git` leaves those out."""
    places = [f"--git-dir={repository.git_dir}"]
    places += [f"--work-tree={repository.work_tree}"] if repository.work_tree else []
    return subprocess.run(
        ["git", *places, *args],
        cwd=repository.work_tree or repository.git_dir,
        env=git.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
