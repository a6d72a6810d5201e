"""Statistics of arrays: features of rows, channels of pictures, all values of whatever has more axes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import compress
from typing import TYPE_CHECKING, Any, Final, final

from .classes import Classes
from .duplicates import Duplicates
from .numbers import Stream, Tally, held_by_each
from .prints import prints_of_items
from .sampling import Sample, priorities
from .strings import Strings, distinct_of_each
from .tables import FEATURES_DESCRIBED

if TYPE_CHECKING:
    from ..reading import ArrayItems
    from ..reading.npy import Array
    from .types import Mask, Numbers, Wholes, Words

_MOST_CHANNELS: Final = 4
_LABELS_AT_ONCE: Final = 1 << 16


def describe_arrays(items: ArrayItems, sample: Sample, tell: Callable[[int], None]) -> dict[str, Any]:
    """Features or channels of each array, classes, and items that are equal in all arrays but label and ids."""
    import numpy as np

    chosen = None if sample.threshold is None else np.array([id in sample for id in items.ids()], bool)
    count = len(items) if chosen is None else int(chosen.sum())
    classes, codes = _classes(items, chosen)
    named = list(_data(items, has_classes=classes is not None))
    room = FEATURES_DESCRIBED
    prints = np.zeros(count, np.uint64)
    features: dict[str, Any] = {}
    channels: dict[str, Any] = {}
    for place, array in enumerate(named):
        fold = _Fold(array, room, held=held_by_each(min(FEATURES_DESCRIBED, _features(named))))
        _fold(items, array, fold, prints, chosen, place)
        found = fold.document()
        room -= len(found)
        (features if len(array.shape) < 3 else channels).update(found)
        tell(len(items) * (place + 1) // len(named))
    duplicates = Duplicates()
    duplicates.add(prints, codes)
    return {
        "n": count,
        "features": features,
        "feature_count": _features(named),
        "arrays": {
            each.name: _about(each) for each in [*items.arrays.values(), *items.scalars.values()][:FEATURES_DESCRIBED]
        },
        "duplicates": duplicates.document(id for id in items.ids() if id in sample) if named else {"items": 0},
        **({"channels": channels} if channels else {}),
        **(classes.document() if classes is not None else {}),
    }


def _fold(items: ArrayItems, array: Array, fold: _Fold, prints: Words, chosen: Mask | None, place: int) -> None:
    start = done = 0
    for piece in items.pieces(array.name):
        rows = len(piece)
        if chosen is not None:
            piece = piece[chosen[start : start + rows]]
        start += rows
        fold.add(piece)
        prints[done : done + len(piece)] += prints_of_items(piece, place)
        done += len(piece)


def _data(items: ArrayItems, *, has_classes: bool) -> Iterator[Array]:
    left_out = {items.id_column, items.label if has_classes else None}
    return (array for name, array in items.arrays.items() if name not in left_out)


def _classes(items: ArrayItems, chosen: Mask | None) -> tuple[Classes | None, Wholes | None]:
    import numpy as np

    labels = items.labels()
    if labels is None or items.arrays[items.label or ""].dtype.kind == "f":
        return None, None
    classes = Classes()
    every = list(labels) if chosen is None else list(compress(labels, chosen))
    parts = [classes.add(every[place : place + _LABELS_AT_ONCE]) for place in range(0, len(every), _LABELS_AT_ONCE)]
    return classes, np.concatenate(parts) if parts else np.zeros(0, np.int64)


def _features(arrays: list[Array]) -> int:
    return sum(_columns(each) for each in arrays)


def _columns(array: Array) -> int:
    """Features of an array of one or two axes; the channels of one of more."""
    if len(array.shape) <= 2:
        return array.item_values
    axis = channel_axis(array.shape)
    return 1 if axis is None else array.shape[axis]


def channel_axis(shape: tuple[int, ...]) -> int | None:
    """The axis of four that has at most four entries: the last, else the second, else none."""
    if len(shape) != 4:
        return None
    return next((axis for axis in (3, 1) if 0 < shape[axis] <= _MOST_CHANNELS), None)


def _shown(items: ArrayItems) -> list[Array]:
    return [*items.arrays.values(), *items.scalars.values()][:FEATURES_DESCRIBED]


def _about(array: Array) -> dict[str, Any]:
    found: dict[str, Any] = {"shape": list(array.shape), "dtype": str(array.dtype)[:80]}
    axis = channel_axis(array.shape)
    return found | ({"channel_axis": axis} if axis is not None else {})


@final
class _Fold:
    """One array that passes by in pieces of items."""

    def __init__(self, array: Array, room: int, *, held: int) -> None:
        self._array = array
        self._columns = min(_columns(array), max(0, room))
        self._summaries = [_summary(array, held) for _ in range(self._columns)]
        self._seen = 0

    def add(self, piece: Numbers) -> None:
        columns = self._split(piece)
        size = columns.shape[0]
        priority = priorities(self._seen, size)
        self._seen += size
        for place, summary in enumerate(self._summaries):
            _add(summary, columns[:, place], priority)

    def _split(self, piece: Numbers) -> Numbers:
        """The values of each feature or channel as a column."""
        import numpy as np

        if piece.ndim <= 2:
            return piece.reshape(len(piece), -1)
        axis = channel_axis(self._array.shape)
        return piece.reshape(-1, 1) if axis is None else np.moveaxis(piece, axis, -1).reshape(-1, piece.shape[axis])

    def document(self) -> dict[str, Any]:
        name = self._array.name
        one = _columns(self._array) == 1 and len(self._array.shape) != 2
        names = [name] if one else [f"{name}[{place}]" for place in range(self._columns)]
        return {each: _document(summary, self._array) for each, summary in zip(names, self._summaries, strict=False)}


def _summary(array: Array, held: int) -> Stream | Tally | Strings | None:
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind in "biu" and size == 1:
        return Tally()
    if kind in "biuf" and size <= 8:
        return Stream(held=held, whole=kind != "f")
    return Strings(held=held, distinct=distinct_of_each(1)) if kind in "US" else None


def _add(summary: Stream | Tally | Strings | None, values: Numbers, priority: Words) -> None:
    if isinstance(summary, Strings):
        import pyarrow as pa

        summary.add(pa.array(_texts(values), pa.string()), priority)
    elif isinstance(summary, Tally):
        summary.add(values)
    elif summary is not None:
        summary.add(values, priority)


def _texts(values: Numbers) -> list[str]:
    return [each if isinstance(each, str) else each.decode("utf-8", "replace") for each in values.tolist()]


def _document(summary: Stream | Tally | Strings | None, array: Array) -> dict[str, Any]:
    if summary is None:
        return {"type": "nested", "of": str(array.dtype)[:80]}
    if isinstance(summary, Strings):
        return summary.document()
    kinds = {"b": "bool", "f": "float"}
    return {"type": kinds.get(array.dtype.kind, "int"), **summary.document()}
