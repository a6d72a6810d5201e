"""A torch model as a task: epochs over mini-batches in an order that the seed gives, and predictions at the end."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from ..errors import TaskFailed, UsageError
from .metrics import to_classes
from .task import Data, Kind, Learner, Metric, Part, Predictions

_RATE: Final = 1e-3
_SCORED_AT_ONCE: Final = 512


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pieces:
    """The user's functions, and what stands in for those that there are not.

    Attributes:
        classes: sorted; a label is handed to the loss as its place among them. None for numbers.
    """

    classes: np.ndarray | None = None
    batch: Callable[[Part], Any] | None = None
    loss: Callable[[Any, Any], Any] | None = None
    optimizer: Callable[[Any], Any] | None = None
    outputs: Callable[[Any, Any], Any] | None = None
    step: Callable[[Any, Any, Any], float] | None = None


@final
@dataclass(slots=True, kw_only=True, eq=False)
class TorchLearner:
    """A model and its loss, piece by piece."""

    make: Callable[[int], Any]
    pieces: Pieces
    loss_floor: float | None

    def build(self, seed: int) -> Any:
        import torch

        torch.manual_seed(seed)
        model = self.make(seed)
        if not isinstance(model, torch.nn.Module):
            raise UsageError(
                f"build() gave a {type(model).__name__}", do="return a torch.nn.Module, or an estimator with fit"
            )
        return model

    def optimizer(self, model: Any) -> Any:
        import torch

        if self.pieces.optimizer is not None:
            return self.pieces.optimizer(model)
        if callable(getattr(model, "configure_optimizers", None)):
            return _first_optimizer(model.configure_optimizers())
        return torch.optim.Adam(model.parameters(), lr=_RATE)

    def batch(self, part: Part) -> Any:
        if self.pieces.batch is not None:
            return self.pieces.batch(part)
        import torch

        inputs = torch.as_tensor(np.array(part.inputs))
        if self.pieces.classes is not None or inputs.dtype == torch.float64:
            inputs = inputs.float()
        return inputs, None if part.labels is None else self._targets(part.labels)

    def outputs(self, model: Any, batch: Any) -> Any:
        if self.pieces.outputs is not None:
            return self.pieces.outputs(model, batch)
        told = model(batch[0] if isinstance(batch, tuple | list) else batch)
        return getattr(told, "logits", told)

    def loss(self, model: Any, batch: Any) -> Any:
        if self.pieces.loss is not None:
            return self.pieces.loss(model, batch)
        if callable(getattr(model, "training_step", None)):
            told = model.training_step(batch, 0)
            return told["loss"] if isinstance(told, dict) else told
        return self._plain_loss(model, batch)

    def _plain_loss(self, model: Any, batch: Any) -> Any:
        from torch.nn import functional

        outputs, targets = self.outputs(model, batch), batch[1]
        if self.pieces.classes is None:
            return functional.mse_loss(outputs.reshape(targets.shape), targets)
        return functional.cross_entropy(outputs, targets)

    def step(self, model: Any, optimizer: Any, batch: Any) -> float:
        if self.pieces.step is not None:
            return float(self.pieces.step(model, optimizer, batch))
        optimizer.zero_grad()
        loss = self.loss(model, batch)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    def _targets(self, labels: np.ndarray) -> Any:
        import torch

        if self.pieces.classes is None:
            return torch.as_tensor(np.array(labels)).float()
        return torch.as_tensor(np.searchsorted(self.pieces.classes, labels))


def _first_optimizer(told: Any) -> Any:
    """Of what `configure_optimizers` may return: an optimizer, a list, a pair of lists, a mapping."""
    if isinstance(told, dict):
        return told["optimizer"]
    while isinstance(told, tuple | list):
        told = told[0]
    return told


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TorchTask:
    """What `from_module` makes of a torch model."""

    name: str
    kind: Kind
    metric: Metric
    given: Callable[[], Data]
    make: Callable[[int], Any]
    pieces: Pieces
    epochs: int
    batch_size: int
    loss_floor: float | None

    def data(self) -> Data:
        return self.given()

    def learner(self) -> Learner:
        return TorchLearner(make=self.make, pieces=self.pieces, loss_floor=self.loss_floor)

    def predict(self, data: Data, *, seed: int, share: float) -> Predictions:
        learner = self.learner()
        model = learner.build(seed)
        train(learner, model, data.train, epochs=self.epochs * share, batch_size=self.batch_size, seed=seed)
        values = self._values(learner, model, data.judged)
        labels = data.judged.labels
        score = math.nan if labels is None else self.metric.function(labels, values)
        return Predictions(ids=data.judged.ids, values=values, score=float(score))

    def _values(self, learner: Learner, model: Any, part: Part) -> np.ndarray:
        outputs = predicted(learner, model, part)
        if self.pieces.classes is not None:
            if self.metric.name == "log_loss":
                return np.asarray(np.exp(outputs - np.logaddexp.reduce(outputs, axis=1, keepdims=True)))
            return to_classes(outputs, self.pieces.classes)
        return outputs.reshape(len(part), -1)[:, 0] if outputs.size == len(part) else outputs


def train(learner: Learner, model: Any, part: Part, *, epochs: float, batch_size: int, seed: int) -> None:
    """So many epochs, of which the last may be a part of one, at least one step.

    Raises:
        TaskFailed: the loss is no longer finite.
    """
    rng = np.random.default_rng(seed)
    optimizer = learner.optimizer(model)
    per_epoch = math.ceil(len(part) / batch_size)
    steps = max(1, round(epochs * per_epoch))
    model.train()
    for step in range(steps):
        if step % per_epoch == 0:
            order = rng.permutation(len(part))
        place = step % per_epoch * batch_size
        loss = learner.step(model, optimizer, learner.batch(part.take(order[place : place + batch_size])))
        if not math.isfinite(loss):
            raise TaskFailed(
                f"the loss of step {step + 1} is {loss}",
                why="training cannot go on from there",
                do="try a lower learning rate, and look at the inputs of that step",
            )


def predicted(learner: Learner, model: Any, part: Part) -> np.ndarray:
    """Outputs for all examples, float64, shape (n, ...), with the model in its evaluation mode."""
    import torch

    model.eval()
    found = []
    with torch.no_grad():
        for start in range(0, len(part), _SCORED_AT_ONCE):
            places = np.arange(start, min(start + _SCORED_AT_ONCE, len(part)))
            outputs = learner.outputs(model, learner.batch(part.take(places)))
            found.append(np.asarray(outputs.detach().cpu().double()))
    return np.concatenate(found)
