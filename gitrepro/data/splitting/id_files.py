"""Files that people keep their parts in: an id a line, a column of a CSV file, a JSON list."""

from __future__ import annotations

import csv
import json
import os
import stat
from collections.abc import Container, Iterable, Mapping, Sequence
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any, Final

from ...errors import NotFound, UsageError

_SHOWN: Final = 3
_USUAL_COLUMNS: Final = ("id", "ids", "index", "path", "file", "filename", "name")


def read_ids(path: Path, *, column: str | None = None, known: Container[str] = ()) -> list[str]:
    """The ids in a file, in its order: by its suffix `.json`, `.csv` or `.tsv`, or else one a line.

    Args:
        column: of a CSV file; without it, its only one, or one that is called `id`, `path` or the like.
        known: ids of the data set: a CSV file of one column that begins with one of them has no header.

    Raises:
        NotFound: there is no such file.
        UsageError: it cannot be read as ids.
    """
    try:
        text = _text(path)
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read", why=str(error)) from None
    suffix = path.suffix.lower()
    if suffix == ".json":
        return _of_json(text, path)
    if suffix in (".csv", ".tsv"):
        return _of_csv(text, path, column, known, delimiter="\t" if suffix == ".tsv" else ",")
    return [line for line in (line.removesuffix("\r") for line in text.split("\n")) if line]


def _text(path: Path) -> str:
    # Not to wait for a writer, should a pipe stand there.
    with open(path, encoding="utf-8-sig", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as reader:
        if not stat.S_ISREG(os.fstat(reader.fileno()).st_mode):
            raise UsageError(
                f"{path} is no regular file", why="a pipe or a device may never end", do="write the ids to a file"
            )
        return reader.read()


def _of_json(text: str, path: Path) -> list[str]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no JSON", why=str(error)) from None
    if not isinstance(found, list) or not all(map(_is_id, found)):
        raise UsageError(f"{path} is no list of ids", why='it should look like ["a", "b"] or [0, 1]')
    return [str(each) for each in found]


def _is_id(value: Any) -> bool:
    return isinstance(value, (str, int)) and not isinstance(value, bool)


def _of_csv(text: str, path: Path, column: str | None, known: Container[str], *, delimiter: str) -> list[str]:
    try:
        rows = list(csv.reader(StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise UsageError(f"{path} cannot be read as CSV", why=str(error)) from None
    header, body = (rows[0] if rows else []), rows[1:]
    if column is None and len(header) == 1 and header[0] in known:
        return [row[0] for row in rows if row and row[0]]
    at = _column(header, path, column)
    return [row[at] for row in body if len(row) > at and row[at]]


def _column(header: Sequence[str], path: Path, column: str | None) -> int:
    wanted = [column] if column is not None else header if len(header) == 1 else _USUAL_COLUMNS
    for name in wanted:
        if name in header:
            return list(header).index(name)
    raise UsageError(
        f"{path} has no column {column!r}" if column else f"{path} does not say which column holds the ids",
        why=f"its columns are {', '.join(header[:10])}",
        do="name the column",
    )


def check_ids(parts: Mapping[str, Sequence[str]], known: set[str], *, ref: str) -> None:
    """See that imported parts name items of the data set, each of them once.

    Raises:
        UsageError: ids are unknown, stand twice in a part, or stand in two; says how many, and names the first.
    """
    faults = [*_unknown(parts, known), *_doubled(parts), *_shared(parts)]
    if faults:
        raise UsageError(f"these parts do not fit {ref}", why="; ".join(faults), do="mend the id files")


def _unknown(parts: Mapping[str, Sequence[str]], known: set[str]) -> Iterable[str]:
    for name, ids in parts.items():
        if lost := [each for each in ids if each not in known]:
            example = f"; its ids look like {next(iter(sorted(known)[:1]), '')!r:.60}" if len(lost) == len(ids) else ""
            yield f"{name} has {_some(lost)} that the data set has not{example}"


def _doubled(parts: Mapping[str, Sequence[str]]) -> Iterable[str]:
    for name, ids in parts.items():
        seen: set[str] = set()
        if again := [each for each in ids if each in seen or seen.add(each)]:  # type: ignore[func-returns-value]
            yield f"{name} repeats {_some(again)}"


def _shared(parts: Mapping[str, Sequence[str]]) -> Iterable[str]:
    names = list(parts)
    sets = {name: set(ids) for name, ids in parts.items()}
    for at, name in enumerate(names):
        for other in names[at + 1 :]:
            if both := sorted(sets[name] & sets[other]):
                yield f"{name} and {other} share {_some(both)}"


def _some(ids: Sequence[str]) -> str:
    shown = ", ".join(f"{each!r:.60}" for each in islice(ids, _SHOWN))
    return f"{len(ids):,} {'id' if len(ids) == 1 else 'ids'} ({shown}{', …' if len(ids) > _SHOWN else ''})"
