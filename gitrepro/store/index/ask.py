"""SQL of a user on the index: views with the names people know, and nothing but reading."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, Final

from ...errors import UsageError
from ...query.sql import NAN
from . import schema
from .terms import field

_ALLOWED: Final = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, 33})  # 33: RECURSIVE
_FORBIDDEN_FUNCTIONS: Final = frozenset({"load_extension", "fts3_tokenizer"})
_BESIDE: Final = frozenset({"labels", "label", "extra", "key", "value", "version", "digest", "dataset"})
"""The views beside `runs`, and the columns that they alone have."""
_STEPS_BETWEEN_LOOKS: Final = 20_000
# What stands in single quotes or is a comment is skipped; what stands in double quotes is a name.
_QUOTED: Final = re.compile(
    r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/|(\bas\s+)?\"((?:[^\"]|\"\")*)\"", re.DOTALL | re.IGNORECASE
)


def columns(db: sqlite3.Connection) -> dict[str, str]:
    """The columns of the view `runs`: the name, and where it stands in the table."""
    found = {name: field(name) for name in (*schema.FIELDS, *schema.FIELDS_BESIDE)}
    taken = {name.lower() for name in found}
    rows = db.execute("SELECT kind, key, number FROM columns WHERE wide ORDER BY kind, key").fetchall()
    for kind, key, number in rows:
        names = [key, f"metric.{key}"] if kind == "metric" else [f"config.{key}"]
        # SQLite takes Loss and loss for one name.
        name = next((name for name in names if name.lower() not in taken), f"{names[-1]}#{number}")
        taken.add(name.lower())
        found[name] = schema.column(kind, number)
    return found


def ask(db: sqlite3.Connection, sql: str) -> tuple[list[str], Iterator[tuple[Any, ...]]]:
    """The names of the columns of an answer, and its rows. `db` can only read from now on.

    Raises:
        UsageError: SQLite does not understand it, or it would do more than read.
    """
    known = columns(db)
    _check_quoted(sql, known)
    for statement in _views(known):
        db.execute(statement)
    db.set_authorizer(_authorize)
    # Between the steps of a long query Python gets its turn, and with it Ctrl-C.
    db.set_progress_handler(lambda: 0, _STEPS_BETWEEN_LOOKS)
    try:
        cursor = db.execute(sql)
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise _explained(error, known) from error
    if cursor.description is None:
        raise UsageError("this is no question", do='begin with SELECT, as in `gitrepro sql "SELECT * FROM runs"`')
    return _unique([column[0] for column in cursor.description]), _rows(cursor, known)


def _rows(cursor: sqlite3.Cursor, known: dict[str, str]) -> Iterator[tuple[Any, ...]]:
    try:
        yield from cursor
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise _explained(error, known) from error


def _views(known: dict[str, str]) -> Iterator[str]:
    # NaN is NULL here: SQLite has no other word for it, and would take its bytes for greater than any number.
    shown = ", ".join(
        f"{_null_for_nan(column) if column[0] != chr(34) else column} AS {_name(name)}"
        for name, column in known.items()
    )
    runs = f"SELECT {shown} FROM main.runs"
    labels = "SELECT id, label FROM main.labels JOIN main.runs USING (row)"
    extra = f"""SELECT id, columns.kind, columns.key, {_null_for_nan("value")} AS value
        FROM main.extra JOIN main.runs USING (row) JOIN main.columns USING (number)"""
    data = """SELECT runs.id, held.kind, held.name, held.version, held.digest, held.dataset
        FROM main.uses JOIN main.runs USING (row) JOIN main.data AS held USING (number)"""
    for name, select in (("runs", runs), ("labels", labels), ("extra", extra), ("data", data)):
        yield f"DROP VIEW IF EXISTS temp.{name}"
        yield f"CREATE TEMP VIEW {name} AS {select}"


def _null_for_nan(column: str) -> str:
    return f"nullif({column}, x'{NAN.hex()}')"


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _authorize(action: int, _first: str | None, second: str | None, *_: object) -> int:
    if action not in _ALLOWED or (action == sqlite3.SQLITE_FUNCTION and second in _FORBIDDEN_FUNCTIONS):
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def _check_quoted(sql: str, known: dict[str, str]) -> None:
    """SQLite takes a name in double quotes that it does not know for a text: a slip would be an answer."""
    quoted = [(bool(given), name.replace('""', '"')) for given, name in _QUOTED.findall(sql) if name]
    fine = {name.lower() for name in known} | {"runs", "rowid", *_BESIDE}
    fine |= {name.lower() for given, name in quoted if given}
    for _, name in quoted:
        if name.lower() not in fine:
            raise _no_column(name, known)


def _explained(error: Exception, known: dict[str, str]) -> Exception:
    text = str(error)
    if "interrupted" in text:
        return KeyboardInterrupt()  # type: ignore[return-value]
    if missing := re.fullmatch(r"no such column: (?:\w+\.)?(.+)", text):
        return _no_column(missing[1], known)
    if "not authorized" in text or "prohibited" in text or "authorization" in text:
        return UsageError("this would do more than read", why=text, do="only SELECT is answered here")
    return UsageError(f"SQLite says: {text}", do="`gitrepro sql --help` names the tables and columns")


def _no_column(name: str, known: dict[str, str]) -> UsageError:
    import difflib  # only a slip needs it

    near = difflib.get_close_matches(name, known, n=3)
    near += [each for each in known if each.rpartition(".")[2] == name or each == f"config.{name}"][:2]
    shown = ", ".join(_name(each) for each in dict.fromkeys(near)) or "names with dots and slashes need double quotes"
    return UsageError(
        f"there is no column {name!r:.80}",
        why=f"nearest: {shown}" if near else shown,
        do="`gitrepro sql --columns` lists them",
    )


def _unique(names: Sequence[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        number, candidate = 2, name
        while candidate in found:
            number, candidate = number + 1, f"{name}:{number}"
        found.append(candidate)
    return found
