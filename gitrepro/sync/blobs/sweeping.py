"""Doing at a store remote what a look at it found, while others push: new candidates are listed, old ones deleted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from ...errors import GitreproError, RemoteError
from . import claims, layout, lists
from .claims import GC, SWEEP, USERS
from .driver import Driver, Listed
from .plan import Survey

_DELETED_AT_ONCE: Final = 200

Told = Callable[[int, int], None]
Between = Callable[[str], None]


@dataclass(slots=True)
class Collected:
    """What was done: files and bytes that were put into a new list, and that were deleted.

    `left` is how much that could go is there still, since deleting took too long; the next collection goes on.
    """

    listed: int = 0
    listed_bytes: int = 0
    deleted: int = 0
    deleted_bytes: int = 0
    left: int = 0


def collect(
    driver: Driver,
    found: Survey,
    *,
    clone: str,
    between: Between = lambda _step: None,
    progress: Told = lambda *_: None,
) -> Collected:
    """Write a list of what is in none yet; delete what an old one names. Cut anywhere, it is done again by the next.

    Args:
        found: a look at the place, of a moment ago.
        clone: who collects, in 32 hex digits: one collection of each at a time.
        between: is called before each step with its name; a test makes others come there.

    Raises:
        RemoteError: the network or the place refuses; or somebody pushes there, and then nothing is deleted.
    """
    done = Collected()
    if found.fresh:
        between("list")
        data = lists.dump(found.fresh)
        driver.write(lists.new_key(), [data], len(data))
        done.listed, done.listed_bytes = len(found.fresh), sum(each.size_bytes for each in found.fresh)
    if found.ripe:
        between("sweep")
        with _alone(driver, found, clone, between):
            _delete(driver, found, done, between, progress)
    # What an earlier one of this clone said, which was killed, is said no more.
    driver.delete([_sweep_key(clone), *found.leftovers, *(found.old_lists if not done.left else ())])
    return done


def _sweep_key(clone: str) -> str:
    return f"{GC}{clone}.{SWEEP}"


@contextmanager
def _alone(driver: Driver, found: Survey, clone: str, between: Between) -> Iterator[None]:
    """Say that something is deleted, and see that nobody has come to want something since it was looked at.

    Who begins to push later sees what we say here, and waits.
    """
    key = _sweep_key(clone)
    driver.write(key, [b"\n"], 1)
    try:
        between("users")
        users = frozenset(each for each in driver.list(USERS) if claims.clone_of(each.key))
        if found.busy or users != found.users:
            raise RemoteError(
                f"somebody pushes to {driver.url}",
                why="; ".join(dict.fromkeys(claim.whose for claim in found.busy)) or "a push has come or gone just now",
                do="run it again when the push has ended; nothing was deleted",
            )
        yield
    except BaseException:
        with suppress(GitreproError):
            driver.delete([key])
        raise
    driver.delete([key])


def _delete(driver: Driver, found: Survey, done: Collected, between: Between, progress: Told) -> None:
    """What names others first. Who was told to wait does so for hours: far longer than this goes on."""
    until = _clock() + claims.SWEEP_SECONDS
    for kind, each in groupby(found.ripe, key=_kind):
        between(kind)
        files = list(each)
        for at in range(0, len(files), _DELETED_AT_ONCE):
            some = files[at : at + _DELETED_AT_ONCE]
            if _clock() > until:
                done.left = len(found.ripe) - done.deleted
                return
            driver.delete([file.key for file in some])
            done.deleted += len(some)
            done.deleted_bytes += sum(file.size_bytes for file in some)
            progress(done.deleted, len(found.ripe))


def _kind(each: Listed) -> str:
    kind = layout.kind_of(each.key)
    assert kind is not None
    return kind[0]


def _clock() -> float:
    """Seconds that nobody sets, in which a machine that sleeps is awake."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
