"""Predictions and labels of the same examples, in one order and in the form that metrics take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...errors import UsageError
from ...records.predictions import Predicted
from .reading import check_once, missing_predictions, some, text_of

if TYPE_CHECKING:
    import numpy as np

    from ...analysis.metrics import MetricFunction


def in_order(predicted: Predicted, ids: Sequence[str], *, source: str) -> Predicted:
    """The predictions of exactly these examples, in this order.

    Raises:
        UsageError: an id is unknown, missing or there twice, or a prediction is NaN.
    """
    given = predicted.ids.tolist()
    check_once(given, source)
    known, wanted = set(given), set(ids)
    if strange := [each for each in given if each not in wanted]:
        example = f"; the ids of the part look like {ids[0]!r:.60}" if len(strange) == len(given) else ""
        raise UsageError(
            f"{source} predicts {some(strange)} that the part has not",
            why=f"the part has {len(ids):,} examples{example}",
            do="predict the examples of the part, by their ids",
        )
    if lost := [each for each in ids if each not in known]:
        raise missing_predictions(lost)
    place_of = {each: at for at, each in enumerate(given)}
    found = _taken(predicted, [place_of[each] for each in ids])
    _check_finite(found)
    return found


def _taken(predicted: Predicted, places: list[int]) -> Predicted:
    labels = predicted.labels
    return Predicted(
        ids=predicted.ids[places],
        values=predicted.values[places],
        labels=None if labels is None else labels[places],
        classes=predicted.classes,
    )


def _check_finite(predicted: Predicted) -> None:
    import numpy as np

    values = predicted.values
    if values.dtype == object:
        bad = np.array([each is None or each != each for each in values.reshape(len(values), -1)[:, 0]])
    elif values.dtype.kind == "f":
        bad = ~np.isfinite(values.reshape(len(values), -1)).all(axis=1)
    else:
        return
    if bad.any():
        raise missing_predictions(predicted.ids[bad].tolist())


# -- for metrics


def check_form(metric: MetricFunction, predicted: Predicted) -> None:
    """See that a metric could be computed of these predictions, whatever is true.

    Raises:
        UsageError: they are no numbers, no probabilities, or nobody knows of which classes the scores are.
    """
    from ...analysis.metrics.preparing import PROBABLE, are_probabilities

    if metric.needs == "numbers":
        _numbers(predicted.values, metric, "predictions")
    elif predicted.values.ndim > 1 and not (metric.needs == "classes" and predicted.labels is not None):
        _classes(predicted)
        if metric.key in PROBABLE and not are_probabilities(predicted.values):
            raise UsageError(
                f"{metric.name} is of probabilities, and the scores of an example do not add up to 1",
                do="give those: torch.softmax(logits, dim=1)",
            )


def arguments(
    metric: MetricFunction, predicted: Predicted, labels: Mapping[str, str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Labels, predictions and classes as `metric.compute` and `ladder.losses` take them.

    Args:
        labels: of each example, as text. Text is compared with text; where all are numbers, numbers with numbers.

    Raises:
        UsageError: the metric cannot be computed of these.
    """
    import numpy as np

    from ...analysis.metrics import check_fits

    truth = np.array([labels[each] for each in predicted.ids.tolist()], dtype=str)
    found: tuple[np.ndarray, np.ndarray, np.ndarray | None]
    if metric.needs == "numbers":
        found = _numbers(truth, metric, "labels"), _numbers(predicted.values, metric, "predictions"), None
    elif metric.needs == "classes" and predicted.labels is not None:
        found = (*_alike(truth, predicted.labels), None)
    elif predicted.values.ndim > 1:
        found = truth, predicted.values, _classes(predicted)
    else:
        found = (*_alike(truth, predicted.values), None)
    check_fits(metric, *found)
    return found


def _numbers(values: np.ndarray, metric: MetricFunction, what: str) -> np.ndarray:
    import numpy as np

    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{metric.name} is of numbers, and the {what} are none",
            why=str(error)[:120],
            do="choose accuracy, or another metric of classes",
        ) from error


def _classes(predicted: Predicted) -> np.ndarray:
    import numpy as np

    if predicted.classes is None:
        raise UsageError(
            "nobody knows which class each column of scores stands for",
            do="call the columns `score/CLASS`, or give classes= to run.evaluate",
        )
    return np.array([text_of(each) for each in predicted.classes], dtype=str)


def _alike(truth: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as text; both as numbers, where all of them are and no text of one is among those of the other."""
    import numpy as np

    texts = np.array([text_of(each) for each in values.tolist()], dtype=str)
    if set(texts.tolist()) & set(truth.tolist()):
        return truth, texts
    try:
        return truth.astype(np.float64), texts.astype(np.float64)
    except ValueError:
        return truth, texts
