"""The numbers of a comparison: what the verdict is drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from ...analysis.paired import Paired, at_level, paired
from ...records.sanity import Checked
from ..task import Data, Task
from . import verdict as verdicts
from .arms import Arm
from .digests import digests_of
from .forms import Form, perfect_score
from .looking import worth_a_look
from .settings import Settings

RULE: Final = "baseline"
_RULE_OF_THREE: Final = 3.0
"""Where none of n examples differs, up to 3/n of others may (Hanley and Lippman-Hand 1983), 95 % sure."""
_STRETCHES: Final = (8, 30)
"""How many stretches of time the scored part is cut into where its examples follow each other: the square root of their
number, within these bounds."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tried:
    """What was run, and on what.

    Attributes:
        labels: of the scored part, as the metric takes them.
        told: the score that the task itself computed, where it did.
        failed, left_out: baselines that are missing, and why.
    """

    task: Task
    data: Data
    labels: np.ndarray
    form: Form
    material: str
    ours: Arm
    told: float | None
    arms: Sequence[Arm]
    failed: Mapping[str, str]
    left_out: Mapping[str, str]

    @property
    def sign(self) -> float:
        return -1.0 if self.task.metric.goal == "min" else 1.0

    @property
    def best(self) -> Arm:
        """The baseline with the best score; of equal ones the cheapest, which comes first."""
        return max(self.arms, key=lambda arm: self.sign * arm.score)

    def room(self) -> tuple[float, float | None]:
        """The way from the best trivial baseline to perfection, and the perfect score.

        Where the metric has no perfect score, it is the way to the best baseline.
        """
        trivial = [self.sign * arm.score for arm in self.arms if arm.trivial]
        start = max(trivial, default=self.sign * self.best.score)
        perfect = perfect_score(self.task, self.form, self.labels)
        if perfect is None or self.sign * perfect < self.sign * self.best.score:
            return self.sign * self.best.score - start, None
        return self.sign * perfect - start, perfect


def line(tried: Tried, other: Arm, settings: Settings, *, name: str) -> Checked:
    """One line: the task against one other arm."""
    parameters, observed = settings.document(), observed_of(tried, other, settings)
    observed["needed"] = verdicts.needed(observed, parameters)
    verdict = verdicts.judge(observed, parameters)
    return Checked(
        rule=RULE,
        name=f"{RULE}.{name}",
        verdict=verdict,
        algorithm=verdicts.ALGORITHM,
        why=verdicts.why(observed, verdict),
        repair=verdicts.repair(observed, verdict),
        parameters=parameters,
        inputs=digests_of(tried.data),
        observed=observed,
        examples=worth_a_look(tried.data, tried.labels, tried.form, tried.ours, other),
        runs=tuple(arm.run_id for arm in (tried.ours, *tried.arms, other) if arm.run_id),
    )


def observed_of(tried: Tried, other: Arm, settings: Settings) -> dict[str, Any]:
    """The numbers of one comparison, of which `judge` and the sentence are functions."""
    room, perfect = tried.room()
    gain = _gain(tried, other, settings)
    contenders = _contenders(tried, other, gain)
    # The best of several was chosen by these same examples: Bonferroni, for all of them at once.
    all_at_once = at_level(gain, 1 - (1 - settings.level) / contenders)
    # A run that nobody knows the inside of is taken for one that looks at its inputs.
    learners = sum(not arm.trivial for arm in tried.arms) + (other not in tried.arms)
    return {
        **_bounds(gain, room),
        "baselines": {arm.name: arm.document() for arm in tried.arms},
        "best": other.name,
        "best_score": other.score,
        "ceiling": _bounds(all_at_once, room)["high"],
        "contenders": contenders,
        "cost_ratio": _ratio(tried.ours.seconds, other.seconds),
        "failed": dict(tried.failed),
        "learners": learners,
        "left_out": dict(tried.left_out),
        "material": tried.material,
        "metric": tried.task.metric.name,
        "over_trivial": _over_trivial(tried),
        "perfect": perfect,
        "points": tried.form.problem != "numbers" and perfect == 1.0 and tried.task.metric.goal == "max",
        "room": room,
        "same": bool(np.array_equal(tried.ours.values, other.values)),
        "score": tried.ours.score,
        "seconds": tried.ours.seconds,
        "told": tried.told,
        "tried": len(tried.arms),
    }


def _gain(tried: Tried, other: Arm, settings: Settings) -> Paired:
    metric = tried.task.metric
    return paired(
        tried.labels,
        tried.ours.values,
        other.values,
        score=metric.function,
        goal=metric.goal,
        groups=groups_of(tried.data),
        level=settings.level,
        seed=settings.seed,
    )


def _over_trivial(tried: Tried) -> float | None:
    trivial = [tried.sign * arm.score for arm in tried.arms if arm.trivial]
    return tried.sign * tried.ours.score - max(trivial) if trivial else None


def _contenders(tried: Tried, other: Arm, gain: Paired) -> int:
    """How many baselines could have come out best by luck: those no farther behind than the interval is wide."""
    if other not in tried.arms or gain.low is None or gain.high is None:
        return 1
    reach = (gain.high - gain.low) / 2
    return sum(tried.sign * arm.score >= tried.sign * other.score - reach for arm in tried.arms)


def groups_of(data: Data) -> np.ndarray | None:
    """What belongs together in the scored part: its groups, or stretches of time where its examples follow each other.

    The means of stretches are nearly independent where single errors are not (the method of batch means). Simulated
    with errors that correlate by a half from one example to the next, intervals of 95 % hold the truth in 93 % at 100
    examples and in 95 % at 300; those over single examples in 74 %.
    """
    part = data.judged
    if part.groups is not None or part.times is None or data.iid:
        return part.groups
    stretches = int(np.clip(np.sqrt(len(part)), *_STRETCHES))
    ranks = np.argsort(np.argsort(part.times, kind="stable"), kind="stable")
    return np.asarray(ranks * stretches // len(part))


def _bounds(gain: Paired, room: float) -> dict[str, Any]:
    low, high = gain.low, gain.high
    if gain.spread.method == "equal":
        # No difference was seen at all: that says how rare they are, and nothing of their size but what is possible.
        low, high = (gain.gain + sign * _RULE_OF_THREE / gain.spread.units * room for sign in (-1, 1))
    return {
        "count": gain.count,
        "gain": gain.gain,
        "high": high,
        "level": gain.level,
        "low": low,
        "method": gain.spread.method,
        "units": gain.spread.units,
    }


def _ratio(seconds: float | None, other: float | None) -> float | None:
    return seconds / other if seconds and other else None
