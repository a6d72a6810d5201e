"""Metrics of labels: each takes the true and the predicted label of the same examples."""

from __future__ import annotations

from typing import Any

import numpy as np


def accuracy(labels: np.ndarray, values: np.ndarray, _classes: np.ndarray) -> float:
    """The share of examples of which the label is right."""
    return float(np.mean(labels == values))


def balanced_accuracy(labels: np.ndarray, values: np.ndarray, _classes: np.ndarray) -> float:
    """The mean of the recalls of the classes that there are (Brodersen and others, 2010)."""
    return float(np.mean([np.mean(values[labels == each] == each) for each in np.unique(labels)]))


def precision(labels: np.ndarray, values: np.ndarray, _classes: np.ndarray, *, positive: Any = None) -> float:
    """Of what was called a class the share that is of it: of `positive`, or the mean over the classes (macro)."""
    return _mean([_share(hits, hits + false) for hits, false, _ in _counts(labels, values, positive)])


def recall(labels: np.ndarray, values: np.ndarray, _classes: np.ndarray, *, positive: Any = None) -> float:
    """Of a class the share that was called so: of `positive`, or the mean over the classes (macro)."""
    return _mean([_share(hits, hits + missed) for hits, _, missed in _counts(labels, values, positive)])


def f1(labels: np.ndarray, values: np.ndarray, _classes: np.ndarray, *, positive: Any = None) -> float:
    """The harmonic mean of precision and recall: of `positive`, or the mean over the classes (macro)."""
    found = _counts(labels, values, positive)
    return _mean([_share(2 * hits, 2 * hits + false + missed) for hits, false, missed in found])


def _counts(labels: np.ndarray, values: np.ndarray, positive: Any) -> list[tuple[int, int, int]]:
    """Right, wrongly called so, and missed: of one class, or of each that is true or predicted of some example."""
    wanted = np.union1d(labels, values) if positive is None else [positive]
    found = []
    for each in wanted:
        true, called = labels == each, values == each
        hits = int((true & called).sum())
        found.append((hits, int(called.sum()) - hits, int(true.sum()) - hits))
    return found


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _mean(values: list[float]) -> float:
    return float(np.mean(values))
