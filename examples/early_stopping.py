"""Stop when it is enough: a validation loss that does not get better, and a budget of time.

python examples/early_stopping.py

The loop asks one question, `guard.should_stop()`. What the guard knows it has heard from `run.log`. The run finishes,
and `gitrepro show` says which rule ended it, by which numbers, and what to try next.
"""

import argparse

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import gitrepro
from gitrepro import Budget, EarlyStopping, NoLearning


def digits():
    """Few images for training, so that the net soon learns them by heart; the others validate."""
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images / 16, labels, train_size=0.2, random_state=0, stratify=labels)
    train_x, val_x, train_y, val_y = (torch.as_tensor(part) for part in parts)
    return (train_x.float(), train_y), (val_x.float(), val_y)


def train_epoch(run, model, optimizer, images, labels):
    """One pass in a random order; every batch is a row."""
    for rows in torch.randperm(len(images)).split(32):
        loss = nn.functional.cross_entropy(model(images[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.log({"train/loss": loss})


@torch.no_grad()
def validate(model, images, labels):
    scores = model(images)
    loss = nn.functional.cross_entropy(scores, labels).item()
    return {"val/loss": loss, "val/accuracy": (scores.argmax(dim=1) == labels).double().mean().item()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--lr", type=float, default=3e-3)
    args = parser.parse_args()
    train, val = digits()
    with gitrepro.record(config=vars(args), seed=0) as run:
        run.define_metric("val/accuracy", goal="max")
        model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
        optimizer = torch.optim.AdamW(model.parameters(), lr=run.config["lr"])
        guard = run.guard(
            EarlyStopping("val/loss", patience=5),  # five epochs without a better one: less is mostly noise
            NoLearning(),  # warns when the training loss shows no trend in 500 steps
            Budget(hours=0.5),
        )
        for _ in range(run.config["epochs"]):
            train_epoch(run, model, optimizer, *train)
            run.log(validate(model, *val))
            # The best by validation stays, whatever follows.
            run.checkpoint(model=model, optimizer=optimizer, metric=("val/loss", "min"))
            if guard.should_stop():
                break
    print(f"{run.name}: {guard.reason.code if guard.reason else 'all its epochs'}")


if __name__ == "__main__":
    main()
