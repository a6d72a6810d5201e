"""Arrays as the data of a task: what they are, and a split of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from ..errors import UsageError
from .task import TRAIN, Data, Kind, Part

VAL: Final = "val"
_NUMBERS: Final = "f"


def labels_of(y: Any) -> np.ndarray:
    """Labels: integers or text for classes, float64 for numbers.

    Raises:
        UsageError: they are of several types, have more than one axis, or some are missing.
    """
    given = y.to_numpy() if hasattr(y, "to_numpy") else y
    # Of a list with 1 and "1" NumPy would make two equal texts.
    labels = given if isinstance(given, np.ndarray) else np.array(given, dtype=object)
    if labels.ndim != 1:
        raise UsageError(f"the labels have shape {labels.shape}", do="give one label for each example")
    if labels.dtype.kind == "O":
        labels = _of_objects(labels)
    if labels.dtype.kind == "b":
        return labels.astype(np.int64)
    if labels.dtype.kind == _NUMBERS:
        labels = labels.astype(np.float64)
        if missing := int((~np.isfinite(labels)).sum()):
            raise UsageError(f"{missing} of {len(labels)} labels are NaN or infinite", do="leave those examples out")
    if labels.dtype.kind not in "iufUS":
        raise UsageError(f"labels of type {labels.dtype} mean nothing here", do="give integers, text or numbers")
    return labels


def _of_objects(labels: np.ndarray) -> np.ndarray:
    kinds = sorted({type(each).__name__ for each in labels})
    numbers = all(isinstance(each, int | float | np.number) and not isinstance(each, bool) for each in labels)
    if len(kinds) != 1 and not numbers:
        raise UsageError(f"the labels are of several types: {', '.join(kinds)}", do="make them all of one type")
    return np.array(labels.tolist())


def kind_of(labels: np.ndarray) -> Kind:
    """Classes, or numbers where they are floats."""
    return "regression" if labels.dtype.kind == _NUMBERS else "classification"


def inputs_of(X: Any) -> Any:  # noqa: N803 - the name of scikit-learn
    """An array, or a list of texts or images; a data frame becomes an array, a sparse matrix a dense one."""
    if hasattr(X, "toarray"):
        X = X.toarray()  # noqa: N806
    if hasattr(X, "to_numpy"):
        return X.to_numpy()
    if isinstance(X, np.ndarray):
        return X
    if not isinstance(X, Sequence) or isinstance(X, str | bytes):
        raise UsageError(f"inputs cannot be a {type(X).__name__}", do="give an array, a data frame or a list")
    if not len(X) or isinstance(X[0], str | bytes):
        return list(X)
    try:
        return np.asarray(X)
    except ValueError:
        return list(X)  # images of several sizes


def split_of(
    labels: np.ndarray, *, share: float, groups: np.ndarray | None, times: np.ndarray | None, seed: int
) -> dict[str, np.ndarray]:
    """Places of the parts `train` and `val`: the last in time; or whole groups; else drawn, of each class alike.

    Raises:
        UsageError: the share is none, or leaves a part empty.
    """
    if not 0 < share < 1:
        raise UsageError(f"a share of {share!r:.40} for the part {VAL!r}", do="give a number between 0 and 1")
    if times is not None:
        rank = np.argsort(np.argsort(times, kind="stable"), kind="stable") / len(times)
        chosen = rank >= 1 - share
    elif groups is not None:
        chosen = _drawn_groups(groups, share, seed)
    else:
        chosen = _drawn(labels, share, seed)
    if not chosen.any() or chosen.all():
        raise UsageError(f"{len(labels)} examples cannot be split with {share:g} of them in {VAL!r}")
    return {TRAIN: np.flatnonzero(~chosen), VAL: np.flatnonzero(chosen)}


def _drawn(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    order = np.random.default_rng(seed).permutation(len(labels))
    if labels.dtype.kind != _NUMBERS:
        # Sorted by class, every so-manieth is taken: each class is in both parts as often as it can be.
        order = order[np.argsort(labels[order], kind="stable")]
    steps = np.floor((np.arange(len(labels)) + 1) * share) > np.floor(np.arange(len(labels)) * share)
    chosen = np.zeros(len(labels), dtype=bool)
    chosen[order[steps]] = True
    return chosen


def _drawn_groups(groups: np.ndarray, share: float, seed: int) -> np.ndarray:
    names, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    before = np.cumsum(sizes[order]) - sizes[order]
    chosen: np.ndarray = np.isin(codes, order[before < share * len(groups)])
    return chosen


def data_of(
    inputs: Any,
    labels: np.ndarray,
    places: Mapping[str, Any],
    *,
    ids: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    times: np.ndarray | None = None,
    scored: str = VAL,
    iid: bool = True,
    features: Sequence[str] | None = None,
) -> Data:
    """The parts at these places."""
    width = len(str(len(labels)))
    named = np.array([f"i{place:0{width}d}" for place in range(len(labels))]) if ids is None else ids
    whole = Part(ids=named, inputs=inputs, labels=labels, groups=groups, times=times)
    parts = {name: whole.take(_places(name, found, len(labels))) for name, found in places.items()}
    return Data(parts=parts, scored=scored, iid=iid, features=features)


def _places(name: str, found: Any, count: int) -> np.ndarray:
    places = np.asarray(found)
    places = np.flatnonzero(places) if places.dtype.kind == "b" else places
    if (
        places.ndim != 1
        or places.dtype.kind not in "iu"
        or (len(places) and not -1 < places.min() <= places.max() < count)
    ):
        raise UsageError(
            f"the part {name!r} names examples that are not there", do=f"give places from 0 to {count - 1}"
        )
    return places.astype(np.int64)
