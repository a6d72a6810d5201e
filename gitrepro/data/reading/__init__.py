"""Data sets as items with ids and labels, read in small memory: one file for each kind.

kinds     which kind lies at a path
items     what every reader offers
folder    files of a folder; images and text decode one of them
table     rows, over csv, parquet and jsonl
npz       arrays
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...errors import UsageError
from .folder import FolderItems
from .items import File, Files, Items, Table
from .kinds import FOLDERS, KINDS, TABLES, kind_of
from .npz import ArrayItems
from .table import Source, TableItems

__all__ = [
    "FOLDERS", "KINDS", "TABLES", "ArrayItems", "File", "Files", "FolderItems", "Items", "Table", "TableItems",
    "kind_of", "open_items",
]  # fmt: skip


def open_items(
    path: Path,
    kind: str,
    *,
    id: str | None = None,
    label: str | None = None,
    files: Sequence[bytes] | None = None,
    follow: bool = False,
) -> FolderItems | TableItems | ArrayItems:
    """Open the data at `path`.

    Args:
        kind: one of `KINDS`.
        id: `path` for folders and files; `row` or `column:NAME` for tables and arrays; the first of them by default.
        label: `folder`, or the name of a column or of an array.
        files: of a folder, the paths that belong to the data set; all by default.
        follow: of a folder, links are read through.

    Raises:
        UsageError: the id or the label does not fit, or the data has no such column.
        Damaged: the bytes are not what the kind says.
    """
    if kind not in KINDS:
        raise UsageError(f"there is no kind of data {kind!r}", do=f"one of {', '.join(KINDS)}")
    if kind == "file" or kind in FOLDERS:
        return FolderItems(path, kind, id=id or "path", label=label, names=files, follow=follow)
    if kind == "npz":
        return ArrayItems(path, id=id or "row", label=label)
    return TableItems(_source(path, kind), id=id or "row", label=label)


def _source(path: Path, kind: str) -> Source:
    from .csv import CsvSource
    from .jsonl import JsonlSource
    from .parquet import ParquetSource

    if kind == "csv":
        return CsvSource(path)
    return ParquetSource(path) if kind == "parquet" else JsonlSource(path)
