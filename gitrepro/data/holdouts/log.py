"""The holdout log of one split as it is on record: its entries in their order, and what is wrong with the chain."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, final

from ...errors import GitreproError, TooNew
from ...records import ids, yaml
from ...records.holdout import FOLDER, OPEN, OPERATIONS, Entry, digest_of, folder_of, load_entry
from ...store.fold import queued
from ...store.repository import Repository
from ...store.runs import RunTree

# Two clones may have written other bytes under one name: a merge keeps the second beside the first.
_FILE: Final = re.compile(r"([0-9a-z]{26})\.yaml(?:~[0-9a-f]{8,40})*")
_SPLIT: Final = re.compile("[0-9a-f]{64}")
_UNTOLD: Final = "none"
_CARRIERS: Final = (f"{FOLDER}.", "run.")


@final
@dataclass(frozen=True, slots=True)
class Held:
    """An entry, and the digest of its bytes as they are on record."""

    entry: Entry
    digest: str


@final
@dataclass(frozen=True, kw_only=True)
class Log:
    """What is on record of the uses of one split.

    Attributes:
        split: its digest.
        held: the entries, in the order of their numbers, those of one number by their ids.
        unread: in words, the files that cannot be read.
    """

    split: str
    held: tuple[Held, ...] = ()
    unread: tuple[str, ...] = ()

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(each.entry for each in self.held)

    @cached_property
    def digests(self) -> frozenset[str]:
        return frozenset(each.digest for each in self.held)

    @cached_property
    def heads(self) -> tuple[str, ...]:
        """The digests of the entries that no other one names, sorted: the next one names them."""
        named = {digest for each in self.entries for digest in each.prev}
        return tuple(sorted(self.digests - named))

    @cached_property
    def openings(self) -> tuple[Entry, ...]:
        """The entries by which somebody came to know something of a part: it was opened, or a score of it was told."""
        return tuple(each for each in self.entries if _tells(each))

    def openings_of(self, part: str) -> tuple[Entry, ...]:
        """Those of one part."""
        return tuple(each for each in self.openings if each.part == part)

    @cached_property
    def concurrent(self) -> tuple[Entry, ...]:
        """The entries whose writer did not know of some other one that is not after it either; all of them count."""
        before: dict[str, set[str]] = {}
        for each in self.held:
            before[each.digest] = {*each.entry.prev}.union(*(before.get(prev, ()) for prev in each.entry.prev))
        after = Counter(digest for known in before.values() for digest in known)
        count = len(self.held)
        return tuple(e.entry for e in self.held if len(before[e.digest] & self.digests) + after[e.digest] + 1 < count)

    @cached_property
    def troubles(self) -> tuple[str, ...]:
        """In words, what is wrong: something cannot be read, is cut off, stands twice, or was counted otherwise."""
        return (*self.unread, *_twice(self.entries), *self._faults())

    def after(self, entry: Entry) -> frozenset[str]:
        """The ids of the entries whose writers knew of `entry`, by whichever way."""
        known = {each.digest for each in self.held if each.entry.id == entry.id}
        found: set[str] = set()
        for each in self.held:
            if not known.isdisjoint(each.entry.prev):
                known.add(each.digest)
                found.add(each.entry.id)
        return frozenset(found)

    def _faults(self) -> Iterator[str]:
        numbers = {each.digest: each.entry.number for each in self.held}
        for each in self.entries:
            name = f"entry {each.id[-8:]} ({each.op}, number {each.number})"
            if missing := [digest for digest in each.prev if digest not in numbers]:
                yield f"{name} comes after {missing[0][:15]}, which is not here: an entry was removed, or changed"
            elif each.number != 1 + max((numbers[digest] for digest in each.prev), default=0):
                yield f"{name} has another number than those before it give"
            if each.op not in OPERATIONS:
                yield f"{name} does what no gitrepro of this version knows"


def _tells(entry: Entry) -> bool:
    return entry.op == OPEN or (entry.op == "score" and entry.detail.get("feedback") != _UNTOLD)


def _twice(entries: Iterable[Entry]) -> Iterator[str]:
    counts = Counter(each.id for each in entries)
    return (f"{count} entries are called {name[-8:]}" for name, count in counts.items() if count > 1)


# -- reading


def log_of(tree: RunTree, split: str) -> Log:
    """The log of the split `b3:<64 hex>` at one commit of the run ref. What cannot be read is a trouble, no error."""
    folder = folder_of(split)
    found = tree.entry(folder)
    files = dict(tree.objects.files(found.oid)) if found and found.is_tree else {}
    read = _Read(split)
    for name, entry in sorted(files.items()):
        try:
            read.take(name, tree.objects.read(entry.oid, "blob"))
        except GitreproError as error:
            read.unread.append(f"{folder}/{name} cannot be read: {error.what}")
    return read.log()


def known_log(repository: Repository, split: str) -> Log:
    """The log as this clone knows it: with what waits in the queue, which may be put on the run ref meanwhile."""
    read = _Read(split)
    for path, text in _queued(repository).items():
        if path.startswith(f"{folder_of(split)}/"):
            read.take(path.rpartition("/")[2], text.encode())
    with RunTree(repository) as tree:
        on_record = log_of(tree, split)
    return read.log(beside=on_record)


def splits_with_log(tree: RunTree) -> list[str]:
    """The digests of the splits that have a log."""
    found = tree.entry(FOLDER)
    names = tree.objects.tree(found.oid) if found and found.is_tree else {}
    return [f"b3:{name}" for name in sorted(names) if _SPLIT.fullmatch(name)]


def _queued(repository: Repository) -> dict[str, str]:
    """The files that wait to be committed, by path. An entry that cannot be read is left to the fold, which says so."""
    found: dict[str, str] = {}
    for name in queued(repository):
        if not name.startswith(_CARRIERS):
            continue
        try:
            found |= yaml.load((repository.home / "queue" / name).read_bytes(), source=name)["files"]
        except (GitreproError, OSError, KeyError, TypeError):
            continue
    return found


@final
class _Read:
    """Gathers the entries of one log."""

    def __init__(self, split: str) -> None:
        self.split = split
        self.held: dict[tuple[str, str], Held] = {}
        self.unread: list[str] = []

    def take(self, name: str, data: bytes) -> None:
        path = f"{folder_of(self.split)}/{name}"
        try:
            entry = load_entry(data, source=path)
        except TooNew as error:
            self.unread.append(f"{path} cannot be read here: {error.why}")
        except GitreproError as error:
            self.unread.append(f"{path} cannot be read: {error.what}")
        else:
            self._place(entry, name, path, digest_of(data))

    def _place(self, entry: Entry, name: str, path: str, digest: str) -> None:
        match = _FILE.fullmatch(name)
        if match is None or not ids.is_id(match[1]) or (entry.id, entry.split) != (match[1], self.split):
            self.unread.append(f"{path} says it is entry {entry.id[-8:]} of split {entry.split[:15]}")
        else:
            self.held[entry.id, digest] = Held(entry, digest)

    def log(self, *, beside: Log | None = None) -> Log:
        found: Mapping[tuple[str, str], Held] = self.held
        if beside is not None:
            found = {**found, **{(each.entry.id, each.digest): each for each in beside.held}}
        ordered = sorted(found.values(), key=lambda each: (each.entry.number, each.entry.id, each.digest))
        unread = (*self.unread, *(beside.unread if beside else ()))
        return Log(split=self.split, held=tuple(ordered), unread=tuple(dict.fromkeys(unread)))
