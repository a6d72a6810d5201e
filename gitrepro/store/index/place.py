"""Where the index lies, and how its file is opened, whatever became of it."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ..repository import Repository

MEMORY: Final = ":memory:"
_WAIT_SECONDS: Final = 30


def index_path(repository: Repository) -> Path:
    """Where the index lies. It may be deleted at any time."""
    return repository.home / "index.sqlite"


def places(repository: Repository) -> Iterator[Path]:
    """Where it may lie, the best first: in the repository, or where that cannot be written, in the user's cache."""
    yield index_path(repository)
    import hashlib  # loads OpenSSL, and the second place is a rare one

    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    name = hashlib.sha256(os.fsencode(os.path.realpath(repository.common_dir))).hexdigest()[:16]
    yield Path(cache) / "gitrepro" / name / "index.sqlite"


def connect(path: Path) -> sqlite3.Connection:
    """Open the index at `path` for reading and writing; a file that is no database is replaced.

    Raises:
        OSError, sqlite3.Error: there can be none here.
    """
    os.makedirs(path.parent, exist_ok=True)
    try:
        with _gate(path, fcntl.LOCK_SH):
            return _opened(str(path))
    except sqlite3.OperationalError:
        raise  # no rights, no disk, no locks: another file would not fare better
    except sqlite3.DatabaseError:
        discard(path)
        with _gate(path, fcntl.LOCK_SH):
            return _opened(str(path))


def in_memory() -> sqlite3.Connection:
    return sqlite3.connect(MEMORY, isolation_level=None)


def discard(path: Path) -> None:
    """Delete a damaged index. Programs that have it open go on with what they have."""
    with _gate(path, fcntl.LOCK_EX):
        for suffix in ("", "-wal", "-shm"):
            try:
                os.unlink(f"{path}{suffix}")
            except FileNotFoundError:
                pass


def _opened(name: str) -> sqlite3.Connection:
    db = sqlite3.connect(name, timeout=_WAIT_SECONDS, isolation_level=None)
    try:
        # A reader does not wait for a writer. Where the file system cannot do this, SQLite keeps its older way.
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("SELECT 1 FROM sqlite_master").fetchone()
    except BaseException:
        db.close()
        raise
    return db


@contextmanager
def _gate(path: Path, kind: int) -> Iterator[None]:
    """Keep opening and deleting apart: a database must not meet the log of the one that was deleted."""
    fd = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(fd, kind)
        yield
    finally:
        os.close(fd)
