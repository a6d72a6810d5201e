"""Running the task and its baselines, each a trial on the identical examples, scored by the one metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from ...errors import TaskFailed, UsageError
from ..task import Data, Predictions, Task
from ..trials import Outcome, Runner, Trial, predicting
from .choice import Baseline, Choice
from .digests import digests_of
from .forms import Form, aligned, form_of, score_of


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Arm:
    """One of the things that are compared.

    Attributes:
        values: predictions in the order of the scored part.
        seconds: what it took to learn and predict; None where nobody knows.
        examples: that it learnt from; None where nobody knows.
    """

    name: str
    values: np.ndarray
    score: float
    trivial: bool = False
    seconds: float | None = None
    run_id: str | None = None
    examples: int | None = None

    def document(self) -> dict[str, Any]:
        return {
            "examples": self.examples,
            "run": self.run_id,
            "score": self.score,
            "seconds": self.seconds,
            "trivial": self.trivial,
        }


def run_task(task: Task, data: Data, runner: Runner, *, seed: int) -> Outcome:
    """The task itself, at its full budget.

    Raises:
        UsageError: it changed the data that it was given.
    """
    before = digests_of(data)
    settings = {"check": "baseline", "metric": task.metric.name, "part": data.scored, "task": task.name}
    act = predicting(task, data, seed=seed, share=1.0)
    outcome = runner(Trial(kind="train", arm="task", seed=seed, act=act, settings=settings))
    after = digests_of(data)
    if changed := [name for name in before if before[name] != after[name]]:
        raise UsageError(
            f"{task.name} changes the examples that it is given, in the part {changed[0]!r}",
            why="nothing can be compared on data that move",
            do="work on a copy: `inputs = inputs.copy()`",
        )
    return outcome


def task_arm(task: Task, data: Data, labels: np.ndarray, outcome: Outcome) -> tuple[Arm, Form]:
    """What the task predicted, its score, and the form of it.

    Raises:
        UsageError: it predicted nothing, or not what is scored, or in no form that baselines have.
    """
    if not isinstance(outcome.predictions, Predictions):
        raise UsageError(f"{task.name} predicted nothing", do="return gitrepro.checks.task.Predictions")
    values = aligned(outcome.predictions, data.judged, source=task.name)
    form = form_of(task, data, labels, values)
    score = score_of(task, labels, values, source=task.name)
    return Arm(name=task.name, values=values, score=score, seconds=outcome.seconds, run_id=outcome.run_id), form


def run_baselines(
    task: Task, data: Data, labels: np.ndarray, form: Form, choice: Choice, runner: Runner, *, seed: int
) -> tuple[list[Arm], Mapping[str, str]]:
    """Each baseline that could be run, and of each other one why it failed."""
    arms, failed = [], {}
    for baseline in choice.baselines:
        act = _acting(task, data, labels, form, baseline, seed)
        settings = {
            "baseline": baseline.name,
            "check": "baseline",
            "metric": task.metric.name,
            "part": data.scored,
            "task": task.name,
            "train_examples": baseline.examples,
        }
        try:
            outcome = runner(Trial(kind="baseline", arm=baseline.name, seed=seed, act=act, settings=settings))
        except (TaskFailed, UsageError) as error:
            failed[baseline.name] = "; ".join(part for part in (error.what, error.why) if part)
        else:
            arms.append(_arm(baseline, outcome))
    return arms, failed


def _arm(baseline: Baseline, outcome: Outcome) -> Arm:
    assert outcome.predictions is not None
    return Arm(
        name=baseline.name,
        values=outcome.predictions.values,
        score=outcome.predictions.score,
        trivial=baseline.trivial,
        seconds=outcome.seconds,
        run_id=outcome.run_id,
        examples=baseline.examples,
    )


def _acting(
    task: Task, data: Data, labels: np.ndarray, form: Form, baseline: Baseline, seed: int
) -> Callable[[], Outcome]:
    def act() -> Outcome:
        try:
            values = baseline.fit(data, form, seed)
        except Exception as error:  # noqa: BLE001 - a library met data that nobody thought of; the other baselines go on
            why = f"{type(error).__name__}: {error!s:.200}"
            raise UsageError(f"the baseline {baseline.name} cannot be made of these data", why=why) from None
        score = score_of(task, labels, values, source=baseline.name)
        predictions = Predictions(ids=data.judged.ids, values=values, score=score)
        return Outcome(metrics={f"{data.scored}/{task.metric.name}": score}, predictions=predictions)

    return act
