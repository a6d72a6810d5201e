"""A real small training, traced, with one thing changed: what the tests of traces compare."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

import gitrepro

BATCH = 64
WIDE = 512


@cache
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return torch.tensor(images, dtype=torch.float32)[:600] / 16.0, torch.tensor(labels)[:600]


class Digits(Dataset[Any]):
    def __init__(self, *, scale: float = 1.0) -> None:
        self.images, self.labels = digits()
        self.scale = scale

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, place: int) -> Any:
        return self.images[place] * self.scale, self.labels[place]


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def train(
    repo: Path,
    *,
    seed: int = 0,
    steps: int = 12,
    order: int = 7,
    scale: float = 1.0,
    dropout: float = 0.1,
    kind: Any = torch.optim.SGD,
    lr: float = 0.1,
    nudge: bool = False,
    stray: Any = None,
    thread_count: int | None = None,
    workers: int = 0,
    rebuild: bool = False,
) -> str:
    """Train on digits under a trace. `stray` is called before the batch of step 5; the id of the run.

    With `rebuild` the net rebuilds all images at once: sums over that many numbers depend on the number of threads.
    """
    digits()  # what libraries draw while they are imported is no part of it
    with threads(thread_count), gitrepro.record(repo=repo, seed=seed) as run:
        net = torch.nn.Sequential(
            torch.nn.Linear(64, WIDE),
            torch.nn.ReLU(),
            torch.nn.Dropout(dropout),
            torch.nn.Linear(WIDE, 64 if rebuild else 10),
        )
        if nudge:
            with torch.no_grad():
                net[3].weight[4, 9] = torch.nextafter(net[3].weight[4, 9], torch.tensor(torch.inf))
        optimizer = kind(net.parameters(), lr=lr)
        run.trace(net, optimizer)
        done = 0
        while done < steps:
            generator = torch.Generator().manual_seed(order + done)
            loader = DataLoader(
                Digits(scale=scale),
                batch_size=600 if rebuild else BATCH,
                shuffle=True,
                generator=generator,
                num_workers=workers,
            )
            for images, labels in loader:
                optimizer.zero_grad()
                answer = net(images)
                loss = (
                    answer.sub(images).square().sum() if rebuild else torch.nn.functional.cross_entropy(answer, labels)
                )
                loss.backward()
                optimizer.step()
                done += 1
                if done == 5 and stray is not None:
                    stray()
                if done == steps:
                    break
    return run.id


STRAYS = {"python": random.random, "torch": lambda: torch.rand(1)}
