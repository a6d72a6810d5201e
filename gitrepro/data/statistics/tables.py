"""Statistics of rows: one summary for each column, by its type."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import compress, islice
from typing import TYPE_CHECKING, Any

from .classes import Classes
from .columns import Summary, summary_of
from .duplicates import Duplicates
from .numbers import held_by_each
from .prints import prints_of_rows
from .sampling import Sample, priorities
from .strings import distinct_of_each

if TYPE_CHECKING:
    import pyarrow as pa

    from ..reading import TableItems

FEATURES_DESCRIBED = 200


def describe_table(items: TableItems, sample: Sample, tell: Callable[[int], None]) -> dict[str, Any]:
    """Features, classes and duplicates of a table, in one pass over the rows."""
    names = _feature_names(items)
    summaries = _summaries(items, names[:FEATURES_DESCRIBED])
    classes = Classes() if _has_classes(items) else None
    duplicates = Duplicates()
    rows = 0
    for batch, labels in _described(items, sample, tell):
        priority = priorities(rows, batch.num_rows)
        for name, summary in summaries.items():
            summary.add(batch.column(name), priority)
        codes = classes.add(labels) if classes is not None and labels is not None else None
        duplicates.add(prints_of_rows(batch, names), codes)
        rows += batch.num_rows
    return {
        "n": rows,
        "features": {name: summary.document() for name, summary in summaries.items()},
        "feature_count": len(names),
        "duplicates": duplicates.document(id for id in items.ids() if id in sample),
        "notes": list(items.notes),
        **(classes.document() if classes is not None else {}),
    }


def _described(
    items: TableItems, sample: Sample, tell: Callable[[int], None]
) -> Iterator[tuple[pa.RecordBatch, list[str | None] | None]]:
    """Batches of the items that are described, with their labels."""
    ids = items.ids() if sample.threshold is not None else None
    labels = items.labels() if _has_classes(items) else None
    done = 0
    for batch in items.batches():
        rows = batch.num_rows
        of_batch = list(islice(labels, rows)) if labels is not None else None
        if ids is not None:
            chosen = [id in sample for id in islice(ids, rows)]
            batch = _only(batch, chosen)
            of_batch = list(compress(of_batch, chosen)) if of_batch is not None else None
        yield batch, of_batch
        done += rows
        tell(done)


def _only(batch: pa.RecordBatch, chosen: list[bool]) -> pa.RecordBatch:
    import pyarrow as pa

    return batch.filter(pa.array(chosen))


def _feature_names(items: TableItems) -> list[str]:
    """All columns but the ids and a label that is described as classes."""
    left_out = {items.id_column, items.label if _has_classes(items) else None}
    return [name for name in items.schema.names if name not in left_out]


def _has_classes(items: TableItems) -> bool:
    """A label of doubles is a target, which is described as a feature."""
    from pyarrow import types

    if items.label is None:
        return False
    kind = items.schema.field(items.label).type
    return not (types.is_floating(kind) or types.is_decimal(kind))


def _summaries(items: TableItems, names: list[str]) -> dict[str, Summary]:
    kinds = [items.schema.field(name).type for name in names]
    texts = sum(1 for kind in kinds if "string" in str(kind))
    held, distinct = held_by_each(len(names)), distinct_of_each(texts)
    return {name: summary_of(kind, held=held, distinct=distinct) for name, kind in zip(names, kinds, strict=True)}
