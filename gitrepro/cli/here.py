"""What every command asks first: which repository, who, and are there runs that died."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import NoRepository
from ..store import repository as repositories
from ..store.repository import Repository
from .present import note


def repository() -> Repository:
    """The repository of the current folder.

    Raises:
        NoRepository: there is none.
    """
    return repositories.find(Path.cwd(), os.environ)


def with_work_tree() -> Repository:
    """As `repository`, and not a bare one."""
    found = repository()
    if found.bare:
        raise NoRepository(
            f"{found.git_dir} is a bare repository", why="this needs a work tree", do="run it in a clone"
        )
    return found


def has_live_runs(found: Repository) -> bool:
    """Whether anything lies where runs under way are. This look loads nothing."""
    try:
        with os.scandir(found.home / "live") as inside:
            return any(inside)
    except OSError:
        return False


def mention_dead_runs(found: Repository) -> None:
    """One line on stderr when runs wait to be recovered."""
    if not has_live_runs(found):
        return
    from ..store.lease import Life
    from ..store.live import live_runs

    dead = sum(run.life is Life.DEAD for run in live_runs(found.home))
    if dead:
        what, them = ("run", "it") if dead == 1 else ("runs", "them")
        note(f"{dead} {what} died without a closing word; `gitrepro recover` puts {them} on record")
