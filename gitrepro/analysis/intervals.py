"""Means with Student's t-interval, without scipy, whose import takes longer than most of our commands."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean and its bounds, in the unit of the values. One value has no bounds."""

    mean: float
    low: float | None
    high: float | None
    count: int


def t_interval(values: Sequence[float], *, level: float = 0.95) -> Interval:
    """The mean of some values, and Student's interval around it.

    Args:
        values: one a run, or one difference a pair of runs.
        level: how sure, strictly between 0 and 1.

    Raises:
        UsageError: there is no value, or no such level.
    """
    if not values:
        raise UsageError("there are no values to average")
    if not 0 < level < 1:
        raise UsageError(f"the level is {level!r:.60}", do="give a number between 0 and 1")
    mean, count = statistics.fmean(values), len(values)
    if count == 1:
        return Interval(mean=mean, low=None, high=None, count=1)
    half = t_quantile((1 + level) / 2, count - 1) * statistics.stdev(values) / math.sqrt(count)
    return Interval(mean=mean, low=mean - half, high=mean + half, count=count)


def t_quantile(share: float, degrees: int) -> float:
    """The value below which `share` of Student's t with so many degrees of freedom lies; `share` is at least a half."""
    low, high = 0.0, 1.0
    while t_below(high, degrees) < share:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if t_below(middle, degrees) < share else (low, middle)
    return (low + high) / 2


def t_below(value: float, degrees: int) -> float:
    """How much of Student's t lies below a value of 0 or more: the finite series for whole degrees of freedom.

    Abramowitz and Stegun, 26.7.3 and 26.7.4.
    """
    angle = math.atan2(value, math.sqrt(degrees))
    cosine, sine = math.cos(angle), math.sin(angle)
    term = total = cosine if degrees % 2 else 1.0
    for k in range(3 if degrees % 2 else 2, degrees - 1, 2):
        term *= (k - 1) / k * cosine * cosine
        total += term
    if degrees == 1:
        inside = 2 * angle / math.pi
    elif degrees % 2:
        inside = 2 / math.pi * (angle + sine * total)
    else:
        inside = sine * total
    return (1 + inside) / 2
