"""What an experiment of the gallery is: a task made from a seed, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from gitrepro.checks.task import Data, Kind, Learner, Metric, Part, Predictions, Task

Fit = Callable[[Data, int, float], np.ndarray]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """One experiment.

    Attributes:
        make: the task, for a seed that draws its split and whatever else is drawn.
        broken: what is wrong with it; empty where it is sound.
        line: of the checks, the one that must say so.
        verdict: what that line says of it.
        missed: why no line finds it, for faults that none can be asked to find.
    """

    name: str
    make: Callable[[int], Task]
    broken: str = ""
    line: str = ""
    verdict: str = "FAIL"
    missed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Made:
    """A task of data and a function that learns from them.

    Attributes:
        fit: given data, a seed and a share of the budget, predicts the scored part.
        tells: parameters of what is fitted before training, for given data.
    """

    name: str
    given: Data
    fit: Fit
    kind: Kind
    metric: Metric
    teaching: Learner | None = None
    tells: Callable[[Data], Mapping[str, np.ndarray]] | None = None

    def data(self) -> Data:
        return self.given

    def predict(self, data: Data, *, seed: int, share: float) -> Predictions:
        return Predictions(ids=data.judged.ids, values=self.fit(data, seed, share))

    def learner(self) -> Learner | None:
        return self.teaching

    def fitted(self, data: Data) -> Mapping[str, np.ndarray] | None:
        return self.tells(data) if self.tells is not None else None


# -- data


def whole(inputs: Any, labels: np.ndarray | None, *, seed: int, **more: Any) -> Part:
    """All examples, with ids that tell nothing, as names of files that were hashed do."""
    names = np.random.default_rng((seed, 1)).choice(36**6, size=len(inputs), replace=False)
    ids = np.array([np.base_repr(int(name), 36).lower().rjust(6, "0") for name in names])
    return Part(ids=ids, inputs=inputs, labels=labels, **more)


def split(examples: Part, *, seed: int, share: float = 0.4, at_most: int | None = None, **more: Any) -> Data:
    """A random split; of as many examples at most, drawn at random."""
    order = np.random.default_rng((seed, 2)).permutation(len(examples))[:at_most]
    cut = int(len(order) * share)
    return Data(parts={"train": examples.take(order[cut:]), "val": examples.take(order[:cut])}, **more)


def split_by(examples: Part, groups: np.ndarray, *, seed: int, share: float = 0.4, **more: Any) -> Data:
    """A random split of groups."""
    names = np.random.default_rng((seed, 3)).permutation(np.unique(groups))
    held = np.isin(groups, names[: int(len(names) * share)])
    return Data(
        parts={"train": examples.take(np.flatnonzero(~held)), "val": examples.take(np.flatnonzero(held))}, **more
    )


def joined(one: Part, two: Part) -> Part:
    """The examples of both, the second with ids of its own."""
    assert one.labels is not None and two.labels is not None
    arrays = isinstance(one.inputs, np.ndarray)
    return Part(
        ids=np.concatenate([one.ids, np.array([f"{each}x" for each in two.ids])]),
        inputs=np.concatenate([one.inputs, two.inputs]) if arrays else [*one.inputs, *two.inputs],
        labels=np.concatenate([one.labels, two.labels]),
    )


def half_of(part: Part) -> Part:
    return part.take(np.arange(len(part) // 2))


def stacked(data: Data, name: str = "inputs") -> np.ndarray:
    """Of train and the scored part together, as careless code has them."""
    return np.concatenate([np.asarray(getattr(part, name)) for part in (data.train, data.judged)])


# -- metrics


def chosen(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The class with the highest score, where there are scores."""
    return values if values.ndim == labels.ndim else values.argmax(axis=-1)


def accuracy(labels: np.ndarray, values: np.ndarray) -> float:
    return float(np.mean(chosen(values, labels) == labels))


def balanced_accuracy(labels: np.ndarray, values: np.ndarray) -> float:
    right = chosen(values, labels) == labels
    return float(np.mean([right[labels == each].mean() for each in np.unique(labels)]))


def log_loss(labels: np.ndarray, values: np.ndarray) -> float:
    return float(-np.log(np.maximum(values[np.arange(len(labels)), labels], 1e-12)).mean())


def area(labels: np.ndarray, values: np.ndarray) -> float:
    """Under the curve, of a score for the second of two classes: the share of pairs in which the second has more."""
    positive = labels == labels.max()
    count = int(positive.sum())
    if not 0 < count < len(labels):
        return float("nan")
    ranks = np.empty(len(values))
    ranks[np.argsort(values)] = np.arange(1, len(values) + 1)
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (len(values) - count)))


def explained(labels: np.ndarray, values: np.ndarray) -> float:
    return 1 - float(np.square(labels - values).sum() / np.square(labels - labels.mean()).sum())


def absolute_error(labels: np.ndarray, values: np.ndarray) -> float:
    return float(np.abs(labels - values).mean())


ACCURACY: Final = Metric(name="accuracy", function=accuracy)
BALANCED: Final = Metric(name="balanced accuracy", function=balanced_accuracy)
LOG_LOSS: Final = Metric(name="log loss", function=log_loss, goal="min")
AREA: Final = Metric(name="AUC", function=area)
R2: Final = Metric(name="R2", function=explained)
MAE: Final = Metric(name="MAE", function=absolute_error, goal="min")


# -- tasks


def classifying(name: str, given: Data, fit: Fit, *, metric: Metric = ACCURACY, **more: Any) -> Made:
    return Made(name=name, given=given, fit=fit, kind="classification", metric=metric, **more)


def regressing(name: str, given: Data, fit: Fit, *, metric: Metric = R2, **more: Any) -> Made:
    return Made(name=name, given=given, fit=fit, kind="regression", metric=metric, **more)


def estimating(make: Callable[[int], Any], *, method: str = "predict") -> Fit:
    """Learn from train with an estimator of scikit-learn, made from a seed, and predict the scored part."""

    def fit(data: Data, seed: int, _share: float) -> np.ndarray:
        model = make(seed).fit(data.train.inputs, data.train.labels)
        return np.asarray(getattr(model, method)(data.judged.inputs))

    return fit
