"""Which blobs a store remote has not: asked with few questions, whatever form they may have there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

from . import layout
from .driver import Driver, NoListing
from .there import FEW, There

_LISTED_ABOVE: Final = 1000
"""For more files than these a list of all of them is asked for, and not for each."""


def missing_there(driver: Driver, digests: Iterable[str], *, roots: Iterable[str] = ()) -> set[str]:
    """Those of these blobs that a store remote has in no form. Their bytes are not read.

    Args:
        roots: blobs that lead to them, for a place that cannot say what it has.

    Raises:
        RemoteError: the network or the place refuses.
        TooNew: a newer gitrepro has made the store remote.
    """
    there, wanted = There(driver), list(dict.fromkeys(digests))
    if not there.is_store():
        return set(wanted)
    there.ask_roots(roots)
    left = missing_in(there, wanted) if len(wanted) <= FEW else wanted
    if left and not there.ask_all_tables():
        there.ask_roots(left)
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
    try:
        return {each.key: each.size_bytes for each in there.driver.list(prefix) if each.key in keys}
    except NoListing:
        return None


def _asked(there: There, keys: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}

    def ask(key: str) -> None:
        size_bytes = there.driver.size(key)
        if size_bytes is not None:
            found[key] = size_bytes

    there.run(partial(ask, key) for key in keys)
    return found
