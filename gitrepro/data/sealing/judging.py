"""What a set of predictions comes to, and what of it may be told."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from ...errors import Damaged
from ...records.holdout import Entry
from ...records.sealed import ID, LABEL, LABELS
from ...store.repository import Repository
from .contents import ids_of
from .matching import arguments
from .predicting import committed
from .seals import Seal, opened

if TYPE_CHECKING:
    import numpy as np

    from ...analysis.ladder import Step
    from ...analysis.metrics import MetricFunction
    from ...records.predictions import Predicted


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """All that is needed to judge predictions: a seal that was opened, and what the log says so far.

    Attributes:
        entries: of the log, about this part.
        ids: of the examples, in their order.
        truth: the label of each, as text.
    """

    repository: Repository
    seal: Seal
    entries: Sequence[Entry]
    ids: Sequence[str]
    truth: Mapping[str, str]


def bench(repository: Repository, seal: Seal, entries: Sequence[Entry], keys: Sequence[Any]) -> Bench:
    """Open a seal in memory.

    Raises:
        WrongKey: none of the keys opens it.
        Damaged: it is not what was sealed, or holds labels of other examples than the split says.
        BlobMissing: it is not here.
    """
    table = opened(repository, seal, LABELS, keys).table
    ids = ids_of(repository, seal.holdout)
    try:
        truth = dict(zip(table.column(ID).to_pylist(), map(str, table.column(LABEL).to_pylist()), strict=True))
    except KeyError as error:
        raise Damaged(f"the seal of {seal.holdout} holds no labels", why=str(error)) from error
    if len(truth) != len(table) or set(truth) != set(ids):
        raise Damaged(
            f"the seal of {seal.holdout} holds labels of other examples",
            why=f"{len(table):,} labels, and the part has {len(ids):,} examples",
            do="seal it anew, from where its labels are kept",
        )
    return Bench(repository=repository, seal=seal, entries=entries, ids=ids, truth=truth)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What predictions came to.

    Attributes:
        values: of each metric.
        step: what the ladder says of them; None of another feedback.
        best: the id of the entry with the best predictions that were told of, these included.
        told: the values that may be told.
    """

    metrics: Sequence[MetricFunction]
    values: Mapping[str, float]
    step: Step | None
    best: str | None
    told: Mapping[str, float]

    def result(self, predict: Entry) -> bytes:
        """All of it, for those who can open the seal."""
        gain, step = (None, None) if self.step is None else (self.step.gain, self.step.step)
        found = {"format": 1, "gain": gain, "metrics": dict(self.values), "predict": predict.id, "step": step}
        return json.dumps(found, sort_keys=True).encode()

    def document(self) -> dict[str, Any]:
        """What everybody may see of it."""
        return {
            "best": self.best,
            "improved": None if self.step is None else self.step.told,
            "metrics": {
                each.name: {
                    "digest": each.digest,
                    "function": each.function,
                    "goal": each.goal,
                    "value": self.told.get(each.name),
                }
                for each in self.metrics
            },
        }


def judged(on: Bench, predict: Entry, feedback: str) -> Judged:
    """Score predictions.

    Args:
        predict: the entry that committed to them.
        feedback: one of `terms.FEEDBACKS`.

    Raises:
        UsageError: a metric cannot be computed of them.
        Damaged, BlobMissing: they, or the best ones so far, are not here or not what the log says.
    """
    from ...analysis.metrics import named

    metrics = [named(each) for each in on.seal.terms.metrics]
    predicted = committed(on.repository, predict, on.ids)
    values = {each.name: _value(on, each, predicted) for each in metrics}
    before = _best(on.entries)
    step = None if feedback == "none" else _step(on, metrics[0], predicted, before)
    # What is told in full is known, and is the best that is known when it is better by any margin.
    known = step is not None and (step.told or (feedback == "full" and (step.gain or 0.0) > 0))
    tells = feedback == "full" or (step is not None and step.told)
    return Judged(
        metrics=metrics,
        values=values,
        step=step if feedback == "ladder" else None,
        best=predict.id if known else before,
        told=values if tells else {},
    )


def _value(on: Bench, metric: MetricFunction, predicted: Predicted) -> float:
    labels, values, classes = arguments(metric, predicted, on.truth)
    return float(metric(labels, values, classes=classes))


def _best(entries: Sequence[Entry]) -> str | None:
    """The entry with the best predictions that were told of so far."""
    told = [each.detail.get("best") for each in entries if each.op == "score"]
    return next((str(each) for each in reversed(told) if each), None)


def _step(on: Bench, metric: MetricFunction, predicted: Predicted, best: str | None) -> Step | None:
    """What the ladder says after all scores so far; None of a metric that it cannot compare."""
    from ...analysis.ladder import COMPARABLE, Ladder, climb

    if metric.key not in COMPARABLE:
        return None
    there = None if best is None else _losses(on, metric, committed(on.repository, entry_of(on, best), on.ids))
    tries = sum(each.op == "score" for each in on.entries)
    return climb(Ladder(tries=tries, best=there), _losses(on, metric, predicted))[1]


def _losses(on: Bench, metric: MetricFunction, predicted: Predicted) -> np.ndarray:
    from ...analysis.ladder import losses

    labels, values, classes = arguments(metric, predicted, on.truth)
    return losses(metric, labels, values, classes=classes)


def entry_of(on: Bench, entry_id: str) -> Entry:
    """The entry that committed to predictions. Raises Damaged where the log lacks it."""
    found = next((each for each in on.entries if each.id == entry_id and each.op == "predict"), None)
    if found is None:
        raise Damaged(
            f"the holdout log of {on.seal.holdout} lacks the predictions {entry_id[-8:]}",
            why="a score names them",
            do="fetch refs/gitrepro/runs from a clone that has them",
        )
    return found
