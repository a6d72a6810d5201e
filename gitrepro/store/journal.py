"""The live journal: one append-only file per process, one `os.write` per entry, readable after any kill.

The bytes are specified in FORMAT.md, "Journal". A frame carries its own length, place in line and two checksums, so
that a reader can tell a whole frame from a torn, zeroed or flipped one and find the next whole frame behind damage.
"""

from __future__ import annotations

import errno
import json
import os
import struct
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, final
from zlib import crc32

from ..errors import UsageError
from . import fs

MAGIC: Final = b"gRj1"
FORMAT: Final = 1
MAX_BODY_BYTES: Final = 16 << 20
SPOOL_BYTES: Final = 64 << 20

# A frame: magic, length of the body, checksum of these eight bytes; the body: sequence, kind, content;
# checksum of all before it. The first checksum keeps a reader from trusting a flipped length.
HEAD_BYTES: Final = 12
BODY_AT_LEAST: Final = 9
CRC_BYTES: Final = 4
HEADER, SHAPE, VALUES, EVENT = b"H", b"S", b"V", b"J"
_CODES: Final = {float: "d", int: "q"}
NO_PLACE: Final = 2**64 - 1  # frames that describe the file rather than the run have no place in line
ROW: Final = "<QcIdq"  # sequence, kind, shape, time, step; one code for each value follows
_BESIDE: Final = 1 << 32  # no process has so high a number: the second journal of one stands beside the first

Number = int | float
_Shape = tuple[bytes, Callable[..., bytes], int]  # head of the frame, packer, shape number


def _head(length: int) -> bytes:
    head = MAGIC + length.to_bytes(4, "little")
    return head + crc32(head).to_bytes(CRC_BYTES, "little")


def _frame(sequence: int, content: bytes) -> bytes:
    body = sequence.to_bytes(8, "little") + content
    frame = _head(len(body)) + body
    return frame + crc32(frame).to_bytes(CRC_BYTES, "little")


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
        source: who the values come from, if not from this process; such a journal is its second one.
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
        source: str = "",
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
        self._writer = self._pid
        if source:
            self._header["source"] = source
            self._writer += _BESIDE
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
            self._append(self._next_frame(EVENT + _json(document)))

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
        head = _head(struct.calcsize(ROW + codes))
        shape = (head, struct.Struct(f"<{HEAD_BYTES}s{ROW[1:]}{codes}").pack, number)
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
        path = self._folder / f"journal.rank-{self._rank}.{self._writer}.{self._segment}"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        # Each segment stands alone: a header, and every shape again.
        payloads = [HEADER + _json({**self._header, "segment": self._segment}), *self._shape_payloads]
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
    return SHAPE + number.to_bytes(4, "little") + json.dumps(columns).encode("ascii")
