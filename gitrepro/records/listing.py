"""The shape in which `ls --json` and `show --json` give a run. Its names are a promise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .event import Standing
from .run import RunRecord

SCHEMA: Final = 1


def listing(record: RunRecord, standing: Standing, config: Mapping[str, Any]) -> dict[str, Any]:
    """One run as `ls --json` shows it. `config` is its effective config, nested."""
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
    }
