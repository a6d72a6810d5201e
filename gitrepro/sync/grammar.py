"""What may stand where in the tree of the run ref."""

from __future__ import annotations

import re
from typing import Final

from ..errors import UsageError
from ..records import ids
from .overlay import Path

DEPTH_AT_MOST: Final = 12
_NAME: Final = re.compile(r"(b3:)?[A-Za-z0-9_][A-Za-z0-9._-]{0,149}(~[0-9a-f]{8,40}){0,4}")
_SHARD: Final = re.compile("[0-9a-z]")
_SHARDED: Final = ("runs", "events")
_SUBJECT_AT: Final = 4
"""Where the run, or what an event is about, stands in a path: `runs/x/y/z/<id>`."""
_UNITS: Final = {"runs": 5, "results": 2}
"""Folders that are there as a whole or not at all, by how many names lead to one."""
_KNOWN: Final = ("runs", "events", "results", "datasets", "splits", "holdout", "format.yaml")
_HEADS: Final = {"runs": "run.yaml", "results": "result.yaml"}


def fault_of_name(name: str) -> str:
    """Why this is no name of ours; empty when it is one."""
    return "" if _NAME.fullmatch(name) else "is not how gitrepro names anything"


def fault_of_folder(path: Path) -> str:
    """Why no folder may stand at a path, whose last name is without the `~<digits>` of a copy; empty when it may."""
    if len(path) >= DEPTH_AT_MOST:
        return f"lies {len(path)} folders deep"
    if path[0] in _SHARDED:
        return _fault_of_sharded(path)
    return _fault_of_id(path[1]) if path[0] == "results" and len(path) == 2 else ""


def _fault_of_sharded(path: Path) -> str:
    if len(path) <= _SUBJECT_AT:
        return "" if len(path) == 1 or _SHARD.fullmatch(path[-1]) else "is no folder of this tree"
    if len(path) > _SUBJECT_AT + 1:
        return "is a folder where only records stand" if path[0] == "events" else ""
    try:
        place = ids.shard(path[_SUBJECT_AT])
    except UsageError as error:
        return error.why
    if path[0] == "runs" and not ids.is_id(path[_SUBJECT_AT]):
        return "is no id of a run"
    return "" if place == "/".join(path[1:_SUBJECT_AT]) else f"belongs into {path[0]}/{place}"


def _fault_of_id(name: str) -> str:
    return "" if ids.is_id(name) else "is no id of a result"


def fault_of_file(path: Path) -> str:
    """As `fault_of_folder`, of a file."""
    above = {"runs": _SUBJECT_AT + 1, "events": _SUBJECT_AT + 1, "results": 2, "datasets": 2, "splits": 3, "holdout": 2}
    needed = above.get(path[0], 0)
    return f"is a file, {needed - len(path) + 1} folders too high" if len(path) <= needed else ""


def unit_of(path: Path) -> Path:
    """What is left out when something at this path is wrong.

    That is the whole run or result, and all of a folder that only a later gitrepro knows; else this alone.
    """
    if path and path[0] not in _KNOWN:
        return path[:1]
    size = _UNITS.get(path[0]) if path else None
    return path[:size] if size and len(path) > size else path


def is_run(path: Path) -> bool:
    return len(path) == _UNITS["runs"] and path[0] == "runs"


def head_of(path: Path) -> str | None:
    """The file without which the folder at this path is nothing."""
    return _HEADS[path[0]] if path and len(path) == _UNITS.get(path[0]) else None
