"""A store remote in a folder: of this machine, or of a file server that is mounted here."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final, final

from ....errors import Damaged, GitreproError, RemoteError
from ....store import fs
from ..driver import PIECE_BYTES, KeyMissing, Listed, checked_key, checked_prefix, counted
from . import below

_STALE_SECONDS: Final = 24 * 3600
_INTO: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_REPAIR: Final = {
    errno.ENOSPC: "free some space there, then run the command again",
    errno.EDQUOT: "free some of your quota there, then run the command again",
    errno.EROFS: "it is read-only: push to another store remote, or remount it",
    errno.EACCES: "ask whose folder it is for permission (`ls -ld` shows who has it)",
    errno.EPERM: "ask whose folder it is for permission (`ls -ld` and `lsattr -d` show who has it)",
    errno.ESTALE: "the file server has gone or come anew: mount it again, then run the command again",
}


@final
class DirectoryDriver:
    """Keeps each key as a file below `root`, which may be made by the first write; its parent must be there.

    A file is written under a name of its own in `incoming/`, synced, and linked to its key, so that a key has all of
    its bytes or is not there, whatever dies. Links below `root` are not followed. Other users of the folder get what
    its own mode gives them.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = str(root)
        self.read_only = False
        self.parallel = 4
        self._swept = False

    # -- reading

    def read(self, key: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        fd = self._open(checked_key(key))
        try:
            left = length
            while left is None or left > 0:
                with self._explained(f"cannot read {key}"):
                    part = os.pread(fd, PIECE_BYTES if left is None else min(left, PIECE_BYTES), start)
                if not part:
                    return
                yield part
                start += len(part)
                left = None if left is None else left - len(part)
        finally:
            os.close(fd)

    def size(self, key: str) -> int | None:
        try:
            fd = self._open(checked_key(key))
        except KeyMissing:
            return None
        try:
            return os.fstat(fd).st_size
        finally:
            os.close(fd)

    def _open(self, key: str) -> int:
        *folders, name = key.split("/")
        try:
            with self._explained(f"cannot read {key}", may_be_missing=True):
                fd = self._open_below(folders, name)
        except FileNotFoundError:
            raise KeyMissing(key) from None
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise self._no_file(key)
        return fd

    def _open_below(self, folders: list[str], name: str) -> int:
        folder = self._enter(folders)
        try:
            return os.open(name, below.READ, dir_fd=folder)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO):
                raise self._no_file("/".join([*folders, name])) from None
            raise
        finally:
            os.close(folder)

    def list(self, prefix: str) -> Iterator[Listed]:
        try:
            with self._explained("cannot list what is", may_be_missing=True):
                folder = self._enter(checked_prefix(prefix).split("/")[:-1])
                try:
                    return iter(list(below.listed(folder, prefix)))
                finally:
                    os.close(folder)
        except FileNotFoundError:
            return iter(())

    # -- writing

    def write(self, key: str, parts: Iterable[bytes | memoryview], size_bytes: int) -> None:
        *folders, name = checked_key(key).split("/")
        what = f"cannot write {key}"
        with self._temporary(what, name) as (temporary, fd, incoming):
            for part in counted(parts, size_bytes, key=key):
                with self._explained(what):
                    fs.write_all(fd, part)  # type: ignore[arg-type]  # any buffer will do
            with self._explained(what):
                os.fchmod(fd, 0o444)
                os.fsync(fd)
                folder = self._enter(folders, make=True)
                try:
                    below.give_name(fd, temporary, incoming, name, folder)
                finally:
                    os.close(folder)

    @contextmanager
    def _temporary(self, what: str, name: str) -> Iterator[tuple[str, int, int]]:
        """A new file in `incoming/`, gone afterwards: its name, itself, and the folder."""
        temporary = fs.temporary_name(name)
        with ExitStack() as stack:
            with self._explained(what):
                self._make_root()
                incoming = self._enter([below.INCOMING], make=True)
                stack.callback(os.close, incoming)
                self._sweep(incoming)
                fd = os.open(temporary, _NEW, 0o600, dir_fd=incoming)
                stack.callback(os.close, fd)
                stack.callback(below.unlink, temporary, incoming)
            yield temporary, fd, incoming

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            *folders, name = checked_key(key).split("/")
            with suppress(FileNotFoundError), self._explained(f"cannot delete {key}", may_be_missing=True):
                folder = self._enter(folders)
                try:
                    os.unlink(name, dir_fd=folder)
                    below.sync(folder)
                finally:
                    os.close(folder)

    def close(self) -> None:
        """Nothing is held open."""

    def _make_root(self) -> None:
        with suppress(FileExistsError):
            self.root.mkdir()
            fs.sync_directory(self.root.parent)

    def _sweep(self, incoming: int) -> None:
        """Once, remove what writers left behind that have been dead for a day. The clock is that of the file server."""
        if self._swept:
            return
        self._swept = True
        with suppress(PermissionError):
            os.utime(incoming)
            stale = os.fstat(incoming).st_mtime - _STALE_SECONDS
            for name in os.listdir(incoming):
                with suppress(FileNotFoundError, PermissionError, IsADirectoryError):
                    if name.startswith(".tmp-") and below.touched(name, incoming) < stale:
                        os.unlink(name, dir_fd=incoming)

    # -- the folders

    def _enter(self, names: Sequence[str], *, make: bool = False) -> int:
        """The folder below the root, opened name by name so that no link leads out of it."""
        fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for name in names:
            try:
                if make:
                    below.make_folder(name, fd)
                inner = os.open(name, _INTO, dir_fd=fd)
            finally:
                os.close(fd)
            fd = inner
        return fd

    @contextmanager
    def _explained(self, what: str, *, may_be_missing: bool = False) -> Iterator[None]:
        """Turn an OSError into a RemoteError; not FileNotFoundError where the caller says what it means."""
        try:
            yield
        except GitreproError:
            raise
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not self.root.parent.is_dir():
                raise RemoteError(
                    f"the store remote {self.root} is not there",
                    why=f"there is no folder {self.root.parent}",
                    do="mount what it lies on, or make the folder; `gitrepro remote ls` shows where it is looked for",
                ) from error
            if isinstance(error, FileNotFoundError) and may_be_missing:
                raise
            do = _REPAIR.get(error.errno or 0, "run the command again")
            why = error.strerror or str(error)
            raise RemoteError(f"{what} in the store remote {self.root}", why=why, do=do) from error

    def _no_file(self, key: str) -> Damaged:
        return Damaged(
            f"{key} in the store remote {self.root} is no plain file",
            why="a link, a folder or a device stands in its place, and is not followed",
            do=f"look at {self.root / key}, and remove it if nobody needs it",
        )
