"""Networks of torch that learn digits, numbers and letters, and how they are trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from sklearn.datasets import make_friedman1
from torch import Tensor, nn
from torch.nn import functional

from gitrepro.checks.task import Data, Part, Task

from .experiment import ACCURACY, Experiment, Made, classifying, regressing, split, whole
from .images import dimmed_of
from .sequences import LETTERS, sources

Batch = tuple[Tensor, Tensor]


# -- how they learn


@dataclass(frozen=True, kw_only=True, eq=False)
class Classes:
    """A network that tells classes apart, as it is trained. What is broken in one way is a class below."""

    module: Callable[[], nn.Module]
    rate: float = 1e-2
    loss_floor: float | None = 0.0
    epochs: int = 15
    size: int = 64

    def build(self, seed: int) -> nn.Module:
        # A copy of the generator's state comes back: who asks for a model keeps his own random numbers.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.module()

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adam(model.parameters(), lr=self.rate)

    def batch(self, part: Part) -> Batch:
        images = torch.from_numpy(np.asarray(part.inputs, dtype=np.float32))
        # Each image by its own light: nothing is learnt for this from the others.
        mean, spread = images.mean(dim=(1, 2), keepdim=True), images.std(dim=(1, 2), keepdim=True)
        return (images - mean) / (spread + 1e-3), torch.from_numpy(np.asarray(part.labels, dtype=np.int64))

    def outputs(self, model: nn.Module, batch: Batch) -> Tensor:
        return model(batch[0])

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        return functional.cross_entropy(self.outputs(model, batch), batch[1])

    def step(self, model: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch) -> float:
        optimizer.zero_grad()
        loss = self.loss(model, batch)
        loss.backward()
        optimizer.step()
        return loss.item()

    # -- the training that is made of these pieces

    def fit(self, data: Data, seed: int, share: float) -> np.ndarray:
        model = self.build(seed)
        optimizer = self.optimizer(model)
        order = np.random.default_rng(seed)
        torch.manual_seed(seed)
        for _ in range(max(round(self.epochs * share), 1)):
            places = order.permutation(len(data.train))
            for at in range(0, len(places), self.size):
                self.step(model, optimizer, self.batch(data.train.take(places[at : at + self.size])))
        return self.said(model, data.judged)

    def said(self, model: nn.Module, part: Part) -> np.ndarray:
        model.eval()
        with torch.no_grad():
            return self.outputs(model, self.batch(part)).argmax(dim=-1).numpy()


@dataclass(frozen=True, kw_only=True, eq=False)
class Numbers(Classes):
    """A network that predicts one number of a table."""

    def batch(self, part: Part) -> Batch:
        inputs = torch.from_numpy(np.asarray(part.inputs, dtype=np.float32) * 2 - 1)
        return inputs, torch.from_numpy(np.asarray(part.labels, dtype=np.float32) / 5 - 3)

    def outputs(self, model: nn.Module, batch: Batch) -> Tensor:
        return model(batch[0])[:, 0]

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        return functional.mse_loss(self.outputs(model, batch), batch[1])

    def said(self, model: nn.Module, part: Part) -> np.ndarray:
        model.eval()
        with torch.no_grad():
            return self.outputs(model, self.batch(part)).numpy().astype(np.float64) * 5 + 15


@dataclass(frozen=True, kw_only=True, eq=False)
class Letters(Classes):
    """A network that predicts each next letter."""

    loss_floor: float | None = None

    def batch(self, part: Part) -> Batch:
        return torch.from_numpy(np.asarray(part.inputs)), torch.from_numpy(np.asarray(part.labels))

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        return functional.cross_entropy(self.outputs(model, batch).transpose(1, 2), batch[1])


# -- networks


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 10))


def with_dropout() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, 10))


class Images(nn.Module):
    """A small convolutional network, with batch norm or without."""

    def __init__(self, *, norm: bool) -> None:
        super().__init__()
        between = nn.BatchNorm2d(16) if norm else nn.Identity()
        self.body = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), between, nn.ReLU(), nn.MaxPool2d(2))
        self.more = nn.Sequential(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
        self.head = nn.Linear(128, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.more(self.body(images[:, None])))


def one_number() -> nn.Module:
    return nn.Sequential(nn.Linear(10, 64), nn.Tanh(), nn.Linear(64, 1))


class Attending(nn.Module):
    """One layer of attention over letters, with a mask of the future or without."""

    def __init__(self, *, masked: bool = True, width: int = 32, length: int = 16) -> None:
        super().__init__()
        self.letters = nn.Embedding(len(LETTERS), width)
        self.places = nn.Parameter(torch.randn(length, width) * 0.1)
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.after = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 64), nn.GELU(), nn.Linear(64, width))
        self.head = nn.Linear(width, len(LETTERS))
        self.masked = masked

    def forward(self, tokens: Tensor) -> Tensor:
        length = tokens.shape[1]
        seen = self.letters(tokens) + self.places[:length]
        mask = torch.triu(torch.ones(length, length, dtype=torch.bool), diagonal=1) if self.masked else None
        found, _ = self.attention(seen, seen, seen, attn_mask=mask, need_weights=False)
        return self.head(seen + found + self.after(seen + found))


# -- sound


def of_digits(name: str, learner: Classes, seed: int) -> Task:
    return classifying(name, dimmed_of(seed), learner.fit, teaching=learner)


def stretches(seed: int, *, width: int = 16, count: int = 900) -> Data:
    """Stretches of letters that do not overlap, and each next letter."""
    letters = sources()
    starts = np.random.default_rng((seed, 50)).permutation(np.arange(0, len(letters) - width - 1, width + 1))[:count]
    inputs = letters[starts[:, None] + np.arange(width)]
    _, first = np.unique(inputs, axis=0, return_index=True)
    labels = letters[starts[:, None] + np.arange(1, width + 1)]
    return split(whole(inputs[first], labels[first], seed=seed), seed=seed)


def of_letters(name: str, learner: Classes, seed: int) -> Task:
    return Made(name=name, given=stretches(seed), fit=learner.fit, kind="language", metric=ACCURACY, teaching=learner)


def mlp(seed: int) -> Task:
    return of_digits("MLP", Classes(module=perceptron), seed)


def dropout(seed: int) -> Task:
    return of_digits("MLP, dropout", Classes(module=with_dropout), seed)


def cnn(seed: int) -> Task:
    return of_digits("CNN", Classes(module=lambda: Images(norm=False), epochs=12), seed)


def cnn_norm(seed: int) -> Task:
    return of_digits("CNN, batch norm", Classes(module=lambda: Images(norm=True), epochs=10), seed)


def regression(seed: int) -> Task:
    inputs, labels = make_friedman1(500, noise=1.0, random_state=seed)
    learner = Numbers(module=one_number, epochs=45, size=32)
    data = split(whole(inputs, labels, seed=seed), seed=seed)
    return regressing("MLP, Friedman", data, learner.fit, teaching=learner)


def transformer(seed: int) -> Task:
    return of_letters("letters", Letters(module=Attending, rate=1e-2, epochs=20), seed)


SOUND: Final = (
    Experiment(name="digits in any light, MLP", make=mlp),
    Experiment(name="digits in any light, MLP with dropout", make=dropout),
    Experiment(name="digits in any light, CNN", make=cnn),
    Experiment(name="digits in any light, CNN with batch norm", make=cnn_norm),
    Experiment(name="Friedman's function, MLP", make=regression),
    Experiment(name="letters of Python, attention", make=transformer),
)
