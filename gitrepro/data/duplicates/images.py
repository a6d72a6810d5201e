"""Images that are nearly the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from ...errors import UsageError
from .alike import correlations, least_correlation
from .equal import confirmed, equal_rows, firsts
from .grouped import Grouped
from .hamming import BITS_AT_MOST, near_words
from .hashes import FLIPS, THUMB, Hashed, hashed
from .pairs import Candidates, Items, Pairs, Rows, Tell, silent
from .pictures import gray_blocks

SIDE_LEAST: Final = 16
"""Pixels. The hashes hold 64 bits and look at 9 by 8 cells: smaller images have hardly more."""
TEXTURE_LEAST: Final = 0.005
"""Of the range of brightness, about one step of 256: where most neighbouring cells differ by less, bits are noise."""
_PAIRS: Final = 50_000


def near_images(parts: Mapping[str, Items], *, bits: int = 8, tell: Tell = silent) -> Pairs:
    """Pairs of images that look the same, or do when one is mirrored or turned upside down.

    Two images are candidates when their pHash or their dHash differ in at most `bits` of 64 in one of four
    orientations, and a pair when their brightness in 16 by 16 cells agrees: it correlates by 0.9 at least, and is much
    nearer than strangers are to each other in these data (`alike.py`). Images of several sizes are compared at these
    sizes. Left out, and counted: images with a side of less than `SIDE_LEAST`
    pixels (`too small`), with values that are no numbers (`not finite`), and with hardly any texture (`low texture`:
    a clear sky looks like any other).

    Of 1,032 crops of photographs this finds all copies in half the size, gray or mirrored, 99 % as JPEG of quality 50
    or with more contrast, 96 % of those made brighter, 31 % after cutting 4 % off each edge, and none after a turn by
    5 degrees. Of 161,405 pairs of crops without a common pixel it calls none near.

    Memory grows by some 600 bytes an image.

    Args:
        parts: by name, in the order of search; contents are `PIL.Image`s or arrays of shape (h, w), (h, w, 1),
            (h, w, 3) or (h, w, 4), of several sizes if need be, or one array of shape (n, h, w), (n, h, w, channels) or
            (n, channels, h, w).
        bits: of 64 that may differ, for a pair to be looked at; at most 15.
        tell: called now and then with how far it is.

    Raises:
        UsageError: a content is no image, or there is no such number of bits.
    """
    if not 0 <= bits <= BITS_AT_MOST:
        raise UsageError(f"bits is {bits}", why=f"0 to {BITS_AT_MOST} of 64 may differ")
    rows = Rows(parts)
    pictures, left_out = _pictures(rows, tell)
    there = np.flatnonzero(pictures.texture > 0)
    candidates = Candidates(rows)
    for kind, words in (("pHash", pictures.phash), ("dHash", pictures.dhash)):
        _search(there, words[:, there], rows, bits, candidates, tell, kind)
    kept = candidates.best()
    least = least_correlation(pictures.thumbs[there])
    alike = correlations(kept, pictures.thumbs) >= least
    pairs = confirmed(kept[alike], "image", rows, equal_rows(rows, tell=tell))
    numbers = {"candidates": float(len(kept)), "confirmed": float(alike.sum()), "least correlation": least}
    return Pairs(pairs=tuple(pairs), examples=len(there), left_out=left_out, numbers=numbers)


def _pictures(rows: Rows, tell: Tell) -> tuple[Hashed, dict[str, int]]:
    """All images hashed; those that are left out have a texture of 0."""
    n = len(rows)
    every = Hashed(
        phash=np.zeros((len(FLIPS), n), np.uint64),
        dhash=np.zeros((len(FLIPS), n), np.uint64),
        thumbs=np.zeros((n, THUMB, THUMB), np.uint8),
        texture=np.zeros(n, np.float32),
        low=np.full(n, np.inf, np.float32),
        high=np.full(n, -np.inf, np.float32),
    )
    small, broken = np.zeros(n, bool), np.zeros(n, bool)
    done = 0
    for numbers, gray in gray_blocks(rows):
        small[numbers] = min(gray.shape[1:]) < SIDE_LEAST
        broken[numbers] = ~np.isfinite(gray).all(axis=(1, 2))
        _fill(every, numbers[~broken[numbers]], gray[~broken[numbers]])
        done += len(numbers)
        tell("images", done, n)
    span = float(every.high.max(initial=-np.inf) - every.low.min(initial=np.inf))
    flat = ~small & ~broken & ~(every.texture > TEXTURE_LEAST * span)
    every.texture[small | broken | flat] = 0
    counts = {"too small": small.sum(), "not finite": (broken & ~small).sum(), "low texture": flat.sum()}
    return every, {reason: int(count) for reason, count in counts.items() if count}


def _fill(every: Hashed, numbers: np.ndarray, gray: np.ndarray) -> None:
    if not len(numbers):
        return
    found = hashed(gray)
    every.phash[:, numbers], every.dhash[:, numbers] = found.phash, found.dhash
    every.thumbs[numbers], every.texture[numbers] = found.thumbs, found.texture
    every.low[numbers], every.high[numbers] = found.low, found.high


def _search(
    there: np.ndarray, words: np.ndarray, rows: Rows, bits: int, into: Candidates, tell: Tell, kind: str
) -> None:
    """Put the pairs of rows into the candidates whose words are near; words of shape (4, m), of the rows `there`."""
    if not len(there):
        return
    plain, of_row = np.unique(words[0], return_inverse=True)
    later, earlier = firsts(there, rows.part, of_row)
    into.add(later, earlier, np.zeros(len(later), np.int64))
    # Of equal words one row of each part stands for all: a thousand copies are not compared with a thousand others.
    shown = Grouped(*_one_of_each_part(there, of_row, rows), len(plain))
    for flip in range(len(FLIPS)):
        asked, of_row = np.unique(words[flip], return_inverse=True)
        asking = Grouped(there, of_row, len(asked))
        step = _step(tell, f"{kind}, {FLIPS[flip]}", len(there))
        for one, other, distance in near_words(asked, plain, bits=bits, step=step):
            _add(into, asking, shown, one, other, distance, flip)


def _add(
    into: Candidates,
    asking: Grouped,
    shown: Grouped,
    one: np.ndarray,
    other: np.ndarray,
    distance: np.ndarray,
    flip: int,
) -> None:
    for start in range(0, len(one), _PAIRS):
        piece = slice(start, start + _PAIRS)
        for ours, place in asking.each(one[piece]):
            for theirs, of_ours in shown.each(other[piece][place]):
                apart = ours[of_ours] != theirs
                into.add(ours[of_ours][apart], theirs[apart], distance[piece][place][of_ours][apart], flip)


def _one_of_each_part(there: np.ndarray, of_row: np.ndarray, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    keys = of_row.astype(np.int64) * len(rows.names) + rows.part[there]
    _, first = np.unique(keys, return_index=True)
    return there[first], of_row[first]


def _step(tell: Tell, name: str, count: int) -> Callable[[float], None]:
    return lambda share: tell(name, int(share * count), count)
