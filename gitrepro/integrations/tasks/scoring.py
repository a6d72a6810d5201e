"""What kind of task it is, what it is scored by, and what outputs of a network say."""

from __future__ import annotations

import math
from typing import Any, Final, Literal

import numpy as np

from ...checks.arrays import kind_of
from ...checks.metrics import metric as metric_of
from ...checks.metrics import wants_probabilities
from ...checks.task import KINDS, Data, Kind, Metric, Predictions
from ...errors import TaskFailed, UsageError

_KNOWN: Final = ("classification", "regression")
Floor = float | Literal["unknown"] | None


def kind_for(data: Data, kind: Kind | None) -> Kind:
    """The kind that is said, or what the labels tell.

    Raises:
        UsageError: there is no such kind, or labels of this shape tell none.
    """
    labels = data.train.labels
    if kind is not None:
        if kind not in KINDS:
            raise UsageError(f"there is no kind of task {kind!r:.60}", do=f"give one of {', '.join(KINDS)}")
        return kind
    if labels is None:
        return "self-supervised"
    if labels.ndim != 1:
        raise UsageError(f"labels of shape {labels.shape} tell no kind of task", do="give kind= and metric=")
    return kind_of(labels)


def metric_for(data: Data, kind: Kind, metric: str | Metric | None) -> Metric:
    """The metric that is said; accuracy for classes, R2 for numbers.

    Raises:
        UsageError: nobody said one for another kind of labels, or there is none of that name.
    """
    if isinstance(metric, Metric):
        return metric
    if metric is None and kind not in _KNOWN and (data.judged.labels is not None or kind == "language"):
        raise UsageError(f"a task of kind {kind!r} needs a metric of your own", do="give metric=Metric(...)")
    chosen = metric or ("r2" if kind == "regression" else "accuracy")
    return metric_of(chosen, classes=classes_of(data) if kind == "classification" else None)


def floor_for(kind: Kind, floor: Floor) -> float | None:
    """The least the loss can be; nothing where nobody knows."""
    if floor == "unknown":
        return None
    if floor is None:
        return 0.0 if kind in _KNOWN else None
    return float(floor)


def classes_of(data: Data) -> np.ndarray:
    """All labels that occur, sorted."""
    return np.unique(
        np.concatenate([np.unique(part.labels) for part in data.parts.values() if part.labels is not None])
    )


def length_of(data: Data, kind: Kind) -> int | None:
    """How many tokens a sequence has, where what is predicted are its own next ones; None for anything else."""
    tokens = data.train.inputs
    own = kind == "language" and data.train.labels is None and isinstance(tokens, np.ndarray) and tokens.ndim == 2
    return int(tokens.shape[1]) if own else None


def with_next(said: Any, length: int | None) -> Any:
    """Outputs without what is said behind the last token: nothing follows it."""
    return said if length is None or said.ndim < 2 or said.shape[1] != length else said[:, :-1]


def predictions_of(outputs: Any, data: Data, *, kind: Kind, metric: Metric, classes: np.ndarray | None) -> Predictions:
    """Predictions of the part that is scored.

    Args:
        outputs: an array, shape (n, ...): labels, numbers, or scores of classes, of which column `j` is class `j`; or,
            where labels are no such numbers, the one at place `j` of `classes`.
        classes: sorted, all that there are.

    Raises:
        TaskFailed: outputs are not finite.
        UsageError: there is not one for each example, or they are no scores of these classes.
    """
    part = data.judged
    length = length_of(data, kind)
    said = with_next(np.asarray(outputs), length)
    labels = part.labels if length is None else part.inputs[:, 1:]
    if said.ndim < 1 or len(said) != len(part):
        raise UsageError(
            f"there are outputs of shape {said.shape} for {len(part)} examples",
            do="predict each example of the validation part once, in its order",
        )
    if said.dtype.kind == "f" and not np.isfinite(said).all():
        bad = int((~np.isfinite(said.reshape(len(said), -1)).all(axis=1)).sum())
        raise TaskFailed(f"outputs of {bad} of {len(part)} examples are NaN or infinite", do="look at the loss")
    values = said
    if kind == "classification" and classes is not None:
        values = _of_classes(said, classes, scores=wants_probabilities(metric.name))
    elif said.size == len(part):
        values = said.reshape(len(part)).astype(np.float64)
    return Predictions(ids=part.ids, values=values, score=_score(metric, labels, values))


def _score(metric: Metric, labels: np.ndarray | None, values: np.ndarray) -> float:
    return math.nan if labels is None else float(metric.function(labels, values))


def _of_classes(said: np.ndarray, classes: np.ndarray, *, scores: bool) -> np.ndarray:
    if said.dtype.kind in "iubUS" and said.ndim == 1:
        return said
    if said.size == len(said):
        chance = _sigmoid(said.reshape(-1))
        said = np.stack([1 - chance, chance], axis=1)
    if said.ndim != 2:
        raise UsageError(
            f"outputs of shape {said.shape} are no scores of {len(classes)} classes",
            do="give outputs=, a function of the model and a batch that returns shape (n, classes)",
        )
    columns = _columns(said.shape[1], classes)
    return _probabilities(said, columns, classes) if scores else columns[said.argmax(axis=1)]


def _sigmoid(said: np.ndarray) -> np.ndarray:
    if said.min() >= 0 and said.max() <= 1:
        return said.astype(np.float64)
    return np.asarray(np.exp(-np.logaddexp(0.0, -said.astype(np.float64))))


def _columns(count: int, classes: np.ndarray) -> np.ndarray:
    """What each column stands for."""
    numbered = classes.dtype.kind in "iu" and classes.min() >= 0 and classes.max() < count
    if numbered:
        return np.arange(count)
    if count != len(classes):
        raise UsageError(f"there are {count} columns of scores and {len(classes)} classes")
    return classes


def _probabilities(said: np.ndarray, columns: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Of the classes that occur: those that never do are no baseline's either, and the rest adds up to one again."""
    said = said.astype(np.float64)
    if said.min() < 0 or np.abs(said.sum(axis=1) - 1).max() > 1e-3:
        said = np.exp(said - np.logaddexp.reduce(said, axis=1, keepdims=True))
    kept = said[:, np.searchsorted(columns, classes)]
    return np.asarray(kept / np.maximum(kept.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny))
