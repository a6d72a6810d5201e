"""The data of a run: sets and splits that are opened by name, put on record, and counted as they are read."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, final

from ..errors import UsageError
from ..records.material import CHECKS
from ..store import fs
from ..store import repository as repositories
from . import process
from .named import NamedData, check_reference
from .opening import Holdouts

if TYPE_CHECKING:
    from ..data.fitted import Fitted
    from ..data.handle import Dataset
    from ..data.parts import Part, Split
    from ..store.repository import Repository

Check = Literal["stat", "sample", "full"]
_TOLD_EACH_SECONDS: Final = 60


def dataset(ref: str, *, check: Check = "stat", repo: str | os.PathLike[str] | None = None) -> Dataset:
    """Open a version of a data set, outside a run or inside one; what is opened inside one is on its record.

    Args:
        ref: `digits` (the newest version), `digits@v1`, or `digits@b3:...` by content.
        check: how to make sure that the data on disk is that version: `stat` compares sizes and times, `sample` hashes
            some of it, `full` all of it.
        repo: a folder in the repository whose data it is; the current folder by default.

    Raises:
        NotFound: there is no such data set, or its bytes are not on this machine.
        UsageError: there is no repository here, or an argument is wrong.
        Damaged: the data is not what that version names.
    """
    check_reference(ref, "dataset")
    run = next(iter(process.open_runs()), None) if repo is None else None
    if run is not None:
        found: Dataset = run.dataset(ref, check=check)
        return found
    return _open(repository_at(Path(repo) if repo is not None else None), ref, check)


def repository_at(start: Path | None) -> Repository:
    """The repository in whose catalogue names are looked up. One that can only be read will do.

    Raises:
        GitreproError: there is none, or it cannot be used.
    """
    with fs.explained(f"cannot look for a repository at {start or 'the current folder'}"):
        return repositories.find(Path.cwd() if start is None else start, os.environ)


def _open(repository: Repository, ref: str, check: str) -> Dataset:
    from ..data import open_dataset

    if check not in CHECKS:
        raise UsageError(f"there is no check {check!r:.40}", do=f"give one of {', '.join(CHECKS)}")
    return open_dataset(repository, ref, check=check)


def dataset_entry(found: Dataset) -> dict[str, Any]:
    """What a record says of a data set."""
    record = found.record
    return {
        "checked": found.checked,
        "digest": record.digest,
        "items": record.items,
        "kind": record.kind,
        "linked": record.linked,
        "name": record.name,
        "size_bytes": record.size_bytes,
        "version": record.version,
    }


def split_entry(split: Split) -> dict[str, Any]:
    """What a record says of a split."""
    return {"digest": split.digest, "name": split.name, "parts": split.parts, "version": split.version}


@dataclass(frozen=True, slots=True, kw_only=True)
class LookedUp:
    """Data that was found before the run begins.

    Attributes:
        named: the same names, with digests.
        entries: what a record says of it.
        datasets: the data sets, open.
    """

    named: NamedData = field(default_factory=NamedData)
    entries: tuple[dict[str, Any], ...] = ()
    datasets: tuple[Dataset, ...] = ()


def looked_up(repository: Repository, named: NamedData) -> LookedUp:
    """Find what is named, and check it, before the run begins.

    Raises:
        NotFound, Ambiguous: a name means nothing, or several things.
        UsageError: a split is named and no data set.
        Damaged, StorageError: the data is not what its name says, or cannot be read.
    """
    if named.splits and not named.datasets:
        raise UsageError("a split is named, and no data set that it splits", do="name the data set too: --data NAME")
    opened = [_open(repository, ref, "stat") for ref in named.datasets]
    splits = [(each, split) for each in opened for split in _splits(each, named, alone=len(opened) == 1)]
    if missing := {*named.splits} - {ref for _, (ref, _) in splits}:
        names = ", ".join(each.record.ref for each in opened)
        raise UsageError(f"none of {names} has a split {min(missing)!r:.80}", do="`gitrepro split show` lists them")
    pinned = NamedData(
        datasets=tuple(f"{each.record.name}@{each.record.digest}" for each in opened),
        splits=tuple(f"{each.record.name}/{split.name}@{split.version}" for each, (_, split) in splits),
    )
    entries = (
        {**dataset_entry(each), "splits": [split_entry(split) for of, (_, split) in splits if of is each]}
        for each in opened
    )
    return LookedUp(named=pinned, entries=tuple(entries), datasets=tuple(opened))


def _splits(found: Dataset, named: NamedData, *, alone: bool) -> Iterator[tuple[str, Split]]:
    """Those of the named splits that a data set has, each with its reference."""
    from ..errors import NotFound

    for ref in named.splits:
        of, slash, name = ref.rpartition("/")
        if slash and of != found.record.name:
            continue
        try:
            yield ref, found.split(name)
        except NotFound:
            # Of several data sets one has it, and the others need not.
            if alone or slash:
                raise


@final
class RunData:
    """The data sets and splits that one process of a run has opened.

    Args:
        known: what was named, and found, before the run began.
        find: gives the repository whose data it is.
        tell: takes an event for the journal.
    """

    def __init__(self, known: LookedUp, *, find: Callable[[], Repository], tell: Callable[..., None]) -> None:
        self.named = known.named
        self._find = find
        self._tell = tell
        self.holdouts = Holdouts(find=lambda: self.repository, tell=tell)
        self._repository: Repository | None = None
        self._datasets: dict[tuple[str, str], Dataset] = {}
        self._splits: dict[tuple[str, str], Split] = {}
        self._opened: list[Split] = []
        self._said: set[tuple[str, str]] = set()
        self._told: dict[tuple[str, str], Mapping[str, int]] = {}
        self._beats = 0
        for found in known.datasets:
            self._datasets[_pinned(found), "stat"] = self._listened(found)

    @property
    def repository(self) -> Repository:
        """Raises as `repository_at` does."""
        if self._repository is None:
            self._repository = self._find()
        return self._repository

    @property
    def opened(self) -> tuple[Split, ...]:
        """The splits that this process has opened."""
        return tuple(self._opened)

    def tell_known(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Put on record what was found before the run began."""
        for entry in entries:
            said = dict(entry)
            splits = said.pop("splits", ())
            self._say_dataset(said)
            for split in splits:
                self._tell("split", data=said["digest"], dataset=said["name"], **split)

    def dataset(self, ref: str | None, check: str = "stat") -> Dataset:
        """Open a data set and put it on record. Raises as `gitrepro.dataset` does."""
        wanted = self._meant(ref)
        if (wanted, check) not in self._datasets:
            self._datasets[wanted, check] = self._listened(_open(self.repository, wanted, check))
        found = self._datasets[wanted, check]
        self._say_dataset(dataset_entry(found))
        return found

    def _meant(self, ref: str | None) -> str:
        """A name without a version means the version that was named for the run, if there is one."""
        if ref is not None:
            check_reference(ref, "dataset")
            return next((named for named in self.named.datasets if named.partition("@")[0] == ref), ref)
        opened = {found.record.digest: _pinned(found) for found in self._datasets.values()}
        if not self.named.datasets and len(opened) == 1:
            return next(iter(opened.values()))
        return self.named.the_dataset()

    def _say_dataset(self, entry: Mapping[str, Any]) -> None:
        key = (str(entry["digest"]), str(entry["checked"]))
        if key not in self._said:
            self._said.add(key)
            self._tell("dataset", **entry)

    def split(self, name: str | None, dataset: str | Dataset | None) -> Split:
        """Open a split and put it on record.

        Raises:
            UsageError: which split is meant is not said.
            NotFound: there is none of that name.
        """
        found = self.dataset(dataset) if dataset is None or isinstance(dataset, str) else dataset
        self._say_dataset(dataset_entry(found))
        wanted = name if name is not None else self.named.split_of(found.record.name) or "default"
        key = (found.record.digest, check_reference(wanted, "split"))
        if key not in self._splits:
            self._splits[key] = self._listened(found).split(wanted)
        return self._splits[key]

    def _listened(self, found: Dataset) -> Dataset:
        found.on_split = self._take
        return found

    def _take(self, split: Split) -> None:
        """A split was opened, by whichever way: it goes on record, and what is read of it is counted."""
        data = split.dataset.record
        if split.digest not in [known.digest for known in self._opened]:
            self._tell("split", data=data.digest, dataset=data.name, **split_entry(split))
        self._opened.append(split)
        self.holdouts.take(split)

    def fitted(self, made: Fitted, part: Part, name: str, blob: str | None) -> None:
        """Put on record what was fitted, and on what."""
        split = part.split
        self._tell(
            "fitted",
            blob=blob,
            count=made.count,
            data=split.dataset.record.digest,
            ids=made.ids_digest,
            method=made.method,
            name=name,
            part=part.name,
            split=split.digest,
        )

    def beat(self) -> None:
        """Once a minute, say how much was read so far: a kill may come."""
        self._beats += 1
        if self._beats % _TOLD_EACH_SECONDS == 0:
            self.tell_reads()

    def tell_reads(self) -> None:
        """Say how much of each part this process, and those it started, have read."""
        counts: dict[tuple[str, str], Counter[str]] = {}
        for split in self._opened:
            counts.setdefault((split.dataset.record.digest, split.digest), Counter()).update(split.reads)
        for (data, digest), found in counts.items():
            reads = {part: count for part, count in sorted(found.items()) if count}
            if reads and reads != self._told.get((data, digest)):
                self._told[data, digest] = reads
                self._tell("reads", data=data, split=digest, reads=reads)

    def provenance(self) -> dict[str, list[str]]:
        """The digests of what was opened so far."""
        opened = {found.record.digest for found in self._datasets.values()}
        return {"data": sorted(opened), "splits": sorted({split.digest for split in self._opened})}

    def after_fork(self) -> None:
        """In a forked child: what is read here is counted for the parent, who tells of it."""
        self._splits, self._opened, self._told = {}, [], {}


def _pinned(found: Dataset) -> str:
    return f"{found.record.name}@{found.record.digest}"
