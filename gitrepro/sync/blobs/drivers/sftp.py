"""What is said over one line to a far side that has no gitrepro: SFTP, version 3, as OpenSSH speaks it."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final, final

from ....errors import Damaged, GitreproError, RemoteError, UsageError
from ....store import fs
from ..driver import KeyMissing, Listed, checked_key, counted
from . import sftp_packets as packets
from .sftp_packets import Attributes, Failed, NotThere, Packets
from .ssh_line import Cut, Line

_BLOCK_BYTES: Final = 32 << 10  # what every server must take
_ON_THE_WAY: Final = 64
_STALE_SECONDS: Final = 24 * 3600
_INCOMING: Final = "incoming"


@final
class SftpSession:
    """A session with an SFTP server, in the folder `root` there, which may be made by the first write.

    A file is written in `incoming/`, synced where the server can, and renamed to its key.
    """

    def __init__(self, line: Line, root: str) -> None:
        self.line = line
        self.is_idle = True
        self._packets = Packets(line)
        self._root = root
        self._folders = set[str]()
        self._swept = False

    def greet(self) -> None:
        """Agree on the version. To be called once, first. Raises Cut, and RemoteError where it is another."""
        self._packets.greet()

    # -- reading

    def read(self, key: str, start: int, length: int | None) -> Iterator[bytes]:
        size_bytes = self.size(key)
        if size_bytes is None:
            raise KeyMissing(key)
        end = size_bytes if length is None else min(size_bytes, start + length)
        if start >= end:
            return
        self.is_idle = False
        handle = self._packets.open(self._at(key), packets.TO_READ)
        yield from self._blocks(handle, start, end)
        self._packets.close(handle)
        self.is_idle = True

    def _blocks(self, handle: bytes, start: int, end: int) -> Iterator[bytes]:
        waiting = deque[tuple[int, int, int]]()  # where from, how much, the number of the request
        while start < end or waiting:
            while start < end and len(waiting) < _ON_THE_WAY:
                size = min(_BLOCK_BYTES, end - start)
                waiting.append((start, size, self._packets.ask_block(handle, start, size)))
                start += size
            at, size, number = waiting.popleft()
            block = self._packets.block(number)
            if not block or len(block) > size:
                raise self._shrunk()
            if (left := size - len(block)) > 0:
                number = self._packets.ask_block(handle, at + len(block), left)
                waiting.appendleft((at + len(block), left, number))
            yield block

    def size(self, key: str) -> int | None:
        try:
            found = self._packets.attributes(self._at(key))
        except NotThere:
            return None
        except Failed as error:
            raise self._refused(f"cannot read {key}", error) from error
        if not stat.S_ISREG(found.mode):
            raise self._no_file(key)
        return found.size_bytes

    def list(self, prefix: str) -> Iterator[Listed]:
        self.is_idle = False
        waiting = [prefix]
        while waiting:
            folder = waiting.pop()
            for name, found in self._entries(folder):
                if stat.S_ISDIR(found.mode) and (folder, name) != ("", _INCOMING):
                    waiting.append(f"{folder}{name}/")
                elif stat.S_ISREG(found.mode) and _is_key(folder + name):
                    yield Listed(folder + name, found.size_bytes, found.modified_at)
        self.is_idle = True

    def _entries(self, folder: str) -> Sequence[tuple[str, Attributes]]:
        try:
            return [each for each in self._packets.entries(self._at(folder)) if not each[0].startswith(".")]
        except NotThere:
            return []
        except Failed as error:
            raise self._refused("cannot list what is", error) from error

    # -- writing

    def write(self, key: str, parts: Iterable[bytes | memoryview], size_bytes: int) -> None:
        what = f"cannot write {key}"
        try:
            self._make_folders()
            temporary = self._at(f"{_INCOMING}/{os.path.basename(fs.temporary_name(key.replace('/', '-')))}")  # noqa: PTH119
            handle = self._packets.open(temporary, packets.TO_WRITE_ANEW, mode=0o600)
        except (NotThere, Failed) as error:
            raise self._refused(what, error) from error
        try:
            self._fill(handle, temporary, counted(parts, size_bytes, key=key))
            self._give_name(temporary, key)
        except Cut:
            raise
        except (NotThere, Failed) as error:
            self._take_back(handle, temporary)
            raise self._refused(what, error) from error
        except BaseException:
            self._take_back(handle, temporary)
            raise

    def _fill(self, handle: bytes, temporary: str, parts: Iterable[bytes | memoryview]) -> None:
        self.is_idle = False
        at, waiting = 0, deque[int]()
        for block in _blocks(parts):
            waiting.append(self._packets.ask_write(handle, at, block))
            at += len(block)
            if len(waiting) > _ON_THE_WAY:
                self._packets.done(waiting.popleft())
        for number in waiting:
            self._packets.done(number)
        self._packets.set_mode(handle, 0o444)
        if packets.SYNC in self._packets.offered:
            self._packets.sync(handle)
        self._packets.close(handle)
        self.is_idle = True
        if not self._swept:
            self._swept = True
            self._sweep(temporary)

    def _give_name(self, temporary: str, key: str) -> None:
        self._make_folder(key.rpartition("/")[0])
        if packets.REPLACE in self._packets.offered:
            return self._packets.replace(temporary, self._at(key))
        # Without it a name that is taken cannot be taken in one step: for a moment there is nothing under the key.
        try:
            self._packets.rename(temporary, self._at(key))
        except Failed:
            with suppress(NotThere):
                self._packets.remove(self._at(key))
            self._packets.rename(temporary, self._at(key))

    def _take_back(self, handle: bytes, temporary: str) -> None:
        """Leave nothing of a file that got no name. Where the line breaks it is swept a day later."""
        with suppress(Cut, NotThere, Failed, GitreproError):
            self._packets.settle()
            with suppress(Failed, NotThere):
                self._packets.close(handle)
            with suppress(NotThere):
                self._packets.remove(temporary)
            self.is_idle = True

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            try:
                self._packets.remove(self._at(key))
            except NotThere:
                pass
            except Failed as error:
                raise self._refused(f"cannot delete {key}", error) from error

    # -- folders

    def _make_folders(self) -> None:
        if "" not in self._folders:
            self._make(self._root)
            self._folders.add("")
        self._make_folder(_INCOMING)

    def _make_folder(self, folder: str) -> None:
        if folder in self._folders:
            return
        self._make_folder(folder.rpartition("/")[0])
        if self._make(self._at(folder)):
            # What a team may do in the root it may do below: the umask of who comes first does not decide.
            with suppress(Failed, NotThere):
                self._packets.set_mode_at(self._at(folder), stat.S_IMODE(self._packets.attributes(self._root).mode))
        self._folders.add(folder)

    def _make(self, path: str) -> bool:
        """Make a folder, and say whether it was not there."""
        with suppress(NotThere):
            if stat.S_ISDIR(self._packets.attributes(path, follow=True).mode):
                return False
        try:
            self._packets.make_folder(path)
        except Failed:
            # Somebody else was faster; or it cannot be made, and then it is not there.
            if not stat.S_ISDIR(self._packets.attributes(path, follow=True).mode):
                raise
            return False
        return True

    def _sweep(self, temporary: str) -> None:
        """Once, remove what writers left behind that have been dead for a day. The clock is that of the server."""
        with suppress(NotThere, Failed):
            stale = self._packets.attributes(temporary).modified_at - _STALE_SECONDS
            for name, found in self._packets.entries(self._at(_INCOMING)):
                if name.startswith(".tmp-") and stat.S_ISREG(found.mode) and found.modified_at < stale:
                    with suppress(NotThere, Failed):
                        self._packets.remove(self._at(f"{_INCOMING}/{name}"))

    def _at(self, key: str) -> str:
        return f"{self._root}/{key}".rstrip("/") or "/"

    # -- errors

    def _refused(self, what: str, error: NotThere | Failed) -> RemoteError:
        host = self.line.address.host
        if isinstance(error, NotThere):
            return RemoteError(
                f"the store remote {host}:{self._root} is not there",
                why=f"there is no folder {os.path.dirname(self._root) or '.'} on {host}",  # noqa: PTH120
                do="make it there; `gitrepro remote ls` shows where it is looked for",
            )
        return RemoteError(
            f"{what} in the store remote {host}:{self._root}",
            why=str(error),
            do=f"look whether {self._root} on {host} is full or not yours: `ssh {host} df -h`, and `ls -ld`",
        )

    def _no_file(self, key: str) -> Damaged:
        return Damaged(
            f"{key} in the store remote {self.line.address.host}:{self._root} is no plain file",
            why="a link, a folder or a device stands in its place, and is not followed",
            do="look at it there, and remove it if nobody needs it",
        )

    def _shrunk(self) -> RemoteError:
        return RemoteError(
            f"a file in the store remote {self.line.address.host}:{self._root} ended before its size",
            why="it was cut while it was read, or the disk there reports errors",
            do="run the command again",
        )


def _blocks(parts: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    """The same bytes in blocks that a server must take; small parts are put together."""
    small = bytearray()
    for part in parts:
        if small or len(part) < _BLOCK_BYTES:
            small += part
            part = bytes(small) if len(small) >= _BLOCK_BYTES else b""
            if part:
                small = bytearray()
        view = memoryview(part)
        for at in range(0, len(view), _BLOCK_BYTES):
            yield view[at : at + _BLOCK_BYTES]
    if small:
        yield bytes(small)


def _is_key(key: str) -> bool:
    try:
        return bool(checked_key(key))
    except UsageError:
        return False
