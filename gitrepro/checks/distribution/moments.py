"""Means and deviations of columns of which some values are missing."""

from __future__ import annotations

from typing import Final

import numpy as np

ALIKE: Final = 1e-12
"""Deviation, relative to the values, below which a column is constant but for rounding."""


def moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of what is there; NaN where nothing is."""
    there = ~np.isnan(values)
    count = there.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        mean = np.where(there, values, 0.0).sum(axis=0) / count
        square = (np.where(there, values - mean, 0.0) ** 2).sum(axis=0) / count
    return mean, square


def constant(values: np.ndarray) -> np.ndarray:
    """Which columns have one value only, or none at all: bool, shape (columns,)."""
    mean, square = moments(values)
    return np.asarray((np.sqrt(square) <= ALIKE * np.abs(mean)) | np.isnan(mean))


def scaled(whole: np.ndarray) -> np.ndarray:
    """Of mean 0 and deviation 1; columns that do not vary as zeros."""
    mean, square = moments(whole)
    spread = np.sqrt(square)
    still = spread <= ALIKE * np.abs(mean)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(still | np.isnan(mean), 0.0, (whole - mean) / np.where(still, 1.0, spread))


def finite(values: np.ndarray) -> np.ndarray:
    """As columns of float64, shape (n, values of an item); what is infinite counts as missing."""
    columns = values.reshape(len(values), -1).astype(np.float64)
    return np.where(np.isfinite(columns), columns, np.nan)
