"""Metrics of what was counted of each example: they add up, and need no truth beside."""

from __future__ import annotations

import numpy as np

from ...errors import UsageError


def perplexity(values: np.ndarray) -> float:
    """The exponential of the nats a token.

    Args:
        values: shape (n, 2): of each example the negative log-likelihood of all its tokens, in nats, and how many
            tokens that are.
    """
    if values.ndim != 2 or values.shape[1] != 2:
        raise _shaped("perplexity", values, "shape (n, 2): nats and tokens of each example")
    nats, tokens = values.sum(axis=0)
    with np.errstate(over="ignore"):
        return float(np.exp(nats / tokens)) if tokens else float("nan")


def mean_iou(values: np.ndarray) -> float:
    """The mean over the classes of intersection over union, both added up over the images.

    A class that neither the truth nor the prediction of any image has does not count. Everingham and others, 2010.

    Args:
        values: shape (n, k, 2): of each image and class the pixels of the intersection and of the union.
    """
    if values.ndim != 3 or values.shape[2] != 2:
        raise _shaped("mean_iou", values, "shape (n, k, 2): intersection and union of each image and class")
    overlap, union = np.moveaxis(values.sum(axis=0), -1, 0)
    there = union > 0
    return float(np.mean(overlap[there] / union[there])) if there.any() else float("nan")


def _shaped(name: str, values: np.ndarray, wanted: str) -> UsageError:
    return UsageError(f"{name} cannot be computed of an array of shape {values.shape}", do=f"give {wanted}")
