"""The user's task, with every fault of its own code told as one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar, final

import numpy as np

from ..errors import GitreproError, TaskFailed, UsageError
from .direct import failed
from .task import KINDS, Data, Kind, Learner, Metric, Predictions, Task, check_data

Found = TypeVar("Found")


def guarded_task(task: Any) -> Task:
    """The same task; what its own code raises becomes `TaskFailed`, and what it has besides is still there.

    Raises:
        UsageError: it has not what a task has.
    """
    missing = [name for name in ("name", "kind", "metric", "data", "predict") if not hasattr(task, name)]
    if missing:
        raise UsageError(
            f"a {type(task).__name__} is no task: it has no {', '.join(missing)}",
            do="`gitrepro check init` writes one to start from",
        )
    if task.kind not in KINDS:
        raise UsageError(f"there is no kind of task {task.kind!r:.60}", do=f"choose from {', '.join(KINDS)}")
    if not isinstance(task.metric, Metric):
        raise UsageError(f"the metric of {task.name} is a {type(task.metric).__name__}", do="make it a Metric")
    return Guarded(task)


@final
class Guarded:
    """What `guarded_task` gives."""

    name: str
    kind: Kind
    metric: Metric

    def __init__(self, task: Any) -> None:
        self._task = task
        self.name, self.kind = str(task.name), task.kind
        self.metric = replace(task.metric, function=_metric(task.metric))

    def data(self) -> Data:
        found: Data = _guard(self._task.data, doing="data()")
        return found

    def predict(self, data: Data, *, seed: int, share: float) -> Predictions:
        found = _guard(lambda: self._task.predict(data, seed=seed, share=share), doing=f"predict(), seed {seed}")
        if not isinstance(found, Predictions):
            raise TaskFailed(
                f"predict() of {self.name} gave a {type(found).__name__}", do="return gitrepro.checks.task.Predictions"
            )
        return found

    def learner(self) -> Learner | None:
        made: Callable[[], Learner | None] = getattr(self._task, "learner", lambda: None)
        return _guard(made, doing="learner()")

    def __getattr__(self, name: str) -> Any:
        # What a task may have besides, as `fitted`.
        return getattr(self._task, name)


def whole_data(task: Task) -> Data:
    """The data of a task, if they are whole: what all checks begin with.

    Raises:
        TaskFailed: the user's code raised something.
        UsageError: what it gave is not whole, see `check_data`.
    """
    return check_data(_guard(task.data, doing="data()"), source=f"data() of {task.name}")


def _metric(metric: Metric) -> Callable[[np.ndarray, np.ndarray], float]:
    def function(labels: np.ndarray, values: np.ndarray) -> float:
        return float(_guard(lambda: metric.function(labels, values), doing=f"the metric {metric.name}"))

    return function


def _guard(act: Callable[[], Found], *, doing: str) -> Found:
    try:
        return act()
    except GitreproError:
        raise
    except (Exception, SystemExit) as failure:
        raise failed(failure, doing=doing) from failure
