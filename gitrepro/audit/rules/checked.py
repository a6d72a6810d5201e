"""The rules `baseline`, `shuffle`, `overfit` and `distribution`: what `gitrepro check` found of the same experiment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from ...policy import Policy
from ...records.result import Check, Verdict
from ..evidence import Claim, Evidence, RunEvidence
from .drawn import GRAVITY, Line, drawn_again
from .finding import FILES_AT_MOST, Finding, Rule, check
from .tied import Tie, lines_of, tie_of

COMMAND: Final[Mapping[str, str]] = {
    "baseline": "gitrepro check baseline TASK",
    "distribution": "gitrepro check data TASK",
    "overfit": "gitrepro check overfit TASK",
    "shuffle": "gitrepro check shuffle TASK",
}
"""By rule, what puts its evidence on record; `gitrepro check init` writes a TASK to start from."""
DECIDES: Final[Mapping[str, tuple[str, ...]]] = {
    "baseline": ("baseline.beaten",),
    "distribution": (
        "distribution.classes", "distribution.drift", "distribution.duplicates", "distribution.schema",
    ),
    "overfit": ("overfit.mini_batch",),
    "shuffle": ("shuffle.labels", "shuffle.inputs"),
}  # fmt: skip
"""By rule, the lines without which it has no verdict. Any other line can make it worse, and is no more than a warning
where it could not tell."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one check run says of a rule."""

    run: RunEvidence
    tie: Tie
    lines: tuple[Line, ...]

    def document(self) -> dict[str, Any]:
        return {**self.tie.document(), "lines": {line.name: line.document() for line in self.lines}}

    @property
    def fails(self) -> bool:
        return any(line.verdict is Verdict.FAIL for line in self.lines)


def checked(rule: str) -> Rule:
    """A rule that is what a check of the experiment found, each verdict drawn again from the numbers on record.

    The newest check of the same code counts. INCONCLUSIVE: there is none, it lacks what decides, it was made of other
    data, or its verdicts do not follow from its numbers. WARN at best: nothing ties it to the data of the runs, or an
    older check of the same code and data has failed.
    """

    def judge(claim: Claim, evidence: Evidence, policy: Policy) -> Check:
        found = found_of(rule, claim, evidence, policy)
        facts = {"checks": {each.run.id: each.document() for each in found[:FILES_AT_MOST]}} if found else {}
        if not found:
            return check(rule, claim, Verdict.INCONCLUSIVE, *_missing(rule), facts)
        chosen = next((each for each in found if each.tie.stands), found[0])
        findings = [*_of_lines(rule, chosen), *chosen.tie.doubts(), *_of_others(chosen, found)]
        verdict = max((each.verdict for each in findings), key=GRAVITY.index)
        gravest = [each for each in findings if each.verdict is verdict]
        why = "; ".join(dict.fromkeys(each.why for each in gravest[:3]))
        repair = "; or ".join([*dict.fromkeys(each.repair for each in gravest if each.repair)][:2])
        return check(rule, claim, verdict, why, repair or f"`{COMMAND[rule]}`", facts)

    return judge


def found_of(rule: str, claim: Claim, evidence: Evidence, policy: Policy) -> list[Found]:
    """What the cited check runs say of a rule, the newest first."""
    found = []
    for run in evidence.checks:
        if not run.trouble and (entries := lines_of(run, rule)):
            lines = tuple(drawn_again(entry, policy.thresholds) for entry in entries)
            found.append(Found(run=run, tie=tie_of(claim, evidence, run), lines=lines))
    return found


def _missing(rule: str) -> tuple[str, str]:
    why = "no evidence of this kind is on record"
    waive = f"`gitrepro waive {rule} RUN --reason TEXT`"
    return why, f"`{COMMAND[rule]}` at the commit of the runs; or claim a level that does not require it, or {waive}"


def _of_lines(rule: str, found: Found) -> Iterator[Finding]:
    there = {line.name for line in found.lines}
    if missing := [name for name in DECIDES[rule] if name not in there]:
        why = f"{found.run.name} has no line {', '.join(missing)}"
        yield Finding(Verdict.INCONCLUSIVE, why, f"`{COMMAND[rule]}`")
    for line in found.lines:
        yield Finding(_weight(rule, line), f"{line.name}: {line.why}", line.repair)


def _weight(rule: str, line: Line) -> Verdict:
    if line.name in DECIDES[rule]:
        return line.verdict
    return Verdict.WARN if line.verdict is Verdict.INCONCLUSIVE else line.verdict


def _of_others(chosen: Found, found: Sequence[Found]) -> Iterator[Finding]:
    """Other checks of the same code and data that failed: repeating one until it passes is no evidence of much."""
    for each in found:
        if each is not chosen and each.tie.stands and each.fails:
            why = f"another check of the same code, {each.run.name} ({each.run.id[-8:]}), has failed"
            yield Finding(Verdict.WARN, why, "find out what differs between the two: `gitrepro diff`")
