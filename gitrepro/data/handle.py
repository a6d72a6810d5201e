"""A version of a data set, as a program uses it: its path, its files or rows, its ids, its labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from ..errors import UsageError
from ..records.dataset import DatasetRecord
from ..store.repository import Repository
from .lookup import Located, Tell, check_is_known, locate

if TYPE_CHECKING:
    import pyarrow as pa

    from .parts import Split
    from .reading import ArrayItems, FolderItems, TableItems


@final
class Dataset:
    """One version of a data set. Nothing is looked for, and nothing laid out, before it is asked for."""

    def __init__(
        self, repository: Repository, record: DatasetRecord, *, check: str = "stat", progress: Tell | None = None
    ) -> None:
        check_is_known(check)
        self.repository = repository
        self.record = record
        self._check = check
        self._progress = progress
        self.on_split: Callable[[Split], None] | None = None
        """Is told of each split that is opened: so a run knows what is read of its data."""

    def __repr__(self) -> str:
        return f"<Dataset {self.record.ref}: {self.record.items:,} items, {self.record.kind}, {self.digest[:15]}>"

    def __len__(self) -> int:
        """The number of items: files of a folder, rows of a table."""
        return self.record.items

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def version(self) -> str:
        return self.record.version

    @property
    def digest(self) -> str:
        """`b3:` and the BLAKE3 of the manifest: the same for the same bytes under the same names, everywhere."""
        return self.record.digest

    @property
    def path(self) -> Path:
        """The folder, or the one file, with exactly the bytes on record.

        The place it was added from, as long as the check finds it unchanged; else it is laid out from the store, below
        the repository's own folder, and hashed on the way.

        Raises:
            NotAvailable: its bytes are on record and nowhere on this machine.
            Damaged: they were linked, and have changed.
            StorageError: they cannot be laid out.
        """
        return self._located.path

    @property
    def checked(self) -> str:
        """How `path` was compared with the record: `stat`, `sample` or `full`. Raises as `path` does."""
        return self._located.checked

    @property
    def remarks(self) -> tuple[str, ...]:
        """Why `path` is not where the data were added from, where it is not. Raises as `path` does."""
        return tuple(seen.why for seen in self._located.passed_by)

    def files(self) -> list[Path]:
        """The files in the order of the items; of a table the one file it is. Raises as `path` does."""
        import os

        if self.path.is_file():
            return [self.path]
        return [self.path / os.fsdecode(name) for name in self._names]

    def ids(self) -> Sequence[str]:
        """The id of each item: the path within the data set, the number of the row, or the value of the id column.

        Raises:
            BlobMissing: the manifest is not here. Of tables with an id column it raises as `path` does.
        """
        if self.record.id == "row":
            return RowNumbers(self.record.items)
        return list(self._items.ids())

    def labels(self) -> list[str | None] | None:
        """The label of each item, None where an item has none; None in all where the data set has no labels.

        Raises as `ids` does; of all tables as `path` does.
        """
        if self.record.label is None:
            return None
        found = self._items.labels()
        return None if found is None else list(found)

    def table(self) -> pa.Table:
        """All rows of a CSV, Parquet, JSONL or NPZ data set, in memory; arrays of more axes as lists of fixed size.

        Raises:
            UsageError: its items are files.
            Damaged: the file is not what its kind says. Else it raises as `path` does.
        """
        return self._rows.table()

    def column(self, name: str) -> list[Any]:
        """One column, or one array of one axis, as plain values; None where one is missing.

        Raises:
            UsageError: its items are files, or there is no such column. Else it raises as `table` does.
        """
        from .reading import TableItems
        from .reading.items import no_such_column

        rows = self._rows
        if isinstance(rows, TableItems):
            if name not in rows.schema.names:
                raise no_such_column(self.path, name, rows.schema.names)
            values: list[Any] = rows.table([name]).column(0).to_pylist()
            return values
        if name not in rows.arrays or len(rows.arrays[name].shape) != 1:
            there = [each for each, array in rows.arrays.items() if len(array.shape) == 1]
            raise no_such_column(self.path, name, there, noun="array of one axis")
        numbers: list[Any] = rows.read(name).tolist()
        return numbers

    def split(self, name: str) -> Split:
        """A split of this version: `default`, `default@v2` or `b3:...`.

        Raises:
            NotFound: it has none of that name.
        """
        from .splits import open_split

        opened = open_split(self.repository, self, name)
        if self.on_split is not None:
            self.on_split(opened)
        return opened

    @cached_property
    def _located(self) -> Located:
        return locate(self.repository, self.record, check=self._check, progress=self._progress)

    @cached_property
    def _names(self) -> list[bytes]:
        from .described import item_names

        return item_names(self.repository, self.digest)

    @property
    def _rows(self) -> TableItems | ArrayItems:
        from .reading import FolderItems

        if not self.record.is_table or isinstance(self._items, FolderItems):
            raise UsageError(
                f"{self.record.ref} is no table",
                why=f"its kind is {self.record.kind}: its items are files",
                do="`files()` names them",
            )
        return self._items

    @cached_property
    def _items(self) -> FolderItems | TableItems | ArrayItems:
        from .reading import open_items

        kind, label = self.record.kind, self.record.label
        if self.record.is_table:
            return open_items(self.path, kind, id=self.record.id, label=label)
        # Names alone tell the ids and the labels of files: nothing need be here but the manifest.
        return open_items(Path("/"), "folder", id="path", label=label, files=self._names)


@final
class RowNumbers(Sequence[str]):
    """The ids of rows without an id column: "0", "1", ... Takes no room."""

    def __init__(self, count: int) -> None:
        self._range = range(count)

    def __len__(self) -> int:
        return len(self._range)

    def __getitem__(self, place: Any) -> Any:
        found = self._range[place]
        return list(map(str, found)) if isinstance(found, range) else str(found)

    def __contains__(self, each: object) -> bool:
        return (
            isinstance(each, str)
            and each.isascii()
            and each.isdigit()
            and str(int(each)) == each
            and int(each) in self._range
        )

    def __eq__(self, other: object) -> bool:
        if isinstance(other, RowNumbers):
            return self._range == other._range
        return isinstance(other, Sequence) and len(other) == len(self) and all(map(str.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]
