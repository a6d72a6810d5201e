"""A version of a data set that lies in memory: what splits ask of one, without a store behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gitrepro.data.parts import Split
from gitrepro.data.splitting.dividing import Wish, divide
from gitrepro.errors import UsageError
from gitrepro.records.dataset import DatasetRecord
from gitrepro.records.partition import Partition
from gitrepro.records.split import SplitRecord

DIGEST = "b3:" + "ab" * 32


@dataclass
class Table:
    """Items by their columns; ids are row numbers unless `names` says otherwise."""

    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    names: Sequence[str] | None = None
    label: str | None = None
    kind: str = "csv"
    digest: str = DIGEST
    version: str = "v1"

    @property
    def record(self) -> DatasetRecord:
        count = len(self.names) if self.names is not None else len(next(iter(self.columns.values())))
        return DatasetRecord(
            name="things", version=self.version, digest=self.digest, kind=self.kind, items=count, files=1, size_bytes=1,
            linked=False, source="things", label=self.label,
            id="row" if self.names is None else "column:id" if self.kind == "csv" else "path",
        )  # fmt: skip

    def ids(self) -> Sequence[str]:
        return list(self.names) if self.names is not None else [str(row) for row in range(self.record.items)]

    def files(self) -> list[Path]:
        return [Path("/data") / each for each in self.ids()]

    def labels(self) -> Sequence[str | None] | None:
        return (
            None if self.label is None else [None if each is None else str(each) for each in self.columns[self.label]]
        )

    def column(self, name: str) -> Sequence[Any]:
        if name not in self.columns:
            raise UsageError(f"things has no column {name!r}")
        return list(self.columns[name])


def split_of(dataset: Table, wish: Wish | None = None, *, name: str = "default") -> Split:
    """A split that is opened without having been put on record."""
    divided = divide(dataset, name, wish or Wish())
    ids = {part: [divided.ids[at] for at in places.tolist()] for part, places in divided.parts.items()}
    partition = Partition(data=dataset.digest, ids=dataset.record.id, rule=divided.rule, parts=ids)
    record = SplitRecord(
        name=name,
        version="v1",
        digest="b3:" + "cd" * 32,
        dataset={"name": "things", "version": dataset.version, "digest": dataset.digest},
        rule=divided.rule,
        parts={part: len(own) for part, own in ids.items()},
    )
    return Split(record, partition, dataset)
