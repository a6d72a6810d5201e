"""Metrics of scores: each takes the true labels and a score for each class, shape (n, k)."""

from __future__ import annotations

from typing import Final

import numpy as np

from .preparing import places_of

_TINY: Final = 2.220446049250313e-16
"""The least probability a logarithm is taken of: one certain error must not make the mean infinite. As scikit-learn has
it of float64."""
BINS: Final = 15
"""As in Guo and others, 2017, whose numbers others are compared with."""


def auc(labels: np.ndarray, values: np.ndarray, classes: np.ndarray) -> float:
    """The area under the ROC curve: how often a positive example scores higher than a negative one, ties half.

    Of two classes that of the second one's score; of more the mean over the classes, each against the rest (macro).
    NaN where a class is not there, or all are of one. Hanley and McNeil, 1982.
    """
    places = places_of(labels, classes)
    wanted = [1] if len(classes) == 2 else range(len(classes))
    return float(np.mean([_auc_of(places == each, values[:, each]) for each in wanted]))


def _auc_of(positive: np.ndarray, scores: np.ndarray) -> float:
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    # Of equal scores each has the mean of the ranks they share.
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    many, others = int(positive.sum()), int((~positive).sum())
    if not many or not others:
        return float("nan")
    return (float(ranks[positive].sum()) - many * (many + 1) / 2) / (many * others)


def log_loss(labels: np.ndarray, values: np.ndarray, classes: np.ndarray) -> float:
    """The mean of the negative logarithm of the probability of the true class, in nats."""
    return float(-np.log(np.clip(_of_truth(labels, values, classes), _TINY, 1.0)).mean())


def calibration_error(labels: np.ndarray, values: np.ndarray, classes: np.ndarray, *, bins: int = BINS) -> float:
    """The expected calibration error: how far confidence is from accuracy, over bins of equal width.

    Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, equation 3.
    """
    confidence = values.max(axis=1)
    right = values.argmax(axis=1) == places_of(labels, classes)
    # The upper edge belongs to a bin, as in the paper.
    own = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    apart = np.bincount(own, weights=right - confidence, minlength=bins)
    return float(np.abs(apart).sum() / len(labels))


def top_k(labels: np.ndarray, values: np.ndarray, classes: np.ndarray, *, k: int) -> float:
    """The share of examples whose true class is among the `k` with the highest scores; of equal ones the first."""
    places = places_of(labels, classes)
    own = values[np.arange(len(values)), places][:, None]
    before = np.arange(values.shape[1]) < places[:, None]
    above = ((values > own) | ((values == own) & before)).sum(axis=1)
    return float(np.mean((above < k) & (places >= 0)))


def _of_truth(labels: np.ndarray, values: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The score of the true class of each example; 0 where it is none of the classes."""
    places = places_of(labels, classes)
    return np.where(places >= 0, values[np.arange(len(values)), places], 0.0)
