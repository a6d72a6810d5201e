"""What lies in a folder, in the order in which a tree manifest has it, in small memory and at the price of a stat."""

from __future__ import annotations

import os
import stat
import sys
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, final

from ..errors import GitreproError, SourceChanged, StorageError, Unsafe
from ..records.filename import escape
from .folders import Folders
from .statcache import EMPTY_FOLDER, packed

OURS: Final = b".gitrepro-part-"
"""What temporary files in the folders of users begin with."""
_AT_ONCE: Final = 1024
_NAMED_AT_MOST: Final = 20
_ENCODING: Final = sys.getfilesystemencoding()


class Run(NamedTuple):
    """Neighbours in one folder, ascending: `prefix` and each of `names` make a path, and each has a packed stat."""

    prefix: bytes
    names: list[bytes]
    stats: list[bytes]


@final
@dataclass(slots=True)
class _Frame:
    """A folder that is being walked through: its names, and how many of them are behind us."""

    prefix: bytes
    names: list[bytes]
    identity: tuple[int, int]
    at: int = 0


@final
@dataclass(slots=True, kw_only=True)
class Scan:
    """Walks through a folder.

    Args:
        root_fd: the folder, open.
        place: how it is called, for messages.
        follow: take a link as what it leads to.
        ignored: what to leave out; it is asked with a path, which ends with a slash for a folder.
        skip: folders to leave out, as (device, inode).
    """

    root_fd: int
    place: str
    follow: bool = False
    ignored: Callable[[bytes], bool] | None = None
    skip: frozenset[tuple[int, int]] = frozenset()
    notes: list[str] = field(default_factory=list)
    """What the user should know of: names that some file systems take for one another, folders left out."""
    _collisions: int = 0

    def runs(self) -> Iterator[Run]:
        """All files, links, empty folders (with a slash at the end) and whatever else there is.

        Raises:
            StorageError: a folder cannot be read.
            Unsafe: with `follow`, a link leads nowhere, or back to where it lies.
            SourceChanged: a folder is gone meanwhile.
        """
        with Folders(self.root_fd, follow=self.follow) as folders:
            stack = [self._entered(folders, b"", ())]
            while stack:
                frame = stack[-1]
                if frame is None or frame.at == len(frame.names):
                    stack.pop()
                    continue
                yield from self._files(folders, frame)
                if frame.at < len(frame.names):
                    below = frame.prefix + frame.names[frame.at]
                    frame.at += 1
                    inside = self._entered(folders, below, stack)
                    if inside is None:
                        continue
                    if not inside.names:
                        yield Run(frame.prefix, [below[len(frame.prefix) :]], [EMPTY_FOLDER])
                    stack.append(inside)

    def _files(self, folders: Folders, frame: _Frame) -> Iterator[Run]:
        """The files up to the next folder; in parts, so that a folder of a million costs no more than their names."""
        names = frame.names
        while frame.at < len(names) and not names[frame.at].endswith(b"/"):
            fd = self._opened(folders, frame.prefix)
            found, stats = list[bytes](), list[bytes]()
            look, keep = os.stat, stats.append
            end = min(len(names), frame.at + _AT_ONCE)
            for at in range(frame.at, end):
                name = names[at]
                if name[-1] == 47:
                    end = at
                    break
                try:
                    keep(packed(look(name, dir_fd=fd, follow_symlinks=self.follow)))
                except OSError as error:
                    if self._is_gone(fd, frame.prefix + name, name, error):
                        continue
                found.append(name)
            frame.at = end
            if found:
                yield Run(frame.prefix, found, stats)

    def _is_gone(self, fd: int, path: bytes, name: bytes, error: OSError) -> bool:
        if not isinstance(error, FileNotFoundError) and not self.follow:
            raise self._unreadable(path, error) from error
        try:
            os.stat(name, dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:
            return True
        raise Unsafe(
            f"the link {self.name(path)} leads nowhere",
            why=error.strerror or str(error),
            do="remove it, or leave it out with --ignore",
        ) from error

    def _entered(self, folders: Folders, prefix: bytes, above: Sequence[_Frame | None]) -> _Frame | None:
        """The folder at `prefix`, with what is in it in order; None for one that is left out."""
        fd = self._opened(folders, prefix)
        seen = os.fstat(fd)
        identity = seen.st_dev, seen.st_ino
        if identity in self.skip and prefix:
            self.notes.append(f"{self.name(prefix)} is left out: the content store is in it")
            return None
        if self.follow and any(frame is not None and frame.identity == identity for frame in above):
            raise Unsafe(
                f"the link {self.name(prefix)} leads back to a folder above it",
                why="what lies below it has no end",
                do="leave it out with --ignore, or keep links as links: do without --follow",
            )
        try:
            return _Frame(prefix, self._listed(fd, prefix), identity)
        except OSError as error:
            raise self._unreadable(prefix, error) from error

    def _opened(self, folders: Folders, prefix: bytes) -> int:
        try:
            return folders.at(prefix)
        except FileNotFoundError as error:
            raise self._changed(prefix) from error
        except OSError as error:
            raise self._unreadable(prefix, error) from error

    def _listed(self, fd: int, prefix: bytes) -> list[bytes]:
        follow = self.follow
        with os.scandir(fd) as found:
            texts = [
                # The slash puts a folder where its files belong among the others.
                entry.name + "/" if entry.is_dir(follow_symlinks=follow) else entry.name
                for entry in found
            ]
        if not texts:
            return []
        # All at once: a call for each name costs as much as the stat.
        names = "\0".join(texts).encode(_ENCODING, "surrogateescape").split(b"\0")
        names.sort()
        _leave_out(names)
        if self.ignored is not None:
            ignored = self.ignored
            names = [name for name in names if not ignored(prefix + name)]
        self._look_for_collisions(names, prefix)
        return names

    def _look_for_collisions(self, names: list[bytes], prefix: bytes) -> None:
        joined = b"/".join(names)
        if joined.isascii() and joined == joined.lower():
            return
        known: dict[str, bytes] = {}
        for name in names:
            other = known.setdefault(folded(name), name)
            if other is not name:
                self._collisions += 1
                if self._collisions <= _NAMED_AT_MOST:
                    one, two = (self.name(prefix + each) for each in (other, name))
                    self.notes.append(f"{one} and {two} are one name to macOS or Windows")

    # -- in words

    def name(self, path: bytes) -> str:
        """A path as a person finds it."""
        return f"{self.place}/{escape(path)}".removesuffix("/")

    def _unreadable(self, path: bytes, error: OSError) -> GitreproError:
        return unreadable(self.name(path), error)

    def _changed(self, path: bytes) -> SourceChanged:
        return gone(self.name(path))


def unreadable(name: str, error: OSError) -> StorageError:
    return StorageError(
        f"cannot read {name}",
        why=error.strerror or str(error),
        do="make it readable (`chmod u+r`, for a folder `chmod u+rx`), or leave it out with --ignore",
    )


def gone(name: str) -> SourceChanged:
    return SourceChanged(
        f"{name} is gone, or something else, since the folder was listed",
        why="another program writes there",
        do="let it end, then run the command again",
    )


def folded(name: bytes) -> str:
    """What is equal for names that a file system without cases, or with normal forms, takes for one."""
    if name.isascii():
        return name.lower().decode("ascii")
    text = unicodedata.normalize("NFC", name.decode("utf-8", "surrogateescape")).casefold()
    return unicodedata.normalize("NFC", text)


def kind_of(mode: int) -> str:
    """What stands in the way: `a pipe`, `a socket`, `a device`."""
    if stat.S_ISFIFO(mode):
        return "a pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def _leave_out(names: list[bytes]) -> None:
    """Take Git's folder, or the file that stands for it, and our own temporary files out of ascending names."""
    at = bisect_left(names, b".git")
    while at < len(names) and names[at].startswith(b".git"):
        if names[at] in (b".git", b".git/") or names[at].startswith(OURS):
            del names[at]
        else:
            at += 1


def matcher(patterns: Sequence[str]) -> Callable[[bytes], bool] | None:
    """What answers whether a path is to be left out, by shell patterns; None where there are no patterns.

    A pattern with a slash is held against the whole path, any other against each last part; one that ends with a slash
    is for folders only. `*` goes over slashes too.
    """
    if not patterns:
        return None
    import fnmatch
    import re

    compiled = re.compile("|".join(fnmatch.translate(form) for pattern in patterns for form in _forms(pattern)))

    def ignored(path: bytes) -> bool:
        return compiled.match("/" + path.decode("utf-8", "surrogateescape")) is not None

    return ignored


def _forms(pattern: str) -> list[str]:
    bare = pattern.rstrip("/")
    anywhere = "" if "/" in bare else "*"
    form = f"{anywhere}/{bare.removeprefix('/')}"
    return [f"{form}/"] if pattern.endswith("/") else [form, f"{form}/"]
