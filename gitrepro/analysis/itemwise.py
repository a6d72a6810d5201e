"""Differences of two predictions example by example, for metrics that are a mean over examples."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    import numpy as np

Score = Callable[[Any, Any], float]
Method = Literal["counts", "mean", "groups", "bootstrap", "equal"]

_PARTS_AT_MOST: Final = 2000
"""A mean of more parts than this is taken of so many blocks: its interval is wider by less than a thousandth."""
_AGREES: Final = 1e-6
"""Relative: float32 sums in another order differ by less, metrics that are no mean by far more."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scoring:
    """Both predictions under one metric, of any of the examples."""

    labels: np.ndarray
    ours: np.ndarray
    theirs: np.ndarray
    score: Score
    sign: float

    def both(self, places: np.ndarray | None) -> tuple[float, float] | None:
        """The scores of the examples at these places, more is better; None where the metric has none of them."""
        one, other = self._one(self.ours, places), self._one(self.theirs, places)
        return None if one is None or other is None else (one, other)

    def _one(self, values: np.ndarray, places: np.ndarray | None) -> float | None:
        labels = self.labels if places is None else self.labels[places]
        try:
            with warnings.catch_warnings():
                # Of one class alone, or of one example, many metrics are not defined and say so each time.
                warnings.simplefilter("ignore")
                found = self.sign * float(self.score(labels, values if places is None else values[places]))
        except Exception:  # noqa: BLE001 - the metric is the user's, and need not be defined for a part of the examples
            return None
        return found if math.isfinite(found) else None

    def of_classes(self) -> bool:
        """Whether what is predicted are classes, one an example, and no scores of them."""
        import numpy as np

        arrays = [np.asarray(each) for each in (self.labels, self.ours)]
        return all(each.ndim == 1 and each.dtype.kind != "f" for each in arrays)

    def differing(self) -> np.ndarray:
        """The places where the two predict something else, int64, shape (m,)."""
        import numpy as np

        apart = np.asarray(self.ours != self.theirs)
        return np.flatnonzero(apart.reshape(len(apart), -1).any(axis=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How far the gain of other examples may lie from that of these.

    Attributes:
        method: `counts` of examples that one has right and the other wrong, `mean` over examples, over `groups`,
            `bootstrap`, or `equal`: no difference anywhere, so that there is no spread to see.
        error: the standard error of the gain; None where the examples do not tell it: fewer than two, or a metric that
            many resamples have no value of.
        units: how many parts of the sample are taken as independent: examples, or groups.
        middle: of the interval, where it is not the gain.
    """

    method: Method
    error: float | None
    units: int
    middle: float | None = None


def groups_of(groups: np.ndarray) -> list[np.ndarray]:
    """The places of each group, int64."""
    import numpy as np

    _, codes = np.unique(groups, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)


def of_means(scoring: Scoring, whole: tuple[float, float], groups: list[np.ndarray] | None, seed: int) -> Spread | None:
    """The spread of a metric that is a mean over examples; None for any other.

    Args:
        whole: the scores of all examples.
        groups: the places of what belongs together; None where every example stands alone.
        seed: of the blocks that are made where there are too many parts.
    """
    count = len(scoring.labels)
    # A first look at two halves spares thousands of calls.
    if count < 2 or any(_of_parts(scoring, whole, halves) is None for halves in _halves(count, seed)):
        return None
    if groups is None and len(places := scoring.differing()) <= _PARTS_AT_MOST:
        return _of_items(scoring, whole, places)
    parts = _blocks(count, groups, seed)
    found = _of_parts(scoring, whole, parts)
    return None if found is None else _clustered(*found, "mean" if groups is None else "groups")


def _halves(count: int, seed: int) -> Iterable[list[np.ndarray]]:
    import numpy as np

    generator = np.random.default_rng(seed)
    for _ in range(2):
        order = generator.permutation(count)
        yield [order[: count // 2], order[count // 2 :]]


def _of_parts(
    scoring: Scoring, whole: tuple[float, float], parts: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray] | None:
    """The gain of each part and its size; None where the scores of the parts do not add up to those of the whole."""
    import numpy as np

    found = [scoring.both(part) for part in parts]
    sizes = np.array([len(part) for part in parts], dtype=np.float64)
    scores = np.array([each for each in found if each is not None])
    if len(scores) < len(parts):
        return None
    scale = max(float(np.abs(scores).max()), 1e-12)
    apart = np.abs(sizes @ scores / sizes.sum() - np.array(whole)).max()
    return (scores[:, 0] - scores[:, 1], sizes) if apart <= _AGREES * scale else None


def _of_items(scoring: Scoring, whole: tuple[float, float], places: np.ndarray) -> Spread | None:
    """The spread of a mean, from the examples where the two differ; of the others the difference is 0."""
    import numpy as np

    count = len(scoring.labels)
    found = [scoring.both(places[k : k + 1]) for k in range(len(places))]
    gains = np.array([each[0] - each[1] for each in found if each is not None])
    largest = float(np.abs(gains).max(initial=0.0))
    if len(gains) < len(places) or abs(gains.sum() / count - (whole[0] - whole[1])) > _AGREES * max(largest, 1e-12):
        return None
    sizes = np.abs(gains[gains != 0])
    if not len(sizes) and (size := _size_of_one(scoring)):
        return _of_counts(0, 0, count, size)
    if len(sizes) and sizes.max() - sizes.min() <= _AGREES * largest:
        return _of_counts(int((gains > 0).sum()), int((gains < 0).sum()), count, largest)
    every = np.zeros(count)
    every[places] = gains
    return _clustered(every, np.ones(count), "mean")


def _size_of_one(scoring: Scoring) -> float:
    """By how much one example is scored better right than wrong, where classes are predicted; else 0."""
    import numpy as np

    if not scoring.of_classes() or len(classes := np.unique(scoring.labels)) < 2:
        return 0.0
    one = replace(scoring, labels=classes[:1], ours=classes[:1], theirs=classes[1:2]).both(None)
    return abs(one[0] - one[1]) if one else 0.0


def _of_counts(wins: int, losses: int, count: int, size: float) -> Spread:
    """Bonett and Price: one more of each kind of difference, so that few of them are not taken for certainty."""
    more, less, total = wins + 1, losses + 1, count + 2
    middle = (more - less) / total
    error = math.sqrt(((more + less) / total - middle**2) / total)
    return Spread(method="counts", error=size * error, middle=size * middle, units=count)


def _clustered(gains: np.ndarray, sizes: np.ndarray, method: Method) -> Spread:
    """The standard error of the mean gain, each part with its size as weight (the linearised ratio of sums)."""
    import numpy as np

    total, units = sizes.sum(), len(sizes)
    if units < 2:
        return Spread(method=method, error=None, units=units)
    residues = sizes * (gains - (sizes @ gains) / total)
    error = math.sqrt(units / (units - 1) * float(np.square(residues).sum())) / float(total)
    return Spread(method=method if error else "equal", error=error, units=units)


def _blocks(count: int, groups: list[np.ndarray] | None, seed: int) -> Sequence[np.ndarray]:
    """The groups, or blocks of them (of examples, where there are none) where they are too many to score each."""
    import numpy as np

    generator = np.random.default_rng(seed)
    if groups is None:
        return np.array_split(generator.permutation(count), _PARTS_AT_MOST)
    if len(groups) <= _PARTS_AT_MOST:
        return groups
    order = np.array_split(generator.permutation(len(groups)), _PARTS_AT_MOST)
    return [np.concatenate([groups[k] for k in block]) for block in order]
