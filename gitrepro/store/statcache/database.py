"""The file of a stat cache: SQLite, made anew whenever it is not what was written."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any, Final

from .. import fs
from .chunk import HASH_BYTES, STAT, Chunk

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
COLUMNS: Final = "paths, stats, hashes, size_bytes, shard, closed, packs, loose"
_WAIT_SECONDS: Final = 2.0
_KEPT_DAYS: Final = 180


def connected(path: Path) -> sqlite3.Connection:
    """Open the file, or make it. Raises OSError, sqlite3.Error."""
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


def root_id(db: sqlite3.Connection, key: bytes) -> int:
    """The number of a folder; 0 where it is new and nothing can be written."""
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


def chunk_of(row: tuple[Any, ...]) -> Chunk | None:
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
