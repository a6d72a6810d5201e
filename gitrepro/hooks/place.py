"""Where the hooks of a repository lie, and what they read."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ..errors import ChildFailed, UsageError
from ..store.repository import Repository

KINDS: Final = ("reference-transaction", "pre-push")
"""The hooks of a repository in which people work."""
SERVER_KINDS: Final = ("pre-receive",)
"""Those of one to which they push."""
PYTHON: Final = "gitrepro.python"
PATTERNS: Final = "gitrepro.resultTags"
POLICY: Final = "gitrepro.policy"
"""The object of the policy on the default branch whose patterns `gitrepro.resultTags` of a server holds."""
LEVEL: Final = "gitrepro.level"
"""The least that a server asks of a result. It is set where the hooks of a server are installed, and nowhere else."""
REF: Final = "gitrepro.ref"
"""The name of the run ref on a host that takes branches only."""
PURGE: Final = "gitrepro.allowPurge"
"""Whether a server takes a run ref whose history was begun anew."""
MARK: Final = b"# gitrepro hook "
PREVIOUS: Final = ".gitrepro-prev"
"""Under its name with this behind it, the hook that stood there before ours is kept."""


def hooks_folder(repository: Repository) -> Path:
    """Where Git looks for the hooks of this repository.

    Raises:
        UsageError: `core.hooksPath` names no folder.
    """
    try:
        # The last value is the one gitrepro gives for its own calls; the one before it is the user's.
        found = repository.git("config", "--type=path", "--get-all", "core.hooksPath").decode().splitlines()[:-1]
    except ChildFailed:
        found = []
    if not found:
        return repository.common_dir / "hooks"
    folder = (repository.work_tree or repository.git_dir) / found[-1]
    if folder.exists() and not folder.is_dir():
        raise UsageError(
            f"core.hooksPath is {found[-1]}, which is no folder",
            why="Git runs no hook at all",
            do="`git config --unset core.hooksPath`, or name a folder",
        )
    return folder


def is_the_users(repository: Repository, folder: Path) -> bool:
    """Whether a folder of hooks is part of the user's files: in the work tree, and not ignored by Git.

    What lies there is committed, or would show up as untracked; nothing of ours goes there.
    """
    if repository.work_tree is None:
        return False
    inside, top = folder.resolve(), repository.work_tree.resolve()
    if not inside.is_relative_to(top) or inside.is_relative_to(repository.common_dir.resolve()):
        return False
    try:
        repository.git("check-ignore", "--quiet", "--", str(inside / KINDS[0]))
    except ChildFailed:
        return True
    return False


def own_folder(repository: Repository) -> Path:
    """Where our scripts lie when the hooks themselves are the user's files."""
    return repository.home / "hooks"


def line_for(kind: str) -> str:
    """What the user's own hook says to call ours; harmless where gitrepro is not set up."""
    hook = f'"$(git rev-parse --git-common-dir)/gitrepro/hooks/{kind}"'
    return f'[ ! -x {hook} ] || exec {hook} "$@"'


def setting(repository: Repository, key: str) -> str | None:
    """One value of Git's configuration."""
    try:
        return repository.git("config", "--get", key).decode(errors="surrogateescape").rstrip("\n")
    except ChildFailed:
        return None


def script(kind: str) -> bytes:
    """The hook as this version ships it."""
    package = Path(__file__).parents[1]
    shipped = package / "_hooks" / kind
    return (shipped if shipped.exists() else package.parent / "hooks" / kind).read_bytes()


def contents(path: Path) -> bytes | None:
    """The bytes of a hook; None when there is none. What cannot be read, or leads nowhere, is empty."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b"" if path.is_symlink() else None
    except OSError:
        return b""


def is_ours(path: Path) -> bool:
    """Whether one of our scripts lies there, of whatever version."""
    return MARK in (contents(path) or b"")[:200]
