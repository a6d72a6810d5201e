"""Blobs on their way out: small ones straight from their packs."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, final

from ..objects import BlobStore
from ..presence import Place, places

_OPEN_AT_MOST: Final = 16


@final
class PackedBlobs:
    """Reads small blobs out of packs that stay open: to ask for each by itself costs as much as to make its file."""

    def __init__(self, store: BlobStore) -> None:
        from blake3 import blake3

        self._hash = blake3
        self._store = store
        self._fds: OrderedDict[str, int] = OrderedDict()
        self._places: dict[bytes, Place] = {}
        store.index.refresh()

    def look_up(self, digests: Iterable[str]) -> None:
        """The blobs that will be asked for next."""
        self._places = places(self._store, (bytes.fromhex(digest[3:]) for digest in digests))

    def get(self, digest: str) -> bytes | None:
        """A blob of those that were looked up; None where it is in no pack, or its bytes are wrong there."""
        name = bytes.fromhex(digest[3:])
        place = self._places.get(name)
        if place is None:
            return None
        try:
            pack, offset, size_bytes = place
            data = os.pread(self._fds.get(pack) or self._open(pack), size_bytes, offset)
        except OSError:
            return None
        return data if self._hash(data).digest() == name else None

    def _open(self, pack: str) -> int:
        if len(self._fds) == _OPEN_AT_MOST:
            os.close(self._fds.popitem(last=False)[1])
        self._fds[pack] = fd = os.open(self._store.pack_path(pack), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        return fd

    def close(self) -> None:
        while self._fds:
            os.close(self._fds.popitem()[1])
