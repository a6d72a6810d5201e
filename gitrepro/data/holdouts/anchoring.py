"""The anchors of a holdout log: each run that opens a split says how far its log went, so that none can be cut short.

Who removes an entry contradicts every run that was recorded after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from ...errors import GitreproError
from ...records.run import RunRecord, load_run
from ...store import bulk
from ...store.runs import RunTree
from .log import Log

_RECORD: Final = re.compile(r"runs/./././[^/]+/run\.yaml")
_FIELD: Final = b"\nholdouts:"


def anchor_of(log: Log) -> dict[str, Any]:
    """What a record says of a log: `{split, head, count}`, the digests of its last entries and how many there are."""
    return {"count": len(log.held), "head": list(log.heads), "split": log.split}


def broken_anchors(log: Log, records: Iterable[RunRecord]) -> tuple[str, ...]:
    """In words, where records of runs name entries that the log has not."""
    return tuple(fault for record in records for fault in _faults(log, record))


def _faults(log: Log, record: RunRecord) -> Iterator[str]:
    run, there = f"run {record.id[-8:]}", {each.id for each in log.entries}
    for anchor in anchors(record):
        if anchor.get("split") != log.split:
            continue
        head, count, opened = anchor.get("head"), anchor.get("count"), anchor.get("opened")
        missing = [str(each) for each in head if each not in log.digests] if isinstance(head, list) else []
        gone = [str(each) for each in opened if each not in there] if isinstance(opened, list) else []
        if gone:
            yield f"{run} has opened a part by entry {gone[0][-8:]}, which is not here: it was removed"
        elif missing:
            yield f"{run} has seen entry {missing[0][:15]} of the log, which is not here: it was removed, or changed"
        elif isinstance(count, int) and count > len(log.held):
            yield f"{run} has seen {count} entries of the log, and {len(log.held)} are here"


def anchors(record: RunRecord) -> list[Mapping[str, Any]]:
    """What the record of a run says of holdout logs."""
    return [each for each in record.holdouts if isinstance(each, Mapping)]


def anchored_runs(tree: RunTree) -> list[RunRecord]:
    """The records of all runs that say something of a holdout log. One that cannot be read is passed over.

    It reads every record, some ten thousand a second.

    Raises:
        ChildFailed: Git cannot list them.
    """
    if tree.tree is None:
        return []
    common_dir = tree.repository.common_dir
    oids = [oid for path, oid in bulk.list_files(common_dir, tree.tree) if _RECORD.fullmatch(path)]
    found = []
    for data in bulk.blobs(common_dir, oids):
        if not isinstance(data, GitreproError) and _FIELD in data:
            try:
                found.append(load_run(data, source="run.yaml"))
            except GitreproError:
                continue
    return found
