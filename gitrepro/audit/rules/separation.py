"""The rule `separation`: no test example had a part in training or in a choice, and the numbers are those of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ...policy import Policy
from ...records.metricnames import part_of
from ...records.result import Check, Verdict
from ..evidence import Claim, Evidence, RunEvidence
from . import numbers, opened
from .checked import Found, found_of
from .checkpoints import chosen_by
from .drawn import Line
from .finding import Finding, Told, check, gravest, mapping
from .tied import OTHER

_FIT: Final = "fit it on the train part alone: `run.fit_statistics`; `gitrepro check data TASK` shows it"
_FITTED: Final = "separation.fitted"
_CHECK: Final = "`gitrepro check data TASK`"


def separation(claim: Claim, evidence: Evidence, policy: Policy) -> Check:
    """FAIL: a number does not come of its predictions; a choice was made, or something fitted, on test data; the log of
    a test part was cut. INCONCLUSIVE: there are no predictions on record, or they are not here.

    Use of a test part before the runs were chosen is a WARN, and FAIL at strict; the openings are counted and told.
    """
    told = [*_told(claim, evidence, policy)]
    facts = _facts(claim, evidence, policy) if evidence.runs else {}
    return check("separation", claim, *gravest(told), facts)


def _told(claim: Claim, evidence: Evidence, policy: Policy) -> Iterator[Told]:
    for run in evidence.whole.runs:
        if run.record is None:
            yield run, Finding(Verdict.INCONCLUSIVE, run.trouble)
            continue
        for finding in _of_run(claim, evidence, run):
            yield run, finding
    # What is said of all runs together stands with each of them, and so is told once.
    for finding in [*opened.uses(claim, evidence), *_of_checks(claim, evidence, policy)]:
        yield from ((run, finding) for run in evidence.runs)


def _of_run(claim: Claim, evidence: Evidence, run: RunEvidence) -> Iterator[Finding]:
    yield from numbers.numbers_of(run, claim.stage)
    yield from opened.uses_of(claim, evidence, run)
    yield from _choices(run)
    yield from _fits(run)


def _choices(run: RunEvidence) -> Iterator[Finding]:
    """What was chosen by test data: a checkpoint, or when to stop."""
    for each in chosen_by(run):
        if each["part"] == "test":
            why = f"the best checkpoint was chosen by {each['metric']}, a metric of the test part"
            yield Finding(Verdict.FAIL, why, "choose by a validation metric, and train again")
    for rule in mapping(run.record.stopping if run.record else None).get("rules") or ():
        metric = mapping(mapping(rule).get("parameters")).get("metric")
        if isinstance(metric, str) and part_of(metric) == "test":
            why = f"when to stop was decided by {metric}, a metric of the test part"
            yield Finding(Verdict.FAIL, why, "watch a validation metric, and train again")


def _fits(run: RunEvidence) -> Iterator[Finding]:
    """What was fitted before the training, and on which part."""
    for entry in run.record.fitted if run.record else ():
        name, part = mapping(entry).get("name"), str(mapping(entry).get("part"))
        if part_of(part) == "test":
            yield Finding(Verdict.FAIL, f"{name} was fitted on the part {part}", _FIT)
        elif part_of(part) != "train":
            yield Finding(Verdict.WARN, f"{name} was fitted on the part {part}, not on train", _FIT)


def _of_checks(claim: Claim, evidence: Evidence, policy: Policy) -> Iterator[Finding]:
    """What the data check found of ids, groups and times on both sides, and of what is fitted on which part."""
    found = _standing(claim, evidence, policy)
    lines = found.lines if found else ()
    for line in lines:
        weight = line.verdict if line.verdict is Verdict.FAIL else Verdict.WARN
        if line.verdict not in (Verdict.PASS, Verdict.NOT_APPLICABLE):
            yield Finding(weight, f"{line.name}: {line.why}", line.repair or _CHECK)
    if not _shows_fitting(evidence, lines):
        why = "nothing on record shows that what is fitted before training was fitted on train alone"
        yield Finding(Verdict.WARN, why, _CHECK)


def _standing(claim: Claim, evidence: Evidence, policy: Policy) -> Found | None:
    """The newest data check of the same code; without one, the newest of what may be the same data."""
    found = [each for each in found_of("separation", claim, evidence, policy) if each.tie.data != OTHER]
    return next((each for each in found if each.tie.stands), next(iter(found), None))


def _shows_fitting(evidence: Evidence, lines: tuple[Line, ...]) -> bool:
    if any(line.name == _FITTED and line.verdict is not Verdict.NOT_APPLICABLE for line in lines):
        return True
    return all(run.record is not None and run.record.fitted for run in evidence.runs)


def _facts(claim: Claim, evidence: Evidence, policy: Policy) -> dict[str, Any]:
    found = _standing(claim, evidence, policy)
    facts: dict[str, Any] = {"evaluations": {run.id: numbers.facts_of(run) for run in evidence.runs if run.scored}}
    facts["holdouts"] = opened.facts_of(evidence)
    facts["reads of test parts"] = {run.id: reads for run in evidence.runs if (reads := opened.test_reads(run))}
    facts["fitted"] = {
        run.id: [
            {name: mapping(each).get(name) for name in ("name", "part", "ids", "blob")} for each in run.record.fitted
        ]
        for run in evidence.runs
        if run.record and run.record.fitted
    }
    facts["checks"] = {found.run.id: found.document()} if found else {}
    return {name: each for name, each in facts.items() if each}
