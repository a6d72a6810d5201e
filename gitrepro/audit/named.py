"""What the run ref says of the data sets and splits that a run names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from ..errors import GitreproError
from ..records.dataset import dataset_path, load_dataset
from ..records.run import RunRecord
from ..records.split import load_split, split_path
from ..store.runs import RunTree

_DIGEST: Final = re.compile("b3:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A data set or a split as a run names it.

    Attributes:
        what: for people, as `digits@v1` or `default@v1 of digits`.
        data: the name of the data set.
        missing: why nothing says which bytes it stands for; empty when its record is there.
        fault: in what its record contradicts the run; empty when they agree.
    """

    what: str
    data: str
    digest: str
    split: bool = False
    missing: str = ""
    fault: str = ""


@final
class NamedData:
    """Looks up what runs name, each record once: the runs of a claim share their data."""

    def __init__(self, tree: RunTree) -> None:
        self._tree = tree
        self._read: dict[str, list[Mapping[str, Any] | str]] = {}

    def of(self, record: RunRecord | None) -> tuple[Named, ...]:
        """Everything that a run names, the splits behind their data set."""
        return tuple(found for entry in (record.data if record else ()) for found in self._of(entry))

    def _of(self, entry: Mapping[str, Any]) -> Iterator[Named]:
        name, digest = str(entry.get("name")), str(entry.get("digest"))
        missing, fault = self._judged(digest, dataset_path(name, digest), _wanted(entry))
        yield Named(what=_called(entry), data=name, digest=digest, missing=missing, fault=fault)
        for split in entry.get("splits") or ():
            yield self._split(name, digest, split)

    def _split(self, data: str, data_digest: str, split: Mapping[str, Any]) -> Named:
        digest = str(split.get("digest"))
        wanted = {"digest": digest, "data": data_digest, "parts": split.get("parts")}
        missing, fault = self._judged(digest, split_path(data, str(split.get("name")), digest), wanted)
        what = f"{_called(split)} of {data}"
        return Named(what=what, data=data, digest=digest, split=True, missing=missing, fault=fault)

    def _judged(self, digest: str, path: str, wanted: Mapping[str, Any]) -> tuple[str, str]:
        """Why nothing is known of what a run names, and in what its record contradicts the run."""
        if not _DIGEST.fullmatch(digest):
            return "the run names it by no digest", ""
        if path not in self._read:
            self._read[path] = [*self._load(path)]
        said = self._read[path]
        if not said:
            return "there is no record of it", ""
        faults = [_fault(each, wanted) for each in said]
        # Where two clones described the same bytes, both records stand, and one of them has to agree.
        return ("", "") if "" in faults else (str(said[0]), "") if isinstance(said[0], str) else ("", faults[0])

    def _load(self, path: str) -> Iterator[Mapping[str, Any] | str]:
        """What each record at a path says, or why it cannot be read."""
        folder, _, file = path.rpartition("/")
        try:
            found = self._tree.entry(folder)
            names = [*self._tree.objects.tree(found.oid)] if found and found.is_tree else []
        except GitreproError as error:
            yield f"its record cannot be read: {error.what}"
            return
        for name in sorted(each for each in names if each == file or each.startswith(f"{file}~")):
            try:
                yield _read(self._tree.read(f"{folder}/{name}"), f"{folder}/{name}")
            except GitreproError as error:
                yield f"its record cannot be read: {error.what}"


def _read(data: bytes, path: str) -> Mapping[str, Any]:
    if path.startswith("datasets/"):
        found = load_dataset(data, source=path)
        return {"digest": found.digest, "items": found.items}
    split = load_split(data, source=path)
    return {"digest": split.digest, "data": split.dataset.get("digest"), "parts": dict(split.parts)}


def _called(entry: Mapping[str, Any]) -> str:
    return f"{entry.get('name')}@{entry['version']}" if entry.get("version") else str(entry.get("name"))


def _wanted(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: entry[name] for name in ("digest", "items") if entry.get(name) is not None}


def _fault(said: Mapping[str, Any] | str, wanted: Mapping[str, Any]) -> str:
    if isinstance(said, str):
        return said
    other = [name for name, value in wanted.items() if not _agrees(said.get(name), value)]
    return f"its record has other {', '.join(other)} than the run" if other else ""


def _agrees(said: object, value: object) -> bool:
    # Of a split with very many parts a run counts only the first.
    if isinstance(said, dict) and isinstance(value, dict):
        return bool(value) and value.items() <= said.items()
    return said == value
