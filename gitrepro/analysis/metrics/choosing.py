"""Which metrics are meant, and what they come to of the predictions of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np

from ...errors import UsageError
from ...records.fields import is_name
from ...records.predictions import Predicted
from .function import MetricFunction
from .preparing import are_probabilities, check_fits
from .registry import named, own

_NUMBERS: Final = ("mae", "rmse", "r2")
_CLASSES: Final = ("accuracy", "balanced_accuracy")
_PROBABILITIES: Final = ("log_loss", "calibration_error")


def chosen(metrics: Any) -> tuple[MetricFunction, ...]:
    """The metrics that somebody asks for.

    Args:
        metrics: a name, a metric, a function, several of them, or functions by name.

    Raises:
        UsageError: one is none, or two have one name.
    """
    found = tuple(_each(metrics))
    for each in found:
        if not is_name(each.name):
            raise UsageError(f"a metric cannot be called {each.name!r:.80}", do="use letters, digits, dots and dashes")
    if not found or len({each.name for each in found}) < len(found):
        what = "two metrics have one name" if found else "metrics= names none"
        raise UsageError(what, do='give metrics=["accuracy", "f1"], or leave it out')
    return found


def _each(metrics: Any) -> Iterator[MetricFunction]:
    if isinstance(metrics, str):
        yield named(metrics)
    elif isinstance(metrics, MetricFunction):
        yield metrics
    elif isinstance(metrics, Mapping):
        yield from (own(function, name=str(name)) for name, function in metrics.items())
    elif isinstance(metrics, Iterable):
        for each in metrics:
            yield from _each(each)
    else:
        yield own(metrics)


def usual(predicted: Predicted) -> tuple[MetricFunction, ...]:
    """The metrics of predictions for which nobody has said any.

    Of labels and scores `accuracy` and `balanced_accuracy`, of probabilities `log_loss` and `calibration_error`
    besides; of numbers `mae`, `rmse` and `r2`.

    Raises:
        UsageError: it is not clear what these predictions are.
    """
    if predicted.truth is None:
        raise UsageError("it is not said what is measured", do='say it: metrics=["perplexity"]')
    if predicted.values.ndim > 1:
        probable = _PROBABILITIES if are_probabilities(predicted.values) else ()
        return tuple(map(named, (*_CLASSES, *probable)))
    numbers = _are_numbers(predicted.truth, predicted.values)
    return tuple(map(named, _NUMBERS if numbers else _CLASSES))


def _are_numbers(truth: np.ndarray, values: np.ndarray) -> bool:
    if "U" in (truth.dtype.kind, values.dtype.kind):
        return False
    of_two = set(np.unique(truth).tolist()) <= {0, 1}
    whole = values.dtype.kind != "f" or bool((values == np.trunc(values)).all())
    if of_two and not whole and bool(((values >= 0) & (values <= 1)).all()):
        raise UsageError(
            "the truth is 0 and 1, and the predictions are probabilities",
            do='give them as scores=; or say that they are numbers: metrics=["mae"]',
        )
    return not (of_two and whole) and "f" in (truth.dtype.kind, values.dtype.kind)


def check(metric: MetricFunction, predicted: Predicted) -> None:
    """Raises UsageError where this metric cannot be computed of these predictions, or would be no such metric."""
    check_fits(metric, predicted.truth, _of(metric, predicted), _known(predicted))


def measure(metric: MetricFunction, predicted: Predicted) -> float:
    """What a metric comes to; NaN where it is not defined of these predictions, or some of them are missing.

    Raises:
        UsageError: they have not the form that it takes.
    """
    return metric(predicted.truth, _of(metric, predicted), classes=_known(predicted))


def _of(metric: MetricFunction, predicted: Predicted) -> np.ndarray:
    values = predicted.values
    if metric.needs == "classes" and predicted.labels is not None:
        values = predicted.labels
    # As they are read back from the file: what is recomputed is the very same.
    return values.astype(np.float64) if values.dtype.kind == "f" else values


def _known(predicted: Predicted) -> np.ndarray | None:
    return None if predicted.classes is None else np.array(predicted.classes)
