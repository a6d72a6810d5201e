"""The rules `curves` and `efficiency`: what was measured while the runs went on."""

from __future__ import annotations

import math
from typing import Any, Final

from ...policy import Policy
from ...records.result import Check, Verdict
from ..evidence import Claim, Evidence, RunEvidence
from .checkpoints import choices, chosen_by
from .finding import FILES_AT_MOST, Finding, count_of, counted, per_run


def curves(claim: Claim, evidence: Evidence, policy: Policy) -> Check:
    """PASS: a metric of at least `curves.steps` points, all of them finite. WARN: points that are not finite.

    FAIL: the best checkpoint was chosen by a metric of the training or the test part.
    """
    least = policy.threshold("curves.steps")
    return per_run(
        "curves", claim, evidence, lambda run: ([*_curve_findings(run, least), *choices(run)], _curve_facts(run))
    )


def _curve_facts(run: RunEvidence) -> dict[str, Any]:
    curves = {name: {"count": count, "nonfinite": bad} for name, (count, bad) in _tallies(run).items()}
    chosen = chosen_by(run)
    return {**curves, "best chosen by": chosen} if chosen else curves


def _curve_findings(run: RunEvidence, least: int) -> list[Finding]:
    tallies = _tallies(run)
    drawn = [name for name, (count, _) in tallies.items() if count >= least]
    if not drawn:
        most = max((count for count, _ in tallies.values()), default=0)
        why = f"no metric has {least} points or more; the longest has {most}" if tallies else "no metric is on record"
        return [Finding(Verdict.INCONCLUSIVE, why, "log the metrics as the run goes: `run.log({...}, step=step)`")]
    broken = [f"{name} ({bad} of {count})" for name, (count, bad) in tallies.items() if bad]
    if broken:
        why = f"points that are not finite: {', '.join(broken[:FILES_AT_MOST])}"
        return [Finding(Verdict.WARN, why, "find out what made them: the learning rate, the precision, the data")]
    return [Finding(Verdict.PASS, f"{counted(len(drawn), 'metric')} step by step, all points finite")]


def _tallies(run: RunEvidence) -> dict[str, tuple[int, int]]:
    metrics = run.record.metrics if run.record else {}
    return {
        name: (count_of(facts.get("count")), count_of(facts.get("nonfinite")))
        for name, facts in sorted(metrics.items())
        if isinstance(facts, dict)
    }


def efficiency(claim: Claim, evidence: Evidence, _policy: Policy) -> Check:
    """PASS: wall time, processor time and peak memory are on record."""
    return per_run("efficiency", claim, evidence, lambda run: (_cost_findings(run), _costs(run)))


_COSTS: Final = ("duration_seconds", "cpu_user_seconds", "cpu_system_seconds", "peak_memory_bytes")


def _costs(run: RunEvidence) -> dict[str, Any]:
    record = run.record
    known = {**record.cost, "duration_seconds": record.duration_seconds} if record else {}
    return {name: known.get(name) for name in _COSTS}


def _cost_findings(run: RunEvidence) -> list[Finding]:
    costs = _costs(run)
    missing = [name for name, value in costs.items() if not _is_cost(value)]
    if missing:
        repair = "run it again; a run that ends by itself has its cost on record"
        return [Finding(Verdict.INCONCLUSIVE, f"not on record: {', '.join(missing)}", repair)]
    return [Finding(Verdict.PASS, "wall time, processor time and peak memory are on record")]


def _is_cost(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
