"""Labels at random, drawn where the data enter: for each content and each group once, whatever part it is in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...store.keyed import keyed_hashes
from ..task import TRAIN, Data, Part
from .contents import Units


def relabelled(data: Data, units: Units, *, seed: int) -> Data:
    """The same examples with labels that have nothing to do with them.

    Units are put in the order of a hash of their content, keyed by the seed, and get the labels of their part in
    sorted order, spread evenly. So every part keeps its share of each class, equal contents keep equal labels on
    both sides of a split, and where each unit is one example the labels of a part are permuted.
    """
    order = [TRAIN, *(name for name in data.parts if name != TRAIN)]
    parts = {name: data.parts[name] for name in order if data.parts[name].labels is not None}
    every = np.concatenate([np.asarray(part.labels) for part in parts.values()])
    hashes = np.array(keyed_hashes(f"shuffle {seed}".encode(), units.keys), dtype=np.uint64)
    source = np.full(len(units.keys), -1, dtype=np.int64)
    start = 0
    for name, part in parts.items():
        own = np.unique(units.codes[name])
        own = own[source[own] < 0]
        own = own[np.argsort(hashes[own], kind="stable")]
        source[own] = start + _spread(np.asarray(part.labels), len(own))
        start += len(part)
    return data.with_parts(
        **{name: _with_labels(part, every[source[units.codes[name]]]) for name, part in parts.items()}
    )


def _spread(labels: np.ndarray, count: int) -> np.ndarray:
    """Places of so many labels, evenly over the sorted ones, int64, shape (count,)."""
    order = np.argsort(codes_of(labels), kind="stable")
    return order[((np.arange(count) + 0.5) * len(labels) / max(count, 1)).astype(np.int64)]


def codes_of(labels: np.ndarray) -> np.ndarray:
    """The place of each label, or row of labels, among the sorted ones, int64, shape (n,)."""
    _, codes = np.unique(labels, axis=0 if labels.ndim > 1 else None, return_inverse=True)
    return np.asarray(codes.reshape(-1))


def _with_labels(part: Part, labels: np.ndarray) -> Part:
    return replace(part, labels=labels)


def reduced(data: Data, units: Units, *, fraction: float, classes: bool, seed: int) -> tuple[Data, Units]:
    """A fixed part of the examples, and their units: whole ones, on both sides of a split, and of every class some.

    Args:
        fraction: of the units, above 0 and at most 1.
        classes: whether labels are classes, of which none may get lost.
    """
    if fraction >= 1:
        return data, units
    hashes = np.array(keyed_hashes(f"subset {seed}".encode(), units.keys), dtype=np.float64) / 2.0**64
    parts, cut = {}, {}
    for name, part in data.parts.items():
        codes = units.codes[name]
        kept = hashes[codes] < fraction
        if classes and part.labels is not None:
            kept |= _some_of_each(part.labels, hashes[codes])
        if not kept.any():
            kept[np.argmin(hashes[codes])] = True
        parts[name], cut[name] = part.take(np.flatnonzero(kept)), codes[kept]
    return data.with_parts(**parts), replace(units, codes=cut)


_OF_EACH = 10
"""Examples of each class at least, as far as there are: pipelines that split again by class need some."""


def _some_of_each(labels: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    codes = codes_of(labels)
    order = np.lexsort((hashes, codes))
    firsts = np.searchsorted(codes[order], codes[order])
    kept = np.zeros(len(codes), dtype=bool)
    kept[order[np.arange(len(order)) - firsts < _OF_EACH]] = True
    return kept
