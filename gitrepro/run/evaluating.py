"""What a run predicts of single examples, and the metrics that are computed of it. The part of `Run` for this."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

from ..errors import UsageError
from ..records.evaluation import Evaluation, Measured, examples_digest
from ..records.fields import check_name
from ..records.predictions import dump
from . import matching, predicted
from .data import RunData
from .evaluated import OP, better
from .recording import Recording
from .summary import Summary
from .values import check_step
from .warning import warn

if TYPE_CHECKING:
    from ..analysis.metrics import MetricFunction
    from ..data.parts import Part
    from ..records.predictions import Predicted

_CLASSES_AT_MOST: Final = 256
"""Of more the record names none; the file of the predictions does."""
_PARQUET: Final = "application/vnd.apache.parquet"

Goal = Literal["max", "min"]


class Evaluating(ABC):
    """The part of a `Run` that evaluates."""

    _data: RunData
    _goals: dict[str, Goal]
    _step: int
    _standing: Mapping[str, float] = MappingProxyType({})
    """By name, what of the evaluated metrics stands in the summary."""
    summary: Summary

    @abstractmethod
    def _event(self, op: str, **content: Any) -> None: ...

    @abstractmethod
    def _own(self) -> Recording | None: ...

    @abstractmethod
    def log(self, values: Mapping[str, Any], *, step: int | None = None) -> None: ...

    @abstractmethod
    def artifact(self, thing: Any, name: str, *, media_type: str | None = None) -> str | None: ...

    def evaluate(
        self,
        predictions: Any = None,
        *,
        split: str | Part = "val",
        truth: Any = None,
        ids: Any = None,
        scores: Any = None,
        metrics: Any = None,
        classes: Any = None,
        groups: Any = None,
        step: int | None = None,
        name: str | None = None,
    ) -> dict[str, float]:
        """Compute metrics of predictions, and keep the predictions, so that anybody can compute them again.

        The metrics are logged as `val/accuracy`, and stand in the summary over what was logged under that name: the
        last, or the best where `define_metric` has named a goal. An evaluation of the same name takes the place of the
        one before; the best by its first metric stays beside it.

        Of several processes call it in rank 0, with all predictions: of what other ranks give nothing is recorded. A
        `DistributedSampler` repeats examples to fill up; what is there twice or missing warns and is on record.

        Args:
            predictions: a label or a number for each example, shape (n,); or a score for each class, shape (n, k), of
                which the greatest decides; or what `perplexity` and `mean_iou` count. Arrays, tensors and lists will
                do, and a table or mapping with the columns `id`, `truth`, `prediction`, `group`, `score/<class>`.
            split: the part that they are of, by its name or as `run.split` gave it. Of a split that the run has opened
                ids and labels are looked up where they are not given.
            truth: what is true of each, shape (n,).
            ids: which example each is of, shape (n,); those of the part in its order, or "0", "1", ... when left out.
            scores: where `predictions` are labels that were decided for, the scores, shape (n, k); of two classes the
                probability of the second, shape (n,), will do.
            metrics: names, functions, or what `gitrepro.metric` makes; the usual ones when left out.
            classes: what the columns of the scores stand for; when left out the sorted classes there are.
            groups: what each belongs to (a patient, a document), shape (n,): intervals take these as the units.
            step: of the training; that of the last row that was logged when left out.
            name: tells several evaluations apart, and stands before the names of the metrics; that of the part when
                left out.

        Returns:
            The metrics by name, as `{"accuracy": 0.97}`; NaN where one is not defined of these.

        Raises:
            UsageError: the arguments do not fit each other. NotFound, Damaged, StorageError: labels that are looked up
                cannot be read. Sealed: of a test set that the run has not opened, with the guard `strict`. That the
                predictions cannot be kept is a warning, and on record.
        """
        from ..analysis.metrics import check, chosen, measure, usual

        asked = None if metrics is None else chosen(metrics)
        counted = asked is not None and all(each.needs == "counts" for each in asked)
        place = matching.place_of(split, self._data.opened)
        called = place.part if name is None else check_name(name, "an evaluation")
        given = predicted.taken(
            predictions, counted=counted, scores=scores, truth=truth, ids=ids, groups=groups, classes=classes
        )
        found = matching.matched(given, place, truthless=counted)
        wanted = asked or usual(found)
        for each in wanted:
            check(each, found)
        values = {each.name: _computed(measure, each, found) for each in wanted}
        self._put_on_record(called, place, found, wanted, values, self._at(step))
        return values

    # -- how it is done

    def _at(self, step: int | None) -> int:
        return max(self._step, 0) if step is None else check_step(step)

    def _put_on_record(
        self,
        name: str,
        place: matching.Place,
        found: Predicted,
        wanted: Sequence[MetricFunction],
        values: Mapping[str, float],
        step: int,
    ) -> None:
        recording = self._own()
        if recording is not None and recording.rank:
            warn(
                f"rank {recording.rank} evaluates {name}, and this is not recorded: gather the predictions of all "
                "ranks, and evaluate in rank 0"
            )
            return
        entry = _entry(name, place, found, wanted, values, step)
        _tell_doubts(entry, found)
        data = b"" if recording is None else dump(found)
        self._say(entry)
        blob = self.artifact(data, f"predictions.{name}.parquet", media_type=_PARQUET)
        if blob is None or recording is None:
            return
        for each in wanted:
            if each.source is not None:
                self.artifact(each.source.encode(), f"metrics/{each.name}.py", media_type="text/x-python")
        self._event(OP, entry=replace(entry, predictions=blob, size_bytes=len(data)).document())

    def _say(self, entry: Evaluation) -> None:
        """Log the metrics, and let them stand in the summary."""
        told = {f"{entry.name}/{each}": measured for each, measured in entry.metrics.items()}
        self.log({each: measured.value for each, measured in told.items()}, step=entry.step)
        for each, measured in told.items():
            before = self._standing.get(each)
            if before is None and each not in self._goals:
                self._event("define", name=each, goal=measured.goal)
            if each not in self._goals or before is None or better(measured.value, before, self._goals[each]):
                self._standing = {**self._standing, each: measured.value}
                self.summary[each] = measured.value


def _computed(measure: Callable[..., float], each: MetricFunction, found: Predicted) -> float:
    if each.version:
        return measure(each, found)
    try:
        return measure(each, found)
    except Exception as error:  # the function is the program's own, and may raise anything
        raise UsageError(
            f"metric {each.name} failed: {error!r:.300}", do="it is given truth and predictions"
        ) from error


def _entry(
    name: str,
    place: matching.Place,
    found: Predicted,
    wanted: Sequence[MetricFunction],
    values: Mapping[str, float],
    step: int,
) -> Evaluation:
    classes = found.classes
    return Evaluation(
        name=name,
        part=place.part,
        split=place.split,
        examples=len(found),
        distinct=len({*found.ids.tolist()}),
        expected=place.expected,
        examples_digest=examples_digest(found.ids, found.truth),
        predictions="",
        size_bytes=0,
        classes=classes if classes is not None and len(classes) <= _CLASSES_AT_MOST else None,
        metrics={each.name: _measured(each, values[each.name]) for each in wanted},
        step=step,
        opening=getattr(place.of, "opening", None),
    )


def _measured(each: MetricFunction, value: float) -> Measured:
    return Measured(
        value=value, goal=each.goal, function=each.function, digest=each.digest, settings=dict(each.settings)
    )


def _tell_doubts(entry: Evaluation, found: Predicted) -> None:
    of = f"of the {entry.examples} predictions of {entry.name}"
    if again := entry.examples - entry.distinct:
        warn(
            f"{again} {of} are of examples that have one already, as a DistributedSampler pads: "
            "they count twice in the metrics; drop them"
        )
    if entry.expected is not None and (missing := entry.expected - entry.distinct) > 0:
        warn(
            f"{missing} of the {entry.expected} examples of {entry.part} are not predicted: {entry.name} is of a share"
        )
    if empty := predicted.missing_in(found.values):
        warn(f"{empty} {of} are NaN: so are the metrics")
    elif undefined := [name for name, each in entry.metrics.items() if each.value != each.value]:
        warn(f"{', '.join(undefined)} of {entry.name} is not defined of these examples: NaN")
