"""How much too good the best of several scores of one test set is to be expected, by luck alone."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Final

from ..errors import UsageError

UNRELATED: Final = 0.0
RELATED: Final = 0.8
"""Correlation of the errors of two models of one project, as the project's own simulations took it: variants of one
model err on the same examples."""
_STANDARD: Final = NormalDist()
# The integrand is smooth and gone at both ends: the trapezoid rule is then exact to more digits than anybody prints.
_REACH: Final = 12.0
_STEP: Final = 1 / 64


def expected_optimism(openings: int, rho: float = UNRELATED) -> float:
    """By how many standard errors of the test set the best of so many scores lies above its true value, on average.

    That is the mean of the greatest of `openings` normal variables with equal correlation `rho`, all models being
    equally good: the worst case of a choice by test scores. Of one score it is 0.

    Source: H. A. David and H. N. Nagaraja, Order Statistics, 3rd edition 2003, section 3.1 for the mean of a maximum;
    with equal correlation it shrinks by sqrt(1 - rho), since the part that all have in common moves them together.

    Args:
        openings: how often somebody came to know a score.
        rho: correlation between the scores, from 0 to 1.

    Raises:
        UsageError: `openings` is negative, or `rho` is out of range.
    """
    if openings < 0 or not 0.0 <= rho <= 1.0:
        raise UsageError(f"there is no optimism of {openings} openings at a correlation of {rho}", do="rho is 0 to 1")
    return math.sqrt(1.0 - rho) * _mean_of_greatest(openings) if openings > 1 else 0.0


def _mean_of_greatest(count: int) -> float:
    """The mean of the greatest of `count` independent standard normal variables: of X, with P(X <= x) = F(x)**count."""
    total = 0.0
    for place in range(int(_REACH / _STEP) + 1):
        x = place * _STEP
        weight = 0.5 if place == 0 else 1.0
        total += weight * ((1.0 - _STANDARD.cdf(x) ** count) - _STANDARD.cdf(-x) ** count)
    return total * _STEP


def in_words(openings: int) -> str:
    """What is printed beside a number of a test set: `opened 5 times: the best of them is 0.5 to 1.2 standard ...`."""
    if openings < 2:
        return f"opened {'once' if openings == 1 else 'never'}"
    low, high = (expected_optimism(openings, rho) for rho in (RELATED, UNRELATED))
    return (
        f"opened {openings} times: the best of these is {low:.2f} (related models) to {high:.2f} (unrelated ones) "
        "standard errors too good, by luck alone"
    )
