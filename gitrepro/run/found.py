"""`gitrepro.runs()`: what is on record, as a sequence; newest first."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, final, overload

from ..errors import Damaged, NotFound
from ..query import parse
from ..records import yaml
from ..records.lineage import joined
from ..records.runtable import data_frame, run_table
from ..store import repository as repositories
from ..store.index import Index
from ..store.place import store_of
from ..store.repository import Repository
from ..store.runs import RunTree
from . import html

if TYPE_CHECKING:
    from ..records.metrics import MetricTable


def runs(
    query: str = "",
    *,
    group: str | None = None,
    status: str | None = None,
    repo: str | os.PathLike[str] | None = None,
) -> Found:
    """The runs on record, newest first.

    Args:
        query: which ones, as `gitrepro ls` takes it: `"val/accuracy > 0.9 and seed in 0..4"`.
        group: only those of this group.
        status: only those that ended so, as `finished`.
        repo: a folder in the repository; the current folder by default.

    Raises:
        NoRepository: there is no repository.
        QueryError: the query cannot be read, or names what no run has.
    """
    repository = repositories.find(Path(repo) if repo is not None else Path.cwd(), os.environ)
    wanted = {'"group"': group, "status": status}
    conditions = [f"{column} = ?" for column, value in wanted.items() if value is not None]
    values = [value for value in wanted.values() if value is not None]
    with Index(repository) as index:
        where, bound = index.condition(parse(query, names=index, now=datetime.datetime.now(datetime.UTC)))
        listings = index.listings(where=" AND ".join([where, *conditions]), values=[*bound, *values])
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

    def to_arrow(self) -> Any:
        """A `pyarrow.Table`, a row a run: its fields, metrics by their names, config keys as `config.lr`."""
        return run_table(self._listings)

    def to_pandas(self) -> Any:
        """`to_arrow()` as a `pandas.DataFrame`.

        Raises:
            UsageError: pandas is not installed.
        """
        return data_frame(self.to_arrow())

    def _repr_html_(self) -> str:
        return html.table_of(self._listings)

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

    def metrics(self, *, rank: int = 0, whole: bool = True) -> Any:
        """Every row logged by one rank, a pyarrow.Table: `_seq`, `_step`, `_time_seconds`, a column a metric.

        Of a run that was resumed these are the rows of all attempts up to this one, without those whose steps a later
        attempt did again.

        Args:
            whole: False gives the rows of this attempt alone.

        Raises:
            NotFound: an earlier attempt is not on record here.
            Damaged: the table is not what was recorded.
            BlobMissing: it is too large for Git, and neither in the store here nor in a store remote.
        """
        attempts = self.attempts if whole else (self.id,)
        tables = [metric_table(self._repository, run_id, rank=rank).to_arrow() for run_id in attempts]
        return tables[0] if len(tables) == 1 else joined(tables)

    @property
    def attempts(self) -> tuple[str, ...]:
        """The ids of the attempts that this run goes on from, the oldest first, and its own.

        Raises:
            NotFound: one of them is not on record here.
            Damaged: they go round in a circle.
        """
        with RunTree(self._repository) as tree:
            return tuple(_attempts(tree, self.id))

    def to_pandas(self, *, rank: int = 0, whole: bool = True) -> Any:
        """`metrics()` as a pandas.DataFrame."""
        return data_frame(self.metrics(rank=rank, whole=whole))

    def _repr_html_(self) -> str:
        return html.page_of(self.listing)

    def __repr__(self) -> str:
        return f"<RunView {self.name} {self.id} {self.status}>"


def _attempts(tree: RunTree, run_id: str) -> list[str]:
    found = [run_id]
    while before := tree.run(found[0]).resumes:
        if before in found:
            raise Damaged(f"the attempts of run {run_id} go round in a circle", why=f"{found[0]} resumes {before}")
        if tree.run_tree(before) is None:
            raise NotFound(
                f"attempt {before} is not on record here",
                why=f"run {found[0]} goes on from it, and the curve would begin in the middle",
                do="fetch the run, or ask for this attempt alone: metrics(whole=False)",
            )
        found.insert(0, before)
    return found


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
            blobs = store_of(repository)
            _have(repository, run_id, [stored[name] for name in names])
            return read({name: blobs.get(stored[name]) for name in names})
        return read({name: tree.objects.read(kept[name].oid, "blob") for name in names})


def _have(repository: Repository, run_id: str, digests: list[str]) -> None:
    store = store_of(repository)
    if missing := [digest for digest in digests if digest not in store]:
        from ..sync.get import ensure

        ensure(repository, missing, runs=[run_id])
