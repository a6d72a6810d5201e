"""Blobs from here to a store remote: only what is not there, in an order in which a reader sees whole things alone.

Pieces, files and packs come first, then tables, then recipes, then roots. What is cut anywhere in between has left
things there that the next push finds, and nothing that names what is missing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, final

from ...errors import RemoteError
from ...records.recipe import Recipe, Segment
from ...store.objects import BlobStore, copying
from ...store.objects.packfile import Entry
from ...store.progress import Progress, Teller
from ...store.restore.packed import PackedBlobs
from . import layout, tables, threads
from .asking import missing_in, not_under
from .buffers import Buffers
from .claims import Claim, Stands, standing
from .driver import Driver
from .here import forms, read_all, read_small, wrong
from .load import Load
from .there import CACHE, FEW, There, Wrong

_PIECES_AT_ONCE: Final = 3
"""So many pieces of 64 MiB are in memory while they are sent, and the next one while it is read."""
_HASHED_AT_ONCE_BYTES: Final = 256 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What a push did: how many blobs and bytes went, in how many packs, and how many were there already.

    `requests` is how often the place was asked for something. `absent` are blobs that are neither here nor there.
    `wrong` is what was found damaged there, and made anew where that could be.
    """

    blobs: int
    size_bytes: int
    requests: int
    packs: int
    already: int
    absent: tuple[str, ...] = ()
    wrong: tuple[Wrong, ...] = ()


def send(
    store: BlobStore,
    driver: Driver,
    roots: Mapping[str, Iterable[str]],
    *,
    runs: Mapping[str, Iterable[str]] | None = None,
    claim: Claim | None = None,
    anew: Collection[str] = (),
    progress: Callable[[Progress], None] | None = None,
) -> Sent:
    """Send what `roots` need to a store remote, but what is there. Begun again, it goes on where it was cut.

    Args:
        roots: for each blob that others are found by, such as the manifest of a tree, the digests that it needs.
        runs: for each run, by its id, those of `roots` that it names. What lies behind them, where that is little, goes
            into packs with all else that is small, and is found by the run.
        claim: whose push this is, of which runs; what it leads to is filled in. Without one a collection there does not
            know that these roots are needed.
        anew: blobs that are sent although they are there, since their bytes are wrong.
        progress: is told of blobs and bytes, of those that are not there.

    Raises:
        RemoteError: the network or the place refuses; what was sent is found by the next push.
        Damaged: a blob here has other bytes than its name says; nothing was sent under that name.
        TooNew: a newer gitrepro has made the store remote.
    """
    if driver.read_only:
        raise RemoteError(f"{driver.url} can only be read", do="push to another store remote: `gitrepro remote ls`")
    there = There(driver, cache=None if anew else store.root / CACHE)
    sending = _Sending(store, there, {root: [root, *needs] for root, needs in roots.items()}, runs or {}, anew)
    with standing(there.driver, replace(claim, leads=sending.leads()) if claim else None) as stands:
        return sending.run(stands, progress, claims=claim is not None)


@final
class _Sending:
    """One push to one place."""

    def __init__(
        self,
        store: BlobStore,
        there: There,
        roots: Mapping[str, list[str]],
        runs: Mapping[str, Iterable[str]],
        anew: Collection[str] = (),
    ) -> None:
        self._store = store
        self._there = there
        self._roots = roots
        self._anew = frozenset(anew)
        wanted = list(dict.fromkeys(digest for needs in roots.values() for digest in needs))
        self._forms = forms(store, wanted)
        self._load = Load.of(wanted, self._forms)
        little = {root: each for root, needs in roots.items() if len(each := Load.of(needs, self._forms)) <= FEW}
        self._runs = {run: [little[root] for root in named if root in little] for run, named in runs.items()}
        # Who knows a blob by its own name alone looks for a file of that name, and no list of packs is needed.
        known = little.keys() - {root for named in runs.values() for root in named}
        self._small = self._load.small() - {digest for root in known for digest in little[root].plain}
        """Those that travel in packs, where they are not few."""
        self._packed: dict[str, str] = {}
        """The pack of each small blob that lies in one there."""
        self._lock = threading.Lock()
        self._buffers = Buffers(_PIECES_AT_ONCE + 1)
        self._blobs = self._bytes = self._packs = 0

    def leads(self) -> dict[str, tuple[str, ...] | None]:
        """What each root leads to, where no file below `roots/` will say it."""
        return {
            root: tuple(dict.fromkeys(each for each in needs if each != root)) if self._is_little(needs) else None
            for root, needs in self._roots.items()
        }

    def _is_little(self, needs: list[str]) -> bool:
        # A file in pieces counts with all of them, and so is not little where it has several.
        return len(needs) <= 4 * FEW and len(Load.of(needs, self._forms)) <= FEW

    def run(self, stands: Stands, progress: Callable[[Progress], None] | None, *, claims: bool) -> Sent:
        self._stands = stands
        is_store = self._there.is_store()
        todo = self._not_there() if is_store else self._all()
        files = len(todo.plain) + len(todo.large)
        size_bytes = sum(todo.plain.values()) + sum(todo.large.values())
        self._teller = Teller(progress, files=files, size_bytes=size_bytes)
        if not is_store and len(todo) > len(todo.absent):
            self._put(layout.FORMAT_KEY, layout.dump_format(claims=claims))
        self._send(todo)
        self._write_roots(todo)
        self._teller.end()
        already = len(self._load) - len(todo)
        return Sent(
            blobs=self._blobs,
            size_bytes=self._bytes,
            requests=self._there.driver.requests,
            packs=self._packs,
            already=already,
            absent=tuple(todo.absent),
            wrong=tuple(self._there.wrong),
        )

    # -- what is there

    def _all(self) -> Load:
        load = self._load
        return Load(dict(load.plain), dict(load.recipes), dict(load.large), dict(load.absent))

    def _not_there(self) -> Load:
        """What has to be sent; of what is nowhere here, what is not there either."""
        there, load = self._there, self._load
        there.ask_roots(root for root, needs in self._roots.items() if len(Load.of(needs, self._forms)) > FEW)
        left = self._not_packed()
        if 0 < len(left) <= FEW:
            there.ask_roots((), runs=self._runs_of(left)[:FEW])
            left = self._not_packed()
        if len(left) > FEW and there.ask_all_tables():
            left = self._not_packed()
        files = [digest for digest in load.plain if digest not in self._small and digest not in there.objects]
        # What runs name was a file of its own in remotes of before; so is the little of a small push.
        own = {digest for named in self._runs.values() for each in named for digest in each.plain}
        files += left if len(left) <= FEW else [digest for digest in left if digest in own]
        left = [] if len(left) <= FEW else [digest for digest in left if digest not in own]
        files = not_under(there, files, layout.OBJECTS, layout.object_key, sizes=load.plain)
        whole = [digest for digest in (*load.recipes, *load.large) if digest not in there.recipes]
        whole = not_under(there, whole, layout.RECIPES, layout.recipe_key)
        absent = missing_in(there, (digest for digest in load.absent if digest not in self._packed))
        left += [digest for digest in load.plain if digest in self._anew]
        whole += [digest for digest in (*load.recipes, *load.large) if digest in self._anew]
        return Load(
            {digest: load.plain[digest] for digest in dict.fromkeys((*left, *files))},
            {digest: load.recipes[digest] for digest in whole if digest in load.recipes},
            {digest: load.large[digest] for digest in whole if digest in load.large},
            dict.fromkeys(absent),
        )

    def _not_packed(self) -> list[str]:
        """Note which small blobs lie in which pack; those that lie in none and nowhere else, in their order."""
        names = {bytes.fromhex(digest[3:]): digest for digest in (*self._small, *self._load.absent)}
        self._packed |= {names[name]: spots[0].pack for name, spots in self._there.spots(names).items()}
        known = self._packed.keys() | self._there.objects
        return [digest for digest in self._load.plain if digest in self._small and digest not in known]

    def _runs_of(self, digests: Iterable[str]) -> list[str]:
        """The runs that name some of these."""
        wanted = set(digests)
        return [run for run, named in self._runs.items() if any(not wanted.isdisjoint(each.plain) for each in named)]

    # -- sending

    def _send(self, todo: Load) -> None:
        small = [digest for digest in todo.plain if digest in self._small]
        if len(small) <= FEW:
            small = []
        alone = todo.plain.keys() - set(small)
        self._there.run(partial(self._send_file, digest) for digest in todo.plain if digest in alone)
        named = ((bytes.fromhex(digest[3:]), todo.plain[digest]) for digest in small)
        self._there.run(partial(self._send_pack, planned) for planned in tables.plan(named))
        for digest in todo.large:
            self._send_large(digest)
        self._there.run(partial(self._send_recipe, recipe) for recipe in todo.recipes.values())

    def _send_file(self, digest: str) -> None:
        size_bytes = self._load.plain[digest]
        self._there.driver.write(layout.object_key(digest), read_all(self._store, digest), size_bytes)
        self._count(1, size_bytes)

    def _send_pack(self, planned: tables.Planned) -> None:
        packed = PackedBlobs(self._store)
        try:
            packed.look_up(f"b3:{entry.hash.hex()}" for entry in planned.entries)
            parts = tables.parts(planned, partial(self._read_entry, packed))
            self._there.driver.write(layout.pack_key(planned.name), parts, planned.size_bytes)
        finally:
            packed.close()
        self._put(layout.index_key(planned.name), planned.table)
        self._there.add_table(planned.name, planned.table)
        with self._lock:
            self._packs += 1
            self._packed |= {f"b3:{entry.hash.hex()}": planned.name for entry in planned.entries}

    def _read_entry(self, packed: PackedBlobs, entry: Entry) -> bytes | memoryview:
        data = read_small(self._store, packed, f"b3:{entry.hash.hex()}")
        self._count(1, len(data))
        return data

    def _send_large(self, digest: str) -> None:
        """Cut a blob into pieces while it is read, send those that are not there, then say how they make it up."""
        segments, driver = list[Segment](), self._there.driver
        threads.run(self._pieces(digest, segments), threads=min(driver.parallel, _PIECES_AT_ONCE), stop=driver.stop)
        self._send_recipe(Recipe(size_bytes=self._load.large[digest], digest=digest, segments=tuple(segments)))
        self._count(1, 0)

    def _pieces(self, digest: str, segments: list[Segment]) -> Iterator[Callable[[], None]]:
        whole, left = copying.hasher(), self._load.large[digest]
        with self._store.open(digest) as reader:
            while left > 0:
                buffer = self._buffers.take()
                name, size_bytes = _read_piece(reader, buffer[:left], whole)
                segments.append(Segment(name, size_bytes))
                left -= size_bytes
                yield partial(self._send_piece, segments[-1], buffer)
        if f"b3:{whole.hexdigest()}" != digest:
            raise wrong(self._store, digest)

    def _send_piece(self, segment: Segment, buffer: memoryview) -> None:
        key = layout.object_key(segment.digest)
        try:
            if segment.digest in self._anew or self._there.driver.size(key) != segment.size_bytes:
                self._there.driver.write(key, [buffer[: segment.size_bytes]], segment.size_bytes)
        finally:
            self._buffers.give_back(buffer)
        self._count(0, segment.size_bytes)

    def _send_recipe(self, recipe: Recipe) -> None:
        self._put(layout.recipe_key(recipe.digest), recipe.dump())

    def _put(self, key: str, data: bytes) -> None:
        self._there.driver.write(key, [data], len(data))

    def _count(self, blobs: int, size_bytes: int) -> None:
        with self._lock:
            self._blobs += blobs
            self._bytes += size_bytes
        self._teller.count(blobs, size_bytes)
        self._stands.renew()

    # -- roots

    def _write_roots(self, todo: Load) -> None:
        self._there.run(
            partial(self._put, layout.root_key(root), layout.dump_root(root, reached))
            for root, needs in self._roots.items()
            if (reached := self._new_root(root, needs, todo)) is not None
        )
        found = {run: reached for run in self._runs if (reached := self._of_run(run)).packs}
        # Of a run that brought something new nobody has written before.
        asked = [run for run in found if not any(load.plain.keys() & todo.plain.keys() for load in self._runs[run])]
        self._there.ask_roots((), runs=asked)
        self._there.run(
            partial(self._put, layout.run_key(run), layout.dump_root(run, reached))
            for run, reached in found.items()
            if not ((before := self._there.root(run)) and _covers(before, reached))
        )

    def _of_run(self, run: str) -> layout.Reached:
        """Where the little lies that a run names."""
        plain = {digest for load in self._runs[run] for digest in load.plain}
        return layout.Reached(
            packs=frozenset(self._packed[digest] for digest in plain & self._packed.keys()),
            objects=frozenset(plain - self._packed.keys()),
            recipes=frozenset(digest for load in self._runs[run] for digest in (*load.recipes, *load.large)),
        )

    def _new_root(self, root: str, needs: list[str], todo: Load) -> layout.Reached | None:
        """What a root leads to; None where that is written there already, or need not be, or is not all there."""
        load = Load.of(needs, self._forms)
        if len(load) <= FEW or todo.absent.keys() & load.absent.keys():
            return None
        in_packs = (load.plain.keys() | load.absent.keys()) & self._packed.keys()
        reached = layout.Reached(
            packs=frozenset(self._packed[digest] for digest in in_packs),
            objects=frozenset(load.plain.keys() - in_packs),
            recipes=frozenset((*load.recipes, *load.large)),
        )
        before = self._there.root(root)
        if before is None or not self._there.has_tables(before.packs):
            return reached
        return None if _covers(before, reached) else _joined(before, reached)


def _joined(before: layout.Reached, now: layout.Reached) -> layout.Reached:
    """Who sent the list alone now may have sent the files before: they are led to still."""
    return layout.Reached(
        packs=before.packs | now.packs, objects=before.objects | now.objects, recipes=before.recipes | now.recipes
    )


def _covers(before: layout.Reached, now: layout.Reached) -> bool:
    return before.packs >= now.packs and before.objects >= now.objects and before.recipes >= now.recipes


def _read_piece(reader: object, piece: memoryview, whole: Any) -> tuple[str, int]:
    """Fill a piece, while both hashes go on near the processor; its name and its size."""
    sums = copying.hasher()
    for at in range(0, len(piece), _HASHED_AT_ONCE_BYTES):
        part = piece[at : at + _HASHED_AT_ONCE_BYTES]
        _fill(reader, part)
        sums.update(part)
        whole.update(part)
    return f"b3:{sums.hexdigest()}", len(piece)


def _fill(reader: object, view: memoryview) -> None:
    while view:
        count = reader.readinto(view)  # type: ignore[attr-defined]
        if not count:
            return  # it is shorter than it was: its hash will say so
        view = view[count:]
