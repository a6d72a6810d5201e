"""What the run ref holds, read: runs, events, results. A damaged record is reported; the others are still read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import final

from ..errors import Damaged, GitreproError, NotFound
from ..records import ids
from ..records.event import Event, load_event
from ..records.run import RunRecord, load_run, run_path
from . import rescue
from .fold import commit_tree
from .gitobjects import Entry, GitObjects
from .gitrefs import read_ref
from .repository import RUNS_REF, Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A record that could not be read, and why."""

    path: str
    error: GitreproError


@final
class RunTree:
    """The tree at one commit of `refs/gitrepro/runs`; the current one unless `commit` is given.

    Use as a context manager: it keeps pack files open.
    """

    def __init__(self, repository: Repository, *, commit: str | None = None) -> None:
        self.repository = repository
        self.commit = commit or read_ref(repository.common_dir, RUNS_REF)
        self.objects = GitObjects(
            repository.common_dir, restore=rescue.restorer(repository), incoming=repository.incoming
        )
        self._tree: str | None = None

    @property
    def tree(self) -> str | None:
        """The name of the root tree, or None when nothing was recorded yet."""
        if self._tree is None and self.commit:
            self._tree = commit_tree(self.objects.read(self.commit, "commit"))
        return self._tree

    def entry(self, path: str) -> Entry | None:
        return self.objects.entry(self.tree, path) if self.tree else None

    def read(self, path: str) -> bytes:
        """The bytes of one file.

        Raises:
            NotFound: there is none of that path.
            Damaged: it is not what its name says.
        """
        found = self.entry(path)
        if found is None or found.is_tree:
            raise NotFound(f"{path} is not in {RUNS_REF}", do="`gitrepro ls --all` lists what is")
        return self.objects.read(found.oid, "blob")

    def run(self, run_id: str) -> RunRecord:
        """One run's record. Raises as `read` does."""
        path = f"{run_path(run_id)}/run.yaml"
        record = load_run(self.read(path), source=path)
        if record.id != run_id:
            raise Damaged(f"{path} says it is run {record.id!r:.40}", why="a record stands under its own id")
        return record

    def run_tree(self, run_id: str) -> str | None:
        """The Git tree of a run: its immutable digest, cited by results."""
        found = self.entry(run_path(run_id))
        return found.oid if found and found.is_tree else None

    def run_files(self, run_id: str) -> dict[str, Entry]:
        """The files of a run by name: `run.yaml`, `config.yaml`, `metrics.parquet`, ..."""
        found = self.entry(run_path(run_id))
        if found is None or not found.is_tree:
            raise NotFound(f"run {run_id} is not in {RUNS_REF}", do="`gitrepro ls --all` lists what is")
        return dict(self.objects.files(found.oid))

    def run_ids(self) -> list[str]:
        """Every run, oldest first: an id begins with its time."""
        found = self.entry("runs")
        paths = self._folders(found.oid, 4) if found and found.is_tree else []
        return sorted(name for name in paths if ids.is_id(name))

    def events(self, subject: str) -> tuple[list[Event], list[Trouble]]:
        """The events of one subject, and those of its event files that cannot be read."""
        folder = f"events/{ids.shard(subject)}/{subject}"
        found = self.entry(folder)
        events, troubles = [], []
        for name, entry in self.objects.files(found.oid) if found and found.is_tree else []:
            path = f"{folder}/{name}"
            try:
                events.append(load_event(self.objects.read(entry.oid, "blob"), source=path))
            except GitreproError as error:
                troubles.append(Trouble(path=path, error=error))
        return events, troubles

    def result_ids(self) -> list[str]:
        found = self.entry("results")
        return sorted(self.objects.tree(found.oid)) if found and found.is_tree else []

    def changed_since(
        self, tree: str | None, *, unreadable: Callable[[str, GitreproError], None]
    ) -> Iterator[tuple[str, Entry]]:
        """Files that are new or other than in the root tree `tree`. Equal parts are not opened."""
        if self.tree:
            yield from self.objects.changed(tree, self.tree, unreadable=unreadable)

    def _folders(self, oid: str, depth: int) -> Iterator[str]:
        for name, entry in self.objects.tree(oid).items():
            if not entry.is_tree:
                continue
            if depth == 1:
                yield name
            else:
                yield from self._folders(entry.oid, depth - 1)

    def close(self) -> None:
        self.objects.close()

    def __enter__(self) -> RunTree:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
