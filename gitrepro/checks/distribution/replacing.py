"""Scored examples replaced by others, so that whatever is computed from them moves as far as it can."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np

from ..task import Data, Kind, Part, pick
from .moments import finite, moments

_FAR: Final = 30
"""How many times as far from the mean of train as it is, or as large: no statistic is then what it was."""


def far_inputs(data: Data, kind: Kind, others: np.ndarray) -> tuple[Part, bool]:
    """The scored part with one input at all these places; whether it lies far from all that train has.

    Numbers are pushed out. Texts and tokens are one of them again and again, which moves all their counts. Of objects
    nothing is known.
    """
    part = copies(data.judged, others)
    inputs = part.inputs
    if not isinstance(inputs, np.ndarray):
        return part, all(isinstance(each, str) for each in inputs)
    if inputs.dtype.kind not in "fiu" or kind == "language":
        return part, inputs.dtype.kind != "O"
    pushed = inputs.copy()
    pushed[others] = _pushed(inputs[others], data.train.inputs)
    return replace(part, inputs=pushed), True


def _pushed(inputs: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Numbers far from the mean of train; whole ones at the top of their type, or beyond what train has."""
    if inputs.dtype.kind == "f":
        mean = np.nan_to_num(moments(finite(train))[0].reshape(inputs.shape[1:]))
        return np.asarray(mean + _FAR * (inputs - mean), dtype=inputs.dtype)
    top = np.iinfo(inputs.dtype).max
    return np.full_like(inputs, min(int(top), _FAR * max(int(np.abs(train).max(initial=1)), 1)))


def copies(part: Part, others: np.ndarray) -> Part:
    """The part with one of its inputs at all these places: the one least like the rest."""
    places = np.arange(len(part))
    places[others] = others[_farthest(part.inputs, others)]
    return replace(part, inputs=pick(part.inputs, places))


def _farthest(inputs: Any, others: np.ndarray) -> int:
    """Which of them is least like the rest: by its numbers, or by its length."""
    if isinstance(inputs, np.ndarray) and inputs.dtype.kind in "fiub":
        values = np.nan_to_num(finite(inputs[others]))
        spread = values.std(axis=0)
        away = np.abs(values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        return int(away.sum(axis=1).argmax())
    sizes = [len(inputs[int(k)]) if hasattr(inputs[int(k)], "__len__") else 0 for k in others]
    return int(np.argmax(sizes))


def other_labels(part: Part, kind: Kind, others: np.ndarray) -> Part:
    """Each the next class, or numbers mirrored: what was the best choice by these labels is the worst now."""
    labels = part.labels
    assert labels is not None
    changed = labels.copy()
    if labels.dtype.kind == "f" and kind != "classification":
        changed[others] = np.nanmax(labels) + np.nanmin(labels) - labels[others]
    else:
        _, first, codes = np.unique(labels.astype(str), return_index=True, return_inverse=True)
        changed[others] = labels[first[(codes[others] + 1) % len(first)]]
    return replace(part, labels=changed)
