"""The rule `audit`: the runs, and the checks they are judged by, are on record as they were cited."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ...policy import Policy, Stage
from ...records.result import Check, Verdict
from ...records.run import Kind, Status
from ..evidence import Claim, Evidence, RunEvidence
from .finding import Finding, check, gravest

RESULT_KINDS: Final = (Kind.TRAIN, Kind.EVAL)
_OTHERS: Final = "name a run that `gitrepro ls` shows as finished"
_FETCH: Final = "`git fetch REMOTE refs/gitrepro/runs:refs/gitrepro-remotes/REMOTE/runs` from where it ran"


def audit(claim: Claim, evidence: Evidence, _policy: Policy) -> Check:
    """FAIL unless every run is on record, whole, finished, not removed, and the one that the claim cites.

    Of a resumed run every attempt before it has to be on record too, and the newest is the one to cite. At push and
    on a server the remote must hold the runs, or the tag would point at something others cannot see. A check that the
    claim is judged by has to be on record as it was cited, too.
    """
    found = [(run, _registration(claim, evidence, run)) for run in evidence.runs]
    beside = [*evidence.checks, *evidence.behind]
    found += [(run, Finding(Verdict.FAIL, *fault)) for run in beside if (fault := _beside_fault(claim, evidence, run))]
    if claim.stage is not Stage.TAG and evidence.runs:
        found.append((evidence.runs[0], _publication(evidence)))
    facts = {run.id: {"status": run.record.status if run.record else None, "tree": run.tree} for run in evidence.runs}
    lineages = {run.id: [each.id for each in run.earlier] for run in evidence.runs if run.earlier or run.lost_attempt}
    told = {"attempts": lineages, "checks": _trees(evidence.checks), "trained": _trees(evidence.behind)}
    more = {name: each for name, each in told.items() if each}
    return check("audit", claim, *gravest(found), {"pushed": evidence.pushed, "runs": facts, **more})


def _registration(claim: Claim, evidence: Evidence, run: RunEvidence) -> Finding:
    fault = _fault(claim, run) or _superseded(evidence, run)
    if fault is not None:
        return Finding(Verdict.FAIL, *fault)
    return _lineage(run) or Finding(Verdict.PASS, "on record, finished, and as cited")


def _fault(claim: Claim, run: RunEvidence) -> tuple[str, str] | None:
    cited = next((cited.tree for cited in claim.runs if cited.id == run.id), None)
    if run.record is None or run.trouble:
        return f"run {run.id[-8:]} cannot stand in a result: {run.trouble}", _OTHERS
    if run.tree != cited:
        why = f"the record of {run.id[-8:]} is not the one that was declared"
        return why, "fetch the record from a remote that has the one declared, or declare a new result"
    if run.record.kind not in RESULT_KINDS:
        return f"a run of kind {run.record.kind} stands in no result", _OTHERS
    if run.record.status != Status.FINISHED:
        return f"it is {run.record.status.replace('_', ' ')}, not finished", _OTHERS
    if run.standing.removed:
        return "it was removed", f"{_OTHERS}, or take it back with `gitrepro rm --undo {run.id[-8:]}`"
    return None


def _trees(runs: Iterable[RunEvidence]) -> dict[str, str | None]:
    return {run.id: run.tree for run in runs}


def _beside_fault(claim: Claim, evidence: Evidence, run: RunEvidence) -> tuple[str, str] | None:
    """What is wrong with a run that the claim cites beside its own: a check, or what trained its model."""
    what = f"the {'check' if run in evidence.checks else 'training'} {run.id[-8:]}"
    again = "fetch the record from a remote that has the one declared, or make it again and declare a new result"
    cited = next((cited.tree for cited in claim.evidence if cited.id == run.id), None)
    if run.record is None or run.trouble:
        return f"{what} cannot be evidence: {run.trouble}", again
    if run.tree != cited:
        return f"the record of {what} is not the one that was declared", again
    if run.record.status != Status.FINISHED:
        return f"{what} is {run.record.status.replace('_', ' ')}, not finished", again
    if run.standing.removed:
        return f"{what} was removed", f"`gitrepro rm --undo {run.id[-8:]}`"
    return None


def _superseded(evidence: Evidence, run: RunEvidence) -> tuple[str, str] | None:
    newer = next((each for each in evidence.runs if run.id in [attempt.id for attempt in each.earlier]), None)
    if newer is None:
        return None
    return f"it was resumed by {newer.id[-8:]}, which is cited too", "cite the newest attempt alone"


def _lineage(run: RunEvidence) -> Finding | None:
    """What is wrong with the attempts before a run."""
    if run.lost_attempt:
        why = f"the attempt {run.lost_attempt[-8:]} that it goes back to is not on record"
        return Finding(Verdict.INCONCLUSIVE, why, _FETCH)
    for attempt in run.earlier:
        if attempt.record is None or attempt.trouble:
            why = f"the attempt {attempt.id[-8:]} that it goes back to cannot be read: {attempt.trouble}"
            return Finding(Verdict.INCONCLUSIVE, why, _FETCH)
        if attempt.standing.removed:
            repair = f"`gitrepro rm --undo {attempt.id[-8:]}`"
            return Finding(Verdict.FAIL, f"the attempt {attempt.id[-8:]} that it goes back to was removed", repair)
    return None


def _publication(evidence: Evidence) -> Finding:
    push = f"gitrepro push {evidence.pushed_to}"
    if evidence.pushed:
        return Finding(Verdict.PASS, "the remote holds the runs")
    if evidence.pushed is None:
        return Finding(Verdict.INCONCLUSIVE, "whether the remote holds the runs is not known", f"`{push}`")
    return Finding(Verdict.FAIL, "the remote does not hold the runs of this result", f"`{push}`")
