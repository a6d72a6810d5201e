"""One evaluation of a run: which examples were predicted, where the predictions are, and what the metrics came to.

An entry of the field `evaluations` of a run record. FORMAT.md shows one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, final

from ..errors import Damaged
from .fields import Fits, is_count, is_digest, is_map, is_name, is_text, is_whole, or_none, take
from .predictions import Class

if TYPE_CHECKING:
    import numpy as np

OWN: Final = "own:"
"""Begins the name of a function that is not ours: `own:train.weighted_error`."""
_WHAT: Final = "an evaluation"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one metric came to.

    Attributes:
        goal: `max` or `min`.
        function: `accuracy@1`: the name of ours and its version; `own:module.name` of one that was given.
        digest: `b3:` and the BLAKE3 of the source text of the function.
        settings: what it was called with besides, such as `k`.
    """

    value: float
    goal: str
    function: str
    digest: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_own(self) -> bool:
        """Whether the function is the program's own, so that only who has the program can compute it again."""
        return self.function.startswith(OWN)

    def document(self) -> dict[str, Any]:
        settings = {"settings": dict(self.settings)} if self.settings else {}
        told = {"digest": self.digest, "function": self.function, "goal": self.goal, "value": self.value}
        return {**told, **settings}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What `run.evaluate` puts on record.

    Attributes:
        name: of the evaluation; what it logs is called `<name>/<metric>`.
        part: of the data: `val`, `test`.
        split: `{dataset, digest, name, version}` of the split that the part is of; None where none was opened.
        examples: how many predictions there are.
        distinct: how many examples they are of.
        expected: how many the part has; None where nobody knows.
        examples_digest: of ids and truth, see `examples_digest`.
        predictions: the blob with the predictions of single examples.
        size_bytes: of that blob.
        classes: what the columns of scores stand for; None where there are none.
        metrics: by name, without the name of the evaluation.
        step: at which step of the training.
        checkpoint: the blob of a checkpoint that the run saved at that step; None where it saved none.
        opening: the id of the entry of the holdout log with which the part was opened; None where none was.
    """

    name: str
    part: str
    split: Mapping[str, Any] | None
    examples: int
    distinct: int
    expected: int | None
    examples_digest: str
    predictions: str
    size_bytes: int
    classes: tuple[Class, ...] | None
    metrics: Mapping[str, Measured]
    step: int | None = None
    checkpoint: str | None = None
    opening: str | None = None
    unknown: Mapping[str, Any] = field(default_factory=dict)
    """Fields of a later format: kept, and ignored."""

    @property
    def is_whole(self) -> bool:
        """Whether each example was predicted once, and none of the part is missing, as far as its size is known."""
        return self.examples == self.distinct and self.expected in (None, self.distinct)

    def document(self) -> dict[str, Any]:
        return {
            **self.unknown,
            "checkpoint": self.checkpoint,
            "classes": None if self.classes is None else list(self.classes),
            "distinct": self.distinct,
            "examples": self.examples,
            "examples_digest": self.examples_digest,
            "expected": self.expected,
            "metrics": {name: each.document() for name, each in self.metrics.items()},
            "name": self.name,
            "opening": self.opening,
            "part": self.part,
            "predictions": self.predictions,
            "size_bytes": self.size_bytes,
            "split": None if self.split is None else dict(self.split),
            "step": self.step,
        }


def evaluation_from(entry: Mapping[str, Any], *, source: str) -> Evaluation:
    """The evaluation that an entry of a record holds.

    Raises:
        Damaged: a field is missing, or of another type.
    """
    values = dict(entry)
    found = {name: take(values, name, fits, source=source, what=_WHAT) for name, fits in _FIELDS.items()}
    classes = found.pop("classes")
    metrics = {name: _measured(each, source=f"{source}: {name}") for name, each in found.pop("metrics").items()}
    return Evaluation(**found, classes=None if classes is None else tuple(classes), metrics=metrics, unknown=values)


def _measured(entry: object, *, source: str) -> Measured:
    if not isinstance(entry, dict):
        raise Damaged(f"{source} is {entry!r:.60}", why="a metric has a value, a goal, a function and its digest")
    values = dict(entry)
    found = {name: take(values, name, fits, source=source, what=_WHAT) for name, fits in _METRIC.items()}
    settings = values.get("settings", {})
    if not isinstance(settings, dict):
        raise Damaged(f"{source}: settings is {settings!r:.60}", why="it is not what an evaluation holds there")
    return Measured(**{**found, "value": float(found["value"])}, settings=settings)


def examples_digest(ids: np.ndarray, truth: np.ndarray | None) -> str:
    """`b3:` and the BLAKE3 of which examples these are and what is true of them.

    Of the lines `id`, a tab, the truth as text, each once, sorted: order and repeats make no difference. A backslash, a
    tab or a line break within them is escaped by a backslash.

    Args:
        ids: shape (n,), text.
        truth: shape (n,); None where there is none, and then nothing stands behind the tab.
    """
    told = [""] * len(ids) if truth is None else [truth_text(each) for each in truth.tolist()]
    lines = sorted({f"{_escaped(str(each))}\t{_escaped(said)}\n" for each, said in zip(ids, told, strict=True)})
    return text_digest("".join(lines))


def truth_text(value: Any) -> str:
    """A label or a number as text: `5` for 5, `True` for True, `0.5` for 0.5, and text as it is."""
    return repr(value) if isinstance(value, float) else str(value)


def text_digest(text: str) -> str:
    """`b3:` and the BLAKE3 of a text in UTF-8."""
    return bytes_digest(text.encode("utf-8", "surrogatepass"))


def bytes_digest(data: bytes) -> str:
    """`b3:` and the BLAKE3 of some bytes."""
    import blake3

    return f"b3:{blake3.blake3(data).hexdigest()}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _are_classes(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, bool | int | float | str) for each in value)


_FIELDS: Final[dict[str, Fits]] = {
    "checkpoint": or_none(is_digest),
    "classes": or_none(_are_classes),
    "distinct": is_count,
    "examples": is_count,
    "examples_digest": is_digest,
    "expected": or_none(is_count),
    "metrics": is_map,
    "name": is_name,
    "opening": or_none(is_text),
    "part": is_text,
    "predictions": is_digest,
    "size_bytes": is_count,
    "split": or_none(is_map),
    "step": or_none(is_whole),
}
_METRIC: Final[dict[str, Fits]] = {
    "digest": is_digest,
    "function": is_text,
    "goal": lambda value: value in ("max", "min"),
    "value": _is_number,
}
