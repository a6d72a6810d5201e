"""How the hooks of a repository stand."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..audit import gate
from ..errors import ConfigError
from ..policy import DEFAULT, FILE, LEVELS, parse
from ..store import git
from ..store.gitobjects import GitObjects
from ..store.repository import Repository
from . import others
from .place import (
    KINDS,
    LEVEL,
    PATTERNS,
    PREVIOUS,
    PYTHON,
    SERVER_KINDS,
    contents,
    hooks_folder,
    is_ours,
    is_the_users,
    line_for,
    own_folder,
    script,
    setting,
)  # fmt: skip

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

    `level` is the least that a server asks of a result; None elsewhere. `by_hand` holds what only the user can do: a
    file of theirs, and the line it needs.
    """

    folder: Path
    hooks: tuple[Hook, ...]
    python: str | None
    patterns: tuple[str, ...]
    level: str | None = None
    by_hand: tuple[tuple[Path, str], ...] = ()
    trouble: str = ""

    @property
    def installed(self) -> list[str]:
        return [hook.name for hook in self.hooks if hook.state in _IN_FORCE]

    @property
    def ok(self) -> bool:
        return not self.trouble and len(self.installed) == len(self.hooks)


def status(repository: Repository) -> Report:
    """How the hooks stand. Nothing is changed."""
    folder = hooks_folder(repository)
    theirs = is_the_users(repository, folder)
    ours = own_folder(repository) if theirs else folder
    level = setting(repository, LEVEL)
    found = tuple(_look(folder / kind, ours / kind) for kind in _kinds(repository, ours, level))
    python = setting(repository, PYTHON)
    patterns = tuple((setting(repository, PATTERNS) or "").split())
    wanting = [hook for hook in found if theirs and is_ours(ours / hook.name) and hook.state not in _IN_FORCE]
    return Report(
        folder=folder,
        hooks=found,
        python=python,
        patterns=patterns,
        level=level,
        by_hand=tuple((hook.path, line_for(hook.name)) for hook in wanting),
        trouble=_trouble(repository, found, python, patterns) or _trouble_of_server(level),
    )


def _kinds(repository: Repository, ours: Path, level: str | None) -> tuple[str, ...]:
    """Which hooks there should be. A bare repository may have work trees, or be pushed to, or both."""
    worked_in = not repository.bare or any(is_ours(ours / kind) for kind in KINDS)
    pushed_to = level is not None or any(is_ours(ours / kind) for kind in SERVER_KINDS) or not worked_in
    return (*(KINDS if worked_in else ()), *(SERVER_KINDS if pushed_to else ()))


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
        wanted = _wanted_patterns(repository, found)
    except ConfigError as error:
        return str(error)
    if patterns != wanted:
        return f"the hooks look at {' '.join(patterns) or 'no tags'}, the policy at {' '.join(wanted) or 'none'}"
    return ""


def _wanted_patterns(repository: Repository, found: Sequence[Hook]) -> tuple[str, ...]:
    on_server = any(hook.name in SERVER_KINDS for hook in found)
    return patterns_of_server(repository) if on_server else patterns_of_policy(repository)


def _trouble_of_server(level: str | None) -> str:
    return f"{LEVEL} is {level!r:.40}, which is none of {', '.join(LEVELS)}" if level not in (None, *LEVELS) else ""


def patterns_of_policy(repository: Repository) -> tuple[str, ...]:
    """The patterns of the policy as it lies in the work tree: it may not be committed yet.

    Raises:
        ConfigError: it cannot be read, or does not parse.
    """
    try:
        if repository.work_tree is None:
            return DEFAULT.patterns
        return parse((repository.work_tree / FILE).read_bytes()).patterns
    except FileNotFoundError:
        return DEFAULT.patterns
    except OSError as error:
        raise ConfigError(f"{FILE} cannot be read", why=error.strerror or str(error)) from error


def patterns_of_server(repository: Repository) -> tuple[str, ...]:
    """The patterns of the policy on the default branch, and the usual ones: a commit may have no policy.

    Raises:
        ConfigError: that policy does not parse.
    """
    asked = [f"--git-dir={repository.git_dir}", "rev-parse", "--verify", "--quiet", "HEAD^{commit}"]
    head = git.attempt(asked, cwd=repository.git_dir).stdout.decode().strip()
    with GitObjects(repository.common_dir) as objects:
        policy = gate.policy_at(objects, head or None)
    return tuple(dict.fromkeys([*DEFAULT.patterns, *policy.patterns]))
