"""Collection: what nothing refers to any more leaves the store, in two steps a day apart, while others write into it.

    survey  which blobs are needed; what else is older than the grace, and may go
    sweep   rename into the trash, look again, put back what somebody wanted meanwhile; a day later delete

Nothing here waits for a writer, and no writer waits for it. One lock keeps two collections apart; the kernel drops it
with its holder. It may be killed at any point: the next one settles what is left in the trash first.
"""

from .looking import look
from .plan import DAY_SECONDS, GRACE_SECONDS, GRACE_SECONDS_AT_LEAST, Old, OldPack, Plan, Trashed
from .surveying import survey
from .sweeping import Swept, sweep, the_only_one

__all__ = [
    "DAY_SECONDS",
    "GRACE_SECONDS",
    "GRACE_SECONDS_AT_LEAST",
    "Old",
    "OldPack",
    "Plan",
    "Swept",
    "Trashed",
    "look",
    "survey",
    "sweep",
    "the_only_one",
]
