"""`gitrepro data ls`: which data sets are on record."""

from __future__ import annotations

from typing import Any

import click

from ...errors import NotFound
from ...records.dataset import DatasetRecord
from ...store.catalog import Catalog
from .. import here
from ..present import clean, emit, note, size, table
from .parts import SCHEMA, document, short

_HEADER = ("name", "version", "kind", "items", "files", "size", "added", "splits", "digest", "note")


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print an array as JSON.")
def ls(name: str | None, as_json: bool) -> None:
    """List the versions of data sets.

    Those of NAME alone when it is given; the newest of each comes last.
    """
    with Catalog(here.repository()) as catalog:
        if name is not None and name not in catalog.names():
            catalog.dataset(name)  # says which names are near
            raise NotFound(f"{name!r:.120} is no name of a data set", do="leave away what follows the name")
        found = [(record, _splits(catalog, record)) for record in catalog.datasets(name)]
        troubles = list(catalog.troubles)
    if as_json:
        emit([{"schema": SCHEMA, **document(record), "splits": splits} for record, splits in found])
    else:
        rows = [_row(record, splits) for record, splits in found]
        table(rows, _HEADER, right=(3, 4, 5), spare=(9, 6, 4, 2, 7, 8))
    for trouble in troubles:
        note(f"{clean(trouble.path)} cannot be read: {clean(trouble.error)}")
    if not found and not troubles:
        note("no data set is on record; `gitrepro data add PATH NAME` adds one")


def _splits(catalog: Catalog, record: DatasetRecord) -> list[str]:
    return sorted({split.name for split in catalog.splits(record)})


def _row(record: DatasetRecord, splits: list[str]) -> list[Any]:
    return [
        record.name,
        record.version,
        f"{record.kind}, linked" if record.linked else record.kind,
        f"{record.items:,}",
        f"{record.files:,}",
        size(record.size_bytes),
        record.created_at[:16].replace("T", " "),
        " ".join(splits),
        short(record.digest),
        record.note or "",
    ]
