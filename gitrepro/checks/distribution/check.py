"""The data checks of a task, one line each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from ...errors import GitreproError, UsageError
from ...records.sanity import Checked, Example
from ..guarded import guarded_task
from ..task import Data, Part, Predictions, Task
from ..task import check_data as whole
from ..trials import Outcome, Runner, Trial, predicting
from . import alike, classes, drift, overlaps, proof, repeated, schema, scoring
from .columns import columns_of
from .contents import digests_of
from .pairs import Found, as_table, pairs_of
from .settings import DataSettings, Judged
from .statistics import as_file, statistics_of

Judge = Callable[[Mapping[str, Any], Mapping[str, Any]], Judged]
ALGORITHMS: Final[Mapping[str, int]] = {
    "distribution.classes": 1,
    "distribution.drift": 1,
    "distribution.duplicates": 2,
    "distribution.label_conflicts": 1,
    "distribution.schema": 1,
    "separation.fitted": 1,
    "separation.groups": 1,
    "separation.ids": 1,
    "separation.times": 1,
}
"""The version of each line: it grows when a verdict could come out differently for the same data."""


def check_data(task: Task, settings: DataSettings, runner: Runner) -> list[Checked]:
    """Look at the examples themselves: classes, types, drift, duplicates, and what stands on both sides of the split.

    Launches one trial of kind `data-check` that keeps statistics and pairs, one run of the experiment where train and
    the scored part share examples and its predictions are not given, and four with a little of its budget to see
    whether scored examples have a part in what is predicted of others.

    Raises:
        UsageError: the data are not whole, or the schema says what is not known.
    """
    task = guarded_task(task)
    source = f"data() of {task.name}"
    data = task.data()
    ids, shown = overlaps.look_at_ids(_is_data(data, source))
    lines = [_line("separation.ids", overlaps.judge_ids, ids, {}, settings, examples=shown)]
    data = _with_own_ids(data) if ids["shared"] or any(ids["twice"].values()) else data
    digests = digests_of(whole(data, source=source))
    found, run = _evidence(task, data, settings, runner)
    lines += _of_examples(task, data, settings, digests)
    lines += _of_pairs(task, data, found, settings, runner)
    seen, runs = proof.look(task, data, settings, runner)
    lines.append(_line("separation.fitted", proof.judge, seen, proof.PARAMETERS, settings, runs=runs))
    return [replace(line, inputs=digests, runs=(*run, *line.runs)) for line in lines]


def _is_data(data: object, source: str) -> Data:
    """Raises UsageError for what is no data at all; ids are looked at afterwards."""
    if not isinstance(data, Data):
        return whole(data, source=source)
    for name, part in data.parts.items():
        _check_arrays(part, source=f"{source}, part {name!r}")
    whole(_with_own_ids(data), source=source)
    return data


def _check_arrays(part: Part, *, source: str) -> None:
    for name in ("ids", "labels", "groups", "times"):
        found = getattr(part, name)
        if found is not None and not isinstance(found, np.ndarray):
            raise UsageError(f"the {name} of {source} are a {type(found).__name__}", do="make them a NumPy array")
    if part.times is not None and part.times.dtype.kind not in "fiu":
        raise UsageError(f"the times of {source} are {part.times.dtype}", do="make them float64, in any unit")


def _with_own_ids(data: Data) -> Data:
    """With an id for each place, where the given ones do not tell examples apart."""
    return data.with_parts(
        **{
            name: replace(part, ids=np.array([f"{name}/{k}" for k in range(len(part.ids))]))
            for name, part in data.parts.items()
        }
    )


def _line(
    name: str,
    judge: Judge,
    observed: Mapping[str, Any],
    parameters: Mapping[str, Any],
    settings: DataSettings,
    *,
    examples: tuple[Example, ...] = (),
    runs: tuple[str, ...] = (),
) -> Checked:
    parameters = {key: settings.thresholds.get(key, value) for key, value in parameters.items()}
    verdict, why, repair = judge(observed, parameters)
    return Checked(
        rule=name.partition(".")[0],
        name=name,
        verdict=verdict,
        algorithm=ALGORITHMS[name],
        why=why,
        repair=repair,
        parameters=parameters,
        observed=dict(observed),
        examples=examples,
        runs=runs,
    )


def _evidence(task: Task, data: Data, settings: DataSettings, runner: Runner) -> tuple[Found, tuple[str, ...]]:
    """Pairs of equal examples, kept with the statistics of each part in a run of their own."""
    found: list[Found] = []

    def act() -> Outcome:
        found.append(pairs_of(data, task.kind, settings))
        statistics = {
            name: statistics_of(columns_of(drift.sampled(part, settings.seed), data, task.kind))
            for name, part in sorted(data.parts.items())
        }
        files = {"pairs.tsv": as_table(found[0]), "statistics.json": as_file(statistics)}
        metrics = {f"{name}/examples": float(len(part)) for name, part in data.parts.items()}
        return Outcome(metrics=metrics, files=files)

    outcome = runner(Trial(kind="data-check", arm="data", seed=settings.seed, act=act, ours=True))
    return found[0], (outcome.run_id,) if outcome.run_id else ()


def _of_examples(task: Task, data: Data, settings: DataSettings, digests: Mapping[str, str]) -> list[Checked]:
    again = digests_of(_like(task.data(), data))
    told, faulty = schema.look(data, task.kind, settings.schema, now=digests, again=again)
    groups, torn = overlaps.look_at_groups(data)
    times, late = overlaps.look_at_times(data)
    mix = classes.look(data, task.kind, seed=settings.seed)
    moved = drift.look(data, task.kind, seed=settings.seed)
    declared = {"schema": {name: dict(said) for name, said in settings.schema.items()}}
    return [
        _line("distribution.classes", classes.judge, mix, classes.PARAMETERS, settings),
        _line("distribution.schema", schema.judge, told, declared, settings, examples=faulty),
        _line("distribution.drift", alike.judge, moved, alike.PARAMETERS, settings),
        _line("separation.groups", overlaps.judge_groups, groups, {}, settings, examples=torn),
        _line("separation.times", overlaps.judge_times, times, {}, settings, examples=late),
    ]


def _like(again: Data, data: Data) -> Data:
    """With the ids of `data`, where those were replaced."""
    replaced = {
        name: replace(part, ids=data.parts[name].ids)
        for name, part in again.parts.items()
        if name in data.parts and len(part) == len(data.parts[name]) and str(data.parts[name].ids[0]) == f"{name}/0"
    }
    return again.with_parts(**replaced)


def _of_pairs(task: Task, data: Data, found: Found, settings: DataSettings, runner: Runner) -> list[Checked]:
    seen = repeated.look(found, data, task.kind, seed=settings.seed)
    runs: tuple[str, ...] = ()
    if any(seen["in_train"].values()):
        told, runs = _scores(task, data, found, settings, runner)
        seen |= told
    labels, torn = repeated.look_at_labels(found, data, task.kind, seed=settings.seed)
    pairs = repeated.examples_of(found, data)
    return [
        _line(
            "distribution.duplicates", repeated.judge, seen, repeated.PARAMETERS, settings, examples=pairs, runs=runs
        ),
        _line(
            "distribution.label_conflicts", repeated.judge_labels, labels, repeated.OF_LABELS, settings, examples=torn
        ),
    ]


def _scores(
    task: Task, data: Data, found: Found, settings: DataSettings, runner: Runner
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The metric with and without the scored examples that train has; or why there is none."""
    runs: tuple[str, ...] = ()
    try:
        predictions, runs = _predicted(task, data, settings, runner)
        exact, near = (repeated.of_scored(pairs, data) for pairs in (found.exact, found.near))
        ids = {"exact": exact, "near": exact | near}
        sets = {kind: each for kind, each in ids.items() if each and (kind == "exact" or near - exact)}
        metric = {
            kind: scoring.without(task, data, predictions, sorted(each), seed=settings.seed)
            for kind, each in sets.items()
        }
        return {"metric": {kind: each for kind, each in metric.items() if each}}, runs
    except GitreproError as error:
        return {"failed": f"{error.what}{': ' if error.why else ''}{error.why}"}, runs


def _predicted(task: Task, data: Data, settings: DataSettings, runner: Runner) -> tuple[Predictions, tuple[str, ...]]:
    if settings.predictions is not None:
        return settings.predictions, ()
    act = predicting(task, data, seed=settings.seed, share=1.0)
    outcome = runner(Trial(kind="train", arm="duplicates", seed=settings.seed, act=act, settings={"share": 1.0}))
    assert outcome.predictions is not None
    return outcome.predictions, (outcome.run_id,) if outcome.run_id else ()
