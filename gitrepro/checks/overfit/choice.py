"""Which examples the mini-batch has."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..task import Part


def mini_batch(part: Part, *, count: int, seed: int) -> Part:
    """So many examples of different contents, of each class as many as of the others, two at least where that goes.

    Where there are more classes than pairs of places, only some of the classes are in it. Examples whose label is
    missing are left out. Equal inputs are in it once: with two labels they could not be learnt.

    Args:
        part: at least one example.
        seed: of the choice.
    """
    order = np.random.default_rng((seed, 32)).permutation(len(part))
    labels = part.labels
    if labels is not None and labels.ndim == 1 and labels.dtype.kind == "f":
        order = order[np.isfinite(labels[order])]
    if labels is not None and labels.ndim == 1 and labels.dtype.kind in "iubUS":
        order = _in_turn(order, labels, most=max(count // 2, 1))
    return part.take(np.sort(_different(part, order, count)))


def _in_turn(order: np.ndarray, labels: np.ndarray, *, most: int) -> np.ndarray:
    """The places sorted so that one of each class comes, then a second of each; of so many classes at most."""
    classes, codes = np.unique(labels[order], return_inverse=True)
    by_class = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[by_class], np.arange(len(classes)))
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[by_class] = np.arange(len(order)) - starts[codes[by_class]]
    # Of classes that are too many, those come first whose first example does: often the frequent ones.
    kept = codes[np.flatnonzero(ranks == 0)][:most]
    chosen = np.isin(codes, kept)
    return order[chosen][np.argsort(ranks[chosen], kind="stable")]


def _different(part: Part, order: np.ndarray, count: int) -> np.ndarray:
    seen: set[Any] = set()
    chosen: list[int] = []
    for place in order:
        key = _content(part.inputs[int(place)])
        if key not in seen:
            seen.add(key)
            chosen.append(int(place))
        if len(chosen) == count:
            break
    return np.array(chosen, dtype=np.int64)


def _content(item: Any) -> Any:
    if isinstance(item, str | bytes):
        return item
    array = np.asarray(item)
    return repr(item) if array.dtype.hasobject else (array.shape, array.tobytes())
