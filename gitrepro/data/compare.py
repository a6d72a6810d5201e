"""What changed from one version of a data set to another: files, rows, and how the statistics moved."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import GitreproError
from ..records.dataset import DatasetRecord
from ..store import fs
from ..store.catalog import Catalog
from ..store.repository import Repository
from .lookup import State, check_is_here, look, within
from .places import places_of
from .rows import ROWS_AT_MOST, Changes, TableChanges, changes, compare_rows, rows_of

if TYPE_CHECKING:
    from .rowdigests import Rows
    from .statistics import Move

TABLE_BYTES_AT_MOST: Final = 2 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two versions beside each other.

    `table` is None where they are no tables, or where rows could not be compared, and `unread` says why. `moves` is
    None where the statistics could not be compared, and `unmoved` says why.
    """

    old: DatasetRecord
    new: DatasetRecord
    files: Changes
    size_added_bytes: int
    size_removed_bytes: int
    table: TableChanges | None
    unread: str
    moves: Sequence[Move] | None
    unmoved: str = ""
    statistics: tuple[Mapping[str, Any], Mapping[str, Any]] = ({}, {})

    @property
    def differ(self) -> bool:
        return self.old.digest != self.new.digest


def compare(repository: Repository, old: DatasetRecord, new: DatasetRecord) -> Comparison:
    """Compare two versions, of one data set or of two.

    Raises:
        BlobMissing: the manifest of one of them is not here.
        Damaged: it cannot be read.
    """
    files, added_bytes, removed_bytes = _files(repository, old.digest, new.digest)
    table, unread = _table(repository, old, new)
    moves, unmoved, statistics = _moves(repository, old, new)
    return Comparison(
        old=old,
        new=new,
        files=files,
        size_added_bytes=added_bytes,
        size_removed_bytes=removed_bytes,
        table=table,
        unread=unread,
        moves=moves,
        unmoved=unmoved,
        statistics=statistics,
    )


def _files(repository: Repository, old: str, new: str) -> tuple[Changes, int, int]:
    """The files by their paths, and the bytes that came and went."""
    from ..records.manifest import escape
    from ..store.place import store_of
    from ..store.trees import changed, read_tree

    store = store_of(repository)
    names: dict[str, list[str]] = {"added": [], "removed": [], "changed": []}
    added_bytes = removed_bytes = 0
    for each in changed(store, old, new):
        what = "added" if each.old is None else "removed" if each.new is None else "changed"
        names[what].append(escape(each.path))
        added_bytes += each.new.size_bytes if each.new else 0
        removed_bytes += each.old.size_bytes if each.old else 0
    sizes = {"before": read_tree(store, old).files, "after": read_tree(store, new).files}
    return changes(names["added"], names["removed"], names["changed"], **sizes), added_bytes, removed_bytes


def _moves(
    repository: Repository, old: DatasetRecord, new: DatasetRecord
) -> tuple[Sequence[Move] | None, str, tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """How the statistics moved, or why that is not known; and the statistics."""
    from .statistics import moved

    try:
        with Catalog(repository) as catalog:
            before, after = catalog.statistics(old), catalog.statistics(new)
        if before is None or after is None:
            return None, "one of them has none; `gitrepro data stats NAME@VERSION` computes them", ({}, {})
        return moved(before, after), "", (before, after)
    except GitreproError as error:
        return None, str(error), ({}, {})  # damaged, or of two algorithms, whose numbers do not mean the same


# -- rows


def _table(repository: Repository, old: DatasetRecord, new: DatasetRecord) -> tuple[TableChanges | None, str]:
    """The rows compared, or why they were not."""
    if not (old.is_table and new.is_table) or old.digest == new.digest:
        return None, ""
    if max(old.items, new.items) > ROWS_AT_MOST:
        return None, f"rows are compared up to {ROWS_AT_MOST:,}"
    if max(old.size_bytes, new.size_bytes) > TABLE_BYTES_AT_MOST:
        return None, f"rows are compared in files up to {TABLE_BYTES_AT_MOST >> 30} GiB"
    try:
        with _present(repository, old) as before, _present(repository, new) as after:
            return _compared(old, new, before, after)
    except GitreproError as error:
        return None, str(error)


def _compared(old: DatasetRecord, new: DatasetRecord, before: Path, after: Path) -> tuple[TableChanges | None, str]:
    sides = [_rows(record, path) for record, path in ((old, before), (new, after))]
    if sides[0] is None or type(sides[0]) is not type(sides[1]):
        return None, f"a {old.kind} table and a {new.kind} table have no rows of one kind"
    by = old.id.removeprefix("column:") if old.id == new.id and old.id != "row" else None
    return compare_rows(*sides, by=by), ""  # type: ignore[arg-type]


def _rows(record: DatasetRecord, path: Path) -> Rows | None:
    from .reading import open_items

    return rows_of(open_items(path, record.kind, id=record.id, label=record.label))


@contextmanager
def _present(repository: Repository, record: DatasetRecord) -> Iterator[Path]:
    """The one file of a table, where it lies unchanged, or laid out for as long as the block runs."""
    for place in places_of(repository, record.digest):
        if look(repository, record, place, "stat").state is State.SAME:
            yield place.path
            return
    check_is_here(repository, record, [])
    with fs.explained(f"cannot lay {record.ref} out"):
        folder = Path(tempfile.mkdtemp(prefix="gitrepro-diff-"))
    try:
        yield _restored(repository, record, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _restored(repository: Repository, record: DatasetRecord, folder: Path) -> Path:
    from ..store.place import store_of
    from ..store.restore import restore_tree
    from ..store.statcache import StatCache

    restore_tree(store_of(repository), StatCache.of(repository), record.digest, folder)
    return within(repository, record, folder)
