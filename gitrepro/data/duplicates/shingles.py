"""Texts whose sets of 5-word shingles are much alike.

MinHash (Broder 1997, "On the resemblance and containment of documents"), by rensa, with banding (Leskovec, Rajaraman
and Ullman, "Mining of massive datasets", chapter 3): two texts are looked at when one of 14 bands of 8 values agrees,
which catches 92 % of pairs of Jaccard similarity 0.8, 56 % of 0.7, and 5 % of 0.5. Each pair is then compared by the
shingles themselves, so what is reported is exact.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ...errors import UsageError
from .equal import firsts
from .pairs import Candidates, Rows, Tell
from .words import Words, grams, text_blocks

LENGTH: Final = 5
"""Words of a shingle."""
BANDS: Final = 14
PER_BAND: Final = 8
_SIGNATURE: Final = BANDS * PER_BAND
_SEED: Final = 1
_PAIRS: Final = 200_000


def shingled(rows: Rows, into: Candidates, tell: Tell) -> np.ndarray:
    """Put pairs that share a band into the candidates, by the values of 112 that differ; which rows had shingles."""
    bands = np.zeros((BANDS, len(rows)), np.uint64)
    low = np.zeros((len(rows), _SIGNATURE), np.uint8)
    there = np.zeros(len(rows), bool)
    words = Words()
    for start, texts in text_blocks(rows):
        values, ends = grams(*words.of(texts), LENGTH)
        signatures = _signatures(values, ends)
        block = slice(start, start + len(texts))
        there[block] = np.diff(ends) > 0
        bands[:, block] = _bands(signatures)
        low[block] = signatures.astype(np.uint8)
        tell("MinHash", start + len(texts), len(rows))
    named = np.flatnonzero(there)
    for number, band in enumerate(bands):
        _meet(named, band[named], rows, low, into)
        tell("bands", (number + 1) * len(rows) // BANDS, len(rows))
    return there


def _signatures(values: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """uint32, shape (n, 112)."""
    try:
        from rensa import RMinHash
    except ImportError as error:
        do = "pip install 'gitrepro[checks]'"
        raise UsageError("near texts are found with rensa, which is not installed", why=str(error), do=do) from error
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(
        values, ends.astype(np.uint64), num_perm=_SIGNATURE, seed=_SEED
    )
    return np.array(matrix.to_rows(), np.uint32).reshape(len(ends) - 1, _SIGNATURE)


def _bands(signatures: np.ndarray) -> np.ndarray:
    """A number for each band, shape (14, n)."""
    pieces = signatures.reshape(-1, PER_BAND).astype(np.uint64)
    ends = np.arange(len(pieces) + 1, dtype=np.int64) * PER_BAND
    found, _ = grams(pieces.reshape(-1), ends, PER_BAND)
    return found.reshape(len(signatures), BANDS).T


def _meet(named: np.ndarray, band: np.ndarray, rows: Rows, low: np.ndarray, into: Candidates) -> None:
    later, earlier = firsts(named, rows.part, band)
    # The first of a crowd may be farther than the one just before, so both are looked at.
    order = np.argsort(band, kind="stable")
    beside = band[order][1:] == band[order][:-1]
    later = np.concatenate([later, named[order[1:]][beside]])
    earlier = np.concatenate([earlier, named[order[:-1]][beside]])
    for start in range(0, len(later), _PAIRS):
        a, b = later[start : start + _PAIRS], earlier[start : start + _PAIRS]
        into.add(a, b, (low[a] != low[b]).sum(axis=1))


def similar(kept: np.ndarray, rows: Rows, least: float, tell: Tell) -> np.ndarray:
    """Of candidates, shape (m, 4), the nearest of each later row and part that are so similar: shape (k, 3), float64.

    Their columns are later row, earlier row, and 1 - Jaccard similarity.
    """
    sets = _Sets(rows)
    found: list[tuple[int, int, float]] = []
    done: tuple[int, int] | None = None
    for number, (later, earlier, *_) in enumerate(kept.tolist()):
        place = later, int(rows.part[earlier])
        if place != done:
            likeness = jaccard(sets.of(later), sets.of(earlier))
            if likeness >= least:
                found.append((later, earlier, 1 - likeness))
                done = place
        if number % 1000 == 0:
            tell("similarities", number, len(kept))
    return np.array(found, np.float64).reshape(-1, 3)


def jaccard(one: np.ndarray, other: np.ndarray) -> float:
    """Of two sets, as sorted arrays of distinct values: what they share, of all they have."""
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / max(len(one) + len(other) - shared, 1)


class _Sets:
    """Shingles of the rows asked for last."""

    def __init__(self, rows: Rows, *, at_most: int = 5000) -> None:
        self._rows = rows
        self._words = Words()
        self._kept: dict[int, np.ndarray] = {}
        self._at_most = at_most

    def of(self, row: int) -> np.ndarray:
        if row not in self._kept:
            if len(self._kept) >= self._at_most:
                self._kept.clear()
            text: Any = self._rows.content(row)
            self._kept[row] = np.unique(grams(*self._words.of([text]), LENGTH)[0])
        return self._kept[row]
