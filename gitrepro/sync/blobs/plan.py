"""What a collection of a store remote goes by, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .claims import Claim
from .driver import Listed

DAY_SECONDS: Final = 86_400
GRACE_SECONDS: Final = 14 * DAY_SECONDS
GRACE_SECONDS_AT_LEAST: Final = DAY_SECONDS
BUSY_SECONDS: Final = 2 * DAY_SECONDS
"""A push that has not said for so long that it goes on has died."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """What the records of a clone say.

    Attributes:
        named: the digests of all that they name, and of what these lead to as far as it is known here.
        absent: those of them that are not here, so that it is not known here what they lead to.
        runs: the runs that are on record. `purged` are those that were: claims for these and those alone say nothing
            that is not known.
    """

    named: frozenset[str]
    absent: frozenset[str] = frozenset()
    runs: frozenset[str] = frozenset()
    purged: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a look at a store remote found.

    Attributes:
        ripe: what can be deleted now, by an old list; `waiting` is in a list that is young; `fresh` in none yet.
        young: what nothing names and was written within the grace.
        kept: what is needed.
        foreign: claims of pushes of which the runs are not on record here, which keep what they name.
        busy: pushes under way.
        old_lists: lists that have said all they have to say.
        leftovers: lists that cannot be read, and what collections left that were killed long ago.
        uncertain: packs that stay since their tables cannot be read.
    """

    began: float
    kept: tuple[Listed, ...]
    ripe: tuple[Listed, ...]
    waiting: tuple[Listed, ...]
    fresh: tuple[Listed, ...]
    young: tuple[Listed, ...]
    foreign: tuple[Claim, ...]
    busy: tuple[Claim, ...]
    old_lists: tuple[str, ...]
    leftovers: tuple[str, ...]
    uncertain: tuple[str, ...]
    users: frozenset[Listed]
