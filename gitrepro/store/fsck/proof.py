"""What a look at some bytes has shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

OK: Final = "ok"
NOT_AVAILABLE: Final = "not available"
DAMAGED: Final = "damaged"
STATES: Final = (OK, NOT_AVAILABLE, DAMAGED)
"""From good to bad."""
FAST: Final = "fast"
HASH: Final = "hash"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One thing that was looked at: what it is, its name, its bytes, and how it is; `do` is what helps."""

    what: str
    digest: str
    size_bytes: int | None
    state: str
    why: str = ""
    do: str = ""


def worst(states: Iterable[str]) -> str:
    return max(states, key=STATES.index, default=OK)
