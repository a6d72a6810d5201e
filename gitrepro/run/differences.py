"""In what two runs differ: what went into them, and what came out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..capture.config import flatten
from ..errors import GitreproError
from ..records import yaml
from ..records.run import RunRecord, run_path
from ..store.repository import Repository
from ..store.runs import RunTree
from . import differing
from .difference import Difference, keyed, same
from .found import metric_table

__all__ = ["SECTIONS", "Difference", "Side", "differences", "side"]

if TYPE_CHECKING:
    from ..records.metrics import MetricTable

SECTIONS: Final = ("command", "config", "seeds", "code", "data", "env", "metrics", "checkpoints", "artifacts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """All of one run that is compared."""

    record: RunRecord
    config: Mapping[str, Any]
    environment: Mapping[str, Any]


def side(tree: RunTree, run_id: str) -> Side:
    """What is on record of a run.

    Raises:
        NotFound, Damaged: it is not there, or not what it was.
    """
    return Side(
        record=tree.run(run_id),
        config=_document(tree, run_id, "config.yaml").get("values", {}),
        environment=_document(tree, run_id, "env.yaml"),
    )


def _document(tree: RunTree, run_id: str, name: str) -> Mapping[str, Any]:
    entry = tree.run_files(run_id).get(name)
    if entry is None:
        return {}
    return yaml.load(tree.objects.read(entry.oid, "blob"), source=f"{run_path(run_id)}/{name}")


def differences(repository: Repository, left: Side, right: Side) -> Iterator[Difference]:
    """Everything in which two runs differ, section by section. Names, hosts and clocks are no difference."""
    yield from keyed("command", {"argv": list(left.record.argv)}, {"argv": list(right.record.argv)})
    yield from keyed("config", flatten(left.config), flatten(right.config))
    yield from keyed("seeds", _seeds(left.record), _seeds(right.record))
    yield from _code(repository, left.record.code, right.record.code)
    yield from differing.data(repository, left.record, right.record)
    yield from keyed("env", flatten(left.environment), flatten(right.environment))
    yield from _metrics(repository, left.record, right.record)
    yield from differing.checkpoints(left.record, right.record)
    yield from differing.artifacts(left.record, right.record)


def _seeds(record: RunRecord) -> dict[str, Any]:
    effective = record.seeds.get("effective")
    found = {f"effective.{name}": seed for name, seed in effective.items()} if isinstance(effective, dict) else {}
    return {"requested": record.seeds.get("requested"), **found}


def _code(
    repository: Repository, left: Mapping[str, Any] | None, right: Mapping[str, Any] | None
) -> Iterator[Difference]:
    one, other = left or {}, right or {}
    if one.get("tree") and one.get("tree") == other.get("tree"):
        return
    yield from keyed("code", *({name: code.get(name) for name in ("commit", "dirty", "tree")} for code in (one, other)))
    if not (one.get("tree") and other.get("tree")):
        return
    try:
        listing = repository.git(
            "diff-tree", "-r", "-z", "--no-renames", "--name-status", "--no-ext-diff", one["tree"], other["tree"]
        )
    except GitreproError as error:
        yield Difference(section="code", key="files", left=None, right=None, note=f"cannot be compared: {error.what}")
        return
    fields = listing.decode("utf-8", "replace").split("\0")
    for status, path in zip(fields[::2], fields[1::2], strict=False):
        what = {"A": "only in the second", "D": "only in the first"}.get(status, "changed")
        yield Difference(section="code", key=path, left=None, right=None, note=what)


def _metrics(repository: Repository, left: RunRecord, right: RunRecord) -> Iterator[Difference]:
    tables = [_table(repository, record) for record in (left, right)]
    for name in sorted({*left.summary, *right.summary, *left.metrics, *right.metrics}):
        one, other = left.summary.get(name), right.summary.get(name)
        note = _curves(name, tables)
        if not same(one, other) or note:
            yield Difference(section="metrics", key=name, left=one, right=other, note=note)


def _table(repository: Repository, record: RunRecord) -> MetricTable | str:
    try:
        return metric_table(repository, record.id)
    except GitreproError as error:
        return f"the curve of {record.name} is not here: {error.what}"


def _curves(name: str, tables: list[MetricTable | str]) -> str:
    """Where two curves part, or why nobody can say."""
    import numpy as np

    missing = [table for table in tables if isinstance(table, str)]
    if missing:
        return missing[0]
    curves = [table.arrays(name) for table in tables if not isinstance(table, str) and name in table.names]
    if len(curves) != len(tables):
        return ""
    (steps, _, values), (other_steps, _, other_values) = curves
    shared = min(len(values), len(other_values))
    one, other = values[:shared], other_values[:shared]
    # A value that is not itself is NaN.
    equal = (steps[:shared] == other_steps[:shared]) & ((one == other) | ((one != one) & (other != other)))
    if not equal.all():
        return f"the curves part at step {int(steps[int(np.argmin(equal))])}"
    if len(values) != len(other_values):
        return f"equal for {shared} values, of {len(values)} and {len(other_values)}"
    return ""
