"""The gate: rules over recorded evidence, and what becomes a result."""

from __future__ import annotations

from dataclasses import replace

from ..policy import FLOOR, Policy
from ..records.result import Audit, Check, Verdict
from ..store.objects import digest_of
from .evidence import Claim, Evidence
from .rules import ALGORITHMS, ALL
from .waivers import waivers_of

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
        checks=tuple(_with_waivers(check, evidence) for check in checks),
        evidence=claim.evidence,
    )


def _with_waivers(check: Check, evidence: Evidence) -> Check:
    """The check with every waiver of it there ever was, and WAIVED where one of them lifts what would block.

    A waiver of the result lifts it, or one of every run.
    """
    of_result = waivers_of(evidence.standing, check.rule)
    of_runs = [waivers_of(run.standing, check.rule) for run in evidence.runs]
    known = [*of_result, *(waiver for waivers in of_runs for waiver in waivers)]
    if not known:
        return check
    told = replace(check, evidence={**check.evidence, "waivers": [waiver.document() for waiver in known]})
    covered = any(w.holds for w in of_result) or (of_runs and all(any(w.holds for w in each) for each in of_runs))
    if check.rule in FLOOR or not check.verdict.blocks or not covered:
        return told
    said = "; ".join(dict.fromkeys(f"{waiver.actor}: {waiver.reason}" for waiver in known if waiver.holds))
    return replace(told, verdict=Verdict.WAIVED, why=f"{check.verdict}: {check.why}; waived by {said}", repair="")
