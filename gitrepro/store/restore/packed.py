"""Blobs on their way out: small ones straight from their packs."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, NamedTuple, final

from ...errors import Damaged
from ..objects import BlobStore
from ..objects.packfile import places
from ..presence import rows

_OPEN_AT_MOST: Final = 16
_WINDOW_BYTES: Final = 1 << 20
_TABLES_A_LOOK: Final = 4
_SPARSE: Final = 16
"""A pack is asked for all it holds when it holds at most so many times what is wanted: else each costs a question."""


class _Spot(NamedTuple):
    pack: str
    offset: int
    size_bytes: int
    name: bytes


@final
class PackedBlobs:
    """Reads small blobs out of packs that stay open: to ask for each by itself costs as much as to make its file."""

    def __init__(self, store: BlobStore) -> None:
        from blake3 import blake3

        self._hash = blake3
        self._store = store
        self._fds: OrderedDict[str, int] = OrderedDict()
        self._spots: dict[str, _Spot] = {}
        self._table: tuple[str, dict[bytes, tuple[int, int]]] = ("", {})
        self._window = memoryview(b"")
        self._window_at = ("", 0)
        self._next = ("", 0)
        store.index.refresh()

    def look_up(self, digests: Iterable[str]) -> None:
        """The blobs that will be asked for next."""
        left = {digest: bytes.fromhex(digest[3:]) for digest in digests}
        self._spots = {}
        # Files that were added together lie together: the table of one pack tells of most of them at once.
        for _ in range(_TABLES_A_LOOK):
            pack, table = self._table
            self._spots |= {digest: _Spot(pack, *table[name], name) for digest, name in left.items() if name in table}
            left = {digest: name for digest, name in left.items() if digest not in self._spots}
            if not left or not self._turn(next(iter(left.values())), len(left)):
                break
        if left:
            packs, found = rows(self._store, list(left.values()))
            for digest, name in left.items():
                if name in found:
                    _, number, offset, size_bytes = found[name]
                    self._spots[digest] = _Spot(packs[number], offset, size_bytes, name)

    def _turn(self, name: bytes, wanted: int) -> bool:
        """Read the table of the pack that has this blob, where that is likely to pay."""
        place = self._store.index.find(name)
        if place is None or place.pack == self._table[0]:
            return False
        try:
            table = places(self._store.pack_path(place.pack), at_most=_SPARSE * wanted)
        except (OSError, Damaged):
            return False
        if table is None:
            return False
        self._table = place.pack, table
        return True

    def get(self, digest: str) -> bytes | memoryview | None:
        """A blob of those that were looked up; None where it is in no pack, or its bytes are wrong there."""
        spot = self._spots.get(digest)
        if spot is None:
            return None
        pack, offset, size_bytes, name = spot
        try:
            data = self._read(pack, offset, size_bytes)
        except OSError:
            return None
        return data if self._hash(data).digest() == name else None

    def _read(self, pack: str, offset: int, size_bytes: int) -> bytes | memoryview:
        """What lies there. Files that were added together lie together: who asks for neighbours gets a mebibyte."""
        begins_in, begins = self._window_at
        if begins_in == pack and begins <= offset and offset + size_bytes <= begins + len(self._window):
            return self._window[offset - begins : offset - begins + size_bytes]
        fd = self._fds.get(pack) or self._open(pack)
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
