"""The gate: rules over recorded evidence, and what becomes a result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..policy import FLOOR, Policy
from ..records.event import Event
from ..records.result import Audit, Check, Verdict
from ..store.objects import digest_of
from .evidence import Claim, Evidence
from .rules import ALGORITHMS, ALL

__all__ = ["Claim", "Evidence", "audit"]


def audit(claim: Claim, evidence: Evidence, policy: Policy) -> Audit:
    """Judge a claim. Pure: the same claim, evidence and policy give the same bytes everywhere."""
    checks = (rule(claim, evidence, policy) for rule in ALL.values())
    return Audit(
        tag=claim.tag,
        level=claim.level,
        stage=str(claim.stage),
        runs=claim.runs,
        commit=claim.commit,
        code_tree=claim.code_tree,
        as_of=evidence.as_of,
        policy=digest_of([policy.dump()]),
        algorithms=ALGORITHMS,
        checks=tuple(_waived(check, evidence) for check in checks),
    )


def _waived(check: Check, evidence: Evidence) -> Check:
    """The check, or WAIVED where a waiver of the result, or one of every run, lifts what would block."""
    if check.rule in FLOOR or not check.verdict.blocks:
        return check
    of_result = _waivers(evidence.waivers, check.rule)
    of_runs = [_waivers(run.standing.waivers, check.rule) for run in evidence.runs]
    found = of_result or ([event for events in of_runs for event in events] if of_runs and all(of_runs) else [])
    if not found:
        return check
    said = "; ".join(f"{event.actor.get('name', 'someone')}: {_mapping_of(event)['reason']}" for event in found)
    return replace(check, verdict=Verdict.WAIVED, why=f"{check.verdict}: {check.why}; waived by {said}", repair="")


def _waivers(events: Sequence[Event], rule: str) -> list[Event]:
    # A waiver without a reason is none.
    return [event for event in events if _mapping_of(event).get("rule") == rule and _mapping_of(event).get("reason")]


def _mapping_of(event: Event) -> dict[str, object]:
    return event.value if isinstance(event.value, dict) else {}
