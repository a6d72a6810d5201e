"""What a place must be able to do to be a store remote: keep bytes under keys."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from ...errors import Damaged, UsageError

PIECE_BYTES: Final = 256 << 10
"""What is read comes in parts of about so many bytes."""
_KEY: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}(?:/[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}){0,7}")
_PREFIX: Final = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}/){0,7}")


class KeyMissing(Exception):
    """The place has nothing under this key."""


class NoListing(Exception):
    """The place cannot say what it has."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What a place has under one key. `modified_at` is in seconds since 1970, by the clock of the place."""

    key: str
    size_bytes: int
    modified_at: float


class Driver(Protocol):
    """A place for blobs. Several threads use it at once; `parallel` says how many are worth while.

    Keys are of the form that `checked_key` lets pass. All methods raise RemoteError where the network, the credentials
    or the place say no, with their own words as `why`; Damaged where one key alone is spoilt, such as by a link in its
    place; and UsageError for keys that are none.
    """

    url: str
    read_only: bool
    parallel: int

    def read(self, key: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes | memoryview]:
        """What lies under a key, in parts, each of at least a byte and good until the next one is asked for.

        Args:
            start: the first byte; beyond the end there is nothing to read, and that is no error.
            length: so many bytes at most; None for all that is left.

        Raises:
            KeyMissing: nothing lies there. It may come with the first part only.
        """
        ...

    def size(self, key: str) -> int | None:
        """How many bytes lie under a key; None where nothing does."""
        ...

    def write(self, key: str, parts: Iterable[bytes | memoryview], size_bytes: int) -> None:
        """Put these bytes under a key: all of them or, after any exception, none of them. What was there is replaced.

        An exception out of `parts` comes through as it is: that is how bytes are called back that turn out wrong.

        Args:
            parts: are asked for once, one after the other; each is good until the next one is asked for, and the last
                one until this returns.
            size_bytes: how long they are together.

        Raises:
            Damaged: they are not so long; nothing was put there.
        """
        ...

    def list(self, prefix: str) -> Iterator[Listed]:
        """What lies under the keys that begin with `prefix`, which is empty or ends with `/`; in any order.

        Raises:
            NoListing: the place cannot say. It comes with the call or with the first one.
        """
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Leave nothing under these keys; where nothing is, that is no error."""
        ...

    def close(self) -> None:
        """Leave the place; closing twice is closing once."""
        ...


def checked_key(key: str) -> str:
    """The key itself: up to eight names of letters, digits, `.`, `_` and `-`, none with a `.` first, joined by `/`.

    Raises:
        UsageError: it is of another form, and could lead elsewhere.
    """
    if not is_key(key):
        raise UsageError(f"{key!r:.100} is no key of a store remote")
    return key


def is_key(key: str) -> bool:
    """Whether `checked_key` lets it pass."""
    return _KEY.fullmatch(key) is not None


def checked_prefix(prefix: str) -> str:
    """The prefix itself. Raises UsageError for what is neither empty nor a key with `/` behind it."""
    if not _PREFIX.fullmatch(prefix):
        raise UsageError(f"{prefix!r:.100} is no prefix of keys", why="it is empty or ends with /")
    return prefix


def counted(parts: Iterable[bytes | memoryview], size_bytes: int, *, key: str) -> Iterator[bytes | memoryview]:
    """These parts, and an exception at the end, or as soon as it is sure, where they are not `size_bytes` long.

    Raises:
        Damaged: they are longer or shorter.
    """
    left = size_bytes
    for part in parts:
        left -= len(part)
        if left < 0:
            break
        yield part
    if left:
        raise Damaged(
            f"what was to be kept as {key} has not {size_bytes} bytes",
            why=f"it has {size_bytes - left}" if left > 0 else "it has more",
            do="run the command again",
        )
