"""What is known of one store remote: roots, and tables of packs, each asked for once and trusted by its hash."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, final

from ...errors import Damaged
from ...store import fs
from ...store.objects.packfile import Entry
from . import layout, tables, threads
from .counted import Counted
from .driver import Driver, KeyMissing, NoListing

CACHE: Final = "tables"
"""The folder of the local store in which tables are kept; it may be deleted at any time."""
FEW: Final = 4
"""So many small blobs travel alone: a pack of them would cost as many requests."""


class Wrong(NamedTuple):
    """Something in a store remote that is not what its name says."""

    url: str
    name: str
    """The digest of a blob, or the key of what is no blob."""
    why: str


class Spot(NamedTuple):
    """Where a small blob lies."""

    pack: str
    entry: Entry


@final
class There:
    """One store remote as far as it was asked. Any number of threads may ask.

    Tables are kept in the folder `cache`, since they never change: a push to a remote of a thousand packs would
    otherwise ask for as many each time.
    """

    def __init__(self, driver: Driver, *, cache: Path | None = None) -> None:
        self.driver = driver if isinstance(driver, Counted) else Counted(driver)
        self._cache = cache
        self.wrong: list[Wrong] = []
        self.spoilt: dict[str, None] = {}
        """The keys under which something wrong lies, or nothing."""
        self.objects: set[str] = set()
        """Digests that a root says have a file of their own."""
        self.recipes: set[str] = set()
        """Digests that a root says lie in pieces."""
        self._tables: dict[str, bytes | None] = {}
        self._roots: dict[str, layout.Reached | None] = {}
        self._listed = False
        self.unlisted = False
        """Whether the place was asked what it has, and cannot say."""
        self._lock = threading.Lock()

    def run(self, jobs: Iterable[Callable[[], None]]) -> None:
        """Do these, as many at once as are worth while."""
        threads.run(jobs, threads=self.driver.parallel, stop=self.driver.stop)

    def is_store(self) -> bool:
        """Whether something was pushed here ever.

        Raises:
            TooNew: by a newer gitrepro, in a format that this one cannot read.
            Damaged: what says so cannot be read.
        """
        try:
            data = self.whole(layout.FORMAT_KEY, layout.FORMAT_BYTES_AT_MOST)
        except KeyMissing:
            return False
        layout.check_format(data, source=f"{layout.FORMAT_KEY} in {self.driver.url}")
        return True

    def whole(self, key: str, limit_bytes: int) -> bytes:
        """All that lies under a key. Raises KeyMissing; Damaged, where it is longer than it may be."""
        data = bytearray()
        for part in self.driver.read(key):
            data += part
            if len(data) > limit_bytes:
                raise Damaged(f"{key} in {self.driver.url} has more than {limit_bytes} bytes")
        return bytes(data)

    def tell(self, name: str, why: str, *, key: str = "") -> None:
        """Remember that something there is wrong, and under which key it lies."""
        with self._lock:
            self.wrong.append(Wrong(self.driver.url, name, why))
            self.spoilt[key or name] = None

    # -- roots

    def ask_roots(self, digests: Iterable[str], *, runs: Iterable[str] = (), with_tables: bool = True) -> None:
        """Read the roots of these blobs and runs, and the tables of all packs that they name."""
        keys = {**{digest: layout.root_key(digest) for digest in digests}, **{run: layout.run_key(run) for run in runs}}
        new = [name for name in keys if name not in self._roots]
        self.run(partial(self._ask_root, name, keys[name]) for name in new)
        found = [reached for name in new if (reached := self._roots[name]) is not None]
        for reached in found:
            self.objects |= reached.objects
            self.recipes |= reached.recipes
        if with_tables:
            self.ask_tables(pack for reached in found for pack in sorted(reached.packs))

    def root(self, name: str) -> layout.Reached | None:
        """What a root says that was asked for."""
        return self._roots.get(name)

    def _ask_root(self, name: str, key: str) -> None:
        found = None
        try:
            found = layout.load_root(self.whole(key, layout.ROOT_BYTES_AT_MOST), name, source=key)
        except KeyMissing:
            pass
        except Damaged as error:
            self.tell(key, error.why or error.what)
        with self._lock:
            self._roots[name] = found

    # -- tables

    def ask_tables(self, packs: Iterable[str]) -> None:
        """Read the tables of these packs."""
        new = [pack for pack in dict.fromkeys(packs) if pack not in self._tables]
        self._tables |= {pack: table for pack in new if (table := self._remembered(pack)) is not None}
        self.run(partial(self._ask_table, pack) for pack in new if pack not in self._tables)

    def ask_all_tables(self) -> bool:
        """Read the tables of all packs, where the place can say which it has; whether it could."""
        if self._listed:
            return True
        try:
            found = [layout.pack_of_index(each.key) for each in self.driver.list(layout.INDEX)]
        except NoListing:
            self.unlisted = True
            return False
        self.ask_tables(pack for pack in sorted(filter(None, found)))
        self._listed = True
        return True

    def _ask_table(self, pack: str) -> None:
        key, found = layout.index_key(pack), None
        try:
            data = self.whole(key, tables.TABLE_BYTES_AT_MOST)
            tables.check_table(data, pack, source=key)
            found = data
            self._remember(pack, data)
        except KeyMissing:
            self.tell(key, "it is not there, and a root names it")
        except Damaged as error:
            self.tell(key, error.why or error.what)
        with self._lock:
            self._tables[pack] = found

    def _remembered(self, pack: str) -> bytes | None:
        if self._cache is None:
            return None
        try:
            data = (self._cache / f"{pack}.idx").read_bytes()
            tables.check_table(data, pack, source=pack)
        except (OSError, Damaged):
            return None
        return data

    def _remember(self, pack: str, table: bytes) -> None:
        if self._cache is not None:
            # It is asked for again where it cannot be kept; and a torn one is found out when it is read.
            with suppress(OSError):
                self._cache.mkdir(parents=True, exist_ok=True)
                fs.write_file(self._cache / f"{pack}.idx", table, sync=False)

    def add_table(self, pack: str, table: bytes) -> None:
        """Take in the table of a pack that was just sent."""
        with self._lock:
            self._tables[pack] = table

    def has_tables(self, packs: Iterable[str]) -> bool:
        """Whether the tables of all these packs were asked for and are sound."""
        return all(self._tables.get(pack) for pack in packs)

    def tables(self) -> dict[str, bytes]:
        """The sound tables that were asked for, by pack."""
        return {pack: table for pack, table in self._tables.items() if table}

    def spots(self, names: Mapping[bytes, object] | set[bytes]) -> dict[bytes, list[Spot]]:
        """Where those of these small blobs lie that are in a pack whose table was asked for; maybe in several."""
        found: dict[bytes, list[Spot]] = {}
        for pack, table in self._tables.items():
            for entry in tables.entries_of(table) if table else ():
                if entry.hash in names:
                    found.setdefault(entry.hash, []).append(Spot(pack, entry))
        return found
