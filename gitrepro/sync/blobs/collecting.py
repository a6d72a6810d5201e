"""What nobody needs leaves a store remote: named in a list at first, and deleted by another look a grace later.

A list makes nothing deletable: the second look finds out anew what is needed, and deletes what is in an old list, not
needed, and lies there as it did. The age of things is told by the clock of the place alone.
"""

from __future__ import annotations

import os

from ...errors import RemoteError
from . import layout
from .claims import GC
from .driver import Driver
from .looking import Looking, Told
from .plan import GRACE_SECONDS, GRACE_SECONDS_AT_LEAST, Records, Survey
from .there import There


def survey(
    there: There,
    records: Records,
    *,
    gone: frozenset[str] = frozenset(),
    grace_seconds: float = GRACE_SECONDS,
    now: float | None = None,
    progress: Told = lambda *_: None,
) -> Survey:
    """Find out what of a store remote nothing names. Nothing is changed there, but a file that tells its time.

    Args:
        gone: clones whose claims count for nothing any more.
        grace_seconds: a day at least.
        now: seconds since 1970, where nothing may be written to find out the time of the place.

    Raises:
        RemoteError: the network or the place refuses; or nobody can know what others need of it.
        Damaged: a claim, a root, a recipe or a manifest that is needed cannot be read.
    """
    check(there)
    grace = max(grace_seconds, GRACE_SECONDS_AT_LEAST)
    began = _time_there(there.driver) if now is None else now
    looking = Looking(there, records, progress)
    looking.take_claims(gone)
    looking.take_places()
    looking.follow()
    return looking.judge(began, grace)


def check(there: There) -> None:
    """Raises RemoteError where a collection cannot be: it can only be read, is empty, or is of no known users."""
    driver = there.driver
    if driver.read_only:
        raise RemoteError(
            f"{driver.url} can only be read",
            why="nothing can be deleted there",
            do="collect the place it is served from",
        )
    if not there.is_store():
        raise RemoteError(f"{driver.url} is no store remote yet", why="nothing was pushed there")
    source = f"{layout.FORMAT_KEY} in {driver.url}"
    if not layout.has_claims(there.whole(layout.FORMAT_KEY, layout.FORMAT_BYTES_AT_MOST), source=source):
        raise RemoteError(
            f"nobody can know what is needed of {driver.url}",
            why="pushes went there that did not say what they need",
            do="`gitrepro remote add NAME URL` names a new place; push all runs there from every clone",
        )


def _time_there(driver: Driver) -> float:
    """The time by the clock of the place."""
    key = f"{GC}{os.urandom(16).hex()}.clock"
    driver.write(key, [b"\n"], 1)
    try:
        return next(each.modified_at for each in driver.list(GC) if each.key == key)
    except StopIteration:
        raise RemoteError(f"{driver.url} does not list what was just written", do="run the command again") from None
    finally:
        driver.delete([key])
