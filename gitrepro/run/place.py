"""Where a run is written down: beside the repository of its code, or in the user's state folder."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import GitreproError, NoRepository, StorageError
from ..store import fs, worktree
from ..store import repository as repositories
from ..store.fold import Identity
from ..store.repository import Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The folder for live runs, the repository they will be committed to if there is one, and else why not."""

    home: Path
    repository: Repository | None
    trouble: GitreproError | None = None
    spooled: bool = False
    """The home is a spool: nothing is written to the repository, and another host commits the run."""

    def identity(self) -> Identity:
        """Who records; the login name where Git knows none, or cannot be asked. Starts a process."""
        try:
            return worktree.identity(self.repository, fallback=nobody())
        except (OSError, GitreproError):
            return nobody()


def nobody() -> Identity:
    """Who signs when Git knows no name: the login name at this host."""
    try:
        login = getpass.getuser()
    except (OSError, KeyError, ImportError):
        login = f"uid-{os.getuid()}"
    return Identity(name=login, email=f"{login}@{socket.gethostname()}")


def state_folder(environ: Mapping[str, str]) -> Path:
    """Where runs without a repository wait: `GITREPRO_DIR`, else `$XDG_STATE_HOME/gitrepro`."""
    if named := environ.get("GITREPRO_DIR"):
        return Path(named)
    state = environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path(environ.get("HOME", "/tmp")) / ".local" / "state") / "gitrepro"


def spools(environ: Mapping[str, str]) -> list[Path]:
    """The spool that this environment names, if it does: `GITREPRO_SPOOL`."""
    named = environ.get("GITREPRO_SPOOL")
    return [Path(named).absolute()] if named else []


def find(start: Path | None, environ: Mapping[str, str]) -> Place:
    """The place for a run of code in `start`, or in the current folder; a spool, where `GITREPRO_SPOOL` names one.

    A repository that is missing, of a kind we cannot write, bare, or read-only is not an error here: the run is kept
    in the state folder, and `trouble` says why.
    """
    try:
        repository = repositories.find(Path.cwd() if start is None else start, environ)
        if repository.bare:
            raise NoRepository(
                f"{repository.git_dir} is bare",
                why="it has no work tree whose code could run",
                do="record in a clone, or use `gitrepro record --no-repo`",
            )
        if spool := spools(environ):
            return Place(home=spool[0], repository=repository, spooled=True)
        if not os.access(repository.common_dir, os.W_OK):
            raise StorageError(f"{repository.common_dir} cannot be written", why="it is read-only for you")
    except GitreproError as error:
        return Place(home=state_folder(environ), repository=None, trouble=error)
    except OSError as error:
        trouble = fs.storage_error(error, f"cannot look for a repository at {start or 'the current folder'}")
        return Place(home=state_folder(environ), repository=None, trouble=trouble)
    return Place(home=repository.home, repository=repository)
