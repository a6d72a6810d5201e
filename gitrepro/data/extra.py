"""What lies in a folder beside a version of a data set that was laid out there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from ..errors import GitreproError
from ..records.dataset import DatasetRecord
from ..store.objects import BlobStore

LISTED_AT_MOST: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """Paths of files that are not in the version, ascending; `more` when the folder may have others.

    What the version was told to ignore is not among them, nor are empty folders.
    """

    paths: tuple[bytes, ...] = ()
    more: bool = False


def is_occupied(folder: Path) -> bool:
    """Whether something lies in a folder that is there."""
    try:
        with os.scandir(folder) as found:
            return next(found, None) is not None
    except OSError:
        return False


def extra(store: BlobStore, record: DatasetRecord, folder: Path) -> Extra:
    """What is in a folder and not in a version; its files are looked at, and none is read.

    A folder that cannot be read ends the list: what lies there is the user's.
    """
    from ..store.trees import entries

    paths: list[bytes] = []
    try:
        ours = (entry.path for entry in entries(store, record.digest))
        paths.extend(islice(_others(_found(store, record, folder), ours), LISTED_AT_MOST + 1))
    except (GitreproError, OSError):
        return Extra(paths=tuple(paths), more=True)
    return Extra(paths=tuple(paths[:LISTED_AT_MOST]), more=len(paths) > LISTED_AT_MOST)


def _found(store: BlobStore, record: DatasetRecord, folder: Path) -> Iterator[bytes]:
    from ..store.ingest.adding import identities
    from ..store.scan import Scan, matcher

    root_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        scan = Scan(root_fd=root_fd, place=str(folder), ignored=matcher(record.ignore), skip=identities(store.root))
        for run in scan.runs():
            yield from (run.prefix + name for name in run.names if not name.endswith(b"/"))
    finally:
        os.close(root_fd)


def _others(found: Iterable[bytes], ours: Iterator[bytes]) -> Iterator[bytes]:
    """Those that are not among ours; both are ascending."""
    at = next(ours, None)
    for path in found:
        while at is not None and at < path:
            at = next(ours, None)
        if path != at:
            yield path
