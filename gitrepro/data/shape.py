"""What the data at a path are made of: their kind, what names and labels an item, how many items there are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import Damaged, UsageError
from ..records.dataset import TABLES, is_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What the items of a path are, and what names and labels them.

    `unread` says why what looks like a table is taken for a plain file.
    """

    kind: str
    id: str
    label: str | None
    unread: str = ""


def shape_of(path: Path, *, id: str | None = None, label: str | None = None) -> Shape:
    """Look at the beginning of the data.

    What looks like a table and is none is a plain file, unless an id or a label was asked for.

    Raises:
        Damaged, UsageError: the data have no such id or label.
    """
    from .reading import kind_of, open_items

    kind = kind_of(path)
    rule = id or ("row" if kind in TABLES else "path")
    if not is_id(rule):
        raise UsageError(f"{rule!r:.80} names no item", do="give `path`, `row`, or `column:NAME`")
    try:
        open_items(path, kind, id=rule, label=label)
    except (Damaged, UsageError) as error:
        if kind not in TABLES or id or label:
            raise
        return _plain(error)
    return Shape(kind=kind, id=rule, label=label)


def counted(path: Path, shape: Shape, *, files: int) -> tuple[Shape, int]:
    """The number of items; a table that breaks off in the middle is a plain file, see `shape_of`.

    Args:
        files: how many files the data have.

    Raises:
        Damaged, UsageError: a table that an id or a label was asked for cannot be read, or two rows have one id.
    """
    from .reading import open_items

    if shape.kind not in TABLES:
        return shape, files
    items = open_items(path, shape.kind, id=shape.id, label=shape.label)
    try:
        count = len(items)
        items.ids()  # an id that two rows have is told here
        return shape, count
    except Damaged as error:
        if shape.id != "row" or shape.label:
            raise
        return _plain(error), files


def _plain(error: Damaged | UsageError) -> Shape:
    return Shape(kind="file", id="path", label=None, unread=str(error))
