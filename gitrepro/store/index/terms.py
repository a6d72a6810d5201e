"""Where a term of a query stands in the tables. Nothing of what a user wrote is in the SQL."""

from __future__ import annotations

import sqlite3
from typing import Final

from ...records.term import Term
from ...records.used import DATA, SPLIT
from . import schema

ATTEMPTS: Final = Term("attempts", "")
"""A term for `Index.table` alone: how many attempts of a run's lineage are on record."""

_ATTEMPTS: Final = """(
    (SELECT count(*) FROM runs AS other WHERE other.lineage = coalesce(runs.lineage, runs.id) AND other.removed = 0)
    + (SELECT count(*) FROM runs AS other WHERE other.id = coalesce(runs.lineage, runs.id) AND other.removed = 0)
)"""


def expression(db: sqlite3.Connection, term: Term) -> str:
    """The value of a term for a row of `runs`: a column, or a query for what stands elsewhere."""
    if term == ATTEMPTS:
        return _ATTEMPTS
    if term.kind == "label":
        return "(SELECT group_concat(label, ' ') FROM labels WHERE labels.row = runs.row)"
    if term.kind in (DATA, SPLIT):
        return field(term.kind)
    if term.kind == "field":
        return field(term.key)
    found = db.execute("SELECT number, wide FROM columns WHERE kind = ? AND key = ?", (term.kind, term.key)).fetchone()
    if found is None:
        return "NULL"
    number, wide = found
    if wide:
        return f"runs.{schema.column(term.kind, number)}"
    return f"(SELECT value FROM extra WHERE extra.row = runs.row AND extra.number = {int(number)})"


def field(name: str) -> str:
    """The value of a field; it is one of those the tables have."""
    if name in schema.FIELDS_BESIDE:
        return f"(SELECT {name} FROM main.listings WHERE listings.row = runs.row)"
    return f'runs."{schema.FIELDS[schema.FIELDS.index(name)]}"'


def number_of(db: sqlite3.Connection, kind: str, key: str) -> int | None:
    """The number of a metric or a config key; None when no run has it."""
    found = db.execute("SELECT number FROM columns WHERE kind = ? AND key = ?", (kind, key)).fetchone()
    return int(found[0]) if found else None
