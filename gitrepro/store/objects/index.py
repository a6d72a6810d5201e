"""Which pack holds which blob: a table in SQLite, made from the packs' own tables and made again when it is wrong."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar, final

from ...errors import Damaged
from .. import fs
from . import packfile
from .packfile import Entry

T = TypeVar("T")
_VERSION: Final = 1
_SCHEMA: Final = f"""
    PRAGMA user_version = {_VERSION};
    CREATE TABLE packs(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    CREATE TABLE blobs(hash BLOB PRIMARY KEY, pack INTEGER NOT NULL, offset INTEGER NOT NULL, size INTEGER NOT NULL)
        WITHOUT ROWID;
"""
_WAIT_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where in which pack a blob lies."""

    pack: str  # 64 hex digits
    offset: int
    size_bytes: int


@final
class PackIndex:
    """The blobs of the packs under `root`. Any number of threads and processes may use it.

    A damaged index is deleted and made again; where it cannot be written, one in memory takes its place.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._pid = 0
        self._volatile = False
        self._told: dict[str, list[Entry]] = {}
        self.trouble: dict[str, Damaged] = {}
        """Packs whose tables cannot be read, by name."""

    @property
    def path(self) -> Path:
        return self._root / "index.sqlite"

    def find(self, name: bytes) -> Place | None:
        """Where the blob with this hash lies, as far as the index knows; see `refresh`."""
        row = self.ask(lambda db: db.execute(_FIND, (name,)).fetchone())
        return Place(*row) if row else None

    def refresh(self) -> bool:
        """Take in packs that are new, forget those that are gone; whether anything had changed."""
        return self.ask(self._refresh)

    def add(self, packs: Iterable[tuple[str, list[Entry]]]) -> None:
        """Take in packs that were just published."""

        def insert(db: sqlite3.Connection) -> None:
            with db:
                for name, entries in self._told.items():
                    self.trouble.pop(name, None)
                    _insert(db, name, entries)

        with self._lock:
            if self._volatile:
                self.close()  # there were no packs, or the disk refused; it is asked once more
            self._told = dict(packs)
            try:
                self.ask(insert)
            finally:
                self._told = {}

    def hashes(self) -> Iterator[bytes]:
        """Every blob that lies in a pack, ascending, in small memory."""
        after = b""
        while rows := self.ask(lambda db: db.execute(_NEXT, (after,)).fetchall()):  # noqa: B023 - called at once
            yield from (row[0] for row in rows)
            after = rows[-1][0]

    def known(self, pack: str) -> list[Entry]:
        """The blobs of a pack, as far as the index knows: of use where the pack cannot say it itself."""
        return [Entry(*row) for row in self.ask(lambda db: db.execute(_OF_PACK, (pack,)).fetchall())]

    def close(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None and self._pid == os.getpid():
                connection.close()

    # -- the truth

    def names(self) -> set[str]:
        """The packs that are there."""
        try:
            found = os.listdir(self._root / "packs")
        except FileNotFoundError:
            return set()
        return {name[:64] for name in found if name.endswith(packfile.SUFFIX) and len(name) == 69}

    def entries(self, pack: str) -> list[Entry]:
        """What a pack says of itself; nothing, and `trouble` told, where its table cannot be read."""
        if pack in self._told:
            return self._told[pack]
        try:
            found = packfile.entries(self._root / "packs" / f"{pack}{packfile.SUFFIX}")
        except FileNotFoundError:
            return []
        except Damaged as error:
            self.trouble[pack] = error
            return []
        self.trouble.pop(pack, None)
        return found

    def _refresh(self, db: sqlite3.Connection) -> bool:
        # A pack that cannot be read is looked at once by each process: it may have been mended.
        there = self.names() - self.trouble.keys()
        known = {row[0] for row in db.execute("SELECT name FROM packs")}
        if there == known:
            return False
        with db:
            if known - there:
                # Blobs may lie in several packs, and one row stands for all: what is left is taken in again.
                db.execute("DELETE FROM blobs")
                db.execute("DELETE FROM packs")
                known = set()
            for name in sorted(there - known):
                entries = self.entries(name)
                if name not in self.trouble:
                    _insert(db, name, entries)
        return True

    # -- the table

    def ask(self, act: Callable[[sqlite3.Connection], T]) -> T:
        """What `act` finds in the tables `packs` and `blobs`; it may be called again, after the index was mended."""
        with self._lock:
            try:
                return act(self._open())
            except sqlite3.OperationalError:
                # Locked for too long, read-only, a full disk: for this process the memory does.
                return act(self._in_memory())
            except sqlite3.DatabaseError:
                self.forget()
                return act(self._open())

    def _open(self) -> sqlite3.Connection:
        if self._connection is None or self._pid != os.getpid():
            self._connection, self._pid = self._connect(), os.getpid()
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        if not (self._root / "packs").is_dir():
            return self._filled(":memory:")
        try:
            return self._filled(str(self.path))
        except sqlite3.OperationalError:
            return self._filled(":memory:")
        except sqlite3.DatabaseError:
            self.forget()
            return self._filled(str(self.path))

    def _in_memory(self) -> sqlite3.Connection:
        self.close()
        self._connection, self._pid = self._filled(":memory:"), os.getpid()
        return self._connection

    def _filled(self, place: str) -> sqlite3.Connection:
        db = sqlite3.connect(place, timeout=_WAIT_SECONDS, check_same_thread=False)
        self._volatile = place == ":memory:"
        # Derived: after a power cut it is made again, and what it says is checked against the packs.
        db.execute("PRAGMA synchronous = OFF")
        if db.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
            _make(db)
        self._refresh(db)
        return db

    def forget(self) -> None:
        """Delete the index; the next question makes it again."""
        self.close()
        for suffix in ("", "-journal", "-wal", "-shm"):
            fs.remove_quietly(f"{self.path}{suffix}")


_FIND: Final = (
    "SELECT packs.name, blobs.offset, blobs.size FROM blobs JOIN packs ON packs.id = blobs.pack WHERE blobs.hash = ?"
)
_OF_PACK: Final = (
    "SELECT hash, offset, size FROM blobs WHERE pack = (SELECT id FROM packs WHERE name = ?) ORDER BY offset"
)
_NEXT: Final = "SELECT hash FROM blobs WHERE hash > ? ORDER BY hash LIMIT 10000"


def _make(db: sqlite3.Connection) -> None:
    with db:
        # Another process may do the same at this moment: one of the two finds it done.
        db.execute("BEGIN EXCLUSIVE")
        if db.execute("PRAGMA user_version").fetchone()[0] == _VERSION:
            return
        for table in ("packs", "blobs"):
            db.execute(f"DROP TABLE IF EXISTS {table}")
        for statement in filter(str.strip, _SCHEMA.split(";")):
            db.execute(statement)


def _insert(db: sqlite3.Connection, name: str, entries: Iterable[Entry]) -> None:
    row = db.execute("INSERT OR IGNORE INTO packs(name) VALUES (?) RETURNING id", (name,)).fetchone()
    if row is None:
        return
    rows = ((hashed, row[0], offset, size_bytes) for hashed, offset, size_bytes in entries)
    db.executemany("INSERT OR REPLACE INTO blobs VALUES (?, ?, ?, ?)", rows)
