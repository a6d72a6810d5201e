"""The check: the task against every cheap model that fits its data, and against one that the user nominates."""

from __future__ import annotations

import math

import numpy as np

from ...errors import GitreproError, UsageError
from ...records.result import Verdict
from ...records.sanity import Checked
from ..guarded import whole_data
from ..task import Data, Task
from ..trials import Outcome, Runner
from .arms import Arm, run_baselines, run_task, task_arm
from .choice import choose
from .comparison import RULE, Tried, line
from .forms import aligned, classes_of, problem_of, score_of, targets_of
from .settings import Nominated, Settings, check_settings
from .verdict import ALGORITHM


def check_baseline(
    task: Task,
    settings: Settings,
    runner: Runner,
    *,
    own: Outcome | None = None,
    nominated: Nominated | None = None,
) -> list[Checked]:
    """Whether the task beats the best of the cheap models that fit its data, on the same examples, by its own metric.

    Cheap baselines are the mandatory first comparison of Kapoor and Narayanan (2023), "Leakage and the reproducibility
    crisis in machine-learning-based science": gains of complex models often vanish against them.

    Args:
        own: what a trial of the whole task with this seed gave, where there is one; else it is run.
        nominated: a further one to beat; it gets a line of its own.

    Returns:
        `baseline.beaten`, and `baseline.nominated` where one is.

    Raises:
        UsageError: the data are not whole, the task changes them, a setting is out of range, or a nominated run
            predicted other examples.
        TaskFailed: the task could not make its data. What the runner raises when the task fails comes through.
    """
    check_settings(settings)
    data = whole_data(task)
    labels = targets_of(task, data.judged)
    if task.kind == "reinforcement" or labels is None or targets_of(task, data.train) is None:
        return [_without(settings, Verdict.NOT_APPLICABLE, _unlabelled(task))]
    try:
        _check_labels(task, data, labels)
        outcome = own or run_task(task, data, runner, seed=settings.seed)
        tried = _tried(task, data, labels, outcome, settings, runner)
    except _NotToBeCompared as error:
        return [_without(settings, Verdict.INCONCLUSIVE, _said(error), error.do)]
    found = [line(tried, tried.best, settings, name="beaten")]
    if nominated is not None:
        found.append(line(tried, _nominated_arm(tried, nominated), settings, name="nominated"))
    return found


class _NotToBeCompared(UsageError):
    """What is there does not allow a comparison: the check is inconclusive."""


def _said(error: GitreproError) -> str:
    return "; ".join(part for part in (error.what, error.why) if part)


def _without(settings: Settings, verdict: Verdict, why: str, repair: str = "") -> Checked:
    """The line of a check that compared nothing."""
    return Checked(
        rule=RULE,
        name=f"{RULE}.beaten",
        verdict=verdict,
        algorithm=ALGORITHM,
        why=why,
        repair=repair,
        parameters=settings.document(),
    )


def _unlabelled(task: Task) -> str:
    if task.kind == "reinforcement":
        return "a reinforcement task has no labels that a cheap model could predict"
    return "the examples have no labels that a cheap model could predict"


def _check_labels(task: Task, data: Data, labels: np.ndarray) -> None:
    """Raises:
    _NotToBeCompared: labels are missing, of several types, or all alike.
    """
    for name in ("train", data.scored):
        _check_part(name, np.asarray(targets_of(task, data.parts[name])))
    if problem_of(task, labels) == "classes":
        try:
            classes_of(data)
        except UsageError as error:
            raise _not_to_be_compared(error) from None


def _check_part(name: str, labels: np.ndarray) -> None:
    missing = int((~np.isfinite(labels)).sum()) if labels.dtype.kind == "f" else 0
    if missing:
        raise _NotToBeCompared(f"{missing} of {labels.size} labels of the part {name!r} are NaN or infinite")
    try:
        kinds = np.unique(labels)
    except TypeError as error:
        raise _NotToBeCompared(f"the labels of the part {name!r} are of several types", why=str(error)) from None
    if len(kinds) < 2:
        raise _NotToBeCompared(f"all labels of the part {name!r} are {kinds[0]!s:.40}: there is nothing to tell apart")


def _not_to_be_compared(error: UsageError) -> _NotToBeCompared:
    return _NotToBeCompared(error.what, why=error.why, do=error.do)


def _tried(task: Task, data: Data, labels: np.ndarray, outcome: Outcome, settings: Settings, runner: Runner) -> Tried:
    try:
        ours, form = task_arm(task, data, labels, outcome)
    except UsageError as error:
        raise _not_to_be_compared(error) from None
    choice = choose(data, form, only=settings.only, examples=settings.examples)
    arms, lost = run_baselines(task, data, labels, form, choice, runner, seed=settings.seed)
    if not arms:
        reasons = {**choice.left_out, **lost}
        why = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        raise _NotToBeCompared("no baseline could be made of these data", why=why or f"they are {choice.material}")
    return Tried(
        task=task,
        data=data,
        labels=labels,
        form=form,
        material=choice.material,
        ours=ours,
        told=_told(outcome),
        arms=arms,
        failed=lost,
        left_out=choice.left_out,
    )


def _told(outcome: Outcome) -> float | None:
    told = float(outcome.predictions.score) if outcome.predictions is not None else math.nan
    return told if math.isfinite(told) else None


def _nominated_arm(tried: Tried, nominated: Nominated) -> Arm:
    values = aligned(nominated.predictions, tried.data.judged, source=nominated.name)
    return Arm(
        name=nominated.name,
        values=values,
        score=score_of(tried.task, tried.labels, values, source=nominated.name),
        seconds=nominated.seconds,
        run_id=nominated.run_id,
    )
