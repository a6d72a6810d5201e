"""The run: one execution on record. Frozen once written; FORMAT.md shows the bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from types import NoneType
from typing import Any, Final

from ..errors import Damaged
from . import ids, material, yaml
from .fields import check_format

FORMAT: Final = 1


class Kind(StrEnum):
    """What a run was for."""

    TRAIN = "train"
    EVAL = "eval"
    BASELINE = "baseline"
    SHUFFLE = "shuffle"
    OVERFIT = "overfit"
    DATA_CHECK = "data-check"
    REPRODUCTION = "reproduction"


class Status(StrEnum):
    """How a run stands or ended."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    """An exception, or an exit code other than 0."""
    INTERRUPTED = "interrupted"
    """Ctrl-C."""
    PREEMPTED = "preempted"
    """SIGTERM: the scheduler wanted the machine."""
    CRASHED = "crashed"
    """The process is gone and left no closing word."""
    OUT_OF_MEMORY = "out_of_memory"
    ABORTED = "aborted"
    """A guard found that all further training is worth nothing; `stopping` says what it saw."""
    PRUNED = "pruned"
    """A search gave the trial up for better ones: its last value is not what it could have come to."""
    INCOMPLETE = "incomplete"
    """It ended, and part of what it logged could not be kept; `losses` says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """`run.yaml`: what is known of one run. Times are UTC, ISO 8601 with microseconds; durations are seconds."""

    id: str
    name: str
    kind: str
    status: str
    started_at: str
    ended_at: str | None = None
    duration_seconds: float | None = None
    reason: Mapping[str, Any] | None = None
    actor: Mapping[str, Any] = field(default_factory=dict)
    host: Mapping[str, Any] = field(default_factory=dict)
    argv: tuple[str, ...] = ()
    code: Mapping[str, Any] | None = None
    seeds: Mapping[str, Any] = field(default_factory=dict)
    data: tuple[Any, ...] = ()
    preprocess: Mapping[str, Any] | None = None
    checkpoints: tuple[Any, ...] = ()
    artifacts: tuple[Any, ...] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)
    cost: Mapping[str, Any] = field(default_factory=dict)
    group: str | None = None
    labels: tuple[str, ...] = ()
    note: str | None = None
    parents: tuple[str, ...] = ()
    resumes: str | None = None
    lineage: str | None = None
    ranks: Mapping[str, Any] | None = None
    adopted: Mapping[str, Any] | None = None
    watched: tuple[Any, ...] = ()
    efficiency: Mapping[str, Any] | None = None
    trace: Mapping[str, Any] | None = None
    batch: Mapping[str, Any] | None = None
    precision: Mapping[str, Any] | None = None
    fitted: tuple[Any, ...] = ()
    streams: Mapping[str, Any] | None = None
    determinism: Mapping[str, Any] | None = None
    stopping: Mapping[str, Any] | None = None
    curves: Mapping[str, Any] | None = None
    checked: tuple[Any, ...] = ()
    evaluations: tuple[Any, ...] = ()
    holdouts: tuple[Any, ...] = ()
    journal: Mapping[str, Any] = field(default_factory=dict)
    losses: tuple[Any, ...] = ()
    recorder: Mapping[str, Any] = field(default_factory=dict)
    unknown: Mapping[str, Any] = field(default_factory=dict)
    """Fields of a later format: kept, and ignored."""

    @property
    def short_id(self) -> str:
        return self.id[-8:]

    @property
    def path(self) -> str:
        """Where the run stands in the tree of the run ref."""
        return run_path(self.id)

    def document(self) -> dict[str, Any]:
        known = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "unknown"}
        for name in _SELDOM:
            if known[name] is None or known[name] == ():
                del known[name]
        return {**self.unknown, **known, "format": FORMAT, "kind": str(self.kind), "status": str(self.status)}

    def dump(self) -> bytes:
        return yaml.dump(self.document())


_REQUIRED: Final = {"id": str, "name": str, "kind": str, "status": str, "started_at": str}
_LISTS: Final = (
    "argv", "data", "checkpoints", "artifacts", "labels", "parents", "losses", "watched", "fitted", "checked",
    "evaluations", "holdouts",
)  # fmt: skip
_MAPS: Final = ("actor", "host", "seeds", "metrics", "summary", "cost", "journal", "recorder")
_SELDOM: Final = (
    "batch", "precision", "ranks", "adopted", "efficiency", "trace", "watched", "fitted", "stopping",
    "curves", "streams", "determinism", "checked", "evaluations", "holdouts",
)  # fmt: skip
"""Fields that a record has only where there is something to say."""
_MAPS_OR_NOTHING: Final = (
    "batch", "precision", "reason", "code", "preprocess", "ranks", "adopted", "efficiency", "trace", "stopping",
    "curves", "streams", "determinism",
)  # fmt: skip


def run_path(run_id: str) -> str:
    """Where a run stands in the tree of the run ref: `runs/x/y/z/<id>`."""
    return f"runs/{ids.shard(run_id)}/{run_id}"


def load_run(data: bytes, *, source: str) -> RunRecord:
    """Read a `run.yaml`.

    Raises:
        Damaged: it does not parse, or a field is missing or of another type.
        TooNew: its format is newer than this program.
    """
    return run_from(yaml.load(data, source=source), source=source)


def run_from(document: Mapping[str, Any], *, source: str) -> RunRecord:
    """The record a parsed `run.yaml` holds. Raises as `load_run` does."""
    values = dict(document)
    check_format(values.pop("format", None), newest=FORMAT, source=source, what="a run record")
    for name, kind in _REQUIRED.items():
        _check(values, name, kind, source)
    for name in _LISTS:
        values[name] = tuple(_check(values, name, list, source, default=[]))
    for name in _MAPS:
        values[name] = _check(values, name, dict, source, default={})
    for name in _MAPS_OR_NOTHING:
        if values.get(name) is not None:
            _check(values, name, dict, source)
    _check_parts(values, source)
    known = {f.name for f in fields(RunRecord)} - {"unknown"}
    unknown = {name: values.pop(name) for name in [*values] if name not in known}
    return RunRecord(**values, unknown=unknown)


# What stands inside the fields: by field, the type of each entry.
_ENTRIES: Final[dict[str, tuple[type, ...]]] = {
    "argv": (str,),
    "labels": (str,),
    "parents": (str,),
    "artifacts": (dict,),
    "losses": (dict,),
    "watched": (dict,),
    "checked": (dict,),
    "evaluations": (dict,),
    "holdouts": (dict,),
    "metrics": (dict,),
    "cost": (int, float, NoneType),
}
_OPTIONAL: Final[dict[str, tuple[type, ...]]] = {
    "ended_at": (str,),
    "duration_seconds": (int, float),
    "group": (str,),
    "note": (str,),
}


def _check_parts(values: Mapping[str, Any], source: str) -> None:
    for name, kinds in _ENTRIES.items():
        entries = values[name].values() if isinstance(values[name], dict) else values[name]
        if not all(isinstance(entry, kinds) for entry in entries):
            raise Damaged(f"{source}: an entry of {name} is of another type", why=f"each is a {kinds[0].__name__}")
    for name, kinds in _OPTIONAL.items():
        if values.get(name) is not None and not isinstance(values[name], kinds):
            raise Damaged(f"{source}: {name} is {values[name]!r:.60}", why=f"it must be a {kinds[0].__name__}")
    if odd := material.odd(values):
        raise Damaged(f"{source}: {odd} is of another type", why="it is not what a run record holds there")


def _check(values: dict[str, Any], name: str, kind: type, source: str, *, default: Any = None) -> Any:
    value = values.get(name, default)
    if not isinstance(value, kind):
        raise Damaged(f"{source}: {name} is {value!r:.60}", why=f"it must be a {kind.__name__}")
    return value
