"""What manifests lead to that lie in a store remote and not here: asked of the remote, hashed, and read by names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Final, final

from ...errors import Damaged
from ...store.objects import copying
from ...store.objects.packfile import Entry
from . import layout, streams
from .driver import KeyMissing
from .there import There

_MANIFEST_BYTES_AT_MOST: Final = 64 << 20
_FIRST: Final = re.compile(rb"gitrepro (tree|tree-shard|split) ([0-9]{1,9})\n")
_FIRST_BYTES: Final = 64
_FORMAT: Final = 1
_NAMED: Final = re.compile(rb"^([0-9a-f]{64}) ", re.MULTILINE)
_DATA: Final = re.compile(rb"^data b3:([0-9a-f]{64})\n", re.MULTILINE)

Told = Callable[[str, Sequence[str]], Iterator[str]]


def follow(there: There, digests: Sequence[str], told: Told) -> set[str]:
    """What those of these blobs name that are manifests; what is not there names nothing.

    Raises:
        Damaged: one of them cannot be read, or is of another format.
    """
    if not digests:
        return set()
    there.ask_all_tables()
    following = _Following(there)
    there.run(partial(following.take, digest) for digest in told("manifests", digests))
    return following.found


@final
class _Following:
    def __init__(self, there: There) -> None:
        self._there = there
        self.found: set[str] = set()

    def take(self, digest: str) -> None:
        entry = self._there.spots({bytes.fromhex(digest[3:])}).get(bytes.fromhex(digest[3:]), [])
        for spot in entry:
            if (data := self._from_pack(spot.pack, spot.entry)) is not None:
                return self._names(digest, data)
        self._from_object(digest)
        return None

    def _from_pack(self, pack: str, entry: Entry) -> bytes | None:
        try:
            return next(data for _, data in streams.blobs(self._there.driver, pack, [entry]))
        except (KeyMissing, Damaged):
            return None

    def _from_object(self, digest: str) -> None:
        key = layout.object_key(digest)
        try:
            if not _FIRST.match(b"".join(self._there.driver.read(key, length=_FIRST_BYTES))):
                return
            data = self._there.whole(key, _MANIFEST_BYTES_AT_MOST)
            if copying.hasher().update(data).hexdigest() != digest[3:]:
                raise Damaged(f"{digest[:15]} has other bytes than its name says")
            self._names(digest, data)
        except KeyMissing:
            return
        except Damaged as error:
            raise Damaged(
                f"{key} in {self._there.driver.url} is needed and cannot be read, so it is not known what it names",
                why=error.why or error.what,
                do="`gitrepro remote repair NAME --all`, then collect again",
            ) from error

    def _names(self, digest: str, data: bytes) -> None:
        first = _FIRST.match(data)
        if first is None:
            return
        if int(first[2]) != _FORMAT:
            raise Damaged(f"{digest[:15]} is a manifest of format {int(first[2])}", do="upgrade gitrepro")
        named: Iterable[re.Match[bytes]] = _NAMED.finditer(data)
        if first[1] == b"split":
            named = _DATA.finditer(data[: data.find(b"\npart ")])
        self.found.update(f"b3:{found[1].decode()}" for found in named)
