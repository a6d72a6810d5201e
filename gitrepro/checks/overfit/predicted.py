"""A task without a model to look into: does it learn the mini-batch by heart when that is all it gets?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ...errors import GitreproError, TaskFailed
from ..task import Data, Part, Predictions, Task
from ..trials import Runner, Trial, predicting
from .scoring import agreement
from .settings import Settings


def learn_by_predicting(
    task: Task, data: Data, part: Part, settings: Settings, runner: Runner
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Run the whole experiment with the mini-batch as the train part and as the scored one.

    Returns:
        What was observed, and the ids of the runs.
    """
    again = replace(part, ids=np.array([f"{each}-again" for each in part.ids]))
    both = Data(parts={"train": part, data.scored: again}, scored=data.scored, iid=data.iid, features=data.features)
    trial = Trial(
        kind="overfit",
        arm="predicted",
        seed=settings.seed,
        act=predicting(task, both, seed=settings.seed, share=1.0),
        settings={"arm": "predicted", "ids": [str(each) for each in part.ids], **settings.document()},
    )
    found: dict[str, Any] = {
        "count": len(part),
        "kind": task.kind,
        "labels": len(np.unique(np.asarray(part.labels))),
        "floor": None,
    }
    try:
        outcome = runner(trial)
        fit = _fit(task, outcome.predictions, again)
    except TaskFailed as error:
        return {**found, "stopped": _told(error, len(part))}, ()
    found |= {"fit": fit, "fit_name": "R2" if task.kind == "regression" else "accuracy"}
    return found, (outcome.run_id,) if outcome.run_id else ()


def _told(error: GitreproError, count: int) -> str:
    said = "; ".join(part for part in (error.what, error.why) if part)
    return f"with {count} examples the experiment cannot be run: {said}"


def _fit(task: Task, predictions: Predictions | None, part: Part) -> float | None:
    """The share of labels that were predicted, or R2; None where not each example has one prediction."""
    if predictions is None or len(predictions.ids) != len(part):
        return None
    where = {str(each): place for place, each in enumerate(predictions.ids)}
    if set(where) != set(map(str, part.ids)):
        return None
    values = np.asarray(predictions.values)[[where[str(each)] for each in part.ids]]
    return agreement(task.kind, values, np.asarray(part.labels))
