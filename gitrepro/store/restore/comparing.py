"""A folder beside a tree: what is gone, what was changed, what came in addition."""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, final

from ...errors import UsageError
from ...records.manifest import FOLDER, LINK, FileEntry, Sequenced, ShardRef, shard_length
from ..ingest.adding import identities, one_file, opened
from ..ingest.ahead import Ahead
from ..ingest.segment import mode_of
from ..objects import BlobStore, digest_of
from ..progress import Progress, Teller
from ..reading import Files
from ..scan import Scan, matcher
from ..statcache import STAT, Chunk, Session, StatCache, clock_ns
from ..trees import read_root, read_shard

SAMPLED_FILES: Final = 100
How = Literal["stat", "sample", "full"]
Row = tuple[bytes, bytes, bytes]  # path, packed stat, hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """How a folder differs from a tree; paths as the tree has them, ascending.

    `checked_files` have the right bytes: they were hashed now, or before and not written to since. Of `unknown_files`
    nothing is known but that they have the right size.
    """

    missing: tuple[bytes, ...]
    changed: tuple[bytes, ...]
    added: tuple[bytes, ...]
    checked_files: int
    unknown_files: int

    @property
    def is_same(self) -> bool:
        """Whether nothing was found to differ."""
        return not (self.missing or self.changed or self.added)


def compare_tree(
    store: BlobStore,
    statcache: StatCache,
    digest: str,
    path: Path,
    *,
    how: How,
    follow: bool = False,
    ignore: Sequence[str] = (),
    seed: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Compared:
    """Compare a folder, or a file, with a tree.

    Args:
        how: `stat` hashes only files that were written to since they were last hashed; `sample` some more, drawn at
            random; `full` all.
        follow, ignore: what the tree was added with.
        seed: which files `sample` draws; others each time when None.

    Raises:
        NotFound: there is no such path.
        BlobMissing, Damaged: the tree itself cannot be read.
        SourceChanged: a file is written to again and again. StorageError: one cannot be read.
    """
    if how not in ("stat", "sample", "full"):
        raise UsageError(f"{how!r} is no way to compare", do="one of stat, sample, full")
    root = read_root(store, digest)
    with opened(path) as (root_fd, name), statcache.session(root_fd, of=name) as session:
        place = str(path.parent if name else path)
        follow = follow or bool(name)
        scan = Scan(root_fd=root_fd, place=place, follow=follow, ignored=matcher(ignore), skip=identities(store.root))
        ahead = Ahead(one_file(root_fd, name, path) if name else scan.runs())
        teller = Teller(progress, files=root.files, size_bytes=root.size_bytes)
        count = min(SAMPLED_FILES, root.files) if how == "sample" else 0
        drawn = sorted(random.Random(seed).sample(range(root.files), count))
        with closing(Files(root_fd, place=place, follow=follow)) as files:
            comparing = _Comparing(
                store, session, files, drawn, teller, clock=lambda: clock_ns(root_fd), full=how == "full"
            )
            comparing.all(ahead, root.shards, Sequenced(digest[:15]))
    teller.end()
    return comparing.found()


@final
class _Comparing:
    """Goes through the folder and the shards side by side."""

    def __init__(
        self,
        store: BlobStore,
        session: Session,
        files: Files,
        drawn: Sequence[int],
        teller: Teller,
        *,
        clock: Callable[[], int],
        full: bool,
    ) -> None:
        self._store = store
        self._session = session
        self._files = files
        self._drawn = drawn
        self._teller = teller
        self._clock = clock
        self._full = full
        self._missing: list[bytes] = []
        self._changed: list[bytes] = []
        self._added: list[bytes] = []
        self._checked = 0
        self._unknown = 0
        self._hashed = False

    def all(self, ahead: Ahead, refs: Sequence[ShardRef], judge: Sequenced) -> None:
        number = 0
        for at, ref in enumerate(refs):
            drawn = self._drawn[bisect_left(self._drawn, number) : bisect_left(self._drawn, number + ref.files)]
            if not self._is_known(ahead, ref, [each - number for each in drawn]):
                entries = read_shard(self._store, ref)
                judge.take(entries, ref)
                end = refs[at + 1].first if at + 1 < len(refs) else None
                self._shard(ahead, ref, entries, end, {entries[each - number].path for each in drawn})
            number += ref.files
        while ahead.fill():
            self._added += ahead.drop(len(ahead.paths))[0]
        self._session.flush()

    def found(self) -> Compared:
        return Compared(
            missing=tuple(self._missing),
            changed=tuple(self._changed),
            added=tuple(self._added),
            checked_files=self._checked,
            unknown_files=self._unknown,
        )

    def _is_known(self, ahead: Ahead, ref: ShardRef, drawn: Sequence[int]) -> bool:
        """Whether the next files are as the stat cache knows them, and this shard is of them."""
        if self._full or not ahead.fill() or ahead.paths[0] != ref.first:
            return False
        chunk = self._session.at(ref.first)
        if chunk is None or f"b3:{(chunk.shard or b'').hex()}" != ref.digest or not ahead.is_as(chunk):
            return False
        rows = list(chunk.rows()) if drawn else []
        wrong = [path for path, stat, name in (rows[at] for at in drawn) if self._is_wrong(path, stat, name)]
        self._changed += wrong
        ahead.drop(chunk.files)
        self._checked += chunk.files - len(wrong)
        self._teller.count(chunk.files, chunk.size_bytes)
        self._session.passed(chunk.last)
        return True

    def _is_wrong(self, path: bytes, stat: bytes, name: bytes) -> bool:
        """Whether a file that was not written to since it was hashed has other bytes all the same: a failing disk."""
        return mode_of(stat) not in (LINK, FOLDER) and self._files.hash(path).name != name

    def _shard(
        self, ahead: Ahead, ref: ShardRef, entries: list[FileEntry], end: bytes | None, drawn: set[bytes]
    ) -> None:
        """Compare the entries of one shard with all files before `end`."""
        done, ended = 0, False
        while not ended:
            ahead.fill()
            count = ahead.before(end)
            ended = count < len(ahead.paths) or ahead.ended
            paths, stats = ahead.drop(count)
            upto = len(entries) if ended else bisect_right(entries, paths[-1], key=lambda entry: entry.path)
            self._stretch(entries[done:upto], paths, stats, drawn, ref)
            done = upto

    def _stretch(
        self, entries: list[FileEntry], paths: list[bytes], stats: list[bytes], drawn: set[bytes], ref: ShardRef
    ) -> None:
        taken_ns = self._clock()
        known = self._session.known(paths[0], paths[-1]) if paths else {}
        there = dict(zip(paths, stats, strict=True))
        rows: list[Row] = []
        self._hashed, differing = False, len(self._missing) + len(self._changed)
        for entry in entries:
            stat = there.pop(entry.path, None)
            if stat is None:
                self._miss(entry)
            else:
                self._compare(entry, stat, known, rows, must=self._full or entry.path in drawn)
            self._teller.count(1, entry.size_bytes)
        self._added += there
        if rows:
            same = len(self._missing) + len(self._changed) == differing
            is_whole = same and not there and len(rows) == len(entries) == ref.files
            self._save(rows, ref if is_whole else None, taken_ns)

    def _miss(self, entry: FileEntry) -> None:
        if entry.mode == FOLDER:
            try:
                seen = self._files.lstat(entry.path[:-1])
            except NotADirectoryError:
                seen = None
            if seen is not None and seen.st_mode & 0o170000 == 0o040000:
                return  # it has files now, and these are told of
        self._missing.append(entry.path)

    def _compare(
        self, entry: FileEntry, stat: bytes, known: Mapping[bytes, tuple[bytes, bytes]], rows: list[Row], *, must: bool
    ) -> None:
        mode = mode_of(stat)
        row = known.get(entry.path)
        if mode != entry.mode or (mode not in (LINK, FOLDER) and STAT.unpack(stat)[2] != entry.size_bytes):
            self._changed.append(entry.path)
        elif mode == FOLDER:
            self._judge(entry, entry.digest, stat, rows)
        elif mode == LINK:
            self._judge(entry, digest_of([self._files.link(entry.path)]), stat, rows)
        elif row is not None and row[0] == stat and not must:
            self._judge(entry, f"b3:{row[1].hex()}", stat, rows)
        elif row is not None or must:
            hashed = self._files.hash(entry.path)
            self._hashed = True
            self._judge(entry, f"b3:{hashed.name.hex()}", hashed.stat, rows)
        else:
            self._unknown += 1

    def _judge(self, entry: FileEntry, digest: str, stat: bytes, rows: list[Row]) -> None:
        rows.append((entry.path, stat, bytes.fromhex(digest[3:])))
        if digest == entry.digest:
            self._checked += 1
        else:
            self._changed.append(entry.path)

    def _save(self, rows: list[Row], ref: ShardRef | None, taken_ns: int) -> None:
        """Let the stat cache know what was found out; nothing when that was nothing new."""
        paths, stats, names = zip(*rows, strict=True)
        old = self._session.at(paths[0])
        if not self._hashed and (old is None or old.shard is not None or ref is None):
            self._session.passed(paths[-1])
            return
        chunk = Chunk(
            paths=b"\0".join(paths),
            stats=b"".join(stats),
            hashes=b"".join(names),
            size_bytes=sum(STAT.unpack(stat)[2] for stat in stats),
            shard=bytes.fromhex(ref.digest[3:]) if ref else None,
            closed=ref is not None and shard_length(paths) is not None,
        )
        self._session.save(chunk, taken_ns=taken_ns)
