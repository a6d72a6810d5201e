"""Which of many blobs are here, and where: asked for all at once, since one question each costs more than a stat."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple, final

from .objects.blobs import BlobStore
from .objects.links import freshen

_ASKED_AT_ONCE: Final = 900
_NAME_BYTES: Final = 32


Row = tuple[bytes, int, int, int]
"""The hash of a blob, the number of its pack, its offset there, and its bytes."""


class Holders(NamedTuple):
    """What must be there for a number of blobs to be there: packs, and blobs that lie elsewhere; 32 bytes each."""

    packs: bytes
    loose: bytes


@final
class Presence:
    """What one writer knows of a store. A blob that was found is not collected while the writer is at work."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self._fresh: set[str] = set()
        self._listed: dict[str, frozenset[str]] = {}
        store.index.refresh()

    def renew(self) -> None:
        """Forget what was made young: some time has passed."""
        self._fresh.clear()

    def absent(self, names: Iterable[bytes]) -> set[bytes]:
        """Those of these hashes whose blobs are not in the store."""
        left = set(names)
        packs, found = rows(self._store, list(left))
        gone = {pack for pack in {row[1] for row in found.values()} if not self._freshened(packs[pack])}
        left.difference_update(name for name, row in found.items() if row[1] not in gone)
        return {name for name in left if not self._elsewhere(name)}

    def holders(self, names: Sequence[bytes]) -> Holders:
        """Where blobs lie that are all here."""
        wanted = set(names)
        count, packs = _packs_of(self._store, wanted)
        loose = wanted.difference(rows(self._store, list(wanted))[1]) if count < len(wanted) else set[bytes]()
        return Holders(b"".join(map(bytes.fromhex, sorted(packs))), b"".join(sorted(loose)))

    def still(self, packs: bytes, loose: bytes) -> bool:
        """Whether these holders are all there, as `holders` told of them."""
        names = (loose[at : at + _NAME_BYTES] for at in range(0, len(loose), _NAME_BYTES))
        found = (packs[at : at + _NAME_BYTES].hex() for at in range(0, len(packs), _NAME_BYTES))
        return all(map(self._freshened, found)) and all(map(self._elsewhere, names))

    def _freshened(self, pack: str) -> bool:
        if pack not in self._fresh:
            if not freshen(self._store.pack_path(pack)):
                return False
            self._fresh.add(pack)
        return True

    def _elsewhere(self, name: bytes) -> bool:
        # A cheap question before a dear one: when data is added for the first time, none of it is here. What came since
        # the folder was listed is put once more, which costs its bytes and nothing else.
        text = name.hex()
        return text[2:] in self._names(text[:2]) and self._store.hit(name, None, freshened=self._fresh)

    def _names(self, prefix: str) -> frozenset[str]:
        """What the files and the recipes are called whose hashes begin with these two digits."""
        found = self._listed.get(prefix)
        if found is None:
            root = self._store.root
            found = self._listed[prefix] = frozenset(_listed(f"{root}/objects/{prefix}", f"{root}/recipes/{prefix}"))
        return found


def rows(store: BlobStore, names: list[bytes]) -> tuple[dict[int, str], dict[bytes, Row]]:
    """The packs by their numbers, and where those of these blobs lie that the index knows to be in one of them."""

    def ask(db: sqlite3.Connection) -> tuple[dict[int, str], dict[bytes, Row]]:
        found: dict[bytes, Row] = {}
        packs = dict(db.execute("SELECT id, name FROM packs"))
        if not packs:
            return packs, found
        for at in range(0, len(names), _ASKED_AT_ONCE):
            part = names[at : at + _ASKED_AT_ONCE]
            query = f"SELECT hash, pack, offset, size FROM blobs WHERE hash IN ({','.join('?' * len(part))})"
            found.update({row[0]: row for row in db.execute(query, part)})
        return packs, found

    return store.index.ask(ask)


def _listed(*folders: str) -> Iterator[str]:
    for folder in folders:
        try:
            yield from os.listdir(folder)
        except (FileNotFoundError, NotADirectoryError):
            pass


def _packs_of(store: BlobStore, names: Iterable[bytes]) -> tuple[int, set[str]]:
    """How many of these blobs lie in packs, and in which."""
    wanted, count, packs = list(names), 0, set[str]()
    for at in range(0, len(wanted), _ASKED_AT_ONCE):
        part = wanted[at : at + _ASKED_AT_ONCE]
        query = f"""SELECT name, n FROM
            (SELECT pack, count(*) AS n FROM blobs WHERE hash IN ({",".join("?" * len(part))}) GROUP BY pack)
            JOIN packs ON packs.id = pack"""
        for name, n in store.index.ask(lambda db: db.execute(query, part).fetchall()):  # noqa: B023 - called at once
            count += n
            packs.add(name)
    return count, packs
