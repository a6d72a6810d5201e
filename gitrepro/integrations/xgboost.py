"""XGBoost: a callback for `train`, `cv` and the estimators of its scikit-learn interface.

with gitrepro.record():
    callback = GitreproCallback(EarlyStopping("val/logloss"), metric=("val/logloss", "min"))
    xgboost.train(params, train, evals=[(train, "train"), (val, "val")], callbacks=[callback])
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, final

import xgboost

from ..run.handle import Run
from ..run.warning import warn
from .following import Following, Metric, number

if TYPE_CHECKING:
    from ..run.guarding import Guard, Rule


@final
class GitreproCallback(xgboost.callback.TrainingCallback):
    """Writes what each iteration is evaluated to into a run, and stops the training when a rule says so.

    A metric is `NAME/METRIC`, with the names that `evals` gives (`validation_0` in an estimator), by the iterations of
    XGBoost, from 0. `cv` adds the spread over the folds as `NAME/METRIC_std`. What the booster has in force, defaults
    as well, is the config. The models are the artifacts `models/best.ubj` and `models/last.ubj`; `cv` has none.

    Args:
        rules: as for `run.guard`; they hear each iteration.
        run: by default the run that the program has open when the training begins.
        metric: what is best, as `("val/auc", "max")`; None keeps the last model only.
        models: keep the models, when the training has ended.

    Raises:
        UsageError: when the training begins, where no run is open. With `GITREPRO_MODE=disabled` it does nothing then.
    """

    def __init__(self, *rules: Rule, run: Run | None = None, metric: Metric | None = None, models: bool = True) -> None:
        super().__init__()
        self._rules, self._run, self._metric, self._models = rules, run, metric, models
        self._following: Following | None = None
        self._history: Mapping[str, Mapping[str, list[Any]]] = {}
        self._begun_at = self._written = 0

    @property
    def guard(self) -> Guard | None:
        """What the rules have found, once the training has begun."""
        return self._following.guard if self._following is not None else None

    def before_training(self, model: Any) -> Any:
        self._following = Following("GitreproCallback", self._run, self._rules, self._metric)
        self._history, self._written = {}, 0
        if isinstance(model, xgboost.Booster):
            self._begun_at = model.num_boosted_rounds()
            self._following.config(_settings(json.loads(model.save_config())))
        return model

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ARG002
        assert self._following is not None
        self._history = evals_log
        self._write(until=epoch + 1)
        return self._following.should_stop()

    def after_training(self, model: Any) -> Any:
        assert self._following is not None
        # Another callback that stops the training keeps its last iteration from those behind it.
        self._write(until=max((len(values) for each in self._history.values() for values in each.values()), default=0))
        if self._models and isinstance(model, xgboost.Booster):
            self._following.keep("last.ubj", model.save_model)
            self._keep_best(model)
        return model

    def _write(self, *, until: int) -> None:
        assert self._following is not None
        for step in range(self._written, until):
            self._following.row(_row(self._history, step), step)
        self._written = max(self._written, until)

    def _keep_best(self, model: Any) -> None:
        assert self._following is not None
        if (step := self._following.best_step) is None:
            return
        kind = json.loads(model.save_config())["learner"]["gradient_booster"]["name"]
        if kind != "gbtree":
            warn(f"the best model is not kept: the first iterations of {kind} are not what they were then")
            return
        self._following.keep("best.ubj", model[: self._begun_at + step + 1].save_model)


def _row(history: Mapping[str, Mapping[str, list[Any]]], step: int) -> dict[str, float]:
    row: dict[str, float] = {}
    for data, metrics in history.items():
        for metric, values in metrics.items():
            if step >= len(values):
                continue
            mean, *spread = values[step] if isinstance(values[step], tuple) else (values[step],)
            row[f"{data}/{metric}"] = float(mean)
            row |= {f"{data}/{metric}_std": float(each) for each in spread}
    return row


def _settings(config: Any) -> dict[str, Any]:
    """The parameters out of XGBoost's own document of them: what stands in a map whose name ends in `_param`."""
    found: dict[str, Any] = {}
    for name, value in config.items() if isinstance(config, dict) else ():
        if name.endswith("_param") and isinstance(value, dict):
            found |= {key: number(text) for key, text in value.items() if isinstance(text, str)}
        elif isinstance(value, dict):
            found |= _settings(value)
    return found
