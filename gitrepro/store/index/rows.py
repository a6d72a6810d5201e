"""From a record to its rows, and rows into the tables, many at a time."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ...query.sql import NAN
from ...records.event import Standing
from ...records.facts import Facts, facts
from ...records.listing import listing
from ...records.run import RunRecord
from ...records.term import Scalar, text
from ...records.used import DIGEST, Used
from . import schema

_BATCH: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """All that the index keeps of one run."""

    id: str
    facts: Facts
    goals: Mapping[str, str]
    listing: str


def row_of(record: RunRecord, standing: Standing, config: Mapping[str, Any]) -> Row:
    """The row of a run. `config` is its effective config, nested."""
    goals = {
        text(name): goal for name, known in record.metrics.items() if (goal := known.get("goal")) in ("min", "max")
    }
    return Row(
        id=record.id,
        facts=facts(record, standing, config),
        goals=goals,
        listing=json.dumps(listing(record, standing, config)),
    )


def put(db: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Put runs into the tables, in the caller's transaction. One that is there already is replaced.

    Any number of rows at once; they are taken in batches.
    """
    columns, held = _Columns(db), _Held(db)
    for batch in _batches(rows):
        _forget(db, [row.id for row in batch])
        _insert(db, batch, columns, held)
        _settle_lineages(db, batch)


def forget(db: sqlite3.Connection, ids: Sequence[str]) -> None:
    """Take runs out of the tables, in the caller's transaction."""
    for start in range(0, len(ids), _BATCH):
        _forget(db, ids[start : start + _BATCH])


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    batch: dict[str, Row] = {}
    for row in rows:
        batch[row.id] = row
        if len(batch) == _BATCH:
            yield list(batch.values())
            batch = {}
    if batch:
        yield list(batch.values())


def _forget(db: sqlite3.Connection, ids: Sequence[str]) -> None:
    known = db.execute(f"SELECT row FROM runs WHERE id IN ({_marks(ids)})", ids).fetchall()
    if not known:
        return
    # The search must be told the words it is to forget, while they are still there.
    db.executemany(
        "INSERT INTO search (search, rowid, words) SELECT 'delete', row, words FROM listings WHERE row = ?", known
    )
    for table in ("extra", "goals", "labels", "uses", "listings", "runs"):
        db.executemany(f"DELETE FROM {table} WHERE row = ?", known)


def _insert(db: sqlite3.Connection, batch: Sequence[Row], columns: _Columns, held: _Held) -> None:
    first = int(db.execute("SELECT coalesce(max(row), 0) FROM runs").fetchone()[0]) + 1
    numbered = list(enumerate(batch, first))
    beside = [
        (at, row.listing, " ".join(row.facts.words), *map(row.facts.fields.get, schema.FIELDS_BESIDE))
        for at, row in numbered
    ]
    db.executemany(f"INSERT INTO listings VALUES ({_marks(beside[0])})", beside)
    db.executemany(
        "INSERT INTO search (rowid, words) VALUES (?, ?)", [(at, " ".join(row.facts.words)) for at, row in numbered]
    )
    db.executemany(
        "INSERT INTO labels VALUES (?, ?)", [(label, at) for at, row in numbered for label in row.facts.labels]
    )
    uses = [(held.number(each), at) for at, row in numbered for each in row.facts.used]
    db.executemany("INSERT INTO uses VALUES (?, ?)", uses)
    _insert_values(db, numbered, columns)


def _insert_values(db: sqlite3.Connection, numbered: Sequence[tuple[int, Row]], columns: _Columns) -> None:
    alike: dict[tuple[str, ...], list[list[Any]]] = {}
    for at, row in numbered:
        wide, extra = columns.place(row)
        alike.setdefault(tuple(wide), []).append([at, row.id[::-1], *wide.values()])
        db.executemany("INSERT INTO extra VALUES (?, ?, ?)", [(at, number, value) for number, value in extra])
        goals = [(columns.number("metric", name), at, goal) for name, goal in row.goals.items()]
        db.executemany("INSERT INTO goals VALUES (?, ?, ?)", [goal for goal in goals if goal[0] is not None])
    for names, values in alike.items():
        quoted = ", ".join(f'"{name}"' for name in ("row", "suffix", *names))
        db.executemany(f"INSERT INTO runs ({quoted}) VALUES ({_marks(values[0])})", values)


class _Columns:
    """Where each metric and config leaf has its place; new ones are given one."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._known: dict[tuple[str, str], tuple[int, bool]] = {
            (kind, key): (number, bool(wide))
            for number, kind, key, wide in db.execute("SELECT number, kind, key, wide FROM columns")
        }
        self._wide = sum(wide for _, wide in self._known.values())

    def number(self, kind: str, key: str) -> int | None:
        found = self._known.get((kind, key))
        return found[0] if found else None

    def place(self, row: Row) -> tuple[dict[str, Any], list[tuple[int, Any]]]:
        """The values of a row by column of `runs`, and those by number that stand in `extra`."""
        fields = row.facts.fields
        wide: dict[str, Any] = {name: stored(fields[name]) for name in schema.FIELDS if name in fields}
        extra: list[tuple[int, Any]] = []
        room = min(schema.WIDE_A_RUN, schema.WIDE_AT_MOST - self._wide)
        # Config first: its keys are those of every run of a program, metrics may be made up as it runs.
        for kind, values in (("config", row.facts.config), ("metric", row.facts.metrics)):
            for key, value in values.items():
                known = self._known.get((kind, key))
                if known is None:
                    known = self._new(kind, key, wide=room > 0)
                    room -= 1
                number, is_wide = known
                if is_wide:
                    wide[schema.column(kind, number)] = stored(value)
                else:
                    extra.append((number, stored(value)))
        return wide, extra

    def _new(self, kind: str, key: str, *, wide: bool) -> tuple[int, bool]:
        number = len(self._known) + 1
        self._db.execute("INSERT INTO columns VALUES (?, ?, ?, ?)", (number, kind, key, wide))
        if wide:
            self._db.execute(f"ALTER TABLE runs ADD COLUMN {schema.column(kind, number)}")
            self._wide += 1
        self._known[kind, key] = number, wide
        return number, wide


class _Held:
    """The number of each data set and split; new ones are given one, and their names with it."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._known: dict[Used, int] = {}

    def number(self, used: Used) -> int:
        if used not in self._known:
            self._known[used] = self._find(used) or self._new(used)
        return self._known[used]

    def _find(self, used: Used) -> int | None:
        same = "kind = ? AND name = ? AND version = ? AND digest = ? AND dataset = ?"
        found = self._db.execute(f"SELECT number FROM data WHERE {same}", used).fetchone()
        return int(found[0]) if found else None

    def _new(self, used: Used) -> int:
        number = self._db.execute(
            "INSERT INTO data (kind, name, version, digest, dataset) VALUES (?, ?, ?, ?, ?)", used
        ).lastrowid
        assert number is not None
        names = [(used.kind, what, value, number) for what in ("", DIGEST) for value in used.values(what)]
        self._db.executemany("INSERT INTO data_names VALUES (?, ?, ?, ?)", names)
        return number


def stored(value: Scalar) -> Scalar | bytes:
    """A value as it lies in a column."""
    return NAN if isinstance(value, float) and math.isnan(value) else value


def _settle_lineages(db: sqlite3.Connection, batch: Sequence[Row]) -> None:
    """Say of each attempt in the lineages of these runs whether a later one is on record."""
    named = [*{str(row.facts.fields["lineage"]) for row in batch if "lineage" in row.facts.fields}]
    ids = [row.id for row in batch]
    named += [row[0] for row in db.execute(f"SELECT DISTINCT lineage FROM runs WHERE lineage IN ({_marks(ids)})", ids)]
    if not named:
        return
    marks = _marks(named)
    db.execute(
        f"""UPDATE runs SET superseded = EXISTS (
            SELECT 1 FROM runs AS later WHERE later.lineage = coalesce(runs.lineage, runs.id) AND later.removed = 0
            AND (later.started_at, later.id) > (runs.started_at, runs.id)
        ) WHERE lineage IN ({marks}) OR id IN ({marks})""",
        [*named, *named],
    )


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))
