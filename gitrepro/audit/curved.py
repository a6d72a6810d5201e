"""The curves of a run, judged again from the table of its metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

from ..errors import GitreproError
from ..records.run import RunRecord
from ..store.runs import RunTree


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """What the curves of a run show.

    Attributes:
        found: by metric what was found in its curve, as `divergence`.
        faults: where the record says otherwise than the table does.
    """

    found: Mapping[str, tuple[str, ...]]
    faults: tuple[str, ...] = ()


def curves_of(tree: RunTree, record: RunRecord) -> Curves | None:
    """The curves of a run that are long enough to show anything.

    None where there are none, or where the table is too large to be in Git. What cannot be read is a fault.
    """
    told = _map(_map(record.curves).get("metrics"))
    if not told:
        return None
    try:
        table = _table(tree, record.id)
    except GitreproError as error:
        return Curves(found={}, faults=(f"the table of metrics cannot be read: {error.what}",))
    return _judged(table, told, record) if table is not None else None


def _table(tree: RunTree, run_id: str) -> Any:
    # pyarrow, for those alone who have curves.
    from ..records.metrics import by_rank, read

    files = tree.run_files(run_id)
    names = by_rank(files).get(0)
    return read({name: tree.objects.read(files[name].oid, "blob") for name in names}) if names else None


def _judged(table: Any, told: Mapping[str, Any], record: RunRecord) -> Curves:
    from ..analysis.curves import ALGORITHM
    from ..analysis.judging import judge

    series: dict[str, Any] = {}
    for name in told:
        try:
            steps, _, values = table.arrays(name)
        except GitreproError:
            return Curves(found={}, faults=(f"the record tells of a curve {name}, and the table of metrics has none",))
        series[name] = steps.astype("float64"), values.astype("float64")
    goals = {name: str(_map(each).get("mode")) for name, each in told.items()}
    again = judge(series, goals)["metrics"]
    faults = [*_counts(series, record)]
    if _map(record.curves).get("algorithm") == ALGORITHM:
        faults += _others(told, again)
    found = {name: kinds for name, each in again.items() if (kinds := _found(each))}
    return Curves(found=found, faults=tuple(faults))


def _counts(series: Mapping[str, Any], record: RunRecord) -> Iterator[str]:
    """A run of several processes counts the values of all of them, of which these are the first one's."""
    if (record.ranks or {}).get("world_size", 1) != 1:
        return
    for name, (_, values) in series.items():
        count = _map(record.metrics.get(name)).get("count")
        if count != len(values):
            yield f"the record tells of {count} values of {name}, and the table of metrics has {len(values)}"


def _others(told: Mapping[str, Any], again: Mapping[str, Any]) -> Iterator[str]:
    for name, each in told.items():
        if _found(each) != _found(again[name]):
            said, drawn = (", ".join(_found(some)) or "nothing" for some in (each, again[name]))
            yield f"of {name} the record says that {said} was found, and the table of metrics shows {drawn}"


def _found(curve: Any) -> tuple[str, ...]:
    verdicts = _map(_map(curve).get("verdicts"))
    return tuple(sorted(kind for kind, each in verdicts.items() if _map(each).get("found")))


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
