"""`gitrepro data get`: lay a version out where it is wanted."""

from __future__ import annotations

import time

import click

from ...data.getting import get_dataset
from ...run.compose import stamp
from ...store.catalog import Catalog
from .. import here
from ..present import clean, emit, line, note, size
from .parts import SCHEMA, cleared, counted, following

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
    overwritten without --force. Every byte is hashed on the way. Interrupted, it goes on where it was.
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
        )
    finally:
        cleared()
    if as_json:
        facts = {"name": record.name, "version": record.version, "digest": record.digest, "path": str(got.path)}
        emit({"schema": SCHEMA, **facts, "written": got.written, "kept": got.kept, "size_bytes": got.size_bytes})
        return
    line(clean(got.path))
    note(f"{record.ref}: {counted(got.written, 'file')} written, {got.kept:,} there already, {size(got.size_bytes)}")
