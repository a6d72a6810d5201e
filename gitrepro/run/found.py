"""`gitrepro.runs()`: what is on record, as a sequence; newest first."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, final, overload

from ..records import yaml
from ..store import repository as repositories
from ..store.index import Index
from ..store.objects import BlobStore
from ..store.repository import Repository
from ..store.runs import RunTree

if TYPE_CHECKING:
    from ..records.metrics import MetricTable


def runs(*, group: str | None = None, status: str | None = None, repo: str | os.PathLike[str] | None = None) -> Found:
    """The runs on record, newest first.

    Args:
        group: only those of this group.
        status: only those that ended so, as `finished`.
        repo: a folder in the repository; the current folder by default.

    Raises:
        NoRepository: there is no repository.
    """
    repository = repositories.find(Path(repo) if repo is not None else Path.cwd(), os.environ)
    wanted = {'"group"': group, "status": status}
    conditions = [f"{column} = ?" for column, value in wanted.items() if value is not None]
    values = [value for value in wanted.values() if value is not None]
    with Index(repository) as index:
        listings = index.listings(where=" AND ".join(["removed = 0", *conditions]), values=values)
        return Found(repository, tuple(listings))


@final
class Found(Sequence["RunView"]):
    """Runs as they stood when they were looked up."""

    def __init__(self, repository: Repository, listings: tuple[dict[str, Any], ...]) -> None:
        self._repository = repository
        self._listings = listings

    def __len__(self) -> int:
        return len(self._listings)

    @overload
    def __getitem__(self, place: int) -> RunView: ...
    @overload
    def __getitem__(self, place: slice) -> Found: ...
    def __getitem__(self, place: int | slice) -> RunView | Found:
        if isinstance(place, slice):
            return Found(self._repository, self._listings[place])
        return RunView(self._repository, self._listings[place])

    def __iter__(self) -> Iterator[RunView]:
        return (RunView(self._repository, listing) for listing in self._listings)

    def __repr__(self) -> str:
        return f"<{len(self)} runs: {', '.join(listing['name'] for listing in self._listings[:5])}>"


@final
class RunView:
    """One run on record. Its record is read from Git when it is asked for."""

    def __init__(self, repository: Repository, listing: Mapping[str, Any]) -> None:
        self._repository = repository
        self.listing = dict(listing)
        self.id = str(listing["id"])
        self.name = str(listing["name"])
        self.status = str(listing["status"])
        self.config: dict[str, Any] = dict(listing["config"])
        self.summary: dict[str, Any] = dict(listing["summary"])

    @property
    def metadata(self) -> dict[str, Any]:
        """The whole of `run.yaml`.

        Raises:
            Damaged: the record is not what it was.
        """
        with RunTree(self._repository) as tree:
            return tree.run(self.id).document()

    @property
    def environment(self) -> dict[str, Any]:
        """The whole of `env.yaml`."""
        with RunTree(self._repository) as tree:
            entry = tree.run_files(self.id)["env.yaml"]
            return yaml.load(tree.objects.read(entry.oid, "blob"), source=f"env.yaml of {self.id}")

    def metrics(self, *, rank: int = 0) -> Any:
        """Every row logged by one rank, a pyarrow.Table: `_seq`, `_step`, `_time_seconds`, a column a metric.

        Raises:
            Damaged: the table is not what was recorded.
            BlobMissing: it is too large for Git and not in the store here.
        """
        return metric_table(self._repository, self.id, rank=rank).to_arrow()

    def to_pandas(self, *, rank: int = 0) -> Any:
        """`metrics()` as a pandas.DataFrame."""
        return metric_table(self._repository, self.id, rank=rank).to_pandas()

    def __repr__(self) -> str:
        return f"<RunView {self.name} {self.id} {self.status}>"


def metric_table(repository: Repository, run_id: str, *, rank: int = 0) -> MetricTable:
    """The metrics of a run, from Git or, for a large table, from the store. Raises as `RunView.metrics` does."""
    from ..records.metrics import by_rank, read

    with RunTree(repository) as tree:
        kept = {name: entry for name, entry in tree.run_files(run_id).items() if name.endswith(".parquet")}
        stored = {
            artifact["name"]: artifact["blob"]
            for artifact in tree.run(run_id).artifacts
            if artifact.get("kind") == "metrics"
        }
        names = by_rank(stored or kept).get(rank, [])
        if stored:
            blobs = BlobStore(repository.home / "store")
            return read({name: blobs.get(stored[name]) for name in names})
        return read({name: tree.objects.read(kept[name].oid, "blob") for name in names})
