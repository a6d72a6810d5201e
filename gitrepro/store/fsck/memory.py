"""What of a store was verified when: a derived table, by which a long look goes on where it stopped."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, final

from .. import fs
from ..gc import Old

_VERSION: Final = 1
_SCHEMA: Final = f"""
    CREATE TABLE IF NOT EXISTS verified(
        path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS round(began REAL NOT NULL);
    PRAGMA user_version = {_VERSION};
"""
_ROUND_DAYS: Final = 30
_WAIT_SECONDS: Final = 30.0


@final
class Memory:
    """`verified.sqlite` of a store. Where it cannot be written, nothing is remembered, and nothing else is lost.

    A round is one look at the whole store, in one go or in several. One that was begun long ago is not gone on with.
    """

    def __init__(self, root: Path, *, now: float) -> None:
        self._root = root
        self._path = root / "verified.sqlite"
        self._db = self._opened()
        began = self._ask("SELECT max(began) FROM round")
        self.resumes = began is not None and began > now - _ROUND_DAYS * 86_400
        self.began: float = began if self.resumes else now
        """When this round began, seconds since 1970."""
        if not self.resumes:
            self._write(self._begin)

    def knows(self, old: Old) -> bool:
        """Whether a file was found sound in this round, and has not been touched since."""
        row = (self._key(old.path), old.size_bytes, old.mtime_ns, self.began)
        return self._ask("SELECT 1 FROM verified WHERE path=? AND size=? AND mtime_ns=? AND at>=?", row) is not None

    def sound(self, old: Old, *, now: float) -> None:
        row = (self._key(old.path), old.size_bytes, old.mtime_ns, now)
        self._write(lambda db: db.execute("INSERT OR REPLACE INTO verified VALUES (?, ?, ?, ?)", row), commit=False)

    def commit(self) -> None:
        self._write(lambda _: None)

    def end(self) -> None:
        """All was looked at: the next look begins another round. Files that are gone are forgotten."""
        began = self.began

        def close(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM round")
            db.execute("DELETE FROM verified WHERE at < ?", (began,))

        self._write(close)

    def close(self) -> None:
        self.commit()
        self._db.close()

    def _begin(self, db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM round")
        db.execute("INSERT INTO round VALUES (?)", (self.began,))

    def _key(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()

    # -- SQLite

    def _opened(self) -> sqlite3.Connection:
        if not self._root.is_dir():
            return _made(":memory:")
        try:
            return _made(str(self._path))
        except sqlite3.OperationalError:
            return _made(":memory:")
        except sqlite3.DatabaseError:
            for suffix in ("", "-journal", "-wal", "-shm"):
                fs.remove_quietly(f"{self._path}{suffix}")
            return _made(str(self._path))

    def _ask(self, question: str, values: tuple[Any, ...] = ()) -> Any:
        try:
            row = self._db.execute(question, values).fetchone()
        except sqlite3.DatabaseError:
            return None
        return row[0] if row else None

    def _write(self, act: Callable[[sqlite3.Connection], Any], *, commit: bool = True) -> None:
        try:
            act(self._db)
            if commit:
                self._db.commit()
        except sqlite3.DatabaseError:
            pass  # a full disk, a reader that stays: then more is looked at again


def _made(place: str) -> sqlite3.Connection:
    db = sqlite3.connect(place, timeout=_WAIT_SECONDS)
    db.execute("PRAGMA synchronous = OFF")  # derived: after a power cut more is looked at again
    if db.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
        db.executescript(f"DROP TABLE IF EXISTS verified; DROP TABLE IF EXISTS round; {_SCHEMA}")
    return db
