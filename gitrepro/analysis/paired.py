"""How much better one set of predictions is than another on the same examples, and how sure the examples make of it.

The examples are the sample: the interval says what other examples of the same source could have shown. It says nothing
of other seeds. Where examples belong together (a patient, a document, a stretch of time), the groups are the sample.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

from ..errors import UsageError
from .intervals import t_quantile
from .itemwise import Score, Scoring, Spread, groups_of, of_means
from .resampled import resampled

if TYPE_CHECKING:
    import numpy as np

_DEGREES_AT_MOST: Final = 2000
"""Beyond it Student's t is the normal distribution to a thousandth, and its finite series takes its time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """The gain of one over the other, in the unit of the metric; above zero is better, whatever the metric's goal.

    Attributes:
        low, high: its bounds; None where the examples do not tell them.
        level: how sure.
        count: of examples.
        spread: of which the bounds are made.
    """

    gain: float
    low: float | None
    high: float | None
    level: float
    count: int
    spread: Spread


def paired(
    labels: np.ndarray,
    ours: np.ndarray,
    theirs: np.ndarray,
    *,
    score: Score,
    goal: Literal["max", "min"] = "max",
    groups: np.ndarray | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Paired:
    """The gain of `ours` over `theirs` with an interval over examples.

    A metric that is a mean over examples is found by trying. If its differences are of one size (right or wrong), the
    interval is that of Bonett and Price (2012), "Adjusted Wald confidence interval for a difference of binomial
    proportions based on paired data"; else Student's t, over groups the cluster-robust one (Liang and Zeger 1986). Any
    other metric gets a paired bootstrap (Efron and Tibshirani 1993, chapter 6) of examples, or of whole groups: the
    bounds are Student's t times the standard deviation of the resampled gains, which holds more often than percentiles.

    Args:
        labels: shape (n, ...).
        ours, theirs: shape (n, ...), as `score` takes them.
        score: of labels and predictions; called some hundred to some thousand times.
        groups: shape (n,), of what belongs together.
        level: how sure, strictly between 0 and 1.
        seed: of the resamples.

    Raises:
        UsageError: lengths differ, there are no examples, or a score is not finite.
    """
    count = len(labels)
    if not count or {len(ours), len(theirs), count if groups is None else len(groups)} != {count}:
        raise UsageError("predictions to compare are of the same examples, and there is at least one")
    scoring = Scoring(labels=labels, ours=ours, theirs=theirs, score=score, sign=-1.0 if goal == "min" else 1.0)
    whole = scoring.both(None)
    if whole is None:
        raise UsageError("a score is not finite", why="the metric of these predictions fails, or is NaN or infinite")
    parts = None if groups is None else groups_of(groups)
    spread = of_means(scoring, whole, parts, seed) or resampled(scoring, parts, seed)
    found = Paired(gain=whole[0] - whole[1], low=None, high=None, level=level, count=count, spread=spread)
    return at_level(found, level)


def at_level(found: Paired, level: float) -> Paired:
    """The same gain with bounds that are so sure, strictly between 0 and 1."""
    low, high = _bounds(found.gain, found.spread, level)
    return replace(found, low=low, high=high, level=level)


def _bounds(gain: float, spread: Spread, level: float) -> tuple[float | None, float | None]:
    if spread.error is None:
        return None, None
    middle = gain if spread.middle is None else spread.middle
    share = (1 + level) / 2
    quantile = (
        statistics.NormalDist().inv_cdf(share) if spread.method == "counts" else _student(share, spread.units - 1)
    )
    half = quantile * spread.error
    # An adjusted interval is not around the gain, and holds it nevertheless.
    return min(middle - half, gain), max(middle + half, gain)


@lru_cache(maxsize=64)
def _student(share: float, degrees: int) -> float:
    return t_quantile(share, min(degrees, _DEGREES_AT_MOST))
