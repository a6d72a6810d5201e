"""Where the bytes of a version are to be had on this machine: where they lay, or laid out from the store."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..errors import BlobMissing, Damaged, GitreproError, NotAvailable, UsageError
from ..records.dataset import DatasetRecord
from ..store import fs
from ..store.catalog import Catalog
from ..store.repository import Repository
from .places import Place, places_of, remember_if_possible

if TYPE_CHECKING:
    from ..store.progress import Progress
    from ..store.restore import Compared
    from ..sync.get import Brought

Tell: TypeAlias = "Callable[[Progress], None]"
CHECKS: Final = ("stat", "sample", "full")
HASHED_AT_MOST_BYTES: Final = 1 << 30


class State(StrEnum):
    """What became of the data at a place."""

    SAME = "unchanged"
    GONE = "gone"
    CHANGED = "changed"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One place, looked at. `checked` says how, `why` what is missing or changed there."""

    place: Place
    state: State
    checked: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """Where a version lies, and how that was checked: `stat`, `sample` or `full`.

    `passed_by` are places at which it lay before and that could not be used.
    """

    path: Path
    checked: str
    passed_by: tuple[Seen, ...] = ()


def locate(
    repository: Repository, record: DatasetRecord, *, check: str = "stat", progress: Tell | None = None
) -> Located:
    """Find a version, or lay it out under the repository's own folder.

    Args:
        check: how a place at which it lay is compared with the record: `stat` by size and times, `sample` by hashing
            some files, `full` by hashing all. What is laid out is hashed on the way.

    Raises:
        UsageError: there is no such check.
        NotAvailable: its bytes are on record, and neither on this machine nor in a store remote.
        Damaged: they are where they were linked, and have changed.
        StorageError: the disk refuses to lay them out.
    """
    check_is_known(check)
    passed_by: list[Seen] = []
    for seen in _looked_at(repository, record, check):
        if seen.state is State.SAME:
            return Located(path=seen.place.path, checked=seen.checked, passed_by=tuple(passed_by))
        passed_by.append(seen)
    asked = fetch_missing(repository, record, progress=progress)
    check_is_here(repository, record, passed_by, asked)
    return Located(path=_laid_out(repository, record, progress), checked="full", passed_by=tuple(passed_by))


def check_is_known(check: str) -> None:
    if check not in CHECKS:
        raise UsageError(f"there is no check {check!r:.60}", do=f"one of {', '.join(CHECKS)}")


def look(repository: Repository, record: DatasetRecord, place: Place, check: str) -> Seen:
    """What became of a version at a place.

    A check by `stat` trusts what the stat cache knows. Where it knows nothing of some files, all are hashed, or, when
    they have more than `HASHED_AT_MOST_BYTES`, a sample: size alone proves nothing.
    """
    if not place.path.exists():
        return Seen(place=place, state=State.GONE, checked=check, why=f"{place.path} is gone")
    try:
        compared = _compared(repository, record, place, check)
        if check == "stat" and compared.unknown_files and not compared.missing:
            check = "full" if record.size_bytes <= HASHED_AT_MOST_BYTES else "sample"
            compared = _compared(repository, record, place, check)
    except (GitreproError, OSError) as error:
        why = f"{place.path} cannot be compared: {error}"
        return Seen(place=place, state=State.UNREADABLE, checked=check, why=why)
    wrong = [*compared.missing, *compared.changed]
    if not wrong:
        return Seen(place=place, state=State.SAME, checked=check)
    why = f"{place.path} has changed: {_named(wrong)}"
    return Seen(place=place, state=State.CHANGED, checked=check, why=why)


def _compared(repository: Repository, record: DatasetRecord, place: Place, check: str) -> Compared:
    from ..store.place import store_of
    from ..store.restore import compare_tree
    from ..store.statcache import StatCache

    how: Any = check
    store, cache = store_of(repository), StatCache.of(repository)
    return compare_tree(store, cache, record.digest, place.path, how=how, follow=place.follow, ignore=place.ignore)


def _named(paths: list[bytes]) -> str:
    first = paths[0].decode(errors="backslashreplace")
    return first if len(paths) == 1 else f"{first} and {len(paths) - 1:,} more"


def _looked_at(repository: Repository, record: DatasetRecord, check: str) -> Iterator[Seen]:
    """The places that are known, then the one that the record speaks of: nobody has compared that one before."""
    known = places_of(repository, record.digest)
    for place in known:
        yield look(repository, record, place, check)
    guess = _typed(repository, record)
    if guess is None or any(guess.path == place.path for place in known):
        return
    seen = look(repository, record, guess, "full")
    if seen.state is State.SAME:
        remember_if_possible(repository, record.digest, guess)
        yield seen


def _typed(repository: Repository, record: DatasetRecord) -> Place | None:
    """The path that the record names, where it lies in this work tree: data that are in Git come with a clone."""
    source = PurePosixPath(record.source)
    if repository.work_tree is None or source.is_absolute() or ".." in source.parts:
        return None
    path = (repository.work_tree / source).resolve()
    inside = path.is_relative_to(repository.work_tree.resolve())
    return Place(path=path, at=record.created_at, ignore=record.ignore) if inside and path.exists() else None


def fetch_missing(
    repository: Repository,
    record: DatasetRecord,
    *,
    only: Iterable[bytes] | None = None,
    progress: Tell | None = None,
    told: Callable[[Brought], None] = lambda _: None,
) -> BlobMissing | Damaged | None:
    """Bring what is not here of a version from the store remotes; of one that was linked, only the list of its files.

    Args:
        only: the paths that matter; all by default.
        told: is told what came from where.

    Returns:
        Why not all of it came; None where it did, or was here.
    """
    from ..sync.get import ensure_tree

    if not missing_blobs(repository, record, only=only):
        return None
    try:
        told(ensure_tree(repository, record.digest, files=not record.linked, only=only, progress=progress))
    except (BlobMissing, Damaged) as error:
        return error
    return None


def check_is_here(
    repository: Repository, record: DatasetRecord, passed_by: Sequence[Seen], asked: GitreproError | None = None
) -> None:
    """See that the store holds all blobs of a version, before anything is laid out.

    Args:
        asked: what came of asking the store remotes.

    Raises:
        NotAvailable, Damaged: it does not, see `not_here`.
    """
    if missing_blobs(repository, record):
        raise not_here(repository, record, passed_by, asked)


def not_here(
    repository: Repository, record: DatasetRecord, passed_by: Sequence[Seen], asked: GitreproError | None = None
) -> NotAvailable | Damaged:
    """The error of a version whose bytes are nowhere; the places that were `passed_by` say which of the two."""
    changed = next((seen for seen in passed_by if seen.state is State.CHANGED and not seen.place.ours), None)
    if changed:
        return Damaged(
            f"the data of {record.ref} are not what they were when they were added",
            why=changed.why,
            do=f"put them back as they were, or `gitrepro data add {record.source} {record.name}` as a new version",
        )
    missing = missing_blobs(repository, record)
    back = f"bring the data back, then `gitrepro data add PATH {record.name}` finds that they are {record.version}"
    return NotAvailable(
        f"{record.ref} is NOT AVAILABLE here: {missing:,} of its {record.files:,} files are not in the store",
        why="; ".join([*(seen.why for seen in passed_by), *([asked.why] if asked else [])]) or _never_here(record),
        do=f"{asked.do}; or {back}" if asked and asked.do else back,
    )


def _never_here(record: DatasetRecord) -> str:
    if record.linked:
        return f"it was linked, as {record.source}, and its bytes stayed on the machine where it was added"
    return "its bytes are in the store of the clone that added it"


def missing_blobs(repository: Repository, record: DatasetRecord, *, only: Iterable[bytes] | None = None) -> int:
    """How many files of a version are not in the store; all of them where not even the manifest is.

    Args:
        only: the paths that matter; all by default.
    """
    from ..store.place import store_of
    from ..store.presence import rows
    from ..store.trees import selected, shards

    store = store_of(repository)
    if record.digest not in store:
        return max(record.files, 1)
    missing = 0
    for _, found in shards(store, record.digest) if only is None else selected(store, record.digest, only):
        wanted = [entry.digest for entry in found if entry.size_bytes]
        _, packed = rows(store, [bytes.fromhex(digest[3:]) for digest in wanted])
        missing += sum(bytes.fromhex(digest[3:]) not in packed and digest not in store for digest in wanted)
    return missing


def _laid_out(repository: Repository, record: DatasetRecord, progress: Tell | None) -> Path:
    """Lay the version out under the repository's own folder; several processes that want it wait for the first."""
    from ..store.place import store_of
    from ..store.restore import restore_tree
    from ..store.statcache import StatCache

    folder = repository.home / "data" / record.name / _folder_name(repository, record)
    with fs.explained(f"cannot lay {record.ref} out in {folder}"):
        fs.make_directories(folder.parent)
        with fs.locked(f"{folder}.lock", timeout_seconds=24 * 3600.0):
            cache = StatCache.of(repository)
            restore_tree(store_of(repository), cache, record.digest, folder, progress=progress)
    path = within(repository, record, folder)
    remember_if_possible(repository, record.digest, Place(path=path, at=record.created_at, ours=True))
    return path


def _folder_name(repository: Repository, record: DatasetRecord) -> str:
    """The label of a version; with its digest where two clones gave one label to two contents."""
    with Catalog(repository) as catalog:
        alike = [each for each in catalog.datasets(record.name) if each.version == record.version]
    return record.version if len(alike) < 2 else f"{record.version}-{record.digest[3:11]}"


def within(repository: Repository, record: DatasetRecord, folder: Path) -> Path:
    """What stands for a version that was laid out in `folder`: the folder, or the one file of a data set of one."""
    from ..store.place import store_of
    from ..store.trees import entries

    if record.kind != "file" and not record.is_table:
        return folder
    entry = next(entries(store_of(repository), record.digest), None)
    if entry is None:
        raise Damaged(f"{record.ref} holds no file", why=f"its kind is {record.kind}: its record and its tree disagree")
    return folder / os.fsdecode(entry.path)
