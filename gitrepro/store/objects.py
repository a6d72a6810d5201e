"""Blobs named by the BLAKE3 of their bytes: put once, verified whenever they are read."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import IO, BinaryIO, Final, final

from ..errors import BlobMissing, Damaged, UsageError
from . import fs

_CHUNK_BYTES: Final = 1 << 20
_NAME = re.compile(r"b3:[0-9a-f]{64}")


def digest_of(parts: Iterable[bytes]) -> str:
    """The name of the blob that these parts make up: `b3:` and 64 hex digits."""
    import blake3

    hasher = blake3.blake3()
    for part in parts:
        hasher.update(part)
    return f"b3:{hasher.hexdigest()}"


@final
class BlobStore:
    """A folder of blobs: `objects/ab/<62 hex>` under `root`.

    A blob is written under a temporary name, synced, and linked to its own name without replacing anything; a name
    therefore always has its whole content, and putting twice is putting once. Damaged blobs are moved to
    `quarantine/` when they are found, never deleted.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, digest: str) -> Path:
        """Where the blob `b3:<64 hex>` lies.

        Raises:
            UsageError: `digest` is not of that form.
        """
        if not _NAME.fullmatch(digest):
            raise UsageError(f"{digest!r} is not a blob name", why="it is written b3: and 64 hex digits")
        return self.root / "objects" / digest[3:5] / digest[5:]

    def __contains__(self, digest: str) -> bool:
        return self.path(digest).is_file()

    def put(self, data: bytes) -> str:
        """Keep `data`; return its name. Durable once this returns."""
        digest = digest_of([data])
        with fs.explained(f"cannot keep a blob of {len(data)} bytes in {self.root}"):
            if not self._has(digest, len(data)):
                self._publish(digest, data)
        return digest

    def put_file(self, source: Path) -> tuple[str, int]:
        """Keep a copy of the file `source`; return its name and its size in bytes. Hashed while it is copied."""
        with fs.explained(f"cannot keep {source} in {self.root}"), open(source, "rb") as reader:
            return self.put_stream(reader)

    def put_stream(self, reader: IO[bytes]) -> tuple[str, int]:
        """Keep what `reader` has from its beginning; return its name and its size in bytes."""
        import blake3

        hasher, size = blake3.blake3(), 0
        reader.seek(0)
        with fs.explained(f"cannot keep a blob in {self.root}"):
            incoming = self.root / "incoming"
            fs.make_directories(incoming)
            temporary = fs.temporary_name(incoming / "blob")
            try:
                with open(temporary, "xb") as writer:
                    while chunk := reader.read(_CHUNK_BYTES):
                        hasher.update(chunk)
                        writer.write(chunk)
                        size += len(chunk)
                    writer.flush()
                    os.fsync(writer.fileno())
                digest = f"b3:{hasher.hexdigest()}"
                if not self._has(digest, size):
                    self._link(temporary, digest)
            finally:
                fs.remove_quietly(temporary)
        return digest, size

    def get(self, digest: str) -> bytes:
        """The bytes of a blob, hashed before they are returned.

        Raises:
            BlobMissing: it is not here.
            Damaged: its bytes have another hash; it was moved to `quarantine/`.
        """
        with self._open(digest) as reader:
            data = reader.read()
        if digest_of([data]) != digest:
            raise self._quarantine(self.path(digest), digest)
        return data

    def verify(self, digest: str) -> int:
        """Hash a blob in small memory; return its size in bytes. Raises as `get` does."""
        import blake3

        hasher, size = blake3.blake3(), 0
        with self._open(digest) as reader:
            while chunk := reader.read(_CHUNK_BYTES):
                hasher.update(chunk)
                size += len(chunk)
        if f"b3:{hasher.hexdigest()}" != digest:
            raise self._quarantine(self.path(digest), digest)
        return size

    def names(self) -> list[str]:
        """Every blob here, sorted."""
        found = (f"b3:{path.parent.name}{path.name}" for path in self.root.glob("objects/??/*"))
        return sorted(name for name in found if _NAME.fullmatch(name))

    def _has(self, digest: str, size_bytes: int) -> bool:
        # A file of another size is damage left by the outside: it must not stand in for what is being put.
        path = self.path(digest)
        try:
            found = path.lstat()
        except FileNotFoundError:
            return False
        if stat.S_ISREG(found.st_mode) and found.st_size == size_bytes:
            return True
        self._quarantine(path, digest)
        return False

    def _publish(self, digest: str, data: bytes) -> None:
        incoming = self.root / "incoming"
        fs.make_directories(incoming)
        temporary = fs.temporary_name(incoming / "blob")
        try:
            fs.write_file(temporary, data, mode=0o444)
            self._link(temporary, digest)
        finally:
            fs.remove_quietly(temporary)

    def _link(self, temporary: str, digest: str) -> None:
        target = self.path(digest)
        fs.make_directories(target.parent)
        os.chmod(temporary, 0o444)
        try:
            # Link, not rename: a blob that is there already, maybe being read, is never replaced.
            os.link(temporary, target)
        except FileExistsError:
            return
        except PermissionError:
            # A file system without hard links; renaming is atomic there too, and the content is the same.
            os.replace(temporary, target)
        fs.sync_directory(target.parent)

    def _open(self, digest: str) -> BinaryIO:
        path = self.path(digest)
        try:
            # Not to wait for a writer, should a pipe stand there.
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise BlobMissing(
                f"blob {digest[:15]} is not in {self.root}",
                do="copy it from the clone that recorded the run, from its .git/gitrepro/store",
            ) from error
        except OSError as error:
            raise self._quarantine(path, digest) from error
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise self._quarantine(path, digest)
        return os.fdopen(fd, "rb")

    def _quarantine(self, path: Path, digest: str) -> Damaged:
        place = self.root / "quarantine"
        fs.make_directories(place)
        kept = place / f"{digest[3:]}-{os.urandom(4).hex()}"
        os.replace(path, kept)
        return Damaged(
            f"blob {digest[:15]} has other bytes than its name says",
            why="it was changed on disk, or the disk is failing",
            do=f"put it again or pull it; the wrong bytes are kept as {kept}",
        )
