"""What of a data set goes into a seal: the labels of one part, and its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, final

from ...errors import UsageError
from ...records.sealed import CONTENT, ID, INPUTS, LABEL, LABELS, Contents
from ...records.split import SplitRecord
from ...store.place import store_of
from ...store.repository import Repository
from .reading import some, text_of

if TYPE_CHECKING:
    from ..handle import Dataset

INPUT_BYTES_AT_MOST: Final = 1 << 30
"""Inputs are encrypted in memory, and opened in memory."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Holdout:
    """One part of one split: what can be sealed."""

    split: SplitRecord
    part: str

    def __str__(self) -> str:
        of = self.split.dataset
        return f"{self.part} of {of['name']}@{of['version']}/{self.split.name}@{self.split.version}"

    def contents(self, kind: str, table: Any) -> Contents:
        data = str(self.split.dataset["digest"])
        return Contents(kind=kind, data=data, split=self.split.digest, part=self.part, table=table)


def ids_of(repository: Repository, holdout: Holdout) -> list[str]:
    """The ids of the part, as its split lists them. Nothing is counted as read: ids are no secret.

    Raises:
        UsageError: the split has no such part.
        BlobMissing, Damaged: its ids are not here, or not what they were.
    """
    from ...sync.get import ensure
    from ..splits import read_partition

    store = store_of(repository)
    if holdout.split.digest not in store:
        ensure(repository, [holdout.split.digest])
    parts = read_partition(store, holdout.split).parts
    if holdout.part not in parts:
        raise UsageError(
            f"split {holdout.split.name}@{holdout.split.version} has no part {holdout.part!r:.80}",
            why=f"its parts are {', '.join(list(parts)[:10])}",
            do="name one with --part",
        )
    return list(parts[holdout.part])


def labels_of(dataset: Dataset) -> dict[str, str | None]:
    """The label of each item of a data set, as text.

    Raises:
        UsageError: it has no labels.
    """
    found = dataset.labels()
    if found is None:
        raise UsageError(
            f"{dataset.record.ref} has no labels",
            why="it was added without --label",
            do="give a file with a column `id` and a column `label`: --labels FILE",
        )
    return dict(zip(dataset.ids(), (None if each is None else text_of(each) for each in found), strict=True))


def sealed_labels(holdout: Holdout, ids: Sequence[str], labels: Mapping[str, str | None], *, source: str) -> Contents:
    """The labels of the part, to be sealed.

    Raises:
        UsageError: some of the ids have none.
    """
    import pyarrow as pa

    if missing := [each for each in ids if labels.get(each) is None]:
        example = "" if len(missing) < len(ids) else f"; its ids look like {next(iter(labels), '')!r:.60}"
        raise UsageError(
            f"{source} has no label for {some(missing)}",
            why=f"{holdout} has {len(ids):,} examples{example}",
            do="give each example of the part a label, by its id",
        )
    table = pa.table({ID: pa.array(ids, pa.string()), LABEL: pa.array([labels[each] for each in ids], pa.string())})
    return holdout.contents(LABELS, table)


def sealed_inputs(holdout: Holdout, dataset: Dataset, ids: Sequence[str]) -> Contents:
    """All of the part but its labels: the bytes of files, or the rows of a table.

    Raises:
        UsageError: they are too large. Else it raises as `Dataset.files` and `Dataset.table` do.
    """
    import pyarrow as pa

    found = _rows(dataset, ids) if dataset.record.is_table else _files(dataset, ids)
    return holdout.contents(INPUTS, pa.table({ID: pa.array(ids, pa.string()), CONTENT: found}))


def _rows(dataset: Dataset, ids: Sequence[str]) -> Any:
    table = dataset.table()
    if dataset.record.label in table.column_names:
        table = table.drop_columns([dataset.record.label])
    taken = table.take(_places(dataset, ids))
    _check_size(taken.nbytes, dataset)
    return taken.to_struct_array()


def _files(dataset: Dataset, ids: Sequence[str]) -> Any:
    import pyarrow as pa

    files = dataset.files()
    paths = [files[place] for place in _places(dataset, ids)]
    _check_size(sum(path.stat().st_size for path in paths), dataset)
    return pa.array([path.read_bytes() for path in paths], pa.binary())


def _places(dataset: Dataset, ids: Sequence[str]) -> list[int]:
    if dataset.record.id == "row":
        return [int(each) for each in ids]
    place_of = {each: at for at, each in enumerate(dataset.ids())}
    return [place_of[each] for each in ids]


def _check_size(size_bytes: int, dataset: Dataset) -> None:
    if size_bytes > INPUT_BYTES_AT_MOST:
        raise UsageError(
            f"the inputs of this part of {dataset.record.ref} are too large to be sealed",
            why=f"they have {size_bytes:,} bytes, and are opened in memory, {INPUT_BYTES_AT_MOST:,} at the most",
            do="seal the labels alone",
        )
