"""The packets of SFTP, version 3: requests with numbers, and answers that may come in another order."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, final

from .ssh_line import Line, Nonsense

TO_READ: Final = 0x01
TO_WRITE_ANEW: Final = 0x02 | 0x08 | 0x20  # write, create, and it must not be there
SYNC: Final = "fsync@openssh.com"
REPLACE: Final = "posix-rename@openssh.com"

_INIT, _VERSION = 1, 2
_OPEN, _CLOSE, _READ, _WRITE, _LSTAT, _SETSTAT, _FSETSTAT, _OPENDIR, _READDIR = 3, 4, 5, 6, 7, 9, 10, 11, 12
_REMOVE, _MKDIR, _STAT, _RENAME = 13, 14, 17, 18
_STATUS, _HANDLE, _DATA, _NAME, _ATTRIBUTES, _EXTENDED = 101, 102, 103, 104, 105, 200
_OK, _END, _NOT_THERE, _DENIED = 0, 1, 2, 3
_HAS_SIZE, _HAS_OWNER, _HAS_MODE, _HAS_TIMES, _HAS_MORE = 0x1, 0x2, 0x4, 0x8, 0x80000000
_MOST_BYTES: Final = 1 << 20


class NotThere(Exception):
    """The server has no such file or folder."""


class Failed(Exception):
    """The server said no, in its own words."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a server tells of a file. `modified_at` is in seconds since 1970."""

    size_bytes: int
    mode: int
    modified_at: float


def u32(number: int) -> bytes:
    return struct.pack(">I", number)


def u64(number: int) -> bytes:
    return struct.pack(">Q", number)


def string(data: bytes) -> bytes:
    return u32(len(data)) + data


@final
class Packets:
    """Asks a server and hears its answers. Cut comes through where the line breaks; Nonsense for what is no SFTP."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._number = 0
        self._open = set[int]()
        self._heard: dict[int, tuple[int, _Answer]] = {}
        self.offered = frozenset[str]()

    def greet(self) -> None:
        self._line.write(u32(5) + bytes([_INIT]) + u32(3))
        kind, answer = self._packet()
        if kind != _VERSION or answer.u32() < 3:
            raise nonsense()
        offered = set()
        while answer.left():
            offered.add(answer.text())
            answer.string()
        self.offered = frozenset(offered)

    # -- what can be asked for

    def open(self, path: str, how: int, *, mode: int | None = None) -> bytes:
        """The handle of a file, as it stands in requests. Raises NotThere, Failed."""
        return self._handle(_OPEN, _text(path) + u32(how) + _mode(mode))

    def close(self, handle: bytes) -> None:
        self.done(self._ask(_CLOSE, handle))

    def ask_block(self, handle: bytes, at: int, size_bytes: int) -> int:
        return self._ask(_READ, handle + u64(at) + u32(size_bytes))

    def block(self, number: int) -> bytes:
        """The bytes that a request was for, maybe fewer; none at the end of the file."""
        kind, answer = self._answer(number)
        if kind == _DATA:
            return answer.string()
        self._judge(kind, answer, may_end=True)
        return b""

    def ask_write(self, handle: bytes, at: int, block: bytes | memoryview) -> int:
        return self._ask(_WRITE, handle + u64(at) + u32(len(block)), block)

    def done(self, number: int) -> None:
        """Hear that a request was fulfilled. Raises NotThere, Failed."""
        self._judge(*self._answer(number))

    def attributes(self, path: str, *, follow: bool = False) -> Attributes:
        kind, answer = self._answer(self._ask(_STAT if follow else _LSTAT, _text(path)))
        if kind != _ATTRIBUTES:
            self._judge(kind, answer)
            raise nonsense()
        return answer.attributes()

    def set_mode(self, handle: bytes, mode: int) -> None:
        self.done(self._ask(_FSETSTAT, handle + _mode(mode)))

    def set_mode_at(self, path: str, mode: int) -> None:
        self.done(self._ask(_SETSTAT, _text(path) + _mode(mode)))

    def make_folder(self, path: str) -> None:
        self.done(self._ask(_MKDIR, _text(path) + _mode(None)))

    def remove(self, path: str) -> None:
        self.done(self._ask(_REMOVE, _text(path)))

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, which must be free."""
        self.done(self._ask(_RENAME, _text(old) + _text(new)))

    def replace(self, old: str, new: str) -> None:
        """The same, and the name may be taken; where `REPLACE` is offered."""
        self.done(self._ask(_EXTENDED, _text(REPLACE) + _text(old) + _text(new)))

    def sync(self, handle: bytes) -> None:
        """Make the bytes of a file durable; where `SYNC` is offered."""
        self.done(self._ask(_EXTENDED, _text(SYNC) + handle))

    def entries(self, path: str) -> list[tuple[str, Attributes]]:
        """What a folder holds, with `.` and `..`. Raises NotThere, Failed."""
        handle = self._handle(_OPENDIR, _text(path))
        found = []
        while True:
            kind, answer = self._answer(self._ask(_READDIR, handle))
            if kind != _NAME:
                self._judge(kind, answer, may_end=True)
                break
            found += list(answer.names())
        self.close(handle)
        return found

    def settle(self) -> None:
        """Hear all that is on the way, whatever it says."""
        for number in sorted(self._open):
            self._answer(number)

    # -- how

    def _handle(self, kind: int, data: bytes) -> bytes:
        kind, answer = self._answer(self._ask(kind, data))
        if kind != _HANDLE:
            self._judge(kind, answer)
            raise nonsense()
        return string(answer.string())

    def _ask(self, kind: int, data: bytes, block: bytes | memoryview = b"") -> int:
        self._number = (self._number + 1) & 0xFFFFFFFF
        self._line.write(u32(5 + len(data) + len(block)) + bytes([kind]) + u32(self._number) + data)
        if block:
            self._line.write(block)
        self._open.add(self._number)
        return self._number

    def _answer(self, number: int) -> tuple[int, _Answer]:
        while number not in self._heard:
            kind, answer = self._packet()
            heard = answer.u32()
            if heard not in self._open or heard in self._heard:
                raise nonsense()
            self._heard[heard] = kind, answer
        self._open.discard(number)
        return self._heard.pop(number)

    def _packet(self) -> tuple[int, _Answer]:
        self._line.flush()
        size_bytes = int.from_bytes(self._line.exactly(4))
        if not 1 <= size_bytes <= _MOST_BYTES:
            raise nonsense()
        packet = self._line.exactly(size_bytes)
        return packet[0], _Answer(packet, 1)

    @staticmethod
    def _judge(kind: int, answer: _Answer, *, may_end: bool = False) -> None:
        if kind != _STATUS:
            raise nonsense()
        status = answer.u32()
        if status == _OK or (may_end and status == _END):
            return
        words = answer.text() if answer.left() else f"status {status}"
        raise NotThere(words) if status == _NOT_THERE else Failed(words or f"status {status}")


@final
class _Answer:
    """A packet that is being read."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at

    def left(self) -> int:
        return len(self._data) - self._at

    def u32(self) -> int:
        return int.from_bytes(self._take(4))

    def string(self) -> bytes:
        return self._take(self.u32())

    def text(self) -> str:
        return self.string().decode(errors="replace")

    def names(self) -> Iterator[tuple[str, Attributes]]:
        for _ in range(self.u32()):
            name = self.text()
            self.string()  # the same as `ls -l` shows it
            yield name, self.attributes()

    def attributes(self) -> Attributes:
        has = self.u32()
        size_bytes = int.from_bytes(self._take(8)) if has & _HAS_SIZE else 0
        if has & _HAS_OWNER:
            self._take(8)
        mode = self.u32() if has & _HAS_MODE else 0
        modified_at = int.from_bytes(self._take(8)[4:]) if has & _HAS_TIMES else 0
        if has & _HAS_MORE:
            for _ in range(2 * self.u32()):
                self.string()
        return Attributes(size_bytes, mode, float(modified_at))

    def _take(self, size_bytes: int) -> bytes:
        if size_bytes > self.left():
            raise nonsense()
        self._at += size_bytes
        return self._data[self._at - size_bytes : self._at]


def nonsense() -> Nonsense:
    return Nonsense(
        "the far side of the store remote does not speak SFTP as it should",
        do="install gitrepro there: it is then asked instead of the SFTP server",
    )


def _text(text: str) -> bytes:
    return string(text.encode(errors="surrogateescape"))


def _mode(mode: int | None) -> bytes:
    return u32(0) if mode is None else u32(_HAS_MODE) + u32(mode)
