"""`gitrepro data add`: put a version of a data set on record."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from ...data.datasets import Addition, Wish, add_dataset
from ...run import place
from ...run.compose import stamp
from ...store import worktree
from .. import here
from ..present import clean, counted, emit, line, note, size
from ..progress import cleared, following, progress
from .parts import SCHEMA, document, named, short

_EPILOG = """\b
  gitrepro data add data/digits digits --label folder
  gitrepro data add prices.csv prices@2026-03 --id order --label price
  gitrepro data add /big/imagenet imagenet --link --ignore '*.tmp'
"""


@click.command(epilog=_EPILOG)
@click.argument("path")
@click.argument("name", metavar="NAME[@VERSION]")
@click.option("--link/--copy", "link", default=None, help="Leave the bytes where they lie, or copy them in.")
@click.option("--id", "ids", metavar="COLUMN|path|row", help="What names an item. Files: path. Rows: row, or a column.")
@click.option("--label", metavar="COLUMN|folder", help="What an item belongs to: a column, or the first folder.")
@click.option("--ignore", multiple=True, metavar="GLOB", help="Leave files out. Repeatable.")
@click.option("--follow", is_flag=True, help="Take what symbolic links point at, in place of the links.")
@click.option("--no-stats", is_flag=True, help="Compute no statistics; `gitrepro data stats` does it later.")
@click.option("--note", "-m", "words", help="A few words on this version.")
@click.option("--json", "as_json", is_flag=True, help="Print the version as JSON.")
def add(
    path: str,
    name: str,
    link: bool | None,
    ids: str | None,
    label: str | None,
    ignore: tuple[str, ...],
    follow: bool,
    no_stats: bool,
    words: str | None,
    as_json: bool,
) -> None:
    """Add what lies at PATH as a version of NAME.

    A version is its content: adding the same again is quick and says which version it is. Without a VERSION the next of
    v1, v2, ... is taken. Data on another file system than the store, or larger than 10 GiB, are linked: hashed where
    they lie and not copied; --copy copies them all the same. It may be interrupted and run again.
    """
    found = here.repository()
    wanted, version = named(name)
    wish = Wish(
        path=Path(path),
        source=path,
        name=wanted,
        version=version,
        link=link,
        id=_id(ids),
        label=label,
        ignore=ignore,
        follow=follow,
        describe=not no_stats,
        note=words,
    )
    try:
        addition = add_dataset(
            found,
            wish,
            identity=worktree.identity(found, fallback=place.nobody()),
            at=stamp(time.time()),
            progress=following(f"adding {wanted}"),
            describing=progress(f"describing {wanted}"),
        )
    finally:
        cleared()
    if as_json:
        emit(_document(addition))
    else:
        line(_said(addition, version))
    _remark(addition)


def _id(text: str | None) -> str | None:
    """A column goes by its bare name; one called `row` or `path` is written `column:row`."""
    if text is None or text in ("path", "row") or text.startswith("column:"):
        return text
    return f"column:{text}"


def _said(addition: Addition, asked: str | None) -> str:
    record = addition.record
    if not addition.new:
        return f"{record.ref} is this already" + (f", and not {asked}" if asked not in (None, record.version) else "")
    kept = "linked" if addition.keeping.linked else f"{size(addition.added.new_bytes)} new in the store"
    facts = [counted(record.items, "item"), counted(record.files, "file"), size(record.size_bytes), record.kind, kept]
    return f"{record.ref}  {short(record.digest)}  {', '.join(facts)}"


def _remark(addition: Addition) -> None:
    record = addition.record
    for sentence in addition.added.notes:
        note(clean(sentence))
    if addition.keeping.linked and addition.keeping.why:
        note(f"linked, not copied: {addition.keeping.why}; --copy copies it")
    if not record.items:
        note(f"{record.ref} is empty")
    if addition.unread:
        note(f"kept as a plain file, without rows or statistics: {clean(addition.unread)}")
    if addition.undescribed:
        note(f"no statistics: {clean(addition.undescribed)}")


def _document(addition: Addition) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "new": addition.new,
        "dataset": document(addition.record),
        "linked_because": addition.keeping.why or None,
        "hashed_files": addition.added.hashed_files,
        "reused_files": addition.added.reused_files,
        "new_bytes": addition.added.new_bytes,
        "notes": list(addition.added.notes),
        "no_statistics": addition.undescribed or None,
        "no_table": addition.unread or None,
    }
