"""A small network on the data set `digits`: 1,797 real images of 8 x 8 pixels."""
# ruff: noqa: T201 - a training script prints

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import gitrepro

Part = tuple[Tensor, Tensor]


def settings() -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=20)
    return {**json.loads(Path("config.json").read_text()), **vars(parser.parse_args())}


def digits(run: gitrepro.Run) -> tuple[Part, Part, Part]:
    """Training, validation and test part: of one version of the data, by one split, both named by their content."""
    with np.load(run.dataset("digits").path) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    train, val, test = (
        (torch.as_tensor(part.take(images) / 16).float(), torch.as_tensor(part.take(labels)))
        for part in (run.split(name) for name in ("train", "val", "test"))
    )
    return train, val, test


def train_epoch(model: nn.Module, part: Part, *, lr: float) -> float:
    """One pass in a random order, by plain gradient descent. Returns the mean loss."""
    images, labels = part
    weights = list(model.parameters())
    order = torch.randperm(len(images))
    losses = []
    for start in range(0, len(images), 32):
        rows = order[start : start + 32]
        loss = nn.functional.cross_entropy(model(images[rows]), labels[rows])
        losses.append(loss.item())
        gradients = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for weight, gradient in zip(weights, gradients, strict=True):
                weight.sub_(lr * gradient)
    return sum(losses) / len(losses)


@torch.no_grad()
def accuracy(model: nn.Module, part: Part) -> float:
    images, labels = part
    return float((model(images).argmax(dim=1) == labels).double().mean())


def main() -> None:
    torch.set_num_threads(1)
    config = settings()
    with gitrepro.record(config=config, dataset="digits", split="default") as run:
        train, val, test = digits(run)
        run.define_metric("val/accuracy", goal="max")
        model = nn.Sequential(nn.Linear(64, config["hidden"]), nn.ReLU(), nn.Linear(config["hidden"], 10))
        for epoch in range(config["epochs"]):
            loss = train_epoch(model, train, lr=config["lr"])
            row = {"train/loss": loss, "val/accuracy": accuracy(model, val)}
            run.log(row, step=epoch)
            if epoch % 5 == 4:
                run.checkpoint(model=model, metric=("val/accuracy", "max"), step=epoch)
            # Printed after log() returned: from here on, this row must survive anything.
            print(f"epoch {epoch}  " + "  ".join(f"{name} {value:.4f}" for name, value in row.items()), flush=True)
        run.summary["test/accuracy"] = accuracy(model, test)  # looked at once, after the last epoch


if __name__ == "__main__":
    main()
