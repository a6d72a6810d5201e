"""The trace of a run: told by its processes while they train, and put together as `trace.parquet` at the end."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ..errors import NotFound
from ..records.metrics.files import by_rank, file_name
from ..records.run import run_path
from ..records.trace import Row, Trace, read_trace, row_of, trace_of
from ..store.journal_reader import Journal
from ..store.runs import RunTree
from . import ranks

STEM: Final = "trace"
BEGUN: Final = "trace_begin"
ROWS: Final = "trace"
_OBSERVED: Final = b'{"event": "trace'
_WEIGHTS_AT_MOST: Final = 64
_RANKS_AT_MOST: Final = 4096


@dataclass(slots=True)
class _Told:
    """What one process told of its steps."""

    setting: dict[str, Any] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    weights: dict[str, str] = field(default_factory=dict)
    wrong: int = 0
    trouble: str = ""

    def take(self, event: Mapping[str, Any]) -> None:
        if isinstance(event.get("setting"), dict):
            self.setting = event["setting"]
        self.trouble = str(event.get("trouble") or self.trouble)[:300]
        for told in event.get("rows") or ():
            row = row_of(told)
            self.rows += [] if row is None else [row]
            self.wrong += row is None
        for step, digest in (event.get("weights") or {}).items():
            if len(self.weights) < _WEIGHTS_AT_MOST:
                self.weights[str(step)] = str(digest)


def traced(
    folder: Path, written: Sequence[Journal], losses: list[dict[str, Any]]
) -> tuple[Mapping[str, Any] | None, dict[str, bytes]]:
    """The field `trace` of a record and the files of its tables, one a rank; None and nothing where none was told.

    Of several processes of one rank the one with the most rows counts. What the program told itself stands over what
    was seen of it from the start on.
    """
    processes = [*_in_journals(written), *_observed(folder)]
    losses += [{"what": "the trace of a process", "why": told.trouble} for _, told in processes if told.trouble]
    found = _by_rank(processes)
    for rank, told in found.items():
        if told.wrong:
            losses.append({"what": f"{told.wrong} rows of the trace of rank {rank}", "why": "they are no rows of one"})
    tables = {rank: trace_of(told.rows) for rank, told in found.items()}
    files = {file_name(STEM, rank=rank, part=None): table.dump(rank=rank) for rank, table in tables.items()}
    return (_document(found, tables) if found else None), files


def _document(found: Mapping[int, _Told], tables: Mapping[int, Trace]) -> dict[str, Any]:
    first = min(found)
    rows = tables[first].rows
    last = rows[-1]
    assert last[0] is not None and last[-1] is not None
    return {
        "chain": f"{last[-1] & (1 << 64) - 1:016x}",
        "last_step": last[0],
        "ranks": sorted(found)[:_RANKS_AT_MOST],
        "rows": len(rows),
        "setting": found[first].setting,
        "weights": found[first].weights,
    }


def _by_rank(told: Iterable[tuple[int, _Told]]) -> dict[int, _Told]:
    best: dict[int, _Told] = {}
    for rank, each in told:
        if each.rows and (rank not in best or len(each.rows) > len(best[rank].rows)):
            best[rank] = each
    return dict(sorted(best.items()))


def _in_journals(written: Iterable[Journal]) -> list[tuple[int, _Told]]:
    found = []
    for journal in written:
        told = _Told()
        for event in journal.events:
            if event.get("op") in (BEGUN, ROWS):
                told.take(event)
        found.append((int(journal.header.get("rank", 0)), told))
    return found


def _observed(folder: Path) -> list[tuple[int, _Told]]:
    """What the start-up hook told of processes: a file each."""
    found = []
    for path in sorted(folder.glob("observed-*.jsonl"), key=lambda path: path.name.rsplit("-", 1)[-1]):
        told, rank = _Told(), 0
        for line in path.read_bytes().splitlines():
            if line.startswith(b'{"event": "python"'):
                rank = ranks.rank_of(_parsed(line))
            elif line.startswith(_OBSERVED):
                told.take(_parsed(line))
        found.append((rank, told))
    return found


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}  # the line that a kill cut short
    return found if isinstance(found, dict) else {}


def tables(tree: RunTree, run_id: str) -> dict[int, Trace]:
    """The traces of a run that is on record, by rank.

    Raises:
        NotFound: the run has none.
        Damaged: a table is not what was written.
    """
    files = tree.run_files(run_id)
    named = by_rank(files, stem=STEM)
    if not named:
        raise NotFound(
            f"run {run_id[-8:]} has no trace", do="record it with `gitrepro record --trace -- ...`, or call run.trace()"
        )
    return {
        rank: read_trace(tree.objects.read(files[name].oid, "blob"), source=f"{run_path(run_id)}/{name}")
        for rank, [name, *_] in named.items()
    }
