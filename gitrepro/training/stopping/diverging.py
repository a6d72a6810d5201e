"""A loss that leaves the best it had, and gradients that explode."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Mapping
from dataclasses import KW_ONLY, asdict, dataclass, replace
from typing import Any, Final, final

from ...records.metricnames import is_training_loss, words
from ...records.stopping import DivergenceRule, Effect, Finding
from .rule import Surroundings, Watch, amount, metric_name, short, whole

_NAME: Final = "Divergence"
_KEPT: Final = ("median", "best", "first", "noise", "above")
_MAD_TO_SD: Final = 1.4826
_GRADIENT_WINDOW, _GRADIENT_LEAST = 100, 20
_TINY: Final = 1e-300
GRADIENT_NORM: Final = "(gradient norm)"
"""The name under which a guard hands over the norms that it measured itself."""


@final
@dataclass(frozen=True, slots=True)
class Divergence:
    """Abort the training when the loss leaves the best it had, or the gradients explode. The run ends as `aborted`.

    The loss diverges when the median of its last 20 values stays above twice the lowest such median for 20 values;
    three times where its noise is above 40 % of its level. A window that follows the curve, as a running mean does,
    misses an exponential blow-up. Near zero a loss may double and be healthy, so it must also lose 15 % of what
    it had fallen. Gradients explode when their norm is above ten times its median for ten values, unless the loss is
    at its best: a network that leaves a plateau has greater gradients, too.

    Args:
        metric: the training loss, as it is logged; by default the first one that is called so.
        ratio: instead of two or three times.
        window: values of the rolling median.
        hold: for so many values in a row.
        gradient_ratio: of the norm of the gradients, where one is logged (`grad_norm`) or measured by `NonFinite`.
        gradient_hold: for so many values in a row.

    Raises:
        UsageError: a number is out of its range.
    """

    metric: str | None = None
    _: KW_ONLY
    ratio: float | None = None
    window: int = 20
    hold: int = 20
    gradient_ratio: float = 10.0
    gradient_hold: int = 10

    def __post_init__(self) -> None:
        if self.metric is not None:
            metric_name(self.metric)
        if self.ratio is not None:
            amount("ratio", self.ratio, least=1.0, above=True)
        whole("window", self.window, least=2)
        whole("hold", self.hold, least=1)
        amount("gradient_ratio", self.gradient_ratio, least=1.0, above=True)
        whole("gradient_hold", self.gradient_hold, least=1)

    @property
    def rule(self) -> DivergenceRule:
        rule = DivergenceRule(window=self.window, hold=self.hold)
        return rule if self.ratio is None else replace(rule, ratio=self.ratio, noisy_ratio=self.ratio)

    def parameters(self) -> dict[str, Any]:
        return {
            **({"metric": self.metric} if self.metric else {}),
            **asdict(self.rule),
            "gradient_hold": self.gradient_hold,
            "gradient_ratio": self.gradient_ratio,
        }

    def begin(self, world: Surroundings) -> Watch:  # noqa: ARG002
        return _Watch(self)


@final
class Diverging:
    """A curve seen one value at a time. Values that are not finite are passed over.

    Attributes:
        median, best, first: the rolling median now, the lowest so far, and where it began; None while there is none.
        noise: of the values around the rolling median when it was lowest, as a share of it.
        above: for how many values in a row the median has been above the limit.
    """

    def __init__(self, rule: DivergenceRule) -> None:
        self._rule = rule
        self._window: deque[float] = deque()
        self._sorted: list[float] = []
        self._residuals: deque[float] = deque(maxlen=rule.noise_window)
        self.median: float | None = None
        self.best: float | None = None
        self.first: float | None = None
        self.noise = 0.0
        self.above = 0

    def add(self, value: float) -> bool:
        """Take the next value, and say whether the curve has diverged."""
        if not math.isfinite(value):
            return False
        self._roll(value)
        if len(self._window) < self._rule.window:
            return False
        now = self.median = _middle(self._sorted)
        if self.first is None:
            self.first = max(now, _middle(sorted([*self._window][: self._rule.start_values])))
        self._residuals.append(abs(value - now) / max(abs(now), _TINY))
        if self.best is None or now < self.best:
            self.best = now
            self.noise = _MAD_TO_SD * _middle(sorted(self._residuals))
        self.above = self.above + 1 if now > self.limit > self.best else 0
        return self.above >= self._rule.hold

    @property
    def at_best(self) -> bool:
        """Whether the rolling median is now as low as it ever was."""
        return self.median is not None and self.median == self.best

    @property
    def ratio(self) -> float:
        return self._rule.noisy_ratio if self.noise > self._rule.noisy else self._rule.ratio

    @property
    def limit(self) -> float:
        """What the rolling median must not stay above."""
        best, fallen = self.best or 0.0, (self.first or 0.0) - (self.best or 0.0)
        if best < 0:  # a share of something negative means nothing: it must lose what it had gained
            return best + (self.ratio - 1.0) * max(-best, fallen)
        return max(best * self.ratio, best + self._rule.least_rise * fallen)

    def state(self) -> dict[str, Any]:
        """What it must know to go on in another process."""
        kept = {name: getattr(self, name) for name in _KEPT}
        return {**kept, "window": list(self._window), "residuals": list(self._residuals)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        for name in _KEPT:
            setattr(self, name, state[name])
        self._window, self._sorted = deque(state["window"]), sorted(state["window"])
        self._residuals = deque(state["residuals"], self._residuals.maxlen)

    def _roll(self, value: float) -> None:
        self._window.append(value)
        insort(self._sorted, value)
        if len(self._window) > self._rule.window:
            del self._sorted[bisect_left(self._sorted, self._window.popleft())]


def _middle(ordered: list[float]) -> float:
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


@final
class _Watch(Watch):
    kept = ("_metric", "_gradient", "_norms", "_exploding", "_seen")

    def __init__(self, rule: Divergence) -> None:
        self._rule = rule
        self._metric = rule.metric
        self._curve = Diverging(rule.rule)
        self._gradient: str | None = None
        self._norms: deque[float] = deque(maxlen=_GRADIENT_WINDOW)
        self._exploding: list[float] = []
        self._seen = False

    def wants(self, name: str) -> bool:
        if self._metric is None and is_training_loss(name):
            self._metric = name
        # Of several norms of gradients, as one a layer, the first stands for all.
        if self._gradient is None and name != self._metric and _is_gradient_norm(name):
            self._gradient = name
        return name in (self._metric, self._gradient)

    def missing(self) -> str | None:
        return None if self._seen else self._metric or "a training loss"

    def state(self) -> dict[str, Any]:
        return {**super().state(), "curve": self._curve.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        self._curve.restore(state["curve"])

    def see(self, name: str, value: float, step: int) -> Finding | None:
        if name != self._metric:
            return self._gradient_seen(name, value, step)
        self._seen = True
        return self._found(step) if self._curve.add(value) else None

    def _found(self, step: int) -> Finding:
        curve = self._curve
        seen = {
            "metric": self._metric,
            "median": curve.median,
            "best_median": curve.best,
            "began_at": curve.first,
            "limit": curve.limit,
            "ratio": curve.ratio,
            "noise": curve.noise,
            "window": self._rule.window,
            "above_values": curve.above,
        }
        said = (
            f"the median of the last {self._rule.window} values of {self._metric} has been above "
            f"{short(curve.limit)} for {curve.above} values: it was {short(curve.best or 0.0)} at best, "
            f"and is {short(curve.median or 0.0)}"
        )
        return Finding(rule=_NAME, code="divergence", effect=Effect.ABORT, step=step, seen=seen, said=said)

    def _gradient_seen(self, name: str, value: float, step: int) -> Finding | None:
        usual = _middle(sorted(self._norms)) if len(self._norms) >= _GRADIENT_LEAST else None
        if not math.isfinite(value):
            return None
        if usual is None or value <= self._rule.gradient_ratio * usual:
            # What was too great for a moment is usual by now, or was a spike.
            self._norms.extend([*self._exploding, value])
            self._exploding = []
            return None
        self._exploding.append(value)
        if len(self._exploding) < self._rule.gradient_hold or self._curve.at_best:
            return None
        seen = {"metric": name, "median": usual, "values": self._exploding[-self._rule.gradient_hold :]}
        seen |= {"gradient_ratio": self._rule.gradient_ratio}
        said = (
            f"{name} has been above {short(self._rule.gradient_ratio)} times its median for "
            f"{len(self._exploding)} values: {short(value)}, usual are {short(usual)}"
        )
        return Finding(rule=_NAME, code="gradient-explosion", effect=Effect.ABORT, step=step, seen=seen, said=said)


def _is_gradient_norm(name: str) -> bool:
    found = words(name)
    return "gradnorm" in found or ("norm" in found and bool(found & {"grad", "grads", "gradient", "gradients"}))
