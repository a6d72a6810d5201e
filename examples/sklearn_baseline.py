"""A simple model on the same data: what any larger one has to beat.

gitrepro record --kind baseline --group digits --seed 0 -- python examples/sklearn_baseline.py
"""

import argparse

from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

import gitrepro


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--C", type=float, default=1.0, help="inverse strength of the regularisation")
    args = parser.parse_args()

    images, labels = load_digits(return_X_y=True)
    train_x, val_x, train_y, val_y = train_test_split(
        images / 16, labels, test_size=0.2, random_state=0, stratify=labels
    )
    with gitrepro.record(config={"model": "logistic regression", "C": args.C}, kind="baseline") as run:
        model = LogisticRegression(C=args.C, max_iter=1000).fit(train_x, train_y)
        run.summary["val/accuracy"] = model.score(val_x, val_y)
    print(f"val/accuracy {run.summary['val/accuracy']:.4f}")


if __name__ == "__main__":
    main()
