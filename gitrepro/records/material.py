"""What a run was made from and what it left behind: the shape of `data`, `fitted`, `checkpoints` and `artifacts`.

A field that is there is of its type; which of them are there is for whoever wrote the record. Others are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .fields import Fits, are_counts, are_texts, is_count, is_flag, is_map, is_text, is_whole, or_none

CHECKS: Final = ("stat", "sample", "full")
"""How a run made sure that its data is what the record names, the weakest first."""


def odd(values: Mapping[str, Any]) -> str | None:
    """The first part of a run record's fields that is not of its type, as `data[0].items`; None when all are."""
    for name, shape in _SHAPES.items():
        for place, entry in enumerate(values.get(name) or ()):
            if (found := _odd(entry, shape)) is not None:
                return f"{name}[{place}]{found}"
    return None


def _odd(entry: object, shape: Mapping[str, Fits]) -> str | None:
    if not isinstance(entry, dict):
        return ""
    return next((f".{name}" for name, fits in shape.items() if name in entry and not fits(entry[name])), None)


_SPLIT: Final[dict[str, Fits]] = {
    "digest": is_text,
    "name": is_text,
    "parts": are_counts,
    "reads": are_counts,
    "version": or_none(is_text),
}
_SHAPES: Final[dict[str, dict[str, Fits]]] = {
    "data": {
        "checked": or_none(is_text),
        "digest": is_text,
        "items": or_none(is_count),
        "kind": or_none(is_text),
        "linked": or_none(is_flag),
        "name": is_text,
        "size_bytes": or_none(is_count),
        "splits": lambda value: isinstance(value, list) and all(_odd(each, _SPLIT) is None for each in value),
        "version": or_none(is_text),
    },
    "fitted": {
        "blob": or_none(is_text),
        "count": is_count,
        "data": is_text,
        "ids": is_text,
        "method": is_text,
        "name": is_text,
        "part": is_text,
        "split": is_text,
    },
    "checkpoints": {
        "blob": is_text,
        "created_at": or_none(is_text),
        "format": or_none(is_text),
        "holds": are_texts,
        "metric": or_none(is_map),
        "name": or_none(is_text),
        "path": or_none(is_text),
        "provenance": or_none(is_map),
        "roles": are_texts,
        "size_bytes": is_count,
        "step": or_none(is_whole),
        "weights": or_none(is_text),
    },
    "artifacts": {
        "blob": is_text,
        "files": is_count,
        "kind": is_text,
        "media_type": or_none(is_text),
        "name": is_text,
        "size_bytes": is_count,
    },
}
