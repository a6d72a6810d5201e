"""Lay a version of a data set out where its user wants it, out of the store or from where it was linked."""

from __future__ import annotations

import filecmp
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import Conflict, NotFound
from ..records.dataset import DatasetRecord
from ..store import fs
from ..store.repository import Repository
from .described import have_list, item_names
from .extra import Extra, extra, is_occupied
from .linked import with_linked
from .lookup import State, Tell, fetch_missing, look, missing_blobs, not_here, within
from .places import Place, places_of, remember_if_possible

if TYPE_CHECKING:
    from ..store.objects import BlobStore
    from ..store.restore import Restored
    from ..sync.get import Brought


@dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """What was laid out: the folder or the file, how many files were written, and how many were there already."""

    path: Path
    written: int
    kept: int
    size_bytes: int
    extra: Extra = field(default_factory=Extra)
    """What else lies in the folder, and is left alone; nothing for a data set of one file."""


def get_dataset(
    repository: Repository,
    record: DatasetRecord,
    target: str | None,
    *,
    at: str,
    only: Sequence[str] = (),
    force: bool = False,
    progress: Tell | None = None,
    fetching: Tell | None = None,
    told: Callable[[Brought], None] = lambda _: None,
) -> Got:
    """Lay a version out. What is there already, unchanged, is kept; every byte that is written is hashed on the way.
    What is not here is asked of the store remotes.

    Args:
        target: the folder to lay it out in; by default one of the data set's name, in the current folder. A data set
            of one file goes to that path, or into that folder when there is one; by default into the current folder.
        only: shell patterns of the paths that are wanted; all by default.
        force: overwrite files that were changed.
        fetching: is told of blobs as they come from a store remote, and `told` what came from where.

    Raises:
        NotFound: no path matches `only`.
        NotAvailable, Damaged: its bytes are not on this machine, or not what they were. Nothing was written.
        Conflict: a file there was changed, and would be overwritten.
        StorageError: the disk refuses; run again, it goes on where it was.
    """
    if only:
        have_list(repository, record.digest)
    wanted = _matching(repository, record, only) if only else None
    store = _source(repository, record, wanted, fetching, told)
    alone = record.is_table or record.kind == "file"
    if alone and target is not None and not (target.endswith("/") or Path(target).is_dir()):
        got = _get_file(repository, record, store, Path(target).absolute(), force=force, progress=progress)
    else:
        folder = Path(target or ("." if alone else record.name)).absolute()
        occupied = not alone and is_occupied(folder)
        restored = _restore(repository, record, store, folder, only=wanted, force=force, progress=progress)
        path = within(repository, record, folder)
        beside = extra(store, record, folder) if occupied else Extra()
        got = Got(path=path, written=restored.written, kept=restored.kept, size_bytes=restored.size_bytes, extra=beside)
    if wanted is None:
        remember_if_possible(repository, record.digest, Place(path=got.path.resolve(), at=at, ours=True))
    return got


def _source(
    repository: Repository,
    record: DatasetRecord,
    wanted: list[bytes] | None,
    fetching: Tell | None,
    told: Callable[[Brought], None],
) -> BlobStore:
    """The store; where it lacks blobs, with the place at which the version lies unchanged behind it.

    What lies on this machine is not asked of others.

    Raises:
        NotAvailable, Damaged: they are nowhere.
    """
    from ..store.place import store_of

    store = store_of(repository)
    if not missing_blobs(repository, record, only=wanted):
        return store
    seen = [look(repository, record, place, "stat") for place in places_of(repository, record.digest)]
    there = next((each for each in seen if each.state is State.SAME), None)
    if there is None:
        asked = fetch_missing(repository, record, only=wanted, progress=fetching, told=told)
        if missing_blobs(repository, record, only=wanted):
            raise not_here(repository, record, seen, asked)
        return store
    return with_linked(store, record.digest, there.place.path)


def _matching(repository: Repository, record: DatasetRecord, only: Sequence[str]) -> list[bytes]:
    """The paths of a version that match one of these shell patterns."""
    from ..store.scan import matcher

    matches = matcher(only)
    found = [name for name in item_names(repository, record.digest) if matches is not None and matches(name)]
    if not found:
        raise NotFound(
            f"no file of {record.ref} matches {' '.join(only)!r:.120}",
            do="a pattern without a slash is held against the name, one with a slash against the whole path",
        )
    return found


def _restore(
    repository: Repository,
    record: DatasetRecord,
    store: BlobStore,
    folder: Path,
    *,
    only: Iterable[bytes] | None = None,
    force: bool = False,
    progress: Tell | None = None,
) -> Restored:
    from ..store.restore import restore_tree
    from ..store.statcache import StatCache

    cache = StatCache.of(repository)
    return restore_tree(store, cache, record.digest, folder, only=only, force=force, progress=progress)


def _get_file(
    repository: Repository,
    record: DatasetRecord,
    store: BlobStore,
    target: Path,
    *,
    force: bool,
    progress: Tell | None,
) -> Got:
    """Lay out a data set of one file under a name of the user's choice."""
    with fs.explained(f"cannot lay {record.ref} out at {target}"):
        fs.make_directories(target.parent)
        folder = Path(tempfile.mkdtemp(prefix=".gitrepro-part-", dir=target.parent))
        try:
            restored = _restore(repository, record, store, folder, progress=progress)
            written = _name(within(repository, record, folder), target, record, force=force)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return Got(path=target, written=int(written), kept=int(not written), size_bytes=restored.size_bytes)


def _name(source: Path, target: Path, record: DatasetRecord, *, force: bool) -> bool:
    """Give a file that was laid out its own name; False where just this lies there already.

    Raises:
        Conflict: something else lies there.
    """
    if force:
        source.replace(target)
        return True
    try:
        target.hardlink_to(source)
        return True
    except FileExistsError:
        if target.is_file() and filecmp.cmp(source, target, shallow=False):
            return False
    raise Conflict(
        f"{target} is there, and is not {record.ref}", why="it would be overwritten", do="move it away, or add --force"
    )
