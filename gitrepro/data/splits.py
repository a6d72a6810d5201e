"""Make, import, check and open splits. A split never changes: other parts under its name are its next version.

The blob with the ids is durable before the record names it, so a command that is cut leaves at most a blob too many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import Damaged, NotFound, UsageError
from ..records.dataset import DatasetRecord, next_version, parse_ref
from ..records.partition import MAX_BYTES, Partition, load_partition
from ..records.split import SplitRecord, check_name
from ..store.catalog import Catalog, write_records, writing
from ..store.fold import Identity
from ..store.objects import BlobStore
from ..store.place import store_of
from ..store.repository import Repository
from ..store.roots import pin
from .parts import Split
from .splitting.asking import Items, group_rule, groups_of, ids_of, texts
from .splitting.balance import classes_in, deviation
from .splitting.checking import Finding, examine
from .splitting.dividing import Divided, Wish, divide
from .splitting.groups import check_whole
from .splitting.id_files import check_ids, read_ids

__all__ = ["Finding", "Made", "Wish", "check_split", "import_split", "make_split", "open_split"]

_CLASS_COUNTS_AT_MOST: Final = 5_000
_CLASS_CHARACTERS_AT_MOST: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What came of making a split.

    `new` is False where these very parts were on record under that name; `record` is then what was. `earlier` are the
    versions of that name that were there before. `left_out` counts the items in no part.
    """

    record: SplitRecord
    new: bool
    earlier: tuple[str, ...] = ()
    left_out: int = 0


def make_split(
    repository: Repository,
    dataset: Items,
    name: str,
    wish: Wish | None = None,
    *,
    identity: Identity,
    at: str,
    note: str | None = None,
) -> Made:
    """Split a data set by a rule, and put the split on record. Durable once this returns.

    Args:
        wish: how; by default 80 % train, 10 % val and 10 % test, by a hash of the ids.
        at: the time, for the record.

    Raises:
        UsageError: the wishes do not fit each other or the data, a group would be torn, or a part would be empty.
        StorageError: the disk refuses.
    """
    check_name(name)
    return _keep(repository, dataset, name, divide(dataset, name, wish or Wish()), identity=identity, at=at, note=note)


def import_split(
    repository: Repository,
    dataset: Items,
    name: str,
    files: Mapping[str, Path],
    *,
    column: str | None = None,
    group: str | None = None,
    identity: Identity,
    at: str,
    note: str | None = None,
) -> Made:
    """Take a split over from files of ids, one for each part. Durable once this returns.

    Args:
        column: which column of CSV files holds the ids.
        group: as in `Wish`; the parts are refused when they tear a group.

    Raises:
        NotFound: a file is not there.
        UsageError: a file cannot be read; ids are unknown, or stand twice.
        StorageError: the disk refuses.
    """
    import numpy as np

    check_name(name)
    ids = ids_of(dataset)
    known = set(ids)
    parts = {check_name(part, "a part"): read_ids(path, column=column, known=known) for part, path in files.items()}
    if empty := [part for part, own in parts.items() if not own] or ([] if parts else ["any part"]):
        raise UsageError(f"there are no ids for {', '.join(empty)}", do="give each part a file with its ids")
    check_ids(parts, known, ref=dataset.record.ref)
    rule = group_rule(dataset, group)
    groups = groups_of(dataset, rule, ids)
    place_of = {each: at for at, each in enumerate(ids)}
    places = {part: np.array([place_of[each] for each in own], dtype=np.int64) for part, own in parts.items()}
    if groups is not None:
        check_whole(places, groups)
    divided = Divided(ids=ids, parts=places, rule={"by": "import", "group": rule}, group=rule, stable=True)
    return _keep(repository, dataset, name, divided, identity=identity, at=at, note=note)


def _keep(
    repository: Repository,
    dataset: Items,
    name: str,
    divided: Divided,
    *,
    identity: Identity,
    at: str,
    note: str | None,
) -> Made:
    parts = {part: [divided.ids[place] for place in places.tolist()] for part, places in divided.parts.items()}
    partition = Partition(data=dataset.record.digest, ids=dataset.record.id, rule=divided.rule, parts=parts)
    left_out = len(divided.ids) - sum(map(len, parts.values()))
    digest = store_of(repository).put(partition.dump())
    with writing(repository, identity=identity), Catalog(repository) as catalog:
        known = catalog.splits(dataset.record.name, name)
        versions = tuple(each.version for each in known)
        same = [each for each in known if each.digest == digest]
        if same:
            return Made(record=same[0], new=False, earlier=versions, left_out=left_out)
        record = SplitRecord(
            name=name,
            version=next_version(versions),
            digest=digest,
            dataset=_named(dataset.record),
            rule=divided.rule,
            parts={part: len(own) for part, own in sorted(parts.items())},
            classes=_class_counts(dataset, divided),
            seed=divided.seed,
            group=divided.group,
            stable=divided.stable,
            deviation=_deviation(divided),
            created_at=at,
            actor={"email": identity.email, "name": identity.name},
            note=note,
        )
        pin(repository, [digest, record.dataset["digest"]])
        line = f"split {name}@{record.version} of {dataset.record.ref}"
        write_records(repository, {record.path: record.dump()}, subject=digest, line=line, identity=identity)
    return Made(record=record, new=True, earlier=versions, left_out=left_out)


def _named(record: DatasetRecord) -> dict[str, str]:
    return {"digest": record.digest, "name": record.name, "version": record.version}


def _class_counts(dataset: Items, divided: Divided) -> dict[str, dict[str, int]] | None:
    """How many items of each label each part has; None where there is no label, or too many for a record."""
    labels = dataset.labels()
    if labels is None:
        return None
    read = texts(labels)
    different = set(read)
    longest = max(len(each or "") for each in different)
    if len(different) * len(divided.parts) > _CLASS_COUNTS_AT_MOST or longest > _CLASS_CHARACTERS_AT_MOST:
        return None
    counts = classes_in(divided.parts, read)
    return {
        part: {"(missing)" if label is None else label: count for label, count in sorted_counts(own)}
        for part, own in sorted(counts.items())
    }


def sorted_counts(counts: Mapping[str | None, int]) -> list[tuple[str | None, int]]:
    """Labels in their order, a missing one last."""
    return sorted(counts.items(), key=lambda each: (each[0] is None, each[0] or ""))


def _deviation(divided: Divided) -> float | None:
    if divided.shares is None or (divided.classes is None and divided.group is None):
        return None
    kinds: Sequence[str | None] = divided.classes or [None] * len(divided.ids)
    return deviation(classes_in(divided.parts, kinds), divided.shares)


# -- reading


def open_split(repository: Repository, dataset: Items, ref: str) -> Split:
    """Open the split of `dataset` that `ref` means: `default` (the newest), `default@v2`, `default@b3:12ab`.

    Raises:
        NotFound, Ambiguous: none or several answer to it.
        BlobMissing: it is on record, and its ids are neither in the store nor in a store remote.
        Damaged: the record or the ids cannot be read, or are those of other data.
    """
    with Catalog(repository) as catalog:
        record = catalog.split(dataset.record, ref)
    partition = _partition(repository, record)
    if (partition.data, partition.ids) != (dataset.record.digest, dataset.record.id):
        raise Damaged(
            f"split {record.name}@{record.version} is not one of {dataset.record.ref}",
            why=f"its ids are {partition.ids} of {partition.data[:15]}",
            do="make or import it again",
        )
    return Split(record, partition, dataset)


def _partition(repository: Repository, record: SplitRecord) -> Partition:
    store = store_of(repository)
    if record.digest not in store:
        from ..sync.get import ensure

        ensure(repository, [record.digest])
    return read_partition(store, record)


def read_partition(store: BlobStore, record: SplitRecord) -> Partition:
    """The ids of a split on record. Raises as `open_split` does."""
    source = f"split {record.name}@{record.version}"
    partition = load_partition(store.get(record.digest, limit_bytes=MAX_BYTES), source=source)
    if {part: len(ids) for part, ids in partition.parts.items()} != record.parts:
        raise Damaged(f"{source} has other parts than its record says", do="fetch both again from a clone that has it")
    return partition


def check_split(
    repository: Repository, dataset: Items, ref: str, *, group: str | None = None
) -> tuple[SplitRecord, list[Finding]]:
    """Check a split against a version of its data set, which may be another than it was made of.

    Args:
        ref: as in `open_split`; of a split that `dataset` has not, the newest of the other versions.
        group: as in `Wish`; what the split was made with when not given.

    Raises:
        NotFound, Ambiguous, BlobMissing, Damaged: as `open_split`.
        UsageError: the data set has no such group.
    """
    record = _nearest(repository, dataset.record, ref)
    partition = _partition(repository, record)
    ids = ids_of(dataset)
    groups = groups_of(dataset, group_rule(dataset, group) or record.group, ids)
    labels = dataset.labels()
    return record, examine(partition.parts, ids, groups=groups, labels=None if labels is None else texts(labels))


def _nearest(repository: Repository, dataset: DatasetRecord, ref: str) -> SplitRecord:
    with Catalog(repository) as catalog:
        try:
            return catalog.split(dataset, ref)
        except NotFound:
            wanted = parse_ref(ref)
            others = catalog.splits(dataset.name, wanted.name)
            fits = [each for each in others if wanted.version in (None, each.version)]
            if not fits or wanted.digest:
                raise
            return fits[-1]
