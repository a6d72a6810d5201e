"""The store: a folder of blobs, each once, verified whenever they are read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, cast, final

from ...errors import Damaged
from .. import fs
from . import copying, damage, names, packfile
from .links import freshen, give_name
from .names import digest_of
from .readers import Window

if TYPE_CHECKING:
    from .batch import Batch
    from .index import PackIndex, Place


@final
class BlobStore:
    """A folder of blobs under `root`: `objects/ab/<62 hex>`, small ones in `packs/`, files in pieces by `recipes/`.

    A blob is written under a temporary name, synced, and linked to its own name without replacing anything; a name
    therefore always has its whole content, and putting twice is putting once. Damaged blobs are moved to
    `quarantine/` when they are found, never deleted.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._index: PackIndex | None = None

    @property
    def index(self) -> PackIndex:
        """Which pack holds which blob."""
        if self._index is None:
            # Not before it is asked for: most runs put a blob or two, and no pack.
            from .index import PackIndex

            self._index = PackIndex(self.root)
        return self._index

    def close(self) -> None:
        """Close the index; the next question opens it again."""
        if self._index is not None:
            self._index.close()

    # -- places

    def path(self, digest: str) -> Path:
        """Where the blob `b3:<64 hex>` lies when it has a file of its own.

        Raises:
            UsageError: `digest` is not of that form.
        """
        return self.loose_path(names.raw(digest))

    def loose_path(self, name: bytes) -> Path:
        text = name.hex()
        return self.root / "objects" / text[:2] / text[2:]

    def recipe_path(self, name: bytes) -> Path:
        text = name.hex()
        return self.root / "recipes" / text[:2] / text[2:]

    def pack_path(self, pack: str) -> Path:
        return self.root / "packs" / f"{pack}{packfile.SUFFIX}"

    # -- what is here

    def __contains__(self, digest: str) -> bool:
        name = names.raw(digest)
        return self.loose_path(name).is_file() or self._packed(name) is not None or self.recipe_path(name).is_file()

    def size(self, digest: str) -> int:
        """Bytes of a blob, by what its file, its pack or its recipe says. Raises BlobMissing."""
        with self.open(digest) as reader:
            return reader.seek(0, os.SEEK_END)

    def names(self) -> Iterator[str]:
        """Every blob here, in whatever form; those of packs first, and then one may come again."""
        self.index.refresh()
        for name in self.index.hashes():
            yield names.PREFIX + name.hex()
        for kind in ("objects", "recipes"):
            for path in sorted(self.root.glob(f"{kind}/??/*")):
                if names.HEX.fullmatch(found := path.parent.name + path.name):
                    yield names.PREFIX + found

    def hit(self, name: bytes, size_bytes: int | None, *, freshened: set[str], plain: bool = False) -> bool:
        """Whether a blob is here already, so that it need not be written; then no collection takes it from now on.

        Args:
            name: the 32 bytes of its hash.
            size_bytes: of the blob; a file of another size is damage, and is set aside. None where nobody knows.
            freshened: packs that the caller has made young already; it is added to.
            plain: a recipe does not count: a piece of a file is never in pieces itself.
        """
        if self._has(name, size_bytes) and freshen(self.loose_path(name)):
            return True
        place = self.index.find(name)
        if place is not None and size_bytes in (None, place.size_bytes) and self._freshened_pack(place, freshened):
            return True
        return not plain and self._freshened_recipe(name)

    def _freshened_pack(self, place: Place, freshened: set[str]) -> bool:
        if place.pack not in freshened:
            if not freshen(self.pack_path(place.pack)):
                return False
            freshened.add(place.pack)
        return True

    def _freshened_recipe(self, name: bytes) -> bool:
        """Whether there is a recipe with all its segments, of which none will be collected now."""
        path = self.recipe_path(name)
        if not path.is_file():
            return False
        from . import recipes

        return freshen(path) and recipes.freshen_segments(self, path)

    # -- put

    def put(self, data: bytes) -> str:
        """Keep `data`; return its name. Durable once this returns."""
        digest = digest_of([data])
        name = names.raw(digest)
        with fs.explained(f"cannot keep a blob of {len(data)} bytes in {self.root}"):
            if not (self._has(name, len(data)) and freshen(self.loose_path(name))):
                with self._incoming() as temporary:
                    fs.write_file(temporary, data, mode=0o444, sync_name=False)
                    self._link(temporary, name)
        return digest

    def put_file(self, source: Path) -> tuple[str, int]:
        """Keep a copy of the file `source`; return its name and its size in bytes. Hashed while it is copied."""
        with fs.explained(f"cannot keep {source} in {self.root}"), open(source, "rb") as reader:
            return self.put_stream(reader)

    def put_stream(self, reader: IO[bytes]) -> tuple[str, int]:
        """Keep what `reader` has from its beginning; return its name and its size in bytes."""
        sums, size_bytes = copying.hasher(), 0
        reader.seek(0)
        with fs.explained(f"cannot keep a blob in {self.root}"), self._incoming() as temporary:
            with open(temporary, "xb") as writer:
                while chunk := reader.read(copying.CHUNK_BYTES):
                    sums.update(chunk)
                    writer.write(chunk)
                    size_bytes += len(chunk)
                writer.flush()
                os.fchmod(writer.fileno(), 0o444)
                os.fsync(writer.fileno())
            name = sums.digest()
            if not (self._has(name, size_bytes) and freshen(self.loose_path(name))):
                self._link(temporary, name)
        return names.PREFIX + name.hex(), size_bytes

    @contextmanager
    def batch(self) -> Iterator[Batch]:
        """Put many blobs. When the block ends all of them are durable, and have their names; after an exception none.

        Raises:
            StorageError: the disk refuses; nothing of the batch has a name.
        """
        from .batch import Batch

        batch = Batch(self)
        with fs.explained(f"cannot keep blobs in {self.root}"):
            try:
                yield batch
                batch.publish()
            finally:
                batch.discard()

    @contextmanager
    def _incoming(self) -> Iterator[str]:
        folder = self.root / "incoming"
        fs.make_directories(folder)
        temporary = fs.temporary_name(folder / "blob")
        try:
            yield temporary
        finally:
            fs.remove_quietly(temporary)

    def _link(self, temporary: str, name: bytes) -> None:
        target = self.loose_path(name)
        fs.make_directories(target.parent)
        give_name(temporary, target)
        fs.sync_directory(target.parent)

    def _has(self, name: bytes, size_bytes: int | None) -> bool:
        # A file of another size is damage left by the outside: it must not stand in for what is being put.
        path = self.loose_path(name)
        try:
            found = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        if stat.S_ISREG(found.st_mode) and size_bytes in (None, found.st_size):
            return True
        damage.set_aside(self.root, path, name)
        return False

    # -- get

    def get(self, digest: str, *, limit_bytes: int | None = None) -> bytes:
        """The bytes of a blob, hashed before they are returned.

        Raises:
            BlobMissing: it is not here, or a piece of it is not.
            Damaged: its bytes have another hash, and it was moved to `quarantine/`; or it has more than `limit_bytes`.
        """
        with self.open(digest) as reader:
            size_bytes = reader.seek(0, os.SEEK_END)
            if limit_bytes is not None and size_bytes > limit_bytes:
                raise Damaged(f"blob {digest[:15]} has {size_bytes} bytes", why=f"at most {limit_bytes} are read here")
            reader.seek(0)
            data = reader.read()
        if digest_of([data]) != digest:
            raise self._wrong(digest)
        return data

    def open(self, digest: str) -> BinaryIO:
        """A reader of a blob, from its beginning; what it gives is not verified.

        Raises:
            BlobMissing: it is not here.
            Damaged: what stands in its place is no file; it was moved to `quarantine/`.
        """
        name = names.raw(digest)
        reader = self._open_loose(name) or self._open_packed(name) or self._open_recipe(name)
        if reader is None:
            raise names.missing(digest, self.root)
        return reader

    def copy_out(self, digest: str, fd: int, *, verify: bool = True) -> int:
        """Write a blob to an open, empty file, sharing its bytes where the file system can; the bytes written.

        Raises:
            BlobMissing: it is not here.
            Damaged: it has another hash: what was written is not to be used.
        """
        from . import output

        copied = output.copy_out(self, digest, fd, verify=verify)
        if verify and names.PREFIX + copied.hash.hex() != digest:
            raise self._wrong(digest)
        return copied.size_bytes

    def verify(self, digest: str) -> int:
        """Hash a blob in small memory; return its size in bytes. Raises as `get` does."""
        sums, size_bytes = copying.hasher(), 0
        view = copying.buffer()
        with self.open(digest) as reader:
            while count := reader.readinto(view):  # type: ignore[attr-defined]
                sums.update(view[:count])
                size_bytes += count
        if names.PREFIX + sums.hexdigest() != digest:
            raise self._wrong(digest)
        return size_bytes

    def _packed(self, name: bytes) -> Place | None:
        found = self.index.find(name)
        if found is None and self.index.refresh():
            found = self.index.find(name)
        return found

    def _open_loose(self, name: bytes) -> BinaryIO | None:
        path = self.loose_path(name)
        try:
            # Not to wait for a writer, should a pipe stand there.
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except PermissionError as error:
            raise fs.storage_error(error, f"cannot read {path}") from error
        except OSError as error:
            raise damage.set_aside(self.root, path, name) from error
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise damage.set_aside(self.root, path, name)
        return cast(BinaryIO, os.fdopen(fd, "rb", buffering=0))

    def _open_packed(self, name: bytes) -> BinaryIO | None:
        for _ in range(2):
            place = self._packed(name)
            if place is None:
                return None
            try:
                fd = os.open(self.pack_path(place.pack), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except FileNotFoundError:
                # Written anew meanwhile: what it held lies in another pack now.
                self.index.refresh()
                continue
            return cast(BinaryIO, Window(fd, place.offset, place.size_bytes))
        return None

    def _open_recipe(self, name: bytes) -> BinaryIO | None:
        path = self.recipe_path(name)
        if not path.is_file():
            return None
        from . import recipes

        return recipes.open_whole(self, path)

    def _wrong(self, digest: str) -> Damaged:
        """Find out which bytes of a blob are wrong, and set those aside."""
        name = names.raw(digest)
        if os.path.lexists(self.loose_path(name)):
            return damage.set_aside(self.root, self.loose_path(name), name)
        if place := self._packed(name):
            return damage.of_pack(self, digest, place)
        from . import recipes

        return recipes.damage_of(self, self.recipe_path(name), digest)
