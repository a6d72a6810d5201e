"""A tree out of the store, laid out as files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from ...errors import BlobMissing, Damaged
from ...records.manifest import FILE, FOLDER, LINK, PROGRAM, ShardRef
from .. import fs
from ..objects import BlobStore
from ..progress import Progress, Teller
from ..reading import Files
from ..statcache import NEVER, STAT, StatCache
from ..trees import FileEntry, read_root, selected, shards
from . import layout as layouts
from . import target as targets
from .looking import Looker, Named, Seen, Verdict, refuse, wants_other_mode
from .saving import Saved
from .writing import Writer

Parts = Iterator[tuple[ShardRef, list[FileEntry]]]


@dataclass(frozen=True, slots=True)
class Restored:
    """How many files were written, how many were there already, and the bytes of those written."""

    written: int
    kept: int
    size_bytes: int


def restore_tree(
    store: BlobStore,
    statcache: StatCache,
    digest: str,
    target: Path,
    *,
    only: Iterable[bytes] | None = None,
    force: bool = False,
    hardlink: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> Restored:
    """Lay out a tree in a folder; what is there already stays, so that a restore that was stopped goes on.

    Each file is hashed on its way, written under a name of ours, and renamed when it is whole. Other files in the
    folder are left alone. A file that differs is replaced when the store has what it holds.

    Args:
        target: the folder; made when it is not there. It may itself be a link.
        only: paths of files, or of folders, to lay out; all when None.
        force: overwrite files whose content the store has not.
        hardlink: make large files one with those of the store, which are read-only. Who writes to them all the same
            damages the store; root can.

    Raises:
        Conflict: files would be lost, and nothing was written; or something came in the way meanwhile.
        BlobMissing, Damaged: blobs are not here, or are wrong; all else was laid out. Or the tree itself is.
        Unsafe: the file system of `target` takes some of the names for one.
        NotFound: one of `only` is not in the tree.
        StorageError: the disk refuses; what is there is whole, and the same command goes on.
    """
    root = read_root(store, digest)
    wanted = None if only is None else list(only)

    def parts() -> Parts:
        return shards(store, digest) if wanted is None else selected(store, digest, wanted)

    with targets.opened(target) as root_fd, fs.explained(f"cannot lay out files in {target}"):
        if targets.takes_for_one(root_fd):
            targets.refuse_collisions((entry for _, found in parts() for entry in found), str(target))
        layout, plan = layouts.plan(root_fd, digest), _Plan()
        if not layout.is_fresh:
            with closing(Files(root_fd, place=str(target))) as files, statcache.session(root_fd) as session:
                saved = Saved(session, root_fd, whole=wanted is None)
                plan = _looked(parts(), Looker(files, store, layout), saved, str(target), force=force)
        totals = (None, None) if wanted is not None else (root.files, root.size_bytes)
        teller = Teller(progress, files=totals[0], size_bytes=totals[1])
        with (
            statcache.session(root_fd) as session,
            Writer(store, root_fd, layout, place=str(target), hardlink=hardlink) as writer,
        ):
            laying = _Laying(writer, plan, teller, Saved(session, root_fd, whole=wanted is None))
            laying.all(parts())
            layouts.publish(root_fd, layout, target)
        teller.end()
    _tell(digest, writer)
    return Restored(laying.written, laying.kept, laying.size_bytes)


def _tell(digest: str, writer: Writer) -> None:
    """Raise what was wrong with blobs, now that all else is there."""
    names = Named()
    for path, _ in (*writer.damaged, *writer.missing):
        names.add(path)
    if not names.count:
        return
    what = (
        f"{names.count} {'file' if names.count == 1 else 'files'} of tree {digest[:15]} could not be laid out: {names}"
    )
    first: Damaged | BlobMissing = (writer.damaged or writer.missing)[0][1]
    raise type(first)(what, why=first.what, do=first.do or "pull the data again; all else was laid out")


@final
@dataclass(slots=True)
class _Plan:
    """What is to be done with each entry, by its number; nothing is there where there are no verdicts."""

    verdicts: bytearray = field(default_factory=bytearray)
    stats: dict[int, bytes] = field(default_factory=dict)  # of files to be replaced

    def not_kept(self, entries: list[FileEntry], number: int) -> list[FileEntry]:
        """Those of the entries from `number` on that have to be written."""
        if not self.verdicts:
            return entries
        verdicts = self.verdicts[number : number + len(entries)]
        return [entry for entry, verdict in zip(entries, verdicts, strict=True) if verdict != Verdict.KEEP]

    def at(self, number: int) -> tuple[Verdict, bytes | None]:
        if not self.verdicts:
            return Verdict.MISSING, None
        return Verdict(self.verdicts[number]), self.stats.get(number)


def _looked(parts: Parts, looker: Looker, saved: Saved, place: str, *, force: bool) -> _Plan:
    """Look at all that is there, before anything is written."""
    plan, conflicts, blocked = _Plan(), Named(), Named()
    for ref, entries in parts:
        known = saved.known(entries)
        rows: list[bytes] = [b""] * len(entries)
        taken_ns = saved.clock_ns()
        for at, entry in enumerate(entries):
            seen = looker.look(entry, known)
            if seen.verdict is Verdict.KEEP and entry.mode in (FILE, PROGRAM):
                rows[at] = seen.stat
            if seen.verdict is Verdict.BLOCKED:
                blocked.add(entry.path)
            elif seen.verdict is Verdict.CONFLICT and not force:
                conflicts.add(entry.path)
            _note(plan, seen)
        saved.add(ref, entries, rows, taken_ns=taken_ns)
        if saved.is_due:
            saved.flush()
    saved.flush()
    refuse(place, conflicts, blocked)
    return plan


def _note(plan: _Plan, seen: Seen) -> None:
    verdict = Verdict.REPLACE if seen.verdict is Verdict.CONFLICT else seen.verdict
    if verdict is Verdict.REPLACE:
        plan.stats[len(plan.verdicts)] = seen.stat
    plan.verdicts.append(verdict)


@final
class _Laying:
    """Goes through the entries: writes, keeps, and leaves links for the end."""

    def __init__(self, writer: Writer, plan: _Plan, teller: Teller, saved: Saved) -> None:
        self._writer = writer
        self._plan = plan
        self._teller = teller
        self._saved = saved
        self._number = 0
        self._links: list[tuple[FileEntry, bytes | None]] = []
        self.written = 0
        self.kept = 0
        self.size_bytes = 0

    def all(self, parts: Parts) -> None:
        for ref, entries in parts:
            self._writer.expect(self._plan.not_kept(entries, self._number))
            # What was found to be right is trusted as far as it was then.
            known = self._saved.known(entries) if self._plan.verdicts else {}
            rows: list[bytes] = [b""] * len(entries)
            for at in self._not_staged(entries, rows):
                self._one(entries[at], rows, at, known)
            self._saved.add(ref, entries, rows)
            if self._saved.is_due:
                self._writer.end()
                self._saved.flush()
        self._writer.end()
        for entry, expected in self._links:
            if self._writer.link(entry, expected):
                self._wrote(entry)
        self._saved.flush()

    def _not_staged(self, entries: list[FileEntry], rows: list[bytes]) -> Iterable[int]:
        """Write what can be written without a look at what is there; the positions of the rest."""
        if self._plan.verdicts:
            return range(len(entries))
        left = self._writer.stage(entries, rows)
        self.written += len(entries) - len(left)
        size_bytes = sum(entry.size_bytes for entry in entries) - sum(entries[at].size_bytes for at in left)
        self.size_bytes += size_bytes
        self._teller.count(len(entries) - len(left), size_bytes)
        return left

    def _one(self, entry: FileEntry, rows: list[bytes], at: int, known: Mapping[bytes, tuple[bytes, bytes]]) -> None:
        verdict, expected = self._plan.at(self._number)
        self._number += 1
        if verdict is Verdict.KEEP:
            self.kept += 1
            self._teller.count(1, entry.size_bytes)
            if entry.mode in (FILE, PROGRAM):
                rows[at] = self._kept(entry, known.get(entry.path, (NEVER, b""))[0])
        elif entry.mode == LINK:
            self._links.append((entry, expected))
        elif entry.mode == FOLDER:
            self._writer.folder(entry.path)
            self._wrote(entry)
        elif stat := self._writer.small(entry, expected):
            rows[at] = stat
            self._wrote(entry)
        else:

            def done(stat: bytes) -> None:
                rows[at] = stat
                self._wrote(entry)

            self._writer.file(entry, expected, done)

    def _kept(self, entry: FileEntry, stat: bytes) -> bytes:
        """What the stat cache may go on believing of a file that is right but, maybe, for its mode."""
        has_mode = stat != NEVER and not wants_other_mode(entry, STAT.unpack(stat)[5])
        return NEVER if not has_mode and self._writer.gave_mode(entry) else stat

    def _wrote(self, entry: FileEntry) -> None:
        self.written += 1
        self.size_bytes += entry.size_bytes
        self._teller.count(1, entry.size_bytes)
