"""Whether two pictures are the same: by how much nearer they are than strangers are in the same data.

A fixed threshold cannot serve all data: crops of photographs that correlate by 0.97 are copies, and handwritten digits
that do are two people's threes. So the median distance of an example to its nearest stranger is taken as the measure,
as in Datalab's check for near duplicates (cleanlab: Northcutt et al. 2021, "Confident learning", and its documents).
"""

from __future__ import annotations

from typing import Final

import numpy as np

ALIKE: Final = 0.9
"""Least correlation, whatever the data: at less than this crops of unrelated photographs begin to meet."""
ISOLATED: Final = 0.3
"""Of the distance to the nearest stranger, at most. Among 1,797 written digits one pair is nearer than 0.3, and over
fifty than 0.5; copies of photographs as JPEG, in other sizes, brightness or contrast are nearly all within 0.2."""
SURE: Final = 0.995
"""Correlation that is enough, whatever the data: where most have near copies, as frames of films have, there are no
strangers to measure by. Of 1,797 written digits one to four pairs in 1.6 million are so near."""
_STRANGERS: Final = 2000
_ASKED: Final = 500
_SHARE: Final = 8
"""Strangers are an eighth of the data at most: a copy of an example, if it has one, is seldom among them."""
_PAIRS: Final = 50_000


def least_correlation(thumbs: np.ndarray) -> float:
    """Above which two small pictures of these, uint8 of shape (n, 16, 16), are the same."""
    order = np.random.default_rng(0).permutation(len(thumbs))
    count = min(len(thumbs) // _SHARE, _STRANGERS)
    if not count:
        return ALIKE
    strangers, asked = _standard(thumbs[order[:count]]), _standard(thumbs[order[count : count + _ASKED]])
    nearest = np.clip((asked @ strangers.T).max(axis=1), -1, 1)
    # Of standardised pictures the squared distance is 2 (1 - correlation), so shares of distances are these.
    return min(max(ALIKE, 1 - ISOLATED**2 * (1 - float(np.median(nearest)))), SURE)


def turned(thumbs: np.ndarray, flips: np.ndarray) -> np.ndarray:
    """Small pictures, shape (n, 16, 16), each flipped by its place in FLIPS, shape (n,)."""
    found = thumbs.copy()
    mirrored, upside_down = flips % 2 == 1, flips // 2 == 1
    found[mirrored] = found[mirrored][:, :, ::-1]
    found[upside_down] = found[upside_down][:, ::-1]
    return found


def correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Pearson's, of small pictures of shape (n, 16, 16): brightness and contrast do not count."""
    found: np.ndarray = (_standard(one) * _standard(other)).sum(axis=1)
    return found


def correlations(kept: np.ndarray, thumbs: np.ndarray) -> np.ndarray:
    """Of candidates (later row, earlier row, distance, flip), shape (m, 4), float32 of shape (m,)."""
    found = np.zeros(len(kept), np.float32)
    for start in range(0, len(kept), _PAIRS):
        later, earlier, _, flips = kept[start : start + _PAIRS].T
        found[start : start + _PAIRS] = correlation(turned(thumbs[later], flips), thumbs[earlier])
    return found


def _standard(thumbs: np.ndarray) -> np.ndarray:
    """Small pictures as vectors of mean 0 and length 1, float32 of shape (n, 256)."""
    plain = thumbs.reshape(len(thumbs), -1).astype(np.float32)
    plain -= plain.mean(axis=1, keepdims=True)
    found: np.ndarray = plain / np.maximum(np.linalg.norm(plain, axis=1, keepdims=True), 1e-12)
    return found
