"""Blobs from store remotes to here: each verified before it gets a name, and asked of the next where one is wrong.

What came whole is kept from time to time, and is not asked for again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

from ...errors import Damaged, GitreproError, RemoteError
from ...records.manifest import EMPTY
from ...store.objects import BlobStore
from ...store.presence import Presence
from ...store.progress import Progress, Teller
from .driver import Driver
from .manifests import LEAF, ROOT, named_by
from .receiving import Receiving
from .there import CACHE, FEW, There, Wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What a pull of blobs did: how many and how many bytes came, with how many requests.

    `missing` are digests that no store remote has right. `wrong` is what was found there with other bytes than its
    name says; where another remote had it right, it is not missing. `spoilt` are the keys under which it lies.
    """

    blobs: int
    size_bytes: int
    requests: int
    missing: tuple[str, ...]
    wrong: tuple[Wrong, ...]
    spoilt: tuple[str, ...] = ()
    unlisted: bool = False
    """Whether a place that cannot say what it has was asked by names alone."""


def fetch(
    store: BlobStore,
    drivers: Sequence[Driver],
    roots: Mapping[str, Iterable[str]] | Iterable[str],
    *,
    runs: Iterable[str] = (),
    progress: Callable[[Progress], None] | None = None,
) -> Fetched:
    """Bring blobs here that are not here. Begun again, it goes on where it was cut.

    Args:
        drivers: are asked one after the other, each for what those before had not, or had wrong.
        roots: for each blob that others are found by, the digests that are wanted of what it leads to; it is wanted
            too. Or digests alone: then all that they lead to is wanted, as files of a tree are.
        runs: ids of runs that name some of them: what a run names may be found by its id alone.
        progress: is told of blobs and bytes as they come.

    Raises:
        RemoteError: something is missing, and a remote could not be asked for it; what came is kept.
        TooNew: something is missing, and a newer gitrepro has made a remote.
        StorageError: the disk here refuses.
    """
    fetching = _Fetching(store, roots, list(dict.fromkeys(runs)), progress)
    for driver in drivers:
        if fetching.absent():
            fetching.ask(There(driver, cache=store.root / CACHE))
    return fetching.end()


@final
class _Fetching:
    """One pull of blobs, from one place after the other."""

    def __init__(
        self,
        store: BlobStore,
        roots: Mapping[str, Iterable[str]] | Iterable[str],
        runs: list[str],
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self._store = store
        self._runs = runs
        self._kinds: dict[str, str] = {}
        """What is wanted, and what it may be."""
        self._asked_roots: list[str] = []
        self._here: set[str] = set()
        if isinstance(roots, Mapping):
            self._want_only(roots)
        else:
            self._kinds = dict.fromkeys(roots, ROOT)
            # Each costs a question; where there are many, the tables of all packs cost less.
            self._asked_roots = list(self._kinds) if len(self._kinds) <= FEW else []
        self._teller = Teller(progress)
        self._wrong: list[Wrong] = []
        self._spoilt: list[str] = []
        self._trouble: list[GitreproError] = []
        self._blobs = self._bytes = self._requests = 0
        self._unlisted = False

    def _want_only(self, roots: Mapping[str, Iterable[str]]) -> None:
        for root, needs in roots.items():
            needed = dict.fromkeys([root, *needs], LEAF)
            self._kinds |= needed
            if len(needed) > 1:
                self._asked_roots.append(root)

    def absent(self) -> list[str]:
        """What is wanted and not here. What is here is followed to what it names."""
        new = list(self._kinds.keys() - self._here)
        while new:
            names = {bytes.fromhex(digest[3:]): digest for digest in new}
            absent = Presence(self._store).absent(names)
            if absent and names.get(bytes.fromhex(EMPTY[3:])):
                self._store.put(b"")  # nobody need be asked for no bytes
            here = {digest for name, digest in names.items() if name not in absent or digest == EMPTY}
            self._here |= here
            new = list(self._follow(here))
        return [digest for digest in self._kinds if digest not in self._here]

    def _follow(self, digests: Iterable[str]) -> set[str]:
        """Want what these name; what of it is new."""
        found: dict[str, str] = {}
        for digest in digests:
            if self._kinds[digest] != LEAF:
                found |= named_by(self._store, digest, self._kinds[digest])
        new = {digest: kind for digest, kind in found.items() if self._kinds.get(digest, LEAF) == LEAF != kind}
        new |= {digest: LEAF for digest in found if digest not in self._kinds and digest not in new}
        self._here -= new.keys()
        self._kinds |= new
        return set(new)

    def ask(self, there: There) -> None:
        """Ask one place for all that is absent."""
        receiving, asked = Receiving(self._store, there, self._teller), set[str]()
        try:
            if there.is_store():
                while todo := [digest for digest in self.absent() if digest not in asked]:
                    asked.update(todo)
                    receiving.bring(todo, roots=self._asked_roots, runs=self._runs)
        except (RemoteError, Damaged) as error:
            self._trouble.append(error)
        self._blobs += receiving.blobs
        self._bytes += receiving.size_bytes
        self._requests += there.driver.requests
        self._wrong += there.wrong
        self._unlisted |= there.unlisted
        self._spoilt += there.spoilt

    def end(self) -> Fetched:
        """What came of it. Raises where something is missing that a place could not be asked for."""
        missing = self.absent()
        self._teller.end()
        if missing and self._trouble:
            raise self._trouble[0]
        return Fetched(
            blobs=self._blobs,
            size_bytes=self._bytes,
            requests=self._requests,
            missing=tuple(missing),
            unlisted=self._unlisted,
            wrong=tuple(self._wrong),
            spoilt=tuple(self._spoilt),
        )
