"""scikit-learn: fit an estimator, with its parameters and scores on record.

record_fit(LogisticRegression(C=0.1), train_x, train_y, val=(val_x, val_y))
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..errors import UsageError
from ..run.handle import Run
from .target import take_config, target_for

# What estimators that learn step by step leave behind, and what it is called here.
_CURVES: Final = {"loss_curve_": "train/loss", "validation_scores_": "val/score", "train_score_": "train/score"}


def record_fit(
    estimator: Any,
    X: Any,  # noqa: N803 - the names of scikit-learn
    y: Any = None,
    *,
    val: Sequence[Any] | None = None,
    scoring: Mapping[str, Any] | None = None,
    run: Run | None = None,
    fit: Mapping[str, Any] | None = None,
    **options: Any,
) -> Any:
    """Fit an estimator, and put on record its parameters, the curve it leaves, its scores and the time it took.

    Args:
        estimator: anything with `fit` and `get_params`; a pipeline as well.
        X, y: what it is fitted on, as for `fit`.
        val: `(X, y)` that it is scored on; by `estimator.score` it is `val/score`.
        scoring: more scores, a name each: functions of (estimator, X, y), as `get_scorer` gives them, or its names.
        run: by default the run that the program has open; without one a new one is begun, and ended here.
        fit: further arguments of `estimator.fit`.
        options: of `gitrepro.record`, for a new run.

    Returns:
        The fitted estimator.

    Raises:
        UsageError: it is no estimator, or `run` is no run. What the fit itself raises comes through.
    """
    if not hasattr(estimator, "fit") or not hasattr(estimator, "get_params"):
        raise UsageError(f"{estimator!r:.60} is no estimator", why="it has no fit and get_params")
    target = target_for(run, **options)
    if not target.own:
        return _fitted(target.run, estimator, X, y, val, scoring, fit or {})
    with target.run:
        return _fitted(target.run, estimator, X, y, val, scoring, fit or {})


def _fitted(
    run: Run,
    estimator: Any,
    X: Any,  # noqa: N803
    y: Any,
    val: Sequence[Any] | None,
    scoring: Any,
    fit: Mapping[str, Any],
) -> Any:
    take_config(run, {"estimator": type(estimator).__name__, **estimator.get_params(deep=True)})
    began = time.perf_counter()
    estimator.fit(X, y, **fit)
    run.summary["fit_seconds"] = time.perf_counter() - began
    _curves(run, estimator)
    scores = {"train/score": estimator.score(X, y)} if hasattr(estimator, "score") else {}
    if val is not None:
        scores |= _scores(estimator, val, scoring or {})
    run.summary.update(scores)
    return estimator


def _curves(run: Run, estimator: Any) -> None:
    for attribute, name in _CURVES.items():
        for step, value in enumerate(getattr(estimator, attribute, None) or ()):
            run.log({name: value}, step=step)


def _scores(estimator: Any, val: Sequence[Any], scoring: Mapping[str, Any]) -> dict[str, float]:
    from sklearn.metrics import get_scorer

    found = {"val/score": float(estimator.score(*val))} if hasattr(estimator, "score") else {}
    for name, scorer in scoring.items():
        score = get_scorer(scorer) if isinstance(scorer, str) else scorer
        found[f"val/{name}"] = float(score(estimator, *val))
    return found
