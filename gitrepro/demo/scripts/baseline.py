"""Logistic regression on the same data and split: what the network has to beat."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression

import gitrepro


def main() -> None:
    settings = {"model": "logistic regression", "C": 1.0}
    with gitrepro.record(config=settings, dataset="digits", split="default") as run:
        with np.load(run.dataset("digits").path) as arrays:
            images, labels = arrays["images"] / 16, arrays["labels"]
        train, val, test = (run.split(name) for name in ("train", "val", "test"))
        model = LogisticRegression(C=1.0, max_iter=1000).fit(train.take(images), train.take(labels))
        run.summary["val/accuracy"] = model.score(val.take(images), val.take(labels))
        run.summary["test/accuracy"] = model.score(test.take(images), test.take(labels))


if __name__ == "__main__":
    main()
