"""The hooks put in place, and taken out."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ..errors import UsageError
from ..policy import LEVELS
from ..store import fs
from ..store.repository import Repository
from . import others
from .learned import learn, policy_at_head
from .place import (
    KINDS,
    LEVEL,
    PATTERNS,
    POLICY,
    PREVIOUS,
    PYTHON,
    SERVER_KINDS,
    contents,
    hooks_folder,
    is_ours,
    is_the_users,
    own_folder,
    script,
    setting,
)  # fmt: skip
from .report import Report, patterns_of_policy, patterns_of_server, status


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
    patterns = patterns_of_policy(repository)
    _install(repository, KINDS, python, patterns)
    return status(repository)


def install_server(repository: Repository, *, python: str, level: str | None = None) -> Report:
    """Put the hook of a server in place: in a bare repository, to which others push. May be repeated.

    It looks at the tag names of the policy on the default branch, and at those of a repository without a policy.

    Args:
        python: the interpreter that has gitrepro.
        level: the least that is asked of a result, whatever its policy says; the level set before when not given.

    Raises:
        UsageError: the repository is not bare, that Python cannot start gitrepro, or there is no room for the hook.
        ConfigError: the policy on the default branch does not parse.
        StorageError: the disk refuses.
    """
    if not repository.bare:
        raise UsageError(
            f"{repository.git_dir} is not bare",
            why="the hook of a server stands where pushes arrive",
            do="change into the bare repository; in a clone it is `gitrepro hooks install`",
        )
    _check_python(python)
    patterns = patterns_of_server(repository)
    _install(repository, SERVER_KINDS, python, patterns)
    if policy := policy_at_head(repository):
        learn(repository, list(patterns), policy)
    repository.git("config", "--local", LEVEL, level or setting(repository, LEVEL) or LEVELS[0])
    return status(repository)


def _install(repository: Repository, kinds: Sequence[str], python: str, patterns: Sequence[str]) -> None:
    folder = _folder_of_ours(repository)
    with fs.explained(f"cannot install hooks into {folder}"):
        fs.make_directories(folder)
        for kind in kinds:
            _install_one(folder / kind)
    repository.git("config", "--local", PYTHON, python)
    repository.git("config", "--local", PATTERNS, " ".join(patterns))


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
            for kind in (*KINDS, *SERVER_KINDS):
                _remove_one(folder / kind)
    for key in (PYTHON, PATTERNS, POLICY, LEVEL):
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
