"""Metrics by name, computed as their textbooks say; each takes labels and predictions of the same examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

import numpy as np

from ..errors import UsageError
from .task import Metric

Scored = Callable[[np.ndarray, np.ndarray], float]
_TINY: Final = 1e-15
"""The least probability a logarithm is taken of."""


def metric(name: str, *, classes: np.ndarray | None = None) -> Metric:
    """The metric of this name.

    Args:
        name: `accuracy`, `balanced_accuracy`, `log_loss`, `mae`, `rmse` or `r2`.
        classes: sorted, shape (k,), what the columns of predictions of shape (n, k) stand for; without them the labels
            tell, and each class has to be among them.

    Raises:
        UsageError: there is none of this name.
    """
    if name not in _KNOWN:
        raise UsageError(
            f"there is no metric {name!r:.60}",
            why=f"known are {', '.join(_KNOWN)}",
            do="give a gitrepro.checks.task.Metric with a function of your own",
        )
    needs, function, goal = _KNOWN[name]
    if needs == "numbers":
        return Metric(name=name, function=_of_numbers(function), goal=goal)
    prepared = to_classes if needs == "classes" else to_probabilities

    def computed(labels: np.ndarray, values: np.ndarray) -> float:
        known = classes if classes is not None else np.unique(labels)
        return function(np.asarray(labels), prepared(np.asarray(values), known), known)

    return Metric(name=name, function=computed, goal=goal)


def wants_probabilities(name: str) -> bool:
    """Whether this metric looks at the probability of each class."""
    return name in _KNOWN and _KNOWN[name][0] == "probabilities"


def to_classes(values: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Labels as they are; of scores, shape (n, k), the class with the greatest.

    Raises:
        UsageError: there are other columns than classes.
    """
    if values.ndim < 2:
        return values
    best: np.ndarray = classes[_columns(values, classes).argmax(axis=1)]
    return best


def to_probabilities(values: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Probabilities, float64, shape (n, k). A predicted label is certain of itself.

    Raises:
        UsageError: there are other columns than classes.
    """
    if values.ndim < 2:
        return np.asarray(values[:, None] == classes, dtype=np.float64)
    return np.asarray(_columns(values, classes), dtype=np.float64)


def _columns(values: np.ndarray, classes: np.ndarray) -> np.ndarray:
    if values.ndim != 2 or values.shape[1] != len(classes):
        raise UsageError(
            f"predictions of shape {values.shape} do not fit {len(classes)} classes",
            do="give one column for each class, in their sorted order",
        )
    return values


def _of_numbers(function: Callable[..., float]) -> Scored:
    def computed(labels: np.ndarray, values: np.ndarray) -> float:
        labels, values = np.asarray(labels, dtype=np.float64), np.asarray(values, dtype=np.float64)
        if values.shape != labels.shape:
            raise UsageError(f"predictions of shape {values.shape} for labels of shape {labels.shape}")
        return function(labels, values)

    return computed


def _accuracy(labels: np.ndarray, values: np.ndarray, _classes: np.ndarray) -> float:
    return float(np.mean(labels == values))


def _balanced_accuracy(labels: np.ndarray, values: np.ndarray, _classes: np.ndarray) -> float:
    return float(np.mean([np.mean(values[labels == each] == each) for each in np.unique(labels)]))


def _log_loss(labels: np.ndarray, values: np.ndarray, classes: np.ndarray) -> float:
    told = values[labels[:, None] == classes] if len(labels) else np.array([])
    return float(-np.log(np.clip(told, _TINY, 1.0)).mean())


def _mae(labels: np.ndarray, values: np.ndarray) -> float:
    return float(np.abs(labels - values).mean())


def _rmse(labels: np.ndarray, values: np.ndarray) -> float:
    return float(np.sqrt(((labels - values) ** 2).mean()))


def _r2(labels: np.ndarray, values: np.ndarray) -> float:
    spread = float(((labels - labels.mean()) ** 2).sum())
    return 1.0 - float(((labels - values) ** 2).sum()) / spread if spread else float("nan")


_Needs = Literal["classes", "probabilities", "numbers"]
_KNOWN: Final[dict[str, tuple[_Needs, Callable[..., float], Literal["max", "min"]]]] = {
    "accuracy": ("classes", _accuracy, "max"),
    "balanced_accuracy": ("classes", _balanced_accuracy, "max"),
    "log_loss": ("probabilities", _log_loss, "min"),
    "mae": ("numbers", _mae, "min"),
    "rmse": ("numbers", _rmse, "min"),
    "r2": ("numbers", _r2, "max"),
}
NAMES: Final = tuple(_KNOWN)
