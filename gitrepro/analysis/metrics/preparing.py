"""Predictions in the form that a metric takes, and whether they have it at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ...errors import UsageError

if TYPE_CHECKING:
    from .function import MetricFunction

_SUM_APART: Final = 0.02
"""Sixteen bits of precision leave a softmax over thousands of classes about this far from 1; no logits come so near."""
_NUMERIC: Final = "biuf"


def to_classes(values: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Labels as they are; of scores, shape (n, k), the class with the greatest, the first of equal ones.

    Raises:
        UsageError: there are other columns than classes.
    """
    if values.ndim < 2:
        return values
    best: np.ndarray = classes[_columns(values, classes).argmax(axis=1)]
    return best


def to_probabilities(values: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Scores, float64, shape (n, k). A predicted label is certain of itself.

    Raises:
        UsageError: there are other columns than classes.
    """
    if values.ndim < 2:
        return np.asarray(values[:, None] == classes, dtype=np.float64)
    return np.asarray(_columns(values, classes), dtype=np.float64)


def to_numbers(labels: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64.

    Raises:
        UsageError: they are of different shapes.
    """
    labels, values = np.asarray(labels, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if values.shape != labels.shape:
        raise UsageError(f"predictions of shape {values.shape} for labels of shape {labels.shape}")
    return labels, values


def places_of(labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The column of each label: int64, shape (n,); -1 where it is none of the classes."""
    order = np.argsort(classes, kind="stable")
    ordered = classes[order]
    found = np.minimum(np.searchsorted(ordered, labels), len(classes) - 1)
    return np.where(ordered[found] == labels, order[found], -1)


def has_nan(values: np.ndarray) -> bool:
    """Whether a number is missing among these."""
    return values.dtype.kind == "f" and bool(np.isnan(values).any())


def check_fits(
    metric: MetricFunction, labels: np.ndarray | None, values: np.ndarray, classes: np.ndarray | None
) -> None:
    """See that a metric can be computed of these.

    Raises:
        UsageError: it cannot, or what would come out would be no such metric.
    """
    if metric.needs == "counts":
        if values.ndim < 2 or values.dtype.kind not in _NUMERIC:
            raise _misfit(metric, f"what is given has shape {values.shape}", "give the counts that the metric names")
        return
    if labels is None:
        raise _misfit(metric, "it compares with what is true", "give truth=, one for each prediction")
    if metric.needs == "numbers":
        _check_numbers(metric, labels, values)
    elif metric.needs == "scores" and values.ndim < 2:
        raise _misfit(metric, "it is of scores, and these are labels", "give scores=, with a column for each class")
    elif metric.needs == "classes" and values.ndim < 2:
        _check_labels(metric, labels, values)
    elif classes is not None:
        _check_classes(metric, labels, values, classes)


def _check_labels(metric: MetricFunction, labels: np.ndarray, values: np.ndarray) -> None:
    known = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if labels.dtype.kind != "f" and known.dtype.kind == "f" and bool((known != np.trunc(known)).any()):
        why = "the truth are labels, and the predictions are numbers"
        raise _misfit(metric, why, "give labels, or scores=; for numbers choose mae, rmse or r2")


def _check_numbers(metric: MetricFunction, labels: np.ndarray, values: np.ndarray) -> None:
    if any(each.dtype.kind not in _NUMERIC for each in (labels, values)):
        raise _misfit(metric, "it is of numbers, and these are labels", "choose accuracy or another metric of classes")
    to_numbers(labels, values)


def _check_classes(metric: MetricFunction, labels: np.ndarray, values: np.ndarray, classes: np.ndarray) -> None:
    unknown = labels[places_of(labels, classes) < 0]
    if len(unknown):
        why = f"{unknown[:1].tolist()[0]!r:.60} is true of an example, and no class; there are {len(classes)}"
        raise _misfit(metric, why, "give classes= in the order of the columns")
    if metric.version and metric.key in PROBABLE and values.ndim == 2 and not are_probabilities(values):
        raise _misfit(metric, "the scores are no probabilities", "give those: torch.softmax(logits, dim=1)")


PROBABLE: Final = ("log_loss", "calibration_error")
"""Metrics of scores that only mean something of probabilities."""


def are_probabilities(values: np.ndarray) -> bool:
    """Whether each row has no negative number and adds up to 1; a row with a missing number counts as one."""
    known = values[~np.isnan(values).any(axis=1)] if values.dtype.kind == "f" else values
    if not len(known):
        return True
    return bool(known.min() >= 0) and bool(np.abs(known.sum(axis=1, dtype=np.float64) - 1).max() <= _SUM_APART)


def _columns(values: np.ndarray, classes: np.ndarray) -> np.ndarray:
    if values.ndim != 2 or values.shape[1] != len(classes):
        raise UsageError(
            f"predictions of shape {values.shape} do not fit {len(classes)} classes",
            do="give one column for each class, in their sorted order",
        )
    return values


def _misfit(metric: Any, why: str, do: str) -> UsageError:
    return UsageError(f"{metric.name} cannot be computed of these predictions", why=why, do=do)
