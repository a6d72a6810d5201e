"""The rule `data`: which data the runs used, which split of it, and how it was prepared, is on record by content."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from ...policy import Policy
from ...records.result import Check, Verdict
from ..evidence import Claim, Evidence, RunEvidence
from ..named import Named
from .finding import Finding, Told, check, counted, gravest, listed, mapping

_NAME_IT: Final = (
    "name it: `gitrepro data add PATH NAME` and `gitrepro split make NAME`, then `run.dataset(NAME)` and"
    " `run.split(PART)`, or `gitrepro record --data NAME --split default -- COMMAND`"
)
_ONE: Final = "name runs of one version of the data, one split and one preprocessing"
_NAMED_AT_MOST: Final = 4


def data(claim: Claim, evidence: Evidence, _policy: Policy) -> Check:
    """PASS: every run names its data and a split of it by content, the same in all runs, prepared in the same way.

    FAIL: the runs mix versions, splits or preprocessing, or a record of the data contradicts a run. INCONCLUSIVE: a run
    names no data or no split, or there is no record of what it names. WARN: nothing but sizes and times of the files
    tells that linked data was what the record names.

    An earlier attempt of a run that names no data, as one that died before it read any, says nothing against it. What
    was read of each part, the test part among them, is told and not judged here.
    """
    facts = _facts(evidence)
    mixed = [*_mixed(evidence)]
    if mixed:
        return check("data", claim, Verdict.FAIL, "; ".join(mixed), _ONE, facts)
    return check("data", claim, *gravest([*_told(evidence)]), facts)


def _facts(evidence: Evidence) -> dict[str, Any]:
    preprocess = {run.id: _preprocess(run) for run in evidence.runs}
    named = {run.id: _entries(run) for run in evidence.runs if _entries(run)}
    facts: dict[str, Any] = {"preprocess": preprocess} if any(preprocess.values()) else {}
    return {**facts, **({"data": named} if named else {})}


def _entries(run: RunEvidence) -> list[dict[str, Any]]:
    fields = ("name", "version", "digest", "checked", "linked", "splits")
    return [{name: entry.get(name) for name in fields} for entry in (run.record.data if run.record else ())]


# -- over all runs


def _mixed(evidence: Evidence) -> Iterator[str]:
    """In what the runs differ that must be one. A run that names nothing is judged by itself."""
    several = len({_preprocess(run) for run in evidence.runs})
    if several > 1:
        yield f"the runs prepared their data in {counted(several, 'way')}, so they did not see the same"
    runs = [*_with_attempts(evidence.runs)]
    for split, what in ((False, "the runs used different data"), (True, "the runs used different splits")):
        sets = {_identity(run, split=split): run for run in runs if _identity(run, split=split)}
        if len(sets) > 1:
            told = [f"{_names(run, split=split)} by {run.id[-8:]}" for run in sets.values()]
            yield f"{what}: {', '.join(told[:_NAMED_AT_MOST])}"


def _with_attempts(runs: Iterable[RunEvidence]) -> Iterator[RunEvidence]:
    for run in runs:
        yield from (run, *run.earlier)


def _identity(run: RunEvidence, *, split: bool) -> frozenset[str]:
    return frozenset(named.digest for named in run.named if named.split is split)


def _names(run: RunEvidence, *, split: bool) -> str:
    return " and ".join(f"{each.what} ({each.digest[:11]})" for each in run.named if each.split is split)


def _preprocess(run: RunEvidence) -> str | None:
    found: Any = run.record.preprocess if run.record else None
    digest = mapping(found).get("digest", found if isinstance(found, str) else None)
    return digest if isinstance(digest, str) else None


# -- run by run


def _told(evidence: Evidence) -> Iterator[Told]:
    for run in evidence.runs:
        if run.record is None:
            yield run, Finding(Verdict.INCONCLUSIVE, run.trouble)
            continue
        for finding in _findings(run):
            yield run, finding
    seen = {run.id for run in evidence.runs}
    for attempt in _with_attempts(evidence.runs):
        if attempt.id not in seen:
            seen.add(attempt.id)
            yield from ((attempt, finding) for finding in _contradictions(attempt))


def _findings(run: RunEvidence) -> list[Finding]:
    if not run.named:
        return [Finding(Verdict.INCONCLUSIVE, "no data is on record by its content", _NAME_IT)]
    found = [*_contradictions(run), *_unknown(run), *_loosely_checked(run)]
    if not any(named.split for named in run.named):
        names = listed([named.what for named in run.named])
        found.append(Finding(Verdict.INCONCLUSIVE, f"it names no split of {names}", _NAME_IT))
    return found or [Finding(Verdict.PASS, _summary(run))]


def _contradictions(run: RunEvidence) -> list[Finding]:
    repair = "fetch refs/gitrepro/runs from where the data was added, or run it again"
    return [Finding(Verdict.FAIL, f"{each.what}: {each.fault}", repair) for each in run.named if each.fault]


def _unknown(run: RunEvidence) -> list[Finding]:
    return [
        Finding(Verdict.INCONCLUSIVE, f"{each.what} ({each.digest[:15]}): {each.missing}", _how_to_find(each))
        for each in run.named
        if each.missing
    ]


def _how_to_find(named: Named) -> str:
    add = f"`gitrepro split make {named.data}`" if named.split else f"`gitrepro data add PATH {named.data}`"
    return f"fetch refs/gitrepro/runs from where it was added, or put the same content on record: {add}"


def _loosely_checked(run: RunEvidence) -> list[Finding]:
    """Linked data is where the user may change it, and no copy of it is kept."""
    loose = [
        str(entry.get("name"))
        for entry in (run.record.data if run.record else ())
        if entry.get("linked") and entry.get("checked") not in ("sample", "full")
    ]
    if not loose:
        return []
    why = f"{listed(loose)} is linked, and only sizes and times of its files were compared"
    return [
        Finding(Verdict.WARN, why, f'`run.dataset("{loose[0]}", check="full")`, or `gitrepro verify {run.id[-8:]}`')
    ]


def _summary(run: RunEvidence) -> str:
    named = ", ".join(f"{each.what} ({each.digest[:11]})" for each in run.named)
    reads = _reads(run)
    read = ", ".join(f"{part} {count}" for part, count in reads.items())
    return f"{named}; items read: {read}" if reads else f"{named}; what was read of it was not counted"


def _reads(run: RunEvidence) -> dict[str, int]:
    total: dict[str, int] = {}
    for entry in run.record.data if run.record else ():
        for split in entry.get("splits") or ():
            for part, count in _counts(split).items():
                total[part] = total.get(part, 0) + count
    return total


def _counts(split: Mapping[str, Any]) -> Mapping[str, int]:
    return mapping(split.get("reads"))
