"""Early stopping: a validation metric that does not get better any more."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import KW_ONLY, asdict, dataclass, replace
from typing import Any, Final, final

from ...errors import UsageError
from ...records.metricnames import Mode, mode_of, part_of, tail
from ...records.stopping import Effect, Finding
from .rule import Surroundings, Watch, amount, metric_name, short, whole

_NAME: Final = "EarlyStopping"
_RECENT: Final = 50


@final
@dataclass(frozen=True, slots=True)
class EarlyStopping:
    """End the training when a metric has not improved for some evaluations. The run finishes.

    Five evaluations and more than no change: one or two without an improvement are mostly noise. Half the standard
    error of the metric is a good `min_delta`; of an accuracy, `examples=` computes it.

    Args:
        metric: a validation metric, as it is logged.
        patience: so many evaluations without an improvement are enough; from 1 on.
        min_delta: a change of at most this much is no improvement; in the unit of the metric.
        mode: `min` or `max`; by default what `define_metric` said, else what the name tells.
        examples: how many examples an accuracy between 0 and 1 is measured on: `min_delta` is then half its standard
            error where that is more.
        after: so many evaluations at the start are not judged.

    Raises:
        UsageError: a number is out of its range.
    """

    metric: str
    _: KW_ONLY
    patience: int = 5
    min_delta: float = 0.0
    mode: Mode | None = None
    examples: int | None = None
    after: int = 0

    def __post_init__(self) -> None:
        metric_name(self.metric)
        whole("patience", self.patience, least=1)
        amount("min_delta", self.min_delta)
        whole("after", self.after, least=0)
        if self.examples is not None:
            whole("examples", self.examples, least=1)
        if self.mode not in (None, "min", "max"):
            raise UsageError(f"the mode of {self.metric} is {self.mode!r:.60}", do='give mode="min" or mode="max"')

    def parameters(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}

    def begin(self, world: Surroundings) -> Watch:
        told: dict[str, Mode] = {"min": "min", "max": "max"}
        mode = self.mode or told.get(world.goals.get(self.metric, "")) or mode_of(self.metric)
        if mode is None:
            raise UsageError(
                f"whether a small or a great {self.metric!r:.80} is good, its name does not tell",
                do=f'EarlyStopping({self.metric!r:.80}, mode="max"), or mode="min"',
            )
        return _Watch(replace(self, mode=mode))


@final
class _Watch(Watch):
    kept = (
        "_evaluations", "_waited", "_best", "_best_step", "_recent", "_sum", "_count", "_train", "_train_at_best",
    )  # fmt: skip

    def __init__(self, rule: EarlyStopping) -> None:
        self._rule = rule
        self._sign = 1.0 if rule.mode == "max" else -1.0
        self._evaluations = self._waited = 0
        self._best: float | None = None
        self._best_step: int | None = None
        self._recent: list[float] = []
        # What the training metric of the same name was when the best was seen, and since.
        self._sum, self._count = 0.0, 0
        self._train: float | None = None
        self._train_at_best: float | None = None

    def wants(self, name: str) -> bool:
        return name == self._rule.metric or (part_of(name) == "train" and tail(name) == tail(self._rule.metric))

    def begun(self) -> Iterator[Finding]:
        part = part_of(self._rule.metric)
        if part in ("train", "test"):
            data = "the data it is trained on" if part == "train" else "the test data"
            said = f"by its name {self._rule.metric!r:.80} is of {data}: it cannot tell when to stop"
            yield Finding(rule=_NAME, code=f"chosen-by-{part}", effect=Effect.WARN, said=said)

    def missing(self) -> str | None:
        return None if self._evaluations else self._rule.metric

    def see(self, name: str, value: float, step: int) -> Finding | None:
        if name != self._rule.metric:
            if math.isfinite(value):
                self._sum, self._count = self._sum + value, self._count + 1
            return None
        self._evaluations += 1
        if self._count:
            # One batch says little: the mean of those since the evaluation before.
            self._train, self._sum, self._count = self._sum / self._count, 0.0, 0
        self._recent = [*self._recent[1 - _RECENT :], value]
        if self._better(value):
            self._best, self._best_step, self._waited = value, step, 0
            self._train_at_best = self._train
        elif self._evaluations > self._rule.after:
            self._waited += 1
        return self._found(value, step) if self._waited >= self._rule.patience else None

    def _better(self, value: float) -> bool:
        # NaN is better than nothing of all: it never is the best, and counts as an evaluation without improvement.
        if not math.isfinite(value):
            return False
        return self._best is None or self._sign * (value - self._best) > self._least()

    def _least(self) -> float:
        if self._rule.examples is None or self._best is None or not 0.0 <= self._best <= 1.0:
            return self._rule.min_delta
        half_error = 0.5 * math.sqrt(self._best * (1.0 - self._best) / self._rule.examples)
        return max(self._rule.min_delta, half_error)

    def _found(self, value: float, step: int) -> Finding:
        rule = self._rule
        seen = {
            "metric": rule.metric,
            "mode": rule.mode,
            "evaluations": self._evaluations,
            "waited": self._waited,
            "best": self._best,
            "best_step": self._best_step,
            "last": value,
            "min_delta": self._least(),
            "values": self._recent[-rule.patience - 1 :],
        }
        if self._train is not None and self._train_at_best is not None:
            seen |= {"train_at_best": self._train_at_best, "train": self._train}
        return Finding(
            rule=_NAME,
            code="overfitting" if self._train_went_on() and self._worse(value) else "no-improvement",
            effect=Effect.END,
            step=step,
            seen=seen,
            said=self._sentence(value),
        )

    def _train_went_on(self) -> bool:
        before, now = self._train_at_best, self._train
        return before is not None and now is not None and self._sign * (now - before) > 0

    def _worse(self, value: float) -> bool:
        return self._best is not None and self._sign * (value - self._best) < 0

    def _sentence(self, value: float) -> str:
        rule, many = self._rule, "evaluation" if self._waited == 1 else "evaluations"
        if self._best is None:
            return f"{rule.metric} was not finite in {self._waited} {many}"
        more = f" by more than {short(self._least())}" if self._least() else ""
        best = f"best {short(self._best)} at step {self._best_step}, last {short(value)}"
        train = ""
        if self._train_went_on() and self._worse(value):
            train = f"; in training it went from {short(self._train_at_best or 0.0)} to {short(self._train or 0.0)}"
        return f"{rule.metric} has not improved{more} for {self._waited} {many}: {best}{train}"
