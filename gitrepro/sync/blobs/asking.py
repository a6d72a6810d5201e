"""Which blobs a store remote has not: asked with few questions, whatever form they may have there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from . import layout
from .driver import Driver, NoListing
from .there import FEW, There

_LISTED_ABOVE: Final = 16
"""For more files than these a list of all of them is begun, instead of a question for each."""
_LISTED_FOR_EACH: Final = 250
"""A list of more than so many for each file wanted is given up: it has cost a quarter of what the questions cost."""


def missing_there(
    driver: Driver,
    digests: Iterable[str],
    *,
    roots: Iterable[str] = (),
    runs: Iterable[str] = (),
    cache: Path | None = None,
) -> set[str]:
    """Those of these blobs that a store remote has in no form. Their bytes are not read.

    Args:
        roots: blobs that lead to them, and `runs` the ids of runs that name them, for a place that cannot say what it
            has.
        cache: the folder in which tables of packs are kept.

    Raises:
        RemoteError: the network or the place refuses.
        TooNew: a newer gitrepro has made the store remote.
    """
    there, wanted = There(driver, cache=cache), list(dict.fromkeys(digests))
    if not there.is_store():
        return set(wanted)
    left = missing_in(there, wanted) if len(wanted) <= FEW else wanted
    if left and not there.ask_all_tables():
        there.ask_roots([*roots, *left], runs=runs)
    return set(missing_in(there, left))


def missing_in(there: There, digests: Iterable[str]) -> list[str]:
    """Those of these that are there in no form, as far as the tables that were asked for tell of packs."""
    left = not_packed(there, digests)
    left = not_under(there, left, layout.OBJECTS, layout.object_key)
    return not_under(there, left, layout.RECIPES, layout.recipe_key)


def not_packed(there: There, digests: Iterable[str]) -> list[str]:
    """Those of these that lie in no pack whose table was asked for."""
    names = {bytes.fromhex(digest[3:]): digest for digest in digests}
    found = there.spots(names)
    return [digest for name, digest in names.items() if name not in found]


def not_under(
    there: There,
    digests: Iterable[str],
    prefix: str,
    key_of: Callable[[str], str],
    *,
    sizes: Mapping[str, int] | None = None,
) -> list[str]:
    """Those of these that have no file of their own below a prefix, or none of their size where `sizes` says it."""
    keys = {key_of(digest): digest for digest in digests}
    found = _listed(there, prefix, keys) if len(keys) > _LISTED_ABOVE else None
    if found is None:
        found = _asked(there, keys)
    return [
        digest
        for key, digest in keys.items()
        if key not in found or (sizes is not None and found[key] != sizes[digest])
    ]


def _listed(there: There, prefix: str, keys: Mapping[str, str]) -> dict[str, int] | None:
    """None where the place cannot say, or has so much that asking for each costs less."""
    limit, found = len(keys) * _LISTED_FOR_EACH, dict[str, int]()
    try:
        for number, each in enumerate(there.driver.list(prefix), start=1):
            if number > limit:
                return None
            if each.key in keys:
                found[each.key] = each.size_bytes
    except NoListing:
        return None
    return found


def _asked(there: There, keys: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}

    def ask(key: str) -> None:
        size_bytes = there.driver.size(key)
        if size_bytes is not None:
            found[key] = size_bytes

    there.run(partial(ask, key) for key in keys)
    return found
