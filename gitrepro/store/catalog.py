"""Which versions of data sets and which splits are on record. A damaged record is told, the others are read."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar, final

from ..errors import Ambiguous, Damaged, GitreproError, NotFound, UsageError
from ..records.dataset import DatasetRecord, DatasetRef, load_dataset, parse_ref
from ..records.split import SplitRecord, load_split
from ..records.statistics import load_statistics
from . import fs
from .fold import Identity, Pending, enqueue, fold, queued
from .repository import Repository
from .roots import pin_text
from .runs import RunTree, Trouble

R = TypeVar("R", DatasetRecord, SplitRecord)
# Two clones may have described the same bytes: the fold keeps the second record beside the first, under such a name.
_RECORD: Final = re.compile(r"([0-9a-f]{64})\.yaml(?:~[0-9a-f]{8})?")
_STATISTICS: Final = re.compile(r"([0-9a-f]{64})\.statistics-([1-9][0-9]{0,5})\.yaml")
_SHOWN_AT_MOST: Final = 10
_TOGETHER_BYTES: Final = 400 << 10


@final
class Catalog:
    """The data sets and splits at one commit of the run ref; the current one unless `commit` is given.

    Use as a context manager: it keeps pack files open.
    """

    def __init__(self, repository: Repository, *, commit: str | None = None) -> None:
        self.troubles: list[Trouble] = []
        """Records that could not be read so far."""
        self._tree = RunTree(repository, commit=commit)

    # -- data sets

    def names(self) -> list[str]:
        """The names of all data sets, in order."""
        return sorted(self._folders("datasets"))

    def datasets(self, name: str | None = None) -> list[DatasetRecord]:
        """Every version on record, by name and then oldest first; one for each content of a name."""
        names = self.names() if name is None else [name]
        return [record for each in names for record in self._versions(each)]

    def dataset(self, ref: str) -> DatasetRecord:
        """The version that `ref` means: `digits` (the newest), `digits@v1`, `digits@b3:12ab` or `b3:12ab`.

        Raises:
            UsageError: it has no form that a reference has.
            NotFound: there is none, with the nearest names.
            Ambiguous: several versions answer to it.
            Damaged: the record is there and cannot be read.
        """
        wanted = parse_ref(ref)
        if wanted.name is None:
            return self._one(ref, [each for each in self.datasets() if _answers(each, wanted)])
        versions = self._versions(wanted.name)
        if not versions:
            raise self._unknown_name(wanted.name)
        if wanted.version is None and wanted.digest is None:
            return versions[-1]
        return self._one(ref, [each for each in versions if _answers(each, wanted)], versions)

    def statistics(self, record: DatasetRecord) -> Mapping[str, Any] | None:
        """What is on record about the values of a version, by the newest algorithm; None where nothing is.

        Raises:
            Damaged: it is there and cannot be read.
            TooNew: a newer gitrepro wrote it.
        """
        found = self.algorithms(record)
        if not found:
            return None
        path = found[max(found)]
        return load_statistics(self._tree.read(path), source=path)

    def algorithms(self, record: DatasetRecord) -> dict[int, str]:
        """The algorithms whose statistics of a version are on record, each with their path."""
        folder = f"datasets/{record.name}"
        matches = (_STATISTICS.fullmatch(name) for name in self._names(folder))
        own = record.digest.removeprefix("b3:")
        return {int(match[2]): f"{folder}/{match[0]}" for match in matches if match and match[1] == own}

    # -- splits

    def splits(self, dataset: DatasetRecord | str, name: str | None = None) -> list[SplitRecord]:
        """The splits of a data set (all versions of it when it is given by name), by name and then oldest first."""
        of = dataset if isinstance(dataset, str) else dataset.name
        names = sorted(self._folders(f"splits/{of}")) if name is None else [name]
        found = [record for each in names for record in self._records(f"splits/{of}/{each}", load_split)]
        return [each for each in found if isinstance(dataset, str) or each.dataset["digest"] == dataset.digest]

    def split(self, dataset: DatasetRecord, ref: str) -> SplitRecord:
        """The split of `dataset` that `ref` means: `default` (the newest), `default@v2`, `default@b3:12ab`, `b3:12ab`.

        Raises:
            NotFound: there is none, with the nearest names.
            Ambiguous: several answer to it.
            Damaged: the record is there and cannot be read.
        """
        wanted = parse_ref(ref)
        found = self.splits(dataset, wanted.name)
        if wanted.name is not None and not found:
            raise self._unknown_split(dataset, wanted.name)
        if wanted.version is None and wanted.digest is None:
            return found[-1]
        return self._one(ref, [each for each in found if _answers(each, wanted)], found)

    # -- the tree

    def has(self, path: str) -> bool:
        """Whether a file of that path is on the run ref."""
        return self._tree.entry(path) is not None

    def close(self) -> None:
        self._tree.close()

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _names(self, folder: str) -> list[str]:
        found = self._tree.entry(folder)
        return list(self._tree.objects.tree(found.oid)) if found and found.is_tree else []

    def _folders(self, folder: str) -> list[str]:
        found = self._tree.entry(folder)
        if found is None or not found.is_tree:
            return []
        return [name for name, entry in self._tree.objects.tree(found.oid).items() if entry.is_tree]

    def _versions(self, name: str) -> list[DatasetRecord]:
        return self._records(f"datasets/{name}", load_dataset)

    def _records(self, folder: str, load: Callable[..., R]) -> list[R]:
        """The records of a folder, oldest first; of several about the same bytes the oldest."""
        found: dict[str, R] = {}
        for name in self._names(folder):
            match = _RECORD.fullmatch(name)
            record = self._record(f"{folder}/{name}", match[1], load) if match else None
            if record and (record.digest not in found or record.created_at < found[record.digest].created_at):
                found[record.digest] = record
        return sorted(found.values(), key=lambda record: (record.created_at, record.version, record.digest))

    def _record(self, path: str, digits: str, load: Callable[..., R]) -> R | None:
        try:
            record = load(self._tree.read(path), source=path)
            if record.digest != f"b3:{digits}" or path.split("/")[-2] != record.name:
                raise Damaged(f"{path} says it is {record.name} of {record.digest[:15]}", why="its path says otherwise")
            return record
        except GitreproError as error:
            self.troubles.append(Trouble(path=path, error=error))
            return None

    # -- what is not there

    def _one(self, ref: str, found: Sequence[R], others: Sequence[R] = ()) -> R:
        if len(found) == 1:
            return found[0]
        if found:
            which = _listed(f"{each.name}@{each.digest[:15]} ({each.version})" for each in found)
            raise Ambiguous(f"{ref!r:.120} means {len(found)} things", why=which, do="type more of the digest")
        self._raise_damage(ref)
        why = f"on record: {_listed(each.version for each in others)}" if others else ""
        raise NotFound(f"there is no {ref!r:.120}", why=why, do="`gitrepro data ls` lists what there is")

    def _unknown_name(self, name: str) -> GitreproError:
        self._raise_damage(name, below=f"datasets/{name}/")
        near = difflib.get_close_matches(name, self.names(), n=3, cutoff=0.4)
        why = f"nearest: {', '.join(near)}" if near else "none is on record yet" if not self.names() else ""
        return NotFound(f"there is no data set {name!r:.120}", why=why, do="`gitrepro data ls` lists them")

    def _unknown_split(self, dataset: DatasetRecord, name: str) -> GitreproError:
        self._raise_damage(name, below=f"splits/{dataset.name}/{name}/")
        names = sorted({each.name for each in self.splits(dataset)})
        others = sorted({each.dataset["version"] for each in self.splits(dataset.name, name)})
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.4) or names[:3]
        why = f"nearest: {', '.join(near)}" if near else f"it is one of {_listed(others)} of it" if others else ""
        do = f"`gitrepro split make {dataset.ref} {name}` makes it"
        return NotFound(f"{dataset.ref} has no split {name!r:.120}", why=why, do=do)

    def _raise_damage(self, ref: str, below: str = "") -> None:
        """Nobody may say that a record is not there while there are some that cannot be read."""
        for trouble in (each for each in self.troubles if each.path.startswith(below)):
            raise Damaged(
                f"no record that can be read answers to {ref!r:.120}",
                why=f"{trouble.path}: {trouble.error}",
                do="fetch refs/gitrepro/runs from a clone that has it, or run `git fsck`",
            )


def _answers(record: DatasetRecord | SplitRecord, wanted: DatasetRef) -> bool:
    return record.digest.startswith(wanted.digest) if wanted.digest else record.version == wanted.version


def _listed(words: Iterable[str]) -> str:
    every = list(words)
    more = f" and {len(every) - _SHOWN_AT_MOST} more" if len(every) > _SHOWN_AT_MOST else ""
    return ", ".join(every[:_SHOWN_AT_MOST]) + more


# -- writing


@contextmanager
def writing(repository: Repository, *, identity: Identity, timeout_seconds: float = 600.0) -> Iterator[None]:
    """Be the only one in this clone who looks a free name up and takes it.

    What an interrupted command left in the queue is committed first, so that the block sees it.

    Raises:
        StorageError: the disk refuses, or another command holds on for too long.
    """
    with fs.explained(f"cannot write into {repository.home}"):
        fs.make_directories(repository.home)
    with fs.locked(repository.home / "catalog.lock", timeout_seconds=timeout_seconds):
        if queued(repository):
            fold(repository, identity=identity)
        yield


def write_records(
    repository: Repository, files: Mapping[str, bytes], *, subject: str, line: str, identity: Identity
) -> None:
    """Put small files, path to bytes, on the run ref, in one commit. Durable once this returns.

    The blobs they name have to be durable before. A file that is there with these bytes is left as it is.

    Raises:
        UsageError: a file is no text, or too large for the queue.
        StorageError: the disk refuses; what was queued goes in with the next fold.
    """
    with RunTree(repository) as tree:
        wanted = {path: data for path, data in files.items() if not _is_there(tree, path, data)}
    pin_text(repository, wanted.values())
    for part in _parts(wanted):
        texts = {path: _text(path, data) for path, data in part.items()}
        enqueue(repository, Pending(kind="record", subject=subject, line=line, files=texts))
    fold(repository, identity=identity)


def _parts(files: Mapping[str, bytes]) -> Iterator[dict[str, bytes]]:
    """The files, so many at a time as go into one entry of the queue."""
    part: dict[str, bytes] = {}
    for path, data in files.items():
        if part and sum(map(len, part.values())) + len(data) > _TOGETHER_BYTES:
            yield part
            part = {}
        part[path] = data
    if part:
        yield part


def _is_there(tree: RunTree, path: str, data: bytes) -> bool:
    found = tree.entry(path)
    return found is not None and not found.is_tree and tree.objects.read(found.oid, "blob") == data


def _text(path: str, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no text", why=str(error)) from error
