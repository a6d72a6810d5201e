"""Logistic regression on the same images: what the network has to beat."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

import gitrepro


def main() -> None:
    images, labels = load_digits(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(images))
    train, val, test = np.split(order, [1077, 1437])
    with gitrepro.record(config={"model": "logistic regression", "C": 1.0}) as run:
        model = LogisticRegression(C=1.0, max_iter=1000).fit(images[train] / 16, labels[train])
        run.summary["val/accuracy"] = model.score(images[val] / 16, labels[val])
        run.summary["test/accuracy"] = model.score(images[test] / 16, labels[test])


if __name__ == "__main__":
    main()
