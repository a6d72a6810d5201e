"""What every rule has: parameters that do not change, and a watch that it begins for one training."""

from __future__ import annotations

import math
import time
from abc import ABC
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from ...errors import UsageError
from ...records.stopping import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a rule may ask of the world when it begins.

    Attributes:
        clock: seconds, monotonic.
        goals: what is better, `min` or `max`, by metric, as far as somebody said so.
        cost: reads what was spent so far, or None where nothing has a price.
        energy_joules: reads how much energy was used so far, or None where nothing counts it.
    """

    clock: Callable[[], float] = time.monotonic
    goals: Mapping[str, str] = field(default_factory=dict)
    cost: Callable[[], float] | None = None
    energy_joules: Callable[[], float] | None = None


class Watch(ABC):  # noqa: B024  (every method has a meaning that suits most rules: to see nothing)
    """A rule at work on one training. What it returns is on record, the first time that it says so."""

    def wants(self, name: str) -> bool:  # noqa: ARG002
        """Whether the values of this metric are for it; asked once a name."""
        return False

    def see(self, name: str, value: float, step: int) -> Finding | None:  # noqa: ARG002
        """Take the next value of a metric it wants."""
        return None

    def row(self, step: int) -> Finding | None:  # noqa: ARG002
        """Something was logged at this step."""
        return None

    def look(self) -> Finding | None:
        """The program asks whether to stop."""
        return None

    def counted(self, what: str, count: int, step: int) -> Finding | None:  # noqa: ARG002
        """So many more looks at the gradients or the weights found a number that is not finite."""
        return None

    def begun(self) -> Iterator[Finding]:
        """What is to be said before the first value."""
        yield from ()

    def missing(self) -> str | None:
        """The metric that it waits for and has never seen."""
        return None

    kept: ClassVar[tuple[str, ...]] = ()
    """The attributes that are its state: numbers, text, and lists and maps of them."""

    def state(self) -> dict[str, Any]:
        """What it must know to go on in another process."""
        return {name.lstrip("_"): _plain(getattr(self, name)) for name in self.kept}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        for name in self.kept:
            value, now = state[name.lstrip("_")], getattr(self, name)
            setattr(self, name, deque(value, now.maxlen) if isinstance(now, deque) else _plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, deque | list):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


class Rule(Protocol):
    """Parameters, which never change; one rule may watch any number of trainings."""

    def parameters(self) -> dict[str, Any]:
        """The values in force, as they stand in a record."""
        ...

    def begin(self, world: Surroundings) -> Watch:
        """A watch over one training.

        Raises:
            UsageError: the rule cannot work here.
        """
        ...


def metric_name(metric: object) -> str:
    if not isinstance(metric, str) or not metric or metric.startswith("_"):
        raise UsageError(f"the metric of a rule is {metric!r:.60}", do='name what is logged, as "val/loss"')
    return metric


def whole(name: str, value: object, *, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UsageError(f"{name} is {value!r:.60}", do=f"give a whole number from {least} on")
    return value


def amount(name: str, value: object, *, least: float = 0.0, above: bool = False) -> float:
    """`value` as a finite float, not below `least`, or above it."""
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not good or value < least or (above and value == least):  # type: ignore[operator]
        raise UsageError(f"{name} is {value!r:.60}", do=f"give a number {'above' if above else 'from'} {least:g}")
    return float(value)  # type: ignore[arg-type]


def short(value: float) -> str:
    """A number as a sentence has it."""
    return f"{value:.4g}"
