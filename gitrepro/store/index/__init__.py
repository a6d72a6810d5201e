"""The index: what the run ref holds, as SQLite. Nothing in it is true by itself; delete it and it is built again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from ...errors import Damaged
from ...records.term import Term
from ..repository import Repository
from . import place as places
from . import schema
from .place import index_path
from .state import is_current, meta
from .terms import ATTEMPTS, expression, number_of

if TYPE_CHECKING:
    from ...query import Query
    from .follow import Progress

__all__ = ["ATTEMPTS", "NEWEST_FIRST", "Index", "index_path", "rebuild"]

NEWEST_FIRST: Final = "started_at DESC, id DESC"
_OF_LINEAGE: Final = "removed = 0 AND (lineage = ? OR id = ?)"


@final
class Index:
    """The runs of one repository, as a table that follows the run ref.

    Opening it brings it up to date by the parts of the tree that changed; when nothing did, no Git object is read.
    `where` and `order` are SQL of this program on the table `runs`, as `condition` and `order` make it, and never of
    a user.
    """

    def __init__(self, repository: Repository, *, on_progress: Progress | None = None) -> None:
        self._repository = repository
        self._on_progress = on_progress
        self.path: Path | None = None
        """Where it lies; None when there was no place for it, and it lies in memory."""
        self.db = self._open()

    def close(self) -> None:
        self.db.close()

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # -- runs

    def listings(
        self,
        *,
        where: str = "removed = 0",
        values: Sequence[Any] = (),
        order: str = NEWEST_FIRST,
        limit: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Runs as `ls --json` shows them, newest first."""
        for listing, _ in self.table((), where=where, values=values, order=order, limit=limit):
            yield listing

    def table(
        self,
        terms: Sequence[Term],
        *,
        where: str = "removed = 0",
        values: Sequence[Any] = (),
        order: str = NEWEST_FIRST,
        limit: int | None = None,
    ) -> Iterator[tuple[dict[str, Any], list[Any]]]:
        """Runs as `ls --json` shows them, each with its values of some terms; None is missing."""
        columns = "".join(f", {self._expression(term)}" for term in terms)
        # The runs first and what is shown of them second: sorting needs no listings.
        query = f"""SELECT listing{columns} FROM runs CROSS JOIN listings ON listings.row = runs.row
            WHERE runs.row IN (SELECT row FROM runs WHERE {where} ORDER BY {order} LIMIT ?) ORDER BY {order}"""
        for listing, *found in self._rows(query, (*values, -1 if limit is None else limit)):
            yield json.loads(listing), [_read(value) for value in found]

    def ids(
        self, *, where: str, values: Sequence[Any] = (), order: str = NEWEST_FIRST, limit: int | None = 50
    ) -> list[str]:
        query = f"SELECT id FROM runs WHERE {where} ORDER BY {order} LIMIT ?"
        return [row[0] for row in self._rows(query, (*values, -1 if limit is None else limit))]

    def count(self, *, where: str = "removed = 0", values: Sequence[Any] = ()) -> int:
        return int(next(self._rows(f"SELECT count(*) FROM runs WHERE {where}", values))[0])

    def names_of_runs(self, *, limit: int) -> list[str]:
        """The names of the newest runs."""
        query = f"SELECT name FROM runs WHERE removed = 0 ORDER BY {NEWEST_FIRST} LIMIT ?"
        return [row[0] for row in self._rows(query, (limit,))]

    def best(self, metric: str) -> str | None:
        """The run with the best number of a metric, by the goal that the newest run with one gives it."""
        number = number_of(self.db, "metric", metric)
        if number is None:
            return None
        value = self._expression(Term("metric", metric))
        finite = f"typeof({value}) IN ('integer', 'real') AND abs({value}) < 9e999"
        having = f"FROM goals CROSS JOIN runs USING (row) WHERE number = {number} AND removed = 0 AND {finite}"
        goal = next(self._rows(f"SELECT goal {having} ORDER BY {NEWEST_FIRST} LIMIT 1"), None)
        if goal is None:
            return None
        # Of equals the first that reached it.
        order = f"{value} {'DESC' if goal[0] == 'max' else 'ASC'}, started_at, id"
        return str(next(self._rows(f"SELECT id {having} AND goal = ? ORDER BY {order} LIMIT 1", goal))[0])

    def attempts(self, lineage: str) -> int:
        """How many attempts are on record of a lineage, which is called by the id of the first."""
        return self.count(where=_OF_LINEAGE, values=(lineage, lineage))

    def lineage(self, lineage: str) -> Iterator[dict[str, Any]]:
        """These attempts as `ls --json` shows them, the first one first."""
        return self.listings(where=_OF_LINEAGE, values=(lineage, lineage), order="started_at, id")

    def sets(self, *, where: str, values: Sequence[Any] = (), limit: int | None) -> list[str]:
        """The seed sets that these runs are of, the one with the newest run first."""
        query = f"""SELECT set_key FROM runs WHERE {where} GROUP BY set_key
            ORDER BY max(started_at) DESC, max(id) DESC LIMIT ?"""
        return [row[0] for row in self._rows(query, (*values, -1 if limit is None else limit))]

    def members(self, key: str, *, where: str, values: Sequence[Any] = ()) -> Iterator[dict[str, Any]]:
        """Those of these runs that are of one seed set, newest first."""
        # All that may stand in them is named, so that the index by set serves, whatever `where` is.
        known = "removed IN (0, 1) AND superseded IN (0, 1) AND set_key = ?"
        return self.listings(where=f"{known} AND ({where})", values=[key, *values])

    def count_sets(self, *, where: str, values: Sequence[Any] = ()) -> int:
        return int(next(self._rows(f"SELECT count(DISTINCT set_key) FROM runs WHERE {where}", values))[0])

    def troubles(self) -> dict[str, str]:
        """Records that cannot be read, by path: what is wrong with each."""
        return dict(self._rows("SELECT path, what FROM troubles ORDER BY path"))

    # -- from a query to SQL

    def condition(self, query: Query | None, *, folded: bool = False, removed: bool = False) -> tuple[str, list[Any]]:
        """A `where` and its values for the runs that a query means.

        Args:
            folded: of several attempts at one run, only the newest.
            removed: those that were removed, and no others.
        """
        condition, values = query.sql(self._expression) if query else ("1", [])
        # Where there is more to ask, a plus keeps SQLite from going by an index in which nearly all runs are.
        plus = "" if condition == "1" else "+"
        standing = f"{plus}removed = {int(removed)}{f' AND {plus}superseded = 0' if folded else ''}"
        return f"{condition} AND {standing}", values

    def order(self, term: Term, *, descending: bool) -> str:
        """An `order` by a term; what is missing comes last, and of equals the newest first."""
        from ...query.sql import ordering

        return f"{ordering(self._expression(term), descending=descending)}, {NEWEST_FIRST}"

    def _expression(self, term: Term) -> str:
        return expression(self.db, term)

    def has(self, kind: str, key: str) -> bool:
        """Whether some run has a `metric`, or a leaf of its `config`, of that name."""
        return number_of(self.db, kind, key) is not None

    def all(self, kind: str) -> Iterator[str]:
        """The names of all metrics, or the keys of all configs, in the order in which they were first seen."""
        for (key,) in self._rows("SELECT key FROM columns WHERE kind = ? ORDER BY number", (kind,)):
            yield key

    # -- the file

    def facts(self) -> dict[str, Any]:
        """What there is to know of the index itself."""
        known = meta(self.db)
        keys, wide = self.db.execute("SELECT count(*), coalesce(sum(wide), 0) FROM columns").fetchone()
        return {
            "path": str(self.path) if self.path else None,
            "size_bytes": self.path.stat().st_size if self.path else None,
            "version": schema.VERSION,
            "commit": known.get("commit") or None,
            "runs": self.count(where="1"),
            "keys": keys,
            "columns": wide,
            "damaged": len(self.troubles()),
        }

    def _rows(self, query: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of an answer.

        Raises:
            Damaged: the file is not what was written. It is deleted, and built again when the index is next opened.
        """
        try:
            yield from self.db.execute(query, values)
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or not self.path:
                raise
            places.discard(self.path)
            what = f"the index {self.path} was damaged, and is deleted"
            raise Damaged(what, why=str(error), do="run it again: it is built from the run ref") from error

    def _open(self) -> sqlite3.Connection:
        for path in places.places(self._repository):
            # The second time round a damaged file is gone.
            for _ in range(2):
                db = _connected(path)
                if db is None:
                    break
                try:
                    self._follow(db)
                    self.path = path
                    return db
                except sqlite3.OperationalError:
                    db.close()
                    break
                except sqlite3.DatabaseError:
                    db.close()
                    places.discard(path)
                except BaseException:
                    db.close()
                    raise
        db = places.in_memory()
        self._follow(db)
        return db

    def _follow(self, db: sqlite3.Connection) -> None:
        if not is_current(db, self._repository):
            from .follow import follow

            follow(db, self._repository, on_progress=self._on_progress)


def _connected(path: Path) -> sqlite3.Connection | None:
    try:
        return places.connect(path)
    except (OSError, sqlite3.Error):
        return None


def _read(value: Any) -> Any:
    return float("nan") if isinstance(value, bytes) else value


def rebuild(repository: Repository) -> None:
    """Delete the index, wherever it lies; the next to open it builds it anew."""
    for path in places.places(repository):
        if path.exists():
            places.discard(path)
