"""Files that are written while we read them: what has been added, and what of it is new."""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, final

from ...capture.written import Delimited, EventFile, LineReader, Objects, Point, document
from ..compose import NOT_TAKEN_IN, REJECTED

PIECE_BYTES: Final = 4 << 20
_DOCUMENT_BYTES: Final = 64 << 20
_EDGE_BYTES: Final = 4 << 10
_KNOWN_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What could not be taken in, and why; a kind where that is no fault of ours."""

    what: str
    why: str
    kind: str | None = None


class Followed(Protocol):
    """A file of metrics that may still grow."""

    def points(self, *, last: bool) -> Iterator[list[Point]]:
        """What has been added, piece by piece. With `last`, nothing more is to come."""

    def pass_over(self, size_bytes: int) -> None:
        """Leave out what stands in the file now, `size_bytes` of it."""

    def losses(self, name: str) -> Iterator[Loss]:
        """What of it was not taken in."""


class NotPlain(OSError):
    """What has the name of a file of metrics is none."""


@final
class Tail:
    """The bytes added to a file since the last look. A file that was written anew is read anew."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        self._head = b""
        self._edge = b""

    def read(self) -> tuple[bytes, bool]:
        """At most some megabytes more, and whether they are the beginning of other content."""
        with _opened(self.path) as (fd, size_bytes):
            anew = self.offset > 0 and not self._goes_on(fd, size_bytes)
            if anew:
                self.offset, self._head, self._edge = 0, b"", b""
            data = os.pread(fd, PIECE_BYTES, self.offset)
        self._head += data[: _EDGE_BYTES - len(self._head)]
        self._edge = (self._edge + data)[-_EDGE_BYTES:]
        self.offset += len(data)
        return data, anew

    def jump(self, offset: int) -> None:
        """Go on from `offset`, as if all before it had been read."""
        with _opened(self.path) as (fd, _):
            self._head = os.pread(fd, min(_EDGE_BYTES, offset), 0)
            start = max(0, offset - _EDGE_BYTES)
            self._edge = os.pread(fd, offset - start, start)
        self.offset = offset

    def _goes_on(self, fd: int, size_bytes: int) -> bool:
        if size_bytes < self.offset or os.pread(fd, len(self._head), 0) != self._head:
            return False
        return os.pread(fd, len(self._edge), self.offset - len(self._edge)) == self._edge


class _opened:  # noqa: N801 - a context manager, used as a function
    """A plain file for reading, and its size. A pipe or a device under that name is refused, not waited for."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def __enter__(self) -> tuple[int, int]:
        found = os.fstat(self._fd)
        if not stat.S_ISREG(found.st_mode):
            os.close(self._fd)
            raise NotPlain("it is no plain file")
        return self._fd, found.st_size

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


@final
class Fresh:
    """Tells rows that are new from those that a rewritten file repeats, by a hash of each."""

    def __init__(self) -> None:
        self._seen = array("q")
        self._place = 0

    def again(self) -> None:
        """The file is read from its beginning."""
        self._place = 0

    def of(self, points: Iterable[Point]) -> list[Point]:
        """Those that were not there before: from the first on that differs from what stood in its place."""
        fresh = []
        for point in points:
            known = hash((point.step, repr(sorted(point.values.items()))))
            if self._place < len(self._seen) and self._seen[self._place] == known:
                self._place += 1
                continue
            del self._seen[self._place :]
            self._seen.append(known)
            self._place += 1
            fresh.append(point)
        return fresh


@final
class FollowedEvents:
    """An event file of TensorBoard."""

    def __init__(self, path: Path) -> None:
        self._tail = Tail(path)
        self.events = EventFile()

    def points(self, *, last: bool) -> Iterator[list[Point]]:  # noqa: ARG002 - half a record never counts
        data, _ = self._tail.read()
        while data:
            yield self.events.take(data)
            data, _ = self._tail.read()

    def pass_over(self, size_bytes: int) -> None:
        self._tail.jump(size_bytes)

    def losses(self, name: str) -> Iterator[Loss]:
        records = self.events.records
        if self.events.damaged or records.damaged_bytes:
            why = f"{self.events.damaged} records and {records.damaged_bytes} bytes beside them are damaged"
            yield Loss(what=name, why=why)
        if records.oversized:
            yield Loss(what=f"{records.oversized} records of {name}", why="they are over 64 MiB", kind=NOT_TAKEN_IN)
        if records.waiting_bytes:
            why = f"its last {records.waiting_bytes} bytes are the beginning of a record"
            yield Loss(what=f"the end of {name}", why=why, kind=NOT_TAKEN_IN)


@final
class FollowedTable:
    """A CSV table or JSON lines."""

    def __init__(self, tail: Tail, kind: type[Delimited] | type[Objects]) -> None:
        self._tail = tail
        self._kind = kind
        self._lines, self._rows, self._fresh = LineReader(), kind(), Fresh()

    def points(self, *, last: bool) -> Iterator[list[Point]]:
        while True:
            data, anew = self._tail.read()
            if anew:
                self._lines, self._rows = LineReader(), self._kind()
                self._fresh.again()
            if not data:
                break
            yield self._fresh.of(self._rows.take(self._lines.take(data)))
        # A last line without its end is whole when it is an object; in a table its last number may be cut short.
        if last and isinstance(self._rows, Objects) and self._lines.unfinished.rstrip().endswith("}"):
            yield self._fresh.of(self._rows.take([self._lines.unfinished]))

    def pass_over(self, size_bytes: int) -> None:
        if size_bytes <= _KNOWN_BYTES:
            for _ in self.points(last=False):
                pass
            self._rows.rejected.counts.clear()
            return
        # Of a large file the rows are not read: should it be written anew, all of them count as new.
        with _opened(self._tail.path) as (fd, _):
            head = os.pread(fd, _KNOWN_BYTES, 0)
            edge = os.pread(fd, _KNOWN_BYTES, size_bytes - _KNOWN_BYTES)
        if isinstance(self._rows, Delimited):
            self._rows.take(self._lines.take(head[: head.find(b"\n") + 1]))
        self._tail.jump(size_bytes - len(edge) + edge.rfind(b"\n") + 1)

    def losses(self, name: str) -> Iterator[Loss]:
        yield from _rejected(name, self._rows.rejected.counts)
        if self._lines.utf16:
            yield Loss(what=name, why="it is UTF-16, and UTF-8 is read", kind=NOT_TAKEN_IN)
            return
        unread = {
            "lines that are not UTF-8": self._lines.undecodable,
            "lines over 1 MiB": self._lines.overlong,
        }
        if isinstance(self._rows, Delimited):
            unread["rows that do not fit the header"] = self._rows.misfits
            unread["last lines without an end"] = int(bool(self._lines.unfinished.strip()))
        else:
            unread["lines that are no JSON object"] = self._rows.unreadable
        for what, count in unread.items():
            if count:
                yield Loss(what=name, why=f"{count} {what}", kind=NOT_TAKEN_IN)


@final
class FollowedDocument:
    """A JSON document that is written whole each time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state: tuple[int, int, int] | None = None
        self._objects, self._fresh = Objects(), Fresh()
        self._trouble = ""

    def points(self, *, last: bool) -> Iterator[list[Point]]:  # noqa: ARG002 - half a document never counts
        with _opened(self._path) as (fd, size_bytes):
            found = os.fstat(fd)
            state = (found.st_ino, size_bytes, found.st_mtime_ns)
            if state == self._state:
                return
            if size_bytes > _DOCUMENT_BYTES:
                self._trouble = f"it has {size_bytes} bytes, over {_DOCUMENT_BYTES >> 20} MiB"
                return
            with open(fd, "rb", closefd=False) as reader:
                data = reader.read(_DOCUMENT_BYTES)
        try:
            objects = document(data)
        except ValueError as error:
            self._trouble = f"it is no JSON: {error!s:.200}"  # or not yet: it is being written
            return
        self._state, self._trouble = state, ""
        self._objects = Objects()
        self._fresh.again()
        yield self._fresh.of(self._objects.points(objects))

    def pass_over(self, size_bytes: int) -> None:  # noqa: ARG002 - it is read whole each time
        for _ in self.points(last=False):
            pass
        self._objects.rejected.counts.clear()

    def losses(self, name: str) -> Iterator[Loss]:
        yield from _rejected(name, self._objects.rejected.counts)
        if self._trouble:
            yield Loss(what=name, why=self._trouble, kind=NOT_TAKEN_IN)


def follow(path: Path, *, last: bool) -> tuple[str, Followed] | None:
    """The kind of the file and what follows it; None while its first line is not whole."""
    if "tfevents" in path.name:
        return "tensorboard", FollowedEvents(path)
    with _opened(path) as (fd, _):
        head = os.pread(fd, _KNOWN_BYTES, 0).removeprefix(b"\xef\xbb\xbf").lstrip()
    first, end, _ = head.partition(b"\n")
    if first.startswith(b"["):
        return "json", FollowedDocument(path)
    if not end and not last:
        return None
    if first.startswith(b"{"):
        return "json", FollowedTable(Tail(path), Objects) if _is_line(first) else FollowedDocument(path)
    return ("csv", FollowedTable(Tail(path), Delimited)) if head else None


def _is_line(first: bytes) -> bool:
    """Whether the first line is an object of its own, and not a document on one line."""
    try:
        return len(document(first)) == 1 and b'"log_history"' not in first
    except ValueError:
        return False


def _rejected(name: str, counts: dict[str, int]) -> Iterator[Loss]:
    for metric, count in counts.items():
        many = "1 value" if count == 1 else f"{count} values"
        yield Loss(what=f"{metric:.200} of {name}: {many}", why="they are no numbers", kind=REJECTED)
