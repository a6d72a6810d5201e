"""All that is known of a result: what it came to, how it is judged today, what it cost, what was waived."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ...analysis.efficiency import is_number
from ...analysis.intervals import t_interval
from ...audit import gate
from ...audit.waivers import Waiver, waivers_of
from ...errors import GitreproError
from ...policy import Stage
from ...records.event import fold_events
from ...records.metricnames import part_of
from ...records.result import Audit, Result
from ...records.run import RunRecord
from ...records.seeds import seed_text
from ...records.seedset import Spread, spread_of
from ...store.runs import RunTree
from ..openings import openings
from ..page.parts import mapping, maps

_WHICH: Final = ("test", "val", None, "train")
"""The parts of the data in the order in which their numbers are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A result with all that is said beside its number.

    Attributes:
        audit: as it is judged today.
        records: of its runs; None for one that cannot be read.
        spreads: what the runs came to, by metric; those of the test part first.
        goals: `max` or `min` by metric, as far as the runs say.
        sampling: the standard error that the choice of test examples gives a number, and how many they are; by metric,
            for those whose size the record tells.
        openings: a sentence on each split with a test part: how often it was opened.
        waivers: of the result and of its runs, also those that were withdrawn.
    """

    result: Result
    audit: Audit
    records: tuple[RunRecord | None, ...]
    spreads: Mapping[str, Spread]
    goals: Mapping[str, str]
    sampling: Mapping[str, tuple[float, int]]
    openings: tuple[str, ...]
    waivers: tuple[Waiver, ...]

    @property
    def known(self) -> list[RunRecord]:
        return [record for record in self.records if record is not None]


def look_up(tree: RunTree, result: Result, audit: Audit | None = None) -> Declared:
    """All that is known of a result.

    Args:
        audit: of the result, where it was made already.
    """
    audit = audit or gate.judge_result(tree, result, stage=Stage.TAG)
    records = tuple(_record(tree, run.id) for run in result.runs)
    known = [record for record in records if record is not None]
    standings = [fold_events(tree.events(subject)[0]) for subject in (result.id, *(run.id for run in result.runs))]
    spreads, data = _spreads(known), [entry for record in known for entry in record.data]
    return Declared(
        result=result,
        audit=audit,
        records=records,
        spreads=spreads,
        goals=_goals(known),
        sampling=_sampling(known, spreads),
        openings=tuple(openings(tree, [run.id for run in result.runs], data, spreads)),
        waivers=tuple(waiver for standing in standings for waiver in waivers_of(standing)),
    )


def _record(tree: RunTree, run_id: str) -> RunRecord | None:
    try:
        return tree.run(run_id)
    except GitreproError:
        return None


def _spreads(records: Sequence[RunRecord]) -> dict[str, Spread]:
    values: dict[str, list[tuple[str, str, float]]] = {}
    for record in records:
        for name, value in record.summary.items():
            if is_number(value) and abs(value) < 1e308:
                values.setdefault(name, []).append((record.id, seed_text(record.seeds), float(value)))
            elif is_number(value):
                values.setdefault(name, []).append((record.id, seed_text(record.seeds), math.nan))
    order = sorted(values, key=lambda name: (_WHICH.index(part_of(name)), -len(values[name]), name))
    return {name: spread_of(values[name]) for name in order}


def _goals(records: Sequence[RunRecord]) -> dict[str, str]:
    told: dict[str, set[str]] = {}
    for record in records:
        for name, facts in record.metrics.items():
            told.setdefault(name, set()).add(str(mapping(facts).get("goal")))
    return {name: goals.pop() for name, goals in told.items() if len(goals) == 1 and goals <= {"max", "min"}}


def _sampling(records: Sequence[RunRecord], spreads: Mapping[str, Spread]) -> dict[str, tuple[float, int]]:
    """The binomial standard error of an accuracy: seeds do not show it, and another test set of the size would."""
    found = {}
    for entry in (entry for record in records for entry in maps(record.evaluations)):
        for name, measured in mapping(entry.get("metrics")).items():
            metric, count = f"{entry.get('name')}/{name}", entry.get("distinct")
            is_accuracy = str(mapping(measured).get("function")).startswith("accuracy@")
            if is_accuracy and isinstance(count, int) and count > 0 and metric in spreads:
                share = spreads[metric].mean
                if 0 <= share <= 1:
                    found[metric] = (math.sqrt(share * (1 - share) / count), count)
    return found


def bounds_of(spread: Spread) -> tuple[float | None, float | None]:
    """Student's 95 % interval around a mean over seeds; nothing where one seed or a NaN tells none."""
    values = [value for _, _, value in spread.values]
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return None, None
    found = t_interval(values)
    return found.low, found.high


def costs_of(records: Sequence[RunRecord]) -> dict[str, float]:
    """What runs cost together, as far as each of them has it on record."""
    measured = [mapping(record.efficiency) for record in records]
    columns: dict[str, list[object]] = {
        "seconds": [record.duration_seconds for record in records],
        "gpu_hours": [each.get("gpu_hours") for each in measured],
        "joules": [_joules(each) for each in measured],
        "amount": [mapping(each.get("cost")).get("amount") for each in measured],
    }
    return {name: math.fsum(told) for name, values in columns.items() if (told := _all_numbers(values))}


def _joules(measured: Mapping[str, Any]) -> object:
    told = mapping(measured.get("energy_joules"))
    return math.fsum(told.values()) if told and all(map(is_number, told.values())) else None


def _all_numbers(values: Sequence[object]) -> list[float]:
    """The values, where each run has one: a sum that leaves a run out would be too small."""
    found = [float(value) for value in values if is_number(value) and math.isfinite(value)]
    return found if len(found) == len(values) else []
