"""Which blobs runs need: their data, splits, checkpoints, artifacts, output, and tables too large for Git.

They are grouped under what a record names, which is what a store remote is asked for: a tree leads to its list and
its files, anything else to itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final

from ..errors import BlobMissing, Damaged, GitreproError, UsageError
from ..records.manifest import FileEntry
from ..records.run import RunRecord
from ..store import trees
from ..store.objects import BlobStore, recipes
from ..store.place import store_of
from ..store.presence import Presence
from ..store.repository import Repository
from ..store.runs import RunTree

BEST: Final = "best"
ALL: Final = "all"
NONE: Final = "none"
CHECKPOINTS: Final = (BEST, ALL, NONE)
"""Which checkpoints of a run are meant: the best (where there is none, the last), all, or none."""

_DIGEST: Final = re.compile(r"b3:([0-9a-f]{64})")
_LAST: Final = "last"
_TREES: Final = ("folder", "tree")
_SHARED: Final = ("data", "split", "holdout")
_RAW: Final = len("b3:")

Told = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One thing that a run names, by its kind, its name and its digest. A size of None: nobody here knows it.

    Attributes:
        tree: it is a tree of files; `linked` where only the list of them travels.
        path: where it was put on record in its place, of a checkpoint that a framework wrote.
    """

    run_id: str
    kind: str
    name: str
    digest: str
    size_bytes: int | None
    tree: bool = False
    linked: bool = False
    path: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What runs need.

    Attributes:
        roots: what a record names → the digests that it leads to, its own first; of things that are whole here.
        sizes: digest → bytes, of all of these.
        runs: run → those of `roots` that are its own. Data sets and splits are found by themselves, whoever uses them.
        items: the things, each once.
        absent: those of which something is not here.
        troubles: records and trees that cannot be read, with the run they are of.
    """

    roots: Mapping[str, Sequence[str]]
    sizes: Mapping[str, int]
    items: tuple[Need, ...]
    runs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    absent: tuple[Need, ...] = ()
    troubles: tuple[tuple[str, GitreproError], ...] = field(default=())

    @property
    def size_bytes(self) -> int:
        """Of all that is here, each blob once."""
        return sum(self.sizes.values())


def needs(
    repository: Repository,
    run_ids: Iterable[str],
    *,
    checkpoints: str = BEST,
    data: bool = True,
    progress: Told = lambda *_: None,
) -> Needs:
    """What the records of runs name, and whether it is here. Nothing is asked of any remote.

    Args:
        checkpoints: one of `CHECKPOINTS`.
        data: whether the files of data sets count; their lists, and the splits, always do.
        progress: is told how many of how many runs were looked at.

    Raises:
        NotFound: there is no such run.
        UsageError: there is no such choice of checkpoints.
        StorageError: the store is not there.
    """
    check_choice(checkpoints)
    gathered = _Gathered(store_of(repository))
    wanted = list(dict.fromkeys(run_ids))
    with RunTree(repository) as tree:
        for done, run_id in enumerate(wanted):
            progress(done, len(wanted))
            try:
                record = tree.run(run_id)
            except Damaged as error:
                gathered.troubles.append((run_id, error))
                continue
            for need in named_by(record, checkpoints=checkpoints, data=data):
                gathered.take(need)
    progress(len(wanted), len(wanted))
    return gathered.done()


def needs_of(repository: Repository, things: Iterable[Need]) -> Needs:
    """As `needs`, of things that are named one by one."""
    gathered = _Gathered(store_of(repository))
    for need in things:
        gathered.take(need)
    return gathered.done()


def check_choice(checkpoints: str) -> None:
    """Raises UsageError where there is no such choice of checkpoints."""
    if checkpoints not in CHECKPOINTS:
        raise UsageError(
            f"there is no choice {checkpoints!r:.40} of checkpoints", do=f"one of {', '.join(CHECKPOINTS)}"
        )


# -- what a record names


def named_by(record: RunRecord, *, checkpoints: str = ALL, data: bool = True) -> Iterator[Need]:
    """The things that one record names. What is no name of a blob is left out: `verify` tells of it."""
    for need in _all_named(record, checkpoints, data):
        if _DIGEST.fullmatch(need.digest):
            yield need


def _all_named(record: RunRecord, checkpoints: str, data: bool) -> Iterator[Need]:
    for entry in _maps(record.data):
        yield _need(record, "data", entry, entry.get("digest"), tree=True, linked=bool(entry.get("linked")) or not data)
        for split in _maps(entry.get("splits")):
            yield _need(record, "split", {**split, "size_bytes": None}, split.get("digest"))
    for entry in _maps(record.fitted):
        yield _need(record, "fitted", entry, entry.get("blob"))
    for entry in _chosen(list(_maps(record.checkpoints)), checkpoints):
        tree, path = entry.get("files") is not None, entry.get("path")
        named = {**entry, "name": entry.get("name") or f"step-{entry.get('step')}"}
        need = _need(record, "checkpoint", named, entry.get("blob"), tree=tree, path=Path(path) if path else None)
        yield need
    for entry in _maps(record.artifacts):
        tree = entry.get("files") is not None or entry.get("kind") in _TREES
        yield _need(record, str(entry.get("kind") or "artifact"), entry, entry.get("blob"), tree=tree)
    for entry in _maps(record.evaluations):
        yield _need(record, "predictions", entry, entry.get("predictions"))


def _need(
    record: RunRecord,
    kind: str,
    entry: Mapping[str, Any],
    digest: object,
    *,
    tree: bool = False,
    linked: bool = False,
    path: Path | None = None,
) -> Need:
    name = "@".join(str(part) for part in (entry.get("name"), entry.get("version")) if part)
    size_bytes = entry.get("size_bytes")
    return Need(
        run_id=record.id,
        kind=kind,
        name=name or "?",
        digest=str(digest),
        size_bytes=size_bytes if isinstance(size_bytes, int) else None,
        tree=tree,
        linked=linked,
        path=path,
    )


def _maps(entries: object) -> Iterator[Mapping[str, Any]]:
    for entry in entries if isinstance(entries, (list, tuple)) else ():
        if isinstance(entry, dict):
            yield entry


def _chosen(entries: list[Mapping[str, Any]], checkpoints: str) -> list[Mapping[str, Any]]:
    if checkpoints == ALL:
        return entries
    if checkpoints == NONE:
        return []
    best = [entry for entry in entries if BEST in _roles(entry)]
    return best or [entry for entry in entries if _LAST in _roles(entry)]


def _roles(entry: Mapping[str, Any]) -> Sequence[object]:
    roles = entry.get("roles")
    return roles if isinstance(roles, list) else ()


# -- what of it is here


def is_here(store: BlobStore, digest: str) -> bool:
    """Whether a blob is in the store with all its pieces. Its bytes are not looked at."""
    return not missing_pieces(store, digest)


def missing_pieces(store: BlobStore, digest: str) -> list[str]:
    """What of a blob is not in the store: itself, or some of its pieces; nothing where it is whole."""
    if digest not in store:
        return [digest]
    path = store.recipe_path(bytes.fromhex(digest[_RAW:]))
    if store.path(digest).is_file() or not path.is_file():
        return []
    try:
        return [piece.digest for piece in recipes.load(path).segments if piece.digest not in store]
    except (FileNotFoundError, Damaged):
        return [digest]


def listed(store: BlobStore, digest: str, *, files: bool = True) -> Iterator[tuple[str, int]]:
    """The blobs of a tree with their bytes: its root, its shards and, where they are wanted, its files.

    Raises:
        BlobMissing, Damaged: the root or a shard is not here, or is none. It may come late.
    """
    yield digest, store.size(digest)
    for shard, entries in trees.shards(store, digest):
        yield shard.digest, store.size(shard.digest)
        if files:
            yield from (_sized(entry) for entry in entries if entry.size_bytes)


def _sized(entry: FileEntry) -> tuple[str, int]:
    return entry.digest, entry.size_bytes


@final
class _Gathered:
    """Takes one thing after the other, each once."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self._presence = Presence(store)
        self._roots: dict[str, dict[str, int]] = {}
        self._sizes: dict[str, int] = {}
        self._items: dict[tuple[str, bool], Need] = {}
        self._runs: dict[str, list[str]] = {}
        self._absent: list[Need] = []
        self.troubles: list[tuple[str, GitreproError]] = []

    def take(self, need: Need) -> None:
        if need.kind not in _SHARED:
            self._runs.setdefault(need.run_id, []).append(need.digest)
        key = (need.digest, need.linked)
        if key in self._items:
            return
        self._items[key] = need
        try:
            found = self._tree(need) if need.tree else self._blob(need)
        except BlobMissing:
            found = None
        except Damaged as error:
            self.troubles.append((need.run_id, error))
            found = None
        if found is None:
            self._absent.append(need)
        else:
            self._roots.setdefault(need.digest, {}).update(found)
            self._sizes.update(found)

    def _blob(self, need: Need) -> dict[str, int] | None:
        if not is_here(self._store, need.digest):
            return None
        return {need.digest: self._store.size(need.digest)}

    def _tree(self, need: Need) -> dict[str, int] | None:
        found = dict(listed(self._store, need.digest, files=not need.linked))
        gone = self._presence.absent(bytes.fromhex(digest[_RAW:]) for digest in found)
        return None if gone else found

    def done(self) -> Needs:
        return Needs(
            roots={root: tuple(digests) for root, digests in self._roots.items()},
            sizes=self._sizes,
            runs={
                run: own
                for run, named in self._runs.items()
                if (own := [each for each in named if each in self._roots])
            },
            items=tuple(self._items.values()),
            absent=tuple(self._absent),
            troubles=tuple(self.troubles),
        )
