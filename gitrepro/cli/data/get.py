"""`gitrepro data get`: lay a version out where it is wanted."""

from __future__ import annotations

import time
from collections.abc import Iterator

import click

from ...data.extra import Extra
from ...data.getting import get_dataset
from ...records.filename import escape
from ...run.compose import stamp
from ...store.catalog import Catalog
from .. import here
from ..present import clean, counted, emit, line, note, size
from ..progress import cleared, following
from ..traffic import say_answers
from .parts import SCHEMA

_NAMED_AT_MOST = 3
_EPILOG = """\b
  gitrepro data get digits                       into ./digits
  gitrepro data get digits@v1 /tmp/digits --only '*/3/*.png'
  gitrepro data get prices@2026-03 prices.csv    one file, under that name
"""


@click.command(epilog=_EPILOG)
@click.argument("name", metavar="NAME[@VERSION]")
@click.argument("dest", required=False)
@click.option("--force", is_flag=True, help="Overwrite files that were changed.")
@click.option("--only", multiple=True, metavar="GLOB", help="Only paths that match. Repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def get(name: str, dest: str | None, force: bool, only: tuple[str, ...], as_json: bool) -> None:
    """Lay the files of a version out.

    DEST is a folder, by default one of the data set's name in the current one. A data set of one file goes into DEST
    when it is a folder, and else to that path. What lies there unchanged is kept, and files that were changed are not
    overwritten without --force; other files in DEST are left alone, and named. Every byte is hashed on the way.
    Interrupted, it goes on where it was.
    """
    found = here.repository()
    with Catalog(found) as catalog:
        record = catalog.dataset(name)
    try:
        got = get_dataset(
            found,
            record,
            dest,
            at=stamp(time.time()),
            only=only,
            force=force,
            progress=following(f"laying out {record.ref}"),
            fetching=following(f"fetching {record.ref}"),
            told=lambda brought: say_answers(brought.answers),
        )
    finally:
        cleared()
    if as_json:
        facts = {"name": record.name, "version": record.version, "digest": record.digest, "path": str(got.path)}
        done = {"written": got.written, "kept": got.kept, "size_bytes": got.size_bytes}
        extra = {"extra": [escape(path) for path in got.extra.paths], "extra_more": got.extra.more}
        emit({"schema": SCHEMA, **facts, **done, **extra})
        return
    line(clean(got.path))
    note(f"{record.ref}: {counted(got.written, 'file')} written, {got.kept:,} there already, {size(got.size_bytes)}")
    for text in _left_alone(got.extra, record.ref):
        note(text)


def _left_alone(extra: Extra, ref: str) -> Iterator[str]:
    """What is said of files in the folder that are not in the version."""
    names = ", ".join(clean(escape(path)) for path in extra.paths[:_NAMED_AT_MOST])
    if len(extra.paths) == 1 and not extra.more:
        yield f"{names} is not in {ref}; it is left alone"
    elif extra.paths:
        count = f"{counted(len(extra.paths), 'file')}{' or more' if extra.more else ''}"
        dots = ", …" if len(extra.paths) > _NAMED_AT_MOST or extra.more else ""
        yield f"{count} are not in {ref}; they are left alone: {names}{dots}"
