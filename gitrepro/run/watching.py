"""A run under way, seen from beside it. Nothing is written, and nothing of the run waits for this."""

from __future__ import annotations

import datetime
import os
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final

from ..errors import GitreproError
from ..records.run import RunRecord
from ..store.follow_journal import JournalFollower, News
from ..store.lease import Life, life
from ..store.live import ERRORS, OUTPUT, LiveRun
from ..store.repository import Repository
from ..store.runs import RunTree
from .intake.naming import INTAKE, Source, shown_names, source_of

_CURVE_POINTS: Final = 240
_RATE_ROWS: Final = 200
_TAIL_BYTES: Final = 4 << 10
_PATIENCE_LOOKS: Final = 10
_METRICS_AT_MOST: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What can be seen of a run at one moment."""

    id: str
    name: str
    status: str
    elapsed_seconds: float
    step: int | None = None
    steps_per_second: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    output: str = ""

    def document(self) -> dict[str, Any]:
        """As `watch --json` has it, a line each."""
        return {
            "schema": 1,
            "id": self.id,
            "name": self.name,
            "status": self.status,
            "elapsed_seconds": self.elapsed_seconds,
            "step": self.step,
            "steps_per_second": self.steps_per_second,
            "metrics": dict(self.metrics),
            "output": self.output,
        }


@final
class Watched:
    """One run that is watched until it ends."""

    def __init__(self, repository: Repository, run: LiveRun) -> None:
        self.id = run.id
        self._repository = repository
        self._folder = run.folder
        record = run.start.get("record") or {}
        self._name = str(record.get("name", run.id))
        self._started = _moment(record.get("started_at"), run.folder)
        self._follower = JournalFollower(run.folder)
        self._curves: dict[tuple[bool, str], _Curve] = {}
        self._sources: dict[int, Source] = {}
        self._recent: deque[tuple[float, int]] = deque(maxlen=_RATE_ROWS)
        self._looks_without_record = 0
        self.last: Sight | None = None

    @property
    def ended(self) -> bool:
        return self.last is not None and self.last.status != "running"

    def look(self) -> Sight:
        """What is to be seen now; of a run that has ended, how."""
        # Before the journals: whatever was written until its end is then read once more.
        alive = life(self._folder) is not Life.DEAD
        for news in self._follower.news():
            self._take(news)
        self.last = self._running() if alive else self._ended()
        return self.last

    def _take(self, news: News) -> None:
        if source := source_of(news.event) if news.event else None:
            self._sources[source.number] = source
        # What people watch is what the first rank logs.
        if not news.values or news.rank:
            return
        taken_in = news.source == INTAKE
        for name, value in news.values.items():
            if (taken_in, name) in self._curves or len(self._curves) < _METRICS_AT_MOST:
                self._curves.setdefault((taken_in, name), _Curve()).add(float(value))
        if not self._recent or news.step > self._recent[-1][1]:
            self._recent.append((news.time_seconds, news.step))

    def _running(self) -> Sight:
        return self._sight("running", max(0.0, time.time() - self._started), output=_last_line(self._folder))

    def _ended(self) -> Sight:
        record = _recorded(self._repository, self.id)
        if record is None:
            # Its folder is on its way to the record, or nobody was left to put it there.
            self._looks_without_record += 1
            on_its_way = not self._folder.exists() and self._looks_without_record < _PATIENCE_LOOKS
            return self._running() if on_its_way else self._sight("died", self._silent_since())
        sight = self._sight(str(record.status), record.duration_seconds or 0.0)
        return sight if sight.metrics else _from_record(record)

    def _sight(self, status: str, elapsed_seconds: float, *, output: str = "") -> Sight:
        shown = self._shown()
        curves = {shown[key]: curve for key, curve in self._curves.items()}
        return Sight(
            id=self.id,
            name=self._name,
            status=status,
            elapsed_seconds=elapsed_seconds,
            step=self._recent[-1][1] if self._recent else None,
            steps_per_second=self._rate(),
            metrics={name: curve.last for name, curve in sorted(curves.items())},
            curves={name: tuple(curve.points) for name, curve in curves.items()},
            output=output,
        )

    def _shown(self) -> dict[tuple[bool, str], str]:
        own = {name for taken_in, name in self._curves if not taken_in}
        taken = [name for taken_in, name in self._curves if taken_in]
        names = shown_names(self._sources.values(), taken, own)
        return {key: names.get(key[1], key[1]) if key[0] else key[1] for key in self._curves}

    def _rate(self) -> float | None:
        if len(self._recent) < 2:
            return None
        (began, first), (until, last) = self._recent[0], self._recent[-1]
        return (last - first) / (until - began) if until > began else None

    def _silent_since(self) -> float:
        return self._recent[-1][0] if self._recent else 0.0


class _Curve:
    """A metric's course in few points: when they are too many, each second one goes."""

    __slots__ = ("_every", "_skipped", "last", "points")

    def __init__(self) -> None:
        self.points: list[float] = []
        self.last = 0.0
        self._every = 1
        self._skipped = 0

    def add(self, value: float) -> None:
        self.last = value
        self._skipped += 1
        if self._skipped < self._every:
            return
        self._skipped = 0
        self.points.append(value)
        if len(self.points) >= _CURVE_POINTS:
            del self.points[::2]
            self._every *= 2


def _recorded(repository: Repository, run_id: str) -> RunRecord | None:
    try:
        with RunTree(repository) as tree:
            return tree.run(run_id) if tree.run_tree(run_id) is not None else None
    except (OSError, GitreproError):
        return None


def _from_record(record: RunRecord) -> Sight:
    """A run that was over before anything of it was seen."""
    metrics = {name: facts["last"] for name, facts in record.metrics.items() if facts.get("last") is not None}
    return Sight(
        id=record.id,
        name=record.name,
        status=str(record.status),
        elapsed_seconds=record.duration_seconds or 0.0,
        step=max((facts.get("last_step") or 0 for facts in record.metrics.values()), default=None),
        metrics=metrics,
    )


def sight_of_record(repository: Repository, run_id: str) -> Sight | None:
    """What is to be seen of a run that has ended; None where it is not on record."""
    record = _recorded(repository, run_id)
    return None if record is None else _from_record(record)


def _moment(text: object, folder: Path) -> float:
    try:
        return datetime.datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return folder.stat().st_ctime


def _last_line(folder: Path) -> str:
    """The last line that the program printed, on either stream."""
    newest = max((folder / OUTPUT, folder / ERRORS), key=_changed)
    try:
        with newest.open("rb") as reader:
            reader.seek(max(0, os.fstat(reader.fileno()).st_size - _TAIL_BYTES))
            # A progress bar draws itself anew on one line.
            lines = reader.read().replace(b"\r", b"\n").decode(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _changed(path: Path) -> float:
    try:
        found = path.stat()
    except OSError:
        return -1.0
    return found.st_mtime if found.st_size else 0.0
