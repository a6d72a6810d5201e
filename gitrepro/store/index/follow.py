"""Bringing the index up to date with the run ref, by the parts of the tree that changed.

All of it is one transaction: a reader sees the index as it was or as it is, and who is killed in the middle leaves it
as it was. Records are read in bulk and in batches, so that a hundred thousand runs need no more memory than a thousand.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from ...errors import ChildFailed, Damaged, GitreproError, NotFound
from ...records import ids, yaml
from ...records.event import Event, fold_events, load_event
from ...records.run import load_run, run_path
from .. import bulk
from ..gitrefs import read_ref
from ..repository import RUNS_REF, Repository
from . import schema
from .rows import Row, forget, put, row_of
from .state import is_current, meta

Progress: TypeAlias = Callable[[int, int], None]

_BATCH: Final = 1_000
_PATIENCE_SECONDS: Final = 600.0


def follow(db: sqlite3.Connection, repository: Repository, *, on_progress: Progress | None = None) -> None:
    """Take in what is new, in one transaction; `db` is in autocommit mode.

    While another process does so, this one waits; one that takes very long is not waited for where there is an older
    state to read.

    Args:
        on_progress: is told how many of how many runs are done.

    Raises:
        sqlite3.DatabaseError: the file is damaged, or it is locked and holds nothing yet.
    """
    if is_current(db, repository):
        return
    if not _begin(db):
        return
    try:
        _catch_up_whole(db, repository, on_progress or _quiet)
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _quiet(_done: int, _total: int) -> None: ...


def _begin(db: sqlite3.Connection) -> bool:
    """Become the one who writes; False when another one is at it and an older state can be read meanwhile."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            db.execute("BEGIN IMMEDIATE")
            return True
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            if meta(db).get("version") == str(schema.VERSION):
                return False
            if time.monotonic() > deadline:
                raise


def _catch_up_whole(db: sqlite3.Connection, repository: Repository, on_progress: Progress) -> None:
    """Catch up; where something is missing that can be brought back, do so and take another look."""
    try:
        _catch_up(db, repository, on_progress)
    except NotFound:
        if not _brought_back(repository):
            raise
        _catch_up(db, repository, on_progress)
        return
    if _doubtful(db) and _brought_back(repository):
        _catch_up(db, repository, on_progress)


def _brought_back(repository: Repository) -> bool:
    from .. import rescue

    try:
        return rescue.bring_back(repository) > 0
    except GitreproError:
        return False  # who may only read is told what is missing, and what mends it


def _catch_up(db: sqlite3.Connection, repository: Repository, on_progress: Progress) -> None:
    tip = read_ref(repository.common_dir, RUNS_REF) or ""
    known = meta(db)
    if known.get("version") != str(schema.VERSION):
        known = {}
    try:
        _take_changes(db, repository, known, tip, on_progress)
    except ChildFailed:
        # A tree is damaged, or what we stood at is gone: whole anew, around what cannot be read.
        _take_all(db, repository, tip, on_progress)
    facts = [("version", str(schema.VERSION)), ("commit", tip)]
    db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", facts)


def _take_changes(
    db: sqlite3.Connection, repository: Repository, known: dict[str, str], tip: str, on_progress: Progress
) -> None:
    doubtful = _doubtful(db) if known else []
    # A folder that could not be opened may hide any number of runs.
    if not known.get("commit") or not tip or not all(map(_subject, doubtful)):
        files = list(bulk.list_files(repository.common_dir, tip)) if tip else []
        schema.create(db)
        _take(db, repository, list(_gathered(files).values()), on_progress)
        return
    changes = list(bulk.changed_files(repository.common_dir, known["commit"], tip))
    subjects = {_subject(path) for path in [*doubtful, *(path for path, _ in changes)]} - {""}
    db.execute("DELETE FROM troubles")
    found = list(_looked_up(repository, tip, sorted(subjects)))
    forget(db, [files.id for files in found if files.record is None])
    _take(db, repository, [files for files in found if files.record], on_progress)


def _take_all(db: sqlite3.Connection, repository: Repository, tip: str, on_progress: Progress) -> None:
    from ..runs import RunTree

    schema.create(db)
    with RunTree(repository, commit=tip) as tree:
        changed = tree.changed_since(None, unreadable=lambda path, error: _trouble(db, path, error))
        files = _gathered((path, entry.oid) for path, entry in changed)
    _take(db, repository, list(files.values()), on_progress)


def _doubtful(db: sqlite3.Connection) -> list[str]:
    return [f"{path}/" for (path,) in db.execute("SELECT path FROM troubles")]


# -- which files make up a run


@dataclass(slots=True)
class _Files:
    """The blobs that a row is made from."""

    id: str
    record: str | None = None
    config: str | None = None
    events: dict[str, str] = field(default_factory=dict)

    def put(self, path: str, oid: str) -> None:
        folder, _, rest = path.partition("/")
        name = rest.split("/")[-1]
        if folder == "events":
            self.events[path] = oid
        elif name == "run.yaml":
            self.record = oid
        elif name == "config.yaml":
            self.config = oid

    def names(self) -> list[str]:
        return [oid for oid in (self.record, self.config, *self.events.values()) if oid]


def _gathered(files: Iterable[tuple[str, str]]) -> dict[str, _Files]:
    """Files of a whole tree by the run that they speak of; events of what is no run have no row."""
    found: dict[str, _Files] = {}
    for path, oid in files:
        if subject := _subject(path):
            found.setdefault(subject, _Files(subject)).put(path, oid)
    # In the order of time, which is about the order of packs.
    return {subject: found[subject] for subject in sorted(found) if found[subject].record}


def _looked_up(repository: Repository, tip: str, subjects: Sequence[str]) -> Iterator[_Files]:
    """The files of a few runs, each looked up in the tree of `tip`."""
    places = [place for subject in subjects for place in (run_path(subject), _events_path(subject))]
    folders = iter(zip(places, bulk.folders(repository.common_dir, tip, places), strict=True))
    for subject in subjects:
        files = _Files(subject)
        for place, names in (next(folders), next(folders)):
            for name, oid in names.items():
                files.put(f"{place}/{name}", oid)
        yield files


def _events_path(subject: str) -> str:
    return f"events/{ids.shard(subject)}/{subject}"


def _subject(path: str) -> str:
    """The run that a path speaks of: `runs/x/y/z/<id>/...` or `events/x/y/z/<id>/...`; empty for all else."""
    parts = path.split("/", 5)
    return parts[4] if len(parts) > 5 and parts[0] in ("runs", "events") and ids.is_id(parts[4]) else ""


# -- from files to rows


def _take(db: sqlite3.Connection, repository: Repository, runs: list[_Files], on_progress: Progress) -> None:
    """Put the rows of these runs in."""
    batches = [runs[start : start + _BATCH] for start in range(0, len(runs), _BATCH)]
    wanted = [list(dict.fromkeys(oid for files in batch for oid in files.names())) for batch in batches]
    contents = bulk.blobs(repository.common_dir, [oid for names in wanted for oid in names])

    def rows() -> Iterator[Row]:
        done = 0
        for batch, names in zip(batches, wanted, strict=True):
            held = {oid: next(contents) for oid in names}
            for files in batch:
                try:
                    yield _row(files, held, lambda path, error: _trouble(db, path, error))
                except GitreproError as error:
                    _trouble(db, run_path(files.id), error)
            done += len(batch)
            on_progress(done, len(runs))

    put(db, rows())


def _row(files: _Files, held: dict[str, bytes | GitreproError], trouble: Callable[[str, GitreproError], None]) -> Row:
    """The row of one run. Raises what is wrong with its record or its config; a bad event is told and left out."""
    path = f"{run_path(files.id)}/run.yaml"
    record = load_run(_bytes(held, files.record), source=path)
    if record.id != files.id:
        raise Damaged(f"{path} says it is run {record.id!r:.40}", why="a record stands under its own id")
    events: list[Event] = []
    for place, oid in files.events.items():
        try:
            events.append(load_event(_bytes(held, oid), source=place))
        except GitreproError as error:
            trouble(place, error)
    return row_of(record, fold_events(events, labels=record.labels), _config(files, held))


def _config(files: _Files, held: dict[str, bytes | GitreproError]) -> dict[str, Any]:
    if files.config is None:
        return {}
    source = f"{run_path(files.id)}/config.yaml"
    values = yaml.load(_bytes(held, files.config), source=source).get("values")
    return values if isinstance(values, dict) else {}


def _bytes(held: dict[str, bytes | GitreproError], oid: str | None) -> bytes:
    found = held[oid] if oid else NotFound("there is no record")
    if isinstance(found, GitreproError):
        raise found
    return found


def _trouble(db: sqlite3.Connection, path: str, error: GitreproError) -> None:
    db.execute("INSERT OR REPLACE INTO troubles VALUES (?, ?)", (path, str(error)))
