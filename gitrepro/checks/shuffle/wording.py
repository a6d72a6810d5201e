"""The sentence of a line, and what to do: from the same numbers as its verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from ...records.result import Verdict
from .verdict import leak_of, too_few, units_needed, unmoved

Arm = Literal["labels", "inputs"]
_LONG_SECONDS: Final = 60.0
_DONE: Final[Mapping[Arm, str]] = {"labels": "with labels at random", "inputs": "with inputs that tell nothing"}
_LOOK: Final[Mapping[Arm, str]] = {
    "labels": "look for what sees labels of the scored part: features chosen, or categories encoded, on all data; "
    "examples on both sides of the split; a score on examples that were trained on",
    "inputs": "look for what tells the label besides the inputs: file names, ids, times, the order of the examples; "
    "if `shuffle.labels` fails as well, look there first",
}


def why(arm: Arm, verdict: Verdict, observed: Mapping[str, Any], parameters: Mapping[str, Any]) -> str:
    """One sentence with the numbers that decide."""
    if "stopped" in observed:
        return str(observed["stopped"])
    if too_few(observed, parameters):
        least = f"{parameters['least_scored']} examples in {parameters['least_units']} groups are the least"
        return f"{observed['scored']} examples in {observed['units']} independent groups are scored; {least}"
    said = f"{_DONE[arm]} it scores {_number(observed['score'])}, chance is {_number(observed['chance'])}"
    return f"{said}; {_decides(arm, verdict, observed, parameters)}{_cost(observed)}"


def _decides(arm: Arm, verdict: Verdict, observed: Mapping[str, Any], parameters: Mapping[str, Any]) -> str:
    leak = leak_of(observed)
    if observed["elsewhere"] and verdict in (Verdict.FAIL, Verdict.WARN):
        return f"p {_p(observed)}; {observed['elsewhere']} of {observed['scored']} predictions are of another part"
    if verdict in (Verdict.FAIL, Verdict.WARN):
        share = "" if leak.share is None else f", {leak.share:.0%} of the gain over chance"
        return f"p {_p(observed)}{share}{_from(arm, observed)}"
    if leak.at_most is None or leak.seen_from is None:
        return f"it scores {_number(observed['real'])} with the right ones, no more than chance: nothing can be told"
    if unmoved(observed, parameters):
        return "its predictions fit the true labels as before, so it does not learn from the labels it is given"
    return (
        f"at most {max(leak.at_most, 0.0):.0%} of the gain of {_number(observed['gain'])} is leaked; "
        f"{_seen(leak.seen_from)}"
    )


def _seen(share: float) -> str:
    if share == 0:
        return "it predicts the same for all, so no leak shows in what it predicts"
    return f"a leak of {share:.1%} would have been seen"


def _from(arm: Arm, observed: Mapping[str, Any]) -> str:
    if arm == "labels" and observed["twins"]:
        return f"; {observed['twins']} of {observed['scored']} scored examples have a twin in train"
    if observed.get("kept") and not observed["outside"]:
        return f", by the columns {', '.join(observed['kept'])}"
    return ""


def repair(arm: Arm, verdict: Verdict, observed: Mapping[str, Any], parameters: Mapping[str, Any]) -> str:
    """What to do next; nothing where the verdict is PASS."""
    if verdict is Verdict.PASS:
        return ""
    if verdict in (Verdict.FAIL, Verdict.WARN):
        return _of_leak(arm, observed)
    if "stopped" in observed:
        return str(observed.get("do", ""))
    if leak_of(observed).at_most is None:
        return "give it more of the budget: gitrepro check shuffle --full" if _cheap(observed) else "let it learn first"
    if unmoved(observed, parameters):
        return "learn from what `predict` is given, not from what was loaded before; or there is nothing to check"
    wanted = units_needed(observed, parameters)
    more = "; or run it whole: gitrepro check shuffle --full" if _cheap(observed) else ""
    return f"score about {wanted} independent examples instead of {observed['units']}{more}"


def _of_leak(arm: Arm, observed: Mapping[str, Any]) -> str:
    if observed["elsewhere"]:
        return "predict the part that is scored, with the ids that `data.judged` has"
    if arm == "labels" and observed["twins"]:
        return "take equal examples, and those of one group, out of one of the two sides; then see what is left"
    if arm == "inputs" and observed.get("kept") and not observed["outside"]:
        return f"leave out {', '.join(observed['kept'])}, or say what they could tell of new examples"
    if not observed.get("iid", True):
        return "a trend is a fair thing to learn where the split goes by time; a coded label is not: look which it is"
    return _LOOK[arm]


def _cheap(observed: Mapping[str, Any]) -> bool:
    return bool(observed["fraction"] * observed["share"] < 1)


def _cost(observed: Mapping[str, Any]) -> str:
    if not _cheap(observed) or not observed["cost"]:
        return ""
    if observed["cost"] >= 1:
        return f" (at {observed['cost']:.1f} times the real run's work)"
    return f" (at {observed['cost']:.1%} of the real run's work)"


def outlook(trainings: int, seconds: float) -> str:
    """What a person may want to know before it goes on; empty where it is short.

    Args:
        trainings: that are still to come, at least.
        seconds: of one of them.
    """
    if trainings * seconds < _LONG_SECONDS:
        return ""
    return f"shuffle: at least {trainings} more trainings of about {seconds:.0f} s; `--budget SHARE` makes them cheaper"


def _p(observed: Mapping[str, Any]) -> str:
    least = 1 / (observed["resamples"] + 1)
    return f"≤ {least:.4f}" if observed["p"] <= least else f"= {observed['p']:.4f}"


def _number(value: float) -> str:
    return f"{value:.4g}"
