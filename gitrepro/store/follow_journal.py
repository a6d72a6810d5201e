"""The journals of a run that goes on: what has been written since the last look."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final

from .journal import EVENT, FORMAT, HEADER, ROW, SHAPE, VALUES, Number
from .journal_reader import Frames

_FILE_NAME: Final = re.compile(r"journal\.rank-(\d{1,9})\.\d+\.\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """A row (`values` and their step) or an event that a process wrote; `source` is empty for the program itself."""

    rank: int
    source: str
    step: int = 0
    time_seconds: float = 0.0
    values: Mapping[str, Number] = field(default_factory=dict)
    event: Mapping[str, Any] = field(default_factory=dict)


@final
class JournalFollower:
    """Reads on where the last look ended, and never writes. For people to see: what a record says, `read` says.

    A row that a process wrote again after a failed sync comes again.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[Path, _Place] = {}

    def news(self) -> Iterator[News]:
        """Rows and events since the last look, of one process after the other."""
        for path in sorted(self._folder.glob("journal.rank-*.*.*")):
            name = _FILE_NAME.fullmatch(path.name)
            if name:
                yield from self._read(path, self._files.setdefault(path, _Place(rank=int(name[1]))))

    def _read(self, path: Path, place: _Place) -> Iterator[News]:
        try:
            with path.open("rb") as file:
                if file.seek(0, 2) <= place.offset:
                    return
                frames = Frames(file, start=place.offset)
                for body in frames:
                    place.offset = frames.end
                    if news := place.meaning(body):
                        yield news
        except OSError:
            return  # the run has just ended, and its folder was set aside


@dataclass(slots=True, kw_only=True)
class _Place:
    """How far one file was read, and what its frames have said of the others."""

    rank: int
    offset: int = 0
    source: str = ""
    shapes: dict[int, tuple[struct.Struct, list[str]]] = field(default_factory=dict)

    def meaning(self, body: bytes) -> News | None:
        try:
            return self._meaning(body[8:9], body[9:], body)
        except (ValueError, KeyError, TypeError, struct.error):
            return None  # not written by this program, as the record will say

    def _meaning(self, kind: bytes, content: bytes, body: bytes) -> News | None:
        if kind == VALUES:
            layout, names = self.shapes[int.from_bytes(content[:4], "little")]
            _, _, _, time_seconds, step, *numbers = layout.unpack(body)
            values = dict(zip(names, numbers, strict=True))
            return News(rank=self.rank, source=self.source, step=step, time_seconds=time_seconds, values=values)
        if kind == EVENT:
            return News(rank=self.rank, source=self.source, event=dict(json.loads(content)))
        if kind == SHAPE:
            columns = json.loads(content[4:])
            layout = struct.Struct(ROW + "".join(code for _, code in columns))
            self.shapes[int.from_bytes(content[:4], "little")] = (layout, [str(name) for name, _ in columns])
        elif kind == HEADER and dict(json.loads(content)).get("format", 0) <= FORMAT:
            self.source = str(dict(json.loads(content)).get("source", ""))
        return None
