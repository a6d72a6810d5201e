"""The names of blobs: `b3:` and the BLAKE3 of their bytes in 64 hexadecimal digits."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from ...errors import BlobMissing, UsageError

PREFIX: Final = "b3:"
NAME: Final = re.compile(r"b3:[0-9a-f]{64}")
HEX: Final = re.compile(r"[0-9a-f]{64}")


def digest_of(parts: Iterable[bytes | memoryview]) -> str:
    """The name of the blob that these parts make up: `b3:` and 64 hex digits."""
    import blake3

    hasher = blake3.blake3()
    for part in parts:
        hasher.update(part)
    return f"b3:{hasher.hexdigest()}"


def raw(digest: str) -> bytes:
    """The 32 bytes behind a name.

    Raises:
        UsageError: it is not of the form `b3:<64 hex>`.
    """
    return bytes.fromhex(checked(digest))


def checked(digest: str) -> str:
    """The 64 digits of a name. Raises as `raw` does."""
    if not NAME.fullmatch(digest):
        raise UsageError(f"{digest!r:.100} is not a blob name", why="it is written b3: and 64 hex digits")
    return digest[3:]


def missing(digest: str, root: object) -> BlobMissing:
    return BlobMissing(
        f"blob {digest[:15]} is not in {root}",
        do="copy it from the clone that recorded the run, from its .git/gitrepro/store",
    )
