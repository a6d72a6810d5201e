"""Uses of a test part: what the holdout log, the counts of what was read, and the evaluations of a run say of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ...analysis.optimism import in_words
from ...data.holdouts import Log, before_selection, broken_anchors, looks_at, selected_at
from ...records.holdout import Entry
from ...records.metricnames import part_of
from ...records.result import Verdict
from ...records.run import Kind
from ..evidence import Claim, Evidence, RunEvidence
from .finding import Finding, count_of, counted, mapping

OPENINGS_WARN: Final = 3
"""From so many on the best score of a test set lies about half a standard error above the truth by luck alone, even of
models that err on the same examples."""
_TEST: Final = "test"
_OPEN: Final = 'open it on the log, once the runs are chosen: `run.open_test("why")`'
_SELECT: Final = "`gitrepro holdout select RUN... --split DATA/SPLIT` once the runs are chosen, and open the test then"
_FETCH: Final = "fetch the whole log: `gitrepro pull`; what was removed stands in the clones of others"


def grave(claim: Claim) -> Verdict:
    """What a use of the test data before the choice is: `strict` alone says that a number is ready to be used."""
    return Verdict.FAIL if claim.level == "strict" else Verdict.WARN


def chosen_runs(evidence: Evidence) -> set[str]:
    """The runs that had to be chosen before the test: of one that only evaluates, those it came out of."""
    found: set[str] = set()
    for run in evidence.runs:
        parents = run.record.parents if run.record and run.record.kind == Kind.EVAL else ()
        found.update(parents or (run.id,))
    return found


def uses(claim: Claim, evidence: Evidence) -> Iterator[Finding]:
    """What the logs of all splits say of the choice of these runs."""
    ids = chosen_runs(evidence)
    records = [each.record for run in evidence.runs for each in (run, *run.earlier) if each.record] + [
        run.record for run in evidence.checks if run.record
    ]
    for log in evidence.holdouts.values():
        for fault in (*log.troubles, *broken_anchors(log, records)):
            yield Finding(Verdict.FAIL, f"the holdout log: {fault}", _FETCH)
        early = before_selection(log, ids)
        if early:
            yield Finding(grave(claim), _early(log, ids, early), _SELECT)
        yield from _often(log, ids, {run.id for run in evidence.runs})


def _early(log: Log, ids: set[str], early: Sequence[Entry]) -> str:
    many = f"{counted(len(early), 'opening')} of {early[0].dataset}/{early[0].name} ({early[0].id[-8:]})"
    if selected_at(log, ids) is None:
        return f"{many} on record, and no entry says when these runs were chosen"
    return f"{many} came before these runs were chosen"


def _often(log: Log, ids: set[str], own: set[str]) -> Iterator[Finding]:
    for part in sorted({entry.part for entry in log.openings}):
        count = looks_at(log, part, chosen=ids, own=own)
        if count >= OPENINGS_WARN:
            yield Finding(Verdict.WARN, f"the part {part} was {in_words(count)}", "confirm on data nobody has seen")


def uses_of(claim: Claim, evidence: Evidence, run: RunEvidence) -> Iterator[Finding]:
    """What one run did with test parts."""
    logged = {entry.id for log in evidence.holdouts.values() for entry in log.entries}
    own = [entry for log in evidence.holdouts.values() for entry in log.openings if entry.run == run.id]
    for scored in run.scored:
        entry = scored.entry
        if entry is None or _TEST not in (part_of(entry.part), part_of(entry.name)):
            continue
        if entry.opening is None and not own:
            why = f"{entry.name} was evaluated on the part {entry.part}, and no opening of it is on the log"
            yield Finding(grave(claim), why, _OPEN)
        elif entry.opening is not None and entry.opening not in logged:
            why = f"the opening {entry.opening[-8:]} that {entry.name} names is not on the log"
            yield Finding(Verdict.FAIL, why, _FETCH)
    if not own and (reads := test_reads(run)):
        said = ", ".join(f"{count:,} items of {part}" for part, count in reads.items())
        yield Finding(grave(claim), f"it read {said}, and opened nothing on the log", _OPEN)


def test_reads(run: RunEvidence) -> dict[str, int]:
    """By part that is a test by its name, how many items the run read."""
    found: dict[str, int] = {}
    for entry in run.record.data if run.record else ():
        for split in mapping(entry).get("splits") or ():
            for part, count in mapping(mapping(split).get("reads")).items():
                if part_of(str(part)) == _TEST and count_of(count):
                    found[str(part)] = found.get(str(part), 0) + count_of(count)
    return found


def facts_of(evidence: Evidence) -> Mapping[str, Any]:
    """What was looked at, for the evidence of a check."""
    ids = chosen_runs(evidence)
    found = {}
    for split, log in evidence.holdouts.items():
        if not log.entries:
            continue
        chosen = selected_at(log, ids)
        found[split] = {
            "before the choice": len(before_selection(log, ids)),
            "entries": len(log.entries),
            "heads": list(log.heads),
            "openings": len(log.openings),
            "selected": chosen.id if chosen else None,
        }
    return found
