"""A run that only evaluates says nothing of a training: rules about that look at what it loaded the checkpoints of."""

from __future__ import annotations

from dataclasses import replace

from ...policy import Policy
from ...records.result import Check, Verdict
from ..evidence import Claim, Evidence
from .finding import Rule

_GRAVITY = (
    Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.WARN, Verdict.WAIVED, Verdict.PASS, Verdict.NOT_APPLICABLE,
)  # fmt: skip


def of_training(rule: Rule) -> Rule:
    """The rule, of the runs that trained."""

    def judge(claim: Claim, evidence: Evidence, policy: Policy) -> Check:
        return rule(claim, evidence.trainings, policy)

    return judge


def of_both(rule: Rule) -> Rule:
    """The rule, of the runs of the claim and of those that trained, each among themselves: the graver verdict."""

    def judge(claim: Claim, evidence: Evidence, policy: Policy) -> Check:
        own = rule(claim, evidence, policy)
        if not any(run.trained for run in evidence.runs):
            return own
        other = rule(claim, evidence.trainings, policy)
        graver = min((own, other), key=lambda check: _GRAVITY.index(check.verdict))
        return replace(graver, evidence={**other.evidence, **own.evidence})

    return judge
