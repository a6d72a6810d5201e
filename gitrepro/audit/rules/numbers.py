"""Numbers that are claimed of predictions: whether anybody comes to the same ones."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

from ...policy import Stage
from ...records.evaluation import Evaluation
from ...records.result import Verdict
from ..evidence import RunEvidence
from ..predicted import Scored
from .finding import Finding, counted, listed

_RELATIVE: Final = 1e-9
"""A summary holds the very number of an evaluation: what differs by more is another one."""
_AGAIN: Final = "evaluate once more, with `run.evaluate`, and declare that run"


def numbers_of(run: RunEvidence, stage: Stage) -> Iterator[Finding]:
    """What is wrong with the evaluations of a run, or how they hold."""
    if not run.scored:
        yield Finding(
            Verdict.INCONCLUSIVE,
            "no predictions of single examples are on record, so nobody can compute its numbers again",
            '`run.evaluate(predictions, split="val")` keeps them, and computes the metrics from them',
        )
    for scored in run.scored:
        yield from _one(run, scored, stage)
    yield from _summary(run)


def facts_of(run: RunEvidence) -> list[dict[str, Any]]:
    """What was looked at, for the evidence of a check."""
    return [
        {
            "examples": scored.entry.examples,
            "here": scored.here,
            "metrics": {each.metric: {"agrees": each.agrees, "recorded": each.recorded} for each in scored.metrics},
            "name": scored.entry.name,
            "part": scored.entry.part,
            "predictions": scored.entry.predictions,
        }
        for scored in run.scored
        if scored.entry is not None
    ]


def _one(run: RunEvidence, scored: Scored, stage: Stage) -> Iterator[Finding]:
    if scored.entry is None:
        yield Finding(Verdict.FAIL, f"an evaluation on record cannot be read: {scored.trouble}", _AGAIN)
        return
    name = scored.entry.name
    if scored.trouble:
        yield Finding(Verdict.FAIL, f"the predictions of {name} cannot be read: {scored.trouble}", _AGAIN)
    elif not scored.here:
        yield _not_here(run, scored.entry, stage)
        return
    wrong = [f"{name}/{each.metric}: {each.why}" for each in scored.metrics if each.agrees is False]
    for why in [*(f"{name}: {fault}" for fault in scored.faults), *wrong]:
        yield Finding(Verdict.FAIL, why, _AGAIN)
    for remark in scored.remarks:
        yield Finding(Verdict.WARN, f"{name}: {remark}", "predict each example of the part once")
    if not scored.trouble and not any(each.agrees for each in scored.metrics):
        why = f"no metric of {name} can be computed again: {listed([each.metric for each in scored.metrics])}"
        yield Finding(Verdict.WARN, why, 'let one of gitrepro\'s own stand beside: `metrics=[..., "accuracy"]`')
    elif not wrong and not scored.faults:
        yield Finding(Verdict.PASS, _recomputed(scored))


def _recomputed(scored: Scored) -> str:
    assert scored.entry is not None
    same = [each.metric for each in scored.metrics if each.agrees]
    more = len(scored.metrics) - len(same)
    beside = f"; {counted(more, 'metric')} of the program's own beside" if more else ""
    many = f"{scored.entry.examples:,} predictions of {scored.entry.name}"
    return f"{listed(same)} computed again from {many}, the same{beside}"


def _not_here(run: RunEvidence, entry: Evaluation, stage: Stage) -> Finding:
    """A server holds no blobs; where a claim is made they can be had."""
    why = f"the predictions of {entry.name} ({entry.predictions[:15]}) are not in the store here"
    verdict = Verdict.WARN if stage is Stage.SERVER else Verdict.INCONCLUSIVE
    return Finding(verdict, f"{why}, so its numbers were not computed again", f"`gitrepro pull --blobs {run.id[-8:]}`")


def _summary(run: RunEvidence) -> Iterator[Finding]:
    """The summary is what tables show: it has to be what an evaluation of that name came to."""
    known: dict[str, list[float]] = {}
    for scored in run.scored:
        for metric, measured in scored.entry.metrics.items() if scored.entry else ():
            known.setdefault(f"{scored.entry.name}/{metric}" if scored.entry else "", []).append(measured.value)
    for name, values in known.items():
        said = run.record.summary.get(name) if run.record else None
        if isinstance(said, int | float) and not any(_same(float(said), value) for value in values):
            why = f"the summary says {said!r} of {name}, and its evaluation came to {values[-1]!r}"
            yield Finding(Verdict.WARN, why, "give what is logged beside an evaluation another name")


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=_RELATIVE, abs_tol=1e-12) or (math.isnan(one) and math.isnan(other))
