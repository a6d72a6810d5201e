"""What goes wrong in the training loops of networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from gitrepro.checks.task import Part, Task

from .experiment import Experiment
from .networks import Attending, Batch, Classes, Letters, of_digits, of_letters, perceptron


class Softmaxed(Classes):
    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        return functional.cross_entropy(self.outputs(model, batch).softmax(dim=1), batch[1])


class Misaligned(Classes):
    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        return functional.cross_entropy(self.outputs(model, batch), batch[1][torch.randperm(len(batch[1]))])


class Frozen(Classes):
    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adam(list(model.parameters())[-2:], lr=self.rate)


class Detached(Classes):
    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        body, head = model[:-1], model[-1]  # type: ignore[index]
        return functional.cross_entropy(head(body(batch[0]).detach()), batch[1])


class Summed(Classes):
    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        return functional.cross_entropy(self.outputs(model, batch), batch[1], reduction="sum")


class Unreset(Classes):
    def step(self, model: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch) -> float:
        loss = self.loss(model, batch)
        loss.backward()
        optimizer.step()
        return loss.item()


class Mixing(Classes):
    """Probabilities over the examples of the batch, where those over the classes are meant."""

    def outputs(self, model: nn.Module, batch: Batch) -> Tensor:
        return functional.log_softmax(model(batch[0]), dim=0)


class OneTarget(Classes):
    """The labels are cut to the first two classes by a wrong type on the way."""

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        return functional.cross_entropy(self.outputs(model, batch), batch[1].bool().long())


class Standing(Classes):
    """The step is never made."""

    def step(self, model: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch) -> float:
        optimizer.zero_grad()
        loss = self.loss(model, batch)
        loss.backward()
        return loss.item()


class Noisy(Classes):
    """Scored in train mode: dropout goes on."""

    def said(self, model: nn.Module, part: Part) -> np.ndarray:
        model.train()
        with torch.no_grad():
            return self.outputs(model, self.batch(part)).argmax(dim=-1).numpy()


class Raw(Classes):
    """Pixels as they are, from 0 to about 28."""

    def batch(self, part: Part) -> Batch:
        images = torch.from_numpy(np.asarray(part.inputs, dtype=np.float32))
        return images, super().batch(part)[1]


def gaping() -> nn.Module:
    """Batch norm of pixels, whose running statistics hardly ever move."""
    return nn.Sequential(
        nn.Flatten(), nn.BatchNorm1d(64, momentum=1e-4), nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 10)
    )


def heavy_dropout() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 96), nn.ReLU(), nn.Dropout(0.8), nn.Linear(96, 10))


def broken_digits(
    name: str, learner: type[Classes], module: Callable[[], nn.Module] = perceptron
) -> Callable[[int], Task]:
    def make(seed: int) -> Task:
        return of_digits(name, learner(module=module), seed)

    return make


def unmasked(seed: int) -> Task:
    return of_letters("unmasked", Letters(module=lambda: Attending(masked=False), rate=1e-2, epochs=20), seed)


BROKEN: Final = (
    Experiment(name="softmax", make=broken_digits("softmax", Softmaxed), broken="softmax before cross-entropy",
               line="overfit.mini_batch"),
    Experiment(name="labels of others", make=broken_digits("misaligned", Misaligned),
               broken="labels in another order than inputs", line="overfit.mini_batch"),
    Experiment(name="frozen body", make=broken_digits("frozen", Frozen), broken="the optimiser has the head only",
               line="overfit.all_move"),
    Experiment(name="detached loss", make=broken_digits("detached", Detached), broken="no gradient into the body",
               line="overfit.all_move"),
    Experiment(name="summed loss", make=broken_digits("summed", Summed), broken="the sum where the mean is meant",
               line="overfit.initial_loss", verdict="WARN"),
    Experiment(name="gradients that add up", make=broken_digits("unreset", Unreset), broken="zero_grad is missing",
               line="overfit.gradients"),
    Experiment(name="softmax over the batch", make=broken_digits("mixing", Mixing),
               broken="an example depends on the others", line="overfit.independence"),
    Experiment(name="labels of two classes", make=broken_digits("bool", OneTarget),
               broken="labels lost in a conversion", line="overfit.mini_batch"),
    Experiment(name="no step", make=broken_digits("standing", Standing), broken="the optimiser never steps",
               line="overfit.all_move"),
    Experiment(name="batch norm that stands still", make=broken_digits("gaping", Raw, gaping),
               broken="running statistics are of another world", line="overfit.modes", verdict="WARN"),
    Experiment(name="attention to the future", make=unmasked, broken="no mask of the future", line="overfit.future"),
    Experiment(name="dropout when scored", make=broken_digits("noisy", Noisy, heavy_dropout),
               broken="scored in train mode", line="baseline.beaten"),
)  # fmt: skip
