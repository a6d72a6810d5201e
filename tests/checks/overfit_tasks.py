"""Networks of torch and how they are trained, sound and broken, for the tests of overfitting."""

from __future__ import annotations

import json.decoder
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_diabetes, load_digits
from torch import Tensor, nn
from torch.nn import functional

from gitrepro.checks.task import Data, Kind, Learner, Metric, Part, Predictions

ACCURACY = Metric(name="accuracy", function=lambda labels, values: float(np.mean(labels == values)))


@dataclass(kw_only=True, eq=False)
class Training:
    """A network and how it is trained; each broken one overrides what is broken."""

    module: Callable[[], nn.Module]
    rate: float = 1e-2
    scale: float = 16.0
    loss_floor: float | None = 0.0

    def build(self, seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return self.module()

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adam(model.parameters(), lr=self.rate, weight_decay=1e-4)

    def batch(self, part: Part) -> Any:
        return torch.from_numpy(np.asarray(part.inputs, dtype=np.float32) / self.scale), torch.tensor(part.labels)

    def outputs(self, model: nn.Module, batch: Any) -> Tensor:
        return model(batch[0])

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        return functional.cross_entropy(self.outputs(model, batch), batch[1])

    def step(self, model: nn.Module, optimizer: torch.optim.Optimizer, batch: Any) -> float:
        optimizer.zero_grad()
        loss = self.loss(model, batch)
        loss.backward()
        optimizer.step()
        return loss.item()


class Numbers(Training):
    def batch(self, part: Part) -> Any:
        return torch.tensor(part.inputs * 20).float(), torch.tensor(part.labels / 100 - 1.5).float()

    def outputs(self, model: nn.Module, batch: Any) -> Tensor:
        return model(batch[0])[:, 0]

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        return functional.mse_loss(self.outputs(model, batch), batch[1])


class Letters(Training):
    def batch(self, part: Part) -> Any:
        return torch.tensor(part.inputs), torch.tensor(part.labels)

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        return functional.cross_entropy(self.outputs(model, batch).transpose(1, 2), batch[1])


@dataclass(kw_only=True)
class Experiment:
    """A task that is only looked into."""

    given: Data
    teaching: Learner | None
    kind: Kind = "classification"
    metric: Metric = ACCURACY
    name: str = "experiment"

    def data(self) -> Data:
        return self.given

    def predict(self, data: Data, *, seed: int, share: float) -> Predictions:
        raise AssertionError("a task with a learner is not run")

    def learner(self) -> Learner | None:
        return self.teaching


def parts_of(inputs: Any, labels: np.ndarray | None, *, train: int = 300, scored: int = 100) -> Data:
    ids = np.array([f"e{place}" for place in range(len(inputs))])
    whole = Part(ids=ids, inputs=inputs, labels=labels)
    return Data(
        parts={
            "train": whole.take(np.arange(train)),
            "val": whole.take(np.arange(train, train + scored)),
        }
    )


def digits(teaching: Learner | None) -> Experiment:
    data = load_digits()
    return Experiment(given=parts_of(data.images, data.target), teaching=teaching)


def diabetes(teaching: Learner | None) -> Experiment:
    data = load_diabetes()
    return Experiment(given=parts_of(data.data, data.target), teaching=teaching, kind="regression")


def letters(teaching: Learner | None, *, length: int = 10) -> Experiment:
    text = Path(json.decoder.__file__).read_bytes()[: (length + 1) * 400]
    tokens = np.frombuffer(text, dtype=np.uint8).astype(np.int64).clip(0, 127).reshape(400, length + 1)
    return Experiment(given=parts_of(tokens[:, :-1], tokens[:, 1:]), teaching=teaching, kind="language")


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def dropped() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.5), Hidden(), nn.Linear(64, 10))


class Hidden(nn.Module):
    """Dropout that no attribute tells of."""

    def forward(self, values: Tensor) -> Tensor:
        return functional.dropout(values, 0.3, self.training)


def cnn(*, norm: bool) -> nn.Module:
    between = nn.BatchNorm2d(8) if norm else nn.Identity()
    layers = [nn.Unflatten(1, (1, 8)), nn.Conv2d(1, 8, 3, padding=1), between, nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128, 10))


def line() -> nn.Module:
    return nn.Sequential(nn.Linear(10, 64), nn.Tanh(), nn.Linear(64, 1))


class Attention(nn.Module):
    def __init__(self, *, masked: bool = True, width: int = 32) -> None:
        super().__init__()
        self.letters, self.places = nn.Embedding(128, width), nn.Parameter(torch.randn(64, width) * 0.1)
        self.layer = nn.TransformerEncoderLayer(width, 2, 64, dropout=0.1, batch_first=True)
        self.head = nn.Linear(width, 128)
        self.masked = masked

    def forward(self, tokens: Tensor) -> Tensor:
        length = tokens.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(length) if self.masked else None
        return self.head(self.layer(self.letters(tokens) + self.places[:length], src_mask=mask))
