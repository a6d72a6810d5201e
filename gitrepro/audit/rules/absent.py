"""Rules whose evidence is not on record yet: they say so, and what would be evidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ...policy import Policy
from ...records.result import Check, Verdict
from ..evidence import Claim, Evidence, RunEvidence
from .finding import Rule, check, counted, mapping

WANTED: Final[Mapping[str, str]] = {
    "data": "name the data and the split of each run by content",
    "baseline": "score a simple model on the same data with the same metric",
    "shuffle": "train once with shuffled labels and keep its score",
    "overfit": "train once on a handful of examples and keep its loss",
    "distribution": "compare the statistics of training and test data",
    "stopping": "state the stopping rule and the data it watches before the run",
    "batch": "keep batch size, accumulation and number of devices of each run",
    "precision": "keep the numeric precision and its flags of each run",
    "separation": "keep the examples of each split, and every reading of the test split",
}


def absent(rule: str) -> Rule:
    """A rule that is INCONCLUSIVE: silence is no evidence."""

    def judge(claim: Claim, _evidence: Evidence, _policy: Policy) -> Check:
        return check(rule, claim, Verdict.INCONCLUSIVE, "no evidence of this kind is on record", _repair(rule), {})

    return judge


def _repair(rule: str) -> str:
    waive = f"`gitrepro waive {rule} RUN --reason TEXT`"
    return f"{WANTED[rule]}; until that is on record, claim a level that does not require it, or {waive}"


def data(claim: Claim, evidence: Evidence, _policy: Policy) -> Check:
    """FAIL: the runs treated their data differently before it was used. Else INCONCLUSIVE: no data is on record."""
    digests = {run.id: _preprocess(run) for run in evidence.runs}
    several = len(set(digests.values()))
    facts = {"preprocess": digests} if any(digests.values()) else {}
    if several > 1:
        why = f"the runs prepared their data in {counted(several, 'way')}, so they did not see the same"
        return check("data", claim, Verdict.FAIL, why, "name runs with one preprocessing", facts)
    return check("data", claim, Verdict.INCONCLUSIVE, "no data is on record by its content", _repair("data"), facts)


def _preprocess(run: RunEvidence) -> str | None:
    found: Any = run.record.preprocess if run.record else None
    digest = mapping(found).get("digest", found if isinstance(found, str) else None)
    return digest if isinstance(digest, str) else None
