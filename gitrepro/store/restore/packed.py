"""Blobs on their way out: small ones straight from their packs."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, final

from ..objects import BlobStore
from ..presence import Row, rows

_OPEN_AT_MOST: Final = 16
_WINDOW_BYTES: Final = 1 << 20


@final
class PackedBlobs:
    """Reads small blobs out of packs that stay open: to ask for each by itself costs as much as to make its file."""

    def __init__(self, store: BlobStore) -> None:
        from blake3 import blake3

        self._hash = blake3
        self._store = store
        self._fds: OrderedDict[str, int] = OrderedDict()
        self._rows: dict[bytes, Row] = {}
        self._packs: dict[int, str] = {}
        self._window = memoryview(b"")
        self._window_at = (0, 0)
        self._next = (0, 0)
        store.index.refresh()

    def look_up(self, digests: Iterable[str]) -> None:
        """The blobs that will be asked for next."""
        self._packs, self._rows = rows(self._store, [bytes.fromhex(digest[3:]) for digest in digests])

    def get(self, digest: str) -> bytes | memoryview | None:
        """A blob of those that were looked up; None where it is in no pack, or its bytes are wrong there."""
        name = bytes.fromhex(digest[3:])
        row = self._rows.get(name)
        if row is None:
            return None
        _, pack, offset, size_bytes = row
        try:
            data = self._read(pack, offset, size_bytes)
        except (OSError, KeyError):
            return None
        return data if self._hash(data).digest() == name else None

    def _read(self, pack: int, offset: int, size_bytes: int) -> bytes | memoryview:
        """What lies there. Files that were added together lie together: who asks for neighbours gets a mebibyte."""
        begins_in, begins = self._window_at
        if begins_in == pack and begins <= offset and offset + size_bytes <= begins + len(self._window):
            return self._window[offset - begins : offset - begins + size_bytes]
        name = self._packs[pack]
        fd = self._fds.get(name) or self._open(name)
        is_next, self._next = self._next == (pack, offset), (pack, offset + size_bytes)
        if not is_next or size_bytes > _WINDOW_BYTES:
            return os.pread(fd, size_bytes, offset)
        self._window = memoryview(os.pread(fd, _WINDOW_BYTES, offset))
        self._window_at = pack, offset
        return self._window[:size_bytes]

    def _open(self, pack: str) -> int:
        if len(self._fds) == _OPEN_AT_MOST:
            os.close(self._fds.popitem(last=False)[1])
        self._fds[pack] = fd = os.open(self._store.pack_path(pack), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        return fd

    def close(self) -> None:
        while self._fds:
            os.close(self._fds.popitem()[1])
