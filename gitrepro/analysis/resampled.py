"""The spread of a gain under metrics that are no mean over examples: a paired bootstrap."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from .itemwise import Scoring, Spread

if TYPE_CHECKING:
    import numpy as np

_RESAMPLES: Final = 400
"""The standard error of so many is itself known to 4 %: the interval holds 0.3 % less often than of endless ones."""
_RESAMPLES_OF_MANY: Final = 200
_MANY: Final = 20_000
_SCORED_AT_LEAST: Final = 0.9
"""Where fewer of the resamples have a score, those that have one are not what other examples would give."""
_RARE: Final = 5
"""Of a class with fewer examples, resamples know too little: simulated, an interval for the balanced accuracy of
classes with 3 examples each held the truth in 66 to 83 % instead of 95 %."""


def resampled(scoring: Scoring, groups: list[np.ndarray] | None, seed: int) -> Spread:
    """The standard deviation of the gain over resamples of the examples, or of whole groups.

    To classes with fewer than five examples one pair is added that only the one has right, and one that only the other
    has, as the interval of Bonett and Price (2012) does for a proportion.
    """
    import numpy as np

    units = len(scoring.labels) if groups is None else len(groups)
    if units < 2:
        return Spread(method="bootstrap", error=None, units=units)
    more = _with_rare(scoring) if groups is None else scoring
    gains = _gains(more, groups, seed)
    wanted = _resamples(len(scoring.labels))
    if len(gains) < _SCORED_AT_LEAST * wanted:
        return Spread(method="bootstrap", error=None, units=units)
    middle = more.both(None) if more is not scoring else None
    error = float(np.std(gains, ddof=1))
    return Spread(
        method="bootstrap" if error else "equal",
        error=error,
        units=units,
        middle=middle[0] - middle[1] if middle else None,
    )


def _resamples(count: int) -> int:
    return _RESAMPLES_OF_MANY if count > _MANY else _RESAMPLES


def _gains(scoring: Scoring, groups: list[np.ndarray] | None, seed: int) -> np.ndarray:
    """The gains of those resamples that have a score."""
    import numpy as np

    generator = np.random.default_rng(seed)
    count = len(scoring.labels)
    found = []
    for _ in range(_resamples(count)):
        if groups is None:
            places = generator.integers(0, count, size=count)
        else:
            places = np.concatenate([groups[k] for k in generator.integers(0, len(groups), size=len(groups))])
        found.append(scoring.both(places))
    return np.array([each[0] - each[1] for each in found if each is not None])


def _with_rare(scoring: Scoring) -> Scoring:
    """The same with a pair more of each rare class, where labels are predicted."""
    import numpy as np

    labels = np.asarray(scoring.labels)
    if not scoring.of_classes():
        return scoring
    classes, counts = np.unique(labels, return_counts=True)
    rare = np.flatnonzero(counts < _RARE)
    if not len(rare) or len(classes) < 2:
        return scoring
    right, wrong = classes[rare], classes[(rare + 1) % len(classes)]
    return replace(
        scoring,
        labels=np.concatenate([labels, right, right]),
        ours=np.concatenate([scoring.ours, right, wrong]),
        theirs=np.concatenate([scoring.theirs, wrong, right]),
    )
