"""Metrics by name, as a task is scored by them; each takes labels and predictions of the same examples."""

from __future__ import annotations

import re
from typing import Final

import numpy as np

from ..analysis.metrics import NAMES as KNOWN
from ..analysis.metrics import named, needs_of, to_classes, to_probabilities
from ..errors import UsageError
from .task import Metric

__all__ = ["NAMES", "metric", "to_classes", "to_probabilities", "wants_probabilities"]

_TOP: Final = "top_k"
NAMES: Final = tuple(each for each in KNOWN if each != _TOP and needs_of(each) != "counts")
"""Those that a task can be scored by; `top_5` and the like besides."""


def metric(name: str, *, classes: np.ndarray | None = None) -> Metric:
    """The metric of this name.

    Args:
        name: one of `NAMES`, or `top_5`.
        classes: sorted, shape (k,), what the columns of predictions of shape (n, k) stand for; without them the labels
            tell, and each class has to be among them.

    Raises:
        UsageError: there is none of this name.
    """
    if not _is_known(name):
        raise UsageError(
            f"there is no metric {name!r:.60}",
            why=f"known are {', '.join(NAMES)}, top_5",
            do="give a gitrepro.checks.task.Metric with a function of your own",
        )
    found = named(name)

    def computed(labels: np.ndarray, values: np.ndarray) -> float:
        return found(labels, values, classes=classes)

    return Metric(name=name, function=computed, goal=found.goal)


def wants_probabilities(name: str) -> bool:
    """Whether this metric looks at the score of each class."""
    return _is_known(name) and named(name).needs == "scores"


def _is_known(name: str) -> bool:
    return name in NAMES or re.fullmatch(r"top_[1-9][0-9]{0,5}", name) is not None
