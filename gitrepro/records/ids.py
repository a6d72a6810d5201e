"""Names that sort by time, and the folders that records are spread over."""

from __future__ import annotations

import os
import re
import time

from ..errors import UsageError

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}
_TIME_BITS = 48
_RANDOM_BITS = 80
# 26 letters carry 130 bits for 128, so the first is never above 7.
_ID = re.compile("[0-7][0-9a-hjkmnp-tv-z]{25}")
_DIGEST = re.compile("b3:([0-9a-f]{64})|([0-9a-f]{64})|([0-9a-f]{40})")


def new_id(*, now_ms: int | None = None) -> str:
    """A new run id: a lower-case ULID, 48 bits of milliseconds and 80 of randomness.

    Args:
        now_ms: milliseconds since 1970; the system clock when not given.

    Raises:
        UsageError: `now_ms` does not fit in 48 bits.
    """
    moment = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    if not 0 <= moment < 1 << _TIME_BITS:
        raise UsageError(f"no id for the time {moment} ms", why="it is before 1970 or after 10889", do="set the clock")
    # Not the `random` module: a training script that seeds it would draw the same id twice.
    number = moment << _RANDOM_BITS | int.from_bytes(os.urandom(_RANDOM_BITS // 8), "big")
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def is_id(text: str) -> bool:
    """Whether `text` is a whole run id, written as `new_id` writes it."""
    return _ID.fullmatch(text) is not None


def shard(name: str) -> str:
    """The folder `x/y/z` of a record: the last three letters of an id, or the first three of a digest.

    An id begins with its time and ends with chance; a digest is chance all through.

    Args:
        name: an id, `b3:` and 64 hexadecimal digits, or 64 or 40 bare ones.

    Raises:
        UsageError: `name` is none of these.
    """
    if is_id(name):
        return "/".join(name[-3:])
    match = _DIGEST.fullmatch(name)
    if match is None:
        raise UsageError(f"no folder for {name[:80]!r}", why="it is neither a run id nor a digest")
    return "/".join(match[match.lastindex or 0][:3])


def time_of(run_id: str) -> float:
    """When an id was made, in seconds since 1970, by its maker's clock.

    Raises:
        UsageError: `run_id` is not a whole run id.
    """
    if not is_id(run_id):
        raise UsageError(f"{run_id[:80]!r} is not a run id", why="an id is 26 lower-case letters and digits")
    milliseconds = 0
    for letter in run_id[:10]:
        milliseconds = milliseconds << 5 | _VALUES[letter]
    return milliseconds / 1000
