"""Trials of checks as runs on record: their seeds, settings, numbers, curves, predictions and files."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any, Final

import numpy as np

from ..checks.direct import guarded
from ..checks.guarded import whole_data
from ..checks.task import Predictions, Task
from ..checks.trials import Outcome, Runner, Trial
from ..errors import GitreproError, NotFound
from ..records.evaluation import examples_digest
from ..records.predictions import FILE, dump_predictions, load_predictions
from ..records.sanity import Checked
from ..run.recorder import record
from ..run.sane import plain, tell_checked
from ..store.place import store_of
from ..store.repository import Repository
from ..store.resolve import resolve
from ..store.runs import RunTree

KIND: Final = "data-check"
Told = Callable[[Trial, Outcome | None], None]


def recording(group: str, *, config: Mapping[str, Any], told: Told = lambda _trial, _outcome: None) -> Runner:
    """A runner that makes a real run of each trial.

    The run has the trial's kind, its arm as a label, the settings as its config and the seed, which also seeds Python,
    NumPy and torch. What fails is on record as failed, and raises.

    Args:
        group: of all runs, so that they are found together.
        config: is in the config of each run, besides the trial's own settings.
        told: is called with each trial before it begins, and once more with what came of it.
    """

    def runner(trial: Trial) -> Outcome:
        told(trial, None)
        settings = {**config, "trial": {"arm": trial.arm, **plain(trial.settings)}}
        with record(settings, group=group, labels=[trial.arm], seed=trial.seed, kind=trial.kind) as run:
            began = time.perf_counter()
            outcome = guarded(trial)
            outcome = replace(outcome, seconds=time.perf_counter() - began, run_id=run.id)
            _tell(run, outcome)
        told(trial, outcome)
        return outcome

    return runner


def _tell(run: Any, outcome: Outcome) -> None:
    for step, values in enumerate(zip_longest(*outcome.curves.values())):
        named = zip(outcome.curves, values, strict=True)
        run.log({name: value for name, value in named if value is not None}, step=step)
    predictions = outcome.predictions
    told = {} if predictions is None else {**predictions.extra, **_score(predictions)}
    for name, value in {**told, **outcome.metrics}.items():
        run.summary[name] = float(value)
    if predictions is not None:
        run.artifact(dump_predictions(np.asarray(predictions.ids), np.asarray(predictions.values)), FILE)
    for name, data in outcome.files.items():
        run.artifact(data, name)


def _score(predictions: Predictions) -> dict[str, float]:
    return {} if np.isnan(predictions.score) else {"score": float(predictions.score)}


def examples_of(task: Task) -> dict[str, str]:
    """Under `<part>/examples` the digest of ids and labels of the scored part, as `run.evaluate` puts it on record.

    By it an audit knows that a check was made of the examples that a run was scored on. Empty where the data of the
    task cannot be had.
    """
    try:
        data = whole_data(task)
    except GitreproError:
        return {}
    part = data.judged
    return {f"{data.scored}/examples": examples_digest(np.asarray(part.ids), part.labels)}


def put_on_record(
    lines: Sequence[Checked],
    *,
    group: str,
    config: Mapping[str, Any],
    seed: int,
    what: str,
    examples: Mapping[str, str] | None = None,
) -> str:
    """The run that closes the checks, with all that they found in its field `checked`.

    Args:
        examples: further inputs of each line, see `examples_of`.

    Returns:
        Its id.
    """
    lines = [replace(line, inputs={**line.inputs, **(examples or {})}) for line in lines]
    with record(dict(config), group=group, kind=KIND, note=what, seed=seed) as run:
        tell_checked(run, lines)
        for line in lines:
            run.summary[line.name] = str(line.verdict)
    return run.id


def predictions_of(found: Repository, named: str) -> tuple[str, Predictions, float | None]:
    """Id, predictions and seconds of a run that is on record with its predictions.

    Raises:
        NotFound: there is no such run, or it kept none.
    """
    run_id = resolve(found, named)
    with RunTree(found) as tree:
        record_of = tree.run(run_id)
    kept = next((each["blob"] for each in record_of.artifacts if each.get("name") == FILE), None)
    if kept is None:
        raise NotFound(
            f"run {run_id[-8:]} has no predictions",
            why=f"they are looked for in its artifact {FILE}",
            do=f'keep them, columns id and value: `run.artifact(table, "{FILE}")`',
        )
    ids, values = load_predictions(store_of(found).get(kept), source=f"{FILE} of run {run_id[-8:]}")
    return run_id, Predictions(ids=ids, values=values), record_of.duration_seconds
