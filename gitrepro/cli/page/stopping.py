"""The sections on what guards and curves said: what was seen, what to do, and the risk of ignoring it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ...records.run import RunRecord
from ...records.stopping import ADVICE
from .parts import LISTED_AT_MOST, Rows, mapping, maps, value

_TOLD: Final = ("metric", "patience", "hours", "steps", "cost", "energy_joules")


def stopping(record: RunRecord) -> Rows:
    found = mapping(record.stopping)
    if not found:
        return []
    rules = [("rule", _rule(each)) for each in maps(found.get("rules"))]
    reason = mapping(found.get("reason"))
    rows = [*rules[:LISTED_AT_MOST], ("stopped", f"by {reason.get('rule')}" if found.get("stopped") else "no")]
    rows += [row for each in ([reason] if reason else []) for row in _finding(each)]
    for title in ("also", "warnings"):
        rows += [row for each in maps(found.get(title))[:LISTED_AT_MOST] for row in _finding(each)]
    if batches := maps(found.get("batches")):
        rows.append(("batches", f"the ids of the last {len(batches)} are on record"))
    if found.get("checkpoint"):
        rows.append(("state", f"the checkpoint {found['checkpoint']!s} holds what it was then"))
    return rows


def _rule(each: Mapping[str, Any]) -> str:
    parameters = mapping(each.get("parameters"))
    told = [f"{name} {value(parameters[name])}" for name in _TOLD if name in parameters]
    return "  ".join([str(each.get("rule")), *told])


def _finding(each: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    step = "" if each.get("step") is None else f"  (step {each['step']})"
    yield "seen", f"{each.get('said')}{step}"
    if advice := ADVICE.get(str(each.get("code"))):
        yield "do", advice.do
        yield "risk", advice.risk


# What a curve shows, in words; that it lies on a plateau is good news for most, and comes without advice.
_SHOWS: Final[Mapping[str, str]] = {
    "overfitting": "got worse since its best, while training went on getting better",
    "divergence": "stayed far above the best it had",
    "not-falling": "shows no downward trend",
    "oscillation": "swings by more than half of what it fell",
    "plateau": "has no slope in its last fifth",
    "spikes": "has single values far above those before them",
}


def curves(record: RunRecord) -> Rows:
    """The best and the last of each curve, and what was found in it."""
    rows: Rows = []
    for name, curve in list(mapping(mapping(record.curves).get("metrics")).items())[:LISTED_AT_MOST]:
        found = mapping(curve)
        rows.append((name, "  ".join(_ends(found))))
        shown = [kind for kind, verdict in mapping(found.get("verdicts")).items() if mapping(verdict).get("found")]
        for kind in (kind for kind in _SHOWS if kind in shown):
            rows.append(("", _SHOWS[kind]))
            if kind in ADVICE:
                rows.append(("", f"do: {ADVICE[kind].do}"))
    return rows


def _ends(curve: Mapping[str, Any]) -> Iterator[str]:
    for end in ("best", "last"):
        if point := mapping(curve.get(end)):
            yield f"{end} {value(point.get('value'))} at step {point.get('step')}"
