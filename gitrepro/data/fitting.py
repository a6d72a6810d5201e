"""The numbers and tokens that a normaliser is made of, from the values of one part; all sums in float64."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..errors import UsageError

if TYPE_CHECKING:
    import numpy as np

_AT_ONCE_BYTES: Final = 32 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """Values of shape (n, ...), and the axis of their features from the last; None where they have none."""

    array: np.ndarray
    axis: int | None

    @property
    def features(self) -> int:
        return 1 if self.axis is None else self.array.shape[self.axis]

    def chunks(self) -> Iterator[np.ndarray]:
        """So many items at a time as need little memory: float64, shape (m, features), or (m,) without features."""
        import numpy as np

        rows = max(_AT_ONCE_BYTES // max(self.array[:1].size * 8, 1), 1)
        for start in range(0, len(self.array), rows):
            chunk = self.array[start : start + rows].astype(np.float64)
            if self.axis is None:
                yield chunk.reshape(-1)
            else:
                yield np.moveaxis(chunk, self.axis, -1).reshape(-1, self.features)

    def columns(self) -> Iterator[np.ndarray]:
        """The values of one feature after another: float64, shape (m,)."""
        import numpy as np

        for feature in range(self.features):
            column = self.array if self.axis is None else np.take(self.array, feature, axis=self.axis)
            yield column.astype(np.float64).reshape(-1)

    def shaped(self, each: Any) -> Any:
        """One number a feature, without an axis where there are none."""
        import numpy as np

        return np.asarray(each, dtype=np.float64).reshape(() if self.axis is None else (self.features,))


def numbers_of(values: Any, axis: int | None) -> Numbers:
    """Values of shape (n, ...) with the axis of their features, as `fit` takes them.

    Raises:
        UsageError: they are no numbers, or empty, or the axis is not one of features.
    """
    import numpy as np

    array = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
    if array.dtype.kind not in "fiub" or array.ndim == 0:
        raise UsageError(f"the values are {array.dtype}", why="a normaliser is fitted on numbers")
    if not array.size:
        raise UsageError("there is nothing to fit", why=f"the values have shape {array.shape}")
    if axis is None or array.ndim == 1:
        return Numbers(array=array, axis=None)
    if not -array.ndim <= axis < array.ndim or axis % array.ndim == 0:
        raise UsageError(f"axis {axis} holds no features", why=f"the values have shape {array.shape}, items first")
    return Numbers(array=array, axis=axis % array.ndim - array.ndim)


def _counted(numbers: Numbers) -> np.ndarray:
    """How many values of each feature are not missing.

    Raises:
        UsageError: of some feature, none.
    """
    import numpy as np

    count = np.zeros(() if numbers.axis is None else numbers.features, dtype=np.int64)
    for chunk in numbers.chunks():
        count += (~np.isnan(chunk)).sum(axis=0)
    if not count.all():
        raise UsageError(
            "there is nothing to fit" if not count.any() else f"feature {np.flatnonzero(count == 0)[0]} has no value",
            why="every value of it in this part is missing",
            do="leave the feature out, or fill it in",
        )
    return count


def _mean_std(numbers: Numbers) -> dict[str, np.ndarray]:
    """Mean and population standard deviation, in passes over float64: nothing cancels, whatever the offset."""
    import numpy as np

    count = _counted(numbers)
    rough = sum(np.nansum(chunk, axis=0) for chunk in numbers.chunks()) / count
    # What rounding left in the mean shows in the mean of the residues.
    mean = rough + sum(np.nansum(chunk - rough, axis=0) for chunk in numbers.chunks()) / count
    square = sum(np.nansum((chunk - mean) ** 2, axis=0) for chunk in numbers.chunks()) / count
    return {"mean": mean, "std": np.sqrt(square)}


def _min_max(numbers: Numbers) -> dict[str, np.ndarray]:
    import numpy as np

    _counted(numbers)
    low = np.stack([np.fmin.reduce(chunk, axis=0) for chunk in numbers.chunks()])
    high = np.stack([np.fmax.reduce(chunk, axis=0) for chunk in numbers.chunks()])
    return {"max": np.fmax.reduce(high, axis=0), "min": np.fmin.reduce(low, axis=0)}


def _robust(numbers: Numbers) -> dict[str, np.ndarray]:
    import numpy as np

    _counted(numbers)
    # Feature by feature: a quantile sorts a copy of what it is taken of.
    found = np.array([np.nanquantile(column, (0.25, 0.5, 0.75)) for column in numbers.columns()])
    return {"median": found[:, 1], "q25": found[:, 0], "q75": found[:, 2]}


_METHODS: Final[Mapping[str, Callable[[Numbers], dict[str, Any]]]] = {
    "mean_std": _mean_std,
    "min_max": _min_max,
    "robust": _robust,
}


def fitted_numbers(numbers: Numbers, method: str) -> dict[str, np.ndarray]:
    """The parameters of `mean_std`, `min_max` or `robust`: float64, shape (features,) or ().

    Raises:
        UsageError: a feature has no value, or a parameter is not finite.
    """
    import numpy as np

    with np.errstate(over="ignore", invalid="ignore"):
        found = {name: numbers.shaped(each) for name, each in _METHODS[method](numbers).items()}
    for name, each in found.items():
        if not np.isfinite(each).all():
            raise UsageError(f"the {name} is not finite", why="there are infinite values, or they overflow")
    return found


def vocabulary(values: Any, *, min_count: int, max_size: int | None) -> dict[str, np.ndarray]:
    """Tokens and their counts, the most frequent first, equal ones in the order of their text.

    Raises:
        UsageError: a token is no text, or none is left.
    """
    import numpy as np

    counts = Counter(_tokens(values))
    kept = sorted((each for each in counts if counts[each] >= min_count), key=lambda each: (-counts[each], each))
    kept = kept[:max_size]
    if not kept:
        raise UsageError("the vocabulary is empty", why=f"no token occurs {min_count} times")
    tokens = np.array(kept, dtype=object)
    return {"counts": np.array([counts[each] for each in kept], dtype=np.int64), "tokens": tokens}


def _tokens(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        for token in value if isinstance(value, Iterable) and not isinstance(value, str) else [value]:
            if not isinstance(token, str):
                raise UsageError(f"{token!r:.60} is no token", why="a vocabulary is of text", do="use str(...)")
            yield str(token)
