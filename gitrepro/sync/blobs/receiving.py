"""What one store remote has of what is wanted, brought here: out of packs, as files, and as files in pieces."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Final, final

from ...errors import Damaged, RemoteError
from ...records.recipe import RECIPE_BYTES_AT_MOST, Recipe, load_recipe
from ...store.objects import Batch, BlobStore
from ...store.objects.packfile import Entry
from ...store.presence import Presence
from ...store.progress import Teller
from . import layout, streams
from .driver import KeyMissing
from .there import FEW, Spot, There
from .wholes import Whole

_KEPT_AT_BYTES: Final = 256 << 20
"""When so much has come it gets its names: all that is lost by a cut, and asked for again."""

Job = Callable[[Batch], None]


@final
class Receiving:
    """Brings blobs from one place. What it finds wrong there it tells `there`."""

    def __init__(self, store: BlobStore, there: There, teller: Teller) -> None:
        self._store = store
        self._there = there
        self._teller = teller
        self._got: set[str] = set()
        self._bad: set[tuple[str, bytes]] = set()
        """Packs in which a blob has wrong bytes."""
        self._lock = threading.Lock()
        self._trouble: RemoteError | None = None
        self._wholes: list[Whole] = []
        self.blobs = self.size_bytes = 0

    def bring(self, digests: Iterable[str], *, roots: Iterable[str], runs: Sequence[str] = ()) -> None:
        """Bring what is there of these blobs, none of which is here.

        Args:
            roots: blobs that lead to them; and `runs` the ids of runs that name them.

        Raises:
            RemoteError: the place could not be asked for all; what came before is kept.
            StorageError: the disk here refuses.
        """
        # Each costs a question; where there are many, the tables of all packs cost less.
        many = len(runs) > FEW and self._there.ask_all_tables()
        self._there.ask_roots(roots, runs=() if many else runs)
        left = self._plain(list(digests))
        recipes = self._recipes(left)
        self._wholes = [Whole(self._store, recipe) for recipe in recipes.values()]
        # What a root says lies in pieces may have come as a file since.
        in_pieces = [digest for digest in left if digest in self._there.recipes and digest not in recipes]
        self._keep(partial(self._bring_file, digest) for digest in in_pieces)
        left = self._not_got(left)
        self._in_any_pack([digest for digest in left if digest not in recipes], may_be_roots=True)
        pieces = self._absent(piece.digest for recipe in recipes.values() for piece in recipe.segments)
        self._in_any_pack(self._plain(pieces))
        self._assemble()

    def _absent(self, digests: Iterable[str]) -> list[str]:
        names = {bytes.fromhex(digest[3:]): digest for digest in digests}
        absent = Presence(self._store).absent(names)
        return [digest for name, digest in names.items() if name in absent]

    # -- as they are

    def _plain(self, digests: list[str]) -> list[str]:
        """Bring these out of packs that are known, or as files; what did not come."""
        left = self._packed(digests)
        there = self._there
        if sum(digest not in there.objects and digest not in there.recipes for digest in left) > FEW:
            left = self._in_any_pack(left)
        self._keep(partial(self._bring_file, digest) for digest in left if digest not in there.recipes)
        return self._not_got(left)

    def _in_any_pack(self, digests: list[str], *, may_be_roots: bool = False) -> list[str]:
        """Bring these out of a pack that only their root, or a list of all packs, tells of; what did not come."""
        if may_be_roots and 0 < len(digests) <= FEW:
            self._there.ask_roots(digests)
            digests = self._packed(digests)
        if digests and not self._there.ask_all_tables() and may_be_roots:
            self._there.ask_roots(digests)
        return self._packed(digests)

    def _packed(self, digests: list[str]) -> list[str]:
        """Bring those of these that lie in packs whose tables are known; the others."""
        spots = self._there.spots({bytes.fromhex(digest[3:]) for digest in digests})
        by_pack: dict[str, list[Entry]] = {}
        for found in spots.values():
            if spot := self._best(found, by_pack):
                by_pack.setdefault(spot.pack, []).append(spot.entry)
        self._keep(
            partial(self._bring_span, pack, span) for pack, found in by_pack.items() for span in streams.spans(found)
        )
        return self._not_got(digests)

    def _best(self, spots: list[Spot], taken: dict[str, list[Entry]]) -> Spot | None:
        """Of several packs one that is read anyway."""
        good = [spot for spot in spots if (spot.pack, spot.entry.hash) not in self._bad]
        return next((spot for spot in good if spot.pack in taken), good[0] if good else None)

    def _bring_span(self, pack: str, span: list[Entry], batch: Batch) -> None:
        try:
            for entry, data in streams.blobs(self._there.driver, pack, span):
                if data is None:
                    self._tell_bad(pack, entry)
                else:
                    batch.put_anew(entry.hash, data)
                    self._note(f"b3:{entry.hash.hex()}", len(data))
        except (KeyMissing, Damaged) as error:
            why = error.what if isinstance(error, Damaged) else "it is not there, and its table is"
            self._there.tell(layout.pack_key(pack), why)
            with self._lock:
                self._bad |= {(pack, entry.hash) for entry in span}

    def _tell_bad(self, pack: str, entry: Entry) -> None:
        self._there.tell(
            f"b3:{entry.hash.hex()}", f"it has wrong bytes in {layout.pack_key(pack)}", key=layout.pack_key(pack)
        )
        with self._lock:
            self._bad.add((pack, entry.hash))

    def _bring_file(self, digest: str, batch: Batch) -> None:
        try:
            parts = self._there.driver.read(layout.object_key(digest))
            size_bytes = batch.put_parts(bytes.fromhex(digest[3:]), parts, most_bytes=layout.OBJECT_BYTES_AT_MOST)
        except KeyMissing:
            return
        except Damaged as error:
            self._there.tell(digest, error.what, key=layout.object_key(digest))
            return
        self._note(digest, size_bytes)
        for whole in self._wholes:
            whole.advance()

    # -- in pieces

    def _recipes(self, digests: Iterable[str]) -> dict[str, Recipe]:
        """Which of these are there in pieces."""
        found: dict[str, Recipe] = {}
        self._there.run(partial(self._ask_recipe, digest, found) for digest in digests)
        return found

    def _ask_recipe(self, digest: str, found: dict[str, Recipe]) -> None:
        key = layout.recipe_key(digest)
        try:
            recipe = load_recipe(self._there.whole(key, RECIPE_BYTES_AT_MOST), source=key)
        except KeyMissing:
            return
        except Damaged as error:
            self._there.tell(key, error.why or error.what)
            return
        if recipe.digest != digest:
            self._there.tell(key, f"it is the recipe of another file, {recipe.digest[:15]}")
            return
        found[digest] = recipe

    def _assemble(self) -> None:
        """Keep those recipes whose pieces make up, from what is here now, the file they are of."""
        sound = {whole.recipe.digest: whole.recipe for whole in self._wholes if self._makes_up(whole)}
        with self._store.batch() as batch:
            for digest, recipe in sound.items():
                batch.put_recipe(digest, recipe.dump())
                self._note(digest, 0)

    def _makes_up(self, whole: Whole) -> bool:
        key = layout.recipe_key(whole.recipe.digest)
        if absent := self._absent({piece.digest for piece in whole.recipe.segments}):
            self._there.tell(key, f"{len(absent)} of its pieces are not there, or wrong")
        elif not whole.is_sound():
            self._there.tell(key, "its pieces make up another file")
        else:
            return True
        return False

    # -- keeping

    def _keep(self, jobs: Iterable[Job]) -> None:
        """Do these; what they put is kept from time to time, and when the place fails."""
        pending = deque(jobs)
        while pending and self._trouble is None:
            with self._store.batch() as batch:
                self._there.run(self._until_full(pending, batch))
        if self._trouble is not None:
            raise self._trouble

    def _until_full(self, pending: deque[Job], batch: Batch) -> Iterator[Callable[[], None]]:
        while pending and self._trouble is None and batch.waiting_bytes < _KEPT_AT_BYTES:
            yield partial(self._attempt, pending.popleft(), batch)

    def _attempt(self, job: Job, batch: Batch) -> None:
        try:
            job(batch)
        except RemoteError as error:
            with self._lock:
                self._trouble = self._trouble or error

    def _note(self, digest: str, size_bytes: int) -> None:
        with self._lock:
            self._got.add(digest)
            self.blobs += 1
            self.size_bytes += size_bytes
        self._teller.count(1, size_bytes)

    def _not_got(self, digests: Iterable[str]) -> list[str]:
        return [digest for digest in digests if digest not in self._got]
