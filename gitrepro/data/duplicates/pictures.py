"""Images as blocks of brightness, whatever they came as."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from ...errors import UsageError
from .contents import pixels_of
from .pairs import Rows

_PIXELS: Final = 4_000_000
_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)
"""Brightness of red, green and blue (ITU-R BT.601), as Pillow has it."""


def gray_blocks(rows: Rows) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows, int64 of shape (n,), and their brightness, float32 of shape (n, h, w): of one size, 16 MB or one image.

    Raises:
        UsageError: a content is no image.
    """
    for name, items in rows.parts.items():
        first = int(rows.starts[rows.names.index(name)])
        if isinstance(items.contents, np.ndarray) and items.contents.dtype.kind in "fiub":
            yield from _of_array(items.contents, first, name)
        else:
            yield from _of_sequence(items.contents, first, name)


def _of_array(images: np.ndarray, first: int, name: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    if images.ndim not in (3, 4) or 0 in images.shape[1:]:
        raise UsageError(f"part {name!r} has contents of shape {images.shape}, which are no images", do=_FORMS)
    size = max(1, _PIXELS // max(int(np.prod(images.shape[1:])), 1))
    for start in range(0, len(images), size):
        block = images[start : start + size]
        yield np.arange(first + start, first + start + len(block)), _gray(block)


def _of_sequence(images: Any, first: int, name: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    waiting: dict[tuple[int, ...], tuple[list[int], list[np.ndarray]]] = {}
    pixels = 0
    for place, image in enumerate(images):
        gray = _gray(_pixels(image, f"part {name!r}, example {place}")[None])[0]
        numbers, grays = waiting.setdefault(gray.shape, ([], []))
        numbers.append(first + place)
        grays.append(gray)
        pixels += gray.size
        if pixels > _PIXELS:
            yield from _stacked(waiting)
            waiting, pixels = {}, 0
    yield from _stacked(waiting)


def _stacked(
    waiting: dict[tuple[int, ...], tuple[list[int], list[np.ndarray]]],
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for numbers, grays in waiting.values():
        yield np.array(numbers, np.int64), np.stack(grays)


def _pixels(image: Any, source: str) -> np.ndarray:
    pixels = pixels_of(image) if hasattr(image, "getbands") else np.asarray(image)
    if pixels.dtype.kind not in "fiub" or pixels.ndim not in (2, 3) or not pixels.size:
        raise UsageError(
            f"{source} is no image", why=f"it is of {type(image).__name__}, shape {pixels.shape}", do=_FORMS
        )
    return pixels


def _gray(images: np.ndarray) -> np.ndarray:
    """Brightness of images of shape (n, h, w), (n, h, w, channels) or (n, channels, h, w)."""
    if images.ndim == 4 and images.shape[3] not in (1, 2, 3, 4) and images.shape[1] in (1, 2, 3, 4):
        images = np.moveaxis(images, 1, 3)
    with np.errstate(over="ignore"):
        if images.ndim == 3:
            return images.astype(np.float32)
        if images.shape[3] in (3, 4):
            return np.asarray(images[..., :3].astype(np.float32) @ _LUMA, np.float32)
        # Gray with or without transparency; of other channels (satellites have dozens) the mean.
        kept = images[..., :1] if images.shape[3] <= 2 else images
        return np.asarray(kept.astype(np.float32).mean(axis=3), np.float32)


_FORMS: Final = "give Pillow images, or arrays of shape (h, w), (h, w, 3), (n, h, w) or (n, h, w, 3)"
