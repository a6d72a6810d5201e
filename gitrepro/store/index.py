"""The index: what the run ref holds, as SQLite. Nothing in it is true by itself; delete it and it is built again."""

from __future__ import annotations

import json
import math
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from ..errors import GitreproError
from ..records import ids, yaml
from ..records.event import fold_events
from ..records.listing import listing
from ..records.run import run_path
from .gitrefs import read_ref
from .repository import RUNS_REF, Repository

if TYPE_CHECKING:
    from .runs import RunTree

VERSION: Final = 1

_SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT);
CREATE TABLE runs (
    id TEXT PRIMARY KEY, suffix TEXT, name TEXT, kind TEXT, status TEXT, started_at TEXT, duration_seconds REAL,
    email TEXT, "group" TEXT, commit_id TEXT, dirty INTEGER, removed INTEGER, listing TEXT
) WITHOUT ROWID;
CREATE TABLE metrics (
    name TEXT, run TEXT, value REAL, goal TEXT, PRIMARY KEY (name, run)
) WITHOUT ROWID;
CREATE INDEX runs_by_name ON runs (name);
CREATE INDEX runs_by_commit ON runs (commit_id);
CREATE INDEX runs_by_suffix ON runs (suffix);
CREATE INDEX runs_by_time ON runs (started_at, id);
CREATE TABLE troubles (path TEXT PRIMARY KEY, what TEXT);
"""


@final
class Index:
    """The runs of one repository, as a table that follows the run ref.

    Opening it brings it up to date by the parts of the tree that changed; when nothing did, no Git object is read.
    """

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._path = repository.home / "index.sqlite"
        self._db = self._open()
        try:
            self._follow()
        except sqlite3.DatabaseError:
            # Damaged, or of another version than it says: it holds nothing that cannot be had again.
            self._db.close()
            self._discard()
            self._db = self._open()
            self._follow()

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def listings(
        self, *, where: str = "removed = 0", values: Sequence[Any] = (), limit: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """Runs as `ls --json` shows them, newest first. `where` is SQL of this program, never of a user."""
        query = f"SELECT listing FROM runs WHERE {where} ORDER BY started_at DESC, id DESC LIMIT ?"
        for (text,) in self._db.execute(query, (*values, -1 if limit is None else limit)):
            yield json.loads(text)

    def ids(self, *, where: str, values: Sequence[Any] = (), limit: int = 50) -> list[str]:
        query = f"SELECT id FROM runs WHERE {where} ORDER BY started_at DESC, id DESC LIMIT ?"
        return [row[0] for row in self._db.execute(query, (*values, limit))]

    def count(self, *, where: str = "removed = 0", values: Sequence[Any] = ()) -> int:
        return int(self._db.execute(f"SELECT count(*) FROM runs WHERE {where}", values).fetchone()[0])

    def standings(self, metric: str) -> Iterator[tuple[str, float, str | None]]:
        """Each run's number for a metric, as its summary shows it, and the metric's goal."""
        query = "SELECT run, value, goal FROM metrics JOIN runs ON id = run WHERE metrics.name = ? AND removed = 0"
        yield from self._db.execute(query, (metric,))

    def troubles(self) -> dict[str, str]:
        """Records that cannot be read, by path: what is wrong with each."""
        return dict(self._db.execute("SELECT path, what FROM troubles ORDER BY path"))

    # -- following the ref

    def _open(self) -> sqlite3.Connection:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(self._path, timeout=30, isolation_level=None)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = OFF")
            return db
        except sqlite3.DatabaseError:
            self._discard()
        except OSError:
            pass
        try:
            return sqlite3.connect(self._path, timeout=30, isolation_level=None)
        except sqlite3.Error:
            # A read-only repository: build it in memory, for this once.
            return sqlite3.connect(":memory:", isolation_level=None)

    def _discard(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            try:
                os.unlink(f"{self._path}{suffix}")
            except OSError:
                pass

    def _meta(self) -> dict[str, str]:
        if not self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
            return {}
        return dict(self._db.execute("SELECT key, value FROM meta"))

    def _follow(self) -> None:
        tip = read_ref(self._repository.common_dir, RUNS_REF)
        meta = self._meta()
        current = meta.get("version") == str(VERSION) and meta.get("commit") == (tip or "")
        # What could not be read is tried again each time: the repair happens outside our sight.
        if current and not self.troubles():
            return
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            self._db.close()
            self._db = sqlite3.connect(":memory:", isolation_level=None)
            self._db.execute("BEGIN IMMEDIATE")
        try:
            self._catch_up(tip)
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _catch_up(self, tip: str | None) -> None:
        from .runs import RunTree

        meta = self._meta()
        if meta.get("version") != str(VERSION):
            self._start_over()
            meta = {}
        again = [path for path in self.troubles() if not _subject(path + "/")]
        since = None if again else meta.get("tree") or None
        runs = {_subject(path + "/") for path in self.troubles()}
        self._db.execute("DELETE FROM troubles")
        with RunTree(self._repository, commit=tip) as tree:
            root = tree.tree if tip else None
            runs.update(_subject(path) for path, _ in tree.changed_since(since, unreadable=self._trouble))
            for run_id in sorted(runs - {""}):
                # Events may speak of a result or a data set; only runs have a row.
                if tree.run_tree(run_id):
                    self._take(tree, run_id)
        self._db.executemany(
            "INSERT OR REPLACE INTO meta VALUES (?, ?)",
            [("version", str(VERSION)), ("commit", tip or ""), ("tree", root or "")],
        )

    def _start_over(self) -> None:
        names = [row[0] for row in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in names:
            self._db.execute(f'DROP TABLE "{name}"')
        for statement in _SCHEMA.split(";"):
            self._db.execute(statement)

    def _take(self, tree: RunTree, run_id: str) -> None:
        try:
            record = tree.run(run_id)
            events, troubles = tree.events(run_id)
            config = _config(tree, run_id)
        except GitreproError as error:
            self._trouble(run_path(run_id), error)
            return
        for trouble in troubles:
            self._trouble(trouble.path, trouble.error)
        standing = fold_events(events, labels=record.labels)
        shown = listing(record, standing, config)
        self._db.execute(
            "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                run_id,
                run_id[::-1],
                shown["name"],
                record.kind,
                record.status,
                record.started_at,
                record.duration_seconds,
                record.actor.get("email"),
                shown["group"],
                shown["code"]["commit"],
                shown["code"]["dirty"],
                standing.removed,
                json.dumps(shown),
            ),
        )

        rows = [
            (name, run_id, record.summary[name], facts.get("goal"))
            for name, facts in record.metrics.items()
            if isinstance(record.summary.get(name), (int, float)) and math.isfinite(record.summary[name])
        ]
        self._db.executemany("INSERT OR REPLACE INTO metrics VALUES (?, ?, ?, ?)", rows)

    def _trouble(self, path: str, error: GitreproError) -> None:
        self._db.execute("INSERT OR REPLACE INTO troubles VALUES (?, ?)", (path, str(error)))


def _subject(path: str) -> str:
    """The run that a path speaks of: `runs/x/y/z/<id>/...` or `events/x/y/z/<id>/...`; empty for all else."""
    parts = path.split("/")
    return parts[4] if len(parts) > 5 and parts[0] in ("runs", "events") and ids.is_id(parts[4]) else ""


def _config(tree: RunTree, run_id: str) -> dict[str, Any]:
    files = tree.run_files(run_id)
    if "config.yaml" not in files:
        return {}
    source = f"{run_path(run_id)}/config.yaml"
    values = yaml.load(tree.objects.read(files["config.yaml"].oid, "blob"), source=source).get("values")
    return values if isinstance(values, dict) else {}


def index_path(repository: Repository) -> Path:
    """Where the index lies. It may be deleted at any time."""
    return repository.home / "index.sqlite"
