"""An ordinary training script that knows nothing of gitrepro.

gitrepro record --seed 0 -- python examples/plain_torch.py --epochs 3

It seeds nothing by itself: `gitrepro record` seeds Python, NumPy and torch before its first line.
"""

import argparse

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--hidden", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=64)
    return parser.parse_args()


def digits():
    """1,797 real images of 8 x 8 pixels; every fifth is held back for validation."""
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images / 16, labels, test_size=0.2, random_state=0, stratify=labels)
    train_x, val_x, train_y, val_y = (torch.as_tensor(part) for part in parts)
    return (train_x.float(), train_y), (val_x.float(), val_y)


def train_epoch(model, optimizer, images, labels, *, batch_size):
    total = 0.0
    for rows in torch.randperm(len(images)).split(batch_size):
        loss = nn.functional.cross_entropy(model(images[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(rows)
    return total / len(images)


@torch.no_grad()
def accuracy(model, images, labels):
    return (model(images).argmax(dim=1) == labels).double().mean().item()


def main():
    args = arguments()
    (train_x, train_y), (val_x, val_y) = digits()
    model = nn.Sequential(nn.Linear(64, args.hidden), nn.ReLU(), nn.Linear(args.hidden, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr, momentum=0.9)
    for epoch in range(args.epochs):
        loss = train_epoch(model, optimizer, train_x, train_y, batch_size=args.batch_size)
        print(f"epoch {epoch}  loss {loss:.4f}  val/accuracy {accuracy(model, val_x, val_y):.4f}")


if __name__ == "__main__":
    main()
