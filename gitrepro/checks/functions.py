"""A task from functions of a file: `data`, `build`, and where they are wanted `loss`, `optimizer`, `batch`, `metrics`.

What `build` returns decides: an estimator with `fit` and `predict`, or a `torch.nn.Module` that is trained here, epoch
by epoch. A module that has `training_step` and `configure_optimizers` (as Lightning's), or whose outputs have `loss`
and `logits` (as those of Hugging Face), says itself how it is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from ..errors import UsageError
from .arrays import VAL, data_of, inputs_of, kind_of, labels_of, split_of
from .estimator import EstimatorTask
from .metrics import metric as metric_of
from .task import KINDS, Data, Kind, Metric
from .torchtask import Pieces, TorchTask

_SHARE: Final = 0.2
_EPOCHS: Final = 20
_BATCH_SIZE: Final = 32
_NUMBERS: Final[Mapping[str, int]] = {"EPOCHS": _EPOCHS, "BATCH_SIZE": _BATCH_SIZE}


def from_module(names: Mapping[str, Any], *, name: str = "task") -> TorchTask | EstimatorTask:
    """A task from the names of a module.

    Args:
        names: `data()` gives `(X, y)`, or a `Data` where the split is yours. `build(seed)` gives the model. With a
            torch model there may be `batch(part)` (a pair of tensors), `loss(model, batch)` (a tensor of shape ()),
            `optimizer(model)`, `outputs(model, batch)`, `step(model, optimizer, batch)` (one step; the loss before it),
            `EPOCHS` and `BATCH_SIZE`. `metrics(labels, predictions)` gives
            the number that is looked at (or a mapping, of which the first is), `METRIC` names one, and `GOAL` is `max`
            or `min`. `KIND` is one of the kinds of a task, `LOSS_FLOOR` the least that the loss can be.

    Raises:
        UsageError: a name is missing, or of another type than it should be.
    """
    for each in ("data", "build"):
        if not callable(names.get(each)):
            raise UsageError(f"there is no function {each}()", do="`gitrepro check init` writes one to start from")
    given = Given(names["data"])
    data = given()
    labels = data.train.labels
    kind: Kind = names.get("KIND") or ("self-supervised" if labels is None else kind_of(labels))
    if kind not in KINDS:
        raise UsageError(f"there is no kind of task {kind!r:.60}", do=f"set KIND to one of {', '.join(KINDS)}")
    classes = _classes(data) if kind == "classification" else None
    metric = _metric(names, kind, classes)
    model = names["build"](0)
    if callable(getattr(model, "fit", None)) and callable(getattr(model, "predict", None)):
        # Built again with each seed: what `build` does with it is the user's.
        return EstimatorTask(
            estimator=Built(names["build"]), given=data, name=name, kind=kind, metric=metric, classes=classes
        )
    pieces = Pieces(
        classes=classes, **{key: names.get(key) for key in ("batch", "loss", "optimizer", "outputs", "step")}
    )
    return TorchTask(
        name=name, kind=kind, metric=metric, given=given, make=names["build"], pieces=pieces,
        epochs=_number(names, "EPOCHS"), batch_size=_number(names, "BATCH_SIZE"), loss_floor=_floor(names, kind),
    )  # fmt: skip


@final
class Built:
    """An estimator that is built by the user's function, with the seed, whenever it is fitted."""

    def __init__(self, build: Callable[[int], Any]) -> None:
        self.build = build

    def seeded(self, seed: int) -> Any:
        return self.build(seed)


@final
@dataclass(frozen=True, slots=True)
class Given:
    """The user's `data()`, as `Data` whatever it returns."""

    function: Callable[[], Any]

    def __call__(self) -> Data:
        found = self.function()
        if isinstance(found, Data):
            return found
        if not isinstance(found, tuple) or len(found) != 2:
            raise UsageError(f"data() gave a {type(found).__name__}", do="return (X, y), or gitrepro.checks.task.Data")
        inputs, labels = inputs_of(found[0]), labels_of(found[1])
        if len(inputs) != len(labels):
            raise UsageError(f"data() gave {len(inputs)} inputs and {len(labels)} labels")
        return data_of(inputs, labels, split_of(labels, share=_SHARE, groups=None, times=None, seed=0), scored=VAL)


def _classes(data: Data) -> np.ndarray:
    found = [part.labels for part in data.parts.values() if part.labels is not None]
    return np.unique(np.concatenate(found))


def _number(names: Mapping[str, Any], key: str) -> int:
    value = names.get(key, _NUMBERS[key])
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UsageError(f"{key} is {value!r:.40}", do="give an integer of 1 or more")
    return value


def _floor(names: Mapping[str, Any], kind: Kind) -> float | None:
    """Only of our own loss it is known; whoever brings one says it."""
    if "LOSS_FLOOR" in names:
        return None if names["LOSS_FLOOR"] is None else float(names["LOSS_FLOOR"])
    known = names.get("loss") is None and kind in ("classification", "regression")
    return 0.0 if known else None


def _metric(names: Mapping[str, Any], kind: Kind, classes: np.ndarray | None) -> Metric:
    own = names.get("metrics")
    goal = names.get("GOAL", "max")
    if goal not in ("max", "min"):
        raise UsageError(f"GOAL is {goal!r:.40}", do="set it to 'max' or 'min'")
    if own is None:
        chosen = names.get("METRIC") or ("r2" if kind == "regression" else "accuracy")
        return metric_of(chosen, classes=classes)

    def first(labels: np.ndarray, values: np.ndarray) -> float:
        told = own(labels, values)
        return float(next(iter(told.values())) if isinstance(told, Mapping) else told)

    return Metric(name=str(names.get("METRIC") or "metrics"), function=first, goal=goal)
