"""Keeps the statistics within what a record may hold."""

from __future__ import annotations

from typing import Any, Final

from ...errors import UsageError
from ...records.yaml import dump

MOST_BYTES: Final = 700 << 10
# What is made shorter until the rest fits, the longest parts first.
_SHORTENED: Final = ("features", "classes", "channels", "arrays", "suffixes", "modes", "unreadable")
_DUPLICATE_PAIRS: Final = ("duplicates", "pairs")


def within(document: dict[str, Any], *, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """The document, its longest part halved until its YAML is below `most_bytes`.

    What is left out is counted by the fields beside it: `feature_count`, `class_count`.
    """
    while _size(document) > most_bytes:
        sizes = {name: _size({name: document[name]}) for name in _SHORTENED if len(document.get(name, ())) > 0}
        if not sizes:
            raise UsageError("the statistics do not fit into a record", why=f"it has {most_bytes:,} bytes")
        longest = max(sizes, key=lambda name: (sizes[name], name))
        document = document | {longest: _half(document[longest])}
    return document


def _half(part: dict[str, Any] | list[Any]) -> dict[str, Any] | list[Any]:
    if isinstance(part, list):
        return part[: len(part) // 2]
    return dict(list(part.items())[: len(part) // 2])


def _size(document: dict[str, Any]) -> int:
    try:
        return len(dump(document))
    except UsageError:
        # Beyond the limit of all records: larger than any room here.
        return 1 << 62
