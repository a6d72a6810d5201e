"""From the words of guards in a journal to the field `stopping` of a record, and to the status of the run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from ..records.run import RunRecord, Status
from ..records.stopping import ADVICE, ANOTHER_RANK, Effect

RULES, FOUND, STOPPED = "guard", "guard_found", "guard_stopped"
"""The events: rules that a guard begins with, something that one of them found, and a program that was told to stop."""
_RULES_AT_MOST: Final = 50
_FINDINGS_AT_MOST: Final = 50


def stopping(events: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The field `stopping` of a record; None where no guard watched."""
    events = list(events)
    rules = _once(rule for event in events if event.get("op") == RULES for rule in event["rules"])
    if not rules:
        return None
    stops = sorted((event for event in events if event.get("op") == STOPPED), key=lambda stop: _least(stop["finding"]))
    found = [event["finding"] for event in events if event.get("op") == FOUND]
    warnings = _once(each for each in found if each.get("effect") == Effect.WARN)
    fired = [each for each in found if each.get("effect") != Effect.WARN]
    reason = stops[0]["finding"] if stops else None
    also = _once(each for each in fired if reason is None or _key(each) != _key(reason))
    return {
        "rules": rules[:_RULES_AT_MOST],
        "stopped": bool(stops),
        "reason": reason,
        "warnings": warnings[:_FINDINGS_AT_MOST],
        **({"also": also[:_FINDINGS_AT_MOST]} if also else {}),
        **_in_hand(stops),
    }


def _least(finding: Mapping[str, Any]) -> tuple[bool, bool]:
    """How little a reason tells: what a rank heard of, less than what one found; what ends, less than what aborts."""
    return finding.get("code") == ANOTHER_RANK, finding.get("effect") != Effect.ABORT


def _in_hand(stops: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What an abort left: the ids of the last batches, a line each, and the checkpoint."""
    for stop in stops:
        batches = [{**each, "ids": json.dumps(each.get("ids"))} for each in stop.get("batches") or ()]
        kept = {"batches": batches, "checkpoint": stop.get("checkpoint")}
        return {name: value for name, value in kept.items() if value}
    return {}


def _once(found: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each of them once: several ranks say the same."""
    return list({_key(each): dict(each) for each in reversed([*found])}.values())[::-1]


def _key(each: Mapping[str, Any]) -> str:
    # As text, for NaN is not equal to itself.
    return json.dumps(each, sort_keys=True)


def judged(record: RunRecord) -> RunRecord:
    """The record of a run that ended in good order because a rule told it that all is lost: it was aborted.

    Of several ranks the first one ends the run, and may only have heard of it: the reason is that of all together.
    """
    told = record.stopping or {}
    if record.status not in (Status.FINISHED, Status.ABORTED) or not told.get("stopped"):
        return record
    reason = told.get("reason") or {}
    if reason.get("effect") != Effect.ABORT:
        return record
    return replace(record, status=Status.ABORTED, reason=abort_reason(reason))


def abort_reason(finding: Mapping[str, Any]) -> dict[str, Any]:
    """The reason of a run that was aborted, as any other reason: what kind, in words, and what to do."""
    code = str(finding.get("code"))
    advice = ADVICE.get(code)
    return {
        "kind": "guard",
        "rule": finding.get("rule"),
        "code": code,
        "step": finding.get("step"),
        "message": finding.get("said"),
        **({"do": advice.do} if advice else {}),
    }
