"""What files were the last time they were read: their hashes, by device, inode, size and times.

A cache of one clone. It follows the order of a walk and is cut where tree manifests are cut, so an unchanged stretch of
a folder is one comparison, and gives back the digest of its shard. It may be deleted at any time; damaged, locked or
read-only, it is as good as empty.
"""

from __future__ import annotations

import os
import sqlite3
import struct
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar, final

from ..repository import Repository
from .chunk import EMPTY_FOLDER, HASH_BYTES, NEVER, RACY_NS, STAT, Chunk, clock_ns, distrusting, packed
from .database import COLUMNS, chunk_of, connected, root_id

__all__ = [
    "EMPTY_FOLDER",
    "HASH_BYTES",
    "NEVER",
    "RACY_NS",
    "STAT",
    "Chunk",
    "Session",
    "StatCache",
    "clock_ns",
    "packed",
]

T = TypeVar("T")
_READ_AT_ONCE: Final = 8


@final
class StatCache:
    """The file of a clone. Any number of threads and processes may use it; each walk has a session of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of(cls, repository: Repository) -> StatCache:
        return cls(repository.home / "statcache.sqlite")

    @contextmanager
    def session(self, root_fd: int, *, of: bytes = b"") -> Iterator[Session]:
        """What is known of the files below the folder `root_fd`; or of the one file `of` in it."""
        root = os.fstat(root_fd)
        session = Session(self.path, struct.pack("<QQ", root.st_dev, root.st_ino) + of)
        try:
            yield session
        finally:
            session.close()


@final
class Session:
    """One walk, from the first path to the last: what is asked for and what is saved goes upwards."""

    def __init__(self, path: Path, key: bytes) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None
        self._root = 0
        self._read: deque[Chunk] = deque()
        self._read_to = b""
        self._ended = False
        self._saved_to = b""
        self._pending: list[tuple[bytes, Chunk]] = []
        self._open(key)

    # -- asking

    def at(self, first: bytes) -> Chunk | None:
        """What is known of the neighbours that begin with just this path."""
        self._read_upto(first)
        self._leave_behind(first)
        return next((chunk for chunk in self._read if chunk.first == first), None)

    def known(self, first: bytes, last: bytes) -> dict[bytes, tuple[bytes, bytes]]:
        """Stat and hash of each file from `first` to `last`, by path; some more may be among them."""
        self._read_upto(last)
        self._leave_behind(first)
        return {path: (stat, name) for chunk in self._read if chunk.first <= last for path, stat, name in chunk.rows()}

    def _leave_behind(self, first: bytes) -> None:
        while self._read and self._read[0].last < first:
            self._read.popleft()

    def _read_upto(self, last: bytes) -> None:
        while not self._ended and (not self._read or self._read[-1].first <= last):
            rows = self._ask(
                f"SELECT sum, {COLUMNS}, first FROM chunks WHERE root = ? AND first > ? ORDER BY first LIMIT ?",
                (self._root, self._read_to, _READ_AT_ONCE),
            )
            for row in rows:
                self._read_to = row[-1]
                chunk = chunk_of(row)
                if chunk is not None:
                    self._read.append(chunk)
            self._ended = len(rows) < _READ_AT_ONCE

    # -- saving

    def save(self, chunk: Chunk, *, taken_ns: int) -> None:
        """Keep what was found of neighbours; with the next `flush`. It takes the place of what was known of them.

        Args:
            taken_ns: what `clock_ns` said before any of them was read.
        """
        self._pending.append((self._saved_to, distrusting(chunk, taken_ns)))
        self._saved_to = chunk.last

    def passed(self, last: bytes) -> None:
        """What lies between the last one saved and this path is as it was known."""
        self._saved_to = last

    def flush(self, *, ended: bool = False) -> None:
        """Write what was saved. `ended`: the walk is over, and what is known beyond its last path is of no use."""
        pending, self._pending = self._pending, []
        if pending or (ended and not self._at_end()):
            self._try(lambda db: self._write(db, pending, ended=ended), None)

    def _at_end(self) -> bool:
        query = "SELECT 1 FROM chunks WHERE root = ? AND first > ? LIMIT 1"
        return not self._ask(query, (self._root, self._saved_to))

    def _write(self, db: sqlite3.Connection, pending: list[tuple[bytes, Chunk]], *, ended: bool) -> None:
        db.execute("BEGIN IMMEDIATE")
        try:
            for after, chunk in pending:
                # What was known between the one before and this one's end is of another cut, or of files now gone.
                db.execute(
                    "DELETE FROM chunks WHERE root = ? AND (first > ? AND first <= ? OR first = ?)",
                    (self._root, after, chunk.last, chunk.first),
                )
                values = (chunk.paths, chunk.stats, chunk.hashes, chunk.size_bytes)
                where = (chunk.shard, chunk.closed, chunk.packs, chunk.loose)
                db.execute(
                    f"INSERT INTO chunks(root, first, sum, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (self._root, chunk.first, chunk.sum(), *values, *where),
                )
            if ended:
                db.execute("DELETE FROM chunks WHERE root = ? AND first > ?", (self._root, self._saved_to))
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    # -- the file

    def close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()

    def _open(self, key: bytes) -> None:
        for _ in range(2):
            try:
                self._db = connected(self._path)
                self._root = self._try(lambda db: root_id(db, key), 0)
            except sqlite3.OperationalError:
                pass  # locked, read-only, no room: nothing is known
            except sqlite3.DatabaseError:
                self._forget()
                continue
            except OSError:
                pass
            break
        if not self._root:
            self.close()
            self._ended = True

    def _ask(self, query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        return self._try(lambda db: db.execute(query, values).fetchall(), [])

    def _try(self, act: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        if self._db is None:
            return otherwise
        try:
            return act(self._db)
        except sqlite3.OperationalError:
            return otherwise
        except sqlite3.DatabaseError:
            self._forget()
            self._ended = True
            return otherwise

    def _forget(self) -> None:
        """Delete a damaged file; the next session makes it again."""
        self.close()
        for suffix in ("", "-journal"):
            try:
                os.unlink(f"{self._path}{suffix}")
            except OSError:
                pass
