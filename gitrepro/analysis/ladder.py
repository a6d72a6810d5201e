"""The Ladder: what may be told of a score on examples that nobody may learn by asking.

Blum & Hardt, "The Ladder: A Reliable Leaderboard for Machine Learning Competitions", ICML 2015, in its parameter-free
form: a score is told only when it beats the best one told so far by more than the standard error of the difference,
example by example. Theirs compares with one standard error at each try. The best of many tries passes one by luck:
who turns two guesses at a time and keeps what is told to be better gets from 0.50 to 0.62 with 500 tries on 1,000
examples. So the step here grows as the best of so many tries would by luck alone; the same attack then gets to 0.51.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from ..errors import UsageError
from .metrics import MetricFunction, to_classes, to_probabilities

_TINY: Final = 1e-15
"""The least probability a logarithm is taken of, as in the metric `log_loss`."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ladder:
    """What was asked so far: how many times, and the loss of each example under the best that was told.

    Attributes:
        tries: how many sets of predictions were scored.
        best: float64, shape (n,); None before the first.
    """

    tries: int = 0
    best: np.ndarray | None = None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What the ladder says of one try.

    Attributes:
        told: whether it is better than the best so far by more than `step`, so that its score may be told.
        gain: by how much its mean loss is less than that of the best so far; None of the first.
        step: what the gain has to exceed; None of the first.
    """

    told: bool
    gain: float | None = None
    step: float | None = None


def climb(ladder: Ladder, losses: np.ndarray) -> tuple[Ladder, Step]:
    """Try one more set of predictions.

    Args:
        losses: float64, shape (n,), of each example, in the order of the ladder's own; less is better.

    Returns:
        The ladder after it, and what it says. The first try is always told.

    Raises:
        UsageError: the losses are of other examples than those so far, or some are no finite numbers.
    """
    _check(ladder, losses)
    tries = ladder.tries + 1
    if ladder.best is None:
        return Ladder(tries=tries, best=losses), Step(told=True)
    gain = float(ladder.best.mean() - losses.mean())
    step = height(tries) * _standard_error(ladder.best - losses)
    told = gain > step
    return Ladder(tries=tries, best=losses if told else ladder.best), Step(told=told, gain=gain, step=step)


def height(tries: int) -> float:
    """How many standard errors the gain of this try has to exceed.

    The greatest of t normal numbers lies near sqrt(2 ln t); never less than the one standard error of Blum & Hardt.
    """
    return max(1.0, math.sqrt(2 * math.log(max(tries, 1))))


def _standard_error(differences: np.ndarray) -> float:
    count = len(differences)
    return float(differences.std(ddof=1)) / math.sqrt(count) if count > 1 else math.inf


def _check(ladder: Ladder, losses: np.ndarray) -> None:
    if not len(losses) or not np.isfinite(losses).all():
        raise UsageError("there is no finite loss of each example", why="predictions are missing, or are no numbers")
    if ladder.best is not None and ladder.best.shape != losses.shape:
        raise UsageError(f"{len(losses):,} losses do not fit the {len(ladder.best):,} of the best so far")


# -- the loss of each example


def losses(
    metric: MetricFunction, labels: np.ndarray, values: np.ndarray, *, classes: np.ndarray | None = None
) -> np.ndarray:
    """The loss of each example: of predictions of the same examples, less on average is a better metric.

    Args:
        labels: shape (n,), in the form that the metric takes.
        values: shape (n,), or (n, k) scores.
        classes: shape (k,), what the columns of scores stand for; the sorted labels where not given.

    Returns:
        float64, shape (n,).

    Raises:
        UsageError: the metric is no mean over examples, so that the ladder cannot compare two values of it.
    """
    if metric.key not in _LOSSES:
        raise UsageError(
            f"the ladder cannot compare two values of {metric.name}",
            why=f"it is no mean over single examples, as {', '.join(_LOSSES)} are",
            do="seal with one of those first and this one after it, or with `--feedback none`",
        )
    known = np.unique(labels) if classes is None else np.asarray(classes)
    found = _LOSSES[metric.key](labels, values, known, int(metric.settings.get("k", 1)))
    return np.asarray(found, dtype=np.float64)


def _wrong(labels: np.ndarray, values: np.ndarray, classes: np.ndarray, _k: int) -> np.ndarray:
    return np.asarray(to_classes(values, classes) != labels, dtype=np.float64)


def _wrong_balanced(labels: np.ndarray, values: np.ndarray, classes: np.ndarray, k: int) -> np.ndarray:
    found, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    # So weighted, the mean over examples is one minus the mean recall of the classes.
    return _wrong(labels, values, classes, k) * (len(labels) / (len(found) * counts))[places]


def _wrong_in_top(labels: np.ndarray, values: np.ndarray, classes: np.ndarray, k: int) -> np.ndarray:
    scores = to_probabilities(values, classes)
    own = np.where(labels[:, None] == classes, scores, -np.inf).max(axis=1)
    return np.asarray((scores > own[:, None]).sum(axis=1) >= k, dtype=np.float64)


def _surprise(labels: np.ndarray, values: np.ndarray, classes: np.ndarray, _k: int) -> np.ndarray:
    scores = to_probabilities(values, classes)
    own = np.where(labels[:, None] == classes, scores, 0.0).sum(axis=1)
    return np.asarray(-np.log(np.clip(own, _TINY, 1.0)))


def _distance(labels: np.ndarray, values: np.ndarray, _classes: np.ndarray, _k: int) -> np.ndarray:
    return np.abs(values.astype(np.float64) - labels.astype(np.float64))


def _squared(labels: np.ndarray, values: np.ndarray, _classes: np.ndarray, _k: int) -> np.ndarray:
    return np.square(values.astype(np.float64) - labels.astype(np.float64))


_LOSSES: Final[dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]]] = {
    "accuracy": _wrong,
    "balanced_accuracy": _wrong_balanced,
    "top_k": _wrong_in_top,
    "log_loss": _surprise,
    "mae": _distance,
    "rmse": _squared,
    "r2": _squared,
}
COMPARABLE: Final = tuple(_LOSSES)
"""The metrics that the ladder can compare."""
