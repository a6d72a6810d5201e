"""The rules `batch` and `precision`: from how much a step was made, and in which numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from ...policy import Policy
from ...records.precision import findings as doubts
from ...records.result import Check, Verdict
from ...records.run import Kind
from ..evidence import Claim, Evidence, RunEvidence
from .finding import FILES_AT_MOST, Finding, Told, check, count_of, gravest, mapping, per_run

_BATCH: Final = "`run.batch(micro_batch=N)`, `run.loader(...)` or `run.accumulate(...)` put it on record"
_PRECISION: Final = '`run.precision("fp32")` sets it and puts on record what was really computed in'
_ONE: Final = "name runs that were made in one way"
_NO_EVIDENCE: Final = "no evidence of this kind is on record"
_EVALUATES: Final = "a run that only evaluates takes no training step; how its model was trained is not judged here"


_WITH_MODES: Final = frozenset({"jax", "keras", "mxnet", "paddle", "tensorflow", "torch"})
"""Libraries that compute in several precisions, by flags or by contexts that no dtype of an array tells of."""


# -- batch


def batch(claim: Claim, evidence: Evidence, _policy: Policy) -> Check:
    """PASS: the effective batch is on record, adds up, and is one for all runs. FAIL: the runs had several, or one
    does not add up. WARN: only the configuration says it, or steps were made of less. INCONCLUSIVE: not on record.
    """
    facts = {run.id: dict(_batch(run)) for run in evidence.runs if _batch(run)}
    sizes = {(_batch(run).get("effective_batch"), _batch(run).get("unit")) for run in evidence.runs if _batch(run)}
    if len(sizes) > 1:
        said = ", ".join(sorted(f"{size} {unit}" for size, unit in sizes)[:FILES_AT_MOST])
        return check("batch", claim, Verdict.FAIL, f"the runs had different effective batches: {said}", _ONE, facts)
    return per_run("batch", claim, evidence, lambda run: (_of_batch(run), _batch(run)))


def _batch(run: RunEvidence) -> Mapping[str, Any]:
    return mapping(run.record.batch if run.record else None)


def _of_batch(run: RunEvidence) -> list[Finding]:
    found = _batch(run)
    if not found:
        return [_nothing(run, _BATCH)]
    effective, parts = _number(found.get("effective_batch")), [_number(found.get(name)) for name in _PARTS]
    if not all(parts) or not effective:
        why = "how many examples a step is made of is not on record"
        return [Finding(Verdict.INCONCLUSIVE, why, _BATCH)]
    if not math.isclose(math.prod(parts), effective, rel_tol=1e-9):
        said = " x ".join(f"{part:g}" for part in parts)
        return [Finding(Verdict.FAIL, f"an effective batch of {effective:g} is on record, and {said} is not", _BATCH)]
    said = f"{effective:g} {found.get('unit')} a step ({found.get('said_by')})"
    return [*_doubtful(run, found, said)] or [Finding(Verdict.PASS, said)]


_PARTS: Final = ("micro_batch", "accumulation_steps", "world_size")


def _doubtful(run: RunEvidence, found: Mapping[str, Any], said: str) -> Iterator[Finding]:
    if found.get("said_by") == "config":
        yield Finding(Verdict.WARN, f"{said}: nothing but the configuration says so", _BATCH)
    ranks = mapping(run.record.ranks if run.record else None).get("world_size")
    if isinstance(ranks, int) and ranks != found.get("world_size"):
        why = f"{said}: it is told for {found.get('world_size')} processes, and {ranks} ran"
        yield Finding(Verdict.WARN, why, "give `world_size=`, or let torch.distributed say it before the batch is told")
    if empty := count_of(mapping(found.get("observed")).get("empty_windows")):
        yield Finding(Verdict.WARN, f"{said}: {empty} steps were made of nothing that counts", "see what is masked out")


# -- precision


def precision(claim: Claim, evidence: Evidence, _policy: Policy) -> Check:
    """PASS: what was computed in is on record and was seen, one for all runs, and nothing went wrong in it.

    FAIL: the runs had several. WARN: steps were skipped, losses were not finite, or what was asked for was never seen.
    INCONCLUSIVE: it is not on record.
    """
    found = {run.id: _precision(run) for run in evidence.runs if _precision(run)}
    facts = {run: _seen(document) for run, document in found.items()}
    if len(ways := _ways(found.values())) > 1:
        why = f"the runs computed in different ways: {', '.join(ways[:FILES_AT_MOST])}"
        return check("precision", claim, Verdict.FAIL, why, _ONE, facts)
    told: list[Told] = []
    for run in evidence.runs:
        told += [(run, finding) for finding in _of_precision(run)]
    return check("precision", claim, *gravest(told), facts)


def _precision(run: RunEvidence) -> Mapping[str, Any]:
    return mapping(run.record.precision if run.record else None)


def _seen(document: Mapping[str, Any]) -> dict[str, Any]:
    names = ("asked", "device", "effective", "nonfinite", "scaler")
    return {name: document[name] for name in names if name in document}


def _ways(documents: Iterable[Mapping[str, Any]]) -> list[str]:
    """What was asked for, on what kind of device, and the flags in force, each way once."""
    ways = {}
    for document in documents:
        flags = mapping(mapping(document.get("effective")).get("flags"))
        key = json.dumps([document.get("asked"), document.get("device"), flags], sort_keys=True, default=str)
        ways[key] = f"{document.get('asked')} on {document.get('device')}"
    labels = sorted(ways.values())
    return labels if len({*labels}) == len(labels) else [*dict.fromkeys(labels), "with other flags"]


def _of_precision(run: RunEvidence) -> list[Finding]:
    if run.record is None:
        return [Finding(Verdict.INCONCLUSIVE, run.trouble)]
    document = _precision(run)
    if not document and run.frameworks is not None and not _WITH_MODES.intersection(run.frameworks):
        why = "nothing with modes of precision was loaded; in which numbers it computed was not observed"
        return [Finding(Verdict.WARN, why, "nothing need be set; say the dtype of your arrays in the configuration")]
    if not document:
        return [_nothing(run, _PRECISION)]
    found = [Finding(Verdict.WARN, what, do) for what, do in doubts(document)]
    if not count_of(mapping(document.get("nonfinite")).get("steps")):
        why = f"{document.get('asked')} was asked for, and no step was taken in it"
        found.append(Finding(Verdict.WARN, why, "the forward pass inside `with amp:`, and `amp.backward`, `amp.step`"))
    return found or [Finding(Verdict.PASS, f"{document.get('asked')} on {document.get('device')}, as it was seen")]


# -- both


def _nothing(run: RunEvidence, repair: str) -> Finding:
    if run.record is not None and run.record.kind == Kind.EVAL:
        return Finding(Verdict.WARN, _EVALUATES, "name the runs that trained the model")
    return Finding(Verdict.INCONCLUSIVE, _NO_EVIDENCE, repair)


def _number(value: object) -> float:
    """A number above 0; 0 for anything else, which no record should hold there."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(value) if math.isfinite(value) and value > 0 else 0.0
