"""The live journal: one append-only file per process, one `os.write` per entry, readable after any kill.

The bytes are specified in FORMAT.md, "Journal". A frame carries its own length, place in line and two checksums, so
that a reader can tell a whole frame from a torn, zeroed or flipped one and find the next whole frame behind damage.
"""

from __future__ import annotations

import errno
import json
import os
import re
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final
from zlib import crc32

from ..errors import TooNew, UsageError
from . import fs

MAGIC: Final = b"gRj1"
FORMAT: Final = 1
MAX_BODY_BYTES: Final = 16 << 20
SPOOL_BYTES: Final = 64 << 20

# A frame: magic, length of the body, checksum of these eight bytes; the body: sequence, kind, content;
# checksum of all before it. The first checksum keeps a reader from trusting a flipped length.
_HEAD_BYTES: Final = 12
_BODY_AT_LEAST: Final = 9
_CRC_BYTES: Final = 4
_HEADER, _SHAPE, _VALUES, _EVENT = b"H", b"S", b"V", b"J"
_CODES: Final = {float: "d", int: "q"}
NO_PLACE: Final = 2**64 - 1  # frames that describe the file rather than the run have no place in line
_ROW: Final = "<QcIdq"  # sequence, kind, shape, time, step; one code for each value follows
_FILE_NAME = re.compile(r"journal\.rank-(\d+)\.(\d+)\.(\d+)")

Number = int | float
_Shape = tuple[bytes, Callable[..., bytes], int]  # head of the frame, packer, shape number


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One `log()` call: its place in the journal, its step, seconds since the run began, and the values."""

    seq: int
    step: int
    time_seconds: float
    values: dict[str, Number]


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """What one process wrote: its header, its rows and events in order, and what was found damaged."""

    header: dict[str, Any]
    rows: list[Row]
    events: list[dict[str, Any]]
    torn_bytes: int = 0
    damaged_bytes: int = 0
    missing_frames: int = 0


def _head(length: int) -> bytes:
    head = MAGIC + length.to_bytes(4, "little")
    return head + crc32(head).to_bytes(_CRC_BYTES, "little")


def _frame(sequence: int, content: bytes) -> bytes:
    body = sequence.to_bytes(8, "little") + content
    frame = _head(len(body)) + body
    return frame + crc32(frame).to_bytes(_CRC_BYTES, "little")


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode("ascii")


@final
class JournalWriter:
    """Appends frames to `journal.rank-R.PID.N` in a live directory.

    `row` returns once the operating system has the bytes: they survive the death of the process. A background
    `sync` (called by the run's thread) makes them survive the death of the machine. When the disk refuses, frames
    wait in memory, at most `SPOOL_BYTES` of them, and go out with the next entry or sync that succeeds; what did
    not fit is counted in `dropped`.

    Args:
        folder: the live directory; must exist.
        run_id: the run this belongs to.
        rank: 0 for the first process of a run.
        clock: seconds, monotonic; `time_seconds` of a row is measured from `origin`.
        origin: what `clock` said when the run began.
        check_name: is asked once about each metric name, and raises when it cannot be kept.
    """

    def __init__(
        self,
        folder: Path,
        *,
        run_id: str,
        rank: int = 0,
        clock: Callable[[], float] = time.monotonic,
        origin: float | None = None,
        check_name: Callable[[str], object] = str,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._origin = clock() if origin is None else origin
        self._rank = rank
        self._check_name = check_name
        self._pid = os.getpid()
        # Re-entrant: a signal handler may log while the interrupted code holds the lock.
        self._lock = threading.RLock()
        self._shapes: dict[tuple[object, ...], _Shape] = {}
        self._shape_payloads: list[bytes] = []
        self._sequence = 0
        self._segment = 0
        self._fd = -1
        self._size = 0
        self._spool: list[bytes] = []
        self._spool_bytes = 0
        self._since_sync: list[bytes] = []
        self.dropped = 0
        self.last_error: OSError | None = None
        self._header = {"format": FORMAT, "run": run_id, "rank": rank, "pid": self._pid}
        self._open_segment()

    @property
    def spooled(self) -> int:
        """How many frames wait in memory for the disk."""
        return len(self._spool)

    @property
    def last_sequence(self) -> int:
        """The place in line of the last entry."""
        return self._sequence - 1

    def row(self, values: Mapping[str, Number], step: int) -> int:
        """Append one row of numbers, `int` within 64 bits and `float` only; return its place in line.

        Raises:
            UsageError: a name or a value of another type, or an integer beyond 64 bits.
        """
        with self._lock:
            # The hot path is written out in one piece: a call costs as much as a checksum.
            key = (*values, *map(type, values.values()))
            head, pack, number = self._shapes.get(key) or self._new_shape(key, values)
            sequence = self._sequence
            try:
                frame = pack(head, sequence, b"V", number, self._clock() - self._origin, step, *values.values())
            except struct.error as error:
                raise UsageError(f"a value or step of {dict(values)!r} at step {step!r} is beyond 64 bits") from error
            # Counted before it is written: an interrupt in between leaves a gap, never two frames of one number.
            self._sequence = sequence + 1
            frame += crc32(frame).to_bytes(4, "little")
            if self._spool or self._fd < 0:
                self._append(frame)
                return sequence
            try:
                written = os.write(self._fd, frame)
            except OSError as error:
                self._refused(frame, error)
                return sequence
            if written != len(frame):
                self._refused(frame, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
                return sequence
            self._size += written
            self._since_sync.append(frame)
            return sequence

    def event(self, document: Mapping[str, Any]) -> None:
        """Append one JSON document with a time: a changed config, a summary, the end of the run."""
        with self._lock:
            document = {"time_seconds": self._clock() - self._origin, **document}
            self._append(self._next_frame(_EVENT + _json(document)))

    def sync(self) -> bool:
        """Bring everything to the disk; say whether it is there.

        After a failed sync the kernel may have dropped the pages and report success next time, so the frames since
        the last good one are written again, into a new segment.
        """
        with self._lock:
            if self._spool:
                self._append(b"")
            if self._fd < 0 or self._spool:
                return False
            fd, pending = self._fd, len(self._since_sync)
            if not pending:
                return True
        # Outside the lock: a slow disk must not hold up `row`.
        try:
            os.fdatasync(fd)
        except OSError as error:
            with self._lock:
                self.last_error = error
                self._start_over()
            return False
        with self._lock:
            del self._since_sync[:pending]
        return True

    def close(self) -> None:
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def forget(self) -> None:
        """Drop the file without a word, in a forked child: the parent owns what it holds."""
        # Another thread may have held the lock when the child was made; in the child nobody will let go of it.
        self._lock = threading.RLock()
        self.close()
        self._spool.clear()
        self._since_sync.clear()

    def _next_frame(self, payload: bytes) -> bytes:
        sequence = self._sequence
        self._sequence = sequence + 1
        return _frame(sequence, payload)

    def _new_shape(self, key: tuple[object, ...], values: Mapping[str, Number]) -> _Shape:
        columns = _columns(values)
        for name, _ in columns:
            self._check_name(name)
        number = len(self._shapes)
        codes = "".join(code for _, code in columns)
        self._append(self._next_frame(_shape_payload(number, columns)))
        head = _head(struct.calcsize(_ROW + codes))
        shape = (head, struct.Struct(f"<{_HEAD_BYTES}s{_ROW[1:]}{codes}").pack, number)
        self._shapes[key] = shape
        self._shape_payloads.append(_shape_payload(number, columns))
        return shape

    def _append(self, frame: bytes) -> None:
        """Write what waits, then `frame`; on refusal keep both in memory."""
        # First what waits: where memory is full and the disk is free again, `frame` must find room.
        drained = self._drain()
        if frame:
            self._keep(frame)
            if drained:
                self._drain()

    def _drain(self) -> bool:
        try:
            if self._fd < 0:
                self._open_segment()
            while self._spool:
                self._write_whole(self._spool[0])
                self._since_sync.append(self._spool[0])
                self._spool_bytes -= len(self._spool.pop(0))
        except OSError as error:
            self.last_error = error
            return False
        return True

    def _keep(self, frame: bytes) -> None:
        if self._spool_bytes + len(frame) > SPOOL_BYTES:
            self.dropped += 1
            return
        self._spool.append(frame)
        self._spool_bytes += len(frame)

    def _write_whole(self, frame: bytes) -> None:
        """All of `frame` or none of it: a part of a frame is cut off again."""
        try:
            written = os.write(self._fd, frame)
        except OSError:
            self._cut_to_size()
            raise
        if written < len(frame):
            self._cut_to_size()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += written

    def _refused(self, frame: bytes, error: OSError) -> None:
        self.last_error = error
        self._cut_to_size()
        self._keep(frame)

    def _cut_to_size(self) -> None:
        try:
            os.ftruncate(self._fd, self._size)
        except OSError:
            # The torn part stays; a new segment keeps what follows apart from it.
            self._abandon_segment()

    def _start_over(self) -> None:
        self._spool[:0] = self._since_sync
        self._spool_bytes += sum(map(len, self._since_sync))
        self._since_sync.clear()
        self._abandon_segment()
        self._append(b"")

    def _abandon_segment(self) -> None:
        fd, self._fd = self._fd, -1
        self._segment += 1
        try:
            os.close(fd)
        except OSError as error:
            self.last_error = error

    def _open_segment(self) -> None:
        path = self._folder / f"journal.rank-{self._rank}.{self._pid}.{self._segment}"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        # Each segment stands alone: a header, and every shape again.
        payloads = [_HEADER + _json({**self._header, "segment": self._segment}), *self._shape_payloads]
        head = b"".join(_frame(NO_PLACE, payload) for payload in payloads)
        try:
            fs.write_all(fd, head)
        except OSError:
            os.close(fd)
            fs.remove_quietly(path)
            raise
        self._fd, self._size = fd, len(head)


def _columns(values: Mapping[str, Number]) -> list[tuple[str, str]]:
    for name, value in values.items():
        if not isinstance(name, str) or type(value) not in _CODES:
            raise UsageError(f"metric {name!r}: {type(value).__name__} is not a number", do="log an int or a float")
    return [(name, _CODES[type(value)]) for name, value in values.items()]


def _shape_payload(number: int, columns: list[tuple[str, str]]) -> bytes:
    return _SHAPE + number.to_bytes(4, "little") + json.dumps(columns).encode("ascii")


def read(folder: Path) -> list[Journal]:
    """Every journal of a live directory, one for each process that wrote, by rank and process id.

    Raises:
        TooNew: one was written by a newer gitrepro; nothing of it is touched.
    """
    found: dict[tuple[int, int], list[tuple[int, Path]]] = {}
    for path in folder.glob("journal.rank-*.*.*"):
        if name := _FILE_NAME.fullmatch(path.name):
            found.setdefault((int(name[1]), int(name[2])), []).append((int(name[3]), path))
    return [
        parse([path.read_bytes() for _, path in sorted(segments)], source=str(segments[0][1]))
        for _, segments in sorted(found.items())
    ]


def parse(segments: list[bytes], *, source: str = "journal") -> Journal:
    """One process's journal from the bytes of its segments, in order.

    Whole frames are kept wherever they stand. A tail without a whole frame behind it is `torn_bytes`: the write
    that a kill cut short. Anything unreadable before a whole frame is `damaged_bytes`.

    Raises:
        TooNew: the header names a newer format.
    """
    reading = _Reading(source=source)
    for data in segments:
        reading.take(data)
    return reading.journal()


@dataclass(slots=True, kw_only=True)
class _Reading:
    source: str
    header: dict[str, Any] = field(default_factory=dict)
    shapes: dict[int, tuple[struct.Struct, list[str]]] = field(default_factory=dict)
    rows: dict[int, Row] = field(default_factory=dict)
    events: dict[int, dict[str, Any]] = field(default_factory=dict)
    places: set[int] = field(default_factory=set)
    torn_bytes: int = 0
    damaged_bytes: int = 0

    def take(self, data: bytes) -> None:
        position = 0
        while position < len(data):
            end = _whole_frame(data, position)
            if end is None:
                found = _next_whole_frame(data, position + 1)
                if found is None:
                    self.torn_bytes += len(data) - position
                    return
                self.damaged_bytes += found - position
                position = found
                continue
            self._frame(data[position + _HEAD_BYTES : end - _CRC_BYTES])
            position = end

    def _frame(self, body: bytes) -> None:
        sequence = int.from_bytes(body[:8], "little")
        try:
            self._meaning(sequence, body)
        except (ValueError, KeyError, TypeError, struct.error):
            # Both checksums held and the content does not parse: not written by this program.
            self.damaged_bytes += len(body)
            return
        if sequence != NO_PLACE:
            self.places.add(sequence)

    def _meaning(self, sequence: int, body: bytes) -> None:
        kind, content = body[8:9], body[9:]
        if kind == _VALUES:
            layout, names = self.shapes[int.from_bytes(content[:4], "little")]
            _, _, _, time_seconds, step, *numbers = layout.unpack(body)
            values = dict(zip(names, numbers, strict=True))
            self.rows[sequence] = Row(seq=sequence, step=step, time_seconds=time_seconds, values=values)
        elif kind == _SHAPE:
            columns = json.loads(content[4:])
            layout = struct.Struct(_ROW + "".join(code for _, code in columns))
            self.shapes[int.from_bytes(content[:4], "little")] = (layout, [name for name, _ in columns])
        elif kind == _EVENT:
            self.events[sequence] = dict(json.loads(content))
        elif kind == _HEADER:
            self._read_header(dict(json.loads(content)))
        else:
            raise ValueError(f"unknown kind {kind!r}")

    def _read_header(self, header: dict[str, Any]) -> None:
        if header["format"] > FORMAT:
            raise TooNew(
                f"{self.source} has journal format {header['format']}",
                why=f"this gitrepro reads format {FORMAT}",
                do="upgrade gitrepro, then run `gitrepro recover`; the journal is left as it is",
            )
        self.header = self.header or header

    def journal(self) -> Journal:
        for event in self.events.values():
            if event.get("op") == "late" and (row := self.rows.get(event.get("row", -1))):
                row.values.update(event.get("values", {}))
        return Journal(
            header=self.header,
            rows=[self.rows[sequence] for sequence in sorted(self.rows)],
            events=[self.events[sequence] for sequence in sorted(self.events)],
            torn_bytes=self.torn_bytes,
            damaged_bytes=self.damaged_bytes,
            missing_frames=max(self.places, default=-1) + 1 - len(self.places),
        )


def _whole_frame(data: bytes, position: int) -> int | None:
    """The end of the whole frame at `position`, or None."""
    body = position + _HEAD_BYTES
    if body > len(data) or not data.startswith(MAGIC, position):
        return None
    length = int.from_bytes(data[position + 4 : position + 8], "little")
    end = body + length + _CRC_BYTES
    if not _BODY_AT_LEAST <= length <= MAX_BODY_BYTES or end > len(data):
        return None
    if crc32(data[position : position + 8]) != int.from_bytes(data[position + 8 : body], "little"):
        return None
    if crc32(data[position : end - 4]) != int.from_bytes(data[end - 4 : end], "little"):
        return None
    return end


def _next_whole_frame(data: bytes, position: int) -> int | None:
    while (position := data.find(MAGIC, position)) >= 0:
        if _whole_frame(data, position) is not None:
            return position
        position += 1
    return None
