"""A folder, or a file, becomes a tree in the store."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

from ...errors import NotFound
from ...records.filename import escape
from ...records.manifest import ShardRef, shard_length
from ..objects import BlobStore
from ..presence import Presence
from ..progress import Progress, Teller
from ..reading import Files, no_file
from ..scan import Run, Scan, matcher, unreadable
from ..statcache import Chunk, Session, StatCache, clock_ns, packed
from ..trees import TreeInfo, TreeWriter
from .ahead import Ahead
from .rolling import Rolling
from .segment import Segment
from .taking import Taker


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What became of files that were added.

    `recipes` counts files that were cut at the borders of tensors. `notes` are sentences for the user: names that
    collide on other systems, what was left out.
    """

    tree: TreeInfo
    hashed_files: int
    reused_files: int
    new_bytes: int
    recipes: int
    notes: tuple[str, ...]


def add_tree(
    store: BlobStore,
    statcache: StatCache,
    path: Path,
    *,
    link: bool = False,
    follow: bool = False,
    ignore: Sequence[str] = (),
    progress: Callable[[Progress], None] | None = None,
) -> Added:
    """Take a folder, or a single file, into the store, in small memory whatever its size.

    Files are read only when the stat cache does not know them. About every GiB what was taken becomes durable, so an
    addition that was stopped goes on there when it is repeated.

    Args:
        path: the folder or file; it may itself be a link.
        link: hash the files where they lie, and store nothing but the tree.
        follow: take links for what they lead to. Else links that stay inside the folder are kept as links.
        ignore: shell patterns of what to leave out, see `scan.matcher`. `.git` is left out in any case.

    Raises:
        NotFound: there is no such path.
        Unsafe: something in it cannot be kept: a pipe, a socket, a device, a link that leads out, a name that some
            system takes for `.git`.
        SourceChanged: a file is written to again and again while it is read, or gone.
        StorageError: a file cannot be read, or the store's disk refuses.
    """
    teller = Teller(progress)
    with opened(path) as (root_fd, name), statcache.session(root_fd, of=name) as session:
        place = str(path.parent if name else path)
        follow = follow or bool(name)
        scan = Scan(root_fd=root_fd, place=place, follow=follow, ignored=matcher(ignore), skip=identities(store.root))
        runs = one_file(root_fd, name, path) if name else scan.runs()
        presence = None if link else Presence(store)
        with closing(Files(root_fd, place=place, follow=follow)) as files:
            with Rolling(store) as rolling, Taker(files, rolling, presence, teller) as taker:
                adding = _Adding(session, rolling, taker, presence, clock=lambda: clock_ns(root_fd))
                tree = adding.tree(Ahead(runs), teller)
            adding.settle(ended=True)
    teller.end()
    return Added(
        tree=tree,
        hashed_files=taker.hashed_files,
        reused_files=taker.reused_files,
        new_bytes=rolling.new_bytes,
        recipes=taker.recipes,
        notes=tuple(scan.notes),
    )


@final
class _Adding:
    """The way from a walk to a tree: each shard is known as it is, or put together anew."""

    def __init__(
        self,
        session: Session,
        rolling: Rolling,
        taker: Taker,
        presence: Presence | None,
        *,
        clock: Callable[[], int],
    ) -> None:
        self._session = session
        self._rolling = rolling
        self._taker = taker
        self._presence = presence
        self._clock = clock
        self._waiting: list[tuple[Chunk, int] | bytes] = []

    def tree(self, ahead: Ahead, teller: Teller) -> TreeInfo:
        writer = TreeWriter(self._rolling)
        while ahead.fill():
            chunk = self._session.at(ahead.paths[0])
            if chunk is not None and ahead.begins_with(chunk) and (ref := self._in_store(chunk)):
                writer.known(ref)
                ahead.drop(chunk.files)
                self._waiting.append(chunk.last)
                self._taker.reused_files += chunk.files
                teller.count(chunk.files, chunk.size_bytes)
            else:
                count = shard_length(ahead.paths)
                paths, stats = ahead.drop(count or len(ahead.paths))
                self._take(writer, Segment(paths, stats), chunk, closed=count is not None)
        return writer.end()

    def _in_store(self, chunk: Chunk) -> ShardRef | None:
        """The shard of unchanged files, when that and the files are in the store."""
        digest = f"b3:{(chunk.shard or b'').hex()}"
        if chunk.shard is None or digest not in self._rolling.batch:
            return None
        if self._presence is not None and (
            chunk.packs is None or chunk.loose is None or not self._presence.still(chunk.packs, chunk.loose)
        ):
            return None
        return ShardRef(digest, chunk.files, chunk.size_bytes, chunk.first)

    def _take(self, writer: TreeWriter, segment: Segment, known: Chunk | None, *, closed: bool) -> None:
        taken_ns = self._clock()
        rows = self._session.known(segment.paths[0], segment.paths[-1])
        for done in self._taker.take(segment, rows):
            self._waiting.append((segment.chunk(done), taken_ns))
            self._turn()
        ref = writer.shard(segment.entries())
        chunk = replace(segment.chunk(len(segment.paths)), shard=bytes.fromhex(ref.digest[3:]), closed=closed)
        self._waiting.append((self._with_holders(chunk, known), taken_ns))
        if self._rolling.is_due:
            self._turn()

    def _with_holders(self, chunk: Chunk, known: Chunk | None) -> Chunk:
        # Who links a folder that was added says nothing of where its blobs lie, and forgets nothing.
        if self._presence is None and known is not None and known.hashes == chunk.hashes:
            return replace(chunk, packs=known.packs, loose=known.loose)
        return chunk

    def _turn(self) -> None:
        self._rolling.turn()
        self.settle()

    def settle(self, *, ended: bool = False) -> None:
        """Tell the stat cache of what is durable now."""
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if isinstance(each, bytes):
                self._session.passed(each)
                continue
            chunk, taken_ns = each
            if self._presence is not None:
                chunk = replace(chunk, **self._presence.holders(chunk.names())._asdict())
            self._session.save(chunk, taken_ns=taken_ns)
        self._session.flush(ended=ended)
        if self._presence is not None:
            self._presence.renew()


@contextmanager
def opened(path: Path) -> Iterator[tuple[int, bytes]]:
    """A folder as a descriptor; a file as that of its folder, and its name.

    Raises:
        NotFound, StorageError, Unsafe: see `add_tree`.
    """
    try:
        mode = os.stat(path).st_mode
        folder = path if stat.S_ISDIR(mode) else path.absolute().parent
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            why = "it is a link that leads nowhere" if path.is_symlink() else ""
            raise NotFound(f"there is no {escape(os.fsencode(path))}", why=why, do="look for a slip in it") from error
        raise unreadable(escape(os.fsencode(path)), error) from error
    try:
        if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
            raise no_file(escape(os.fsencode(path)), mode)
        yield fd, b"" if stat.S_ISDIR(mode) else os.fsencode(path.absolute().name)
    finally:
        os.close(fd)


def one_file(folder_fd: int, name: bytes, path: Path) -> Iterator[Run]:
    """A single file as a walk."""
    try:
        yield Run(b"", [name], [packed(os.stat(name, dir_fd=folder_fd))])
    except OSError as error:
        raise unreadable(str(path), error) from error


def identities(*paths: Path) -> frozenset[tuple[int, int]]:
    """Device and inode of those of these folders that are there."""
    found = set()
    for path in paths:
        try:
            seen = os.stat(path)
        except OSError:
            continue
        found.add((seen.st_dev, seen.st_ino))
    return frozenset(found)
