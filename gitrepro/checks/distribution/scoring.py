"""The metric of the scored part with and without some of its examples, and how far it moves by chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ...errors import GitreproError
from ..baseline.forms import aligned, score_of, targets_of
from ..task import Data, Predictions, Task
from .settings import CLEAN_LEAST, RESAMPLES

_RESAMPLED_VALUES: Final = 40_000_000
"""Predictions that are scored in resampling, all in all: some seconds of a metric such as accuracy."""


def without(task: Task, data: Data, predictions: Predictions, leave: Sequence[str], *, seed: int) -> dict[str, Any]:
    """The score of all, the score without the ids in `leave`, and the standard error of the first.

    The error is the deviation of the metric over bootstrap samples of the scored examples (Efron 1979): right for a
    mean over items, and near enough for what is none.

    Raises:
        UsageError: the predictions do not fit the scored part, or the metric fails on them.
    """
    part, labels = data.judged, targets_of(task, data.judged)
    values = aligned(predictions, part, source=task.name)
    if labels is None:
        return {}
    kept = ~np.isin(part.ids.astype(str), np.array(list(leave), dtype=str))
    found: dict[str, Any] = {"left_out": int((~kept).sum()), "left": int(kept.sum())}
    found["score"] = score_of(task, labels, values, source=task.name)
    if found["left"] < CLEAN_LEAST:
        return found
    found["score_without"] = score_of(task, labels[kept], values[kept], source=f"{task.name} without them")
    found["error"] = _error(task, labels, values, seed)
    return found


def _error(task: Task, labels: np.ndarray, values: np.ndarray, seed: int) -> float:
    generator, count = np.random.default_rng(seed), len(labels)
    scores = []
    for _ in range(max(min(RESAMPLES, _RESAMPLED_VALUES // max(values.size, 1)), 50)):
        drawn = generator.integers(count, size=count)
        try:
            scores.append(score_of(task, labels[drawn], values[drawn], source=task.name))
        except GitreproError:
            continue  # a class that was not drawn: some metrics have no value then
    return float(np.std(scores)) if len(scores) >= 20 else float("nan")
