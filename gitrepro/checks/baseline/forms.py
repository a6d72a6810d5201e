"""In which form a task predicts, so that a baseline predicts in the same form and meets the same metric."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, final

import numpy as np

from ...errors import UsageError
from ..task import Data, Part, Predictions, Task

Problem = Literal["classes", "numbers", "tokens"]
Style = Literal["labels", "probabilities", "logarithms", "score"]
_TINY: Final = 1e-12
"""The least probability a logarithm is taken of."""
_SUMS_TO_ONE: Final = 1e-3
"""What float16 probabilities of thousands of classes may be off."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Form:
    """What the values of predictions are.

    Attributes:
        style: `labels` (numbers, for regression, too); of each class a probability, or a logarithm of one, up to a
            constant; or one `score` of the second of two classes.
        classes: shape (k,), what the columns of probabilities stand for, sorted; None for numbers.
    """

    problem: Problem
    style: Style
    classes: np.ndarray | None = None

    def shaped(self, probabilities: np.ndarray) -> np.ndarray:
        """Values in this form, of probabilities of shape (..., k)."""
        assert self.classes is not None
        if self.style == "labels":
            best: np.ndarray = self.classes[probabilities.argmax(axis=-1)]
            return best
        if self.style == "logarithms":
            return np.asarray(np.log(np.maximum(probabilities, _TINY)))
        return probabilities[..., 1] if self.style == "score" else probabilities

    def certain(self, codes: np.ndarray) -> np.ndarray:
        """Values in this form that leave no doubt of these places of classes."""
        assert self.classes is not None
        if self.style == "labels":
            only: np.ndarray = self.classes[codes]
            return only
        return self.shaped(one_hot(codes, len(self.classes)))

    def perfect(self, labels: np.ndarray) -> np.ndarray:
        """What a perfect model would predict, in this form."""
        if self.classes is None or self.style == "labels":
            return labels
        return self.certain(codes_of(labels, self.classes))


def one_hot(codes: np.ndarray, count: int) -> np.ndarray:
    """Probabilities, float64, shape (..., count), of which one is 1; a code below zero has none."""
    return np.asarray(codes[..., None] == np.arange(count), dtype=np.float64)


def codes_of(labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The place of each label among the sorted classes, int64; -1 for one that is not among them."""
    places = np.minimum(np.searchsorted(classes, labels), len(classes) - 1)
    return np.where(classes[places] == labels, places, -1)


def problem_of(task: Task, labels: np.ndarray) -> Problem:
    """What is predicted: classes, numbers or tokens."""
    if task.kind == "language":
        return "tokens"
    if task.kind == "classification":
        return "classes"
    return "numbers" if task.kind == "regression" or labels.dtype.kind == "f" else "classes"


def form_of(task: Task, data: Data, labels: np.ndarray, values: np.ndarray) -> Form:
    """The form of these values, shape (n, ...), predicted for these labels.

    Raises:
        UsageError: they fit no form.
    """
    problem = problem_of(task, labels)
    if problem == "numbers":
        return Form(problem=problem, style="labels")
    classes = classes_of(data) if problem == "classes" else _tokens(data, labels, values)
    if values.ndim == labels.ndim:
        graded = len(classes) == 2 and values.dtype.kind == "f" and not np.isin(values, classes).all()
        return Form(problem=problem, style="score" if graded else "labels", classes=classes)
    if problem == "classes" and values.ndim == 2 and values.shape[-1] != len(classes):
        # Some count only the classes that can be learnt.
        assert data.train.labels is not None
        classes = np.unique(data.train.labels)
    if values.shape[:-1] != labels.shape or values.shape[-1] != len(classes):
        raise UsageError(
            f"the predictions have shape {values.shape} and the labels {labels.shape}, of {len(classes)} classes",
            why="a baseline has to predict in the same form",
            do="predict labels, or a score for each class in sorted order",
        )
    return Form(problem=problem, style=_scale(values), classes=classes)


def _scale(values: np.ndarray) -> Style:
    """Whether scores of classes are probabilities, as far as the numbers tell."""
    sums = values.sum(axis=-1)
    return "probabilities" if values.min() >= 0 and np.abs(sums - 1).max() <= _SUMS_TO_ONE else "logarithms"


def classes_of(data: Data) -> np.ndarray:
    """The classes of all parts, sorted.

    Raises:
        UsageError: labels are of several types.
    """
    found = [part.labels for part in data.parts.values() if part.labels is not None]
    try:
        return np.unique(np.concatenate([np.unique(each) for each in found]))
    except TypeError as error:
        raise UsageError(
            "the labels are of several types", why=str(error), do="make them all text, or all whole"
        ) from None


def _tokens(data: Data, labels: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The tokens that columns stand for: all up to a number of columns, or else those that occur."""
    if values.ndim == labels.ndim + 1:
        most = max(int(np.max(part.inputs)) for part in data.parts.values())
        if values.shape[-1] > max(most, int(labels.max())):
            return np.arange(values.shape[-1])
    seen = [np.unique(part.inputs) for part in data.parts.values()]
    seen += [np.unique(part.labels) for part in data.parts.values() if part.labels is not None]
    every = np.unique(np.concatenate(seen))
    return every[every >= 0]


def targets_of(task: Task, part: Part) -> np.ndarray | None:
    """The labels that predictions of a part are scored by; the next tokens, for a language model that has none."""
    if part.labels is None and task.kind == "language" and isinstance(part.inputs, np.ndarray) and part.inputs.ndim > 1:
        return np.asarray(part.inputs[:, 1:])
    return part.labels


def aligned(predictions: Predictions, part: Part, *, source: str) -> np.ndarray:
    """The values in the order of the part's examples.

    Raises:
        UsageError: an example has no prediction, or two, or one is of no example; or a value is missing.
    """
    values, ids = np.asarray(predictions.values), [str(each) for each in predictions.ids]
    if values.ndim == 0 or len(values) != len(ids):
        raise UsageError(f"{source} gave {len(ids)} ids and values of shape {values.shape}")
    place = {each: k for k, each in enumerate(ids)}
    wanted = [str(each) for each in part.ids]
    missing = [each for each in wanted if each not in place]
    if missing or len(place) != len(wanted) or len(ids) != len(wanted):
        raise UsageError(
            f"{source} predicted {len(ids)} examples, and {len(wanted)} are scored",
            why=f"there is no prediction of {missing[0]!r:.60}" if missing else "an id is there twice, or unknown",
            do="predict every example of the scored part once",
        )
    ordered: np.ndarray = values[np.array([place[each] for each in wanted])]
    if ordered.dtype.kind == "f" and not np.isfinite(ordered).all():
        raise UsageError(f"{source} predicted what is not a number", why=_odd(ordered, wanted))
    return ordered


def _odd(values: np.ndarray, ids: list[str]) -> str:
    bad = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))
    return f"{len(bad)} of {len(ids)} are NaN or infinite, the first of {ids[int(bad[0])]!r:.60}"


def score_of(task: Task, labels: np.ndarray, values: np.ndarray, *, source: str) -> float:
    """The metric of these predictions.

    Raises:
        UsageError: the metric fails on them, or is not finite.
    """
    try:
        found = float(task.metric.function(labels, values))
    except Exception as error:  # noqa: BLE001 - the metric is the user's
        why = f"{type(error).__name__}: {error!s:.200}"
        raise UsageError(f"the metric {task.metric.name} fails on the predictions of {source}", why=why) from None
    if not np.isfinite(found):
        raise UsageError(f"the metric {task.metric.name} of {source} is {found}")
    return found


def perfect_score(task: Task, form: Form, labels: np.ndarray) -> float | None:
    """The metric of perfect predictions; None where the metric has no such value."""
    try:
        return score_of(task, labels, form.perfect(labels), source="perfect predictions")
    except (UsageError, MemoryError):
        return None
