"""Perceptual hashes of images, and the small pictures by which pairs are confirmed.

pHash is the sign of the 64 lowest coefficients of a discrete cosine transform against their median (Zauner 2010,
"Implementation and benchmarking of perceptual image hash functions"); dHash is whether brightness grows from one cell
of a 9 by 8 grid to the next (Krawetz 2013, "Kind of like that"). All sizes are brought to these grids by averaging
over areas, as two matrix products for a block of images of one size.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

FLIPS: Final = ("as it is", "mirrored", "upside down", "turned by 180°")
THUMB: Final = 16
_FINE: Final = 32


class Hashed(NamedTuple):
    """Of n images: pHash and dHash as uint64 of shape (4, n), one row for each of FLIPS; the rest of shape (n, …)."""

    phash: np.ndarray
    dhash: np.ndarray
    thumbs: np.ndarray
    """uint8, shape (n, 16, 16), stretched to the range of each image."""
    texture: np.ndarray
    """float32: the median difference between neighbours in a grid of 9 by 9 cells, in units of brightness."""
    low: np.ndarray
    high: np.ndarray


def hashed(gray: np.ndarray) -> Hashed:
    """Hashes of images of one size: float32, shape (n, h, w)."""
    height, width = gray.shape[1:]
    differences = np.diff(_both(gray, _areas(height, 8), _areas(width, 9)), axis=2)
    frequencies = _both(gray, _cosines() @ _areas(height, _FINE), _cosines() @ _areas(width, _FINE))
    return Hashed(
        phash=_phash(frequencies),
        dhash=_dhash(differences),
        thumbs=_stretched(_both(gray, _areas(height, THUMB), _areas(width, THUMB))),
        texture=_texture(_both(gray, _areas(height, 9), _areas(width, 9))),
        low=gray.min(axis=(1, 2)),
        high=gray.max(axis=(1, 2)),
    )


def _both(gray: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """left @ image @ right.T of each image, as two large products."""
    n, height, width = gray.shape
    across = (gray.reshape(n * height, width) @ right.T).reshape(n, height, len(right))
    found: np.ndarray = np.ascontiguousarray(across.transpose(0, 2, 1)).reshape(-1, height) @ left.T
    return found.reshape(n, len(right), len(left)).transpose(0, 2, 1)


@lru_cache(maxsize=256)
def _areas(size: int, cells: int) -> np.ndarray:
    """Shape (cells, size): the share of each pixel in the mean over each of `cells` equal stretches."""
    edges = np.arange(cells + 1) * size / cells
    pixels = np.arange(size)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.asarray(np.clip(overlap, 0, None) * cells / size, np.float32)


@lru_cache(maxsize=1)
def _cosines() -> np.ndarray:
    """The 8 lowest rows of the discrete cosine transform (type II), shape (8, 32)."""
    place = (2 * np.arange(_FINE) + 1) * np.pi / (2 * _FINE)
    return np.asarray(np.cos(np.arange(8)[:, None] * place), np.float32)


def _phash(frequencies: np.ndarray) -> np.ndarray:
    # Mirroring an image turns the signs of its odd frequencies, so one transform serves all flips.
    odd = np.where(np.arange(8) % 2, np.float32(-1), np.float32(1))
    turned = (frequencies, frequencies * odd, frequencies * odd[:, None], frequencies * odd * odd[:, None])
    return np.stack([_packed(each > np.median(each, axis=(1, 2), keepdims=True)) for each in turned])


def _dhash(differences: np.ndarray) -> np.ndarray:
    turned = (differences, -differences[:, :, ::-1], differences[:, ::-1], -differences[:, ::-1, ::-1])
    return np.stack([_packed(each > 0) for each in turned])


def _packed(bits: np.ndarray) -> np.ndarray:
    packed: np.ndarray = np.packbits(bits.reshape(len(bits), 64), axis=1).view("<u8")[:, 0].astype(np.uint64)
    return packed


def _stretched(cells: np.ndarray) -> np.ndarray:
    low, high = cells.min(axis=(1, 2), keepdims=True), cells.max(axis=(1, 2), keepdims=True)
    return np.asarray(np.rint((cells - low) * (255 / np.maximum(high - low, np.float32(1e-12)))), np.uint8)


def _texture(cells: np.ndarray) -> np.ndarray:
    across, down = (np.abs(np.diff(cells, axis=axis)).reshape(len(cells), -1) for axis in (1, 2))
    found: np.ndarray = np.median(np.concatenate([across, down], axis=1), axis=1)
    return found
