"""Words of 64 bits that differ in few bits.

Multi-index hashing (Norouzi, Punjani and Fleet 2012, "Fast search in Hamming space with multi-index hashing"): of two
words that differ in at most r bits, one of four pieces of 16 bits differs in at most r // 4. So each piece is looked up
in a table, with each of the few changes it may have had. Where words crowd so much that this costs more than comparing
all with all, all are compared with all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Final

import numpy as np

PIECES: Final = 4
BITS_AT_MOST: Final = 15
"""Beyond, a piece may differ in four bits, and the look-ups are more than the words."""
_SIZE: Final = 1 << 16
_AT_A_TIME: Final = 4_000_000
_LOOKUP: Final = 8
"""What a look-up costs, in comparisons of two words side by side."""

Step = Callable[[float], None]


def near_words(
    words: np.ndarray, others: np.ndarray, *, bits: int, step: Step
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Places in both, and the bits that differ, in pieces of some millions; a pair may come more than once.

    Args:
        words: uint64, shape (n,).
        others: uint64, shape (m,).
        bits: that may differ, at most 15.
        step: is told which share is done, now and then.
    """
    masks = list(_masks(bits // PIECES))
    expected = sum(_expected(words, others, piece, masks) for piece in range(PIECES))
    lookups = _LOOKUP * (expected + len(words) * len(masks) * PIECES)
    if lookups >= len(words) * len(others):
        yield from _all_with_all(words, others, bits, step)
        return
    for piece in range(PIECES):
        table, starts = _table(others, piece)
        keys = _piece(words, piece)
        for number, mask in enumerate(masks):
            for one, other in _met(keys ^ np.uint16(mask), table, starts):
                distance = popcount(words[one] ^ others[other])
                near = distance <= bits
                yield one[near], other[near], distance[near]
            step((piece + (number + 1) / len(masks)) / PIECES)


def popcount(words: np.ndarray) -> np.ndarray:
    """How many bits are set, uint8, of the same shape."""
    if hasattr(np, "bitwise_count"):
        return np.asarray(np.bitwise_count(words))
    halves = np.ascontiguousarray(words).view(np.uint16).reshape(*words.shape, 4)
    found: np.ndarray = _counts()[halves].sum(axis=-1, dtype=np.uint8)
    return found


def _counts() -> np.ndarray:
    every = np.arange(_SIZE, dtype=np.uint16).view(np.uint8).reshape(-1, 2)
    found: np.ndarray = np.unpackbits(every, axis=1).sum(axis=1, dtype=np.uint8)
    return found


def _masks(radius: int) -> Iterator[int]:
    for count in range(radius + 1):
        for places in combinations(range(16), count):
            yield sum(1 << place for place in places)


def _piece(words: np.ndarray, piece: int) -> np.ndarray:
    return (words >> np.uint64(16 * piece)).astype(np.uint16)


def _expected(words: np.ndarray, others: np.ndarray, piece: int, masks: list[int]) -> int:
    """How many pairs the table of this piece will give."""
    ours, theirs = (np.bincount(_piece(each, piece), minlength=_SIZE).astype(np.float64) for each in (words, others))
    used = np.flatnonzero(ours)
    return int(sum(ours[used] @ theirs[used ^ mask] for mask in masks))


def _table(words: np.ndarray, piece: int) -> tuple[np.ndarray, np.ndarray]:
    keys = _piece(words, piece)
    starts = np.concatenate([[0], np.cumsum(np.bincount(keys, minlength=_SIZE))])
    return np.argsort(keys, kind="stable"), starts


def _met(keys: np.ndarray, table: np.ndarray, starts: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each place of keys with all places that the table has under that key."""
    begin = starts[keys]
    counts = starts[keys.astype(np.int64) + 1] - begin
    ends = np.cumsum(counts)
    done = 0
    while done < len(keys):
        before = int(ends[done - 1]) if done else 0
        until = max(int(np.searchsorted(ends, before + _AT_A_TIME, "right")), done + 1)
        count = counts[done:until]
        one = np.repeat(np.arange(done, until), count)
        offset = np.repeat(begin[done:until] - (ends[done:until] - count - before), count)
        yield one, table[np.arange(len(one)) + offset]
        done = until


def _all_with_all(
    words: np.ndarray, others: np.ndarray, bits: int, step: Step
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    size = max(1, (1 << 18) // max(len(others), 1))
    for start in range(0, len(words), size):
        distance = popcount(words[start : start + size, None] ^ others)
        one, other = np.nonzero(distance <= bits)
        yield one + start, other, distance[one, other]
        step(min(start + size, len(words)) / len(words))
