"""How much of the data and of the budget the trainings get, so that all together stay cheap."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, final

from ..task import Data
from .settings import Settings

_AT_MOST: Final = 13
"""Trainings where time is short: the real one, two for each of three arms, and as many again where something shows."""
_USUAL: Final = 9
_KEPT: Final = 2 / 3
"""Of the time that is left; the rest is for another look at what strikes."""
_STEPS: Final = (0.02, 0.07, 0.25, 1.0)
"""Shares of the work that are tried when a smaller one turned out to be cheap."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """What each training gets.

    Attributes:
        fraction: of the examples, above 0 and at most 1.
        share: of the budget, above 0 and at most 1.
    """

    fraction: float
    share: float

    @property
    def work(self) -> float:
        """The share of the real run's cost that one training is expected to have."""
        return self.fraction * self.share


def first_effort(data: Data, settings: Settings) -> Effort:
    """As little as keeps all trainings within the cost; more where the real run is known to be short."""
    if settings.full:
        return Effort(fraction=1.0, share=1.0)
    least = effort_of(settings.cost / _AT_MOST, data, settings)
    if not settings.real_seconds:
        return least
    cheap = next_work(least, settings.real_seconds * least.work, settings)
    return least if cheap is None else effort_of(cheap, data, settings)


def effort_of(work: float, data: Data, settings: Settings) -> Effort:
    """Examples and budget for so much of the work: both are cut alike, examples not below what is needed."""
    if work >= 1:
        return Effort(fraction=1.0, share=1.0)
    least = max(settings.examples / len(data.train), settings.scored / len(data.judged))
    fraction = min(max(math.sqrt(work), least), 1.0)
    return Effort(fraction=fraction, share=min(work / fraction, 1.0))


def next_work(effort: Effort, seconds: float, settings: Settings) -> float | None:
    """A greater share of the work at which all trainings still take less than `settings.seconds`; None if none is.

    Args:
        seconds: what a training took at this effort; more work may cost less than in proportion.
    """
    cheap = [
        step for step in _STEPS
        if step > effort.work and seconds * (step / effort.work) * _USUAL <= settings.seconds
    ]  # fmt: skip
    return max(cheap, default=None)


def real_seconds(effort: Effort, seconds: float, settings: Settings) -> float:
    """What the real run takes, as far as it is known."""
    return settings.real_seconds or seconds / effort.work


def draws_for(needed: int, seconds: float, left_seconds: float, settings: Settings) -> int:
    """How many draws of an arm there will be: those that are needed, as far as the time goes."""
    affordable = settings.most_draws if settings.full else int(_KEPT * left_seconds / max(seconds, 1e-3))
    return max(settings.draws, min(needed, settings.most_draws, affordable))
