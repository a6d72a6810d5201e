"""Put a version of a data set on record: its bytes into the store or left where they lie, then its record.

The order is what makes it safe to cut: blobs are durable before the record names them, and the record is the last thing
written. Cut anywhere and run again, it ends the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ..errors import NotFound, SourceChanged, Unsafe, UsageError
from ..records.dataset import DatasetRecord, check_name, next_version
from ..store import fs
from ..store.catalog import Catalog, write_records, writing
from ..store.fold import Identity
from ..store.repository import Repository
from .described import Count, Described, describe_items, item_names, record_statistics
from .keeping import Keeping, keeping
from .places import Place, places_of, remember
from .shape import Shape, counted, shape_of

if TYPE_CHECKING:
    from ..store.ingest import Added
    from ..store.progress import Progress

Tell: TypeAlias = "Callable[[Progress], None]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be added, and how.

    `source` is the path as it was typed. `link` is None where it is left to us. `id` is None for what is usual of the
    kind: `path` for files, `row` for rows.
    """

    path: Path
    source: str
    name: str
    version: str | None = None
    link: bool | None = None
    id: str | None = None
    label: str | None = None
    ignore: tuple[str, ...] = ()
    follow: bool = False
    describe: bool = True
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """What came of a wish. `new` is False where this content was on record already, maybe under another label.

    `undescribed` says why there are no statistics, where they were wanted; `unread` why a table
    is kept as a plain file.
    """

    record: DatasetRecord
    new: bool
    keeping: Keeping
    added: Added
    undescribed: str = ""
    unread: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """A wish, and all that stays the same while it is fulfilled."""

    repository: Repository
    wish: Wish
    path: Path
    identity: Identity
    at: str
    describing: Count | None


def add_dataset(
    repository: Repository,
    wish: Wish,
    *,
    identity: Identity,
    at: str,
    progress: Tell | None = None,
    describing: Count | None = None,
) -> Addition:
    """Add a version of a data set. Durable once this returns.

    Args:
        at: the time, for the record.
        progress, describing: are told how far the reading and the statistics have come.

    Raises:
        NotFound: there is nothing at the path.
        UsageError: the name, the id or the label cannot be; or the label of the version means other content.
        Unsafe: something in the folder may not be kept.
        SourceChanged: the data changed while they were added; nothing is on record.
        StorageError: they cannot be read, or the disk refuses.
    """
    task = _task(repository, wish, identity, at, describing)
    before = _before(task)
    if before is None and (wish.id or wish.label):
        shape_of(task.path, id=wish.id, label=wish.label)  # a misspelt column is told before anything is copied
    kept = _keeping(task, before)
    added = _ingest(task, kept, progress)
    place = Place(path=task.path, at=at, linked=kept.linked, follow=wish.follow, ignore=wish.ignore)
    remember(repository, added.tree.digest, place)
    with Catalog(repository) as catalog:
        known = _known(catalog, wish, added.tree.digest)
        if known is None:
            _label(catalog, wish, added.tree.digest)
    if known:
        undescribed = _describe_known(task, known)
        return Addition(record=known, new=False, keeping=kept, added=added, undescribed=undescribed)
    return _put_on_record(task, kept, added)


def _task(repository: Repository, wish: Wish, identity: Identity, at: str, describing: Count | None) -> _Task:
    check_name(wish.name)
    if wish.version is not None:
        check_name(wish.version, "a version")
    with fs.explained(f"cannot read {wish.source}"):
        try:
            wish.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(f"there is nothing at {wish.source}", do="look at the path") from None
        path = wish.path.resolve()
    _check_place(repository, wish, path)
    return _Task(repository=repository, wish=wish, path=path, identity=identity, at=at, describing=describing)


def _check_place(repository: Repository, wish: Wish, path: Path) -> None:
    if not wish.source:
        raise UsageError(
            "the path is empty", why="a variable may be unset", do="name a folder or a file; `.` is this one"
        )
    git = repository.common_dir.resolve()
    # What `data get` and runs lay out there is data like any other.
    if path.is_relative_to(git) and not path.is_relative_to(repository.home.resolve() / "data"):
        raise Unsafe(
            f"{wish.source} lies in {git}, where Git and gitrepro keep what is theirs",
            why="it changes while it is added",
            do="name a folder of data",
        )


# -- its bytes


def _before(task: _Task) -> Place | None:
    """This path as it was when it was last added under this name."""
    with Catalog(task.repository) as catalog:
        versions = catalog.datasets(task.wish.name)
    places = (place for each in reversed(versions) for place in places_of(task.repository, each.digest))
    return next((place for place in places if place.path == task.path and not place.ours), None)


def _keeping(task: _Task, before: Place | None) -> Keeping:
    """As it was asked for, or as the last version at this path was kept."""
    from ..store.place import store_of

    root = store_of(task.repository).root
    wish = task.wish
    return keeping(task.path, root, asked=wish.link, before=before.linked if before else None, ignore=wish.ignore)


def _ingest(task: _Task, kept: Keeping, progress: Tell | None) -> Added:
    from ..store.ingest import add_tree
    from ..store.place import store_of
    from ..store.statcache import StatCache

    wish = task.wish
    return add_tree(
        store_of(task.repository),
        StatCache.of(task.repository),
        task.path,
        link=kept.linked,
        follow=wish.follow,
        ignore=wish.ignore,
        progress=progress,
    )


# -- its record


def _known(catalog: Catalog, wish: Wish, digest: str) -> DatasetRecord | None:
    """The version that this content is already.

    Raises:
        UsageError: it is there with another id or label than those asked for.
    """
    found = next((each for each in catalog.datasets(wish.name) if each.digest == digest), None)
    if found is None:
        return None
    for what, asked, there in (("id", wish.id, found.id), ("label", wish.label, found.label)):
        if asked is not None and asked != there:
            raise UsageError(
                f"{found.ref} is this content already, with the {what} {there or 'none'} and not {asked}",
                why="a version is written once",
                do="add it under another name",
            )
    return found


def _label(catalog: Catalog, wish: Wish, digest: str) -> str:
    """The label of the new version.

    Raises:
        UsageError: it means other content already.
    """
    versions = catalog.datasets(wish.name)
    taken = next((each for each in versions if each.version == wish.version), None)
    if taken:
        raise UsageError(
            f"{taken.ref} is {taken.digest[:15]}, and {wish.source} is {digest[:15]}",
            why="a version means one content for ever",
            do=f"`gitrepro data add {wish.source} {wish.name}` takes the next free label",
        )
    return wish.version or next_version([each.version for each in versions])


def _put_on_record(task: _Task, kept: Keeping, added: Added) -> Addition:
    wish, digest = task.wish, added.tree.digest
    names = item_names(task.repository, digest)
    shape = shape_of(task.path, id=wish.id, label=wish.label)
    shape, items = counted(task.path, shape, files=len(names))
    told = _described(task, shape, names)
    _check_unchanged(task, digest)
    with writing(task.repository, identity=task.identity), Catalog(task.repository) as catalog:
        known = _known(catalog, wish, digest)
        if known:
            return Addition(record=known, new=False, keeping=kept, added=added)
        record = DatasetRecord(
            name=wish.name,
            version=_label(catalog, wish, digest),
            digest=digest,
            kind=shape.kind,
            items=items,
            files=added.tree.files,
            size_bytes=added.tree.size_bytes,
            linked=kept.linked,
            source=wish.source,
            id=shape.id,
            label=shape.label,
            ignore=wish.ignore,
            created_at=task.at,
            actor={"email": task.identity.email, "name": task.identity.name},
            note=wish.note,
        )
        files = {record.path: record.dump(), **told.files(record)}
        write_records(task.repository, files, subject=record.name, line=f"data {record.ref}", identity=task.identity)
    return Addition(record=record, new=True, keeping=kept, added=added, undescribed=told.why, unread=shape.unread)


def _check_unchanged(task: _Task, digest: str) -> None:
    """See that what was counted and described is what was hashed."""
    from ..store.place import store_of
    from ..store.restore import compare_tree
    from ..store.statcache import StatCache

    store, cache, wish = store_of(task.repository), StatCache.of(task.repository), task.wish
    compared = compare_tree(store, cache, digest, task.path, how="stat", follow=wish.follow, ignore=wish.ignore)
    if not compared.is_same:
        raise SourceChanged(
            f"{wish.source} changed while it was added",
            why="what was read is no state it ever had; nothing is on record",
            do="run it again once nothing writes there",
        )


def _described(task: _Task, shape: Shape, names: list[bytes]) -> Described:
    if not task.wish.describe:
        return Described()
    return describe_items(
        task.path,
        shape.kind,
        id=shape.id,
        label=shape.label,
        names=names,
        follow=task.wish.follow,
        progress=task.describing,
    )


def _describe_known(task: _Task, known: DatasetRecord) -> str:
    """Catch up on statistics that an earlier, interrupted or shorter `add` left out; why they are missing still."""
    with Catalog(task.repository) as catalog:
        if not task.wish.describe or catalog.algorithms(known):
            return ""
    names = item_names(task.repository, known.digest)
    told = _described(task, Shape(kind=known.kind, id=known.id, label=known.label), names)
    _check_unchanged(task, known.digest)
    record_statistics(task.repository, known, told, identity=task.identity)
    return told.why
