"""A task from an estimator in the way of scikit-learn, and arrays."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from ..errors import UsageError
from .arrays import VAL, data_of, inputs_of, kind_of, labels_of, split_of
from .metrics import metric as metric_of
from .metrics import wants_probabilities
from .task import Data, Kind, Learner, Metric, Part, Predictions

_BUDGETS: Final = ("n_estimators", "max_iter", "iterations", "n_iter")
"""Parameters that say how long an estimator learns."""
_STEPWISE: Final = ("MLP", "SGD", "HistGradientBoosting", "Perceptron", "PassiveAggressive")
"""What stops early with a smaller `max_iter`, and does not merely fail to converge."""


def from_arrays(
    estimator: Any,
    X: Any,  # noqa: N803 - the names of scikit-learn
    y: Any,
    *,
    val: float = 0.2,
    parts: Mapping[str, Any] | None = None,
    ids: Any = None,
    groups: Any = None,
    times: Any = None,
    metric: str | Metric | None = None,
    name: str | None = None,
    seed: int = 0,
    iid: bool | None = None,
    scored: str = VAL,
) -> EstimatorTask:
    """An experiment: fit this estimator on a part of these arrays, predict the rest.

    Scaling, choosing features and all else that is learnt from data belongs into the estimator, as a pipeline: what was
    done to `X` before cannot be checked.

    Args:
        estimator: has `fit(X, y)` and `predict(X)`. Each time a copy is fitted, with every `random_state` set.
        X: n examples: an array, a data frame, a list of texts or images.
        y: n labels: integers or text are classes, floats are numbers.
        val: the share that is scored: the last ones where there are times, whole groups where there are groups.
        parts: instead, places (integers, or n booleans) by part: `train`, and the part named by `scored`.
        ids: n names of the examples; numbered where left out.
        groups: n of them, what belongs together (a patient) and must not be on both sides.
        times: n numbers, when each was taken.
        metric: a name of `gitrepro.checks.metrics`, or one of your own; accuracy or R2 where left out.
        seed: of the split.
        iid: whether the parts are drawn from one source; so by default, unless there are times.

    Raises:
        UsageError: it is no estimator, or the arrays do not fit each other.
    """
    if not callable(getattr(estimator, "fit", None)) or not callable(getattr(estimator, "predict", None)):
        raise UsageError(f"{estimator!r:.60} is no estimator", why="it has no fit and predict")
    labels, inputs = labels_of(y), inputs_of(X)
    beside = {"ids": _beside(ids), "groups": _beside(groups), "times": _beside(times)}
    _check_lengths({"inputs": inputs, **beside}, len(labels))
    if parts is None:
        parts = split_of(labels, share=val, groups=beside["groups"], times=beside["times"], seed=seed)
    columns = _columns(X)
    data = data_of(
        inputs, labels, parts, **beside, scored=scored, iid=times is None if iid is None else iid, features=columns
    )
    kind = kind_of(labels)
    classes = None if kind == "regression" else np.unique(labels)
    chosen = metric or ("r2" if kind == "regression" else "accuracy")
    return EstimatorTask(
        estimator=estimator,
        given=data,
        name=name or type(estimator).__name__,
        kind=kind,
        metric=metric_of(chosen, classes=classes) if isinstance(chosen, str) else chosen,
        classes=classes,
        frame=X if hasattr(X, "to_numpy") and hasattr(X, "dtypes") else None,
    )


def _beside(values: Any) -> np.ndarray | None:
    return None if values is None else np.asarray(values.to_numpy() if hasattr(values, "to_numpy") else values)


def _check_lengths(found: Mapping[str, Any], count: int) -> None:
    for name, each in found.items():
        if each is not None and len(each) != count:
            raise UsageError(f"there are {count} labels and {len(each)} {name}")


def _columns(X: Any) -> Sequence[str] | None:  # noqa: N803
    columns = getattr(X, "columns", None)
    return None if columns is None else [str(each) for each in columns]


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EstimatorTask:
    """What `from_arrays` makes.

    Attributes:
        classes: sorted; None for numbers.
        frame: the data frame that was given, whose column names and types the estimator gets again.
    """

    estimator: Any
    given: Data
    name: str
    kind: Kind
    metric: Metric
    classes: np.ndarray | None = None
    frame: Any = None

    def data(self) -> Data:
        return self.given

    def predict(self, data: Data, *, seed: int, share: float) -> Predictions:
        model = fresh(self.estimator, seed=seed, share=share)
        assert data.train.labels is not None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of one that has not converged: it was given a share of its budget
            model.fit(self._inputs(data.train), data.train.labels)
            values = self._values(model, self._inputs(data.judged))
        labels = data.judged.labels
        score = float("nan") if labels is None else float(self.metric.function(labels, values))
        return Predictions(ids=data.judged.ids, values=values, score=score)

    def learner(self) -> Learner | None:
        return None

    @property
    def has_budget(self) -> bool:
        """Whether a smaller share of the budget makes it cheaper; else it learns from all it is given, each time."""
        return bool(_cut(fresh(self.estimator, seed=0, share=1.0), share=0.5))

    def _inputs(self, part: Part) -> Any:
        # A copy, so that an estimator that scales in place does not change what the next one sees.
        inputs = copy.copy(part.inputs)
        if self.frame is None:
            return inputs
        return type(self.frame)(inputs, columns=self.frame.columns).astype(dict(self.frame.dtypes))

    def _values(self, model: Any, inputs: Any) -> np.ndarray:
        if not wants_probabilities(self.metric.name):
            return np.asarray(model.predict(inputs))
        if not callable(getattr(model, "predict_proba", None)):
            raise UsageError(f"{self.metric.name} needs probabilities, and {self.name} has no predict_proba")
        return _spread(np.asarray(model.predict_proba(inputs)), np.asarray(model.classes_), self.classes)


def _spread(values: np.ndarray, known: np.ndarray, classes: np.ndarray | None) -> np.ndarray:
    """Probabilities of the classes that the estimator has seen, with a column of zeros for each of the others."""
    if classes is None or len(known) == len(classes):
        return values
    spread = np.zeros((len(values), len(classes)))
    spread[:, np.searchsorted(classes, known)] = values
    return spread


def fresh(estimator: Any, *, seed: int, share: float) -> Any:
    """A copy that is not fitted, seeded, with this share of its budget.

    The budget is the number of trees or of iterations; an estimator without such a parameter gets all of it.
    """
    if callable(build := getattr(estimator, "seeded", None)):
        return _with_budget(build(seed), share=share)
    if not hasattr(estimator, "get_params"):
        return copy.deepcopy(estimator)
    from sklearn.base import clone

    model = clone(estimator)
    seeds = {key: seed for key in model.get_params(deep=True) if key.rpartition("__")[2] == "random_state"}
    return _with_budget(model.set_params(**seeds) if seeds else model, share=share)


def _with_budget(model: Any, *, share: float) -> Any:
    changed = _cut(model, share=share)
    return model.set_params(**changed) if changed else model


def _cut(model: Any, *, share: float) -> dict[str, int]:
    """The parameters that are the budget, with this share of it."""
    if share >= 1 or not hasattr(model, "get_params"):
        return {}
    found: dict[str, int] = {}
    for key, value in model.get_params(deep=True).items():
        owner, _, last = key.rpartition("__")
        if last in _BUDGETS and _is_budget(model, owner, last, value):
            found[key] = max(1, math.ceil(value * share))
    return found


def _is_budget(model: Any, owner: str, name: str, value: object) -> bool:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        return False
    part = model.get_params(deep=True)[owner] if owner else model
    return name != "max_iter" or type(part).__name__.startswith(_STEPWISE)
