"""Is an experiment sound? A small network on digits that are not centred, and the same with one thing broken.

    gitrepro check all examples/checked_digits.py
    gitrepro check all --html found.html examples/checked_digits.py -- --broken duplicates

Each line of BROKEN below is a fault that many experiments have had, and the check that finds it.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from gitrepro.checks.arrays import data_of, split_of
from gitrepro.checks.metrics import metric
from gitrepro.checks.task import Data, Part, Predictions
from gitrepro.checks.torchtask import Pieces, TorchLearner, predicted, train

BROKEN = {
    "drift": "distribution.drift: the images that are scored have twice the contrast",
    "duplicates": "distribution.duplicates: half of the images that are scored are in train, too",
    "groups": "separation.groups: one scan is cut into parts that stand on both sides of the split",
    "filename": "shuffle.inputs: the file names tell the label, and the model reads them",
    "own-labels": "shuffle.labels: it is fitted on what is scored, too",
    "normalised": "separation.fitted: each pixel is standardised over all parts together",
    "frozen": "overfit.all_move: the optimizer is not given the body of the network",
    "softmax": "overfit.mini_batch: probabilities go into a loss that wants logits",
    "zero-grad": "overfit.gradients: nobody sets the gradients back to zero",
    "majority": "baseline.beaten: whatever it is shown, it says the same",
}
SIDE = 12
EPOCHS = 30


def scans(broken: str | None) -> Data:
    """8 x 8 pixels of a real digit each, put down somewhere on 12 x 12."""
    digits, labels = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    images = np.zeros((len(labels), SIDE, SIDE))
    for image, digit, (down, right) in zip(images, digits, rng.integers(0, SIDE - 7, (len(labels), 2)), strict=True):
        image[down : down + 8, right : right + 8] = digit.reshape(8, 8)
    width = np.array([f"scan-{place:04d}" for place in range(len(labels))])
    ids = np.array([f"digit-{label}/{name}" for label, name in zip(labels, width, strict=True)])
    places = split_of(labels, share=0.2, groups=None, times=None, seed=0)
    data = data_of(images, labels, places, ids=ids if broken == "filename" else width)
    return with_fault(data, broken, rng)


def with_fault(data: Data, broken: str | None, rng: np.random.Generator) -> Data:
    val = data.judged
    if broken == "drift":
        return data.with_parts(val=replace(val, inputs=val.inputs * 2))
    if broken == "duplicates":
        return data.with_parts(train=with_copies(data.train, val.take(np.arange(len(val) // 2))))
    if broken == "groups":
        parts = {name: replace(part, groups=rng.integers(0, 200, len(part))) for name, part in data.parts.items()}
        return data.with_parts(**parts)
    return data


def with_copies(train: Part, copied: Part) -> Part:
    assert train.labels is not None and copied.labels is not None
    return Part(
        ids=np.concatenate([train.ids, [f"copy-{each}" for each in copied.ids]]),
        inputs=np.concatenate([train.inputs, copied.inputs]),
        labels=np.concatenate([train.labels, copied.labels]),
    )


class Net(nn.Module):
    def __init__(self, broken: str | None) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 32, 3),
            nn.ReLU(), nn.Flatten(),
        )  # fmt: skip
        self.head = nn.Linear(32 * 4, 10)
        self.softmax = broken == "softmax"

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.body(images[:, None] / 16))
        return logits.softmax(dim=1) if self.softmax else logits


def step_without_zero_grad(
    model: nn.Module, optimizer: torch.optim.Optimizer, batch: tuple[torch.Tensor, ...]
) -> float:
    loss = nn.functional.cross_entropy(model(batch[0]), batch[1])
    loss.backward()
    optimizer.step()
    return loss.item()


class Digits:
    """The experiment. `broken` names what is wrong with it."""

    name = "digits"
    kind = "classification"
    metric = metric("accuracy", classes=np.arange(10))

    def __init__(self, broken: str | None) -> None:
        self.broken = broken

    def data(self) -> Data:
        return scans(self.broken)

    def learner(self) -> TorchLearner:
        step = step_without_zero_grad if self.broken == "zero-grad" else None
        pieces = Pieces(classes=np.arange(10), optimizer=self.optimizer, step=step)
        return TorchLearner(make=self.build, pieces=pieces, loss_floor=0.0)

    def build(self, _seed: int) -> Net:
        return Net(self.broken)

    def optimizer(self, model: Net) -> torch.optim.Optimizer:
        return torch.optim.Adam((model.head if self.broken == "frozen" else model).parameters(), lr=2e-3)

    def predict(self, data: Data, *, seed: int, share: float) -> Predictions:
        train_part, val = data.train, data.judged
        if self.broken == "majority":
            values = np.full(len(val), np.bincount(train_part.labels).argmax())
        elif self.broken == "filename":
            values = self.read_names(data)
        else:
            values = self.learnt(train_part, val, seed, share)
        return Predictions(ids=val.ids, values=values, score=self.metric.function(val.labels, values))

    def learnt(self, part: Part, val: Part, seed: int, share: float) -> np.ndarray:
        if self.broken == "normalised":
            both = np.concatenate([part.inputs, val.inputs])
            mean, std = both.mean(axis=0), both.std(axis=0) + 1e-6
            part, val = (replace(each, inputs=(each.inputs - mean) / std) for each in (part, val))
        if self.broken == "own-labels":
            part = with_copies(part, val)
        learner = self.learner()
        model = learner.build(seed)
        train(learner, model, part, epochs=EPOCHS * share, batch_size=64, seed=seed)
        return predicted(learner, model, val).argmax(axis=1)

    def read_names(self, data: Data) -> np.ndarray:
        """The likeliest label of each folder, as the train part has it."""
        folders = [str(each).partition("/")[0] for each in data.train.ids]
        likely = {name: np.bincount(data.train.labels[np.array(folders) == name]).argmax() for name in set(folders)}
        return np.array([likely[str(each).partition("/")[0]] for each in data.judged.ids])


def asked() -> str | None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--broken", choices=[*BROKEN])
    broken: str | None = parser.parse_args().broken
    return broken


task = Digits(asked())

if __name__ == "__main__":
    print(f"accuracy {task.predict(task.data(), seed=0, share=1.0).score:.4f}")
