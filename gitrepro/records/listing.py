"""The shape in which `ls --json` and `show --json` give a run. Its names are a promise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from .event import Standing
from .run import RunRecord

SCHEMA: Final = 1
_NAMED: Final = ("name", "version", "digest")


def listing(record: RunRecord, standing: Standing, config: Mapping[str, Any]) -> dict[str, Any]:
    """One run as `ls --json` shows it. `config` is its effective config, nested.

    `data` has its data sets, each with its `splits`; `split` is the first of them.
    """
    code = record.code or {}
    return {
        "schema": SCHEMA,
        "id": record.id,
        "name": standing.name or record.name,
        "kind": record.kind,
        "status": record.status,
        "started_at": record.started_at,
        "duration_seconds": record.duration_seconds,
        "actor": dict(record.actor),
        "group": standing.group or record.group,
        "labels": list(standing.labels),
        "config": dict(config),
        "summary": dict(record.summary),
        "seeds": dict(record.seeds),
        "code": {"commit": code.get("commit"), "dirty": code.get("dirty")},
        "data": [{**_named(entry), "splits": [_named(split) for split in _splits(entry)]} for entry in record.data],
        "split": _first_split(record),
    }


def _first_split(record: RunRecord) -> dict[str, Any] | None:
    found = ((entry, split) for entry in record.data for split in _splits(entry))
    return next(({"dataset": entry.get("name"), **_named(split)} for entry, split in found), None)


def _named(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: entry.get(name) for name in _NAMED}


def _splits(entry: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return entry.get("splits") or ()
