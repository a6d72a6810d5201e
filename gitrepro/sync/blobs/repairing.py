"""Wrong bytes in a store remote are written over with right ones: from here, from another remote, from its own rest.

A pack is written again under its own name, with the same bytes as ever; so is a table. What nobody has right is named,
and nothing is taken away.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, final

from ...errors import BlobMissing, Damaged
from ...store import recipes
from ...store.objects import BlobStore
from ...store.objects.packfile import Entry
from ...store.presence import Presence
from ...store.progress import Progress
from . import layout, tables
from .claims import Claim
from .driver import Driver, KeyMissing
from .fetching import fetch
from .sending import send
from .there import CACHE, There

_TRAILER: Final = struct.Struct(">Q32s8s")
_ROW_BYTES: Final = 44
_FIRST_BLOB_AT: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """What a repair did.

    Attributes:
        looked: how many blobs were read there.
        wrong: the keys under which something wrong lay, or nothing where something should.
        mended: those of them that are right now.
        sent: how many blobs were put there since they were missing or wrong.
        lost: blobs that are right nowhere.
    """

    looked: int = 0
    wrong: tuple[str, ...] = ()
    mended: tuple[str, ...] = ()
    sent: int = 0
    lost: tuple[str, ...] = ()


def repair(
    store: BlobStore,
    driver: Driver,
    others: Sequence[Driver],
    roots: Mapping[str, Iterable[str]],
    scratch: BlobStore,
    *,
    claim: Claim | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Repaired:
    """Read all of this in a store remote, and put right what is wrong or missing there.

    Args:
        others: store remotes that may have right what is not here.
        roots: for each blob that others are found by, the digests that it leads to, as far as that is known.
        scratch: an empty store that is thrown away; it takes as much room as what is read.
        claim: who needs it there, as of a push.

    Raises:
        RemoteError: the network or the place refuses.
        TooNew: a newer gitrepro has made the store remote.
    """
    needs = {root: list(dict.fromkeys([root, *found])) for root, found in roots.items()}
    got = fetch(scratch, [driver], needs, progress=progress)
    looked = sum(map(len, needs.values()))
    if not got.spoilt and not got.missing:
        return Repaired(looked=looked)
    return _Repair(store, driver, others, needs, scratch, claim).run(list(got.spoilt), set(got.missing), looked)


@final
class _Repair:
    def __init__(
        self,
        store: BlobStore,
        driver: Driver,
        others: Sequence[Driver],
        needs: Mapping[str, list[str]],
        scratch: BlobStore,
        claim: Claim | None,
    ) -> None:
        self._store = store
        self._driver = driver
        self._others = others
        self._needs = needs
        self._scratch = scratch
        self._claim = claim
        self._mended: list[str] = []
        self._right_here: dict[str, bool] = {}

    def run(self, spoilt: list[str], missing: set[str], looked: int) -> Repaired:
        self._mend_tables(_names(spoilt, "index"))
        if missing:
            # What a table tells of that is right now may come.
            more = fetch(self._scratch, [self._driver], {digest: [digest] for digest in missing})
            spoilt, missing = list(dict.fromkeys([*spoilt, *more.spoilt])), set(more.missing)
        self._bring(missing)
        for pack in _names(spoilt, "packs"):
            self._mend_pack(pack)
        self._cut_again(_names(spoilt, "recipes"))
        anew = missing.union(f"b3:{name}" for kind in ("objects", "recipes") for name in _names(spoilt, kind))
        sent, lost = self._send(anew, missing)
        return Repaired(
            looked=looked,
            wrong=tuple(spoilt),
            mended=tuple(key for key in spoilt if key in self._mended or self._is_mended(key, lost)),
            sent=sent,
            lost=tuple(sorted(lost)),
        )

    def _bring(self, digests: Iterable[str]) -> None:
        """Right bytes for what this place has not right, and is not here."""
        wanted = [digest for digest in digests if not self._is_right_here(digest)]
        if wanted and self._others:
            fetch(self._scratch, self._others, {digest: [digest] for digest in wanted})

    def _is_right_here(self, digest: str) -> bool:
        if digest not in self._right_here:
            try:
                self._store.verify(digest)
                self._right_here[digest] = True
            except (BlobMissing, Damaged):
                self._right_here[digest] = False
        return self._right_here[digest]

    def _is_in_scratch(self, digest: str) -> bool:
        return not Presence(self._scratch).absent([bytes.fromhex(digest[3:])])

    # -- tables and packs

    def _mend_tables(self, packs: Iterable[str]) -> None:
        for pack in packs:
            if (table := self._table_of(pack)) is not None:
                self._put(layout.index_key(pack), table)

    def _table_of(self, pack: str) -> bytes | None:
        """The table of a pack: as it stands at the end of the pack there, or as it was kept here."""
        with suppress(KeyMissing, Damaged, struct.error):
            return self._table_in_pack(pack)
        with suppress(OSError, Damaged):
            data = (self._store.root / CACHE / f"{pack}.idx").read_bytes()
            tables.check_table(data, pack, source=pack)
            return data
        return None

    def _table_in_pack(self, pack: str) -> bytes:
        key = layout.pack_key(pack)
        size_bytes = self._driver.size(key)
        if size_bytes is None or size_bytes < _TRAILER.size:
            raise KeyMissing(key)
        trailer = b"".join(self._driver.read(key, start=size_bytes - _TRAILER.size))
        count, _, _ = _TRAILER.unpack(trailer)
        length = count * _ROW_BYTES + _TRAILER.size
        if length > min(size_bytes, tables.TABLE_BYTES_AT_MOST):
            raise Damaged(f"{key} has no table")
        data = b"".join(self._driver.read(key, start=size_bytes - length))
        tables.check_table(data, pack, source=key)
        return data

    def _mend_pack(self, pack: str) -> None:
        """Write it again, where all that is in it can be had."""
        there = There(self._driver)
        there.ask_tables([pack])
        table = there.tables().get(pack) or self._table_of(pack)
        planned = _planned(pack, table) if table else None
        if table is None or planned is None:
            return
        digests = [f"b3:{entry.hash.hex()}" for entry in planned.entries]
        fetch(self._scratch, [self._driver], {digest: [digest] for digest in digests})
        self._bring(digest for digest in digests if not self._is_in_scratch(digest))
        if not all(self._is_in_scratch(digest) or self._is_right_here(digest) for digest in digests):
            return
        self._driver.write(layout.pack_key(pack), tables.parts(planned, self._read), planned.size_bytes)
        self._mended.append(layout.pack_key(pack))
        self._put(layout.index_key(pack), table)

    def _read(self, entry: Entry) -> bytes:
        digest = f"b3:{entry.hash.hex()}"
        return (self._scratch if self._is_in_scratch(digest) else self._store).get(digest)

    def _put(self, key: str, data: bytes) -> None:
        self._driver.write(key, [data], len(data))
        self._mended.append(key)

    # -- all else

    def _cut_again(self, names: Iterable[str]) -> None:
        """Cut a file that lies here in one piece as it is cut when it is added: so it lay there."""
        for name in names:
            digest = f"b3:{name}"
            in_pieces = self._store.recipe_path(bytes.fromhex(name)).exists()
            if not in_pieces and not self._is_in_scratch(digest) and self._is_right_here(digest):
                with self._store.open(digest) as reader, self._scratch.batch() as batch:
                    recipes.put_split(batch, reader, self._store.size(digest))

    def _send(self, anew: set[str], missing: set[str]) -> tuple[int, set[str]]:
        """Send what is to be sent again, and roots; how many blobs went, and which were to be had nowhere."""
        in_packs = self._in_mended_packs(missing)
        todo, sent = anew - in_packs, 0
        for source, has in ((self._scratch, self._is_in_scratch), (self._store, self._is_right_here)):
            found = {digest for digest in todo if has(digest)}
            # Not only those: of a large file the pieces that are cut on the way are blobs in neither.
            roots, again = self._with_pieces(found), todo - self._wrong_here(source)
            sent += send(source, self._driver, roots, claim=self._claim, anew=again).blobs
            todo -= found
        return sent + len(in_packs), todo & missing

    def _wrong_here(self, source: BlobStore) -> set[str]:
        """Those that are in a store with wrong bytes, and are not to be sent."""
        return {digest for digest, right in self._right_here.items() if not right} if source is self._store else set()

    def _with_pieces(self, found: set[str]) -> dict[str, list[str]]:
        """The roots, and what is sent that none of them leads to: pieces of files."""
        led_to = {digest for needs in self._needs.values() for digest in needs}
        return {**{digest: [digest] for digest in found - led_to}, **self._needs}

    def _in_mended_packs(self, digests: Iterable[str]) -> set[str]:
        there = There(self._driver)
        there.ask_tables(_names(self._mended, "packs"))
        names = {bytes.fromhex(digest[3:]): digest for digest in digests}
        return {names[name] for name in there.spots(names)}

    def _is_mended(self, key: str, lost: set[str]) -> bool:
        kind = layout.kind_of(key)
        if kind is None:
            return False
        if kind[0] in ("objects", "recipes"):
            return f"b3:{kind[1]}" not in lost and not (kind[0] == "recipes" and lost)
        return kind[0] in ("roots", "runs") and not lost


def _names(keys: Iterable[str], wanted: str) -> list[str]:
    """The names of those of these keys that are of a kind."""
    return [kind[1] for key in keys if (kind := layout.kind_of(key)) is not None and kind[0] == wanted]


def _planned(pack: str, table: bytes) -> tables.Planned | None:
    """The pack that has this table; None for one that nobody can write again, since there is more in it."""
    entries = sorted(tables.entries_of(table), key=lambda each: each.offset)
    at = _FIRST_BLOB_AT
    for entry in entries:
        if entry.offset != at:
            return None
        at += entry.size_bytes
    return tables.Planned(pack, tuple(entries), table, at + len(table))
