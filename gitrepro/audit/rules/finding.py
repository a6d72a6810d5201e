"""What the rules share: findings of single runs, and the one check they add up to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from ...policy import Policy, need
from ...records.result import Check, Verdict
from ..evidence import Claim, Evidence, RunEvidence

Rule: TypeAlias = Callable[[Claim, Evidence, Policy], Check]

FILES_AT_MOST: Final = 10
_FINDINGS_AT_MOST: Final = 3
_NAMED_AT_MOST: Final = 3
_GRAVITY: Final = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.WARN, Verdict.PASS)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found of one run."""

    verdict: Verdict
    why: str
    repair: str = ""


Told: TypeAlias = tuple[RunEvidence, Finding]
_Judge: TypeAlias = "Callable[[RunEvidence], tuple[Iterable[Finding], Mapping[str, Any]]]"


def per_run(rule: str, claim: Claim, evidence: Evidence, judge: _Judge, *, earlier: bool = False) -> Check:
    """One check from what `judge` finds of each run: the gravest verdict decides.

    Args:
        earlier: judge the attempts that a run resumes too; the number came out of all of them.
    """
    found: list[Told] = []
    facts: dict[str, Any] = {}
    for run in _attempts(evidence.runs) if earlier else evidence.runs:
        if run.record is None:
            found.append((run, Finding(Verdict.INCONCLUSIVE, run.trouble)))
            continue
        findings, facts[run.id] = judge(run)
        found += [(run, finding) for finding in findings]
    return check(rule, claim, *gravest(found), facts)


def _attempts(runs: Iterable[RunEvidence]) -> Iterator[RunEvidence]:
    seen: set[str] = set()
    for attempt in (each for run in runs for each in (run, *run.earlier)):
        if attempt.id not in seen:
            seen.add(attempt.id)
            yield attempt


def gravest(found: Sequence[Told]) -> tuple[Verdict, str, str]:
    """The gravest verdict, its reasons, and its repairs. Runs with one reason share a line."""
    if not found:
        return Verdict.INCONCLUSIVE, "there is no run to judge", "name at least one run"
    verdict = next(each for each in _GRAVITY if any(finding.verdict is each for _, finding in found))
    told = [(run, finding) for run, finding in found if finding.verdict is verdict]
    of = len({run.id for run, _ in found})
    reasons = [_reason(why, runs, of=of) for why, runs in _by_reason(told).items()]
    more = f"; and {len(reasons) - _FINDINGS_AT_MOST} more" if len(reasons) > _FINDINGS_AT_MOST else ""
    repairs = dict.fromkeys(finding.repair for _, finding in told if finding.repair)
    return verdict, "; ".join(reasons[:_FINDINGS_AT_MOST]) + more, "; or ".join([*repairs][:2])


def _by_reason(told: Iterable[Told]) -> dict[str, list[RunEvidence]]:
    runs: dict[str, dict[str, RunEvidence]] = {}
    for run, finding in told:
        runs.setdefault(finding.why, {})[run.id] = run
    return {why: [*found.values()] for why, found in runs.items()}


def _reason(why: str, runs: Sequence[RunEvidence], *, of: int) -> str:
    if of == 1:
        return why
    if len(runs) == 1:
        return f"{runs[0].name} ({runs[0].id[-8:]}): {why}"
    if len(runs) == of:
        return f"{of} runs: {why}"
    more = f" and {len(runs) - _NAMED_AT_MOST} more" if len(runs) > _NAMED_AT_MOST else ""
    return f"{len(runs)} of {of} runs ({', '.join(run.id[-8:] for run in runs[:_NAMED_AT_MOST])}{more}): {why}"


def check(rule: str, claim: Claim, verdict: Verdict, why: str, repair: str, facts: Mapping[str, Any]) -> Check:
    return Check(
        rule=rule,
        verdict=verdict,
        required=need(claim.level, rule, claim.stage),
        why=why,
        evidence=facts,
        repair="" if verdict is Verdict.PASS else repair,
    )


# -- records hold what others wrote: nothing in them has to be of the type it should be


def counted(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def listed(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - FILES_AT_MOST} more" if len(paths) > FILES_AT_MOST else ""
    return f"{', '.join(paths[:FILES_AT_MOST])}{more}"


def mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def words(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list | tuple) else []


def count_of(value: object) -> int:
    return value if isinstance(value, int) else 0


def values_of(run: RunEvidence) -> Mapping[str, Any]:
    """The effective configuration, nested."""
    return mapping((run.config or {}).get("values"))


def leaves(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        dotted = f"{path}.{key}" if path else key
        if isinstance(value, dict) and value:
            yield from leaves(value, dotted)
        else:
            yield dotted, value


def seeds_of(run: RunEvidence) -> Mapping[str, Any]:
    return run.record.seeds if run.record else {}


def names_a_seed(name: str) -> bool:
    return re.search(r"(?:^|[._\-/])(?:random[_\-]?)?seeds?$", name.lower()) is not None
