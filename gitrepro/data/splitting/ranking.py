"""Parts by the rank of the keyed hash, class by class: sizes are exact. Adding items may move others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from .groups import codes_of
from .hashing import hash_order, hashes_of, positions

if TYPE_CHECKING:
    import numpy as np


def by_rank(
    ids: Sequence[str], shares: Mapping[str, Fraction], *, salt: str, labels: Sequence[str | None] | None = None
) -> dict[str, np.ndarray]:
    """Give each part its share of each class, to within one item.

    Of a class that does not divide evenly, the odd items go where the classes before it left most open, so that the
    parts as a whole have their sizes too. Not stable: an item that is added shifts the ranks of others.

    Args:
        ids: one of each item, no two alike.
        shares: by part; they sum to 1.
        labels: the class of each item, None being a class as well; without labels all are of one class.

    Returns:
        By part the positions of its items, int64, ascending.
    """
    import numpy as np

    names = sorted(shares)
    codes = _codes(labels, len(ids))
    order = hash_order(hashes_of(ids, salt=salt), ids)
    order = order[np.argsort(codes[order], kind="stable")]
    counts = np.bincount(codes).tolist() if len(ids) else []
    sizes = [seats for row in apportioned(counts, [shares[name] for name in names]) for seats in row]
    which = np.empty(len(ids), dtype=np.int64)
    which[order] = np.repeat(np.tile(np.arange(len(names)), len(counts)), sizes)
    return positions(names, which)


def _codes(labels: Sequence[str | None] | None, count: int) -> np.ndarray:
    import numpy as np

    return np.zeros(count, dtype=np.int64) if labels is None else codes_of(labels)[0]


def apportioned(counts: Sequence[int], shares: Sequence[Fraction]) -> Iterator[list[int]]:
    """Of each class, how many of its `counts` items each part has: the floor or the ceiling of its share."""
    owed = [Fraction(0)] * len(shares)
    for count in counts:
        ideal = [share * count for share in shares]
        seats = [int(each) for each in ideal]
        open_to = [at for at in range(len(shares)) if ideal[at] > seats[at]]
        open_to.sort(key=lambda at: seats[at] - ideal[at] - owed[at])
        for at in open_to[: count - sum(seats)]:
            seats[at] += 1
        owed = [due + want - got for due, want, got in zip(owed, ideal, seats, strict=True)]
        yield seats
