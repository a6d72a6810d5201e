"""The statistics of a version: computed once, from bytes that are known to be the version's, and kept beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from ..errors import GitreproError, UsageError
from ..records import yaml
from ..records.dataset import DatasetRecord, statistics_path
from ..store.catalog import Catalog, write_records, writing
from ..store.fold import Identity
from ..store.repository import Repository

FORMAT: Final = 1
Count: TypeAlias = Callable[[int, int], None]
_EMPTY_FOLDER: Final = 0o040000


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """Statistics, or why there are none."""

    statistics: Mapping[str, Any] | None = None
    why: str = ""

    def document(self, record: DatasetRecord) -> dict[str, Any]:
        """The statistics as they are written."""
        return {**(self.statistics or {}), "digest": record.digest, "format": FORMAT}

    def files(self, record: DatasetRecord) -> dict[str, bytes]:
        """What is written beside the record of a version, path to bytes."""
        if self.statistics is None:
            return {}
        path = statistics_path(record.name, record.digest, int(self.statistics["algorithm"]))
        return {path: yaml.dump(self.document(record))}


def have_list(repository: Repository, digest: str) -> None:
    """See that the list of the files of a version is here; a store remote may have it. Raises BlobMissing, Damaged."""
    from ..store.place import store_of
    from ..sync.get import ensure_tree

    if digest not in store_of(repository):
        ensure_tree(repository, digest, files=False)


def item_names(repository: Repository, digest: str) -> list[bytes]:
    """The paths of the files of a version, in the order of its items; empty folders are none."""
    from ..store.place import store_of
    from ..store.trees import entries

    have_list(repository, digest)
    return [entry.path for entry in entries(store_of(repository), digest) if entry.mode != _EMPTY_FOLDER]


def describe_items(
    path: Path,
    kind: str,
    *,
    id: str,
    label: str | None,
    names: list[bytes],
    follow: bool = False,
    progress: Count | None = None,
) -> Described:
    """The statistics of the data at `path`. What cannot be described is no error: the reason is in the answer."""
    from .statistics import describe

    try:
        statistics = describe(path, kind, id=id, label=label, files=names, follow=follow, progress=progress)
        yaml.dump(statistics)  # larger than a record may be, or of a type that none can hold
    except GitreproError as error:
        return Described(why=str(error))
    return Described(statistics=statistics)


def record_statistics(repository: Repository, record: DatasetRecord, told: Described, *, identity: Identity) -> None:
    """Put statistics on record beside a version that is there already. Durable once this returns."""
    if told.statistics is None:
        return
    with writing(repository, identity=identity):
        line = f"statistics of {record.ref}"
        write_records(repository, told.files(record), subject=record.name, line=line, identity=identity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """The statistics of a version. `new` when they were not on record before.

    `agree` says whether computing them again gave the same; None where they were not computed again.
    """

    statistics: Mapping[str, Any]
    new: bool
    agree: bool | None = None


def state(
    repository: Repository,
    record: DatasetRecord,
    *,
    again: bool,
    identity: Identity,
    progress: Count | None = None,
) -> Stated:
    """The statistics of a version: those on record, or computed now and put there.

    Args:
        again: compute them whatever is on record. What an earlier computation by the same algorithm left stays.

    Raises:
        NotAvailable, Damaged: they have to be computed, and the data are not here or not what they were.
        UsageError: the data cannot be described.
    """
    from .statistics import ALGORITHM

    with Catalog(repository) as catalog:
        there = catalog.statistics(record)
    if there is not None and not again:
        return Stated(statistics=there, new=False)
    told = _describe_where_it_lies(repository, record, progress)
    if there is None or there.get("algorithm") != ALGORITHM:
        record_statistics(repository, record, told, identity=identity)
        return Stated(statistics=told.document(record), new=True)
    same = told.files(record) == Described(statistics=there).files(record)
    return Stated(statistics=there, new=False, agree=same)


def _describe_where_it_lies(repository: Repository, record: DatasetRecord, progress: Count | None) -> Described:
    from .lookup import locate
    from .places import places_of

    located = locate(repository, record)
    follow = any(place.follow for place in places_of(repository, record.digest) if place.path == located.path)
    names = item_names(repository, record.digest)
    told = describe_items(
        located.path, record.kind, id=record.id, label=record.label, names=names, follow=follow, progress=progress
    )
    if told.statistics is None:
        raise UsageError(f"{record.ref} cannot be described", why=told.why)
    return told
