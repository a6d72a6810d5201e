"""The section on what checks found of an experiment."""

from __future__ import annotations

from ...records.run import RunRecord
from .parts import Rows, maps


def checked(record: RunRecord) -> Rows:
    return [(str(line.get("name")), f"{line.get('verdict')}  {line.get('why')}") for line in maps(record.checked)]
