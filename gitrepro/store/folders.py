"""Folders below one, opened part by part: no link on the way is followed, and no rename in between leads elsewhere."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Final, final

_OPEN_AT_MOST: Final = 64


@final
class Folders:
    """Open descriptors of the folder that was asked for last and of those above it, at most 64 of them.

    Args:
        root_fd: the folder that all paths begin at; it stays the caller's.
        follow: follow links on the way.
        make: make folders that are not there.
    """

    def __init__(self, root_fd: int, *, follow: bool = False, make: bool = False) -> None:
        self._fds = [root_fd]
        self._prefixes = [b""]
        self._flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
        self._make = make

    def at(self, prefix: bytes) -> int:
        """The descriptor of the folder `a/b/`; of the root for no bytes. Good until another one is asked for.

        Raises:
            OSError: it is not there, or no folder; a link is no folder.
        """
        while not prefix.startswith(self._prefixes[-1]):
            self._leave()
        here = self._prefixes[-1]
        if len(here) < len(prefix):
            for name in prefix[len(here) : -1].split(b"/"):
                self._enter(name)
        return self._fds[-1]

    def parent(self, path: bytes) -> tuple[int, bytes]:
        """The folder that a file lies in, and the file's name there. Raises as `at` does."""
        cut = path.rfind(b"/") + 1
        prefix = path[:cut]
        # Nearly always it is the folder of the file before.
        return self._fds[-1] if prefix == self._prefixes[-1] else self.at(prefix), path[cut:]

    def _enter(self, name: bytes) -> None:
        above = self._fds[-1]
        try:
            fd = os.open(name, self._flags, dir_fd=above)
        except FileNotFoundError:
            if not self._make:
                raise
            os.mkdir(name, dir_fd=above)
            fd = os.open(name, self._flags, dir_fd=above)
        prefix = self._prefixes[-1] + name + b"/"
        if len(self._fds) == _OPEN_AT_MOST:
            # Very deep: the way back up to here is walked again.
            self._leave()
        self._fds.append(fd)
        self._prefixes.append(prefix)

    def _leave(self) -> None:
        os.close(self._fds.pop())
        self._prefixes.pop()

    def close(self) -> None:
        while len(self._fds) > 1:
            self._leave()

    def __enter__(self) -> Folders:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
