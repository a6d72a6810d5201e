"""What a metric gives by chance: the same predictions against labels dealt out anew, as often as needed."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from ...errors import UsageError
from ..baseline.forms import score_of
from ..task import Data, Predictions, Task
from .contents import Units

FIRST: Final = 200
"""Resamples before it is asked whether p is in question: the mean and the deviation are then known well enough."""
_OF_MANY: Final = 4
"""Of more trials than this, each deviation may be half as sure: their mean is what counts."""
_CLEAR: Final = 0.05
"""Where a greater share of the first reaches the score, nothing is in question (Besag and Clifford 1991, "Sequential
Monte Carlo p-values")."""
_SCORED_AT_LEAST: Final = 0.9
"""Where the metric has no value of more than a tenth of the resamples, the others are not its distribution."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scored:
    """Predictions with the labels they are scored by.

    Attributes:
        labels: shape (n, ...), those that were handed to the task.
        truth: shape (n, ...), those of the source.
        values: shape (n, ...).
        units: shape (n,), int64: examples of one number have one label.
        elsewhere: how many are of another part than the one that is scored.
        sign: 1.0 where more is better, else -1.0: scores here are better when they are greater.
    """

    task: Task
    labels: np.ndarray
    truth: np.ndarray
    values: np.ndarray
    units: np.ndarray
    elsewhere: int
    sign: float

    def score(self, labels: np.ndarray) -> float:
        return self.sign * score_of(self.task, labels, self.values, source=self.task.name)


def placed(task: Task, predictions: Predictions, handed: Data, source: Data, units: Units) -> Scored:
    """The predictions with the labels of their examples, whatever part these are of.

    Args:
        handed: what the task was given.
        source: the same examples with their true labels.
        units: of these examples.

    Raises:
        UsageError: an example has no prediction or two, one is of no example, or a value is missing.
    """
    values, ids = np.asarray(predictions.values), [str(each) for each in predictions.ids]
    if values.ndim == 0 or len(values) != len(ids) or not ids:
        raise UsageError(f"{task.name} gave {len(ids)} ids and values of shape {values.shape}")
    where = {str(each): (name, k) for name, part in handed.parts.items() for k, each in enumerate(part.ids)}
    unknown = next((each for each in ids if each not in where), None)
    if unknown is not None or len(set(ids)) < len(ids):
        why = "an id is there twice" if unknown is None else f"{unknown!r:.60} is none of them"
        raise UsageError(f"{task.name} predicted other examples than it was given", why=why)
    elsewhere = sum(where[each][0] != handed.scored for each in ids)
    if not elsewhere and len(ids) < len(handed.judged):
        raise UsageError(f"{task.name} predicted {len(ids)} of {len(handed.judged)} examples that are scored")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise UsageError(f"{task.name} predicted what is not a number")
    places = [where[each] for each in ids]
    return Scored(
        task=task,
        labels=_labels(handed, places),
        truth=_labels(source, places),
        values=values,
        units=np.array([units.codes[name][k] for name, k in places], dtype=np.int64),
        elsewhere=elsewhere,
        sign=1.0 if task.metric.goal == "max" else -1.0,
    )


def _labels(data: Data, places: Sequence[tuple[str, int]]) -> np.ndarray:
    if len({name for name, _ in places}) == 1 and (labels := data.parts[places[0][0]].labels) is not None:
        taken: np.ndarray = labels[np.array([k for _, k in places])]
        return taken
    columns = {name: data.parts[name].labels for name in {name for name, _ in places}}
    missing = next((name for name, labels in columns.items() if labels is None), None)
    if missing is not None:
        raise UsageError(f"examples of the part {missing!r} are predicted, which has no labels")
    return np.array([columns[name][k] for name, k in places])  # type: ignore[index]


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chance:
    """One arm of trials against chance; scores are better when they are greater.

    Attributes:
        scores: of the trials.
        expected: of each trial, the mean over its resamples.
        deviations: of each trial, the standard deviation over its resamples.
        p: how often chance gives a mean excess as great, one-sided, at least 1 / (resamples + 1).
    """

    scores: tuple[float, ...]
    expected: tuple[float, ...]
    deviations: tuple[float, ...]
    p: float
    resamples: int

    @property
    def excess(self) -> float:
        """The mean of what the scores are above their chance."""
        return float(np.mean(np.subtract(self.scores, self.expected)))

    @property
    def error(self) -> float:
        """The deviation of the excess, where there is nothing but chance."""
        return float(np.sqrt(np.sum(np.square(self.deviations)))) / len(self.deviations)


def against_chance(trials: Sequence[Scored], *, resamples: int, seed: int, by_unit: bool) -> Chance:
    """How the mean score of some trials stands to that of the same predictions with labels dealt out anew.

    It works for any metric, and for any share of the classes, and is exact where labels (or inputs) were dealt out at
    random: Ojala and Garriga (2010), "Permutation tests for studying classifier performance".

    Args:
        by_unit: whether labels were drawn by unit, so that units have to change places and not examples.

    Raises:
        UsageError: the metric fails, or has no value of most resamples.
    """
    scores = np.array([each.score(each.labels) for each in trials])
    generators = [np.random.default_rng((seed, k)) for k in range(len(trials))]
    first = min(FIRST if len(trials) <= _OF_MANY else FIRST // 2, resamples)
    found = [_resampled(each, first, generators[k], by_unit) for k, each in enumerate(trials)]
    if resamples > first and _reached(scores, found) <= _CLEAR * first:
        more = [_resampled(each, resamples - first, generators[k], by_unit) for k, each in enumerate(trials)]
        found = [np.concatenate(pair) for pair in zip(found, more, strict=True)]
    count = min(map(len, found))
    return Chance(
        scores=tuple(map(float, scores)),
        expected=tuple(float(each.mean()) for each in found),
        deviations=tuple(float(each.std()) for each in found),
        p=(1 + _reached(scores, found)) / (1 + count),
        resamples=count,
    )


def _reached(scores: np.ndarray, found: Sequence[np.ndarray]) -> int:
    """How many mean resamples are as great as the mean score."""
    count = min(map(len, found))
    means = np.mean([each[:count] for each in found], axis=0)
    # Equal up to the order of a sum is as great.
    return int((means >= scores.mean() - 1e-12 * max(1.0, abs(float(scores.mean())))).sum())


def _resampled(scored: Scored, count: int, generator: np.random.Generator, by_unit: bool) -> np.ndarray:
    _, first, codes = np.unique(scored.units, return_index=True, return_inverse=True)
    if not by_unit:
        first = codes = np.arange(len(scored.units))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that do not occur, metrics complain each time
        found = [_scored_as(scored, first[generator.permutation(len(first))][codes]) for _ in range(count)]
    there = np.array([each for each in found if each is not None])
    if len(there) < _SCORED_AT_LEAST * count:
        raise UsageError(
            f"the metric {scored.task.metric.name} has no value for most labels that are dealt out anew",
            do="give it more examples, or a metric that is defined for any",
        )
    return there


def _scored_as(scored: Scored, places: np.ndarray) -> float | None:
    """The score where each example has the label of another place; None where the metric has none."""
    try:
        return scored.score(scored.labels[places])
    except UsageError:
        return None
