"""What files were the last time they were read: their hashes, by device, inode, size and times.

A cache of one clone. It follows the order of a walk and is cut where tree manifests are cut, so an unchanged stretch of
a folder is one comparison, and gives back the digest of its shard. It may be deleted at any time; damaged, locked or
read-only, it is as good as empty.
"""

from __future__ import annotations

import os
import sqlite3
import struct
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar, final

from . import fs
from .repository import Repository

T = TypeVar("T")
_VERSION: Final = 1
_SCHEMA: Final = (
    "DROP TABLE IF EXISTS roots",
    "DROP TABLE IF EXISTS chunks",
    "CREATE TABLE roots(id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, used_day INTEGER NOT NULL)",
    """CREATE TABLE chunks(
        id INTEGER PRIMARY KEY, root INTEGER NOT NULL, first BLOB NOT NULL, paths BLOB NOT NULL, stats BLOB NOT NULL,
        hashes BLOB NOT NULL, size_bytes INTEGER NOT NULL, shard BLOB, closed INTEGER, packs BLOB, loose BLOB,
        sum INTEGER NOT NULL, UNIQUE (root, first)
    )""",
    f"PRAGMA user_version = {_VERSION}",
)
_COLUMNS: Final = "paths, stats, hashes, size_bytes, shard, closed, packs, loose"
_WAIT_SECONDS: Final = 2.0
_KEPT_DAYS: Final = 180
_READ_AT_ONCE: Final = 8

RACY_NS: Final = 2_000_000_000
"""A file that was changed so shortly before it was read may be changed again with the same times."""
_UNKNOWN_CLOCK_NS: Final = 24 * 3600 * 10**9

STAT: Final = struct.Struct("<QQQqqI")
_pack: Final = STAT.pack
NEVER: Final = bytes(STAT.size)
"""The stat of no file: what was read is known, and is not to be trusted."""
EMPTY_FOLDER: Final = STAT.pack(0, 0, 0, 0, 0, 0o040000)
HASH_BYTES: Final = 32


def packed(found: os.stat_result) -> bytes:
    """What shows that a file was written to, replaced, or given other rights: 44 bytes."""
    return _pack(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Neighbours of a walk, as they were when they were read.

    `shard` is the hash of their manifest shard, where they were found to make up just one.
    `packs` and `loose` say where their blobs lie in the store, where that is known.
    """

    paths: bytes  # joined by zero bytes
    stats: bytes  # packed, one after the other; NEVER for those not to be trusted
    hashes: bytes  # 32 bytes each
    size_bytes: int
    shard: bytes | None = None
    closed: bool = False  # whether that shard is the same when more files follow
    packs: bytes | None = None
    loose: bytes | None = None

    @property
    def first(self) -> bytes:
        return self.paths.partition(b"\0")[0]

    @property
    def last(self) -> bytes:
        return self.paths.rpartition(b"\0")[2]

    @property
    def files(self) -> int:
        return len(self.hashes) // HASH_BYTES

    def rows(self) -> Iterator[tuple[bytes, bytes, bytes]]:
        """Path, stat and hash of each file."""
        for at, path in enumerate(self.paths.split(b"\0")):
            yield path, self.stats[at * STAT.size : (at + 1) * STAT.size], self.hashes[at * 32 : (at + 1) * 32]

    def names(self) -> list[bytes]:
        """The hashes, one by one."""
        return [self.hashes[at : at + HASH_BYTES] for at in range(0, len(self.hashes), HASH_BYTES)]

    def sum(self) -> int:
        numbers = b"%d %d" % (self.size_bytes, self.closed)
        values = (self.paths, self.stats, self.hashes, numbers, self.shard, self.packs, self.loose)
        return zlib.crc32(b"\1".join(b"" if value is None else b"+" + value for value in values))


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
                f"SELECT sum, {_COLUMNS}, first FROM chunks WHERE root = ? AND first > ? ORDER BY first LIMIT ?",
                (self._root, self._read_to, _READ_AT_ONCE),
            )
            for row in rows:
                self._read_to = row[-1]
                chunk = _chunk(row)
                if chunk is not None:
                    self._read.append(chunk)
            self._ended = len(rows) < _READ_AT_ONCE

    # -- saving

    def save(self, chunk: Chunk, *, taken_ns: int) -> None:
        """Keep what was found of neighbours; with the next `flush`. It takes the place of what was known of them.

        Args:
            taken_ns: what `clock_ns` said before any of them was read.
        """
        self._pending.append((self._saved_to, _distrusting(chunk, taken_ns)))
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
                    f"INSERT INTO chunks(root, first, sum, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
                self._db = _connected(self._path)
                self._root = self._try(lambda db: _root(db, key), 0)
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


def _connected(path: Path) -> sqlite3.Connection:
    fs.make_directories(path.parent)
    db = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None)
    try:
        # A cache: after a power cut its sums tell what is left of it.
        db.execute("PRAGMA synchronous = OFF")
        if db.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
            db.execute("BEGIN EXCLUSIVE")
            # Another process may do the same at this moment.
            if db.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
                for statement in _SCHEMA:
                    db.execute(statement)
            db.execute("COMMIT")
    except BaseException:
        db.close()
        raise
    return db


def _root(db: sqlite3.Connection, key: bytes) -> int:
    today = int(time.time()) // 86_400
    row = db.execute("SELECT id, used_day FROM roots WHERE key = ?", (key,)).fetchone()
    if row is not None and row[1] == today:
        return int(row[0])
    try:
        db.execute("BEGIN IMMEDIATE")
        old = "used_day < ?"
        db.execute(f"DELETE FROM chunks WHERE root IN (SELECT id FROM roots WHERE {old})", (today - _KEPT_DAYS,))
        db.execute(f"DELETE FROM roots WHERE {old}", (today - _KEPT_DAYS,))
        upsert = "INSERT INTO roots(key, used_day) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET used_day = ?"
        db.execute(upsert, (key, today, today))
        db.execute("COMMIT")
    except sqlite3.OperationalError:
        if db.in_transaction:
            db.execute("ROLLBACK")
        # It can be read all the same.
        return int(row[0]) if row is not None else 0
    return int(db.execute("SELECT id FROM roots WHERE key = ?", (key,)).fetchone()[0])


def _chunk(row: tuple[Any, ...]) -> Chunk | None:
    """What a row holds; None where it is not what was written."""
    total, paths, stats, hashes, size_bytes, shard, closed, packs, loose, first = row
    blobs = (paths, stats, hashes, *(each for each in (shard, packs, loose) if each is not None))
    if not all(isinstance(each, bytes) for each in blobs) or not isinstance(size_bytes, int):
        return None
    kept = {"size_bytes": size_bytes, "shard": shard, "closed": closed == 1, "packs": packs, "loose": loose}
    chunk = Chunk(paths=paths, stats=stats, hashes=hashes, **kept)
    count = paths.count(b"\0") + 1
    sound = len(hashes) == count * HASH_BYTES and len(stats) == count * STAT.size and chunk.first == first
    return chunk if sound and chunk.sum() == total else None


def _distrusting(chunk: Chunk, taken_ns: int) -> Chunk:
    """The chunk without the stats of files that were changed just before they were read."""
    times = (max(mtime, ctime) for _, _, _, mtime, ctime, _ in STAT.iter_unpack(chunk.stats))
    racy = [at for at, time_ns in enumerate(times) if time_ns >= taken_ns - RACY_NS]
    if not racy:
        return chunk
    stats = bytearray(chunk.stats)
    for at in racy:
        stats[at * STAT.size : (at + 1) * STAT.size] = NEVER
    return replace(chunk, stats=bytes(stats), shard=None)


def clock_ns(folder_fd: int) -> int:
    """What time it is to the file system of a folder, whose clock may be another one than ours.

    Where no file can be made, a day is taken off our own: there only what is that old can be trusted.
    """
    try:
        fd = os.open(".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=folder_fd)
    except (OSError, AttributeError):
        return time.time_ns() - _UNKNOWN_CLOCK_NS
    try:
        return os.fstat(fd).st_mtime_ns
    finally:
        os.close(fd)
