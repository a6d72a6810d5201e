"""Inputs of any form as columns of numbers and of categories, so that one set of checks does for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, final

import numpy as np

from ...data.statistics.arrays import channel_axis
from ..task import Data, Kind, Part

Form = Literal["table", "tokens", "images", "texts", "other"]
_AT_ONCE: Final = 4096
"""Images that are turned into numbers together."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Columns:
    """What is known of the inputs of a part.

    Attributes:
        form: of the inputs.
        names: of the columns of `numbers`.
        numbers: float64, shape (n, len(names)); NaN where a value is missing.
        categories: by name, n texts; None where a value is missing.
        dtypes: by name, what the values were: `int`, `float`, `bool` or `text`.
        empty: how many inputs hold nothing: texts without a letter, images without a pixel.
    """

    form: Form
    names: tuple[str, ...] = ()
    numbers: np.ndarray
    categories: dict[str, list[str | None]] = field(default_factory=dict)
    dtypes: dict[str, str] = field(default_factory=dict)
    empty: int = 0

    def __len__(self) -> int:
        return len(self.names) + len(self.categories)


def columns_of(part: Part, data: Data, kind: Kind) -> Columns:
    """The inputs of a part as columns: of a table its own; of images, texts and tokens numbers that describe each.

    Images have `height`, `width`, and of each channel its mean and deviation; texts `characters`, `words` and
    `letters`, the share of letters among the characters; token arrays `distinct`, how many different ones there are.
    """
    inputs = part.inputs
    if isinstance(inputs, np.ndarray) and inputs.dtype.kind in "fiub":
        return _of_numbers(inputs, data, kind)
    if isinstance(inputs, np.ndarray) and inputs.dtype.kind == "O" and inputs.ndim == 2:
        return _mixed(inputs, data)
    return _of_items(list(inputs), data, kind)


def _of_numbers(inputs: np.ndarray, data: Data, kind: Kind) -> Columns:
    if kind == "language" and inputs.dtype.kind in "iu" and inputs.ndim == 2:
        return _described("tokens", list(inputs), {"distinct": lambda row: len(np.unique(row))})
    if inputs.ndim <= 2:
        numbers = inputs.reshape(len(inputs), -1).astype(np.float64)
        names = _names(data, numbers.shape[1])
        return Columns(form="table", names=names, numbers=numbers, dtypes=dict.fromkeys(names, _dtype(inputs.dtype)))
    return _of_images(inputs)


def _names(data: Data, width: int) -> tuple[str, ...]:
    given = tuple(map(str, data.features or ()))
    return given if len(given) == width and len(set(given)) == width else tuple(f"x{k}" for k in range(width))


def _dtype(dtype: np.dtype[Any]) -> str:
    return {"b": "bool", "i": "int", "u": "int", "f": "float"}.get(dtype.kind, "text")


# -- images


def _of_images(inputs: np.ndarray) -> Columns:
    """Of an array of shape (n, ...) with a channel axis, if `channel_axis` finds one."""
    axis = channel_axis(inputs.shape)
    channels = 1 if axis is None else inputs.shape[axis]
    rows = []
    for start in range(0, len(inputs), _AT_ONCE):
        batch = inputs[start : start + _AT_ONCE].astype(np.float64)
        apart = batch[..., None] if axis is None else np.moveaxis(batch, axis, -1)
        flat = apart.reshape(len(batch), -1, channels)
        rows.append(np.concatenate([_mean(flat), _spread(flat)], axis=1))
    names = tuple(f"{what}{_place(k, channels)}" for what in ("mean", "std") for k in range(channels))
    dtypes = dict.fromkeys(names, _dtype(inputs.dtype))
    return Columns(form="images", names=names, numbers=np.concatenate(rows), dtypes=dtypes)


def _mean(flat: np.ndarray) -> np.ndarray:
    return np.asarray(flat.mean(axis=1)) if flat.shape[1] else np.full((len(flat), flat.shape[2]), np.nan)


def _spread(flat: np.ndarray) -> np.ndarray:
    return np.asarray(flat.std(axis=1)) if flat.shape[1] else np.full((len(flat), flat.shape[2]), np.nan)


def _place(channel: int, channels: int) -> str:
    return "" if channels == 1 else f"[{channel}]"


def _of_pictures(items: Sequence[Any]) -> Columns:
    """Images of several sizes, each an array or what numpy makes one of."""
    arrays = [np.asarray(each) for each in items]
    most = max((each.shape[2] if each.ndim > 2 else 1 for each in arrays), default=1)
    names = ("height", "width", *(f"{what}{_place(k, most)}" for what in ("mean", "std") for k in range(most)))
    numbers = np.full((len(arrays), len(names)), np.nan)
    for row, each in zip(numbers, arrays, strict=True):
        row[:2] = each.shape[:2]
        flat = each.reshape(1, -1, each.shape[2] if each.ndim > 2 else 1).astype(np.float64)
        row[2 : 2 + flat.shape[2]], row[2 + most : 2 + most + flat.shape[2]] = _mean(flat)[0], _spread(flat)[0]
    empty = sum(1 for each in arrays if not each.size)
    dtypes = dict.fromkeys(names, _dtype(arrays[0].dtype)) | {"height": "int", "width": "int"}
    return Columns(form="images", names=names, numbers=numbers, dtypes=dtypes, empty=empty)


# -- texts and lists


_OF_TEXTS: Final[Mapping[str, Callable[[str], float]]] = {
    "characters": len,
    "words": lambda text: len(text.split()),
    "letters": lambda text: sum(map(str.isalpha, text)) / len(text) if text else np.nan,
}


def _of_items(items: list[Any], data: Data, kind: Kind) -> Columns:
    if items and all(isinstance(each, str | bytes) for each in items):
        texts = [each if isinstance(each, str) else each.decode("utf-8", "replace") for each in items]
        empty = sum(1 for each in texts if not each.strip())
        return _described("texts", texts, _OF_TEXTS, empty=empty)
    if items and all(_is_picture(each) for each in items):
        return _of_pictures(items)
    if items and all(isinstance(each, list | tuple | np.ndarray) for each in items):
        return _of_rows(items, data, kind)
    return Columns(form="other", numbers=np.zeros((len(items), 0)))


def _is_picture(item: Any) -> bool:
    return (isinstance(item, np.ndarray) and item.ndim in (2, 3)) or hasattr(item, "getbands")


def _of_rows(items: list[Any], data: Data, kind: Kind) -> Columns:
    """Lists of equal lengths are a table; others have a length."""
    if len({len(each) for each in items}) == 1:
        try:
            array = np.asarray(items)
        except ValueError:
            array = np.asarray(items, dtype=object)
        if array.ndim == 2 and array.dtype.kind in "fiub":
            return _of_numbers(array, data, kind)
        if array.ndim == 2:
            return _mixed(np.asarray(items, dtype=object), data)
    lengths = {"length": len, "distinct": lambda row: len({str(each) for each in row})}
    return _described("tokens", items, lengths, empty=sum(1 for each in items if not len(each)))


def _described(
    form: Form, items: Sequence[Any], by: Mapping[str, Callable[[Any], float]], *, empty: int = 0
) -> Columns:
    numbers = np.array([[function(each) for function in by.values()] for each in items], dtype=np.float64)
    dtypes = {name: "float" if name == "letters" else "int" for name in by}
    return Columns(form=form, names=tuple(by), numbers=numbers.reshape(-1, len(by)), dtypes=dtypes, empty=empty)


# -- tables of several types


def _mixed(inputs: np.ndarray, data: Data) -> Columns:
    names: list[str] = []
    numbers: list[np.ndarray] = []
    categories: dict[str, list[str | None]] = {}
    dtypes: dict[str, str] = {}
    for name, column in zip(_names(data, inputs.shape[1]), inputs.T, strict=True):
        values = column.tolist()
        dtypes[name] = kind_of(values)
        if dtypes[name] in ("int", "float", "bool"):
            names.append(name)
            numbers.append(np.array([np.nan if is_missing(each) else float(each) for each in values]))
        else:
            categories[name] = [None if is_missing(each) else str(each) for each in values]
    whole = np.stack(numbers, axis=1) if numbers else np.zeros((len(inputs), 0))
    return Columns(form="table", names=tuple(names), numbers=whole, categories=categories, dtypes=dtypes)


def is_missing(value: Any) -> bool:
    """Whether a value is None or NaN."""
    return value is None or (isinstance(value, float | np.floating) and bool(np.isnan(value)))


def kind_of(values: Sequence[Any]) -> str:
    """What the values are that are there: `int`, `float`, `bool`, `text`, `mixed`; `float` where none is."""
    found = {_kind(each) for each in values if not is_missing(each)}
    if found == {"int", "float"}:
        return "float"
    return found.pop() if len(found) == 1 else "mixed" if found else "float"


def _kind(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "bool"
    if isinstance(value, int | np.integer):
        return "int"
    return "float" if isinstance(value, float | np.floating) else "text"
