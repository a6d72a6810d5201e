"""The runs that a run came out of: those whose checkpoints it loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ..records import ids
from . import process

OP: Final = "parent"
_AT_MOST: Final = 100


def tell_parent(run_id: object) -> None:
    """Put on record of the run under way that it read a checkpoint of this one; what it resumes is said elsewhere."""
    for run in process.open_runs():
        if isinstance(run_id, str) and ids.is_id(run_id) and run_id not in (run.id, run.resumes):
            run._event(OP, run=run_id)


def parents(events: Iterable[Mapping[str, Any]], *, known: Iterable[str]) -> tuple[str, ...]:
    """The field `parents` of a record: those `known` at its start, then each that was read, once."""
    told = [event["run"] for event in events if event.get("op") == OP]
    return tuple(dict.fromkeys([*known, *told]))[:_AT_MOST]
