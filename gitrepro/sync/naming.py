"""Which runs name a blob: read from their records, for a place that is asked by run and cannot say what it has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from ..errors import GitreproError
from ..store import bulk
from ..store.repository import Repository
from ..store.runs import RunTree

_RECORDS_AT_ONCE: Final = 2_000
_RECORD: Final = "run.yaml"


def runs_naming(repository: Repository, digests: Iterable[str]) -> list[str]:
    """For each of these blobs the newest run on record that names it; each run once.

    All records are read until every blob is found: seconds, where there are a hundred thousand.
    """
    wanted = {digest.encode() for digest in digests}
    found: list[str] = []
    for run_id, data in _records(repository):
        if named := {digest for digest in wanted if digest in data}:
            found.append(run_id)
            wanted -= named
        if not wanted:
            break
    return found


def _records(repository: Repository) -> Iterator[tuple[str, bytes]]:
    """The records of runs, the newest first; those that cannot be read are left out."""
    with RunTree(repository) as tree:
        root = tree.tree
    listed = bulk.list_files(repository.common_dir, root) if root else ()
    places = sorted(((path.split("/")[-2], oid) for path, oid in listed if _is_record(path)), reverse=True)
    for begin in range(0, len(places), _RECORDS_AT_ONCE):
        some = places[begin : begin + _RECORDS_AT_ONCE]
        blobs = bulk.blobs(repository.common_dir, [oid for _, oid in some])
        for (run_id, _), data in zip(some, blobs, strict=True):
            if not isinstance(data, GitreproError):
                yield run_id, data


def _is_record(path: str) -> bool:
    return path.startswith("runs/") and path.endswith(f"/{_RECORD}") and path.count("/") > 1
