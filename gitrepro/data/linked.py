"""A store in front of data that were linked: what it does not hold is read, and hashed, where the data lie."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final, cast, final

from ..errors import Damaged
from ..records.manifest import FILE, LINK, PROGRAM
from ..store.objects import BlobStore, digest_of
from ..store.trees import entries

_RAW: Final = len("b3:")


def with_linked(store: BlobStore, tree: str, place: Path) -> BlobStore:
    """`store`, with the files of a tree that lie at `place`: the folder, or the one file of a tree of one.

    What comes from there is compared with its name like everything else; other bytes are Damaged.
    """
    return cast(BlobStore, _Linked(store, tree, place))


@final
class _Linked:
    """Gives out what lies at a place, and passes all other questions on."""

    def __init__(self, store: BlobStore, tree: str, place: Path) -> None:
        self._store = store
        self._place = place
        # By 32 bytes: there may be millions.
        self._files: dict[bytes, bytes] = {}
        self._links: dict[bytes, bytes] = {}
        kinds = {FILE: self._files, PROGRAM: self._files, LINK: self._links}
        for each in entries(store, tree):
            if each.mode in kinds:
                kinds[each.mode][bytes.fromhex(each.digest[_RAW:])] = each.path if place.is_dir() else b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def __contains__(self, digest: str) -> bool:
        return digest in self._store

    def get(self, digest: str, *, limit_bytes: int | None = None) -> bytes:
        """The bytes of a blob; of one that is linked, the text of the symbolic link that it is."""
        path = self._path(digest, self._links)
        if path is None:
            return self._store.get(digest, limit_bytes=limit_bytes)
        data = _text(path)
        if digest_of([data]) != digest:
            raise _changed(path, "it leads elsewhere")
        return data

    def copy_out(self, digest: str, fd: int, *, verify: bool = True) -> int:
        """Write a blob to an open, empty file; what lies at the place is hashed in any case."""
        from ..store.objects import copying

        path = self._path(digest, self._files)
        if path is None:
            return self._store.copy_out(digest, fd, verify=verify)
        try:
            source = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise _changed(path, error.strerror or str(error)) from error
        try:
            copied = copying.take(source, fd, named=str(path))
        finally:
            os.close(source)
        if copied.hash.hex() != digest[_RAW:]:
            raise _changed(path, "its bytes have another hash")
        return copied.size_bytes

    def _path(self, digest: str, names: dict[bytes, bytes]) -> Path | None:
        """Where a blob lies that is not in the store; None where it is, or is not of this tree."""
        name = names.get(bytes.fromhex(digest[_RAW:]))
        if name is None or digest in self._store:
            return None
        return self._place / os.fsdecode(name)


def _text(path: Path) -> bytes:

    try:
        return os.fsencode(path.readlink())
    except OSError as error:
        raise _changed(path, error.strerror or str(error)) from error


def _changed(path: Path, why: str) -> Damaged:
    return Damaged(
        f"{path} is not what it was when it was linked", why=why, do="put it back, or add the data as a new version"
    )
