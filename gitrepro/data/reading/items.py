"""What every reader offers: items one after another, with their ids and labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ...errors import Damaged, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_AT_ONCE = 1 << 16
"""Rows of a batch; every batch but the last has as many, whatever the file's own blocks are."""


class Items(Protocol):
    """The items of a data set in their order. Each method starts from the first item again."""

    kind: str

    def __len__(self) -> int: ...

    def ids(self) -> Iterator[str]:
        """The id of each item."""

    def labels(self) -> Iterator[str | None] | None:
        """The label of each item, None where it is missing; None in all when the data set has no label."""


class Table(Items, Protocol):
    """Items that are rows. Nested fields are columns of their own, with names like `a.b`."""

    id: str
    label: str | None

    @property
    def schema(self) -> pa.Schema: ...

    @property
    def notes(self) -> Sequence[str]:
        """What a reader of the statistics ought to know of how the file was read."""

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]: ...

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows, in memory."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of a folder.

    Attributes:
        id: its path within the data set, escaped.
        path: where it lies.
        size_bytes: its size, or the length of a link's target.
        is_link: it is a symbolic link, which is not followed.
    """

    id: str
    path: Path
    size_bytes: int
    is_link: bool


class Files(Items, Protocol):
    """Items that are files."""

    def files(self) -> Iterator[File]: ...


def unreadable(path: Path, kind: str, why: str) -> Damaged:
    """The error of a file that is not what its kind says."""
    return Damaged(
        f"{path} cannot be read as {kind}",
        why=why,
        do="mend the file, or add it without an id and a label: its bytes are kept, and nothing in it is read",
    )


def no_such_column(path: Path, name: str, there: Sequence[str], *, noun: str = "column") -> UsageError:
    """The error of a column that is not there."""
    shown = ", ".join(there[:20]) + (f" and {len(there) - 20:,} more" if len(there) > 20 else "")
    return UsageError(f"{path} has no {noun} {name!r}", why=f"it has {shown or 'none'}", do=f"name one of its {noun}s")


def id_column(path: Path, id: str, *, kind: str, usual: str) -> str | None:
    """The column that an id rule names; None when it is the usual rule of the kind.

    Raises:
        UsageError: the rule does not fit the kind.
    """
    if id == usual:
        return None
    if usual == "row" and id.startswith("column:") and id != "column:":
        return id.removeprefix("column:")
    fits = "`row` or `column:NAME`" if usual == "row" else f"`{usual}`"
    raise UsageError(f"the id rule {id!r} does not fit {path}", why=f"the ids of kind {kind} are {fits}")


def plain(value: Any) -> str:
    """A value of an id or of a label as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)
