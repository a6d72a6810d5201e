"""Metrics of numbers: each takes the true and the predicted number of the same examples, float64."""

from __future__ import annotations

import numpy as np


def mae(labels: np.ndarray, values: np.ndarray) -> float:
    """The mean of the absolute errors."""
    return float(np.abs(labels - values).mean())


def rmse(labels: np.ndarray, values: np.ndarray) -> float:
    """The root of the mean of the squared errors."""
    return float(np.sqrt(((labels - values) ** 2).mean()))


def r2(labels: np.ndarray, values: np.ndarray) -> float:
    """The share of the variance that is explained; NaN where all are equal, and there is none."""
    spread = float(((labels - labels.mean()) ** 2).sum())
    return 1.0 - float(((labels - values) ** 2).sum()) / spread if spread else float("nan")
