"""LightGBM: a callback for `train`, `cv` and the estimators of its scikit-learn interface.

with gitrepro.record():
    callback = GitreproCallback(EarlyStopping("val/binary_logloss"), metric=("val/binary_logloss", "min"))
    lightgbm.train(params, train, valid_sets=[train, val], valid_names=["train", "val"], callbacks=[callback])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

import lightgbm

from ..run.handle import Run
from ..run.warning import warn
from .following import Following, Metric, number

if TYPE_CHECKING:
    from ..run.guarding import Guard, Rule

# LightGBM's own name for the training set.
_NAMES: Final = {"training": "train"}


@final
class GitreproCallback:
    """Writes what each iteration is evaluated to into a run, and stops the training when a rule says so.

    A metric is `NAME/METRIC`, with the names of `valid_names` (`training` is recorded as `train`), by the iterations
    of LightGBM, from 0. `cv` adds the spread over the folds as `NAME/METRIC_std`. What the booster has in force,
    defaults as well, is the config. The models are the artifacts `models/best.txt` and `models/last.txt`; `cv` has
    none.

    Args:
        rules: as for `run.guard`; they hear each iteration.
        run: by default the run that the program has open when the training begins.
        metric: what is best, as `("val/auc", "max")`; None keeps the last model only.
        models: keep the models, when the training has run all its iterations or a rule has ended it. Where
            `lightgbm.early_stopping` ended it, LightGBM tells nobody: call `callback.keep(booster)` behind it.

    Raises:
        UsageError: when the training begins, where no run is open. With `GITREPRO_MODE=disabled` it does nothing then.
    """

    def __init__(self, *rules: Rule, run: Run | None = None, metric: Metric | None = None, models: bool = True) -> None:
        # Behind `record_evaluation`, which has 20, and before `early_stopping`, which has 30 and lets nobody behind it
        # hear the last iteration. LightGBM looks for them in the object itself, not in its class.
        self.order, self.before_iteration = 25, False
        self._rules, self._run, self._metric, self._models = rules, run, metric, models
        self._following: Following | None = None
        self._best_results: Any = None
        self._heard = 0

    @property
    def guard(self) -> Guard | None:
        """What the rules have found, once the training has begun."""
        return self._following.guard if self._following is not None else None

    def __call__(self, env: Any) -> None:
        if env.iteration == env.begin_iteration or self._following is None:
            self._begin(env)
        assert self._following is not None
        results = env.evaluation_result_list or []
        self._heard = env.iteration + 1
        if self._following.row(_row(results), env.iteration):
            self._best_results = results
        stop = self._following.should_stop()
        if stop or env.iteration == env.end_iteration - 1:
            self.keep(env.model)
        if stop:
            best = self._following.best_step
            raise lightgbm.callback.EarlyStopException(
                env.iteration if best is None else best, results if best is None else self._best_results
            )

    def keep(self, booster: Any) -> None:
        """Keep the models of a booster, as at the end of its training.

        `lightgbm.early_stopping` drops the trees behind its best iteration: what it leaves is kept as the best.

        Args:
            booster: what `lightgbm.train` returned, or a fitted estimator.
        """
        following, booster = self._following, getattr(booster, "booster_", booster)
        if following is None or not self._models or not isinstance(booster, lightgbm.Booster):
            return
        if booster.current_iteration() < self._heard:
            following.keep("best.txt", lambda path: booster.save_model(path, num_iteration=-1))
            return
        following.keep("last.txt", lambda path: booster.save_model(path, num_iteration=-1))
        if (step := following.best_step) is None:
            return
        if str(_settings(booster).get("boosting")) == "dart":
            warn("the best model is not kept: the first iterations of dart are not what they were then")
            return
        following.keep("best.txt", lambda path: booster.save_model(path, num_iteration=step + 1))

    def _begin(self, env: Any) -> None:
        self._following = Following("GitreproCallback", self._run, self._rules, self._metric)
        self._best_results = None
        booster = isinstance(env.model, lightgbm.Booster)
        self._following.config(_settings(env.model) if booster else env.params or {})


def _row(results: Any) -> dict[str, float]:
    row: dict[str, float] = {}
    for data, metric, value, _higher_is_better, *spread in results:
        name = f"{_NAMES.get(data, data)}/{metric}"
        row[name] = float(value)
        row |= {f"{name}_std": float(each) for each in spread}
    return row


def _settings(booster: Any) -> dict[str, Any]:
    """The parameters in force, out of the text of the model: `[name: value]`, a line each."""
    _, _, text = booster.model_to_string(num_iteration=1).partition("\nparameters:\n")
    lines = text.partition("end of parameters")[0].splitlines()
    pairs = (line.strip("[]").partition(": ") for line in lines if line.startswith("["))
    return {name: number(value) for name, _, value in pairs}
