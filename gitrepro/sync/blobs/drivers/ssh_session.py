"""What is said over one line to a far side that has gitrepro: `gitrepro serve-store`, in frames."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final, Protocol, final

from ....errors import Damaged, GitreproError, RemoteError, UsageError
from .. import frames
from ..driver import PIECE_BYTES, KeyMissing, Listed, checked_key, counted
from .ssh_line import Cut, Line, Nonsense

_NOISE_BYTES: Final = 64 << 10
_DELETED_AT_ONCE: Final = 2000
_KINDS: Final[dict[str, type[GitreproError]]] = {"usage": UsageError, "damaged": Damaged}


class Session(Protocol):
    """One line and who is at its far end. For one thread at a time.

    `is_idle` says whether the next request may be made: after an answer that was not heard to its end it may not.
    Cut is raised where the line breaks.
    """

    line: Line
    is_idle: bool

    def read(self, key: str, start: int, length: int | None) -> Iterator[bytes]: ...
    def size(self, key: str) -> int | None: ...
    def write(self, key: str, parts: Iterable[bytes | memoryview], size_bytes: int) -> None: ...
    def list(self, prefix: str) -> Iterator[Listed]: ...
    def delete(self, keys: Iterable[str]) -> None: ...


@final
class FramedSession:
    """A session with `gitrepro serve-store`."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.is_idle = True

    def greet(self) -> bool:
        """Whether it is gitrepro that runs there. To be called once, first."""
        with suppress(Cut):
            self.line.write(frames.HELLO)
            self.line.flush()
        return self.line.find(frames.GREETING, within_bytes=_NOISE_BYTES)

    def read(self, key: str, start: int, length: int | None) -> Iterator[bytes]:
        asked = {"key": key, "start": start, "length": length}
        for part in self._heard(frames.READ, json.dumps(asked).encode()):
            for at in range(0, len(part), PIECE_BYTES):
                yield part[at : at + PIECE_BYTES]

    def size(self, key: str) -> int | None:
        self._ask(frames.SIZE, key.encode())
        kind, data = self._answer()
        if kind == frames.MISSING:
            return None
        if kind != frames.NUMBER or not data.isdigit() or len(data) > 20:
            raise _nonsense()
        return int(data)

    def write(self, key: str, parts: Iterable[bytes | memoryview], size_bytes: int) -> None:
        self._ask(frames.WRITE, json.dumps({"key": key, "size_bytes": size_bytes}).encode())
        try:
            whole = self._send(counted(parts, size_bytes, key=key))
        except Cut:
            raise
        except BaseException:
            self._call_back()
            raise
        frames.send(self.line, frames.END if whole else frames.CALLED_BACK)
        self.line.flush()
        kind, _ = self._answer()
        if kind != frames.END:
            raise _nonsense()

    def list(self, prefix: str) -> Iterator[Listed]:
        for part in self._heard(frames.LIST, prefix.encode()):
            for line in part.decode(errors="replace").splitlines():
                listed = _listed(line)
                if listed is not None:
                    yield listed

    def delete(self, keys: Iterable[str]) -> None:
        waiting = list(keys)
        for at in range(0, len(waiting), _DELETED_AT_ONCE):
            self._ask(frames.DELETE, "\n".join(waiting[at : at + _DELETED_AT_ONCE]).encode())
            if self._answer()[0] != frames.END:
                raise _nonsense()

    def _send(self, parts: Iterable[bytes | memoryview]) -> bool:
        """Send the parts; False where the far side has stopped listening."""
        for part in parts:
            for piece in frames.pieces(part):
                if self.line.hears():
                    return False
                frames.send(self.line, frames.DATA, piece)
        return True

    def _call_back(self) -> None:
        """Say that what was sent is not to be kept. Where that fails the line is cut, which says the same."""
        with suppress(Cut, GitreproError):
            frames.send(self.line, frames.CALLED_BACK)
            self.line.flush()
            self._answer()

    def _ask(self, kind: bytes, data: bytes) -> None:
        self.is_idle = False
        frames.send(self.line, kind, data)
        if kind != frames.WRITE:
            self.line.flush()

    def _heard(self, kind: bytes, data: bytes) -> Iterator[bytes]:
        self._ask(kind, data)
        while True:
            kind, part = self._answer()
            if kind == frames.END:
                return
            if kind == frames.MISSING:
                raise KeyMissing
            if kind != frames.DATA:
                raise _nonsense()
            if part:
                yield part

    def _answer(self) -> tuple[bytes, bytes]:
        try:
            kind, data = frames.receive(self.line.exactly)
        except frames.NoFrame as error:
            raise _nonsense() from error
        self.is_idle = kind != frames.DATA
        if kind == frames.FAULT:
            raise self._fault(data)
        return kind, data

    def _fault(self, data: bytes) -> GitreproError:
        try:
            said = json.loads(data)
            kind, what, why, do = (str(said[name])[:2000] for name in ("kind", "what", "why", "do"))
        except (ValueError, KeyError, TypeError):
            return _nonsense()
        return _KINDS.get(kind, RemoteError)(f"{self.line.address.host}: {what}", why=why, do=do)


def _listed(line: str) -> Listed | None:
    """A line of a list; None where it names what is no key of ours."""
    try:
        size, modified, key = line.split(" ", 2)
        listed = Listed(checked_key(key), int(size), float(modified))
    except UsageError:
        return None
    except ValueError as error:
        raise _nonsense() from error
    if listed.size_bytes < 0 or not math.isfinite(listed.modified_at):
        raise _nonsense()
    return listed


def _nonsense() -> Nonsense:
    return Nonsense(
        "the far side of the store remote answers what makes no sense here",
        why="it may have another version of gitrepro",
        do="install the same version on both sides",
    )
