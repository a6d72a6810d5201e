"""The gain over the baseline, beside what the seeds of a claim resolve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

from ...analysis.intervals import t_interval
from ...policy import Policy
from ..evidence import Claim, Evidence, RunEvidence
from .checked import found_of

_LEVEL: Final = 0.95
"""Of the interval around the mean of the seeds: a gain inside of its half width may be nothing but the seed."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """How far the runs are ahead of the best baseline, and how far seeds move them.

    Attributes:
        metric: of which both are; in its own unit.
        gain: as the baseline check has found it, above 0 where the runs are ahead.
        half: half the width of the 95 % t-interval around the mean of the runs.
        count: of runs that it is from.
    """

    metric: str
    gain: float
    half: float
    count: int

    @property
    def is_resolved(self) -> bool:
        return self.gain > self.half

    @property
    def said(self) -> str:
        less = "more than" if self.is_resolved else "no more than"
        ahead = f"a gain of {self.gain:.3g} in {self.metric} over the baseline"
        return f"{ahead} is {less} the {self.half:.3g} that {self.count} seeds leave open"

    def document(self) -> dict[str, Any]:
        return {"gain": self.gain, "metric": self.metric, "resolved": self.half, "runs": self.count}


def gain_of(claim: Claim, evidence: Evidence, policy: Policy) -> Gain | None:
    """The gain, where a baseline check of the same experiment and evaluations by its metric are on record."""
    found = next((each for each in found_of("baseline", claim, evidence, policy) if each.tie.stands), None)
    line = next((line for line in found.lines if line.name == "baseline.beaten"), None) if found else None
    if line is None:
        return None
    metric, gain = line.observed.get("metric"), line.observed.get("gain")
    if not isinstance(metric, str) or isinstance(gain, bool) or not isinstance(gain, int | float):
        return None
    values = _values(evidence, metric)
    if len(values) < 2:
        return None
    interval = t_interval(values, level=_LEVEL)
    assert interval.high is not None
    return Gain(metric=metric, gain=float(gain), half=interval.high - interval.mean, count=len(values))


def _values(evidence: Evidence, metric: str) -> list[float]:
    """What each run came to, in the first evaluation by that metric that all of them have."""
    names = [{*_by_name(run, metric)} for run in evidence.runs]
    shared = sorted(set.intersection(*names)) if names else []
    return [_by_name(run, metric)[shared[0]] for run in evidence.runs] if shared else []


def _by_name(run: RunEvidence, metric: str) -> dict[str, float]:
    entries = [scored.entry for scored in run.scored if scored.entry is not None]
    found = {entry.name: entry.metrics[metric].value for entry in entries if metric in entry.metrics}
    return {name: value for name, value in found.items() if value == value and abs(value) != float("inf")}
