"""What a check has done, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, final

from .task import Data, Predictions, Task

RunKind = Literal["train", "baseline", "shuffle", "overfit", "data-check"]


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trial:
    """One execution that a check asks for; a runner makes a run on record of it.

    Attributes:
        kind: of the run.
        arm: what tells it from the check's other trials, as `labels` or `inputs`.
        act: does it; it is given nothing and returns what came of it.
        settings: go on record as the configuration of the run.
        ours: whether only gitrepro's own code is run: what it raises is then no fault of the task, unless a line of the
            user's was under way (inputs that are read when they are asked for).
    """

    kind: RunKind
    arm: str
    seed: int
    act: Callable[[], Outcome]
    settings: Mapping[str, Any] = field(default_factory=dict)
    ours: bool = False


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """What came of a trial.

    Attributes:
        metrics: single numbers, by name.
        curves: by name, a value for each step.
        predictions: where the trial predicted something.
        files: bytes to keep as artifacts of the run, by file name: pair lists, ids.
        seconds: how long it took, set by the runner.
        run_id: of the run that is on record, set by the runner; None where nothing is recorded.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, list[float]] = field(default_factory=dict)
    predictions: Predictions | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    seconds: float = 0.0
    run_id: str | None = None


Runner = Callable[[Trial], Outcome]


def predicting(task: Task, data: Data, *, seed: int, share: float) -> Callable[[], Outcome]:
    """What a trial does that runs the whole experiment."""

    def act() -> Outcome:
        return Outcome(predictions=task.predict(data, seed=seed, share=share))

    return act
