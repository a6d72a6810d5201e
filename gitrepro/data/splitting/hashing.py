"""Parts by a keyed hash: an item's part depends on its id, or on its group, and on nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from ...store.keyed import keyed_hashes

if TYPE_CHECKING:
    import numpy as np


def by_hash(
    ids: Sequence[str], shares: Mapping[str, Fraction], *, salt: str, groups: Sequence[str | None] | None = None
) -> dict[str, np.ndarray]:
    """Cut the range of a 64-bit hash at the shares, and see where each item falls.

    Stable: items that are added later move none of those that are there. The sizes are binomial around the shares.

    Args:
        ids: one of each item, no two alike.
        shares: by part; they sum to 1. Parts take the range in the order of their names.
        salt: what makes two splits independent of each other.
        groups: of each item; None for an item that is a group by itself. A group is hashed instead of its items.

    Returns:
        By part the positions of its items, int64, ascending.
    """
    import numpy as np

    names = sorted(shares)
    ends = [sum((shares[name] for name in names[:count]), Fraction(0)) for count in range(1, len(names))]
    cuts = np.array([int(end * 2**64) for end in ends], dtype=np.uint64)
    which = np.searchsorted(cuts, hashes_of(ids, salt=salt, groups=groups), side="right")
    return positions(names, which)


def positions(names: Sequence[str], which: np.ndarray) -> dict[str, np.ndarray]:
    """By name the positions where `which`, int of shape (n,), holds its index; ascending."""
    import numpy as np

    return {name: np.flatnonzero(which == index).astype(np.int64) for index, name in enumerate(names)}


def hashes_of(ids: Sequence[str], *, salt: str, groups: Sequence[str | None] | None = None) -> np.ndarray:
    """The hash of each item, or of its group: uint64, shape (n,)."""
    import numpy as np

    items = (b"id " + each.encode() for each in ids) if groups is None else _grouped(ids, groups)
    return np.array(keyed_hashes(salt.encode(), items), dtype=np.uint64)


def _grouped(ids: Sequence[str], groups: Sequence[str | None]) -> Iterator[bytes]:
    # What stands before them keeps a group that is called like an item from falling where that item does.
    for each, group in zip(ids, groups, strict=True):
        yield b"id " + each.encode() if group is None else b"group " + group.encode()


def hash_order(hashes: np.ndarray, ids: Sequence[str]) -> np.ndarray:
    """Positions by ascending hash, int64; equal hashes by id, so that the order the items came in does not matter."""
    import numpy as np

    order = np.argsort(hashes, kind="stable")
    ranked = hashes[order]
    if (ranked[1:] == ranked[:-1]).any():
        order = np.array(sorted(range(len(ids)), key=lambda at: (int(hashes[at]), ids[at])), dtype=np.int64)
    return order
