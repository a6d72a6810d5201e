"""Where what is taken in is written: a journal beside that of the recorder."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, final

from ...capture import secrets
from ...capture.config import dotted
from ...capture.written import Point
from ...errors import UsageError
from ...store.journal import JournalWriter
from ..compose import REJECTED
from ..recording import Recording
from ..values import Names
from .file import File
from .follow import FollowedEvents, Loss
from .naming import INTAKE, Source

_SHAPES_AT_MOST: Final = 2_000
_NAMES_AT_MOST: Final = 20_000
_NAME_BYTES: Final = 240


@final
class Writer:
    """The intake's own journal, begun with the first thing there is to say."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._started = datetime.datetime.fromisoformat(recording.started_at).timestamp()
        self._moment = 0.0
        self._journal: JournalWriter | None = None
        self._names = Names()
        self._known: dict[str, bool] = {}
        self._shapes: set[tuple[str, ...]] = set()
        self._sources: dict[tuple[str, str], Source] = {}
        self._rejected: dict[str, int] = {}
        self._hparams: set[Path] = set()

    def take(self, file: File, points: Iterable[Point]) -> None:
        """Write the points that were found in a file."""
        for point in points:
            self._point(self._source(file), point)
        if (
            isinstance(file.followed, FollowedEvents)
            and file.followed.events.hparams
            and file.path not in self._hparams
        ):
            self._hparams.add(file.path)
            for name, value in file.followed.events.hparams.items():
                self._event(
                    "config", key=dotted((name,)), value=secrets.redact_value(name, value), source="tensorboard"
                )

    def lost(self, loss: Loss) -> None:
        kind = {"kind": loss.kind} if loss.kind else {}
        self._event("lost", **kind, what=loss.what, why=loss.why)

    def losses(self) -> Iterator[Loss]:
        for name, count in self._rejected.items():
            yield Loss(what=f"metric {name:.200}: {count} values", why="the name cannot be kept", kind=REJECTED)

    def sync(self) -> None:
        if self._journal:
            self._journal.sync()

    def close(self) -> None:
        if self._journal:
            self._journal.sync()
            self._journal.close()

    def _source(self, file: File) -> Source:
        source = self._sources.get((file.kind, file.place))
        if source is None:
            source = Source(number=len(self._sources), kind=file.kind, place=file.place)
            self._sources[file.kind, file.place] = source
            self._event("source", **source.document())
        return source

    def _point(self, source: Source, point: Point) -> None:
        values = {source.journalled(name): value for name, value in point.values.items() if self._may_be(name, source)}
        if not values:
            return
        now = self._recording.elapsed_seconds
        told = now if point.moment is None else point.moment - self._started
        self._moment = min(max(told, 0.0), now) if math.isfinite(told) else now
        for row in self._rows(values):
            self._open().row(row, point.step)

    def _rows(self, values: dict[str, int | float]) -> Iterator[dict[str, int | float]]:
        """One row; where rows differ in their names again and again, one for each value."""
        names = tuple(values)
        if names in self._shapes or len(self._shapes) < _SHAPES_AT_MOST:
            self._shapes.add(names)
            yield values
        else:
            yield from ({name: value} for name, value in values.items())

    def _may_be(self, name: str, source: Source) -> bool:
        full = source.journalled(name)
        if full not in self._known and len(self._known) < _NAMES_AT_MOST:
            self._known[full] = self._check(name, full)
        if not self._known.get(full, False):
            known = name[:200] if len(self._rejected) < 100 else "(others)"
            self._rejected[known] = self._rejected.get(known, 0) + 1
            return False
        return True

    def _check(self, name: str, full: str) -> bool:
        try:
            self._names.check(full)
        except UsageError:
            return False
        return not name.startswith("_") and 0 < len(name.encode()) <= _NAME_BYTES

    def _event(self, op: str, **content: Any) -> None:
        self._moment = self._recording.elapsed_seconds
        self._open().event({"op": op, **content})

    def _open(self) -> JournalWriter:
        if self._journal is None:
            self._journal = JournalWriter(
                self._recording.folder,
                run_id=self._recording.run_id,
                rank=self._recording.rank,
                source=INTAKE,
                clock=lambda: self._moment,
                origin=0.0,
            )
        return self._journal
