"""The rules `curves` and `efficiency`: what was measured while the runs went on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

from ...analysis.efficiency import is_number, waiting
from ...policy import Policy
from ...records.result import Check, Verdict
from ..evidence import Claim, Evidence, RunEvidence
from .checkpoints import choices, chosen_by
from .finding import FILES_AT_MOST, Finding, count_of, counted, mapping, per_run


def curves(claim: Claim, evidence: Evidence, policy: Policy) -> Check:
    """PASS: a metric of at least `curves.steps` points, all of them finite. WARN: points that are not finite, or a
    training loss that diverges or does not fall.

    FAIL: the best checkpoint was chosen by a metric of the training or the test part, or the record says otherwise of
    the curves than their table does.
    """
    least = policy.threshold("curves.steps")

    def judge(run: RunEvidence) -> tuple[list[Finding], dict[str, Any]]:
        return [*_curve_findings(run, least), *_shapes(run), *choices(run)], _curve_facts(run)

    return per_run("curves", claim, evidence, judge)


_SHAPES: Final = {
    "divergence": "lower the learning rate, warm it up, or clip the gradients; then train again",
    "not-falling": "see whether it learns at all: `gitrepro check overfit TASK`",
}
"""What of a curve is worth a warning, and what to do about it. The rest is told where curves are shown."""


def _shapes(run: RunEvidence) -> Iterator[Finding]:
    if run.curves is None:
        return
    for fault in run.curves.faults:
        yield Finding(Verdict.FAIL, fault, "fetch the record anew from where it ran, or run it again")
    for name, kinds in run.curves.found.items():
        for kind in kinds:
            if kind in _SHAPES:
                yield Finding(Verdict.WARN, f"{name}: {kind.replace('-', ' ')}", _SHAPES[kind])


def _curve_facts(run: RunEvidence) -> dict[str, Any]:
    curves = {name: {"count": count, "nonfinite": bad} for name, (count, bad) in _tallies(run).items()}
    chosen = chosen_by(run)
    shown = {name: list(kinds) for name, kinds in run.curves.found.items()} if run.curves else {}
    return {**curves, **({"best chosen by": chosen} if chosen else {}), **({"found": shown} if shown else {})}


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
    """PASS: wall time, processor time and peak memory are on record. WARN: the training waited for its data."""
    return per_run("efficiency", claim, evidence, lambda run: (_cost_findings(run), {**_costs(run), **_pace(run)}))


_PACE: Final = (
    "steps",
    "step_seconds",
    "samples_per_second",
    "tokens_per_second",
    "wait_share",
    "energy_joules",
    "cost",
)


def _pace(run: RunEvidence) -> dict[str, Any]:
    """What was measured of the training, where a training loop was seen."""
    known = mapping(run.record.efficiency if run.record else None)
    found = {name: known[name] for name in _PACE if known.get(name) is not None}
    return {"training": found} if found else {}


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
    share, waits = _wait(run)
    if waits:
        why = (
            f"the training spent {share:.0%} of its steps waiting for data" if share else "the training waits for data"
        )
        return [Finding(Verdict.WARN, why, "more workers, or data that needs less work: `gitrepro show` has the times")]
    return [Finding(Verdict.PASS, "wall time, processor time and peak memory are on record")]


def _wait(run: RunEvidence) -> tuple[float, str]:
    measured = mapping(run.record.efficiency if run.record else None)
    if "input_test" in measured and not isinstance(measured["input_test"], dict):
        return 0.0, ""
    share = measured.get("wait_share")
    return (float(share) if is_number(share) else 0.0), waiting(measured)


def _is_cost(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
