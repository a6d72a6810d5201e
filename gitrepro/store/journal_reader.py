"""Reading a journal back: every whole frame, whatever stands between them, in little memory.

A journal is read twice. The first pass checks every frame, keeps the events and counts the rows; the second gives the
rows, some thousands at a time. A journal of ten million rows takes no more memory than one of ten thousand.
"""

from __future__ import annotations

import io
import json
import re
import struct
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby, repeat
from operator import itemgetter
from pathlib import Path
from typing import IO, Any, Final, final
from zlib import crc32

from ..errors import Damaged, TooNew
from ..records.metrics import Batch
from .journal import (
    BODY_AT_LEAST,
    CRC_BYTES,
    EVENT,
    FORMAT,
    HEAD_BYTES,
    HEADER,
    MAGIC,
    MAX_BODY_BYTES,
    NO_PLACE,
    ROW,
    SHAPE,
    VALUES,
    Number,
)

_FILE_NAME = re.compile(r"journal\.rank-(\d+)\.(\d+)\.(\d+)")
_PIECE_BYTES: Final = 1 << 20
_ROW_HEAD = struct.Struct(ROW)
_BATCH_ROWS: Final = 1 << 13
_LENGTHS_KNOWN: Final = 1000
_LATE: Final = "late"

Kind = tuple[tuple[str, str], ...]
"""The columns of a row: names and codes, `d` real or `q` whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One `log()` call: its place in the journal, its step, seconds since the run began, and the values."""

    seq: int
    step: int
    time_seconds: float
    values: dict[str, Number]


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """What one process wrote: its header, its events in order, its rows on demand, and what was found damaged.

    Values that a device handed over later are in their rows; the events that brought them are not among `events`.
    `kinds` counts rows by their columns, and beside them the late values by theirs.
    """

    header: dict[str, Any]
    events: list[dict[str, Any]]
    kinds: Mapping[Kind, int] = field(default_factory=dict)
    row_count: int = 0
    last_time_seconds: float = 0.0
    torn_bytes: int = 0
    damaged_bytes: int = 0
    missing_frames: int = 0
    _stretches: tuple[_Stretch, ...] = field(default=(), repr=False)
    _late: _Late = field(default_factory=lambda: _Late(), repr=False)
    _shown: Mapping[str, str] = field(default_factory=dict, repr=False)

    def renamed(self, names: Mapping[str, str]) -> Journal:
        """The same rows under other names; no two metrics may get one name."""
        kinds = [(tuple((names.get(name, name), code) for name, code in kind), self.kinds[kind]) for kind in self.kinds]
        return replace(self, kinds=dict(kinds), _shown=names)

    @property
    def rows(self) -> list[Row]:
        """Every row, in memory."""
        return list(self.iter_rows())

    def iter_rows(self) -> Iterator[Row]:
        """Every row in order. Raises as `batches` does."""
        place = 0
        for batch in self.batches():
            for step, time_seconds, *numbers in zip(batch.steps, batch.times, *batch.columns, strict=True):
                values = dict(zip(batch.names, numbers, strict=True))
                yield Row(seq=place, step=step, time_seconds=time_seconds, values=values)
                place += 1

    def batches(self) -> Iterator[Batch]:
        """Every row in order, consecutive rows of one kind together.

        Raises:
            Damaged: the file is no longer what it was at the first pass.
        """
        found = 0
        late = _LateRows(self._late)
        for stretch in self._stretches:
            for seqs, batch in stretch.batches():
                found += len(batch)
                yield from map(self._under_shown_names, late.joined(seqs, batch))
        if found != self.row_count or late.unused:
            where = self._stretches[0].segment.source if self._stretches else "the journal"
            raise Damaged(
                f"{where} does not hold what it held a moment ago", why=f"{found} of {self.row_count} rows are there"
            )

    def _under_shown_names(self, batch: Batch) -> Batch:
        if not self._shown:
            return batch
        return replace(batch, names=tuple(self._shown.get(name, name) for name in batch.names))


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
        _scan([(str(path), partial(_opened, path)) for _, path in sorted(segments)])
        for _, segments in sorted(found.items())
    ]


def _opened(path: Path) -> IO[bytes]:
    return open(path, "rb")


def parse(segments: list[bytes], *, source: str = "journal") -> Journal:
    """One process's journal from the bytes of its segments, in order.

    Whole frames are kept wherever they stand. A tail without a whole frame behind it is `torn_bytes`: the write
    that a kill cut short. Anything unreadable before a whole frame is `damaged_bytes`.

    Raises:
        TooNew: the header names a newer format.
    """
    return _scan([(source, partial(io.BytesIO, data)) for data in segments])


def _scan(segments: Sequence[tuple[str, Callable[[], IO[bytes]]]]) -> Journal:
    reading = _Reading()
    for source, opened in segments:
        reading.take(_Segment(source=source, opened=opened))
    return reading.journal()


# -- frames


@final
class Frames:
    """The whole frames of one file, from an offset on. Iterating gives the body of each: place, kind, content.

    Attributes:
        start, end: where the frame at hand begins and ends in the file.
        damaged_bytes: bytes before a whole frame that are no frame, so far.
        torn_bytes: bytes after the last whole frame, known once all were given.
    """

    def __init__(self, file: IO[bytes], *, start: int = 0) -> None:
        file.seek(start)
        self._file = file
        self._data = b""
        self._base = self.start = self.end = start
        self._ended = False
        self._lengths: dict[bytes, int] = {}
        self.damaged_bytes = 0
        self.torn_bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        position = 0
        bad_from = -1
        while (end := self._look(position)) or position < len(self._data):
            if end > 0:
                if bad_from >= 0:
                    self.damaged_bytes += self._base + position - bad_from
                    bad_from = -1
                self.start, self.end = self._base + position, self._base + end
                yield self._data[position + HEAD_BYTES : end - CRC_BYTES]
                position = end
            elif end < 0:
                self._more(position)
                position = 0
            else:
                bad_from = self._base + position if bad_from < 0 else bad_from
                position = self._next_magic(position + 1)
        if bad_from >= 0:
            self.torn_bytes = self._base + len(self._data) - bad_from

    def _look(self, position: int) -> int:
        """Where the frame at `position` ends; 0 where none is; negative where more bytes are needed to tell."""
        data = self._data
        head = data[position : position + HEAD_BYTES]
        length = self._lengths.get(head) or self._length(head)
        if length <= 0:
            return length
        end = position + length
        if end > len(data):
            return 0 if self._ended else -1
        whole = crc32(data[position : end - CRC_BYTES]) == int.from_bytes(data[end - CRC_BYTES : end], "little")
        return end if whole else 0

    def _length(self, head: bytes) -> int:
        if len(head) < HEAD_BYTES:
            return 0 if self._ended else -1
        length = int.from_bytes(head[4:8], "little")
        if not head.startswith(MAGIC) or not BODY_AT_LEAST <= length <= MAX_BODY_BYTES:
            return 0
        if crc32(head[:8]) != int.from_bytes(head[8:], "little"):
            return 0
        if len(self._lengths) < _LENGTHS_KNOWN:
            self._lengths[head] = HEAD_BYTES + length + CRC_BYTES
        return HEAD_BYTES + length + CRC_BYTES

    def _more(self, position: int) -> None:
        """Drop what is before `position` and read on."""
        piece = self._file.read(_PIECE_BYTES)
        self._ended = not piece
        self._base += position
        self._data = self._data[position:] + piece

    def _next_magic(self, position: int) -> int:
        found = self._data.find(MAGIC, position)
        if found >= 0:
            return found
        # The last bytes may be the beginning of one.
        return len(self._data) if self._ended else max(position, len(self._data) - len(MAGIC) + 1)


# -- the first pass


@dataclass(slots=True, kw_only=True)
class _Shape:
    columns: Kind
    layout: struct.Struct
    count: int = 0


@dataclass(slots=True, kw_only=True)
class _Segment:
    source: str
    opened: Callable[[], IO[bytes]]
    shapes: dict[int, _Shape] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class _Late:
    """Values that came after their rows, 20 bytes each. `whole` has those that are integers, by their number."""

    rows: array[int] = field(default_factory=lambda: array("q"))
    name_numbers: array[int] = field(default_factory=lambda: array("i"))
    reals: array[float] = field(default_factory=lambda: array("d"))
    whole: dict[int, int] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)

    def add(self, row: int, name: str, value: Number) -> None:
        if isinstance(value, int):
            self.whole[len(self.rows)] = value
        self.rows.append(row)
        self.name_numbers.append(self.names.setdefault(name, len(self.names)))
        self.reals.append(0.0 if isinstance(value, int) else value)

    def kept(self, exists: Callable[[int], bool]) -> _Late:
        """Those whose row exists, in the order of the rows."""
        order = sorted((number for number, row in enumerate(self.rows) if exists(row)), key=self.rows.__getitem__)
        names = list(self.names)
        late = _Late()
        for number in order:
            value = self.whole.get(number, self.reals[number])
            late.add(self.rows[number], names[self.name_numbers[number]], value)
        return late

    def kinds(self) -> dict[Kind, int]:
        counts: dict[Kind, int] = {}
        names = list(self.names)
        for number, name_number in enumerate(self.name_numbers):
            kind = ((names[name_number], "q" if number in self.whole else "d"),)
            counts[kind] = counts.get(kind, 0) + 1
        return counts


@dataclass(slots=True, kw_only=True)
class _Reading:
    header: dict[str, Any] = field(default_factory=dict)
    events: dict[int, dict[str, Any]] = field(default_factory=dict)
    segments: list[_Segment] = field(default_factory=list)
    stretches: list[_Stretch] = field(default_factory=list)
    places: _Places = field(default_factory=lambda: _Places())
    late: _Late = field(default_factory=_Late)
    last: tuple[int, float] = (-1, 0.0)
    torn_bytes: int = 0
    damaged_bytes: int = 0

    def take(self, segment: _Segment) -> None:
        self.segments.append(segment)
        with segment.opened() as file:
            frames = Frames(file)
            for body in frames:
                try:
                    self._frame(segment, body, frames)
                except (ValueError, KeyError, TypeError, struct.error):
                    # Both checksums held and the content does not parse: not written by this program.
                    self.damaged_bytes += len(body)
            self.damaged_bytes += frames.damaged_bytes
            self.torn_bytes += frames.torn_bytes

    def _frame(self, segment: _Segment, body: bytes, frames: Frames) -> None:
        if body[8:9] == VALUES:
            sequence, _, number, time_seconds, _ = _ROW_HEAD.unpack_from(body)
            shape = segment.shapes[number]
            if shape.layout.size != len(body):
                raise ValueError(f"a row of {len(body)} bytes")
            if self._placed(sequence, segment, frames):
                shape.count += 1
                self.last = max(self.last, (sequence, time_seconds))
            return
        sequence = int.from_bytes(body[:8], "little")
        meaning = self._meaning(body[8:9], body[9:], segment)
        if sequence != NO_PLACE and self._placed(sequence, segment, frames) and meaning is not None:
            self._event(sequence, meaning)

    def _meaning(self, kind: bytes, content: bytes, segment: _Segment) -> dict[str, Any] | None:
        if kind == SHAPE:
            columns = tuple((str(name), str(code)) for name, code in json.loads(content[4:]))
            layout = struct.Struct(ROW + "".join(code for _, code in columns))
            segment.shapes[int.from_bytes(content[:4], "little")] = _Shape(columns=columns, layout=layout)
        elif kind == EVENT:
            return dict(json.loads(content))
        elif kind == HEADER:
            self._read_header(dict(json.loads(content)), segment.source)
        else:
            raise ValueError(f"unknown kind {kind!r}")
        return None

    def _event(self, sequence: int, event: dict[str, Any]) -> None:
        if event.get("op") != _LATE:
            self.events[sequence] = event
            return
        for name, value in dict(event.get("values", {})).items():
            self.late.add(event["row"], name, value)

    def _read_header(self, header: dict[str, Any], source: str) -> None:
        if header["format"] > FORMAT:
            raise TooNew(
                f"{source} has journal format {header['format']}",
                why=f"this gitrepro reads format {FORMAT}",
                do="upgrade gitrepro, then run `gitrepro recover`; the journal is left as it is",
            )
        self.header = self.header or header

    def _placed(self, sequence: int, segment: _Segment, frames: Frames) -> bool:
        """Whether this is the first frame with its place in line; frames in line are read in one stretch."""
        stretch = self.stretches[-1] if self.stretches else None
        new = self.places.add(sequence)
        if new and stretch and stretch.segment is segment and stretch.next == sequence:
            stretch.end, stretch.next = frames.end, sequence + 1
        elif new:
            self.stretches.append(
                _Stretch(segment=segment, start=frames.start, end=frames.end, first=sequence, next=sequence + 1)
            )
        return new

    def journal(self) -> Journal:
        late = self.late.kept(self.places.__contains__) if self.late.rows else self.late
        kinds = late.kinds()
        for shape in (shape for segment in self.segments for shape in segment.shapes.values() if shape.count):
            kinds[shape.columns] = kinds.get(shape.columns, 0) + shape.count
        return Journal(
            header=self.header,
            events=[self.events[sequence] for sequence in sorted(self.events)],
            kinds=kinds,
            row_count=sum(shape.count for segment in self.segments for shape in segment.shapes.values()),
            last_time_seconds=self.last[1],
            torn_bytes=self.torn_bytes,
            damaged_bytes=self.damaged_bytes,
            missing_frames=self.places.missing,
            _stretches=tuple(sorted(self.stretches, key=lambda stretch: stretch.first)),
            _late=late,
        )


class _Places:
    """The places in line that are taken, as ranges: nearly always one."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def add(self, place: int) -> bool:
        """Take a place; False if it was taken."""
        ends = self._ends
        if ends and ends[-1] == place:
            ends[-1] += 1
            return True
        if place in self:
            return False
        at = bisect_right(self._starts, place)
        if at and ends[at - 1] == place:
            ends[at - 1] += 1
        else:
            self._starts.insert(at, place)
            ends.insert(at, place + 1)
        return True

    def __contains__(self, place: int) -> bool:
        at = bisect_right(self._starts, place)
        return at > 0 and place < self._ends[at - 1]

    @property
    def missing(self) -> int:
        """How many places before the last one nobody took."""
        taken = sum(self._ends) - sum(self._starts)
        return (self._ends[-1] if self._ends else 0) - taken


# -- the second pass


@dataclass(slots=True, kw_only=True)
class _Stretch:
    """Frames that follow each other in one file, their places in line too."""

    segment: _Segment
    start: int
    end: int
    first: int
    next: int

    def batches(self) -> Iterator[tuple[Sequence[int], Batch]]:
        """The rows, and the place in line of each."""
        with self.segment.opened() as file:
            for number, rows in groupby(self._rows(Frames(file, start=self.start)), key=itemgetter(slice(9, 13))):
                shape = self.segment.shapes[int.from_bytes(number, "little")]
                while bodies := [body for _, body in zip(range(_BATCH_ROWS), rows, strict=False)]:
                    yield _batch(shape, bodies)

    def _rows(self, frames: Frames) -> Iterator[bytes]:
        for body in frames:
            if frames.end > self.end:
                return
            if body[8:9] == VALUES:
                yield body


def _batch(shape: _Shape, bodies: Sequence[bytes]) -> tuple[Sequence[int], Batch]:
    seqs, _, _, times, steps, *columns = zip(*shape.layout.iter_unpack(b"".join(bodies)), strict=True)
    names = tuple(name for name, _ in shape.columns)
    codes = "".join(code for _, code in shape.columns)
    return seqs, Batch(names=names, codes=codes, steps=steps, times=times, columns=tuple(columns))


class _LateRows:
    """Puts late values into the rows they were logged in, while the rows pass by in order."""

    def __init__(self, late: _Late) -> None:
        self._late = late
        self._names = list(late.names)
        self.unused = len(late.rows)

    def joined(self, seqs: Sequence[int], batch: Batch) -> Iterator[Batch]:
        first = bisect_left(self._late.rows, seqs[0]) if self.unused else 0
        last = bisect_right(self._late.rows, seqs[-1]) if self.unused else 0
        if first == last:
            yield batch
            return
        self.unused -= last - first
        late = self._by_row(first, last)
        points = zip(*batch.columns, strict=True) if batch.columns else repeat(())
        rows = zip(seqs, batch.steps, batch.times, points, strict=False)
        for extra, same in groupby(rows, key=lambda row: tuple((name, code) for name, code, _ in late.get(row[0], ()))):
            yield _widened(batch, extra, list(same), late)

    def _by_row(self, first: int, last: int) -> dict[int, list[tuple[str, str, Number]]]:
        late: dict[int, list[tuple[str, str, Number]]] = {}
        for number in range(first, last):
            whole = self._late.whole.get(number)
            name = self._names[self._late.name_numbers[number]]
            value = (name, "d", self._late.reals[number]) if whole is None else (name, "q", whole)
            late.setdefault(self._late.rows[number], []).append(value)
        return late


def _widened(
    batch: Batch,
    extra: Kind,
    rows: Sequence[tuple[int, int, float, tuple[Number, ...]]],
    late: Mapping[int, Sequence[tuple[str, str, Number]]],
) -> Batch:
    """Rows of a batch that have the same late values, with these."""
    names = (*batch.names, *(name for name, _ in extra))
    if len(set(names)) != len(names):
        raise ValueError(f"a late value of a metric that is there: {names!r:.200}")
    whole_rows = [(*numbers, *(value for _, _, value in late.get(seq, ()))) for seq, _, _, numbers in rows]
    return Batch(
        names=names,
        codes=batch.codes + "".join(code for _, code in extra),
        steps=[step for _, step, _, _ in rows],
        times=[moment for _, _, moment, _ in rows],
        columns=tuple(zip(*whole_rows, strict=True)),
    )
