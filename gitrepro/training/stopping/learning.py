"""A training loss that does not fall."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from itertools import pairwise
from typing import Any, Final, final

from ...errors import UsageError
from ...records.metricnames import is_training_loss
from ...records.stopping import Effect, FallingRule, Finding
from .rule import Surroundings, Watch, amount, metric_name, short, whole

_NAME: Final = "NoLearning"
_SHOWN: Final = 20
_HUGE: Final = 2.0**64
_RULE: Final = FallingRule()


@final
@dataclass(frozen=True, slots=True)
class NoLearning:
    """Say that the training loss does not fall: no trend in 500 values after the warm-up, nor in 1,000.

    The values are cut into 20 blocks; their means have a downward trend by the test of Mann and Kendall, or not. A
    curve whose first 20 values lie above the others has fallen, too, only faster. By default this only warns: in
    reinforcement learning, and where a network groks, a loss falls late and is healthy.

    Args:
        metric: the training loss, as it is logged; by default the first one that is called so.
        stop: end the training at the second look; the run finishes.
        warm_up_values: so many values at the start are not judged.
        warn_after_values, stop_after_values: when it is looked at, in values of the metric; at least 100.
        alpha: how often chance alone may show a trend.

    Raises:
        UsageError: a number is out of its range.
    """

    metric: str | None = None
    _: KW_ONLY
    stop: bool = False
    warm_up_values: int = 0
    warn_after_values: int = 500
    stop_after_values: int = 1000
    alpha: float = 0.01

    def __post_init__(self) -> None:
        if self.metric is not None:
            metric_name(self.metric)
        whole("warm_up_values", self.warm_up_values, least=0)
        # Of fewer values a fair share of healthy runs shows no trend yet.
        whole("warn_after_values", self.warn_after_values, least=100)
        whole("stop_after_values", self.stop_after_values, least=self.warn_after_values)
        if amount("alpha", self.alpha, above=True) >= 0.5:
            raise UsageError(f"alpha is {self.alpha!r:.60}", do="give a number below 0.5, as 0.01")

    def parameters(self) -> dict[str, Any]:
        return {
            **({"metric": self.metric} if self.metric else {}),
            "alpha": self.alpha,
            "blocks": _RULE.blocks,
            "head": _RULE.head,
            "head_alpha": _RULE.head_alpha,
            "stop": self.stop,
            "stop_after_values": self.stop_after_values,
            "warm_up_values": self.warm_up_values,
            "warn_after_values": self.warn_after_values,
        }

    def begin(self, world: Surroundings) -> Watch:  # noqa: ARG002
        return _Watch(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """Whether a curve falls: the statistic of Mann and Kendall over its block means, and how likely chance makes it.

    Attributes:
        s: pairs of blocks that rise less those that fall.
        p: how often chance alone falls as much.
        head_p: how often chance alone puts the first values as far above the others.
    """

    s: int
    p: float
    head_p: float
    means: tuple[float, ...] = field(repr=False)

    def falls(self, alpha: float, rule: FallingRule = _RULE) -> bool:
        return self.p < alpha or self.head_p < rule.head_alpha


def trend(values: Sequence[float], rule: FallingRule = _RULE) -> Trend:
    """The downward trend of a curve (Mann 1945, Kendall 1975), and how much higher it began (Mann and Whitney 1947).

    Both tests are one-sided and take the normal approximation. Values that are not finite are left out.
    """
    finite = [value for value in values if math.isfinite(value)]
    count = len(finite)
    edges = [count * place // rule.blocks for place in range(rule.blocks + 1)]
    means = [_mean(finite[a:b]) for a, b in pairwise(edges) if b > a]
    s = sum(_sign(later - earlier) for place, earlier in enumerate(means) for later in means[place + 1 :])
    return Trend(s=s, p=_trend_p(s, len(means)), head_p=_head_p(finite, rule.head), means=tuple(means))


def _mean(values: Sequence[float]) -> float:
    # Exact sums: the order of adding must not decide a tie.
    try:
        return math.fsum(values) / len(values)
    except OverflowError:
        return math.fsum(value / _HUGE for value in values) / len(values) * _HUGE


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def _trend_p(s: int, n: int) -> float:
    if n < 3:
        return 1.0
    z = (s + _sign(-s)) / math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    return 0.5 * math.erfc(-z / math.sqrt(2))


def _head_p(values: Sequence[float], head: int) -> float:
    rest = len(values) - head
    if rest < head:
        return 1.0
    ordered = sorted(values)
    # Equal values share the mean of their ranks.
    ranks = [(bisect_left(ordered, value) + bisect_right(ordered, value) + 1) / 2 for value in values[:head]]
    u = math.fsum(ranks) - head * (head + 1) / 2
    z = (u - head * rest / 2) / math.sqrt(head * rest * (len(values) + 1) / 12)
    return 0.5 * math.erfc(z / math.sqrt(2))


@final
class _Watch(Watch):
    kept = ("_metric", "_skipped", "_over", "_values")

    def __init__(self, rule: NoLearning) -> None:
        self._rule = rule
        self._metric = rule.metric
        self._skipped = 0
        self._over = False
        self._values: list[float] = []

    def wants(self, name: str) -> bool:
        if self._metric is None and is_training_loss(name):
            self._metric = name
        return name == self._metric

    def missing(self) -> str | None:
        return None if self._values or self._skipped else self._metric or "a training loss"

    def see(self, name: str, value: float, step: int) -> Finding | None:  # noqa: ARG002
        if self._over:
            return None
        if self._skipped < self._rule.warm_up_values:
            self._skipped += 1
            return None
        self._values.append(value)
        count = len(self._values)
        self._over = count >= self._rule.stop_after_values
        if not self._over and count != self._rule.warn_after_values:
            return None
        return self._judged(step, final=self._over)

    def _judged(self, step: int, *, final: bool) -> Finding | None:
        found = trend(self._values)
        count = len(self._values)
        if final:
            del self._values[1:]
        if found.falls(self._rule.alpha):
            self._over = True  # what it does later is another rule's business
            del self._values[1:]
            return None
        seen = {
            "metric": self._metric,
            "values": count,
            "warm_up_values": self._rule.warm_up_values,
            "s": found.s,
            "p": found.p,
            "head_p": found.head_p,
            "head_alpha": _RULE.head_alpha,
            "alpha": self._rule.alpha,
            "block_means": list(found.means[:_SHOWN]),
        }
        effect = Effect.END if final and self._rule.stop else Effect.WARN
        return Finding(
            rule=_NAME, code="not-falling", effect=effect, step=step, seen=seen, said=self._said(found, count)
        )

    def _said(self, found: Trend, count: int) -> str:
        means = found.means
        between = f"means from {short(means[0])} to {short(means[-1])}, p {short(found.p)}" if means else "none finite"
        return f"{self._metric} has not fallen in {count} values: {between}"
