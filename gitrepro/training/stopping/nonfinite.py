"""A loss, gradients or weights that are NaN or infinite."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any, Final, final

from ...errors import UsageError
from ...records.metricnames import words
from ...records.stopping import Effect, Finding
from .rule import Surroundings, Watch, metric_name, whole

_NAME: Final = "NonFinite"


@final
@dataclass(frozen=True, slots=True)
class NonFinite:
    """Abort the training when a loss, a gradient or a weight is NaN or infinite. The run ends as `aborted`.

    A loss that is logged as a plain number is seen at once. What lies on a device is counted there, and read with one
    synchronisation every `every_steps` steps. Gradients and weights are those of the optimizers that step: on a device
    gradients are counted at each step; on the CPU, where counting takes the time of the training, every `every_steps`
    steps, as weights are everywhere. Steps that a gradient scaler skips are its own business and are not counted.

    Args:
        metric: a loss, as it is logged; by default each one with the word in its name.
        gradients, weights: look at them.
        tolerate: so many values that are not finite are let pass, of each kind.
        every_steps: how often a device is read.

    Raises:
        UsageError: a number is out of its range.
    """

    metric: str | None = None
    _: KW_ONLY
    gradients: bool = True
    weights: bool = True
    tolerate: int = 0
    every_steps: int = 50

    def __post_init__(self) -> None:
        if self.metric is not None:
            metric_name(self.metric)
        for name in ("gradients", "weights"):
            if not isinstance(getattr(self, name), bool):
                raise UsageError(f"{name} is {getattr(self, name)!r:.60}", do="give True or False")
        whole("tolerate", self.tolerate, least=0)
        whole("every_steps", self.every_steps, least=1)

    def parameters(self) -> dict[str, Any]:
        return {
            **({"metric": self.metric} if self.metric else {}),
            "every_steps": self.every_steps,
            "gradients": self.gradients,
            "tolerate": self.tolerate,
            "weights": self.weights,
        }

    def begin(self, world: Surroundings) -> Watch:  # noqa: ARG002
        return _Watch(self)


@final
class _Watch(Watch):
    kept = ("_seen", "_counts", "_first", "_finite")

    def __init__(self, rule: NonFinite) -> None:
        self._rule = rule
        self._seen = 0
        self._counts: dict[str, int] = {}
        self._first: dict[str, int] = {}
        self._finite: dict[str, float] = {}

    def wants(self, name: str) -> bool:
        return name == self._rule.metric if self._rule.metric else bool(words(name) & {"loss", "losses"})

    def missing(self) -> str | None:
        # Gradients and weights need no name: where those are watched nothing is missing.
        watched = self._seen or self._rule.gradients or self._rule.weights
        return self._rule.metric if self._rule.metric and not self._seen else None if watched else "a loss"

    def see(self, name: str, value: float, step: int) -> Finding | None:
        self._seen += 1
        if math.isfinite(value):
            self._finite[name] = value
            return None
        more = {"metric": name, "value": value, "values_seen": self._seen, "last_finite": self._finite.get(name)}
        what = f"{name} is {value} at step {step}"
        if name not in self._finite:
            what += ", and was never finite: the data or the weights that it began with are at fault"
        return self._found("loss", 1, step, what, more)

    def counted(self, what: str, count: int, step: int) -> Finding | None:
        """`what` is `gradients` or `weights`; of their tensors `count` were not finite since the last reading."""
        if not getattr(self._rule, what) or not count:
            return None
        tensors = "1 tensor" if count == 1 else f"{count} tensors"
        said = f"{what}: {tensors} not finite when read at step {step}"
        return self._found(what, count, step, said, {"tensors": count, "every_steps": self._rule.every_steps})

    def _found(self, what: str, count: int, step: int, said: str, more: dict[str, Any]) -> Finding | None:
        total = self._counts[what] = self._counts.get(what, 0) + count
        first = self._first.setdefault(what, step)
        if total <= self._rule.tolerate:
            return None
        seen = {**more, "count": total, "first_step": first, "tolerate": self._rule.tolerate}
        return Finding(rule=_NAME, code=f"nonfinite-{what}", effect=Effect.ABORT, step=step, seen=seen, said=said)
