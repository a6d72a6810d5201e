"""Why a training was stopped or warned about: what was seen, what to do, and the risk of ignoring it.

A finding stands in a record with its inputs, so that anyone can judge it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final


class Effect(StrEnum):
    """What follows from a finding."""

    WARN = "warn"
    END = "end"
    """The training has done what it could: the run finishes."""
    ABORT = "abort"
    """What goes on is worth nothing: the run ends as `aborted`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What to do about a finding, and what it costs not to."""

    do: str
    risk: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a rule has to say.

    Attributes:
        rule: the name of the rule, as `EarlyStopping`.
        code: what was found, a key of `ADVICE`.
        step: of the row that showed it; None where it is not about one.
        seen: the numbers that it was judged by, with the thresholds.
        said: the same in a sentence.
    """

    rule: str
    code: str
    effect: Effect
    said: str
    step: int | None = None
    seen: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "code": self.code,
            "effect": str(self.effect),
            "step": self.step,
            "seen": dict(self.seen),
            "said": self.said,
        }

    @property
    def advice(self) -> Advice:
        return ADVICE.get(self.code, _NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class FallingRule:
    """When a curve counts as not falling: no downward trend of block means (Mann and Kendall, one-sided), and no higher
    beginning (Mann and Whitney, one-sided): what is learned in a few steps shows no trend in a thousand.

    Attributes:
        blocks: the curve is cut into so many parts of equal length, each of which counts with its mean.
        alpha: a trend that chance alone shows more often than this is none.
        warn_after_values: when it is looked at first, in values of the metric after the warm-up.
        stop_after_values: when it is looked at again, over all of them.
        head: the first values, which are held against the others.
        head_alpha: a beginning that chance alone puts as high more often than this is not higher.
    """

    blocks: int = 20
    alpha: float = 0.01
    warn_after_values: int = 500
    stop_after_values: int = 1000
    head: int = 20
    head_alpha: float = 0.0001


@dataclass(frozen=True, slots=True, kw_only=True)
class DivergenceRule:
    """When a curve counts as diverging: its rolling median stays far above the best it had.

    Attributes:
        window: values of the rolling median.
        ratio: how many times the best rolling median is too much.
        noisy_ratio: the same where the noise is above `noisy`, as a share of the level. Measured where the median was
            lowest, noise is less than it is elsewhere: 0.3 stands for 40 %.
        hold: for so many values in a row.
        least_rise: as a share of what the curve had fallen: near zero a loss doubles and nothing is wrong.
        start_values: it has fallen from the median of its first so many values, or from the first rolling median.
        noise_window: values that the noise is measured on, the last ones before the best.
    """

    window: int = 20
    ratio: float = 2.0
    noisy_ratio: float = 3.0
    noisy: float = 0.3
    hold: int = 20
    least_rise: float = 0.15
    start_values: int = 3
    noise_window: int = 100


ANOTHER_RANK: Final = "another-rank"
"""The code of what a rank finds when another one says that all should stop."""
_NONE: Final = Advice(do="", risk="")
ADVICE: Final[Mapping[str, Advice]] = {
    "overfitting": Advice(
        do="keep the checkpoint of the best step; try more data, augmentation, weight decay or a smaller model",
        risk="each further step is paid for and makes the model worse on data it has not seen",
    ),
    "no-improvement": Advice(
        do="keep the checkpoint of the best step; test one hypothesis at a time: data, learning rate, batch, model",
        risk="time and money for no gain, and tuning that is blind",
    ),
    "not-falling": Advice(
        do="check that labels fit their inputs and that the optimizer holds the parameters; try 10 times the learning "
        "rate, and a tenth; see whether a handful of examples can be learned by heart",
        risk="the rest of the run is likely to be as flat; some tasks (reinforcement learning, grokking) do fall late",
    ),
    "divergence": Advice(
        do="lower the learning rate, warm it up, or clip the gradients; go on from the best checkpoint",
        risk="hours lost, and checkpoints that are of no use",
    ),
    "gradient-explosion": Advice(
        do="clip the gradients or lower the learning rate; look at the batches that are named",
        risk="one step may destroy what was learned, and what follows is of no use",
    ),
    "nonfinite-loss": Advice(
        do="look at the batches that are named for empty or broken examples; lower the learning rate; in half "
        "precision try bf16, loss scaling, or a larger epsilon of the optimizer",
        risk="every weight is soon NaN: hours lost, and checkpoints that are of no use",
    ),
    "nonfinite-gradients": Advice(
        do="clip the gradients, lower the learning rate; look for a division by zero or the logarithm of zero; in half "
        "precision try bf16 or loss scaling",
        risk="the next step makes the weights NaN",
    ),
    "nonfinite-weights": Advice(
        do="go on from the last good checkpoint with a lower learning rate",
        risk="nothing that follows is of use",
    ),
    "budget-hours": Advice(do="go on from the last checkpoint if it still improves", risk="the budget is overdrawn"),
    "budget-steps": Advice(do="go on from the last checkpoint if it still improves", risk="the budget is overdrawn"),
    "budget-cost": Advice(do="go on from the last checkpoint if it still improves", risk="the budget is overdrawn"),
    "budget-energy": Advice(do="go on from the last checkpoint if it still improves", risk="the budget is overdrawn"),
    "never-logged": Advice(
        do="log it under this very name, or name what is logged", risk="the rule had nothing to judge, and never stops"
    ),
    "chosen-by-train": Advice(
        do="watch a validation metric", risk="a model that learns its training data by heart is never stopped"
    ),
    "chosen-by-test": Advice(
        do="watch a validation metric", risk="the test data took part in a choice, and is no test any more"
    ),
    ANOTHER_RANK: Advice(
        do="see what the rank that spoke first has found",
        risk="a rank that goes on alone waits for the others for ever",
    ),
    "not-stopped": Advice(
        do="ask `guard.should_stop()` in the loop, and leave it when it says so", risk="the rule has no effect"
    ),
}
"""By the code of a finding."""
