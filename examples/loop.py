"""The recording API in a plain loop: softmax regression on digits, with NumPy alone.

python examples/loop.py --seed 0

It records itself. Under `gitrepro record -- python examples/loop.py` it joins the run that the command began.
"""

import argparse

import numpy as np
from sklearn.datasets import load_digits

import gitrepro


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--lr", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    return vars(parser.parse_args())


def digits():
    """Images with a constant for the bias, and labels, in three parts: training, validation, test."""
    images, labels = load_digits(return_X_y=True)
    images = np.hstack([images / 16, np.ones((len(images), 1))])
    order = np.random.RandomState(0).permutation(len(images))  # the same split for every run
    return [(images[rows], labels[rows]) for rows in np.split(order, [1077, 1437])]


def probabilities(weights, images):
    scores = images @ weights
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def train_epoch(weights, images, labels, *, lr, batch_size=64):
    """One pass in a random order. Returns the mean loss."""
    losses = []
    for rows in np.array_split(np.random.permutation(len(images)), len(images) // batch_size):
        guess = probabilities(weights, images[rows])
        losses.append(-np.log(guess[np.arange(len(rows)), labels[rows]]).mean())
        guess[np.arange(len(rows)), labels[rows]] -= 1
        weights -= lr * images[rows].T @ guess / len(rows)
    return float(np.mean(losses))


def accuracy(weights, images, labels):
    return float((probabilities(weights, images).argmax(axis=1) == labels).mean())


def main():
    config = arguments()
    seed = config.pop("seed")
    train, val, test = digits()
    with gitrepro.record(config=config, seed=seed, group="digits-loop") as run:
        run.define_metric("val/accuracy", goal="max")  # the summary then shows the best epoch
        weights = np.random.normal(0, 0.01, size=(65, 10))
        for epoch in range(run.config["epochs"]):
            loss = train_epoch(weights, *train, lr=run.config["lr"])
            run.log({"train/loss": loss, "val/accuracy": accuracy(weights, *val)}, step=epoch)
        run.summary["test/accuracy"] = accuracy(weights, *test)  # looked at once, after training
    print(f"{run.name}: test/accuracy {run.summary['test/accuracy']:.4f}")


if __name__ == "__main__":
    main()
