"""Trees in the store: written in small memory, read with every name judged, compared shard by shard."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol, final

from ..errors import NotFound, Unsafe
from ..records.filename import escape, fault_of
from ..records.manifest import (
    ENTRIES_AT_MOST,
    ROOT_BYTES_AT_MOST,
    SHARD_BYTES_AT_MOST,
    FileEntry,
    Root,
    Sequenced,
    ShardRef,
    dump_shard,
    load_root,
    load_shard,
    root_of,
    shard_length,
)
from .objects import BlobStore

__all__ = ["Change", "FileEntry", "TreeInfo", "TreeWriter", "changed", "entries", "find", "read_tree", "write_tree"]


class Keeps(Protocol):
    """What blobs are put into: a batch."""

    def put(self, data: bytes) -> str: ...


@dataclass(frozen=True, slots=True)
class TreeInfo:
    """A tree: the name of its root blob, how many entries it has, and how many bytes these have together."""

    digest: str
    files: int
    size_bytes: int


class Change(NamedTuple):
    """One path at which two trees differ; None where a tree has it not."""

    path: bytes
    old: FileEntry | None
    new: FileEntry | None


@final
class TreeWriter:
    """Takes the shards of a tree, one after the other, and then writes the root."""

    def __init__(self, keep: Keeps) -> None:
        self._keep = keep
        self._shards: list[ShardRef] = []
        self._bytes = 0

    def shard(self, entries: list[FileEntry]) -> ShardRef:
        """Write the next shard: as many entries as `shard_length` said, or all that are left."""
        digest = self._keep.put(dump_shard(entries))
        ref = ShardRef(digest, len(entries), sum(entry.size_bytes for entry in entries), entries[0].path)
        self.known(ref)
        return ref

    def known(self, ref: ShardRef) -> None:
        """The next shard is one that is in the store already.

        Raises:
            Unsafe: the tree has more shards than a root may name, hundreds of millions of files.
        """
        self._shards.append(ref)
        self._bytes += len(ref.first) * 4 + 128
        if self._bytes > ROOT_BYTES_AT_MOST:
            raise Unsafe(
                "the data has too many files for one tree",
                why=f"its root would have more than {ROOT_BYTES_AT_MOST >> 20} MiB",
                do="add its folders one by one, or keep the files in archives",
            )

    def end(self) -> TreeInfo:
        """Write the root."""
        root = root_of(self._shards)
        return TreeInfo(self._keep.put(root.dump()), root.files, root.size_bytes)


def write_tree(keep: Keeps, entries: Iterable[FileEntry]) -> TreeInfo:
    """Write a tree of entries that ascend by path, in small memory.

    Raises:
        Unsafe: a path could do harm.
    """
    writer, waiting = TreeWriter(keep), list[FileEntry]()
    before = b""
    for entry in entries:
        fault = fault_of(entry.path.removesuffix(b"/"))
        if fault or entry.path <= before:
            raise Unsafe(f"{escape(entry.path):.300} {fault or 'comes twice, or out of order'}")
        before = entry.path
        waiting.append(entry)
        if len(waiting) == 2 * ENTRIES_AT_MOST:
            _write_one(writer, waiting)
    while waiting:
        _write_one(writer, waiting)
    return writer.end()


def _write_one(writer: TreeWriter, waiting: list[FileEntry]) -> None:
    count = shard_length([entry.path for entry in waiting]) or len(waiting)
    writer.shard(waiting[:count])
    del waiting[:count]


def read_root(store: BlobStore, digest: str) -> Root:
    """The root of a tree. Raises BlobMissing, Damaged."""
    return load_root(store.get(digest, limit_bytes=ROOT_BYTES_AT_MOST), source=digest[:15])


def read_tree(store: BlobStore, digest: str) -> TreeInfo:
    """How large a tree is; its shards are not looked at. Raises BlobMissing, Damaged."""
    root = read_root(store, digest)
    return TreeInfo(digest, root.files, root.size_bytes)


def read_shard(store: BlobStore, ref: ShardRef) -> list[FileEntry]:
    """The entries of one shard; their names are not judged. Raises BlobMissing, Damaged."""
    return load_shard(store.get(ref.digest, limit_bytes=SHARD_BYTES_AT_MOST), source=ref.digest[:15])


def shards(store: BlobStore, digest: str) -> Iterator[tuple[ShardRef, list[FileEntry]]]:
    """The shards of a tree, every name in them judged. Raises BlobMissing, Damaged."""
    judge = Sequenced(digest[:15])
    for ref in read_root(store, digest).shards:
        found = read_shard(store, ref)
        judge.take(found, ref)
        yield ref, found


def entries(store: BlobStore, digest: str) -> Iterator[FileEntry]:
    """The entries of a tree, ascending by path.

    Raises:
        BlobMissing: the root or a shard is not here.
        Damaged: its bytes are wrong, or are not what a tree looks like: a name could do harm, or is there twice.
    """
    for _, found in shards(store, digest):
        yield from found


def find(store: BlobStore, digest: str, path: bytes) -> FileEntry | None:
    """The entry at a path; None where the tree has none. One shard is read. Raises as `entries` does."""
    refs = read_root(store, digest).shards
    at = bisect_right(refs, path, key=lambda ref: ref.first) - 1
    if at < 0:
        return None
    found = read_shard(store, refs[at])
    Sequenced(digest[:15]).take(found, refs[at])
    return next((entry for entry in found if entry.path == path), None)


def changed(store: BlobStore, old: str, new: str) -> Iterator[Change]:
    """Where two trees differ, ascending by path. Shards that both have are not read. Raises as `entries` does."""
    roots = read_root(store, old), read_root(store, new)
    both = {ref.digest for ref in roots[0].shards} & {ref.digest for ref in roots[1].shards}
    olds, news = (_other_entries(store, root, both) for root in roots)
    one, two = next(olds, None), next(news, None)
    while one is not None or two is not None:
        if two is None or (one is not None and one.path < two.path):
            assert one is not None
            yield Change(one.path, one, None)
            one = next(olds, None)
        elif one is None or two.path < one.path:
            yield Change(two.path, None, two)
            two = next(news, None)
        else:
            if one != two:
                yield Change(one.path, one, two)
            one, two = next(olds, None), next(news, None)


def _other_entries(store: BlobStore, root: Root, both: set[str]) -> Iterator[FileEntry]:
    judge = Sequenced("of a version")
    for ref in root.shards:
        if ref.digest not in both:
            found = read_shard(store, ref)
            judge.take(found, ref)
            yield from found


def selected(store: BlobStore, digest: str, paths: Iterable[bytes]) -> Iterator[tuple[ShardRef, list[FileEntry]]]:
    """Those entries of a tree that are at these paths, or in the folders at these paths, by shard.

    Raises:
        NotFound: a path is in no way in the tree. BlobMissing, Damaged: as `entries`.
    """
    wanted = {path.strip(b"/") for path in paths}
    met: set[bytes] = set()
    for ref, found in shards(store, digest):
        kept = []
        for entry in found:
            if hits := wanted.intersection(_path_and_folders(entry.path)):
                met |= hits
                kept.append(entry)
        if kept:
            yield ref, kept
    if missing := wanted - met:
        raise NotFound(
            f"{escape(min(missing)):.300} is not in the data",
            why=f"{len(missing)} of {len(wanted)} paths are not",
            do="`gitrepro data show` lists what is",
        )


def _path_and_folders(path: bytes) -> Iterator[bytes]:
    here = path.removesuffix(b"/")
    while here:
        yield here
        here = here.rpartition(b"/")[0]
