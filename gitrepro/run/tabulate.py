"""From the journals of a run to its metric tables. Rows pass by; what is held does not grow with their number."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from ..errors import GitreproError
from ..records.metrics import (
    MAX_ROWS,
    RESERVED,
    Batch,
    Layout,
    Reducer,
    Summary,
    TableBuilder,
    TableFile,
    TableWriter,
    layout_of_kinds,
)
from ..records.metrics.frame import Frame
from ..store.journal_reader import Journal, Kind
from ..store.objects import BlobStore

IN_GIT_BYTES: Final = 1 << 20
LIMIT: Final = "limit"
"""A loss of this kind is beyond what a record has room for, as FORMAT.md says."""
_CELLS_AT_ONCE: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """The files for Git by name, what lies in the store, a line on each metric of rank 0, and what was lost."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    artifacts: Sequence[Mapping[str, Any]] = ()
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    losses: Sequence[Mapping[str, Any]] = ()


def tabulate(written: Sequence[Journal], *, blobs: BlobStore | None) -> Tables:
    """The metric tables of a run. Those over 1 MiB in all go to `blobs`, and a reduction of rank 0 stays.

    Raises:
        Damaged: a journal changed while it was read.
        OSError: there is no room for a table on its way.
    """
    ranks: dict[int, list[Journal]] = {}
    for journal in written:
        if journal.row_count:
            ranks.setdefault(int(journal.header.get("rank", 0)), []).append(journal)
    layouts = {rank: _layout(journals) for rank, journals in sorted(ranks.items())}
    if any(layout.rows > MAX_ROWS for layout in layouts.values()):
        what = f"the metric table of {max(layout.rows for layout in layouts.values()):,} rows"
        return Tables(losses=[{"kind": LIMIT, "what": what, "why": f"a table has at most {MAX_ROWS:,}"}])
    summary = Summary()
    with ExitStack() as stack:
        tables: list[TableFile] = []
        losses: list[Mapping[str, Any]] = []
        for rank, layout in layouts.items():
            writer = stack.enter_context(TableWriter(layout, rank=rank))
            for frame in _frames(ranks[rank]):
                cast = writer.take(frame)
                if rank == 0:
                    summary.take(cast)
            tables += writer.tables()
            losses += [_inexact(name, count) for name, count in sorted(writer.inexact.items())]
        metrics = summary.as_dict()
        if blobs is None or sum(table.size_bytes for table in tables) <= IN_GIT_BYTES:
            files = {table.name: table.read() for table in tables}
            return Tables(files=files, metrics=metrics, losses=losses)
        artifacts = _keep(tables, blobs, losses)
    return Tables(files=_reduced(ranks, layouts), artifacts=artifacts, metrics=metrics, losses=losses)


def _layout(journals: Sequence[Journal]) -> Layout:
    kinds: dict[Kind, int] = {}
    for journal in journals:
        for kind, count in journal.kinds.items():
            kinds[kind] = kinds.get(kind, 0) + count
    return layout_of_kinds(kinds, rows=sum(journal.row_count for journal in journals))


def _inexact(name: str, count: int) -> dict[str, Any]:
    why = f"{count} integers beyond 2**53 stand among floats and were rounded"
    return {"what": f"metric {name}", "why": why}


def _keep(tables: Sequence[TableFile], blobs: BlobStore, losses: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    try:
        return [
            {"blob": blobs.put_stream(table.file)[0], "kind": "metrics", "name": table.name, "size_bytes": size_bytes}
            for table in sorted(tables, key=lambda table: table.name)
            for size_bytes in [table.size_bytes]
        ]
    except GitreproError as error:
        losses.append({"what": "the full metric tables", "why": str(error)})
        return []


def _reduced(ranks: Mapping[int, Sequence[Journal]], layouts: Mapping[int, Layout]) -> dict[str, bytes]:
    if 0 not in ranks:
        return {}
    reducer = Reducer(layouts[0].points, rows=layouts[0].rows)
    for frame in _frames(ranks[0]):
        reducer.take(frame)
    return reducer.files()


def _frames(journals: Sequence[Journal]) -> Iterator[Frame]:
    """The rows of one rank, about a million cells at a time."""
    seq = cells = 0
    builder = TableBuilder()
    for batch in _merged([journal.batches() for journal in journals]):
        builder.extend(batch, seq=seq)
        seq += len(batch)
        cells += len(batch) * (len(RESERVED) + len(batch.names))
        if cells >= _CELLS_AT_ONCE:
            yield builder.frame()
            builder, cells = TableBuilder(), 0
    if len(builder):
        yield builder.frame()


@dataclass(slots=True)
class _Head:
    """The rows of one process that are next."""

    batches: Iterator[Batch]
    batch: Batch | None = None
    at: int = 0

    def advance(self, rows: int = 0) -> bool:
        self.at += rows
        if self.batch is None or self.at >= len(self.batch):
            self.batch, self.at = next(self.batches, None), 0
        return self.batch is not None

    @property
    def moment(self) -> float:
        assert self.batch is not None
        return self.batch.times[self.at]


def _merged(processes: Sequence[Iterator[Batch]]) -> Iterator[Batch]:
    """Several processes of one rank (a fork, a loader's workers) interleave by time; each keeps its own order."""
    heads = [head for head in map(_Head, processes) if head.advance()]
    while heads:
        head = min(heads, key=lambda each: each.moment)
        assert head.batch is not None
        stop = _until(head, heads)
        yield head.batch.part(head.at, stop)
        if not head.advance(stop - head.at):
            heads.remove(head)


def _until(head: _Head, heads: Sequence[_Head]) -> int:
    """The first row of `head` that has to wait for another process."""
    assert head.batch is not None
    stop = len(head.batch)
    for place, other in enumerate(heads):
        if other is not head:
            # Of equal moments, that of the first process comes first.
            bisect = bisect_left if place < heads.index(head) else bisect_right
            stop = min(stop, bisect(head.batch.times, other.moment, head.at))
    return max(stop, head.at + 1)
