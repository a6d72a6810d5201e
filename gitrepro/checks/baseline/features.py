"""What cheap models see of inputs: columns of a table, 16 x 16 pixels of an image, or the texts as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np

Material = Literal["table", "images", "texts", "tokens", "other"]
SIDE: Final = 16
"""Pixels: enough for the coarse shape and colour that a linear model can use, at 256 columns a channel."""
_CHANNELS: Final = (1, 2, 3, 4)


def material_of(inputs: Any, *, language: bool) -> Material:
    """What kind of data these are, told by their type and shape."""
    if isinstance(inputs, np.ndarray) and inputs.dtype.kind not in "OSUT":
        if language:
            return "tokens" if inputs.ndim == 2 and inputs.dtype.kind in "iu" else "other"
        return _of_shape(inputs)
    first = inputs[0]
    if isinstance(first, str) and np.ndim(inputs) == 1:
        return "texts" if all(isinstance(each, str) for each in inputs) else "other"
    if isinstance(inputs, np.ndarray) and inputs.ndim == 2:
        return "table"
    return "images" if all(_is_image(each) for each in inputs) else _of_rows(inputs)


def _of_shape(inputs: np.ndarray) -> Material:
    if inputs.ndim <= 2:
        return "table" if inputs.dtype.kind in "fiub" else "other"
    return "images" if _is_image(inputs[0]) else "other"


def _is_image(item: Any) -> bool:
    """Whether an item has height and width, and channels first or last."""
    if isinstance(item, str | bytes):
        return False
    shape: tuple[int, ...] = np.shape(item) if hasattr(item, "shape") or hasattr(item, "__array_interface__") else ()
    return len(shape) == 2 or (len(shape) == 3 and (shape[-1] in _CHANNELS or shape[0] in _CHANNELS))


def _of_rows(inputs: Sequence[Any]) -> Material:
    """A sequence of rows of one length is a table too."""
    if any(isinstance(each, str | bytes | dict) for each in inputs):
        return "other"
    shapes = {np.shape(each) for each in inputs}
    return "table" if len(shapes) == 1 and len(next(iter(shapes))) == 1 else "other"


def pixels(inputs: Any) -> np.ndarray:
    """Means of the fields of a 16 x 16 grid, or all pixels of images that are no larger: float64, shape (n, d)."""
    if isinstance(inputs, np.ndarray) and inputs.dtype.kind != "O":
        return _coarse(_channels_last(inputs))
    every = [_channels_last(np.asarray(each)[None]) for each in inputs]
    channels = max(each.shape[-1] for each in every)
    # Grey images among coloured ones have the same value in each channel.
    return np.concatenate([_coarse(_wide(each, channels), always=True) for each in every])


def _wide(images: np.ndarray, channels: int) -> np.ndarray:
    kept = images if images.shape[-1] in (1, channels) else images[..., :1]
    return np.broadcast_to(kept, (*images.shape[:-1], channels))


def _channels_last(images: np.ndarray) -> np.ndarray:
    if images.ndim == 3:
        return images[..., None]
    return images if images.shape[-1] in _CHANNELS else np.moveaxis(images, 1, -1)


def _coarse(images: np.ndarray, *, always: bool = False) -> np.ndarray:
    if always or max(images.shape[1:3]) > SIDE:
        images = _pooled(_pooled(images, 1), 2)
    return images.reshape(len(images), -1).astype(np.float64)


def _pooled(images: np.ndarray, axis: int) -> np.ndarray:
    """16 means along an axis; a shorter axis is repeated first."""
    size = images.shape[axis]
    if size < SIDE:
        images, size = np.take(images, np.arange(SIDE) * size // SIDE, axis=axis), SIDE
    edges = np.arange(SIDE) * size // SIDE
    widths = np.diff(edges, append=size).reshape([-1 if k == axis else 1 for k in range(images.ndim)])
    return np.asarray(np.add.reduceat(images, edges, axis=axis, dtype=np.float64) / widths)


def columns(inputs: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """The numbers of a table, float64, shape (n, d), missing ones NaN; and its other columns as text, if it has any."""
    table = np.asarray(inputs)
    table = table.reshape(len(table), -1)
    if table.dtype.kind in "fiub":
        return _finite(table.astype(np.float64)), None
    found = [_numbers(table[:, k]) for k in range(table.shape[1])]
    numbers = [each for each in found if each is not None]
    others = [table[:, k].astype(str) for k, each in enumerate(found) if each is None]
    return (
        _finite(np.stack(numbers, axis=1)) if numbers else np.empty((len(table), 0)),
        np.stack(others, axis=1).astype(object) if others else None,
    )


def _numbers(column: np.ndarray) -> np.ndarray | None:
    try:
        return np.asarray([np.nan if each is None else each for each in column], dtype=np.float64)
    except (TypeError, ValueError):
        return None


def _finite(numbers: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(numbers), numbers, np.nan)
