"""The metrics by name, each with its version; and metrics that a program brings itself."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from ...errors import UsageError
from ...records.evaluation import text_digest
from ...records.metricnames import mode_of
from . import classes as of_classes
from . import counts as of_counts
from . import numbers as of_numbers
from . import scores as of_scores
from .function import Goal, MetricFunction, Needs, qualified, source_of
from .preparing import has_nan, to_classes, to_numbers, to_probabilities

# Name: version, what it needs, the function, what is better, and which settings it takes.
_KNOWN: Final[dict[str, tuple[int, Needs, Callable[..., float], Goal, tuple[str, ...]]]] = {
    "accuracy": (1, "classes", of_classes.accuracy, "max", ()),
    "balanced_accuracy": (1, "classes", of_classes.balanced_accuracy, "max", ()),
    "f1": (1, "classes", of_classes.f1, "max", ("positive",)),
    "precision": (1, "classes", of_classes.precision, "max", ("positive",)),
    "recall": (1, "classes", of_classes.recall, "max", ("positive",)),
    "auc": (1, "scores", of_scores.auc, "max", ()),
    "log_loss": (1, "scores", of_scores.log_loss, "min", ()),
    "calibration_error": (1, "scores", of_scores.calibration_error, "min", ("bins",)),
    "top_k": (1, "scores", of_scores.top_k, "max", ("k",)),
    "mae": (1, "numbers", of_numbers.mae, "min", ()),
    "rmse": (1, "numbers", of_numbers.rmse, "min", ()),
    "r2": (1, "numbers", of_numbers.r2, "max", ()),
    "perplexity": (1, "counts", of_counts.perplexity, "min", ()),
    "mean_iou": (1, "counts", of_counts.mean_iou, "max", ()),
}
NAMES: Final = tuple(_KNOWN)
_TOP: Final = re.compile(r"top_([1-9][0-9]{0,5})")
_NEEDS: Final = ("classes", "scores", "numbers", "counts")


def registered(name: str, **settings: Any) -> MetricFunction:
    """The metric of this name, as its textbook says.

    Args:
        name: one of `NAMES`.
        settings: `k` of `top_k`; `bins` of `calibration_error`, 15 when left out; `positive` of `precision`, `recall`
            and `f1`: the class they are of, when left out the mean over all classes.

    Raises:
        UsageError: there is none of this name, or it takes no such setting.
    """
    if name not in _KNOWN:
        raise UsageError(
            f"there is no metric {name!r:.60}",
            why=f"known are {', '.join(_KNOWN)}",
            do='give a function of your own: gitrepro.metric("name", goal="max")(function)',
        )
    version, needs, function, goal, takes = _KNOWN[name]
    _check_settings(name, settings, takes)
    compute = functools.partial(_PREPARED[needs], functools.partial(function, **settings))
    return MetricFunction(
        name=_called(name, settings), key=name, version=version, goal=goal, needs=needs, compute=compute,
        digest=_digest(name), settings=dict(settings),
    )  # fmt: skip


def needs_of(name: str) -> Needs:
    """What a registered metric is computed from; see `MetricFunction.needs`."""
    return _KNOWN[name][1]


def named(name: str) -> MetricFunction:
    """The metric that is logged so: as `registered`, and `top_5` for `top_k` of 5. Raises as that does."""
    top = _TOP.fullmatch(name)
    return registered("top_k", k=int(top[1])) if top else registered(name)


def own(
    function: Callable[..., Any], *, name: str | None = None, goal: Goal | None = None, needs: Needs = "classes"
) -> MetricFunction:
    """A function of the program as a metric.

    Args:
        function: takes truth and predictions of the same examples; returns a number.
        name: that of the function when left out.
        goal: what is better; when left out what the name tells, as of `error` or `f2_score`.
        needs: what it is given: `classes` (labels, of scores those with the greatest), `scores` or `counts` (all as it
            was given), `numbers` (both as float64).

    Raises:
        UsageError: it is no function, or nobody knows what is better.
    """
    called = name or str(getattr(function, "__name__", type(function).__name__))
    if not callable(function):
        raise UsageError(f"metric {called!r:.60} is no function", do="give one that takes truth and predictions")
    better = goal or mode_of(called)
    if better not in ("max", "min"):
        why = f"of {called!r:.60} nobody knows whether it is better when it is great or when it is small"
        raise UsageError("a metric has no goal", why=why, do='say it: gitrepro.metric("name", goal="max")(function)')
    if needs not in _NEEDS:
        raise UsageError(f"needs is {needs!r:.40}", do=f"give one of {', '.join(_NEEDS)}")
    source = source_of(function)
    return MetricFunction(
        name=called, key=qualified(function), version=0, goal=better, needs=needs, source=source,
        compute=functools.partial(_of_own, function, needs), digest=text_digest(source),
    )  # fmt: skip


def _called(name: str, settings: Mapping[str, Any]) -> str:
    if name == "top_k":
        return f"top_{settings['k']}"
    return re.sub(r"[^A-Za-z0-9._-]+", "_", "_".join([name, *(str(value) for value in settings.values())]))


def _check_settings(name: str, settings: Mapping[str, Any], takes: tuple[str, ...]) -> None:
    if strange := [each for each in settings if each not in takes]:
        raise UsageError(f"{name} takes no {strange[0]}=", why=f"it takes {', '.join(takes) or 'no settings'}")
    for each in {"k", "bins"} & {*takes}:
        value = settings.get(each, None if each == "k" else 1)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UsageError(f"{each} of {name} is {value!r:.40}", do="give a whole number from 1 on")


@functools.lru_cache(maxsize=64)
def _digest(name: str) -> str:
    _, needs, function, _, _ = _KNOWN[name]
    return text_digest(f"{source_of(function)}\n{source_of(_PREPARED[needs])}")


# -- how each is computed; what is missing in the predictions is missing in the metric


def _of_classes(
    function: Callable[..., float], labels: np.ndarray, values: np.ndarray, *, classes: np.ndarray | None = None
) -> float:
    labels, values = np.asarray(labels), np.asarray(values)
    if has_nan(values):
        return float("nan")
    known = np.unique(labels) if classes is None else np.asarray(classes)
    return function(labels, to_classes(values, known), known)


def _of_scores(
    function: Callable[..., float], labels: np.ndarray, values: np.ndarray, *, classes: np.ndarray | None = None
) -> float:
    labels, values = np.asarray(labels), np.asarray(values)
    if has_nan(values):
        return float("nan")
    known = np.unique(labels) if classes is None else np.asarray(classes)
    return function(labels, to_probabilities(values, known), known)


def _of_numbers(
    function: Callable[..., float], labels: np.ndarray, values: np.ndarray, *, classes: object = None
) -> float:
    del classes
    return function(*to_numbers(labels, values))


def _of_counts(function: Callable[..., float], labels: object, values: np.ndarray, *, classes: object = None) -> float:
    del labels, classes
    return function(np.asarray(values, dtype=np.float64))


def _of_own(
    function: Callable[..., Any],
    needs: Needs,
    labels: np.ndarray | None,
    values: np.ndarray,
    *,
    classes: np.ndarray | None = None,
) -> float:
    given = np.asarray(values)
    if needs == "classes" and labels is not None:
        given = to_classes(given, np.unique(labels) if classes is None else np.asarray(classes))
    elif needs == "numbers" and labels is not None:
        labels, given = to_numbers(labels, given)
    return float(function(labels, given))


_PREPARED: Final[dict[Needs, Callable[..., float]]] = {
    "classes": _of_classes,
    "scores": _of_scores,
    "numbers": _of_numbers,
    "counts": _of_counts,
}
