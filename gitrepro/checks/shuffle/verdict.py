"""What an excess over chance says: a verdict, the sentence that goes with it, and what to do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from ...records.result import Verdict

ALGORITHM: Final = 2
SURE: Final = 1.645
"""Standard errors of a one-sided bound of 95 %."""
_SEEN: Final = 3.09 + SURE
"""Standard errors that an excess has to be, so that p is below 0.001 in 19 of 20 cases."""
NEEDED: Final = SURE + 2.33
"""Of the error in the allowed leak, so that 99 of 100 sound experiments are below the bound."""
LEARNT: Final = 3.0
"""Deviations of chance that the real score is above its own chance, for a gain that shares can be taken of."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """An excess over chance as a share of the gain; None where there is no gain.

    Attributes:
        share: what it comes to.
        at_most: its upper bound, 95 % one-sided.
        seen_from: the least that would have been found in 19 of 20 cases.
    """

    share: float | None
    at_most: float | None
    seen_from: float | None


def leak_of(observed: Mapping[str, Any]) -> Leak:
    """How much of the gain is leaked, from `gain`, `learnt`, `excess` and `error`."""
    gain, excess, error = observed["gain"], observed["excess"], observed["error"]
    if gain <= 0 or observed["learnt"] < LEARNT:
        return Leak(share=None, at_most=None, seen_from=None)
    return Leak(share=excess / gain, at_most=(excess + SURE * error) / gain, seen_from=_SEEN * error / gain)


def judge(observed: Mapping[str, Any], parameters: Mapping[str, Any]) -> Verdict:
    """The verdict on one arm.

    INCONCLUSIVE where trials could not be scored, the scored part has too few units, the task is not above chance
    itself, or it does not learn from the labels it was handed. FAIL where the excess is no chance, twice over, and the
    leak may carry the conclusion; WARN where it may not, or is less sure, or where columns that may be a fair input
    carry it, or where examples of another part were predicted. PASS where the upper bound of the leak is small. Else
    INCONCLUSIVE.

    Args:
        observed: as `shuffle.labels` and `shuffle.inputs` have them.
        parameters: `Settings.document()`.
    """
    if "stopped" in observed or too_few(observed, parameters):
        return Verdict.INCONCLUSIVE
    at_most = leak_of(observed).at_most
    again = observed["p_again"] is not None and observed["p_again"] < parameters["again_below"]
    if again and observed["p"] < parameters["warn_below"]:
        small = at_most is not None and at_most <= parameters["leaked_at_most"]
        sure = observed["p"] < parameters["fail_below"] and not small and _unfair(observed)
        return Verdict.FAIL if sure else Verdict.WARN
    if at_most is None or unmoved(observed, parameters):
        return Verdict.INCONCLUSIVE
    if at_most > parameters["leaked_at_most"]:
        return Verdict.INCONCLUSIVE
    return Verdict.WARN if observed["elsewhere"] else Verdict.PASS


def too_few(observed: Mapping[str, Any], parameters: Mapping[str, Any]) -> bool:
    """Whether fewer examples, or units of them, are scored than any verdict needs."""
    return bool(observed["scored"] < parameters["least_scored"] or observed["units"] < parameters["least_units"])


def _unfair(observed: Mapping[str, Any]) -> bool:
    """Whether no sound experiment has this excess: not the order of examples that are split by time or by domain, and
    not a column that may happen to be sorted."""
    if not observed.get("iid", True):
        return False
    return bool(not observed.get("kept") or observed["kept_surely"] or observed["outside"])


def unmoved(observed: Mapping[str, Any], parameters: Mapping[str, Any]) -> bool:
    """Whether the true labels are predicted although others were handed over."""
    return bool(min(observed.get("unmoved", [0.0])) >= parameters["unmoved_from"])


def units_needed(observed: Mapping[str, Any], parameters: Mapping[str, Any]) -> int | None:
    """About how many independent scored examples a PASS would take; None where no number would do."""
    if "stopped" in observed or observed["gain"] <= 0:
        return None
    ratio = float(NEEDED * observed["error"] / (parameters["leaked_at_most"] * observed["gain"]))
    return max(math.ceil(int(observed["units"]) * ratio**2), int(parameters["least_units"]))
