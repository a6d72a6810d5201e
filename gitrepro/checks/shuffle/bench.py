"""Where the trials of one check are done: one experiment, cut to what is affordable, and a count of what was spent."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import final

import numpy as np

from ...errors import TaskFailed, UsageError
from ..baseline.digests import digests_of
from ..baseline.forms import score_of
from ..task import Data, Predictions, Task
from ..trials import Outcome, Runner, Trial, predicting
from .contents import Units
from .effort import Effort, allowed_work, effort_for
from .null import Scored, placed
from .relabel import reduced
from .settings import Settings


class Stopped(UsageError):
    """What came of a trial cannot be judged: the line is inconclusive, and says why."""


@final
class Bench:
    """One experiment, and all trials of one check on it.

    Attributes:
        data, units: the examples that all trials have, after `real`.
        effort: what each of them gets.
        work: of each of them, in real runs.
        spent: by all of them so far, in real runs.
        seconds: what they took; it decides nothing.
    """

    def __init__(self, task: Task, whole: Data, units: Units, settings: Settings, runner: Runner) -> None:
        self.task, self.settings = task, settings
        self._whole, self._whole_units = whole, units
        self._runner = runner
        self.data, self.units, self.effort = whole, units, Effort(fraction=1.0, share=1.0)
        self.allowed = allowed_work(task, whole, settings)
        self.spent = self.seconds = 0.0
        self.runs: dict[str, list[str]] = {}

    def real(self) -> Scored:
        """The task as it is, at as much of its work as is allowed.

        Raises:
            Stopped: it cannot be scored.
        """
        self._cut(effort_for(self.task, self._whole, self.settings))
        return self.train("real", self.data, draw=0)

    def _cut(self, effort: Effort) -> None:
        labels = np.asarray(self._whole.train.labels)
        classes = self.task.kind != "regression" and labels.ndim == 1 and labels.dtype.kind != "f"
        self.effort = effort
        self.data, self.units = reduced(
            self._whole, self._whole_units, fraction=effort.fraction, classes=classes, seed=self.settings.seed
        )

    def train(self, arm: str, handed: Data, *, draw: int) -> Scored:
        """One trial: the experiment on these data, and its predictions with the labels they are scored by.

        Raises:
            Stopped: they do not fit, or the task changed the data it was given.
        """
        before = digests_of(handed)
        outcome = self._outcome(self._trial(arm, handed, draw))
        self.spent += self.work
        self.seconds += outcome.seconds
        self.runs.setdefault(arm, []).extend([outcome.run_id] if outcome.run_id else [])
        after = digests_of(handed)
        if changed := [name for name in before if before[name] != after[name]]:
            raise Stopped(
                f"{self.task.name} changes the data it is given, in the part {changed[0]!r}",
                do="copy what `predict` is given before changing it",
            )
        return self._placed(outcome, handed)

    def _outcome(self, trial: Trial) -> Outcome:
        try:
            return self._runner(trial)
        except TaskFailed as error:
            if trial.arm == "real":
                raise
            raise Stopped(error.what, why=f"it did not with the data as they are; {error.why}", do=error.do) from error

    def _trial(self, arm: str, handed: Data, draw: int) -> Trial:
        seed = self.settings.seed + draw
        done = predicting(self.task, handed, seed=seed, share=self.effort.share)
        settings = {
            "arm": arm, "draw": draw, "examples": self.effort.fraction, "seed": seed, "share": self.effort.share,
            "task": self.task.name,
        }  # fmt: skip
        return Trial(kind="shuffle", arm=arm, seed=seed, act=_told(self.task, handed, done), settings=settings)

    def _placed(self, outcome: Outcome, handed: Data) -> Scored:
        if not isinstance(outcome.predictions, Predictions):
            raise Stopped(f"{self.task.name} predicted nothing", do="return gitrepro.checks.task.Predictions")
        try:
            return placed(self.task, outcome.predictions, handed, self.data, self.units)
        except UsageError as error:
            raise Stopped(error.what, why=error.why, do=error.do) from None

    @property
    def work(self) -> float:
        return self.effort.share * len(self.data.train) / len(self._whole.train)

    @property
    def left(self) -> float:
        """What may still be spent, in real runs."""
        return max(self.allowed - self.spent, 0.0)

    @property
    def cost(self) -> float | None:
        """All trials so far, in real runs; None where each of them was a whole one."""
        return None if self.effort.whole else self.spent

    def runs_of(self, arms: Sequence[str]) -> tuple[str, ...]:
        return tuple(run for arm in arms for run in self.runs.get(arm, []))


def _told(task: Task, handed: Data, done: Callable[[], Outcome]) -> Callable[[], Outcome]:
    """The same trial; with its score, and the labels it is scored by, as evidence."""

    def act() -> Outcome:
        outcome = done()
        predictions = outcome.predictions
        if not isinstance(predictions, Predictions):
            return outcome
        labels = {str(e): label for part in handed.parts.values() for e, label in _pairs(part.ids, part.labels)}
        ids = [str(each) for each in predictions.ids]
        if not ids or any(each not in labels for each in ids):
            return outcome
        files = {"labels.csv": _csv([(each, labels[each]) for each in ids])}
        try:
            found = score_of(task, np.array([labels[each] for each in ids]), predictions.values, source=task.name)
        except UsageError:
            return replace(outcome, files=files)  # told by whoever judges
        return replace(outcome, files=files, metrics={f"{handed.scored}/{task.metric.name}": found})

    return act


def _pairs(ids: np.ndarray, labels: np.ndarray | None) -> list[tuple[str, object]]:
    return [] if labels is None else list(zip(ids, labels, strict=True))


def _csv(rows: Sequence[tuple[str, object]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("id", "label"))
    for name, label in rows:
        plain = label.tolist() if isinstance(label, np.ndarray | np.generic) else label
        writer.writerow((name, plain))
    return text.getvalue().encode("utf-8", "surrogatepass")
