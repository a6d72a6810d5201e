"""What a gain over the best baseline says: a verdict, the sentence that goes with it, and what to do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from ...records.result import Verdict

ALGORITHM: Final = 1
LEAST_EXAMPLES: Final = 30
"""From so many on the intervals hold what they promise; of fewer, a difference of three decides everything."""
LEAST_GROUPS: Final = 10
"""Simulated, intervals of 95 % over 8 groups of unequal sizes hold the truth in 92 %, over 10 in 93 %."""
WORTH: Final = 0.05
"""A twentieth of the way from the trivial baseline to perfection. A task that is not ahead is level with the baseline
when the examples rule out a gain of this size; before that they are too few to say so."""
_MANY_TIMES: Final = 100
"""Beyond so many times the examples that there are, a number of them is no advice."""

_CHEAPER_BEYOND_COUNTING: Final = 0.01
"""Of a task that takes so little of a baseline's time, the rest of the number is noise of the clock."""

_ADVICE: Final = (
    "look at the data, the labels, the features, leakage and bugs before the model: a cheap one gets as much out of "
    "the same examples; `gitrepro check overfit`, `shuffle` and `data` look there"
)


def judge(observed: Mapping[str, Any], parameters: Mapping[str, Any]) -> Verdict:
    """The verdict on a gain.

    PASS where the interval is above zero. FAIL where the examples show that the task is behind, the best of several
    having been chosen by these same examples; or that it is no better than a baseline which looks at no input. WARN
    where the interval includes zero, where the task is level with a baseline that learns, or where no baseline looked
    at the inputs. INCONCLUSIVE where the examples are too few to tell level from ahead, or for any verdict.

    A task that is level with a cheap model does not fail: many sound ones are of the same kind as one of the baselines.
    Of 87 runs of sound experiments 13 would have failed so.

    Args:
        observed: `count` and `units` of examples, `gain`, `low`, `high`, `ceiling` (the upper bound for all baselines
            at once that could have been the best), `room` (from the trivial baseline to perfection, in the metric's
            unit), `learners` (how many baselines learn from inputs), `over_trivial` (the gain over the best that does
            not; None where there is none), `same` (whether the baseline predicts exactly what the task does).
        parameters: `least_examples`, `least_groups` and `worth`.
    """
    gain, low, high = (observed[name] for name in ("gain", "low", "high"))
    if too_few(observed, parameters) or low is None or high is None:
        return Verdict.INCONCLUSIVE
    if low > 0:
        return Verdict.PASS if observed["learners"] else Verdict.WARN
    if gain > 0:
        return Verdict.WARN
    if observed["ceiling"] < 0:
        return Verdict.FAIL
    over_trivial = observed["over_trivial"]
    idle = over_trivial is not None and over_trivial <= 0
    if high < parameters["worth"] * observed["room"]:
        return Verdict.FAIL if idle else Verdict.WARN
    return Verdict.WARN if observed["same"] and not idle else Verdict.INCONCLUSIVE


def too_few(observed: Mapping[str, Any], parameters: Mapping[str, Any]) -> bool:
    """Whether there are fewer examples, or groups of them, than any verdict needs."""
    grouped = observed["units"] < observed["count"]
    least = parameters["least_groups"] if grouped else parameters["least_examples"]
    return bool(observed["units"] < least or observed["count"] < parameters["least_examples"])


def needed(observed: Mapping[str, Any], parameters: Mapping[str, Any]) -> int | None:
    """About how many examples would settle it, if the gain stayed what it is; None where it is settled, or none would.

    The half width of an interval falls with the root of the number of examples.
    """
    gain, low, high, count = (observed[name] for name in ("gain", "low", "high", "count"))
    if too_few(observed, parameters):
        least = parameters["least_examples"] if observed["units"] == count else parameters["least_groups"]
        return int(max(math.ceil(least * count / observed["units"]), parameters["least_examples"]))
    if low is None or high is None:
        return None
    wanted = gain if gain > 0 else parameters["worth"] * observed["room"] - gain
    half = gain - low if gain > 0 else high - gain
    if wanted <= 0 or not 1 <= half / wanted <= _MANY_TIMES**0.5:
        return None
    return int(count * (half / wanted) ** 2) + 1


def why(observed: Mapping[str, Any], verdict: Verdict) -> str:
    """The sentence: the gain, its interval, over which baseline, at which price, and what of it is not settled."""
    said = f"{_gain(observed)} over {observed['best']}{_cost(observed)}, {_tried(observed)}"
    if verdict is Verdict.FAIL:
        return f"{said}: the task does not beat it"
    if verdict is Verdict.INCONCLUSIVE:
        return f"{said}: {_units(observed)} do not settle it{_how_many(observed)}"
    if verdict is Verdict.WARN and observed["low"] > 0:
        return f"{said}: none of them looked at the inputs"
    if verdict is Verdict.WARN:
        return f"{said}: {_level(observed)}"
    return said


def _level(observed: Mapping[str, Any]) -> str:
    if observed["same"]:
        return "it predicts exactly the same"
    if observed["gain"] <= 0:
        return "the task does not beat it"
    return f"the interval includes 0{_how_many(observed)}"


def repair(observed: Mapping[str, Any], verdict: Verdict) -> str:
    """What to do about it; empty where it passed."""
    if verdict is Verdict.PASS:
        return ""
    if verdict is Verdict.FAIL:
        return _ADVICE
    if verdict is Verdict.WARN and observed["low"] > 0:
        missing = [why for why in observed["left_out"].values() if "install" in why]
        return missing[0] if missing else "nominate a run that learns from the inputs: `--baseline RUN`"
    if observed["low"] is None:
        return "give a metric that has a value for most samples of the examples"
    if observed["same"]:
        return "the cheap model is as good: use it, or say what the task is for"
    return f"score about {observed['needed']:,} examples, or more" if observed["needed"] else _ADVICE


def _gain(observed: Mapping[str, Any]) -> str:
    low, high, points = observed["low"], observed["high"], observed["points"]
    bounds = "" if low is None else f" [{_number(low, points)}, {_number(high, points)}]"
    gain = observed["gain"]
    return f"{'+' if gain >= 0 else ''}{_number(gain, points)}{' points' if points else ''}{bounds}"


def _number(value: float, points: bool) -> str:
    # Adding zero takes the sign from a negative zero.
    return f"{round(100 * value, 1) + 0.0:.1f}" if points else f"{float(f'{value:.3g}') + 0.0:.3g}"


def _cost(observed: Mapping[str, Any]) -> str:
    ratio = observed["cost_ratio"]
    if ratio is None:
        return ""
    if ratio < _CHEAPER_BEYOND_COUNTING:
        return f" for less than ×{_CHEAPER_BEYOND_COUNTING} the cost"
    return f" for ×{float(f'{ratio:.2g}'):,.0f} the cost" if ratio >= 9.5 else f" for ×{ratio:.2g} the cost"


def _tried(observed: Mapping[str, Any]) -> str:
    count = observed["tried"]
    return f"{count} baseline{'' if count == 1 else 's'} tried"


def _units(observed: Mapping[str, Any]) -> str:
    if observed["units"] == observed["count"]:
        return f"{observed['count']} examples"
    return f"{observed['units']} groups of {observed['count']} examples"


def _how_many(observed: Mapping[str, Any]) -> str:
    return f", about {observed['needed']:,} are needed" if observed["needed"] else ""
