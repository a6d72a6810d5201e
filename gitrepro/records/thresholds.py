"""The numbers that verdicts of checks turn on and a policy may make stricter, by name, with what they are without one.

The reason of each stands beside its constant in `gitrepro/checks/*/settings.py` and `verdict.py`, which have the same
numbers. Each belongs to the pure function that draws the verdict, so that whoever audits a line that is on record can
draw it again by a stricter one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, final


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """One number.

    Attributes:
        default: what it is without a policy; an int where it counts something.
        stricter: the side on which fewer experiments pass.
        most: the greatest value that means anything; the least is 0.
    """

    default: float
    stricter: Literal["lower", "higher"]
    most: float = math.inf

    def fault(self, value: float) -> str:
        """Why a policy cannot set it to that; empty where it can."""
        if isinstance(self.default, int) and not isinstance(value, int):
            return "it counts something: it is an integer"
        if self.stricter == "lower" and not 0 <= value <= self.default:
            return f"it is a number from 0 to {self.default}, since a policy only makes it stricter"
        if self.stricter == "higher" and not self.default <= value <= self.most:
            up = "up" if math.isinf(self.most) else f"to {self.most}"
            return f"it is a number from {self.default} {up}, since a policy only makes it stricter"
        return ""

    def stricter_of(self, one: float, other: float) -> float:
        return min(one, other) if self.stricter == "lower" else max(one, other)


def _lower(default: float) -> Threshold:
    return Threshold(default=default, stricter="lower")


def _higher(default: float, most: float = math.inf) -> Threshold:
    return Threshold(default=default, stricter="higher", most=most)


THRESHOLDS: Final[Mapping[str, Threshold]] = {
    "baseline.least_examples": _higher(30),
    "baseline.least_groups": _higher(10),
    "baseline.worth": _higher(0.05, 1.0),
    "distribution.by_nature": _higher(0.5, 1.0),
    "distribution.class_lost": _lower(5),
    "distribution.classes_apart": _lower(0.05),
    "distribution.classes_shown": _lower(0.2),
    "distribution.conflict_fail": _lower(0.01),
    "distribution.errors_moved": _lower(1.0),
    "distribution.mean_fail": _lower(0.5),
    "distribution.mean_warn": _lower(0.1),
    "distribution.missing_warn": _lower(0.05),
    "distribution.outside_warn": _lower(0.01),
    "distribution.part_least": _higher(10),
    "distribution.shape_warn": _lower(0.1),
    "distribution.within_warn": _lower(0.01),
    "overfit.alike": _lower(1e-3),
    "overfit.fit_from": _higher(0.999, 1.0),
    "overfit.gap_at_most": _lower(0.05),
    "overfit.initial_within": _lower(0.5),
    "overfit.least": _higher(8, 32),
    "overfit.left_at_most": _lower(0.01),
    "overfit.nats_at_most": _lower(0.05),
    "overfit.right_from": _higher(1.0, 1.0),
    "overfit.small_gradient": _lower(1e-6),
    "overfit.still_at_most": _lower(0.10),
    "overfit.summed_from": _lower(1.8),
    "overfit.tokens_right_from": _higher(0.98, 1.0),
    "separation.influence_least": _higher(20),
    "separation.relative": _lower(1e-4),
    "shuffle.again_below": _higher(0.05, 1.0),
    "shuffle.fail_below": _higher(0.001, 1.0),
    "shuffle.leaked_at_most": _lower(0.10),
    "shuffle.least_scored": _higher(20),
    "shuffle.least_units": _higher(8),
    "shuffle.unmoved_from": _lower(0.9),
    "shuffle.warn_below": _higher(0.01, 1.0),
}


def given_for(rule: str, thresholds: Mapping[str, float]) -> dict[str, float]:
    """Of a policy's thresholds those of one rule, by the names that its `parameters` have."""
    return {name.partition(".")[2]: value for name, value in thresholds.items() if name.partition(".")[0] == rule}


def held_to(rule: str, parameters: Mapping[str, Any], thresholds: Mapping[str, float]) -> dict[str, Any]:
    """The parameters of a line that is on record, each at least as strict as by default and as a policy wants it.

    Args:
        rule: of the line, as `shuffle`.
        thresholds: of the policy, by their full names.
    """
    found = dict(parameters)
    for name, threshold in THRESHOLDS.items():
        owner, _, key = name.partition(".")
        if owner == rule and key in found:
            wanted = thresholds.get(name, threshold.default)
            found[key] = threshold.stricter_of(found[key], wanted)
    return found
