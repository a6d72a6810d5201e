"""Rows by the number of what they share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, final

import numpy as np

_AT_A_TIME: Final = 1_000_000


@final
class Grouped:
    """Rows by the number of their word."""

    def __init__(self, rows: np.ndarray, words: np.ndarray, count: int) -> None:
        self._rows = rows[np.argsort(words, kind="stable")]
        self._starts = np.concatenate([[0], np.cumsum(np.bincount(words, minlength=count))])

    def each(self, words: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Rows of these words, and the place in `words` of each; a million at a time or one word's."""
        counts = self._starts[words + 1] - self._starts[words]
        ends = np.cumsum(counts)
        done = 0
        while done < len(words):
            before = int(ends[done - 1]) if done else 0
            until = max(int(np.searchsorted(ends, before + _AT_A_TIME, "right")), done + 1)
            count = counts[done:until]
            place = np.repeat(np.arange(done, until), count)
            inside = np.arange(len(place)) - np.repeat(ends[done:until] - count - before, count)
            yield self._rows[self._starts[words[place]] + inside], place
            done = until
