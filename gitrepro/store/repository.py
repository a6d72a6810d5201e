"""Where a Git repository keeps its parts, found without starting Git."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import ChildFailed, NoRepository, UnsupportedRepository
from . import git

RUNS_REF = "refs/gitrepro/runs"
CODE_REF = "refs/gitrepro/code"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """The places of one repository: its own Git directory, the one its worktrees share, and the work tree.

    In a hook of a push that is not taken yet, `incoming` is the folder of its objects, and `arriving` are the commits
    that its branches and tags would name.
    """

    git_dir: Path
    common_dir: Path
    work_tree: Path | None
    incoming: Path | None = None
    arriving: tuple[str, ...] = ()
    _settings: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def home(self) -> Path:
        """Where gitrepro keeps what is not in Git objects; shared by all worktrees."""
        return self.common_dir / "gitrepro"

    @property
    def bare(self) -> bool:
        return self.work_tree is None

    def setting(self, key: str) -> str | None:
        """What Git's configuration says of `key`, one of `SETTINGS`. All of them are asked for once, by one process."""
        if not self._settings:
            self._settings.update(settings_at(self.work_tree or self.git_dir), asked="")
        return self._settings.get(key)

    def git(self, *args: str, input: bytes | None = None, env: Mapping[str, str] | None = None) -> bytes:
        """The standard output of one `git` command in this repository. See `gitrepro.store.git.run`."""
        places = [f"--git-dir={self.git_dir}", *([f"--work-tree={self.work_tree}"] if self.work_tree else [])]
        return git.run([*places, *args], cwd=self.work_tree or self.git_dir, input=input, env=env)

    def is_ancestor(self, commit: str, *, of: str) -> bool:
        """Whether the history of one commit holds another, both named by 40 hex digits. Without either: no."""
        asked = [f"--git-dir={self.git_dir}", "merge-base", "--is-ancestor", "--end-of-options", commit, of]
        return git.attempt(asked, cwd=self.git_dir).returncode == 0


SETTINGS = ("user.name", "user.email", "core.autocrlf", "core.eol", "core.attributesfile", "gitrepro.sign")


def settings_at(place: Path) -> dict[str, str]:
    """Those of `SETTINGS` that Git knows in the folder `place`."""
    wanted = "|".join(key.replace(".", "[.]") for key in SETTINGS)
    try:
        told = git.run(["config", "-z", "--get-regexp", f"^({wanted})$"], cwd=place).decode(errors="replace")
    except ChildFailed:
        return {}
    pairs = (entry.partition("\n") for entry in told.split("\0") if entry)
    # A key alone stands for `true`.
    return {key: value if newline else "true" for key, newline, value in pairs}


def find(start: Path, environ: Mapping[str, str]) -> Repository:
    """The repository that `start` lies in; `GIT_DIR` and `GIT_WORK_TREE` in `environ` stand over it, as in Git.

    Raises:
        NoRepository: none here or above, or Git does not trust its owner.
        UnsupportedRepository: of a kind gitrepro cannot write.
    """
    repository = _from_environment(start, environ) or _from_parents(start.resolve())
    if repository is None:
        raise NoRepository(
            f"no Git repository at {start} or above",
            why="runs are recorded into the repository of the code that made them",
            do="`git init` here, or change into the repository, or `gitrepro record --no-repo`",
        )
    _check_owner(repository)
    _check_kind(repository.common_dir)
    incoming = environ.get("GIT_QUARANTINE_PATH")
    return replace(repository, incoming=start / incoming) if incoming else repository


def _from_environment(start: Path, environ: Mapping[str, str]) -> Repository | None:
    named = environ.get("GIT_DIR")
    if not named:
        return None
    git_dir = (start / named).resolve()
    if not _is_git_dir(git_dir):
        raise NoRepository(f"GIT_DIR={named} is not a Git directory", do="unset GIT_DIR, or correct it")
    work_tree = environ.get("GIT_WORK_TREE")
    if work_tree:
        return _repository(git_dir, (start / work_tree).resolve())
    if git_dir.name == ".git":
        return _repository(git_dir, git_dir.parent)
    return _repository(git_dir, None if _says_bare(git_dir) else start.resolve())


def _from_parents(start: Path) -> Repository | None:
    for folder in (start, *start.parents):
        dot_git = folder / ".git"
        if dot_git.is_dir() and _is_git_dir(dot_git):
            return _repository(dot_git, folder)
        if dot_git.is_file():
            return _repository(_follow(dot_git), folder)
        if _is_git_dir(folder):
            return _repository(folder, None)
    return None


def _follow(dot_git: Path) -> Path:
    # A linked worktree or a submodule has a file here: "gitdir: <path>".
    text = dot_git.read_text(errors="surrogateescape").strip()
    target = (dot_git.parent / text.removeprefix("gitdir:").strip()).resolve()
    if not text.startswith("gitdir:") or not _is_git_dir(target):
        raise NoRepository(
            f"{dot_git} does not lead to a Git directory", why=f"it says {text!r}", do="`git worktree repair`"
        )
    return target


def _is_git_dir(path: Path) -> bool:
    if not (path / "HEAD").exists() and not (path / "HEAD").is_symlink():
        return False
    common = _common_dir(path)
    return (common / "objects").is_dir() and ((common / "refs").is_dir() or (common / "reftable").is_dir())


def _common_dir(git_dir: Path) -> Path:
    try:
        named = (git_dir / "commondir").read_text(errors="surrogateescape").strip()
    except (FileNotFoundError, NotADirectoryError):
        return git_dir
    return (git_dir / named).resolve()


def _repository(git_dir: Path, work_tree: Path | None) -> Repository:
    return Repository(git_dir=git_dir, common_dir=_common_dir(git_dir), work_tree=work_tree)


def _check_owner(repository: Repository) -> None:
    # Git refuses repositories of other users unless safe.directory names them; so do we, by asking it.
    owner = repository.git_dir.stat().st_uid
    if owner in (os.geteuid(), int(os.environ.get("SUDO_UID", -1))):
        return
    place = repository.work_tree or repository.git_dir
    result = git.attempt(["rev-parse", "--git-dir"], cwd=place)
    if result.returncode:
        raise NoRepository(
            f"the repository at {place} belongs to user {owner}",
            why="Git does not trust repositories of other users",
            do=f"if you trust it: `git config --global --add safe.directory {place}`",
        )


def _says_bare(git_dir: Path) -> bool:
    # What a bare repository says of itself is not true of its linked worktrees.
    linked = _common_dir(git_dir) != git_dir
    return not linked and git.attempt(["config", "--type=bool", "core.bare"], cwd=git_dir).stdout == b"true\n"


_SECTION = re.compile(r"^\s*\[\s*([A-Za-z0-9.-]+)")
_EXTENSION = re.compile(r"^\s*(objectformat|refstorage)\s*=\s*\"?([A-Za-z0-9-]+)", re.IGNORECASE)


def _check_kind(common_dir: Path) -> None:
    for key, value in _extensions(common_dir).items():
        if (key, value) not in (("objectformat", "sha1"), ("refstorage", "files")):
            raise UnsupportedRepository(
                f"the repository at {common_dir} has {key} = {value}",
                why="gitrepro writes SHA-1 objects and file refs; a wrong guess here could harm your history",
                do="record in a SHA-1 clone with file refs, or use `gitrepro record --no-repo`",
            )


def _extensions(common_dir: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    section = ""
    try:
        text = (common_dir / "config").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return found
    for line in text.splitlines():
        if heading := _SECTION.match(line):
            section = heading[1].lower()
        elif section == "extensions" and (entry := _EXTENSION.match(line)):
            found[entry[1].lower()] = entry[2].lower()
    return found
