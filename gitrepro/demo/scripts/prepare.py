"""Write scikit-learn's digits to a file, as any data would come from somewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits


def main() -> None:
    images, labels = load_digits(return_X_y=True)
    Path("data").mkdir(exist_ok=True)
    np.savez("data/digits.npz", images=images.astype(np.float32), labels=labels)


if __name__ == "__main__":
    main()
