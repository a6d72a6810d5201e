"""Items that are exactly equal to an earlier one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, final

if TYPE_CHECKING:
    from .types import Wholes, Words

PAIRS: Final = 20


@final
class Duplicates:
    """Fingerprints of items in their order, of 64 bits: two of a million items meet by chance in one set of 10^7."""

    def __init__(self) -> None:
        self._parts: list[Words] = []
        self._labels: list[Wholes] = []

    def add(self, fingerprints: Words, labels: Wholes | None = None) -> None:
        """Add items, shape (n,), and a number for the label of each."""
        self._parts.append(fingerprints)
        if labels is not None:
            self._labels.append(labels)

    def document(self, ids: Iterable[str]) -> dict[str, Any]:
        """How many items equal an earlier one, how many of them have another label than it, and the first pairs."""
        import numpy as np

        every = np.concatenate(self._parts) if self._parts else np.zeros(0, np.uint64)
        later, earlier = _pairs(every)
        found: dict[str, Any] = {"items": int(later.size)}
        if self._labels:
            labels = np.concatenate(self._labels)
            found["other_label"] = int((labels[later] != labels[earlier]).sum())
        if later.size:
            found["pairs"] = _named(earlier[:PAIRS].tolist(), later[:PAIRS].tolist(), ids)
        return found


def _pairs(every: Words) -> tuple[Wholes, Wholes]:
    """Places of items that were there before, ascending, and the first place of each."""
    import numpy as np

    # A stable sort keeps equal items in their order, so the first of a group is the earliest.
    order = np.argsort(every, kind="stable")
    ordered = every[order]
    starts = np.ones(ordered.size, bool)
    starts[1:] = ordered[1:] != ordered[:-1]
    firsts = order[starts][np.cumsum(starts) - 1]
    later, earlier = order[~starts], firsts[~starts]
    ascending = np.argsort(later, kind="stable")
    return later[ascending], earlier[ascending]


def _named(earlier: list[int], later: list[int], ids: Iterable[str]) -> list[list[str]]:
    wanted = set(earlier) | set(later)
    names: dict[int, str] = {}
    for place, name in enumerate(ids):
        if place in wanted:
            names[place] = name
            if len(names) == len(wanted):
                break
    return [[names[one], names[other]] for one, other in zip(earlier, later, strict=True)]
