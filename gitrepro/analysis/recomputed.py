"""The metrics of an evaluation, computed once more from the predictions of single examples."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, final

from ..errors import UsageError
from ..records.evaluation import Evaluation, Measured, bytes_digest, evaluation_from, examples_digest
from ..records.predictions import Predicted, load

if TYPE_CHECKING:
    from .metrics import MetricFunction

RELATIVE: Final = 1e-9
"""Sums of float64 in another order, as another processor or NumPy adds them, differ by far less; rounding of a printed
number by far more."""
ABSOLUTE: Final = 1e-12
"""Of a number near 0 that is a difference of numbers near 1, such as R2."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Recomputed:
    """One metric of an evaluation.

    Attributes:
        metric: its name, without that of the evaluation.
        recorded: what the record says.
        recomputed: what the predictions come to; None where it cannot be computed here.
        agrees: whether the two are one number; None where it cannot be computed here.
        why: one sentence.
    """

    metric: str
    recorded: float
    recomputed: float | None
    agrees: bool | None
    why: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What the predictions tell of an evaluation.

    Attributes:
        metrics: each of its metrics.
        faults: where the record is not what the predictions are: a claim of it is wrong.
        remarks: what is as the record says, and is no good evidence: examples twice, or missing.
    """

    evaluation: Evaluation
    metrics: tuple[Recomputed, ...]
    faults: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def recompute(entry: Mapping[str, Any], data: bytes, *, source: str) -> tuple[Recomputed, ...]:
    """Compute the metrics of an entry of `evaluations` once more. As `examine`, without the rest."""
    return examine(entry, data, source=source).metrics


def examine(entry: Mapping[str, Any], data: bytes, *, source: str, part_ids: Collection[str] | None = None) -> Examined:
    """Compare an entry of `evaluations` with its predictions. A function of the program's own is not run.

    Args:
        data: the bytes of the blob that the entry names; that they have its digest is looked at once more.
        source: where they are from, for messages.
        part_ids: the ids of the part of the split, where it is known.

    Raises:
        Damaged: the entry is none, or the bytes are no predictions.
    """
    evaluation = evaluation_from(entry, source=source)
    if (found := bytes_digest(data)) != evaluation.predictions:
        # Bytes that are not what their name says are not parsed.
        return Examined(
            evaluation=evaluation, metrics=(), faults=(_apart("predictions", evaluation.predictions, found),)
        )
    predicted = load(data, source=source)
    metrics = tuple(_recomputed(name, each, predicted) for name, each in evaluation.metrics.items())
    faults = tuple(_faults(evaluation, predicted, len(data), part_ids))
    return Examined(evaluation=evaluation, metrics=metrics, faults=faults, remarks=tuple(_remarks(evaluation)))


def agree(recorded: float, recomputed: float) -> bool:
    """Whether two numbers are one, as far as the order of sums allows; NaN is NaN."""
    if math.isnan(recorded) or math.isnan(recomputed):
        return math.isnan(recorded) and math.isnan(recomputed)
    return math.isclose(recorded, recomputed, rel_tol=RELATIVE, abs_tol=ABSOLUTE)


# -- what of the record is not so


def _faults(
    evaluation: Evaluation, predicted: Predicted, size_bytes: int, part_ids: Collection[str] | None
) -> Iterator[str]:
    ids = predicted.ids.tolist()
    told = {
        "size_bytes": (evaluation.size_bytes, size_bytes),
        "examples": (evaluation.examples, len(ids)),
        "distinct": (evaluation.distinct, len({*ids})),
        "examples_digest": (evaluation.examples_digest, examples_digest(predicted.ids, predicted.truth)),
    }
    if evaluation.classes is not None:
        told["classes"] = (evaluation.classes, predicted.classes)
    if part_ids is not None:
        told["expected"] = (evaluation.expected, len(part_ids))
    for name, (recorded, found) in told.items():
        if recorded != found:
            yield _apart(name, recorded, found)
    if part_ids is not None and (foreign := {*ids} - {*part_ids}):
        yield f"{len(foreign)} of the ids are not in part {evaluation.part}, as {min(foreign)!r:.60}"


def _apart(name: str, recorded: object, found: object) -> str:
    return f"{name} is on record as {recorded!s:.80}, and the predictions tell {found!s:.80}"


def _remarks(evaluation: Evaluation) -> Iterator[str]:
    if again := evaluation.examples - evaluation.distinct:
        yield f"{again} of the {evaluation.examples} predictions are of examples that have one already"
    if evaluation.expected is not None and (missing := evaluation.expected - evaluation.distinct) > 0:
        yield f"{missing} of the {evaluation.expected} examples of {evaluation.part} are not predicted"


# -- one metric


def _recomputed(name: str, recorded: Measured, predicted: Predicted) -> Recomputed:
    from .metrics import NAMES, measure, registered

    def told(why: str, agrees: bool | None = None, value: float | None = None) -> Recomputed:
        return Recomputed(metric=name, recorded=recorded.value, recomputed=value, agrees=agrees, why=why)

    if recorded.is_own:
        return told(f"not recomputable: {recorded.function} is the program's own; whoever has it can run it")
    key, _, version = recorded.function.partition("@")
    if key not in NAMES:
        return told(f"this gitrepro knows no {recorded.function:.80}")
    try:
        metric = registered(key, **recorded.settings)
        if metric.function != recorded.function:
            return told(f"it was computed by {key}@{version:.20}, and this gitrepro has {metric.function}")
        if odd := _odd(name, recorded, metric):
            return told(odd, agrees=False)
        value = measure(metric, predicted)
    except (UsageError, ValueError, TypeError, IndexError) as error:
        return told(f"it cannot come of these predictions: {error!s:.200}", agrees=False)
    if not agree(recorded.value, value):
        return told(f"on record is {recorded.value!r}, and the predictions come to {value!r}", False, value)
    other = "" if metric.digest == recorded.digest else f"; the text of {metric.function} was another one then"
    return told(f"the predictions come to {value!r}{other}", True, value)


def _odd(name: str, recorded: Measured, metric: MetricFunction) -> str:
    if metric.name != name:
        return f"it is called {name}, and was computed by {metric.name}"
    if metric.goal != recorded.goal:
        return f"its goal is on record as {recorded.goal}, and that of {metric.function} is {metric.goal}"
    return ""
