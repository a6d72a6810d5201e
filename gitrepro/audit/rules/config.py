"""The rule `config`: what the runs were told is on record, and is what they went by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...policy import Policy
from ...records.result import Check, Verdict
from ..evidence import Claim, Evidence, RunEvidence
from .finding import FILES_AT_MOST, Finding, counted, leaves, listed, mapping, per_run, values_of, words


def config(claim: Claim, evidence: Evidence, _policy: Policy) -> Check:
    """INCONCLUSIVE: none on record. WARN: the program changed it, never read part of it, or parts are hidden."""
    return per_run("config", claim, evidence, lambda run: (_findings(run), _facts(run)))


def _facts(run: RunEvidence) -> dict[str, Any]:
    return {
        "changed": _changed(run),
        "hidden": _hidden(run),
        "never_read": _never_read(run)[:FILES_AT_MOST],
        "values": sum(1 for _ in leaves(values_of(run))),
    }


def _findings(run: RunEvidence) -> list[Finding]:
    count = sum(1 for _ in leaves(values_of(run)))
    if not count:
        repair = "pass it as `gitrepro.record(config=...)`, or with `gitrepro record --config FILE --set KEY=VALUE`"
        return [Finding(Verdict.INCONCLUSIVE, "no configuration is on record", repair)]
    passed = Finding(Verdict.PASS, f"{counted(count, 'value')}, unchanged since the start")
    return [*_doubts(run)] or [passed]


def _doubts(run: RunEvidence) -> Iterator[Finding]:
    if changed := _changed(run):
        repair = "set the values that count before the run begins"
        yield Finding(Verdict.WARN, f"the program changed {listed(changed)} after the start", repair)
    if unread := _never_read(run):
        repair = "take out what has no effect, or correct its name"
        yield Finding(Verdict.WARN, f"the program never read {listed(unread)}", repair)
    if hidden := _hidden(run):
        repair = "keep secrets out of the configuration"
        why = f"{counted(len(hidden), 'value')} hidden as secrets: {', '.join(hidden[:3])}"
        yield Finding(Verdict.WARN, why, repair)


def _changed(run: RunEvidence) -> list[str]:
    """Values that the program replaced. One that a file or the command line overrode was settled before the start."""
    document = run.config or {}
    sources, overridden = mapping(document.get("sources")), mapping(document.get("overridden"))
    return sorted(key for key, before in overridden.items() if before and sources.get(key) == "code")


def _never_read(run: RunEvidence) -> list[str]:
    return words((run.config or {}).get("never_read"))


def _hidden(run: RunEvidence) -> list[str]:
    return words(run.record.recorder.get("hidden")) if run.record else []
