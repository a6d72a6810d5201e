"""What `gitrepro ls --pareto METRIC:COST` says: the runs that no other beats for less."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .. import policy
from ..analysis.efficiency import is_number
from ..analysis.pareto import Point, front
from ..errors import GitreproError, UsageError
from ..query import term
from ..records.run import RunRecord
from ..records.term import Term
from ..store.index import NEWEST_FIRST, Index
from ..store.repository import Repository
from ..store.runs import RunTree
from .page.parts import mapping
from .present import clean, emit, note, number, table
from .progress import progress


def _cost(record: RunRecord) -> object:
    return mapping(mapping(record.efficiency).get("cost")).get("amount")


def _energy(record: RunRecord) -> object:
    told = mapping(mapping(record.efficiency).get("energy_joules"))
    return sum(told.values()) if told and all(is_number(each) for each in told.values()) else None


def _step_seconds(record: RunRecord) -> object:
    return mapping(mapping(record.efficiency).get("step_seconds")).get("p50")


COSTS: Final[Mapping[str, Callable[[RunRecord], object]]] = {
    "cost": _cost,
    "duration": lambda record: record.duration_seconds,
    "energy": _energy,
    "gpu_hours": lambda record: mapping(record.efficiency).get("gpu_hours"),
    "memory": lambda record: record.cost.get("peak_memory_bytes"),
    "step_seconds": _step_seconds,
    "steps": lambda record: mapping(record.efficiency).get("steps"),
}
"""What a run can have cost; any other name is a metric or a key of the config."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A run with the metric, and what it cost if that is on record."""

    listing: Mapping[str, Any]
    quality: float
    cost: float | None


def print_front(
    found: Repository, index: Index, spec: str, *, condition: tuple[str, Sequence[Any]], names: Any, as_json: bool
) -> None:
    """Print the front of the runs that a condition holds for.

    Raises:
        UsageError: `spec` is not `METRIC:COST`, or nobody has said whether the metric is better greater or smaller.
    """
    metric, colon, cost = spec.rpartition(":")
    if not (metric and colon and cost):
        raise UsageError(
            f"--pareto wants METRIC:COST, not {spec!r:.80}", do=f"costs are {', '.join(COSTS)}, or a metric"
        )
    wanted = term(metric, names=names)
    charged = None if cost in COSTS else term(cost, names=names)
    with RunTree(found) as tree:
        runs = list(_known(tree, index, condition, wanted, cost, charged))
        goal = _goal(found, tree, metric, runs)
    priced = [run for run in runs if run.cost is not None]
    best = front([Point(quality=run.quality, cost=run.cost or 0.0) for run in priced], goal=goal)
    if as_json:
        points = [_document(run, place in best) for place, run in enumerate(priced)]
        emit({"schema": 1, "metric": metric, "goal": goal, "cost": cost, "points": points})
    else:
        rows = [priced[place] for place in best]
        table([_row(run) for run in rows], ["id", "name", clean(metric), clean(cost)], right=[2, 3], elastic=1)
    _say(len(runs), len(priced), len(best), cost)


def _known(
    tree: RunTree, index: Index, condition: tuple[str, Sequence[Any]], wanted: Term, cost: str, charged: Term | None
) -> Iterator[_Known]:
    where, values = condition
    terms = [wanted, *([charged] if charged else [])]
    told = [
        each for each in index.table(terms, where=where, values=values, order=NEWEST_FIRST) if is_number(each[1][0])
    ]
    tell = progress("reading runs")
    for done, (listing, held) in enumerate(told, start=1):
        paid = held[1] if charged else COSTS[cost](tree.run(listing["id"]))
        yield _Known(listing=listing, quality=float(held[0]), cost=float(paid) if is_number(paid) else None)
        tell(done, len(told))


def _goal(found: Repository, tree: RunTree, metric: str, runs: Sequence[_Known]) -> str:
    goals = _policy_goals(found)
    if metric in goals:
        return goals[metric]
    told = {str(mapping(tree.run(run.listing["id"]).metrics.get(metric)).get("goal")) for run in runs[:20]} & {
        "max",
        "min",
    }
    if len(told) == 1:
        return told.pop()
    if not runs:
        return "max"
    why = "runs disagree" if told else "neither a run nor the policy says so"
    do = f'write `metrics: {{"{metric}": {{goal: max}}}}` into {policy.FILE}, or call run.define_metric'
    raise UsageError(f"is {metric!r:.80} better when it is greater, or smaller?", why=why, do=do)


def _policy_goals(found: Repository) -> Mapping[str, str]:
    path = found.work_tree / policy.FILE if found.work_tree else None
    if path is None or not path.is_file():
        return {}
    try:
        return policy.parse(path.read_bytes()).goals
    except (OSError, GitreproError) as error:
        note(f"{policy.FILE} is passed over: {error}")
        return {}


def _row(run: _Known) -> list[str]:
    return [str(run.listing["id"])[-8:], clean(str(run.listing["name"])), number(run.quality), number(run.cost or 0.0)]


def _document(run: _Known, is_front: bool) -> dict[str, Any]:
    return {
        "id": run.listing["id"],
        "name": run.listing["name"],
        "quality": run.quality,
        "cost": run.cost,
        "front": is_front,
    }


def _say(runs: int, priced: int, best: int, cost: str) -> None:
    if not runs:
        note("no run matches")
        return
    if priced > best:
        note(f"{best} of {priced} runs; of the others each has one that is as good for less, or better for as much")
    if runs > priced:
        left = runs - priced
        note(f"{left} {'run is' if left == 1 else 'runs are'} left out: no {clean(cost)} is on record")
