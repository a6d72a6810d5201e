"""The tables of the index, and the names its columns have.

`runs` has one row a run and one column for each metric and each leaf of a config, added when it is first seen. The
names of people never become SQL: `columns` gives each key a number, and the column is called `m17` or `c203`. Beyond
what a table can hold, values stand in `extra`. What only `ls` shows lies in `listings`, so that a search through `runs`
reads little.
"""

from __future__ import annotations

import sqlite3
from typing import Final

VERSION: Final = 5
"""An index of another version is dropped and built again."""

FIELDS: Final = (
    "id",
    "name",
    "kind",
    "status",
    "started_at",
    "duration_seconds",
    "email",
    "group",
    "commit_id",
    "dirty",
    "seed",
    "removed",
    "lineage",
    "resumes",
    "set_key",
    "data",
    "split",
)
"""Columns of `runs` that hold the `fields` of a run's facts, under the same names."""

FIELDS_BESIDE: Final = ("ended_at", "actor", "tree", "branch", "host", "note", "argv")
"""Those that stand in `listings`: they are long, and seldom asked for."""

WIDE_AT_MOST: Final = 1_500
"""Columns of `runs` for metrics and config; SQLite has 2,000 in all."""
WIDE_A_RUN: Final = 400
"""New ones that a single run may claim: one run with thousands of metrics leaves room for the others."""

_CREATE: Final = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT)",
    # `suffix` is the id reversed, so that an ending is found like a beginning. `superseded`: a later attempt is there.
    f"""CREATE TABLE runs (
        row INTEGER PRIMARY KEY, suffix TEXT, superseded INTEGER DEFAULT 0, {", ".join(f'"{name}"' for name in FIELDS)}
    )""",
    "CREATE UNIQUE INDEX runs_by_id ON runs (id)",
    "CREATE INDEX runs_by_suffix ON runs (suffix)",
    "CREATE INDEX runs_by_name ON runs (name)",
    "CREATE INDEX runs_by_commit ON runs (commit_id)",
    "CREATE INDEX runs_by_time ON runs (started_at, id)",
    "CREATE INDEX runs_shown ON runs (removed, superseded, started_at, id)",
    "CREATE INDEX runs_by_lineage ON runs (lineage) WHERE lineage IS NOT NULL",
    "CREATE INDEX runs_by_set ON runs (removed, superseded, set_key, started_at, id)",
    # As narrow as can be: a list counts by it.
    "CREATE INDEX runs_counted ON runs (removed, superseded)",
    f"CREATE TABLE listings (row INTEGER PRIMARY KEY, listing, words, {', '.join(FIELDS_BESIDE)})",
    "CREATE TABLE columns (number INTEGER PRIMARY KEY, kind TEXT, key TEXT, wide INTEGER, UNIQUE (kind, key))",
    "CREATE TABLE extra (row INTEGER, number INTEGER, value, PRIMARY KEY (row, number)) WITHOUT ROWID",
    "CREATE INDEX extra_by_number ON extra (number, value)",
    "CREATE TABLE goals (number INTEGER, row INTEGER, goal TEXT, PRIMARY KEY (number, row)) WITHOUT ROWID",
    "CREATE INDEX goals_by_row ON goals (row)",
    "CREATE TABLE labels (label, row INTEGER, PRIMARY KEY (label, row)) WITHOUT ROWID",
    "CREATE INDEX labels_by_row ON labels (row)",
    # A version of a data set, or a split of one, stands here once, however many runs use it.
    """CREATE TABLE data (
        number INTEGER PRIMARY KEY, kind, name, version, digest, dataset, UNIQUE (kind, name, version, digest, dataset)
    )""",
    """CREATE TABLE data_names (
        kind, what, value, number INTEGER, PRIMARY KEY (kind, what, value, number)
    ) WITHOUT ROWID""",
    "CREATE TABLE uses (number INTEGER, row INTEGER, PRIMARY KEY (number, row)) WITHOUT ROWID",
    "CREATE INDEX uses_by_row ON uses (row)",
    "CREATE TABLE troubles (path TEXT PRIMARY KEY, what TEXT)",
    # Which words a run has, and not where: that is all a search asks, and a third of the size.
    """CREATE VIRTUAL TABLE search USING fts5 (
        words, content = 'listings', content_rowid = 'row', detail = 'none', columnsize = 0, tokenize = 'ascii'
    )""",
)


def create(db: sqlite3.Connection) -> None:
    """Make the tables, and drop whatever stood there. In the caller's transaction; `meta` is left empty."""
    drop(db)
    for statement in _CREATE:
        db.execute(statement)


def drop(db: sqlite3.Connection) -> None:
    """Drop every table, of any version."""
    # A virtual table takes its own tables with it; they cannot be dropped one by one.
    for virtual in ("sql LIKE 'CREATE VIRTUAL%'", "name NOT LIKE 'sqlite_%'"):
        found = db.execute(f"SELECT name FROM sqlite_master WHERE type = 'table' AND {virtual}").fetchall()
        for (name,) in found:
            quoted = str(name).replace('"', '""')
            db.execute(f'DROP TABLE IF EXISTS "{quoted}"')


def column(kind: str, number: int) -> str:
    """The column of a metric or a config leaf."""
    return f"{kind[0]}{number}"
