"""The far side of a store remote behind ssh: serves one folder to whoever speaks frames over standard input."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, final

from ...errors import Damaged, GitreproError, RemoteError, UsageError
from . import frames
from .driver import KeyMissing
from .drivers.directory import DirectoryDriver

_LISTED_AT_ONCE: Final = 1000


def serve(root: Path, source: BinaryIO, sink: BinaryIO) -> None:
    """Answer requests for the folder `root` until `source` ends. No key leads out of it, and no link in it is followed.

    Raises:
        Damaged: what comes is no frame.
    """
    _Server(DirectoryDriver(root), source, sink).serve()


class _Hungup(Exception):
    """The near side has gone."""


class _CalledBack(Exception):
    """What was being written is not to be kept."""


@final
class _Server:
    def __init__(self, folder: DirectoryDriver, source: BinaryIO, sink: BinaryIO) -> None:
        self._folder = folder
        self._source = source
        self._sink = sink

    def serve(self) -> None:
        self._sink.write(frames.GREETING)
        self._sink.flush()
        try:
            if self._exactly(len(frames.HELLO)) != frames.HELLO:
                raise Damaged("this is no visitor of a store remote", do="give its URL to `gitrepro remote add`")
            while True:
                self._answer(*frames.receive(self._exactly))
                self._sink.flush()
        except frames.NoFrame as error:
            raise Damaged("what came is no frame", why=str(error)) from error
        except (_Hungup, BrokenPipeError):
            return

    def _answer(self, kind: bytes, data: bytes) -> None:
        answers: dict[bytes, Callable[[bytes], None]] = {
            frames.READ: self._read,
            frames.SIZE: self._size,
            frames.WRITE: self._write,
            frames.LIST: self._list,
            frames.DELETE: self._delete,
        }
        if kind not in answers:
            raise frames.NoFrame(f"a request {kind!r}")
        try:
            answers[kind](data)
        except KeyMissing:
            frames.send(self._sink, frames.MISSING)
        except (GitreproError, ValueError, KeyError, TypeError) as error:
            self._say(error)

    def _read(self, data: bytes) -> None:
        asked = _asked(data)
        length = asked["length"]
        for part in self._folder.read(
            str(asked["key"]), start=max(0, int(asked["start"])), length=None if length is None else int(length)
        ):
            frames.send(self._sink, frames.DATA, part)
        frames.send(self._sink, frames.END)

    def _size(self, data: bytes) -> None:
        size_bytes = self._folder.size(data.decode())
        if size_bytes is None:
            raise KeyMissing
        frames.send(self._sink, frames.NUMBER, b"%d" % size_bytes)

    def _write(self, data: bytes) -> None:
        ended = False

        def parts() -> Iterator[bytes]:
            nonlocal ended
            yield from self._incoming()
            ended = True

        try:
            asked = _asked(data)
            self._folder.write(str(asked["key"]), parts(), int(asked["size_bytes"]))
            # The folder may have had enough bytes before it was told that there are no more.
            self._skip(ended)
            frames.send(self._sink, frames.END)
        except _CalledBack:
            frames.send(self._sink, frames.CALLED_BACK)
        except (GitreproError, ValueError, KeyError, TypeError) as error:
            # At once: the near side stops sending when it sees this.
            self._say(error)
            self._sink.flush()
            self._skip(ended)

    def _incoming(self) -> Iterator[bytes]:
        while True:
            kind, part = frames.receive(self._exactly)
            if kind == frames.END:
                return
            if kind != frames.DATA:
                raise _CalledBack
            yield part

    def _skip(self, ended: bool) -> None:
        kind = frames.END if ended else b""
        while kind not in (frames.END, frames.CALLED_BACK):
            kind, _ = frames.receive(self._exactly)

    def _list(self, data: bytes) -> None:
        lines: list[str] = []
        for each in self._folder.list(data.decode()):
            lines.append(f"{each.size_bytes} {each.modified_at!r} {each.key}\n")
            if len(lines) == _LISTED_AT_ONCE:
                self._tell(lines)
                lines = []
        self._tell(lines)
        frames.send(self._sink, frames.END)

    def _tell(self, lines: list[str]) -> None:
        if lines:
            frames.send(self._sink, frames.DATA, "".join(lines).encode(errors="replace"))

    def _delete(self, data: bytes) -> None:
        self._folder.delete(data.decode().splitlines())
        frames.send(self._sink, frames.END)

    def _say(self, error: Exception) -> None:
        known = error if isinstance(error, GitreproError) else RemoteError("the request makes no sense", why=str(error))
        said = {"kind": _kind(known), "what": known.what, "why": known.why, "do": known.do}
        frames.send(self._sink, frames.FAULT, json.dumps(said).encode()[: frames.MOST_BYTES])

    def _exactly(self, size_bytes: int) -> bytes:
        data = self._source.read(size_bytes)
        if len(data) < size_bytes:
            raise _Hungup
        return data


def _asked(data: bytes) -> dict[str, Any]:
    asked = json.loads(data)
    if not isinstance(asked, dict):
        raise ValueError("a request is an object")
    return asked


def _kind(error: GitreproError) -> str:
    for kind, name in ((UsageError, "usage"), (Damaged, "damaged")):
        if isinstance(error, kind):
            return name
    return "remote"
