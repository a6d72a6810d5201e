"""Trials of one kind, as many as it takes, against chance."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from ...errors import UsageError
from ..task import Data
from .bench import Bench, Stopped
from .effort import draws_for
from .null import FIRST, Chance, Scored, against_chance
from .settings import UNMOVED_DRAWS
from .verdict import LEARNT, NEEDED


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Real:
    """The task as it is, with what its predictions would score by chance."""

    scored: Scored
    chance: Chance

    @property
    def learnt(self) -> float:
        """Deviations that the score is above its chance."""
        deviation = self.chance.deviations[0]
        return self.chance.excess / deviation if deviation else 0.0

    def level(self, other: Chance) -> float:
        """What chance gives: the better of this and of an arm, so that the gain over it is not too great."""
        return max(self.chance.expected[0], float(np.mean(other.expected)))

    def gain(self, other: Chance) -> float:
        return self.chance.scores[0] - self.level(other)


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Arm:
    """What came of the trials of one kind.

    Attributes:
        p_again: of the second set of draws alone; None where the first showed nothing.
    """

    trials: list[Scored]
    chance: Chance
    p_again: float | None


def real_arm(bench: Bench) -> Real:
    """The task as it is.

    Raises:
        Stopped: it cannot be scored.
    """
    scored = bench.real()
    return Real(scored=scored, chance=_against(bench, [scored], by_unit=False, resamples=FIRST))


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawn:
    """How the data of one arm are made.

    Attributes:
        make: gives them by the number of the draw.
        by_unit: whether labels are drawn by unit.
    """

    name: str
    make: Callable[[int], Data]
    by_unit: bool


def run_arm(bench: Bench, real: Real, drawn: Drawn, *, arms_left: int) -> Arm:
    """Trials on data that are made to tell nothing.

    First a few, then as many as the bound of the leak needs; that number is told by the spread of chance alone and not
    by what was found, so that the bound keeps its level. Whatever strikes is drawn again, and counts if it comes back.

    Raises:
        Stopped: a trial cannot be scored.
    """
    settings = bench.settings
    arm = _look(bench, drawn, [], settings.draws)
    if arm.p_again is not None and arm.p_again < settings.again_below:
        return arm
    needed = _needed(bench, real, arm.chance)
    wanted = draws_for(needed, work=bench.work, left=bench.left / arms_left, settings=settings)
    if min(unmoved_shares(arm.trials, real, arm.chance)) >= settings.unmoved_from:
        wanted = max(wanted, UNMOVED_DRAWS)
    return arm if wanted <= len(arm.trials) else _look(bench, drawn, arm.trials, wanted)


def _look(bench: Bench, drawn: Drawn, trials: list[Scored], count: int) -> Arm:
    """So many trials in all; and half as many again where they strike."""
    settings = bench.settings
    trials = _more(bench, drawn, trials, count)
    chance = _chance(bench, trials, drawn)
    if chance.p >= settings.warn_below:
        return Arm(trials=trials, chance=chance, p_again=None)
    trials = _more(bench, drawn, trials, count + max(settings.draws, count // 2))
    again = _chance(bench, trials[count:], drawn)
    return Arm(trials=trials, chance=_chance(bench, trials, drawn), p_again=again.p)


def _more(bench: Bench, drawn: Drawn, trials: list[Scored], count: int) -> list[Scored]:
    draws = range(len(trials), count)
    return trials + [bench.train(drawn.name, drawn.make(draw), draw=draw) for draw in draws]


def _chance(bench: Bench, trials: list[Scored], drawn: Drawn) -> Chance:
    return _against(bench, trials, by_unit=drawn.by_unit, resamples=bench.settings.resamples)


def _against(bench: Bench, trials: list[Scored], *, by_unit: bool, resamples: int) -> Chance:
    try:
        return against_chance(trials, resamples=resamples, seed=bench.settings.seed, by_unit=by_unit)
    except UsageError as error:
        raise Stopped(error.what, why=error.why, do=error.do) from None


def _needed(bench: Bench, real: Real, first: Chance) -> int:
    """How many draws make the error so small that 99 of 100 sound experiments pass."""
    gain, deviation = real.gain(first), float(np.mean(first.deviations))
    if gain <= 0 or real.learnt < LEARNT:
        return bench.settings.draws  # without a gain there is no share of it to be bounded
    ratio = NEEDED * deviation / (bench.settings.leaked_at_most * gain)
    return min(math.ceil(ratio**2), bench.settings.most_draws)


def unmoved_shares(trials: list[Scored], real: Real, chance: Chance) -> list[float]:
    """Of each trial the share of the gain that its predictions keep against the true labels."""
    gain, level = real.gain(chance), real.level(chance)
    if gain <= 0:
        return [0.0]
    try:
        return [(each.score(each.truth) - level) / gain for each in trials]
    except UsageError:
        return [0.0]  # a metric that has no value of these says nothing here


def observed_of(bench: Bench, real: Real, arm: Arm, *, units: int) -> dict[str, Any]:
    """The numbers that verdicts are drawn from. `gain` and `excess` are above zero where more is better."""
    chance, sign = arm.chance, real.scored.sign
    return {
        "chance": sign * float(np.mean(chance.expected)),
        "cost": bench.cost,
        "draws": len(arm.trials),
        "elsewhere": real.scored.elsewhere,
        "error": chance.error,
        "excess": chance.excess,
        "expected": [sign * each for each in chance.expected],
        "fraction": bench.effort.fraction,
        "gain": real.gain(chance),
        "learnt": real.learnt,
        "p": chance.p,
        "p_again": arm.p_again,
        "real": sign * real.chance.scores[0],
        "resamples": chance.resamples,
        "score": sign * float(np.mean(chance.scores)),
        "scored": len(real.scored.values),
        "scores": [sign * each for each in chance.scores],
        "seconds": bench.seconds,
        "share": bench.effort.share,
        "train": len(bench.data.train),
        "units": units,
    }
