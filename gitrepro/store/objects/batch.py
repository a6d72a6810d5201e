"""A batch: many blobs written under temporary names, made durable together, and only then named."""

from __future__ import annotations

import math
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

from ...errors import Damaged
from .. import fs
from . import copying, damage, names
from .links import give_name
from .packfile import SMALL_BYTES, TARGET_BYTES, Entry, PackWriter

if TYPE_CHECKING:
    from .blobs import BlobStore

Bytes = bytes | bytearray | memoryview
_RECIPE: Final = -1
_FEW: Final = 4
"""So many files are synced one by one; for more, the whole file system is cheaper."""
_LARGE_BYTES: Final = 8 << 20
"""What comes in parts and has so many bytes gets its name as soon as it is whole, while others are still coming."""


@final
class Batch:
    """Blobs on their way into a store. Made by `BlobStore.batch`; any number of threads may put.

    The order is: bytes, sync, names, sync of the folders, recipes of what has a name now, the index.
    """

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self._lock = threading.RLock()
        self._folder = Path(fs.temporary_name(store.root / "incoming" / "batch"))
        self._made = False
        self._pack: PackWriter | None = None
        self._packs: list[tuple[str, str, list[Entry]]] = []
        self._loose: list[tuple[str, bytes]] = []
        self._recipes: list[tuple[str, bytes]] = []
        self._ours: dict[bytes, int] = {}
        self._fresh: set[str] = set()
        self._count = 0
        self.new_bytes = 0
        """How many bytes were not in the store before."""
        self.waiting_bytes = 0
        """How many of them get their names at the end."""

    def __contains__(self, digest: str) -> bool:
        return self._there(names.raw(digest), None)

    def put(self, data: Bytes) -> str:
        """Take a blob; its name. Small ones share a pack."""
        sums = copying.hasher()
        sums.update(data)
        name: bytes = sums.digest()
        if not self._there(name, len(data)):
            self._take(name, data)
        return names.PREFIX + name.hex()

    def put_named(self, name: bytes, data: Bytes) -> str:
        """Take a piece of a file that is kept by a recipe; it becomes a blob of its own, and never a recipe.

        Args:
            name: the BLAKE3 of `data`, 32 bytes, that the caller has just computed.
        """
        if not self._there(name, len(data), plain=True):
            self._take(name, data)
        return names.PREFIX + name.hex()

    def put_parts(self, name: bytes, parts: Iterable[bytes | memoryview], *, most_bytes: int) -> int:
        """Take a blob as `put_named` does, written as it comes; its size in bytes. A large one is named at once.

        Args:
            parts: are asked for one after the other; each is good until the next one is asked for.

        Raises:
            Damaged: their BLAKE3 is another one, or they are more than `most_bytes`. Nothing of them is taken.
        """
        coming = _Hashed(parts, name, most_bytes)
        head = bytearray()
        while len(head) < SMALL_BYTES and (part := next(coming, None)) is not None:
            head += part
        if len(head) < SMALL_BYTES:
            coming.check()
            self.put_named(name, head)
        else:
            self._write(name, chain([head], coming), check=coming.check, at_once_from=_LARGE_BYTES)
        return coming.size_bytes

    def put_anew(self, name: bytes, data: bytes) -> None:
        """Take a small blob, whether it lies in another pack already or not: packs are written anew so."""
        with self._lock:
            if name not in self._ours:
                self._pack_up(name, data)

    def put_file(self, path: str | os.PathLike[str], *, dir_fd: int | None = None) -> tuple[str, int]:
        """Take a plain file of the user's; its name, and its size in bytes.

        Raises:
            Unsafe: it is no plain file.
            SourceChanged: it is written to all the while.
        """
        fd = copying.open_source(path, dir_fd=dir_fd)
        try:
            return self.put_open(fd, named=os.fspath(path))
        finally:
            os.close(fd)

    def put_open(self, fd: int, *, named: str = "the file") -> tuple[str, int]:
        """Take all of a file that is open for reading. Raises as `put_file` does."""
        size_bytes = os.fstat(fd).st_size
        if size_bytes < SMALL_BYTES:
            data = copying.read_small(fd, named=named)
            return self.put(data), len(data)
        temporary, target = self._temporary(os.O_RDWR)
        try:
            copied = copying.take(fd, target, named=named)
            os.fchmod(target, 0o444)
        finally:
            os.close(target)
        self._took(copied.hash, copied.size_bytes, temporary)
        return names.PREFIX + copied.hash.hex(), copied.size_bytes

    def put_recipe(self, whole: str, recipe: bytes) -> None:
        """Say of which blobs, all of them here or in this batch, the file `whole` is made.

        Args:
            whole: the name of the file's bytes.
            recipe: the bytes of `records.recipe.Recipe.dump`.
        """
        name = names.raw(whole)
        if self._there(name, None):
            return
        temporary, fd = self._temporary(os.O_WRONLY)
        try:
            fs.write_all(fd, recipe)
            os.fchmod(fd, 0o444)
        finally:
            os.close(fd)
        with self._lock:
            self._recipes.append((temporary, name))
            self._ours[name] = _RECIPE

    # -- what is there already

    def _there(self, name: bytes, size_bytes: int | None, *, plain: bool = False) -> bool:
        with self._lock:
            known = self._ours.get(name)
        if known is not None and (size_bytes is None or known == size_bytes or (known == _RECIPE and not plain)):
            return True
        return self._store.hit(name, size_bytes, freshened=self._fresh, plain=plain)

    # -- temporaries

    def _path(self) -> str:
        with self._lock:
            if not self._made:
                fs.make_directories(self._folder)
                self._made = True
            self._count += 1
            return str(self._folder / str(self._count))

    def _temporary(self, flags: int) -> tuple[str, int]:
        path = self._path()
        return path, os.open(path, flags | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def _take(self, name: bytes, data: Bytes) -> None:
        if len(data) < SMALL_BYTES:
            self._pack_up(name, data)
        else:
            self._write(name, [data])

    def _write(
        self,
        name: bytes,
        parts: Iterable[Bytes],
        *,
        check: Callable[[], None] = lambda: None,
        at_once_from: float = math.inf,
    ) -> None:
        size_bytes = begun = 0
        temporary, fd = self._temporary(os.O_WRONLY)
        try:
            for part in parts:
                fs.write_all(fd, part)  # type: ignore[arg-type]  # any buffer will do
                size_bytes += len(part)
                if size_bytes - begun >= at_once_from:
                    copying.begin_sync(fd, begun, size_bytes - begun)
                    begun = size_bytes
            check()
            os.fchmod(fd, 0o444)
            if at_once := size_bytes >= at_once_from:
                os.fsync(fd)
        except BaseException:
            os.unlink(temporary)
            raise
        finally:
            os.close(fd)
        self._took(name, size_bytes, temporary, at_once=at_once)

    def _took(self, name: bytes, size_bytes: int, temporary: str, *, at_once: bool = False) -> None:
        there = self._there(name, size_bytes)
        with self._lock:
            is_new = not there and self._ours.get(name) != size_bytes  # another thread may have put it meanwhile
            if is_new:
                self._ours[name] = size_bytes
                self.new_bytes += size_bytes
                if not at_once:
                    self._loose.append((temporary, name))
                    self.waiting_bytes += size_bytes
        if not is_new:
            os.unlink(temporary)
        elif at_once:
            self._name_all([(temporary, self._store.loose_path(name))])

    def _name_all(self, pairs: Iterable[tuple[str, Path]]) -> None:
        touched: dict[str, None] = {}
        for temporary, target in pairs:
            self._name(temporary, target, touched)
        self._sync_folders(touched)

    def _pack_up(self, name: bytes, data: Bytes) -> None:
        with self._lock:
            if self._ours.get(name, _RECIPE) != _RECIPE:
                return
            if self._pack is None:
                self._pack = PackWriter(self._path())
            self._ours[name] = len(data)
            self._pack.add(name, bytes(data) if isinstance(data, memoryview) else data)
            self.new_bytes += len(data)
            self.waiting_bytes += len(data)
            if self._pack.size_bytes >= TARGET_BYTES:
                self._close_pack()

    def _close_pack(self) -> None:
        pack, self._pack = self._pack, None
        if pack is not None and len(pack):
            name, entries = pack.close()
            self._packs.append((pack.path, name, entries))
        elif pack is not None:
            pack.abandon()

    # -- the end

    def publish(self) -> None:
        """Make all of it durable and give it its names. Whoever calls it puts nothing meanwhile."""
        self._close_pack()
        files = [*(path for path, _, _ in self._packs), *(path for path, _ in (*self._loose, *self._recipes))]
        if files:
            self._sync(files)
            self._name_blobs()
            self._name_all((temporary, self._store.recipe_path(name)) for temporary, name in self._recipes)
            if self._packs:
                self._store.index.add((name, entries) for _, name, entries in self._packs)
        self.discard()

    def discard(self) -> None:
        """Leave nothing behind of what has no name."""
        if self._pack is not None:
            self._pack.abandon()
            self._pack = None
        for each in (self._packs, self._loose, self._recipes):
            each.clear()
        self._ours.clear()
        if self._made:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._made = False

    def _sync(self, files: list[str]) -> None:
        if len(files) > _FEW:
            copying.sync_file_system(self._folder)
        else:
            for path in files:
                fs.sync_file(path)

    def _name_blobs(self) -> None:
        packs = [(temporary, self._store.pack_path(name), bytes.fromhex(name)) for temporary, name, _ in self._packs]
        for _, target, name in packs:
            damage.make_way(self._store.root, target, name)
        loose = ((temporary, self._store.loose_path(name)) for temporary, name in self._loose)
        self._name_all([*((temporary, target) for temporary, target, _ in packs), *loose])

    def _name(self, temporary: str, target: Path, touched: dict[str, None]) -> None:
        folder = str(target.parent)
        if folder not in touched and not os.path.isdir(folder):
            # Its own name is synced with the folder above.
            for new in _missing_folders(target.parent):
                os.makedirs(new, exist_ok=True)
                touched[str(new.parent)] = None
        touched[folder] = None
        give_name(temporary, target)

    def _sync_folders(self, touched: Iterable[str]) -> None:
        folders = list(touched)
        if len(folders) > _FEW:
            copying.sync_file_system(self._folder)
        else:
            for folder in folders:
                fs.sync_directory(folder)


@final
class _Hashed:
    """Parts that are counted and hashed as they come."""

    def __init__(self, parts: Iterable[bytes | memoryview], name: bytes, most_bytes: int) -> None:
        self._parts = iter(parts)
        self._name = name
        self._most_bytes = most_bytes
        self._sums = copying.hasher()
        self.size_bytes = 0

    def __iter__(self) -> Iterator[bytes | memoryview]:
        return self

    def __next__(self) -> bytes | memoryview:
        part = next(self._parts)
        self.size_bytes += len(part)
        if self.size_bytes > self._most_bytes:
            raise Damaged(
                f"{names.PREFIX}{self._name.hex()[:12]} has more bytes than the {self._most_bytes} it may have"
            )
        self._sums.update(part)
        return part

    def check(self) -> None:
        """Raises Damaged: what came is something else than the name says."""
        if self._sums.digest() != self._name:
            raise Damaged(f"{self._short()} has other bytes than its name says")

    def _short(self) -> str:
        return f"{names.PREFIX}{self._name.hex()[:12]}"


def _missing_folders(folder: Path) -> list[Path]:
    found = []
    while not folder.is_dir():
        found.append(folder)
        folder = folder.parent
    return found[::-1]
