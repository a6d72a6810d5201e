"""What the index says of itself: enough to see that nothing is to be done."""

from __future__ import annotations

import sqlite3

from ..gitrefs import read_ref
from ..repository import RUNS_REF, Repository
from . import schema


def is_current(db: sqlite3.Connection, repository: Repository) -> bool:
    """Whether the index stands where the run ref does. When it does, no Git object is read."""
    tip = read_ref(repository.common_dir, RUNS_REF)
    known = meta(db)
    at_tip = known.get("version") == str(schema.VERSION) and known.get("commit") == (tip or "")
    # What could not be read is tried again each time: the repair happens outside our sight.
    return at_tip and not db.execute("SELECT 1 FROM troubles").fetchone()


def meta(db: sqlite3.Connection) -> dict[str, str]:
    """What the index says of itself; nothing when there is none yet."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
        return {}
    return dict(db.execute("SELECT key, value FROM meta"))
