"""Groups: items that belong together, a patient's or a document's. No group may stand in two parts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from math import fsum
from typing import TYPE_CHECKING, Final

from ...errors import UsageError
from .hashing import hashes_of, positions

if TYPE_CHECKING:
    import numpy as np

_PATTERN_CHARACTERS: Final = 1_000


def codes_of(values: Sequence[str | None]) -> tuple[np.ndarray, list[str | None]]:
    """The place of each value among the different ones, int64 of shape (n,), and those: sorted, None last."""
    import numpy as np

    different = sorted(set(values), key=lambda value: (value is None, value or ""))
    places = {value: place for place, value in enumerate(different)}
    return np.array([places[value] for value in values], dtype=np.int64), different


def folder_groups(ids: Iterable[str]) -> list[str]:
    """The folder that each path lies in."""
    return [each.rpartition("/")[0] for each in ids]


def pattern_groups(ids: Sequence[str], pattern: str) -> list[str | None]:
    """What `pattern` finds in each id: its first group, or all of it where it has none.

    Raises:
        UsageError: it is no regular expression, or finds nothing in some ids.
    """
    if len(pattern) > _PATTERN_CHARACTERS:
        raise UsageError(f"the group pattern has {len(pattern):,} characters", why=f"{_PATTERN_CHARACTERS:,} at most")
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"{pattern!r:.80} is no regular expression", why=str(error)) from None
    found = [compiled.search(each) for each in ids]
    lost = [each for each, match in zip(ids, found, strict=True) if match is None]
    if lost:
        raise UsageError(
            f"the group pattern {pattern!r:.80} finds nothing in {len(lost)} of {len(ids)} ids",
            why=f"for example {', '.join(map(repr, lost[:3]))}",
            do="correct the pattern, or name a column",
        )
    return [match[1 if compiled.groups else 0] for match in found if match]


def straddling(parts: Mapping[str, np.ndarray], groups: Sequence[str | None]) -> dict[str, list[str]]:
    """The groups with items in more than one part, and those parts."""
    of: dict[str, set[str]] = {}
    for name, places in parts.items():
        for at in places.tolist():
            if (group := groups[at]) is not None:
                of.setdefault(group, set()).add(name)
    return {group: sorted(names) for group, names in sorted(of.items()) if len(names) > 1}


def check_whole(parts: Mapping[str, np.ndarray], groups: Sequence[str | None]) -> None:
    """See that every group stands in one part.

    Raises:
        UsageError: some do not; the first three are named.
    """
    if torn := straddling(parts, groups):
        raise UsageError(
            f"{len(torn)} {'group stands' if len(torn) == 1 else 'groups stand'} in more than one part",
            why="; ".join(f"{group!r:.80} in {', '.join(names)}" for group, names in list(torn.items())[:3]),
            do="correct the parts, or leave the group out if it does not matter",
        )


def by_balance(
    ids: Sequence[str],
    shares: Mapping[str, Fraction],
    *,
    salt: str,
    groups: Sequence[str | None],
    labels: Sequence[str | None] | None = None,
) -> dict[str, np.ndarray]:
    """Deal whole groups so that each part comes near its share of every class, and of all items.

    Greedy: the largest group first, each to the part where it adds least to the chi-square distance from the shares.
    Ties between groups go by the keyed hash. Not stable, and only as exact as the groups allow.
    """
    import numpy as np

    names = sorted(shares)
    members = _members(ids, groups)
    kinds = labels if labels is not None else [None] * len(ids)
    totals: Counter[object] = Counter(kinds)
    totals[_ALL] = len(ids)
    board = [_Seats(shares[name], totals) for name in names]
    which = np.empty(len(ids), dtype=np.int64)
    for places in _largest_first(ids, groups, members, salt):
        adds: Counter[object] = Counter(kinds[at] for at in places)
        adds[_ALL] = len(places)
        best = min(range(len(names)), key=lambda at: board[at].cost(adds))
        board[best].taken.update(adds)
        which[places] = best
    return positions(names, which)


_ALL: Final = object()
"""The class that every item is of."""


class _Seats:
    """What one part has of each class, and what it is to have."""

    def __init__(self, share: Fraction, totals: Counter[object]) -> None:
        self.wanted = {kind: float(share * count) for kind, count in totals.items()}
        self.taken: Counter[object] = Counter()

    def cost(self, adds: Counter[object]) -> float:
        # fsum is exact before it rounds once: the same on every machine, in whatever order the classes come.
        return fsum(
            (count * (2 * (self.taken[kind] - self.wanted[kind]) + count)) / self.wanted[kind]
            for kind, count in adds.items()
        )


def _members(ids: Sequence[str], groups: Sequence[str | None]) -> dict[tuple[bool, str], list[int]]:
    members: dict[tuple[bool, str], list[int]] = {}
    for at, (each, group) in enumerate(zip(ids, groups, strict=True)):
        members.setdefault((group is None, each if group is None else group), []).append(at)
    return members


def _largest_first(
    ids: Sequence[str], groups: Sequence[str | None], members: Mapping[tuple[bool, str], list[int]], salt: str
) -> list[list[int]]:
    hashes = hashes_of(ids, salt=salt, groups=groups).tolist()
    keys = sorted(members, key=lambda key: (-len(members[key]), hashes[members[key][0]], key))
    return [members[key] for key in keys]
