"""The verdict on drift: what is large enough to matter, and more than chance makes.

A p-value alone calls everything different once there are a million examples; an effect alone calls everything
different as long as there are thirty. So an effect counts when it is both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from ...records.result import Verdict
from .settings import (
    CHANCE_LEVEL,
    MEAN_FAIL,
    MEAN_WARN,
    MISSING_WARN,
    OUTSIDE_WARN,
    PART_LEAST,
    SHAPE_WARN,
    Judged,
)

PARAMETERS: Final[Mapping[str, Any]] = {
    "chance_level": CHANCE_LEVEL,
    "mean_fail": MEAN_FAIL,
    "mean_warn": MEAN_WARN,
    "missing_warn": MISSING_WARN,
    "outside_warn": OUTSIDE_WARN,
    "part_least": PART_LEAST,
    "shape_warn": SHAPE_WARN,
}


def judge(observed: Mapping[str, Any], parameters: Mapping[str, Any]) -> Judged:
    """FAIL where the means are apart by more than half a deviation and the parts are said to be of one source.

    WARN for a smaller difference that chance does not make; INCONCLUSIVE where parts are so small that even a failing
    difference would look like chance.
    """
    if not observed["columns"]:
        return Judged(Verdict.NOT_APPLICABLE, f"inputs of the form {observed['form']} have no columns to compare")
    if observed["constant_count"] == observed["columns"]:
        why = f"all {observed['columns']} columns are constant in train: there is nothing to learn from"
        return Judged(Verdict.FAIL, why, "look at how the inputs are read")
    if not observed["parts"]:
        return Judged(Verdict.NOT_APPLICABLE, "there is no part beside train")
    each = {name: _of_part(name, part, observed["iid"], parameters) for name, part in observed["parts"].items()}
    return max(each.values(), key=lambda judged: _GRAVITY.index(judged.verdict))


_GRAVITY: Final = (Verdict.NOT_APPLICABLE, Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.WARN, Verdict.FAIL)


def _of_part(name: str, part: Mapping[str, Any], iid: bool, parameters: Mapping[str, Any]) -> Judged:
    few = min(part["units"])
    if few < parameters["part_least"]:
        why = f"{name}: {few} examples or groups on one side say nothing of a distribution"
        return Judged(Verdict.INCONCLUSIVE, f"{why}; {parameters['part_least']} are the least", "use larger parts")
    faults = _faults(part, parameters)
    if faults:
        fails = iid and _fails(part, parameters)
        why = f"{name} is not as train: {'; '.join(faults)}"
        return Judged(Verdict.FAIL if fails else Verdict.WARN, why, _repair(iid))
    return _alike(name, part, parameters)


def _repair(iid: bool) -> str:
    if iid:
        return "look at how each part was read and split; where they differ by design, say iid=False"
    return "the parts are said to differ: see that the score is read as one of this other source"


def _fails(part: Mapping[str, Any], parameters: Mapping[str, Any]) -> bool:
    mean = part.get("mean", {"greatest": 0.0, "by_chance": 0.0})
    sure = mean["greatest"] - mean["by_chance"] > parameters["mean_warn"]
    return bool(mean["greatest"] > parameters["mean_fail"] and sure)


def _faults(part: Mapping[str, Any], parameters: Mapping[str, Any]) -> list[str]:
    """What is different, by more than the threshold and by more than chance."""
    found = []
    for what, threshold, says in _KINDS:
        size = part.get(what)
        if size and size["greatest"] > max(parameters[threshold], size["by_chance"]):
            found.append(says.format(**size))
    outside = part.get("outside")
    if outside and outside["greatest"] > parameters["outside_warn"] and outside["units"] > outside["by_chance"]:
        found.append("{count:,} values of {feature} ({greatest:.1%}) are outside of what train has".format(**outside))
    if part.get("woke"):
        found.append(f"{', '.join(part['woke'][:3])} does not vary in train and varies here")
    return found


_KINDS: Final = (
    ("mean", "mean_warn", "the mean of {feature} is {greatest:.2f} deviations away, {by_chance:.2f} by chance"),
    ("shape", "shape_warn", "the distribution of {feature} is {greatest:.2f} away, {by_chance:.2f} by chance"),
    ("missing", "missing_warn", "missing values of {feature} differ by {greatest:.1%}, {by_chance:.1%} by chance"),
    ("categories", "shape_warn", "the categories of {feature} are {greatest:.2f} away, {by_chance:.2f} by chance"),
)


def _alike(name: str, part: Mapping[str, Any], parameters: Mapping[str, Any]) -> Judged:
    mean = part.get("mean")
    if mean is None:
        return Judged(Verdict.PASS, f"{name} is as train: no category moves by more than chance makes it")
    seen = max(mean["by_chance"] + parameters["mean_warn"], parameters["mean_fail"])
    room = parameters["mean_fail"] - parameters["mean_warn"]
    if mean["greatest"] <= parameters["mean_warn"] or mean["by_chance"] <= room:
        why = f"{name} is as train: the greatest difference of means is {mean['greatest']:.2f} deviations"
        return Judged(Verdict.PASS, f"{why} ({mean['feature']}), and chance makes {mean['by_chance']:.2f}")
    why = f"{name} is too small: {mean['feature']} is {mean['greatest']:.2f} deviations away, and chance makes"
    needed = f"about {_needed(part, room):,} examples or groups in each part are needed"
    return Judged(Verdict.INCONCLUSIVE, f"{why} {mean['by_chance']:.2f}, so less than {seen:.2f} is not seen", needed)


def _needed(part: Mapping[str, Any], room: float) -> int:
    """Units in each of two equal parts with which chance makes no more than `room`."""
    spread: float = sum(1 / each for each in part["units"])
    by_chance: float = part["mean"]["by_chance"]
    return math.ceil(2 / spread * (by_chance / room) ** 2)
