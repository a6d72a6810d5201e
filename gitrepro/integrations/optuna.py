"""Optuna: each trial is a run, and trials are given up in a fair way.

    study = optuna.create_study(pruner=FairPruner(MedianPruner(), budget_steps=100, lr_warmup_steps=20))
    study.optimize(recorded(objective, group="search", metric="val/loss"), n_trials=50)

`objective(trial, run)` is what one writes for Optuna, with the run of the trial. What a search finds is the best of
many by chance as well: the winner's number is that of new runs, with seeds that the search has not seen.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, final

import optuna

import gitrepro

from ..errors import UsageError
from ..run.handle import Run
from ..run.warning import warn
from .target import started

LABEL: Final = "trial"
"""The label of every run that is a trial of a search: no measurement of anything but the search."""
_FLOOR_SHARE: Final = 0.1


@final
class FairPruner(optuna.pruners.BasePruner):
    """Asks another pruner, but not before a trial has had its chance.

    No trial is given up before a tenth of the budget or the end of its learning-rate warm-up, whichever is later: what
    starts slowly would lose to what starts fast, whatever they come to.

    Args:
        pruner: decides after that.
        budget_steps: how many steps a whole trial has, in the steps that `trial.report` is given.
        lr_warmup_steps: of the learning rate, in the same steps.

    Raises:
        UsageError: a number of steps is negative, or the budget is 0.
    """

    def __init__(self, pruner: optuna.pruners.BasePruner, *, budget_steps: int, lr_warmup_steps: int = 0) -> None:
        if budget_steps < 1 or lr_warmup_steps < 0:
            raise UsageError(f"a budget of {budget_steps} steps, {lr_warmup_steps} of them warm-up",
                             do="give the steps of a whole trial, at least 1")  # fmt: skip
        self.pruner, self.budget_steps = pruner, budget_steps
        self.floor_steps = max(math.ceil(_FLOOR_SHARE * budget_steps), lr_warmup_steps)

    def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
        step = trial.last_step
        return step is not None and step >= self.floor_steps and self.pruner.prune(study, trial)

    def __repr__(self) -> str:
        inner = type(self.pruner).__name__
        return f"{inner}, not before step {self.floor_steps} of {self.budget_steps}"


@final
class RecordedTrial:
    """A trial of Optuna whose parameters and reports go on record. Everything else is the trial's own."""

    def __init__(self, trial: optuna.Trial, run: Run, metric: str) -> None:
        self._trial, self._run, self._metric = trial, run, metric

    def report(self, value: float, step: int) -> None:
        """Report to the pruner, and log the value as a row of the run."""
        self._trial.report(value, step)
        self._run.log({self._metric: value}, step=step)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._trial, name)
        if not name.startswith("suggest_"):
            return found

        def suggest(param: str, *args: Any, **options: Any) -> Any:
            value = found(param, *args, **options)
            self._run.config[param] = value
            return value

        return suggest


Objective = Callable[[Any, Run], Any]


@final
class recorded:  # noqa: N801 - it is used as a function: study.optimize(recorded(objective), ...)
    """An objective for `study.optimize` that makes each trial a run.

    The runs have the label `trial`. A trial that is given up ends as `pruned`, with the step and the rule: it is
    counted, and no comparison takes it in. Under `gitrepro record` the run of the command is that of the search: it has
    the value of each trial, and how many ended how.

    Args:
        objective: is called with the trial and its run.
        metric: the name under which reported values, and what the objective returns, are recorded.
        group: of the runs; by default the name of the study.
        options: of `gitrepro.record`, such as `seed` and `config`, the same for each trial.
    """

    def __init__(
        self, objective: Objective, *, metric: str = "objective", group: str | None = None, **options: Any
    ) -> None:
        self._objective, self._metric, self._group, self._options = objective, metric, group, options
        self._search: Run | None = None
        self._ended: Counter[str] = Counter()
        self._told = False

    def __call__(self, trial: optuna.Trial) -> Any:
        self._begin(trial)
        labels = [*self._options.get("labels", ()), LABEL]
        group = self._group or trial.study.study_name
        sampler = type(trial.study.sampler).__name__
        note = f"trial {trial.number} of {trial.study.study_name}; {sampler}; pruner: {_pruner(trial)}"
        options = {"note": note, **self._options, "labels": labels, "group": group}
        with started(**options) as run:
            value = self._run(trial, run)
        self._count(str(run.status), trial, value)
        return value

    def _run(self, trial: optuna.Trial, run: Run) -> Any:
        goals = trial.study.directions
        if len(goals) == 1:
            run.define_metric(self._metric, goal="max" if goals[0].name == "MAXIMIZE" else "min")
        try:
            value = self._objective(RecordedTrial(trial, run, self._metric), run)
        except optuna.TrialPruned:
            reported = trial.study._storage.get_trial(trial._trial_id).last_step
            run.finish("pruned", reason=f"given up at step {reported} by {_pruner(trial)}")
            self._count(str(run.status), trial, None)
            raise
        except Exception:
            self._count("failed", trial, None)
            raise
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            run.summary[self._metric] = float(value)
        return value

    def _begin(self, trial: optuna.Trial) -> None:
        if self._search is None and os.environ.get("GITREPRO_LIVE"):
            self._search = gitrepro.record(group=self._group)
        fair = isinstance(trial.study.pruner, (FairPruner, optuna.pruners.NopPruner))
        if not fair and not self._told:
            self._told = True
            warn(f"{_pruner(trial)} may give a trial up at its first step; "
                 "FairPruner(pruner, budget_steps=...) lets each have a tenth of its budget")  # fmt: skip

    def _count(self, status: str, trial: optuna.Trial, value: Any) -> None:
        self._ended[status] += 1
        if self._search is None:
            return
        if isinstance(value, (int, float)):
            self._search.log({self._metric: value}, step=trial.number)
        self._search.summary.update({f"trials/{each}": count for each, count in self._ended.items()})


def _pruner(trial: optuna.Trial) -> str:
    pruner = trial.study.pruner
    return repr(pruner) if isinstance(pruner, FairPruner) else type(pruner).__name__
