"""What stands where a tree is to be laid out: whether it is that file already, and whether it may be replaced."""

from __future__ import annotations

import enum
import os
import stat
from collections.abc import Mapping
from typing import Final, NamedTuple, final

from ...errors import Conflict
from ...records.filename import escape
from ...records.manifest import FILE, FOLDER, LINK, PROGRAM
from ..objects import BlobStore, digest_of
from ..reading import Files
from ..statcache import packed
from ..trees import FileEntry
from .layout import Layout

_NAMED_AT_MOST: Final = 10


@final
class Named:
    """Paths to be told of: all are counted, a few are named."""

    def __init__(self) -> None:
        self.count = 0
        self._first: list[str] = []

    def add(self, path: bytes) -> None:
        self.count += 1
        if len(self._first) < _NAMED_AT_MOST:
            self._first.append(escape(path))

    def __str__(self) -> str:
        more = self.count - len(self._first)
        return ", ".join(self._first) + (f" and {more} more" if more else "")


class Verdict(enum.IntEnum):
    """What is to be done at one path."""

    MISSING = 0  # nothing is there
    KEEP = 1  # it is what is wanted
    REPLACE = 2  # it is something else, whose bytes are in the store, so that nothing is lost
    CONFLICT = 3  # it is something else, and nowhere else
    BLOCKED = 4  # something of another kind stands there, or on the way


class Seen(NamedTuple):
    """A verdict, and the packed stat of what it was made on."""

    verdict: Verdict
    stat: bytes = b""


@final
class Looker:
    """Looks at the files of a folder that may hold what is wanted."""

    def __init__(self, files: Files, store: BlobStore, layout: Layout) -> None:
        self._files = files
        self._layout = layout
        self._store = store

    def look(self, entry: FileEntry, known: Mapping[bytes, tuple[bytes, bytes]]) -> Seen:
        """What to do at the path of an entry.

        Args:
            known: stats and hashes by path, from the stat cache.
        """
        path = self._layout.of(entry.path)
        try:
            found = self._files.lstat(path.removesuffix(b"/"))
        except NotADirectoryError:
            return Seen(Verdict.BLOCKED)
        if found is None:
            return Seen(Verdict.MISSING)
        kind = stat.S_IFMT(found.st_mode)
        if entry.mode == FOLDER:
            return Seen(Verdict.KEEP if kind == stat.S_IFDIR else Verdict.BLOCKED, packed(found))
        if kind == stat.S_IFLNK:
            return self._content(entry, digest_of([self._files.link(path)]), found, is_link=True)
        if kind != stat.S_IFREG:
            return Seen(Verdict.BLOCKED)
        row = known.get(entry.path)
        if row is not None and row[0] == packed(found):
            return self._content(entry, f"b3:{row[1].hex()}", found, is_link=False)
        hashed = self._files.hash(path)
        return self._content(entry, f"b3:{hashed.name.hex()}", found, is_link=False)._replace(stat=hashed.stat)

    def _content(self, entry: FileEntry, digest: str, found: os.stat_result, *, is_link: bool) -> Seen:
        if digest == entry.digest and is_link == (entry.mode == LINK):
            # To change the mode of a file with several names would change that of a blob in the store.
            shared = found.st_nlink > 1 and wants_other_mode(entry, found.st_mode)
            return Seen(Verdict.REPLACE if shared else Verdict.KEEP, packed(found))
        is_ours = self._layout.is_staged(entry.path) or digest in self._store
        return Seen(Verdict.REPLACE if is_ours else Verdict.CONFLICT, packed(found))


def wants_other_mode(entry: FileEntry, stat_mode: int) -> bool:
    """Whether a file is a program and should be none, or the other way round."""
    return entry.mode in (FILE, PROGRAM) and bool(stat_mode & 0o100) != (entry.mode == PROGRAM)


def refuse(place: str, conflicts: Named, blocked: Named) -> None:
    """Raise Conflict where something would be lost."""
    if blocked.count:
        raise Conflict(
            f"cannot lay out {blocked} in {place}",
            why="a folder, a link or a special file stands there, or a link or a file stands where a folder is to be",
            do="move it away, then run the command again; `--force` does not remove it",
        )
    if conflicts.count:
        number = "1 file" if conflicts.count == 1 else f"{conflicts.count} files"
        raise Conflict(
            f"{number} in {place} would be overwritten: {conflicts}",
            why="they differ from the data, and what they hold is not in the store",
            do="move them away, or add them as a version of their own; `--force` overwrites them",
        )
