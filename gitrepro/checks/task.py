"""An experiment as checks run it: examples as they are before anything was done to them, and what is predicted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, Protocol, final

import numpy as np

from ..errors import UsageError

Kind = Literal["classification", "regression", "language", "self-supervised", "reinforcement", "other"]
KINDS: Final[tuple[Kind, ...]] = (
    "classification", "regression", "language", "self-supervised", "reinforcement", "other",
)  # fmt: skip
TRAIN: Final = "train"


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """The examples of one part of a split, before any preprocessing.

    Attributes:
        ids: shape (n,), text; each names one example of the whole data.
        inputs: n of them: an array whose first axis is n, or a sequence of texts, images or whatever the task takes.
        labels: shape (n,), integers or text for classes, float64 for numbers; None where there are none.
        groups: shape (n,), what belongs together and must not be on two sides of a split (a patient, a document).
        times: shape (n,), float64, when each example was taken, in any unit.
    """

    ids: np.ndarray
    inputs: Any
    labels: np.ndarray | None = None
    groups: np.ndarray | None = None
    times: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, places: np.ndarray) -> Part:
        """The examples at these places, shape (m,), int64, in their order."""
        return Part(
            ids=self.ids[places],
            inputs=pick(self.inputs, places),
            labels=None if self.labels is None else self.labels[places],
            groups=None if self.groups is None else self.groups[places],
            times=None if self.times is None else self.times[places],
        )


def pick(inputs: Any, places: np.ndarray) -> Any:
    """Of inputs those at these places: an array of an array, a list of any other sequence."""
    if isinstance(inputs, np.ndarray):
        return inputs[places]
    return [inputs[int(place)] for place in places]


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Data:
    """All examples of a task.

    Attributes:
        parts: by name; `train` and the part that is scored are there, others may be.
        scored: the part whose predictions the metric is computed from: `val`, or whatever the task calls it.
        iid: whether the parts are said to be drawn from one source. False for splits by time or by domain, whose parts
            may differ.
        features: names of the columns of `inputs`, where it is a table.
    """

    parts: Mapping[str, Part]
    scored: str = "val"
    iid: bool = True
    features: Sequence[str] | None = None

    @property
    def train(self) -> Part:
        return self.parts[TRAIN]

    @property
    def judged(self) -> Part:
        """The part that is scored."""
        return self.parts[self.scored]

    def with_parts(self, **parts: Part) -> Data:
        """The same with these parts in place of those of their names."""
        return replace(self, parts={**self.parts, **parts})


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictions:
    """What the task predicts of the part that is scored.

    Attributes:
        ids: shape (n,), text: of which examples.
        values: shape (n,), of the labels' type; or float64 of shape (n, number of classes), a score for each class in
            the sorted order of the classes.
        score: what the task itself computed as its metric; NaN where it computed none.
        extra: other numbers it told, by name, such as `train/accuracy`.
    """

    ids: np.ndarray
    values: np.ndarray
    score: float = float("nan")
    extra: Mapping[str, float] = field(default_factory=dict)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """How predictions are scored.

    Attributes:
        function: takes labels, shape (n,), and predictions as `Predictions.values` has them; returns a float.
        goal: `max` or `min`.
    """

    name: str
    function: Callable[[np.ndarray, np.ndarray], float]
    goal: Literal["max", "min"] = "max"


class Task(Protocol):
    """An experiment that checks can run. `data` and `predict` are the user's code, called again and again.

    A task may have more, and checks that know of it use it: `epochs`, how often `predict` goes through the train part
    with its whole budget; `has_budget`, False where a smaller `share` makes it no cheaper; `fitted(data)`, the numbers
    that are fitted before training, by name.
    """

    name: str
    kind: Kind
    metric: Metric

    def data(self) -> Data:
        """The examples, the same each time: split, and nothing else done to them."""
        ...

    def predict(self, data: Data, *, seed: int, share: float) -> Predictions:
        """Do the whole experiment on these data, and predict the part that is scored.

        All that is learnt from data belongs in here: scaling, choosing features, encoding, removing duplicates.

        Args:
            data: of the same form as `data()` gives, perhaps with other labels, other inputs, or fewer examples.
            share: of the usual budget (epochs, steps, trees), above 0 and at most 1.
        """
        ...

    def learner(self) -> Learner | None:
        """The model and its loss, for checks that look into the training; None where there is no torch model."""
        ...


class Learner(Protocol):
    """A torch model as it is trained, piece by piece.

    Attributes:
        loss_floor: the least the loss can be, 0.0 for cross-entropy of hard labels; None where nobody knows.
    """

    loss_floor: float | None

    def build(self, seed: int) -> Any:
        """A new `torch.nn.Module`, initialised from the seed."""
        ...

    def optimizer(self, model: Any) -> Any:
        """The `torch.optim.Optimizer` as the training has it."""
        ...

    def batch(self, part: Part) -> Any:
        """These examples as the training gives them to the model, without random augmentation."""
        ...

    def outputs(self, model: Any, batch: Any) -> Any:
        """What the model says: a tensor of shape (n, ...), row i of example i."""
        ...

    def loss(self, model: Any, batch: Any) -> Any:
        """The training's loss of this batch: a tensor of shape ()."""
        ...

    def step(self, model: Any, optimizer: Any, batch: Any) -> float:
        """One step of the training as it is: forward, backward, step; the loss before it."""
        ...


def check_data(data: object, *, source: str) -> Data:
    """The data of a task, if they are whole.

    Raises:
        UsageError: a part is missing or empty, lengths differ, or ids are used twice.
    """
    if not isinstance(data, Data):
        raise UsageError(f"{source} gave a {type(data).__name__}", do="return gitrepro.checks.task.Data")
    for name in (TRAIN, data.scored):
        if name not in data.parts:
            raise UsageError(f"{source} has no part {name!r}", why=f"it has {', '.join(data.parts) or 'none'}")
    seen: set[str] = set()
    for name, part in data.parts.items():
        _check_part(part, source=f"{source}, part {name!r}")
        seen = _unique(part, seen, source=f"{source}, part {name!r}")
    return data


def _check_part(part: Part, *, source: str) -> None:
    if not len(part):
        raise UsageError(f"{source} has no examples")
    for name in ("inputs", "labels", "groups", "times"):
        found = getattr(part, name)
        if found is not None and len(found) != len(part):
            raise UsageError(f"{source} has {len(part)} ids and {len(found)} {name}")


def _unique(part: Part, seen: set[str], *, source: str) -> set[str]:
    ids = set(map(str, part.ids))
    if len(ids) < len(part) or ids & seen:
        raise UsageError(
            f"{source}: an id is used twice",
            why="an id names one example, and no example may be in two parts",
            do="give each example an id of its own; overlaps are found by content",
        )
    return seen | ids
