"""How well outputs say the labels, and how low a loss can be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..task import Kind, Part


def fit_of(kind: Kind, outputs: Any, part: Part) -> tuple[str, float] | None:
    """What share of the labels the outputs say: `accuracy`, or for numbers `R2`.

    For classes, each output has to go with one label only: which place of the outputs stands for which class is the
    task's affair. For numbers it is the greater square of Pearson's and Spearman's correlation, because a task may
    scale its labels.

    Args:
        outputs: a tensor, shape (n, ...).

    Returns:
        None where outputs and labels cannot be compared.
    """
    said = _array(outputs)
    labels = next_tokens(part) if kind == "language" else part.labels
    if said is None or labels is None or len(said) < 1 or not np.isfinite(said).all():
        return None
    if labels.ndim > said.ndim:
        return None
    if kind == "regression":
        return _numbers(said, np.asarray(labels, dtype=np.float64))
    if kind not in ("classification", "language"):
        return None
    chosen = _chosen(said, labels)
    if chosen is None:
        return None
    if kind == "language":
        return "accuracy", float(np.mean(chosen == labels[:, : chosen.shape[1]]))
    return "accuracy", _consistent(chosen, labels)


def _array(outputs: Any) -> np.ndarray | None:
    if not hasattr(outputs, "detach"):
        return None
    found: np.ndarray = outputs.detach().double().cpu().numpy()
    return found if found.ndim else None


def _numbers(said: np.ndarray, labels: np.ndarray) -> tuple[str, float] | None:
    if said.size != labels.size:
        return None
    said, labels = said.reshape(-1), labels.reshape(-1)
    if labels.std() == 0:
        return None
    if said.std() == 0:
        return "R2", 0.0
    first, second = (np.argsort(np.argsort(each, kind="stable")).astype(np.float64) for each in (said, labels))
    found = max(np.corrcoef(said, labels)[0, 1], np.corrcoef(first, second)[0, 1], 0.0)
    return "R2", float(found) ** 2


def _chosen(said: np.ndarray, labels: np.ndarray) -> np.ndarray | None:
    """The place of the greatest output, shaped as the labels; for one output per label whether it is high."""
    if said.ndim == labels.ndim + 1:
        for axis in (said.ndim - 1, 1):
            rest = said.shape[:axis] + said.shape[axis + 1 :]
            if said.shape[axis] > 1 and (rest == labels.shape or _one_short(rest, labels.shape)):
                chosen: np.ndarray = said.argmax(axis=axis)
                return chosen
    if said.size == labels.size:
        # A probability where all are between 0 and 1, else a logit.
        middle = 0.5 if said.min() >= 0 and said.max() <= 1 else 0.0
        return (said.reshape(labels.shape) > middle).astype(np.int64)
    return None


def _one_short(shape: tuple[int, ...], labels: tuple[int, ...]) -> bool:
    return len(shape) == len(labels) == 2 and shape[0] == labels[0] and shape[1] == labels[1] - 1


def _consistent(chosen: np.ndarray, labels: np.ndarray) -> float:
    """The share of labels that are right if each place stands for the class it most often goes with."""
    chosen, labels = chosen.reshape(-1), np.unique(labels.reshape(-1), return_inverse=True)[1].reshape(-1)
    table = np.zeros((chosen.max() + 1, labels.max() + 1))
    np.add.at(table, (chosen, labels), 1)
    return float(table.max(axis=1).sum() / len(labels))


def next_tokens(part: Part) -> np.ndarray | None:
    """Shape (n, t): the labels, or of inputs without labels the tokens after the first; None where there are none."""
    tokens = np.asarray(part.inputs) if isinstance(part.inputs, np.ndarray) else None
    if tokens is None or tokens.ndim != 2 or tokens.dtype.kind not in "iu":
        return None
    if part.labels is None:
        return tokens[:, 1:]
    return part.labels if part.labels.shape == tokens.shape else None


def open_entropy(part: Part) -> tuple[float, float] | None:
    """What the tokens before it leave open of the next token, within these examples.

    Returns:
        The mean entropy in nat per token, the least loss of a model that knows the examples by heart, and the share of
        tokens it can say; None where these are no sequences of tokens.
    """
    after = next_tokens(part)
    if after is None:
        return None
    seen: dict[tuple[int, bytes], dict[int, int]] = {}
    tokens = np.ascontiguousarray(part.inputs)
    for row, following in zip(tokens, after, strict=True):
        for place, token in enumerate(following.tolist()):
            found = seen.setdefault((place, row[: place + 1].tobytes()), {})
            found[token] = found.get(token, 0) + 1
    return _entropy(seen), sum(max(found.values()) for found in seen.values()) / after.size


def _entropy(seen: Mapping[Any, Mapping[int, int]]) -> float:
    total, bits = 0, 0.0
    for found in seen.values():
        count = sum(found.values())
        total += count
        bits -= sum(each * math.log(each / count) for each in found.values())
    return bits / total


def choices_of(outputs: Any, labels: np.ndarray | None) -> int | None:
    """Between how many classes the outputs choose; two for a single logit, None where that cannot be told."""
    said = _array(outputs)
    if said is None or labels is None:
        return None
    if said.ndim == labels.ndim + 1 and said.shape[-1] > 1:
        same = said.shape[:-1] == labels.shape or _one_short(said.shape[:-1], labels.shape)
        return int(said.shape[-1] if same else said.shape[1])
    return 2 if said.size == labels.size else None


def agreement(kind: Kind, values: np.ndarray, labels: np.ndarray) -> float | None:
    """What share of labels, shape (n,), was predicted; for numbers R2.

    Args:
        values: as `Predictions.values` has them: labels, or a score for each class in the classes' sorted order.
    """
    if kind == "regression":
        if values.size != labels.size or values.dtype.kind not in "fiu" or not np.isfinite(values).all():
            return None
        spread = float(np.square(labels - labels.mean()).sum())
        return 1 - float(np.square(labels - values.reshape(-1)).sum()) / spread if spread else None
    if values.ndim == 2 and values.shape[1] > 1 and values.dtype.kind == "f":
        return _consistent(values.argmax(axis=1), labels)
    if values.size != labels.size:
        return None
    return float(np.mean(values.reshape(-1) == labels))
