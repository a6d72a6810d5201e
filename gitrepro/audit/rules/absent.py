"""Rules whose evidence is not on record yet: they say so, and what would be evidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ...policy import Policy
from ...records.result import Check, Verdict
from ..evidence import Claim, Evidence
from .finding import Rule, check

WANTED: Final[Mapping[str, str]] = {
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
