"""Ways to split: functions of ids, groups, labels and times that say which positions each part has.

None of them draws a random number, and none asks for the order of its items: what comes out depends on what goes in.
"""

from __future__ import annotations

from .columns import by_column
from .groups import by_balance, check_whole, folder_groups, pattern_groups, straddling
from .hashing import by_hash
from .ranking import by_rank
from .shares import fold_shares, shares_of
from .times import Moments, by_time, cuts_at, latest_of_groups, moments_of

__all__ = [
    "Moments",
    "by_balance",
    "by_column",
    "by_hash",
    "by_rank",
    "by_time",
    "check_whole",
    "cuts_at",
    "fold_shares",
    "folder_groups",
    "latest_of_groups",
    "moments_of",
    "pattern_groups",
    "shares_of",
    "straddling",
]
