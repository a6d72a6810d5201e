"""A blob out of the store, into an open file."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, BinaryIO

from .. import fs
from . import copying
from .copying import Copied

if TYPE_CHECKING:
    from .blobs import BlobStore


def copy_out(store: BlobStore, digest: str, fd: int, *, verify: bool) -> Copied:
    """Write a blob to an empty file; its hash is that of the bytes that were read, empty without `verify`."""
    with store.open(digest) as reader:
        if not isinstance(reader, io.FileIO):
            return _streamed(reader, fd, verify=verify)
        if copying.clone(reader.fileno(), fd):
            return _known(reader, verify=verify)
        return copying.hashed_copy(reader.fileno(), fd) if verify else _in_kernel(reader.fileno(), fd)


def _known(reader: io.FileIO, *, verify: bool) -> Copied:
    return copying.hashed(reader.fileno()) if verify else Copied(b"", os.fstat(reader.fileno()).st_size)


def _in_kernel(source: int, target: int) -> Copied:
    size_bytes = 0
    try:
        while count := os.copy_file_range(source, target, 1 << 30):
            size_bytes += count
    except OSError:
        if size_bytes:
            raise
        return copying.hashed_copy(source, target)
    return Copied(b"", size_bytes)


def _streamed(reader: BinaryIO, fd: int, *, verify: bool) -> Copied:
    sums, size_bytes, view = copying.hasher(), 0, copying.buffer()
    while count := reader.readinto(view):  # type: ignore[attr-defined]
        if verify:
            sums.update(view[:count])
        fs.write_all(fd, view[:count])  # type: ignore[arg-type]  # any buffer will do
        size_bytes += count
    return Copied(sums.digest() if verify else b"", size_bytes)
