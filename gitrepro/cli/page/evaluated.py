"""The section on what was evaluated: metrics that anybody can compute again from the predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...records.run import RunRecord
from .parts import Rows, mapping, maps, value


def evaluated(record: RunRecord) -> Rows:
    return [(str(entry.get("name")), "  ".join(_told(entry))) for entry in maps(record.evaluations)]


def _told(entry: Mapping[str, Any]) -> Iterator[str]:
    for name, each in mapping(entry.get("metrics")).items():
        yield f"{name} {value(mapping(each).get('value'))}"
    examples, distinct, expected = (entry.get(name) for name in ("examples", "distinct", "expected"))
    yield f"of {examples} examples, step {entry.get('step')}"
    if examples != distinct:
        yield f"(only {distinct} different ones)"
    if expected not in (None, distinct):
        yield f"({entry.get('part')} has {expected})"
