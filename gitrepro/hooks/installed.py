"""The hooks put in place, taken out, and looked at."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import ConfigError, UsageError
from ..policy import DEFAULT, FILE, parse
from ..store import fs
from ..store.repository import Repository
from . import others
from .place import (
    KINDS,
    PATTERNS,
    PYTHON,
    contents,
    hooks_folder,
    is_ours,
    is_the_users,
    line_for,
    own_folder,
    script,
    setting,
)  # fmt: skip

PREVIOUS: Final = ".gitrepro-prev"
_IN_FORCE: Final = ("installed", "called")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """One hook as it stands.

    `state` is `installed`, `called` (someone else's hook stands there and runs ours), `outdated` (another version's),
    `foreign` (someone else's) or `missing`; `chained` says that the hook that stood there before is kept and runs
    first.
    """

    name: str
    path: Path
    state: str
    chained: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The hooks of a repository, the Python they start, and the tag names they look at.

    `by_hand` holds what only the user can do: a file of theirs, and the line it needs.
    """

    folder: Path
    hooks: tuple[Hook, ...]
    python: str | None
    patterns: tuple[str, ...]
    by_hand: tuple[tuple[Path, str], ...] = ()
    trouble: str = ""

    @property
    def installed(self) -> list[str]:
        return [hook.name for hook in self.hooks if hook.state in _IN_FORCE]

    @property
    def ok(self) -> bool:
        return not self.trouble and len(self.installed) == len(self.hooks)


def install(repository: Repository, *, python: str) -> Report:
    """Put the hooks in place, and tell them the Python to start and the tag names to look at. May be repeated.

    A hook of someone else is kept beside ours and runs first. `core.hooksPath` is honoured and never set. Where it
    names files of the user's own, ours lie in the Git folder, and the report says which lines call them.

    Args:
        python: the interpreter that has gitrepro.

    Raises:
        UsageError: that Python cannot start gitrepro, or there is no room for the hooks.
        ConfigError: the policy does not parse.
        StorageError: the disk refuses.
    """
    _check_python(python)
    patterns = _policy_patterns(repository)
    folder = _folder_of_ours(repository)
    with fs.explained(f"cannot install hooks into {folder}"):
        fs.make_directories(folder)
        for kind in KINDS:
            _install_one(folder / kind)
    repository.git("config", "--local", PYTHON, python)
    repository.git("config", "--local", PATTERNS, " ".join(patterns))
    return status(repository)


def _folder_of_ours(repository: Repository) -> Path:
    folder = hooks_folder(repository)
    return own_folder(repository) if is_the_users(repository, folder) else folder


def _check_python(python: str) -> None:
    try:
        # Started as the hooks start it: a gitrepro that only PYTHONPATH or the current folder offers is not found.
        done = subprocess.run(
            [python, "-P", "-E", "-m", "gitrepro", "--version"],
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise UsageError(f"{python} does not start", why=error.strerror or str(error)) from error
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise UsageError(
            f"{python} cannot start gitrepro",
            why=words[-1] if words else f"it ends with {done.returncode}",
            do="install gitrepro into it (`pip install`), or use the Python that has it",
        )


def _policy_patterns(repository: Repository) -> tuple[str, ...]:
    """The patterns of the policy as it lies in the work tree: it may not be committed yet."""
    try:
        if repository.work_tree is None:
            return DEFAULT.patterns
        return parse((repository.work_tree / FILE).read_bytes()).patterns
    except FileNotFoundError:
        return DEFAULT.patterns
    except OSError as error:
        raise ConfigError(f"{FILE} cannot be read", why=error.strerror or str(error)) from error


def _install_one(path: Path) -> None:
    previous = path.with_name(path.name + PREVIOUS)
    if others.calls_ours(path):
        _write(path.with_name(path.name + others.KEPT), path.name)
        if others.are_alike(path, previous):
            fs.remove_quietly(previous)
        return
    if contents(path) is not None and not is_ours(path):
        _set_aside(path, previous)
    _write(path, path.name)
    dropped = path.with_name(path.name + others.DROPPED)
    if is_ours(dropped):
        # It would stand in the way of lefthook when that comes again.
        dropped.unlink()


def _set_aside(path: Path, previous: Path) -> None:
    if os.path.lexists(previous) and not others.are_alike(path, previous):
        raise UsageError(
            f"{path} is not gitrepro's, and {previous.name} is taken",
            why="another tool replaced the hook after gitrepro had chained one",
            do=f"keep what you need of the two in {previous.name}, remove {path.name}, and install again",
        )
    # A manager that wrote its hook anew over ours: the newer one takes the place of the one we kept.
    path.replace(previous)


def _write(path: Path, kind: str) -> None:
    data = script(kind)
    if contents(path) != data:
        fs.write_file(path, data, mode=0o755)
    path.chmod(0o755)


def remove(repository: Repository) -> Report:
    """Take the hooks out, and put back what stood there before. May be repeated.

    Raises:
        StorageError: the disk refuses.
    """
    # Ours may lie in several places when core.hooksPath was changed since.
    folders = dict.fromkeys([hooks_folder(repository), repository.common_dir / "hooks", own_folder(repository)])
    for folder in folders:
        with fs.explained(f"cannot remove hooks from {folder}"):
            for kind in KINDS:
                _remove_one(folder / kind)
    for key in (PYTHON, PATTERNS):
        if setting(repository, key) is not None:
            repository.git("config", "--local", "--unset-all", key)
    return status(repository)


def _remove_one(path: Path) -> None:
    previous = path.with_name(path.name + PREVIOUS)
    kept, dropped = path.with_name(path.name + others.KEPT), path.with_name(path.name + others.DROPPED)
    for ours in (path, kept, dropped):
        if is_ours(ours):
            ours.unlink()
    if not os.path.lexists(previous):
        return
    if not os.path.lexists(path):
        previous.rename(path)
    elif others.are_alike(path, previous):
        previous.unlink()
    elif not os.path.lexists(kept):
        previous.rename(kept)


def status(repository: Repository) -> Report:
    """How the hooks stand. Nothing is changed."""
    folder = hooks_folder(repository)
    theirs = is_the_users(repository, folder)
    ours = own_folder(repository) if theirs else folder
    found = tuple(_look(folder / kind, ours / kind) for kind in KINDS)
    python = setting(repository, PYTHON)
    patterns = tuple((setting(repository, PATTERNS) or "").split())
    wanting = [hook for hook in found if theirs and is_ours(ours / hook.name) and hook.state not in _IN_FORCE]
    return Report(
        folder=folder,
        hooks=found,
        python=python,
        patterns=patterns,
        by_hand=tuple((hook.path, line_for(hook.name)) for hook in wanting),
        trouble=_trouble(repository, found, python, patterns),
    )


def _look(path: Path, ours: Path) -> Hook:
    """How the hook at `path` stands, when our script lies at `ours`."""
    chained = os.access(path.with_name(path.name + PREVIOUS), os.X_OK)
    return Hook(name=path.name, path=path, state=_state(path, ours), chained=chained)


def _state(path: Path, ours: Path) -> str:
    data = contents(path)
    if data is None:
        return "missing"
    if data == script(path.name):
        return "installed"
    if is_ours(path):
        return "outdated"
    if others.calls_ours(path):
        kept = contents(path.with_name(path.name + others.KEPT))
        return "called" if kept == script(path.name) else "outdated"
    if path != ours and f"gitrepro/hooks/{path.name}".encode() in data:
        return "called" if contents(ours) == script(path.name) else "outdated"
    return "foreign"


def _trouble(repository: Repository, found: Sequence[Hook], python: str | None, patterns: tuple[str, ...]) -> str:
    if all(hook.state in ("missing", "foreign") for hook in found):
        return ""
    for hook in found:
        if hook.state != "missing" and not os.access(hook.path, os.X_OK):
            return f"{hook.path} is not executable, so Git passes over it"
    if not python or not os.access(python, os.X_OK):
        return f"the Python of the hooks is {python or 'not set'}, which does not start"
    try:
        wanted = _policy_patterns(repository)
    except ConfigError as error:
        return str(error)
    if patterns != wanted:
        return f"the hooks look at {' '.join(patterns) or 'no tags'}, the policy at {' '.join(wanted) or 'none'}"
    return ""
