"""Which examples to look at: those that a cheap model gets right and the task gets wrong."""

from __future__ import annotations

from typing import Final

import numpy as np

from ...records.sanity import Example
from ..task import Data
from .arms import Arm
from .forms import Form

_AT_MOST: Final = 20


def worth_a_look(data: Data, labels: np.ndarray, form: Form, ours: Arm, best: Arm) -> tuple[Example, ...]:
    """The gravest first; none for tokens, of which one example holds many."""
    if labels.ndim != 1 or form.problem == "tokens":
        return ()
    if form.classes is None:
        return _far_off(data, labels, ours, best)
    if form.style == "score":
        return ()
    mine, other = (_labels(form, arm.values) for arm in (ours, best))
    places = np.flatnonzero((mine != labels) & (other == labels))[:_AT_MOST]
    return tuple(
        _example(data, int(k), f"it is {labels[k]!s:.40}: {best.name} says so, the task says {mine[k]!s:.40}")
        for k in places
    )


def _labels(form: Form, values: np.ndarray) -> np.ndarray:
    assert form.classes is not None
    return values if form.style == "labels" else np.asarray(form.classes[values.argmax(axis=-1)])


def _far_off(data: Data, labels: np.ndarray, ours: Arm, best: Arm) -> tuple[Example, ...]:
    mine, other = (np.abs(np.asarray(arm.values, dtype=np.float64).reshape(-1) - labels) for arm in (ours, best))
    order = np.argsort(other - mine, kind="stable")[:_AT_MOST]
    return tuple(
        _example(data, int(k), f"off by {mine[k]:.3g}, {best.name} by {other[k]:.3g}")
        for k in order
        if mine[k] > other[k]
    )


def _example(data: Data, place: int, says: str) -> Example:
    return Example(ids=(str(data.judged.ids[place]),), parts=(data.scored,), says=says)
