"""The rule `stopping`: when to stop was decided by a rule on validation data, or by a length, stated before the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ...policy import Policy
from ...records.metricnames import part_of
from ...records.result import Check, Verdict
from ...records.run import Kind
from ..evidence import Claim, Evidence, RunEvidence
from .finding import Finding, leaves, mapping, per_run, values_of

_GUARD: Final = 'state it before the training: `run.guard(EarlyStopping("val/loss"), Budget(steps=N))`'
_DECIDES: Final = ("EarlyStopping", "Budget")
"""Rules that say when a training that goes well is done; the others end one that does not."""
_LENGTHS: Final = frozenset(
    "epochs num_epochs n_epochs max_epochs num_train_epochs steps num_steps max_steps train_steps iterations "
    "max_iter n_iter n_estimators num_boost_round".split()
)
"""Names of settings that say how long a training goes on, in PyTorch, Lightning, transformers and scikit-learn."""
_WARNINGS: Final[Mapping[str, tuple[Verdict, str]]] = {
    "chosen-by-test": (Verdict.FAIL, "when to stop was decided by a metric of the test part"),
    "chosen-by-train": (Verdict.WARN, "when to stop was decided by a metric of the training part"),
    "not-stopped": (Verdict.WARN, "a rule said that the training should stop, and it went on"),
    "never-logged": (Verdict.WARN, "a rule watched a metric that was never logged, and never spoke"),
}
"""By the code of a finding that is on record."""


def stopping(claim: Claim, evidence: Evidence, _policy: Policy) -> Check:
    """PASS: a rule on validation data or a budget decided when to stop, or a fixed length that the configuration says.

    FAIL: a metric of the test part decided. WARN: one of the training part, or a rule that had no effect. INCONCLUSIVE:
    neither a rule nor a length is on record.
    """
    return per_run("stopping", claim, evidence, lambda run: (_findings(run), _facts(run)))


def _facts(run: RunEvidence) -> dict[str, Any]:
    told = mapping(run.record.stopping if run.record else None)
    reason = mapping(told.get("reason"))
    return {
        "length": _length(run),
        "reason": reason.get("said"),
        "rules": [dict(mapping(rule)) for rule in told.get("rules") or ()],
        "stopped": told.get("stopped"),
    }


def _findings(run: RunEvidence) -> list[Finding]:
    if run.record is not None and run.record.kind == Kind.EVAL:
        why = "a run that only evaluates trains nothing; how its model was trained is not judged here"
        return [Finding(Verdict.WARN, why, "name the runs that trained the model")]
    found = [*_faults(run)]
    decided = _decided(run)
    if decided is None:
        found.append(Finding(Verdict.INCONCLUSIVE, "no evidence of this kind is on record", _GUARD))
    return found or [Finding(Verdict.PASS, str(decided))]


def _faults(run: RunEvidence) -> Iterator[Finding]:
    told = mapping(run.record.stopping if run.record else None)
    codes = [mapping(each).get("code") for each in (*(told.get("warnings") or ()), told.get("reason"))]
    named = {code: _WARNINGS[code] for code in map(str, codes) if code in _WARNINGS}
    for rule in told.get("rules") or ():
        metric = mapping(mapping(rule).get("parameters")).get("metric")
        part = part_of(metric) if isinstance(metric, str) and mapping(rule).get("rule") == "EarlyStopping" else None
        if part in ("test", "train"):
            named[f"chosen-by-{part}"] = _WARNINGS[f"chosen-by-{part}"]
    for verdict, why in named.values():
        yield Finding(verdict, why, _GUARD)


def _decided(run: RunEvidence) -> str | None:
    """What decided when to stop, in words; None where nothing on record did."""
    told = mapping(run.record.stopping if run.record else None)
    for rule in told.get("rules") or ():
        name, parameters = mapping(rule).get("rule"), mapping(mapping(rule).get("parameters"))
        if name in _DECIDES:
            said = ", ".join(f"{key}={value}" for key, value in sorted(parameters.items()))
            stopped = mapping(told.get("reason")).get("said")
            return f"{name}({said}), stated at the start" + (f"; {stopped}" if stopped else "")
    if length := _length(run):
        return f"a fixed length, stated in the configuration: {length}"
    return None


def _length(run: RunEvidence) -> str | None:
    """A setting that says how long the training goes on, unless the program changed it after the start."""
    document = run.config or {}
    sources, overridden = mapping(document.get("sources")), mapping(document.get("overridden"))
    for key, value in leaves(values_of(run)):
        changed = overridden.get(key) and sources.get(key) == "code"
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
        if key.rpartition(".")[2].lower() in _LENGTHS and is_number and not changed:
            return f"{key} = {value}"
    return None
