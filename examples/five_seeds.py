"""One configuration with five seeds: a number, and how far it moves by chance.

python examples/five_seeds.py

Runs of one config, code and data that differ in their seed alone form a seed set by themselves; `gitrepro ls --sets`
shows its mean and spread. Each run is seeded anew, so that any of them can be repeated by itself.
"""

import argparse
import statistics

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import gitrepro


def digits():
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images / 16, labels, test_size=0.3, random_state=0, stratify=labels)
    train_x, val_x, train_y, val_y = (torch.as_tensor(part) for part in parts)
    return (train_x.float(), train_y), (val_x.float(), val_y)


def train(run, seed_of_run):
    """The seed decides the first weights and the order of the batches; the split is the same for all."""
    (train_x, train_y), (val_x, val_y) = digits()
    model = nn.Sequential(nn.Linear(64, run.config.hidden), nn.ReLU(), nn.Linear(run.config.hidden, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=run.config.lr, momentum=0.9)
    for epoch in range(run.config.epochs):
        for rows in torch.randperm(len(train_x)).split(64):
            loss = nn.functional.cross_entropy(model(train_x[rows]), train_y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            accuracy = (model(val_x).argmax(dim=1) == val_y).double().mean().item()
        run.log({"train/loss": loss, "val/accuracy": accuracy}, step=epoch)
    print(f"seed {seed_of_run}: {accuracy:.4f}")
    return accuracy


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    config = {"lr": 0.05, "hidden": 16, "epochs": args.epochs}
    found = []
    for seed in range(args.seeds):
        with gitrepro.record(config=config, seed=seed, group="five-seeds") as run:
            run.define_metric("val/accuracy", goal="max")
            found.append(train(run, seed))
    # With so few runs the sample's deviation is itself known roughly; say how many there were.
    print(f"{statistics.mean(found):.4f} ± {statistics.stdev(found):.4f} (standard deviation, n = {len(found)})")


if __name__ == "__main__":
    main()
