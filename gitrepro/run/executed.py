"""The cells of a notebook that were run, as a file of the record: they are the code, in the order they ran in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ..records import yaml
from .tabulate import LIMIT

CELLS: Final = "cells.yaml"
_ROOM_BYTES: Final = 1000 << 10


def files(events: Iterable[Mapping[str, Any]], losses: list[dict[str, Any]]) -> dict[str, bytes]:
    """`cells.yaml`, where the run has cells; what a record has no room for is told in `losses`."""
    told = [event for event in events if event.get("op") == "cell"]
    if not told:
        return {}
    kept: list[dict[str, Any]] = []
    room_bytes = _ROOM_BYTES
    for event in told:
        cell = {"count": event["count"], "source": event["source"]}
        size_bytes = len(yaml.dump({"cells": [cell]}))
        if size_bytes <= room_bytes:
            kept.append(cell)
            room_bytes -= size_bytes
    if left := len(told) - len(kept):
        why = f"{len(kept)} have room in the record"
        losses.append({"kind": LIMIT, "what": f"the source of {left} cells", "why": why})
    names = [event["file"] for event in events if event.get("op") == "notebook"]
    return {CELLS: yaml.dump({"cells": kept, "cells_left_out": left, "format": 1, "notebook": next(iter(names), None)})}
