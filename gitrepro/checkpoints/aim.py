"""What is said of a checkpoint when it is asked for: its step, its name, the metric that judges it."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import UsageError
from .keep import Goal, Keep, checked_name, metric_of, part_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What is said of a checkpoint when it is asked for."""

    step: int
    created_at: str
    name: str | None
    metric: tuple[str, Goal] | None
    value: float | None
    keep: Keep
    held: Mapping[str, Any] = field(default_factory=dict)
    """How long the caller was held: `waited_seconds` for an earlier save, `held_seconds` in all."""

    def told(self) -> dict[str, Any]:
        """As an event and the file itself have it."""
        metric = None
        if self.metric:
            name, goal = self.metric
            metric = {"name": name, "goal": goal, "value": self.value, "part": part_of(name)}
        return {"step": self.step, "created_at": self.created_at, "name": self.name, "metric": metric}


def aim_of(*, metric: Any, value: Any, step: Any, name: Any, keep: Keep) -> Aim:
    """Checked arguments.

    Raises:
        UsageError: one of them is wrong.
    """
    if isinstance(step, bool) or not hasattr(step, "__index__"):
        raise UsageError(f"step {step!r:.60} is not an integer")
    return Aim(
        step=int(step.__index__()),
        created_at=_now(),
        name=checked_name(name),
        metric=metric_of(metric),
        value=_number(value),
        keep=keep,
    )


def _number(value: Any) -> float | None:
    if value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise UsageError(f"value is {value!r:.80}", why="it is no number") from error


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
