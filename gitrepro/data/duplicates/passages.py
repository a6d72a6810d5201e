"""Texts of the scored part of which a good share of passages stands in another text.

A passage is a run of 13 words, as in the decontamination of GPT-3 (Brown et al. 2020, appendix C). A few edited words
make two short texts unlike by their shingles, and a long text that quotes a short one whole is unlike it, too; their
common passages are still seen.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from .pairs import Candidates, Rows, Tell
from .words import Words, grams, text_blocks

LENGTH: Final = 13
"""Words of a passage."""
SHARE_LEAST: Final = 0.2
"""Of the passages of a scored text, in one other text: what is left of 120 words with six of them changed."""
COMMON: Final = 0.01
"""Share of the scored texts (and at least ten) above which a passage is a form, such as a licence, and not counted."""
PARTS_PER: Final = 1_000_000
"""Distances of candidates are whole numbers, in millionths."""


class _Known(NamedTuple):
    """Passages of the scored part.

    Attributes:
        values: distinct ones, ascending.
        starts: where the rows of each begin in `rows`; one more than values.
        rows: that have it.
        of_row: by row of all parts, how many distinct ones are counted of it.
    """

    values: np.ndarray
    starts: np.ndarray
    rows: np.ndarray
    of_row: np.ndarray


def contained(rows: Rows, scored: str, into: Candidates, tell: Tell) -> int:
    """Put pairs of a scored text and one of another part that has its passages into the candidates.

    Returns:
        how many scored texts have passages that were looked for.
    """
    words = Words()
    known = _known(rows, scored, words)
    for name in rows.names:
        if name != scored and len(known.values):
            for start, texts in text_blocks(rows, only=name):
                _look(start, *grams(*words.of(texts), LENGTH), known, into)
                tell("passages", start + len(texts), len(rows))
    return int((known.of_row > 0).sum())


def _known(rows: Rows, scored: str, words: Words) -> _Known:
    blocks = [(start, *grams(*words.of(texts), LENGTH)) for start, texts in text_blocks(rows, only=scored)]
    values = np.concatenate([np.zeros(0, np.uint64), *(each for _, each, _ in blocks)])
    owners = np.concatenate([np.zeros(0, np.int64), *(_owners(start, ends) for start, _, ends in blocks)])
    values, owners = _distinct(values, owners)
    distinct, _, counts = np.unique(values, return_index=True, return_counts=True)
    rare = counts <= max(10, COMMON * len(rows.parts[scored]))
    kept = np.repeat(rare, counts)
    of_row = np.bincount(owners[kept], minlength=len(rows))
    starts = np.concatenate([[0], np.cumsum(counts[rare])])
    return _Known(values=distinct[rare], starts=starts, rows=owners[kept], of_row=of_row)


def _look(start: int, values: np.ndarray, ends: np.ndarray, known: _Known, into: Candidates) -> None:
    place = np.searchsorted(known.values, values)
    place[place == len(known.values)] = 0
    met = np.flatnonzero(known.values[place] == values)
    if not len(met):
        return
    which, owners = _distinct(place[met], _owners(start, ends)[met])
    counts = known.starts[which + 1] - known.starts[which]
    inside = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    scored = known.rows[np.repeat(known.starts[which], counts) + inside]
    pairs, shared = np.unique(np.stack([scored, np.repeat(owners, counts)], axis=1), axis=0, return_counts=True)
    share = shared / known.of_row[pairs[:, 0]]
    enough = share >= SHARE_LEAST
    into.add(pairs[enough, 0], pairs[enough, 1], np.rint((1 - share[enough]) * PARTS_PER))


def _owners(start: int, ends: np.ndarray) -> np.ndarray:
    return np.repeat(np.arange(start, start + len(ends) - 1), np.diff(ends))


def _distinct(values: np.ndarray, owners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each value once for each owner, in the order of values."""
    order = np.lexsort((owners, values))
    values, owners = values[order], owners[order]
    first = np.ones(len(values), bool)
    first[1:] = (values[1:] != values[:-1]) | (owners[1:] != owners[:-1])
    return values[first], owners[first]
