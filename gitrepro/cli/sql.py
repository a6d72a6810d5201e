"""`gitrepro sql`: questions to the index in SQL."""

from __future__ import annotations

from typing import Any, Final

import click

from ..errors import UsageError
from ..store.index import Index
from ..store.index.ask import ask, columns
from . import here
from .present import clean, emit, line, note, table
from .progress import progress

_EPILOG: Final = """\b
  gitrepro sql 'SELECT name, "val/accuracy" FROM runs ORDER BY 2 DESC LIMIT 5'
  gitrepro sql 'SELECT "config.lr", avg("val/loss") FROM runs GROUP BY 1'
\b
runs    one row a run; metrics under their names, config as "config.lr"
labels  id, label
data    id, kind (data or split), name, version, digest, dataset: a row for
        each data set and split of a run; `runs` has them as text
extra   id, kind, key, value: metrics and config keys beyond the 1,500
        that have a column of their own
\b
The dialect is SQLite's. Names with dots and slashes stand in double quotes.
Removed runs have removed = 1. NaN is NULL here.
"""


@click.command(epilog=_EPILOG)
@click.argument("query", required=False)
@click.option("--columns", "list_columns", is_flag=True, help="List the columns of `runs`.")
@click.option("--json", "as_json", is_flag=True, help="Print an array of rows as JSON.")
def sql(query: str | None, list_columns: bool, as_json: bool) -> None:
    """Ask the index in SQL. It is read and never written."""
    if (query is None) != list_columns:
        raise UsageError("sql takes one question, or --columns", do='`gitrepro sql "SELECT count(*) FROM runs"`')
    with Index(here.repository(), on_progress=progress("indexing runs")) as index:
        if query is None:
            _list(list(columns(index.db)), as_json=as_json)
            return
        names, found = ask(index.db, query)
        rows = [[_shown(value) for value in row] for row in found]
        troubles = index.troubles()
    if as_json:
        emit([dict(zip(names, row, strict=True)) for row in rows])
    else:
        numbers = [place for place in range(len(names)) if any(isinstance(row[place], int | float) for row in rows)]
        table(rows, [clean(name) for name in names], right=numbers)
    if troubles:
        note(f"{len(troubles)} damaged records are not in the index; `gitrepro doctor` names them")


def _list(names: list[str], *, as_json: bool) -> None:
    if as_json:
        emit(names)
    else:
        for name in names:
            line(clean(name))


def _shown(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value
