"""The bytes of a checkpoint on their way into the store, and out of it again when another takes its place."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast, final

from ..store import pruned, recipes
from ..store.objects import Batch, BlobStore, digest_of
from ..store.objects.names import PREFIX, raw
from ..store.objects.retire import retire

_ALONE_BYTES: Final = 256 << 10
"""Smaller pieces share a pack in the store, and cannot leave it one by one: neighbours are joined to more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A file in the store: durable, under its name.

    `owned`: the files of the store that this act has made, each with its time; those that somebody else has wanted
    since have another time, and are not ours to take away any more.
    """

    digest: str
    size_bytes: int
    owned: tuple[tuple[Path, int], ...] = ()


def publish(store: BlobStore, parts: Iterable[memoryview | bytes]) -> Published:
    """Put a file that lies in memory in parts; what the store has of it already is not written again.

    Raises:
        StorageError: the disk refuses; nothing of it stays.
    """
    views = list(parts)
    size_bytes = sum(memoryview(view).nbytes for view in views)
    if size_bytes < recipes.WHOLE_BELOW_BYTES:
        return _publish_small(store, b"".join(views), size_bytes)
    with store.batch() as batch:
        watched = _Watching(batch)
        digest, size_bytes = recipes.put_parts(cast(Batch, watched), views)
        named_ns = time.time_ns()
    pruned.forget(store, digest)
    return Published(digest=digest, size_bytes=size_bytes, owned=tuple(_owned(store, watched.new, named_ns)))


def _publish_small(store: BlobStore, data: bytes, size_bytes: int) -> Published:
    # In a file of its own however small it is: it will have to go, and out of a pack nothing goes alone.
    new = digest_of([data]) not in store
    digest = store.put(data)
    named_ns = time.time_ns()
    pruned.forget(store, digest)
    return Published(
        digest=digest, size_bytes=size_bytes, owned=tuple(_owned(store, [raw(digest)], named_ns)) if new else ()
    )


def publish_file(store: BlobStore, path: Path) -> Published:
    """Put a file of the user's.

    Raises:
        SourceChanged: it is written to all the while.
        StorageError: the disk refuses; nothing of it stays.
    """
    with store.batch() as batch, open(path, "rb") as reader:
        size_bytes = os.fstat(reader.fileno()).st_size
        digest, size_bytes = recipes.put_split(batch, reader, size_bytes)
    pruned.forget(store, digest)
    return Published(digest=digest, size_bytes=size_bytes)


@final
class _Watching:
    """A batch that remembers what was not in the store before."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self.new: list[bytes] = []

    def __contains__(self, digest: str) -> bool:
        return digest in self._batch

    def put(self, data: Any) -> str:
        return self.put_named(raw(digest_of([data])), data)

    def put_named(self, name: bytes, data: Any) -> str:
        if PREFIX + name.hex() not in self._batch:
            self.new.append(name)
        return self._batch.put_named(name, data)

    def put_recipe(self, whole: str, recipe: bytes) -> None:
        if whole not in self._batch:
            self.new.append(raw(whole))
        self._batch.put_recipe(whole, recipe)


def _owned(store: BlobStore, new: Iterable[bytes], named_ns: int) -> Iterator[tuple[Path, int]]:
    for name in new:
        for path in (store.loose_path(name), store.recipe_path(name)):
            try:
                seen_ns = os.lstat(path).st_mtime_ns
            except FileNotFoundError:
                continue
            # Younger than its bytes: another writer had it at the same time, and counts on it.
            if seen_ns <= named_ns:
                yield path, seen_ns


def release(store: BlobStore, owned: Iterable[tuple[Path, int]]) -> None:
    """Take files that were ours alone out of the store, the recipes first. What cannot go now, gc takes."""
    for path, seen_ns in sorted(owned, key=lambda each: each[0].parent.parent.name != "recipes"):
        try:
            if os.lstat(path).st_mtime_ns == seen_ns:
                gone = retire(path, seen_mtime_ns=seen_ns, trash=store.root / "trash")
                # Not left there for gc: a training that saves for days would fill the disk with its own trash.
                if gone:
                    gone.unlink()
        except OSError:
            continue


def joined(parts: Iterable[tuple[str, memoryview]]) -> Iterator[memoryview | bytes]:
    """Parts, small neighbours of one kind put together; the first, a header, stays alone.

    Args:
        parts: the kind of each and its bytes.
    """
    run: list[memoryview] = []
    of = ""
    for number, (kind, part) in enumerate(parts):
        small = number > 0 and part.nbytes < _ALONE_BYTES
        if run and (not small or kind != of or sum(each.nbytes for each in run) >= _ALONE_BYTES):
            yield b"".join(run)
            run = []
        if small:
            run.append(part)
            of = kind
        else:
            yield part
    if run:
        yield b"".join(run)
