"""What a tree of the run ref has that another has not, counted as people count: runs, events, results."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from ...errors import GitreproError
from ...records import ids
from ...records.result import load_result, result_path
from ...records.run import run_path
from ...store import bulk
from ...store.gitobjects import Entry, GitObjects
from ...store.repository import Repository

_DATA: Final = ("datasets", "splits", "holdout")
_RESULTS: Final = "results"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Runs by id, oldest first, and how many events, results and other records."""

    runs: tuple[str, ...] = ()
    events: int = 0
    results: int = 0
    others: int = 0

    def __bool__(self) -> bool:
        return bool(self.runs or self.events or self.results or self.others)


def between(
    repository: Repository, old: str | None, new: str | None, *, only: Collection[str] | None = None
) -> Contents:
    """What the commit or tree `new` has that `old` has not, or has otherwise.

    Args:
        only: count these runs and results, by their ids, and what is said of them.
    """
    paths = (path for path, _ in files_between(repository, old, new))
    return counted(path for path in paths if only is None or _is_of(path.split("/"), only))


def _is_of(parts: list[str], run_ids: Collection[str]) -> bool:
    return (
        parts[0] in _DATA
        or (parts[0] == _RESULTS and parts[1] in run_ids)
        or (parts[0] in ("runs", "events") and len(parts) > 4 and parts[4] in run_ids)
    )


def files_between(repository: Repository, old: str | None, new: str | None) -> Iterator[tuple[str, str]]:
    """The files, path and object, that `new` has and `old` has not, or has otherwise."""
    if new is None or new == old:
        return
    if old is None:
        yield from bulk.list_files(repository.common_dir, new)
        return
    for path, oid in bulk.changed_files(repository.common_dir, old, new):
        if oid is not None:
            yield path, oid


def counted(paths: Iterable[str]) -> Contents:
    runs: set[str] = set()
    events = results = others = 0
    for path in paths:
        parts = path.split("/")
        if parts[0] == "runs" and len(parts) > 5 and ids.is_id(parts[4]):
            runs.add(parts[4])
        elif parts[0] == "events":
            events += 1
        elif parts[0] == _RESULTS:
            results += parts[-1] == "result.yaml"
        else:
            others += parts[0] != "format.yaml"
    return Contents(runs=tuple(sorted(runs)), events=events, results=results, others=others)


def results_of(objects: GitObjects, tree: str, run_ids: Collection[str], *, there: str | None) -> list[str]:
    """The ids of the results in `tree` that name one of these runs, and no run that is not in the tree `there` either.

    A record that cannot be read is passed over: it goes with all others.
    """
    found = objects.entry(tree, _RESULTS)
    folders = objects.tree(found.oid) if found and found.is_tree else {}
    return [name for name, folder in sorted(folders.items()) if _goes(objects, folder, set(run_ids), there)]


def _goes(objects: GitObjects, folder: Entry, run_ids: set[str], there: str | None) -> bool:
    try:
        data = objects.read(objects.tree(folder.oid)["result.yaml"].oid, "blob")
        if not any(run_id.encode() in data for run_id in run_ids):
            return False
        named = {run.id for run in load_result(data, source="result.yaml").runs}
    except (GitreproError, KeyError):
        return False
    left = named - run_ids
    return left < named and all(there and objects.entry(there, run_path(run_id)) for run_id in left)


def selected(objects: GitObjects, tree: str, run_ids: Iterable[str], results: Iterable[str] = ()) -> dict[str, Entry]:
    """The folders and files of `tree` that these runs need to be understood, by path.

    Their own records, the events about them, and the records of data, which are small and name each other. And these
    results, with the events about them.
    """
    paths = ["format.yaml", *_DATA]
    for result_id in results:
        paths += [result_path(result_id), f"events/{ids.shard(result_id)}/{result_id}"]
    for run_id in run_ids:
        shard = ids.shard(run_id)
        paths += [f"runs/{shard}/{run_id}", f"events/{shard}/{run_id}"]
    found = {path: objects.entry(tree, path) for path in paths}
    return {path: entry for path, entry in found.items() if entry}
