"""Normalisers that are fitted on one part, and say on which: their numbers and the digest of the ids they came from."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ..errors import Damaged, TooNew, UsageError
from .fitting import fitted_numbers, numbers_of, vocabulary

if TYPE_CHECKING:
    import numpy as np

    from .parts import Part

FIRST_LINE: Final = "gitrepro fitted 1"
MAX_BYTES: Final = 256 << 20
METHODS: Final = ("mean_std", "min_max", "robust", "vocabulary")
_DIGEST: Final = re.compile("b3:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What was fitted, on which items.

    `params` are float64 arrays of shape (features,), or () where all values share one; of a vocabulary `tokens` (text)
    and `counts` (int64), the most frequent first. `axis` is that of the features, counted from the last; None where
    there is none. `ids_digest` is `Part.ids_digest`; `count` the number of items; `taken` says that the values of all
    items were given, and the part was taken from them.
    """

    method: str
    params: Mapping[str, np.ndarray]
    ids_digest: str
    count: int
    axis: int | None = None
    options: Mapping[str, int | None] = field(default_factory=dict)
    taken: bool = False

    def apply(self, values: Any) -> Any:
        """Normalise values of any part: float64 of the same shape. A vocabulary gives each token's number, int64.

        mean_std subtracts the mean and divides by the standard deviation; min_max maps the range to 0 … 1; robust
        subtracts the median and divides by the distance of the quartiles. What does not vary is divided by 1. A token
        that is not in the vocabulary is -1; lists of tokens become lists of arrays.

        Raises:
            UsageError: the values have another number of features.
        """
        return _look_up(self.params, values) if self.method == "vocabulary" else _scaled(self, values)

    def document(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {
            "axis": self.axis,
            "count": self.count,
            "ids": self.ids_digest,
            "method": self.method,
            "options": dict(self.options),
            "params": {name: each.tolist() for name, each in self.params.items()},
            "taken": self.taken,
        }

    def dump(self) -> bytes:
        """Its canonical bytes: a first line, and one line of JSON in which every number is exact."""
        return f"{FIRST_LINE}\n{_json(self.document())}\n".encode()


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)


def fit(
    method: str,
    values: Any,
    *,
    part: Part,
    axis: int | None = -1,
    min_count: int = 1,
    max_size: int | None = None,
) -> Fitted:
    """Fit a normaliser on one part.

    Args:
        method: `mean_std`, `min_max`, `robust` (median and quartiles) or `vocabulary`.
        values: of the part's items, in their order; or of all items of the data set, from which the part is taken.
            Numbers of shape (n, ...); a NaN counts as missing. For a vocabulary one token an item, or a list of them.
        axis: of the features: -1 for the columns of a table, 1 for the channels of images (n, channels, height, width);
            None for one mean over everything. Values of shape (n,) have no such axis.
        min_count, max_size: of a vocabulary: how often a token has to occur, and how many are kept.

    Raises:
        UsageError: there is no such method, or the values have another length, another type, or a feature without any.
    """
    if method not in METHODS:
        raise UsageError(f"there is no method {method!r:.60}", why=f"there are {', '.join(METHODS)}")
    own, taken = _of_part(values, part)
    if method == "vocabulary":
        options = {"max_size": max_size, "min_count": min_count}
        params, at = vocabulary(own, min_count=min_count, max_size=max_size), None
    else:
        options = {}
        numbers = numbers_of(own, axis)
        params, at = fitted_numbers(numbers, method), numbers.axis
    return Fitted(
        method=method,
        params=params,
        ids_digest=part.ids_digest,
        count=len(part),
        axis=at,
        options=options,
        taken=taken,
    )


def _of_part(values: Any, part: Part) -> tuple[Any, bool]:
    items = part.split.dataset.record.items
    if len(values) == len(part):
        return values, False
    if len(values) == items:
        return part.take(values), True
    raise UsageError(
        f"there are {len(values):,} values for the {len(part):,} items of {part.name}",
        why=f"they are neither those of the part nor those of all {items:,} items",
        do="give `part.take(...)` of the values of all items",
    )


# -- applying


def _scaled(fitted: Fitted, values: Any) -> np.ndarray:
    import numpy as np

    array = np.asarray(values, dtype=np.float64)
    centre, spread = _SCALES[fitted.method](fitted.params)
    spread = np.where(spread == 0, 1.0, spread)
    if fitted.axis is not None:
        _check_features(array, fitted.axis, len(centre))
        shape = [-1, *[1] * (-fitted.axis - 1)]
        centre, spread = centre.reshape(shape), spread.reshape(shape)
    scaled: np.ndarray = (array - centre) / spread
    return scaled


_SCALES: Final[Mapping[str, Callable[[Any], tuple[Any, Any]]]] = {
    "mean_std": lambda params: (params["mean"], params["std"]),
    "min_max": lambda params: (params["min"], params["max"] - params["min"]),
    "robust": lambda params: (params["median"], params["q75"] - params["q25"]),
}


def _check_features(array: np.ndarray, axis: int, features: int) -> None:
    found = array.shape[axis] if array.ndim >= -axis else 0
    if found != features:
        raise UsageError(
            f"the values have shape {array.shape}", why=f"it was fitted on {features} features in axis {axis}"
        )


def _look_up(params: Mapping[str, np.ndarray], values: Sequence[Any]) -> Any:
    import numpy as np

    numbers = {token: number for number, token in enumerate(params["tokens"].tolist())}
    if all(isinstance(value, str) for value in values):
        return np.array([numbers.get(value, -1) for value in values], dtype=np.int64)
    return [np.array([numbers.get(token, -1) for token in value], dtype=np.int64) for value in values]


# -- reading


def load_fitted(data: bytes, *, source: str) -> Fitted:
    """Read what `Fitted.dump` wrote, and nothing else.

    Raises:
        Damaged: it is anything else.
        TooNew: its format is newer than this program.
    """
    first, _, rest = data[:MAX_BYTES].partition(b"\n")
    if first != FIRST_LINE.encode():
        if re.fullmatch(b"gitrepro fitted [0-9]{1,9}", first):
            raise TooNew(f"{source} has a newer format", do="upgrade gitrepro to read it")
        raise _damaged(source, f"expected '{FIRST_LINE}'")
    try:
        fitted = _fitted(json.loads(rest))
        if fitted.dump() == data:
            return fitted
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise _damaged(source, f"{type(error).__name__}: {error!s:.200}") from None
    raise _damaged(source, "it is not in its canonical form")


def _damaged(source: str, why: str) -> Damaged:
    return Damaged(f"{source} is no fitted normaliser", why=why, do="fetch it again from a remote that has it")


def _fitted(document: Mapping[str, Any]) -> Fitted:
    import numpy as np

    method, axis, count = document["method"], document["axis"], document["count"]
    if set(document["params"]) != _PARAMS[method] or not _DIGEST.fullmatch(document["ids"]):
        raise ValueError("other parameters than its method has, or no digest of ids")
    if type(count) is not int or count < 0 or not (axis is None or (type(axis) is int and axis < 0)):
        raise ValueError("the count or the axis is no such number")
    kinds: Mapping[str, Any] = {"counts": np.int64, "tokens": object}
    params = {name: np.array(each, dtype=kinds.get(name, np.float64)) for name, each in document["params"].items()}
    shapes = {each.shape for each in params.values()}
    if len(shapes) != 1 or len(shapes.pop()) != (0 if axis is None and method != "vocabulary" else 1):
        raise ValueError("the parameters are not of one shape")
    if method == "vocabulary" and not all(isinstance(each, str) for each in params["tokens"].tolist()):
        raise ValueError("a token is no text")
    return Fitted(
        method=method,
        params=params,
        ids_digest=document["ids"],
        count=count,
        axis=axis,
        options=dict(document["options"]),
        taken=bool(document["taken"]),
    )


_PARAMS: Final[Mapping[str, set[str]]] = {
    "mean_std": {"mean", "std"},
    "min_max": {"max", "min"},
    "robust": {"median", "q25", "q75"},
    "vocabulary": {"counts", "tokens"},
}
