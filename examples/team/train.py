"""A small softmax regression on scikit-learn's digits: the training that the team of `scene.py` shares.

python train.py --lr 0.01 --epochs 5
"""

import argparse

import numpy as np
from sklearn.datasets import load_digits

import gitrepro


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    return vars(parser.parse_args())


def digits():
    """Images with a constant for the bias, and labels, in two parts: training and validation."""
    images, labels = load_digits(return_X_y=True)
    images = np.hstack([images / 16, np.ones((len(images), 1))])
    order = np.random.RandomState(0).permutation(len(images))  # the same split for every run
    return [(images[rows], labels[rows]) for rows in (order[:1200], order[1200:])]


def probabilities(weights, images):
    scores = images @ weights
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def train_epoch(weights, images, labels, *, lr):
    """One pass in a random order, 64 images at a time."""
    for rows in np.array_split(np.random.permutation(len(images)), len(images) // 64):
        guess = probabilities(weights, images[rows])
        guess[np.arange(len(rows)), labels[rows]] -= 1
        weights -= lr * images[rows].T @ guess / len(rows)


def accuracy(weights, images, labels):
    return float((probabilities(weights, images).argmax(axis=1) == labels).mean())


def main():
    config = arguments()
    seed = config.pop("seed")
    train, val = digits()
    with gitrepro.record(config=config, seed=seed, group="digits") as run:
        run.define_metric("val/accuracy", goal="max")
        weights = np.random.normal(0, 0.01, size=(65, 10))
        for epoch in range(config["epochs"]):
            train_epoch(weights, *train, lr=config["lr"])
            run.log({"val/accuracy": accuracy(weights, *val)}, step=epoch)
            run.checkpoint(model={"weights": weights.copy()}, metric=("val/accuracy", "max"))
    print(f"{run.name}: val/accuracy {accuracy(weights, *val):.4f}")


if __name__ == "__main__":
    main()
