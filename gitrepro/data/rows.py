"""Which rows of a table were added, removed or changed from one version to another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from .reading import ArrayItems, FolderItems, TableItems
from .rowdigests import ArrayRows, ArrowRows, Rows

ROWS_AT_MOST: Final = 1_000_000
NAMED_AT_MOST: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """How many things there were and are, how many were added, removed and changed, and the first of each by name."""

    before: int
    after: int
    added: int
    removed: int
    changed: int
    names_added: tuple[str, ...] = ()
    names_removed: tuple[str, ...] = ()
    names_changed: tuple[str, ...] = ()

    @property
    def any(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def changes(
    added: Sequence[str], removed: Sequence[str], changed: Sequence[str], *, before: int, after: int
) -> Changes:
    """The changes that these names tell of; only the first of them are kept."""
    return Changes(
        before=before,
        after=after,
        added=len(added),
        removed=len(removed),
        changed=len(changed),
        names_added=tuple(added[:NAMED_AT_MOST]),
        names_removed=tuple(removed[:NAMED_AT_MOST]),
        names_changed=tuple(changed[:NAMED_AT_MOST]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TableChanges:
    """How a table changed. `by` is what names a row, or None where rows were compared by what they hold.

    Rows are compared by the columns that both versions have; `retyped` are those of another type now.
    """

    rows: Changes
    by: str | None
    columns_added: tuple[str, ...]
    columns_removed: tuple[str, ...]
    retyped: Mapping[str, tuple[str, str]]


def rows_of(items: FolderItems | TableItems | ArrayItems) -> Rows | None:
    """The items as rows that can be compared; None where they are files."""
    if isinstance(items, TableItems):
        return ArrowRows(items)
    return ArrayRows(items) if isinstance(items, ArrayItems) else None


def compare_rows(old: Rows, new: Rows, *, by: str | None) -> TableChanges:
    """Compare two tables of one class row by row.

    Args:
        by: the column that names a row; None compares what the rows hold, whatever their order. So it is, too, where
            an id is not one row's alone.
    """
    before, after = old.types(), new.types()
    common = [name for name in before if name in after]
    types = {name: old.common(before[name], after[name]) for name in common}
    wanted = {name: kind for name, kind in types.items() if kind is not None}
    digests = [_digests(rows, wanted, alone=side) for side, rows in ((b"-", old), (b"+", new))]
    found = _by_id(old, new, *digests) if by else None
    return TableChanges(
        rows=found or _as_heaps(*digests),
        by=by if found else None,
        columns_added=tuple(name for name in after if name not in before),
        columns_removed=tuple(name for name in before if name not in after),
        retyped={name: (_said(before[name]), _said(after[name])) for name in common if before[name] != after[name]},
    )


def _digests(rows: Rows, wanted: Mapping[str, object], *, alone: bytes) -> list[bytes]:
    # Without a column to compare by, no row of one is a row of the other.
    return rows.digests(wanted) if wanted else [alone] * len(rows)


def _said(kind: object) -> str:
    if not isinstance(kind, tuple):
        return str(kind)
    dtype, shape = kind
    return f"{dtype} {'×'.join(map(str, shape))}".rstrip()


def _by_id(old: Rows, new: Rows, before: Sequence[bytes], after: Sequence[bytes]) -> Changes | None:
    """Rows by their ids; None where an id is not one row's alone."""
    known = dict(zip(old.ids(), before, strict=True))
    there = dict(zip(new.ids(), after, strict=True))
    if len(known) < len(before) or len(there) < len(after):
        return None
    return changes(
        [name for name in there if name not in known],
        [name for name in known if name not in there],
        [name for name, digest in there.items() if known.get(name, digest) != digest],
        before=len(known),
        after=len(there),
    )


def _as_heaps(before: Sequence[bytes], after: Sequence[bytes]) -> Changes:
    """Rows by what they hold. One that was edited counts as removed and as added; its number is its name."""
    known, there = Counter(before), Counter(after)
    added, removed = _surplus(after, there - known), _surplus(before, known - there)
    return changes(added, removed, [], before=len(before), after=len(after))


def _surplus(rows: Sequence[bytes], more: Counter[bytes]) -> list[str]:
    """The numbers of the last rows of each content of which there are more here than there."""
    found = []
    for number in range(len(rows) - 1, -1, -1):
        if more[rows[number]] > 0:
            more[rows[number]] -= 1
            found.append(str(number))
    return found[::-1]
